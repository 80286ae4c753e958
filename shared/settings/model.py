"""hookline.yaml as typed settings. hookline.example.yaml explains every one of them to the person who writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from shared.errors import SettingsError

#: instance names are folder names in landing and row names in state; `uploads` is where people put files
INSTANCE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
RESERVED_NAMES = frozenset({"uploads"})
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

Positive = Annotated[int, msgspec.Meta(ge=1)]
_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{2,62}")
_NAMESPACE = re.compile(r"[A-Za-z][A-Za-z0-9-]{4,48}[A-Za-z0-9](\.[A-Za-z0-9-]+)+")
#: https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#object-identifiers
_KEY_PATH = re.compile(r"/keys/[0-9A-Za-z-]{1,127}(/[0-9A-Fa-f]{32})?/?")
_KEY_FIX = "write https://<vault>.vault.azure.net/keys/<name>"
_APP_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,126}")


class RawSettings(Mapping[str, Any]):
    """A connector's `settings:` block as written, references unresolved. It does not show or serialise its values."""

    __slots__ = ("_raw",)

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = dict(raw)

    def __getitem__(self, key: str) -> Any:
        return self._raw[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def __repr__(self) -> str:
        return f"RawSettings({', '.join(self._raw)})"


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Hook(_Strict, frozen=True):
    """The hub that Purview reads hook messages from.

    connection: name of the app setting (or prefix of the app settings) that says how to reach it.
    """

    namespace: str = ""
    hub: str = "purview-hook"
    connection: str = "PurviewHook"

    def __post_init__(self) -> None:
        if self.namespace and not _NAMESPACE.fullmatch(self.namespace):
            raise SettingsError(
                "not the host name of an Event Hubs namespace",
                where="namespace",
                fix="write it as contoso-events.servicebus.windows.net",
            )
        if not _APP_SETTING.fullmatch(self.connection):
            raise SettingsError(
                "must be the name of an app setting, not a connection string",
                where="connection",
                fix="put the connection string into an app setting and write that setting's name here",
            )


class Purview(_Strict, frozen=True):
    """The account. `endpoint` is set where it is not https://<account>.purview.azure.com."""

    account: str = ""
    endpoint: str = ""
    auth: Literal["managed_identity", "default", "none"] = "default"
    hook: Hook | None = None
    collection: str = ""

    def __post_init__(self) -> None:
        if self.account and not _ACCOUNT.fullmatch(self.account):
            raise SettingsError(
                "not the name of a Purview account", where="account", fix="write its name only, for example contoso"
            )
        loopback = False
        if self.endpoint:
            url = _url(self.endpoint, "endpoint")
            loopback = url.hostname in LOOPBACK
            if url.scheme != "https" and not loopback:
                raise SettingsError("must begin with https://", where="endpoint", fix="http is for 127.0.0.1 only")
        if self.auth == "none" and not loopback:
            raise SettingsError(
                "`none` is for an endpoint on 127.0.0.1 only", where="auth", fix="write managed_identity"
            )

    @property
    def base_url(self) -> str:
        """Base address of its REST API, without a slash at the end; empty when no account is configured."""
        if self.endpoint:
            return self.endpoint.rstrip("/")
        return f"https://{self.account}.purview.azure.com" if self.account else ""


class KeyVault(_Strict, frozen=True):
    """Where `${secret:..}` comes from, and how long a value is used before it is asked for again."""

    key_vault: str = ""
    ttl: timedelta = timedelta(minutes=10)

    def __post_init__(self) -> None:
        if self.key_vault:
            url = _url(self.key_vault, "key_vault")
            if url.scheme != "https" and url.hostname not in LOOPBACK:
                raise SettingsError(
                    "must begin with https://", where="key_vault", fix="write https://<name>.vault.azure.net"
                )


class Landing(_Strict, frozen=True):
    """encryption_key: the key in Key Vault that what Hookline writes into landing and rejected is encrypted with."""

    encryption_key: str = ""

    def __post_init__(self) -> None:
        if not self.encryption_key:
            return
        url = _url(self.encryption_key, "encryption_key")
        if url.scheme != "https" and url.hostname not in LOOPBACK:
            raise SettingsError("must begin with https://", where="encryption_key", fix=_KEY_FIX)
        if not _KEY_PATH.fullmatch(url.path):
            raise SettingsError("not the address of a key", where="encryption_key", fix=_KEY_FIX)

    @property
    def vault(self) -> str:
        """Address of the vault."""
        url = urlsplit(self.encryption_key)
        return f"{url.scheme}://{url.netloc}"

    @property
    def key(self) -> tuple[str, str]:
        """Name and version; without a version the newest is meant."""
        _, _, name, *version = urlsplit(self.encryption_key).path.rstrip("/").split("/")
        return name, version[0] if version else ""


class Limits(_Strict, frozen=True):
    """Bounds.

    operations_per_second: entities written to and asked of the Data Map; one capacity unit takes 25
                           (https://learn.microsoft.com/purview/concept-elastic-data-map)
    messages_per_second:   hook messages; one throughput unit of Event Hubs takes 1,000 events or 1 MB a second
                           (https://learn.microsoft.com/azure/event-hubs/event-hubs-scalability)
    message_bytes:         of one hook message; Event Hubs take 1 MB (256 KB in the Basic tier)
    file_bytes:            of one landing file, as it lies there
    sweep_after_seconds:   a landed file without a receipt is queued again after so long
    ask_after_seconds:     the catalogue is asked for what was sent and not confirmed after so long
    overdue_after_seconds: it is sent once more, then given up as lost, after so long
    lease_seconds:         what a worker that died was at waits so long for the next one (Azure leases: 15 to 60)
    answer_seconds:        a call to storage, Purview or Key Vault that is not answered for so long has failed
    """

    operations_per_second: Positive = 20
    messages_per_second: Positive = 1000
    message_bytes: Annotated[int, msgspec.Meta(ge=64_000, le=1_000_000)] = 900_000
    file_bytes: Positive = 1024**3
    sweep_after_seconds: Positive = 15 * 60
    ask_after_seconds: Positive = 15 * 60
    overdue_after_seconds: Positive = 2 * 3600
    lease_seconds: Annotated[int, msgspec.Meta(ge=15, le=60)] = 60
    answer_seconds: Positive = 60


class ReceiptSettings(_Strict, frozen=True):
    """keep_days: how long receipts are kept."""

    keep_days: Positive = 90


class Instance(_Strict, frozen=True):
    """A configured connector. `settings` stays raw until the connector is opened; `place` is where it stands."""

    connector: str
    schedule: str = "0 0 2 * * *"
    settings: RawSettings = RawSettings({})
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    types: Literal["native", "rdbms", "own"] = "native"
    assets: Literal["create", "adopt"] = "create"
    names: dict[str, str] = {}
    collection: str = ""
    full_refresh: timedelta = timedelta(days=7)
    delete_limit: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.10
    enabled: bool = True


def _url(text: str, name: str) -> Any:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        port, url = -1, urlsplit("")
    if (
        url.scheme not in ("http", "https")
        or not url.hostname
        or port == -1
        or url.username
        or url.query
        or url.fragment
    ):
        raise SettingsError("not an address", where=name, fix="write https://host, without user, query or fragment")
    return url
