"""Purview's discovery query over the store: keywords and a filter; columns are never found."""

from __future__ import annotations

from typing import Any

import msgspec

from local.catalogue.catalogue import Catalogue
from local.catalogue.errors import bad_request
from local.catalogue.store import Entity

_MAX_DEPTH = 10
_DESCRIPTION = "CAST(doc AS TEXT) ->> '$.attributes.description'"
_COLUMNS = {"qualifiedName": "qn", "name": "name"}


class Query(msgspec.Struct, rename="camel"):
    """Body of POST search/query; unknown fields (facets, orderby ...) are accepted and not acted on."""

    keywords: str | None = None
    limit: int = 50
    offset: int = 0
    continuation_token: str | None = None
    filter: dict[str, Any] | None = None


def condition(catalogue: Catalogue, query: Query) -> tuple[str, list[Any]]:
    """SQL and its parameters. Raises AtlasError for a filter that the stand-in does not know, rather than ignore it."""
    columns = [name for name in catalogue.types.definitions["entityDefs"] if catalogue.types.is_column(name)]
    parts = ["deleted = 0", "type NOT IN (SELECT value FROM json_each(?))"]
    parameters: list[Any] = [msgspec.json.encode(columns).decode()]
    for word in (query.keywords or "").replace("*", " ").split():
        parts.append(f"(instr(lower(name), ?) OR instr(lower(qn), ?) OR instr(lower({_DESCRIPTION}), ?))")
        parameters += [word.lower().strip('"')] * 3
    if query.filter:
        sql, values = _filter(catalogue, query.filter, 0)
        parts.append(sql)
        parameters += values
    return " AND ".join(parts), parameters


def _filter(catalogue: Catalogue, node: dict[str, Any], depth: int) -> tuple[str, list[Any]]:
    if depth > _MAX_DEPTH or not isinstance(node, dict):
        raise bad_request("a filter is an object, nested ten deep at most")
    for operator, joint in (("and", " AND "), ("or", " OR ")):
        if operator in node:
            found = [_filter(catalogue, part, depth + 1) for part in node[operator] or []]
            if not found:
                return "1", []
            return "(" + joint.join(sql for sql, _ in found) + ")", [v for _, values in found for v in values]
    if "not" in node:
        sql, values = _filter(catalogue, node["not"], depth + 1)
        return f"NOT {sql}", values
    if "entityType" in node:
        asked = str(node["entityType"])
        names = catalogue.types.definitions["entityDefs"]
        types = [n for n in names if catalogue.types.is_a(n, asked)] if node.get("includeSubTypes") else [asked]
        return "type IN (SELECT value FROM json_each(?))", [msgspec.json.encode(types).decode()]
    if "collectionId" in node:
        return "collection = ?", ["" if node["collectionId"] == "root" else str(node["collectionId"])]
    compared = _comparison(node)
    if compared is not None:
        return compared
    raise bad_request(f"filter {sorted(map(str, node))} is not known to the local catalogue")


def _comparison(node: dict[str, Any]) -> tuple[str, list[Any]] | None:
    """An {attributeName, operator, attributeValue} filter; None for one that is not known."""
    column, text = _COLUMNS.get(str(node.get("attributeName"))), node.get("attributeValue")
    if column is None or not isinstance(text, str):
        return None
    tests: dict[str, tuple[str, list[Any]]] = {
        "eq": (f"{column} = ?", [text]),
        "startswith": (f"substr({column}, 1, length(?)) = ?", [text, text]),
        "contains": (f"instr({column}, ?)", [text]),
    }
    return tests.get(str(node.get("operator")).lower())


def run(catalogue: Catalogue, query: Query) -> dict[str, Any]:
    """The answer of search/query."""
    where, parameters = condition(catalogue, query)
    limit, offset = min(max(query.limit, 0), 1000), _offset(query)
    total = catalogue.store.value(f"SELECT count(*) FROM entity WHERE {where}", parameters)  # noqa: S608
    found = catalogue.store.entities(f"{where} ORDER BY name, id LIMIT ? OFFSET ?", [*parameters, limit, offset])
    answer: dict[str, Any] = {"@search.count": total, "value": [_hit(catalogue, entity) for entity in found]}
    if found and offset + len(found) < total:
        answer["continuationToken"] = str(offset + len(found))
    return answer


def _offset(query: Query) -> int:
    if query.continuation_token is None:
        return max(query.offset, 0)
    if not query.continuation_token.isdecimal():
        raise bad_request("continuationToken is none that was given out")
    return int(query.continuation_token)


def _hit(catalogue: Catalogue, entity: Entity) -> dict[str, Any]:
    attributes = entity.parts.get("attributes") or {}
    return {
        "id": entity.guid,
        "name": entity.name,
        "displayText": entity.name,
        "qualifiedName": entity.qn,
        "entityType": entity.type,
        "objectType": "Processes" if catalogue.types.is_a(entity.type, "Process") else "Assets",
        "description": attributes.get("description"),
        "owner": attributes.get("owner"),
        "collectionId": entity.collection or "root",
        "updateTime": entity.updated,
        "@search.score": 1.0,
    }
