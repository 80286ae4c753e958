"""Collections: confirmed assets are moved where their instance says, once; what others have placed stays."""

from __future__ import annotations

import datetime as dt

import pytest
import requests

from cli.check import checks
from cli.report import show_status
from shared.delivery.catalog import Catalog, Collection
from shared.errors import CatalogBusy
from shared.pipeline import placing, sweeping
from shared.pipeline.overview import status
from shared.state.placements import Placements
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import Dead, System, Table, World, world  # noqa: F401

FINANCE, SALES, EU = "aaaaaa", "bbbbbb", "cccccc"


@pytest.fixture
def crm(world: World) -> System:
    for name, friendly, parent in ((FINANCE, "Finance", "root"), (SALES, "Sales", FINANCE), (EU, "EU", "root")):
        body = {"friendlyName": friendly, "parentCollection": {"referenceName": parent}}
        requests.put(f"{world.running.url}/collections/{name}", json=body, timeout=10).raise_for_status()
    system = world.system("crm", collection="Finance/Sales")
    system.tables.update({"orders": Table("id", "a"), "v": Table("id", sql="select id from orders", reads=["orders"])})
    return system


@pytest.fixture
def moves(world: World) -> list[tuple[int, str]]:
    """Each call: how many assets, and where to."""
    seen: list[tuple[int, str]] = []
    real = Catalog.move

    def move(self: Catalog, guids: list[str], collection_id: str) -> None:
        real(self, guids, collection_id)
        seen.append((len(guids), collection_id))

    world.monkeypatch.setattr(Catalog, "move", move)
    return seen


@pytest.fixture
def finds(world: World) -> list[int]:
    """How many names were asked for, call by call, while assets were placed."""
    seen: list[int] = []
    real = placing._Mover._look

    def look(self: placing._Mover, names: list[placing.Name]) -> None:
        seen.append(len(names))
        real(self, names)

    world.monkeypatch.setattr(placing._Mover, "_look", look)
    return seen


def run(world: World, instance: str = "crm") -> None:
    world.scan(instance)
    world.settle()


def lies(world: World) -> dict[str, str]:
    """Last part of the name -> id of the collection, of every asset that is no column."""
    return {e.qn.rsplit("/", 1)[-1]: e.collection for e in world.entities() if "column" not in e.type}


def test_what_was_confirmed_is_moved(world: World, crm: System, moves: list[tuple[int, str]]) -> None:
    run(world)
    world.check()
    assert set(lies(world).values()) == {SALES}
    assert {"crm.test:5432", "shop", "public", "orders", "v", "v#query"} == set(lies(world))
    assert moves == [(6, SALES)], "in one call"
    assert status(world.app).instances[0].placing is None


def test_without_it_everything_stays_in_the_root(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "place", lambda _: None)
    run(world)
    world.check()
    assert set(lies(world).values()) == {""}


def test_nothing_is_asked_or_moved_without_a_collection(world: World, crm: System, finds: list[int]) -> None:
    world.configure("crm", collection="")
    run(world)
    assert set(lies(world).values()) == {""}
    assert finds == []


def test_an_unchanged_scan_moves_nothing(
    world: World, crm: System, moves: list[tuple[int, str]], finds: list[int]
) -> None:
    run(world)
    moves.clear()
    finds.clear()
    run(world)
    world.scan("crm", full=True)
    world.settle()
    world.app.placed.clear()
    world.sweep()
    assert (moves, finds) == ([], [])
    crm.tables["new"] = Table("id")
    run(world)
    assert moves == [(1, SALES)]
    assert finds == [1]
    assert lies(world)["new"] == SALES


def test_without_a_memory_everything_is_asked_for_again_and_nothing_moves(
    world: World, crm: System, moves: list[tuple[int, str]], finds: list[int]
) -> None:
    run(world)
    moves.clear()
    finds.clear()
    world.wipe("placements")
    world.app.placed.clear()
    run(world)
    assert moves == [], "it is there already"
    assert sum(finds) == 6


