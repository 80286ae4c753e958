"""Writing a batch of entities as Atlas does: discover, resolve, validate, create or update, link.

Read in org.apache.atlas.repository.store.graph.v2 (AtlasEntityGraphDiscoveryV2, IDBasedEntityResolver,
UniqAttrBasedEntityResolver, AtlasEntityStoreV2.preCreateOrUpdate, EntityGraphMapper), and measured:
- only top-level entities, and those they reach through guids, are walked; the other referredEntities are lost silently;
- an entity is found again by type and qualifiedName; attributes that are absent stay, null clears;
- a list of references replaces the old one, and what a COMPOSITION parent no longer lists is deleted;
- a soft-deleted lineage edge is not revived by sending it again.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from local.catalogue import values
from local.catalogue.changes import Changes, delete
from local.catalogue.errors import invalid, unknown_reference, wrong_end
from local.catalogue.store import Entity, Store
from local.catalogue.typedefs import EntityType, Reference, Types

Json = dict[str, Any]
LINEAGE = frozenset({"dataset_process_inputs", "process_dataset_outputs"})
_KEY = re.compile(r"[a-zA-Z0-9_-]*\Z")
_CARRIED = ("customAttributes", "labels", "contacts", "businessAttributes")


class _Prepared(NamedTuple):
    """An entity of the message with its type; references: attribute name -> value as sent (None, one or a list)."""

    key: str
    raw: Json
    type: EntityType
    references: dict[str, Any]


class Upsert:
    """One batch. Every method may raise AtlasError; the caller's transaction is then rolled back.

    shells:  create an incomplete entity for an unknown reference by unique attributes (the hook does, REST does not)
    partial: only what is present is validated (ENTITY_PARTIAL_UPDATE_V2)
    """

    def __init__(self, store: Store, types: Types, changes: Changes, *, shells: bool, partial: bool) -> None:
        self._store = store
        self._types = types
        self._changes = changes
        self._shells = shells
        self._partial = partial
        self._resolved: dict[str, Entity] = {}
        self._named: dict[tuple[str, str], Entity] = {}

    def write(self, top: Iterable[Json], pool: dict[str, Json]) -> None:
        """top: the entities of the batch; pool: all entities of the message by guid, references resolve in it."""
        prepared = self._discover(top, pool)
        checked = [(p, self._checked(p)) for p in prepared]
        for p, attributes in checked:
            self._put(p, attributes)
        for p in prepared:
            for name, value in p.references.items():
                self._link(p, name, value)

    # discover and resolve

    def _discover(self, top: Iterable[Json], pool: dict[str, Json]) -> list[_Prepared]:
        found: dict[str, _Prepared] = {}
        named: list[Json] = []
        queue: deque[str] = deque()
        for entity in top:
            self._types.entity(entity.get("typeName"))  # also of one whose guid is taken, which is then lost
            queue.append(entity["guid"])
        seen = set()
        while queue:
            key = queue.popleft()
            if key in seen:
                continue
            seen.add(key)
            if key in self._changes.assignments:  # written in an earlier batch of this message
                self._resolved[key] = self._living(self._changes.assignments[key])
                continue
            if not key.startswith("-"):
                self._resolved[key] = self._living(key)
            raw = pool.get(key)
            if raw is None:
                if key.startswith("-"):
                    raise unknown_reference(key)
                continue
            entity_type = self._types.entity(raw.get("typeName"))
            p = found[key] = _Prepared(key, raw, entity_type, _references(raw, entity_type))
            for value in p.references.values():
                for target in value if isinstance(value, list) else [value] if value is not None else []:
                    guid = _guid(target)
                    if guid is None:
                        named.append(target)
                    else:
                        queue.append(guid)
        for target in named:
            self._by_name(target)
        return list(found.values())

    def _living(self, guid: str) -> Entity:
        entity = self._store.by_guid(guid)
        if entity is None or entity.deleted:
            raise unknown_reference(guid)
        return entity

    def _by_name(self, target: Json) -> Entity:
        """The entity of that type, or of a subtype, with that qualifiedName; a shell where there is none."""
        type_name, unique = target.get("typeName"), target.get("uniqueAttributes")
        qn = unique.get("qualifiedName") if isinstance(unique, dict) else None
        if not isinstance(type_name, str) or not isinstance(qn, str):
            raise invalid(f"object id {values.java_text(target)} has neither a guid nor typeName and uniqueAttributes")
        entity = self._named.get((type_name, qn))
        if entity is None:
            self._types.entity(type_name)
            entity = self._find(type_name, qn)
            if entity is None:
                if not self._shells:
                    raise unknown_reference(f"{type_name} {qn}")
                entity = self._store.insert(type_name, qn, "", {"attributes": {"qualifiedName": qn}}, incomplete=True)
            self._named[type_name, qn] = entity
        return entity

    def _find(self, type_name: str, qn: str) -> Entity | None:
        return next((e for e in self._store.by_qualified_name(qn) if self._types.is_a(e.type, type_name)), None)

    # validate

    def _checked(self, p: _Prepared) -> Json:
        """Attributes as they will be stored, None for those to be cleared."""
        problems: list[str] = []
        sent = p.raw.get("attributes") or {}
        attributes: Json = {}
        for name, value in sent.items():
            attribute = p.type.attributes.get(name)
            if attribute is not None:
                try:
                    attributes[name] = self._types.value(attribute, value)
                except values.WrongValue as error:
                    problems.append(f"{p.type.name}.{error}")
            elif name not in p.type.references:
                if p.type.partial:
                    attributes[name] = value
                else:
                    self._changes.ignored[f"{p.type.name}.{name}"] = None
        for name in p.raw.get("relationshipAttributes") or {}:
            if name not in p.type.references:
                self._changes.ignored[f"{p.type.name}.{name}"] = None
        for attribute in p.type.attributes.values():
            absent = attribute.name not in attributes
            if not attribute.optional and attributes.get(attribute.name) is None and not (self._partial and absent):
                problems.append(_missing(p.type.name, attribute.name))
        problems += self._missing_parent(p)
        problems += _annotation_problems(p.raw)
        classifications = p.raw.get("classifications") or []
        if not isinstance(classifications, list):
            problems.append("classifications must be a list")
            classifications = []
        for classification in classifications:
            name = classification.get("typeName") if isinstance(classification, dict) else None
            known = name in self._types.definitions["classificationDefs"]
            if not known and not str(name).startswith("MICROSOFT."):
                problems.append(f"classification {name} does not exist")
        if problems:
            raise invalid(", ".join(problems))
        return attributes

    def _missing_parent(self, p: _Prepared) -> list[str]:
        """Purview lists several required parents that cannot all exist (looker_query), so one of them is enough."""
        if self._partial or not p.type.parents or any(p.references.get(name) for name in p.type.parents):
            return []
        return [_missing(p.type.name, " or ".join(sorted(p.type.parents)))]

    # create or update

    def _put(self, p: _Prepared, attributes: Json) -> None:
        entity = self._resolved.get(p.key)
        if entity is None:
            entity = self._find(p.type.name, attributes["qualifiedName"])
        parts = entity.parts if entity is not None else {}
        before = dict(parts)
        merged = dict(parts.get("attributes") or {})
        for name, value in attributes.items():
            attribute = p.type.attributes.get(name)
            empty = values.EMPTY.get(attribute.type_name) if attribute is not None else None
            if value is None or (value == empty and name not in merged):
                merged.pop(name, None)
            else:
                merged[name] = value
        parts["attributes"] = merged
        for key in _CARRIED:
            if p.raw.get(key) is not None:
                parts[key] = p.raw[key]
        if entity is None or entity.incomplete:
            parts["classifications"] = p.raw.get("classifications") or []
        qn, name = merged["qualifiedName"], merged.get("name") or ""
        if entity is None:
            entity = self._store.insert(p.type.name, qn, name, parts, incomplete=False)
            self._changes.created[entity.id] = None
        elif entity.incomplete or parts != before:
            self._store.update(entity, qn, name, parts)
            self._changes.touch(entity.id)
        self._resolved[p.key] = entity
        self._changes.assignments[p.key] = entity.guid

    # link

    def _link(self, p: _Prepared, name: str, value: Any) -> None:
        candidates = p.type.references[name]
        holder = self._resolved[p.key]
        if value is None and any(r.required for r in candidates) and not self._partial:
            return  # another parent was given, see _missing_parent
        targets = value if isinstance(value, list) else [] if value is None else [value]
        wanted: dict[tuple[str, int], tuple[Reference, Entity]] = {}
        for target in targets:
            guid = _guid(target)
            entity = self._by_name(target) if guid is None else self._resolved[guid]
            reference = self._chosen(candidates, target, entity, holder)
            wanted[reference.relationship.name, entity.id] = (reference, entity)
        for reference in candidates:
            self._replace(reference, holder, wanted)

    def _chosen(self, candidates: tuple[Reference, ...], target: Json, entity: Entity, holder: Entity) -> Reference:
        """By relationshipType where several relationships declare the name, else the one that fits what is there."""
        asked = target.get("relationshipType")
        fitting = [
            r
            for r in candidates
            if self._types.is_a(entity.type, r.other.type) and asked in (None, "", r.relationship.name)
        ]
        if not fitting:
            first = candidates[0]
            ends = (holder.type, entity.type) if first.side == 0 else (entity.type, holder.type)
            raise wrong_end(first.relationship.name, *ends)
        return fitting[0]

    def _replace(
        self, reference: Reference, holder: Entity, wanted: dict[tuple[str, int], tuple[Reference, Entity]]
    ) -> None:
        """Make the holder's relationships of one kind the wanted ones."""
        name, side = reference.relationship.name, reference.side
        held = {(r.end1, r.end2)[1 - side]: r for r in self._store.relations(holder.id, name, side)}
        for (relationship, other), (_, entity) in wanted.items():
            if relationship != name or (other in held and not held[other].deleted):
                continue
            if other in held and name in LINEAGE:
                continue  # measured: a removed input that is sent again stays removed
            if not reference.other.many:
                self._release(reference, holder, entity)
            if other in held:
                self._store.set_relation(held[other], deleted=False)
            else:
                ends = (holder.id, other) if side == 0 else (other, holder.id)
                self._store.relate(name, *ends)
            self._changes.touch(holder.id)
            self._changes.touch(other)
        for other, relation in held.items():
            if (name, other) in wanted or relation.deleted:
                continue
            self._store.set_relation(relation, deleted=True)
            self._changes.touch(holder.id)
            if reference.owns:
                delete(self._store, self._types, other, self._changes)
            else:
                self._changes.touch(other)

    def _release(self, reference: Reference, holder: Entity, target: Entity) -> None:
        """The other end holds one only: it leaves whatever it had."""
        for relation in self._store.relations(target.id, reference.relationship.name, 1 - reference.side):
            former = (relation.end1, relation.end2)[reference.side]
            if former != holder.id and not relation.deleted:
                self._store.set_relation(relation, deleted=True)
                self._changes.touch(former)


