"""Scan, transform, confirm: what changes in a source changes in the catalogue, and nothing else is sent."""

from __future__ import annotations

import pytest

from shared import job_file
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import Dead, Table, World, world  # noqa: F401


def shop(world: World) -> None:
    tables = world.system("crm").tables
    tables["orders"] = Table("id", "customer", "total", description="what was ordered", rows=10)
    tables["customers"] = Table("id", "name")
    tables["big"] = Table("id", "total", sql="select id, total from orders where total > 100", reads=["orders"])


def scanned(world: World, **options: bool) -> list[str]:
    world.scan("crm", **options)
    world.settle()
    world.check()
    world.confirmed()
    return world.sent()


def test_everything_is_confirmed(world: World) -> None:
    shop(world)
    names = scanned(world)
    assert "create postgresql_table orders" in names
    (part,) = world.parts_of("crm")
    assert part.confirmed == part.sent == 7
    assert part.records == 6
    assert world.reads("big") == {"orders"}
    scan = world.scan_of("crm")
    assert (scan.state, scan.records, scan.assets, scan.complete, scan.full) == ("finished", 6, 3, True, True)


def test_an_unchanged_source_sends_nothing(world: World) -> None:
    shop(world)
    scanned(world)
    assert scanned(world) == []
    (part,) = world.parts_of("crm")
    assert (part.sent, part.unchanged, part.state) == (0, 7, "confirmed")


def test_neither_in_several_scopes_and_parts_and_with_stubs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_file, "PART_RECORDS", 5)
    crm = world.system("crm")
    crm.cursor_every = 1
    for scope in ("public", "sales"):
        crm.schemas[scope] = {f"t{n}": Table("id", "a") for n in range(6)}
        crm.schemas[scope]["v"] = Table("id", sql="select id from t0", reads=["t0"])
    # a view of what another scope holds, and may not have published yet
    crm.schemas["public"]["w"] = Table("id", sql="select id from sales.t1", reads=["t1"])
    assert world.scan("crm") == 2
    world.settle()
    world.check()
    assert len(world.parts_of("crm")) > 2
    world.sent()
    for _ in range(2):
        assert scanned(world) == []


def test_changed_statistics_alone_send_nothing(world: World) -> None:
    shop(world)
    scanned(world)
    world.system("crm").tables["orders"].rows = 11
    assert scanned(world) == []


def test_a_changed_table_sends_just_it(world: World) -> None:
    shop(world)
    scanned(world)
    world.system("crm").tables["orders"].description = "all orders"
    assert scanned(world) == ["create postgresql_table orders"]
    assert scanned(world) == []


def test_a_dropped_table_is_deleted_and_nothing_else(world: World) -> None:
    shop(world)
    scanned(world)
    del world.system("crm").tables["customers"]
    assert scanned(world) == ["delete postgresql_table customers"]
    scan = world.scan_of("crm")
    assert (scan.stale, scan.deleted, scan.held) == (1, 1, 0)
    deletions = world.receipt(f"crm/{scan.id}/deletions")
    assert (deletions.state, deletions.deleted, deletions.confirmed) == ("confirmed", 1, 1)
    assert scanned(world) == []


def test_a_table_that_a_view_reads_stays_gone(world: World) -> None:
    """The view is broken and says so; it must not bring its table back as a stub."""
    shop(world)
    scanned(world)
    del world.system("crm").tables["orders"]
    assert scanned(world) == ["delete postgresql_table orders"]
    assert world.reads("big") == set()
    assert scanned(world) == []
    assert scanned(world) == []


def test_a_dropped_view_takes_its_process_along(world: World) -> None:
    shop(world)
    scanned(world)
    del world.system("crm").tables["big"]
    names = scanned(world)
    assert sorted(names) == ["delete hookline_process big#query", "delete postgresql_view big"]


def test_a_dropped_column_is_deleted_and_no_other(world: World) -> None:
    shop(world)
    scanned(world)
    world.system("crm").tables["orders"].columns.remove("customer")
    assert scanned(world) == ["create postgresql_table orders", "delete postgresql_table_column customer"]
    assert scanned(world) == []


def test_a_renamed_table(world: World) -> None:
    shop(world)
    scanned(world)
    tables = world.system("crm").tables
    tables["clients"] = tables.pop("customers")
    assert scanned(world) == ["create postgresql_table clients", "delete postgresql_table customers"]


