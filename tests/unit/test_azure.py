from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient, TextBase64DecodePolicy

from local.azurite import Azurite
from local.event_hubs import EventHubs, Fault, running
from shared.azure import Azure
from shared.errors import HubBusy, SettingsError, StorageBusy
from shared.settings import Hook, KeyVault, Purview, Settings
from tests.support.azurite import azurite  # noqa: F401
from tests.support.storage_faults import Fault as StorageFault
from tests.support.storage_faults import FaultyNetwork

_numbers = count()


@pytest.fixture
def name() -> str:
    return f"landing{next(_numbers)}"


@pytest.fixture
def opened() -> Iterator[list[Azure]]:
    """Factories to close after the test."""
    made: list[Azure] = []
    yield made
    for azure in made:
        azure.close()


# ---- storage


@pytest.mark.parametrize("setting", ["HooklineStorage", "AzureWebJobsStorage"])
def test_a_container_is_made_on_demand(azurite: Azurite, name: str, setting: str, opened: list[Azure]) -> None:
    azure = Azure({setting: azurite.connection_string})
    opened.append(azure)
    container = azure.container(name)
    container.upload_blob("a", b"1")
    assert azure.container(name) is container
    other = Azure({setting: azurite.connection_string})
    opened.append(other)
    assert [blob.name for blob in other.container(name).list_blobs()] == ["a"]


def test_our_own_storage_goes_before_that_of_the_functions_host(azurite: Azurite) -> None:
    environ = {"HooklineStorage": "UseDevelopmentStorage=true", "AzureWebJobsStorage": azurite.connection_string}
    connection = Azure(environ).storage_connection()
    assert connection.name == "HooklineStorage"
    assert "Development" not in repr(connection)


def test_clients_are_made_once_for_all_threads(azurite: Azurite, name: str, opened: list[Azure]) -> None:
    azure = Azure({"HooklineStorage": azurite.connection_string})
    opened.append(azure)
    found: list[ContainerClient] = []
    threads = [threading.Thread(target=lambda: found.append(azure.container(name))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(client) for client in found}) == 1
    assert azure.blob_service() is azure.blob_service()


def test_time_outs_are_explicit(azurite: Azurite, opened: list[Azure]) -> None:
    azure = Azure({"HooklineStorage": azurite.connection_string})
    opened.append(azure)
    config = getattr(azure.blob_service()._pipeline._transport, "connection_config")  # noqa: B009
    assert (config.timeout, config.read_timeout) == (10, 60)


def test_the_sdk_is_quiet(azurite: Azurite, name: str, opened: list[Azure], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    azure = Azure({"HooklineStorage": azurite.connection_string})
    opened.append(azure)
    azure.container(name)
    assert [record for record in caplog.records if record.name.startswith("azure")] == []


@pytest.mark.parametrize(
    ("environ", "what"),
    [
        ({}, "no storage account is configured"),
        ({"HooklineStorage": ""}, "no storage account is configured"),
        ({"HooklineStorage": "hunter2"}, "not a storage connection string"),
        ({"HooklineStorage": "AccountKey=hunter2"}, "not a storage connection string"),
    ],
)
def test_wrong_storage_settings(environ: dict[str, str], what: str) -> None:
    with pytest.raises(SettingsError, match=what) as error:
        Azure(environ).container("landing")
    assert error.value.where == "app setting HooklineStorage"
    assert "hunter2" not in str(error.value)
    assert error.value.fix


@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, SettingsError), (429, StorageBusy), (503, StorageBusy), (409, StorageBusy), (0, StorageBusy)],
)
def test_a_container_that_cannot_be_made(
    azurite: Azurite, opened: list[Azure], status: int, kind: type[Exception]
) -> None:
    network = FaultyNetwork()
    network.plan.append(StorageFault(status, "ContainerBeingDeleted" if status == 409 else "AuthorizationFailure"))
    azure = Azure(
        {"HooklineStorage": azurite.connection_string}, storage={"transport": network.transport(), "retry_total": 0}
    )
    opened.append(azure)
    with pytest.raises(kind) as error:
        azure.container("landing")
    assert error.value.where == "container landing"  # type: ignore[attr-defined]
    azure.container("landing")


