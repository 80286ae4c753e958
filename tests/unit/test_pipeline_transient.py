"""What is busy is tried again by the trigger, and nothing is lost; what will not pass does not raise."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from local.catalogue.faults import Faults as RestFaults
from shared.errors import BadInput, CatalogBusy, HubBusy, SettingsError, StorageBusy, Transient
from shared.pipeline import http, transformation
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import System, Table, World, world  # noqa: F401


@pytest.fixture
def crm(world: World, monkeypatch: pytest.MonkeyPatch) -> System:
    monkeypatch.setattr("time.sleep", lambda _: None)
    system = world.system("crm")
    system.tables.update({"orders": Table("id", "a"), "v": Table("id", sql="select id from orders", reads=["orders"])})
    return system


@pytest.mark.parametrize("status", [412, 500, 503, -1])
@pytest.mark.parametrize("seed", range(3))
def test_storage_that_fails_now_and_then(world: World, crm: System, status: int, seed: int) -> None:
    """-1: no answer at all."""
    chance = random.Random(seed)
    world.faults.answer = lambda _: status if chance.random() < 0.08 else 0
    for _ in range(5):
        try:
            world.scan("crm")
            break
        except Transient as error:
            assert error.where
    for _ in range(20):
        try:
            world.settle(waits=3)
        except Transient as error:  # a timer that fails comes back by itself
            assert error.where, error
    world.faults.answer = lambda _: 0
    world.work.extend(world.poison)  # and what was poisoned is found by the sweep, or replayed by a person
    for work in world.poison:
        work.tries = 0
    world.poison.clear()
    world.revive()  # a lease that seemed to be lost has run out
    world.later(hours=2)
    world.tick()
    world.settle()
    world.scan("crm")
    world.settle()
    world.check()
    for error in world.errors:
        assert isinstance(error, Transient), error
        assert error.where
        assert error.fix


def test_storage_that_stays_away(world: World, crm: System) -> None:
    world.scan("crm")
    world.step()
    (path,) = world.landed()
    world.faults.answer = lambda r: 503 if "/landing/" in (r.url or "") or "-landing/" in (r.url or "") else 0
    with pytest.raises(StorageBusy) as told:
        transformation.transform(world.app, world.app.landing.get_blob_client(path))
    assert path in told.value.where
    world.faults.answer = lambda _: 0
    world.settle()
    world.check()


def test_access_that_is_refused_is_a_setting(world: World, crm: System) -> None:
    world.scan("crm")
    world.faults.answer = lambda r: 403 if "-landing/" in (r.url or "") and r.method == "PUT" else 0
    world.settle(waits=0)
    scan = world.scan_of("crm")
    assert (scan.state, scan.problem) == ("failed", "SettingsError")
    assert "Storage Blob Data Owner" in scan.fix
    assert world.errors == []


def test_a_hub_that_is_busy_for_a_while(world: World, crm: System) -> None:
    busy = [HubBusy("server-busy", where="event hub purview-hook", fix="it is tried again") for _ in range(7)]
    world.hub.busy = lambda _: busy.pop() if busy else None
    world.scan("crm")
    world.settle()
    world.check()
    assert {str(e).split(":")[0] for e in world.errors} == {"event hub purview-hook"}
    (part,) = world.parts_of("crm")
    assert part.attempts == 1, "a busy hub does not use up attempts"
    assert part.error == ""


def test_a_hub_that_is_busy_for_a_day(world: World, crm: System) -> None:
    """Never given up: the file waits, and says why."""
    world.hub.busy = lambda _: HubBusy("server-busy", where="event hub purview-hook", fix="it is tried again")
    world.scan("crm")
    for _ in range(12):
        world.settle(waits=1)
    (part,) = world.parts_of("crm")
    assert (part.state, part.error) == ("transforming", "server-busy")
    world.hub.busy = lambda _: None
    world.settle()
    world.check()


def test_a_hub_that_is_busy_while_deletions_are_sent(world: World, crm: System) -> None:
    world.scan("crm")
    world.settle()
    crm.tables["x"] = Table("id")
    del crm.tables["orders"]
    busy = [HubBusy("server-busy", where="event hub", fix="wait") for _ in range(3)]
    world.hub.busy = lambda m: busy.pop() if busy and m.operation == "delete" else None
    world.scan("crm")
    world.settle()
    world.check()
    assert world.scan_of("crm").deleted == 1


def test_a_hub_that_refuses_waits_for_its_setting(world: World, crm: System) -> None:
    refused = SettingsError("Event Hubs refused (unauthorized-access)", where="event hub", fix="give the role")
    world.hub.busy = lambda _: refused
    world.scan("crm")
    for _ in range(15):
        world.settle(waits=1)
    (part,) = world.parts_of("crm")
    assert (part.state, part.error, part.fix) == ("transforming", refused.what, refused.fix)
    assert world.errors == [], "trying again at once is of no use"
    world.hub.busy = lambda _: None
    world.settle()
    world.check()


def test_a_message_the_hub_never_takes(world: World, crm: System) -> None:
    world.hub.busy = lambda _: BadInput("a message is larger than the hub takes", where="event hub", fix="lower it")
    world.scan("crm")
    world.settle()
    (part,) = world.parts_of("crm")
    assert part.state == "rejected"
    assert world.rejected(part.path)[0].fix == "lower it"
    assert world.errors == []


def test_a_fault_of_ours_is_given_up_after_a_while(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("secret-value")

    with monkeypatch.context() as patched:
        patched.setattr("shared.pipeline.file.File.send", broken)
        world.scan("crm")
        world.settle()
    (part,) = world.parts_of("crm")
    assert (part.state, part.attempts) == ("rejected", 5)
    assert part.error == "the transform failed (ZeroDivisionError)"
    assert "secret" not in json.dumps([str(e) for e in world.errors])
    assert world.scan_of("crm").state == "finished"
    world.scan("crm")
    world.settle()
    world.check()


def test_a_worker_that_dies_of_one_file_again_and_again(
    world: World, crm: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.support.world import Dead

    def deadly(*_: Any, **__: Any) -> None:
        raise Dead

    path = world.upload("uploads/records/deadly.jsonl", "{}")
    with monkeypatch.context() as patched:
        patched.setattr("shared.pipeline.file.File.send", deadly)
        for _ in range(60):
            try:
                world.settle()
                break
            except Dead:
                world.revive()
                world.work.clear()  # the host gives the message up
    receipt = world.receipt(path)
    assert (receipt.state, receipt.reasons) == ("rejected", {"stuck": 1})
    assert world.rejected(path)[0].rule == "stuck"
    assert "without a word" in receipt.error
    assert receipt.fix


def test_a_catalogue_that_is_busy_when_types_are_needed(world: World, crm: System) -> None:
    world.running.faults.set(RestFaults(rest_status=503, rest_requests=40))
    world.scan("crm")
    world.settle()
    world.check()
    assert all(isinstance(error, CatalogBusy) for error in world.errors)


def test_a_catalogue_that_refuses_types(world: World, crm: System) -> None:
    world.running.faults.set(RestFaults(rest_status=403, rest_requests=100_000))
    world.scan("crm")
    world.settle(waits=1)
    (part,) = world.parts_of("crm")
    assert part.state == "transforming"
    assert "403" in part.error
    assert "Data Curator" in part.fix
    assert world.errors == []
    world.running.faults.set(RestFaults())
    world.settle()
    world.check()


def test_confirming_while_a_receipt_is_leased(world: World, crm: System) -> None:
    """The answer waits for the next one, or for the sweep; it is not lost."""
    world.scan("crm")
    world.deliver = lambda _: []
    world.settle(waits=0)
    (part,) = world.parts_of("crm")
    lease = world.app.receipts.lease(part.path)
    world.deliver = lambda bodies: bodies
    with lease:
        world.apply(world.hub.messages[0][0].body)
        world.later(minutes=20)
        world.sweep()
    world.settle()
    world.check()


def test_http(world: World, crm: System) -> None:
    assert http.health(world.app)[0] == 200
    code, body, messages = http.scan(world.app, "crm", full=False)
    assert (code, len(messages)) == (202, 1)
    code, body, _ = http.scan(world.app, "crmm", full=False)
    assert code == 404
    assert b"configured: crm" in body
    crm.error = SettingsError("password missing", where="crm", fix="set it")
    assert http.scan(world.app, "crm", full=False)[0] == 404
    for body, code in ((b"{", 400), (b'"x"', 400), (b"\x1f\x8b nonsense", 400), (b"{}", 201), (b"[" * 9_000_000, 413)):
        assert http.lineage(world.app, body)[0] == code, body[:10]
    world.faults.answer = lambda _: 503
    assert http.lineage(world.app, b"{}")[0] == 503
    assert http.health(world.app)[0] == 503
