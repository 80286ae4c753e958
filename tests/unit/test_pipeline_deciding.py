"""What a person decides: held deletions that are let go, an instance that is retired, files that run again."""

from __future__ import annotations

import json
from collections.abc import Iterable

import msgspec
import pytest

from shared.errors import UsageError
from shared.naming import Name
from shared.pipeline import held, requeue, retiring
from shared.pipeline.replaying import Replay
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import System, Table, World, expected, world  # noqa: F401


@pytest.fixture
def crm(world: World) -> System:
    system = world.system("crm")
    system.tables.update({f"t{n:02}": Table("id", "a") for n in range(20)})
    run(world)
    return system


def run(world: World, instance: str = "crm") -> list[str]:
    world.scan(instance)
    world.settle()
    return world.sent()


def approve(world: World, scopes: Iterable[str] = ("public",)) -> list[str]:
    world.later(seconds=1)
    world._queue("extract", held.approve(world.app, "crm", scopes))
    world.settle()
    return world.sent()


def drop(crm: System, *numbers: int) -> None:
    for n in numbers:
        del crm.tables[f"t{n:02}"]


def names(found: Iterable[Name]) -> list[str]:
    return sorted(name.qualified_name.rpartition("/")[2] for name in found)


# ---- approve


def test_what_is_held_is_listed_by_name_and_goes_when_it_is_approved(world: World, crm: System) -> None:
    drop(crm, *range(12))
    assert run(world) == []
    wanted = [f"t{n:02}" for n in range(12)]
    assert names(held.waiting(world.app, "crm")["public"]) == wanted
    path = f"crm/{world.scan_of('crm').id}/held"
    told = world.rejected(path)
    assert {(r.rule, r.fix.startswith("`./hookline approve crm public`")) for r in told} == {("held", True)}
    assert sorted(approve(world)) == [f"delete postgresql_table {name}" for name in wanted]
    scan = world.scan_of("crm")
    assert (scan.held, scan.deleted, scan.reason) == (0, 12, "approve")
    assert held.waiting(world.app, "crm") == {}
    assert world.rejected(path) == []
    world.check()


def test_what_has_come_back_stays(world: World, crm: System) -> None:
    kept = crm.tables["t00"]
    drop(crm, *range(12))
    run(world)
    crm.tables["t00"] = kept
    assert "delete postgresql_table t00" not in approve(world)
    assert world.scan_of("crm").deleted == 11
    world.check()


def test_an_approval_is_for_what_was_shown(world: World, crm: System) -> None:
    drop(crm, *range(12))
    run(world)
    before = expected([crm])
    drop(crm, 15)
    assert approve(world) == []
    assert world.scan_of("crm").held == 13
    assert names(held.waiting(world.app, "crm")["public"])[-1] == "t15"
    assert set(world.catalogue()) > set(before)
    assert len(approve(world)) == 13
    world.check()


def test_it_is_used_up_by_the_scan_that_decides(world: World, crm: System) -> None:
    tables = dict(crm.tables)
    drop(crm, *range(12))
    run(world)
    crm.tables.update(tables)
    approve(world)
    drop(crm, *range(12))
    assert run(world) == [], "that approval was for the last time"
    assert world.scan_of("crm").held == 12


def test_a_scan_that_is_not_whole_keeps_list_and_approval(world: World, crm: System) -> None:
    drop(crm, *range(12))
    run(world)
    crm.refuse = {"t15"}
    assert approve(world) == []
    scan = world.scan_of("crm")
    assert (scan.complete, scan.held, scan.deleted) == (False, 12, 0)
    assert len(held.waiting(world.app, "crm")["public"]) == 12
    crm.refuse = set()
    assert len(run(world)) == 12
    world.check()


def test_a_source_that_is_empty_now_can_be_approved(world: World, crm: System) -> None:
    crm.tables.clear()
    run(world)
    assert len(approve(world)) == 20
    world.check()


def test_nothing_to_approve(world: World, crm: System) -> None:
    assert held.waiting(world.app, "crm") == {}
    with pytest.raises(UsageError, match="no held deletions in public") as caught:
        held.waiting(world.app, "crm", ["public"])
    assert "nothing waits" in caught.value.fix


def test_not_while_the_scope_is_being_scanned(world: World, crm: System) -> None:
    drop(crm, *range(12))
    run(world)
    world.scan("crm")
    world.step()
    with pytest.raises(UsageError, match="being scanned"):
        held.approve(world.app, "crm", ["public"])
    world.settle()
    assert len(approve(world)) == 12
    world.check()


# ---- retire


def retired(world: World, instance: str = "crm") -> int:
    return retiring.retire(world.app, instance, retiring.assets(world.app, instance))


def test_an_instance_that_is_switched_off(world: World, crm: System) -> None:
    crm.schemas["sales"] = {"deals": Table("id")}
    run(world)
    world.configure("crm", enabled=False)
    world.later(days=3)
    world.tick()
    world.settle()
    assert world.sent() == [], "switched off is not retired"
    assert sum(len(n) for n in retiring.assets(world.app, "crm").values()) == len(set(retiring_names(world)))
    assert retired(world) > 20
    world.settle()
    assert not [name for _, name in world.catalogue() if "crm.test" in name]
    assert list(world.app.scans.of("crm")) == []
    assert {r.state for r in world.app.receipts.all()} == {"confirmed"}
    world.configure("crm", enabled=True)
    run(world)
    world.check()


def retiring_names(world: World) -> list[Name]:
    return [name for found in retiring.assets(world.app, "crm").values() for name in found]


