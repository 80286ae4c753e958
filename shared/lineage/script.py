"""A whole script: split, each statement given to the module that reads its kind, within the budget."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterable, Mapping

from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage import definitions, engines, handlers, loading, room, teradata
from shared.lineage.bounds import LONG, condensed, too_deep
from shared.lineage.calls import Bodies, Body
from shared.lineage.clients import removed
from shared.lineage.dialects import family
from shared.lineage.environment import Memory, Temp
from shared.lineage.findings import Findings, Place
from shared.lineage.flow import Edge
from shared.lineage.headers import Header
from shared.lineage.lookup import Lookup
from shared.lineage.loops import Loops
from shared.lineage.model import ScriptLineage, TableName
from shared.lineage.parsing import Parsing, dialect_of
from shared.lineage.procedural import Procedural
from shared.lineage.recovery import cleaned, recovered
from shared.lineage.relations import Relation, Value
from shared.lineage.rewriting import identifiers, separate
from shared.lineage.room import Clock
from shared.lineage.routines import Routines
from shared.lineage.splitting import Piece, Splitter
from shared.lineage.statements import Statements
from shared.lineage.tables import HOLE, Names, Ref, Tables
from shared.lineage.texts import bridged
from shared.lineage.tokens import balanced, instead, select
from shared.lineage.vendors import without_functions
from shared.lineage.words import QUIET, READ, ROUTINES, is_string, word

#: a longer text is a dump, not a script
MAX_TEXT = 4 * 1024 * 1024
#: what a routine's LANGUAGE may say for its body to be read
SQL_LANGUAGES = frozenset({"", "SQL", "PLPGSQL"})
#: a byte order mark, and the end of a file of old
_MARKS = {0xFEFF: " ", 0x1A: " "}
#: bodies within bodies: DO $$ .. EXECUTE $q$ .. $q$ .. $$
MAX_BODIES = 3
#: dialects in which an expression may name a table
_NAMING = frozenset({"snowflake", "databricks", "spark"})


#: heads of statements that give values to variables
_ASSIGNING = frozenset({"DECLARE", "SET", "RETURN", "OPEN", "LET"})


class Script:
    """Reads one text, statement by statement; bodies inside strings and dynamic SQL are read the same way."""

    def __init__(
        self,
        sql: str,
        dialect: str,
        database: str,
        schema: str,
        schemas: Mapping[str, Mapping[str, str]] | Lookup | None,
        budget_seconds: float,
    ) -> None:
        self.sql, wrong = cleaned(sql, MAX_TEXT)
        grammar, self.dialect, notice = dialect_of(dialect)
        self.name = family(grammar)
        self.names = Names(self.dialect, self.name, database, schema)
        self.memory = Memory(self.names, schemas)
        self.findings = Findings(self.sql, grammar, self.memory)
        self.parsing = Parsing(grammar, self.dialect)
        self.procedural = Procedural(self)
        self.statements = Statements(self)
        self.routines = Routines(self)
        self.clock = Clock(budget_seconds)
        self.is_roomy = room.needed(sql)
        self.only_tables: bool | None = None  # None: there is time for everything
        self.is_tsql = self.name in ("tsql", "fabric")
        self.is_plpgsql = self.name in ("postgres", "redshift", "")
        self.routine: Header | None = None
        self.session: dict[str, Temp] | None = None
        self.silent = False
        self.capture: list[Relation] | None = None  # rows that INSERT .. EXEC takes
        self.bodies = Bodies(self.names)
        self.memory.missing = self._read_ahead
        self.prepared: dict[str, list[Token]] = {}
        self.imported: Ref | None = None  # Teradata's clients: the file that is read,
        self.exported: Ref | None = None  # and the one that queries go to
        if notice:
            self.findings.problem(1, notice)
        if wrong:
            self.findings.problem(1, wrong)

    def read(self) -> ScriptLineage:
        try:
            text, self.parsing.known = removed(self.sql.translate(_MARKS), self.name)
            self._text(text, 0, None, 0)
        except Exception as error:  # noqa: BLE001  what is found so far counts
            self.findings.problem(1, f"reading the script failed with {type(error).__name__}; not read to its end")
        return self.findings.made()

    def _text(self, text: str, offset: int, routine: Header | None, level: int, path: tuple[int, ...] = ()) -> None:
        """Read `text`, whose first line is line 1 + offset; `routine`: where it is the body of one."""
        try:
            tokens = self.parsing.tokens(text)
        except (TokenError, ValueError, RecursionError):  # their texts show the SQL, which may hold a credential
            tokens, unread = recovered(text, self.parsing.tokens)
            for line in unread:
                self.findings.problem(
                    line + offset, "cannot be split into words, a quote or comment is probably open; not read", routine
                )
        if self.name == "oracle":
            tokens = without_functions(separate(tokens))
        elif self.name == "teradata":
            tokens = teradata.plain(tokens, text, self)
        if HOLE in text:
            tokens, lost = bridged(tokens)
            self.names.unknown += lost
        splitter = Splitter(tokens, tsql=self.is_tsql)
        pieces: Iterable[Piece] = splitter.pieces()
        if "HANDLER" in splitter.words:
            pieces = handlers.last(pieces)
        bodies: dict[int, Body] = {}
        if not ROUTINES.isdisjoint(splitter.words):  # all of them first: a routine may be called before it is created
            pieces = list(pieces)
            bodies = self._bodies(pieces, splitter.heads, text, offset)
        is_body = not self.is_tsql and bool(tokens) and word(tokens[0]) == "DECLARE"  # a routine's, without its head
        loops = Loops(self, splitter.loops)
        for piece in pieces:
            head = piece.routine or routine
            body = bodies.get(id(piece.routine))
            if body is not None and body.is_read:
                continue
            if self.clock.is_spent() and not self._goes_on(piece.tokens[0].line + offset, head):
                break
            procedural = head is not None or level > 0 or bool(piece.path) or self.name in ("oracle", "snowflake")
            procedural = procedural or is_body
            place = Place(head, (*path, *piece.path), text, offset, level, procedural)
            loops.before(piece.path)
            self.safely(piece, place)
            loops.after(piece, place)
        loops.before(())
        if routine is None and level == 0:
            self.routines.within(None, ())
            self.findings.ends = splitter.ends

    def _goes_on(self, line: int, routine: Header | None) -> bool:
        """Whether there is still time to look for tables."""
        ends = self.clock.is_spent(more=True)
        if self.only_tables is None or (ends and self.only_tables):
            rest = "nothing was read" if ends else "only tables were read"
            self.findings.problem(line, f"the time budget is spent; from here on {rest}", routine)
            self.only_tables = not ends
        return not ends

    def safely(self, piece: Piece, place: Place) -> None:
        line = piece.tokens[0].line + place.offset
        known = self.names.unknown
        try:
            self._piece(piece._replace(routine=place.routine), place)
        except (IndexError, ValueError):  # it ends before what its words promise
            self.findings.problem(line, "the statement breaks off; not read", place.routine)
        except Exception as error:  # noqa: BLE001  whatever odd text does to us or to sqlglot, the rest goes on
            with contextlib.suppress(Exception):
                if word(piece.tokens[0]) in READ:
                    self.statements.skim(piece.tokens, place)
            self.findings.problem(line, f"reading it failed with {type(error).__name__}", place.routine)
        if self.names.unknown > known:
            self.findings.report(piece.tokens[0], "a part of its text is not constant and was left out", place)
            self.names.unknown = known

    # ---- routines that are called

    def _bodies(self, pieces: list[Piece], heads: dict[int, list[Token]], text: str, offset: int) -> dict[int, Body]:
        """The routines that the statements stand in; from now on they can be called."""
        found: dict[int, Body] = {}
        for piece in pieces:
            if piece.routine is None:
                continue
            body = found.get(id(piece.routine))
            if body is None:
                body = Body(piece.routine, heads.get(id(piece.routine), []), text, offset)
                found[id(piece.routine)] = body
                self.bodies.add(body)
            body.pieces.append(piece)
        return found

    def follow(self, body: Body, place: Place) -> None:
        """Read a body again for a call; it counts as the caller's."""
        self.findings.quiet += 1
        try:
            for piece in body.pieces:
                if self.clock.is_spent():
                    break
                inner = Place(place.routine, (*place.path, *piece.path), body.text, body.offset, place.bodies, True)
                self.safely(piece, inner)
        finally:
            self.findings.quiet -= 1

    def _read_ahead(self, name: str) -> bool:
        """Read a function that is called before the place where it is created."""
        body = self.bodies.named(name)
        if body is None or body.is_read or body.is_active or body.header.kind != "FUNCTION":
            return False
        if body.header is self.routine:
            return False
        body.is_read = True
        kept, temps, routine = self.memory.frame(), dict(self.memory.temps), self.routine
        around = self.routines.aside()
        flags, rows = (self.silent, self.capture, self.findings.quiet), self.memory.last_rows
        here = self.memory.variables.here
        self.silent, self.capture, self.findings.quiet = False, None, 0
        for piece in body.pieces:
            place = Place(body.header, piece.path, body.text, body.offset, 0, True)
            self.safely(piece, place)
        self.silent, self.capture, self.findings.quiet = flags
        self.routines.back(around)
        self.memory.restore(kept)
        self.memory.at(here)
        self.memory.temps.clear()
        self.memory.temps.update(temps)
        self.memory.last_rows, self.routine = rows, routine
        return name in self.memory.functions or name in self.memory.results

    def again(self, tokens: list[Token], place: Place) -> None:
        """Read some tokens as a statement of their own."""
        self._piece(Piece(tokens, False, place.routine, (), self.routines.inside), place)

    def _piece(self, piece: Piece, place: Place) -> None:
        self.memory.at(place.path)
        tokens = list(itertools.dropwhile(lambda t: t.text == "/", piece.tokens))  # SQL*Plus: run what stands above
        if tokens and tokens[-1].text == ")" and len(balanced(tokens)) == len(tokens) - 1:
            tokens.pop()  # the end of a rule's list of statements
        if not tokens:
            return
        if self.is_tsql and piece.routine is None and self.routine is not None:
            self.routine = None
            self._leave()
        if piece.routine is not None and piece.routine is not self.routine:
            self.routine = piece.routine
            if self.is_tsql:
                self._set_aside()
            self.routines.within(piece.routine, piece.locals)
        elif place.bodies == 0 and not self.findings.quiet:
            self.routines.within(piece.routine, piece.locals)
        tokens = condensed(tokens)
        reason = too_deep(tokens) if len(tokens) > LONG else ""
        if reason:  # nor do we look through it again and again
            self.statements.skimmed(tokens, tokens[0].line + place.offset, reason, place)
            return
        tokens = engines.rewritten(tokens, self.name)
        if self.name in _NAMING and any(word(t) in ("IDENTIFIER", "TABLE") for t in tokens):
            tokens = identifiers(tokens, self.procedural.text)
        piece = piece._replace(tokens=tokens)
        first = word(tokens[0])
        if first == "CREATE" and self.prepared and words_of(tokens[-3:-1]) == ["AS", "EXECUTE"]:
            tokens = [*tokens[:-2], *self.prepared.get(tokens[-1].text.lower(), tokens[-2:])]
        body = next((t for t in tokens[:2] if is_string(t)), None)
        if body is not None and body is tokens[0] and not _foreign(tokens):
            language = piece.routine.language if piece.routine is not None and not place.bodies else ""
            if language not in SQL_LANGUAGES:
                if piece.routine is not None and piece.routine.kind == "PROCEDURE":
                    self.findings.report(body, f"the procedure is written in {language.lower()}; not read", place)
                return
            if place.bodies < MAX_BODIES:
                offset = body.line - body.text.count("\n") - 1 + place.offset
                self._text(body.text, offset, piece.routine, place.bodies + 1, place.path)
            return
        if not piece.control:
            if engines.read(tokens, self, place):
                return
            moved = loading.read(tokens, place.text, self.names, self.name)
            if moved is not None:
                self.statements.loaded(moved, tokens, place)
                return
            if definitions.read(tokens, self, place):
                return
        if words_of(tokens[:4])[:2] == ["ALTER", "VIEW"] or words_of(tokens[:4]) == ["CREATE", "OR", "ALTER", "VIEW"]:
            at = 1 if first == "ALTER" else 3
            tokens = [instead(tokens[0], TokenType.CREATE), *tokens[at:]]
            piece, first = piece._replace(tokens=tokens), "CREATE"
        query = tokens[0].text == "(" and any(word(t) in ("SELECT", "WITH") for t in tokens[1:4])
        if piece.control or not (first in READ or query):
            if not self.only_tables:
                self._reads(piece, first, place)
            return
        if first == "CREATE" and not _makes_data(tokens):
            return
        if self.only_tables:
            self.statements.skim(tokens, place)
        else:
            self.statements.read(tokens, place)

    def _set_aside(self) -> None:
        """T-SQL: temporary tables of the session are not seen where a routine is created, and its own end with it."""
        if self.session is None:
            self.session = dict(self.memory.temps)
        shared = {k: t for k, t in self.memory.temps.items() if k.startswith("##")}
        self.session.update(shared)
        self.memory.temps.clear()
        self.memory.temps.update(shared)

    def _leave(self) -> None:
        """The end of a routine: the session's temporary tables are there again."""
        if self.session is not None:
            shared = {k: t for k, t in self.memory.temps.items() if k.startswith("##")}
            self.memory.temps.clear()
            self.memory.temps.update({**self.session, **shared})
            self.session = None

    def rows_of(self, ref: Ref, names: tuple[str, ...]) -> None:
        """The names of a table's rows in its trigger or rule."""
        rows = self.memory.relation(ref) or Relation(ref=ref, is_open=True)
        for name in names:
            self.memory.records[name] = rows

    def _reads(self, piece: Piece, first: str, place: Place) -> None:
        """Conditions move nothing; cursors, loops over rows and assignments read tables into variables."""
        tokens, words = piece.tokens, [word(t) for t in piece.tokens]
        if first in ("IF", "ELSIF", "ELSEIF", "WHILE", "WHEN", "UNTIL", "CASE", "EXPLAIN", "GRANT", "REVOKE"):
            return
        if first == "FORALL":
            self.memory.variables.setdefault(tokens[1].text.lower(), {})
            return
        if (
            self.procedural.read(tokens, place)
            or first.split(" ", maxsplit=1)[0] in QUIET
            or first == "UPDATE STATISTICS"
        ):
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
        if self.is_tsql and (first[:3] in ("SP_", "XP_") or self.bodies.of(definitions.name_at(tokens, 0)[0])):
            self.procedural.execute([tokens[0], *tokens], ["EXEC", *words], place)  # the first of a batch needs no EXEC
        elif piece.routine is None and not place.procedural and first not in _ASSIGNING:
            begins = f" that begins with {first[:40]!r}" if first else ""
            self.findings.report(tokens[0], f"a statement{begins} was not understood", place)

    # ---- what procedural statements ask for

    def rows(self, tokens: list[Token], place: Place, *, returned: bool = False) -> Relation | None:
        """The rows of a query; its tables count as read."""
        self.memory.last_rows = None
        self.statements.read(tokens, place, quiet=not returned)
        return self.memory.last_rows

    def expression(self, tokens: list[Token], place: Place) -> Relation | None:
        return self.rows([select(tokens[0]), *tokens], place)

    def dynamic(self, text: str, at: Token, place: Place, *, silent: bool = False, remote: str = "") -> Relation | None:
        """Read constant dynamic SQL where it is executed, at a token. silent: its rows go into variables."""
        if place.bodies >= MAX_BODIES:
            return None
        if self.name == "oracle":  # :1 is no name to the grammar
            text = re.sub(r"(?<![:\w]):(\d+)\b", r":b\1", text)
        self.memory.last_rows = None
        self.memory.marks = 0
        before, self.silent = self.silent, silent or self.silent
        defaults = self.names.defaults
        self.names.server = remote or self.names.server
        line = at.line + place.offset - 1
        if not self.is_roomy and room.needed(text):
            self.is_roomy = True
            self.clock.run(lambda: self._text(text, line, place.routine, place.bodies + 1, place.path))
            self.is_roomy = False
        else:
            self._text(text, line, place.routine, place.bodies + 1, place.path)
        if self.is_tsql:  # USE in dynamic SQL ends with it
            self.names.defaults = defaults
        self.silent = before
        return self.memory.last_rows

    def bind(self, text: str, position: int, value: Value) -> None:
        """`:name` of dynamic SQL stands for the value at its position in USING."""
        names = list(dict.fromkeys(re.findall(r"(?<![:\w]):([A-Za-z]\w*)", text)))
        if position < len(names):
            self.memory.assign(names[position], value)

    def declare_table(self, name: str, tokens: list[Token]) -> None:
        ref = Ref(TableName((f"@{name}",)), temporary=True)
        at = next(i for i, t in enumerate(tokens) if t.text == "(")
        self.memory.define(ref, definitions.columns(balanced(tokens[at + 1 :]), self.names), temporary=True)

    def moves(self, kind: str, inputs: list[Ref], outputs: list[Ref], place: Place, line: int) -> None:
        """A statement that moves whole tables; columns keep their names where they are known."""
        edges: list[Edge] = []
        if len(inputs) == 1 and len(outputs) == 1:
            known = self.memory.relation(inputs[0])
            edges = [(outputs[0], c.name, self.memory.follow(c.value)) for c in known.columns()] if known else []
        self.findings.keep(Tables(kind, tuple(inputs), tuple(outputs)), edges, [], place, line + place.offset)


def words_of(tokens: list[Token]) -> list[str]:
    return [word(t) for t in tokens]


def _foreign(tokens: list[Token]) -> bool:
    """A routine's body in a language that is not SQL: LANGUAGE c, python, javascript .. before it or behind it."""
    words = [word(t) for t in tokens]
    if "LANGUAGE" not in words[:-1]:
        return False
    return tokens[words.index("LANGUAGE") + 1].text.upper() not in SQL_LANGUAGES


def _makes_data(tokens: list[Token]) -> bool:
    """Whether a CREATE can be TABLE .. AS, VIEW .. AS or CLONE; the rest defines and moves nothing."""
    listed = [word(t) for t in tokens]
    if not {"INDEX", "STATISTICS", "POLICY", "SEQUENCE", "ROLE", "USER"}.isdisjoint(listed[1:4]):
        return False
    words = set(listed)
    made = bool(words & {"SELECT", "WITH", "CLONE", "VALUES", "COPY", "FROM"}) or listed.count("TABLE") > 1
    return made and bool(words & {"VIEW", "TABLE", "MODEL"})
