"""Tables and columns of a sequence of statements, with temporary tables followed through."""

from __future__ import annotations

from typing import NamedTuple

from shared.lineage.model import ColumnInput, ColumnLineage, ColumnName, TableName
from shared.lineage.relations import Value
from shared.lineage.tables import Names, Ref, Tables
from shared.lineage.trees import text_of

#: (table, column, the base columns whose values reach it)
Edge = tuple[Ref, str, Value]


class Entry(NamedTuple):
    """One statement's share. renames: (table, new name), swapped where `swap`.

    defines: a table that is made without rows.
    """

    tables: Tables
    edges: list[Edge]
    renames: tuple[Ref, Ref] | None = None
    swap: bool = False
    defines: bool = False


class Texts:
    """SQL of expressions, each made once."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self._made: dict[int, tuple[object, str]] = {}  # with the node, so that no other one gets its number

    def of(self, node: object) -> str:
        if id(node) not in self._made:
            self._made[id(node)] = (node, text_of(node, self._dialect))
        return self._made[id(node)][1]


class Columns:
    """Column edges, each output and each input once."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._found: dict[tuple[str, str], tuple[TableName, str, Value]] = {}
        self._made: tuple[ColumnLineage, ...] | None = None

    def add(self, ref: Ref, column: str, value: Value) -> None:
        if not value:
            return
        self._made = None
        key = (str(ref.name).casefold(), column.casefold())
        _, _, known = self._found.setdefault(key, (ref.name, column, {}))
        for source, node in value.items():
            if known.get(source) is None:
                known[source] = node

    def rename(self, old: Ref, new: Ref, *, swap: bool) -> None:
        was, will = str(old.name).casefold(), str(new.name).casefold()
        moved: dict[tuple[str, str], tuple[TableName, str, Value]] = {}
        for (table, column), (name, text, value) in self._found.items():
            if table == was:
                moved[will, column] = (new.name, text, value)
            elif table != will:
                moved[table, column] = (name, text, value)
            elif swap:
                moved[was, column] = (old.name, text, value)
            else:
                moved.setdefault((table, column), (name, text, value))
        self._found, self._made = moved, None

    def made(self) -> tuple[ColumnLineage, ...]:
        if self._made is not None:
            return self._made
        found = []
        for table, column, value in self._found.values():
            inputs: dict[tuple[str, str], ColumnInput] = {}
            for source, node in value.items():
                key = (str(source.ref.name).casefold(), source.column.casefold())
                text = self._texts.of(node) if node is not None else source.column
                if key not in inputs or node is not None:
                    inputs[key] = ColumnInput(
                        source.ref.name, source.column, text, "derivation" if node is not None else "copy"
                    )
            found.append(ColumnLineage(ColumnName(table, column), tuple(inputs.values())))
        self._made = tuple(found)
        return self._made


class Flow:
    """Inputs, outputs and column edges of a sequence of statements."""

    def __init__(self, names: Names, texts: Texts) -> None:
        self._names = names
        self.inputs: dict[str, TableName] = {}
        self.outputs: dict[str, TableName] = {}
        self.behind: dict[str, dict[str, TableName]] = {}  # temporary table -> what fed it
        self.unread: dict[str, tuple[TableName, list[Edge]]] = {}  # temporary table that nothing has read yet
        self.feeds: dict[str, dict[str, TableName]] = {}  # output -> what fed it, itself left out
        self.columns = Columns(texts)

    def add(self, entry: Entry) -> None:
        if entry.renames is not None:
            self._rename(*entry.renames, swap=entry.swap)
            return
        tables = entry.tables
        sources: dict[str, TableName] = {}
        for ref in tables.inputs:
            key = self._names.key(ref)
            self.unread.pop(key, None)
            if key in self.behind:
                sources.update(self.behind[key])
            elif not ref.temporary:
                sources[key] = ref.name
        kept = []
        for ref in tables.outputs:
            key = self._names.key(ref)
            if ref.temporary or key in self.behind:
                self.behind.setdefault(key, {}).update(sources)
                known = self.unread.setdefault(key, (ref.name, []))[1]
                known += [edge for edge in entry.edges if self._names.key(edge[0]) == key]
            else:
                self.outputs.setdefault(key, ref.name)
                self.feeds.setdefault(key, {}).update((k, name) for k, name in sources.items() if k != key)
                kept.append(key)
        if kept or not tables.outputs:
            for key, name in sources.items():  # a table that only feeds itself is no input
                if kept != [key]:
                    self.inputs.setdefault(key, name)
        for ref, column, value in entry.edges:
            if not ref.temporary and self._names.key(ref) not in self.behind:
                self.columns.add(ref, column, value)
                for (
                    source
                ) in value:  # rows of OUTPUT, RETURNING and triggers flow on from the table they were written to
                    other = self._names.key(source.ref)
                    if other != self._names.key(ref) and not source.ref.temporary and other not in self.behind:
                        self.inputs.setdefault(other, source.ref.name)
                        self.feeds.setdefault(self._names.key(ref), {}).setdefault(other, source.ref.name)

    def left(self) -> None:
        """A script that writes nothing else: its temporary tables that nobody reads are what it makes."""
        for key, (name, edges) in self.unread.items():
            self.outputs[key] = name
            self.feeds[key] = self.behind.get(key, {})
            for source, table in self.feeds[key].items():
                self.inputs.setdefault(source, table)
            for ref, column, value in edges:
                self.columns.add(ref, column, value)

    def _rename(self, old: Ref, new: Ref, *, swap: bool) -> None:
        was, will = self._names.key(old), self._names.key(new)
        if was in self.behind and not swap:
            self.behind[will] = self.behind.pop(was)
            return
        has_old, has_new = self.outputs.pop(was, None), self.outputs.pop(will, None)
        if has_old is None and has_new is None and not swap:
            return
        if has_old is None and has_new is None:
            self.inputs.setdefault(was, old.name)
            self.outputs.setdefault(will, new.name)
            self.feeds.setdefault(will, {})[was] = old.name
            if swap:
                self.feeds.setdefault(was, {})[will] = new.name
                self.inputs.setdefault(will, new.name)
                self.outputs.setdefault(was, old.name)
            return
        fed, other = self.feeds.pop(was, {}), self.feeds.pop(will, {})
        if has_old is not None:
            self.outputs[will] = new.name
            self.feeds[will] = fed
        if has_new is not None:
            self.outputs[was if swap else will] = old.name if swap else new.name
            self.feeds.setdefault(was if swap else will, {}).update(other)
        self.columns.rename(old, new, swap=swap)