def _references(raw: Json, entity_type: EntityType) -> dict[str, Any]:
    """Reference attributes that were sent: in relationshipAttributes, else in attributes (both work; measured)."""
    found: dict[str, Any] = {}
    for place in ("relationshipAttributes", "attributes"):
        for name, value in (raw.get(place) or {}).items():
            if name not in entity_type.references or name in found:
                continue
            many = entity_type.references[name][0].own.many
            if value is not None and (not isinstance(value, list) if many else not isinstance(value, dict)):
                kind = f"array<{entity_type.references[name][0].other.type}>" if many else "object id"
                shown = values.java_text(value)[:200]
                raise invalid(f"{entity_type.name}.{name}={shown}: invalid value for type {kind}")
            found[name] = value
    return found


def _guid(target: Any) -> str | None:
    """The guid of an object reference, None when it goes by unique attributes."""
    if not isinstance(target, dict):
        raise invalid(f"invalid object id {values.java_text(target)[:200]}")
    guid = target.get("guid")
    return None if guid in (None, "") else str(guid)


def _missing(type_name: str, attribute: str) -> str:
    return f"{type_name}.{attribute}: mandatory attribute value missing in type {type_name}"


def _annotation_problems(raw: Json) -> list[str]:
    """AtlasConfiguration: 50 characters for keys and labels, 500 for values; letters, digits, _ and - only."""
    problems = []
    custom = raw.get("customAttributes") or {}
    for key, value in custom.items() if isinstance(custom, dict) else [("customAttributes", None)]:
        if not isinstance(value, str) or len(key) > 50 or len(value) > 500 or not _KEY.match(key):
            problems.append(f"invalid custom attribute {key[:60]}")
    labels = raw.get("labels") or []
    for label in labels if isinstance(labels, list) else [None]:
        if not isinstance(label, str) or len(label) > 50 or not _KEY.match(label):
            problems.append(f"invalid label {str(label)[:60]}")
    return problems