def test_a_changed_setting_moves_everything_once(world: World, crm: System, moves: list[tuple[int, str]]) -> None:
    run(world)
    moves.clear()
    world.configure("crm", collection="EU")
    world.sweep()
    assert set(lies(world).values()) == {EU}
    assert moves == [(6, EU)]
    world.app.placed.clear()
    world.sweep()
    run(world)
    assert moves == [(6, EU)]
    world.configure("crm", collection=SALES)
    world.sweep()
    assert set(lies(world).values()) == {SALES}, "and back, by its six characters"
    world.check()


def test_what_comes_back_after_a_deletion_is_moved_again(world: World, crm: System) -> None:
    world.configure("crm", delete_limit=1.0)
    run(world)
    table = crm.tables.pop("orders")
    view = crm.tables.pop("v")
    run(world)
    assert "orders" not in lies(world)
    crm.tables.update({"orders": table, "v": view})
    run(world)
    assert lies(world)["orders"] == SALES


def test_an_asset_that_somebody_has_put_elsewhere_stays(world: World, crm: System) -> None:
    """Purview has scanned the table into another collection before we came."""
    world.configure("crm", collection="")
    run(world)
    store = world.running.catalogue.store
    store.rows("UPDATE entity SET collection = ? WHERE qn LIKE '%/orders'", (EU,))
    world.configure("crm", collection="Sales")
    run(world)
    found = lies(world)
    assert found.pop("orders") == EU
    assert set(found.values()) == {SALES}
    placement = world.app.placements.at("crm/public")
    assert placement is not None
    assert (placement.placed, placement.left) == (5, 1)


def test_two_instances_do_not_fight_over_a_server(world: World, crm: System, moves: list[tuple[int, str]]) -> None:
    other = world.system("other", collection="EU", settings={"system": "crm"})
    assert other.name == "other"
    run(world)
    run(world, "other")
    moves.clear()
    for _ in range(3):
        run(world)
        run(world, "other")
    assert moves == []
    assert lies(world)["crm.test:5432"] == SALES


def test_stubs_and_adopted_assets_are_not_moved(world: World, crm: System) -> None:
    del crm.tables["v"]
    world.configure("crm", collection="")
    run(world)
    world.wipe("")
    for path in world.landed():
        world.landing.delete_blob(path)
    crm.tables["orders"].description = "what was ordered"
    crm.tables["v"] = Table("id", sql="select id from elsewhere.things", reads=["things"])
    world.configure("crm", collection="EU", assets="adopt")
    run(world)
    found = lies(world)
    assert found["v#query"] == EU, "the lineage is ours"
    assert found["orders"] == ""
    assert found.get("things", "") == ""


# ---- what goes wrong


def test_no_permission_is_said_and_tried_again_later(
    world: World, crm: System, moves: list[tuple[int, str]], finds: list[int]
) -> None:
    world.running.catalogue.closed.add(SALES)
    run(world)
    world.check()
    world.confirmed()
    (one,) = status(world.app).instances
    assert one.placing is not None
    assert "Finance/Sales" in one.placing.error
    assert "403" in one.placing.error
    assert "Data Curator" in one.placing.fix
    tries = len(finds)
    for _ in range(6):
        world.later(minutes=5)
        world.sweep()
    assert len(finds) < 2.5 * tries, "not in every sweep"
    world.running.catalogue.closed.clear()
    world.later(hours=2)
    world.sweep()
    assert set(lies(world).values()) == {SALES}
    assert status(world.app).instances[0].placing is None


def test_a_collection_that_is_not_there(world: World, crm: System) -> None:
    world.configure("crm", collection="Finance/Nowhere")
    run(world)
    world.check()
    world.confirmed()
    (one,) = status(world.app).instances
    assert one.placing is not None
    assert "there is no collection 'Finance/Nowhere'" in one.placing.error
    assert "Finance/Sales" in one.placing.fix
    world.configure("crm", collection="Sales")
    world.later(hours=1)
    world.sweep()
    assert set(lies(world).values()) == {SALES}


