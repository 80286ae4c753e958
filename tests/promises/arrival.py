"""What was sent arrives, or somebody is told."""

from __future__ import annotations

import json

import pytest

from local.catalogue.faults import Faults
from shared.pipeline import answers, confirmation, resending, sweeping
from shared.pipeline.file import File
from shared.pipeline.replaying import Replay
from tests.promises.promise import Promise, scanned, shop
from tests.support.world import World


def _dropped(world: World) -> None:
    """Each second message of the first scan vanishes behind the hub."""
    shop(world)
    world.system("erp").tables.update(shop(world).tables)
    count = [0]

    def drop(_: object) -> bool:
        count[0] += 1
        return count[0] % 2 == 1

    world.hub.drop = drop
    for name in ("crm", "erp"):
        world.scan(name)
    world.settle(waits=0)
    world.hub.drop = lambda _: False
    world.settle()
    world.check()


def _change_dropped(world: World) -> None:
    """A table has been in the catalogue for hours; then its description changes, and that message vanishes."""
    system = shop(world)
    scanned(world)
    world.later(hours=6)
    system.tables["orders"].description = "newer"
    gone: list[bool] = []
    world.hub.drop = lambda _: not gone and not gone.append(True)  # type: ignore[func-returns-value]
    scanned(world)
    assert gone
    world.check()


def _other_version(world: World) -> None:
    """The answers to a scan come late, when the next one has sent a change, and that vanishes."""
    system = shop(world)
    kept: list[bytes] = []
    world.deliver = lambda bodies: [] if kept.extend(bodies) is None else bodies  # type: ignore[func-returns-value]
    world.scan("crm")
    world.settle(sweeps=False)
    system.tables["orders"].description = "newer"
    gone: list[bool] = []
    world.hub.drop = lambda _: not gone and not gone.append(True)  # type: ignore[func-returns-value]
    world.scan("crm")
    world.settle(sweeps=False)
    world.deliver = lambda bodies: bodies
    confirmation.confirm(world.app, kept)
    world.settle()
    world.check()


def _dropped_always(world: World) -> None:
    shop(world)
    world.hub.drop = lambda _: True
    scanned(world)
    world.check()


def _never_taken(world: World) -> None:
    """Neither the hub nor REST brings it in; the receipt says so and the file of reasons names it."""
    shop(world)
    world.hub.drop = lambda _: True
    world.deliver = lambda _: []
    world.scan("crm")
    world.settle(waits=0)
    world.running.faults.set(Faults(rest_status=403, rest_requests=10_000))
    world.settle()
    world.running.faults.set(Faults())
    world.hub.drop = lambda _: False
    (part,) = world.parts_of("crm")
    assert part.state == "lost"
    told = {refusal.place for refusal in world.rejected(f"{part.path}.lost")}
    assert any(place.endswith("/tables/orders") for place in told)


def _no_event(world: World) -> None:
    """Storage never told the app of the file."""
    path = world.upload("uploads/records/late.jsonl", _record("late"))
    world.announced[path] = next(b.etag for b in world.landing.list_blobs() if b.name == path)
    world.later(hours=1)
    world.settle()
    assert world.receipt(path).state == "confirmed"


def _record(name: str, said: str = "") -> str:
    address = {"platform": "mailroom", "host": "h.example", "path": ["lists", name], "type": "list"}
    return json.dumps({"kind": "dataset", "address": address, "description": said}) + "\n"


def _no_answers(world: World) -> None:
    """No notification ever comes: the feature is optional."""
    shop(world)
    world.deliver = lambda _: []
    scanned(world)
    world.check()
    world.confirmed()


def _behind(world: World) -> None:
    """The catalogue's clock is a minute behind ours: what it says counts all the same, without asking."""
    shop(world)
    asked: list[str] = []
    world.monkeypatch.setattr(
        "shared.delivery.catalog.Catalog.find",
        lambda *_: asked.append("asked") or {},  # type: ignore[func-returns-value]
    )

    def earlier(bodies: list[bytes]) -> list[bytes]:
        told = [json.loads(body) for body in bodies]
        for notice in told:
            notice["message"]["eventTime"] -= 60_000
        return [json.dumps(notice).encode() for notice in told]

    world.deliver = earlier
    world.scan("crm")
    world.settle(waits=0)
    world.confirmed()
    assert asked == []


def _lost_is_doubted(world: World) -> None:
    """What was given up as lost is sent by the next scan, though nothing has changed."""
    _never_taken(world)
    scanned(world)
    assert any(name.endswith("/tables/orders") for _, name in world.catalogue())


def _nothing_resent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(File, "send_missing", lambda *_, **__: (set(), []))


def _hub_only(monkeypatch: pytest.MonkeyPatch) -> None:
    real = answers.Answers._late

    def late(self: answers.Answers, *arguments: object) -> object:
        for replay in real(self, *arguments):  # type: ignore[arg-type]
            if not replay.rest:
                yield replay

    monkeypatch.setattr(answers.Answers, "_late", late)


def _nothing_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of saying that it is lost, it is waited for, for ever."""
    monkeypatch.setattr(answers.Answers, "_lose", lambda *_: None)


def _no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    def unseen(*_: object) -> list[Replay]:
        return []

    monkeypatch.setattr(sweeping, "_unseen", unseen)


def _never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers.Answers, "_ask", lambda *_: False)
    monkeypatch.setattr("shared.delivery.comparison.Comparison.same", lambda *_: [])
    monkeypatch.setattr(resending, "RestSink", lambda *_: None)


def _any_version_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "answers_since", lambda *_: 0.0)


def _any_answer_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.pipeline.file.of_scan", lambda *_: "usual")


def _exact_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirmation, "SKEW_MS", 0)


def _not_doubted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.state.snapshots.Snapshots.doubt", lambda *_: None)


PROMISES = [
    Promise(
        "A message that vanishes behind the hub is noticed and sent again.",
        "receipts wait for an answer to each name; what is overdue is sent once more",
        _dropped,
        _nothing_resent,
    ),
    Promise(
        "A change that vanishes is noticed, though the asset is there.",
        "what the catalogue shows is believed by its time, and else compared with what was sent",
        _change_dropped,
        _any_version_will_do,
    ),
    Promise(
        "An answer about the version before does not confirm the next.",
        "while another version is on its way, only what the catalogue shows counts",
        _other_version,
        _any_answer_will_do,
    ),
    Promise(
        "What the hub loses twice goes over REST.",
        "the second repair uses the Data Map's REST API",
        _dropped_always,
        _hub_only,
    ),
    Promise(
        "What never arrives is told by name.",
        "the receipt ends as `lost`, and rejected/ names each asset",
        _never_taken,
        _nothing_lost,
    ),
    Promise(
        "What was lost is sent by the next scan, changed or not.",
        "the snapshot remembers what is in doubt",
        _lost_is_doubted,
        _not_doubted,
    ),
    Promise(
        "A file whose event never came is found.",
        "`sweep` looks for landed files without a receipt",
        _no_event,
        _no_look,
    ),
    Promise(
        "Without any notification, everything is confirmed.",
        "the catalogue is asked over REST",
        _no_answers,
        _never_asked,
    ),
    Promise(
        "A catalogue whose clock runs behind confirms like any other.",
        "answers count from two minutes before the message was sent",
        _behind,
        _exact_clocks,
    ),
]
