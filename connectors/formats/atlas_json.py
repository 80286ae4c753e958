"""Atlas JSON: entities as Apache Atlas and Purview spell them, for uploads and for what other tools have produced.

Read are `{entities: [...], referredEntities: {...}}`, `{entity: {...}, referredEntities}`, a single entity, a list of
entities, hook messages (ENTITY_CREATE_V2, ENTITY_FULL_UPDATE_V2, ENTITY_PARTIAL_UPDATE_V2, ENTITY_DELETE_V2; with their
envelope or bare), and JSON Lines of any of these, where each line stands for itself. Guids stay as they are.
Shapes: AtlasEntity.java, HookNotification.java of https://github.com/apache/atlas
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from connectors.format import FileContext, Format
from connectors.formats.atlas_graph import Document, refusal
from connectors.formats.json_stream import Value, starts_like_json, values
from shared.records import Atlas, Found, Refusal

_CREATES = ("ENTITY_CREATE_V2", "ENTITY_FULL_UPDATE_V2")  # Atlas does the same for both
_MARKS = (
    b'"typeName"',
    b'"referredEntities"',
    b'"ENTITY_CREATE',
    b'"ENTITY_FULL_',
    b'"ENTITY_PARTIAL_',
    b'"ENTITY_DEL',
)


class AtlasJson(Format):
    name = "atlas_json"
    title = "Apache Atlas entities and hook messages, as Purview's REST API and Kafka endpoint take them"
    looks_like = '.json or .jsonl with {"entities": [{"typeName": ..., "attributes": {"qualifiedName": ...}}], ...}'
    folders = ("atlas", "purview")

    def recognises(self, name: str, head: bytes) -> bool:  # noqa: ARG002
        head = starts_like_json(head)
        is_record = head[:12].replace(b" ", b"").startswith(b'{"kind":')
        return not is_record and any(mark in head for mark in _MARKS)

    def read(self, file: BinaryIO, context: FileContext) -> Iterator[Found | Refusal]:
        """Raises BadInput: empty, not JSON, damaged, more than 100 MB of entities that refer to each other by guid."""
        document = Document(context.path)  # of entities that come one by one: of a list, or of one large object
        deletes: list[Value] = []
        seen = 0
        for item in values(file, context.path, "entity", {"entities": "start_array", "referredEntities": "start_map"}):
            if isinstance(item, Refusal):
                yield item
            elif item.key in ("entities", "referredEntities") or (item.key == "[]" and _is_entity(item.value)):
                seen += 1
                if _is_delete(item.value):
                    deletes.append(item)
                else:
                    top = item.key != "referredEntities"
                    yield from document.add(item.value, item.place, top=top, key=item.name)
            elif item.key == "[]" or not _is_frame(item.value):
                yield from _whole(item.value, item.place, context.path)
            else:
                if not seen:
                    yield refusal(item.place, "there is no entity in it")
                yield from self._framed(item, deletes)
                yield from document.finish()
                deletes, seen = [], 0
        yield from document.finish()
        yield from (refusal(item.place, "the entity has no attributes") for item in deletes)

    def _framed(self, frame: Value, deletes: list[Value]) -> Iterator[Found | Refusal]:
        """What is left of a document whose entities came one by one: the type of a bare hook message, or nothing."""
        kind = frame.value.get("type", "")
        if deletes and kind != "ENTITY_DELETE_V2":
            yield from (refusal(item.place, "the entity has no attributes") for item in deletes)
        else:
            yield from (_deleted(item.value, item.place) for item in deletes)


def _is_entity(value: Any) -> bool:
    return isinstance(value, dict) and "typeName" in value


def _is_delete(value: Any) -> bool:
    """An object id as ENTITY_DELETE_V2 lists it."""
    return isinstance(value, dict) and "uniqueAttributes" in value and "attributes" not in value


def _is_frame(value: Any) -> bool:
    """An object that has nothing of its own, because its entities came one by one before it."""
    return isinstance(value, dict) and not {"message", "entities", "entity", "typeName", "entityDefs"} & set(value)


def _whole(value: Any, place: int | str, where: str) -> Iterator[Found | Refusal]:
    """A document that is held as one value."""
    if isinstance(value, dict) and "message" in value:
        version = value.get("version")
        version = version.get("version") if isinstance(version, dict) else version
        if isinstance(version, str) and not version.startswith("1"):
            yield refusal(place, f"hook message version {version[:20]!r}; Atlas and Purview take 1.0.0")
            return
        value = value["message"]
        if isinstance(value, str):
            yield refusal(place, "a compressed or split hook message", "upload it as plain JSON")
            return
    if not isinstance(value, dict):
        yield refusal(place, "an entity is an object with typeName and attributes")
    elif value.get("type") == "ENTITY_DELETE_V2":
        listed = value.get("entities")
        for item in listed if isinstance(listed, list) else [None]:
            yield _deleted(item, place)
    elif value.get("type") == "ENTITY_PARTIAL_UPDATE_V2":
        yield _updated(value, place)
    elif isinstance(value.get("type"), str) and value["type"] not in _CREATES:
        fix = "hook messages are ENTITY_CREATE_V2, ENTITY_FULL_UPDATE_V2, ENTITY_PARTIAL_UPDATE_V2, ENTITY_DELETE_V2"
        yield refusal(place, f"a message of type {value['type'][:60]!r}", fix)
    elif "entityDefs" in value:
        yield refusal(place, "type definitions, not entities", "create types with `hookline types push`")
    else:
        inner = value.get("entities") if "type" in value else value
        yield from _entities(inner if isinstance(inner, dict) else value, place, where)


def _entities(value: dict[str, Any], place: int | str, where: str) -> Iterator[Found | Refusal]:
    listed = value.get("entities", [value["entity"]] if "entity" in value else [value])
    referred = value.get("referredEntities") or {}
    if not isinstance(listed, list) or not isinstance(referred, dict):
        yield refusal(place, "`entities` is an array and `referredEntities` an object")
        return
    if not listed:
        yield refusal(place, "there is no entity in it")
        return
    document = Document(where)
    for number, entity in enumerate(listed, 1):
        at = place if len(listed) == 1 else _inner(place, f"entity {number}")
        yield from document.add(entity, at, top=True)
    for guid, entity in referred.items():
        yield from document.add(entity, _inner(place, f"referred entity {guid[:40]}"), top=False, key=guid)
    yield from document.finish()


def _inner(place: int | str, what: str) -> str:
    return f"line {place}, {what}" if isinstance(place, int) else f"{place}, {what}"


def _deleted(item: Any, place: int | str) -> Found | Refusal:
    unique = item.get("uniqueAttributes") if isinstance(item, dict) else None
    name = unique.get("qualifiedName") if isinstance(unique, dict) else None
    if not isinstance(name, str) or not name or not isinstance(item.get("typeName"), str):
        fix = "list {typeName, uniqueAttributes: {qualifiedName}}"
        return refusal(place, "Atlas deletes by typeName and qualifiedName; one of them is missing", fix)
    return Found(
        Atlas(entity={"typeName": item["typeName"], "attributes": {"qualifiedName": name}}, operation="delete"), place
    )


def _updated(message: dict[str, Any], place: int | str) -> Found | Refusal:
    """A partial update: its entity with the qualified name of entityId. What it names by local guid cannot be there."""
    which, inner = message.get("entityId"), message.get("entity")
    entity = inner.get("entity") if isinstance(inner, dict) else None
    attributes = entity.get("attributes") if isinstance(entity, dict) else None
    unique = which.get("uniqueAttributes") if isinstance(which, dict) else None
    if not isinstance(which, dict) or not isinstance(entity, dict) or not isinstance(attributes, dict):
        return refusal(place, "a partial update has entityId and entity.entity with attributes")
    name = (unique if isinstance(unique, dict) else attributes).get("qualifiedName")
    if not isinstance(name, str) or not name:
        return refusal(place, "a partial update names its entity by entityId.uniqueAttributes.qualifiedName")
    type_name = entity.get("typeName") or which.get("typeName")
    if not isinstance(type_name, str):
        return refusal(place, "the entity has no typeName")
    whole = {**entity, "typeName": type_name, "attributes": {"qualifiedName": name, **attributes}}
    document = Document("")
    held = [*document.add({**whole, "guid": whole.get("guid", "-1")}, place, top=True)]
    for guid, other in (inner.get("referredEntities") or {}).items() if isinstance(inner, dict) else ():
        held += document.add(other, _inner(place, f"referred entity {guid[:40]}"), top=False, key=guid)
    result = [*held, *document.finish()][0]
    if isinstance(result, Refusal):
        return result
    assert isinstance(result.record, Atlas)
    return Found(Atlas(entity=whole, referred=result.record.referred, operation="update"), place)
