"""Calls of routines that the script creates: their bodies are read again with the values that the call gives.

A body is read where it is created; a call adds only what that reading could not know: values and texts of parameters,
temporary tables of the caller, output parameters, and the rows of INSERT .. EXEC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from shared.lineage.dynamic import Dynamic
from shared.lineage.flow import Entry
from shared.lineage.headers import Parameter, parameters_of
from shared.lineage.model import TableName
from shared.lineage.relations import Relation, Value, union
from shared.lineage.tables import HOLE, Ref, Tables
from shared.lineage.tokens import balanced, opens, parts
from shared.lineage.words import word

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

    from shared.lineage.findings import Place
    from shared.lineage.headers import Header
    from shared.lineage.splitting import Piece

#: procedures that run a command for each database or table
_EACH = frozenset({"sp_msforeachdb", "sp_msforeachtable", "sp_foreachdb", "sp_ineachdb"})
#: calls within calls, and calls of one script, that are followed
MAX_DEEP = 4
MAX_CALLS = 200
#: words that are read again for calls
MAX_AGAIN = 150_000


class Body:
    """A routine's statements, kept for its calls. text, offset: what its tokens point into."""

    def __init__(self, header: Header, head: list[Token], text: str, offset: int) -> None:
        self.header = header
        self.parameters: list[Parameter] = parameters_of(head)
        self.pieces: list[Piece] = []
        self.text = text
        self.offset = offset
        self.is_read = False
        self.is_active = False

    @property
    def size(self) -> int:
        return sum(len(p.tokens) for p in self.pieces)

    def mentions(self, *wanted: str) -> bool:
        return any(t.text.upper() in wanted for piece in self.pieces for t in piece.tokens)

    def uses(self, temps: set[str]) -> bool:
        """Whether it names one of these temporary tables, or runs something that may."""
        for piece in self.pieces:
            for i, t in enumerate(piece.tokens):
                if t.text == "#" and i + 1 < len(piece.tokens) and f"#{piece.tokens[i + 1].text}".casefold() in temps:
                    return True
                if t.text.casefold() in temps or word(t) in ("EXEC", "EXECUTE"):
                    return True
        return False


class Argument(NamedTuple):
    """name: of the parameter, "" where it is given by its position."""

    name: str
    tokens: list[Token]
    is_output: bool

    @property
    def variable(self) -> str:
        """The caller's variable, where the argument is one."""
        return self.tokens[1].text.lower() if len(self.tokens) == 2 and self.tokens[0].text == "@" else ""


class Given(NamedTuple):
    """A parameter with what the call gives it. variable: the caller's, where it gets the parameter's value back."""

    name: str
    value: Value
    texts: tuple[str, ...]
    variable: str
    table: str


