"""Tables of a statement that is not parsed, because it is too long, too deep or not in the grammar: from its words.

One pass with a stack of brackets: what stands after FROM and JOIN of a query is read, what stands after INSERT INTO,
UPDATE, MERGE INTO, DELETE FROM and CREATE TABLE is written. Columns are not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.lineage.definitions import name_at
from shared.lineage.tables import Names, Ref, Tables
from shared.lineage.words import word, words_in

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

_DML = ("INSERT", "UPDATE", "DELETE", "MERGE", "SELECT")
#: these end FROM's list
_CLAUSES = words_in("""
    WHERE GROUP ORDER HAVING SET VALUES UNION EXCEPT INTERSECT MINUS QUALIFY WINDOW LIMIT WHEN RETURNING OPTION
    CONNECT START CLUSTER DISTRIBUTE SORT FETCH OFFSET SELECT OUTPUT MODEL PREWHERE SETTINGS ON""")
#: between FROM and the name
_BEFORE_NAME = frozenset({"ONLY", "LATERAL", "FINAL"})
#: no table although it follows FROM
_NO_NAME = words_in("SELECT WITH VALUES UNNEST TABLE JOIN LEFT RIGHT FULL CROSS INNER")
_NO_ALIAS = _CLAUSES | _NO_NAME | words_in("FROM USING OUTER NATURAL TABLESAMPLE PIVOT UNPIVOT FOR")
_HINTS = words_in("NOLOCK READUNCOMMITTED UPDLOCK HOLDLOCK TABLOCK TABLOCKX READPAST ROWLOCK")
#: between the word that begins a statement and its target
_BEFORE_TARGET = words_in("INTO OVERWRITE TABLE FROM ONLY IF NOT EXISTS IGNORE OR REPLACE WITH SCHEMA EVOLUTION")
_NO_TARGET = words_in("ALL FIRST LOCAL DIRECTORY SELECT")


@dataclass(slots=True)
class _Level:
    """Between one pair of brackets: in a query or not, in which clause, whether a table's name comes next."""

    query: bool = False
    clause: str = ""
    expects: bool = False


def skimmed(tokens: list[Token], names: Names) -> Tables | None:
    """None where no table was found."""
    return _Skimmer(tokens, names).tables()


