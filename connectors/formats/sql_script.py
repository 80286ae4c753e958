"""SQL scripts: what they read and write, one Process for each procedure, function or trigger, and one for the rest.

The dialect comes from the script's first line (`-- hookline: dialect=tsql server=sql01 database=DW schema=dbo`), from
the folder (`uploads/sql/tsql/..`), from the instance that the first line names, or from telltale syntax. With a server
or an instance the tables get the addresses that a scan of it gives them; without, they get names of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import BinaryIO, NamedTuple

from connectors.format import FileContext, Format
from connectors.formats.sql_text import (
    PLATFORMS,
    Header,
    decode,
    dialect_named,
    example,
    guess,
    header_of,
    leading_comment,
)
from shared.errors import BadInput
from shared.lineage import Routine, TableName
from shared.lineage.dialects import canonical
from shared.lineage.known import Read, Request, unknown_text
from shared.records import Address, ColumnEdge, Found, Process, Refusal

MAX_BYTES = 8 * 1024 * 1024
#: characters of the list of what was not understood
MAX_UNPARSED = 2_000
_DIALECTS = {platform: dialect for dialect, platform in reversed(PLATFORMS.items())}


class _Script(NamedTuple):
    """base: the server that its names mean; None where nobody says."""

    text: str
    path: str
    name: tuple[str, ...]
    dialect: str
    header: Header
    base: Address | None


class SqlScript(Format):
    name = "sql_script"
    title = "SQL scripts and stored procedures: tables in and out"
    looks_like = ".sql, best with a first line `-- hookline: dialect=tsql server=... database=... schema=...`"
    folders = ("sql",)

    def recognises(self, name: str, head: bytes) -> bool:
        text = decode(head[: len(head) // 2 * 2])
        if text is None or text.lstrip()[:1] in ("{", "[", "<"):
            return False
        is_named = name.lower().endswith((".sql", ".ddl", ".prc", ".tsql", ".psql"))
        return is_named or text.lower().startswith("-- hookline:")

    def read(self, file: BinaryIO, context: FileContext) -> Iterator[Found | Refusal]:
        """Raises BadInput: too large, a hookline line that cannot be followed, an unknown dialect or instance."""
        data = b""
        while len(data) <= MAX_BYTES and (chunk := file.read(MAX_BYTES + 1 - len(data))):
            data += chunk
        if len(data) > MAX_BYTES:
            raise BadInput(f"the script is larger than {MAX_BYTES:,} bytes", where=context.path, fix="split it")
        text = decode(data)
        if text is None or not text.strip():
            reason = "the file is empty" if not data.strip() else "the file is binary, not a script"
            yield Refusal(place="the whole file", rule="sql_script", reason=reason, fix="upload the script as text")
            return
        script = _script(text, context)
        yield from _processes(script, context.schemas.read_one(_request(script)))


def _script(text: str, context: FileContext) -> _Script:
    header = header_of(text, context.path)
    base = None
    if header.instance:
        base = context.instances.get(header.instance)
        if base is None:
            near = get_close_matches(header.instance, context.instances, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            known = ", ".join(sorted(context.instances)) or "none"
            reason = f"line 1: unknown instance {header.instance[:60]!r}"
            raise BadInput(reason, where=context.path, fix=f"{hint}hookline.yaml has: {known}")
    folder, name = _place(context.path)
    dialect = header.dialect or (dialect_named(folder, context.path) if folder else "")
    dialect = dialect or (_DIALECTS.get(base.platform, "") if base else "") or guess(text)
    if base is None and header.server:
        if dialect not in PLATFORMS:
            fix = "add dialect=... to the hookline line"
            raise BadInput(
                "line 1: server without a dialect, and the text does not tell it", where=context.path, fix=fix
            )
        base = Address(PLATFORMS[dialect], header.server, (), "server")
    return _Script(text, context.path, (header.name,) if header.name else name, dialect, header, base)


def _place(path: str) -> tuple[str, tuple[str, ...]]:
    """Dialect and name by the path: `uploads/sql/tsql/etl/load.sql` is ("tsql", ("etl", "load.sql"))."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    if "uploads" not in parts[:-1]:
        return "", parts[-1:]
    below = parts[parts.index("uploads") + 1 :]
    if len(below) > 1 and below[0].lower() in (SqlScript.name, *SqlScript.folders):
        below = below[1:]
    if len(below) > 1 and canonical(below[0]) in PLATFORMS:
        return below[0], below[1:]
    return "", below


def _request(script: _Script) -> Request:
    def address_of(parts: tuple[str, ...]) -> Address | None:
        address = _address(script, TableName(parts), "table")
        return address if address.platform != "sql" else None

    return Request(script.text, script.dialect, address_of, script.header.database, script.header.schema)


def _processes(script: _Script, read: Read) -> Iterator[Found | Refusal]:
    lineage = read.lineage
    shares = [*((lineage.main,) if lineage.main else ()), *lineage.routines]
    told = False
    for share in sorted(shares, key=lambda s: s.line):
        if share.inputs or share.outputs:
            told = True
            yield Found(_process(script, share, read.unknown), share.line)
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


def _process(script: _Script, share: Routine, unknown: tuple[Address, ...]) -> Process:
    from shared.settings.redact import redact

    properties = {"file": "/".join(script.name)}
    if share.problems:
        properties["unparsed"] = _unparsed(share)
    if unknown:
        properties["columns_unknown"] = unknown_text(unknown)
    elif script.base is None and any(problem.about == "columns" for problem in share.problems):
        properties["columns_unknown"] = f"nobody says where its tables lie: begin with `{example()}`"
    whole = share.kind == "script"
    return Process(
        address=_script_address(script) if whole else _address(script, share.name, share.kind),
        inputs=tuple(_address(script, name, "table") for name in share.inputs),
        outputs=tuple(_address(script, name, "table") for name in share.outputs),
        columns=tuple(_edges(script, share)),
        sql=redact(share.sql),
        dialect=script.dialect,
        default_database=script.header.database,
        default_schema=script.header.schema,
        description=leading_comment(script.text) if whole else "",
        properties=properties,
    )


def _edges(script: _Script, share: Routine) -> Iterator[ColumnEdge]:
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
    from shared.settings.redact import redact

    return redact("; ".join(f"{p.place}: {p.reason}" for p in share.problems))[:MAX_UNPARSED]


def _script_address(script: _Script) -> Address:
    return Address("sql", script.base.host if script.base else script.header.server, script.name, "script")


def _address(script: _Script, name: TableName, kind: str) -> Address:
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
