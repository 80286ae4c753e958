"""A whole script: split, parse each statement within the budget, follow temp tables, keep what was not understood."""

from __future__ import annotations

import functools
import itertools
import logging
import re
import time
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ErrorLevel, ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage.dialects import canonical
from shared.lineage.model import Problem, Routine, ScriptLineage, Statement, TableName
from shared.lineage.rewriting import balanced, instead, prepared, too_deep, without_output
from shared.lineage.splitting import Header, Piece, Splitter
from shared.lineage.tables import Names, Tables, tables_of
from shared.lineage.words import QUIET, READ, word

#: a longer text is a dump, not a script
MAX_TEXT = 2 * 1024 * 1024
MAX_PROBLEMS = 50
#: bodies within bodies: DO $$ .. EXECUTE $q$ .. $q$ .. $$
MAX_BODIES = 3


_MISSING = re.compile(r"^Required keyword: '\w+' missing for <class '[\w.]*\.(\w+)'>")

logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # what it warns of comes back as problems, with a line


def _dialect(name: str) -> tuple[str, Dialect, bool]:
    """(sqlglot's name, the dialect, whether it is known)."""
    wanted = canonical(name)
    known = wanted == "" or Dialect.get(wanted) is not None
    return (wanted, Dialect.get_or_raise(wanted), True) if known else ("", Dialect.get_or_raise(""), False)


@functools.cache
def _tokenizer(dialect: str) -> Any:
    """The dialect's tokenizer without its shortcut for commands, which swallows all text up to the next semicolon."""

    class Plain(Dialect.get_or_raise(dialect).tokenizer_class):  # type: ignore[misc]
        COMMANDS: ClassVar[set[Any]] = set()

    return Plain


