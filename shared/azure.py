"""The one factory of Azure clients: every client is made here, once per process, with explicit time-outs.

    azure = Azure(os.environ, settings)
    azure.container("landing").upload_blob(...)

Storage is found as Azure Functions finds a connection, so that triggers and code share one set of app settings
(https://learn.microsoft.com/azure/azure-functions/functions-reference#connections):

    HooklineStorage                   a connection string, or
    HooklineStorage__blobServiceUri   (+ __credential, __clientId) for an identity; __serviceUri and __accountName too
    AzureWebJobsStorage...            the same forms, when there is no HooklineStorage

An event hub likewise: its `connection` names the app setting with a connection string, or the prefix of
__fullyQualifiedNamespace (+ __credential, __clientId); without either, `namespace` and the app's identity.
SDKs are imported when the first client of a kind is made.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from shared.azure_errors import hub_error, storage_error, storage_errors
from shared.errors import DriverMissing, SettingsError
from shared.settings import Hook, Secret, Settings
from shared.telemetry import quiet_libraries

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.eventhub import EventHubProducerClient
    from azure.keyvault.keys import KeyClient
    from azure.keyvault.secrets import SecretClient
    from azure.storage.blob import BlobServiceClient, ContainerClient
    from azure.storage.queue import QueueClient

__all__ = ["Azure", "Connection", "storage_errors"]

STORAGE = "HooklineStorage"
FUNCTIONS_STORAGE = "AzureWebJobsStorage"
#: seconds in which any service has to accept a connection
CONNECT_SECONDS = 10
#: a blob is read 4 MiB at a time from its first byte on; left alone, the SDK fetches the first 32 MiB at once
BLOCKS: Mapping[str, Any] = {"max_single_get_size": 4 * 1024 * 1024, "max_chunk_get_size": 4 * 1024 * 1024}
#: the SDK's own first pause before a retry is 15 s, too long for small blobs
STORAGE_RETRIES: Mapping[str, Any] = {
    "initial_backoff": 1,
    "increment_base": 2,
    "retry_total": 4,
    "random_jitter_range": 1,
}
#: the hub client does not back off on server-busy, so that `shared.delivery.hub` owns the retry and the client has none
HUB_OPTIONS: Mapping[str, Any] = {
    "retry_total": 0,
    "retry_backoff_factor": 0,
    "auth_timeout": 30,
    "socket_timeout": 10,
}

T = TypeVar("T")


class Connection(msgspec.Struct, frozen=True):
    """How to reach a service: a connection string, or an address and an identity."""

    name: str
    string: Secret | None = None
    address: str = ""
    managed: bool = False
    client_id: str = ""


class Azure:
    """Clients by kind, each made on first use and shared by all threads.

    environ:  app settings.
    settings: hookline.yaml, for the hub, the vault and the kind of sign-in.
    storage, hub, vault: more options for those clients, for example api_version, transport, connection_verify.
    credential: goes before the one that settings ask for.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        settings: Settings | None = None,
        *,
        storage: Mapping[str, Any] | None = None,
        hub: Mapping[str, Any] | None = None,
        vault: Mapping[str, Any] | None = None,
        credential: TokenCredential | None = None,
    ) -> None:
        self._environ = environ
        self._settings = settings or Settings()
        self._patience = {
            "connection_timeout": CONNECT_SECONDS,
            "read_timeout": self._settings.limits.answer_seconds,
        }
        self._storage_options = dict(storage or {})
        self._hub_options = dict(hub or {})
        self._vault_options = dict(vault or {})
        self._credential = credential
        self._made: dict[tuple[str, ...], Any] = {}
        self._lock = threading.RLock()
        quiet_libraries()

    # ---- storage

    def storage_connection(self) -> Connection:
        """Where storage is. Raises SettingsError when no app setting says so."""
        found = self._storage_at(STORAGE) or self._storage_at(FUNCTIONS_STORAGE)
        if found is None:
            raise SettingsError(
                "no storage account is configured",
                where=f"app setting {STORAGE}",
                fix=f"set {STORAGE} to a connection string, or {STORAGE}__blobServiceUri to the account's blob address",
            )
        return found

    def blob_service(self) -> BlobServiceClient:
        """Raises SettingsError: no storage configured, or its connection string is malformed."""
        return self._once(("blob_service",), self._make_blob_service)

    def container(self, name: str) -> ContainerClient:
        """A container, created if it does not exist. Raises SettingsError, StorageBusy."""
        return self._once(("container", name), lambda: self._make_container(name))

    def send(self, queue: str, text: str) -> None:
        """Put a message into a storage queue, base64 as host.json says. For the command line: functions have bindings.

        Raises SettingsError, StorageBusy, DriverMissing (the package comes with the command line only).
        """
        with storage_errors(f"queue {queue}"):
            self._once(("queue", queue), lambda: self._make_queue(queue)).send_message(text, time_to_live=-1)

    # ---- sign-in

    def credential(self, client_id: str = "", *, managed: bool = False) -> TokenCredential:
        """The app's identity: a managed identity when settings (or `managed`) say so, else the default chain.

        client_id: of a user-assigned identity; AZURE_CLIENT_ID where none is given.
        """
        if self._credential is not None:
            return self._credential
        managed = managed or self._settings.purview.auth == "managed_identity"
        client_id = client_id or self._environ.get("AZURE_CLIENT_ID", "")
        return self._once(("credential", str(managed), client_id), lambda: _make_credential(client_id, managed=managed))

    def catalog_credential(self) -> TokenCredential | None:
        """The identity for Purview's REST API; None when settings say that it takes no sign-in (a local catalogue)."""
        return None if self._settings.purview.auth == "none" else self.credential()

    # ---- Event Hubs, Key Vault

    def hub_connection(self) -> Connection:
        """Where the hook's event hub is. Raises SettingsError when nothing says so."""
        hub = self._hook()
        name = hub.connection
        if string := self._environ.get(name):
            return Connection(name, string=Secret(string))
        address = self._environ.get(f"{name}__fullyQualifiedNamespace") or hub.namespace
        if not address:
            raise SettingsError(
                f"no Event Hubs namespace is configured for the hub {hub.hub}",
                where="purview.hook.namespace",
                fix=f"set `namespace` in hookline.yaml, or the app setting {name} or {name}__fullyQualifiedNamespace",
            )
        return self._identity(name, address)

    def hub_producer(self) -> EventHubProducerClient:
        """The producer for hook messages. Raises SettingsError. Connects on the first send."""
        return self._once(("hub_producer",), self._make_hub_producer)

    def hub_description(self) -> str:
        """Ask the hook's event hub who it is: name, namespace and partitions. Raises SettingsError, HubBusy."""
        from azure.eventhub.exceptions import EventHubError

        producer = self.hub_producer()
        where = f"event hub {self._hook().hub}"
        try:
            properties = producer.get_eventhub_properties()
        except (EventHubError, OSError) as error:
            raise hub_error(error, where) from error
        return f"{properties['eventhub_name']}, {len(properties['partition_ids'])} partitions"

    def key_vault(self) -> SecretClient | None:
        """The vault behind `${secret:..}`; None when none is configured."""
        address = self._settings.secrets.key_vault
        return self._once(("key_vault",), lambda: self._make_key_vault(address)) if address else None

    def keys(self) -> KeyClient | None:
        """The vault of landing.encryption_key; None when none is configured. Raises DriverMissing."""
        if not self._settings.landing.encryption_key:
            return None
        return self._once(("keys",), lambda: self._make_keys(self._settings.landing.vault))

    def close(self) -> None:
        """Close every client that was made; the next use makes a new one."""
        with self._lock:
            for client in self._made.values():
                client.close()
            self._made.clear()

    # ---- making them

    def _once(self, key: tuple[str, ...], make: Callable[[], T]) -> T:
        with self._lock:
            if key not in self._made:
                self._made[key] = make()
            made: T = self._made[key]
            return made

    def _storage_at(self, name: str) -> Connection | None:
        if string := self._environ.get(name):
            return Connection(name, string=Secret(string))
        address = self._environ.get(f"{name}__blobServiceUri") or self._environ.get(f"{name}__serviceUri")
        account = self._environ.get(f"{name}__accountName")
        if not address and account:
            address = f"https://{account}.blob.core.windows.net"
        return self._identity(name, address) if address else None

    def _identity(self, name: str, address: str) -> Connection:
        managed = self._environ.get(f"{name}__credential", "").lower() == "managedidentity"
        return Connection(name, address=address, managed=managed, client_id=self._environ.get(f"{name}__clientId", ""))

    def _make_blob_service(self) -> BlobServiceClient:
        from azure.storage.blob import BlobServiceClient

        connection = self.storage_connection()
        options = {**self._patience, **STORAGE_RETRIES, **BLOCKS, **self._storage_options}
        if connection.string is None:
            credential = self.credential(connection.client_id, managed=connection.managed)
            return BlobServiceClient(connection.address, credential=credential, **options)
        try:
            return BlobServiceClient.from_connection_string(connection.string.reveal(), **options)
        except ValueError as error:
            raise SettingsError(
                "is not a storage connection string",
                where=f"app setting {connection.name}",
                fix="copy it again from the storage account's Access keys",
            ) from error

    def _make_container(self, name: str) -> ContainerClient:
        from azure.core.exceptions import AzureError, ResourceExistsError

        client = self.blob_service().get_container_client(name)
        try:
            client.create_container()
        except ResourceExistsError as error:
            if "BeingDeleted" in str(getattr(error, "error_code", "")):
                raise storage_error(error, f"container {name}") from error
        except AzureError as error:
            raise storage_error(error, f"container {name}") from error
        return client

    def _make_hub_producer(self) -> EventHubProducerClient:
        from azure.eventhub import EventHubProducerClient

        hub = self._hook()
        connection = self.hub_connection()
        options = {**HUB_OPTIONS, **self._hub_options}
        if connection.string is None:
            credential = self.credential(connection.client_id, managed=connection.managed)
            return EventHubProducerClient(connection.address, hub.hub, credential, **options)
        try:
            return EventHubProducerClient.from_connection_string(
                connection.string.reveal(), eventhub_name=hub.hub, **options
            )
        except ValueError as error:
            raise SettingsError(
                "is not an Event Hubs connection string",
                where=f"app setting {connection.name}",
                fix="copy it again from the namespace's Shared access policies",
            ) from error

    def _hook(self) -> Hook:
        if self._settings.purview.hook is None:
            raise SettingsError("no event hub is configured", where="purview.hook", fix="add `hook:` to hookline.yaml")
        return self._settings.purview.hook

    def _make_queue(self, name: str) -> QueueClient:
        try:
            from azure.storage.queue import QueueClient, TextBase64EncodePolicy
        except ImportError as error:
            raise DriverMissing(
                "azure-storage-queue is not installed", fix="pip install azure-storage-queue"
            ) from error
        from azure.core.exceptions import ResourceExistsError

        connection = self.storage_connection()
        options = {**self._patience, **STORAGE_RETRIES, **self._storage_options}
        options["message_encode_policy"] = TextBase64EncodePolicy()
        if connection.string is not None:
            client = QueueClient.from_connection_string(connection.string.reveal(), name, **options)
        else:
            beside = connection.address.replace(".blob.", ".queue.")
            address = self._environ.get(f"{connection.name}__queueServiceUri") or beside
            credential = self.credential(connection.client_id, managed=connection.managed)
            client = QueueClient(address, name, credential=credential, **options)
        with contextlib.suppress(ResourceExistsError):
            client.create_queue()
        return client

    def _make_key_vault(self, address: str) -> SecretClient:
        from azure.keyvault.secrets import SecretClient

        options = {**self._patience, "retry_total": 3, **self._vault_options}
        return SecretClient(address, self.credential(), **options)

    def _make_keys(self, address: str) -> KeyClient:
        try:
            from azure.keyvault.keys import KeyClient
        except ImportError as error:
            fix = "pip install azure-keyvault-keys"
            raise DriverMissing(
                "azure-keyvault-keys is not installed", where="landing.encryption_key", fix=fix
            ) from error
        options = {**self._patience, "retry_total": 3, **self._vault_options}
        return KeyClient(address, self.credential(), **options)


def _make_credential(client_id: str, *, managed: bool) -> TokenCredential:
    from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

    if managed:
        return ManagedIdentityCredential(client_id=client_id) if client_id else ManagedIdentityCredential()
    return DefaultAzureCredential(managed_identity_client_id=client_id) if client_id else DefaultAzureCredential()
