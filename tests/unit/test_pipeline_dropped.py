"""Changes that are dropped without a word: the old version is there, and is not taken for the new one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from local.catalogue.store import Entity
from shared.atlas.messages import Message
from shared.delivery import comparison
from shared.pipeline import answers, believing, confirmation
from shared.state.receipts import Receipt
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import System, Table, World, world  # noqa: F401

PATH = "uploads/records/lists.jsonl"
LISTS = ("a", "b", "c")


def address(name: str, kind: str = "list") -> dict[str, Any]:
    return {"platform": "mailroom", "host": "h.example", "path": [kind, name], "type": kind}


def lines(said: str, *, columns: int = 1, job: bool = True, reads: str = "a") -> str:
    found: list[dict[str, Any]] = [
        {
            "kind": "dataset",
            "address": address(name),
            "description": said,
            "columns": [{"name": f"c{n}", "type": "text"} for n in range(columns)],
            "labels": [],
        }
        for name in LISTS
    ]
    if job:
        ends = {"inputs": [address(reads)], "outputs": [address("c")]}
        found.append({"kind": "process", "address": address("j", "job"), "description": said, **ends})
    return "".join(json.dumps({k: v for k, v in line.items() if k != "labels"}) + "\n" for line in found)


def drop_next(world: World, times: int = 1) -> list[Message]:
    """So many messages from now on vanish."""
    gone: list[Message] = []

    def drop(message: Message) -> bool:
        if len(gone) >= times:
            return False
        gone.append(message)
        return True

    world.hub.drop = drop
    return gone


def descriptions(world: World) -> set[str]:
    return {said for (kind, _), said in world.catalogue().items() if kind in ("hookline_dataset", "hookline_process")}


def columns(world: World) -> int:
    return sum(kind == "hookline_column" for kind, _ in world.catalogue())


def receipt(world: World) -> Receipt:
    return world.receipt(PATH)


@pytest.fixture
def uploaded(world: World) -> World:
    """A file whose first version is in the catalogue, and has been for hours."""
    world.upload(PATH, lines("one"))
    world.settle()
    assert receipt(world).state == "confirmed"
    world.later(hours=6)
    world.sent()
    return world


def test_an_update_that_was_dropped_is_sent_once_more(uploaded: World) -> None:
    gone = drop_next(uploaded)
    uploaded.upload(PATH, lines("two"))
    uploaded.settle()
    assert gone
    assert descriptions(uploaded) == {"two"}
    done = receipt(uploaded)
    assert (done.state, done.resent, done.by_rest) == ("confirmed", True, False)


def test_one_that_was_dropped_twice_goes_over_rest(uploaded: World) -> None:
    drop_next(uploaded, times=2)
    uploaded.upload(PATH, lines("two"))
    uploaded.settle()
    assert descriptions(uploaded) == {"two"}
    done = receipt(uploaded)
    assert (done.state, done.resent, done.by_rest) == ("confirmed", True, True)


def test_without_a_look_at_its_time_it_is_lost(uploaded: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above rests on: to be there is not to be there just so."""
    monkeypatch.setattr(answers, "answers_since", lambda *_: 0.0)
    drop_next(uploaded)
    uploaded.upload(PATH, lines("two"))
    uploaded.settle()
    assert (descriptions(uploaded), receipt(uploaded).state) == ({"one"}, "confirmed")


@pytest.mark.parametrize(
    "second",
    [
        lines("one", columns=3),
        lines("one", reads="b"),
    ],
    ids=["columns", "lineage"],
)
def test_a_change_that_no_attribute_of_the_asset_shows(uploaded: World, second: str) -> None:
    drop_next(uploaded)
    uploaded.upload(PATH, second)
    uploaded.settle()
    assert receipt(uploaded).state == "confirmed"
    assert columns(uploaded) == 3 * (3 if second == lines("one", columns=3) else 1)
    assert read_by_the_job(uploaded) == {"b" if second == lines("one", reads="b") else "a"}


def read_by_the_job(world: World) -> set[str]:
    store = world.running.catalogue.store
    alive: dict[int, Entity] = {e.id: e for e in world.entities()}
    (job,) = [e for e in alive.values() if e.type == "hookline_process"]
    ends = [alive[r.end1 if r.end2 == job.id else r.end2] for r in store.relations(job.id) if not r.deleted]
    return {e.name for e in ends} - {"c"}


def test_the_same_once_more_is_compared_and_not_sent_again(uploaded: World) -> None:
    """The catalogue takes it, nothing changes, no event tells of it: that it is there is found by looking."""
    uploaded.deliver = lambda _: []
    uploaded.upload(PATH, lines("one") + "\n")
    uploaded.settle(sweeps=False)
    assert len(uploaded.sent()) > 3
    uploaded.settle()
    done = receipt(uploaded)
    assert (done.state, done.resent, done.by_rest) == ("confirmed", False, False)
    assert uploaded.sent() == []


