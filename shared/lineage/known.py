"""Columns of tables that a script names and does not define: asked for one by one, layer by layer, as they are met.

    schemas = Schemas([columns of this file, the table `schemas`], catalogue)
    for read in schemas.read(requests): ...

A near layer answers from memory or from a blob that is kept. What none of them knows is gathered over many texts and
asked of the far one together; texts that may be better for it are analysed a second time. Nothing here ever fails
because a layer does: what stays unknown is told (`Read.unknown`), and the analysis goes on without it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

import msgspec

from shared.lineage import analyze
from shared.lineage.model import ColumnLineage, Routine, ScriptLineage
from shared.records import Address

#: texts whose unknown tables are asked for together
TOGETHER = 100
#: characters of text after which they are not waited for
_TOGETHER_LONG = 500_000
#: tables of unknown columns that are remembered
MOST_UNKNOWN = 1_000
#: tables that a message names
_SHOWN = 5

#: name of a table in the text -> where it lies, and its columns in lower case
Unordered = dict[tuple[str, ...], tuple[Address, frozenset[str]]]
AddressOf = Callable[[tuple[str, ...]], Address | None]


class Known(NamedTuple):
    """The columns of a table. ordered: whether they stand in the table's own order."""

    columns: tuple[str, ...]
    ordered: bool = True


class Layer(Protocol):
    """Where columns are known from. Never raises; upper and lower case of names is its business."""

    def find(self, tables: Sequence[Address]) -> Mapping[Address, Known]:
        """Those of the tables that it knows."""


class Request(NamedTuple):
    """One text.

    address_of: where a table of the text lies, by the parts of its name; None where nobody can say
    told:       columns of tables of the text, by the parts of their names, that its source has told
    """

    sql: str
    dialect: str
    address_of: AddressOf
    default_database: str = ""
    default_schema: str = ""
    told: Mapping[tuple[str, ...], Sequence[str]] = MappingProxyType({})


class Read(NamedTuple):
    """The lineage of a text. unknown: tables whose columns would be needed and are not known."""

    lineage: ScriptLineage
    unknown: tuple[Address, ...] = ()


class Schemas:
    """near: asked in this order, for every table. far: asked for many tables at a time.

    unknown: tables whose columns would have been needed so far, up to MOST_UNKNOWN.
    """

    def __init__(self, near: Sequence[Layer] = (), far: Layer | None = None) -> None:
        self._near = near
        self.far = far
        self.unknown: dict[Address, None] = {}

    def read(self, requests: Iterable[Request | None]) -> Iterator[Read | None]:
        """One result a request, in their order; nothing for nothing. TOGETHER of them are held at a time, or fewer."""
        for chunk in _chunks(requests):
            first = [self._first(request) if request is not None else None for request in chunk]
            missing = dict.fromkeys(table for one in first if one is not None for table in one[1].missing)
            further = dict(self.far.find(list(missing))) if self.far is not None and missing else {}
            for request, one in zip(chunk, first, strict=True):
                if request is None or one is None:
                    yield None
                    continue
                (lineage, lookup) = one
                unknown = lookup.missing
                if further and not further.keys().isdisjoint(lookup.missing):
                    lineage, unknown = _second(request, lookup, further)
                # a column that could not be placed may be any of these tables'
                elif all(problem.about != "columns" for problem in lineage.problems):
                    unknown = {}
                if len(self.unknown) < MOST_UNKNOWN:
                    self.unknown.update(unknown)
                yield Read(lineage, tuple(unknown))

    def read_one(self, request: Request) -> Read:
        (found,) = self.read([request])
        assert found is not None
        return found

    def columns_of(self, tables: Sequence[Address]) -> dict[Address, Known]:
        """The columns of those of the tables that somebody knows; the others count as unknown."""
        found = {table: known for table in tables if (known := self._ask(table)) is not None}
        missing = [table for table in tables if table not in found]
        if self.far is not None and missing:
            found.update(self.far.find(missing))
        if len(self.unknown) < MOST_UNKNOWN:
            self.unknown.update(dict.fromkeys(table for table in missing if table not in found))
        return found

    def _first(self, request: Request) -> tuple[ScriptLineage, _Lookup]:
        lookup = _Lookup(request, self._ask)
        return _analyzed(request, lookup), lookup

    def _ask(self, table: Address) -> Known | None:
        for layer in self._near:
            known = layer.find([table]).get(table)
            if known is not None:
                return known
        return None


