"""Entities in the JSON shapes that Atlas answers with: AtlasEntity, AtlasEntityHeader, AtlasRelatedObjectId."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from local.catalogue import values
from local.catalogue.catalogue import Catalogue, Outcome
from local.catalogue.store import Entity
from local.catalogue.typedefs import Reference

Json = dict[str, Any]


def status(entity: Entity) -> str:
    return "DELETED" if entity.deleted else "ACTIVE"


def header(entity: Entity) -> Json:
    """AtlasEntityHeader, as in mutatedEntities, lineage and search."""
    parts = entity.parts
    attributes = parts.get("attributes") or {}
    shown = {key: attributes.get(key) for key in ("qualifiedName", "name", "description", "owner")}
    classifications = [c["typeName"] for c in parts.get("classifications") or []]
    return {
        "typeName": entity.type,
        "attributes": shown | {"createTime": entity.created},
        "guid": entity.guid,
        "status": status(entity),
        "displayText": entity.name or entity.qn,
        "classificationNames": classifications,
        "meaningNames": [],
        "meanings": [],
        "isIncomplete": bool(entity.incomplete),
        "labels": parts.get("labels") or [],
        "lastModifiedTS": str(entity.updated),
    }


def related(catalogue: Catalogue, entity: Entity) -> Iterable[tuple[Reference, Entity, Json]]:
    """What an entity is linked to, living links first: (attribute, the other entity, AtlasRelatedObjectId)."""
    relations = sorted(catalogue.store.relations(entity.id), key=lambda r: (r.deleted, r.id))
    others = catalogue.store.by_ids({r.end2 if r.end1 == entity.id else r.end1 for r in relations})
    for r in relations:
        side = 0 if r.end1 == entity.id else 1
        other = others[r.end2 if side == 0 else r.end1]
        reference = Reference(catalogue.types.relationship(r.name), side)
        shown = {
            "guid": other.guid,
            "typeName": other.type,
            "entityStatus": status(other),
            "displayText": other.name or other.qn,
            "relationshipType": r.name,
            "relationshipGuid": r.guid,
            "relationshipStatus": "DELETED" if r.deleted else "ACTIVE",
            "relationshipAttributes": {"typeName": r.name},
            "uniqueAttributes": {"qualifiedName": other.qn},
        }
        yield reference, other, shown


def full(catalogue: Catalogue, entity: Entity, *, relationships: bool = True) -> tuple[Json, dict[str, Json]]:
    """AtlasEntity, and its owned children by guid (referredEntities: a table's columns)."""
    parts = entity.parts
    known = catalogue.types.entity(entity.type)
    stored = parts.get("attributes") or {}
    attributes: Json = {
        name: stored.get(name, values.EMPTY.get(attribute.type_name)) for name, attribute in known.attributes.items()
    }
    attributes.update({name: value for name, value in stored.items() if name not in attributes})
    linked: Json = {name: [] if candidates[0].own.many else None for name, candidates in known.references.items()}
    referred: dict[str, Json] = {}
    for reference, other, shown in related(catalogue, entity):
        name = reference.own.name
        if reference.own.many:
            linked.setdefault(name, []).append(shown)
        elif linked.get(name) is None:
            linked[name] = shown
        if reference.owns and relationships:
            referred[other.guid] = full(catalogue, other, relationships=False)[0]
    for name in ("inputs", "outputs"):
        if name in linked:
            attributes[name] = [_object_id(shown) for shown in linked[name]]
    answer = {
        "typeName": entity.type,
        "attributes": attributes,
        "guid": entity.guid,
        "status": status(entity),
        "isIncomplete": bool(entity.incomplete),
        "createdBy": "hook",
        "updatedBy": "hook",
        "createTime": entity.created,
        "updateTime": entity.updated,
        "version": 0,
        "collectionId": entity.collection or "root",
        "relationshipAttributes": linked,
    }
    for key in ("customAttributes", "classifications", "labels", "contacts", "businessAttributes"):
        if parts.get(key):
            answer[key] = parts[key]
    return answer, referred


def _object_id(shown: Json) -> Json:
    return {key: shown[key] for key in ("guid", "typeName", "uniqueAttributes")}


def with_referred(catalogue: Catalogue, entities: list[Entity]) -> Json:
    """AtlasEntitiesWithExtInfo."""
    listed, referred = [], {}
    for entity in entities:
        shown, children = full(catalogue, entity)
        listed.append(shown)
        referred.update(children)
    return {"entities": listed, "referredEntities": referred}


def mutations(catalogue: Catalogue, outcome: Outcome) -> Json:
    """EntityMutationResponse."""
    answer: Json = {}
    mutated = {}
    for operation, guids in (("CREATE", outcome.created), ("UPDATE", outcome.updated), ("DELETE", outcome.deleted)):
        if guids:
            mutated[operation] = [header(catalogue.get(guid)) for guid in guids]
    if mutated:
        answer["mutatedEntities"] = mutated
    if outcome.assignments:
        answer["guidAssignments"] = outcome.assignments
    return answer


def typedefs(catalogue: Catalogue, kind: str = "") -> Json:
    """AtlasTypesDef: every category, or the one asked for (`entity`, `relationship` ...)."""
    answer: Json = {}
    for category, definitions in catalogue.types.definitions.items():
        wanted = not kind or category.lower() == f"{kind.lower().replace('_', '')}defs"
        answer[category] = [definition_of(catalogue, category, d) for d in definitions.values()] if wanted else []
    return answer


def definition_of(catalogue: Catalogue, category: str, definition: Json) -> Json:
    """A definition as Atlas shows it: entity types with the references that relationships give them."""
    if category != "entityDefs":
        return definition
    references = [
        {
            "name": r.own.name,
            "typeName": f"array<{r.other.type}>" if r.own.many else r.other.type,
            "isOptional": not r.required,
            "cardinality": "SET" if r.own.many else "SINGLE",
            "relationshipTypeName": r.relationship.name,
            "isLegacyAttribute": False,
        }
        for candidates in catalogue.types.entity(definition["name"]).references.values()
        for r in candidates
    ]
    shown = {key: value for key, value in definition.items() if key != "partial"}
    return shown | {"relationshipAttributeDefs": references}


def headers(catalogue: Catalogue) -> list[Json]:
    """AtlasTypeDefHeader list."""
    categories = {
        "entityDefs": "ENTITY",
        "relationshipDefs": "RELATIONSHIP",
        "classificationDefs": "CLASSIFICATION",
        "enumDefs": "ENUM",
        "structDefs": "STRUCT",
        "businessMetadataDefs": "BUSINESS_METADATA",
    }
    return [
        {"guid": f"{categories[category].lower()}-{name}", "name": name, "category": categories[category]}
        for category, definitions in catalogue.types.definitions.items()
        for name in definitions
    ]
