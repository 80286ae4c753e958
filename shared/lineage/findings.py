"""What a script has been found to do, and what was not understood; the result is made of it."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec
from sqlglot.tokenizer_core import Token

from shared.lineage.environment import Memory
from shared.lineage.flow import Columns, Edge, Entry, Flow, Texts
from shared.lineage.headers import Header
from shared.lineage.model import ColumnLineage, Feed, Problem, Routine, ScriptLineage, Statement, TableName
from shared.lineage.relations import Relation
from shared.lineage.tables import Ref, Tables

MAX_PROBLEMS = 50
#: inputs of columns of one script, all statements together; each takes about 1.5 kB
MAX_EDGES = 150_000
About = Literal["statement", "columns"]


class Place(NamedTuple):
    """Where a statement stands: routine, blocks, the text that its tokens point into and that text's first line."""

    routine: Header | None
    path: tuple[int, ...]
    text: str
    offset: int
    bodies: int
    procedural: bool


class Findings:
    """Statements, edges and problems, each with the routine that it stands in."""

    def __init__(self, sql: str, dialect: str, memory: Memory) -> None:
        self.sql = sql
        self.dialect = dialect
        self.names = memory.names
        self.memory = memory
        self.texts = Texts(dialect)
        self.statements: list[tuple[Statement, list[Edge]]] = []
        self.entries: list[tuple[Entry, Header | None]] = []
        self.problems: list[tuple[Problem, Header | None]] = []
        self.edges = 0
        self.dropped = 0
        self.dropped_about: About = "columns"
        self.ends: dict[int, tuple[Header, int]] = {}
        self.last_returned: dict[int, Relation] = {}
        self.quiet = 0  # a body is read again for a call: what it says of itself is known

    @property
    def progress(self) -> int:
        return len(self.entries) + len(self.problems) + self.dropped

    def problem(self, line: int, reason: str, routine: Header | None = None, about: About = "statement") -> None:
        if self.quiet:
            return
        if len(self.problems) >= MAX_PROBLEMS:
            self.dropped += 1
            self.dropped_about = about if about == "statement" else self.dropped_about
        else:
            self.problems.append((Problem(f"line {line}", reason, about), routine))

    def report(self, token: Token, reason: str, place: Place) -> None:
        self.problem(token.line + place.offset, reason, place.routine)

    def keep(
        self,
        tables: Tables,
        edges: list[Edge],
        reasons: list[str],
        place: Place,
        line: int,
        returned: Relation | None = None,
    ) -> None:
        """A statement's tables and edges; `returned`: the rows of a bare query, columns of a table without a name."""
        memory = self.memory
        self.edges += sum(len(value) + 1 for _, _, value in edges)
        if self.edges > MAX_EDGES and edges:
            self.edges -= sum(len(value) + 1 for _, _, value in edges)
            edges, reasons = [], ["the script has too many columns; only the statement's tables were read"]
        for reason in reasons:
            self.problem(line, reason, place.routine, "columns")
        if not (tables.inputs or tables.outputs):
            return
        inputs, outputs = tuple(r.name for r in tables.inputs), tuple(r.name for r in tables.outputs)
        if not self.quiet:
            problems = tuple(Problem(f"line {line}", reason, "columns") for reason in reasons)
            shown = [(Ref(TableName(())), c.name, c.value) for c in returned.columns()] if returned is not None else []
            self.statements.append((Statement(tables.kind, inputs, outputs, line, (), problems), [*edges, *shown]))
        marked = Tables(
            tables.kind,
            tuple(Ref(r.name, memory.is_temporary(r)) for r in tables.inputs),
            tuple(Ref(r.name, memory.is_temporary(r)) for r in tables.outputs),
        )
        followed = [(Ref(r.name, memory.is_temporary(r)), column, memory.follow(value)) for r, column, value in edges]
        self.entries.append((Entry(marked, followed), place.routine))

    def defined(self, ref: Ref, like: Ref | None, place: Place, line: int) -> None:
        """CREATE TABLE without rows, which counts in a script that moves none; like: whose columns it takes."""
        tables = Tables("CREATE TABLE", (like,) if like is not None else (), (ref,))
        if not self.quiet:
            inputs = tuple(r.name for r in tables.inputs)
            self.statements.append((Statement(tables.kind, inputs, (ref.name,), line + place.offset), []))
            self.entries.append((Entry(tables, [], defines=True), place.routine))

    def dropped_table(self, ref: Ref) -> None:
        """A table that was only defined leaves nothing behind."""
        key = self.names.key(ref)
        self.entries = [
            (e, r) for e, r in self.entries if not (e.defines and self.names.key(e.tables.outputs[0]) == key)
        ]

    def rename(self, old: Ref, new: Ref, place: Place, line: int, *, swap: bool = False) -> None:
        if self.quiet:
            return
        entry = Entry(Tables("RENAME", (old,), (new,)), [], (old, new), swap)
        self.entries.append((entry, place.routine))
        kind = "SWAP" if swap else "RENAME"
        self.statements.append((Statement(kind, (old.name,), (new.name,), line + place.offset), []))

    def returned(self, routine: Header | None, rows: Relation) -> None:
        """The rows of a bare query; the last ones count."""
        self.last_returned[id(routine) if routine else 0] = self.memory.followed(rows)

    def made(self) -> ScriptLineage:
        everything, shares = Flow(self.names, self.texts), dict[int, Flow]()
        self.memory.passed.bind()
        moves = any(not entry.defines for entry, _ in self.entries)
        for known, routine in self.entries:
            entry = known._replace(edges=self._resolved(known.edges)) if self.memory.passed.used else known
            if not (entry.defines and moves):
                everything.add(entry)
            if entry.defines:
                continue
            shares.setdefault(id(routine) if routine else 0, Flow(self.names, self.texts)).add(entry)
        if self.dropped:
            more = f"{self.dropped} more problems are not listed"
            self.problems.append((Problem("the whole script", more, self.dropped_about), None))
        routines = [
            self._routine(header, end, shares.get(key, Flow(self.names, self.texts)))
            for key, (header, end) in self.ends.items()
        ]
        returned = self._returned(0)
        if not everything.outputs and 0 not in self.last_returned and not self.ends:
            everything.left()
        columns = everything.columns.made()
        return ScriptLineage(
            inputs=tuple(everything.inputs.values()),
            outputs=tuple(everything.outputs.values()),
            columns=columns if everything.outputs else returned,
            statements=tuple(self._statement(s, edges) for s, edges in self.statements),
            problems=tuple(p for p, _ in self.problems),
            routines=tuple(routines),
            main=self._routine(None, len(self.sql), shares[0]) if 0 in shares else None,
            returned=returned,
            dialect=self.dialect,
        )

    def _resolved(self, edges: list[Edge]) -> list[Edge]:
        passed = self.memory.passed
        return [(ref, column, passed.resolved(value)) for ref, column, value in edges]

    def _statement(self, statement: Statement, edges: list[Edge]) -> Statement:
        own = Columns(self.texts)
        for ref, column, value in self._resolved(edges):
            own.add(ref, column, value)
        return msgspec.structs.replace(statement, columns=own.made()) if edges else statement

    def _routine(self, header: Header | None, end: int, flow: Flow) -> Routine:
        return Routine(
            name=self.names.routine(header.name) if header else TableName(()),
            kind=header.kind.lower() if header else "script",
            line=header.first.line if header else 1,
            sql=self.sql[header.first.start : end + 1] if header else self.sql,
            inputs=tuple(flow.inputs.values()),
            outputs=tuple(flow.outputs.values()),
            columns=flow.columns.made(),
            feeds=tuple(Feed(name, tuple(flow.feeds.get(key, {}).values())) for key, name in flow.outputs.items()),
            problems=tuple(p for p, r in self.problems if r is header),
            returned=self._returned(id(header) if header else 0),
        )

    def _returned(self, key: int) -> tuple[ColumnLineage, ...]:
        rows = self.last_returned.get(key)
        columns = Columns(self.texts)
        for column in rows.columns() if rows is not None else ():
            columns.add(Ref(TableName(())), column.name, self.memory.passed.resolved(column.value))
        return columns.made()
