"""Procedural statements of all families: which form it is, and assignments.

The families differ in spelling more than in meaning (T-SQL and MySQL `SET x = ..`, PL/SQL, PL/pgSQL and Snowflake
`x := ..`), so each form is read here once, by its words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.lineage.calls import Calls
from shared.lineage.cursors import Cursors
from shared.lineage.definitions import name_at
from shared.lineage.histories import shortened
from shared.lineage.records import Records
from shared.lineage.relations import Relation, Value
from shared.lineage.tables import HOLE
from shared.lineage.tokens import balanced, first_name, is_assign, parts, select
from shared.lineage.words import QUERY, READ, word

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

    from shared.lineage.findings import Place
    from shared.lineage.script import Script


class Procedural(Cursors, Calls, Records):
    """Reads one procedural statement for the script that it belongs to."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.memory = script.memory

    def read(self, tokens: list[Token], place: Place) -> bool:
        """Whether it was understood."""
        words = [word(t) for t in tokens]
        first = words[0]
        if first == "CALL" and "SYSEXECSQL" in words[1:4]:  # Teradata: CALL DBC.SysExecSQL(text)
            return self.packaged(tokens, place)
        if first in ("EXEC", "EXECUTE", "CALL"):
            return self.execute(tokens, words, place)
        if first in ("DBMS_SQL", "DBMS_UTILITY", "SYS") and self.packaged(tokens, place):
            return True
        if first == "PREPARE" and "AS" in words[:40]:  # PREPARE p (text) AS INSERT ..
            self.script.prepared[tokens[1].text.lower()] = tokens[words.index("AS") + 1 :]
            return True
        if first == "PREPARE" and words[3:4] and words[3] in READ:
            self.script.prepared[tokens[1].text.lower()] = tokens[3:]
            return True
        if first == "PREPARE" and "FROM" in words:
            self.memory.texts[tokens[1].text.lower()] = self.texts(tokens[words.index("FROM") + 1 :])
            return True
        if first == "FETCH":
            return self.fetch(tokens, words, place)
        if first == "OPEN":
            return self.open(tokens, words, place)
        if first in ("FOR", "FOREACH"):
            return self.loop(tokens, words, place)
        if first in ("TYPE", "SUBTYPE", "PRAGMA"):
            self.type(tokens, words)
            return True
        if first == "CURSOR" or "CURSOR" in words[1:5]:
            return self.cursor(tokens, words, place)
        if words[:2] == ["PIPE", "ROW"] and place.routine is not None and len(tokens) > 3:
            row = self.row(balanced(tokens[3:]), place)
            if row is not None:
                self.script.routines.returns(place.routine, row)
            return True
        if first == "PERFORM" and len(tokens) > 1:
            if "FROM" in words:
                self.script.rows([select(tokens[0]), *tokens[1:]], place)
            else:
                self.script.routines.call(tokens[1:], place)
            return True
        if first == "RETURN" and words[1:] not in (["NEW"], ["OLD"]):  # a trigger's row goes where it would have gone
            return self.returned(tokens, words, place)
        if first in ("SET", "DECLARE", "LET", "DEFAULT"):
            return self._assignments(tokens[1:], words[1:], place, first)
        at = next((i for i, t in enumerate(tokens[:12]) if is_assign(tokens, i)), 0)
        if at:
            self._assign(tokens[:at], tokens[at + 1 + (tokens[at].text == ":") :], place)
            return True
        if self.script.name == "oracle" and first and self._is_call(tokens):
            self.script.routines.call(tokens, place)
            return True
        if place.procedural and len(tokens) > 1 and first and (words[1] or tokens[1].token_type.name == "IDENTIFIER"):
            return self._assignments(tokens, words, place, "DECLARE")  # a declaration: v NUMBER DEFAULT 1
        if place.procedural and len(tokens) > 3 and tokens[1].text == "=":
            self._assign(tokens[:1], tokens[2:], place)
            return True
        return False

    def _is_call(self, tokens: list[Token]) -> bool:
        """PL/SQL: a procedure's name, with or without arguments, is a statement."""
        _, end = name_at(tokens, 0)
        return end == len(tokens) or (tokens[end].text == "(" and tokens[-1].text == ")")

    # ---- variables

    def _assignments(self, tokens: list[Token], words: list[str], place: Place, verb: str) -> bool:
        """`SET a = 1, b = 2`, `DECLARE @a int = 1, @t TABLE (..)`, `DECLARE a, b INT DEFAULT 0`."""
        while words[:1] and words[0] in ("OR", "REPLACE", "VARIABLE", "VAR", "SESSION", "LOCAL", "GLOBAL"):
            tokens, words = tokens[1:], words[1:]
        if not tokens:
            return True
        if words[0] in ("CONTINUE", "EXIT", "UNDO") and "HANDLER" in words[:3]:
            rest = tokens[words.index("FOR") + 1 :] if "FOR" in words else []
            at = next((i for i, t in enumerate(rest) if word(t) in ("SET", "INSERT", "UPDATE", "DELETE")), None)
            if at is not None:
                self.script.again(rest[at:], place)
            return True
        if tokens[0].text == "(" and verb == "SET":  # BigQuery: SET (a, b) = (SELECT AS STRUCT ..)
            names = [t.text for t in balanced(tokens[1:]) if t.text != ","]
            rest = tokens[len(names) * 2 + 2 :]
            rows = self.query_in(rest, place)
            if rows is not None:
                self.into(names, rows, place)
            return True
        for part in parts(tokens):
            w = [word(t) for t in part]
            if not part:
                continue
            name = first_name(part)
            if verb == "DECLARE" and "TABLE" in w[1:4] and any(t.text == "(" for t in part):
                self.script.declare_table(name, part)
                continue
            if verb == "DECLARE":
                self.declared(name, part, w)
            at = next(
                (
                    i
                    for i, t in enumerate(part)
                    if i and (t.text in (":=", "=") or (w[i] == "DEFAULT") or is_assign(part, i))
                ),
                0,
            )
            if at:
                skip = 2 if part[at].text == ":" else 1
                self._assign(part[:at] if verb == "SET" else part[: _name_length(part)], part[at + skip :], place)
            elif verb == "DECLARE" and name:
                self.memory.variables.setdefault(name, {})
                self.memory.texts.setdefault(name, ())
        return True

    def _assign(self, target: list[Token], expression: list[Token], place: Place) -> None:
        name = first_name(target)
        if not name or not expression:
            return
        if len(expression) > 2 and expression[0].text == "(" and word(expression[1]) in QUERY:
            rows = self.script.rows(balanced(expression[1:]), place)
            if rows is not None and len(target) < 3:
                rows = self.memory.followed(rows)
                self.memory.cursors[name] = self.memory.records[name] = rows
                first = next(rows.columns(), None)
                self.memory.assign(name, first.value if first is not None else {}, place.path)
                self.memory.texts[name] = ()
                return
        if word(expression[0]) == "DBMS_SQL" and self.packaged(expression, place):
            return
        compound = target[-1].text in ("+", "-", "*", "/")
        value = self.value(expression, place)
        if compound and (before := self.memory.variable(name)):
            value = {**before, **value}
        field = [t.text for t in target if t.text not in (".", "@", ":")]
        is_collection = len(target) > 3 and target[1].text == "("  # rows(i) := .., rows(i).field := ..
        if len(target) > 2 and target[-2].text == ".":  # rec.field := ..
            self.field(name, field[-1], value, collects=is_collection)
            return
        if self.whole(name, expression, place, collects=is_collection):
            return
        if self._rows(name, expression, place):
            return
        self.memory.assign(name, value, place.path)
        texts = self.texts(expression)
        if compound:
            texts = self.appended(self.memory.texts.get(name) or (), texts)
        self.memory.texts[name] = texts

    def appended(self, before: tuple[str, ...], texts: tuple[str, ...]) -> tuple[str, ...]:
        """`SET @a += ..`."""
        if not before and not texts:
            return ()
        unknown = (f"{HOLE}0n_",)
        return shortened([a + b for a in before or unknown for b in texts or unknown])

    def _rows(self, name: str, expression: list[Token], place: Place) -> bool:
        """Snowflake: `res := (SELECT ..)` and `res := (EXECUTE IMMEDIATE ..)` are result sets."""
        if self.script.name == "snowflake" and [word(t) for t in expression[1:3]] == ["EXECUTE", "IMMEDIATE"]:
            inner = balanced(expression[1:])
            self.execute(inner, [word(t) for t in inner], place)
            self.memory.cursors[name] = self.memory.last_rows or Relation()
            return True
        return False

    def value(self, tokens: list[Token], place: Place) -> Value:
        """The columns whose values an expression holds."""
        names = {t.text.lower() for t in tokens}
        has_query = any(word(t) in QUERY for t in tokens)
        filled, records = self.memory.variables.is_filled, self.memory.records
        held = has_query or any(filled(n) or n in records for n in names)
        if not held and not any(self.script.bodies.is_function(n) for n in names):
            return {}
        rows = self.script.expression(tokens, place)
        columns = list(rows.columns()) if rows is not None else []
        return columns[0].value if columns else {}


def _name_length(tokens: list[Token]) -> int:
    return 2 if tokens[0].text in ("@", ":") else 1