def test_without_the_comparison_it_is_sent_again(uploaded: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison.Comparison, "same", lambda *_: [])
    uploaded.deliver = lambda _: []
    uploaded.upload(PATH, lines("one") + "\n")
    uploaded.settle()
    done = receipt(uploaded)
    assert (done.state, done.by_rest) == ("confirmed", True)


# ---- answers about another version


def late(world: World) -> Callable[[], None]:
    """Notifications are kept back until the function that is returned is called."""
    kept: list[bytes] = []

    def keep(bodies: list[bytes]) -> list[bytes]:
        kept.extend(bodies)
        return []

    world.deliver = keep

    def release() -> None:
        world.deliver = lambda bodies: bodies
        confirmation.confirm(world.app, kept)

    return release


def two_versions(world: World) -> None:
    """The answers to the first come after the second was sent, and the second is dropped."""
    release = late(world)
    world.upload(PATH, lines("one"))
    world.settle(sweeps=False)
    assert receipt(world).state == "sent"
    drop_next(world)
    world.upload(PATH, lines("two"))
    world.settle(sweeps=False)
    release()
    world.settle()
    assert receipt(world).state == "confirmed"


def test_answers_about_the_version_before_are_not_believed(world: World) -> None:
    two_versions(world)
    assert descriptions(world) == {"two"}


def test_if_they_were_a_change_would_be_lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.pipeline.transformation.of_file", lambda *_: "usual")
    two_versions(world)
    assert descriptions(world) == {"one"}


def again_and_again(world: World) -> None:
    """The answers to a version come a second time (Event Hubs promises no more than at least once), after the next."""
    heard: list[bytes] = []

    def keep(bodies: list[bytes]) -> list[bytes]:
        heard.extend(bodies)
        return bodies

    world.deliver = keep
    world.upload(PATH, lines("one"))
    world.settle()
    assert receipt(world).state == "confirmed"
    world.later(seconds=30)
    drop_next(world)
    world.upload(PATH, lines("two"))
    world.settle(sweeps=False)
    confirmation.confirm(world.app, heard)
    world.settle()
    assert receipt(world).state == "confirmed"


def test_answers_that_come_twice_are_told_apart_by_their_time(world: World) -> None:
    again_and_again(world)
    assert descriptions(world) == {"two"}


def test_within_the_skew_of_clocks_they_would_not_be(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.pipeline.transformation.of_file", lambda *_: "usual")
    again_and_again(world)
    assert descriptions(world) == {"one"}


# ---- scans


@pytest.fixture
def crm(world: World) -> System:
    system = world.system("crm")
    system.tables.update({"orders": Table("id", description="one"), "parts": Table("id")})
    return system


def two_scans(world: World, crm: System) -> None:
    release = late(world)
    world.scan("crm")
    world.settle(sweeps=False)
    crm.tables["orders"].description = "two"
    drop_next(world)
    world.scan("crm")
    world.settle(sweeps=False)
    release()
    world.settle()


def test_a_scan_does_not_believe_answers_about_the_one_before(world: World, crm: System) -> None:
    two_scans(world, crm)
    world.check()


def test_if_it_did_a_change_would_be_lost(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.pipeline.file.of_scan", lambda *_: "usual")
    two_scans(world, crm)
    with pytest.raises(AssertionError):
        world.check()


def test_a_column_that_was_dropped_on_its_way(world: World, crm: System) -> None:
    world.scan("crm")
    world.settle()
    world.later(hours=6)
    crm.tables["orders"].columns.append("total")
    drop_next(world)
    world.scan("crm")
    world.settle()
    world.check()


def test_scans_of_other_scopes_are_none_of_its_business(world: World, crm: System) -> None:
    """All scopes of an instance are scanned at the same time; that must cost nothing."""
    crm.schemas["sales"] = {"orders": Table("id")}
    world.later(hours=6)
    late(world)
    world.scan("crm")
    world.settle(sweeps=False)
    scan = world.scan_of("crm", "sales")
    assert [chunk for chunk in world.app.pending.all("crm/") if scan.id not in chunk.path]
    assert believing.of_scan(world.app, "crm", "sales", scan.id) == "usual"
    assert believing.of_scan(world.app, "crm", "sales", "another") == "content"


@pytest.mark.parametrize("share", [30, 60])
def test_a_large_share_of_everything_is_dropped(world: World, crm: System, share: int) -> None:
    """Hook messages vanish by chance for as long as it takes; in the end the catalogue is right."""
    import random

    rng = random.Random(share)
    gone: list[Message] = []

    def drop(message: Message) -> bool:
        if rng.random() * 100 >= share:
            return False
        gone.append(message)
        return True

    world.hub.drop = drop
    for turn in range(4):
        crm.tables["orders"].description = f"turn {turn}"
        crm.tables[f"t{turn}"] = Table("id", *(f"c{n}" for n in range(turn)))
        crm.tables.pop(f"t{turn - 2}", None)
        world.scan("crm")
        world.upload(PATH, lines(f"turn {turn}", columns=1 + turn))
        world.settle()
    assert gone
    world.check()
    assert (descriptions(world), columns(world)) == ({"turn 3"}, 12)
