"""A whole script: split, parse each statement within the budget, follow temp tables, keep what was not understood."""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import re
import time
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ErrorLevel, ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage import definitions, loading
from shared.lineage.dialects import canonical
from shared.lineage.environment import Memory, plain
from shared.lineage.flow import Columns, Edge, Entry, Flow, Texts
from shared.lineage.model import ColumnLineage, Problem, Routine, ScriptLineage, Statement, TableName
from shared.lineage.procedural import Procedural, variables
from shared.lineage.queries import Queries, TooMuch
from shared.lineage.relations import Relation, Value
from shared.lineage.rewriting import (
    balanced,
    compound,
    identifiers,
    instead,
    opened,
    prepared,
    separate,
    simplified,
    teradata,
    too_deep,
    without_output,
    without_returning,
    without_variables,
)
from shared.lineage.splitting import Header, Piece, Splitter
from shared.lineage.tables import Names, Ref, Tables, tables_of
from shared.lineage.words import QUIET, READ, word
from shared.lineage.writes import Log, Write, Writes

#: a longer text is a dump, not a script
MAX_TEXT = 2 * 1024 * 1024
MAX_PROBLEMS = 50
#: bodies within bodies: DO $$ .. EXECUTE $q$ .. $q$ .. $$
MAX_BODIES = 3


_MISSING = re.compile(r"^Required keyword: '\w+' missing for <class '[\w.]*\.(\w+)'>")

#: tried in this order where the dialect's own grammar fails
_NEAREST = ("postgres", "tsql", "snowflake", "databricks", "bigquery", "mysql", "oracle", "duckdb")
MAX_ATTEMPTS = 60
_TRIGGER = re.compile(
    r"\bTRIGGER\b[^;]{1,400}?\bON\s+([\w.]+)[^;]{0,400}?\bEXECUTE\s+(?:FUNCTION|PROCEDURE)\s+([\w.]+)", re.IGNORECASE
)

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


class Place(NamedTuple):
    """Where a statement stands: routine, blocks, the text that its tokens point into and that text's first line."""

    routine: Header | None
    path: tuple[int, ...]
    text: str
    offset: int
    bodies: int
    procedural: bool


