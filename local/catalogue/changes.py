"""What a batch changes, and deletion, which both writing and REST need."""

from __future__ import annotations

from local.catalogue.store import Store
from local.catalogue.typedefs import Reference, Types


class Changes:
    """What a batch did, by row id, in order. assignments: local guid -> guid. ignored: `type.attribute`, unknown."""

    def __init__(self) -> None:
        self.created: dict[int, None] = {}
        self.updated: dict[int, None] = {}
        self.deleted: dict[int, None] = {}
        self.assignments: dict[str, str] = {}
        self.ignored: dict[str, None] = {}

    def touch(self, entity_id: int) -> None:
        if entity_id not in self.created:
            self.updated[entity_id] = None


def delete(store: Store, types: Types, entity_id: int, changes: Changes) -> None:
    """Soft delete of an entity and all that it owns; its relationships are deleted with it."""
    stack = [entity_id]
    while stack:
        current = stack.pop()
        if current in changes.deleted:
            continue
        store.mark_deleted(current)
        changes.deleted[current] = None
        for relation in store.relations(current):
            if relation.deleted:
                continue
            store.set_relation(relation, deleted=True)
            side = 0 if relation.end1 == current else 1
            other = relation.end2 if side == 0 else relation.end1
            if Reference(types.relationship(relation.name), side).owns:
                stack.append(other)
            else:
                changes.touch(other)
