"""Every number of a receipt and of a scan, against what was done; what older versions wrote; what is forgotten when."""

from __future__ import annotations

import datetime as dt
import json

import msgspec
import pytest

from shared.pipeline import files
from shared.pipeline.files import Wanted
from shared.pipeline.overview import status
from shared.state.receipts import Receipt
from shared.state.scans import ScopeRow
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import Dead, System, Table, World, world  # noqa: F401

#: server, database, schema
CONTAINERS = 3


@pytest.fixture
def crm(world: World) -> System:
    system = world.system("crm")
    system.tables.update({f"t{n}": Table("id", "total") for n in range(5)})
    return system


def scanned(world: World) -> tuple[int, ...]:
    """(parts, records, new, changed, unchanged, deleted, refused) of a scan, as `status` has them."""
    world.scan("crm")
    world.settle()
    (one,) = status(world.app).instances
    (scan,) = one.scans
    assert scan.state == "finished"
    return scan.parts, scan.records, scan.new, scan.changed, scan.unchanged, scan.deleted, scan.refused


def test_first_unchanged_changed_dropped(world: World, crm: System) -> None:
    everything = CONTAINERS + 5
    assert scanned(world) == (1, everything, everything, 0, 0, 0, 0)
    (part,) = world.parts_of("crm")
    assert (part.records, part.sent, part.unchanged, part.refused) == (everything, everything, 0, 0)
    assert part.confirmed == part.sent
    assert part.entities == everything + 10, "and their columns"
    assert part.messages == len(world.hub.messages) > 0
    assert part.bytes == sum(len(message.body) for message, _ in world.hub.messages)
    assert (part.attempts, part.state, part.resent) == (1, "confirmed", False)
    assert part.landed <= part.started <= part.sent_at <= part.finished

    assert scanned(world) == (1, everything, 0, 0, everything, 0, 0)
    (part,) = world.parts_of("crm")
    assert (part.sent, part.unchanged, part.messages, part.state) == (0, everything, 0, "confirmed")

    crm.tables["t1"].description = "what it is"
    assert scanned(world) == (1, everything, 0, 1, everything - 1, 0, 0)
    (part,) = world.parts_of("crm")
    assert (part.sent, part.unchanged) == (1, everything - 1)

    del crm.tables["t4"]
    crm.tables["t6"] = Table("id")
    assert scanned(world) == (1, everything, 1, 0, everything - 1, 1, 0), "a table takes its columns along"
    gone = world.receipt(f"crm/{world.scan_of('crm').id}/deletions")
    assert (gone.deleted, gone.confirmed, gone.state) == (1, 1, "confirmed")
    world.check()


