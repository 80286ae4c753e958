"""Columns of tables that are asked for by name, where a mapping of all of them would be too large."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Lookup(Protocol):
    """What `analyze` takes as `schemas`. Never raises."""

    def columns(self, parts: tuple[str, ...], *, positions: bool) -> Sequence[str] | None:
        """Columns of the table of this name, as the script says it with the defaults in front; None: not known.

        positions: only their order is asked for; None, where just the names are known.
        """
