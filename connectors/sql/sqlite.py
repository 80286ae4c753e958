"""SQLite database files, read with Python's own sqlite3. Needs read access to the file, nothing else.

A file has no server: the `host` setting stands for it in names and defaults to the file's name without its suffix, so
give one where two files of the same name are scanned. Address path: (file name without suffix, "main", table).
Nothing is held between two queries, so that a scan never keeps a writer waiting.

Facts: https://www.sqlite.org/pragma.html (table_list, table_xinfo, index_list, foreign_key_list),
https://www.sqlite.org/fileformat2.html#stat1tab (row estimates), https://www.sqlite.org/uri.html
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec

from connectors.source import Check
from connectors.sql.base import Leaf, Seconds, SqlSource, Unreadable
from connectors.sql.comments import Comments, comments
from shared.errors import SourceError, SourceRefused, SourceUnreachable
from shared.records import Address, Column, Container, Dataset, ForeignKey

SCHEMA = "main"
#: the first with pragma_table_list
OLDEST = (3, 37)
#: names read at a time, and virtual machine steps between two looks at the clock
PAGE = 500
STEPS = 100_000

# table_list knows what sqlite_schema does not: shadow tables (the storage of virtual ones), WITHOUT ROWID, STRICT
_RELATIONS = """
select l.name, l.type, l.wr, l.strict, coalesce(s.sql, '') from pragma_table_list l
join sqlite_schema s on s.type in ('table', 'view') and s.name = l.name
where l.schema = 'main' and l.type <> 'shadow' and l.name not like 'sqlite\\_%' escape '\\' and l.name > ?
order by l.name limit ?"""
_COLUMNS = "select name, type, \"notnull\", dflt_value, pk, hidden from pragma_table_xinfo(?, 'main') order by cid"
_UNIQUE = """
select i.name, c.name from pragma_index_list(?, 'main') i, pragma_index_info(i.name, 'main') c
where i."unique" and not i.partial and i.origin <> 'pk' order by i.name, c.seqno"""
_FOREIGN_KEYS = """
select f.id, coalesce(s.name, f."table"), f."from", f."to" from pragma_foreign_key_list(?, 'main') f
left join sqlite_schema s on s.type = 'table' and s.name = f."table" collate nocase order by f.id desc, f.seq"""


class SQLiteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """path: the file; host: what names call its server; statement_timeout_seconds: for one query."""

    path: str
    host: str = ""
    statement_timeout_seconds: Seconds = 60


class File:
    """An open database file: rows of one query at a time, each within its time."""

    def __init__(self, connection: sqlite3.Connection, path: str, seconds: float) -> None:
        self._connection, self._path, self._seconds = connection, path, seconds
        self._deadline = 0.0
        connection.set_progress_handler(lambda: time.monotonic() > self._deadline, STEPS)

    def rows(self, query: str, *values: object) -> list[Any]:
        self._deadline = time.monotonic() + self._seconds
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _explained(self, error: sqlite3.Error) -> Exception:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith("SQLITE_INTERRUPT"):
            return SourceUnreachable(
                f"a query on {self._path} took longer than {self._seconds:g} s", fix="raise statement_timeout_seconds"
            )
        if name.startswith("SQLITE_ERROR"):
            return Unreadable(str(error), fix="repair or drop it, or exclude it from the instance")
        return refused(self._path, error)


def refused(path: str, error: sqlite3.Error) -> SourceError:
    """What kind of no `error` is."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return SourceUnreachable(f"{path} is locked by a writer", fix="scan again when the writer has finished")
    if not Path(path).is_file():
        return SourceUnreachable(f"there is no file {path}", fix="correct `path`, or mount the share it lies on")
    fix = "give the app read access, or correct `path`: it must be an unencrypted SQLite 3 database"
    return SourceRefused(f"{path} cannot be read: {error}", fix=fix)


