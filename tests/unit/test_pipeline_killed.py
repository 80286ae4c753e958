"""The process killed between any two steps: before or after any call to storage, any message, any queue output.

A story of two scans is played, once for each place where it can die; then the triggers go on, leases run out, and in
the end the catalogue equals the source. A sample of the places here; HOOKLINE_EVERY_STEP=1 takes all of them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from local.azurite import Azurite
from local.catalogue.server import Running, running_catalogue
from shared import job_file
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import Dead, Table, World

EVERY = bool(os.environ.get("HOOKLINE_EVERY_STEP"))
SAMPLE = 14


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_catalogue(tmp_path_factory.mktemp("catalogue")) as running:
        yield running


@pytest.fixture
def play(
    azurite: Azurite,
    catalogue: Running,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str, Callable[[World], None]], World]:
    """Plays the story in a world of its own, whose system has the given name."""

    @contextmanager
    def clock() -> Iterator[pytest.MonkeyPatch]:
        with monkeypatch.context() as patched:
            patched.setattr(job_file, "PART_RECORDS", 6)
            yield patched

    def once(name: str, spoil: Callable[[World], None]) -> World:
        with ExitStack() as stack:
            world = World(azurite, catalogue, tmp_path, stack.enter_context(clock()))
            stack.callback(world.close)
            story(world, name, spoil)
            return world

    return once


def story(world: World, name: str, spoil: Callable[[World], None]) -> None:
    """Two scans; between them a table comes, one goes, one loses a column, one changes, a view goes."""
    crm = world.system(name)
    crm.incremental = False
    crm.cursor_every = 1
    crm.tables.update({f"t{n}": Table("id", "a", "b") for n in range(5)})
    crm.tables["v"] = Table("id", sql="select id from t0", reads=["t0"])
    crm.tables["w"] = Table("id", sql="select id from t1", reads=["t1"])
    spoil(world)
    survive(world, lambda: world.scan(name))
    survive(world, world.settle)
    crm.tables["new"] = Table("id")
    del crm.tables["t2"]
    del crm.tables["w"]
    crm.tables["t1"].columns.remove("b")
    crm.tables["t3"].description = "changed"
    survive(world, lambda: world.scan(name))
    survive(world, world.settle)
    rows = [row for _, row in world.app.scans.of(name)]
    assert [row.current.state for row in rows if row.current is not None] == ["finished"]
    assert world.poison == []
    world.check()
    assert world.reads("v", name) == {"t0"}
    for row in rows:
        # not ahead of what is durable: the last scan has read up to the last table, and all of it is in landing
        assert row.current is not None
        assert row.watermark == "w-v"
        assert len([p for p in world.landed() if row.current.id in p]) == row.current.parts
    world.sent()
    world.faults.countdown = -1
    world.scan(name)
    world.settle()
    assert world.sent() == [], "what was published is known"


def survive(world: World, act: Callable[[], object]) -> None:
    """Another process takes over as often as one dies."""
    for _ in range(100):
        try:
            act()
        except Dead:
            world.revive()
        else:
            return
    raise AssertionError("it dies again and again")


def places() -> list[tuple[int, bool]]:
    """(step, after it was carried out). The story has about 330 steps; a later one kills nothing: the test says so."""
    every = [(step, after) for step in range(420) for after in (False, True)]
    return every if EVERY else sorted(random.Random(20).sample(every[:640], SAMPLE))


@pytest.mark.parametrize(("step", "after"), places())
def test_killed_once(play: Callable[[str, Callable[[World], None]], World], step: int, after: bool) -> None:
    world = play(f"s{step}{'ab'[after]}", lambda world: world.faults.die(step, after=after))
    assert world.faults.steps > step or EVERY


@pytest.mark.parametrize("seed", range(3 if not EVERY else 40))
def test_killed_again_and_again(play: Callable[[str, Callable[[World], None]], World], seed: int) -> None:
    chance = random.Random(seed)
    deaths = 0

    def spoil(world: World) -> None:
        revive = world.revive

        def again() -> None:
            nonlocal deaths
            deaths += 1
            revive()
            if deaths < 8:
                world.faults.die(chance.randrange(5, 90), after=chance.random() < 0.5)

        world.revive = again  # type: ignore[method-assign]
        world.faults.die(chance.randrange(5, 90), after=True)

    play(f"r{seed}", spoil)
    assert deaths >= 4
