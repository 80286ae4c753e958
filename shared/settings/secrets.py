"""Secret values, and the references in hookline.yaml that stand for them.

    password: ${secret:crm-password}         from Key Vault
    host:     ${env:CRM_HOST}                from an environment variable (an app setting)
    url:      https://${env:HOST}/$${literal}    inside text; `$${` is a literal `${`

References are resolved when a connector is opened, not when the file is read, in one pass: what a secret holds is never
looked at for references again.
"""

from __future__ import annotations

import hmac
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from shared.errors import SecretUnresolved, Transient
from shared.settings.document import Place
from shared.settings.redact import MASK, remember

if TYPE_CHECKING:
    from azure.keyvault.secrets import SecretClient

#: how long a value from Key Vault is used before it is asked for again; `Secrets.refresh` does not wait for it
TTL_SECONDS = 600.0
#: stands in for Key Vault where there is none: ${secret:crm-password} is HOOKLINE_SECRET_CRM_PASSWORD
ENVIRONMENT_PREFIX = "HOOKLINE_SECRET_"

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<scheme>[A-Za-z_]\w*):(?P<name>[^{}]*)(?P<close>\}?)")
#: https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#object-identifiers
_SECRET_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")
#: what an app setting holds when the platform could not resolve a Key Vault reference in it
#: https://learn.microsoft.com/azure/app-service/app-service-key-vault-references#troubleshooting
_UNRESOLVED_SETTING = "@Microsoft.KeyVault("