def test_several_parts_and_a_full_scan(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    crm.cursor_every = 2
    monkeypatch.setattr("shared.job_file.PART_RECORDS", 1)
    everything = CONTAINERS + 5
    assert scanned(world)[:4] == (4, everything, everything, 0)
    world.scan("crm", full=True)
    world.settle()
    scan = world.scan_of("crm")
    assert (scan.new, scan.changed, scan.unchanged) == (0, 0, everything), "sent again, and the same"
    assert sum(part.sent for part in world.parts_of("crm")) > everything


def test_what_the_source_refuses_and_what_a_rule_refuses(world: World, crm: System) -> None:
    crm.refuse.add("t2")
    crm.tables["x\x01y"] = Table("id")
    *_, refused = scanned(world)
    assert refused == 2
    (part,) = world.parts_of("crm")
    assert (part.refused, part.state) == (1, "partly rejected")
    assert part.reasons == {"name": 1}


def test_resent_after_a_drop(world: World, crm: System) -> None:
    world.hub.drop = lambda message: any(n.qualified_name.endswith("/t3") for n in message.names)
    world.scan("crm")
    world.settle(waits=0)
    (part,) = world.parts_of("crm")
    assert (part.state, part.resent, part.waits) == ("sent", False, part.sent - part.confirmed)
    found = status(world.app)
    assert found.totals == {"sent": 1}
    assert (found.waiting, found.waiting_since) == (part.waits, part.sent_at)
    world.hub.drop = lambda _: False
    world.later(hours=2, minutes=1)
    assert status(world.app).totals == {"overdue": 1}
    (shown,) = status(world.app).files
    assert shown == msgspec.structs.replace(part, state="overdue")
    assert [f.state for f in status(world.app, Wanted(state="overdue")).files] == ["overdue"]
    world.settle()
    (part,) = world.parts_of("crm")
    assert (part.state, part.resent, part.by_rest, part.confirmed) == ("confirmed", True, False, part.sent)
    assert status(world.app).waiting == 0


def test_attempts_after_a_crash(world: World, crm: System) -> None:
    world.scan("crm")
    world.step()
    world.faults.die(12, after=True)
    with pytest.raises(Dead):
        world.step()
    world.revive()
    world.settle()
    (part,) = world.parts_of("crm")
    assert (part.attempts, part.state) == (2, "confirmed")


def test_a_file_that_nobody_has_taken_up(world: World, crm: System) -> None:
    path = world.upload("uploads/records/a.jsonl", '{"kind": "x"}\n')
    found = status(world.app)
    (landed,) = found.files
    assert (landed.path, landed.state, found.totals) == (path, "landed", {"landed": 1})
    assert landed.landed == found.landed_since != ""
    world.settle()
    assert status(world.app).totals == {"rejected": 1}
    assert status(world.app).landed_since == ""
    world.upload(path, '{"kind": "y"}\n')
    found = status(world.app)
    assert [(f.path, f.state) for f in found.files] == [(path, "landed")], "a newer version of it"
    assert found.totals == {"landed": 1}
    with world.app.receipts.lease("uploads/records/b.jsonl"):
        world.upload("uploads/records/b.jsonl", "{}")
        assert status(world.app).totals == {"landed": 2}, "an empty row is no receipt"


def test_it_is_the_landing_that_shows_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the look into landing, a file whose event was lost would be seen nowhere."""
    world.upload("uploads/records/a.jsonl", "{}")
    monkeypatch.setattr(files.Look, "_lying", lambda _: iter(()))
    assert status(world.app).totals == {}


def test_pages_newest_first(world: World) -> None:
    world.system("crm")
    moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    for n in range(25):
        started = f"{moment + dt.timedelta(minutes=n % 5):%Y-%m-%dT%H:%M:%S.%fZ}"
        state = "rejected" if n % 2 else "confirmed"
        world.app.receipts.put(Receipt(path=f"uploads/records/{n:02}.jsonl", state=state, started=started))  # type: ignore[arg-type]
    everything = [f.path for f in status(world.app).files]
    assert len(everything) == 25
    assert [f.started for f in status(world.app).files] == sorted(
        (f.started for f in status(world.app).files), reverse=True
    )
    seen, place = [], ""
    for expected in (10, 10, 5):
        page = status(world.app, Wanted(most=10, before=place))
        assert len(page.files) == expected
        assert page.totals == {"confirmed": 13, "rejected": 12}, "of all of them"
        seen += [f.path for f in page.files]
        place = page.next
    assert place == ""
    assert seen == everything
    rejected = status(world.app, Wanted(state="rejected", most=100)).files
    assert len(rejected) == 12
    assert len(status(world.app, Wanted(under="uploads/records/1")).files) == 10
    assert status(world.app, Wanted(most=0)).files == []


def test_a_page_costs_two_listings_and_its_own_receipts(world: World) -> None:
    for n in range(30):
        world.app.receipts.put(
            Receipt(path=f"uploads/records/{n:02}.jsonl", etag="x", state="confirmed", started=f"{n:02}")
        )
    asked: list[str] = []
    world.faults.on_request = lambda request: asked.append(request.url or "")
    assert len(status(world.app, Wanted(most=3)).files) == 3
    listings = [url for url in asked if "comp=list" in url]
    assert len(listings) == 3, "landing, receipts, and the snapshots' scopes"
    assert len([url for url in asked if "/receipts/" in url]) == 3


def test_receipts_of_an_older_and_of_a_newer_version(world: World) -> None:
    """As 0.1.0 wrote them before `landed`, and with fields that are not known yet; without notes beside them."""
    older = {
        "path": "uploads/records/old.jsonl",
        "etag": "0x1",
        "state": "partly rejected",
        "format": "records",
        "records": 5,
        "sent": 3,
        "entities": 9,
        "messages": 1,
        "bytes": 4000,
        "refused": 2,
        "confirmed": 3,
        "reasons": {"name": 2},
        "attempts": 1,
        "started": "2026-01-01T00:00:00.000000Z",
        "sent_at": "2026-01-01T00:00:01.000000Z",
        "finished": "2026-01-01T00:00:02.000000Z",
        "seconds": 0.5,
    }
    newer = {**older, "path": "uploads/records/new.jsonl", "etag": "0x2", "weight": {"kg": 3}, "colours": [1]}
    state = world.app.azure.container("state")
    for said in (older, newer):
        name = str(said["path"]).rpartition("/")[2].replace(".", "%2E")
        state.upload_blob(f"receipts/uploads%2Frecords/{name}.json", json.dumps(said))
    found = status(world.app)
    assert found.totals == {"partly rejected": 2}
    assert [(f.records, f.refused, f.reasons, f.landed) for f in found.files] == [(5, 2, {"name": 2}, "")] * 2
    assert world.app.receipts.update(older["path"], lambda r: msgspec.structs.replace(r, attempts=2)) is not None  # type: ignore[arg-type]
    assert world.receipt("uploads/records/old.jsonl").attempts == 2
    row = (
        '{"current": {"id": "s", "instance": "crm", "scope": "public", "started": "x", "state": "finished", "mood": 1}}'
    )
    scan = msgspec.json.decode(row, type=ScopeRow).current
    assert scan is not None
    assert (scan.new, scan.changed, scan.unchanged, scan.refused) == (0, 0, 0, 0)


def test_they_survive_a_new_worker(world: World, crm: System) -> None:
    """A redeploy: nothing is in memory, everything is in storage."""
    scanned(world)
    before = status(world.app)
    after = status(world.new_app())
    assert msgspec.structs.replace(after, at=before.at) == before


def test_an_instance_that_was_taken_out_is_told_of(world: World, crm: System) -> None:
    scanned(world)
    del world.instances["crm"]
    world._app = None
    (left,) = status(world.app).instances
    assert (left.name, left.known, left.assets, [s.scope for s in left.scans]) == (
        "crm",
        False,
        CONTAINERS + 5,
        ["public"],
    )
    assert "./hookline retire crm" in left.fix
