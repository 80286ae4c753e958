"""The table `schemas`: what a scan leaves, how little that is to write and to read, and files that wait for it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator

import pytest
from azure.storage.blob import ContainerClient

from local.azurite import Azurite
from shared.atlas.file_columns import TableColumns
from shared.naming.place import place
from shared.records import Address
from shared.state import BlobTable
from shared.state.schemas import SchemaTable
from tests.support.azurite import azurite  # noqa: F401

SERVER = Address("postgresql", "crm.internal", (), "server")


def at(schema: str, name: str) -> Address:
    return SERVER.at("crm", schema, name)


def tables(schema: str, names: Iterable[str], *columns: str) -> list[TableColumns]:
    found = [TableColumns(place(at(schema, name)).container, name, columns or ("id",)) for name in names]
    return sorted(found, key=lambda t: (t.container, t.name.casefold(), t.name))


@pytest.fixture
def container(azurite: Azurite) -> Iterator[ContainerClient]:
    client = ContainerClient.from_connection_string(azurite.connection_string, f"t{secrets.token_hex(6)}")
    with client:
        yield client


@pytest.fixture
def schemas(container: ContainerClient) -> SchemaTable:
    return SchemaTable(BlobTable(container, "schemas"))


def scan(
    schemas: SchemaTable, scan: str, *parts: list[TableColumns], scope: str = "public", whole: bool = True
) -> None:
    for number, part in enumerate(parts):
        schemas.write_part("crm", scope, scan, number, part)
    schemas.replace("crm", scope, scan, len(parts), whole=whole)


def known(schemas: SchemaTable, schema: str, *names: str) -> dict[str, tuple[str, ...]]:
    found = schemas.find([at(schema, name) for name in names])
    return {table.name: columns.columns for table, columns in found.items()}


def test_what_a_scan_has_seen_is_known_in_any_case(schemas: SchemaTable) -> None:
    scan(schemas, "1", tables("public", ["Orders"], "id", "total"), tables("public", ["lines"], "nr"))
    assert known(schemas, "Public", "ORDERS", "lines", "other") == {"ORDERS": ("id", "total"), "lines": ("nr",)}
    assert known(schemas, "other", "orders") == {}


def test_a_whole_scan_replaces_an_incomplete_one_adds(schemas: SchemaTable) -> None:
    scan(schemas, "1", tables("public", ["a", "b"], "old"))
    scan(schemas, "2", tables("public", ["b", "c"], "new"), whole=False)
    assert known(schemas, "public", "a", "b", "c") == {"a": ("old",), "b": ("new",), "c": ("new",)}
    scan(schemas, "3", tables("public", ["c"], "newest"))
    assert known(schemas, "public", "a", "b", "c") == {"c": ("newest",)}
    scan(schemas, "4", [])
    assert known(schemas, "public", "a", "b", "c") == {}


def test_the_later_part_wins_and_repeating_changes_nothing(schemas: SchemaTable) -> None:
    parts = tables("public", ["a"], "one"), tables("public", ["a"], "two")
    scan(schemas, "1", *parts)
    scan(schemas, "1", *parts)
    assert known(schemas, "public", "a") == {"a": ("two",)}


def test_scopes_and_instances_keep_out_of_each_others_way(schemas: SchemaTable, container: ContainerClient) -> None:
    scan(schemas, "1", tables("public", ["a"], "x"))
    scan(schemas, "2", [*tables("other", ["o"]), *tables("public", ["b"], "y")], scope="public/more")
    assert known(schemas, "public", "a", "b") == {"a": ("x",), "b": ("y",)}
    scan(schemas, "3", tables("other", ["o"]), scope="public/more")
    assert known(schemas, "public", "a", "b") == {"a": ("x",)}
    scan(schemas, "4", [])
    scan(schemas, "5", [], scope="public/more")
    left = [blob.name for blob in container.list_blobs()]
    assert all(name.endswith("/containers.json") for name in left)


def test_two_accounts_of_a_table_that_only_case_sets_apart(schemas: SchemaTable) -> None:
    scan(schemas, "1", [*tables("public", ["T"], "upper"), *tables("public", ["t"], "lower")])
    assert known(schemas, "public", "t") == {"t": ("lower",)}
    assert known(schemas, "public", "T") == {"T": ("upper",)}


def test_ten_thousand_tables_are_a_handful_of_blobs(schemas: SchemaTable, container: ContainerClient) -> None:
    names = [f"table_{n:05}" for n in range(10_000)]
    columns = [f"column_{n}" for n in range(14)]
    scan(schemas, "1", tables("public", names[:6_000], *columns), tables("public", names[6_000:], *columns))
    blobs = {blob.name: blob.size for blob in container.list_blobs()}
    assert len(blobs) < 10
    assert sum(blobs.values()) < 400_000
    worker = SchemaTable(BlobTable(container, "schemas"))
    some = [names[0], names[4_999], names[-1]]
    assert set(known(worker, "public", *some, "aaa", "zzz")) == set(some)


def test_a_worker_that_remembers_chunks_which_are_gone_looks_again(container: ContainerClient) -> None:
    table = BlobTable(container, "schemas")
    other, worker = SchemaTable(table), SchemaTable(table)
    scan(other, "1", tables("public", ["a", "b"], "old"))
    assert known(worker, "public", "a") == {"a": ("old",)}
    scan(other, "2", tables("public", ["a", "b"], "new"))
    worker._chunks.clear()  # others have pushed it out
    assert known(worker, "public", "b") == {"b": ("new",)}


def test_new_tables_are_seen_after_a_while(container: ContainerClient) -> None:
    clock = [0.0]
    table = BlobTable(container, "schemas")
    worker = SchemaTable(table, lambda: clock[0])
    assert known(worker, "public", "a") == {}
    scan(SchemaTable(table), "1", tables("public", ["a"]))
    clock[0] = 61.0
    assert known(worker, "public", "a") == {"a": ("id",)}


def test_files_that_wait_for_a_table(schemas: SchemaTable) -> None:
    schemas.want("uploads/sql/a.sql", "1", (at("public", "a"), at("public", "b")))
    schemas.want("uploads/sql/z.sql", "1", (at("public", "z"),))
    assert list(schemas.wanted()) == []
    scan(schemas, "1", tables("public", ["b"]))
    assert [row.path for row in schemas.wanted()] == ["uploads/sql/a.sql"]
    schemas.want("uploads/sql/a.sql", "1", ())
    assert list(schemas.wanted()) == []


def test_storage_that_is_busy_or_closed_is_no_failure() -> None:
    away = ContainerClient(
        "http://127.0.0.1:9/account", "state", credential={"account_name": "a", "account_key": "YQ=="}
    )
    with away:
        table = BlobTable(away, "schemas", attempts=1, sleep=lambda _: None)
        assert SchemaTable(table).find([at("public", "a")]) == {}
