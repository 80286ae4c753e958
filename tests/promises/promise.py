"""What a promise is: a play in the World that has to come out well, and the mechanism without which it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.support.world import System, Table, World


class Promise(NamedTuple):
    """said: the sentence, as docs/promises.md has it.

    play: raises AssertionError where the promise is broken. mechanism: what keeps it, in words; off: takes it away.
    """

    said: str
    mechanism: str
    play: Callable[[World], None]
    off: Callable[[pytest.MonkeyPatch], None]


def shop(world: World, *, options: dict[str, object] | None = None) -> System:
    """Three tables and a view of one of them."""
    system = world.system("crm", **(options or {}))
    system.tables.update(
        {
            "orders": Table("id", "customer"),
            "customers": Table("id", "name"),
            "parts": Table("id"),
            "big": Table("id", sql="SELECT id FROM orders", reads=("orders",)),
        }
    )
    return system


def scanned(world: World, instance: str = "crm") -> list[str]:
    """A scan through to its end; what it sent."""
    world.sent()
    world.scan(instance)
    world.settle()
    return world.sent()


def deletions(sent: list[str]) -> list[str]:
    return [line for line in sent if line.startswith("delete ")]
