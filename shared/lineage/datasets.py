"""Table functions that are datasets: files, buckets and URLs by their address, tables of other systems by their names.

ClickHouse: https://clickhouse.com/docs/sql-reference/table-functions; DuckDB: https://duckdb.org/docs/stable/data/overview;
Databricks: https://docs.databricks.com/sql/language-manual/functions/read_files.
"""

from __future__ import annotations

import re
from typing import Any

from sqlglot import exp

from shared.lineage.words import words_in

#: functions whose first argument is an address, or a list of addresses
_FILES = words_in("""
    s3 gcs oss cosn url file hdfs deltalake iceberg icebergs3 iceberglocal icebergazure iceberghdfs hudi paimon
    read_csv read_csv_auto read_parquet parquet_scan read_json read_json_auto read_json_objects
    read_json_objects_auto read_ndjson read_ndjson_auto read_ndjson_objects read_text read_blob read_xlsx read_avro
    delta_scan iceberg_scan st_read
    read_files cloud_files""")
#: the same on a cluster, whose name comes first
_CLUSTERED = {f"{name}cluster": name for name in ("s3", "url", "file", "hdfs", "gcs", "deltalake", "iceberg", "hudi")}
#: functions that read a table of another server: (address, database, table) or (address, database.table)
_SERVERS = frozenset({"remote", "remotesecure", "mysql", "postgresql", "mongodb"})
#: the same server's tables, by way of a cluster
_CLUSTERS = frozenset({"cluster", "clusterallreplicas"})
#: DuckDB: (connection text or file, [schema,] table)
_ATTACHED = frozenset({"postgres_scan", "postgres_scan_pushdown", "mysql_scan", "sqlite_scan"})
_DATABASE = re.compile(r"(?:dbname|database)\s*=\s*([\w-]+)|/([\w-]+)(?:\?|$)", re.IGNORECASE)
#: parts of connection texts that are no addresses and may be secrets
_SECRET = re.compile(r"accountkey|sharedaccess|password|secret", re.IGNORECASE)
MAX_FILES = 50


def is_dataset(name: str) -> bool:
    """Whether a function of this name may be one."""
    key = name.lower()
    return key in _FILES or key in _CLUSTERED or key in _SERVERS or key in _CLUSTERS or key in _ATTACHED or key in _ODD


def datasets(call: Any) -> list[list[str]]:
    """The datasets that a call of a table function reads or writes, each as the parts of its name."""
    name = _NAMES.get(type(call)) or (call.name if isinstance(call, exp.Anonymous) else "")
    arguments = [call.this, *call.expressions] if isinstance(call, exp.ReadCSV) else list(call.expressions)
    return named(name, [_parts(a) for a in arguments if not isinstance(a, (exp.EQ, exp.Kwarg, exp.PropertyEQ))])


def named(name: str, arguments: list[list[list[str]]]) -> list[list[str]]:
    """The same by the function's name and its arguments: each a list of names."""
    key = name.lower()
    if key in _CLUSTERED:
        key, arguments = _CLUSTERED[key], arguments[1:]
    if not arguments:
        return []
    if key in _FILES:
        return arguments[0][:MAX_FILES]
    if key in _SERVERS:
        return _joined(arguments[:1], arguments[1:])
    if key in _CLUSTERS:
        return _joined([], arguments[1:])
    if key in _ATTACHED:
        text = arguments[0][0][0] if arguments[0] else ""
        found = _DATABASE.search(text)
        owner = text if key == "sqlite_scan" else next((g for g in (found.groups() if found else ()) if g), "")
        return _joined([[[owner]]] if owner else [], arguments[1:3])
    if key == "azureblobstorage":
        place = [a[0][0] for a in arguments[:3] if a and a[0]]
        return [["/".join(p.strip("/") for p in place if not _SECRET.search(p))]] if len(place) == 3 else []
    if key in _TABLES:
        return [p[0].split(".") if len(p) == 1 else p for p in arguments[0]]
    if key in ("dictionary", "sqlite"):
        return _joined([], arguments[:2])
    return []


#: functions whose first argument is the name of a table, as a text
_TABLES = frozenset({"table_changes", "query_table"})
_ODD = _TABLES | frozenset({"azureblobstorage", "dictionary", "sqlite"})
_NAMES: dict[Any, str] = {
    getattr(exp, kind): name
    for kind, name in (("ReadCSV", "read_csv"), ("ReadParquet", "read_parquet"))
    if hasattr(exp, kind)
}


def _joined(server: list[list[list[str]]], rest: list[list[list[str]]]) -> list[list[str]]:
    """server.database.table, where database and table are one argument or two."""
    parts = [p for argument in server for p in (argument[0] if argument else [])]
    table: list[str] = []
    for argument in rest[:2]:
        if table and len(rest[0][0]) > 1:  # (address, db.table, user, password)
            break
        table += argument[0] if argument else []
    return [[*parts, *table]] if table else []


def _parts(argument: Any) -> list[list[str]]:
    """The names that an argument means: a literal's text, a.b of an identifier, each element of a list."""
    if isinstance(argument, (exp.Array, exp.Tuple)):
        return [p for e in argument.expressions for p in _parts(e)]
    if isinstance(argument, exp.Literal) and argument.is_string:
        return [[argument.name]]
    if isinstance(argument, exp.Column):
        return [[p.name for p in argument.parts]]
    if isinstance(argument, exp.Paren):
        return _parts(argument.this)
    return [[]] if argument is not None else []
