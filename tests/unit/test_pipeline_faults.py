"""What the fault matrix (`./hookline faults`) taught, each without processes and without chance."""

from __future__ import annotations

import contextlib
import json
from urllib.parse import unquote

import msgspec
import pytest
import requests
from azure.core.exceptions import AzureError
from azure.storage.blob import BlobLeaseClient

from shared.errors import SourceUnreachable, StorageBusy
from shared.pipeline import extraction, scheduling, transformation
from shared.state import Conflict
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import System, Table, Work, World, world  # noqa: F401


@pytest.fixture
def crm(world: World, monkeypatch: pytest.MonkeyPatch) -> System:
    monkeypatch.setattr("time.sleep", lambda _: None)
    system = world.system("crm")
    system.tables.update({"orders": Table("id", "a"), "v": Table("id", sql="select id from orders", reads=["orders"])})
    return system


class LeaseBreaker:
    """Takes the lease away from under the `at`-th request that relies on one, of those to a table of the state."""

    def __init__(self, world: World, table: str, at: int) -> None:
        self.world, self.table, self.at = world, table, at
        self.seen, self.broken = 0, False
        world.faults.on_request = self

    def __call__(self, request: requests.PreparedRequest) -> None:
        url = (request.url or "").partition("?")[0]
        if (
            "x-ms-lease-id" not in request.headers
            or f"/{self.table}/" not in url
            or "comp=lease" in (request.url or "")
        ):
            return
        self.seen += 1
        if self.seen == self.at:
            self.broken = True
            blob = unquote(url.split(f"{self.world.prefix}-state/", 1)[1])
            with contextlib.suppress(AzureError):
                lease = BlobLeaseClient(self.world.blobs.get_blob_client(f"{self.world.prefix}-state", blob))
                lease.break_lease(0)


@pytest.mark.parametrize(("table", "at"), [("scans", 1), ("scans", 2), ("receipts", 1), ("receipts", 2)])
def test_a_lease_lost_to_nobody(world: World, crm: System, table: str, at: int) -> None:
    """The trigger tries again; neither the sweep nor the hour after which a scan counts as stopped is needed."""
    breaker = LeaseBreaker(world, table, at)
    world.scan("crm")
    world.settle(sweeps=False)
    assert breaker.broken
    assert [type(error) for error in world.errors] == [StorageBusy]
    assert world.scan_of("crm").state == "finished"
    (part,) = world.parts_of("crm")
    assert part.attempts == 1, "a lost lease does not use up attempts"
    world.settle()
    world.check()


@pytest.mark.parametrize("table", ["scans", "receipts"])
def test_it_is_the_message_that_goes_on(world: World, crm: System, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with that switched off: nobody goes on with the work."""
    monkeypatch.setattr(extraction, "_go_on_later", lambda *_: None)
    monkeypatch.setattr(transformation._Attempt, "go_on_later", lambda *_: None)
    breaker = LeaseBreaker(world, table, 2)
    world.scan("crm")
    world.settle(sweeps=False)
    assert breaker.broken
    assert world.scan_of("crm").state != "finished"


def test_a_file_whose_lease_is_lost_again_and_again_is_not_given_up(world: World, crm: System) -> None:
    address = {"platform": "mailroom", "host": "h", "path": ["lists", "l"], "type": "list"}
    path = world.upload("uploads/records/a.jsonl", json.dumps({"kind": "dataset", "address": address}))
    for _ in range(12):
        LeaseBreaker(world, "receipts", 2)
        with pytest.raises(StorageBusy):
            transformation.transform(world.app, world.app.landing.get_blob_client(path))
    assert world.receipt(path).attempts <= 1
    world.faults.on_request = lambda _: None
    world.settle()
    assert world.receipt(path).state == "confirmed"


def test_a_request_that_meets_the_end_of_the_last_scan(world: World, crm: System) -> None:
    """Whoever finishes a scan holds the scope's lease for a moment: a request waits for it, and is not dropped."""
    world.scan("crm")
    world.settle()
    crm.tables["orders"].columns.append("b")
    world.scan("crm")
    with world.app.scans.lease("crm", "public"):
        assert world.step()
        (error,) = world.errors
        assert isinstance(error, Conflict)
    world.settle()
    world.check()


def test_a_request_while_a_scan_is_at_work_is_dropped(world: World, crm: System) -> None:
    world.scan("crm")
    extra = scheduling.request(world.app, "crm", full=False, reason="request")
    crm.on_read = lambda _: world.run(Work("extract", extra[0]), app=world.new_app())
    world.settle()
    world.check()
    world.confirmed()


def test_scans_that_were_asked_for_before_storage_failed(world: World) -> None:
    """A scope is noted as asked for, for an hour: its message must reach the queue although the next one's does not."""
    crm, erp = world.system("crm"), world.system("erp")
    for system in (crm, erp):
        for scope in ("a", "b", "public"):
            system.schemas.setdefault(scope, {})["t"] = Table("id")
    world.faults.answer = lambda r: 503 if "/scans/crm/b" in (r.url or "") else 0
    messages = scheduling.schedule(world.app)
    asked = {(m.instance, m.scope) for m in (msgspec.json.decode(m, type=scheduling.ScanRequest) for m in messages)}
    assert asked == {("crm", "a"), ("erp", "a"), ("erp", "b"), ("erp", "public")}
    world.faults.answer = lambda _: 0
    world._queue("extract", messages)
    world.later(minutes=1)
    world.tick()
    world.settle()
    world.check()


def test_a_failure_that_cannot_be_noted(world: World) -> None:
    crm, erp = world.system("crm"), world.system("erp")
    erp.tables["t"] = Table("id")
    crm.error = SourceUnreachable("no answer", where="crm", fix="wait")
    world.faults.answer = lambda r: 503 if "/scans/crm/" in (r.url or "") and r.method == "PUT" else 0
    messages = scheduling.schedule(world.app)
    assert [msgspec.json.decode(m, type=scheduling.ScanRequest).instance for m in messages] == ["erp"]
    world.faults.answer = lambda _: 0
    world.later(minutes=1)
    scheduling.schedule(world.app)
    assert world.scan_of("crm", "*").problem == "SourceUnreachable"