def test_a_table_that_comes_back_has_its_lineage_again(world: World) -> None:
    shop(world)
    tables = world.system("crm").tables
    scanned(world)
    orders = tables.pop("orders")
    scanned(world)
    assert world.reads("big") == set()
    tables["orders"] = orders
    assert scanned(world) == ["create postgresql_table orders", "create hookline_process big#query"]
    assert world.reads("big") == {"orders"}
    assert scanned(world) == []


def test_also_when_the_view_is_in_another_part(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_file, "PART_RECORDS", 4)
    crm = world.system("crm")
    crm.cursor_every = 1
    crm.tables.update({"a": Table("id"), "b": Table("id"), "z": Table("id", sql="select id from a", reads=["a"])})
    scanned(world)
    a = crm.tables.pop("a")
    scanned(world)
    crm.tables["a"] = a
    assert scanned(world) == ["create postgresql_table a"]
    # only now is it known what came back, and that the view's old reference is dead
    assert scanned(world) == ["create hookline_process z#query"]
    assert world.reads("z") == {"a"}
    assert scanned(world) == []


def test_a_full_scan_sends_everything_and_so_does_an_old_scope(world: World) -> None:
    shop(world)
    first = scanned(world)
    assert scanned(world, full=True) == first
    world.later(days=6)
    assert scanned(world) == []
    world.later(days=2)
    assert scanned(world) == first
    assert world.scan_of("crm").full
    assert scanned(world) == []


def test_the_schedule_runs_what_is_due_once(world: World) -> None:
    shop(world)
    world.tick()
    world.settle()
    world.check()
    assert world.scan_of("crm").reason == "schedule"
    world.tick()
    assert not world.work
    world.later(days=1)
    world.tick()
    assert len(world.work) == 1
    world.later(minutes=5)
    world.tick()
    assert len(world.work) == 1, "asked for already"
    world.settle()
    world.later(minutes=5)
    world.tick()
    assert not world.work


def test_a_request_whose_message_was_lost_is_made_again(world: World) -> None:
    shop(world)
    world.tick()
    world.work.clear()
    world.later(minutes=20)
    world.tick()
    assert not world.work
    world.later(minutes=50)
    world.tick()
    world.settle()
    world.check()


def test_a_scan_that_outlives_its_time_goes_on_behind_its_last_part(world: World) -> None:
    from shared.pipeline import extraction

    crm = world.system("crm")
    crm.tables.update({f"t{n:02}": Table("id", "a") for n in range(20)})
    crm.tables["view"] = Table("id", sql="select id from t03", reads=["t03"])
    crm.cursor_every = 4
    world.scan("crm")
    messages = 0
    body = world.work.popleft().body
    while more := extraction.extract(world.app, body, time_limit=0):
        assert more == [body]
        messages += 1
    assert messages == 6
    assert len(world.landed()) == 7
    scan = world.scan_of("crm")
    assert (scan.records, scan.assets, scan.parts, scan.complete) == (24, 21, 7, True)
    world.settle()
    world.check()
    world.confirmed()
    world.sent()
    assert scanned(world) == [], "one long stretch publishes the same"


def test_a_scan_that_lost_its_message_goes_on_after_an_hour(world: World) -> None:
    from shared.pipeline import extraction

    crm = world.system("crm")
    crm.tables.update({f"t{n}": Table("id") for n in range(8)})
    crm.cursor_every = 2
    world.scan("crm")
    extraction.extract(world.app, world.work.popleft().body, time_limit=0)
    id_ = world.scan_of("crm").id
    world.settle()
    assert world.scan("crm") == 0, "it is at work, as far as anybody knows"
    world.later(minutes=70)
    world.tick()
    world.settle()
    world.check()
    assert world.scan_of("crm").id == id_
    assert world.scan_of("crm").state == "finished"


def killed(_: int) -> None:
    raise Dead


def test_one_that_stops_again_and_again_is_given_up(world: World) -> None:
    shop(world)
    crm = world.system("crm")
    crm.on_read = killed
    world.scan("crm")
    with pytest.raises(Dead):
        world.step()
    for _ in range(10):
        world.revive()
        world.work.clear()
        world.later(minutes=70)
        world.tick()
        world.work.clear()
    scan = world.scan_of("crm")
    assert scan.state == "failed"
    crm.on_read = lambda _: None
    assert "without a word" in scan.error
    world.later(days=1)
    world.tick()
    world.settle()
    world.check()
