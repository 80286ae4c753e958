"""Builds the sample database: a small shop in SQLite, from shop.sql.

python -m local.samples.shop .hookline/samples/shop.db
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

SCRIPT = Path(__file__).with_name("shop.sql")


def build(path: Path | str) -> Path:
    """Write the shop to `path`, folders included; what stands there is replaced in one step. Same file every time."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished)) as connection:
        connection.executescript(SCRIPT.read_text(encoding="utf-8"))
    unfinished.replace(path)
    return path


if __name__ == "__main__":
    build(sys.argv[1])