class Script:
    """Reads one text, statement by statement; bodies inside strings and dynamic SQL are read the same way."""

    def __init__(
        self,
        sql: str,
        dialect: str,
        database: str,
        schema: str,
        schemas: Mapping[str, Mapping[str, str]] | None,
        budget_seconds: float,
    ) -> None:
        self.sql = sql
        self.name, self.dialect, known = _dialect(dialect)
        self.names = Names(self.dialect, self.name, database, schema)
        self.memory = Memory(self.names, schemas)
        self.procedural = Procedural(self)
        self.texts = Texts(self.name)
        self.deadline = time.monotonic() + budget_seconds
        self.statements: list[Statement] = []
        self.entries: list[tuple[Entry, Header | None]] = []
        self.problems: list[tuple[Problem, Header | None]] = []
        self.dropped = 0
        self.ends: dict[int, tuple[Header, int]] = {}
        self.last_rows: Relation | None = None
        self.last_returned: dict[int, Relation] = {}
        self.is_plpgsql = self.name in ("postgres", "redshift", "")
        self.routine: Header | None = None
        self.triggers: list[tuple[str, str]] = _TRIGGER.findall(sql) if "TRIGGER" in sql[:MAX_TEXT].upper() else []
        self.silent = False
        self.attempts = 0
        self.parameters = 0
        self.prepared: dict[str, list[Token]] = {}
        if not known:
            self._problem(1, f"unknown dialect {dialect!r}; read with the general grammar")

    def read(self) -> ScriptLineage:
        if len(self.sql) > MAX_TEXT:
            self._problem(1, f"the text is longer than {MAX_TEXT:,} characters; nothing of it was read")
        else:
            self._text(self.sql, 0, None, 0)
        everything, shares = Flow(self.names, self.texts), dict[int, Flow]()
        for entry, routine in self.entries:
            everything.add(entry)
            shares.setdefault(id(routine) if routine else 0, Flow(self.names, self.texts)).add(entry)
        if self.dropped:
            self.problems.append((Problem("the whole script", f"{self.dropped} more problems are not listed"), None))
        routines = [
            self._routine(header, end, shares.get(key, Flow(self.names, self.texts)))
            for key, (header, end) in self.ends.items()
        ]
        return ScriptLineage(
            inputs=tuple(everything.inputs.values()),
            outputs=tuple(everything.outputs.values()),
            columns=everything.columns.made(),
            statements=tuple(self.statements),
            problems=tuple(p for p, _ in self.problems),
            routines=tuple(routines),
            main=self._routine(None, len(self.sql), shares[0]) if 0 in shares else None,
            returned=self._returned(0),
            dialect=self.name,
        )

    def _routine(self, header: Header | None, end: int, flow: Flow) -> Routine:
        return Routine(
            name=self.names.routine(header.name) if header else TableName(()),
            kind=header.kind.lower() if header else "script",
            line=header.first.line if header else 1,
            sql=self.sql[header.first.start : end + 1] if header else self.sql,
            inputs=tuple(flow.inputs.values()),
            outputs=tuple(flow.outputs.values()),
            columns=flow.columns.made(),
            problems=tuple(p for p, r in self.problems if r is header),
            returned=self._returned(id(header) if header else 0),
        )

    def _returned(self, key: int) -> tuple[ColumnLineage, ...]:
        rows = self.last_returned.get(key)
        columns = Columns(self.texts)
        for column in rows.columns() if rows is not None else ():
            columns.add(Ref(TableName(())), column.name, column.value)
        return columns.made()

    def _problem(self, line: int, reason: str, routine: Header | None = None, about: str = "statement") -> None:
        if len(self.problems) >= MAX_PROBLEMS:
            self.dropped += 1
        else:
            self.problems.append((Problem(f"line {line}", reason, about), routine))  # type: ignore[arg-type]

    def report(self, token: Token, reason: str, place: Place) -> None:
        self._problem(token.line + place.offset, reason, place.routine)

    def _text(self, text: str, offset: int, routine: Header | None, bodies: int, path: tuple[int, ...] = ()) -> None:
        """Read `text`, whose first line is line 1 + offset; `routine`: where it is the body of one."""
        try:
            tokens: list[Token] = _tokenizer(self.name)(dialect=self.dialect).tokenize(text)
        except (TokenError, ValueError, RecursionError):  # their texts show the SQL, which may hold a credential
            self._problem(
                1 + offset, "cannot be split into words, a quote or comment is probably open; not read", routine
            )
            return
        if self.name == "oracle":
            tokens = separate(tokens)
        splitter = Splitter(tokens, tsql=self.name in ("tsql", "fabric"))
        for piece in splitter.pieces():
            head = piece.routine or routine
            if time.monotonic() > self.deadline:
                self._problem(
                    piece.tokens[0].line + offset, "the time budget is spent; from here on nothing was read", head
                )
                break
            procedural = head is not None or bodies > 0 or bool(piece.path) or self.name in ("oracle", "snowflake")
            place = Place(head, (*path, *piece.path), text, offset, bodies, procedural)
            try:
                self._piece(Piece(piece.tokens, piece.control, head), place)
            except (IndexError, ValueError):  # it ends before what its words promise
                self._problem(piece.tokens[0].line + offset, "the statement breaks off; not read", head)
            except Exception as error:  # noqa: BLE001  whatever odd text does to us or to sqlglot, the rest goes on
                self._problem(piece.tokens[0].line + offset, f"reading it failed with {type(error).__name__}", head)
        if routine is None and bodies == 0:
            self.ends = splitter.ends

    def _words(self, text: str) -> list[Token]:
        try:
            return list(_tokenizer(self.name)(dialect=self.dialect).tokenize(text))
        except (TokenError, ValueError, RecursionError):
            return []

    def again(self, tokens: list[Token], place: Place) -> None:
        """Read some tokens as a statement of their own."""
        self._piece(Piece(tokens, False, place.routine), place)

    def _piece(self, piece: Piece, place: Place) -> None:
        tokens = list(itertools.dropwhile(lambda t: t.text == "/", piece.tokens))  # SQL*Plus: run what stands above
        if not tokens:
            return
        if piece.routine is not None and piece.routine is not self.routine:
            self.routine = piece.routine
            self.memory.enter(piece.routine.parameters)
            if piece.routine.returns and piece.routine.returns[0].text == "@":  # T-SQL: RETURNS @t TABLE (..)
                self.declare_table(piece.routine.returns[1].text, piece.routine.returns)
            self._called_by_trigger(piece.routine)
            if piece.routine.kind == "TRIGGER":
                self._triggered(piece.routine)
        if piece.routine is not None and len(piece.routine.parameters) != self.parameters:
            self.parameters = len(piece.routine.parameters)
            for name in piece.routine.parameters:
                self.memory.variables.setdefault(name.lower(), {})
        if self.name == "teradata":
            tokens = teradata(tokens)
        elif self.name == "snowflake" and any(word(t) == "IDENTIFIER" for t in tokens):
            tokens = identifiers(tokens, self.memory.texts)
        piece = piece._replace(tokens=tokens)
        first = word(tokens[0])
        body = next((t for t in tokens[:2] if t.token_type.name.endswith("STRING")), None)
        if body is not None and body is tokens[0] and not _foreign(tokens):
            if place.bodies < MAX_BODIES:
                offset = body.line - body.text.count("\n") - 1 + place.offset
                self._text(body.text, offset, piece.routine, place.bodies + 1, place.path)
            return
        if not piece.control:
            moved = loading.read(tokens, place.text, self.names, self.name)
            if moved is not None:
                self._loaded(moved, tokens, place)
                return
            if definitions.read(tokens, self, place):
                return
        if words_of(tokens[:4])[:2] == ["ALTER", "VIEW"] or words_of(tokens[:4]) == ["CREATE", "OR", "ALTER", "VIEW"]:
            at = 1 if first == "ALTER" else 3
            tokens = [instead(tokens[0], TokenType.CREATE), *tokens[at:]]
            piece, first = piece._replace(tokens=tokens), "CREATE"
        query = tokens[0].text == "(" and any(word(t) in ("SELECT", "WITH") for t in tokens[1:4])
        if piece.control or not (first in READ or query):
            self._reads(piece, first, place)
            return
        if first == "CREATE" and not _makes_data(tokens):
            return
        self._statement(tokens, place)

    def _called_by_trigger(self, routine: Header) -> None:
        """PostgreSQL: a trigger function's rows are those of the table whose trigger calls it."""
        name = str(self.names.routine(routine.name)).lower()
        for table, function in self.triggers:
            if function.lower() in (name, name.rsplit(".", 1)[-1]) or name.endswith("." + function.lower()):
                ref = self.names.of_text(table)
                for row in ("new", "old"):
                    self.memory.records[row] = self.memory.relation(ref) or Relation(ref=ref, is_open=True)

    def _triggered(self, routine: Header) -> None:
        """NEW, OLD, inserted and deleted are rows of the trigger's table."""
        ref = self.names.of_tokens(routine.table)
        if ref is not None:
            rows = self.memory.relation(ref) or Relation(ref=ref, is_open=True)
            for name in ("new", "old", "inserted", "deleted"):
                self.memory.records[name] = rows

    def _reads(self, piece: Piece, first: str, place: Place) -> None:
        """Conditions move nothing; cursors, loops over rows and assignments read tables into variables."""
        tokens, words = piece.tokens, [word(t) for t in piece.tokens]
        if first in ("IF", "ELSIF", "ELSEIF", "WHILE", "WHEN", "UNTIL", "CASE"):
            return
        if first == "FORALL":
            self.memory.variables.setdefault(tokens[1].text.lower(), {})
            return
        if self.procedural.read(tokens, place) or first in QUIET:
            return
        for i in range(1, len(tokens)):
            if words[i] not in ("SELECT", "WITH") or not (
                words[i - 1] in ("FOR", "IN", "IS", "QUERY", "RETURN", "PERFORM", "AS")
                or tokens[i - 1].text in ("(", ":=")
            ):
                continue
            inner = balanced(tokens[i:]) if tokens[i - 1].text == "(" else tokens[i:]
            self.rows(inner, place)
            return
        if first == "PERFORM" and "FROM" in words:
            self.rows([instead(tokens[0], TokenType.SELECT), *tokens[1:]], place)
        elif (
            piece.routine is None and not place.procedural and first not in ("DECLARE", "SET", "RETURN", "OPEN", "LET")
        ):
            begins = f" that begins with {first[:40]!r}" if first else ""
            self._problem(tokens[0].line + place.offset, f"a statement{begins} was not understood", piece.routine)

    # ---- what procedural statements ask for

    @property
    def progress(self) -> int:
        return len(self.entries) + len(self.problems) + self.dropped

    def rows(self, tokens: list[Token], place: Place, *, returned: bool = False) -> Relation | None:
        """The rows of a query; its tables count as read."""
        self.last_rows = None
        self._statement(tokens, place, quiet=not returned)
        return self.last_rows

    def expression(self, tokens: list[Token], place: Place) -> Relation | None:
        return self.rows([_select(tokens[0]), *tokens], place)

    def node(self, tokens: list[Token]) -> Any:
        """A parsed expression, or None."""
        if too_deep(tokens):
            return None
        try:
            parsed = self.dialect.parser().parse([_select(tokens[0]), *tokens], "")
        except ParseError:
            return None
        select = parsed[0] if parsed else None
        return select.expressions[0] if isinstance(select, exp.Select) and len(select.expressions) == 1 else None

    def dynamic(self, text: str, place: Place, *, silent: bool = False) -> Relation | None:
        """Read constant dynamic SQL where it is executed. silent: its rows go into variables."""
        if place.bodies >= MAX_BODIES:
            return None
        self.last_rows = None
        self.memory.marks = 0
        before, self.silent = self.silent, silent
        self._text(text, place.offset, place.routine, place.bodies + 1, place.path)
        self.silent = before
        return self.last_rows

    def bind(self, text: str, position: int, value: Value) -> None:
        """`:name` of dynamic SQL stands for the value at its position in USING."""
        names = list(dict.fromkeys(re.findall(r"(?<![:\w]):([A-Za-z]\w*)", text)))
        if position < len(names):
            self.memory.assign(names[position], value)

    def declare_table(self, name: str, tokens: list[Token]) -> None:
        ref = Ref(TableName((f"@{name}",)), temporary=True)
        at = next(i for i, t in enumerate(tokens) if t.text == "(")
        self.memory.define(ref, definitions.columns(balanced(tokens[at + 1 :]), self.names), temporary=True)

    def returns(self, routine: Header, rows: Relation) -> None:
        """Rows that calling a routine gives."""
        name = str(self.names.routine(routine.name)).casefold().split(".")[-1]
        if routine.returns and word(routine.returns[0]) == "TABLE":
            rows = rows.renamed(definitions.columns(routine.returns[2:], self.names) or [])
        self.memory.functions[name] = self.memory.followed(rows)
        self.last_returned[id(routine)] = self.memory.followed(rows)

    def rename(self, old: Ref, new: Ref, place: Place, line: int, *, swap: bool = False) -> None:
        entry = Entry(Tables("RENAME", (old,), (new,)), [], (old, new), swap)
        self.entries.append((entry, place.routine))
        self.statements.append(Statement("SWAP" if swap else "RENAME", (old.name,), (new.name,), line + place.offset))

    def moves(self, kind: str, inputs: list[Ref], outputs: list[Ref], place: Place, line: int) -> None:
        """A statement that moves whole tables; columns keep their names where they are known."""
        edges: list[Edge] = []
        if len(inputs) == 1 and len(outputs) == 1:
            known = self.memory.relation(inputs[0])
            edges = [(outputs[0], c.name, self.memory.follow(c.value)) for c in known.columns()] if known else []
        self._keep(Tables(kind, tuple(inputs), tuple(outputs)), edges, [], place, line + place.offset)

    def _loaded(self, moved: loading.Moved, tokens: list[Token], place: Place) -> None:
        line = tokens[0].line + place.offset
        inputs, edges = list(moved.inputs), list[Edge]()
        if moved.query:
            tables, effect, problems = self._parsed_query(moved.query, place)
            inputs = [*inputs, *(tables.inputs if tables is not None else ())]
            if effect is not None and moved.outputs:
                rows = effect.renamed(moved.columns or self.memory.columns_of(moved.outputs[0]) or [])
                edges = [(moved.outputs[0], c.name, c.value) for c in rows.columns()]
                if any(rows.stars()):
                    problems = [*problems, f"the columns behind * for {moved.outputs[0].name.name} are not known"]
            for reason in problems:
                self._problem(line, reason, place.routine, "columns")
        elif len(inputs) == 1 and len(moved.outputs) == 1:
            source = self.memory.relation(inputs[0])
            listed = moved.columns or ([c.name for c in source.columns()] if source is not None else [])
            base = source or Relation(ref=inputs[0], is_open=True)
            if moved.is_file:
                edges = [(moved.outputs[0], c, base.get(c) or {}) for c in listed]
        self._keep(Tables(moved.kind, tuple(dict.fromkeys(inputs)), moved.outputs), edges, [], place, line)

    def _parsed_query(self, tokens: list[Token], place: Place) -> tuple[Tables | None, Relation | None, list[str]]:
        try:
            (statement,) = self._parsed(tokens, place.text)
        except (ParseError, ValueError):
            self.report(tokens[0], "the query was not understood", place)
            return None, None, []
        tables = tables_of(statement, self.names)
        queries = Queries(self.names, self.memory, self.name)
        rows = queries.query(statement, None) if isinstance(statement, exp.Query) else None
        return tables, rows, list(queries.problems)

    # ---- SQL statements

    def _statement(self, tokens: list[Token], place: Place, *, quiet: bool = False) -> None:
        line = tokens[0].line + place.offset
        targets: list[Token] = []
        given: list[Token] = []
        tsql = self.name in ("tsql", "fabric")
        if not tsql and (place.procedural or quiet or self.name in ("mysql", "oracle")):
            tokens, targets = without_variables(tokens)
        if not tsql:
            tokens, given, into = without_returning(tokens)
            targets = targets or into
        if tsql:
            tokens = opened(compound(tokens), self._words)
        tokens = prepared(tokens)
        reason = too_deep(tokens)
        if reason:
            self._problem(line, reason, place.routine)
            return
        tokens, outputs = without_output(tokens)
        logs: list[Log] = [(table, columns, self._expressions(words)) for table, columns, words in outputs]
        if given:
            logs.append((None, [], self._expressions(given)))
        supplied: Relation | None = None
        if not tokens:
            return
        called = next((i for i, t in enumerate(tokens) if word(t) in ("EXEC", "EXECUTE")), 0)
        if called and word(tokens[0]) == "INSERT":
            supplied = self._executed(tokens[called:], place)
            tokens = [
                *tokens[:called],
                instead(tokens[called], TokenType.SELECT),
                instead(tokens[called], TokenType.NULL),
            ]
        try:
            parsed = self._parsed(tokens, place.text)
            error = None
        except ParseError as failed:
            parsed, error = [], failed
        if error is not None or any(isinstance(s, exp.Command) for s in parsed):
            simple = simplified(tokens)
            if simple is not None:
                with contextlib.suppress(ParseError):
                    parsed = self._parsed(simple, place.text)
                    error = None
        if error is not None or any(isinstance(s, exp.Command) for s in parsed):
            other, found = self._otherwise(place.text[tokens[0].start : tokens[-1].end + 1])
            if found:
                self._problem(line, f"not understood as {self.name or 'general SQL'}; read as {other}", place.routine)
                parsed, error = found, None
        if error is not None:
            at, why = _first(error, line - place.offset)
            self._problem(at + place.offset, why, place.routine)
            return
        for statement in parsed:
            if isinstance(statement, exp.Command):
                self._problem(line, f"{tokens[0].text.upper()[:40]} in a form that was not understood", place.routine)
            elif isinstance(statement, exp.Expression) and (tables := tables_of(statement, self.names)) is not None:
                self._effect(statement, tables, logs, supplied, place, line, quiet=quiet, targets=targets)

    def _otherwise(self, text: str) -> tuple[str, list[Any]]:
        """The statement as another dialect reads it: a script of the wrong dialect, or of several."""
        for name in _NEAREST:
            if name == self.name or self.attempts >= MAX_ATTEMPTS:
                continue
            self.attempts += 1
            dialect = Dialect.get_or_raise(name)
            with contextlib.suppress(ParseError, TokenError, ValueError, TypeError, AttributeError):
                tokens = _tokenizer(name)(dialect=dialect).tokenize(text)
                if too_deep(tokens):
                    continue
                parsed = dialect.parser().parse(tokens, text)
                if parsed and all(isinstance(s, (exp.Query, exp.DML, exp.Create, exp.Merge)) for s in parsed):
                    return name, list(parsed)
        return "", []

    def _expressions(self, tokens: list[Token]) -> list[Any]:
        try:
            (select,) = self.dialect.parser().parse([_select(tokens[0]), *tokens], "")
        except (ParseError, ValueError, IndexError):
            return []
        return list(select.expressions) if isinstance(select, exp.Select) else []

    def _executed(self, tokens: list[Token], place: Place) -> Relation | None:
        """Rows of INSERT .. EXEC: of a procedure of the script, or of constant dynamic SQL."""
        name = next((t.text for t in reversed(tokens[1:6]) if t.text.lower() in self.memory.functions), None)
        if name is not None:
            return self.memory.functions[name.lower()]
        if tokens[1].text == "(" or any(t.text.upper().strip("[]") == "SP_EXECUTESQL" for t in tokens[1:6]):
            self.last_rows = None
            self.procedural.read(tokens, place)
            rows: Relation | None = self.last_rows
            if rows is not None:
                return rows
        self.report(tokens[0], "the rows come from a procedure that was not followed", place)
        return None

    def _effect(
        self,
        statement: Any,
        tables: Tables,
        logs: list[Log],
        supplied: Relation | None,
        place: Place,
        line: int,
        *,
        quiet: bool,
        targets: list[Token],
    ) -> None:
        queries = Queries(self.names, self.memory, self.name)
        writer = Writes(queries, self.memory)
        writes: list[Write] = []
        returned: Relation | None = None
        try:
            writes, returned = writer.of(statement, logs)
        except (TooMuch, RecursionError):
            queries.problem("its columns would take too long; only its tables were read")
        if supplied is not None and writes:
            writes[0] = Write(writes[0].ref, writer.placed(supplied, writes[0].ref, writer.listed(statement.this)))
        extra = [ref for table, _, _ in logs if table is not None and (ref := self.names.ref(table))]
        tables = tables._replace(outputs=(*tables.outputs, *(r for r in extra if r not in tables.outputs)))
        edges: list[Edge] = []
        for write in writes:
            if any(write.rows.stars()) and not write.copies and not self._is_temporary(write):
                queries.problem(f"the columns behind * for {write.ref.name} are not known")
            edges += [(write.ref, c.name, c.value) for c in write.rows.columns()]
        self._keep(tables, edges, list(queries.problems), place, line)
        for write in writes:
            self._remember(write, replaced=supplied is not None)
        if isinstance(statement, exp.Query) and returned is not None:
            self.last_rows = returned
            assigned = self._assigned(statement, place)
            if targets:
                self.procedural.into(variables(targets), returned, place)
            elif not quiet and not self.silent and not assigned:
                key = id(place.routine) if place.routine else 0
                self.last_returned[key] = self.memory.followed(returned)
                if place.routine is not None:
                    self.returns(place.routine, returned)
        elif returned is not None:
            returning = statement.args.get("returning")
            into = returning.args.get("into") if returning is not None else None
            names = [into.name] if isinstance(into, exp.Expression) and into.name else []
            names = [e.name for e in into] if isinstance(into, list) else names
            if targets:
                names = variables(targets)
            if names:
                self.procedural.into(names, returned, place)

    def _is_temporary(self, write: Any) -> bool:
        return bool(write.ref.temporary or self.memory.is_temporary(write.ref))

    def _assigned(self, statement: Any, place: Place) -> bool:
        """T-SQL's and MySQL's SELECT @a = x: whether it assigned."""
        found = False
        if not isinstance(statement, exp.Select):
            return found
        rows = list(self.last_rows.columns()) if self.last_rows is not None else []
        for e, column in zip(statement.expressions, rows, strict=False):
            if isinstance(e, (exp.EQ, exp.PropertyEQ)) and isinstance(e.this, exp.Parameter):
                own = dict(column.value.items())
                if isinstance(e.expression, exp.Column):
                    own = dict.fromkeys(own)
                self.memory.assign(e.this.name, own, place.path)
                text = self.procedural.constant(e.expression)
                self.memory.texts[e.this.name.lower()] = text
                found = True
        return found

    def _remember(self, write: Any, *, replaced: bool) -> None:
        if write.creates:
            self.memory.define(write.ref, plain(write.rows), temporary=write.ref.temporary)
        if (self._is_temporary(write) and not replaced) or (replaced and self._is_temporary(write)):
            self.memory.fill(write.ref, write.rows)

    def _parsed(self, tokens: list[Token], text: str) -> list[Any]:
        """Raises ParseError. A function with too few arguments is none: `dbo.split(x)` is not sqlglot's SPLIT."""
        try:
            return list(self.dialect.parser().parse(tokens, text))
        except (TypeError, AttributeError) as error:  # the compiled parser checks types where the other one goes on
            raise ParseError("not understood") from error
        except ParseError as error:
            if not _is_about_arguments(error):
                raise
        try:
            self.dialect.parser(error_level=ErrorLevel.RAISE, max_errors=100).parse(tokens, text)
        except ParseError as error:
            if not _is_about_arguments(error):
                raise
        return list(self.dialect.parser(error_level=ErrorLevel.IGNORE).parse(tokens, text))

    def _keep(self, tables: Tables, edges: list[Edge], reasons: list[str], place: Place, line: int) -> None:
        memory = self.memory
        for reason in reasons:
            self._problem(line, reason, place.routine, "columns")
        if not (tables.inputs or tables.outputs):
            return
        inputs, outputs = tuple(r.name for r in tables.inputs), tuple(r.name for r in tables.outputs)
        own = Columns(self.texts)
        for ref, column, value in edges:
            own.add(ref, column, value)
        problems = tuple(Problem(f"line {line}", reason, "columns") for reason in reasons)
        self.statements.append(Statement(tables.kind, inputs, outputs, line, own.made(), problems))
        marked = Tables(
            tables.kind,
            tuple(Ref(r.name, memory.is_temporary(r)) for r in tables.inputs),
            tuple(Ref(r.name, memory.is_temporary(r)) for r in tables.outputs),
        )
        followed = [(ref, column, memory.follow(value)) for ref, column, value in edges if not memory.is_temporary(ref)]
        self.entries.append((Entry(marked, followed), place.routine))


def words_of(tokens: list[Token]) -> list[str]:
    return [word(t) for t in tokens]


def _select(token: Token) -> Token:
    return Token(TokenType.SELECT, "SELECT", token.line, token.col, token.start, token.start)


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
    return bool(words & {"VIEW", "TABLE"}) and bool(words & {"SELECT", "WITH", "CLONE", "VALUES", "COPY", "FROM"})
