"""Nothing is deleted that is still there."""

from __future__ import annotations

import pytest

from shared import job_file
from shared.errors import SourceUnreachable
from shared.pipeline import finish
from tests.promises.promise import Promise, deletions, scanned, shop
from tests.support.world import Table, World


def _refused(world: World) -> None:
    """The account may not read one table any more."""
    system = shop(world)
    scanned(world)
    system.refuse.add("parts")
    assert deletions(scanned(world)) == []


def _half_way(world: World) -> None:
    """The source breaks off in the middle, behind parts that have landed already, again and again."""
    world.monkeypatch.setattr(job_file, "PART_RECORDS", 1)
    system = shop(world)
    system.cursor_every = 1
    scanned(world)
    system.error, system.error_at = SourceUnreachable("the network is down", fix="wait"), "orders"
    for _ in range(2):
        assert deletions(scanned(world)) == []
    system.error = None
    assert deletions(scanned(world)) == []
    world.check()


def _empty(world: World) -> None:
    """It answers, and says that it has nothing: three tables, fewer than the limit lets go."""
    system = shop(world)
    scanned(world)
    system.tables.clear()
    assert deletions(scanned(world)) == []
    assert world.scan_of("crm").held


def _too_many(world: World) -> None:
    """More than a tenth of the scope at once."""
    system = world.system("crm")
    system.tables.update({f"t{n:02}": Table("id") for n in range(40)})
    scanned(world)
    for n in range(15):
        del system.tables[f"t{n:02}"]
    assert deletions(scanned(world)) == []
    assert world.scan_of("crm").held == 15


def _filtered(world: World) -> None:
    """Another filter: what it leaves out is still there at the source."""
    shop(world)
    scanned(world)
    world.configure("crm", exclude=["public.parts"])
    assert deletions(scanned(world)) == []


def _elsewhere(world: World) -> None:
    """A server that two instances read: what one does not see any more is still there for the other."""
    system = shop(world)
    scanned(world)
    twin = world.system("twin")
    twin.name = "crm"
    twin.schemas = {"public": {name: system.tables[name] for name in ("orders", "parts")}}
    scanned(world, "twin")
    del twin.tables["parts"]
    assert deletions(scanned(world, "twin")) == []
    world.check(system)


def _recreated(world: World) -> None:
    """A table is dropped and comes back; the view that reads it has not changed."""
    system = shop(world)
    scanned(world)
    orders = system.tables.pop("orders")
    scanned(world)
    system.tables["orders"] = orders
    scanned(world)
    assert world.reads("big") == {"orders"}


def _recreated_elsewhere(world: World) -> None:
    """The same, where the view lies in another part of the scan: the scan after that makes up for it."""
    world.monkeypatch.setattr(job_file, "PART_RECORDS", 1)
    system = shop(world)
    system.cursor_every = 1
    scanned(world)
    orders = system.tables.pop("orders")
    scanned(world)
    system.tables["orders"] = orders
    scanned(world)
    scanned(world)
    assert world.reads("big") == {"orders"}


def _dropped(world: World) -> None:
    """And what has gone does go."""
    system = shop(world)
    scanned(world)
    del system.tables["parts"]
    scanned(world)
    world.check()


def _broken_off(world: World) -> None:
    """A scan publishes a new table and breaks off; the table is dropped before the next scan."""
    system = shop(world)
    system.cursor_every = 1
    world.monkeypatch.setattr(job_file, "PART_RECORDS", 1)
    scanned(world)
    system.tables["a-new-one"] = Table("id")
    system.error, system.error_at = SourceUnreachable("down", fix="wait"), "parts"
    assert "create postgresql_table a-new-one" in scanned(world)
    system.error = None
    del system.tables["a-new-one"]
    scanned(world)
    world.check()


def _unchanged(world: World) -> None:
    shop(world)
    scanned(world)
    assert scanned(world) == []


# ---- switched off


def _always_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    real = finish._replace_snapshot

    def replace(*arguments: object, whole: bool) -> object:
        del whole
        return real(*arguments, whole=True)  # type: ignore[arg-type]

    monkeypatch.setattr(finish, "_replace_snapshot", replace)


def _no_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finish, "_doubt", lambda *_: "")


def _no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finish.Stale, "too_many", lambda *_: False)


def _one_selection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.pipeline.extraction.selection_of", lambda _: "")


def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.state.snapshots.Snapshots.elsewhere", lambda *_: [])


def _no_rebirth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.pipeline.choosing.Choice._reborn", lambda *_: False)
    monkeypatch.setattr(finish, "_created", lambda _: set())


def _no_created(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finish, "_created", lambda _: set())


def _no_deletions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finish, "publish_deletions", lambda *_: None)


def _not_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.pipeline.extraction.close_broken", lambda *_, **__: None)


def _no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.state.snapshots.Index.mark", lambda *_: None)


PROMISES = [
    Promise("An unchanged source sends nothing.", "the snapshot's hashes", _unchanged, _no_memory),
    Promise(
        "What has gone at the source goes.", "snapshots of two complete scans are compared", _dropped, _no_deletions
    ),
    Promise("A table that may not be read is not deleted.", "only complete scans delete", _refused, _always_whole),
    Promise(
        "A source that errors half-way deletes nothing.",
        "only scans that were read to the end delete",
        _half_way,
        _always_whole,
    ),
    Promise("A source that comes back empty deletes nothing.", "it is held for a person", _empty, _no_doubt),
    Promise("More than the limit waits for a person.", "`delete_limit`", _too_many, _no_limit),
    Promise(
        "A changed filter deletes nothing by itself.",
        "the snapshot knows the filter it was made with",
        _filtered,
        _one_selection,
    ),
    Promise("What another scope has too is not deleted.", "the indexes of all scopes are asked", _elsewhere, _alone),
    Promise("A recreated asset has its lineage again.", "what refers to it is sent again", _recreated, _no_rebirth),
    Promise(
        "Also where the process is in another part of the scan.",
        "the snapshot marks it for the next scan",
        _recreated_elsewhere,
        _no_created,
    ),
    Promise(
        "What a broken scan has published is not forgotten.", "it is added to the snapshot", _broken_off, _not_closed
    ),
]
