"""SQL scripts: what they read and write, one Process for each procedure, function or trigger, and one for the rest.

The dialect comes from the script's first line (`-- hookline: dialect=tsql server=sql01 database=DW schema=dbo`), from
the folder (`uploads/sql/tsql/..`), from the instance that the first line names, or from telltale syntax. With a server
or an instance the tables get the addresses that a scan of it gives them; without, they get names of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import BinaryIO

from connectors.format import FileContext, Format
from connectors.formats.sql_processes import Script, processes, request
from connectors.formats.sql_text import (
    PLATFORMS,
    decode,
    dialect_named,
    guess,
    header_of,
)
from shared.errors import BadInput
from shared.lineage.dialects import canonical
from shared.records import Address, Found, Refusal
from shared.settings.redact_sql import redact_code

MAX_BYTES = 8 * 1024 * 1024
_DIALECTS = {platform: dialect for dialect, platform in reversed(PLATFORMS.items())}


class SqlScript(Format):
    name = "sql_script"
    title = "SQL scripts and stored procedures: tables in and out"
    looks_like = ".sql, best with a first line `-- hookline: dialect=tsql server=... database=... schema=...`"
    folders = ("sql",)
    wants_columns = True

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
        script = _script(redact_code(text), context)
        yield from processes(script, context.schemas.read_one(request(script)))


def _script(text: str, context: FileContext) -> Script:
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
    return Script(text, context.path, (header.name,) if header.name else name, dialect, header, base)


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
