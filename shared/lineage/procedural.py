"""Procedural statements of all families: variables, cursors, records, loops over rows, dynamic SQL.

The families differ in spelling more than in meaning (T-SQL and MySQL `SET x = ..`, PL/SQL, PL/pgSQL and Snowflake
`x := ..`), so each form is read here once, by its words.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from shared.lineage.relations import Column, Relation, Value
from shared.lineage.rewriting import balanced
from shared.lineage.words import QUIET, word

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

    from shared.lineage.script import Place, Script

_DECLARATION_ENDS = ("CURSOR", "TABLE")
#: dynamic text longer than this is not followed
MAX_DYNAMIC = 200_000
_QUERY = ("SELECT", "WITH")


class Procedural:
    """Reads one procedural statement for the script that it belongs to."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.memory = script.memory

    def read(self, tokens: list[Token], place: Place) -> bool:
        """Whether it was understood."""
        words = [word(t) for t in tokens]
        first = words[0]
        if first in ("EXEC", "EXECUTE", "CALL"):
            return self._execute(tokens, words, place)
        if (
            first == "PREPARE"
            and words[3:4]
            and words[3] in ("INSERT", "SELECT", "UPDATE", "DELETE", "MERGE", "CREATE", "WITH")
        ):
            self.script.prepared[tokens[1].text.lower()] = tokens[3:]
            return True
        if first == "PREPARE" and "FROM" in words:
            value = self.text(tokens[words.index("FROM") + 1 :])
            self.memory.texts[tokens[1].text.lower()] = value
            return True
        if first == "FETCH":
            return self._fetch(tokens, words, place)
        if first == "OPEN":
            return self._open(tokens, words, place)
        if first in ("FOR", "FOREACH"):
            return self._loop(tokens, words, place)
        if first in ("TYPE", "SUBTYPE", "PRAGMA"):
            return True
        if first == "CURSOR" or "CURSOR" in words[1:5]:
            return self._cursor(tokens, words, place)
        if first == "RETURN":
            return self._return(tokens, words, place)
        if first in ("SET", "DECLARE", "LET", "DEFAULT"):
            return self._assignments(tokens[1:], words[1:], place, first)
        at = next((i for i, t in enumerate(tokens[:12]) if _is_assign(tokens, i)), 0)
        if at:
            self._assign(tokens[:at], tokens[at + 1 + (tokens[at].text == ":") :], place)
            return True
        if place.procedural and len(tokens) > 1 and first and (words[1] or tokens[1].token_type.name == "IDENTIFIER"):
            return self._assignments(tokens, words, place, "DECLARE")  # a declaration: v NUMBER DEFAULT 1
        if place.procedural and len(tokens) > 3 and tokens[1].text == "=":
            self._assign(tokens[:1], tokens[2:], place)
            return True
        return False

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
            rows = self._query_in(rest, place)
            if rows is not None:
                self.into(names, rows, place)
            return True
        for part in _parts(tokens):
            w = [word(t) for t in part]
            if not part:
                continue
            name = _name(part)
            if verb == "DECLARE" and "TABLE" in w[1:4] and any(t.text == "(" for t in part):
                self.script.declare_table(name, part)
                continue
            at = next(
                (
                    i
                    for i, t in enumerate(part)
                    if i and (t.text in (":=", "=") or (w[i] == "DEFAULT") or _is_assign(part, i))
                ),
                0,
            )
            if at:
                skip = 2 if part[at].text == ":" else 1
                self._assign(part[:at] if verb == "SET" else part[: _name_length(part)], part[at + skip :], place)
            elif verb == "DECLARE" and name:
                self.memory.variables.setdefault(name, {})
                self.memory.texts.setdefault(name, None)
        return True

    def _assign(self, target: list[Token], expression: list[Token], place: Place) -> None:
        name = _name(target)
        if not name or not expression:
            return
        if len(expression) > 2 and expression[0].text == "(" and word(expression[1]) in _QUERY:
            rows = self.script.rows(balanced(expression[1:]), place)
            if rows is not None and len(target) < 3:
                rows = self.memory.followed(rows)
                self.memory.cursors[name] = self.memory.records[name] = rows
                first = next(rows.columns(), None)
                self.memory.assign(name, first.value if first is not None else {}, place.path)
                self.memory.texts[name] = None
                return
        compound = target[-1].text in ("+", "-", "*", "/")
        value = self.value(expression, place)
        if compound and (before := self.memory.variable(name)):
            value = {**before, **value}
        field = [t.text for t in target if t.text not in (".", "@", ":")]
        if len(target) > 2 and target[1].text == ".":  # rec.field := ..
            record = self.memory.records.get(name)
            items = [
                c
                for c in (record.items if record else [])
                if not (isinstance(c, Column) and c.name.lower() == field[-1].lower())
            ]
            self.memory.records[name] = Relation([*items, Column(field[-1], self.memory.follow(value))])
            return
        if self._rows(name, expression, place):
            return
        self.memory.assign(name, value, place.path)
        text = self.text(expression)
        if compound:
            before_text = self.memory.texts.get(name)
            text = before_text + text if before_text is not None and text is not None else None
        self.memory.texts[name] = text

    def _rows(self, name: str, expression: list[Token], place: Place) -> bool:
        """Snowflake: `res := (SELECT ..)` and `res := (EXECUTE IMMEDIATE ..)` are result sets."""
        if self.script.name == "snowflake" and [word(t) for t in expression[1:3]] == ["EXECUTE", "IMMEDIATE"]:
            inner = balanced(expression[1:])
            self._execute(inner, [word(t) for t in inner], place)
            self.memory.cursors[name] = self.script.last_rows or Relation()
            return True
        if len(expression) == 1 and (record := self.memory.records.get(expression[0].text.lower())) is not None:
            self.memory.records[name] = record
        return False

    def value(self, tokens: list[Token], place: Place) -> Value:
        """The columns whose values an expression holds."""
        names = {t.text.lower() for t in tokens}
        has_query = any(word(t) in _QUERY for t in tokens)
        if not has_query and not (
            names & {k for k, v in self.memory.variables.items() if v} or names & set(self.memory.records)
        ):
            return {}
        rows = self.script.expression(tokens, place)
        columns = list(rows.columns()) if rows is not None else []
        return columns[0].value if columns else {}

    # ---- cursors and loops

    def _cursor(self, tokens: list[Token], words: list[str], place: Place) -> bool:
        at = words.index("CURSOR")
        name = _name(tokens[1:] if words[0] in ("CURSOR", "DECLARE", "LET", "SET") else tokens)
        if name == "cursor":
            name = _name(tokens[at + 1 :])
        start = next((i for i in range(at, len(tokens)) if words[i] in _QUERY), None)
        rows: Relation | None = None
        if start is not None:
            inner = balanced(tokens[start:])
            rows = self.script.rows(inner, place)
        elif "FOR" in words[at:]:
            after = tokens[words.index("FOR", at) + 1 :]
            known = _name(after)
            text = self.memory.texts.get(known)
            rows = self.memory.cursors.get(known)
            if rows is None and text:
                rows = self.script.dynamic(text, place)
        if rows is not None:
            self.memory.cursors[name] = self.memory.followed(rows)
        return True

    def _open(self, tokens: list[Token], words: list[str], place: Place) -> bool:
        name = _name(tokens[1:])
        if "FOR" not in words:
            return True
        rest = tokens[words.index("FOR") + 1 :]
        w = [word(t) for t in rest]
        if w and w[0] in _QUERY:
            rows: Relation | None = self.script.rows(rest, place)
        else:
            rest = rest[1:] if w and w[0] == "EXECUTE" else rest
            end = w.index("USING") - len(w) + len(rest) if "USING" in w else len(rest)
            text = self.text(rest[:end])
            if text is None:
                self.script.report(tokens[0], "dynamic SQL of a cursor: its text is not constant", place)
                return True
            rows = self.script.dynamic(text, place, silent=True)
        if rows is not None:
            self.memory.cursors[name] = self.memory.followed(rows)
        return True

    def _fetch(self, tokens: list[Token], words: list[str], place: Place) -> bool:
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
        columns = rows.items
        if len(names) == 1:
            self.memory.records[names[0].lower()] = rows
        for i, name in enumerate(names):
            item = columns[i] if i < len(columns) else None
            field = name.lower().split(".")
            value = item.value if isinstance(item, Column) else {}
            if len(field) > 1:
                record = self.memory.records.get(field[0])
                kept = [
                    c
                    for c in (record.items if record else [])
                    if not (isinstance(c, Column) and c.name.lower() == field[-1])
                ]
                self.memory.records[field[0]] = Relation([*kept, Column(field[-1], value)])
            else:
                self.memory.assign(name, value, place.path)
                self.memory.texts[name.lower()] = None

    def _loop(self, tokens: list[Token], words: list[str], place: Place) -> bool:
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
            return True
        if rest and word(rest[0]) == "ARRAY" and names:
            self.memory.assign(names[0], self.value(rest[1:], place), place.path)
            return True
        rows: Relation | None
        w = [word(t) for t in rest]
        if w and w[0] == "EXECUTE":
            end = w.index("USING") if "USING" in w else len(rest)
            text = self.text(rest[1:end])
            if text is None:
                self.script.report(tokens[0], "dynamic SQL of a loop: its text is not constant", place)
                return True
            rows = self.script.dynamic(text, place, silent=True)
        else:
            rows = self._query_in(rest, place)
            if rows is None and rest:
                known = rest[0].text.lower()
                rows = self.memory.cursors.get(known)
        if rows is None:
            for name in names:
                self.memory.variables.setdefault(name.lower(), {})
            return True
        self.into(names, rows, place)
        return True

    def _query_in(self, tokens: list[Token], place: Place) -> Relation | None:
        start = next((i for i, t in enumerate(tokens[:4]) if word(t) in _QUERY), None)
        if start is None:
            return None
        inner = tokens[start:]
        return self.script.rows(balanced(inner) if start else inner, place)

    def _return(self, tokens: list[Token], words: list[str], place: Place) -> bool:
        """RETURN QUERY .., RETURN (SELECT ..), RETURN TABLE(res): rows of the routine."""
        if words[1:3] == ["QUERY", "EXECUTE"]:
            return self._execute(tokens[2:], words[2:], place)
        start = next((i for i in range(1, min(5, len(tokens))) if words[i] in _QUERY), None)
        if len(tokens) == 1 and place.routine is not None and place.routine.returns[:1]:
            if place.routine.returns[0].text == "@":  # RETURNS @t TABLE: what was put into it
                table = self.memory.temps.get(f"@{place.routine.returns[1].text}".casefold())
                for filled in table.contents if table is not None else ():
                    self.script.returns(place.routine, filled)
            return True
        if start is not None:
            inner = balanced(tokens[start:])
            rows = self.script.rows(inner, place, returned=True)
            if rows is not None and place.routine is not None:
                self.script.returns(place.routine, rows)
        elif words[1:2] == ["TABLE"] and place.routine is not None and len(tokens) > 3:
            known = self.memory.cursors.get(tokens[3].text.lower())
            if known is not None:
                self.script.returns(place.routine, known)
        return True

    # ---- dynamic SQL

    def _execute(self, tokens: list[Token], words: list[str], place: Place) -> bool:
        rest, w = tokens[1:], words[1:]
        if w[:1] == ["IMMEDIATE"]:
            rest, w = rest[1:], w[1:]
        if not rest:
            return True
        parameters: list[Token] = []
        if rest[0].text.lower() in self.script.prepared:
            self.script.again(self.script.prepared[rest[0].text.lower()], place)
            return True
        if "SP_EXECUTESQL" in [x.strip("[]").upper() for x in (t.text for t in rest[:6])]:
            at = next(i for i, t in enumerate(rest) if t.text.upper().strip("[]") == "SP_EXECUTESQL")
            parts = _parts(rest[at + 1 :])
            if not parts:
                return True
            rest = parts[0]
            if len(rest) > 3 and rest[0].text == "@" and rest[2].text == "=":  # @stmt = ..
                rest = rest[3:]
            for part in parts[2:]:
                if len(part) > 3 and part[0].text == "@" and part[2].text == "=":
                    self.memory.assign(
                        part[1].text, self.value([t for t in part[3:] if word(t) not in ("OUTPUT", "OUT")], place)
                    )
            is_text = True
        else:
            is_text = (
                rest[0].text == "("
                or rest[0].token_type.name.endswith("STRING")
                or words[:2] == ["EXECUTE", "IMMEDIATE"]
                or (place.procedural and words[0] == "EXECUTE" and self.script.is_plpgsql)
                or rest[0].text.lower() in self.memory.texts
            )
            if words[0] == "CALL" or not is_text:
                return True  # a procedure: its own statements count where it is created
            if rest[0].text == "(" and words[0] in ("EXEC", "EXECUTE"):
                rest = balanced(rest[1:])
                w = [word(t) for t in rest]
        into: list[str] = []
        depth = 0
        end = len(rest)
        for i, t in enumerate(rest):
            depth += (t.text == "(") - (t.text == ")")
            if depth == 0 and i and word(t) in ("INTO", "USING", "BULK", "AS"):
                end = min(end, i)
                if word(t) == "INTO":
                    into = variables(rest[i + 1 :])
                if word(t) == "USING":
                    parameters = rest[i + 1 :]
        text = self.text(rest[:end])
        if text is None or len(text) > MAX_DYNAMIC:
            self.script.report(tokens[0], "dynamic SQL: its text is not constant", place)
            return True
        if parameters and parameters[0].text == "(" and word(parameters[1]) not in _QUERY:
            parameters = balanced(parameters[1:])
        if self.script.name == "oracle":  # :1 is no name to the grammar
            text = re.sub(r"(?<![:\w]):(\d+)\b", r":b\1", text)
        for i, part in enumerate(_parts(parameters)):
            kept = [t for t in part if word(t) not in ("IN", "OUT")]
            name = str(i + 1)
            if len(kept) > 2 and word(kept[-2]) == "AS":
                name, kept = kept[-1].text, kept[:-2]
            value = self.value(kept, place)
            self.memory.assign(name, value)
            self.script.bind(text, i, value)
        before = self.script.progress
        rows = self.script.dynamic(text, place, silent=bool(into))
        head = text.split(None, 1)[0].upper() if text.strip() else ""
        if self.script.progress == before and head not in QUIET and head not in ("CREATE", "SET", "BEGIN"):
            self.script.report(tokens[0], "dynamic SQL: no table was found in its text", place)
        if into and rows is not None:
            self.into(into, rows, place)
        return True

    def text(self, tokens: list[Token]) -> str | None:
        """Constant text of an expression, or None."""
        if len(tokens) == 1:
            token = tokens[0]
            if token.token_type.name.endswith("STRING"):
                return str(token.text)
            return self.memory.texts.get(token.text.lower())
        if len(tokens) == 2 and tokens[0].text in ("@", ":"):
            return self.memory.texts.get(tokens[1].text.lower())
        if not any(t.token_type.name.endswith("STRING") or t.text.lower() in self.memory.texts for t in tokens):
            return None
        if any(word(t) in _QUERY for t in tokens):
            return None
        node = self.script.node(tokens)
        return self.constant(node) if node is not None else None

    def constant(self, node: Any) -> str | None:
        if isinstance(node, (exp.Paren, exp.Alias, exp.Cast, exp.Trim)):
            return self.constant(node.this)
        if isinstance(node, (exp.Literal, exp.National, exp.RawString)):
            return str(node.this)
        if isinstance(node, (exp.Parameter, exp.Column, exp.Placeholder)):
            return self.memory.texts.get(node.name.lower())
        if isinstance(node, (exp.Add, exp.DPipe)):
            left, right = self.constant(node.left), self.constant(node.right)
            return left + right if left is not None and right is not None else None
        if isinstance(node, (exp.Concat, exp.SafeConcat) if hasattr(exp, "SafeConcat") else exp.Concat):
            parts = [self.constant(e) for e in node.expressions]
            return "".join(p for p in parts if p is not None) if all(p is not None for p in parts) else None
        if isinstance(node, exp.Coalesce):
            return self.constant(node.this)
        if isinstance(node, (exp.Chr,)):
            return "\n"
        if isinstance(node, exp.Func):
            name = (node.name if isinstance(node, exp.Anonymous) else node.key).upper()
            arguments = [a for a in node.args.values() if isinstance(a, exp.Expression)] + node.expressions
            parts = [self.constant(a) for a in arguments]
            if not parts or any(p is None for p in parts):
                return None
            first, rest = parts[0] or "", [p or "" for p in parts[1:]]
            if name == "QUOTENAME":
                return f"[{first}]"
            if name in ("QUOTE_IDENT", "QUOTE_LITERAL", "UPPER", "LOWER", "TO_CHAR"):
                return f"'{first}'" if name == "QUOTE_LITERAL" else first
            if name in ("CHAR", "CHR", "NCHAR"):
                return "\n"
            if name in ("FORMAT", "FORMAT_STRING") and first:
                return _formatted(first, rest)
            if name == "REPLACE" and len(rest) == 2:
                return first.replace(rest[0], rest[1])
        return None


