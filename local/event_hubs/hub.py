"""Hubs, partitions and what is kept of them.

A partition is an append-only table in an SQLite database of its own: `<data>/<hub>/<partition>.db`, or in memory.
SQLite brings what a partition needs and a plain file does not: whole batches or nothing when the process is killed,
space of dropped events used again, and a lock that keeps a second process out. Kept are at most `retention` bytes of
events; the oldest go first, with a logged line.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from local.event_hubs.codec import AmqpError
from local.event_hubs.selector import InvalidSelector, Position
from shared.errors import SettingsError

log = logging.getLogger(__name__)

DEFAULT_GROUP = "$Default"
#: bytes of events kept per partition on disk
DISK_RETENTION = 1024**3
#: bytes of events kept in memory by all partitions together
MEMORY_RETENTION = 256 * 1024**2
#: when a partition is full, this share of it is dropped at once, so that not every event costs a deletion
_DROPPED_SHARE = 8
_HUB_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,254}[A-Za-z0-9])?")
_MAX_PARTITIONS = 1024
_PRAGMAS = ("page_size = 16384", "locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL")
_TABLE = """
CREATE TABLE IF NOT EXISTS events (
    sequence INTEGER PRIMARY KEY, "offset" INTEGER NOT NULL, enqueued INTEGER NOT NULL, partition_key TEXT,
    message BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS by_offset ON events ("offset");
CREATE INDEX IF NOT EXISTS by_enqueued ON events (enqueued);
"""
_FIRST = 'SELECT sequence, "offset" FROM events ORDER BY sequence LIMIT 1'


class Event(NamedTuple):
    """A stored event: sequence numbers count from 0, the offset is the bytes stored before it, enqueued is ms UTC."""

    sequence: int
    offset: int
    enqueued: int
    partition_key: str | None
    message: bytes


class Reader(Protocol):
    """A consumer that waits at a partition; `pump` is called when there is something new."""

    group: str
    epoch: int | None

    def pump(self) -> None: ...


class Partition:
    """Not thread-safe: opened, used and closed by the server's thread."""

    def __init__(self, name: str, path: Path | None, retention: int) -> None:
        self.name = name
        self.readers: list[Reader] = []
        self._retention = retention
        self._db = _database(path)
        self.first_sequence: int
        self.last_sequence: int
        self.last_offset: int
        self.last_enqueued: int
        self._first_offset: int
        self.first_sequence, self._first_offset = self._db.execute(_FIRST).fetchone() or (0, 0)
        self.last_sequence, self.last_offset, self.last_enqueued, length = self._db.execute(
            'SELECT sequence, "offset", enqueued, length(message) FROM events ORDER BY sequence DESC LIMIT 1'
        ).fetchone() or (-1, -1, 0, 1)
        self._end = self.last_offset + length

    @property
    def empty(self) -> bool:
        return self.last_sequence < self.first_sequence

    def append(self, messages: Sequence[bytes], partition_key: str | None) -> None:
        """Store events, all or none, and wake the readers. Raises sqlite3.Error (disk full)."""
        now = max(time.time_ns() // 1_000_000, self.last_enqueued)
        rows, end = [], self._end
        for sequence, message in enumerate(messages, self.last_sequence + 1):
            rows.append(Event(sequence, end, now, partition_key, message))
            end += len(message)
        if not rows:
            return
        with self._db:
            self._db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?)", rows)
        _, self.last_offset, self.last_enqueued, _, _ = rows[-1]
        self.last_sequence, self._end = rows[-1].sequence, end
        if self._end - self._first_offset > self._retention:
            self._drop_oldest()
        for reader in tuple(self.readers):
            reader.pump()

    def _drop_oldest(self) -> None:
        kept_from = self._end - self._retention + self._retention // _DROPPED_SHARE
        with self._db:
            dropped = self._db.execute(
                'DELETE FROM events WHERE "offset" < ? AND sequence < ?', (kept_from, self.last_sequence)
            ).rowcount
        self.first_sequence, self._first_offset = self._db.execute(_FIRST).fetchone()
        log.warning(
            "partition %s holds its %d bytes: the %d oldest events were dropped, it now starts at sequence number %d",
            self.name,
            self._retention,
            dropped,
            self.first_sequence,
        )

    def read(self, after: int) -> Iterator[Event]:
        """The events whose sequence number is greater than `after`, in order, fetched as they are asked for."""
        for row in self._db.execute("SELECT * FROM events WHERE sequence > ? ORDER BY sequence", (after,)):
            yield Event(*row)

    def locate(self, position: Position) -> int:
        """The sequence number after which a consumer at `position` starts reading.

        Raises InvalidSelector for an offset or sequence number beyond the last one, as Event Hubs does (seen in
        github.com/Azure/azure-sdk-for-net/issues/28244): a checkpoint outlived the hub it was taken from.
        """
        if position.by == "latest":
            return self.last_sequence
        for by, name, last in (
            ("offset", "offset", self.last_offset),
            ("sequence", "sequence number", self.last_sequence),
        ):
            if position.by == by and position.value > last:
                raise InvalidSelector(
                    f"The supplied {name} '{position.value}' is invalid. The last {name} in the system is '{last}'"
                )
        column = {"offset": '"offset"', "sequence": "sequence", "enqueued": "enqueued"}[position.by]
        operator = "<" if position.inclusive else "<="
        row = self._db.execute(
            f"SELECT sequence FROM events WHERE {column} {operator} ? ORDER BY {column} DESC, sequence DESC LIMIT 1",  # noqa: S608 - column and operator are ours
            (position.value,),
        ).fetchone()
        return int(row[0]) if row else self.first_sequence - 1

    def close(self) -> None:
        self._db.close()


def _database(path: Path | None) -> sqlite3.Connection:
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path or ":memory:", timeout=0)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, error) from error
    try:
        for pragma in _PRAGMAS:
            db.execute(f"PRAGMA {pragma}").fetchall()
        db.executescript(_TABLE)
    except sqlite3.Error as error:
        db.close()
        raise _unusable(path, error) from error
    return db


