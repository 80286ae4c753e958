"""PostgreSQL 12 and newer, read from its catalogue (pg_catalog) with psycopg 3.

The account needs CONNECT on the database and nothing else: every role may read the catalogue, so tables and views are
found without USAGE or SELECT on them, and no row of a table is ever read.

A page of objects is one query in one short read-only transaction that is over before its records are handed on. A long
transaction would buy little consistency (pg_get_viewdef and format_type see the newest catalogue, not the snapshot)
and would keep the database from vacuuming for as long as the consumer takes. Paged by name, a table that is renamed
meanwhile may be missed or met twice; the next scan puts that right. The queries are in postgresql_queries.

Facts: https://www.postgresql.org/docs/current/catalogs.html,
https://www.postgresql.org/docs/current/functions-info.html, https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from connectors.source import Check
from connectors.sql import postgresql_names as names
from connectors.sql import postgresql_queries as queries
from connectors.sql.base import Leaf, Seconds, SqlSource, Unreadable
from shared.errors import DriverMissing, LoginRefused, SourceError, SourceRefused, SourceUnreachable
from shared.records import Address, Column, Container, Dataset, ForeignKey, Mention, Process
from shared.settings import Secret

if TYPE_CHECKING:
    import psycopg

#: relations a page: even of tables with 1,500 columns it is under 40 MB
PAGE = 125
OLDEST = 12_00_00
#: libpq tells why a login failed only in words: these are a person's to solve, unless the server is starting or full
_REFUSED = ("FATAL", "no password supplied", "SSL was required", "certificate", "authentication method")
_BUSY = ("starting up", "shutting down", "recovery", "too many", "connection slots")
_INSTALL = "pip install -r connectors/requirements/postgresql.txt"

_columns = msgspec.json.Decoder(tuple[Column, ...]).decode
_keys = msgspec.json.Decoder(list[tuple[str, tuple[str, ...], tuple[str, ...], str, str, str]]).decode


class PostgreSQLSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """host: a name, an address, or the folder of a Unix socket; sslmode: as libpq has it."""

    host: str
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 5432
    database: str
    user: str
    password: Secret | None = None
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    connect_timeout_seconds: Annotated[int, msgspec.Meta(ge=1)] = 10
    statement_timeout_seconds: Seconds = 60
    application_name: str = "hookline"


class PostgreSQL(SqlSource[PostgreSQLSettings, "psycopg.Connection[Any]"]):
    """Tables, views and routines of one database; a scope is a schema."""

    Settings = PostgreSQLSettings
    platform = "postgresql"
    dialect = "postgres"
    title = "PostgreSQL: tables, views, materialized views, keys, comments, functions and procedures of a database"
    permissions = "CONNECT on the database; no rights on schemas or tables"
    lineage = "views, functions, procedures, triggers, rules and foreign tables, down to the column"
    verified = "PostgreSQL 15 (real server)"
    example = """\
