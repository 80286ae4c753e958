r"""From the namespace and name of an OpenLineage dataset to its address.

The schemes: openlineage.io/docs/spec/naming (OpenLineage/OpenLineage website/docs/spec/naming.md). What older producers
write (the database in the namespace, `;database=`, a default schema, the Hive warehouse on DBFS) as
microsoft/Purview-ADB-Lineage-Solution-Accelerator reads it: deployment/infra/OlToPurviewMappings.json.

A dot in a segment may be escaped, `\.`; producers do so only when told to. Where a name has more parts than its
platform has levels, the rest belongs to the last (a table `my.table`), for Oracle to the first (a service
`crm.example.com`). What has too few is named as far as it goes, and Naming says which parts are missing. A scheme that
nobody knows becomes a platform of that name, its namespace the host, its name one part: nothing is lost.
A user and password in a namespace are left out.
"""

from __future__ import annotations

import re

from shared.naming import platforms
from shared.records import Address

_NAMESPACE = re.compile(r"(?:jdbc:)?([A-Za-z][A-Za-z0-9+._-]*):(?://)?(.*)", re.DOTALL)
_GLUE = re.compile(r"arn:aws[\w-]*:glue:([^:]*):([^:/]*)")
_ESCAPED = re.compile(r"\\{1,2}\.")
_SEPARATOR = re.compile(r"(?<!\\)\.")
#: a part of a SQL Server name: [in brackets, where ]] is ] and a dot is no separator], or plain
_BRACKETED = re.compile(r"\[((?:[^\]]|\]\])*)\](?=\.|\Z)|((?:\\{1,2}\.|[^.])+)")
_PASSWORD = re.compile(r"\A[^/@:]*:[^/]*@")
#: folders of the Hive warehouse: (database.db)/table, or a table of the database `default`
_WAREHOUSE = re.compile(r"/?user/hive/warehouse/(?:([^/]+)\.db/)?([^/]+)/?")

#: scheme -> platform, where it is not called the same and the registry of platforms does not know the scheme
_PLATFORMS = {"awsathena": "athena", "hive2": "hive", "sqldw": "mssql"}
#: databases in a file of no server: what their producers write fits no scheme, so nothing is read into it
_EMBEDDED = frozenset(("duckdb", "sqlite"))
#: schemes that stand without an authority
_BARE = frozenset(("bigquery", "dbfs", "file", "inmemory", "pubsub"))
_DEFAULT_SCHEMA = {"postgresql": "public", "mssql": "dbo"}
_FILES = frozenset(("abfss", "wasbs", "adl", "s3", "gs", "file", "hdfs", "dbfs"))
_SNOWFLAKE = ".snowflakecomputing.com"


def address(namespace: str, name: str) -> Address:
    """The address of a dataset. Never raises: what cannot be named is refused by Naming, with its reason."""
    if glue := _GLUE.fullmatch(namespace):
        return Address("glue", f"{glue[1]}:{glue[2]}", tuple(name.removeprefix("table/").split("/", 1)))
    found = _NAMESPACE.fullmatch(namespace)
    if found is None or (found[0].find("://") < 0 and found[1].lower() not in _BARE):
        if namespace.lower() not in _BARE:
            return Address("openlineage", namespace, (name,))
        scheme, rest = namespace.lower(), ""
    else:
        scheme, rest = found[1].lower(), found[2]
    known = platforms.find(_PLATFORMS.get(scheme, scheme))
    platform = known.name if known else scheme
    if platform in _FILES:
        return _file(platform, rest, name)
    if platform == "pubsub":
        return _pubsub(name)
    rest = _PASSWORD.sub("", rest)
    if known is None:
        if scheme == "milvus":
            return Address(scheme, rest, _split(name, 2), "collection")
        return Address(scheme, rest if scheme != "openlineage" else f"openlineage://{rest}", (name,))
    if platform in _EMBEDDED:
        return Address("openlineage", f"{scheme}://{rest}", (name,))
    if platform == "kafka":
        return Address(platform, rest.strip("/"), (name,), "topic")
    host, database = _server(rest)
    if platform == "cosmosdb":
        database = database.removeprefix("dbs/")
        return Address(platform, host, (*_given(database), name.removeprefix("colls/")), "collection")
    if platform == "kusto":
        return Address(platform, host, (*_given(database), *name.split("/", 0 if database else 1)))
    if platform == "snowflake" and host and not _is_registered(host):
        host += _SNOWFLAKE
    kind = "collection" if platform == "mongodb" else "table"
    return Address(platform, host, _relation(platform, len(known.containers) + 1, database, name), kind)


