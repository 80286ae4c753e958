"""SQL texts of a package through the SQL lineage, with the server, database and dialect of their connection.

A call of a stored procedure is followed where its text lies beside the package (`*.sql`); else the call is named, and
where rows are read from it they come from its result set, an asset of ours that hangs on the procedure's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from connectors.format import FileContext
from connectors.formats.sql_text import decode
from connectors.formats.ssis.connections import Place
from shared.lineage.known import Read, Request, unknown_text
from shared.lineage.model import ColumnLineage, Routine
from shared.naming import platforms
from shared.records import Address, ColumnEdge

#: what is read of the scripts beside a package
_MAX_SCRIPTS, _MAX_SCRIPT, _MAX_SCRIPTS_TOGETHER = 500, 1024 * 1024, 8 * 1024 * 1024
_QUIET = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)
_NAME = r"(?:\[[^\]]*\]|\"[^\"]*\"|[\w$#{}:]+)"
_CALL = re.compile(
    rf"(?:\bEXEC(?:UTE)?\s+(?:[@?]\w*\s*=\s*)?|\bCALL\s+)({_NAME}(?:\s*\.\s*{_NAME}?){{0,3}})", re.IGNORECASE
)
_CREATES = re.compile(
    rf"\bCREATE\s+(?:OR\s+\w+\s+)?PROC(?:EDURE)?\s+({_NAME}(?:\s*\.\s*{_NAME}){{0,2}})", re.IGNORECASE
)
_PART = re.compile(
    r"\[((?:[^\]]|\]\])*)\]|\"((?:[^\"]|\"\")*)\"|`([^`]*)`|'([^']*)'|([^.\s\[\]\"`]+(?: [^.\[\]\"`]+)*)"
)
#: the pseudo table whose columns stand for the parameters `?` of a command
_PARAMETERS = "hookline_parameters"


class Source(NamedTuple):
    """Where the values of a column come from."""

    address: Address
    column: str
    copied: bool = True


@dataclass
class Sql:
    """What a text reads and writes.

    returned:  lower-case column of its rows -> where from
    order:     names of these columns as the text returns them
    calls:     procedures whose text is not known
    parameters: (number of the `?` from 0, table, column) that it is written to
    notes:     properties that tell what was not understood
    """

    inputs: list[Address] = field(default_factory=list)
    outputs: list[Address] = field(default_factory=list)
    edges: list[ColumnEdge] = field(default_factory=list)
    returned: dict[str, list[Source]] = field(default_factory=dict)
    calls: list[Address] = field(default_factory=list)
    parameters: list[tuple[int, Address, str]] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)


class SqlTexts:
    """Reads the SQL of one file. Texts that occur again are read once."""

    def __init__(self, context: FileContext) -> None:
        self._context = context
        self._known: dict[tuple[str, Place], Sql] = {}
        self._definitions: dict[str, str] | None = None

    def read(self, text: str, place: Place) -> Sql:
        key = text, place
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._read(text, place)
        return found

    def _read(self, text: str, place: Place) -> Sql:
        made = Sql()
        holed, count = _without_parameters(_with_names(text))
        request = self._request(holed if count else _with_names(text), place)
        read = self._context.schemas.read_one(request)
        main = read.lineage.main
        if main is not None:
            self._add(made, main, place, read)
        returned = main.returned if main is not None and main.returned else read.lineage.returned
        _returned(made, returned, self._address(place))
        called = dict.fromkeys(found[1] for found in _CALL.finditer(_QUIET.sub(" ", text)))
        for name in called:
            self._call(made, name, place)
        problems = [p for p in read.lineage.problems if p.about == "statement"]
        if problems and not (made.calls and not made.outputs and not made.inputs):
            made.notes["unparsed"] = "; ".join(f"{p.place}: {p.reason}" for p in problems[:3])
        if read.unknown:
            made.notes["columns_unknown"] = unknown_text(read.unknown)
        return made

    def _call(self, made: Sql, name: str, place: Place) -> None:
        parts = table_parts(name)
        procedure = address_of(parts, place, "procedure")
        definition = self._definition(parts)
        if not definition:
            made.calls.append(procedure)
            return
        read = self._context.schemas.read_one(self._request(definition, place))
        for routine in read.lineage.routines:
            if routine.name.name.lower() == parts[-1].lower():
                self._add(made, routine, place, read)
                if not made.returned:
                    _returned(made, routine.returned, self._address(place))

    def _add(self, made: Sql, share: Routine, place: Place, read: Read) -> None:
        del read
        address = self._address(place)
        inputs = {name: address(name.parts) for name in share.inputs if name.name != _PARAMETERS}
        outputs = {name: address(name.parts) for name in share.outputs}
        made.inputs += [found for found in inputs.values() if found not in made.inputs]
        made.outputs += [found for found in outputs.values() if found not in made.outputs]
        for column in share.columns:
            target = outputs.get(column.output.table)
            if target is None:
                continue
            for source in column.inputs:
                if source.table.name == _PARAMETERS and source.column[1:].isdecimal():
                    made.parameters.append((int(source.column[1:]), target, column.output.column))
                elif source.table in inputs:
                    made.edges.append(
                        ColumnEdge(inputs[source.table], source.column, target, column.output.column, kind=source.kind)
                    )

    def _address(self, place: Place) -> Callable[[tuple[str, ...]], Address]:
        return lambda parts: address_of(parts, place)

    def _request(self, text: str, place: Place) -> Request:
        return Request(text, place.dialect, self._address(place), place.database, place.schema)

    def _definition(self, parts: Sequence[str]) -> str:
        if self._definitions is None:
            self._definitions = dict(self._scripts())
        return self._definitions.get(parts[-1].lower(), "")

    def _scripts(self) -> dict[str, str]:
        """Procedures that scripts beside the package create: lower-case name -> the script."""
        found: dict[str, str] = {}
        left = _MAX_SCRIPTS_TOGETHER
        for name in self._context.folder.find("*.sql")[:_MAX_SCRIPTS]:
            opened = self._context.folder.open(name)
            if opened is None or left <= 0:
                continue
            with opened:
                data = opened.read(min(_MAX_SCRIPT, left))
            left -= len(data)
            text = decode(data) or ""
            for creates in _CREATES.finditer(_QUIET.sub(" ", text)):
                found.setdefault(table_parts(creates[1])[-1].lower(), text)
        return found


def _returned(made: Sql, columns: Sequence[ColumnLineage], address: Callable[[tuple[str, ...]], Address]) -> None:
    for column in columns:
        sources = [Source(address(i.table.parts), i.column, i.kind == "copy") for i in column.inputs]
        made.returned.setdefault(column.output.column.lower(), sources)


def _with_names(text: str) -> str:
    """Placeholders outside of quotes as quoted names, so that `FROM {User::Table}` is SQL."""
    made, at = [], 0
    for found in re.finditer(
        r"'(?:[^']|'')*'|\[[^\]]*\]|\"[^\"]*\"|\{[^{}\n]*::[^{}\n]*\}|\{[A-Z]+\([^{}\n]*\)\}", text
    ):
        if found[0].startswith("{"):
            made += [text[at : found.start()], f'"{found[0]}"'.replace('""', '"')]
            at = found.end()
    return "".join((*made, text[at:]))


def _without_parameters(text: str) -> tuple[str, int]:
    """`SET a = ?` with each parameter as a column of a pseudo table: so the lineage says where parameters go."""
    if not re.match(r"\s*(?:UPDATE|INSERT|DELETE|MERGE)\b", text, re.IGNORECASE):
        return text, 0
    made, at, count = [], 0, 0
    for found in re.finditer(r"'(?:[^']|'')*'|\[[^\]]*\]|\"[^\"]*\"|--[^\n]*|\?", text):
        if found[0] == "?":
            made += [text[at : found.start()], f"(SELECT p{count} FROM {_PARAMETERS})"]  # noqa: S608 - it is never run
            at, count = found.end(), count + 1
    return "".join((*made, text[at:])), count


def table_parts(text: str) -> tuple[str, ...]:
    """`[dbo].[Sale Line]` as ("dbo", "Sale Line"); at least one part."""
    found = [
        next((part.replace("]]", "]").replace('""', '"') for part in match.groups() if part), "").strip()
        for match in _PART.finditer(text.strip()[:1_000])
    ]
    return tuple(part for part in found if part) or (text.strip() or "{unknown}",)


def address_of(parts: Sequence[str], place: Place, kind: str = "table") -> Address:
    """A table by its name in SQL or in a component, the defaults of its connection filled in.

    A part more than the platform has levels is a linked server.
    """
    base = place.base
    platform = platforms.find(base.platform)
    if platform is None or not (platform.relational or platform.containers):
        return Address(base.platform, base.host, (*((place.database,) if place.database else ()), *parts), kind)
    depth = len(platform.containers) + 1
    if len(parts) > depth:
        return Address(base.platform, parts[-depth - 1], tuple(parts[-depth:]), kind)
    levels = platform.containers
    missing = depth - len(parts)
    known = {"database": place.database, "schema": place.schema, "catalog": place.database}
    filled = tuple(known.get(level) or (place.schema or place.database or f"{{{level}}}") for level in levels[:missing])
    return Address(base.platform, base.host, (*filled, *parts), kind)
