"""Routines as they are entered and left: what their names mean, which rows a trigger sees, what a call gives."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from shared.lineage import definitions
from shared.lineage.calls import RESULT
from shared.lineage.passing import Argument
from shared.lineage.relations import Column, Relation, Value, merged, union
from shared.lineage.tokens import balanced, parts
from shared.lineage.words import NUMBERS, word

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

    from shared.lineage.findings import Place
    from shared.lineage.headers import Header
    from shared.lineage.script import Script

_TRIGGER = re.compile(r"\bTRIGGER\b([^;]{1,800})", re.IGNORECASE)
_COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
_ON = re.compile(r"\bON\s+([\w.]+)", re.IGNORECASE)
_EXECUTES = re.compile(r"\bEXECUTE\s+(?:FUNCTION|PROCEDURE)\s+([\w.]+)", re.IGNORECASE)
_TRANSITION = re.compile(r"\b(?:OLD|NEW)\s+TABLE\s+(?:AS\s+)?(\w+)", re.IGNORECASE)


class Routines:
    """Which routine of the script is being read."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.memory = script.memory
        self.names = script.names
        sql = script.sql
        self._triggers = _triggers(sql) if "TRIGGER" in sql.upper() else []
        self._ignored = set(self.names.ignored)
        self._routine: Header | None = None
        self.inside: tuple[Header, ...] = ()
        self._last: dict[str, int] = {}  # name of a function -> id of the header whose rows are known

    @property
    def key(self) -> tuple[str, ...]:
        """The name of the routine that is being read, in lower case, with the package or routine around it."""
        if self._routine is None:
            return tuple(h.name[0].text.lower() for h in self.inside)
        above = tuple(p.lower() for p in self.names.routine(self._routine.name).parts)
        return (*above, *(h.name[0].text.lower() for h in self.inside))

    def aside(self) -> tuple[Header | None, tuple[Header, ...], Any, set[str]]:
        """Another routine is read in between."""
        kept = (self._routine, self.inside, self.memory.scopes, self.names.ignored)
        self._routine, self.inside, self.memory.scopes = None, (), []
        return kept

    def back(self, kept: tuple[Header | None, tuple[Header, ...], Any, set[str]]) -> None:
        self.within(None, ())
        self._routine, self.inside, self.memory.scopes, self.names.ignored = kept

    def within(self, routine: Header | None, inside: tuple[Header, ...]) -> None:
        """The next statement stands in this routine: leave and enter what lies between."""
        if routine is not self._routine:
            while self.inside:
                self._leave_local()
            self._left()
            self._routine = routine
            if routine is not None:
                self._enter(routine)
        common = 0
        for mine, theirs in zip(self.inside, inside, strict=False):
            if mine is not theirs:
                break
            common += 1
        while len(self.inside) > common:
            self._leave_local()
        for header in inside[common:]:
            self.inside = (*self.inside, header)
            self.memory.scopes.append({})
            self._parameters(header)

    def _enter(self, routine: Header) -> None:
        self.memory.enter()
        self.names.ignored = set(self._ignored)
        self._parameters(routine)
        if routine.kind == "PACKAGE":
            self.memory.opened(self.key[-1])
        if routine.returns and routine.returns[0].text == "@":  # T-SQL: RETURNS @t TABLE (..)
            self.script.declare_table(routine.returns[1].text, routine.returns)
        self._called_by_trigger(routine)
        if routine.kind == "TRIGGER":
            ref = self.names.of_tokens(routine.table)
            if ref is not None:
                self.script.rows_of(ref, ("new", "old", "inserted", "deleted", *routine.rows))
        for token in routine.returns[1:]:  # plpgsql: the columns of RETURNS TABLE are variables
            if word(token):
                self.memory.variables.setdefault(token.text.lower(), {})

    def _parameters(self, header: Header) -> None:
        if self.script.is_tsql:  # its procedures are read again for each call
            self.memory.variables.update({p.lower(): {} for p in header.parameters})
            return
        for formal, value, row in self.memory.passed.enter(self.key, header.formals):
            has_fields = "ROWTYPE" in [word(t) for t in formal.type] or (
                bool(formal.type) and formal.type[-1].text.lower() in self.memory.types
            )
            self.memory.parameter(formal.name, value, row if has_fields else None)
            if formal.type and word(formal.type[0]) in NUMBERS:
                self.memory.numbers.add(formal.name.lower())

    def _leave_local(self) -> None:
        self._out(self.inside[-1])
        self.memory.leave()
        self.inside = self.inside[:-1]

    def _left(self) -> None:
        if self._routine is None:
            return
        self._out(self._routine)
        if self._routine.kind == "PACKAGE":
            self.memory.publish(self.key[-1])

    def _out(self, header: Header) -> None:
        names = [f.name.lower() for f in header.formals if f.out]
        held = {n: (self.memory.variables.get(n, {}), self.memory.records.get(n)) for n in names}
        self.memory.passed.leave(self.key, held)

    def _called_by_trigger(self, routine: Header) -> None:
        """PostgreSQL: a trigger function's rows are those of the table whose trigger calls it."""
        name = str(self.names.routine(routine.name)).lower()
        for table, between, function in self._triggers:
            if function.lower() in (name, name.rsplit(".", 1)[-1]) or name.endswith("." + function.lower()):
                transitions = [t.lower() for t in _TRANSITION.findall(between)]
                self.script.rows_of(self.names.of_text(table), ("new", "old", *transitions))
                self.names.ignored = self.names.ignored | set(transitions)

    # ---- what comes out of routines

    def returns(self, routine: Header, rows: Relation) -> None:
        """Rows that calling a routine gives; those of a function add up."""
        header = self.inside[-1] if self.inside else routine
        name = header.name[-1].text.lower() if header.name else "?"
        if header.returns and word(header.returns[0]) == "TABLE":
            rows = rows.renamed(definitions.columns(header.returns[2:], self.names) or [])
        elif header.kind == "FUNCTION" and (out := [f.name for f in header.formals if f.out]):
            rows = rows.renamed([self.names.folded(n, quoted=False) for n in out])
        rows = self.memory.followed(rows)
        if header.kind == "FUNCTION" and self._last.get(name) == id(header) and name in self.memory.functions:
            before = self.memory.functions[name]
            rows = union(before, rows) if before.is_known and rows.is_known else rows
        self._last[name] = id(header)
        self.memory.functions[name] = rows
        self.script.findings.returned(routine, rows)

    def next_row(self, routine: Header) -> None:
        """`RETURN NEXT` without an expression: the variables that the header names."""
        listed = definitions.columns(routine.returns[2:], self.names) if routine.returns else None
        names = listed or [f.name for f in routine.formals if f.out]
        self.returns(routine, Relation([Column(n, self.memory.variable(n) or {}) for n in names]))

    def result(self, routine: Header | None, value: Value) -> None:
        """RETURN of a value: of a scalar function, or of a routine that is read again for a call."""
        value = self.memory.follow(value)
        if self.script.findings.quiet:
            self.memory.variables.assign(RESULT, value, ())
            return
        header = self.inside[-1] if self.inside else routine
        if header is not None and header.kind == "FUNCTION":
            name = header.name[-1].text.casefold()
            self.memory.results[name] = merged([self.memory.results.get(name, {}), value])

    # ---- what goes into them

    def call(self, tokens: list[Token], place: Place) -> None:
        """`p(a, b)`, `p x => a`, T-SQL's `[@rc =] p @x = a, b OUTPUT`."""
        if len(tokens) > 3 and tokens[0].text == "@" and tokens[2].text == "=":
            tokens = tokens[3:]
        named, end = definitions.name_at(tokens, 0)
        name = tuple(t.text.lower() for t in named if t.text != ".")
        rest = tokens[end:]
        if rest and rest[0].text == "(":
            rest = balanced(rest[1:])
        if not name:
            return
        arguments: list[Argument] = []
        targets: list[str] = []
        for part in parts(rest):
            argument, target = self._argument(part, place)
            arguments.append(argument)
            targets.append(target)
        for position, formal, value, row in self.memory.passed.call(name, self.key, arguments):
            at = next((i for i, a in enumerate(arguments) if a.name == formal), position)
            if at < len(targets) and targets[at]:
                self.memory.assign(targets[at], value, place.path)
                if row is not None:
                    self.memory.records[targets[at]] = row

    def _argument(self, part: list[Token], place: Place) -> tuple[Argument, str]:
        """The argument, and the variable that it is, if it is one."""
        name = ""
        at = next((i for i, t in enumerate(part[:5]) if t.text in ("=>", ":=", "=")), 0)
        if at:
            name = part[at - 1].text.lower()
            part = part[at + (2 if part[at + 1 : at + 2] and part[at + 1].text == ">" else 1) :]
        part = [t for t in part if word(t) not in ("OUTPUT", "OUT")]
        bare = [t for t in part if t.text not in ("@", ":")]
        target = bare[0].text.lower() if len(bare) == 1 and not bare[0].token_type.name.endswith("STRING") else ""
        value = self.script.procedural.value(part, place) if part else {}
        return Argument(name, self.memory.follow(value), self.memory.records.get(target)), target


def _triggers(sql: str) -> list[tuple[str, str, str]]:
    """(table, what stands after it, the function that its trigger calls), PostgreSQL's."""
    found = []
    for commented in _TRIGGER.findall(sql):
        head = _COMMENT.sub(" ", commented)
        table = _ON.search(head)
        function = _EXECUTES.search(head, table.end()) if table is not None else None
        if table is not None and function is not None:
            found.append((table[1], head[table.end() : function.start()], function[1]))
    return found
