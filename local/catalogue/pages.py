"""The web page: what is in the catalogue, how it hangs together, and which messages were lost and why.

Rendered on the server (jinja2, escaped), without anything from elsewhere; a Content-Security-Policy holds that.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from local.catalogue import answers, drawing, lineage, search
from local.catalogue.catalogue import Catalogue
from local.catalogue.errors import AtlasError
from local.catalogue.store import Entity

_HERE = Path(__file__).parent
_POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; base-uri 'none'"
PAGE_SIZE = 100
#: Purview's canvas shows five levels
DEPTH = 5
MAX_LISTED = 500
_TYPE_KEYS = ("data_type", "dataType", "type")
_KEY_KEYS = ("key", "isPrimaryKey")
_LINEAGE_NAMES = {"inputs", "outputs", "inputToProcesses", "outputFromProcesses", "sources", "sinks"}


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


class Pages:
    """Each method is one page: request -> (template, values)."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined
        )
        self.templates.filters["moment"] = _moment
        self.templates.filters["short"] = drawing.shortened
        self.templates.filters["last_part"] = drawing.last_part

    def index(self, request: Request) -> tuple[str, dict[str, Any]]:
        asked, words = request.query_params.get("type", ""), request.query_params.get("q", "")
        page = int(request.query_params.get("page", "0")) if request.query_params.get("page", "0").isdigit() else 0
        counts = self.catalogue.store.rows(
            "SELECT type, count(*) FROM entity WHERE deleted = 0 GROUP BY type ORDER BY type"
        )
        columns = [name for name, _ in counts if self.catalogue.types.is_column(name)]
        where, parameters = self._listed(asked, words, columns)
        store = self.catalogue.store
        total = store.value(f"SELECT count(*) FROM entity WHERE {where}", parameters)  # noqa: S608
        start = min(page * PAGE_SIZE, total)
        found = store.entities(f"{where} ORDER BY name, id LIMIT ? OFFSET ?", [*parameters, PAGE_SIZE, start])
        return "index.html", {
            "counts": [(n, c) for n, c in counts if n not in columns],
            "column_counts": [(n, c) for n, c in counts if n in columns],
            "total": total,
            "start": start,
            "assets": [(e, (e.parts.get("attributes") or {}).get("description")) for e in found],
            "type": asked,
            "q": words,
            "before": self._link(asked, words, page - 1) if page > 0 else "",
            "after": self._link(asked, words, page + 1) if start + PAGE_SIZE < total else "",
        }

    def _listed(self, asked: str, words: str, columns: list[str]) -> tuple[str, list[Any]]:
        if asked in columns:  # search leaves columns out, as Purview's does; the page shows them when asked to
            return "deleted = 0 AND type = ? AND instr(lower(name), ?)", [asked, words.lower()]
        only = {"entityType": asked} if asked else None
        return search.condition(self.catalogue, search.Query(keywords=words, filter=only))

    @staticmethod
    def _link(asked: str, words: str, page: int) -> str:
        return "/?" + urlencode({"type": asked, "q": words, "page": page})

    def asset(self, request: Request) -> tuple[str, dict[str, Any]]:
        entity = self.catalogue.get(request.path_params["guid"])
        shown, _ = answers.full(self.catalogue, entity, relationships=False)
        columns: list[dict[str, Any]] = []
        groups: dict[str, list[tuple[Entity, bool]]] = {}
        for reference, other, link in answers.related(self.catalogue, entity):
            gone = link["relationshipStatus"] == "DELETED" or bool(other.deleted)
            if reference.owns and self.catalogue.types.is_column(other.type):
                columns.append(_column(other, gone))
            else:
                groups.setdefault(reference.own.name, []).append((other, gone))
        parts = entity.parts
        attributes = {
            k: v for k, v in shown["attributes"].items() if v not in (None, "", [], {}) and k not in _LINEAGE_NAMES
        }
        return "asset.html", {
            "asset": entity,
            "collection": self._collection(entity),
            "attributes": attributes,
            "custom": parts.get("customAttributes") or {},
            "labels": parts.get("labels") or [],
            "classifications": [c["typeName"] for c in parts.get("classifications") or []],
            "columns": sorted(columns, key=lambda c: (c["gone"], c["entity"].id)),
            "groups": {name: (found[:MAX_LISTED], len(found)) for name, found in sorted(groups.items())},
            "above": self._above(entity),
            "lineage": any(self.catalogue.types.is_a(entity.type, t) for t in ("DataSet", "Process")),
            "ancestors": sorted(self.catalogue.types.entity(entity.type).ancestors - {entity.type}),
        }

    def _collection(self, entity: Entity) -> str:
        """Path of the names of the collection that it lies in; empty for the root."""
        known = {name: (friendly, parent) for name, friendly, parent in self.catalogue.store.collections()}
        names: list[str] = []
        at = entity.collection
        while at in known and len(names) <= len(known):
            friendly, at = known[at]
            names.append(friendly)
        return " / ".join(reversed(names))

    def _above(self, entity: Entity) -> list[Entity]:
        """The chain of containers, outermost first."""
        chain: list[Entity] = []
        current: Entity | None = entity
        while current is not None and len(chain) < 10:
            current = next(
                (
                    other
                    for reference, other, link in answers.related(self.catalogue, current)
                    if not reference.own.many
                    and (reference.required or reference.other.many)
                    and link["relationshipStatus"] == "ACTIVE"
                    and other.id != entity.id
                    and other not in chain
                ),
                None,
            )
            if current is not None:
                chain.append(current)
        return chain[::-1]

    def lineage(self, request: Request) -> tuple[str, dict[str, Any]]:
        entity = self.catalogue.get(request.path_params["guid"])
        asked = request.query_params.get("depth", str(DEPTH))
        depth = min(int(asked), DEPTH) if asked.isdigit() and int(asked) > 0 else DEPTH
        found = lineage.graph(self.catalogue, entity, depth=depth, limit=600)
        names = {e.qn: e for e in found.entities.values()}
        picture = drawing.drawn(self.catalogue, found)
        wanted = request.query_params.get("column", "")
        base = next((node for node in picture.nodes if node.entity.id == entity.id), None)
        kept = next((c.key for c in base.columns if c.name == wanted), 0) if base is not None else 0
        return "lineage.html", {
            "asset": entity,
            "picture": picture,
            "depth": depth,
            "depths": range(1, DEPTH + 1),
            "names": names,
            "column": kept,
            "mappings": picture.mappings[:MAX_LISTED],
        }

    def dropped(self, request: Request) -> tuple[str, dict[str, Any]]:
        kind = request.query_params.get("kind", "")
        rows = self.catalogue.store.rows("SELECT kind, sum(count) FROM dropped GROUP BY kind ORDER BY kind")
        return "dropped.html", {"kind": kind, "kinds": rows, "dropped": self.catalogue.store.dropped(kind)}

    def render(self, page: Callable[[Request], tuple[str, dict[str, Any]]], request: Request) -> Response:
        status = 200
        try:
            template, values = page(request)
        except AtlasError as error:
            template, values, status = "error.html", {"message": error.message}, error.status
        text = self.templates.get_template(template).render(values)
        return HTMLResponse(text, status, {"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"})