class Secret:
    """Text that does not show itself: `str`, `repr` and formats give `***`, and no encoder takes it.

    The type for a password or key in a connector's Settings. `reveal` gives the text, at the place where it is used.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        remember(value)

    def reveal(self) -> str:
        return self._value

    def __str__(self) -> str:
        return MASK

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a Secret is never serialised")


class Secrets:
    """Where `${secret:X}` and `${env:X}` get their values.

    vault:   azure-keyvault-secrets SecretClient, or None where there is no Key Vault.
    environ: environment variables. One named HOOKLINE_SECRET_<NAME> goes before the vault, so that a laptop, or a
             deployment without Key Vault, can supply the same references.
    """

    def __init__(
        self,
        vault: SecretClient | None,
        environ: Mapping[str, str],
        *,
        ttl: float = TTL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._vault = vault
        self._environ = environ
        self._ttl = ttl
        self._clock = clock
        self._cache: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def has(self, variable: str) -> bool:
        """Whether an environment variable is set and not empty."""
        return bool(self._environ.get(variable))

    def env(self, name: str, where: Place | str = "") -> str:
        """The value of an environment variable. Raises SecretUnresolved."""
        value = self._environ.get(name)
        if value is None:
            raise SecretUnresolved(
                f"${{env:{name}}} has no value: there is no such environment variable",
                where=str(where),
                fix=f"set {name} (in Azure: an app setting of the function app)",
            )
        if value.startswith(_UNRESOLVED_SETTING):
            raise SecretUnresolved(
                f"${{env:{name}}} is a Key Vault reference that Azure could not resolve",
                where=str(where),
                fix="give the app's identity the role Key Vault Secrets User, and check the reference",
            )
        return value

    def secret(self, name: str, where: Place | str = "") -> str:
        """The value of a secret, from the cache while it is fresh. Raises SecretUnresolved, Transient.

        While Key Vault does not answer, an expired value goes on being used.
        """
        if not _SECRET_NAME.fullmatch(name):
            raise SecretUnresolved(
                "a Key Vault secret's name has 1 to 127 letters, digits and hyphens",
                where=str(where),
                fix="write it as ${secret:crm-password}",
            )
        local = ENVIRONMENT_PREFIX + name.replace("-", "_").upper()
        if local in self._environ:
            return self.env(local, where)
        if self._vault is None:
            raise SecretUnresolved(
                f"${{secret:{name}}} has no value: no Key Vault is configured",
                where=str(where),
                fix=f"set secrets.key_vault in hookline.yaml (it serves a connector's `settings:` only),"
                f" or the environment variable {local}",
            )
        with self._lock:
            cached = self._cache.get(name)
            if cached and self._clock() < cached[1]:
                return cached[0]
            try:
                value = _from_vault(self._vault, name, str(where))
            except Transient:
                if cached is None:
                    raise
                return cached[0]
            self._cache[name] = (value, self._clock() + self._ttl)
            return value

    def refresh(self, name: str = "") -> None:
        """Forget one secret, or all: the next use asks Key Vault. For a login that was refused after a rotation."""
        with self._lock:
            if name:
                self._cache.pop(name, None)
            else:
                self._cache.clear()


def names_in(raw: Any) -> set[str]:
    """The names of the secrets that `raw` (dicts, lists, scalars) refers to."""
    if isinstance(raw, Mapping):
        return set().union(*(names_in(value) for value in raw.values()))
    if isinstance(raw, list | tuple):
        return set().union(*(names_in(value) for value in raw))
    if not isinstance(raw, str):
        return set()
    return {match["name"] for match in _REFERENCE.finditer(raw) if match["scheme"] == "secret"}


def resolve(raw: Any, secrets: Secrets, where: Place | str = "") -> Any:
    """A copy of `raw` (dicts, lists, scalars) with every reference in its texts replaced.

    A text with a `${secret:..}` in it becomes a `Secret`; one with only `${env:..}` stays a str. Keys are left alone.
    Raises SecretUnresolved naming the key path; Transient when Key Vault does not answer.
    """
    place = Place.of(where)
    if isinstance(raw, Mapping):
        return {key: resolve(value, secrets, place.at(key)) for key, value in raw.items()}
    if isinstance(raw, list | tuple):
        return [resolve(value, secrets, place.at(i)) for i, value in enumerate(raw)]
    return _resolve_text(raw, secrets, place) if isinstance(raw, str) and "${" in raw else raw


def _resolve_text(text: str, secrets: Secrets, place: Place) -> str | Secret:
    confidential = False

    def value(match: re.Match[str]) -> str:
        nonlocal confidential
        scheme, name = match["scheme"], match["name"]
        if scheme is None:
            return "${"
        if scheme not in ("env", "secret") or not match["close"]:
            raise SecretUnresolved(
                "a reference that is neither ${env:NAME} nor ${secret:NAME}"
                if match["close"]
                else f"a reference ${{{scheme}: without its closing brace",
                where=str(place),
                fix="write ${env:NAME} or ${secret:NAME}; for a literal ${ write $${",
            )
        if scheme == "env":
            return secrets.env(name, place)
        confidential = True
        return secrets.secret(name, place)

    resolved = _REFERENCE.sub(value, text)
    return Secret(resolved) if confidential else resolved


def _from_vault(vault: SecretClient, name: str, where: str) -> str:
    from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ResourceNotFoundError

    reference = f"${{secret:{name}}}"
    try:
        value = vault.get_secret(name).value
    except ResourceNotFoundError as error:
        raise SecretUnresolved(
            f"{reference} has no value: Key Vault holds no such secret",
            where=where,
            fix=f"create the secret {name} in {vault.vault_url}",
        ) from error
    except HttpResponseError as error:
        status = error.status_code
        if status in (401, 403) or isinstance(error, ClientAuthenticationError):
            raise SecretUnresolved(
                f"{reference} cannot be read: Key Vault refused ({status or 'no sign-in'})",
                where=where,
                fix="give the identity the role Key Vault Secrets User, and let the vault's firewall admit the app",
            ) from error
        raise Transient(f"Key Vault did not answer for {reference} ({status})", where=where) from error
    except AzureError as error:
        raise Transient(
            f"Key Vault did not answer for {reference}", where=where, fix=f"check the way to {vault.vault_url}"
        ) from error
    if value is None:
        raise SecretUnresolved(f"{reference} has no value: the secret is empty", where=where, fix="give it a value")
    return value
