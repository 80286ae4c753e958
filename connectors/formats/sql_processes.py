"""The lineage of a SQL script as records: a Process for each routine, and for each table that the rest writes.

A script that fills ten tables is ten processes below one: a single one would say that each of them comes from all that
the script reads. They are called by the table, so their names stay when the text is reformatted or moved about.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from connectors.formats.sql_text import Header, example, leading_comment
from shared.lineage import Routine, TableName
from shared.lineage.known import Read, Request, unknown_text
from shared.lineage.model import ScriptLineage, Statement
from shared.records import Address, ColumnEdge, Found, Process, Refusal
from shared.settings.redact import redact
from shared.settings.redact_sql import redact_sql

#: characters of the list of what was not understood
MAX_UNPARSED = 2_000


class Script(NamedTuple):
    """base: the server that its names mean; None where nobody says."""

    text: str
    path: str
    name: tuple[str, ...]
    dialect: str
    header: Header
    base: Address | None


def request(script: Script) -> Request:
    def address_of(parts: tuple[str, ...]) -> Address | None:
        address = _address(script, TableName(parts), "table")
        return address if address.platform != "sql" else None

    return Request(script.text, script.dialect, address_of, script.header.database, script.header.schema)


def processes(script: Script, read: Read) -> Iterator[Found | Refusal]:
    lineage = read.lineage
    shares = [*((lineage.main,) if lineage.main else ()), *lineage.routines]
    told = False
    for share in sorted(shares, key=lambda s: s.line):
        if share.inputs or share.outputs:
            told = True
            made = _process(script, share, read.unknown)
            if share.kind == "script" and len(share.outputs) > 1:
                yield Found(_above(made, share), share.line)
                yield from _by_table(script, made, share, lineage)
            else:
                yield Found(made, share.line)
        elif share.problems and (lineage.inputs or lineage.outputs):
            reason = f"{share.kind} {share.name}: {_unparsed(share)}"
            yield _refusal(f"line {share.line}", reason)
    if not told:
        reasons = "; ".join(f"{p.place}: {p.reason}" for p in lineage.problems[:5])
        known = f" (read as {script.dialect})" if script.dialect else " (its dialect is not known)"
        yield _refusal("the whole file", f"it reads and writes no table{known}" + (f"; {reasons}" if reasons else ""))


def _refusal(place: str, reason: str) -> Refusal:
    fix = "check its dialect: `-- hookline: dialect=...` as its first line, or uploads/sql/<dialect>/"
    return Refusal(place=place, rule="sql_script", reason=reason[:MAX_UNPARSED], fix=fix)


def _process(script: Script, share: Routine, unknown: tuple[Address, ...]) -> Process:
    properties = {"file": "/".join(script.name)}
    if share.problems:
        properties["unparsed"] = _unparsed(share)
    if unknown:
        properties["columns_unknown"] = unknown_text(unknown)
    elif script.base is None and any(problem.about == "columns" for problem in share.problems):
        properties["columns_unknown"] = f"nobody says where its tables lie: begin with `{example(script.dialect)}`"
    whole = share.kind == "script"
    return Process(
        address=_script_address(script) if whole else _address(script, share.name, share.kind),
        inputs=tuple(_address(script, name, "table") for name in share.inputs),
        outputs=tuple(_address(script, name, "table") for name in share.outputs),
        columns=tuple(_edges(script, share)),
        sql=redact_sql(share.sql),
        dialect=script.dialect,
        default_database=script.header.database,
        default_schema=script.header.schema,
        description=leading_comment(script.text) if whole else "",
        properties=properties,
    )


def _above(made: Process, share: Routine) -> Process:
    """The process of a script that has one below it for each table: what it reads for no table is its own.

    Without a dialect, so that nobody reads its SQL once more.
    """
    used = {name for feed in share.feeds for name in feed.inputs}
    left = tuple(address for name, address in zip(share.inputs, made.inputs, strict=True) if name not in used)
    return msgspec.structs.replace(made, inputs=left, outputs=(), columns=(), dialect="")


def _by_table(script: Script, made: Process, share: Routine, lineage: ScriptLineage) -> Iterator[Found]:
    """One process for each table that a script writes: the statements that write it, and all that flows into it."""
    lines = script.text.splitlines()
    statements = _outside(lineage)
    begins = sorted({*(s.line for s in statements), *(r.line for r in lineage.routines), len(lines) + 1})
    for feed in share.feeds:
        writing = [s.line for s in statements if feed.output in s.outputs]
        texts = ["\n".join(lines[line - 1 : begins[bisect_right(begins, line)] - 1]) for line in writing]
        outputs = (_address(script, feed.output, "table"),)
        yield Found(
            msgspec.structs.replace(
                made,
                address=made.address.at(str(feed.output), type="statement"),
                inputs=tuple(_address(script, name, "table") for name in feed.inputs),
                outputs=outputs,
                columns=tuple(edge for edge in made.columns if edge.target == outputs[0]),
                sql=redact_sql("\n".join(dict.fromkeys(texts))),
                description="",
                properties={"file": "/".join(script.name)},
                parent=made.address,
            ),
            writing[0] if writing else share.line,
        )


def _outside(lineage: ScriptLineage) -> list[Statement]:
    """Statements outside of all routines, in the order of the text."""
    within = {n for r in lineage.routines for n in range(r.line, r.line + r.sql.count("\n") + 1)}
    return sorted((s for s in lineage.statements if s.line not in within), key=lambda s: s.line)


def _edges(script: Script, share: Routine) -> Iterator[ColumnEdge]:
    """Column lineage between the tables that are read and written; what a table only feeds itself is left out."""
    read, written = set(share.inputs), set(share.outputs)
    for column in share.columns:
        for source in column.inputs:
            if source.table in read and column.output.table in written:
                yield ColumnEdge(
                    _address(script, source.table, "table"),
                    source.column,
                    _address(script, column.output.table, "table"),
                    column.output.column,
                    kind=source.kind,
                )


def _unparsed(share: Routine) -> str:
    return redact("; ".join(f"{p.place}: {p.reason}" for p in share.problems))[:MAX_UNPARSED]


def _script_address(script: Script) -> Address:
    return Address("sql", script.base.host if script.base else script.header.server, script.name, "script")


def _address(script: Script, name: TableName, kind: str) -> Address:
    """Where a table or routine lies: on the script's server when its name is complete, else under `sql`.

    A part more than the platform has levels is a linked server.
    """
    from shared.naming import platforms

    base = script.base
    platform = platforms.find(base.platform) if base else None
    if base is None or platform is None:
        return Address("sql", script.header.server, name.parts, kind)
    depth = len(platform.containers) + 1
    parts = name.parts
    if len(parts) == depth + 1:
        return Address(base.platform, parts[0], parts[1:], kind)
    if len(parts) != depth:
        return Address("sql", base.host, parts, kind)
    return Address(base.platform, base.host, parts, kind)
