"""What Atlas and Purview ask of a type definition before they take it (AtlasRelationshipDefStoreV2 and its like)."""

from __future__ import annotations

from typing import Any

import msgspec

from local.catalogue.errors import AtlasError, type_exists, unknown_type
from local.catalogue.typedefs import CATEGORIES, Definitions, Types


def check_new(types: Types, definitions: Definitions) -> None:
    """For POST: raises AtlasError (409) when one exists already, 400 or 404 when one is wrong."""
    for category in CATEGORIES:
        for definition in _of(definitions, category):
            if definition["name"] in types.definitions[category]:
                raise type_exists(definition["name"])
    _check(types, definitions)


def check_changed(types: Types, definitions: Definitions) -> None:
    """For PUT: all must exist, and an entity type may only gain optional attributes."""
    for category in CATEGORIES:
        for definition in _of(definitions, category):
            name = definition["name"]
            old = types.definitions[category].get(name)
            if old is None:
                raise unknown_type(name)
            if category == "entityDefs":
                before = {a["name"] for a in old.get("attributeDefs") or []}
                after = {a["name"]: a for a in definition.get("attributeDefs") or []}
                for attribute in before - after.keys():
                    raise _wrong(f"{name}.{attribute} : attribute delete not supported")
                for attribute in after.keys() - before:
                    if not after[attribute].get("isOptional", True):
                        raise _wrong(f"{name}.{attribute} : can not add mandatory attribute")
    _check(types, definitions)


def _check(types: Types, definitions: Definitions) -> None:
    future = types.added({category: _of(definitions, category) for category in CATEGORIES[:1] + CATEGORIES[2:]})
    for definition in _of(definitions, "entityDefs"):
        name = definition["name"]
        for parent in definition.get("superTypes") or []:
            if not future.has(parent):
                raise unknown_type(parent)
        for attribute in definition.get("attributeDefs") or []:
            if not future.known(attribute.get("typeName", "")):
                raise unknown_type(attribute.get("typeName"))
        _check_options(name, definition.get("options") or {})
    for definition in _of(definitions, "relationshipDefs"):
        _check_relationship(future, definition)


def _check_options(name: str, options: dict[str, Any]) -> None:
    """Purview wants a JSON list in a string (microsoft/Purview-ADB-Lineage-Solution-Accelerator issue 239)."""
    value = options.get("schemaAttributes")
    if value is None:
        return
    try:
        msgspec.json.decode(value, type=list[str])
    except (msgspec.DecodeError, TypeError):
        raise AtlasError(
            400, "ATLAS-400-00-01A", f"{name}: expect schemaAttributes in options should be list of string: {value}"
        ) from None


def _check_relationship(types: Types, definition: dict[str, Any]) -> None:
    name = definition["name"]
    ends = [definition.get(end) for end in ("endDef1", "endDef2")]
    for end in ends:
        if not isinstance(end, dict) or not end.get("name") or not types.has(end.get("type")):
            raise AtlasError(400, "ATLAS-400-00-035", f"relationshipDef {name} has invalid end type {end}")
    containers = [end for end in ends if end is not None and end.get("isContainer")]
    category = definition.get("relationshipCategory")
    if category == "ASSOCIATION" and containers:
        raise AtlasError(400, "ATLAS-400-00-030", f"ASSOCIATION relationshipDef {name} has a container")
    if category == "COMPOSITION":
        if len(containers) != 1:
            raise AtlasError(400, "ATLAS-400-00-031", f"COMPOSITION relationshipDef {name} has no container")
        if any(end.get("cardinality") == "SET" for end in ends if end is not None and not end.get("isContainer")):
            raise AtlasError(400, "ATLAS-400-00-033", f"COMPOSITION relationshipDef {name} can only have one parent")


def _of(definitions: Definitions, category: str) -> list[dict[str, Any]]:
    found = definitions.get(category) or []
    if not isinstance(found, list) or not all(isinstance(d, dict) and isinstance(d.get("name"), str) for d in found):
        raise _wrong(f"{category} must be a list of definitions with a name")
    return found


def _wrong(message: str) -> AtlasError:
    return AtlasError(400, "ATLAS-400-00-01A", message)
