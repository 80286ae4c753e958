"""Errors, as a tree by what the operator must do.

    HooklineError                 what happened, where, and what to do
    ├── UsageError                the command line is wrong                      exit 2
    ├── SettingsError             hookline.yaml or an app setting is wrong       exit 2; disables one instance
    │   ├── DriverMissing         `pip install` line in the fix
    │   └── SecretUnresolved      ${secret:..} or ${env:..} has no value
    ├── SourceError               one source cannot be read; the others go on
    │   ├── SourceUnreachable     network, time-out: tried again by the trigger
    │   └── SourceRefused         credentials or permissions: a person must act
    │       └── LoginRefused      the credentials: tried once more when Key Vault holds another secret by now
    ├── BadInput                  a whole file is unusable: rejected, kept, never retried
    ├── Transient                 storage, Event Hubs or the catalogue is busy: tried again
    │   └── HubBusy, StorageBusy, CatalogBusy
    ├── CatalogRefused            the catalogue answered no (400, 403, 404), with its reason
    └── Superseded                another scan of the scope holds the lease: this one stops

| situation                                         | raise             |
| ------------------------------------------------- | ----------------- |
| unknown key, wrong type, unknown connector        | SettingsError     |
| import of a driver fails                          | DriverMissing     |
| permission missing                                | SourceRefused     |
| password, key or token wrong or expired           | LoginRefused      |
| host down, query timed out                        | SourceUnreachable |
| job file truncated, edited, binary, too large     | BadInput          |
| one record of a file is wrong                     | nothing: yield a `records.Refusal` |
| 408, 409, 412, 429, 5xx, server-busy, time-out    | Transient         |

A message never holds a secret: build it from names and places, not from settings. What others say in it (a driver that
quotes its connection string) is masked when the error is made, because it goes on into states, receipts and answers.
"""

from __future__ import annotations


class HooklineError(Exception):
    """What happened (`what`), where (`where`: instance, file, line, record) and what to do (`fix`)."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        from shared.settings.redact import redact

        what = redact(what)
        super().__init__(what)
        self.what = what
        self.where = redact(where)
        self.fix = redact(fix)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.what}" + (f"\n  fix: {self.fix}" if self.fix else "")

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.where, self.fix))


def _rebuild(kind: type[HooklineError], what: str, where: str, fix: str) -> HooklineError:
    return kind(what, where=where, fix=fix)


class UsageError(HooklineError):
    exit_code = 2


class SettingsError(HooklineError):
    exit_code = 2


class DriverMissing(SettingsError):
    """The connector's Python package is not installed."""


class SecretUnresolved(SettingsError):
    """A `${secret:..}` or `${env:..}` has no value."""


class SourceError(HooklineError):
    """One source cannot be read."""


class SourceUnreachable(SourceError):
    """The source did not answer; trying again later may help."""


class SourceRefused(SourceError):
    """The source said no: credentials or permissions."""


class LoginRefused(SourceRefused):
    """The source did not let us in: user, password, key or token."""


class BadInput(HooklineError):
    """A whole file is unusable; it is rejected with this reason and kept."""


class Transient(HooklineError):
    """Something on our side of the network is busy; the trigger tries again."""


class HubBusy(Transient):
    pass


class StorageBusy(Transient):
    pass


class CatalogBusy(Transient):
    pass


class CatalogRefused(HooklineError):
    """The catalogue answered no."""


class Superseded(HooklineError):
    """Another scan of this scope is at work, or a newer one has finished."""
