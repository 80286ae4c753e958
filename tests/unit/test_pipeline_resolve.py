"""Lineage attaches to what Purview has scanned: spelling, aliases, resource sets, placeholders that give way."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from shared.atlas.closure import Closure, deletion
from shared.atlas.messages import Packer
from shared.atlas.rules import Rules
from shared.atlas.transform import Transform
from shared.atlas.types import TypeRegistry
from shared.errors import CatalogBusy
from shared.naming import Name, Naming
from shared.naming.own import placeholder
from shared.pipeline.planning import plan_file
from shared.records import Address, Column, Dataset, Found, Record
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import Table, World, world  # noqa: F401

ERP = Address("postgresql", "erp.test:5432", (), "server")
LAKE = Address("abfss", "acct.dfs.core.windows.net", ("raw",), "container")
NAMESPACE = "postgres://erp.test:5432"
PATH = "uploads/openlineage/load.json"


class Nothing:
    def contains(self, name: Name) -> bool:
        return False


def purview_scans(world: World, *records: Record) -> None:
    """Somebody else's scanner writes assets, with everything above them."""
    transform = Transform(Naming(), Rules(TypeRegistry.bundled()), known=Nothing())
    made = [item for item in transform.run(Found(r, n) for n, r in enumerate(records)) if isinstance(item, Closure)]
    write(world, made)


def purview_deletes(world: World, *names: Name) -> None:
    write(world, [deletion(name) for name in names])


def write(world: World, made: Iterable[Closure]) -> None:
    packer = Packer()
    for closure in made:
        for message in packer.add(closure):
            world.apply(message.body)
    for message in packer.flush():
        world.apply(message.body)


def table(*path: str, columns: Sequence[str] = ("id", "total"), type: str = "table") -> Dataset:
    return Dataset(address=ERP.at(*path, type=type), columns=tuple(Column(name=c, type="text") for c in columns))


def name_of(record: Dataset) -> Name:
    return Naming().name(record.address)


def event(
    inputs: Sequence[str], output: str, columns: dict[str, str] | None = None, *, job: str = "load", **namespaces: str
) -> str:
    """A COMPLETE event. columns: of the output -> of the first input; namespaces: source, target."""
    source, target = namespaces.get("source", NAMESPACE), namespaces.get("target", NAMESPACE)
    fields = {
        sink: {"inputFields": [{"namespace": source, "name": inputs[0], "field": column}]}
        for sink, column in (columns or {}).items()
    }
    facets: dict[str, Any] = {"columnLineage": {"fields": fields}} if fields else {}
    return json.dumps(
        {
            "eventType": "COMPLETE",
            "eventTime": "2026-05-01T10:00:00Z",
            "producer": "test",
            "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json",
            "run": {"runId": "0190a3b2-1111-7000-8000-000000000001"},
            "job": {"namespace": "etl", "name": job},
            "inputs": [{"namespace": source, "name": name} for name in inputs],
            "outputs": [{"namespace": target, "name": output, "facets": facets}],
        }
    )


def run(world: World, body: str, path: str = PATH) -> None:
    world.upload(path, body)
    world.settle()


def once(world: World, body: str, path: str) -> None:
    """The same, in no time."""
    world.upload(path, body)
    world.settle(sweeps=False)


def process(world: World, job: str = "load") -> Any:
    (found,) = [e for e in world.entities() if e.type == "hookline_process" and e.qn.endswith(f"/{job}#job")]
    return found


def ends(world: World, job: str = "load") -> set[Name]:
    """What the process refers to, by the living relationships of the catalogue."""
    store = world.running.catalogue.store
    alive = {e.id: e for e in world.entities()}
    one = process(world, job)
    others = [r.end1 if r.end2 == one.id else r.end2 for r in store.relations(one.id) if not r.deleted]
    return {Name(alive[other].type, alive[other].qn) for other in others if other in alive}


def mapping(world: World, job: str = "load") -> list[tuple[str, str]]:
    attributes = process(world, job).parts["attributes"]
    found = json.loads(attributes.get("columnMapping") or "[]")
    return [(c["Source"], c["Sink"]) for element in found for c in element["ColumnMapping"]]


