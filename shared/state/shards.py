"""Rows about many assets, kept by the last part of their names: a few blobs, whatever the number of assets.

    shards = Shards(table, "answers", Entry)
    shards.get(shards.of(name))                      # {key: Entry}
    shards.update(shard, lambda rows: {**rows, ..})  # compare-and-set

The last part, in lower case, because assets that may be the same differ in everything before it (table or view, native
or relational type) and in case, but hardly ever in that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar
from zlib import crc32

from shared.naming import Name
from shared.state.blob_table import BlobTable

COUNT = 32
#: how old what a worker remembers of a shard may be
SECONDS = 30.0

T = TypeVar("T")


def leaf(name: Name) -> str:
    """The last part of a qualified name, in lower case."""
    return name.qualified_name.rstrip("/").rpartition("/")[2].casefold()


class Shards(Generic[T]):
    """One partition of a table, a row a shard. type: of what a shard holds by key."""

    def __init__(
        self, table: BlobTable, partition: str, type: type[T], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._table = table
        self._partition = partition
        self._type = dict[str, type]  # type: ignore[valid-type]
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[str, tuple[float, dict[str, T]]] = {}

    @staticmethod
    def of(name: Name) -> str:
        """The shard in which an asset of that name is, or anything that may be the same."""
        return f"{crc32(leaf(name).encode('utf-8', 'surrogatepass')) % COUNT:02d}"

    @staticmethod
    def key(name: Name) -> str:
        return f"{name.type_name} {name.qualified_name}"

    def get(self, shard: str, *, fresh: bool = False) -> dict[str, T]:
        """What the shard holds; not to be changed. Raises StorageBusy."""
        with self._lock:
            held = self._held.get(shard)
        if held is not None and not fresh and self._clock() - held[0] < SECONDS:
            return held[1]
        rows, _ = self._table.get(self._partition, shard, type=self._type)
        return self._hold(shard, rows or {})

    def update(self, shard: str, change: Callable[[dict[str, T]], dict[str, T] | None]) -> dict[str, T]:
        """Change a shard; None leaves it as it is. Raises StorageBusy, Conflict."""
        changed = self._table.update(self._partition, shard, lambda rows: change(rows or {}), type=self._type)
        return self._hold(shard, changed or {})

    def all(self) -> Iterator[tuple[str, dict[str, T]]]:
        """Every shard that holds anything, as it is now."""
        for shard in sorted(self._table.names(self._partition)):
            if rows := self.get(shard, fresh=True):
                yield shard, rows

    def _hold(self, shard: str, rows: dict[str, T]) -> dict[str, T]:
        with self._lock:
            self._held[shard] = (self._clock(), rows)
        return rows
