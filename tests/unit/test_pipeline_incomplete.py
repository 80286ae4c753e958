"""What was not seen is not gone: scans that are not whole delete nothing, in whatever order their parts come."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import pytest

from shared import job_file
from shared.errors import SourceUnreachable
from shared.pipeline import extraction, transformation
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import System, Table, World, expected, world  # noqa: F401


@pytest.fixture
def crm(world: World) -> System:
    system = world.system("crm")
    system.tables.update({f"t{n:02}": Table("id", "a", "b") for n in range(20)})
    system.tables["view"] = Table("id", sql="select id from t03", reads=["t03"])
    system.cursor_every = 1
    return system


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(job_file, "PART_RECORDS", 8)
    yield


def run(world: World) -> list[str]:
    world.scan("crm")
    world.settle()
    return world.sent()


def deletions(names: list[str]) -> list[str]:
    return [name for name in names if name.startswith("delete")]


# ---- not whole


def test_a_refusal_of_the_source(world: World, crm: System) -> None:
    run(world)
    before = expected([crm])
    crm.refuse = {"t05"}
    del crm.tables["t01"]
    assert run(world) == []
    assert world.catalogue() == before
    scan = world.scan_of("crm")
    assert (scan.state, scan.complete, scan.refused, scan.deleted) == ("finished", False, 1, 0)
    (told,) = world.rejected(f"crm/{scan.id}/extract-00000")
    assert (told.place, told.reason) == ("public.t05", "permission denied")
    crm.refuse = set()
    assert run(world) == ["delete postgresql_table t01"]
    world.check()


def test_columns_that_an_incomplete_scan_did_not_delete_are_deleted_later(world: World, crm: System) -> None:
    run(world)
    crm.refuse = {"t05"}
    crm.tables["t02"].columns.remove("b")
    assert run(world) == ["create postgresql_table t02"]
    crm.refuse = set()
    assert run(world) == ["delete postgresql_table_column b"]
    world.check()


@pytest.mark.usefixtures("small_parts")
def test_a_rejected_part(world: World, crm: System) -> None:
    run(world)
    before = expected([crm])
    del crm.tables["t01"]
    world.scan("crm")
    world.step()
    path = world.landed()[-2]
    world.upload(path, b"\x1f\x8b damaged")
    world.settle()
    scan = world.scan_of("crm")
    assert world.receipt(path).state == "rejected"
    assert (scan.state, scan.deleted) == ("finished", 0)
    assert world.catalogue() == before
    assert deletions(run(world)) == ["delete postgresql_table t01"]
    world.check()


@pytest.mark.usefixtures("small_parts")
def test_all_parts_rejected(world: World, crm: System) -> None:
    world.scan("crm")
    world.step()
    for path in world.landed():
        world.upload(path, b"")
    world.settle()
    assert world.scan_of("crm").state == "finished"
    assert world.catalogue() == {}
    run(world)
    world.check()


@pytest.mark.usefixtures("small_parts")
def test_a_part_that_somebody_removes_from_landing(world: World, crm: System) -> None:
    run(world)
    before = expected([crm])
    del crm.tables["t01"]
    world.scan("crm")
    world.step()
    removed = world.landed()[-1]
    world.landing.delete_blob(removed)
    world.settle()
    assert world.scan_of("crm").state == "finished"
    assert "removed from landing" in world.receipt(removed).error
    assert world.catalogue() == before


def test_a_scope_that_is_gone(world: World, crm: System) -> None:
    crm.schemas["sales"] = {"deals": Table("id")}
    run(world)
    before = expected([crm])
    del crm.schemas["sales"]
    assert run(world) == []
    gone = world.scan_of("crm", "sales")
    assert gone.state == "gone"
    assert "not there any more" in gone.error
    assert gone.fix
    assert world.catalogue() == before
    crm.schemas["sales"] = {"deals": Table("id")}
    assert run(world) == []
    assert world.scan_of("crm", "sales").state == "finished"
    world.check()


def test_a_scope_that_goes_while_it_is_being_read(world: World, crm: System) -> None:
    crm.schemas["sales"] = {"deals": Table("id")}
    run(world)
    before = expected([crm])
    world.scan("crm")
    del crm.schemas["sales"]
    world.settle()
    assert world.scan_of("crm", "sales").state == "gone"
    assert world.catalogue() == before
    assert world.errors == []


def test_an_incremental_scan(world: World, crm: System) -> None:
    crm.incremental = True
    run(world)
    before = expected([crm])
    row, _ = world.app.scans.get("crm", "public")
    assert row.watermark == "w-view"
    crm.only = lambda name: name in ("t01", "t02")
    crm.tables["t01"].description = "new"
    assert run(world) == ["create postgresql_table t01"]
    assert world.scan_of("crm").since == "w-view"
    assert set(world.catalogue()) == set(before)
    crm.only = lambda _: True
    assert run(world) == []
    world.check()


def test_a_watermark_stays_before_what_could_not_be_read(world: World, crm: System) -> None:
    crm.incremental = True
    crm.refuse = {"t05"}
    run(world)
    row, _ = world.app.scans.get("crm", "public")
    assert row.watermark == ""


def test_a_source_that_comes_back_empty(world: World, crm: System) -> None:
    run(world)
    before = expected([crm])
    tables = dict(crm.tables)
    crm.tables.clear()
    assert run(world) == []
    assert world.catalogue() == before
    scan = world.scan_of("crm")
    assert (scan.state, scan.held, scan.deleted) == ("finished", 22, 0)
    crm.tables.update(tables)
    assert run(world) == []
    assert world.scan_of("crm").held == 0


def test_an_empty_one_is_not_believed_however_small_it_was(world: World) -> None:
    tables = world.system("crm").tables
    tables["only"] = Table("id")
    run(world)
    tables.clear()
    assert run(world) == []
    assert world.scan_of("crm").held == 1
    world.configure("crm", delete_limit=1.0)  # a person says yes
    assert run(world) == ["delete postgresql_table only"]
    world.check()


def test_more_than_the_limit_is_held_until_a_person_says_yes(world: World, crm: System) -> None:
    run(world)
    before = expected([crm])
    for n in range(11):
        del crm.tables[f"t{n:02}"]
    assert run(world) == []
    scan = world.scan_of("crm")
    assert (scan.stale, scan.held, scan.deleted, scan.complete) == (11, 11, 0, True)
    assert world.catalogue() == before
    assert run(world) == [], "still held"
    assert world.scan_of("crm").held == 11
    world.configure("crm", delete_limit=0.6)
    assert len(deletions(run(world))) == 11
    world.check()


def test_many_columns_gone_are_held_too(world: World) -> None:
    tables = world.system("crm").tables
    wide = [f"c{n:03}" for n in range(200)]
    tables["wide"] = Table(*wide)
    tables["other"] = Table("id")
    run(world)
    before = expected([world.system("crm")])
    tables["wide"].columns = wide[:50]
    assert deletions(run(world)) == []
    assert world.scan_of("crm").held == 150
    assert world.catalogue() == before
    tables["wide"].columns = wide
    run(world)
    world.check()


def test_what_another_scope_has_too_is_not_deleted(world: World, crm: System) -> None:
    """A server that is reached by two instances: what one does not see any more is still there for the other."""
    run(world)
    world.system("twin")
    twin = world.systems["twin"]
    twin.name = "crm"
    twin.schemas = {"public": {name: crm.tables[name] for name in ("t01", "t02")}}
    world.scan("twin")
    world.settle()
    world.sent()
    del twin.tables["t02"]
    world.scan("twin")
    world.settle()
    assert world.sent() == []
    assert world.catalogue() == expected([crm])


def test_a_removed_or_disabled_instance(world: World, crm: System) -> None:
    run(world)
    before = expected([crm])
    del crm.tables["t01"]
    world.scan("crm")
    world.step()
    said = world.instances.pop("crm")
    world._app = None
    world.settle()
    assert world.catalogue() == before
    (part,) = world.parts_of("crm")
    assert part.state == "rejected"
    assert "no instance 'crm'" in part.error
    assert world.scan_of("crm").state == "finished"
    world.instances["crm"] = {**said, "schedule": "never"}
    world._app = None
    assert "six fields" in str(world.app.settings.disabled["crm"])
    world.tick()
    world.settle()
    world.instances["crm"] = said
    world._app = None
    assert run(world) == ["delete postgresql_table t01"]
    world.check()


def test_files_of_a_disabled_instance_wait(world: World, crm: System) -> None:
    world.scan("crm")
    world.step()
    said = world.instances["crm"]
    world.instances["crm"] = {**said, "schedule": "never"}
    world._app = None
    world.settle(waits=2)
    (part,) = world.parts_of("crm")
    assert part.state == "transforming"
    assert "schedule" in part.error
    assert world.poison == []
    world.instances["crm"] = said
    world._app = None
    world.settle()
    world.check()


# ---- order


def scrambled(world: World, seed: int) -> None:
    """The parts of a scan in any order, some of them twice."""
    world.scan("crm")
    world.step()
    world._events()
    work = [*world.work, *(type(w)(w.kind, w.body) for w in world.work)]
    random.Random(seed).shuffle(work)
    world.work.clear()
    world.work.extend(work)
    world.settle()


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("seed", range(3))
def test_parts_in_any_order_and_twice(world: World, crm: System, seed: int) -> None:
    scrambled(world, seed)
    world.check()
    world.confirmed()
    world.sent()
    del crm.tables["t07"]
    crm.tables["t08"].columns.remove("a")
    scrambled(world, seed)
    world.check()
    assert sorted(deletions(world.sent())) == ["delete postgresql_table t07", "delete postgresql_table_column a"]
    scrambled(world, seed)
    assert world.sent() == []


@pytest.mark.usefixtures("small_parts")
def test_parts_in_parallel(world: World, crm: System) -> None:
    world.scan("crm")
    world.step()
    world._events()
    paths = [w.body for w in world.work] * 2
    world.work.clear()
    app, errors = world.app, []

    def transform(path: str) -> None:
        try:
            transformation.transform(app, app.landing.get_blob_client(path))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=transform, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    world.settle()
    world.check()
    assert len(world.hub.messages) == len({m.body for m, _ in world.hub.messages})
    assert world.scan_of("crm").state == "finished"


def test_the_same_event_twice(world: World, crm: System) -> None:
    run(world)
    (path,) = world.landed()
    assert transformation.transform(world.app, world.app.landing.get_blob_client(path)) is None
    assert world.hub.messages == []


@pytest.mark.usefixtures("small_parts")
def test_two_scans_at_once(world: World, crm: System) -> None:
    world.scan("crm")
    first, second = world.work.popleft(), None
    # between two stretches of the first, when nobody holds the lease
    more = extraction.extract(world.app, first.body, time_limit=0)
    assert world.scan("crm") == 0
    second = first.body.replace(world.scan_of("crm").id, "20990101T000000-abcdef")
    assert extraction.extract(world.app, second) == []
    # and while the first has the lease
    with world.app.scans.lease("crm", "public"):
        assert extraction.extract(world.app, second) == []
    world._queue("extract", more)
    world.settle()
    world.check()
    assert world.scan_of("crm").id in first.body


@pytest.mark.usefixtures("small_parts")
def test_a_scan_does_not_begin_before_the_files_of_the_last_are_through(world: World, crm: System) -> None:
    run(world)
    crm.tables["new"] = Table("id")
    world.scan("crm")
    world.step()  # extracted, not transformed
    id_ = world.scan_of("crm").id
    del crm.tables["new"]
    world.scan("crm")
    assert extraction.extract(world.app, world.work.popleft().body) == []
    assert world.scan_of("crm").id == id_
    world.settle()
    run(world)
    world.check()


@pytest.mark.usefixtures("small_parts")
def test_what_a_broken_scan_has_published_is_not_forgotten(world: World, crm: System) -> None:
    """It published a table; the table is dropped before the next scan; nobody but the snapshot remembers it."""
    run(world)
    crm.tables["a-new-one"] = Table("id")
    crm.error, crm.error_at = SourceUnreachable("the network is down", fix="wait"), "t12"
    world.scan("crm")
    world.settle()
    scan = world.scan_of("crm")
    assert (scan.state, scan.problem, scan.error) == ("failed", "SourceUnreachable", "the network is down")
    assert scan.parts > 0
    assert "create postgresql_table a-new-one" in world.sent()
    crm.error = None
    del crm.tables["a-new-one"]
    assert deletions(run(world)) == ["delete postgresql_table a-new-one"]
    world.check()


def test_an_old_scan_that_ends_after_a_newer_one(world: World, crm: System) -> None:
    """Its message was delayed for days: it leaves no trace."""
    world.scan("crm")
    late = world.work.popleft()
    world.later(hours=2)
    crm.tables["t01"].description = "newer"
    run(world)
    world.check()
    del crm.tables["t02"]
    assert extraction.extract(world.app, late.body) == []
    world.settle()
    assert world.sent() == []


def test_the_watermark_is_never_ahead_of_landing(world: World, crm: System) -> None:
    crm.incremental = True
    crm.error, crm.error_at = SourceUnreachable("down", fix="wait"), "t12"
    world.scan("crm")
    world.settle()
    row, _ = world.app.scans.get("crm", "public")
    assert row.watermark == ""
