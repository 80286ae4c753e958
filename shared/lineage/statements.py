"""One SQL statement: parsed, its tables and columns kept, what it leaves for the statements after it."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any

from sqlglot import exp
from sqlglot.errors import ParseError
from sqlglot.tokenizer_core import TokenType

from shared.lineage.bounds import condensed, too_deep
from shared.lineage.clauses import (
    nested_writes,
    output_list,
    simplified,
    without_output,
    without_position,
    without_returning,
    without_variables,
)
from shared.lineage.documents import tabled
from shared.lineage.environment import plain
from shared.lineage.expressions import TooMuch
from shared.lineage.flow import Edge, Entry
from shared.lineage.model import TableName
from shared.lineage.parsing import first_error
from shared.lineage.queries import Queries
from shared.lineage.relations import Column, Relation, Star
from shared.lineage.repairing import MAX_TRIES, repaired
from shared.lineage.rewriting import compound, opened, prepared
from shared.lineage.skimming import skimmed
from shared.lineage.spelling import Spelling
from shared.lineage.tables import HOLE, Ref, Tables, tables_of
from shared.lineage.tokens import instead, named, variables
from shared.lineage.transact import rewritten
from shared.lineage.updates import Write
from shared.lineage.vendors import reworded, without_error_log
from shared.lineage.words import word
from shared.lineage.writes import Log, Writes

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

    from shared.lineage.findings import Place
    from shared.lineage.loading import Moved
    from shared.lineage.script import Script
    from shared.lineage.tables import Ref


class Statements:
    """Reads the SQL statements of the script that it belongs to."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.name = script.name
        self.names = script.names
        self.memory = script.memory
        self.parsing = script.parsing
        self.findings = script.findings
        self.composed = 0
        self.spelling: Spelling | None = None

    def read(
        self, tokens: list[Token], place: Place, *, quiet: bool = False, output: list[Token] | None = None
    ) -> None:
        """output: what an OUTPUT clause around lists; its rows are the last rows then."""
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
            tokens = opened(compound(rewritten(self._composed(tokens, place))), self.parsing.words)
        tokens = condensed(tabled(reworded(prepared(without_position(tokens)))))
        tokens, rejected = without_error_log(tokens)
        reason = too_deep(tokens)
        if reason:
            self.skimmed(tokens, line, reason, place)
            return
        tokens, outputs = without_output(tokens)
        logs: list[Log] = [(table, columns, self.parsing.expressions(words)) for table, columns, words in outputs]
        refused = self.names.of_tokens(rejected) if rejected else None
        if tsql and word(tokens[0]) in ("INSERT", "UPDATE", "DELETE", "MERGE", "WITH"):
            tokens, given = output_list(tokens)
        given = output or given
        if given:
            logs.append((None, [], self.parsing.expressions(given)))
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
            parsed = self.parsing.parsed(tokens, place.text)
            error = None
        except ParseError as failed:
            parsed, error = [], failed
        except RecursionError:
            self.skimmed(tokens, line, "nested too deeply", place)
            return
        if error is not None or any(isinstance(s, exp.Command) for s in parsed):
            simple = simplified(tokens)
            if simple is not None:
                with contextlib.suppress(ParseError):
                    parsed = self.parsing.parsed(simple, place.text)
                    error = None
        if error is not None:
            for attempt in itertools.islice(repaired(tokens, error), MAX_TRIES):
                if not self.parsing.has_time(attempt):
                    break
                with contextlib.suppress(ParseError, RecursionError):
                    parsed = self.parsing.parsed(attempt, place.text)
                    error = None
                    break
        if error is not None or any(isinstance(s, exp.Command) for s in parsed):
            text = place.text[tokens[0].start : tokens[-1].end + 1]
            other, found = self.parsing.otherwise(text) if HOLE not in text else ("", [])
            if found:
                self.findings.problem(
                    line, f"not understood as {self.name or 'general SQL'}; read as {other}", place.routine
                )
                parsed, error = found, None
        if error is not None:
            at, why = first_error(error, line - place.offset)
            self.skimmed(tokens, at + place.offset, why, place)
            return
        for statement in parsed:
            self.spelling = Spelling(tokens, place.text)
            if isinstance(statement, exp.Command):
                self.skimmed(tokens, line, f"{tokens[0].text.upper()[:40]} in a form that was not understood", place)
            elif isinstance(statement, exp.Expression) and (tables := tables_of(statement, self.names)) is not None:
                if refused is not None:
                    tables = tables._replace(outputs=(*tables.outputs, refused))
                self._effect(statement, tables, logs, supplied, place, line, quiet=quiet, targets=targets)

    def skimmed(self, tokens: list[Token], line: int, reason: str, place: Place) -> None:
        """The tables of a statement that was not parsed, and why it was not."""
        if any(HOLE in t.text for t in tokens):
            reason = "dynamic SQL: its text is not constant"
        read = "only its tables were read" if self.skim(tokens, place) else "not read"
        self.findings.problem(line, f"{reason}; {read}", place.routine)

    def skim(self, tokens: list[Token], place: Place) -> bool:
        """Keep the tables of a statement without parsing it; whether there are any."""
        tables = skimmed(tokens, self.names)
        if tables is None:
            return False
        makes = tables.kind.startswith(("CREATE", "SELECT INTO"))
        for ref in tables.outputs if makes else ():
            self.memory.define(ref, None, temporary=ref.temporary)
        self.findings.keep(tables, [], [], place, tokens[0].line + place.offset)
        return True

    def _composed(self, tokens: list[Token], place: Place) -> list[Token]:
        """T-SQL's INSERT over the OUTPUT of another write: that is read first, its rows are a temporary table."""
        for start, end in reversed(nested_writes(tokens)):
            inner, listed = output_list(tokens[start + 1 : end])
            rows = self._rows_of(inner, listed, place)
            if rows is None:
                continue
            self.composed += 1
            name = named(f"#output{self.composed}", tokens[start])
            ref = Ref(TableName((name.text,)), temporary=True)
            self.memory.define(ref, plain(rows), temporary=True)
            self.memory.fill(ref, rows)
            sources = tuple(dict.fromkeys(s.ref for c in rows.columns() for s in c.value))
            self.findings.entries.append((Entry(Tables("OUTPUT", sources, (ref,)), []), place.routine))
            tokens = [*tokens[:start], name, *tokens[end + 1 :]]
        return tokens

    def _rows_of(self, tokens: list[Token], listed: list[Token], place: Place) -> Relation | None:
        self.memory.last_rows = None
        self.read(tokens, place, output=listed)
        return self.memory.last_rows

    def _executed(self, tokens: list[Token], place: Place) -> Relation | None:
        """Rows of INSERT .. EXEC: of a procedure of the script, or of constant dynamic SQL."""
        rows = self.script.procedural.captured(tokens, place)
        if rows is not None:
            return rows
        name = next((t.text for t in reversed(tokens[1:6]) if t.text.lower() in self.memory.functions), None)
        return self.memory.functions[name.lower()] if name is not None else None

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
        queries.spelling = self.spelling
        writer = Writes(queries, self.memory)
        writes: list[Write] = []
        returned: Relation | None = None
        try:
            writes, returned = writer.of(statement, logs)
        except (TooMuch, RecursionError):
            queries.problem("its columns would take too long; only its tables were read")
        except Exception as error:  # noqa: BLE001  sqlglot's trees of odd text have odd shapes; the tables are right
            queries.problem(f"reading its columns failed with {type(error).__name__}; only its tables were read")
        if supplied is not None and writes:
            writes[0] = Write(writes[0].ref, writer.placed(supplied, writes[0].ref, writer.listed(statement.this)))
        extra = [ref for table, _, _ in logs if table is not None and (ref := self.names.ref(table))]
        tables = tables._replace(outputs=(*tables.outputs, *(r for r in extra if r not in tables.outputs)))
        edges: list[Edge] = []
        for write in writes:
            if any(write.rows.stars()) and not write.copies and not self._is_temporary(write):
                queries.problem(f"the columns behind * for {write.ref.name} are not known")
            edges += [(write.ref, c.name, c.value) for c in write.rows.columns() if HOLE not in c.name.lower()]
        bare = returned if isinstance(statement, exp.Query) and not writes else None
        self.findings.keep(tables, edges, list(queries.problems), place, line, bare)
        for write in writes:
            self._remember(write, replaced=supplied is not None)
        if isinstance(statement, exp.Query) and returned is not None:
            self.memory.last_rows = returned
            assigned = self._assigned(statement, place)
            if targets:
                self.script.procedural.into(variables(targets), returned, place)
            elif assigned or quiet or self.script.silent:
                pass
            elif self.script.capture is not None:
                self.script.capture.append(self.memory.followed(returned))
            elif not self.findings.quiet:
                self.findings.returned(place.routine, returned)
                self.memory.last_query = self.memory.followed(returned)
                if place.routine is not None:
                    self.script.routines.returns(place.routine, returned)
        elif returned is not None:
            returning = statement.args.get("returning")
            into = returning.args.get("into") if returning is not None else None
            names = [into.name] if isinstance(into, exp.Expression) and into.name else []
            names = [e.name for e in into] if isinstance(into, list) else names
            if targets:
                names = variables(targets)
            self.memory.last_rows = returned
            if names:
                self.script.procedural.into(names, returned, place)
            elif place.routine is not None and place.routine.language == "SQL" and returning is not None:
                self.script.routines.returns(place.routine, returned)  # the last statement of an SQL function

    def _is_temporary(self, write: Any) -> bool:
        return bool(write.ref.temporary or self.memory.is_temporary(write.ref))

    def _assigned(self, statement: Any, place: Place) -> bool:
        """T-SQL's and MySQL's SELECT @a = x: whether it assigned."""
        found = False
        if not isinstance(statement, exp.Select):
            return found
        rows = list(self.memory.last_rows.columns()) if self.memory.last_rows is not None else []
        for e, column in zip(statement.expressions, rows, strict=False):
            if isinstance(e, (exp.EQ, exp.PropertyEQ)) and isinstance(e.this, exp.Parameter):
                own = dict(column.value.items())
                if isinstance(e.expression, exp.Column):
                    own = dict.fromkeys(own)
                self.memory.assign(e.this.name, own, place.path)
                self.memory.texts[e.this.name.lower()] = self.script.procedural.constant(e.expression)
                found = True
        return found

    def _remember(self, write: Any, *, replaced: bool) -> None:
        if write.creates:
            self.memory.define(write.ref, plain(write.rows), temporary=write.ref.temporary)
        if (self._is_temporary(write) and not replaced) or (replaced and self._is_temporary(write)):
            self.memory.fill(write.ref, write.rows)

    # ---- files and stages

    def loaded(self, moved: Moved, tokens: list[Token], place: Place) -> None:
        line = tokens[0].line + place.offset
        moved = moved._replace(inputs=self._known(moved.inputs), outputs=self._known(moved.outputs))
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
                self.findings.problem(line, reason, place.routine, "columns")
        elif len(inputs) == 1 and len(moved.outputs) == 1:
            source = self.memory.relation(inputs[0])
            listed = moved.columns or ([c.name for c in source.columns()] if source is not None else [])
            base = source or Relation(ref=inputs[0], is_open=True)
            if moved.is_file:
                edges = [(moved.outputs[0], c, base.get(c) or {}) for c in listed]
        self.findings.keep(Tables(moved.kind, tuple(dict.fromkeys(inputs)), moved.outputs), edges, [], place, line)
        if moved.kind == "CREATE EXTERNAL TABLE" and moved.columns:
            self.memory.define(moved.outputs[0], moved.columns, temporary=False)
        for ref in moved.outputs:
            if ref.temporary or self.memory.is_temporary(ref):
                self._filled(ref, moved, inputs, edges)

    def _filled(self, ref: Ref, moved: Moved, inputs: list[Ref], edges: list[Edge]) -> None:
        """A temporary table has a query's columns; a view over files has theirs; what is loaded has no known names."""
        rows = Relation([Column(name, value) for _, name, value in edges])
        if moved.kind == "CREATE VIEW":
            rows = Relation([Star((Relation(ref=i, is_open=True),)) for i in inputs])
        self.memory.fill(ref, rows)

    def _known(self, files: tuple[Ref, ...]) -> tuple[Ref, ...]:
        """Without those whose name in dynamic SQL is not constant."""
        known = tuple(f for f in files if HOLE not in f.name.name)
        self.names.unknown += len(files) - len(known)
        return known

    def _parsed_query(self, tokens: list[Token], place: Place) -> tuple[Tables | None, Relation | None, list[str]]:
        try:
            (statement,) = self.parsing.parsed(tokens, place.text)
        except (ParseError, ValueError):
            self.findings.report(tokens[0], "the query was not understood", place)
            return None, None, []
        tables = tables_of(statement, self.names)
        queries = Queries(self.names, self.memory, self.name)
        rows = queries.query(statement, None) if isinstance(statement, exp.Query) else None
        return tables, rows, list(queries.problems)
