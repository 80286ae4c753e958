"""The text of a SQL script: its encoding, its `-- hookline:` line, its dialect."""

from __future__ import annotations

import re
import shlex
from difflib import get_close_matches
from typing import NamedTuple

from shared.errors import BadInput
from shared.lineage.dialects import canonical

#: dialects that are read -> the platform of the names in such scripts (shared/naming/platforms)
PLATFORMS = {
    "tsql": "mssql",
    "fabric": "fabric-warehouse",
    "postgres": "postgresql",
    "mysql": "mysql",
    "oracle": "oracle",
    "snowflake": "snowflake",
    "bigquery": "bigquery",
    "redshift": "redshift",
    "databricks": "databricks",
    "spark": "hive",
    "hive": "hive",
    "trino": "trino",
    "athena": "athena",
    "sqlite": "sqlite",
    "duckdb": "duckdb",
    "clickhouse": "clickhouse",
    "teradata": "teradata",
}
KEYS = ("dialect", "instance", "server", "database", "schema", "name")
_LINE = re.compile(r"\A\s*--\s*hookline:(.*)", re.IGNORECASE)
_COMMENT = re.compile(r"\A\s*(?:/\*(.*?)\*/|((?:[ \t]*--[^\n]*(?:\n|\Z))+))", re.DOTALL)

#: telltale syntax, asked in this order; the first that is found decides
_TELLTALES = {
    "tsql": (
        *(r"^\s*GO\s*;?\s*$", r"\[\w[\w ]*\]\s*\.", r"\bSET\s+NOCOUNT\b", r"\bDECLARE\s+@", r"(?<![\w@])@\w+\s*="),
        *(r"(?<!\w)##?[a-z]\w*\b", r"\bNVARCHAR\b", r"\bSELECT\s+TOP\b"),
    ),
    "postgres": (r"\$\w*\$", r"\bplpgsql\b", r"\w::\w", r"\bON\s+CONFLICT\b", r"\bBIGSERIAL\b", r"\bILIKE\b"),
    "oracle": (
        *(r"^\s*/\s*$", r"\bVARCHAR2\b", r"\bNUMBER\s*\(", r"\bSYSDATE\b", r"\bFROM\s+DUAL\b"),
        *(r"%(?:ROW)?TYPE\b", r"\bCONNECT\s+BY\b"),
    ),
    "snowflake": (
        *(r"\bCOPY\s+INTO\b", r"\bFLATTEN\s*\(", r"\bCREATE\s+(?:OR\s+REPLACE\s+)?(?:TRANSIENT|STAGE)\b"),
        *(r"\bVARIANT\b", r"@~"),
    ),
    "bigquery": (r"`[\w-]+(?:\.[\w-]+){1,2}`", r"\bSTRUCT\s*<", r"\bSAFE_CAST\s*\(", r"\bINT64\b"),
    "databricks": (
        *(r"\bUSING\s+DELTA\b", r"\bZORDER\b", r"\bLATERAL\s+VIEW\b", r"\bINSERT\s+OVERWRITE\b", r"\bTBLPROPERTIES\b"),
    ),
    "redshift": (r"\bDIST(?:KEY|STYLE)\b", r"\bSORTKEY\b", r"\bUNLOAD\s*\("),
    "mysql": (
        *(r"`", r"\bENGINE\s*=", r"\bAUTO_INCREMENT\b", r"\bDELIMITER\b"),
        *(r"\bON\s+DUPLICATE\s+KEY\b", r"(?<!OR )\bREPLACE\s+INTO\b"),
    ),
    "sqlite": (r"\bPRAGMA\b", r"\bAUTOINCREMENT\b", r"\bWITHOUT\s+ROWID\b", r"\bINSERT\s+OR\s+(?:REPLACE|IGNORE)\b"),
}
#: comments and texts tell nothing
_SILENT = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^'\n]|'')*'", re.DOTALL)


class Header(NamedTuple):
    """What the first line `-- hookline: dialect=tsql server=... ` says; empty texts where it does not."""

    dialect: str = ""
    instance: str = ""
    server: str = ""
    database: str = ""
    schema: str = ""
    name: str = ""


def decode(data: bytes) -> str | None:
    """The text: UTF-8, UTF-16 with or without a byte order mark, else Windows-1252; None for a binary file."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    if b"\x00" in data[:4096]:
        pairs = data[:4096]
        for start, codec in ((1, "utf-16-le"), (0, "utf-16-be")):
            zeros = pairs[start::2]
            if zeros and zeros.count(0) > 0.7 * len(zeros) and 0 not in pairs[1 - start :: 2]:
                return data.decode(codec, "replace")
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")  # what editors on Windows have saved for decades
    odd = sum(1 for c in text[:4096] if (c < " " and c not in "\t\n\r\f\x1a") or c == "\ufffd")
    return None if odd > len(text[:4096]) // 20 else text


def header_of(text: str, where: str) -> Header:
    """Raises BadInput: an unknown key or dialect, or a value that is not closed."""
    found = _LINE.match(text)
    if not found:
        return Header()
    try:
        words = shlex.split(found[1].strip().removesuffix("*/"))
    except ValueError as error:
        raise BadInput(f"line 1: the hookline line cannot be read ({error})", where=where, fix=example()) from error
    values: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key.lower() not in KEYS:
            near = get_close_matches(key.lower(), KEYS, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise BadInput(f"line 1: unknown key {key[:40]!r} in the hookline line", where=where, fix=hint + example())
        values[key.lower()] = value
    if values.get("dialect"):
        values["dialect"] = dialect_named(values["dialect"], where)
    return Header(**values)


def dialect_named(name: str, where: str) -> str:
    """The dialect of a name that people use. Raises BadInput for one that is not known."""
    wanted = canonical(name)
    if wanted in PLATFORMS:
        return wanted
    near = get_close_matches(wanted, PLATFORMS, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise BadInput(f"unknown SQL dialect {name[:40]!r}", where=where, fix=f"{hint}there are: {', '.join(PLATFORMS)}")


def guess(text: str) -> str:
    """The dialect by telltale syntax, "" where nothing tells."""
    text = _SILENT.sub(" ", text[:200_000])
    for dialect, patterns in _TELLTALES.items():
        if any(re.search(pattern, text, re.IGNORECASE | re.MULTILINE) for pattern in patterns):
            return dialect
    return ""


def leading_comment(text: str) -> str:
    """The comment that a script begins with, after its hookline line: its description."""
    text = _LINE.sub("", text, count=1) if _LINE.match(text) else text
    found = _COMMENT.match(text)
    if not found:
        return ""
    lines = (found[1] if found[1] is not None else found[2]).splitlines()
    words = (line.strip().strip("-*=").strip() for line in lines)
    return "\n".join(word for word in words if word)[:2_000]


def example(dialect: str = "") -> str:
    """A first line that tells everything."""
    spoken = dialect or "tsql"
    return f"-- hookline: dialect={spoken} server=sql01 database=DW schema=dbo (or instance=<one of hookline.yaml>)"
