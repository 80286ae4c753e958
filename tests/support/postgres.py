"""A real PostgreSQL server for tests: a private one from the installed binaries, or the one that is named.

HOOKLINE_TEST_POSTGRES: conninfo of a superuser on a server where databases and roles may be created and dropped.
Without it a server is started from Debian's binaries, on a port of its own, loopback and a socket only, with fsync off.
"""

from __future__ import annotations

import atexit
import functools
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from local.postgresql import Server, installed

HOW_TO = (
    "no PostgreSQL server: `apt-get install postgresql` (its binaries are enough, a private server is started),"
    " or set HOOKLINE_TEST_POSTGRES to the conninfo of a superuser"
)


def _start(binaries: Path) -> str:
    """Start a private server; conninfo of its superuser. It is stopped and removed when the process ends."""
    server = Server(binaries)
    atexit.register(server.stop)
    return make_conninfo(port=server.port, **server.login)


@functools.cache
def _running() -> str:
    if given := os.environ.get("HOOKLINE_TEST_POSTGRES"):
        return given
    binaries = installed()
    return _start(binaries) if binaries else ""


def superuser() -> str:
    """Conninfo of a superuser; skips the test, and says how to get a server, where there is none."""
    return _running() or pytest.skip(HOW_TO)


@contextmanager
def database(name: str = "shop", **options: str) -> Iterator[str]:
    """A database of its own for one test; conninfo of its superuser. `options` go into CREATE DATABASE."""
    server, name = superuser(), f"{name}_{secrets.token_hex(3)}"
    words = sql.SQL(" ").join(sql.SQL(f"{key} {{}}").format(sql.Literal(value)) for key, value in options.items())
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} {}").format(sql.Identifier(name), words))
        try:
            yield make_conninfo(server, dbname=name)
        finally:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@contextmanager
def role(conninfo: str, password: str) -> Iterator[str]:
    """A role that may log in and nothing more; its name."""
    name = f"reader_{secrets.token_hex(3)}"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        create = sql.SQL("create role {} login password {}")
        connection.execute(create.format(sql.Identifier(name), sql.Literal(password)))
        try:
            yield name
        finally:
            connection.execute(sql.SQL("drop owned by {}").format(sql.Identifier(name)))
            connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def settings(conninfo: str, **changes: object) -> dict[str, object]:
    """The `settings:` block of a postgresql instance for this conninfo."""
    parts = conninfo_to_dict(conninfo)
    return {
        "host": parts.get("host", "localhost"),
        "port": int(parts.get("port") or 5432),
        "database": parts["dbname"],
        "user": parts["user"],
        "password": parts.get("password", ""),
        **changes,
    }


def log(connection: psycopg.Connection[Any]) -> Path:
    """What the private server has said; skips the test where the server is another one."""
    (data,) = connection.execute("show data_directory").fetchone() or ("",)
    path = Path(data).with_name("log")
    return path if path.is_file() else pytest.skip("needs the private server, whose log can be read")
