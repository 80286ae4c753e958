"""Atlas JSON: every shape that is read, and references that lead nowhere."""

from __future__ import annotations

import gzip
import json
from typing import Any

from connectors.formats.atlas_json import AtlasJson
from tests.conformance.formats.subject import SECRET, Bad, Subject


def entity(guid: str | None, name: str, **relations: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "typeName": "hookline_dataset",
        "attributes": {"name": name, "qualifiedName": f"hookline://box/{name}", "rows": 12, "share": 0.5},
    }
    if guid is not None:
        made["guid"] = guid
    if relations:
        made["relationshipAttributes"] = {k: [{"guid": g} for g in v] for k, v in relations.items()}
    return made


def line(number: int) -> bytes:
    return json.dumps(entity("-1", f"t{number}")).encode()


WHOLE = {"entities": [entity("-1", "t", columns=["-2"])], "referredEntities": {"-2": entity("-2", "c", table=["-1"])}}
CREATE = {"version": {"version": "1.0.0"}, "message": {"type": "ENTITY_CREATE_V2", "user": "u", "entities": WHOLE}}
ID = {"typeName": "hookline_dataset", "uniqueAttributes": {"qualifiedName": "hookline://box/t"}}
DELETE = {"version": {"version": "1.0.0"}, "message": {"type": "ENTITY_DELETE_V2", "user": "u", "entities": [ID]}}
BY_GUID = {"message": {"type": "ENTITY_DELETE_V2", "entities": [{"guid": "x"}]}}
UPDATE = {
    "type": "ENTITY_PARTIAL_UPDATE_V2",
    "entityId": ID,
    "entity": {"entity": {"typeName": "hookline_dataset", "attributes": {"description": "d"}}},
}


def _file(value: Any, indent: int | None = 1) -> bytes:
    return json.dumps(value, indent=indent).encode()


SUBJECT = Subject(
    format=AtlasJson,
    good={
        "entities.json": _file(WHOLE),
        "entities_on_one_line.json": _file(WHOLE, None),
        "entity.json": _file({"entity": entity("-1", "t"), "referredEntities": {}}),
        "list.json": _file([entity("-1", "t", columns=["-2"]), entity("-2", "c", table=["-1"]), entity(None, "u")]),
        "create.json": _file(CREATE),
        "delete.json": _file(DELETE),
        "bare_delete.json": _file(DELETE["message"]),
        "update.json": _file(UPDATE),
        "lines.jsonl": b"\n".join([line(1), _file(CREATE, None), _file(DELETE, None), _file(UPDATE, None)]),
        "packed.json.gz": gzip.compress(_file(WHOLE)),
    },
    bad={
        "a reference that leads nowhere": Bad(
            _file({"entities": [entity("-1", "t"), entity("-2", "u", x=["-9"])]}), "guid -9", "entity 2 of `entities`"
        ),
        "a guid twice": Bad(_file([entity("-1", "t"), entity("-1", "u")]), "second entity", "entity 2 of the array"),
        "an entity that is too large": Bad(
            _file([entity("-1", "t"), entity("-2", "x" * 2_100_000)]), "2,000,000", "entity 2 of the array"
        ),
        "what nobody refers to": Bad(
            _file({"entities": [entity("-1", "t")], "referredEntities": {"-5": entity("-5", "c")}}),
            "no entity of the document refers",
            "entity 1 of `referredEntities`",
        ),
        "no typeName": Bad(line(1) + b'\n{"attributes": {"a": 1}, "typeName": 3}', "no typeName", "line 2"),
        "a delete by guid": Bad(_file(BY_GUID, None), "qualifiedName", "line 1"),
        "another message": Bad(_file({"message": {"type": "TYPE_CREATE"}}, None), "TYPE_CREATE", "line 1"),
        "a message of the future": Bad(_file({"version": "2.0.0", "message": {}}, None), "version", "line 1"),
        "a compressed message": Bad(_file({"message": "H4sI"}, None), "compressed", "line 1"),
        "type definitions": Bad(_file({"entityDefs": []}, None), "type definitions", "line 1"),
        "nothing": Bad(_file({"entities": []}), "no entity", "entity 1"),
        "an empty file": Bad(b"", "empty"),
        "a document that is cut off": Bad(_file(WHOLE)[:30], "broken or cut off"),
        "UTF-16": Bad(_file(WHOLE).decode().encode("utf-16"), "UTF-8"),
    },
    line=line,
    secret={
        "broken.jsonl": line(1) + b'\n{"typeName": "x", "password": "%b" oops' % SECRET.encode(),
    },
)
