"""A database file with 1,100 tables and 100 views."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from connectors.sql.sqlite import SQLite
from tests.conformance.subject import Subject


@contextmanager
def live(folder: Path) -> Iterator[Subject]:
    with closing(sqlite3.connect(folder / "estate.db")) as connection:
        connection.execute("begin")
        for n in range(1_100):
            columns = ", ".join(f"column_{c} NUMERIC(10, 2) NOT NULL DEFAULT {c}" for c in range(10))
            connection.execute(f"create table t{n:04} (id INTEGER PRIMARY KEY, {columns})")
            if n % 11 == 0:
                connection.execute(f"create view v{n:04} as select id, column_1 from t{n:04}")
        connection.commit()
    (folder / "damaged.db").write_bytes(b"not a database " * 100)
    yield Subject(
        source=SQLite,
        settings={"path": str(folder / "estate.db")},
        scope="main",
        dataset=("main", "t0700"),
        unreachable={"path": str(folder / "missing" / "shop.db")},
        refused={"path": str(folder / "damaged.db")},
    )
