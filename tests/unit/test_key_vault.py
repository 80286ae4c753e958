"""The Key Vault stand-in, through the unmodified client libraries and the product's own factory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError, ServiceResponseError

from local.faults.http import HttpFault
from local.key_vault.server import Running, running_key_vault
from shared.azure import Azure
from shared.errors import SecretUnresolved, Transient
from shared.settings import KeyVault, Secrets, Settings


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    with running_key_vault(tmp_path, {"crm-password": "open sesame"}) as found:
        for name, value in found.environ.items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture
def azure(running: Running) -> Iterator[Azure]:
    made = Azure({}, Settings(secrets=KeyVault(key_vault=running.url)), vault={"retry_total": 0, "read_timeout": 0.5})
    yield made
    made.close()


def test_a_secret_its_versions_and_one_that_is_not_there(running: Running, azure: Azure) -> None:
    vault = azure.key_vault()
    assert vault is not None
    first = vault.get_secret("crm-password")
    assert first.value == "open sesame"
    running.vault.set("crm-password", "changed")
    second = vault.get_secret("crm-password")
    assert second.value == "changed"
    assert vault.get_secret("crm-password", first.properties.version).value == "open sesame"
    assert vault.set_secret("other", "x").properties.version != second.properties.version
    with pytest.raises(ResourceNotFoundError):
        vault.get_secret("nobody")
    running.vault.set("crm-password", "off", enabled=False)
    with pytest.raises(HttpResponseError):
        vault.get_secret("crm-password")


def test_who_does_not_sign_in_is_challenged(running: Running) -> None:
    answer = requests.get(f"{running.url}/secrets/crm-password", timeout=10, verify=running.certificate)
    assert answer.status_code == 401
    assert "Bearer authorization=" in answer.headers["WWW-Authenticate"]
    assert requests.get(running.environ["IDENTITY_ENDPOINT"], timeout=10).status_code == 401


def test_faults_through_the_product(running: Running, azure: Azure) -> None:
    secrets = Secrets(azure.key_vault(), {}, ttl=0.0)
    running.faults.set([HttpFault("answer", status=403, code="Forbidden")])
    with pytest.raises(SecretUnresolved, match="403"):
        secrets.secret("crm-password")
    running.faults.set([HttpFault("answer", status=503, code="ServiceUnavailable")])
    with pytest.raises(Transient, match="503"):
        secrets.secret("crm-password")
    assert running.faults.hits["answer 503"] == 1
    running.faults.set([])
    assert secrets.secret("crm-password") == "open sesame"
    running.vault.set("crm-password", "changed")
    began = time.monotonic()
    running.faults.set([HttpFault("slow", delay=5)])
    assert secrets.secret("crm-password") == "open sesame", "while the vault does not answer the old value goes on"
    assert time.monotonic() - began < 4
    running.faults.set([])
    assert secrets.secret("crm-password") == "changed"


@pytest.mark.parametrize("kind", ["drop", "lose"])
def test_a_connection_that_breaks(running: Running, azure: Azure, kind: str) -> None:
    vault = azure.key_vault()
    assert vault is not None
    assert vault.get_secret("crm-password").value
    reads = running.vault.reads
    running.faults.set([HttpFault(kind, times=1)])  # type: ignore[arg-type]
    with pytest.raises(ServiceResponseError):
        vault.get_secret("crm-password")
    assert running.vault.reads - reads == (kind == "lose")
    assert vault.get_secret("crm-password").value == "open sesame"


def test_faults_are_set_from_another_process(running: Running, azure: Azure) -> None:
    vault = azure.key_vault()
    assert vault is not None
    faults = f"{running.control}/local/http-faults"
    assert requests.post(f"{running.control}/local/secrets", json={"b": "1"}, timeout=10).json() == {"ok": True}
    assert vault.get_secret("b").value == "1"
    wanted = [{"kind": "answer", "status": 429, "retryAfter": 1, "times": 2, "path": "^/secrets/b"}]
    assert requests.post(faults, json=wanted, timeout=10).json() == {}
    with pytest.raises(HttpResponseError) as told:
        vault.get_secret("b")
    assert (told.value.status_code, told.value.response.headers["retry-after"]) == (429, "1")
    assert vault.get_secret("crm-password").value
    assert requests.get(faults, timeout=10).json() == {"answer 429": 1}
    assert requests.post(faults, json=[], timeout=10).json() == {"answer 429": 1}
    assert requests.post(faults, json=[{"kind": "nonsense"}], timeout=10).status_code == 400
    assert requests.post(faults, json=[{"kind": "drop", "path": "("}], timeout=10).status_code == 400
