"""Where the pipeline knows columns from: earlier scans, the catalogue; scripts that come too early; what fails."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.errors import CatalogBusy
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import Table, World, world  # noqa: F401

SCRIPT = "-- hookline: instance=crm database=shop\nINSERT INTO archive SELECT * FROM orders"
PATH = "uploads/sql/load.sql"


def mapping(world: World, script: str = PATH) -> list[tuple[str, str, str, str]]:
    """(table, column, table, column) of a script's process in the catalogue."""
    (process,) = [e for e in world.entities() if e.qn.endswith(f"/{script.rsplit('/', 1)[-1]}#script")]
    attributes: dict[str, Any] = process.parts["attributes"]
    found = []
    for element in json.loads(attributes.get("columnMapping") or "[]"):
        ends = [element["DatasetMapping"][side].rsplit("/", 1)[-1] for side in ("Source", "Sink")]
        found += [(ends[0], c["Source"], ends[1], c["Sink"]) for c in element["ColumnMapping"]]
    return found


def properties(world: World, script: str = PATH) -> dict[str, str]:
    (process,) = [e for e in world.entities() if e.qn.endswith(f"/{script.rsplit('/', 1)[-1]}#script")]
    found: dict[str, str] = process.parts.get("customAttributes") or {}
    return found


def without_catalogue(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(world.app), "asking_catalog", lambda _: None)