class Calls(Dynamic):
    """The part of the procedural reader that follows T-SQL's EXEC."""

    deep = 0
    calls = 0
    again = 0

    if TYPE_CHECKING:

        def read(self, tokens: list[Token], place: Place) -> bool: ...

    def execute(self, tokens: list[Token], words: list[str], place: Place) -> bool:
        if self.script.name not in ("tsql", "fabric") or words[0] == "CALL":
            return super().execute(tokens, words, place)
        rest = tokens[1:]
        result = ""
        if len(rest) > 3 and rest[0].text == "@" and rest[2].text == "=":  # EXEC @rc = procedure
            result, rest = rest[1].text.lower(), rest[3:]
        if not rest:
            return True
        if rest[0].text == "(":
            inner = balanced(rest[1:])
            remote = (
                [t.text for t in rest[len(inner) + 3 :]]
                if word(rest[-1]) != "AT" and len(rest) > len(inner) + 3
                else []
            )
            self._run(self.texts(inner), tokens[0], place, remote[0] if remote else "")
            return True
        name, end = _name(rest)
        arguments = _arguments(rest[end:])
        if name and name[-1].text.lower() == "sp_executesql":
            self._executesql(arguments, tokens[0], place)
            return True
        if name and name[-1].text.lower() in _EACH:  # runs it for each database or table: `?`
            command = next((a for a in arguments if a.name in ("", "command", "command1")), None)
            texts = self.texts(command.tokens) if command is not None else ()
            self._run(tuple(t.replace("?", f"{HOLE}0n_") for t in texts), tokens[0], place)
            return True
        if name and name[-1].text.lower() == "sp_xml_preparedocument" and len(arguments) > 1:
            self.memory.assign(arguments[0].variable, self.value(arguments[1].tokens, place))
            return True
        if rest[0].text == "@" and len(rest) > 1:  # EXEC @procedure
            known = self.memory.texts.get(rest[1].text.lower()) or ()
            name = self.script.parsing.words(known[-1]) if known else []
        body = self.script.bodies.of(name) if name else None
        if body is not None:
            self._called(body, arguments, result, place)
        elif self.script.capture is not None:
            self.script.findings.report(tokens[0], "the rows come from a procedure that was not followed", place)
        return True

    def captured(self, tokens: list[Token], place: Place) -> Relation | None:
        """The rows of INSERT .. EXEC."""
        before, self.script.capture = self.script.capture, []
        try:
            self.read(tokens, place)
            found = self.script.capture
        finally:
            self.script.capture = before
        rows = found[0] if found else None
        for other in found[1:]:
            rows = union(rows, other) if rows is not None else other
        return rows

    def _run(self, texts: tuple[str, ...], token: Token, place: Place, remote: str = "") -> None:
        """Dynamic SQL has variables of its own."""
        kept = self.memory.frame()
        try:
            self.run(texts, token, place, silent=self.script.capture is None and self.deep > 0, remote=remote)
        finally:
            self.memory.restore(kept)
            self.memory.at(place.path)

    def _executesql(self, arguments: list[Argument], token: Token, place: Place) -> None:
        if not arguments:
            return
        texts = self.texts(arguments[0].tokens)
        declared: list[Parameter] = []
        if len(arguments) > 1:
            text = self.text(arguments[1].tokens)
            declared = parameters_of(self.script.parsing.words(text)) if text else []
        given = self._given(declared, arguments[2:], place)
        kept = self.memory.frame()
        try:
            self._bind(given)
            self.run(texts, token, place, silent=False)
            values = self._results(given)
        finally:
            self.memory.restore(kept)
            self.memory.at(place.path)
        self._give_back(values, place)

    def _called(self, body: Body, arguments: list[Argument], result: str, place: Place) -> None:
        given = self._given(body.parameters, arguments, place)
        temps = {k for k in self.memory.temps if k.startswith("#")}
        needed = (
            self.script.capture is not None
            or bool(result)
            or any(g.value or g.variable or g.table for g in given)
            or (any(g.texts for g in given) and body.mentions("EXEC", "EXECUTE", "SP_EXECUTESQL"))
            or (bool(temps) and body.uses(temps))
        )
        late = self.script.clock.is_spent()
        self.again += body.size if needed else 0
        spent = self.deep >= MAX_DEEP or self.calls >= MAX_CALLS or self.again > MAX_AGAIN
        if not needed or late or body.is_active or spent:
            return
        self.deep += 1
        self.calls += 1
        body.is_active = True
        kept, before = self.memory.frame(), dict(self.memory.temps)
        try:
            self._bind(given)
            for g in given:
                if g.table:
                    self.memory.temps[f"@{g.name}"] = before[g.table]
                    ref, param = (Ref(TableName((n,)), temporary=True) for n in (g.table, f"@{g.name}"))
                    entry = Entry(Tables("CALL", (ref,), (param,)), [])
                    self.script.findings.entries.append((entry, place.routine))
            self.script.follow(body, place)
            values = self._results(given)
            returned = self.memory.variables.get(RESULT, {})
        finally:
            body.is_active = False
            self.deep -= 1
            self.memory.restore(kept)
            self.memory.at(place.path)
            made = {k: t for k, t in self.memory.temps.items() if k.startswith("##")}
            self.memory.temps.clear()
            self.memory.temps.update({**made, **before})
        self._give_back(values, place)
        if result:
            self.memory.assign(result, returned)
            self.memory.texts[result] = ()

    def _given(self, parameters: list[Parameter], arguments: list[Argument], place: Place) -> list[Given]:
        by_name = {a.name: a for a in arguments if a.name}
        by_place = [a for a in arguments if not a.name]
        given: list[Given] = []
        for i, parameter in enumerate(parameters):
            argument = by_name.get(parameter.name) or (by_place[i] if i < len(by_place) else None)
            if argument is None or (len(argument.tokens) == 1 and word(argument.tokens[0]) == "DEFAULT"):
                given.append(
                    Given(parameter.name, {}, self.texts(parameter.default) if parameter.default else (), "", "")
                )
                continue
            words = argument.tokens
            table = f"@{argument.variable}" if f"@{argument.variable}" in self.memory.temps else ""
            texts = (words[0].text,) if len(words) == 1 else self.texts(words)  # EXEC p Sales: a bare word is a text
            variable = argument.variable if argument.is_output else ""
            given.append(Given(parameter.name, self.value(words, place), texts, variable, table))
        return given

    def _bind(self, given: list[Given]) -> None:
        for g in given:
            self.memory.variables.assign(g.name, self.memory.follow(g.value), ())
            self.memory.texts.assign(g.name, g.texts, ())

    def _results(self, given: list[Given]) -> list[tuple[str, Value, tuple[str, ...]]]:
        self.memory.at(())
        return [
            (g.variable, self.memory.variables.get(g.name) or {}, self.memory.texts.get(g.name) or ())
            for g in given
            if g.variable
        ]

    def _give_back(self, values: list[tuple[str, Value, tuple[str, ...]]], place: Place) -> None:
        for name, value, texts in values:
            self.memory.assign(name, value, place.path)
            self.memory.texts[name] = texts


