"""The judge of `./hookline chaos`: it must see what is lost, wrong or there twice, or its verdict is worth nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from local.catalogue.store import Store
from local.chaos import Change, Database, Difference, Estate, difference


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    made = Estate(tmp_path, seed=7, files=4)
    for _ in range(40):
        made.change()
    return made


@pytest.fixture
def catalogue(estate: Estate, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A catalogue that holds just what the model says."""
    store = Store(tmp_path / "catalogue.db")
    with store.transaction():
        ids = {}
        for (kind, name), said in estate.expected().items():
            parts = {"attributes": {"description": said or None}}
            ids[name] = store.insert(kind, name, name, parts, incomplete=False).id
        for upload in estate.uploads:
            job, lists = upload.lineage()
            for one in lists:
                store.relate("dataset_process_inputs", ids[job], ids[one])
    store.close()
    with closing(sqlite3.connect(tmp_path / "catalogue.db", isolation_level=None)) as connection:
        yield connection


def judged(estate: Estate, tmp_path: Path) -> Difference:
    return difference(estate, tmp_path / "catalogue.db")


def test_nothing_is_wrong_where_nothing_is(estate: Estate, catalogue: sqlite3.Connection, tmp_path: Path) -> None:
    assert {d.name for d in estate.databases} <= {name.split("/")[2] for _, name in estate.expected()}
    assert all(upload.version for upload in estate.uploads)
    assert judged(estate, tmp_path) == ([], [], [])


@pytest.mark.parametrize(
    ("sql", "lost", "wrong", "duplicated"),
    [
        ("UPDATE entity SET deleted = 1 WHERE type = 'hookline_dataset'", 12, 4, 0),
        ("UPDATE entity SET incomplete = 1 WHERE type = 'rdbms_instance'", 0, 3, 0),
        ("UPDATE entity SET doc = '{\"attributes\": {\"description\": \"old\"}}' WHERE type = 'rdbms_db'", 0, 3, 0),
        ("UPDATE relation SET deleted = 1 WHERE id = 1", 0, 1, 0),
        ("INSERT INTO entity SELECT id + 9999, guid || 'x', 'rdbms_table', qn || 'x', name, 0, 0, doc, 0, 0, '' "
         "FROM entity WHERE type = 'rdbms_db'", 0, 3, 0),
        ("INSERT INTO entity SELECT id + 9999, guid || 'x', type, qn, name, 0, 0, doc, 0, 0, '' "
         "FROM entity WHERE type = 'rdbms_db'", 0, 0, 3),
    ],
    ids=["lost", "a shell", "another description", "lineage", "too much", "twice"],
)  # fmt: skip
def test_whatever_is_wrong_is_seen(
    estate: Estate,
    catalogue: sqlite3.Connection,
    tmp_path: Path,
    sql: str,
    lost: int,
    wrong: int,
    duplicated: int,
) -> None:
    assert catalogue.execute(sql).rowcount
    found = judged(estate, tmp_path)
    assert (len(found.lost), len(found.wrong), len(found.duplicated)) == (lost, wrong, duplicated)


def test_the_databases_are_what_the_model_says(estate: Estate) -> None:
    for database in estate.databases:
        with closing(sqlite3.connect(database.file)) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            there = {t: [row[1] for row in connection.execute(f"PRAGMA table_info({t})")] for t in tables}
        assert there == database.tables


def test_the_same_seed_plays_the_same(tmp_path: Path) -> None:
    def played(seed: int) -> list[Change]:
        (tmp_path / str(seed)).mkdir(exist_ok=True)
        for file in (tmp_path / str(seed)).iterdir():
            file.unlink()
        made = Estate(tmp_path / str(seed), seed, 5)
        return [made.change() for _ in range(80)]

    first = played(1)
    assert first == played(1)
    assert first != played(2)
    assert any(b'{"kind": \n' in change.body for change in first), "broken lines are among them"


def test_dropped_tables_come_back(tmp_path: Path) -> None:
    """Atlas gives them new guids then; that is worth playing."""
    import random

    rng = random.Random(3)
    database = Database("d", tmp_path / "d.db")
    seen: set[str] = set()
    gone: set[str] = set()
    back: set[str] = set()
    for _ in range(300):
        database.change(rng)
        gone |= seen - database.tables.keys()
        back |= gone & database.tables.keys()
        seen |= database.tables.keys()
    assert back


def test_versions_are_valid_lines(estate: Estate) -> None:
    lines = estate.uploads[0].change(estate.rng, broken=False).splitlines()
    assert sorted(json.loads(line)["kind"] for line in lines) == ["dataset", "dataset", "dataset", "process"]