def assets(world: World) -> set[Name]:
    """What can be an end of lineage."""
    types = world.running.catalogue.types
    found = {Name(e.type, e.qn) for e in world.entities() if types.is_a(e.type, "DataSet")}
    return {name for name in found if "column" not in name.type_name}


def counted(world: World, path: str = PATH) -> dict[str, int]:
    return world.receipt(path).resolved


@pytest.fixture(autouse=True)
def _quiet(world: World) -> Iterator[None]:
    yield
    assert [d for d in world.dropped() if d["kind"] in ("failed", "skipped", "lost")] == []


# ---- what is there


def test_an_exact_name_gets_no_stub(world: World) -> None:
    orders, sales = table("erp", "public", "orders"), table("erp", "public", "sales")
    purview_scans(world, orders, sales)
    before = assets(world)
    run(world, event(["erp.public.orders"], "erp.public.sales"))
    assert ends(world) == {name_of(orders), name_of(sales)}
    assert assets(world) == before
    assert counted(world) == {"exact": 2}
    assert world.receipt(PATH).sent == 1
    world.confirmed()


def test_another_case_adopts_the_catalogues_spelling_down_to_the_columns(world: World) -> None:
    orders, sales = table("ERP", "Public", "Orders", columns=("Id", "Total")), table("erp", "public", "sales")
    purview_scans(world, orders, sales)
    before = assets(world)
    run(world, event(["erp.public.orders"], "ERP.PUBLIC.SALES", {"TOTAL": "total", "other": "nowhere"}))
    assert ends(world) == {name_of(orders), name_of(sales)}
    assert mapping(world) == [("Total", "total"), ("nowhere", "other")]
    assert assets(world) == before
    assert counted(world) == {"spelling": 2}
    world.confirmed()