def _unusable(path: Path | None, error: Exception) -> SettingsError:
    return SettingsError(
        f"the events cannot be opened ({error})",
        where=str(path),
        fix="stop the other process that uses this directory" if "locked" in str(error) else "choose another directory",
    )


class Hub:
    """One event hub: its partitions and the names of its consumer groups."""

    def __init__(
        self, name: str, partitions: int, *, data: Path | None, retention: int, consumer_groups: Sequence[str] = ()
    ) -> None:
        if not _HUB_NAME.fullmatch(name) or not 1 <= partitions <= _MAX_PARTITIONS:
            raise SettingsError(
                f"hub {name!r} with {partitions} partitions is not possible",
                fix=f"letters, digits, '.', '-' and '_' in the name; 1 to {_MAX_PARTITIONS} partitions",
            )
        folder = data / name.lower() if data else None
        stored = sum(1 for _ in folder.glob("*.db")) if folder and folder.is_dir() else 0
        if stored > partitions:
            raise SettingsError(
                f"hub {name!r} has {stored} partitions of events; {partitions} would leave some unread",
                where=str(folder),
                fix=f"start it with at least {stored} partitions, or remove the directory",
            )
        self.name = name
        self.created = time.time_ns() // 1_000_000
        self.consumer_groups = {group.lower() for group in (DEFAULT_GROUP, *consumer_groups)}
        self._turn = -1
        self.partitions: list[Partition] = []
        try:
            for index in range(partitions):
                path = folder / f"{index}.db" if folder else None
                self.partitions.append(Partition(f"{name}/{index}", path, retention))
        except SettingsError:
            self.close()
            raise

    def partition(self, number: str) -> Partition:
        """Raises AmqpError when there is no such partition."""
        if not (number.isascii() and number.isdigit() and int(number) < len(self.partitions)):
            raise AmqpError(
                "com.microsoft:argument-out-of-range",
                "The specified partition is invalid for an EventHub partition sender or receiver. "
                f"It should be between 0 and {len(self.partitions) - 1}.",
            )
        return self.partitions[int(number)]

    def route(self, partition_key: str | None) -> Partition:
        """The partition of a key (always the same one), or the next one in turn.

        Event Hubs hashes in a way of its own; that one key stays in one partition is all a client may rely on.
        """
        if partition_key is not None:
            return self.partitions[zlib.crc32(partition_key.encode()) % len(self.partitions)]
        self._turn = (self._turn + 1) % len(self.partitions)
        return self.partitions[self._turn]

    def close(self) -> None:
        for partition in self.partitions:
            partition.close()