def test_one_instance_does_not_keep_another_from_its_place(world: World, crm: System) -> None:
    world.configure("crm", collection="Nowhere")
    world.system("erp", collection="EU").tables["bills"] = Table("id")
    run(world)
    run(world, "erp")
    assert lies(world)["bills"] == EU


def test_a_busy_catalogue_is_asked_later(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object) -> None:
        raise CatalogBusy("the catalogue answered 429", fix="wait")

    with monkeypatch.context() as patched:
        patched.setattr(Catalog, "move", busy)
        run(world)
    assert set(lies(world).values()) == {""}
    assert status(world.app).instances[0].placing is None, "that is no trouble"
    world.sweep()
    assert set(lies(world).values()) == {SALES}


def test_a_root_that_cannot_be_told_moves_nothing(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    visible = [Collection(SALES, "Sales", FINANCE), Collection(FINANCE, "Finance", "root")]
    monkeypatch.setattr(Catalog, "collections", lambda _: visible)
    run(world)
    assert set(lies(world).values()) == {""}
    told = status(world.app).instances[0].placing
    assert told is not None
    assert "root collection" in told.error and "role on the root collection" in told.fix


def test_its_time_is_bounded_and_it_goes_on(
    world: World, crm: System, monkeypatch: pytest.MonkeyPatch, finds: list[int]
) -> None:
    crm.tables.update({f"t{n:03}": Table("id") for n in range(120)})
    monkeypatch.setattr(placing, "SECONDS", -1.0)
    run(world)
    assert set(lies(world).values()) == {""}
    monkeypatch.setattr(placing, "SECONDS", 240.0)
    real = placing._Mover._look

    def late(self: placing._Mover, names: list[placing.Name]) -> None:
        real(self, names)
        if len(finds) % 3 == 0:
            self._until = 0.0  # its time is over

    monkeypatch.setattr(placing._Mover, "_look", late)
    for _ in range(8):
        world.sweep()
    assert set(lies(world).values()) == {SALES}
    assert sum(finds) == 126, "nothing twice"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(0, 14))
def test_killed_while_it_moves(world: World, crm: System, step: int, after: bool) -> None:
    """Whatever was moved and not remembered is found in its place."""
    world.configure("crm", collection="")
    run(world)
    world.configure("crm", collection="Sales")
    real = Catalog.move

    def move(self: Catalog, guids: list[str], collection_id: str) -> None:
        world.faults.step(lambda: real(self, guids, collection_id))

    world.monkeypatch.setattr(Catalog, "move", move)
    world.faults.die(step, after=after)
    try:
        placing.place(world.app)
    except Dead:
        world.revive()
    world.faults.countdown = -1
    world.sweep()
    assert set(lies(world).values()) == {SALES}
    world.settle()
    world.check()
    assert world.app.placements.at("crm/public") is not None


# ---- uploads


SQL = "create table mart.daily as select id from public.orders;"


def upload(world: World, collection: str) -> str:
    world.purview["collection"] = collection
    world._app = None
    path = world.upload("uploads/records/own.jsonl", record("daily"))
    world.settle()
    return path


def record(name: str) -> str:
    import json

    address = {"platform": "mysql", "host": "db.test:3306", "path": ["shop", name], "type": "table"}
    process = {
        "kind": "process",
        "address": {"platform": "hookline", "host": "etl", "path": [f"load-{name}"], "type": "process"},
        "inputs": [{"platform": "mysql", "host": "db.test:3306", "path": ["shop", "somebody_elses"], "type": "table"}],
        "outputs": [address],
    }
    return "\n".join(json.dumps(line) for line in ({"kind": "dataset", "address": address}, process)) + "\n"