def test_without_asking_another_case_makes_a_second_asset(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pair of the last test: what it is all for."""
    monkeypatch.setattr("shared.pipeline.file.directory", lambda *_, **__: None)
    orders, sales = table("ERP", "Public", "Orders"), table("erp", "public", "sales")
    purview_scans(world, orders, sales)
    before = assets(world)
    run(world, event(["erp.public.orders"], "erp.public.sales"))
    assert len(assets(world) - before) == 1
    assert counted(world) == {"stub": 2}


def test_a_view_is_found_where_a_table_was_said(world: World) -> None:
    view, sales = table("erp", "public", "Recent", type="view"), table("erp", "public", "sales")
    purview_scans(world, view, sales)
    run(world, event(["erp.public.recent"], "erp.public.sales"))
    run(world, event(["erp.public.Recent"], "erp.public.sales", job="two"), "uploads/openlineage/two.json")
    assert ends(world) == ends(world, "two") == {name_of(view), name_of(sales)}


def test_the_same_thing_under_relational_types(world: World) -> None:
    orders = table("erp", "public", "Orders")
    write(
        world,
        [
            item
            for item in Transform(Naming("rdbms"), Rules(TypeRegistry.bundled()), known=Nothing()).run(
                [Found(orders, 1)]
            )
            if isinstance(item, Closure)
        ],
    )
    before = assets(world)
    run(world, event(["erp.public.orders"], "erp.public.orders"))
    assert ends(world) == {Naming("rdbms").name(orders.address)}
    assert assets(world) == before


def test_several_that_differ_in_case_only_are_not_guessed_among(world: World) -> None:
    one, two = table("erp", "public", "Orders"), table("erp", "public", "ORDERS")
    purview_scans(world, one, two)
    run(world, event(["erp.public.orders"], "erp.public.Orders"))
    assert ends(world) == {placeholder(name_of(table("erp", "public", "orders"))), name_of(one)}
    assert counted(world) == {"exact": 1, "placeholder": 1, "ambiguous": 1}


def test_what_was_deleted_is_not_there(world: World) -> None:
    orders = table("erp", "public", "Orders")
    purview_scans(world, orders)
    purview_deletes(world, name_of(orders))
    run(world, event(["erp.public.orders"], "erp.public.orders"))
    assert counted(world) == {"placeholder": 1}


# ---- aliases


def test_an_alias_leads_to_what_was_scanned_under_another_host(world: World) -> None:
    world.aliases = {"10.0.0.7": "erp.test"}
    orders, sales = table("erp", "public", "orders"), table("erp", "public", "sales")
    purview_scans(world, orders, sales)
    before = assets(world)
    run(world, event(["erp.public.orders"], "erp.public.sales", source="postgres://10.0.0.7:5432"))
    assert ends(world) == {name_of(orders), name_of(sales)}
    assert assets(world) == before
    world.aliases = {}
    world.restart()
    run(world, event(["erp.public.orders"], "erp.public.sales", source="postgres://10.0.0.7:5432", job="two"), "x.json")
    assert assets(world) != before


# ---- files of many


@pytest.mark.parametrize(
    "scanned",
    [
        "orders/year={Year}/month={Month}/{SparkPartitions}",
        "orders/year={N}/month={N}/{SparkPartitions}",
        "orders/{SparkPartitions}",
    ],
)
def test_a_part_file_is_its_resource_set(world: World, scanned: str) -> None:
    whole = Dataset(address=Address(LAKE.platform, LAKE.host, ("raw", *scanned.split("/")), "resource_set"))
    sales = table("erp", "public", "sales")
    purview_scans(world, whole, sales)
    before = assets(world)
    lake = "abfss://raw@acct.dfs.core.windows.net"
    part = "orders/year=2024/month=05/part-00000-e3b0c442-98fc-1c14-9afb-f4c8996fb924-c000.snappy.parquet"
    run(world, event([part, part.replace("00000", "00001")], "erp.public.sales", source=lake))
    assert ends(world) == {name_of(whole), name_of(sales)}
    assert assets(world) == before
    assert counted(world) == {"resource_set": 1, "exact": 1}


def test_a_file_that_was_scanned_alone_is_itself(world: World) -> None:
    one = Dataset(address=Address(LAKE.platform, LAKE.host, ("raw", "in", "orders_2024.csv"), "file"))
    purview_scans(world, one)
    run(world, event(["in/orders_2024.csv"], "in/orders_2024.csv", source="abfss://raw@acct.dfs.core.windows.net",
                     target="abfss://raw@acct.dfs.core.windows.net"))  # fmt: skip
    assert ends(world) == {name_of(one)}
    assert counted(world) == {"exact": 1}


# ---- placeholders


def test_a_placeholder_says_what_it_stands_for_and_gives_way(world: World) -> None:
    orders, sales = table("erp", "public", "Orders", columns=("Id", "Total")), table("erp", "public", "sales")
    wanted = placeholder(name_of(table("erp", "public", "orders")))
    purview_scans(world, sales)
    before = assets(world)
    run(world, event(["erp.public.orders"], "erp.public.sales", {"total": "total"}))
    assert ends(world) == {wanted, name_of(sales)}
    assert assets(world) - before == {wanted}
    assert counted(world) == {"placeholder": 1, "exact": 1}
    (stand,) = [e for e in world.entities() if e.type == wanted.type_name]
    attributes = stand.parts["attributes"]
    assert attributes["expectedType"] == "postgresql_table" and "not in the catalogue" in attributes["description"]
    assert [e.name for e in world.entities() if e.type == "hookline_placeholder_column"] == ["total"]
    world.confirmed()
    world.later(minutes=1)
    purview_scans(world, orders)
    world.settle()
    world.later(minutes=6)
    world.settle()
    assert ends(world) == {name_of(orders), name_of(sales)}
    assert mapping(world) == [("Total", "total")]
    assert [e.qn for e in world.entities() if e.type.startswith("hookline_placeholder")] == []
    assert list(world.app.placeholders.all()) == []
    url = f"{world.running.url}/datamap/api/atlas/v2/lineage/uniqueAttribute/type/postgresql_table"
    answer = requests.get(url, params={"attr:qualifiedName": name_of(orders).qualified_name}, timeout=10).json()
    shown = {e["typeName"] for e in answer["guidEntityMap"].values()}
    assert shown == {"postgresql_table", "hookline_process"}
    world.confirmed()


def test_without_notifications_the_sweep_finds_it(world: World) -> None:
    world.deliver = lambda _: []
    orders = table("erp", "public", "orders")
    run(world, event(["erp.public.orders"], "erp.public.orders"))
    purview_scans(world, orders)
    world.settle()
    assert placeholder(name_of(orders)) in ends(world)
    for _ in range(4):
        world.later(minutes=16)
        world.settle()
    assert ends(world) == {name_of(orders)}
    assert list(world.app.placeholders.all()) == []


def test_nothing_gives_way_when_nobody_looks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.pipeline.sweeping.reconcile", lambda _: iter(()))
    orders = table("erp", "public", "orders")
    run(world, event(["erp.public.orders"], "erp.public.orders"))
    purview_scans(world, orders)
    for _ in range(4):
        world.later(minutes=16)
        world.settle()
    assert ends(world) == {placeholder(name_of(orders))}


def test_an_asset_that_goes_leaves_a_placeholder_and_comes_back(world: World) -> None:
    orders, sales = table("erp", "public", "orders"), table("erp", "public", "sales")
    purview_scans(world, orders, sales)
    run(world, event(["erp.public.orders"], "erp.public.sales"))
    world.later(minutes=1)
    purview_deletes(world, name_of(orders))
    world.settle()
    assert ends(world) == {placeholder(name_of(orders)), name_of(sales)}
    world.later(minutes=1)
    purview_scans(world, orders)
    world.settle()
    world.later(minutes=6)
    world.settle()
    assert ends(world) == {name_of(orders), name_of(sales)}
    assert list(world.app.placeholders.all()) == []


def test_a_placeholder_that_nothing_needs_any_more_is_removed(world: World) -> None:
    purview_scans(world, table("erp", "public", "sales"))
    run(world, event(["erp.public.orders"], "erp.public.sales"))
    world.later(minutes=1)
    run(world, event(["erp.public.sales"], "erp.public.sales"))
    world.later(minutes=20)
    world.settle()
    assert not any(e.type == "hookline_placeholder" for e in world.entities())
    assert list(world.app.placeholders.all()) == []


def test_an_instance_that_will_publish_it_gets_a_stub(world: World) -> None:
    world.system("erp").tables["orders"] = Table("id")
    run(world, event(["shop.public.orders"], "shop.public.orders", source="postgres://erp.test:5432"))
    assert counted(world) == {"stub": 1}
    assert not any(e.type == "hookline_placeholder" for e in world.entities())
    world.scan("erp")
    world.settle()
    world.check()


def test_the_view_of_a_scan_moves_from_the_placeholder_to_the_asset(world: World) -> None:
    """A part of a finished scan, run again: its process is sent although the scan has published it."""
    world.system("crm").tables["v"] = Table("id", sql="select id from shop.public.gone", reads=["gone"])
    world.configure("crm", assets="adopt")
    purview_scans(world, Dataset(address=world.system("crm").base.at("shop", "public", "v", type="view")))
    world.scan("crm")
    world.settle()
    gone = Dataset(address=world.system("crm").base.at("shop", "public", "gone"))
    (part,) = [r for r in world.parts_of("crm") if r.resolved]
    assert part.resolved["placeholder"] == 1
    purview_scans(world, gone)
    world.later(minutes=1)
    world.settle()
    world.later(minutes=6)
    world.settle()
    assert "gone" in world.reads("v")
    assert list(world.app.placeholders.all()) == []
    world.scan("crm")
    world.hub.clear()
    world.settle()
    assert [n for n in world.sent() if "process" in n] == []  # the snapshot knows what was sent


# ---- cost, and what fails


def test_asked_in_bulk_and_remembered(world: World) -> None:
    tables = [table("erp", "public", f"t{n}", columns=()) for n in range(120)]
    purview_scans(world, *tables)
    calls = world.running.catalogue.calls
    calls.clear()
    body = "\n".join(event([f"erp.public.t{n}"], f"erp.public.T{(n + 1) % 120}", job=f"j{n}") for n in range(120))
    once(world, body, "uploads/openlineage/many.jsonl")
    assert counted(world, "uploads/openlineage/many.jsonl") == {"exact": 120, "spelling": 120}
    # 240 names: 5 calls, 120 of them not there: 3 as views, 1 list, 3 to be sure of what it says
    assert (calls["get_bulk_named"], calls["post_search"]) == (11, 1)
    asked = world.app.resolver.lookups
    assert asked == 12
    once(world, body, "uploads/openlineage/more.jsonl")
    assert world.app.resolver.lookups == asked
    world.restart()
    once(world, body, "uploads/openlineage/again.jsonl")
    assert world.app.resolver.lookups == 0
    world.wipe("resolved")
    world.restart()
    once(world, body, "uploads/openlineage/last.jsonl")
    assert world.app.resolver.lookups == asked


def test_nothing_is_asked_for_what_the_file_itself_brings(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    crm = world.system("crm")
    crm.tables.update(a=Table("id"), v=Table("id", sql="select id from a", reads=["a"]))
    calls = world.running.catalogue.calls
    world.scan("crm")
    world.settle(sweeps=False)
    assert (calls["get_bulk_named"], calls["post_search"]) == (0, 0)
    world.settle()


def test_a_busy_catalogue_keeps_foreign_lineage_waiting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = table("erp", "public", "Orders")
    purview_scans(world, orders)
    before = assets(world)

    def busy(_: object) -> None:
        raise CatalogBusy("no answer", where="test")

    with monkeypatch.context() as patched:
        patched.setattr(type(world.app), "asking_catalog", busy)
        world.restart()
        world.upload(PATH, event(["erp.public.orders"], "erp.public.orders"))
        world.settle(waits=1)
        receipt = world.receipt(PATH)
        assert receipt.state == "transforming" and "lineage points to" in receipt.error
        assert assets(world) == before
    world.restart()
    world.later(hours=1)
    world.settle()
    assert ends(world) == {name_of(orders)} and assets(world) == before


def test_a_catalogue_that_may_not_be_read_means_stubs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(world.app), "asking_catalog", lambda _: None)
    world.restart()
    run(world, event(["erp.public.orders"], "erp.public.orders"))
    assert counted(world) == {"stub": 1}
    assert ends(world) == {name_of(table("erp", "public", "orders"))}


def test_a_deleted_table_of_placeholders_is_made_again_by_the_next_run(world: World) -> None:
    orders = table("erp", "public", "orders")
    run(world, event(["erp.public.orders"], "erp.public.orders"))
    world.wipe("placeholders")
    world.restart()
    purview_scans(world, orders)
    world.settle()
    world.later(hours=1)
    run(world, event(["erp.public.orders"], "erp.public.orders") + " ")
    assert ends(world) == {name_of(orders)}


def test_a_plan_tells_what_each_end_would_be_and_what_may_be_meant(world: World, tmp_path: Path) -> None:
    purview_scans(world, table("erp", "public", "Orders"), table("erp", "public", "sales"))
    one, two = table("erp", "mart", "Twice"), table("erp", "mart", "TWICE")
    purview_scans(world, one, two)
    world.aliases = {"10.0.0.7": "erp.test"}
    world.restart()
    file = tmp_path / "load.json"
    names = ["erp.public.orders", "erp.public.sale", "erp.mart.twice"]
    file.write_text(event(names, "erp.public.sales", source="postgres://10.0.0.7:5432"))
    ends = {end.wanted.qualified_name.rsplit("/", 1)[-1]: end for end in plan_file(file, world.app).ends}
    assert {name: end.how for name, end in ends.items()} == {
        "orders": "spelling",
        "sales": "exact",
        "sale": "placeholder",
        "twice": "placeholder",
    }
    assert ends["orders"].name == name_of(table("erp", "public", "Orders"))
    assert ends["orders"].alias_of == "erp.test:5432" and ends["sales"].alias_of == ""
    assert ends["sale"].near[0] == name_of(table("erp", "public", "sales"))
    assert set(ends["twice"].several) == {name_of(one), name_of(two)}
    assert list(world.app.placeholders.all()) == []
    assert list(world.app.table("resolved").partitions()) == []
