"""Where a project's tables lie: which platform its adapter writes to, on which server, how tables are spelled there.

A manifest names databases, schemas and tables, but no server. Asked in this order: `hookline.json` beside it
(`{"server": "wh.example:5432"}` or `{"instance": "dw"}`), the folder it lies in, if that is called like an instance
(`uploads/dbt/dw/manifest.json`), the one server of that platform among all instances. BigQuery needs none.
Where nobody says, tables get names of our own, `hookline://dbt/<project>/<database>/<schema>/<table>`.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import NamedTuple

import msgspec

from connectors.format import FileContext
from connectors.formats.dbt.artifacts import CatalogMetadata
from connectors.formats.sql_text import PLATFORMS
from shared.errors import BadInput
from shared.lineage.dialects import canonical
from shared.naming import platforms
from shared.records import Address

#: the file beside a manifest that says what the manifest does not
TOLD = "hookline.json"
#: adapters whose SQL or platform is called otherwise (docs.getdbt.com/docs/supported-data-platforms)
_DIALECTS = {"glue": "spark", "fabricspark": "spark", "materialize": "postgres", "greenplum": "postgres"}
_ADAPTER_PLATFORMS = {"glue": "hive", "fabricspark": "hive"}
#: platforms that stand for one another, as a server of the first kind has tables of the second
_ALSO = {"databricks": ("hive",), "hive": ("databricks",), "mssql": ("fabric-warehouse",)}
_HIVE = ("", "hive_metastore")  # database of what Databricks keeps in a workspace's own metastore
_PART = re.compile(r'"((?:[^"]|"")*)"|`([^`]*)`|\[((?:[^\]]|\]\])*)\]|([^\s.()\'"`\[\]]+)')
_UPPER, _LOWER = ("snowflake",), ("postgres", "redshift", "spark", "databricks", "hive", "trino", "athena")


class Told(msgspec.Struct, forbid_unknown_fields=True):
    """hookline.json. name: of the project in the names of its models, where two folders hold the same project."""

    server: str = ""
    instance: str = ""
    name: str = ""


class Spelled(NamedTuple):
    """A table as dbt spells it."""

    database: str
    schema: str
    name: str


class Warehouse(NamedTuple):
    """base: the server; None where nobody says. why: how it was found, or what to do about it."""

    adapter: str
    dialect: str
    project: str
    base: Address | None
    why: str

    def address(self, table: Spelled, type: str) -> Address:
        """Where the table lies: on the server if its name is complete, else under names of our own."""
        base = self.base
        if base is not None:
            platform_name = base.platform
            if platform_name == "databricks" and table.database.lower() in _HIVE:
                platform_name = "hive"
            platform = platforms.find(platform_name)
            depth = len(platform.containers) + 1 if platform else 3
            parts = tuple(table)[3 - depth :] if depth <= 3 else ()
            if parts and all(parts):
                return Address(platform_name, base.host, parts, type)
        return Address("dbt", self.project, tuple(filter(None, table)), type)

    def spell(self, said: CatalogMetadata | None, relation: str, database: str, schema: str, name: str) -> Spelled:
        """As the warehouse has it (catalog.json), else as dbt writes it into SQL, else by the parts of its name."""
        if said is not None and said.name:
            return Spelled(said.database or database, said.schema or schema, said.name)
        parts = parts_of(relation, self.dialect)
        if parts:
            return Spelled(*(parts[-3:] if len(parts) > 2 else (database, *("", *parts)[-2:])))
        if self.dialect in _UPPER:
            return Spelled(database.upper(), schema.upper(), name.upper())
        return Spelled(database, schema, name)


def parts_of(relation: str, dialect: str) -> tuple[str, ...]:
    """The parts of a relation's name as the warehouse stores them; none where it is no plain name."""
    parts: list[str] = []
    at = 0
    while at < len(relation):
        found = _PART.match(relation, at)
        if found is None:
            return ()
        quoted, ticked, bracketed, bare = found.groups()
        if ticked is not None:
            parts += ticked.split(".") if dialect == "bigquery" else [ticked]
        elif bare is not None:
            parts.append(bare.upper() if dialect in _UPPER else bare.lower() if dialect in _LOWER else bare)
        else:
            parts.append(quoted.replace('""', '"') if quoted is not None else bracketed.replace("]]", "]"))
        at = found.end()
        if at < len(relation) and relation[at] != ".":
            return ()
        at += 1
    return tuple(parts)


def told_in(data: bytes, where: str) -> Told:
    """Raises BadInput: not JSON, an unknown key."""
    fix = 'write {"server": "wh.example:5432"} or {"instance": "<one of hookline.yaml>"}'
    try:
        return msgspec.json.decode(data, type=Told)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{TOLD} cannot be read: {error}", where=where, fix=fix) from error


def warehouse(adapter: str, project: str, told: Told, context: FileContext) -> Warehouse:
    """Raises BadInput: hookline.json names an instance that is not configured, or one of another platform."""
    dialect = _DIALECTS.get(adapter, canonical(adapter))
    platform = _platform(adapter, dialect)
    suits = (platform, *_ALSO.get(platform, ()))
    found: Address | None = None
    if told.instance:
        found = context.instances.get(told.instance)
        if found is None:
            near = get_close_matches(told.instance, context.instances, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            fix = f"{hint}hookline.yaml has: {', '.join(sorted(context.instances)) or 'none'}"
            raise BadInput(f"{TOLD}: unknown instance {told.instance[:60]!r}", where=context.path, fix=fix)
        if _named(found) not in suits:
            what = f"{TOLD}: the project is for {adapter}, instance {told.instance} is {found.platform}"
            raise BadInput(what, where=context.path, fix="name the instance whose tables dbt writes")
        why = f"instance {told.instance} ({TOLD})"
    elif told.server:
        found, why = Address(platform or adapter, told.server, (), "server"), TOLD
    else:
        found, why = _unasked(platform, suits, adapter, context)
    if found is not None:
        found = Address(_named(found), found.host, (), "server")
    return Warehouse(adapter, dialect, project, found if platform else None, why)


def _unasked(platform: str, suits: tuple[str, ...], adapter: str, context: FileContext) -> tuple[Address | None, str]:
    """The server that the folder or the configuration tell, and how; or what to do."""
    folder = PurePosixPath(context.path.replace("\\", "/")).parent.name
    by_folder = context.instances.get(folder)
    if by_folder is not None and _named(by_folder) in suits:
        return by_folder, f"instance {folder} (its folder)"
    known = platforms.find(platform) if platform else None
    if known is not None and known.only_host:
        return Address(platform, known.only_host, (), "server"), f"there is one {platform}"
    servers = {base.host: name for name, base in context.instances.items() if _named(base) in suits}
    if len(servers) == 1:
        ((host, name),) = servers.items()
        return context.instances[name], f"instance {name} (the only server of {platform})" if host else ""
    what = f"{len(servers)} servers of {adapter} are configured" if servers else f"no server of {adapter} is configured"
    say = f'put {TOLD} with {{"server": "..."}} or {{"instance": "..."}} beside the manifest'
    return None, f"not known: {what}; {say}" if platform else f"not known: {adapter or 'the adapter'} has no platform"


def _named(address: Address) -> str:
    known = platforms.find(address.platform)
    return known.name if known else address.platform


def _platform(adapter: str, dialect: str) -> str:
    name = _ADAPTER_PLATFORMS.get(adapter, adapter)
    known = platforms.find(name) if name else None
    return known.name if known else PLATFORMS.get(dialect, "")