class Script:
    """Reads one text. Its own object, so that a body inside a string can be read the same way."""

    def __init__(self, sql: str, dialect: str, database: str, schema: str, budget_seconds: float) -> None:
        self.sql = sql
        self.name, self.dialect, known = _dialect(dialect)
        self.names = Names(self.dialect, self.name, database, schema)
        self.deadline = time.monotonic() + budget_seconds
        self.statements: list[tuple[Statement, Tables, Header | None]] = []
        self.problems: list[tuple[Problem, Header | None]] = []
        self.dropped = 0
        self.ends: dict[int, tuple[Header, int]] = {}
        if not known:
            self._problem(1, f"unknown dialect {dialect!r}; read with the general grammar")

    def read(self) -> ScriptLineage:
        if len(self.sql) > MAX_TEXT:
            self._problem(1, f"the text is longer than {MAX_TEXT:,} characters; nothing of it was read")
        else:
            self._text(self.sql, 0, None, 0)
        everything, shares = _Flow(self.names), dict[int, _Flow]()
        for _, tables, routine in self.statements:
            everything.add(tables)
            shares.setdefault(id(routine) if routine else 0, _Flow(self.names)).add(tables)
        if self.dropped:
            self.problems.append((Problem("the whole script", f"{self.dropped} more problems are not listed"), None))
        routines = [
            self._routine(header, end, shares.get(key, _Flow(self.names))) for key, (header, end) in self.ends.items()
        ]
        return ScriptLineage(
            inputs=tuple(everything.inputs.values()),
            outputs=tuple(everything.outputs.values()),
            statements=tuple(s for s, _, _ in self.statements),
            problems=tuple(p for p, _ in self.problems),
            routines=tuple(routines),
            main=self._routine(None, len(self.sql), shares[0]) if 0 in shares else None,
            dialect=self.name,
        )

    def _routine(self, header: Header | None, end: int, flow: _Flow) -> Routine:
        return Routine(
            name=self.names.routine(header.name) if header else TableName(()),
            kind=header.kind.lower() if header else "script",
            line=header.first.line if header else 1,
            sql=self.sql[header.first.start : end + 1] if header else self.sql,
            inputs=tuple(flow.inputs.values()),
            outputs=tuple(flow.outputs.values()),
            problems=tuple(p for p, r in self.problems if r is header),
        )

    def _problem(self, line: int, reason: str, routine: Header | None = None) -> None:
        if len(self.problems) >= MAX_PROBLEMS:
            self.dropped += 1
        else:
            self.problems.append((Problem(f"line {line}", reason), routine))

    def _text(self, text: str, offset: int, routine: Header | None, bodies: int) -> None:
        """Read `text`, whose first line is line 1 + offset; `routine`: where it is the body of one."""
        try:
            tokens: list[Token] = _tokenizer(self.name)(dialect=self.dialect).tokenize(text)
        except (TokenError, ValueError, RecursionError):  # their texts show the SQL, which may hold a credential
            self._problem(
                1 + offset, "cannot be split into words, a quote or comment is probably open; not read", routine
            )
            return
        splitter = Splitter(tokens, tsql=self.name in ("tsql", "fabric"))
        for piece in splitter.pieces():
            head = piece.routine or routine
            if time.monotonic() > self.deadline:
                self._problem(
                    piece.tokens[0].line + offset, "the time budget is spent; from here on nothing was read", head
                )
                break
            try:
                self._piece(Piece(piece.tokens, piece.control, head), text, offset, bodies)
            except Exception as error:  # noqa: BLE001  whatever odd text does to us or to sqlglot, the rest goes on
                self._problem(piece.tokens[0].line + offset, f"reading it failed with {type(error).__name__}", head)
        if routine is None and bodies == 0:
            self.ends = splitter.ends

    def _piece(self, piece: Piece, text: str, offset: int, bodies: int) -> None:
        tokens = list(itertools.dropwhile(lambda t: t.text == "/", piece.tokens))  # SQL*Plus: run what stands above
        if not tokens:
            return
        piece = piece._replace(tokens=tokens)
        first, line = word(tokens[0]), tokens[0].line + offset
        body = next((t for t in tokens[:2] if t.token_type.name.endswith("STRING")), None)
        if body is not None and body is tokens[0] and not _foreign(tokens):
            if bodies < MAX_BODIES:
                self._text(body.text, body.line - body.text.count("\n") - 1 + offset, piece.routine, bodies + 1)
            return
        query = tokens[0].text == "(" and any(word(t) in ("SELECT", "WITH") for t in tokens[1:4])
        if piece.control or not (first in READ or query):
            self._reads(piece, first, line, offset, text)
            return
        if first == "CREATE" and not _makes_data(tokens):
            return
        self._statement(
            prepared(tokens, procedural=piece.routine is not None and self.name != "tsql"), piece, text, offset
        )

    def _reads(self, piece: Piece, first: str, line: int, offset: int, text: str) -> None:
        """Conditions move nothing; cursors, loops over rows and assignments read tables into variables."""
        tokens, words = piece.tokens, [word(t) for t in piece.tokens]
        if first in ("EXEC", "EXECUTE", "CALL"):
            if (
                any(t.token_type.name.endswith("STRING") or t.text == "(" for t in tokens[1:3])
                or "SP_EXECUTESQL" in words
            ):
                self._problem(line, "dynamic SQL: its text was not followed", piece.routine)
            return
        if first in ("IF", "ELSIF", "ELSEIF", "WHILE", "WHEN", "UNTIL", "CASE") or first in QUIET:
            return
        for i in range(1, len(tokens)):
            if words[i] not in ("SELECT", "WITH") or not (
                words[i - 1] in ("FOR", "IN", "IS", "QUERY", "RETURN", "PERFORM", "AS")
                or tokens[i - 1].text in ("(", ":=")
            ):
                continue
            inner = balanced(tokens[i:]) if tokens[i - 1].text == "(" else tokens[i:]
            self._statement(prepared(inner, procedural=True), piece, text, offset)
            return
        if first == "PERFORM" and "FROM" in words:
            self._statement([instead(tokens[0], TokenType.SELECT), *tokens[1:]], piece, text, offset)
        elif piece.routine is None and first not in ("DECLARE", "SET", "RETURN", "OPEN", "LET"):
            begins = f" that begins with {first[:40]!r}" if first else ""
            self._problem(line, f"a statement{begins} was not understood", piece.routine)

    def _statement(self, tokens: list[Token], piece: Piece, text: str, offset: int) -> None:
        line = tokens[0].line + offset
        reason = too_deep(tokens)
        if reason:
            self._problem(line, reason, piece.routine)
            return
        tokens, logs = without_output(tokens)
        called = next((i for i, t in enumerate(tokens) if word(t) in ("EXEC", "EXECUTE")), 0)
        if called and word(tokens[0]) == "INSERT":
            self._problem(line, "the rows come from a procedure that was not followed", piece.routine)
            tokens = [
                *tokens[:called],
                instead(tokens[called], TokenType.SELECT),
                instead(tokens[called], TokenType.NULL),
            ]
        try:
            parsed = self._parsed(tokens, text)
        except ParseError as error:
            at, why = _first(error, line - offset)
            self._problem(at + offset, why, piece.routine)
            return
        for statement in parsed:
            if isinstance(statement, exp.Command):
                self._problem(line, f"{tokens[0].text.upper()[:40]} in a form that was not understood", piece.routine)
            elif isinstance(statement, exp.Expression) and (tables := tables_of(statement, self.names)) is not None:
                extra = [ref for table in logs if (ref := self.names.ref(table))]
                tables = tables._replace(outputs=(*tables.outputs, *extra))
                self._keep(tables, line, piece.routine)

    def _parsed(self, tokens: list[Token], text: str) -> list[Any]:
        """Raises ParseError. A function with too few arguments is none: `dbo.split(x)` is not sqlglot's SPLIT."""
        try:
            return list(self.dialect.parser().parse(tokens, text))
        except ParseError as error:
            if not _is_about_arguments(error):
                raise
        try:
            self.dialect.parser(error_level=ErrorLevel.RAISE, max_errors=100).parse(tokens, text)
        except ParseError as error:
            if not _is_about_arguments(error):
                raise
        return list(self.dialect.parser(error_level=ErrorLevel.IGNORE).parse(tokens, text))

    def _keep(self, tables: Tables, line: int, routine: Header | None) -> None:
        if tables.inputs or tables.outputs:
            inputs, outputs = tuple(r.name for r in tables.inputs), tuple(r.name for r in tables.outputs)
            self.statements.append((Statement(tables.kind, inputs, outputs, line), tables, routine))


