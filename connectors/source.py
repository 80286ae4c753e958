"""The contract of a source: a module that knows one system and yields records.

    class Widgets(Source):
        Settings = WidgetSettings

        def scopes(self): return ["all"]

        def extract(self, scope, *, since, resume):
            for w in self.client.widgets():
                yield Dataset(address=self.base().at(w.name), columns=...)

A source never transforms, never writes, never sees Azure. It opens its connection in `extract`, `scopes` or `check`,
not in `__init__`, streams (memory does not grow with the source), and imports its driver inside a function.
`tests/conformance/test_sources.py` checks every source that is registered in `connectors.SOURCES`.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from shared.records import Address, Cursor, Record, Refusal


class Check(msgspec.Struct, frozen=True):
    """One line of `./hookline check`: what was tried, whether it worked, what was seen, and the fix.

    login: it failed because the source refused the login (LoginRefused).
    """

    name: str
    ok: bool
    detail: str = ""
    fix: str = ""
    login: bool = False


class Selection(msgspec.Struct, frozen=True):
    """include and exclude patterns of an instance, matched against `schema.table` (shell wildcards, case counts)."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self, *path: str) -> bool:
        """Whether the object at `path` (outermost first, without the database) is wanted."""
        name = ".".join(path)
        wanted = not self.include or any(fnmatchcase(name, p) for p in self.include)
        return wanted and not any(fnmatchcase(name, p) for p in self.exclude)

    def takes_scope(self, scope: str) -> bool:
        """Whether anything in `scope` (a schema, say) can be wanted; `public` passes for the pattern `public.*`."""
        reach = not self.include or any(fnmatchcase(scope, p.split(".")[0]) for p in self.include)
        return reach and not any(p in (scope, f"{scope}.*") for p in self.exclude)


S = TypeVar("S", bound=msgspec.Struct)


class Source(abc.ABC, Generic[S]):
    """Base of all sources. `Settings` is a frozen msgspec struct that forbids unknown fields."""

    Settings: ClassVar[type[msgspec.Struct]]
    #: for `./hookline connectors`: a sentence; the permissions the account needs; what lineage comes out; how verified
    title: ClassVar[str] = ""
    permissions: ClassVar[str] = ""
    lineage: ClassVar[str] = ""
    verified: ClassVar[str] = "not verified"
    #: an example of the `settings:` block, valid YAML, every option present
    example: ClassVar[str] = ""

    def __init__(self, settings: S, selection: Selection | None = None) -> None:
        self.settings = settings
        self.selection = selection or Selection()

    @abc.abstractmethod
    def base(self) -> Address:
        """The server: the outermost address; needs no connection."""

    @abc.abstractmethod
    def scopes(self) -> list[str]:
        """Names of the independently scannable parts that the selection reaches, sorted.

        Raises SourceUnreachable, SourceRefused, LoginRefused, DriverMissing.
        """

    @abc.abstractmethod
    def extract(self, scope: str, *, since: str = "", resume: str = "") -> Iterator[Record | Cursor | Refusal]:
        """Yield the records of one scope in an order that does not change between calls.

        since:  watermark of the last scan; empty means everything. A source without cursors ignores it.
        resume: `Cursor.position` to go on after; everything up to it was already yielded and must not come again,
                except the containers (server, database, schema), which come first in every call.
        A `Cursor` is yielded at least every 500 records. An object that vanishes while it is read is left out; one that
        cannot be read is a `Refusal` and the others go on. A scope that is gone yields only a Cursor
        with position "gone". Raises SourceUnreachable, SourceRefused, LoginRefused, DriverMissing.
        """

    def incremental(self) -> bool:
        """Whether `since` restricts what `extract` yields (such scans never cause deletions)."""
        return False

    def check(self) -> Iterator[Check]:
        """Connection, version and permissions, one line each; never raises (a refused login: `Check.login`)."""
        yield Check("scopes", True, ", ".join(self.scopes()))

    def describe(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "permissions": self.permissions,
            "lineage": self.lineage,
            "verified": self.verified,
        }