def test_a_wrong_account_key_is_refused_with_a_fix(azurite: Azurite, opened: list[Azure]) -> None:
    wrong = azurite.connection_string.replace("AccountKey=Eby8", "AccountKey=Abcd")
    azure = Azure({"HooklineStorage": wrong})
    opened.append(azure)
    with pytest.raises(SettingsError, match="storage refused access") as error:
        azure.container("landing")
    assert "Storage Blob Data Owner" in error.value.fix


def test_messages_for_a_queue(azurite: Azurite, opened: list[Azure]) -> None:
    azure = Azure({"HooklineStorage": azurite.connection_string})
    opened.append(azure)
    azure.send("scans", '{"instance":"crm"}')
    azure.send("scans", "ü")
    with QueueClient.from_connection_string(
        azurite.connection_string, "scans", message_decode_policy=TextBase64DecodePolicy()
    ) as queue:
        assert [message.content for message in queue.receive_messages()] == ['{"instance":"crm"}', "ü"]


# ---- sign-in: the real credentials against an endpoint like that of App Service


@pytest.fixture
def identity(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, list[str]]]]:
    asked: list[dict[str, list[str]]] = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(parse_qs(urlsplit(self.path).query))
            assert self.headers["X-IDENTITY-HEADER"] == "header"
            body = {"access_token": "token", "expires_on": "4102444800", "resource": "r", "token_type": "Bearer"}
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{server.server_port}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "header")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield asked
        server.shutdown()


def test_a_managed_identity_signs_in(identity: list[dict[str, list[str]]], opened: list[Azure]) -> None:
    azure = Azure({"AZURE_CLIENT_ID": "own"}, Settings(purview=Purview(account="contoso", auth="managed_identity")))
    opened.append(azure)
    assert azure.credential() is azure.catalog_credential()
    assert azure.credential().get_token("https://purview.azure.net/.default").token == "token"
    assert azure.credential("another").get_token("https://storage.azure.com/.default").token == "token"
    assert [one["client_id"] for one in identity] == [["own"], ["another"]]
    assert identity[0]["resource"] == ["https://purview.azure.net"]


def test_the_default_chain_finds_the_managed_identity_too(
    identity: list[dict[str, list[str]]], opened: list[Azure]
) -> None:
    azure = Azure({}, Settings(purview=Purview(account="contoso")))
    opened.append(azure)
    assert type(azure.credential()).__name__ == "DefaultAzureCredential"
    assert azure.credential().get_token("https://purview.azure.net/.default").token == "token"


def test_a_local_catalogue_takes_no_sign_in() -> None:
    local = Purview(endpoint="http://127.0.0.1:8400", auth="none")
    assert Azure({}, Settings(purview=local)).catalog_credential() is None


@pytest.mark.parametrize(
    ("environ", "address", "client", "kind"),
    [
        (
            {
                "HooklineStorage__blobServiceUri": "https://acct.blob.core.windows.net",
                "HooklineStorage__credential": "managedidentity",
                "HooklineStorage__clientId": "own",
            },
            "https://acct.blob.core.windows.net/",
            "own",
            "ManagedIdentityCredential",
        ),
        (
            {"AzureWebJobsStorage__accountName": "acct"},
            "https://acct.blob.core.windows.net/",
            "",
            "DefaultAzureCredential",
        ),
        (
            {"HooklineStorage__serviceUri": "https://acct.blob.core.usgovcloudapi.net"},
            "https://acct.blob.core.usgovcloudapi.net/",
            "",
            "DefaultAzureCredential",
        ),
    ],
)
def test_storage_with_an_identity(
    environ: dict[str, str], address: str, client: str, kind: str, opened: list[Azure]
) -> None:
    azure = Azure(environ)
    opened.append(azure)
    assert azure.blob_service().url == address
    assert azure.storage_connection().client_id == client
    credential = azure.credential(client, managed=azure.storage_connection().managed)
    assert type(credential).__name__ == kind
    assert azure.blob_service().credential is credential


