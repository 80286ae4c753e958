"""See the package's docstring."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.promises import arrival, neighbours, order, people, stale
from tests.promises.promise import Promise
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import World, world  # noqa: F401

PROMISES = [*arrival.PROMISES, *order.PROMISES, *stale.PROMISES, *neighbours.PROMISES, *people.PROMISES]
PAGE = Path(__file__).parents[2] / "docs" / "promises.md"
HEAD = "| Promise | What keeps it |\n|---|---|\n"

promises = pytest.mark.parametrize("promise", PROMISES, ids=lambda p: p.play.__name__.strip("_"))


@promises
def test_it_is_kept(promise: Promise, world: World) -> None:
    promise.play(world)


@promises
def test_without_its_mechanism_it_is_not(promise: Promise, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    promise.off(monkeypatch)
    with pytest.raises(AssertionError):
        promise.play(world)


def test_the_page_tells_them_all() -> None:
    rows = "".join(f"| {promise.said} | {promise.mechanism} |\n" for promise in PROMISES)
    before, _, rest = PAGE.read_text("utf-8").partition(HEAD)
    _, _, after = rest.partition("\n\n")
    page = f"{before}{HEAD}{rows}\n{after}"
    if os.environ.get("HOOKLINE_UPDATE_GOLDEN"):
        PAGE.write_text(page, "utf-8")
    assert PAGE.read_text("utf-8") == page, "HOOKLINE_UPDATE_GOLDEN=1 writes the table anew"