def _formatted(pattern: str, values: list[str]) -> str | None:
    """`format('.. %I.%s ..', a, b)`."""
    found = iter(values)
    try:
        return re.sub(r"%(?:\d+\$)?[IsLTt]", lambda _: next(found), pattern)
    except StopIteration:
        return None


def _is_assign(tokens: list[Token], i: int) -> bool:
    return tokens[i].text == ":=" or (
        tokens[i].text == ":"
        and i + 1 < len(tokens)
        and tokens[i + 1].text == "="
        and tokens[i].end + 1 == tokens[i + 1].start
    )


def _name(tokens: list[Token]) -> str:
    for t in tokens:
        if t.text not in ("@", ":", "(", "#"):
            return str(t.text).lower()
    return ""


def _name_length(tokens: list[Token]) -> int:
    return 2 if tokens[0].text in ("@", ":") else 1


def _parts(tokens: list[Token]) -> list[list[Token]]:
    """Between the commas outside of parentheses."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for t in tokens:
        depth += (t.text in ("(", "[")) - (t.text in (")", "]"))
        if t.text == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(t)
    return [p for p in parts if p]


def variables(tokens: list[Token]) -> list[str]:
    """`STRICT a, @b, :c, d.e` up to the next keyword."""
    names = []
    for part in _parts(tokens):
        kept = [t for t in part if word(t) != "STRICT" and t.text not in ("@", ":")]
        if not kept:
            break
        name = kept[0].text
        i = 1
        while i + 1 < len(kept) and kept[i].text == ".":
            name += "." + kept[i + 1].text
            i += 2
        names.append(name)
        if i < len(kept) and kept[i].text != "(":
            break
    return names