#: under this name a called routine leaves what it returns; no variable is called so
RESULT = "<result>"


class Bodies:
    """The routines that a script creates, by name."""

    def __init__(self, names: Any) -> None:
        self._names = names
        self._found: dict[str, list[tuple[tuple[str, ...], Body]]] = {}

    def add(self, body: Body) -> None:
        name = tuple(p.casefold() for p in self._names.routine(body.header.name).parts)
        self._found.setdefault(name[-1], []).append((name, body))

    def of(self, tokens: list[Token]) -> Body | None:
        """The routine that a name means: the one whose name agrees in as many parts as both have."""
        wanted = tuple(p.casefold() for p in self._names.routine(tokens).parts)
        for parts_, body in self._found.get(wanted[-1], ()):
            n = min(len(parts_), len(wanted))
            if parts_[-n:] == wanted[-n:]:
                return body
        return None

    def is_function(self, name: str) -> bool:
        """Whether a function of the script is called so."""
        return any(body.header.kind == "FUNCTION" for _, body in self._found.get(name.casefold(), ()))

    def named(self, name: str) -> Body | None:
        """By the last part of its name."""
        found = self._found.get(name.casefold())
        return found[-1][1] if found else None


def _name(tokens: list[Token]) -> tuple[list[Token], int]:
    end = 0
    while end < len(tokens) and (tokens[end].text == "." or end == 0 or tokens[end - 1].text == "."):
        end += 1
    if tokens[0].text == "@":
        return [], min(2, len(tokens))
    if end + 1 < len(tokens) and tokens[end].text == ";" and tokens[end + 1].text.isdigit():  # procedure;1
        return tokens[:end], end + 2
    return tokens[:end], end


def _arguments(tokens: list[Token]) -> list[Argument]:
    depth = 0
    for i, t in enumerate(tokens):
        depth += opens(t)
        if depth == 0 and word(t) in ("WITH", "AT") and (i == 0 or tokens[i - 1].text not in ("=", ",", "@")):
            tokens = tokens[:i]
            break
    found = []
    for part in parts(tokens):
        name = ""
        words = part
        if len(part) > 3 and part[0].text == "@" and part[2].text == "=":
            name, words = part[1].text.lower(), part[3:]
        is_output = len(words) > 1 and word(words[-1]) in ("OUTPUT", "OUT")
        found.append(Argument(name, words[:-1] if is_output else words, is_output))
    return found
