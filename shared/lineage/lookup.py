"""Columns of tables that the caller knows: a mapping of all of them, or one by one where that would be too large."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

_PART = re.compile(r'"[^"]+"|`[^`]+`|\[[^\]]+\]|[^."`\[\]]+')


class Lookup(Protocol):
    """What `analyze` takes as `schemas`. Never raises."""

    def columns(self, parts: tuple[str, ...], *, positions: bool) -> Sequence[str] | None:
        """Columns of the table of this name, as the script says it with the defaults in front; None: not known.

        positions: only their order is asked for; None, where just the names are known.
        """


def given(schemas: Mapping[Any, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Tables of `{"schema.table": {"column": "type"}}`, as name parts in lower case with their columns.

    Parts may be quoted, columns a list, and databases or schemas a level of their own: {"schema": {"table": {..}}}.
    """
    for name, below in schemas.items():
        parts = (*above, *(p.strip('"`[]').lower() for p in _PART.findall(str(name))))
        if isinstance(below, Mapping) and below and all(isinstance(v, (Mapping, list, tuple)) for v in below.values()):
            yield from given(below, parts)
        elif isinstance(below, (Mapping, list, tuple)) and parts:
            yield parts, [str(column) for column in below]
