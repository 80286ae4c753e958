"""`status`, `why`, `rejected`, `replay`, `approve` and `retire` as their users see them: the commands on a World."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from cli import deleting, online, output, rejected, why
from cli.main import hookline
from shared.errors import UsageError
from shared.pipeline import requeue
from shared.pipeline.refusals import grouped, refusals
from shared.records import Refusal
from shared.state.receipts import Receipt
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import System, Table, World, world  # noqa: F401

Run = Callable[..., str]


@pytest.fixture
def crm(world: World) -> System:
    system = world.system("crm")
    system.tables.update({f"t{n:02}": Table("id", "a") for n in range(20)})
    world.scan("crm")
    world.settle()
    world.sent()
    return system


@pytest.fixture
def command(world: World, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command, returns what it printed; messages that it puts into queues are the World's work."""
    monkeypatch.setattr(output.out, "_file", None)
    for module in (online, rejected, why, deleting):
        monkeypatch.setattr(module, "app_for", lambda _: world.app)

    def send(queue: str, message: str) -> None:
        world._queue({"scans": "extract", "replays": "replay"}[queue], [message])

    def run(*arguments: str) -> str:
        monkeypatch.setattr(world.app.azure, "send", send)
        done = CliRunner().invoke(hookline, arguments, catch_exceptions=True, standalone_mode=False)
        if done.exception is not None:
            raise done.exception
        return done.output

    return run


BAD = '{"kind": "x"}\n{"kind": "dataset", "nope": 1}\n'


def test_status_of_everything_and_of_one(world: World, crm: System, command: Run) -> None:
    path = world.upload("uploads/records/bad.jsonl", BAD)
    world.settle()
    whole = command("status")
    for words in ("crm", "public", "finished", path, "rejected", "23"):
        assert words in whole, words
    assert "--before" in command("status", "--files", "1")
    told = json.loads(command("status", "--json", "--files", "1").splitlines()[-1])
    assert (len(told["files"]), bool(told["next"]), told["totals"]) == (1, True, {"confirmed": 1, "rejected": 1})
    older = json.loads(command("status", "--json", "--before", told["next"]).splitlines()[-1])
    assert [f["state"] for f in older["files"]] == ["confirmed"]
    story = command("status", path)
    for words in ("landed", "attempts", "line 1", "line 2", "next", f"./hookline replay {path}"):
        assert words in story, words
    assert "20 new" not in command("status", "crm")
    scan = world.scan_of("crm").id
    assert "23 new, 0 changed, 0 unchanged" in command("status", scan)
    assert json.loads(command("status", f"crm/{scan}", "--json").splitlines()[-1])["about"] == "scan"
    with pytest.raises(UsageError) as caught:
        command("status", "uploads/records/bat.jsonl")
    assert path in caught.value.fix


def test_why_in_words(world: World, crm: System, command: Run) -> None:
    told = command("why", "public.t03")
    for words in ("postgresql_table postgresql://", "published", "crm/public", "and confirmed", "ACTIVE, guid"):
        assert words in told, words
    assert "did you mean postgresql_table/" in command("why", "t0x3")
    assert json.loads(command("why", "t03", "--json"))["sightings"][0]["kind"] == "published"


def test_missing_assets_are_named(world: World, crm: System, command: Run) -> None:
    world.hub.drop = lambda message: True
    crm.tables["new"] = Table("id")
    world.scan("crm")
    world.settle(waits=0)
    (part,) = world.parts_of("crm")
    story = command("status", part.path)
    assert "create postgresql_table" in story
    assert "/tables/new" in story
    assert "assets are not confirmed yet" in story


def test_rejected_in_groups(world: World, command: Run) -> None:
    world.system("crm")
    for n in range(5):
        world.upload(f"uploads/records/{n}.jsonl", BAD)
    world.settle()
    told = command("rejected")
    assert "record  5 in 5 files" in told
    assert "... and 2 more" in told
    assert "fix:" in told
    groups = json.loads(command("rejected", "--json", "--groups"))
    assert sum(group["count"] for group in groups) == 10
    lines = [json.loads(line) for line in command("rejected", "--json").splitlines()]
    assert {"file", "place", "rule", "reason", "fix", "sample"} <= set(lines[0])
    page = [json.loads(line) for line in command("rejected", "--json", "--skip", "3", "--limit", "4").splitlines()]
    assert page == lines[3:7]
    assert len(command("rejected", "uploads/records/3", "--json").splitlines()) == 2
    assert "nothing was refused" in command("rejected", "--rule", "name")
    assert "nothing was refused" in command("rejected", "--instance", "crm")


