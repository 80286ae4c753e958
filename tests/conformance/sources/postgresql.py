"""A real server (tests/support/postgres.py) with 1,100 tables and 220 views, read by a role without any rights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from benchmarks import postgres_estate
from connectors.sql.postgresql import PostgreSQL
from tests.conformance.subject import Subject
from tests.support import postgres

CANARY = "canary-of-the-reader"


@contextmanager
def live(folder: Path) -> Iterator[Subject]:
    with postgres.database("estate") as conninfo, postgres.role(conninfo, CANARY) as reader:
        postgres_estate.build(conninfo, 1_100)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(
                "create function estate.twice(integer) returns integer language sql as 'select $1 * 2';"
                "create function estate.twice(text) returns text language sql as 'select $1 || $1';"
                "create procedure estate.tidy() language plpgsql as 'begin delete from estate.t000001; end'"
            )
        settings = postgres.settings(conninfo, user=reader, password=CANARY, connect_timeout_seconds=5)
        yield Subject(
            source=PostgreSQL,
            settings=settings,
            scope=postgres_estate.SCHEMA,
            dataset=(postgres_estate.SCHEMA, "t000700"),
            unreachable={**settings, "host": "127.0.0.1", "port": 1},
            refused={**settings, "password": f"{CANARY}-wrong"},
            secret=CANARY,
        )