def test_uploads_go_where_purview_collection_says(world: World, crm: System, moves: list[tuple[int, str]]) -> None:
    path = upload(world, "EU")
    assert world.receipt(path).state == "confirmed", world.receipt(path)
    found = lies(world)
    assert found["daily"] == EU
    assert found["somebody_elses"] == "", "only a name to hold on to"
    assert list(world.app.placements.waiting()) == []
    count = sum(n for n, _ in moves)
    world.upload("uploads/records/own.jsonl", record("daily"))
    world.settle()
    assert sum(n for n, _ in moves) == count, "it is there already"


def test_uploads_without_permission_wait(world: World, crm: System) -> None:
    world.running.catalogue.closed.add(EU)
    path = upload(world, "EU")
    assert world.receipt(path).state == "confirmed"
    told = status(world.app).placing
    assert told is not None and "403" in told.error
    world.running.catalogue.closed.clear()
    world.later(hours=1)
    world.sweep()
    assert lies(world)["daily"] == EU
    assert status(world.app).placing is None


def test_an_unremembered_upload_stays_where_it_is(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Placements, "expect", lambda *_: None)
    upload(world, "EU")
    assert lies(world)["daily"] == ""


def test_times_of_the_circuit_are_bounded() -> None:
    assert dt.timedelta(hours=6) == placing.LONGEST


# ---- what people are told


def told_by_check(world: World) -> dict[str, tuple[bool, str]]:
    return {line.name: (line.ok, line.detail) for line in checks(world.app, None) if "collection" in line.name}


def test_check_says_which_collection_is_meant(world: World, crm: System) -> None:
    world.purview["collection"] = "eu"
    world.system("erp", collection="Finance/Slaes")
    world._app = None
    assert told_by_check(world) == {
        "purview.collection": (True, "EU (cccccc)"),
        "instances.crm.collection": (True, "Finance/Sales (bbbbbb)"),
        "instances.erp.collection": (False, "there is no collection 'Finance/Slaes'"),
    }


def test_check_and_status_say_why_nothing_is_moved(
    world: World, crm: System, capsys: pytest.CaptureFixture[str]
) -> None:
    world.running.catalogue.closed.add(SALES)
    run(world)
    ok, detail = told_by_check(world)["collection of crm"]
    assert not ok
    assert "cannot be moved to the collection Finance/Sales" in detail
    assert "next try at" in detail
    show_status(status(world.app))
    shown = " ".join(capsys.readouterr().out.split())
    assert "collection of crm: assets cannot be moved" in shown
    assert "Data Curator" in shown


def test_the_page_of_an_asset_names_its_collection(world: World, crm: System) -> None:
    run(world)
    (orders,) = [e for e in world.entities() if e.qn.endswith("/orders")]
    page = requests.get(f"{world.running.url}/asset/{orders.guid}", timeout=10).text
    assert "Finance / Sales" in page


# ---- over REST


@pytest.fixture
def rest(world: World, crm: System) -> World:
    del world.purview["hook"]
    world.limits = {"operations_per_second": 100_000}
    world._app = None
    return world


def test_over_rest_what_is_new_is_made_where_it_belongs(rest: World, moves: list[tuple[int, str]]) -> None:
    run(rest)
    rest.check()
    assert set(lies(rest).values()) == {SALES}
    assert moves == [], "it never lay in the root collection, where the app may have no role"


def test_over_rest_what_exists_stays_where_it_is(rest: World, crm: System) -> None:
    rest.configure("crm", collection="")
    run(rest)
    rest.running.catalogue.store.rows("UPDATE entity SET collection = ? WHERE qn LIKE '%/orders'", (EU,))
    rest.configure("crm", collection="Sales")
    crm.tables["orders"].description = "changed"
    run(rest)
    assert lies(rest)["orders"] == EU
    rest.check()


def test_over_rest_a_closed_collection_keeps_nothing_from_being_delivered(rest: World) -> None:
    rest.running.catalogue.closed.add(SALES)
    run(rest)
    rest.check()
    rest.confirmed()
    told = status(rest.app)
    assert told.circuit is None, "entities can be sent"
    assert told.instances[0].placing is not None