def _column(entity: Entity, gone: bool) -> dict[str, Any]:
    attributes = entity.parts.get("attributes") or {}
    key = next((attributes[k] for k in _KEY_KEYS if attributes.get(k)), "")
    return {
        "entity": entity,
        "gone": gone,
        "type": next((attributes[k] for k in _TYPE_KEYS if attributes.get(k)), ""),
        "key": "primary" if key is True or key == "true" else key,
        "description": attributes.get("description") or attributes.get("comment") or "",
    }


def _endpoint(
    pages: Pages, page: Callable[[Request], tuple[str, dict[str, Any]]]
) -> Callable[..., Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(functools.partial(pages.render, page, request))

    return endpoint


def _health(catalogue: Catalogue) -> Callable[[Request], Response]:
    def health(_: Request) -> Response:
        count = catalogue.store.value("SELECT count(*) FROM entity WHERE deleted = 0")
        return Response(msgspec.json.encode({"status": "ok", "entities": count}), media_type="application/json")

    return health


def routes(catalogue: Catalogue) -> list[BaseRoute]:
    pages = Pages(catalogue)
    return [
        Route("/", _endpoint(pages, pages.index)),
        Route("/asset/{guid}", _endpoint(pages, pages.asset)),
        Route("/lineage/{guid}", _endpoint(pages, pages.lineage)),
        Route("/dropped", _endpoint(pages, pages.dropped)),
        Route("/local/health", _health(catalogue)),
        Mount("/static", StaticFiles(directory=_HERE / "static")),
    ]
