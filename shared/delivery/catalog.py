"""Purview's Data Map REST API (Apache Atlas v2), as far as Hookline needs it.

Paths and api-version 2023-09-01: learn.microsoft.com/rest/api/purview/datamapdataplane. The token's audience is
https://purview.azure.net (.net; a token for .com is answered with 401). Writing needs the role Data Curator on the
collection, given inside Purview; Azure's own roles count for nothing there.

Every call raises CatalogBusy or CatalogRefused as rest.py says. Everything here may be repeated: entities are upserted
by qualifiedName, deletes and moves are idempotent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

from shared.delivery.rest import SCOPE, Rest
from shared.delivery.split import split
from shared.errors import CatalogRefused
from shared.naming import Name

if TYPE_CHECKING:
    import requests

API_VERSION = "2023-09-01"
#: the account plane's list of collections has not moved to the newer version
COLLECTIONS_API_VERSION = "2019-11-01-preview"
MAX_ENTITIES = 100
#: bounds of one look-up by name: proxies commonly refuse addresses above 8 KB
FIND_NAMES, FIND_CHARACTERS = 50, 6000
_MAX_PAGES = 1000
#: batches of which nothing was there, asked in halves, after which it is believed that nothing is there
_FRUITLESS = 40
#: the most that one answer of search/query holds (rest/api/purview/datamapdataplane/discovery/query)
SEARCH_PAGE = 1000


class Found(NamedTuple):
    """An entity that the catalogue knows. status: ACTIVE, DELETED, or INCOMPLETE: a shell, which something refers to.

    collection: id of the one it lies in, if said; updated: ms since 1970 on the catalogue's clock, 0 if not said.
    """

    guid: str
    status: str
    collection: str = ""
    updated: int = 0


class Hits(NamedTuple):
    """What a search found. total: how many there are; pages: calls that it took."""

    names: tuple[Name, ...]
    total: int
    pages: int


class Collection(NamedTuple):
    """name: the id that the API takes (six characters; the root's is the account's name); parent: its parent's id."""

    name: str
    friendly_name: str
    parent: str


