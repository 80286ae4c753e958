"""Records, collections and their types: whole rows in variables, and single fields of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.lineage import definitions
from shared.lineage.environment import plain
from shared.lineage.relations import Column, Relation, Value, merged, union
from shared.lineage.tokens import balanced, parts
from shared.lineage.words import NUMBERS, word

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

    from shared.lineage.environment import Memory
    from shared.lineage.findings import Place
    from shared.lineage.script import Script


class Records:
    """The part of the procedural reader that knows rows in variables."""

    script: Script
    memory: Memory

    if TYPE_CHECKING:

        def value(self, tokens: list[Token], place: Place) -> Value: ...

    def type(self, tokens: list[Token], words: list[str]) -> None:
        """`TYPE t IS RECORD (a NUMBER, ..)`, `TYPE t IS TABLE OF r`: the fields of its rows."""
        if len(tokens) < 4 or words[0] == "PRAGMA":
            return
        name = tokens[1].text.lower()
        if words[3] in ("RECORD", "OBJECT") and len(tokens) > 4 and tokens[4].text == "(":
            self.memory.types[name] = definitions.columns(balanced(tokens[5:]), self.script.names) or []
        elif "OF" in words:
            fields = self._fields(tokens[words.index("OF") + 1 :])
            if fields:
                self.memory.types[name] = fields

    def declared(self, name: str, tokens: list[Token], words: list[str]) -> None:
        """What a declaration says about a variable: that it is a number, or which fields it has."""
        self.memory.local(name)
        if NUMBERS & set(words[1:4]):
            self.memory.numbers.add(name)
        fields = self._fields(tokens[1:])
        if fields:
            self.memory.shapes[name] = fields

    def _fields(self, tokens: list[Token]) -> list[str]:
        """The fields of a type: one of the script's, or a table's or a cursor's %ROWTYPE."""
        if not tokens:
            return []
        name = tokens[0].text.lower()
        if len(tokens) == 1 or tokens[1].text != "." or len(tokens) > 3:
            known = self.memory.types.get(name)
        else:  # package.type
            known = self.memory.types.get(tokens[2].text.lower())
        if known:
            return known
        words = [word(t) for t in tokens]
        if "ROWTYPE" not in words:
            return []
        cursor = self.memory.cursors.get(name)
        if cursor is not None:
            return plain(cursor) or []
        named, _ = definitions.name_at(tokens, 0)
        ref = self.script.names.of_tokens(named)
        return (self.memory.columns_of(ref) or []) if ref is not None else []

    def field(self, name: str, field: str, value: Value, *, collects: bool) -> None:
        """`rec.field := x`; the rows of a collection add up."""
        record = self.memory.records.get(name) or Relation()
        value = self.memory.follow(value)
        if collects and (before := record.listed(field)) is not None:
            value = merged([before.value, value])
        self.memory.records[name] = record.with_field(self.script.names.folded(field, quoted=False), value)

    def whole(self, name: str, expression: list[Token], place: Place, *, collects: bool) -> bool:
        """`rec := other`, `rows(i) := rec`, `rec := rows(i)`, `rec := a_type(x, y)`: a row, where it is one."""
        row = self.row(expression, place)
        if row is None:
            return False
        shape = self.memory.shapes.get(name)
        row = row.renamed(shape) if shape and row.is_known else row
        before = self.memory.records.get(name)
        if collects and before is not None and before.items and row.is_known and before.is_known:
            row = union(before, row)
        self.memory.records[name] = self.memory.cursors[name] = row
        first = next(row.columns(), None)
        self.memory.assign(name, first.value if first is not None else {}, place.path)
        self.memory.texts[name] = ()
        return True

    def _rows_of_call(self, expression: list[Token]) -> Relation | None:
        """`cur := a_function(..)`, `cur := a.package.f(..)`: its rows, where it is known to give some."""
        at = next((i for i, t in enumerate(expression[:8]) if t.text == "("), 0)
        if not at or expression[-1].text != ")" or len(balanced(expression[at + 1 :])) != len(expression) - at - 2:
            return None
        rows = self.memory.functions.get(expression[at - 1].text.lower())
        return rows if rows is not None and len(rows.items) > 1 else None

    def row(self, expression: list[Token], place: Place) -> Relation | None:
        """The row that an expression means: a record, an element of a collection, a constructor of a known type."""
        name = expression[0].text.lower()
        if expression[0].token_type.name.endswith("STRING"):
            return None
        called = self._rows_of_call(expression)
        if called is not None:
            return called
        known = self.memory.records.get(name)
        inner = balanced(expression[2:]) if len(expression) > 2 and expression[1].text == "(" else []
        is_call = bool(inner) and len(inner) == len(expression) - 3
        if known is not None and (len(expression) == 1 or is_call):
            return known
        if word(expression[0]) == "ROW" and is_call:
            fields = [f"f{i + 1}" for i in range(len(parts(inner)))]
        else:
            fields = self.memory.types.get(name, [])
        if not is_call or not fields:
            return None
        given = parts(inner)
        return Relation(
            [Column(f, self.memory.follow(self.value(g, place))) for f, g in zip(fields, given, strict=False)]
        )
