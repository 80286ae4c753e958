"""Connection managers: their properties and connection strings, without credentials, and what they point to.

What a connection points to is a `Place`: the server and database of the tables that components name, or files.
Names of kinds: CreationName in https://learn.microsoft.com/sql/integration-services/connection-manager/
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from connectors.formats.ssis.dts import expressions, prop
from connectors.formats.ssis.model import Connection
from connectors.formats.xml_tree import Node
from shared.records import Address

#: keys of connection strings and names of properties that hold credentials: never kept
_SECRET = re.compile(
    r"pass|pwd|secret|accountkey|account key|accesskey|access key|sharedaccess|sastoken|sas token|sig$|token|credential"
    r"|principalkey|principal key|private",
    re.IGNORECASE,
)
_PAIR = re.compile(r"""\s*([^=;]+?)\s*=\s*("(?:[^"]|"")*"|'(?:[^']|'')*'|\{[^}]*\}|[^;]*)(?:;|\Z)""")
_LOCAL = re.compile(r"(?:\.|\(local\)|localhost|127\.0\.0\.1|::1)(?=\Z|[\\,:])", re.IGNORECASE)

#: words of a provider, driver or client library -> (platform, SQL dialect); the first that is found decides
_SYSTEMS = (
    (r"sqlncli|sqloledb|msoledbsql|sqlclient|sql server|sqlserver|ado\.net:sql\b", ("mssql", "tsql")),
    (r"oraoledb|msdaora|oracle|msora", ("oracle", "oracle")),
    (r"postgre|npgsql|pgoledb|psqlodbc", ("postgresql", "postgres")),
    (r"mysql|mariadb", ("mysql", "mysql")),
    (r"snowflake", ("snowflake", "snowflake")),
    (r"db2|ibmda", ("db2", "")),
    (r"teradata|tdoledb", ("teradata", "teradata")),
    (r"redshift", ("redshift", "redshift")),
    (r"hdbodbc|hana", ("sap_hana", "")),
    (r"bigquery", ("bigquery", "bigquery")),
    (r"databricks|simba spark", ("databricks", "databricks")),
    (r"hive", ("hive", "hive")),
    (r"netezza|nzole", ("netezza", "postgres")),
    (r"vertica", ("vertica", "postgres")),
    (r"sybase|aseoledb|adaptive server", ("sybase", "tsql")),
    (r"informix|ifxole", ("informix", "")),
    (r"sqlite", ("sqlite", "sqlite")),
)
_SCHEMAS = {"mssql": "dbo", "sybase": "dbo", "postgresql": "public", "redshift": "public", "snowflake": "PUBLIC"}
_FILES = ("FLATFILE", "FILE", "MULTIFLATFILE", "MULTIFILE", "EXCEL", "XML")


class Place(NamedTuple):
    """What a connection points to.

    platform: of its tables; "" for files
    base:     address of the server, or of the file
    database, schema: defaults for names that do not say
    dialect:  of SQL that runs there; "" where it is not known
    """

    base: Address
    dialect: str = ""
    database: str = ""
    schema: str = ""
    is_file: bool = False

    @property
    def platform(self) -> str:
        return self.base.platform


def connection_of(node: Node) -> Connection:
    """A `ConnectionManager` element of any version; property names in lower case, credentials left out."""
    name = prop(node, "ObjectName")
    settings = {key: value for key, value in _said(node) if not _SECRET.search(key)}
    string = settings.pop("connectionstring", "")
    settings |= dict(parts(string))
    # a path is no list of settings; only these kinds have one
    kind = prop(node, "CreationName")
    if kind.upper().split(":")[0] in _FILES and "=" not in string:
        settings["path"] = string
    return Connection(name, prop(node, "DTSID"), kind, settings, expressions(node))


def parts(connection_string: str) -> Iterator[tuple[str, str]]:
    """`Data Source=.;Initial Catalog=DW` as (lower-case key, value); credentials are left out."""
    for found in _PAIR.finditer(connection_string[:20_000]):
        key, value = found[1].lower(), found[2].strip()
        if value[:1] in ("'", '"') and len(value) > 1:
            value = value[1:-1].replace(value[0] * 2, value[0])
        elif value.startswith("{") and value.endswith("}") and "::" not in value:
            value = value[1:-1]
        if not _SECRET.search(key):
            yield key, value