class _Skimmer:
    def __init__(self, tokens: list[Token], names: Names) -> None:
        self.tokens = tokens
        self.names = names
        words = (word(t).partition(" ")[0] for t in tokens)  # GROUP BY is one token
        self.words = ["" if i and tokens[i - 1].text == "." else w for i, w in enumerate(words)]
        self.closing, self.opening = self._brackets()
        self.ctes = self._ctes()
        self.read: list[Ref] = []
        self.written: list[Ref] = []
        self.aliases: dict[str, Ref] = {}
        self.functions: set[str] = set()  # aliases of table functions
        self.kind = ""

    def _is(self, i: int, text: str) -> bool:
        return 0 <= i < len(self.tokens) and self.tokens[i].text == text and not self.words[i]

    def _is_name(self, i: int) -> bool:
        return i < len(self.tokens) and (bool(self.words[i]) or self.tokens[i].token_type.name in ("IDENTIFIER", "VAR"))

    def _at(self, i: int) -> str:
        return self.words[i] if 0 <= i < len(self.words) else ""

    def _brackets(self) -> tuple[dict[int, int], dict[int, int]]:
        """(opening bracket -> closing bracket, and back)."""
        closing: dict[int, int] = {}
        stack: list[int] = []
        for i, token in enumerate(self.tokens):
            if token.text == "(" and not token.token_type.name.endswith("STRING"):
                stack.append(i)
            elif token.text == ")" and stack and not token.token_type.name.endswith("STRING"):
                closing[stack.pop()] = i
        return closing, {b: a for a, b in closing.items()}

    def _ctes(self) -> set[str]:
        """Names before `[(columns)] AS [NOT MATERIALIZED] (`, in a list that begins with WITH."""
        found: set[str] = set()
        for i, w in enumerate(self.words):
            if w != "AS":
                continue
            after = i + 1
            while self._at(after) in ("NOT", "MATERIALIZED"):
                after += 1
            name = self.opening.get(i - 1, i) - 1
            listed = name > 0 and (self._at(name - 1) in ("WITH", "RECURSIVE") or self._is(name - 1, ","))
            if listed and self._is(after, "("):
                found.add(self.tokens[name].text.casefold())
        return found

    def tables(self) -> Tables | None:
        stack = [_Level()]
        i = 0
        while i < len(self.tokens):
            level, w = stack[-1], self.words[i]
            if self._is(i, "("):
                level.expects = False
                stack.append(_Level())
            elif self._is(i, ")"):
                if len(stack) > 1:
                    stack.pop()
            elif self._is(i, ","):
                level.expects = level.clause in ("FROM", "UPDATE")
            elif level.expects and (w not in _BEFORE_NAME or self._at(i + 1) == "VIEW"):
                level.expects = False
                if w == "UNNEST" and i + 1 in self.closing:
                    self._function(self.closing[i + 1])
                if w not in _NO_NAME:
                    i = self._source(i, self.read)
                    continue
                if w in _DML:
                    continue
            elif w:
                i = self._word(i, w, level, outermost=len(stack) == 1)
                continue
            i += 1
        return self._made()

    def _word(self, i: int, w: str, level: _Level, *, outermost: bool) -> int:
        """Where to go on."""
        if w in ("INSERT", "UPDATE", "DELETE", "MERGE", "CREATE", "TRUNCATE") and self._begins(i, w):
            return self._target(i, w, level, outermost=outermost)
        if w == "INTO" and outermost and (self._at(0) == "INSERT" or (level.query and self.names.has_select_into)):
            self.kind = "SELECT INTO" if self.kind == "SELECT" else self.kind  # the others: INSERT ALL
            return self._source(i + 1, self.written, is_target=True)
        if w == "SELECT":
            level.query, level.clause = True, w
            self.kind = self.kind or w
        elif w == "FROM":
            if (level.query or i == 0) and self._at(i - 1) != "DISTINCT":
                level.query, level.clause, level.expects = True, w, True
        elif (w in ("JOIN", "STRAIGHT_JOIN") and level.clause in ("FROM", "ON", "UPDATE")) or (
            w == "USING" and level.clause in ("MERGE", "DELETE", "FROM") and self.kind in ("MERGE", "DELETE")
        ):
            level.clause, level.expects = "FROM", not self._is(i + 1, "(")
        elif w in _CLAUSES or (w == "LATERAL" and self._at(i + 1) == "VIEW"):
            level.clause = w
        return i + 1

    def _begins(self, i: int, w: str) -> bool:
        """Whether the word begins a statement rather than a part of MERGE, of an upsert or of a trigger."""
        if w == "INSERT" and self._at(i + 1) in ("INTO", "OVERWRITE"):
            return True
        before = self._at(i - 1)
        return i == 0 or self._is(i - 1, "(") or (self._is(i - 1, ")") and self._at(0) == "WITH" and before == "")

    def _target(self, i: int, w: str, level: _Level, *, outermost: bool) -> int:
        level.query, level.clause = w != "CREATE", "SELECT" if w == "CREATE" else w
        at = i + 1
        if w == "CREATE":
            at = next((k for k in range(i + 1, min(i + 16, len(self.words))) if self.words[k] in ("TABLE", "VIEW")), -1)
            if at < 0:
                return i + 1
            temporary = any(self.words[k] in ("TEMP", "TEMPORARY", "VOLATILE") for k in range(i, at))
            w, at = f"CREATE {self.words[at]}", at + 1
        else:
            temporary = False
        while self._at(at) in _BEFORE_TARGET:
            at += 1
        if outermost or not self.kind:
            self.kind = w
        is_call = self._at(at) == "IDENTIFIER" and self._is(at + 1, "(")
        if at >= len(self.tokens) or is_call or self._is(at, "(") or self._at(at) in _NO_TARGET:
            return max(at, i + 1)
        count = len(self.written)
        end = self._source(at, self.written, is_target=True)
        if temporary and len(self.written) > count:
            self.written[-1] = Ref(self.written[-1].name, temporary=True)
        return end

    def _source(self, i: int, into: list[Ref], *, is_target: bool = False) -> int:
        """Read the table's name at `i` with its alias; where it ends."""
        if i >= len(self.tokens) or not (self._is_name(i) or self.tokens[i].text in ("#", "@")):
            return i + 1
        name, end = name_at(self.tokens, i)
        called = self._is(end, "(") and not is_target and self._at(end + 1) not in _HINTS
        if called and end in self.closing:
            self._function(self.closing[end])
        if called or (len(name) == 1 and name[0].text.casefold() in self.ctes):
            return end
        ref = self.names.of_tokens(name)
        if ref is None or ref.name.name.lower() in self.names.ignored:
            return end
        into.append(ref)
        after = end + (self._at(end) == "AS")
        if self._is_name(after) and self._at(after) not in _NO_ALIAS:
            self.aliases[self.tokens[after].text.casefold()] = ref
            return after + 1
        return end

    def _function(self, end: int) -> None:
        """Remember the alias after a table function's brackets."""
        alias = end + 1 + (self._at(end + 1) == "AS")
        if self._is_name(alias) and self._at(alias) not in _NO_ALIAS:
            self.functions.add(self.tokens[alias].text.casefold())

    def _made(self) -> Tables | None:
        rows = {*self.aliases, *self.functions}  # FROM t, t.list
        self.read = [r for r in self.read if len(r.name.parts) == 1 or r.name.parts[0].casefold() not in rows]
        if self.kind in ("UPDATE", "DELETE"):
            self.written = [self.aliases.get(r.name.name.casefold(), r) for r in self.written]
        outputs = tuple(dict.fromkeys(self.written))
        inputs = tuple(dict.fromkeys(self.read))
        if self.kind in ("UPDATE", "DELETE", "MERGE"):
            inputs = tuple(r for r in inputs if r not in outputs)
        if self.kind == "CREATE VIEW" and outputs:  # CREATE RECURSIVE VIEW names itself without its schema
            inputs = tuple(r for r in inputs if r.name.parts != outputs[0].name.parts[-len(r.name.parts) :])
        if not (inputs or outputs):
            return None
        return Tables(self.kind or "SELECT", inputs, outputs)
