"""Client-side encryption of what Hookline writes into landing and rejected, by azure-storage-blob's own version 2.0.

Every blob has a content key of its own (AES-GCM, regions of 4 MiB), which lies in the blob's metadata, wrapped with an
RSA key of Key Vault (https://learn.microsoft.com/azure/storage/blobs/client-side-encryption). The metadata names the
version of the key, so that what was written before a rotation can be read for as long as the old version is kept.

    encryption = Encryption(VaultKeys(client, "hookline"))
    encryption.seal(blob)          before upload_blob
    encryption.unseal(metadata, path)  the key for download_blob; None for what lies there in clear
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Protocol
from urllib.parse import urlsplit

from shared.errors import BadInput, HooklineError, SettingsError, Transient

if TYPE_CHECKING:
    from azure.keyvault.keys import KeyClient, KeyVaultKey
    from azure.keyvault.keys.crypto import CryptographyClient
    from azure.storage.blob import BlobClient

#: where azure-storage-blob notes how a blob is encrypted
METADATA = "encryptiondata"
VERSION = "2.0"
ALGORITHM = "RSA-OAEP-256"
#: where a key's errors stand
WHERE = "landing.encryption_key"
_LOST = "recover or enable that version of the key, and run `./hookline replay`; without it the content cannot be read"


class Key(Protocol):
    """One version of a key, as azure-storage-blob asks for it. Its methods raise BadInput, SettingsError, Transient."""

    def get_kid(self) -> str: ...
    def get_key_wrap_algorithm(self) -> str: ...
    def wrap_key(self, key: bytes) -> bytes: ...
    def unwrap_key(self, key: bytes, algorithm: str) -> bytes: ...


class Keys(Protocol):
    def newest(self) -> Key:
        """What is written with. Raises SettingsError, Transient."""

    def named(self, kid: str) -> Key:
        """What a blob was written with. Raises BadInput: not a key of ours."""


class Encryption:
    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def seal(self, blob: BlobClient) -> BlobClient:
        """What is uploaded through this client is encrypted. Raises SettingsError, Transient."""
        blob.require_encryption = True
        blob.encryption_version = VERSION
        blob.key_encryption_key = self._keys.newest()
        return blob

    def unseal(self, metadata: Mapping[str, str], where: str) -> Key | None:
        """The key for a blob with this metadata, its content key unwrapped; None for one in clear.

        Raises BadInput: it cannot be read with this key, or not any more; SettingsError: the key as a whole cannot be
        used, so that a refusal could not be written either; Transient.
        """
        self._keys.newest()
        wrapped = wrapped_key(metadata, where)
        if wrapped is None:
            return None
        kid, algorithm, content_key = wrapped
        try:
            key = self._keys.named(kid)
            return _Unwrapped(key, content_key, key.unwrap_key(content_key, algorithm))
        except BadInput as error:
            raise BadInput(error.what, where=where, fix=error.fix) from error

    def check(self) -> str:
        """Wrap and unwrap a random key; the version that did it. Raises SettingsError, BadInput, Transient."""
        key, content_key = self._keys.newest(), secrets.token_bytes(32)
        wrapped = key.wrap_key(content_key)
        if self._keys.named(key.get_kid()).unwrap_key(wrapped, key.get_key_wrap_algorithm()) != content_key:
            raise SettingsError("what was wrapped unwraps to something else", where=WHERE, fix="make another RSA key")
        return f"wraps and unwraps ({key.get_kid()})"


class _Unwrapped:
    """A key that has unwrapped one content key: azure-storage-blob asks for it again with every 4 MiB."""

    def __init__(self, key: Key, wrapped: bytes, content_key: bytes) -> None:
        self.get_kid = key.get_kid
        self.get_key_wrap_algorithm = key.get_key_wrap_algorithm
        self.wrap_key = key.wrap_key
        self._wrapped = wrapped
        self._content_key = content_key

    def unwrap_key(self, key: bytes, algorithm: str) -> bytes:
        if key != self._wrapped:
            raise ValueError(f"another content key than at the start ({algorithm})")
        return self._content_key


def wrapped_key(metadata: Mapping[str, str], where: str) -> tuple[str, str, bytes] | None:
    """Key id, algorithm and wrapped content key of an encrypted blob; None for one in clear. Raises BadInput."""
    from base64 import b64decode

    said = next((value for name, value in metadata.items() if name.lower() == METADATA), None)
    if said is None:
        return None
    try:
        wrapped = json.loads(said)["WrappedContentKey"]
        return str(wrapped["KeyId"]), str(wrapped["Algorithm"]), b64decode(wrapped["EncryptedKey"])
    except (ValueError, KeyError, TypeError) as error:
        fix = "upload it again; scan the instance again if it was extracted"
        raise BadInput(f"its metadata `{METADATA}` is damaged", where=where, fix=fix) from error


@contextmanager
def decryption_errors(where: str) -> Iterator[None]:
    """Raise BadInput for content that does not fit its key; the SDK says so in a chain of HTTP errors."""
    from azure.core.exceptions import HttpResponseError
    from cryptography.exceptions import InvalidTag

    try:
        yield
    except HttpResponseError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ValueError | InvalidTag):
            cause = cause.__cause__
        if cause is None:
            raise
        fix = "upload it again; scan the instance again if it was extracted"
        raise BadInput("it is encrypted, and was changed since", where=where, fix=fix) from error


class VaultKeys:
    """The versions of a key in Key Vault. Wrapping needs its public half only; unwrapping asks Key Vault.

    version: write with this one; empty: with the newest, which is asked for every `ttl` seconds.
    """

    def __init__(
        self,
        client: KeyClient,
        name: str,
        version: str = "",
        *,
        ttl: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._name = name
        self._version = version
        self._ttl = ttl
        self._clock = clock
        self._newest: tuple[VaultKey, float] | None = None
        self._lock = threading.Lock()

    def newest(self) -> VaultKey:
        """Raises SettingsError: it is not there, disabled, no RSA key, or Key Vault refuses; Transient."""
        with self._lock:
            if self._newest is not None and self._clock() < self._newest[1]:
                return self._newest[0]
            try:
                key = self._ask()
            except Transient:
                if self._newest is None:
                    raise
                return self._newest[0]
            self._newest = key, self._clock() + self._ttl
            return key

    def named(self, kid: str) -> VaultKey:
        """Raises BadInput. A key id comes from a blob's metadata: no other host than the vault is ever asked."""
        parts = urlsplit(kid)
        path = parts.path.strip("/").split("/")
        if f"{parts.scheme}://{parts.netloc}" != self._client.vault_url.rstrip("/") or path[0] != "keys":
            fix = f"encrypt it with a key in {self._client.vault_url}, or upload it in clear"
            raise BadInput("it is encrypted with a key of another vault", fix=fix)
        if len(path) != 3 or not all(path):
            raise BadInput("it does not name the version of the key it is encrypted with", fix="upload it in clear")
        return VaultKey(kid, self._client.get_cryptography_client(path[1], key_version=path[2]))

    def _ask(self) -> VaultKey:
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        try:
            key: KeyVaultKey = self._client.get_key(self._name, self._version or None)
        except ResourceNotFoundError as error:
            fix = f"create or recover the RSA key {self._name} in {self._client.vault_url}"
            raise SettingsError("Key Vault holds no such key", where=WHERE, fix=fix) from error
        except AzureError as error:
            _refused(error)
        if key.properties.enabled is False:
            raise SettingsError("the key is disabled", where=WHERE, fix=f"enable {key.id} in Key Vault")
        if not str(getattr(key.key_type, "value", key.key_type)).startswith("RSA"):
            raise SettingsError("the key is not an RSA key", where=WHERE, fix="make an RSA key of 2048 bits or more")
        return VaultKey(str(key.id), self._client.get_cryptography_client(key.name, key_version=key.properties.version))


