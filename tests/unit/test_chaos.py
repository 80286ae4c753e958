"""The judge of `./hookline chaos`: it must see what is lost, wrong or there twice, or its verdict is worth nothing."""

from __future__ import annotations

import gzip
import json
import os
import random
import secrets
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from connectors.source import Selection
from local.azurite import Azurite
from local.catalogue.store import Store
from local.chaos.estate import Change, Database, Estate, Ledger
from local.chaos.judge import Difference, Watermarks, difference
from local.chaos.ledger import LedgerSettings, LedgerSource
from local.chaos.usage import LIMITS, Usage, grown, usage
from shared.records import Cursor, Dataset, Deleted
from tests.support.azurite import azurite  # noqa: F401


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
        ("UPDATE entity SET deleted = 1 WHERE type = 'hookline_dataset' AND qn LIKE '%mailroom%'", 12, 4, 0),
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


def test_a_careful_database_loses_more_than_may_be_deleted_without_asking(tmp_path: Path) -> None:
    rng = random.Random(1)
    database = Database("d", tmp_path / "d.db", careful=True)
    most = 0
    for _ in range(300):
        before = len(database.tables)
        database.change(rng)
        most = max(most, before - len(database.tables))
    assert most > 10
    assert "delete_limit" not in database.settings()


# ---- watermarks


@pytest.fixture
def landing(azurite: Azurite) -> Iterator[ContainerClient]:
    container = ContainerClient.from_connection_string(azurite.connection_string, f"chaos{secrets.token_hex(6)}")
    with container:
        container.create_container()
        yield container
        container.delete_container()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger("book", tmp_path / "book.db")
    for account, closed in (("a1", False), ("a2", False), ("a1", False), ("a2", True), ("a3", False)):
        made._write(account, closed=closed)
    return made


def land(landing: ContainerClient, name: str, entries: dict[str, int], *, whole: bool = True) -> None:
    lines = [
        {"kind": "dataset", "address": {"path": ["main", account]}, "description": f"entry {seq}"}
        for account, seq in entries.items()
    ]
    body = "\n".join(map(json.dumps, [*lines, *([{"kind": "footer"}] if whole else [])])).encode()
    landing.upload_blob(name, gzip.compress(body), overwrite=True)


def test_a_watermark_that_is_ahead_of_its_data_is_seen(landing: ContainerClient, ledger: Ledger) -> None:
    watermarks = Watermarks(landing)
    assert watermarks.ahead(ledger, "") == []
    assert [found.split(", ")[1] for found in watermarks.ahead(ledger, "2")] == [
        "but entry 1 of a1 has not landed",
        "but entry 2 of a2 has not landed",
    ]
    land(landing, "book/1/00000.jsonl.gz", {"a1": 3}, whole=False)
    assert len(watermarks.ahead(ledger, "4")) == 1, "half a file counts for nothing, and a closed account has no entry"
    land(landing, "book/1/00000.jsonl.gz", {"a1": 3})
    assert watermarks.ahead(ledger, "4") == []
    assert len(watermarks.ahead(ledger, "5")) == 1
    land(landing, "book/2/00000.jsonl.gz", {"a3": 5})
    assert watermarks.ahead(ledger, "5") == []


def test_a_ledger_is_read_from_its_watermark_on(ledger: Ledger) -> None:
    source = LedgerSource(LedgerSettings(path=str(ledger.file), host=ledger.name), Selection())

    def read(**after: str) -> list[str]:
        found = []
        for item in source.extract("main", **after):
            if isinstance(item, Dataset | Deleted):
                said = item.description if isinstance(item, Dataset) else "closed"
                found.append(f"{item.address.path[-1]} {said}")
            elif isinstance(item, Cursor):
                found.append(f"up to {item.watermark}")
        return found

    assert read() == ["a1 entry 3", "a2 closed", "a3 entry 5", "up to 5"]
    assert read(since="5") == ["a3 entry 5", "up to 5"]
    assert read(since="1", resume="4") == ["a3 entry 5", "up to 5"]
    assert {name[1].rpartition("/")[2]: said for name, said in ledger.expected() if said} == {
        "a1#list": "entry 3",
        "a3#list": "entry 5",
    }


# ---- what a process holds


FLAT = Usage(memory=100, handles=20, threads=30, rows=60)


def test_what_stays_as_it_is_has_not_grown() -> None:
    warm_up = [Usage(60, 10, 12, 5), Usage(90, 18, 25, 40)]
    assert grown([*warm_up, FLAT, FLAT._replace(memory=104), FLAT._replace(handles=24), FLAT]) == []
    assert grown([]) == grown(warm_up[:1]) == []


@pytest.mark.parametrize("what", Usage._fields)
def test_whatever_grows_is_seen(what: str) -> None:
    share, more = LIMITS[what]
    step = (getattr(FLAT, what) * share + more) / 2
    looks = [FLAT._replace(**{what: getattr(FLAT, what) + step * number}) for number in range(12)]
    (found,) = grown(looks)
    assert found.startswith(f"{what} grew from ")


def test_the_usage_of_a_process_is_what_it_holds(tmp_path: Path) -> None:
    before = usage(os.getpid(), 7)
    with ExitStack() as held:
        for number in range(10):
            held.enter_context((tmp_path / str(number)).open("wb"))
        after = usage(os.getpid(), 7)
    assert after.rows == 7
    if sys.platform == "linux":
        assert after.handles == before.handles + 10
        assert after.memory > 1
        assert after.threads >= 1
    assert usage(-1, 3) == Usage(0, 0, 0, 3)