@pytest.fixture
def shop(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """One instance with two tables, and no catalogue to ask."""
    world.system("crm").tables.update(orders=Table("id", "total"), archive=Table("order_id", "amount"))
    without_catalogue(world, monkeypatch)
    return world


def test_a_script_knows_the_tables_of_an_earlier_scan(shop: World) -> None:
    shop.scan("crm")
    shop.settle()
    shop.upload(PATH, SCRIPT)
    shop.settle()
    assert mapping(shop) == [("orders", "id", "archive", "order_id"), ("orders", "total", "archive", "amount")]
    assert "columns_unknown" not in properties(shop)
    assert shop.receipt(PATH).unknown == ()
    shop.confirmed()


def test_a_script_that_came_before_the_scan_is_read_again_after_it(shop: World) -> None:
    shop.upload(PATH, SCRIPT)
    shop.settle()
    assert mapping(shop) == []
    assert "shop.public.orders" in properties(shop)["columns_unknown"]
    assert set(shop.receipt(PATH).unknown) == {"shop.public.orders", "shop.public.archive"}
    shop.scan("crm")
    shop.settle()
    assert mapping(shop) == [("orders", "id", "archive", "order_id"), ("orders", "total", "archive", "amount")]
    assert shop.receipt(PATH).unknown == ()
    assert list(shop.app.schemas.wanted()) == []
    shop.confirmed()
    shop.hub.clear()
    shop.later(minutes=30)
    shop.settle()
    assert shop.hub.names == []  # once


def test_the_scripts_own_statements_come_first(shop: World) -> None:
    shop.scan("crm")
    shop.settle()
    text = SCRIPT.replace("INSERT", "CREATE TABLE orders (nr int, price int);\nINSERT")
    shop.upload(PATH, text)
    shop.settle()
    assert mapping(shop) == [("orders", "nr", "archive", "order_id"), ("orders", "price", "archive", "amount")]


def test_a_scan_brings_new_columns_and_takes_old_tables_away(shop: World) -> None:
    shop.scan("crm")
    shop.settle()
    crm = shop.system("crm")
    crm.tables["orders"].columns.append("day")
    crm.tables["archive"].columns.append("day")
    shop.scan("crm")
    shop.settle()
    shop.upload(PATH, SCRIPT)
    shop.settle()
    assert ("orders", "day", "archive", "day") in mapping(shop)
    del crm.tables["orders"]
    shop.scan("crm")
    shop.settle()
    shop.upload("uploads/sql/later.sql", SCRIPT)
    shop.settle()
    assert mapping(shop, "later.sql") == []


def test_a_table_that_could_not_be_read_keeps_its_columns(shop: World) -> None:
    shop.scan("crm")
    shop.settle()
    shop.system("crm").refuse = {"orders"}
    shop.scan("crm")
    shop.settle()
    shop.upload(PATH, SCRIPT)
    shop.settle()
    assert len(mapping(shop)) == 2


def test_views_of_one_schema_know_the_tables_of_another(shop: World) -> None:
    crm = shop.system("crm")
    crm.schemas["mart"] = {"everything": Table("id", "total", sql="select * from shop.public.orders")}
    shop.scan("crm")
    shop.settle()
    shop.later(days=1)
    shop.scan("crm")
    shop.settle()
    (process,) = [e for e in shop.entities() if e.qn.endswith("/mart/everything#query")]
    assert '"Source":"total","Sink":"total"' in process.parts["attributes"]["columnMapping"]


def test_tables_that_only_the_catalogue_knows(world: World) -> None:
    world.system("crm").tables.update(orders=Table("id", "total"), archive=Table("order_id", "amount"))
    world.scan("crm")
    world.settle()
    world.wipe("schemas")
    world._app = None  # another worker, which remembers nothing
    select = "-- hookline: instance=crm database=shop\nCREATE TABLE copy AS SELECT * FROM orders"
    world.upload(PATH, select)
    world.upload("uploads/sql/insert.sql", SCRIPT)
    world.settle()
    assert mapping(world) == [("orders", "id", "copy", "id"), ("orders", "total", "copy", "total")]
    # the catalogue does not tell in which order the columns of `archive` stand
    assert mapping(world, "insert.sql") == []
    assert "shop.public.archive" in properties(world, "insert.sql")["columns_unknown"]
    world.confirmed()


def test_a_catalogue_that_does_not_answer_keeps_nothing_from_being_sent(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world.system("crm")
    asked = []

    def busy(_: object) -> None:
        asked.append(1)
        raise CatalogBusy("no answer", where="test")

    monkeypatch.setattr(type(world.app), "asking_catalog", busy)
    for number in range(3):
        world.upload(f"uploads/sql/load{number}.sql", SCRIPT)
    world.settle()
    assert len(asked) == 1 + 3  # once for columns, then it is left alone; once a file for what its lineage points to
    assert "scan the source" in properties(world, "load0.sql")["columns_unknown"]
    world.confirmed()


def test_deleting_the_table_costs_columns_until_the_next_scan(shop: World) -> None:
    shop.scan("crm")
    shop.settle()
    shop.wipe("schemas")
    shop._app = None
    shop.upload(PATH, SCRIPT)
    shop.settle()
    assert mapping(shop) == []
    shop.scan("crm")
    shop.settle()
    assert len(mapping(shop)) == 2
    shop.confirmed()


def test_a_script_that_was_taken_away_is_not_waited_for(shop: World) -> None:
    shop.upload(PATH, SCRIPT)
    shop.settle()
    assert list(shop.app.table("schemas").names("wanted")) == [PATH]
    shop.landing.delete_blob(PATH)
    shop.scan("crm")
    shop.settle()
    assert list(shop.app.table("schemas").names("wanted")) == []
    assert mapping(shop) == []


def test_a_script_of_several_tables_is_a_process_for_each_in_the_catalogue(shop: World) -> None:
    shop.system("crm").tables["lines"] = Table("nr", "price")
    shop.scan("crm")
    shop.settle()
    shop.upload(PATH, f"{SCRIPT};\nINSERT INTO prices SELECT price FROM lines;")
    shop.settle()
    below = {e.qn.rsplit("/", 1)[-1]: e for e in shop.entities() if "/load.sql/" in e.qn}
    assert set(below) == {"shop.public.archive#statement", "shop.public.prices#statement"}
    ends = {
        name: {end["uniqueAttributes"]["qualifiedName"].rsplit("/", 1)[-1] for end in e.parts["attributes"]["inputs"]}
        for name, e in below.items()
        if "inputs" in e.parts["attributes"]
    }
    assert ends in ({}, {"shop.public.archive#statement": {"orders"}, "shop.public.prices#statement": {"lines"}})
    assert '"Sink":"amount"' in below["shop.public.archive#statement"].parts["attributes"]["columnMapping"]
    shop.confirmed()
