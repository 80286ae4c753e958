"""`azurite`: a storage emulator for each module of tests. `from tests.support.azurite import azurite` to use it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.azurite import Azurite, start

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def azurite() -> Iterator[Azurite]:
    """A running Azurite in memory, on free ports, installed below `.hookline` on first use."""
    with start((0, 0, 0), CHECKOUT / ".hookline") as storage:
        yield storage