class SQLite(SqlSource[SQLiteSettings, File]):
    """Tables and views of one file."""

    Settings = SQLiteSettings
    platform = "sqlite"
    dialect = "sqlite"
    title = "SQLite: tables, views, keys, comments of a database file"
    permissions = "read access to the file (and to its -wal file where there is one)"
    lineage = "views, from their SQL"
    verified = "SQLite 3.40 (the real library)"
    example = """\
path: /data/shop.db
host: shop
statement_timeout_seconds: 60
"""

    def base(self) -> Address:
        return Address(self.platform, self.settings.host or Path(self.settings.path).stem, (), "server")

    @property
    def _schema(self) -> Address:
        return self.base().at(Path(self.settings.path).stem, SCHEMA, type="schema")

    @contextmanager
    def connect(self) -> Iterator[File]:
        path, seconds = self.settings.path, self.settings.statement_timeout_seconds
        if sqlite3.sqlite_version_info < OLDEST:
            what = f"this Python comes with SQLite {sqlite3.sqlite_version}, which cannot list tables by kind"
            raise SourceRefused(what, where=path, fix="run it with a Python that has SQLite 3.37 or newer")
        connection = None
        try:
            uri = Path(path).absolute().as_uri() + "?mode=ro"
            connection = sqlite3.connect(uri, uri=True, timeout=seconds)
            connection.text_factory = lambda text: text.decode("utf-8", "replace")
            connection.execute("select 1 from sqlite_schema limit 1").close()
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            raise refused(path, error) from error
        try:
            yield File(connection, path, seconds)
        finally:
            connection.close()

    def schemas(self, session: File) -> list[str]:
        del session
        return [SCHEMA]

    def containers(self, session: File, schema: str) -> list[Container]:
        del session
        server, path = self.base(), self._schema.path
        chain = (server, server.at(path[0], type="database"), self._schema)
        return [Container(address=address) for address in chain] if schema == SCHEMA else []

    def relations(self, session: File, schema: str, after: str) -> Iterator[Leaf]:
        del schema
        while page := session.rows(_RELATIONS, after, PAGE):
            for row in page:
                yield Leaf(row[0], row[0], partial(self._dataset, session, *row))
            after = page[-1][0]

    def _dataset(self, session: File, name: str, kind: str, wr: int, strict: int, sql: str) -> Dataset | None:
        said = comments(sql, self.dialect)
        address = self._schema.at(name, type="view" if kind == "view" else "table")
        if kind == "view":
            return self._view(session, address, sql, said)
        unique: dict[str, list[str | None]] = {}
        for index, column in session.rows(_UNIQUE, name):
            unique.setdefault(index, []).append(column)  # None: an expression
        single = {columns[0] for columns in unique.values() if len(columns) == 1}
        columns = tuple(_column(row, said, single, wr=bool(wr)) for row in session.rows(_COLUMNS, name) if row[5] != 1)
        if not columns:
            return None  # dropped since its name was read
        keys: dict[int, list[Any]] = {}
        for id_, *rest in session.rows(_FOREIGN_KEYS, name):
            keys.setdefault(id_, []).append(rest)
        module = re.search(r"\busing\s+(\w+)", sql, re.IGNORECASE) if kind == "virtual" else None
        together = [f"({', '.join(c)})" for c in map(_named, unique.values()) if len(c) > 1]
        properties = {
            "unique keys": ", ".join(together),
            "storage": "without rowid" if wr else "",
            "strict": "true" if strict else "",
            "virtual table module": module[1] if module else "",
        }
        return Dataset(
            address=address,
            description=said.table,
            columns=columns,
            foreign_keys=tuple(self._foreign_key(rows) for rows in keys.values()),
            properties={key: value for key, value in properties.items() if value},
            statistics=self._rows(session, name),
        )

    def _view(self, session: File, address: Address, sql: str, said: Comments) -> Dataset:
        broken = ""
        try:
            columns = tuple(Column(name=name, type=type_) for name, type_, *_ in session.rows(_COLUMNS, address.name))
        except Unreadable as error:  # it reads a table that is not there: the view is there, and its SQL says why
            columns, broken = (), error.what
        return Dataset(
            address=address,
            description=said.table,
            columns=columns,
            sql=sql,
            dialect=self.dialect,
            properties={"broken": broken} if broken else {},
        )

    def _foreign_key(self, rows: list[Any]) -> ForeignKey:
        return ForeignKey(
            columns=tuple(row[1] for row in rows),
            referenced=self._schema.at(rows[0][0]),
            referenced_columns=tuple(row[2] for row in rows if row[2] is not None),
        )

    def _rows(self, session: File, name: str) -> dict[str, str]:
        if not session.rows("select 1 from sqlite_schema where name = 'sqlite_stat1'"):
            return {}  # ANALYZE has never run
        [[rows]] = session.rows("select max(cast(stat as integer)) from sqlite_stat1 where tbl = ?", name)
        return {} if rows is None else {"rows": str(rows)}

    def probe(self, session: File) -> Iterator[Check]:
        [[version]] = session.rows("select sqlite_version()")
        yield Check("connection", True, f"{self.settings.path} opened read-only with SQLite {version}")


def _named(columns: list[str | None]) -> list[str]:
    return [column or "an expression" for column in columns]


def _column(row: Any, said: Comments, unique: set[str | None], *, wr: bool) -> Column:
    name, type_, not_null, default, pk, hidden = row
    key: Literal["", "primary", "unique"] = "primary" if pk else "unique" if name in unique else ""
    # a primary key may hold NULL in SQLite, unless it is the rowid or the table has none
    never = not_null or (pk and (wr or type_.upper() == "INTEGER"))
    generated = f"generated always as ({said.generated.get(name.lower(), '...')})" if hidden in (2, 3) else ""
    return Column(
        name=name,
        type=type_,
        nullable=not never,
        description=said.columns.get(name.lower(), ""),
        key=key,
        default=generated or default or "",
    )
