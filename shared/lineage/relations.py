"""Relations: what FROM names, as columns with the base columns whose values reach them.

A `Value` maps each base column to how it got here; a `Relation` is an ordered list of columns and stars. Everything
else (CTEs, subqueries, temp tables, cursors, records) is a relation under a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from shared.lineage.tables import Ref

#: a star over more relations than this is not searched
MAX_DEPTH = 60


class Source(NamedTuple):
    """A column of a table that the script does not define by a query of its own."""

    ref: Ref
    column: str


#: base column -> the expression it went through; None where it was only copied
Value = dict[Source, Any]


def derived(value: Value, node: Any) -> Value:
    """The same sources, after they went through an expression."""
    return dict.fromkeys(value, node)


class Column(NamedTuple):
    name: str
    value: Value


class Star(NamedTuple):
    """All columns of relations whose columns are not known; several give theirs together (UNION).

    hidden: names that EXCEPT or a pivot took away, in lower case.
    """

    relations: tuple[Relation, ...]
    hidden: frozenset[str] = frozenset()


class Ambiguous(Exception):
    """Several relations could own the column."""


class Relation:
    """Columns in order. `ref`: the base table behind it, whose further columns are not known (`open`).

    whole: the value of any column that is asked for and not listed: a table function's arguments.
    """

    __slots__ = ("_behind", "_by_name", "items", "loose", "open", "ref", "whole")

    def __init__(
        self,
        items: list[Column | Star] | None = None,
        *,
        ref: Ref | None = None,
        is_open: bool = False,
        whole: Value | None = None,
        loose: bool = False,
    ) -> None:
        self.items: list[Column | Star] = items if items is not None else []
        self.ref = ref
        self.open = is_open
        self.whole = whole
        self.loose = loose  # a function's rows: gives way to tables when nobody knows who owns a column
        self._by_name: dict[str, Column] | None = None
        self._behind: dict[str, Value | None] = {}  # what stars gave, by name

    @property
    def is_known(self) -> bool:
        """Whether all columns are known."""
        return not self.open and self.whole is None and not any(isinstance(i, Star) for i in self.items)

    def columns(self) -> Iterator[Column]:
        return (i for i in self.items if isinstance(i, Column))

    def stars(self) -> Iterator[Star]:
        return (i for i in self.items if isinstance(i, Star))

    def listed(self, name: str) -> Column | None:
        if self._by_name is None:
            self._by_name = {}
            for column in self.columns():
                self._by_name.setdefault(column.name.lower(), column)
        return self._by_name.get(name.lower())

    def get(self, name: str, depth: int = 0) -> Value | None:
        """The value of a column, or None where there is none of that name. Raises Ambiguous."""
        column = self.listed(name)
        if column is not None:
            return column.value
        if self.open and self.ref is not None:
            return {Source(self.ref, name): None}
        if self.whole is not None:
            return self.whole
        key = name.lower()
        if key in self._behind:
            return self._behind[key]
        if depth > MAX_DEPTH:
            return None
        found: list[Value] = []
        for star in self.stars():
            if key in star.hidden:
                continue
            values = [v for r in star.relations if (v := r.get(name, depth + 1)) is not None]
            if values:
                found.append(merged(values))
        if len(found) > 1:
            raise Ambiguous
        self._behind[key] = found[0] if found else None
        return self._behind[key]

    def renamed(self, names: list[str]) -> Relation:
        """With other column names, by position; what lies behind a star has no position."""
        if not names:
            return self
        items: list[Column | Star] = []
        for i, item in enumerate(self.items):
            if isinstance(item, Star):
                return Relation([*items, *(Column(n, {}) for n in names[i:])], ref=None)
            items.append(Column(names[i], item.value) if i < len(names) else item)
        if self.whole is not None or self.open:
            items += [Column(n, self.whole or {}) for n in names[len(self.items) :]]
        return Relation(items, loose=False)

    def with_field(self, name: str, value: Value) -> Relation:
        """A record, with another value in one of its fields."""
        kept: list[Column | Star] = []
        found = False
        for item in self.items:
            if isinstance(item, Column) and item.name.lower() == name.lower():
                kept.append(Column(item.name, value))
                found = True
            else:
                kept.append(item)
        if not found:
            kept.append(Column(name, value))
        return Relation(kept, ref=self.ref, is_open=self.open, whole=self.whole)

    def map(self, change: Any) -> Relation:
        """Every listed value changed."""
        return Relation(
            [Column(i.name, change(i.value)) if isinstance(i, Column) else i for i in self.items],
            ref=self.ref,
            is_open=self.open,
            whole=self.whole,
            loose=self.loose,
        )


def merged(values: list[Value]) -> Value:
    """All sources of several values; what is copied by one and derived by another is derived."""
    if len(values) == 1:
        return values[0]
    result: Value = {}
    for value in values:
        for source, node in value.items():
            if result.get(source) is None:
                result[source] = node
    return result


def union(left: Relation, right: Relation, *, by_name: bool = False) -> Relation:
    """A set operation's rows: columns meet by position, or by name where a star hides the positions."""
    if not by_name and left.is_known and right.is_known:
        theirs = list(right.columns())
        return Relation(
            [
                Column(c.name, merged([c.value, theirs[i].value]) if i < len(theirs) else c.value)
                for i, c in enumerate(left.columns())
            ]
        )
    if by_name and left.is_known and right.is_known:
        items: list[Column | Star] = [
            Column(c.name, merged([c.value, o.value]) if (o := right.listed(c.name)) else c.value)
            for c in left.columns()
        ]
        return Relation([*items, *(c for c in right.columns() if left.listed(c.name) is None)])
    items = []
    for mine, their in zip(left.items, right.items, strict=False):
        if isinstance(mine, Star) or isinstance(their, Star):
            break
        items.append(Column(mine.name, merged([mine.value, their.value])))
    rest = [Relation(r.items[len(items) :], ref=r.ref, is_open=r.open, whole=r.whole) for r in (left, right)]
    return Relation([*items, Star(tuple(rest))])


class Environment(Protocol):
    """What the statements before have left behind, as queries ask for it."""

    def relation(self, ref: Ref) -> Relation | None: ...
    def variable(self, name: str) -> Value | None: ...
    def record(self, name: str) -> Relation | None: ...
    def function(self, name: str) -> Relation | None: ...
    def called(self, rows: Relation, arguments: list[tuple[str, Value]]) -> Relation: ...
    def scalar(self, name: str) -> Value | None: ...
    def next_mark(self) -> Value: ...
