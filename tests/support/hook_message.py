"""What a hook message must be, written down independently of the code that makes it.

Sources: Apache Atlas AtlasNotificationMessage, HookNotification (the four ENTITY_*_V2 types that Purview documents),
AtlasEntityGraphDiscoveryV2, IDBasedEntityResolver, AtlasConfiguration; Microsoft's quotas.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

MAX_BYTES = 1_000_000 - 512  # Atlas's own producers; Event Hubs take 1 MiB
MAX_TOP_LEVEL = 50  # atlas.notification.consumer.commit.batch.size
MAX_PROPERTY = 32 * 1024  # name and value
_LOCAL_GUID = re.compile(r"-\d{1,19}")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WORD = re.compile(r"[a-zA-Z0-9_-]{1,50}")
_ENVELOPE = {"version", "msgCompressionKind", "msgSplitIdx", "msgSplitCount", "msgCreatedBy", "message"}
_ENTITY = {"typeName", "guid", "attributes"}
_ENTITY_MAY = {
    "relationshipAttributes", "customAttributes", "businessAttributes", "classifications", "labels", "meanings",
    "contacts", "status", "collectionId", "createdBy", "updatedBy", "createTime", "updateTime", "version", "source",
}  # fmt: skip

Json = dict[str, Any]


def check_hook_message(body: bytes) -> None:
    """Raises AssertionError, in words."""
    assert len(body) <= MAX_BYTES, f"{len(body):,} bytes are too large"
    try:
        outer = json.loads(body.decode("utf-8"))
    except ValueError as error:
        raise AssertionError(f"not JSON in UTF-8: {error}") from None
    assert isinstance(outer, dict), "the body must be one message, not a list of them"
    for path in _nulls(outer, ""):
        raise AssertionError(f"null at {path}")
    extra = outer.keys() ^ _ENVELOPE
    assert extra <= {"msgCreationTime"}, f"envelope: {sorted(extra)}"
    assert outer["version"] == {"version": "1.0.0"}, f"version {outer['version']}"
    assert isinstance(outer.get("msgCreationTime", 0), int), "msgCreationTime is milliseconds"
    assert (outer["msgCompressionKind"], outer["msgSplitIdx"], outer["msgSplitCount"]) == ("NONE", 1, 1), "split"
    message = outer["message"]
    assert isinstance(message.get("user"), str), "message.user is no text"
    kinds = {
        "ENTITY_CREATE_V2": _check_create,
        "ENTITY_FULL_UPDATE_V2": _check_create,
        "ENTITY_PARTIAL_UPDATE_V2": _check_update,
        "ENTITY_DELETE_V2": _check_delete,
    }
    assert message.get("type") in kinds, f"type {message.get('type')} is none that Purview documents"
    kinds[message["type"]](message)


def entities_of(body: bytes) -> list[Json]:
    """Every entity of a create message, top-level ones first."""
    entities = json.loads(body)["message"]["entities"]
    return [*entities["entities"], *entities["referredEntities"].values()]


def _check_create(message: Json) -> None:
    assert message.keys() == {"type", "user", "entities"}, f"message: {sorted(message)}"
    holder = message["entities"]
    assert isinstance(holder, dict), "entities is a list; it must be an object with an array `entities`"
    assert holder.keys() == {"entities", "referredEntities"}, f"entities: {sorted(holder)}"
    top, referred = holder["entities"], holder["referredEntities"]
    assert isinstance(top, list) and isinstance(referred, dict), "entities.entities must be an array"
    assert 0 < len(top) <= MAX_TOP_LEVEL, f"{len(top)} top-level entities"
    for guid, entity in referred.items():
        assert entity.get("guid") == guid, f"referredEntities[{guid}] has the guid {entity.get('guid')}"
    by_guid: dict[str, Json] = {}
    by_name: set[tuple[str, str]] = set()
    for entity in (*top, *referred.values()):
        _check_form(entity)
        assert entity["guid"] not in by_guid, f"guid {entity['guid']} twice"
        by_guid[entity["guid"]] = entity
        name = (entity["typeName"], entity["attributes"]["qualifiedName"])
        assert name not in by_name, f"{name} twice"
        by_name.add(name)
    for entity in by_guid.values():
        for reference in references(entity):
            _check_reference(reference, by_guid, by_name)
        _check_lineage(entity, by_guid)
    reached = {entity["guid"] for entity in top}
    waiting = list(reached)
    while waiting:
        for reference in references(by_guid[waiting.pop()]):
            guid = reference.get("guid", "")
            if guid in by_guid and guid not in reached:
                reached.add(guid)
                waiting.append(guid)
    assert reached >= by_guid.keys(), f"{sorted(by_guid.keys() - reached)} in referredEntities are reached by nothing"


def _check_form(entity: Json) -> None:
    fields = entity.keys()
    assert _ENTITY <= fields <= _ENTITY | _ENTITY_MAY, f"fields of an entity: {sorted(fields)}"
    assert isinstance(entity["typeName"], str) and entity["typeName"], "typeName"
    assert isinstance(entity["guid"], str) and _LOCAL_GUID.fullmatch(entity["guid"]), f"guid {entity['guid']!r}"
    name = entity["attributes"].get("qualifiedName")
    assert isinstance(name, str) and name.strip(), "qualifiedName is missing"
    for attribute, value in entity["attributes"].items():
        if isinstance(value, str):
            assert len(attribute) + len(value.encode()) <= MAX_PROPERTY, f"{attribute} has {len(value):,} characters"
    for key, value in entity.get("customAttributes", {}).items():
        assert _WORD.fullmatch(key), f"custom attribute {key!r}"
        assert isinstance(value, str) and len(value.encode("utf-16-le")) <= 1000, f"custom attribute {key} is too long"
    for label in entity.get("labels", []):
        assert isinstance(label, str) and _WORD.fullmatch(label), f"label {label!r}"


def references(entity: Json) -> Iterator[Json]:
    """Whatever in the attributes and relationships looks like an object reference."""
    waiting = [*entity["attributes"].values(), *entity.get("relationshipAttributes", {}).values()]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            if "guid" in value or "uniqueAttributes" in value:
                yield value
            else:
                waiting += value.values()


def _check_reference(reference: Json, by_guid: dict[str, Json], by_name: set[tuple[str, str]]) -> None:
    guid = reference.get("guid")
    if guid is not None:
        assert isinstance(guid, str), f"a reference to guid {guid!r}"
        if guid in by_guid:
            said = reference.get("typeName", by_guid[guid]["typeName"])
            assert said == by_guid[guid]["typeName"], f"guid {guid} is no {said}"
        else:
            assert _GUID.fullmatch(guid), f"guid {guid} is referred to and not in the message"
        return
    unique = reference["uniqueAttributes"]
    assert isinstance(reference.get("typeName"), str), f"a reference without typeName: {reference}"
    assert unique.keys() == {"qualifiedName"} and unique["qualifiedName"].strip(), f"uniqueAttributes {unique}"
    name = (reference["typeName"], unique["qualifiedName"])
    assert name not in by_name, f"{name} is in the message, but referred to by name: REST would not find it"


def _check_lineage(entity: Json, by_guid: dict[str, Json]) -> None:
    attributes = entity["attributes"]
    names: dict[str, set[str]] = {}
    for end in ("inputs", "outputs"):
        ends = attributes.get(end, [])
        assert isinstance(ends, list), f"{end} is no list"
        names[end] = {
            by_guid[e["guid"]]["attributes"]["qualifiedName"] if "guid" in e else e["uniqueAttributes"]["qualifiedName"]
            for e in ends
        }
    if "columnMapping" not in attributes:
        return
    text = attributes["columnMapping"]
    assert isinstance(text, str), "columnMapping must be JSON in a string"
    mapping = json.loads(text)
    assert isinstance(mapping, list) and mapping, "columnMapping must be a list"
    for element in mapping:
        assert element.keys() == {"DatasetMapping", "ColumnMapping"}, f"columnMapping element {sorted(element)}"
        ends = element["DatasetMapping"]
        assert ends.keys() == {"Source", "Sink"}, f"DatasetMapping {ends}"
        assert ends["Source"] in names["inputs"], f"columnMapping's source {ends['Source']} is none of the inputs"
        assert ends["Sink"] in names["outputs"], f"columnMapping's sink {ends['Sink']} is none of the outputs"
        assert element["ColumnMapping"], "an empty ColumnMapping"
        for edge in element["ColumnMapping"]:
            assert edge.keys() == {"Source", "Sink"} and all(edge.values()), f"ColumnMapping {edge}"


def _check_update(message: Json) -> None:
    assert message.keys() == {"type", "user", "entityId", "entity"}, f"message: {sorted(message)}"
    _check_named(message["entityId"])
    holder = message["entity"]
    assert holder.keys() == {"entity", "referredEntities"}, f"entity: {sorted(holder)}"
    entity = holder["entity"]
    assert entity["typeName"] == message["entityId"]["typeName"], "entityId and entity are of two types"
    assert "guid" not in entity, "an update goes by name"
    assert entity["attributes"].keys() - {"qualifiedName"} or entity.keys() - {"typeName", "attributes"}, "no change"
    by_guid = holder["referredEntities"]
    for one in (entity, *by_guid.values()):
        for reference in references(one):
            _check_reference(reference, by_guid, set())


def _check_delete(message: Json) -> None:
    assert message.keys() == {"type", "user", "entities"}, f"message: {sorted(message)}"
    assert isinstance(message["entities"], list), "the entities of a delete are a flat list"
    assert 0 < len(message["entities"]) <= MAX_TOP_LEVEL, f"{len(message['entities'])} deletions"
    for entity in message["entities"]:
        _check_named(entity)


def _check_named(entity: Json) -> None:
    assert entity.keys() == {"typeName", "uniqueAttributes"}, f"an entity is named by type and name: {sorted(entity)}"
    assert isinstance(entity["typeName"], str) and entity["typeName"], "typeName"
    assert entity["uniqueAttributes"].keys() == {"qualifiedName"}, "uniqueAttributes"
    assert entity["uniqueAttributes"]["qualifiedName"].strip(), "qualifiedName is missing"


def _nulls(value: Any, path: str) -> Iterator[str]:
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _nulls(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _nulls(inner, f"{path}.{number}")
