"""The part of Purview's Data Map API that clients of a hook need, over the same rules; here errors are answered.

Mounted under /datamap/api/atlas/v2, /catalog/api/atlas/v2 and /api/atlas/v2. Paths and shapes: Apache Atlas v2 REST,
azure-purview-datamap 1.0.0b2. Credentials are accepted and not looked at. Errors: {"errorCode", "errorMessage"}.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.catalogue import answers, lineage, search
from local.catalogue.catalogue import Catalogue
from local.catalogue.errors import AtlasError, bad_request, unknown_name, unknown_type
from local.catalogue.faults import Faults, Injector
from local.catalogue.store import Entity
from local.catalogue.typedefs import CATEGORIES
from local.faults.control import fault_routes

PREFIXES = ("/datamap/api", "/catalog/api", "/api")
MAX_BODY = 32 * 1024 * 1024
_NUMBERED = re.compile(r"attr_(\d+):qualifiedName\Z")

Json = Any
Call = Callable[["Api", Request, Json], Json]


def answered(body: Json, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")


class Api:
    """Each method is one call: (request, decoded body) -> JSON; AtlasError becomes its answer."""

    def __init__(self, catalogue: Catalogue, faults: Injector) -> None:
        self.catalogue = catalogue
        self.faults = faults

    # types

    def get_typedefs(self, request: Request, _: Json) -> Json:
        return answers.typedefs(self.catalogue, request.query_params.get("type", ""))

    def get_headers(self, _: Request, __: Json) -> Json:
        return answers.headers(self.catalogue)

    def get_typedef(self, request: Request, _: Json) -> Json:
        kind, name = request.path_params["kind"], request.path_params["name"]
        for category in CATEGORIES if kind == "type" else (f"{kind}Defs",):
            definition = self.catalogue.types.definitions.get(category, {}).get(name)
            if definition is not None:
                return answers.definition_of(self.catalogue, category, definition)
        raise unknown_type(name)

    def put_typedefs(self, request: Request, body: Json) -> Json:
        definitions = {category: body.get(category) or [] for category in CATEGORIES} if _is_object(body) else {}
        self.catalogue.add_types(definitions, changed=request.method == "PUT")
        return definitions

    # entities

    def post_bulk(self, request: Request, body: Json) -> Json:
        name = request.query_params.get("collectionId", "")
        if name:
            self._open_collection(name)
        outcome = self.catalogue.upsert(body)
        if name:
            self._move([self.catalogue.get(guid) for guid in (*outcome.created, *outcome.updated)], name)
        return answers.mutations(self.catalogue, outcome)

    def _open_collection(self, name: str) -> None:
        store = self.catalogue.store
        if name != "root" and not store.rows("SELECT 1 FROM collection WHERE name = ?", (name,)):
            raise AtlasError(404, "ATLAS-404-00-00B", f"Collection {name} does not exist")
        if name in self.catalogue.closed:
            raise AtlasError(403, "ATLAS-403-00-001", f"no role on collection {name}")

    def _move(self, entities: list[Entity], name: str) -> None:
        store = self.catalogue.store
        with store.transaction():
            for entity in entities:
                store.rows("UPDATE entity SET collection = ? WHERE id = ?", ("" if name == "root" else name, entity.id))

    def post_entity(self, _: Request, body: Json) -> Json:
        one = body.get("entity") if _is_object(body) else None
        if not isinstance(one, dict):
            raise bad_request("the body is {entity, referredEntities}")
        outcome = self.catalogue.upsert({"entities": [one], "referredEntities": body.get("referredEntities")})
        return answers.mutations(self.catalogue, outcome)

    def get_bulk(self, request: Request, _: Json) -> Json:
        return answers.with_referred(self.catalogue, self._asked(request))

    def delete_bulk(self, request: Request, _: Json) -> Json:
        return answers.mutations(self.catalogue, self.catalogue.delete(self._asked(request)))

    def _asked(self, request: Request) -> list[Entity]:
        return [self.catalogue.get(guid) for guid in request.query_params.getlist("guid")]

    def get_guid(self, request: Request, _: Json) -> Json:
        entity = self.catalogue.get(request.path_params["guid"])
        shown, referred = answers.full(self.catalogue, entity)
        return {"entity": shown, "referredEntities": referred}

    def delete_guid(self, request: Request, _: Json) -> Json:
        entity = self.catalogue.get(request.path_params["guid"])
        return answers.mutations(self.catalogue, self.catalogue.delete([entity]))

    def _named(self, request: Request) -> Entity:
        unique = {"qualifiedName": request.query_params.get("attr:qualifiedName")}
        return self.catalogue.named(request.path_params["type"], unique)

    def get_named(self, request: Request, _: Json) -> Json:
        shown, referred = answers.full(self.catalogue, self._named(request))
        return {"entity": shown, "referredEntities": referred}

    def put_named(self, request: Request, body: Json) -> Json:
        one = body.get("entity") if _is_object(body) else None
        if not isinstance(one, dict):
            raise bad_request("the body is {entity, referredEntities}")
        found = self._named(request)
        entity = {**one, "guid": found.guid, "typeName": one.get("typeName") or found.type}
        message = {"entities": [entity], "referredEntities": body.get("referredEntities")}
        return answers.mutations(self.catalogue, self.catalogue.upsert(message, partial=True))

    def delete_named(self, request: Request, _: Json) -> Json:
        return answers.mutations(self.catalogue, self.catalogue.delete([self._named(request)]))

    def get_bulk_named(self, request: Request, _: Json) -> Json:
        type_name = request.path_params["type"]
        asked = [value for key, value in request.query_params.multi_items() if _NUMBERED.match(key)]
        self.catalogue.types.entity(type_name)
        found = []
        for qn in asked:
            try:
                found.append(self.catalogue.named(type_name, {"qualifiedName": qn}))
            except AtlasError:
                continue  # EntityREST.getEntitiesByUniqueAttributes leaves out what is not there
        if not found:
            raise unknown_name(type_name, asked)
        return answers.with_referred(self.catalogue, found)

    # lineage, search, collections

    def get_lineage(self, request: Request, _: Json) -> Json:
        return self._lineage(request, self.catalogue.get(request.path_params["guid"]))

    def get_lineage_named(self, request: Request, _: Json) -> Json:
        return self._lineage(request, self._named(request))

    def _lineage(self, request: Request, base: Entity) -> Json:
        direction, depth = request.query_params.get("direction", "BOTH"), request.query_params.get("depth", "3")
        if direction not in ("INPUT", "OUTPUT", "BOTH") or not depth.isdigit():
            raise bad_request("direction is INPUT, OUTPUT or BOTH, depth a number")
        return lineage.answer(self.catalogue, base, direction, int(depth))

    def post_search(self, _: Request, body: Json) -> Json:
        try:
            query = msgspec.convert(body, search.Query)
        except msgspec.ValidationError as error:
            raise bad_request(str(error)) from None
        return search.run(self.catalogue, query)

    def post_move(self, request: Request, body: Json) -> Json:
        name = request.query_params.get("collectionId", "")
        self._open_collection(name)
        entities = [self.catalogue.get(str(g)) for g in (body.get("entityGuids") if _is_object(body) else None) or []]
        self._move(entities, name)
        return {"mutatedEntities": {"UPDATE": [answers.header(entity) for entity in entities]}}

    def get_collections(self, _: Request, __: Json) -> Json:
        rows = self.catalogue.store.collections()
        value: list[dict[str, Any]] = [{"name": "root", "friendlyName": "Local catalogue"}]
        value += [_collection(*row) for row in rows]
        return {"count": len(value), "value": value}

    def put_collection(self, request: Request, body: Json) -> Json:
        name = request.path_params["name"]
        friendly = str(body.get("friendlyName") or name) if _is_object(body) else name
        parent = ((body.get("parentCollection") or {}) if _is_object(body) else {}).get("referenceName") or "root"
        self.catalogue.store.rows("INSERT OR REPLACE INTO collection VALUES (?, ?, ?)", (name, friendly, parent))
        return _collection(name, friendly, parent)

    # the stand-in's own

    def get_dropped(self, request: Request, _: Json) -> Json:
        return {"value": self.catalogue.store.dropped(request.query_params.get("kind", ""), limit=1000)}

    def get_faults(self, _: Request, __: Json) -> Json:
        return self.faults.faults

    def set_faults(self, request: Request, body: Json) -> Json:
        try:
            self.faults.set(msgspec.convert(body, Faults) if request.method == "POST" else Faults())
        except (msgspec.ValidationError, ValueError) as error:
            raise bad_request(str(error)) from None
        return self.faults.faults


def _collection(name: str, friendly: str, parent: str) -> dict[str, Any]:
    return {
        "name": name,
        "friendlyName": friendly,
        "parentCollection": {"referenceName": parent, "type": "CollectionReference"},
    }


def _is_object(body: Json) -> bool:
    return isinstance(body, dict)


async def _body(request: Request) -> Json:
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > MAX_BODY:
            raise AtlasError(413, "ATLAS-400-00-020", f"the body is larger than {MAX_BODY} bytes")
    if not received:
        return None
    try:
        return msgspec.json.decode(received)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad_request(f"the body is no JSON: {error}") from None


def _endpoint(api: Api, call: Call) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            body = await _body(request)
            api.catalogue.calls[call.__name__] += 1
            return answered(await run_in_threadpool(functools.partial(call, api, request, body)))
        except AtlasError as error:
            return answered(error.body(), error.status)

    return endpoint


_ATLAS: tuple[tuple[str, str, Call], ...] = (
    ("GET", "/types/typedefs", Api.get_typedefs),
    ("POST", "/types/typedefs", Api.put_typedefs),
    ("PUT", "/types/typedefs", Api.put_typedefs),
    ("GET", "/types/typedefs/headers", Api.get_headers),
    ("GET", "/types/{kind}def/name/{name}", Api.get_typedef),
    ("POST", "/entity", Api.post_entity),
    ("POST", "/entity/bulk", Api.post_bulk),
    ("GET", "/entity/bulk", Api.get_bulk),
    ("DELETE", "/entity/bulk", Api.delete_bulk),
    ("GET", "/entity/bulk/uniqueAttribute/type/{type}", Api.get_bulk_named),
    ("GET", "/entity/guid/{guid}", Api.get_guid),
    ("DELETE", "/entity/guid/{guid}", Api.delete_guid),
    ("GET", "/entity/uniqueAttribute/type/{type}", Api.get_named),
    ("PUT", "/entity/uniqueAttribute/type/{type}", Api.put_named),
    ("DELETE", "/entity/uniqueAttribute/type/{type}", Api.delete_named),
    ("GET", "/lineage/uniqueAttribute/type/{type}", Api.get_lineage_named),
    ("GET", "/lineage/{guid}", Api.get_lineage),
)
_PURVIEW: tuple[tuple[str, str, Call], ...] = (
    ("POST", "/search/query", Api.post_search),
    ("POST", "/entity/moveTo", Api.post_move),
)
_LOCAL: tuple[tuple[str, str, Call], ...] = (
    ("GET", "/local/dropped", Api.get_dropped),
    ("GET", "/local/faults", Api.get_faults),
    ("POST", "/local/faults", Api.set_faults),
    ("DELETE", "/local/faults", Api.set_faults),
)
_ACCOUNT: tuple[tuple[str, str, Call], ...] = (
    ("GET", "/collections", Api.get_collections),
    ("PUT", "/collections/{name}", Api.put_collection),
)


def routes(api: Api) -> list[Route]:
    """All calls."""
    table = [(method, prefix + path, call) for prefix in PREFIXES for method, path, call in _PURVIEW]
    table += [(method, f"{prefix}/atlas/v2{path}", call) for prefix in PREFIXES for method, path, call in _ATLAS]
    table += [(method, prefix + path, call) for prefix in ("", "/account") for method, path, call in _ACCOUNT]
    table += _LOCAL
    found = [Route(path, _endpoint(api, call), methods=[method]) for method, path, call in table]
    return [*found, *fault_routes(api.faults.http)]