def test_one_that_is_out_of_the_file_too(world: World, crm: System) -> None:
    del world.instances["crm"]
    world._app = None
    assert retired(world) >= 20
    world.settle()
    assert not [name for _, name in world.catalogue() if "crm.test" in name]


def test_what_another_instance_has_as_well_stays(world: World, crm: System) -> None:
    world.instances["second"] = {**world.instances["crm"]}
    world._app = None
    run(world, "second")
    world.configure("crm", enabled=False)
    assert retired(world) == 0
    world.settle()
    assert world.sent() == []
    world.check(crm)


def test_not_one_that_is_switched_on_or_unknown(world: World, crm: System) -> None:
    with pytest.raises(UsageError, match="still switched on") as caught:
        retiring.assets(world.app, "crm")
    assert "enabled: false" in caught.value.fix
    with pytest.raises(UsageError, match="published nothing") as caught:
        retiring.assets(world.app, "nobody")
    assert caught.value.fix == "known is: crm"


def test_a_lost_message_of_it_is_sent_again(world: World, crm: System) -> None:
    world.configure("crm", enabled=False)
    lost: list[int] = []
    world.hub.drop = lambda m: not lost and (lost.append(1) is None)
    assert retired(world) >= 20
    world.settle()
    assert not [name for _, name in world.catalogue() if "crm.test" in name]
    assert lost


def test_not_while_it_is_being_scanned(world: World, crm: System) -> None:
    world.scan("crm")
    world.step()
    world.configure("crm", enabled=False)
    with pytest.raises(UsageError, match="being scanned"):
        retired(world)


# ---- replay


def again(world: World, found: list[Replay]) -> list[str]:
    world.later(seconds=1)
    world._queue("replay", [msgspec.json.encode(one).decode() for one in found])
    world.settle()
    return world.sent()


DATASET = {
    "kind": "dataset",
    "address": {"system": "postgresql", "account": "crm.test:5432", "path": ["shop", "public", "new"], "kind": "table"},
}


def test_a_file_that_was_rejected_runs_again_after_the_fix(world: World, crm: System) -> None:
    crm.tables["new"] = Table("id")
    world.scan("crm")
    world.step()
    path = world.landed()[-1]
    good = world.landing.download_blob(path).readall()
    world.upload(path, b"\x1f\x8b damaged")
    world.settle()
    assert world.receipt(path).state == "rejected"
    assert [one.path for one in requeue.refused(world.app)] == [path]
    world.upload(path, good)
    world.announced[path] = world.landing.get_blob_client(path).get_blob_properties().etag.strip('"')
    assert "create postgresql_table new" in again(world, requeue.refused(world.app))
    assert requeue.refused(world.app) == []


def test_a_scan_by_its_id_and_a_file_by_its_path(world: World, crm: System) -> None:
    scan = world.scan_of("crm")
    parts = [r.path for r in world.parts_of("crm")]
    assert [one.path for one in requeue.named(world.app, [scan.id])] == parts
    mine = world.upload("uploads/records/mine.jsonl", json.dumps(DATASET) + "\n")
    world.settle()
    world.sent()
    found = requeue.named(world.app, [mine, mine, scan.id])
    assert [one.path for one in found] == [mine, *parts]
    assert len(again(world, found)) >= 20
    with pytest.raises(UsageError, match="no such file in landing") as caught:
        requeue.named(world.app, ["uploads/none.json"])
    assert caught.value.where == "uploads/none.json"


def test_what_a_replay_adds_belongs_to_the_snapshot(world: World, crm: System) -> None:
    """It is not sent again by the next scan, and is deleted when it goes."""
    test_a_file_that_was_rejected_runs_again_after_the_fix(world, crm)
    assert run(world) == []
    del crm.tables["new"]
    assert run(world) == ["delete postgresql_table new"]
    world.check()


def test_a_replay_of_an_earlier_scan_brings_nothing_back(world: World, crm: System) -> None:
    first = world.scan_of("crm").id
    drop(crm, 3)
    run(world)
    sent = again(world, requeue.named(world.app, [first]))
    assert not [name for name in sent if name.endswith("t03")]
    world.check()


# ---- another filter


def test_what_a_new_filter_leaves_out_is_held(world: World, crm: System) -> None:
    before = set(world.catalogue())
    world.configure("crm", exclude=["public.t03"])
    for _ in range(2):
        assert run(world) == []
        assert world.scan_of("crm").held == 1
    assert set(world.catalogue()) == before
    (told,) = world.rejected(f"crm/{world.scan_of('crm').id}/held")
    assert "`exclude` have changed" in told.reason
    assert approve(world) == ["delete postgresql_table t03"]
    drop(crm, 5)
    assert run(world) == ["delete postgresql_table t05"], "the new filter is what counts now"


def test_a_filter_that_is_taken_back(world: World, crm: System) -> None:
    world.configure("crm", exclude=["public.t03"])
    run(world)
    world.configure("crm", exclude=[])
    assert run(world) == []
    assert world.scan_of("crm").held == 0
    drop(crm, 5)
    assert run(world) == ["delete postgresql_table t05"]
    world.check()


def test_a_filter_that_lets_more_in(world: World, crm: System) -> None:
    world.configure("crm", exclude=["public.none"])
    drop(crm, 5)
    assert run(world) == []
    assert world.scan_of("crm").held == 1, "which of the two it was, nobody knows"
    assert approve(world) == ["delete postgresql_table t05"]
    world.check()
