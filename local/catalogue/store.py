"""SQLite behind the catalogue: entities, relationships, typedefs, what was dropped, checkpoints, notifications to send.

One connection under one lock: a hook message is one or a few transactions, and readers wait for the end of one.
Deletes are soft, as in Atlas: rows stay with `deleted` set, and the same name may then be taken by a new guid.
"""

from __future__ import annotations

import sqlite3
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entity (
  id INTEGER PRIMARY KEY, guid TEXT NOT NULL UNIQUE, type TEXT NOT NULL, qn TEXT NOT NULL, name TEXT NOT NULL,
  deleted INTEGER NOT NULL DEFAULT 0, incomplete INTEGER NOT NULL DEFAULT 0, doc BLOB NOT NULL,
  created INTEGER NOT NULL, updated INTEGER NOT NULL, collection TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS entity_qn ON entity (qn);
CREATE INDEX IF NOT EXISTS entity_type ON entity (deleted, type, name);
CREATE TABLE IF NOT EXISTS relation (
  id INTEGER PRIMARY KEY, guid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, end1 INTEGER NOT NULL, end2 INTEGER NOT NULL,
  deleted INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS relation_end1 ON relation (end1, name);
CREATE INDEX IF NOT EXISTS relation_end2 ON relation (end2, name);
CREATE TABLE IF NOT EXISTS typedef (category TEXT, name TEXT, doc BLOB NOT NULL, PRIMARY KEY (category, name));
CREATE TABLE IF NOT EXISTS collection (name TEXT PRIMARY KEY, friendly TEXT NOT NULL, parent TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS dropped (
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, subject TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
  time INTEGER NOT NULL, sample TEXT NOT NULL, UNIQUE (kind, subject, reason));
CREATE TABLE IF NOT EXISTS checkpoint (hub TEXT, consumer_group TEXT, part TEXT, position TEXT NOT NULL,
  PRIMARY KEY (hub, consumer_group, part));
CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
"""
_COLUMNS = "id, guid, type, qn, name, deleted, incomplete, doc, created, updated, collection"
MAX_DROPPED = 10_000
MAX_SAMPLE = 4_000

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode


class Entity(NamedTuple):
    """A row. doc: JSON of attributes, customAttributes, labels, classifications, contacts, businessAttributes."""

    id: int
    guid: str
    type: str
    qn: str
    name: str
    deleted: int
    incomplete: int
    doc: bytes
    created: int
    updated: int
    collection: str

    @property
    def parts(self) -> dict[str, Any]:
        value: dict[str, Any] = decode(self.doc)
        return value


class Relation(NamedTuple):
    """A row: relationship `name` between the entities with ids end1 and end2."""

    id: int
    guid: str
    name: str
    end1: int
    end2: int
    deleted: int


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Store:
    """Opened on a file; `transaction()` around every change; safe to share between threads."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, cached_statements=256)
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)

    def close(self) -> None:
        with self.lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; a transaction inside another one is part of it."""
        with self.lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        with self.lock:
            return self._db.execute(sql, parameters).fetchall()

    def value(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        found = self.rows(sql, parameters)
        return found[0][0] if found else None

    # entities

    def entities(self, where: str, parameters: Sequence[Any] = ()) -> list[Entity]:
        """Rows for a condition; `where` is written in this package, values go through parameters."""
        return [Entity._make(row) for row in self.rows(f"SELECT {_COLUMNS} FROM entity WHERE {where}", parameters)]  # noqa: S608

    def by_guid(self, guid: str) -> Entity | None:
        found = self.entities("guid = ?", (guid,))
        return found[0] if found else None

    def by_qualified_name(self, qn: str) -> list[Entity]:
        """Living entities of any type with that name, complete ones first."""
        return self.entities("qn = ? AND deleted = 0 ORDER BY incomplete, id", (qn,))

    def by_ids(self, ids: Iterable[int]) -> dict[int, Entity]:
        wanted, found = list(ids), {}
        for start in range(0, len(wanted), 500):
            chunk = wanted[start : start + 500]
            marks = ",".join("?" * len(chunk))
            found.update({e.id: e for e in self.entities(f"id IN ({marks})", chunk)})
        return found

    def insert(self, type_name: str, qn: str, name: str, parts: dict[str, Any], incomplete: bool) -> Entity:
        guid, moment, doc = str(uuid.uuid4()), now(), encode(parts)
        with self.lock:
            cursor = self._db.execute(
                "INSERT INTO entity (guid, type, qn, name, incomplete, doc, created, updated)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (guid, type_name, qn, name, int(incomplete), doc, moment, moment),
            )
        row = cursor.lastrowid or 0
        return Entity(row, guid, type_name, qn, name, 0, int(incomplete), doc, moment, moment, "")

    def update(self, entity: Entity, qn: str, name: str, parts: dict[str, Any]) -> None:
        self.rows(
            "UPDATE entity SET qn = ?, name = ?, doc = ?, incomplete = 0, updated = ? WHERE id = ?",
            (qn, name, encode(parts), now(), entity.id),
        )

    def mark_deleted(self, entity_id: int) -> None:
        self.rows("UPDATE entity SET deleted = 1, updated = ? WHERE id = ?", (now(), entity_id))

    # relationships

    def relations(self, entity_id: int, name: str | None = None, side: int | None = None) -> list[Relation]:
        """Relationships of an entity, deleted ones included; of one name, and with the entity at one end, if given."""
        found = []
        for end in (0, 1) if side is None else (side,):
            condition = f"end{end + 1} = ?" + ("" if name is None else " AND name = ?")
            values = (entity_id,) if name is None else (entity_id, name)
            rows = self.rows(f"SELECT id, guid, name, end1, end2, deleted FROM relation WHERE {condition}", values)  # noqa: S608
            found += [Relation._make(row) for row in rows]
        return found

    def relate(self, name: str, end1: int, end2: int) -> None:
        self.rows(
            "INSERT INTO relation (guid, name, end1, end2) VALUES (?, ?, ?, ?)", (str(uuid.uuid4()), name, end1, end2)
        )

    def set_relation(self, relation: Relation, *, deleted: bool) -> None:
        self.rows("UPDATE relation SET deleted = ? WHERE id = ?", (int(deleted), relation.id))

    # typedefs

    def save_typedefs(self, definitions: dict[str, list[dict[str, Any]]]) -> None:
        with self.transaction():
            for category, listed in definitions.items():
                for definition in listed or []:
                    self.rows(
                        "INSERT OR REPLACE INTO typedef (category, name, doc) VALUES (?, ?, ?)",
                        (category, definition["name"], encode(definition)),
                    )

    def typedefs(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for category, doc in self.rows("SELECT category, doc FROM typedef ORDER BY rowid"):
            found.setdefault(category, []).append(decode(doc))
        return found

    def collections(self) -> list[tuple[str, str, str]]:
        """(name, friendly name, parent's name) of each, the root left out."""
        return self.rows("SELECT name, friendly, parent FROM collection ORDER BY name")

    # what Atlas would only write into its own logs

    def record_dropped(self, kind: str, subject: str, reason: str, sample: bytes) -> None:
        """Equal ones are counted, not repeated; the oldest give way."""
        text = sample[:MAX_SAMPLE].decode("utf-8", "replace")
        with self.transaction():
            self.rows(
                "INSERT INTO dropped (kind, subject, reason, count, time, sample) VALUES (?, ?, ?, 1, ?, ?)"
                " ON CONFLICT DO UPDATE SET count = count + 1, time = excluded.time, sample = excluded.sample",
                (kind, subject[:500], reason[:2000], now(), text),
            )
            self.rows("DELETE FROM dropped WHERE id <= (SELECT max(id) FROM dropped) - ?", (MAX_DROPPED,))

    def dropped(self, kind: str = "", limit: int = 200) -> list[dict[str, Any]]:
        keys = ("id", "kind", "subject", "reason", "count", "time", "sample")
        rows = self.rows(
            "SELECT id, kind, subject, reason, count, time, sample FROM dropped WHERE ? IN ('', kind)"
            " ORDER BY time DESC, id DESC LIMIT ?",
            (kind, limit),
        )
        return [dict(zip(keys, row, strict=True)) for row in rows]

    # Event Hubs

    def checkpoints(self, hub: str, group: str) -> dict[str, str]:
        return dict(
            self.rows("SELECT part, position FROM checkpoint WHERE hub = ? AND consumer_group = ?", (hub, group))
        )

    def save_checkpoint(self, hub: str, group: str, partition: str, position: str) -> None:
        self.rows("INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?, ?)", (hub, group, partition, position))

    def queue_notification(self, body: bytes) -> None:
        self.rows("INSERT INTO outbox (body) VALUES (?)", (body,))

    def notifications(self, limit: int) -> list[tuple[int, bytes]]:
        return self.rows("SELECT id, body FROM outbox ORDER BY id LIMIT ?", (limit,))

    def forget_notifications(self, last: int) -> None:
        self.rows("DELETE FROM outbox WHERE id <= ?", (last,))