class _Flow:
    """Inputs and outputs of a sequence of statements, with temporary tables followed through."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self.inputs: dict[str, TableName] = {}
        self.outputs: dict[str, TableName] = {}
        self.behind: dict[str, dict[str, TableName]] = {}  # temporary table -> what fed it

    def add(self, tables: Tables) -> None:
        sources: dict[str, TableName] = {}
        for ref in tables.inputs:
            key = self._names.key(ref)
            if key in self.behind:
                sources.update(self.behind[key])
            elif not ref.temporary:
                sources[key] = ref.name
        kept = []
        for ref in tables.outputs:
            key = self._names.key(ref)
            if ref.temporary or key in self.behind:
                self.behind.setdefault(key, {}).update(sources)
            else:
                self.outputs.setdefault(key, ref.name)
                kept.append(key)
        if kept or not tables.outputs:
            for key, name in sources.items():  # a table that only feeds itself is no input
                if kept != [key]:
                    self.inputs.setdefault(key, name)


def _is_about_arguments(error: ParseError) -> bool:
    """Whether all that is wrong is that functions lack arguments."""
    found = [_MISSING.search(str(e.get("description"))) for e in error.errors]
    return bool(found) and all(f is not None and issubclass(getattr(exp, f[1], object), exp.Func) for f in found)


def _first(error: ParseError, line: int) -> tuple[int, str]:
    """Line and reason of a parse error, without the SQL around it: it may hold a credential."""
    first: dict[str, Any] = error.errors[0] if error.errors else {}
    reason = str(first.get("description") or "not understood").split(" but got <")[0].split("<")[0]
    return int(first.get("line") or line), reason.strip()


def _foreign(tokens: list[Token]) -> bool:
    """A routine's body in a language that is not SQL: LANGUAGE c, python, javascript ..."""
    words = [word(t) for t in tokens]
    if "LANGUAGE" not in words[:-1]:
        return False
    return words[words.index("LANGUAGE") + 1] not in ("SQL", "PLPGSQL", "")


def _makes_data(tokens: list[Token]) -> bool:
    """Whether a CREATE can be TABLE .. AS, VIEW .. AS or CLONE; the rest defines and moves nothing."""
    words = {word(t) for t in tokens}
    return bool(words & {"VIEW", "TABLE"}) and bool(words & {"SELECT", "WITH", "CLONE", "VALUES", "COPY"})


_AFTER_INTO = frozenset(["FROM", "WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "UNION"])
