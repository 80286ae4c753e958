"""Twice, at once, late, in any order: the catalogue is the same."""

from __future__ import annotations

import datetime as dt
import json
import random

import pytest

from shared import job_file
from shared.delivery.sinks import Sink
from shared.pipeline import extraction, finish, resending, scheduling, sweeping, transformation
from shared.pipeline.app import App
from shared.pipeline.deletions import delete_again
from shared.pipeline.file import File
from shared.pipeline.replaying import Replay
from shared.state.receipts import Receipt
from shared.state.scans import Scan
from tests.promises.promise import Promise, scanned, shop
from tests.support.world import Table, World


def _twice(world: World) -> None:
    """The same blob event comes again, after the file is through."""
    shop(world)
    scanned(world)
    for path in world.landed():
        transformation.transform(world.app, world.app.landing.get_blob_client(path))
    assert world.hub.messages == []


def _at_once(world: World) -> None:
    """A second worker takes up the file while the first is sending it."""
    shop(world)
    world.scan("crm")
    world.step()
    (path,) = world.landed()
    other = world.new_app()
    entered = [False]

    def meanwhile(_: object) -> None:
        if not entered[0]:
            entered[0] = True
            transformation.transform(other, other.landing.get_blob_client(path))

    world.hub.busy = meanwhile
    world.settle()
    world.check()
    bodies = [message.names for message, _ in world.hub.messages]
    assert len(bodies) == len(set(bodies)), "the same assets twice"


def _any_order(world: World) -> None:
    """Parts of a scan in any order, the last one first; a view long before its table."""
    world.monkeypatch.setattr(job_file, "PART_RECORDS", 1)
    shop(world).cursor_every = 1
    for seed in (5, 6):
        world.scan("crm")
        world.step()
        world._events()
        work = list(world.work)
        world.work.clear()
        random.Random(seed).shuffle(work)
        work.sort(key=lambda w: w.body, reverse=seed == 5)
        world.work.extend(work)
        world.settle()
        world.check()
    assert world.reads("big") == {"orders"}


def _process_first(world: World) -> None:
    """A job names lists that nobody has described yet; the file that does comes later, and nothing is dropped."""
    lists = [{"platform": "mailroom", "host": "h.example", "path": ["lists", n], "type": "list"} for n in "ab"]
    job = {"platform": "mailroom", "host": "h.example", "path": ["jobs", "j"], "type": "job"}
    process = {"kind": "process", "address": job, "inputs": lists[:1], "outputs": lists[1:]}
    world.purview = world.purview | {}
    world.upload("uploads/records/1.jsonl", json.dumps(process) + "\n")
    world.settle()
    said = [json.dumps({"kind": "dataset", "address": a, "description": "real"}) for a in lists]
    world.upload("uploads/records/2.jsonl", "\n".join(said) + "\n")
    world.settle()
    assert [e.qn for e in world.entities() if e.incomplete] == []
    assert [d for d in world.dropped() if d["kind"] in ("failed", "skipped", "lost")] == []


def _old_scan(world: World) -> None:
    """A scan that was asked for two hours ago comes to a worker only now."""
    system = shop(world)
    world.scan("crm")
    late = world.work.popleft()
    world.later(hours=2)
    system.tables["orders"].description = "newer"
    scanned(world)
    del system.tables["orders"]
    world.later(hours=1)
    scanned(world)
    reads: list[int] = []
    system.on_read = reads.append
    extraction.extract(world.app, late.body)
    world.settle()
    assert reads == [], "the source was read for nothing"
    world.check()


def _old_part(world: World) -> None:
    """A part of an earlier scan runs again: what has changed or gone since does not come back."""
    system = shop(world)
    scanned(world)
    (path,) = world.landed()
    system.tables["orders"].description = "newer"
    del system.tables["parts"]
    scanned(world)
    world.check()
    again = Replay(path=path, again=True)
    world._queue("replay", [json.dumps({"path": again.path, "again": True})])
    world.settle()
    world.check()


def _two_scans(world: World) -> None:
    """A second scan of the scope is asked for while the first is between two stretches."""
    system = shop(world)
    system.cursor_every = 1
    world.scan("crm")
    first = world.work.popleft()
    more = extraction.extract(world.app, first.body, time_limit=0)
    assert more
    system.tables["orders"].description = "between"
    id_ = world.scan_of("crm").id
    second = first.body.replace(id_, "20990101T000000-000abcdef")
    more += extraction.extract(world.app, second)
    assert world.scan_of("crm").id == id_, "the first was pushed aside"
    world._queue("extract", more)
    world.settle()
    scanned(world)
    world.check()


def _come_back(world: World) -> None:
    """A deletion's answer is lost, the table is created again, and then the deletion is overdue."""
    system = shop(world)
    scanned(world)
    orders = system.tables.pop("parts")
    world.deliver = lambda _: []
    world.scan("crm")
    world.settle(waits=0)
    system.tables["parts"] = orders
    world.scan("crm")
    world.settle(waits=0)
    world.settle()
    world.check()


def _overdue_and_gone(world: World) -> None:
    """A table's message is lost; it is dropped at the source; what is overdue is not sent any more."""
    system = shop(world)
    scanned(world)
    system.tables["short"] = Table("id")
    world.hub.drop = lambda message: any(n.qualified_name.endswith("/short") for n in message.names)
    world.scan("crm")
    world.settle(waits=0)
    world.hub.drop = lambda _: False
    del system.tables["short"]
    world.scan("crm")
    world.settle()
    world.check()


