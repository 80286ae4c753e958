"""What names in PostgreSQL's SQL stand for: search paths, partitions, tables on other servers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from shared.records import Address, Column, Mention

KINDS = {"v": "view", "m": "materialized_view"}

#: schema, name and kind of what is meant (of a partition: its table), schema and name as they are spelled, columns
_Mentioned = tuple[str, str, str, str, str, tuple[str, ...] | None]
_mentioned = msgspec.json.Decoder(list[_Mentioned]).decode
#: of each function that a view calls: its definition, search path and mentions
_functions = msgspec.json.Decoder(list[tuple[str, str, str | None]]).decode
listed = msgspec.json.Decoder(tuple[str, ...]).decode


class _Options(msgspec.Struct):
    """Options of a foreign table, each `name=value`; of its columns by name."""

    server: list[str] | None = None
    table: list[str] | None = None
    columns: dict[str, list[str]] | None = None


_options = msgspec.json.Decoder(_Options).decode


class Foreign(NamedTuple):
    """A table on another PostgreSQL server, and the query by which its rows come here."""

    table: Address
    sql: str
    mention: Mention


def relation(database: Address, schema: str, name: str, kind: str) -> Address:
    """kind: relkind of pg_class."""
    return database.at(schema, name, type=KINDS.get(kind, "table"))


def inputs(database: Address, mentioned: str | None) -> tuple[tuple[Address, ...], tuple[Mention, ...]]:
    """What a view reads, and what the names in its SQL stand for: a partition is read as its table."""
    found = _mentioned(mentioned) if mentioned else []
    meant = dict.fromkeys(relation(database, schema, name, kind) for schema, name, kind, *_ in found)
    return tuple(meant), tuple(mention for mention in _mentions(database, found) if _says_more(mention))


def search_path(path: str) -> list[str]:
    """The schemas of a search path as the server keeps it, without those that are not the same for everybody."""
    names = (name.strip().strip('"').replace('""', '"') for name in path.split(","))
    return [name for name in names if name and name != "$user" and not name.startswith("pg_")]


def mentions(database: Address, path: list[str], mentioned: str | None) -> Iterator[Mention]:
    """What a routine's names stand for.

    Unqualified ones are read as of the first schema of `path`; those that are found in another one have a second
    mention there.
    """
    found = _mentioned(mentioned) if mentioned else []
    known = {mention.path[-2:]: mention for mention in _mentions(database, found)}
    yield from known.values()
    here = path[0] if path else ""
    for name in dict.fromkeys(name for _, name in known):
        holder = next((schema for schema in path if (schema, name) in known), here)
        if holder != here:
            there = known[holder, name]
            yield Mention((*database.path, here, name), there.address, there.columns)


def functions(database: Address, called: str) -> tuple[str, tuple[Mention, ...]]:
    """SQL that creates the functions which a view calls, and what their names stand for."""
    found = _functions(called)
    texts = [f"set search_path = {path};\n{definition};\n" for definition, path, _ in found]
    known = [one for _, path, mentioned in found for one in mentions(database, search_path(path), mentioned)]
    return "".join(texts), tuple(dict.fromkeys(known))


def _mentions(database: Address, found: Iterable[_Mentioned]) -> Iterator[Mention]:
    for schema, name, kind, spelled_schema, spelled, columns in found:
        meant = relation(database, schema, name, kind)
        yield Mention((*database.path, spelled_schema, spelled), meant, columns or ())


def _says_more(mention: Mention) -> bool:
    return bool(mention.columns) or mention.address.path != mention.path


def foreign(own: Address, columns: Iterable[Column], options: str) -> Foreign | None:
    """The table behind a foreign table of postgres_fdw, if its server says host and database."""
    found = _options(options)
    server, table = _named(found.server), _named(found.table)
    host = server.get("host") or server.get("hostaddr")
    if not host or host.startswith("/") or not server.get("dbname"):
        return None
    path = server["dbname"], table.get("schema_name", own.path[-2]), table.get("table_name", own.name)
    there = Address(own.platform, f"{host}:{server.get('port', '5432')}", path)
    theirs = {name: _named(given).get("column_name", name) for name, given in (found.columns or {}).items()}
    listed = ", ".join(f"{_quoted(theirs.get(c.name, c.name))} as {_quoted(c.name)}" for c in columns)
    sql = f"select {listed or '*'} from {'.'.join(map(_quoted, path))}"  # noqa: S608 - read, never executed
    return Foreign(there, sql, Mention(path, there))


def _named(options: list[str] | None) -> Mapping[str, str]:
    return {name: value for name, _, value in (option.partition("=") for option in options or ())}


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
