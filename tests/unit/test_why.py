"""`./hookline why`: each way in which an asset can be missing has its answer."""

from __future__ import annotations

import gzip
import json

import pytest

from shared.errors import UsageError
from shared.pipeline import held, why
from shared.pipeline.asked import Asked
from shared.pipeline.why import Sighting
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import System, Table, World, world  # noqa: F401

SCHEMA = "postgresql://servers/crm.test:5432/dbs/shop/schemas/public"


@pytest.fixture
def crm(world: World) -> System:
    system = world.system("crm")
    system.tables.update({f"t{n:02}": Table("id") for n in range(30)})
    system.tables["Orders"] = Table("id", "total")
    return system


def run(world: World) -> None:
    world.scan("crm")
    world.settle()


def told(world: World, name: str) -> list[str]:
    return [sighting.kind for sighting in why.why(world.app, name).sightings]


def only(world: World, name: str) -> Sighting:
    (sighting,) = why.why(world.app, name).sightings
    return sighting


@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        ("orders", True),
        ("ORDERS", True),
        ("public.orders", True),
        ("shop.public.orders", True),
        ("rders", True),
        ("sales.orders", False),
        ("orders.public", False),
        (f"{SCHEMA}/tables/Orders", True),
        (f"{SCHEMA}/tables/orders", True),
        (f"{SCHEMA}/tables/Order", False),
        (f"postgresql_table/{SCHEMA}/tables/Orders", True),
        (f"postgresql_view/{SCHEMA}/tables/Orders", False),
    ],
)
def test_names_as_people_write_them(asked: str, taken: bool) -> None:
    assert Asked(asked).takes("postgresql_table", f"{SCHEMA}/tables/Orders") is taken


def test_it_is_there(world: World, crm: System) -> None:
    run(world)
    found = why.why(world.app, "public.orders")
    (one,) = found.sightings
    assert (one.kind, one.instance, one.scope, one.scan) == ("published", "crm", "public", world.scan_of("crm").id)
    assert one.said == "sent by that scan, and confirmed"
    (there,) = found.catalogue
    assert (there.status, bool(there.guid)) == ("ACTIVE", True)
    run(world)
    assert "unchanged since" in only(world, "orders").said
    column = only(world, f"{SCHEMA}/tables/Orders/columns/total")
    assert (column.kind, column.type_name) == ("published", "postgresql_table_column")


def test_a_column(world: World, crm: System) -> None:
    crm.tables["orders2"] = Table("customer")
    run(world)
    one = only(world, "customer")
    assert (one.type_name, one.qualified_name) == ("postgresql_table", f"{SCHEMA}/tables/orders2")
    assert one.said.startswith("of its column customer; ")
    assert "column" not in why.why(world.app, "orders2").sightings[0].said


def test_it_was_sent_and_not_seen(world: World, crm: System) -> None:
    world.hub.drop = lambda message: any(n.qualified_name.endswith("/Orders") for n in message.names)
    world.scan("crm")
    world.settle(waits=0)
    found = why.why(world.app, "orders")
    assert [s.kind for s in found.sightings] == ["waiting", "published"]
    assert found.sightings[0].state == "sent"
    assert "confirmed" not in found.sightings[1].said
    assert [c.status for c in found.catalogue] == [""], "the catalogue does not have it"
    world.later(hours=3)
    assert why.why(world.app, "orders").sightings[0].state == "overdue"


def test_it_was_refused(world: World, crm: System) -> None:
    crm.refuse.add("Orders")
    run(world)
    one = only(world, "orders")
    assert one.kind == "rejected"
    assert "permission denied" in one.said
    assert one.fix == "grant it"


def test_a_rule_refused_it(world: World, crm: System) -> None:
    path = world.upload("uploads/records/a.jsonl", '{"kind": "dataset", "name": "Widgets", "nope": 1}\n')
    world.settle()
    assert told(world, "widgets") == ["rejected", "mentioned"]
    assert why.why(world.app, "widgets").sightings[1].file == path


def test_it_is_held_and_then_deleted(world: World, crm: System) -> None:
    run(world)
    for name in [name for name in crm.tables if name < "t20"]:
        del crm.tables[name]
    run(world)
    found = why.why(world.app, "orders")
    assert [s.kind for s in found.sightings] == ["held", "published"]
    assert "./hookline approve crm public" in found.sightings[0].fix
    assert [c.status for c in found.catalogue] == ["ACTIVE"]
    world._queue("extract", held.approve(world.app, "crm", ["public"]))
    world.settle()
    found = why.why(world.app, "orders")
    assert [(s.kind, s.scan) for s in found.sightings] == [("deleted", world.scan_of("crm").id)]
    assert [c.status for c in found.catalogue] in (["DELETED"], [""])


def test_who_deleted_it_is_remembered_as_long_as_its_receipt(world: World, crm: System) -> None:
    run(world)
    del crm.tables["Orders"]
    run(world)
    run(world)
    assert told(world, "orders") == ["deleted"]
    run(world)
    world.later(days=100)
    world.tick()
    world.work.clear()
    assert told(world, "orders") == []


def test_without_the_note_nobody_would_know(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.state.deleted.Deleted.note", lambda *_: None)
    run(world)
    del crm.tables["Orders"]
    run(world)
    assert told(world, "orders") == []


def test_a_filter_leaves_it_out(world: World, crm: System) -> None:
    world.configure("crm", exclude=["*.Ord*", "*.ord*"])
    run(world)
    for name in ("public.orders", "orders", f"{SCHEMA}/tables/orders"):
        one = only(world, name)
        assert (one.kind, one.instance) == ("left out", "crm"), name
        assert "`exclude`" in one.said
    world.configure("crm", exclude=[], include=["public.t*"])
    assert "`include`" in only(world, "public.orders").said
    assert told(world, "public.t01") == ["published"]


def test_a_file_of_a_person_names_it(world: World, crm: System) -> None:
    entity = {"typeName": "hookline_dataset", "attributes": {"qualifiedName": "hookline://Gadgets", "name": "Gadgets"}}
    body = json.dumps({"entities": [entity]})
    world.upload("uploads/atlas_json/a.json", body)
    world.upload("uploads/atlas_json/b.json.gz", gzip.compress(body.encode()))
    world.upload("uploads/atlas_json/c.json", body.replace("Gadgets", "Other"))
    world.settle()
    found = why.why(world.app, "gadgets").sightings
    assert sorted(s.file for s in found if s.kind == "mentioned") == [
        "uploads/atlas_json/a.json",
        "uploads/atlas_json/b.json.gz",
    ]
    assert {s.state for s in found} <= {"confirmed"}
    asked = why.why(world.app, "hookline_dataset/hookline://Gadgets")
    assert [c.status for c in asked.catalogue] == ["ACTIVE"]


def test_never_seen(world: World, crm: System) -> None:
    run(world)
    found = why.why(world.app, "ordres")
    assert found.sightings == []
    assert found.nearest[0] == f"postgresql_table/{SCHEMA}/tables/Orders"
    assert why.why(world.app, "something else altogether").nearest == []
    with pytest.raises(UsageError):
        why.why(world.app, " ")


def test_many_are_cut_and_it_says_so(world: World, crm: System) -> None:
    run(world)
    found = why.why(world.app, "public.t")
    assert len(found.sightings) == why.SHOWN
    assert found.more == ["published"]
