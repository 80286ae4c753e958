from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator

import msgspec
import pytest
from azure.keyvault.secrets import SecretClient
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import SecretUnresolved, Transient
from shared.settings import Place, Secret, Secrets, redact, resolve
from shared.settings.redact import remember
from tests.support.vault import ADDRESS, Credential, Vault

# ---- Secret


def test_a_secret_never_shows_itself() -> None:
    secret = Secret("hunter2-hunter2")
    shown = [str(secret), repr(secret), f"{secret}", f"{secret:>20}", f"{[secret]}", f"{secret!r}"]
    assert all("hunter2" not in text and "***" in text for text in shown)
    assert secret.reveal() == "hunter2-hunter2"
    assert not hasattr(secret, "__dict__")


def test_no_encoder_takes_a_secret() -> None:
    secret = Secret("hunter2-hunter2")
    for encode in (json.dumps, msgspec.json.encode, msgspec.to_builtins, pickle.dumps):
        with pytest.raises(TypeError):
            encode(secret)
    assert "hunter2" not in json.dumps({"a": secret}, default=str)
    assert copy.deepcopy([secret]) == [secret]


def test_secrets_compare_by_value() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("ä") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert not Secret("")


# ---- references


def test_references_are_put_in_anywhere_in_a_text() -> None:
    secrets = Secrets(None, {"HOST": "db", "HOOKLINE_SECRET_DB_PASSWORD": "p&ss${env:HOST}"})
    raw = {
        "url": "postgres://${env:HOST}:${env:HOST}/x",
        "dsn": ["pwd=${secret:db-password}"],
        "literal": "$${env:HOST} $HOST ${} ${HOST} {HOST}",
        "port": 5432,
        "none": None,
    }
    resolved = resolve(raw, secrets)
    assert resolved["url"] == "postgres://db:db/x"
    assert isinstance(resolved["dsn"][0], Secret)
    # what a secret holds is not looked at again
    assert resolved["dsn"][0].reveal() == "pwd=p&ss${env:HOST}"
    assert resolved["literal"] == "${env:HOST} $HOST ${} ${HOST} {HOST}"
    assert (resolved["port"], resolved["none"]) == (5432, None)
    assert raw["url"] == "postgres://${env:HOST}:${env:HOST}/x"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("${env:NOPE}", "no such environment variable"),
        ("${env:}", "no such environment variable"),
        ("${secret:nope}", "no Key Vault is configured"),
        ("${secret:a/../b}", "1 to 127 letters, digits and hyphens"),
        ("${secret:}", "1 to 127 letters, digits and hyphens"),
        ("${vault:x}", "neither"),
        ("x${env:HOST", "without its closing brace"),
        ("${env:REFERENCE}", "Key Vault reference that Azure could not resolve"),
    ],
)
def test_what_cannot_be_resolved_names_key_and_fix(text: str, what: str) -> None:
    secrets = Secrets(None, {"HOST": "db", "REFERENCE": "@Microsoft.KeyVault(SecretUri=https://v/secrets/x)"})
    with pytest.raises(SecretUnresolved, match=what) as error:
        resolve({"a": [{"b": text}]}, secrets, Place("hookline.yaml", ("instances", "crm"), {("instances", "crm"): 7}))
    assert error.value.where == "hookline.yaml line 7, instances.crm.a[0].b"
    assert error.value.fix


@given(st.text(st.sampled_from("${}:envscrt-AB "), max_size=40))
def test_any_text_resolves_or_is_unresolved(text: str) -> None:
    try:
        resolved = resolve(text, Secrets(None, {"A": "${env:B}", "B": "b"}))
    except SecretUnresolved as error:
        assert error.fix
    else:
        assert resolved == text or "${" in text


# ---- Key Vault


@pytest.fixture
def vault() -> Iterator[tuple[Vault, SecretClient]]:
    network = Vault()
    with SecretClient(ADDRESS, Credential(), transport=network.transport(), retry_total=0) as client:
        yield network, client


def test_a_secret_is_asked_for_once_until_its_time_is_over(vault: tuple[Vault, SecretClient]) -> None:
    network, client = vault
    now = 0.0
    secrets = Secrets(client, {}, ttl=600, clock=lambda: now)
    assert [secrets.secret("crm-password") for _ in range(3)] == ["first-password"] * 3
    assert network.asked == 1
    network.values["crm-password"] = "rotated-password"
    now = 599.0
    assert secrets.secret("crm-password") == "first-password"
    now = 600.0
    assert secrets.secret("crm-password") == "rotated-password"
    network.values["crm-password"] = "again-rotated"
    secrets.refresh("another")
    assert secrets.secret("crm-password") == "rotated-password"
    secrets.refresh("crm-password")
    assert secrets.secret("crm-password") == "again-rotated"
    secrets.refresh()
    assert network.asked == 3
    assert secrets.secret("crm-password") == "again-rotated"
    assert network.asked == 4


