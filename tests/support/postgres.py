"""A real PostgreSQL server for tests: a private one from the installed binaries, or the one that is named.

HOOKLINE_TEST_POSTGRES: conninfo of a superuser on a server where databases and roles may be created and dropped.
Without it a server is started from Debian's binaries, on a port of its own, loopback and a socket only, with fsync off.
"""

from __future__ import annotations

import atexit
import functools
import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

HOW_TO = (
    "no PostgreSQL server: `apt-get install postgresql` (its binaries are enough, a private server is started),"
    " or set HOOKLINE_TEST_POSTGRES to the conninfo of a superuser"
)
#: what a test server must not do behind a test's back: wait for the disk, or analyze tables between two scans
QUICK = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "autovacuum=off", "max_connections=40")


def _bin() -> Path | None:
    def version(path: Path) -> list[int]:
        return [int(n) for n in re.findall(r"\d+", path.parent.name)]

    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=version)
    found = shutil.which("initdb")
    return debian[-1] if debian else Path(found).resolve().parent if found else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(bin_: Path) -> str:
    """Start a private server; conninfo of its superuser. It is stopped and removed when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="hookline-pg-"))  # not pytest's: a socket path has at most 107 bytes
    password, port = secrets.token_hex(8), _free_port()
    (folder / "password").write_text(password)
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses root
        shutil.chown(folder, "postgres")
        shutil.chown(folder / "password", "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]

    def run(*command: str) -> None:
        with (folder / "log").open("ab") as log:
            done = subprocess.run([*as_user, *command], cwd=folder, stdout=log, stderr=log, check=False, timeout=60)
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{(folder / 'log').read_text(errors='replace')[-2000:]}")

    data = str(folder / "data")
    initdb = [str(bin_ / "initdb"), "-D", data, "-U", "postgres", "-A", "scram-sha-256", "--no-sync"]
    run(*initdb, f"--pwfile={folder / 'password'}", "-E", "UTF8", "--locale=C")
    options = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", *QUICK]
    pg_ctl = [str(bin_ / "pg_ctl"), "-D", data, "-w"]
    run(*pg_ctl, "-o", " ".join(f"-c {option}" for option in options), "start")

    def stop() -> None:
        run(*pg_ctl, "-m", "immediate", "stop")
        shutil.rmtree(folder)

    atexit.register(stop)
    return make_conninfo(host="127.0.0.1", port=port, user="postgres", password=password, dbname="postgres")


@functools.cache
def _running() -> str:
    if given := os.environ.get("HOOKLINE_TEST_POSTGRES"):
        return given
    bin_ = _bin()
    return _start(bin_) if bin_ else ""


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
