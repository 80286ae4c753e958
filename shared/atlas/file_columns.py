"""Columns of the datasets of one file, for the SQL in it and for the scans that follow.

They lie in a temporary database of SQLite's, which keeps a few MB in memory and the rest on disk: a file may hold a
million tables.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from shared.lineage.known import Known
from shared.naming.place import Place, place
from shared.records import Address, Column

#: rows written at a time
_BATCH = 1_000
#: of the database, kept in memory: KiB
_CACHE = 4_096

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(tuple[str, ...]).decode


class TableColumns(NamedTuple):
    """One table: its container (`Place.container`), its name, the names of its columns in order."""

    container: str
    name: str
    columns: tuple[str, ...]


class FileColumns:
    """A layer of known columns (shared.lineage.known), and what a part of a scan leaves for the table `schemas`."""

    def __init__(self) -> None:
        self._database: sqlite3.Connection | None = None
        self._waiting: list[tuple[str, str, str, bytes]] = []
        self._around: tuple[tuple[str, str, tuple[str, ...]], str] | None = None
        self._spellings: dict[str, dict[tuple[str, ...], None]] = {}  # container -> paths that are it but for case

    def add(self, address: Address, columns: Sequence[Column]) -> None:
        """The columns of a table or view; said again, the last ones count."""
        names = tuple([column.name for column in columns if not column.path])
        if not names:
            return
        around = (address.platform, address.host, address.path[:-1])
        if self._around is None or self._around[0] != around:
            self._around = (around, place(address).container)
            self._spellings.setdefault(self._around[1], {})[around[2]] = None
        name = address.name
        self._waiting.append((self._around[1], name.casefold(), name, encode(names)))
        if len(self._waiting) >= _BATCH:
            self._write()

    def find(self, tables: Sequence[Address]) -> Mapping[Address, Known]:
        found: dict[Address, Known] = {}
        database = self._write()
        if database is None:
            return found
        for table in tables:
            where = place(table)
            rows = database.execute(
                "select name, columns from tables where container = ? and folded = ?",
                (where.container, where.name.casefold()),
            ).fetchall()
            columns = chosen(where, rows)
            if columns is not None:
                found[table] = Known(decode(columns))
        return found

    def spelled(self, table: Address) -> Address:
        """The table with the spelling that this file has of it, where exactly one is the same but for case."""
        database = self._write()
        where = place(table)
        paths = self._spellings.get(where.container, {})
        if database is None or not paths:
            return table
        rows = database.execute(
            "select name from tables where container = ? and folded = ?", (where.container, where.name.casefold())
        ).fetchall()
        around, names = table.path[:-1], [name for (name,) in rows]
        path = around if around in paths else next(iter(paths)) if len(paths) == 1 else None
        name = where.name if where.name in names else names[0] if len(names) == 1 else None
        return table if path is None or name is None else msgspec.structs.replace(table, path=(*path, name))

    def rows(self) -> Iterator[TableColumns]:
        """All of them, sorted by container and name."""
        database = self._write()
        if database is not None:
            for container, name, columns in database.execute(
                "select container, name, columns from tables order by container, folded, name"
            ):
                yield TableColumns(container, name, decode(columns))

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _write(self) -> sqlite3.Connection | None:
        if self._waiting:
            if self._database is None:
                self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
                self._database.executescript(
                    f"pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -{_CACHE};"
                    "create table tables (container text, folded text, name text, columns blob,"
                    " primary key (container, folded, name)) without rowid"
                )
            self._database.execute("begin")
            self._database.executemany("insert or replace into tables values (?, ?, ?, ?)", self._waiting)
            self._database.execute("commit")
            self._waiting.clear()
        return self._database


def chosen(where: Place, rows: Sequence[tuple[str, bytes]]) -> bytes | None:
    """Of tables whose names differ in case only, the one that is meant; None where that cannot be told."""
    if len(rows) == 1:
        return rows[0][1]
    return next((columns for name, columns in rows if name == where.name), None)