@pytest.mark.parametrize(
    ("status", "name", "what"),
    [(200, "nope", "holds no such secret"), (403, "crm-password", "refused .403"), (401, "crm-password", "refused")],
)
def test_a_vault_that_says_no(vault: tuple[Vault, SecretClient], status: int, name: str, what: str) -> None:
    network, client = vault
    network.status = status
    with pytest.raises(SecretUnresolved, match=what) as error:
        Secrets(client, {}).secret(name, "crm.password")
    assert error.value.where == "crm.password"
    assert error.value.fix


@pytest.mark.parametrize("status", [429, 500, 503, 0])
def test_while_the_vault_is_away_the_last_value_is_used(vault: tuple[Vault, SecretClient], status: int) -> None:
    network, client = vault
    secrets = Secrets(client, {}, ttl=0)
    network.status = status
    with pytest.raises(Transient, match="did not answer"):
        secrets.secret("crm-password")
    network.status = 200
    assert secrets.secret("crm-password") == "first-password"
    network.status = status
    assert secrets.secret("crm-password") == "first-password"


def test_the_environment_goes_before_the_vault(vault: tuple[Vault, SecretClient]) -> None:
    network, client = vault
    assert Secrets(client, {"HOOKLINE_SECRET_CRM_PASSWORD": "local"}).secret("crm-password") == "local"
    assert network.asked == 0


# ---- redact

HIDDEN = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://reader:hunter2@crm.internal:5432/crm",
        "could not connect to https://reader:hunter2@crm.internal/x?y=1",
        "jdbc:sqlserver://u:hunt/er2hunter2@h;databaseName=x",
        "amqps://user:hunter2@host, retrying",
        "host=crm user=reader password=hunter2 dbname=crm",
        "host=crm password='hunter2 with spaces' dbname=crm",
        "Server=tcp:crm;Database=x;User Id=u;Password=hunter2 with spaces;Encrypt=True",
        "DRIVER={ODBC Driver 18};PWD={hunter2;hunter2};UID=u",
        "pwd = hunter2",
        "DB_PASSWORD=hunter2",
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=hunter2hunter2==;EndpointSuffix=core.windows.net",
        "Endpoint=sb://n.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=hunter2=;EntityPath=h",
        "https://a.blob.core.windows.net/c/b?sv=2024&sig=hunter2%2Fx%3D&se=2026",
        "SharedAccessSignature=hunter2;BlobEndpoint=x",
        '{"password": "hunter2", "user": "u"}',
        "{'db_password': 'hunter2', 'user': 'u'}",
        '{"client_secret":"hunter2\\"hunter2"}',
        "client_secret=hunter2&grant_type=x",
        "Authorization: Basic hunter2aHVudGVyMg==",
        "{'Authorization': 'Bearer hunter2hunter2hunter2hunter2'}",
        "sent bearer hunter2hunter2hunter2hunter2 to it",
        "token eyJhbGciOiJIUzI1NiJ9.hunter2hunter2.hunter2hunter2 expired",
        "CREATE USER x IDENTIFIED BY hunter2",
        'ALTER USER x IDENTIFIED BY "hunter2"',
        "CREATE LOGIN x WITH PASSWORD = 'hunter2'",
        "ALTER ROLE x WITH PASSWORD 'hunter2''hunter2'",
        "api_key=hunter2, region=eu",
        "aws_secret_access_key=hunter2",
        "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2",
    ],
)
def test_redact_masks(text: str) -> None:
    masked = redact(text)
    assert HIDDEN not in masked
    assert "***" in masked
    assert redact(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "instances.crm.settings.password: must be text",
        "http://127.0.0.1:8400/api/atlas/v2/entity?x=a@b",
        "SELECT password FROM users WHERE token_id = 5",
        "path=uploads/sql/load.sql records=12 seconds=0.5",
        "design=flat config=x",
        "basic authentication is off",
        "SharedAccessKeyName=RootManage",
        "user@example.com asked",
        "${secret:crm-password} has no value",
    ],
)
def test_redact_leaves_the_rest(text: str) -> None:
    assert redact(text) == text


def test_redact_keeps_what_is_around() -> None:
    assert redact("postgresql://reader:hunter2@crm:5432/crm is down") == "postgresql://reader:***@crm:5432/crm is down"
    assert redact("Server=h;Password=hunter2;Encrypt=True") == "Server=h;Password=***;Encrypt=True"


def test_values_of_secrets_are_masked_wherever_they_stand() -> None:
    Secret("correct horse battery")
    Secret("tiny")
    assert redact("FATAL: auth failed (correct horse battery)") == "FATAL: auth failed (***)"
    assert redact("tiny") == "tiny"
    remember("zxcvbnm")
    assert redact("zxcvbnms zxcvbnm") == "zxcvbnms ***"


@given(st.text(max_size=200) | st.text(st.sampled_from("password=:'\"{};&@/ a\\\n"), max_size=200))
def test_redact_never_raises_and_is_stable(text: str) -> None:
    masked = redact(text)
    assert redact(masked) == masked


def test_redact_is_linear_in_the_length_of_a_text() -> None:
    for text in ("a" * 200_000, "://a:" * 40_000, "password" * 25_000, "'" * 100_000, '"password":' * 20_000):
        assert len(redact(text)) <= len(text) + 10