class Catalog:
    """One account's catalogue. Not for use by several threads at once (it holds one requests.Session).

    endpoint:   `https://<account>.purview.azure.com`, or `https://<tenant>-api.purview-service.microsoft.com`
    credential: anything with azure-identity's `get_token(scope)`; None only for `http://127.0.0.1..`
    timeout:    seconds (connect, between two pieces of the answer)
    throttled:  is told when the service says that it is too much, with the seconds it asks for (`Pace.throttled`)
    Raises SettingsError for an endpoint that cannot be one.
    """

    def __init__(
        self,
        endpoint: str,
        credential: Any = None,
        *,
        session: requests.Session | None = None,
        timeout: tuple[float, float] = (5, 60),
        attempts: int = 6,
        sleep: Callable[[float], None] = time.sleep,
        scope: str = SCOPE,
        throttled: Callable[[float | None], None] = lambda _: None,
    ) -> None:
        self._rest = Rest(
            endpoint,
            credential,
            session=session,
            timeout=timeout,
            attempts=attempts,
            sleep=sleep,
            scope=scope,
            throttled=throttled,
        )
        self.endpoint = self._rest.endpoint
        self._leaves_out: bool | None = None
        self._there: tuple[str, str] | None = None
        self._fruitless = 0

    def __repr__(self) -> str:
        return f"Catalog({self.endpoint!r})"

    # -- types

    def typedefs(self) -> dict[str, Any]:
        """Every definition of the account: entityDefs, relationshipDefs, classificationDefs, ..."""
        return self._object("GET", "types/typedefs")

    def typedef_headers(self) -> list[dict[str, Any]]:
        """Name, guid and category of every definition; small."""
        answer = self._call("GET", "types/typedefs/headers")
        return [item for item in answer if isinstance(item, dict)] if isinstance(answer, list) else []

    def create_typedefs(self, typedefs: Mapping[str, Any]) -> dict[str, Any]:
        """POST definitions that are not there; one that is makes the whole call fail with 409."""
        return self._object("POST", "types/typedefs", body=typedefs)

    def update_typedefs(self, typedefs: Mapping[str, Any]) -> dict[str, Any]:
        """PUT changed definitions, whole; Atlas only takes additions of optional attributes."""
        return self._object("PUT", "types/typedefs", body=typedefs)

    # -- entities

    def upsert(
        self,
        entities: Sequence[Mapping[str, Any]],
        referred: Mapping[str, Mapping[str, Any]] | None = None,
        collection: str = "",
    ) -> dict[str, str]:
        """Create or update entities, in calls of at most 100, keeping together what refers to each other by guid.

        referred: children by their negative guid. collection: id of the collection to put them into; empty leaves
        existing ones where they are. Returns the real guid for every negative one. When a later call fails, the
        earlier ones have been applied: send everything again.
        """
        assigned: dict[str, str] = {}
        query = {"collectionId": collection} if collection else {}
        for body in split(entities, referred or {}, MAX_ENTITIES):
            answer = self._object("POST", "entity/bulk", query, body)
            assigned.update(answer.get("guidAssignments") or {})
        return assigned

    def find(self, type_name: str, qualified_names: Sequence[str]) -> dict[str, Found]:
        """Those of the names that the catalogue has, under the name that it gives back (Purview normalises some)."""
        found: dict[str, Found] = {}
        for batch in _find_batches(qualified_names):
            self._find(type_name, batch, found)
        return found

    def _find(self, type_name: str, names: Sequence[str], found: dict[str, Found]) -> None:
        entities = self._named(type_name, names, "true")
        if entities is None:
            if len(names) > 1 and self._in_halves():
                before, middle = len(found), len(names) // 2
                self._find(type_name, names[:middle], found)
                self._find(type_name, names[middle:], found)
                self._fruitless += len(found) == before
            return
        for name, entity in entities.items():
            status, collection = str(entity.get("status") or "ACTIVE"), str(entity.get("collectionId") or "")
            updated = entity.get("updateTime")
            if entity.get("isIncomplete") is True:
                status = "INCOMPLETE"
            found[name] = Found(entity["guid"], status, collection, updated if isinstance(updated, int) else 0)
            self._there = type_name, name
        if len(entities) < len(set(names)):
            self._leaves_out = True

    def _in_halves(self) -> bool:
        """Whether "there is none" may mean that one of several is not there.

        Atlas leaves out what it does not know; a service that refuses all for one would have to be asked in halves.
        What this one does is seen from an answer, or asked with a name that is there and one that is not.
        """
        if self._leaves_out is None and self._there is not None:
            type_name, name = self._there
            absent = f"{name}/hookline-asks-for-what-is-not-there"
            told = self._named(type_name, [name, absent], "true")
            if told is None or absent not in told:
                self._leaves_out = told is not None
        if self._leaves_out is None:
            return self._fruitless < _FRUITLESS
        return not self._leaves_out

    def entities(self, type_name: str, qualified_names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Those of the names that are there and alive, whole, with what they refer to."""
        found: dict[str, dict[str, Any]] = {}
        for batch in _find_batches(qualified_names):
            for name, entity in (self._named(type_name, batch, "false") or {}).items():
                if str(entity.get("status") or "ACTIVE") == "ACTIVE":
                    found[name] = entity
        return found

    def columns(self, type_name: str, qualified_names: Sequence[str], attribute: str) -> dict[str, tuple[str, ...]]:
        """Names of the columns of those of these tables that are there; in no certain order.

        attribute: the relationship that lists them (`Level.columns_attribute`).
        """
        found: dict[str, tuple[str, ...]] = {}
        for batch in _find_batches(qualified_names):
            for name, entity in (self._named(type_name, batch, "false") or {}).items():
                if str(entity.get("status") or "ACTIVE") == "ACTIVE":
                    listed = (entity.get("relationshipAttributes") or {}).get(attribute) or ()
                    found[name] = tuple(dict.fromkeys(c["displayText"] for c in listed if _is_alive(c)))
        return found

    def _named(self, type_name: str, names: Sequence[str], ignore_relationships: str) -> dict[str, Any] | None:
        """Qualified name -> entity of those that are there; None where the answer is that there are none."""
        query = {f"attr_{number}:qualifiedName": name for number, name in enumerate(names, 1)}
        query |= {"minExtInfo": "true", "ignoreRelationships": ignore_relationships}
        answer = self._call("GET", f"entity/bulk/uniqueAttribute/type/{quote(type_name, safe='')}", query, missing=True)
        if answer is None:
            return None
        found: dict[str, Any] = {}
        for entity in (answer.get("entities") or ()) if isinstance(answer, dict) else ():
            name = (entity.get("attributes") or {}).get("qualifiedName")
            if isinstance(name, str) and isinstance(entity.get("guid"), str):
                found[name] = entity
        return found

    def get(self, type_name: str, qualified_name: str) -> dict[str, Any] | None:
        """`{"entity": .., "referredEntities": ..}`, or None when there is no such entity."""
        answer = self._call("GET", *_by_name(type_name, qualified_name), missing=True)
        return answer if isinstance(answer, dict) else None

    def delete(self, type_name: str, qualified_name: str) -> bool:
        """Delete one entity; False when there was none."""
        return self._call("DELETE", *_by_name(type_name, qualified_name), missing=True) is not None

    def search(self, wanted: Mapping[str, Any], most: int) -> Hits:
        """Assets that a filter of search/query finds, up to `most`; where there are more, none but their number.

        Columns are never found, nor is what was deleted; what was just written may be missing for a while.
        """
        names: list[Name] = []
        body: dict[str, Any] = {"keywords": None, "limit": SEARCH_PAGE, "filter": wanted}
        pages = total = 0
        while pages < _MAX_PAGES:
            pages += 1
            answer = self._object("POST", "/datamap/api/search/query", None, body)
            listed = answer.get("value") or []
            total = int(answer.get("@search.count") or len(listed))
            if total > most:
                return Hits((), total, pages)
            names += [Name(str(one.get("entityType")), str(one.get("qualifiedName"))) for one in listed]
            token = answer.get("continuationToken")
            if not token or not listed:
                break
            body["continuationToken"] = token
        return Hits(tuple(names), max(total, len(names)), pages)

    # -- collections

    def move(self, guids: Sequence[str], collection_id: str) -> None:
        """Put entities into a collection. Needs Data Curator on the one they are in and on the one they go to."""
        for start in range(0, len(guids), MAX_ENTITIES):
            body = {"entityGuids": list(guids[start : start + MAX_ENTITIES])}
            self._call("POST", "/datamap/api/entity/moveTo", {"collectionId": collection_id}, body)

    def collections(self) -> list[Collection]:
        """All collections, to find the id that belongs to a name people know."""
        found: list[Collection] = []
        url = f"{self.endpoint}/collections?" + urlencode({"api-version": COLLECTIONS_API_VERSION})
        for _ in range(_MAX_PAGES):
            answer = self._rest.call("GET", url)
            if not isinstance(answer, dict):
                break
            for item in answer.get("value") or ():
                parent = (item.get("parentCollection") or {}).get("referenceName", "")
                found.append(Collection(item["name"], item.get("friendlyName") or item["name"], parent))
            url = answer.get("nextLink") or ""
            if not url:
                break
            if not url.startswith(self.endpoint + "/"):  # the token goes nowhere else
                raise CatalogRefused("the next page of collections lies on another host", where=self.endpoint)
        return found

    # -- calls

    def _object(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: object = None
    ) -> dict[str, Any]:
        answer = self._call(method, path, query, body)
        return answer if isinstance(answer, dict) else {}

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
        *,
        missing: bool = False,
    ) -> Any:
        """The decoded answer. missing: None for "no such entity" instead of CatalogRefused."""
        full = path if path.startswith("/") else f"/datamap/api/atlas/v2/{path}"
        url = f"{self.endpoint}{full}?" + urlencode({"api-version": API_VERSION, **(query or {})})
        return self._rest.call(method, url, body, missing=missing)


def _is_alive(related: Any) -> bool:
    """Of an AtlasRelatedObjectId: a column that was deleted stays listed."""
    return (
        isinstance(related, dict)
        and isinstance(related.get("displayText"), str)
        and "DELETED" not in (related.get("entityStatus"), related.get("relationshipStatus"))
    )


def _by_name(type_name: str, qualified_name: str) -> tuple[str, dict[str, str]]:
    return f"entity/uniqueAttribute/type/{quote(type_name, safe='')}", {"attr:qualifiedName": qualified_name}


def _find_batches(names: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for name in dict.fromkeys(names):
        length = len(quote(name)) + 32
        if batch and (len(batch) >= FIND_NAMES or size + length > FIND_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(name)
        size += length
    if batch:
        yield batch
