"""What the Azure SDKs raise, as our errors: tried again, or a person must act, and then how.

Messages carry status and error code only: the SDKs' own texts quote request addresses, which may hold a signature.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shared.errors import BadInput, HooklineError, HubBusy, SettingsError, StorageBusy
from shared.settings.redact import redact

if TYPE_CHECKING:
    from azure.core.exceptions import AzureError
    from azure.eventhub.exceptions import EventHubError

BUSY_STATUS = frozenset({408, 429})

#: AMQP conditions (without the vendor's prefix) that trying again does not change
#: https://learn.microsoft.com/azure/event-hubs/event-hubs-amqp-troubleshoot
_REFUSED = frozenset({"unauthorized-access", "not-found", "not-allowed", "entity-disabled", "argument-error"})
_TOO_LARGE = "link:message-size-exceeded"
#: how the SDK words a refused token (its condition is the same as that of a broken link) and a missing sign-in
_REFUSED_TOKEN = re.compile(r"status code: 40[13]|failed to retrieve a token|authentication unavailable", re.I)
_TOKEN_STATUS = re.compile(r"status code: 40[13]", re.I)
_NO_HUB = re.compile(r"status code: 404", re.I)


def storage_error(error: AzureError, where: str) -> HooklineError:
    """StorageBusy where trying again can help, SettingsError where access is refused, else HooklineError."""
    from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

    if not isinstance(error, HttpResponseError):  # no answer, or one that broke off
        return StorageBusy(
            f"storage does not answer ({type(error).__name__})", where=where, fix="check the network and its firewall"
        )
    status, code = error.status_code or 0, str(getattr(error, "error_code", None) or "")
    said = " ".join(str(part) for part in (status or "no sign-in", code.rpartition(".")[2]) if part)
    if status in (401, 403) or isinstance(error, ClientAuthenticationError):
        return SettingsError(
            f"storage refused access ({said})",
            where=where,
            fix="give the app's identity the role Storage Blob Data Owner, let the account's firewall admit the app,"
            " or correct the connection string",
        )
    if status in BUSY_STATUS or status >= 500 or "BeingDeleted" in code:
        return StorageBusy(f"storage is busy ({said})", where=where, fix="it is tried again")
    if is_conflict(error):
        return StorageBusy(f"it was changed by somebody else meanwhile ({said})", where=where, fix="it is tried again")
    if status == 404:
        return StorageBusy(f"it is not there any more ({said})", where=where, fix="it is tried again")
    return HooklineError(f"storage refused the request ({said})", where=where, fix="see the storage error code")


def is_conflict(error: AzureError) -> bool:
    """Whether a condition or a lease stood in the way (409, 412)."""
    code = str(getattr(error, "error_code", None) or "")
    return getattr(error, "status_code", None) in (409, 412) and "BeingDeleted" not in code


@contextmanager
def storage_errors(where: str) -> Iterator[None]:
    """Raise what the storage SDK raises inside as `storage_error` words it."""
    from azure.core.exceptions import AzureError

    try:
        yield
    except AzureError as error:
        raise storage_error(error, where) from error


def hub_error(error: EventHubError | OSError, where: str) -> HooklineError:
    """HubBusy where trying again can help, BadInput for an event above the hub's limit, else SettingsError."""
    condition = getattr(error, "error", None) or ""
    text = str(error)
    if condition == _TOO_LARGE:
        return BadInput("a message is larger than the hub takes", where=where, fix="lower limits.message_bytes")
    if condition == "not-found" or _NO_HUB.search(text):
        return SettingsError("there is no such event hub", where=where, fix="correct its name, or create it")
    if condition in _REFUSED or _REFUSED_TOKEN.search(text):
        return SettingsError(
            f"Event Hubs refused ({condition if condition in _REFUSED else 'sign-in'})",
            where=where,
            fix="give the app's identity the role Azure Event Hubs Data Sender on this hub, or correct the connection"
            " string (it needs the claim Send)",
        )
    said = condition or redact(text).split("\n", 1)[0][:200] or type(error).__name__
    return HubBusy(f"the event hub did not take it ({said})", where=where, fix="it is tried again")


def is_refused(error: BaseException) -> bool:
    """Whether the hub refused a token or what it may do: 401 and 403 come and go while roles and tokens change."""
    return getattr(error, "error", None) == "unauthorized-access" or _TOKEN_STATUS.search(str(error)) is not None


def is_server_busy(error: BaseException) -> bool:
    """Whether the hub asked to slow down: 4 s at least are asked for before the next attempt."""
    return getattr(error, "error", None) == "server-busy"
