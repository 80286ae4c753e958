"""The family of SQL databases: how a schema is walked. A system supplies the queries.

    class Oracle(SqlSource[OracleSettings, Connection]):
        def connect(self): ...                          a session, as a context manager
        def schemas(self, session): ...                 all that could be scanned
        def containers(self, session, schema): ...      server, database, schema; nothing when the schema is gone
        def relations(self, session, schema, after): ...
        def routines(self, session, schema, after): ...

Relations and routines come as `Leaf`s: a key to sort and resume by, and a function that reads the object, called only
when the selection wants it. The order of keys is that of their code points, in every system, whatever its collation.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Annotated, ClassVar, Generic, NamedTuple, TypeVar

import msgspec

from connectors.source import Check, Source
from shared.errors import HooklineError, LoginRefused, SourceRefused
from shared.records import Container, Cursor, Dataset, Process, Record, Refusal

#: records between two cursors, at most
CURSOR_EVERY = 500
#: a scope that is no longer there
GONE = Cursor(position="gone")

#: a time-out in a connector's settings: zero would mean none
Seconds = Annotated[float, msgspec.Meta(gt=0)]

S = TypeVar("S", bound=msgspec.Struct)
C = TypeVar("C")


class Unreadable(SourceRefused):
    """One object cannot be read; the others can. Raised by a Leaf's `read`, it becomes a Refusal."""


class Leaf(NamedTuple):
    """One relation or routine: `key` is unique in its schema and ascends; `read` returns None when it has vanished."""

    key: str
    name: str
    read: Callable[[], Dataset | Process | None]


class SqlSource(Source[S], Generic[S, C]):
    """Base of the SQL sources; `C` is the session that a system's queries run in. One scope is one schema."""

    #: the platform of its addresses, and sqlglot's name for its SQL
    platform: ClassVar[str]
    dialect: ClassVar[str]

    @abc.abstractmethod
    def connect(self) -> AbstractContextManager[C]:
        """Raises SourceUnreachable, SourceRefused, LoginRefused, DriverMissing."""

    @abc.abstractmethod
    def schemas(self, session: C) -> list[str]:
        """Every schema that may be scanned, whatever the selection says."""

    @abc.abstractmethod
    def containers(self, session: C, schema: str) -> list[Container]:
        """The server, the database, the schema, in this order; empty when the schema is gone."""

    @abc.abstractmethod
    def relations(self, session: C, schema: str, after: str) -> Iterator[Leaf]:
        """Tables and views with a key above `after`, ascending."""

    def routines(self, session: C, schema: str, after: str) -> Iterable[Leaf]:
        """Functions and procedures with a key above `after`, ascending."""
        del session, schema, after
        return ()

    def triggers(self, session: C, schema: str, after: str) -> Iterable[Leaf]:
        """What runs by itself when a relation is written, with a key above `after`, ascending; `name`: the relation."""
        del session, schema, after
        return ()

    def probe(self, session: C) -> Iterator[Check]:
        """What `check` says about a connection that works, before it lists the schemas."""
        del session
        yield Check("connection", True)

    def scopes(self) -> list[str]:
        with self.connect() as session:
            return sorted(schema for schema in self.schemas(session) if self.selection.takes_scope(schema))

    def extract(self, scope: str, *, since: str = "", resume: str = "") -> Iterator[Record | Cursor | Refusal]:
        """Containers, relations, routines, triggers. A schema dropped meanwhile ends in a Cursor "gone" as well.

        A position is `relations:<key>`, `routines:<key>` or `triggers:<key>`: done up to and including that key.
        """
        del since  # a catalogue of tables has no usable time of change: every scan sees everything
        walks = {"relations": self.relations, "routines": self.routines, "triggers": self.triggers}
        stage, _, after = resume.partition(":")
        stages = list(walks)
        if stage in walks:
            stages = stages[stages.index(stage) :]
        with self.connect() as session:
            containers = self.containers(session, scope)
            yield from containers
            count = len(containers)
            for stage in stages if containers else ():
                for leaf in walks[stage](session, scope, after):
                    after = leaf.key
                    record = self._read(scope, leaf) if self.selection.takes(scope, leaf.name) else None
                    if record is None:
                        continue
                    yield record
                    count += 1
                    if count >= CURSOR_EVERY:
                        yield Cursor(position=f"{stage}:{after}")
                        count = 0
                yield Cursor(position=f"{stage}:{after}")
                after, count = "", 0
            if not containers or not self.containers(session, scope):
                yield GONE

    def _read(self, scope: str, leaf: Leaf) -> Dataset | Process | Refusal | None:
        try:
            return leaf.read()
        except Unreadable as error:
            return Refusal(place=f"{scope}.{leaf.key}", rule="source", reason=error.what, fix=error.fix)

    def check(self) -> Iterator[Check]:
        try:
            with self.connect() as session:
                yield from self.probe(session)
                found = self.schemas(session)
        except HooklineError as error:
            yield Check("connection", False, error.what, error.fix, login=isinstance(error, LoginRefused))
            return
        wanted = sorted(schema for schema in found if self.selection.takes_scope(schema))
        nothing = f"none of {', '.join(sorted(found)) or 'no schemas'} is selected"
        yield Check(
            "schemas",
            bool(wanted),
            ", ".join(wanted) or nothing,
            "" if wanted else "widen `include`, or narrow `exclude`, of the instance",
        )
