"""Cursors, loops over rows and RETURN: queries whose rows go into variables or to the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.lineage.clauses import without_position
from shared.lineage.relations import Column, Relation, Star, Value, merged
from shared.lineage.tokens import balanced, first_name, variables
from shared.lineage.words import QUERY, word

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

    from shared.lineage.environment import Memory
    from shared.lineage.findings import Place
    from shared.lineage.script import Script


def _whole(item: Star | None) -> Value:
    """The value behind `SELECT * FROM a_function(..)`: what its arguments hold."""
    return merged([*(r.whole for r in item.relations if r.whole), {}]) if item is not None else {}


class Cursors:
    """The part of the procedural reader that follows rows."""

    script: Script
    memory: Memory

    if TYPE_CHECKING:

        def value(self, tokens: list[Token], place: Place) -> Value: ...
        def text(self, tokens: list[Token]) -> str | None: ...
        def execute(self, tokens: list[Token], words: list[str], place: Place) -> bool: ...

    def cursor(self, tokens: list[Token], words: list[str], place: Place) -> bool:
        at = words.index("CURSOR")
        name = first_name(tokens[1:] if words[0] in ("CURSOR", "DECLARE", "LET", "SET") else tokens)
        if name == "cursor":
            name = first_name(tokens[at + 1 :])
        self.memory.local(name)
        begin = next((i for i in range(at, len(tokens)) if words[i] in ("FOR", "IS", "AS")), at)  # not WITH HOLD
        start = next((i for i in range(begin, len(tokens)) if words[i] in QUERY), None)
        rows: Relation | None = None
        if start is not None:
            inner = without_position(balanced(tokens[start:]))
            rows = self.script.rows(inner, place)
        elif "FOR" in words[at:]:
            after = tokens[words.index("FOR", at) + 1 :]
            known = first_name(after)
            text = (self.memory.texts.get(known) or ("",))[-1]
            rows = self.memory.cursors.get(known)
            if rows is None and text:
                rows = self.script.dynamic(text, tokens[0], place)
        if rows is not None:
            self.memory.cursors[name] = self.memory.followed(rows)
        return True

    def open(self, tokens: list[Token], words: list[str], place: Place) -> bool:
        name = first_name(tokens[1:])
        if "FOR" not in words:
            return True
        rest = tokens[words.index("FOR") + 1 :]
        w = [word(t) for t in rest]
        if w and w[0] in QUERY:
            rows: Relation | None = self.script.rows(rest, place)
        else:
            rest = rest[1:] if w and w[0] == "EXECUTE" else rest
            end = w.index("USING") - len(w) + len(rest) if "USING" in w else len(rest)
            text = self.text(rest[:end])
            if text is None:
                self.script.findings.report(tokens[0], "dynamic SQL of a cursor: its text is not constant", place)
                return True
            rows = self.script.dynamic(text, tokens[0], place, silent=True)
        if rows is not None:
            self.memory.cursors[name] = self.memory.followed(rows)
        return True

    def fetch(self, tokens: list[Token], words: list[str], place: Place) -> bool:
        if "INTO" not in words:
            return True
        at = words.index("INTO")
        before = tokens[1:at]
        if words[at - 2 : at] == ["BULK", "COLLECT"]:
            before = tokens[1 : at - 2]
        if not before:
            return True
        name = before[-1].text.lower()
        rows = self.memory.cursors.get(name)
        targets = variables(tokens[at + 1 :])
        if rows is not None:
            self.into(targets, rows, place)
        return True

    def into(self, names: list[str], rows: Relation, place: Place) -> None:
        """Rows into variables: by position, or as a whole where there is one variable only."""
        rows = self.memory.followed(rows)
        if len(names) == 1:
            shape = self.memory.shapes.get(names[0].lower())
            rows = rows.renamed(shape) if shape and rows.is_known else rows
            self.memory.records[names[0].lower()] = rows
        for i, name in enumerate(names):
            item = rows.items[i] if i < len(rows.items) else None
            field = name.lower().split(".")
            value = item.value if isinstance(item, Column) else _whole(item)
            if len(field) > 1:
                record = self.memory.records.get(field[0]) or Relation()
                self.memory.records[field[0]] = record.with_field(name.split(".")[-1], value)
            else:
                self.memory.assign(name, value, place.path)
                self.memory.texts[name.lower()] = ()

    def loop(self, tokens: list[Token], words: list[str], place: Place) -> bool:
        if "IN" not in words and "AS" not in words[:4]:
            return True
        at = words.index("IN") if "IN" in words and "AS" not in words[:3] else words.index("AS")
        if "CURSOR" in words[at : at + 3]:  # FOR r AS c CURSOR FOR SELECT ..
            rest_of = tokens[(words.index("FOR", at) if "FOR" in words[at:] else at) + 1 :]
            found = self.script.rows(rest_of, place)
            if found is not None:
                self.into([tokens[1].text], found, place)
            return True
        names = variables(tokens[1:at])
        rest = tokens[at + 1 :]
        if rest and word(rest[0]) == "REVERSE":
            rest = rest[1:]
        if rest and word(rest[0]) == "ARRAY" and names:
            self.memory.assign(names[0], self.value(rest[1:], place), place.path)
            return True
        rows: Relation | None
        w = [word(t) for t in rest]
        if w and w[0] == "EXECUTE":
            end = w.index("USING") if "USING" in w else len(rest)
            text = self.text(rest[1:end])
            if text is None:
                self.script.findings.report(tokens[0], "dynamic SQL of a loop: its text is not constant", place)
                return True
            rows = self.script.dynamic(text, tokens[0], place, silent=True)
        else:
            rows = self.query_in(rest, place)
            if rows is None and rest:
                known = rest[0].text.lower()
                rows = self.memory.cursors.get(known)
        if rows is None:
            for name in names:
                self.memory.variables.setdefault(name.lower(), {})
            return True
        self.into(names, rows, place)
        return True

    def query_in(self, tokens: list[Token], place: Place) -> Relation | None:
        returning = any(word(t) == "RETURNING" for t in tokens)
        begins = (*QUERY, "INSERT", "UPDATE", "DELETE", "MERGE") if returning else QUERY
        start = next((i for i, t in enumerate(tokens[:4]) if word(t) in begins), None)
        if start is None:
            return None
        inner = tokens[start:]
        return self.script.rows(balanced(inner) if start else inner, place)

    def returned(self, tokens: list[Token], words: list[str], place: Place) -> bool:
        """RETURN QUERY .., RETURN (SELECT ..), RETURN TABLE(res): rows of the routine."""
        if words[1:3] == ["QUERY", "EXECUTE"]:
            return self.execute(tokens[2:], words[2:], place)
        if words[1:2] == ["NEXT"] and place.routine is not None:
            if len(tokens) == 2:
                self.script.routines.next_row(place.routine)
            elif (row := self.memory.records.get(tokens[2].text.lower())) is not None:
                self.script.routines.returns(place.routine, row)
            return True
        start = next((i for i in range(1, min(5, len(tokens))) if words[i] in QUERY), None)
        if len(tokens) == 1 and place.routine is not None and place.routine.returns[:1]:
            if place.routine.returns[0].text == "@":  # RETURNS @t TABLE: what was put into it
                table = self.memory.temps.get(f"@{place.routine.returns[1].text}".casefold())
                if table is not None and table.columns is not None:
                    columns: list[Column | Star] = [Column(c, table.get(c)) for c in table.columns]
                    self.script.routines.returns(place.routine, Relation(columns))
            return True
        if start is not None:
            inner = balanced(tokens[start:])
            rows = self.script.rows(inner, place, returned=True)
            if rows is not None and place.routine is not None:
                self.script.routines.returns(place.routine, rows)
        elif len(tokens) > 1 and (place.routine is not None or self.script.findings.quiet) and words[1] != "TABLE":
            name = tokens[1].text.lower() if len(tokens) == 2 else ""
            row = self.memory.records.get(name) or self.memory.cursors.get(name)
            if row is not None and len(row.items) > 1 and place.routine is not None:
                self.script.routines.returns(place.routine, row)
            self.script.routines.result(place.routine, self.value(tokens[1:], place))
        elif words[1:2] == ["TABLE"] and place.routine is not None and len(tokens) > 3:
            known = self.memory.cursors.get(tokens[3].text.lower())
            if known is not None:
                self.script.routines.returns(place.routine, known)
        return True