# ---- Event Hubs


def hooked(**hook: str) -> Settings:
    return Settings(purview=Purview(account="contoso", hook=Hook(**hook)))


@pytest.fixture(scope="module")
def hubs() -> Iterator[EventHubs]:
    with running({"purview-hook": 2}) as server:
        yield server


def test_the_hub_is_reached_and_described(hubs: EventHubs, opened: list[Azure]) -> None:
    azure = Azure({"PurviewHook": hubs.connection_string()}, hooked())
    opened.append(azure)
    assert azure.hub_description() == "purview-hook, 2 partitions"
    assert azure.hub_producer() is azure.hub_producer()


def test_a_hub_that_is_not_there(hubs: EventHubs, opened: list[Azure]) -> None:
    azure = Azure({"PurviewHook": hubs.connection_string()}, hooked(hub="nope"))
    opened.append(azure)
    with pytest.raises(SettingsError, match="there is no such event hub") as error:
        azure.hub_description()
    assert error.value.where == "event hub nope"


def test_a_hub_that_refuses(hubs: EventHubs, opened: list[Azure]) -> None:
    hubs.faults.add(Fault("unauthorized"))
    azure = Azure({"PurviewHook": hubs.connection_string()}, hooked())
    opened.append(azure)
    try:
        with pytest.raises(SettingsError, match="Event Hubs refused") as error:
            azure.hub_description()
    finally:
        hubs.faults.clear()
    assert "Azure Event Hubs Data Sender" in error.value.fix


def test_a_hub_that_is_unreachable(opened: list[Azure]) -> None:
    string = "Endpoint=sb://127.0.0.1:9;SharedAccessKeyName=k;SharedAccessKey=hunter2;UseDevelopmentEmulator=true"
    azure = Azure({"PurviewHook": string}, hooked())
    opened.append(azure)
    with pytest.raises(HubBusy) as error:
        azure.hub_description()
    assert "hunter2" not in str(error.value)


def test_where_a_hub_is() -> None:
    string = {"Own": "Endpoint=sb://x;SharedAccessKeyName=k;SharedAccessKey=hunter2"}
    by_string = Azure(string, hooked(connection="Own", namespace="n12345.servicebus.windows.net")).hub_connection()
    assert by_string.string is not None
    assert "hunter2" not in repr(by_string)
    by_setting = Azure(
        {"PurviewHook__fullyQualifiedNamespace": "a.servicebus.windows.net", "PurviewHook__clientId": "c"},
        hooked(namespace="contoso.servicebus.windows.net"),
    ).hub_connection()
    assert (by_setting.address, by_setting.client_id) == ("a.servicebus.windows.net", "c")
    by_file = Azure({}, hooked(namespace="contoso.servicebus.windows.net")).hub_connection()
    assert by_file.address == "contoso.servicebus.windows.net"
    with pytest.raises(SettingsError, match="no Event Hubs namespace"):
        Azure({}, hooked()).hub_connection()
    with pytest.raises(SettingsError, match="no event hub is configured"):
        Azure({}, Settings()).hub_producer()
    with pytest.raises(SettingsError, match="not an Event Hubs connection string"):
        Azure({"PurviewHook": "nonsense"}, hooked()).hub_producer()


# ---- Key Vault


def test_key_vault(opened: list[Azure]) -> None:
    assert Azure({}, Settings()).key_vault() is None
    azure = Azure({}, Settings(secrets=KeyVault(key_vault="https://contoso.vault.azure.net")))
    opened.append(azure)
    vault = azure.key_vault()
    assert vault is not None
    assert vault.vault_url == "https://contoso.vault.azure.net"
    assert azure.key_vault() is vault