def peak_of(act: Callable[[], object]) -> int:
    tracemalloc.start()
    act()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_many_refusals_cost_no_more_memory_than_a_few(world: World) -> None:
    """Grouped and counted as they stream by: 2 KB each, 32 MB in all."""
    each = b"".join(
        msgspec.json.encode(
            Refusal(place=f"line {n}", rule="name", reason=f"'t{n}' has {n} parts", fix="three", sample="x" * 2_000)
        )
        + b"\n"
        for n in range(4_000)
    )
    container = world._container("rejected")
    container.upload_blob("uploads/records/0.jsonl", each)
    one = peak_of(lambda: grouped(refusals(world.app)))
    for n in (1, 2, 3):
        container.upload_blob(f"uploads/records/{n}.jsonl", each)
    found: list[Any] = []
    assert peak_of(lambda: found.extend(grouped(refusals(world.app)))) < 1.2 * one
    (group,) = found
    assert (group.count, group.files, len(group.samples)) == (16_000, 4, 3)
    assert peak_of(lambda: list(refusals(world.app))) > 1.2 * one, "it would be seen"


def test_replay_shows_and_runs(world: World, crm: System, command: Run) -> None:
    path = world.upload("uploads/records/bad.jsonl", BAD)
    world.settle()
    told = command("replay", path, "--dry-run")
    assert f"{path} (rejected)" in told
    assert "1 file would run" in told
    assert not world.work
    command("replay", "--all-rejected")
    assert [work.kind for work in world.work] == ["replay"]
    world.settle()
    assert world.receipt(path).state == "rejected"
    for words in ([], [path, "--all-rejected"]):
        with pytest.raises(UsageError, match="which files"):
            command("replay", *words)


def test_replay_of_what_is_worked_on_gone_or_superseded(world: World, crm: System, command: Run) -> None:
    (part,) = world.parts_of("crm")
    first = world.scan_of("crm").id
    with world.app.receipts.lease(part.path), pytest.raises(UsageError, match="being worked on"):
        command("replay", part.path)
    with world.app.receipts.lease(part.path), pytest.raises(UsageError, match="being worked on"):
        command("replay", first)
    world.scan("crm")
    world.settle()
    later = world.scan_of("crm").id
    for what in (part.path, first, f"crm/{first}", f"landing/{part.path}"):
        assert f"the later scan {later} has published its scope" in command("replay", what, "--dry-run"), what
    world.landing.delete_blob(part.path)
    for what in (part.path, first):
        with pytest.raises(UsageError, match="not in landing any more") as caught:
            command("replay", what)
        assert caught.value.fix == "scan the instance again"
    with pytest.raises(UsageError) as caught:
        command("replay", "uploads/records/nothing.jsonl")
    assert "status" in caught.value.fix
    crm.tables.pop("t03")
    world.scan("crm")
    world.settle()
    with pytest.raises(UsageError, match="deletions of a scan"):
        command("replay", f"crm/{world.scan_of('crm').id}/deletions")


def test_without_the_look_at_the_lease_it_would_be_dropped(
    world: World, crm: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked for while a worker is at the file does nothing, and nobody would be told."""
    (part,) = world.parts_of("crm")
    monkeypatch.setattr("shared.state.receipts.Receipts.held", lambda *_: False)
    found = requeue.named(world.app, [part.path])
    with world.app.receipts.lease(part.path):
        world._queue("replay", [msgspec.json.encode(one).decode() for one in found])
        world.step()
    assert world.sent() == []


def test_all_rejected_reads_only_what_was(world: World) -> None:
    for n in range(40):
        state: Any = "rejected" if n % 10 == 0 else "confirmed"
        path = world.upload(f"uploads/records/{n:02}.jsonl", "{}") if n != 10 else f"uploads/records/{n:02}.jsonl"
        world.app.receipts.put(Receipt(path=path, state=state, refused=int(n % 10 == 0), started="x"))
    read: list[str] = []
    world.faults.on_request = lambda r: (
        read.append(r.url or "") if r.method == "GET" and "/receipts/" in (r.url or "") else None
    )
    found = requeue.rejected(world.app)
    assert [(one.path[-8:-6], one.note) for one in found] == [("00", ""), ("10", requeue.GONE), ("20", ""), ("30", "")]
    assert len(read) == 4


def test_deletions_are_shown_before_they_are_made(world: World, crm: System, command: Run) -> None:
    for n in range(12):
        del crm.tables[f"t{n:02}"]
    world.scan("crm")
    world.settle()
    assert "12 assets gone from the source and not deleted" in command("status")
    told = command("approve", "crm", "--dry-run")
    assert "12 assets gone" in told
    assert not world.work
    with pytest.raises(UsageError, match="nobody is there to say yes"):
        command("approve", "crm")
    command("approve", "crm", "--yes")
    world.settle()
    assert len(world.sent()) == 12
    assert "nothing waits" in command("approve", "crm", "--dry-run")
    world.configure("crm", enabled=False)
    assert "11 assets published by crm alone" in command("retire", "crm", "--dry-run")
    assert world.sent() == []
    del world.instances["crm"]
    world._app = None
    assert "./hookline retire crm" in command("status")
    command("retire", "crm", "--yes")
    assert len(world.sent()) == 11
    world.settle()
    assert "retire" not in command("status"), "nothing of it is left"
