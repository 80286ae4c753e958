"""Whoever asks gets the answer."""

from __future__ import annotations

import msgspec
import pytest

from shared.errors import UsageError
from shared.pipeline import files, finish, overview, requeue, trimming
from shared.pipeline.overview import status
from shared.pipeline.why import why
from tests.promises.promise import Promise, deletions, scanned, shop
from tests.support.world import Table, World


def _landed(world: World) -> None:
    """Its event never came, and nobody has taken it up."""
    world.upload("uploads/records/a.jsonl", "{}")
    assert status(world.app).totals == {"landed": 1}


def _overdue(world: World) -> None:
    """The hub has swallowed it."""
    shop(world)
    world.hub.drop = lambda _: True
    world.scan("crm")
    world.settle(waits=0)
    world.later(hours=3)
    assert status(world.app).totals == {"overdue": 1}


def _counted(world: World) -> None:
    """Three tables, a view and its process below three containers: then one changed, one new, one gone."""
    system = shop(world)
    scanned(world)
    scan = world.scan_of("crm")
    assert (scan.new, scan.changed, scan.unchanged) == (8, 0, 0)
    system.tables["customers"].description = "who buys"
    system.tables["shops"] = Table("id")
    del system.tables["parts"]
    scanned(world)
    scan = world.scan_of("crm")
    assert (scan.new, scan.changed, scan.unchanged, scan.deleted) == (1, 1, 6, 1)


def _forgotten(world: World) -> None:
    """Receipts of earlier scans do not stay for ever."""
    shop(world)
    scanned(world)
    scanned(world)
    first = min(world.app.receipts.folders())
    world.later(days=91)
    world.tick()
    world.work.clear()
    assert first not in list(world.app.receipts.folders())


def _removed(world: World) -> None:
    """An instance that is taken out of hookline.yaml: nothing is deleted, and status tells how to."""
    system = shop(world)
    scanned(world)
    del world.instances["crm"]
    world._app = None
    for _ in range(3):
        world.later(days=40)
        world.tick()
        world.settle()
    assert deletions(world.sent()) == []
    world.check(system)
    assert ["./hookline retire crm" in left.fix for left in status(world.app).instances] == [True]


def _explained(world: World) -> None:
    """It was there, and is not any more."""
    system = shop(world)
    scanned(world)
    del system.tables["parts"]
    scanned(world)
    found = why(world.app, "public.parts").sightings
    assert [(one.kind, one.scan) for one in found] == [("deleted", world.scan_of("crm").id)]


def _busy(world: World) -> None:
    """Who asks for a file to run again while a worker is at it is told, instead of being forgotten."""
    shop(world)
    scanned(world)
    (part,) = world.parts_of("crm")
    with world.app.receipts.lease(part.path):
        try:
            swallowed = requeue.named(world.app, [part.path])
        except UsageError:
            return
        world._queue("replay", [msgspec.json.encode(one).decode() for one in swallowed])
        world.step()
        assert world.sent(), "it was asked for, and nothing has happened"


# ---- switched off


def _no_look_into_landing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.Look, "_lying", lambda _: iter(()))


def _no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "state_of", lambda item, _: item.state)


def _no_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finish.Stale, "_count", lambda *_: None)


def _no_trimming(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trimming, "_remove", lambda *_: False)


def _nobody_looks_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "_left_behind", lambda *_: [])


def _no_memory_of_deletions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.state.deleted.Deleted.note", lambda *_: None)


def _no_look_at_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.state.receipts.Receipts.held", lambda *_: False)


PROMISES = [
    Promise("A file that nobody has taken up is shown.", "status looks into landing", _landed, _no_look_into_landing),
    Promise("What is not confirmed in time is shown as overdue.", "status looks at the clock", _overdue, _no_clock),
    Promise(
        "A scan says what was new, changed, unchanged and deleted.",
        "snapshots of two scans are compared",
        _counted,
        _no_counts,
    ),
    Promise("Old receipts are forgotten.", "`receipts.keep_days`", _forgotten, _no_trimming),
    Promise(
        "An instance that was taken out keeps its assets, and is shown.",
        "status looks for snapshots that belong to nobody",
        _removed,
        _nobody_looks_back,
    ),
    Promise(
        "Where an asset has gone can be asked later.",
        "each scan notes what it deletes",
        _explained,
        _no_memory_of_deletions,
    ),
    Promise("A replay of what is worked on is not swallowed.", "the lease is looked at", _busy, _no_look_at_the_lease),
]
