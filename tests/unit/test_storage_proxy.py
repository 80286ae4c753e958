"""The proxy before storage: requests keep their signatures, faults strike, a lost lease is really lost."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ServiceResponseError
from azure.storage.blob import BlobLeaseClient, ContainerClient

from local.azurite import Azurite
from local.faults.http import HttpFault, HttpFaults
from local.faults.storage import running_proxy, through
from shared.errors import Superseded
from shared.state import BlobTable, Conflict
from tests.support.azurite import azurite  # noqa: F401

ODD = "ä b/c%20d/+&='\"#?.jsonl"


@pytest.fixture
def proxied(azurite: Azurite) -> Iterator[tuple[ContainerClient, HttpFaults, str]]:
    with running_proxy(azurite.connection_string) as (url, faults):
        connection = through(azurite.connection_string, url)
        name = f"p{secrets.token_hex(5)}"
        with ContainerClient.from_connection_string(
            connection, name, retry_total=0, api_version="2025-11-05", read_timeout=1
        ) as container:
            container.create_container()
            yield container, faults, url
            faults.set([])
            container.delete_container()


Proxied = tuple[ContainerClient, HttpFaults, str]


def test_everything_passes_through(proxied: Proxied) -> None:
    container, _, _ = proxied
    body = secrets.token_bytes(9 * 1024 * 1024)
    container.upload_blob(ODD, body, metadata={"a": "b c"})
    container.upload_blob("empty", b"")
    assert container.download_blob(ODD).readall() == body
    assert container.download_blob("empty").readall() == b""
    assert container.get_blob_client(ODD).get_blob_properties().metadata == {"a": "b c"}
    assert sorted(blob.name for blob in container.list_blobs()) == sorted(["empty", ODD])
    assert not container.get_blob_client("nobody").exists()
    with pytest.raises(HttpResponseError) as told:
        container.upload_blob(ODD, b"")
    assert told.value.error_code == "BlobAlreadyExists"


@pytest.mark.parametrize(("kind", "stored"), [("answer", False), ("spoil", True), ("drop", False), ("lose", True)])
def test_a_fault_strikes_before_or_after(proxied: Proxied, kind: str, stored: bool) -> None:
    container, faults, _ = proxied
    faults.set([HttpFault(kind, status=503, code="ServerBusy", methods=("PUT",), times=1)])  # type: ignore[arg-type]
    with pytest.raises((HttpResponseError, ServiceResponseError)) as told:
        container.upload_blob("a", b"1")
    assert getattr(told.value, "error_code", "ServerBusy") == "ServerBusy"
    assert container.get_blob_client("a").exists() == stored
    assert faults.hits.total() == 1


def test_an_answer_that_comes_too_late(proxied: Proxied) -> None:
    container, faults, _ = proxied
    faults.set([HttpFault("slow", delay=3, methods=("PUT",), times=1)])
    with pytest.raises(ServiceResponseError):
        container.upload_blob("a", b"1")
    assert container.download_blob("a").readall() == b"1"


def test_a_lease_that_is_lost(proxied: Proxied, azurite: Azurite) -> None:
    container, faults, _ = proxied
    table = BlobTable(container, "t", attempts=1)
    lease = table.lease("p", "r")
    table.put("p", "r", 1, lease=lease)
    faults.set([HttpFault("upset", header="x-ms-lease-id", methods=("PUT",), times=1)])
    with pytest.raises((Superseded, Conflict)):
        table.put("p", "r", 2, lease=lease)
    assert faults.hits == {"upset": 1}
    assert table.get("p", "r")[0] == 1
    BlobLeaseClient(container.get_blob_client("t/p/r.json")).acquire(15)


def test_what_is_unknown_to_the_proxy_is_not_struck(proxied: Proxied) -> None:
    container, faults, url = proxied
    faults.set([HttpFault("answer", path=f"/{container.container_name}/x", percent=50, seed=1)])
    container.upload_blob("a", b"1")
    codes = [
        requests.get(f"{url}/devstoreaccount1/{container.container_name}/x", timeout=5).status_code for _ in "x" * 40
    ]
    assert 10 < codes.count(503) < 30
    assert requests.get(f"{url}/local/http-faults", timeout=5).json() == {"answer 503": codes.count(503)}
