"""What an instance can say about itself, and what can be wrong with one: the others go on."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from connectors.source import Source
from local.catalogue.faults import Faults as RestFaults
from shared.errors import DriverMissing, SourceRefused, SourceUnreachable
from shared.pipeline import scheduling, transformation
from shared.pipeline.overview import status
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import System, Table, World, expected, world  # noqa: F401


def run(world: World, instance: str = "crm") -> list[str]:
    world.scan(instance)
    world.settle()
    return world.sent()


@pytest.fixture
def crm(world: World) -> System:
    system = world.system("crm")
    system.tables.update({"orders": Table("id", "a"), "v": Table("id", sql="select id from orders", reads=["orders"])})
    return system


# ---- adopt


def scanned_by_purview(world: World, crm: System) -> None:
    """The assets are there, under other hands than ours: nothing of it is remembered."""
    said, crm.tables["orders"].description = crm.tables["orders"].description, ""
    run(world)
    crm.tables["orders"].description = said
    world.wipe("")
    for path in world.landed():
        world.landing.delete_blob(path)
    world.configure("crm", assets="adopt")


def test_adopt_writes_descriptions_and_lineage_only(world: World, crm: System) -> None:
    crm.tables["orders"].description = "what was ordered"
    scanned_by_purview(world, crm)
    before = world.catalogue()
    assert run(world) == ["update postgresql_table orders", "create hookline_process v#query"]
    after = world.catalogue()
    assert set(after) == set(before)
    assert [said for name, said in after.items() if said != before[name]] == ["what was ordered"]
    world.confirmed()
    assert run(world) == [], "unchanged"
    crm.tables["orders"].description = "all orders"
    assert run(world) == ["update postgresql_table orders"]


def test_what_was_adopted_is_never_deleted(world: World, crm: System) -> None:
    crm.tables["orders"].description = "what was ordered"
    crm.tables["other"] = Table("id")
    scanned_by_purview(world, crm)
    run(world)
    del crm.tables["orders"]
    assert run(world) == []
    del crm.tables["v"]
    assert run(world) == ["delete hookline_process v#query"], "ours"


# ---- REST instead of the hub


@pytest.fixture
def rest(world: World, crm: System) -> World:
    del world.purview["hook"]
    world.limits = {"operations_per_second": 100_000}
    world._app = None
    return world


def test_rest(rest: World, crm: System) -> None:
    run(rest)
    rest.check()
    (part,) = rest.parts_of("crm")
    assert (part.state, part.confirmed) == ("confirmed", part.sent)
    del crm.tables["v"]
    crm.tables["orders"].columns.remove("a")
    run(rest)
    rest.check()
    assert rest.scan_of("crm").deleted == 3
    run(rest)
    assert rest.parts_of("crm")[0].sent == 0
    assert status(rest.app).sink == "REST"


def test_rest_answers_at_once(rest: World, crm: System) -> None:
    rest.scan("crm")
    rest.step()
    rest.step()
    assert rest.parts_of("crm")[0].state == "confirmed"


def test_what_rest_refuses_is_found_and_its_neighbours_go_through(rest: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue knows better than our rules: one entity of a message is refused, with its own reason."""
    from local.catalogue.catalogue import Catalogue
    from local.catalogue.errors import invalid

    real = Catalogue.upsert

    def strict(self: Catalogue, entities: Any, **options: Any) -> Any:
        if any("bad" in e["attributes"].get("qualifiedName", "") for e in entities["entities"]):
            raise invalid("I do not like that name")
        return real(self, entities, **options)

    monkeypatch.setattr(Catalogue, "upsert", strict)
    entities = [
        {"typeName": "hookline_dataset", "attributes": {"qualifiedName": f"hookline://{n}", "name": n}}
        for n in ("a", "bad", "c")
    ]
    path = rest.upload("uploads/atlas_json/x.json", json.dumps({"entities": entities}))
    rest.settle()
    receipt = rest.receipt(path)
    assert (receipt.state, receipt.sent, receipt.confirmed, receipt.refused) == ("partly rejected", 2, 2, 1)
    (told,) = rest.rejected(path)
    assert told.rule == "CatalogRefused"
    assert told.place == "hookline_dataset hookline://bad"
    assert "I do not like that name" in told.reason
    assert {qn for _, qn in rest.catalogue()} == {"hookline://a", "hookline://c"}