def _request_lost(world: World) -> None:
    """The queue's message of a scan vanishes between two stretches."""
    system = shop(world)
    system.cursor_every = 1
    world.configure("crm", schedule="0 0 0 1 1 *")
    world.scan("crm")
    extraction.extract(world.app, world.work.popleft().body, time_limit=0)
    assert world.scan_of("crm").state == "running"
    for _ in range(6):
        world.later(minutes=20)
        world.tick()
        world.settle()
    assert world.scan_of("crm").state == "finished"
    world.check()


def _poison(world: World) -> None:
    """A file whose transform fails for reasons of ours is given up, and says so; its neighbour goes through."""
    shop(world)
    world.upload("uploads/records/bad.jsonl", '{"kind": "container", "address": {"platform": "x", "host": "boom"}}\n')
    world.settle(most=300)
    scanned(world)
    assert world.receipt("uploads/records/bad.jsonl").state == "rejected"
    (told,) = world.rejected("uploads/records/bad.jsonl")
    assert told.reason
    world.check()


def _boom(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours, for the play above."""
    real = File.send

    def send(self: File, *arguments: object, **options: object) -> object:
        if "bad" in self.receipt.path:
            raise ZeroDivisionError
        return real(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(File, "send", send)


def _poisoned(world: World) -> None:
    _boom(world.monkeypatch)
    _poison(world)


# ---- switched off


def _never_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformation, "_is_done", lambda *_: False)


class _NoLease:
    """Everybody gets one, at any time."""

    id = None
    seconds = 60

    def renew(self) -> None:
        """Always."""

    def __enter__(self) -> _NoLease:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was taken."""


def _no_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.state.receipts.Receipts.lease", lambda *_, **__: _NoLease())
    monkeypatch.setattr("shared.state.receipts.Receipts.put", _put_without(monkeypatch))


def _put_without(monkeypatch: pytest.MonkeyPatch) -> object:
    from shared.state.receipts import Receipts

    real = Receipts.put
    del monkeypatch

    def put(self: Receipts, receipt: object, **_: object) -> object:
        return real(self, receipt)  # type: ignore[arg-type]

    return put


def _no_stubs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.atlas.stubs.Stubs.stub", lambda *_, **__: [])


def _ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    def through(app: App, scan: Scan) -> list[Receipt]:
        return [r for r in app.receipts.all() if r.scan == scan.id]

    monkeypatch.setattr(finish, "_through", through)


def _no_age(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks which scan is the older one."""
    moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    monkeypatch.setattr(extraction, "parsed", lambda _: moment)


def _never_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.pipeline.ground.is_over", lambda *_: False)


def _not_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "_is_over", lambda *_: True)


def _all_deletions(monkeypatch: pytest.MonkeyPatch) -> None:
    def deletions(self: resending._Resending) -> object:
        delete_again(self._app, self._receipt, list(self._names), self._beat, self.sink)
        self.was_sent = True
        return set(self._names)

    monkeypatch.setattr(resending._Resending, "deletions", deletions)


def _all_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = File.send_missing

    def send_missing(self: File, missing: object, *, truth: bool, index: object, sink: Sink) -> object:
        del truth
        return real(self, missing, truth=False, index=index, sink=sink)  # type: ignore[arg-type]

    monkeypatch.setattr(File, "send_missing", send_missing)


def _not_taken_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "_stopped", lambda *_: iter(()))


def _for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformation, "MAX_ATTEMPTS", 10**6)
    monkeypatch.setattr(sweeping, "MAX_ATTEMPTS", 10**6)


PROMISES = [
    Promise(
        "The same event twice sends nothing twice.", "a final receipt for that version of the file", _twice, _never_done
    ),
    Promise("Two workers at one file send it once.", "a lease on the receipt", _at_once, _no_leases),
    Promise(
        "A scan that comes too late reads nothing and changes nothing.",
        "scans are ordered by the time they were asked for",
        _old_scan,
        _no_age,
    ),
    Promise(
        "A second scan does not push a scan at work aside.",
        "the scope's row knows who is at work",
        _two_scans,
        _not_kept_apart,
    ),
    Promise(
        "Parts of a scan may come in any order.",
        "a scan ends when all its parts are through",
        _any_order,
        _ends_early,
    ),
    Promise(
        "Lineage that comes before its datasets is not dropped.",
        "what it names is sent along",
        _process_first,
        _no_stubs,
    ),
    Promise(
        "A part of an earlier scan brings nothing old back.", "the last scan's snapshot decides", _old_part, _never_over
    ),
    Promise(
        "An overdue deletion does not delete what has come back.",
        "only what the snapshot does not have is deleted again",
        _come_back,
        _all_deletions,
    ),
    Promise(
        "An overdue asset does not bring back what has gone.",
        "only what the last scan published just so is sent again",
        _overdue_and_gone,
        _all_missing,
    ),
    Promise(
        "A scan whose queue message was lost goes on.",
        "the schedule looks for scans that have stopped",
        _request_lost,
        _not_taken_up,
    ),
    Promise(
        "A file that the app cannot deal with is given up, with a reason.", "attempts are counted", _poisoned, _for_ever
    ),
]
