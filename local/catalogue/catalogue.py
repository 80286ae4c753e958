"""The catalogue itself: takes hook messages and REST writes, without Event Hubs and without HTTP.

    outcome = Catalogue(Store(path)).apply(message_bytes)

A hook message gets no answer. What Atlas would drop is dropped, and noted where only a person looks (store.dropped):
`skipped` (passed over with a log line), `failed` (failed.log), `lost` (part of a message that was taken), `ignored`
(attributes that the type does not have).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import msgspec

from local.catalogue import notifications, preprocess
from local.catalogue.changes import Changes, delete
from local.catalogue.envelope import Envelopes, Skipped
from local.catalogue.errors import AtlasError, invalid, unknown_guid, unknown_name
from local.catalogue.store import Entity, Store
from local.catalogue.typedef_rules import check_changed, check_new
from local.catalogue.typedefs import Definitions, Types
from local.catalogue.upsert import Upsert

Json = dict[str, Any]
#: atlas.notification.consumer.commit.batch.size
BATCH = 50


class Outcome(msgspec.Struct, kw_only=True):
    """What became of a message: guids by what happened to them, and what the sender will never hear.

    status: applied; partial (first batches committed, rest lost); dropped; skipped; pending (part of a split message)
    lost:   names of entities that vanished from a message that was applied
    """

    status: Literal["applied", "partial", "dropped", "skipped", "pending"] = "applied"
    type: str = ""
    reason: str = ""
    created: list[str] = msgspec.field(default_factory=list)
    updated: list[str] = msgspec.field(default_factory=list)
    deleted: list[str] = msgspec.field(default_factory=list)
    assignments: dict[str, str] = msgspec.field(default_factory=dict)
    ignored: list[str] = msgspec.field(default_factory=list)
    lost: list[str] = msgspec.field(default_factory=list)
    events: list[Json] = msgspec.field(default_factory=list)


class Catalogue:
    """notify: put an event for each change into the store, for `consumer.Notifier` to send."""

    def __init__(self, store: Store, *, notify: bool = False, envelopes: Envelopes | None = None) -> None:
        self.store = store
        self.types = Types.bundled().added(store.typedefs())
        self.queued = threading.Event()
        #: calls of its REST API, by what they ask for; counted for tests of how often it is asked
        self.calls: Counter[str] = Counter()
        self._notify = notify
        self._envelopes = envelopes or Envelopes()
        #: collections in which the caller has no role
        self.closed: set[str] = set()

    # the hook

    def apply(self, body: bytes) -> Outcome:
        """Consume one hook message. Never raises for what is in it."""
        outcome = Outcome()
        for key in self._envelopes.lost_sets():
            self.store.record_dropped("skipped", key, "split message given up: incomplete", b"")
        try:
            message = self._envelopes.open(body)
            if message is None:
                outcome.status = "pending"
                return outcome
            outcome.type = str(message.get("type"))
            apply = self._operations().get(outcome.type)
            if apply is None:
                raise Skipped(f"unknown notification type {outcome.type}; Purview documents the four ENTITY_*_V2")
            apply(message, outcome)
        except Skipped as skipped:
            outcome.status, outcome.reason = "skipped", str(skipped)
            self.store.record_dropped("skipped", outcome.type, outcome.reason, body)
        except AtlasError as error:
            done = outcome.created or outcome.updated or outcome.deleted
            outcome.status = "partial" if done else "dropped"
            outcome.reason = error.message
            self.store.record_dropped("failed", f"{outcome.type} ({outcome.status})", error.message, body)
        for lost in outcome.lost:
            self.store.record_dropped("lost", outcome.type, lost, body)
        for name in outcome.ignored:
            self.store.record_dropped("ignored", name, "the type has no such attribute; the rest was taken", body)
        return outcome

    def _operations(self) -> dict[str, Callable[[Json, Outcome], None]]:
        return {
            "ENTITY_CREATE_V2": self._create,
            "ENTITY_FULL_UPDATE_V2": self._create,
            "ENTITY_PARTIAL_UPDATE_V2": self._partial_update,
            "ENTITY_DELETE_V2": self._delete,
        }

    def _create(self, message: Json, outcome: Outcome) -> None:
        top, referred = _with_referred(message.get("entities"), "entities")
        preprocess.move_owned(top, referred)
        pool = _pool(top, referred, outcome.lost)
        for start in range(0, len(top), BATCH):
            with self._change(outcome) as changes:
                changes.assignments.update(outcome.assignments)
                upsert = Upsert(self.store, self.types, changes, shells=True, partial=False)
                upsert.write(top[start : start + BATCH], pool)
            outcome.assignments = changes.assignments
        outcome.lost += [
            f"{_shown(entity)}: in referredEntities, but no top-level entity leads to it by guid"
            for guid, entity in referred.items()
            if guid not in outcome.assignments
        ]

    def _partial_update(self, message: Json, outcome: Outcome) -> None:
        target = message.get("entityId")
        body = message.get("entity")
        if not isinstance(target, dict) or not isinstance(body, dict) or not isinstance(body.get("entity"), dict):
            raise Skipped("a partial update without entityId or entity.entity")
        (entity,), referred = _with_referred({**body, "entities": [body["entity"]]}, "entity")
        found = self.named(str(target.get("typeName")), target.get("uniqueAttributes"))
        entity = {**entity, "guid": found.guid, "typeName": entity.get("typeName") or found.type}
        with self._change(outcome) as changes:
            upsert = Upsert(self.store, self.types, changes, shells=True, partial=True)
            upsert.write([entity], {**referred, found.guid: entity})

    def _delete(self, message: Json, outcome: Outcome) -> None:
        entities = message.get("entities")
        if not isinstance(entities, list) or not all(isinstance(entity, dict) for entity in entities):
            raise Skipped("the entities of a delete are a flat list")
        for entity in entities:
            self.types.entity(entity.get("typeName"))
            try:
                found = self.named(entity["typeName"], entity.get("uniqueAttributes"))
            except AtlasError as error:
                if not isinstance(entity.get("uniqueAttributes"), dict):
                    raise
                self.store.record_dropped("ignored", outcome.type, f"nothing to delete: {error.message}", b"")
                continue
            with self._change(outcome) as changes:
                delete(self.store, self.types, found.id, changes)

    # REST

    def upsert(self, entities: Json, *, partial: bool = False) -> Outcome:
        """AtlasEntitiesWithExtInfo in one transaction; raises AtlasError instead of dropping."""
        outcome = Outcome()
        try:
            top, referred = _with_referred(entities, "entities")
        except Skipped as skipped:
            raise invalid(str(skipped)) from None
        pool = _pool(top, referred, outcome.lost)
        with self._change(outcome) as changes:
            Upsert(self.store, self.types, changes, shells=False, partial=partial).write(top, pool)
            outcome.assignments = changes.assignments
        return outcome

    def delete(self, entities: Iterable[Entity]) -> Outcome:
        """Soft delete; what is deleted already is left alone."""
        outcome = Outcome()
        with self._change(outcome) as changes:
            for entity in entities:
                if not entity.deleted:
                    delete(self.store, self.types, entity.id, changes)
        return outcome

    def named(self, type_name: str, unique: Any) -> Entity:
        """The living entity of that type or a subtype; raises AtlasError (404)."""
        self.types.entity(type_name)
        qn = unique.get("qualifiedName") if isinstance(unique, dict) else None
        for entity in self.store.by_qualified_name(qn) if isinstance(qn, str) else []:
            if self.types.is_a(entity.type, type_name):
                return entity
        raise unknown_name(type_name, qn)

    def get(self, guid: str) -> Entity:
        """Deleted ones too; raises AtlasError (404)."""
        entity = self.store.by_guid(guid)
        if entity is None:
            raise unknown_guid(guid)
        return entity

    def add_types(self, definitions: Definitions, *, changed: bool) -> None:
        """POST (new ones only) or PUT (existing ones only) typedefs; raises AtlasError."""
        with self.store.lock:
            (check_changed if changed else check_new)(self.types, definitions)
            self.store.save_typedefs(definitions)
            self.types = self.types.added(definitions)

    @contextmanager
    def _change(self, outcome: Outcome) -> Iterator[Changes]:
        """A transaction; on success its changes are in the outcome, on an error nothing has happened."""
        changes = Changes()
        with self.store.transaction():
            yield changes
            self._finish(changes, outcome)
        self.queued.set()

    def _finish(self, changes: Changes, outcome: Outcome) -> None:
        """Inside the transaction: the events of the batch, into the outcome and the store."""
        batch = notifications.events(self.store, changes)
        if self._notify:
            notifications.queue(self.store, batch)
        by_operation = {"ENTITY_CREATE": outcome.created, "ENTITY_UPDATE": outcome.updated}
        for event in batch:
            guids = by_operation.get(event["message"]["operationType"], outcome.deleted)
            guids.append(event["message"]["entity"]["guid"])
        outcome.events += batch
        outcome.ignored += [name for name in changes.ignored if name not in outcome.ignored]


def _with_referred(entities: Any, key: str) -> tuple[list[Json], dict[str, Json]]:
    """Top-level and referred entities with string guids. Raises Skipped for what Jackson would not deserialize."""
    top = entities.get("entities") if isinstance(entities, dict) else None
    if not isinstance(entities, dict) or not top:
        raise Skipped(f"empty message: `{key}.entities` must be a list with entities in it")
    referred = entities.get("referredEntities") or {}
    if not isinstance(top, list) or not isinstance(referred, dict):
        raise Skipped(f"`{key}.entities` must be a list, `referredEntities` an object")
    for entity in [*top, *referred.values()]:
        parts = [entity.get(k) for k in ("attributes", "relationshipAttributes")] if isinstance(entity, dict) else [0]
        if not all(part is None or isinstance(part, dict) for part in parts):
            raise Skipped("an entity, its attributes or relationshipAttributes are no JSON object")
    listed = []
    for number, entity in enumerate(top):
        guid = entity.get("guid", f"-unnamed-{number}")
        if guid is None or guid == "":
            raise invalid(f"invalid guid {guid} of {_shown(entity)}")
        listed.append({**entity, "guid": str(guid)})
    return listed, {guid: {**entity, "guid": guid} for guid, entity in referred.items()}


def _pool(top: list[Json], referred: dict[str, Json], lost: list[str]) -> dict[str, Json]:
    """All entities of a message by guid. referredEntities come first, and the second of two with one guid is lost."""
    pool = dict(referred)
    for entity in top:
        kept = pool.setdefault(entity["guid"], entity)
        if kept is not entity:
            lost.append(f"{_shown(entity)}: another entity of the message has the same guid {entity['guid']}")
    return pool


def _shown(entity: Json) -> str:
    return f"{entity.get('typeName')} {(entity.get('attributes') or {}).get('qualifiedName')}"