def test_what_rest_refuses_of_a_scan_is_tried_again_by_the_next(
    rest: World, crm: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    from local.catalogue.catalogue import Catalogue
    from local.catalogue.errors import invalid

    real = Catalogue.upsert

    def strict(self: Catalogue, entities: Any, **options: Any) -> Any:
        if any(e["attributes"].get("name") == "orders" for e in entities["entities"]):
            raise invalid("not today")
        return real(self, entities, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Catalogue, "upsert", strict)
        run(rest)
    assert rest.parts_of("crm")[0].state == "partly rejected"
    run(rest)
    assert {"orders"} <= {qn.rsplit("/", 1)[-1] for _, qn in rest.catalogue()}
    rest.check()


def test_rest_without_permission_waits(rest: World, crm: System) -> None:
    rest.running.faults.set(RestFaults(rest_status=403, rest_requests=100_000))
    rest.scan("crm")
    rest.settle(waits=1)
    (part,) = rest.parts_of("crm")
    assert part.state == "transforming"
    assert "Data Curator" in part.fix
    rest.running.faults.set(RestFaults())
    rest.settle()
    rest.check()


def test_rest_goes_on_where_its_time_was_over(rest: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the catalogue is not written again by the next attempt."""
    from shared.delivery.catalog import Catalog

    monkeypatch.setattr("shared.pipeline.file.ANSWERED_GROUP", 3)
    crm.tables.update({f"t{n:02}": Table("id") for n in range(100)})
    written: list[int] = []
    real = Catalog.upsert

    def counted(self: Catalog, entities: Any, *args: Any, **options: Any) -> Any:
        written.append(len(entities))
        return real(self, entities, *args, **options)

    monkeypatch.setattr(Catalog, "upsert", counted)
    rest.scan("crm")
    rest.step()
    (path,) = rest.landed()
    blob = rest.app.landing.get_blob_client(path)
    clock = [0.0]

    def ticks() -> float:
        clock[0] += 1
        return clock[0]

    monkeypatch.setattr("shared.pipeline.file.time", SimpleNamespace(monotonic=ticks, time=time.time))
    tries = 0
    while rest.app.receipts.get(path)[0] is None or not rest.receipt(path).final:
        tries += 1
        try:
            transformation.transform(rest.app, blob, time_limit=2)
        except Exception as error:
            assert "the function's time is over" in str(error)
            assert "the rest follows" in rest.receipt(path).fix
    assert 1 < tries < 10
    receipt = rest.receipt(path)
    assert receipt.confirmed == receipt.sent
    assert sum(written) < 1.2 * len(rest.catalogue())
    rest.settle()
    rest.check()


def test_requests_keep_the_pace(rest: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    from shared.delivery.pace import Pace

    taken: list[int] = []
    monkeypatch.setattr(Pace, "take", lambda self, count=1: taken.append(count))
    run(rest)
    (part,) = rest.parts_of("crm")
    assert sum(taken) == part.entities


# ---- types and names


def test_other_types_and_names(world: World) -> None:
    system = world.system("crm", types="rdbms")
    system.tables["orders"] = Table("id")
    run(world)
    world.confirmed()
    assert {t for t, _ in world.catalogue()} >= {"rdbms_table", "rdbms_column"}
    other = world.system("own", types="own")
    other.tables["orders"] = Table("id")
    run(world, "own")
    world.confirmed()
    assert {t for t, _ in world.catalogue()} >= {"hookline_dataset", "hookline_column"}
    run(world)
    run(world, "own")
    assert world.sent() == []


def test_an_override_of_names(world: World, crm: System) -> None:
    world.configure("crm", names={"postgresql.server": "postgresql://servers/renamed:5432"})
    run(world)
    world.confirmed()
    names = {qn for _, qn in world.catalogue() if qn.startswith("postgresql://")}
    assert any("renamed" in qn for qn in names)


def test_live_types_decide(world: World, crm: System) -> None:
    """An account may have types that nobody here has heard of."""
    definition = {"name": "acme_report", "superTypes": ["DataSet"], "attributeDefs": []}
    entity = {"typeName": "acme_report", "attributes": {"qualifiedName": "acme://1", "name": "1"}}
    body = json.dumps({"entities": [entity]})
    path = world.upload("uploads/atlas_json/x.json", body)
    world.settle()
    assert world.receipt(path).reasons == {"unknown-type": 1}
    world.app.catalog.create_typedefs({"entityDefs": [definition]})  # type: ignore[union-attr]
    world.wipe("types")
    world._app = None
    world.upload(path, body + " ")
    world.settle()
    assert world.receipt(path).state == "confirmed"


# ---- one that does not work


def test_one_broken_instance_leaves_the_others_alone(world: World, crm: System) -> None:
    world.system("unreachable").error = SourceUnreachable("db.internal does not answer", where="db", fix="check it")
    world.system("wrong").error = SourceRefused("the password is wrong", where="db", fix="change the secret")
    world.system("driverless").error = DriverMissing("oracledb is not installed", fix="pip install oracledb")
    world.system("buggy").error = ZeroDivisionError("hunter2")
    world.system("secretive")
    world.configure("secretive", settings={"system": "secretive", "password": "${secret:nowhere}"})
    world.system("misspelt")
    world.configure("misspelt", settings={"sytem": "x"})
    world.system("unknown")
    world.configure("unknown", connector="orcale")
    world.system("badly")
    world.configure("badly", delete_limit=7)
    world.system("off", enabled=False)
    world.tick()
    world.settle()
    world.check(crm)
    shown = {i.name: i for i in status(world.app).instances}
    told = {
        name: (i.problem or " ".join(s.error for s in i.scans), i.fix or " ".join(s.fix for s in i.scans))
        for name, i in shown.items()
    }
    for name, words in {
        "unreachable": "does not answer",
        "wrong": "password is wrong",
        "driverless": "not installed",
        "buggy": "the connector failed (ZeroDivisionError)",
        "secretive": "nowhere",
        "misspelt": "sytem",
        "unknown": "orcale",
        "badly": "delete_limit",
    }.items():
        problem, fix = told[name]
        assert words in problem, (name, problem)
        assert fix, name
    assert told["off"] == ("", "")
    assert not shown["off"].enabled
    assert "hunter2" not in json.dumps(msgspec.to_builtins(status(world.app)))
    assert [s.state for s in shown["crm"].scans] == ["finished"]
    assert world.errors == []


def test_it_works_again(world: World, crm: System) -> None:
    crm.error = SourceUnreachable("does not answer", fix="check it")
    world.tick()
    assert not world.work
    world.later(minutes=5)
    world.tick()
    assert not world.work
    crm.error = None
    world.later(minutes=20)
    world.tick()
    world.settle()
    world.check()
    assert [s.scope for i in status(world.app).instances for s in i.scans] == ["public"], "the failure is forgotten"


def test_a_wrong_password_is_not_tried_again_before_it_is_due(world: World, crm: System) -> None:
    asked: list[int] = []
    real = scheduling.App.source

    def counted(self: Any, name: str) -> Source[Any]:
        asked.append(1)
        return real(self, name)

    world.monkeypatch.setattr(scheduling.App, "source", counted)
    crm.error = SourceRefused("the password is wrong", fix="change it")
    for _ in range(10):
        world.tick()
        world.later(minutes=7)
    assert len(asked) == 1
    world.later(days=1)
    world.tick()
    assert len(asked) == 2


def test_a_scope_that_fails_while_it_is_read(world: World, crm: System) -> None:
    crm.schemas["sales"] = {"deals": Table("id")}
    crm.error, crm.error_at = SourceRefused("permission denied for deals", fix="grant it"), "deals"
    run(world)
    failed = world.scan_of("crm", "sales")
    assert (failed.state, failed.problem, failed.error, failed.fix) == (
        "failed",
        "SourceRefused",
        "permission denied for deals",
        "grant it",
    )
    assert world.scan_of("crm").state == "finished"
    assert world.errors == []
    crm.error = None
    run(world)
    world.check()


def test_status_without_a_sink(world: World, crm: System, tmp_path: Path) -> None:
    run(world)
    found = status(world.app)
    assert found.sink == "event hub"
    assert found.totals == {"confirmed": 1}
    assert found.waiting == 0


def test_old_receipts_are_forgotten(world: World, crm: System) -> None:
    from shared.pipeline import http

    mine = world.upload("uploads/records/mine.jsonl", '{"kind": "x"}\n')
    taken = world.upload("uploads/records/taken.jsonl", '{"kind": "x"}\n')
    _, body = http.lineage(world.app, b'{"eventType": "START"}')
    event = json.loads(body)["landed"]
    run(world)
    run(world)
    old, current = world.landed()[0:2]
    assert {old, current} <= set(world.landed())
    world.landing.delete_blob(taken)
    world.later(days=80)
    world.tick()
    world.work.clear()
    assert mine in {r.path for r in world.app.receipts.all()}
    world.later(days=20)
    world.tick()
    world.work.clear()
    left = {r.path for r in world.app.receipts.all()}
    assert mine in left, "the file is still there, and would be taken as new"
    assert not {taken, event, old} & left
    assert current in left, "of the scope's last scan"
    assert not {event, old} & set(world.landed())
    assert world.rejected(taken) == []
    world.settle()
    assert mine in world.landed()
    run(world)
    world.check(crm)


def test_the_sweep_does_not_read_old_receipts_again(world: World, crm: System) -> None:
    for n in range(5):
        world.upload(f"uploads/records/f{n}.jsonl", '{"kind": "x"}\n')
    run(world)
    world.later(hours=1)
    world.sweep()
    read: list[str] = []
    world.faults.on_request = lambda r: read.append(r.url or "") if "-state/receipts/" in (r.url or "") else None
    world.later(minutes=5)
    world.sweep()
    assert read == []
    world.wipe("sweeps")
    world.sweep()
    assert len(read) >= 6


def test_a_landed_file_whose_event_was_lost(world: World, crm: System) -> None:
    world.scan("crm")
    world.step()
    world.announced.update({b.name: b.etag for b in world.landing.list_blobs()})
    assert world.sweep() == []
    world.later(minutes=20)
    world.settle()
    world.check()