host: crm.internal
port: 5432
database: crm
user: reader
password: ${secret:crm-password}
sslmode: verify-full
connect_timeout_seconds: 10
statement_timeout_seconds: 60
application_name: hookline
"""

    def base(self) -> Address:
        host = "localhost" if self.settings.host.startswith("/") else self.settings.host
        return Address(self.platform, f"{host}:{self.settings.port}", (), "server")

    @property
    def _database(self) -> Address:
        return self.base().at(self.settings.database, type="database")

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            import psycopg
        except ImportError as error:
            raise DriverMissing("the package psycopg is not installed", where=self._where, fix=_INSTALL) from error
        wanted = self.settings
        try:
            connection = psycopg.connect(
                host=wanted.host,
                port=wanted.port,
                dbname=wanted.database,
                user=wanted.user,
                password=wanted.password.reveal() if wanted.password else None,
                sslmode=wanted.sslmode,
                connect_timeout=wanted.connect_timeout_seconds,
                application_name=wanted.application_name,
                client_encoding="utf8",
                keepalives_idle=30,
                tcp_user_timeout=int(wanted.statement_timeout_seconds * 1000) + 10_000,
                prepare_threshold=None,  # a pooler may hand every transaction to another server process
            )
        except psycopg.OperationalError as error:
            raise self._not_connected(error) from None  # its text is in ours; its locals hold the password
        with connection:
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            if connection.info.server_version < OLDEST:
                raise SourceRefused("PostgreSQL older than 12", where=self._where, fix="upgrade the server")
            yield connection

    @property
    def _where(self) -> str:
        return f"{self.settings.database} on {self.base().host}"

    def _not_connected(self, error: psycopg.Error) -> SourceError:
        said = " ".join(str(error).split())
        secret = self.settings.password.reveal() if self.settings.password else ""
        said = said.replace(secret, "***") if secret else said
        if any(word in said for word in _REFUSED) and not any(word in said for word in _BUSY):
            fix = f"check user, password, database, sslmode and pg_hba.conf; {self.settings.user} needs CONNECT"
            return LoginRefused(f"the server refused the login: {said}", where=self._where, fix=fix)
        fix = "check host and port, and that firewalls and private endpoints let the app through"
        return SourceUnreachable(f"no connection: {said}", where=self._where, fix=fix)

    def _rows(self, session: psycopg.Connection[Any], query: str, **values: object) -> list[Any]:
        """All rows of one query in a transaction of its own. Raises Unreadable for what only some objects can cause."""
        import psycopg

        limit = f"{int(self.settings.statement_timeout_seconds * 1000)}ms"
        try:
            session.execute(queries.SESSION, {"timeout": limit})
            return session.execute(query.encode(), values).fetchall()
        except psycopg.errors.QueryCanceled as error:
            what = f"a query took longer than {limit}, or was cancelled"
            raise SourceUnreachable(what, where=self._where, fix="raise statement_timeout_seconds") from error
        except psycopg.errors.InsufficientPrivilege as error:
            fix = f"grant it to {self.settings.user}: SELECT on pg_catalog is every role's unless it was revoked"
            raise SourceRefused(str(error.diag.message_primary), where=self._where, fix=fix) from error
        except psycopg.errors.LockNotAvailable as error:
            what = "another session holds a lock on it, or on what it reads"
            raise Unreadable(what, where=self._where, fix="scan again when that session has finished") from error
        except (psycopg.Error, UnicodeDecodeError) as error:
            said = " ".join(str(error).split())
            if session.closed:
                fix = "scan again; it goes on where it stood"
                raise SourceUnreachable(f"the connection was lost: {said}", where=self._where, fix=fix) from error
            fix = "repair or drop it, or exclude it from the instance"
            raise Unreadable(said, where=self._where, fix=fix) from error
        finally:
            if not session.closed:
                session.rollback()

    def schemas(self, session: psycopg.Connection[Any]) -> list[str]:
        named = {pattern.split(".")[0] for pattern in self.selection.include}
        found = [(name, system) for name, system in self._rows(session, queries.SCHEMAS)]
        return [name for name, system in found if not system or name in named]

    def containers(self, session: psycopg.Connection[Any], schema: str) -> list[Container]:
        rows = self._rows(session, queries.DESCRIPTIONS, schema=schema)
        if not rows:
            return []
        [(database, described)] = rows
        return [
            Container(
                address=self.base(), properties={"version": session.info.parameter_status("server_version") or ""}
            ),
            Container(address=self._database, description=database),
            Container(address=self._database.at(schema, type="schema"), description=described),
        ]

    def relations(self, session: psycopg.Connection[Any], schema: str, after: str) -> Iterator[Leaf]:
        address = self._database.at(schema, type="schema")
        for row in self._paged(session, queries.RELATIONS, queries.RELATION_NAME, schema, after):
            yield Leaf(row[0], row[0], partial(self._dataset, address, row))

    def routines(self, session: psycopg.Connection[Any], schema: str, after: str) -> Iterator[Leaf]:
        address = self._database.at(schema, type="schema")
        for row in self._paged(session, queries.ROUTINES, queries.ROUTINE_NAME, schema, after):
            yield Leaf(row[0], row[1], partial(self._process, address, row))

    def triggers(self, session: psycopg.Connection[Any], schema: str, after: str) -> Iterator[Leaf]:
        address = self._database.at(schema, type="schema")
        for row in self._paged(session, queries.TRIGGERS, queries.TRIGGER_NAME, schema, after):
            yield Leaf(row[0], row[1], partial(self._trigger, address, row))

    def _paged(
        self, session: psycopg.Connection[Any], query: str, name_query: str, schema: str, after: str
    ) -> Iterator[tuple[Any, ...]]:
        """Rows of `query` from key `after` on. Where a page fails, smaller ones find the object that is to blame."""
        size = PAGE
        suspects: list[Any] = []
        while True:
            try:
                page = self._rows(session, query, schema=schema, after=after, limit=size)
            except Unreadable as error:
                if size > 1:
                    size = max(1, size // 8)
                    continue
                suspected, suspects = suspects, self._rows(session, name_query, schema=schema, after=after)
                if suspects != suspected:
                    continue  # once more: it may have failed because it was just being dropped
                page = [(*row, error) for row in suspects]
            yield from page
            if len(page) < size:
                return
            after, size = page[-1][0], min(PAGE, size * 2)

    def _dataset(self, schema: Address, row: tuple[Any, ...]) -> Dataset:
        if isinstance(row[-1], Unreadable):
            raise row[-1]
        name, kind, description, rows, columns_, sql, keys, reads, called, options, *rest = row
        address = names.relation(self._database, schema.name, name, kind)
        columns = _columns(columns_) if columns_ else ()
        inputs, mentions = names.inputs(self._database, reads)
        definitions, theirs = names.functions(self._database, called) if called else ("", ())
        remote = names.foreign(address, columns, options) if options else None
        if remote is not None:
            sql, inputs, mentions = remote.sql, (remote.table,), (remote.mention,)
        return Dataset(
            address=address,
            description=description,
            columns=columns,
            sql=sql or "",
            dialect=self.dialect if sql else "",
            inputs=inputs,
            mentions=mentions + theirs,
            definitions=definitions,
            foreign_keys=tuple(
                ForeignKey(columns=own, referenced=self._relation(*there), referenced_columns=theirs, name=constraint)
                for constraint, own, theirs, *there in (_keys(keys) if keys else ())
            ),
            properties={key: value for key, value in zip(queries.PROPERTIES, rest, strict=False) if value},
            statistics={
                key: str(n) for key, n in (("rows", rows), ("partitions", rest[-1])) if n is not None and n >= 0
            },
        )

    def _relation(self, schema: str, name: str, kind: str) -> Address:
        return names.relation(self._database, schema, name, kind)

    def _process(self, schema: Address, row: tuple[Any, ...]) -> Process:
        if isinstance(row[-1], Unreadable):
            raise row[-1]
        key, _, kind, description, language, returns, arguments, sql, path_, mentioned = row
        path = names.search_path(path_)
        properties = {"language": language, "returns": returns, "arguments": arguments}
        return Process(
            address=schema.at(key, type="procedure" if kind == "p" else "function"),
            description=description,
            sql=sql or "",
            dialect=self.dialect if sql else "",
            default_database=self.settings.database,
            default_schema=path[0] if path else schema.name,
            mentions=tuple(names.mentions(self._database, path, mentioned)),
            properties={name: value for name, value in properties.items() if value},
        )

    def _trigger(self, schema: Address, row: tuple[Any, ...]) -> Process:
        """A trigger with its function, or a rule: what is written where its relation is written."""
        if isinstance(row[-1], Unreadable):
            raise row[-1]
        _, on, relkind, columns, name, kind, description, sql, path_, mentioned = row
        path = names.search_path(path_)
        relation = self._relation(schema.name, on, relkind)
        own = Mention(relation.path, relation, names.listed(columns))
        others = (one for one in names.mentions(self._database, path, mentioned) if one.path != own.path)
        return Process(
            address=relation.at(name, type=kind),
            description=description,
            sql=sql,
            dialect=self.dialect,
            default_database=self.settings.database,
            default_schema=path[0] if path else schema.name,
            mentions=(own, *others),
        )

    def probe(self, session: psycopg.Connection[Any]) -> Iterator[Check]:
        info = session.info
        yield Check("connection", True, f"{self._where} as {info.user}, {info.parameter_status('server_version')}")
        tls = (
            "TLS" if session.pgconn.ssl_in_use else "not encrypted: set sslmode to verify-full where the server has TLS"
        )
        yield Check("encryption", True, tls)
        refused = [name for (name,) in self._rows(session, queries.UNREADABLE_CATALOGUE)]
        fix = f"grant select on pg_catalog.{refused[0]} to {info.user}" if refused else ""
        yield Check("catalogue", not refused, ", ".join(refused) or "readable, view definitions included", fix)