class VaultKey:
    """One version of a key in Key Vault."""

    def __init__(self, kid: str, client: CryptographyClient) -> None:
        self._kid = kid
        self._client = client

    def get_kid(self) -> str:
        return self._kid

    def get_key_wrap_algorithm(self) -> str:
        return ALGORITHM

    def wrap_key(self, key: bytes) -> bytes:
        from azure.core.exceptions import AzureError
        from azure.keyvault.keys.crypto import KeyWrapAlgorithm

        try:
            return bytes(self._client.wrap_key(KeyWrapAlgorithm(ALGORITHM), key).encrypted_key)
        except AzureError as error:
            _refused(error)

    def unwrap_key(self, key: bytes, algorithm: str) -> bytes:
        from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
        from azure.keyvault.keys.crypto import KeyWrapAlgorithm

        try:
            return bytes(self._client.unwrap_key(KeyWrapAlgorithm(algorithm), key).key)
        except ValueError as error:  # before anything is asked
            raise BadInput("its content key is wrapped in a way that Key Vault does not know", fix=_LOST) from error
        except ResourceNotFoundError as error:
            raise BadInput(f"the key it is encrypted with is gone ({self._kid})", fix=_LOST) from error
        except HttpResponseError as error:
            if _code(error) == "KeyDisabled":  # https://github.com/Azure/azure-sdk-for-python/issues/45342
                raise BadInput(f"the key it is encrypted with is disabled ({self._kid})", fix=_LOST) from error
            if error.status_code == 400:
                raise BadInput(f"it is not encrypted with the key it names ({self._kid})", fix=_LOST) from error
            _refused(error)
        except AzureError as error:
            _refused(error)


def _refused(error: Any) -> NoReturn:
    """Raises SettingsError where a person must act, else Transient."""
    raise _as_ours(error) from error


def _as_ours(error: Any) -> HooklineError:
    from azure.core.exceptions import ClientAuthenticationError

    status = getattr(error, "status_code", None)
    said = " ".join(str(part) for part in (status, _code(error)) if part) or "no sign-in"
    if status in (400, 401, 403) or isinstance(error, ClientAuthenticationError):
        return SettingsError(
            f"Key Vault refused the key ({said})",
            where=WHERE,
            fix="give the app's identity the role Key Vault Crypto User, and let the vault's firewall admit the app",
        )
    return Transient(
        f"Key Vault did not answer for the key ({status or type(error).__name__})",
        where=WHERE,
        fix="it is tried again; check the way to the vault",
    )


def _code(error: Any) -> str:
    """The code inside Key Vault's error, such as KeyDisabled or ForbiddenByRbac."""
    said = getattr(getattr(error, "error", None), "innererror", None) or {}
    return str(said.get("code", "")) if isinstance(said, Mapping) else ""