def place_of(
    connection: Connection, evaluate: Callable[[str], str], machine: str, own: Callable[[str], Address]
) -> Place:
    """Where it leads, its property expressions evaluated.

    machine: the server on which packages run, which is what `.` and `(local)` mean
    own:     an address inside the package, for what exists only there (caches)
    """
    said = {name.lower(): evaluate(text) for name, text in connection.expressions.items()}
    connection = configured(connection, said)
    settings = connection.settings
    kind = connection.kind.upper()
    if kind.split(":")[0] in _FILES:
        path = settings.get("path") or settings.get("excelfilepath") or settings.get("data source", "")
        return Place(file_address(path or f"{{{connection.name}}}", machine), is_file=True)
    if kind == "CACHE":
        return Place(own(connection.name), is_file=True)
    if kind.startswith(("AZURESTORAGE", "AZUREBLOB", "ADLS", "AZUREDATALAKE")):
        return Place(_storage(settings, connection.name))
    return _database(connection, settings, machine)


def configured(connection: Connection, said: Mapping[str, str]) -> Connection:
    """The same with other values of properties, by lower-case name; credentials among them are left out."""
    settings = dict(connection.settings)
    for name, value in said.items():
        if name == "connectionstring":
            settings |= dict(parts(value)) if "=" in value else {"path": value}
        elif not _SECRET.search(name):
            settings[_PROPERTIES.get(name, name)] = value
    return dataclasses.replace(connection, settings=settings)


#: property of a connection manager -> key of the connection string that it is
_PROPERTIES = {
    "servername": "data source",
    "initialcatalog": "initial catalog",
    "username": "user id",
    "excelfilepath": "path",
}


def _database(connection: Connection, settings: dict[str, str], machine: str) -> Place:
    words = " ".join((connection.kind, settings.get("provider", ""), settings.get("driver", ""))).lower()
    if "jet.oledb" in words or "ace.oledb" in words:
        return Place(file_address(settings.get("data source", ""), machine), is_file=True)
    words += f" {settings.get('dsn', '')}".lower()
    platform, dialect = next((system for word, system in _SYSTEMS if re.search(word, words)), ("", ""))
    host = _first(settings, "data source", "server", "address", "addr", "network address", "host", "servername", "url")
    database = _first(settings, "initial catalog", "database", "dbq", "catalog")
    if not platform:
        # nobody knows what this is: assets of our own, under the kind of connection and where it points to
        other = re.sub(r"[^a-z0-9_]+", "_", connection.kind.split(":")[0].lower()).strip("_") or "connection"
        host = host or settings.get("dsn") or settings.get("dsname") or connection.name
        return Place(Address(other, _plain(host, machine), (), "server"), "", database)
    host = _plain(host or settings.get("dsn", "") or connection.name, machine)
    if platform in ("postgresql", "mysql", "redshift") and settings.get("port", "").isdecimal() and ":" not in host:
        host = f"{host}:{settings['port']}"
    user = _first(settings, "user id", "uid", "user")
    schema = settings.get("current schema") or settings.get("schema") or _SCHEMAS.get(platform, "")
    if platform in ("oracle", "db2") and not schema:
        schema = user.upper()
    return Place(Address(platform, host, (), "server"), dialect, database, schema)


def _first(settings: dict[str, str], *keys: str) -> str:
    return next((settings[key] for key in keys if settings.get(key)), "")


def _plain(host: str, machine: str) -> str:
    r"""`tcp:sql01,1433` is sql01,1433; `.\DEV` is the machine's instance DEV."""
    host = re.sub(r"^(?:tcp|np|lpc|admin):(?=\S)", "", host.strip(), flags=re.IGNORECASE)
    return _LOCAL.sub(lambda _: machine, host, count=1)


def _storage(settings: dict[str, str], name: str) -> Address:
    suffix = settings.get("endpointsuffix") or "core.windows.net"
    account = _first(settings, "accountname", "account name") or _first(settings, "endpoint", "url", "host")
    account = re.sub(r"^https?://", "", account).strip("/") or f"{{{name}}}"
    lake = settings.get("servicetype") in ("1", "ADLS2") or ".dfs." in account
    if "." not in account:
        account = f"{account}.{'dfs' if lake else 'blob'}.{suffix}"
    return Address("abfss" if lake else "wasbs", account, (), "server")


def file_address(path: str, machine: str) -> Address:
    r"""A file: `\\files01\in\a.csv` lies on files01, `D:\in\a.csv` on the machine that runs the package."""
    plain = path.strip().replace("\\", "/")
    host = machine
    if plain.startswith("//"):
        host, _, plain = plain[2:].partition("/")
    pieces = tuple(piece for piece in plain.split("/") if piece)
    return Address("file", host, pieces or ("{file}",), "resource_set" if "*" in plain else "file")


def _said(node: Node) -> Iterator[tuple[str, str]]:
    """What the manager says of itself: attributes and properties of everything in its ObjectData."""
    for data in node.all("ObjectData"):
        for manager in data.children:
            yield from ((key.lower(), value) for key, value in manager.attributes.items())
            for child in manager.children:
                name = child.get("Name") or child.tag
                if not child.children and name != "Property":
                    yield name.lower(), child.text
