"""Uploaded Atlas entities -> drafts: guids of ours, references in one form, no nulls.

Guids of a file mean nothing outside it, and `-1` on every line would make a message of each; ours keep entities of
different lines apart. Null keys are left out of what is created: pyapacheatlas writes `"inputs": null` for "leave it",
which Atlas reads as "clear it". In an update a null stays, for the rules to say so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from shared.atlas.closure import Draft, Entity, child_guid, guid, reference_by_guid, target
from shared.atlas.problems import Problem, RefusedError, refuse, shown
from shared.naming import Name
from shared.records import Atlas

#: of the values in an entity; Atlas nests maps and structs, but not like this
MAX_DEPTH = 32
_PARTS = ("attributes", "relationshipAttributes")


def identity(entity: Entity) -> Name | Problem:
    """The name under which an update or a deletion finds its entity."""
    attributes = entity.get("attributes")
    name = attributes.get("qualifiedName") if isinstance(attributes, dict) else None
    type_name = entity.get("typeName")
    if not isinstance(type_name, str) or not isinstance(name, str) or not type_name.strip() or not name.strip():
        return Problem(
            "qualified-name",
            "an update or a deletion finds its entity by typeName and qualifiedName; one of them is missing",
            "give typeName, and qualifiedName under attributes",
        )
    return Name(type_name, name)


def draft(record: Atlas) -> Draft | Problem:
    """The entity to be created with what travels with it, before the rules have looked at it."""
    entities = [record.entity, *record.referred]
    ours = _our_guid(record.entity)
    new: dict[str, tuple[str, str]] = {}
    for number, entity in enumerate(entities):
        if isinstance(entity.get("guid"), (str, int)):
            new[str(entity["guid"])] = (child_guid(ours, number), str(entity.get("typeName")))
    try:
        top, *others = [_translated(entity, new, drop_nulls=True) for entity in entities]
        top["guid"] = ours
        reached = _reached(top, others)
        members = [entity for entity in others if entity.get("guid") not in reached]
        for member in members:
            for name in _local_guids(member):
                if name not in (ours, member.get("guid")):
                    refuse(
                        "unreached-entity",
                        f"{shown(member.get('typeName'))} {shown(member.get('guid'))} is referred to by no entity that "
                        "is created, and refers to others than the first one; Atlas would not see it",
                        "refer to it by guid, or list it on a line of its own",
                    )
    except RefusedError as refused:
        return refused.problem
    referred = [entity for entity in others if entity.get("guid") in reached]
    return Draft(top, members, referred, refers=tuple(target(name) for name in dict.fromkeys(_names(top))), owns=False)


def changes(record: Atlas) -> tuple[Entity, list[Entity]] | Problem:
    """The entity to be updated in part, without its guid, and what travels with it."""
    ours = _our_guid(record.entity)
    new = {
        str(entity["guid"]): (child_guid(ours, number), str(entity.get("typeName")))
        for number, entity in enumerate(record.referred, 1)
        if isinstance(entity.get("guid"), (str, int))
    }
    try:
        top, *referred = [_translated(entity, new, drop_nulls=False) for entity in (record.entity, *record.referred)]
    except RefusedError as refused:
        return refused.problem
    top.pop("guid", None)
    return top, referred


def _our_guid(entity: Entity) -> str:
    attributes = entity.get("attributes")
    name = attributes.get("qualifiedName") if isinstance(attributes, dict) else ""
    return guid(Name(str(entity.get("typeName")), str(name)))


def _translated(entity: Entity, new: dict[str, tuple[str, str]], *, drop_nulls: bool) -> Entity:
    """A copy with our guids."""
    made: Entity = {}
    for field, value in entity.items():
        if field == "guid":
            made[field] = new[str(value)][0] if str(value) in new else value
        elif value is not None or not drop_nulls:
            made[field] = _value(value, new if field in _PARTS else {}, drop_nulls, 1)
    return made


def _value(value: Any, new: dict[str, tuple[str, str]], drop_nulls: bool, depth: int) -> Any:
    if depth > MAX_DEPTH:
        refuse("form", f"the entity is nested more than {MAX_DEPTH} levels deep", "send plain attributes")
    if isinstance(value, dict):
        made = {k: _value(v, new, drop_nulls, depth + 1) for k, v in value.items() if v is not None or not drop_nulls}
        return _reference(made, new) if depth > 1 else made
    if isinstance(value, list):
        return [_value(v, new, drop_nulls, depth + 1) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        refuse("value-type", f"{value} is a number that JSON does not know, and would arrive as null", "leave it out")
    return value


def _reference(value: Entity, new: dict[str, tuple[str, str]]) -> Entity:
    """References in the order of fields in which closure.py writes them; anything else as it is."""
    named = value.get("guid")
    if isinstance(named, (str, int)) and str(named) in new:
        ours, type_name = new[str(named)]
        return {**reference_by_guid(ours, type_name), **_without(value, "guid", "typeName")}
    if named is None and "typeName" in value and "uniqueAttributes" in value:
        first = {"typeName": value["typeName"], "uniqueAttributes": value["uniqueAttributes"]}
        return {**first, **_without(value, "typeName", "uniqueAttributes")}
    return value


def _without(value: Entity, *keys: str) -> Entity:
    return {k: v for k, v in value.items() if k not in keys}


def _reached(top: Entity, others: Sequence[Entity]) -> set[str]:
    """Guids of those of `others` that Atlas reaches from the top-level entity."""
    by_guid = {entity["guid"]: entity for entity in others if isinstance(entity.get("guid"), str)}
    reached: set[str] = set()
    waiting = [top]
    while waiting:
        for name in _local_guids(waiting.pop()):
            if name in by_guid and name not in reached:
                reached.add(name)
                waiting.append(by_guid[name])
    return reached


def _dicts(entity: Entity) -> Iterator[Entity]:
    """Every object inside the attributes and relationships."""
    waiting: list[Any] = [
        value for part in _PARTS if isinstance(entity.get(part), dict) for value in entity[part].values()
    ]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _local_guids(entity: Entity) -> Iterator[str]:
    for value in _dicts(entity):
        name = value.get("guid")
        if isinstance(name, str) and name.startswith("-"):
            yield name


def _names(entity: Entity) -> Iterator[Name]:
    """What the entity refers to by typeName and qualifiedName."""
    for value in _dicts(entity):
        type_name, unique = value.get("typeName"), value.get("uniqueAttributes")
        name = unique.get("qualifiedName") if isinstance(unique, dict) and len(unique) == 1 else None
        if isinstance(type_name, str) and isinstance(name, str) and "guid" not in value:
            yield Name(type_name, name)
