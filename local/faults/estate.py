"""What the fault matrix plays: the estate of `chaos`, and a PostgreSQL database behind a wire that can be cut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local.chaos.estate import TABLES, Change, Database, Estate, Key
from local.faults.wire import Wire, wire_to

#: the secret that the instance's password comes from
SECRET = "shop-password"  # noqa: S105 - its name
NAME, SCHEMA = "shop", "play"


class Remote(Database):
    """A database on a PostgreSQL server, reached through a wire. login: of its superuser, as libpq names things."""

    connector, scope = "postgresql", SCHEMA

    def __init__(self, login: dict[str, str], port: int, wire: Wire) -> None:
        super().__init__(NAME, Path(NAME))
        self.wire = wire
        self._login: dict[str, Any] = {**login, "port": port}
        self._execute(f"CREATE DATABASE {NAME}")
        self._login["dbname"] = NAME
        self._execute(f"CREATE SCHEMA {SCHEMA}")

    def _run(self, sql: str) -> None:
        self._execute(f"SET search_path TO {SCHEMA}, pg_catalog", sql)

    def _execute(self, *statements: str) -> None:
        import psycopg

        with psycopg.connect(**self._login, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def settings(self) -> dict[str, Any]:
        login = self._login
        reached: dict[str, Any] = {"host": "127.0.0.1", "port": self.wire.port, "sslmode": "disable"}
        known = {"database": login["dbname"], "user": login["user"], "password": f"${{secret:{SECRET}}}"}
        return {"delete_limit": 1.0, "include": [f"{SCHEMA}.*"], "settings": reached | known}

    def expected(self) -> Iterator[tuple[Key, str]]:
        server = f"postgresql://servers/127.0.0.1:{self.wire.port}"
        database = f"{server}/dbs/{self._login['dbname']}"
        yield ("postgresql_server", server), ""
        yield ("postgresql_db", database), ""
        yield ("postgresql_schema", f"{database}/schemas/{SCHEMA}"), ""
        for table, columns in self.tables.items():
            name = f"{database}/schemas/{SCHEMA}/tables/{table}"
            yield ("postgresql_table", name), ""
            for column in columns:
                yield ("postgresql_table_column", f"{name}/columns/{column}"), ""


class FaultEstate(Estate):
    """With `remote` as a fourth database where there is one."""

    def __init__(self, folder: Path, seed: int, files: int, remote: Remote | None) -> None:
        super().__init__(folder, seed, files)
        self.remote = remote
        if remote is not None:
            self.databases.append(remote)
            for _ in range(TABLES):
                remote.create(self.rng)

    def change_remote(self) -> Change:
        """The next change, of the remote database."""
        assert self.remote is not None
        self.changes += 1
        self.remote.change(self.rng)
        return Change(instance=self.remote.name)


@contextmanager
def remote_database() -> Iterator[tuple[Remote | None, str]]:
    """A private PostgreSQL with the remote database, and its password; (None, why not) where none is installed."""
    from local.postgresql import Server, installed

    binaries = installed()
    if binaries is None:
        yield None, "no PostgreSQL is installed here"
        return
    server = Server(binaries)
    try:
        with wire_to("127.0.0.1", server.port) as wire:
            yield Remote(server.login, server.port, wire), server.login["password"]
    finally:
        server.stop()