def _server(rest: str) -> tuple[str, str]:
    """Host and database of `h:1433;database=db`, `h:5432/db?x=y`, `user@h`; either may be empty."""
    place, _, options = rest.partition(";")
    authority, _, database = place.partition("?")[0].partition("/")
    host = authority.rpartition("@")[2]
    for option in options.split(";"):
        key, _, value = option.partition("=")
        if key.strip().lower() in ("database", "databasename"):
            database = value.strip()
        elif key.strip().lower() == "instancename" and value.strip():
            host = f"{host}\\{value.strip()}"
    return host, database.strip("/")


def _given(database: str) -> tuple[str, ...]:
    return (database,) if database else ()


def _is_registered(host: str) -> bool:
    """Whether a Snowflake host is one, rather than an account identifier: the name before `.snowflakecomputing.com`."""
    bare = host.partition(":")[0].lower()
    return _SNOWFLAKE in bare or bare == "localhost" or bare.replace(".", "").isdecimal()


def _relation(platform: str, depth: int, database: str, name: str) -> tuple[str, ...]:
    if platform == "oracle":
        return _split(name, 0)[-depth:]
    if platform != "mssql":
        parts = _split(name, depth)
    else:
        parts = _limit(
            [b.replace("]]", "]") if b else _ESCAPED.sub(".", p) for b, p in _BRACKETED.findall(name)], depth
        )
    if not database or len(parts) == depth:
        return parts
    if len(parts) == depth - 2 and platform in _DEFAULT_SCHEMA:
        parts = (_DEFAULT_SCHEMA[platform], *parts)
    return (database, *parts)


def _split(name: str, limit: int) -> tuple[str, ...]:
    """The parts of a dotted name; at most `limit` (0: as many as there are)."""
    return _limit([_ESCAPED.sub(".", part) for part in _SEPARATOR.split(name)], limit)


def _limit(parts: list[str], limit: int) -> tuple[str, ...]:
    if limit and len(parts) > limit:
        return (*parts[: limit - 1], ".".join(parts[limit - 1 :]))
    return tuple(parts)


def _file(platform: str, rest: str, name: str) -> Address:
    authority, _, above = rest.partition("/")
    container, at, host = authority.rpartition("@")
    container = container.partition(":")[0]
    if platform == "dbfs" and ".azuredatabricks." in host and (table := _WAREHOUSE.fullmatch(name)):
        return Address("hive", host, (table[1] or "default", table[2]))
    if platform in ("s3", "gs"):
        container, host = host, ""
    elif not at and platform != "adl":
        container = ""
    path = tuple(part for part in (container, *above.split("/"), *name.split("/")) if part)
    if platform in ("abfss", "wasbs", "s3", "gs") and container and len(path) == 1:
        return Address(platform, host, path, "bucket" if platform in ("s3", "gs") else "container")
    return Address(platform, host, path, "folder" if name.endswith("/") and path else "file")


def _pubsub(name: str) -> Address:
    """Read `topic:{project}:{topic}` or `subscription:{project}:{subscription}`."""
    kind, _, rest = name.partition(":")
    project, colon, inner = rest.partition(":")
    if kind in ("topic", "subscription") and colon:
        return Address("pubsub", "", (project, inner), kind)
    return Address("pubsub", "", (name,), "topic")