class _Lookup:
    """What one analysis asks; `analyze` takes it as its `schemas`."""

    def __init__(self, request: Request, ask: Callable[[Address], Known | None]) -> None:
        self._request = request
        self._address_of = request.address_of
        self._ask = ask
        self._answers: dict[tuple[str, ...], Known | None] = {
            parts: Known(tuple(columns)) for parts, columns in request.told.items()
        }
        self.missing: dict[Address, None] = {}
        self.unordered: Unordered = {}

    def columns(self, parts: tuple[str, ...], *, positions: bool) -> Sequence[str] | None:
        if parts in self._answers:
            known = self._answers[parts]
        else:
            table = self._address_of(parts)
            known = self._answers[parts] = self._ask(table) if table is not None else None
            if known is None and table is not None:
                self.missing[table] = None
        if known is not None and not known.ordered and parts not in self.unordered:
            table = self._address_of(parts)
            if table is not None:
                self.unordered[parts] = (table, frozenset(column.casefold() for column in known.columns))
        return None if known is None or (positions and not known.ordered) else known.columns

    def with_further(self, further: Mapping[Address, Known], turn: int) -> _Lookup:
        """The same answers and these.

        turn: columns without an order are turned around by one in every second table (1), in every second pair of
        tables (2) and so on, so that some turn sets any two tables apart.
        """
        turned = itertools.count(1)

        def ask(table: Address) -> Known | None:
            known = further.get(table)
            if known is None:
                return self._ask(table)
            if turn and not known.ordered and next(turned) >> (turn - 1) & 1:
                return Known((*known.columns[1:], *known.columns[:1]), False)
            return known

        return _Lookup(self._request, ask)


def _chunks(requests: Iterable[Request | None]) -> Iterator[list[Request | None]]:
    chunk: list[Request | None] = []
    size = 0
    for request in requests:
        chunk.append(request)
        size += len(request.sql) if request is not None else 0
        if len(chunk) >= TOGETHER or size >= _TOGETHER_LONG:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _analyzed(request: Request, lookup: _Lookup) -> ScriptLineage:
    return analyze(
        request.sql,
        dialect=request.dialect,
        default_database=request.default_database or None,
        default_schema=request.default_schema or None,
        schemas=lookup,
    )


def _second(
    request: Request, before: _Lookup, further: Mapping[Address, Known]
) -> tuple[ScriptLineage, dict[Address, None]]:
    """Once more, with what the far layer knows: the lineage, and the tables of which more would have to be known.

    Edges that depend on an order of columns that nobody knows are left out.
    """
    lookup = before.with_further(further, 0)
    lineage = _analyzed(request, lookup)
    needed = any(problem.about == "columns" for problem in lineage.problems)
    unknown = dict(lookup.missing) if needed else {}
    if not lookup.unordered:
        return lineage, unknown
    safe = lineage
    for turn in range(1, len(lookup.unordered).bit_length() + 1):
        safe = _common(safe, _analyzed(request, before.with_further(further, turn)), lookup.unordered)
    if safe != lineage:
        unknown |= dict.fromkeys(table for table, _ in lookup.unordered.values())
    return safe, unknown


def _common(one: ScriptLineage, other: ScriptLineage, unordered: Unordered) -> ScriptLineage:
    """The first, without edges that the other does not have, and those to columns that a table does not have."""
    names = {r.name: r for r in other.routines}

    def _edges_in(columns: Sequence[ColumnLineage], others: Sequence[ColumnLineage]) -> tuple[ColumnLineage, ...]:
        there = {(c.output, i.table, i.column) for c in others for i in c.inputs}
        kept = []
        for column in columns:
            inputs = tuple(i for i in column.inputs if (column.output, i.table, i.column) in there)
            _, has = unordered.get(column.output.table.parts, (None, frozenset({column.output.column.casefold()})))
            if inputs and column.output.column.casefold() in has:
                kept.append(msgspec.structs.replace(column, inputs=inputs))
        return tuple(kept)

    def routine(share: Routine, there: Routine | None) -> Routine:
        if there is None:
            return share
        columns = _edges_in(share.columns, there.columns)
        return msgspec.structs.replace(share, columns=columns, returned=_edges_in(share.returned, there.returned))

    return msgspec.structs.replace(
        one,
        columns=_edges_in(one.columns, other.columns),
        returned=_edges_in(one.returned, other.returned),
        routines=tuple(routine(r, names.get(r.name)) for r in one.routines),
        main=routine(one.main, other.main) if one.main is not None else None,
    )


def unknown_text(tables: Sequence[Address]) -> str:
    """What is not known, and what to do about it."""
    named = [".".join(table.path) for table in tables[:_SHOWN]]
    more = f" and {len(tables) - _SHOWN:,} more" if len(tables) > _SHOWN else ""
    return f"{', '.join(named)}{more}: scan the source, or upload these tables as records, and this again"
