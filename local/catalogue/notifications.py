"""ENTITY_NOTIFICATION_V2, as Purview sends it to the notification hub (shape: devlace/purview-pubsub captures)."""

from __future__ import annotations

from typing import Any

from local.catalogue.changes import Changes
from local.catalogue.store import Entity, Store, encode, now


def events(store: Store, changes: Changes) -> list[dict[str, Any]]:
    """One envelope for each entity that a batch created, changed or deleted.

    A shell counts when something links to it, not when it is made (EntityGraphMapper.recordEntityUpdate).
    """
    created = {i: "ENTITY_CREATE" for i in changes.created if i not in changes.deleted}
    updated = {i: "ENTITY_UPDATE" for i in changes.updated if i not in changes.deleted}
    deleted = dict.fromkeys(changes.deleted, "ENTITY_DELETE")
    operations = {**created, **updated, **deleted}
    entities = store.by_ids(operations)
    return [_event(operation, entities[i]) for i, operation in operations.items()]


def queue(store: Store, batch: list[dict[str, Any]]) -> None:
    """Put events into the store, in the transaction of the change itself: none is lost, whatever stops when."""
    for event in batch:
        store.queue_notification(encode(event))


def _event(operation: str, entity: Entity) -> dict[str, Any]:
    moment = now()
    return {
        "version": {"version": "1.0.0", "versionParts": [1]},
        "msgCompressionKind": "NONE",
        "msgSplitIdx": 1,
        "msgSplitCount": 1,
        "msgSourceIP": "127.0.0.1",
        "msgCreatedBy": "",
        "msgCreationTime": moment,
        "message": {
            "type": "ENTITY_NOTIFICATION_V2",
            "operationType": operation,
            "eventTime": moment,
            "entity": {
                "typeName": entity.type,
                "guid": entity.guid,
                "status": "DELETED" if operation == "ENTITY_DELETE" else "ACTIVE",
                "displayText": entity.name or entity.qn,
                "isIncomplete": bool(entity.incomplete),
                "attributes": {"name": entity.name or None, "qualifiedName": entity.qn},
            },
        },
    }
