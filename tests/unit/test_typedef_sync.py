"""Hookline's typedefs and an account's: created once, extended, never changed, asked for once a day."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from shared.atlas.own_types import own_typedefs
from shared.atlas.types import TypeRegistry
from shared.delivery.catalog import Catalog
from shared.delivery.typedefs import CHECK_AGAIN, TypedefSync
from shared.errors import CatalogBusy, CatalogRefused, SettingsError
from tests.unit.rest_server import Reply, Request, RestServer, atlas_error

OWN = {d["name"] for category in own_typedefs().values() for d in category}


class Account:
    """types/typedefs as Atlas keeps them: POST takes only new ones, PUT only ones that are there and only grow."""

    def __init__(self) -> None:
        self.typedefs: dict[str, dict[str, dict[str, Any]]] = {"entityDefs": {}, "relationshipDefs": {}}

    def hold(self, typedefs: dict[str, list[dict[str, Any]]]) -> None:
        for category, definitions in typedefs.items():
            self.typedefs[category].update({d["name"]: copy.deepcopy(d) for d in definitions})

    def answer(self, request: Request) -> Reply:
        assert request.path == "/datamap/api/atlas/v2/types/typedefs"
        if request.method == "GET":
            return Reply(200, {category: list(held.values()) for category, held in self.typedefs.items()})
        for category, definitions in request.body.items():
            for definition in definitions:
                old = self.typedefs[category].get(definition["name"])
                if request.method == "POST" and old is not None:
                    return atlas_error(409, "ATLAS-409-00-001", f"Given type {definition['name']} already exists")
                if request.method == "PUT":
                    if old is None:
                        return atlas_error(404, "ATLAS-404-00-001", f"Given typename {definition['name']} was invalid")
                    before = {a["name"] for a in old["attributeDefs"]}
                    after = {a["name"]: a for a in definition["attributeDefs"]}
                    if before - after.keys() or not all(after[n]["isOptional"] for n in after.keys() - before):
                        return atlas_error(400, "ATLAS-400-00-027", "attribute update not supported")
        self.hold(request.body)
        return Reply(200, request.body)


class Cache:
    """What a BlobTable keeps, as JSON."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], str] = {}

    def get(self, partition: str, row: str) -> tuple[Any, str | None]:
        text = self.rows.get((partition, row))
        return (None, None) if text is None else (json.loads(text), "etag")

    def put(self, partition: str, row: str, value: Any, *, etag: str | None = None) -> str:
        self.rows[partition, row] = json.dumps(value)
        return "etag"


class Clock:
    def __init__(self) -> None:
        self.now = 1_767_225_600.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def server(account: Account) -> Iterator[RestServer]:
    server = RestServer()
    server.answer = account.answer
    yield server
    server.close()


@pytest.fixture
def catalog(server: RestServer) -> Iterator[Catalog]:
    with requests.Session() as session:
        yield Catalog(server.url, session=session, sleep=lambda _: None, attempts=3)


@pytest.fixture
def cache() -> Cache:
    return Cache()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sync(catalog: Catalog, cache: Cache, clock: Clock) -> TypedefSync:
    return TypedefSync(catalog, cache, clock=clock)


def methods(server: RestServer) -> list[str]:
    return [r.method for r in server.requests]


def test_missing_types_are_created_once(
    server: RestServer, account: Account, sync: TypedefSync, catalog: Catalog, cache: Cache, clock: Clock
) -> None:
    sync.ensure(["postgresql_table", "hookline_dataset"])
    sync.ensure(["hookline_process"])
    TypedefSync(catalog, cache, clock=clock).ensure(["hookline_report"])  # the next invocation
    assert methods(server) == ["GET", "POST"]
    assert set(account.typedefs["entityDefs"]) | set(account.typedefs["relationshipDefs"]) == OWN
    assert server.requests[1].body == own_typedefs()


def test_native_types_need_nothing(server: RestServer, sync: TypedefSync) -> None:
    sync.ensure(["postgresql_table", "mssql_column"])
    sync.ensure([])
    assert server.requests == []


def test_types_that_are_there_are_left_alone(server: RestServer, account: Account, sync: TypedefSync) -> None:
    account.hold(own_typedefs())
    assert sync.diff() == ([], [])
    sync.ensure(["hookline_dataset"])
    assert methods(server) == ["GET", "GET"]


def test_they_are_looked_at_again_after_a_day(
    server: RestServer, account: Account, sync: TypedefSync, clock: Clock
) -> None:
    sync.ensure(["hookline_dataset"])
    account.typedefs["entityDefs"].clear()  # somebody deletes them
    account.typedefs["relationshipDefs"].clear()
    clock.now += CHECK_AGAIN - 1
    sync.ensure(["hookline_dataset"])
    assert methods(server) == ["GET", "POST"]
    clock.now += 2
    sync.ensure(["hookline_dataset"])
    assert methods(server) == ["GET", "POST"] * 2


def test_another_version_of_ours_is_checked_at_once(
    server: RestServer, account: Account, sync: TypedefSync, cache: Cache, clock: Clock
) -> None:
    account.hold(own_typedefs())
    row = server.url.removeprefix("http://").replace(":", "_")
    cache.put("own", row, {"digest": "that of an earlier version", "checked": clock.now})
    sync.ensure(["hookline_dataset"])
    assert methods(server) == ["GET"]
    assert cache.get("own", row)[0]["digest"] != "that of an earlier version"


def test_a_broken_cache_row_does_no_harm(server: RestServer, account: Account, sync: TypedefSync, cache: Cache) -> None:
    account.hold(own_typedefs())
    row = server.url.removeprefix("http://").replace(":", "_")
    for broken in (None, [], {"digest": 1}, {"checked": "x"}):
        cache.put("own", row, broken)
        sync._sure_until = 0
        sync.ensure(["hookline_dataset"])
    assert methods(server) == ["GET"] * 4


def earlier() -> dict[str, list[dict[str, Any]]]:
    """As an earlier version may have created them: some attributes and an option fewer, and one that we do not have."""
    typedefs = own_typedefs()
    for definition in typedefs["entityDefs"]:
        if definition["name"] == "hookline_process":
            definition["attributeDefs"] = definition["attributeDefs"][:2]
            definition["typeVersion"] = "0.9"
            definition["attributeDefs"].append({"name": "theirs", "typeName": "int", "isOptional": True})
            definition["options"] = {"purviewEntityExtDef": "{}"}
        if definition["name"] == "hookline_column":
            del definition["options"]
    return typedefs


def test_what_has_grown_is_extended(server: RestServer, account: Account, sync: TypedefSync) -> None:
    account.hold(earlier())
    assert sync.diff() == ([], ["hookline_column", "hookline_process"])
    assert sync.push() == ([], ["hookline_column", "hookline_process"])
    assert methods(server) == ["GET", "GET", "PUT"]
    process = account.typedefs["entityDefs"]["hookline_process"]
    assert {"columnMapping", "lastRunState", "theirs"} <= {a["name"] for a in process["attributeDefs"]}
    assert process["options"] == {"purviewEntityExtDef": "{}"} and process["typeVersion"] == "1.1"
    assert account.typedefs["entityDefs"]["hookline_column"]["options"] == {"schemaAttributes": '["data_type"]'}
    assert sync.push() == ([], [])


def test_missing_and_grown_at_once(account: Account, sync: TypedefSync) -> None:
    typedefs = earlier()
    typedefs["entityDefs"] = [d for d in typedefs["entityDefs"] if d["name"] != "hookline_placeholder"]
    account.hold(typedefs)
    assert sync.push() == (["hookline_placeholder"], ["hookline_column", "hookline_process"])
    assert sync.diff() == ([], [])


def spoil(definition: dict[str, Any], how: str) -> None:
    attributes = {a["name"]: a for a in definition.get("attributeDefs", ())}
    if how == "super type":
        definition["superTypes"] = ["Process"]
    elif how == "attribute type":
        attributes["dialect"]["typeName"] = "int"
    elif how == "cardinality":
        attributes["dialect"]["cardinality"] = "SET"
    elif how == "required":
        attributes["dialect"]["isOptional"] = False
    elif how == "required and unknown":
        definition["attributeDefs"].append({"name": "costCentre", "typeName": "string", "isOptional": False})
    elif how == "category":
        definition["relationshipCategory"] = "AGGREGATION"
    elif how == "end":
        definition["endDef2"]["name"] = "dataset"


@pytest.mark.parametrize(
    ("name", "how", "says"),
    [
        ("hookline_dataset", "super type", "inherits from ['Process'], not from ['DataSet']"),
        ("hookline_dataset", "attribute type", "hookline_dataset.dialect has typeName int, not string"),
        ("hookline_dataset", "cardinality", "hookline_dataset.dialect has cardinality SET, not SINGLE"),
        ("hookline_dataset", "required", "hookline_dataset.dialect is required there"),
        ("hookline_dataset", "required and unknown", "hookline_dataset.costCentre is required there and unknown here"),
        ("hookline_dataset_columns", "category", "hookline_dataset_columns is AGGREGATION, not COMPOSITION"),
        ("hookline_dataset_columns", "end", "hookline_dataset_columns.endDef2 has name dataset, not table"),
    ],
)
def test_another_meaning_is_refused_with_what_differs(
    server: RestServer, account: Account, sync: TypedefSync, name: str, how: str, says: str
) -> None:
    account.hold(own_typedefs())
    for held in account.typedefs.values():
        if name in held:
            spoil(held[name], how)
    for call in (sync.push, sync.diff, lambda: sync.ensure(["hookline_dataset"])):
        with pytest.raises(CatalogRefused) as raised:
            call()
        assert says in raised.value.what and raised.value.fix and raised.value.where == server.url
    assert set(methods(server)) == {"GET"}, "nothing is half done"


def test_two_invocations_at_once(server: RestServer, account: Account, sync: TypedefSync) -> None:
    """The other one creates the types between our GET and our POST: 409, and all is well."""

    def answer(request: Request) -> Reply:
        if request.method == "POST":
            account.hold(own_typedefs())
        return account.answer(request)

    server.answer = answer
    sync.ensure(["hookline_dataset"])
    sync.ensure(["hookline_dataset"])
    assert methods(server) == ["GET", "POST", "GET"]


def test_a_create_whose_answer_was_lost(server: RestServer, account: Account, sync: TypedefSync) -> None:
    """The connection breaks after the server has applied it; the client's second try meets 409."""
    lost: list[int] = []

    def answer(request: Request) -> Reply:
        reply = account.answer(request)
        if request.method == "POST" and not lost:
            lost.append(1)
            return Reply(0)
        return reply

    server.answer = answer
    assert len(sync.push()[0]) == len(OWN)
    assert methods(server) == ["GET", "POST", "POST", "GET"]


def test_a_refused_create_is_reported_and_not_remembered(
    server: RestServer, account: Account, sync: TypedefSync, cache: Cache
) -> None:
    def forbid(request: Request) -> Reply:
        return Reply(403, {"error": {"message": "no"}}) if request.method != "GET" else account.answer(request)

    server.answer = forbid
    with pytest.raises(CatalogRefused, match="403") as raised:
        sync.ensure(["hookline_dataset"])
    assert "Data Curator" in raised.value.fix and cache.rows == {}
    server.answer = lambda request: Reply(503)
    with pytest.raises(CatalogBusy):
        sync.ensure(["hookline_dataset"])
    assert cache.rows == {}
    server.answer = account.answer
    sync.ensure(["hookline_dataset"])
    assert set(account.typedefs["entityDefs"]) <= OWN and cache.rows


def test_without_a_rest_endpoint_it_is_said(cache: Cache) -> None:
    sync = TypedefSync(None, cache)
    sync.ensure(["postgresql_table"])
    for call in (lambda: sync.ensure(["hookline_dataset"]), sync.push, sync.diff):
        with pytest.raises(SettingsError, match="only be created over REST") as raised:
            call()
        assert "purview.account" in raised.value.fix
    assert sync.registry() is TypeRegistry.bundled()


def test_registry_reads_the_account_once_a_day(
    server: RestServer, account: Account, sync: TypedefSync, catalog: Catalog, cache: Cache, clock: Clock
) -> None:
    base = {"name": "DataSet", "superTypes": ["Asset"], "attributeDefs": []}
    account.hold({"entityDefs": [base, {"name": "acme_table", "superTypes": ["DataSet"], "attributeDefs": []}]})
    first = sync.registry()
    second = TypedefSync(catalog, cache, clock=clock).registry()
    assert methods(server) == ["GET"]
    for types in (first, second):
        assert "acme_table" in types and "hookline_dataset" in types and "snowflake_table" not in types
    account.hold({"entityDefs": [{"name": "acme_view", "superTypes": ["DataSet"], "attributeDefs": []}]})
    clock.now += CHECK_AGAIN + 1
    assert "acme_view" in sync.registry()


def test_an_excerpt_takes_nothing_away(account: Account, sync: TypedefSync) -> None:
    account.hold({"entityDefs": [{"name": "acme_table", "superTypes": ["DataSet"], "attributeDefs": []}]})
    types = sync.registry()
    assert "acme_table" in types and "snowflake_table" in types


def test_registry_falls_back_to_the_bundled_types(
    server: RestServer, sync: TypedefSync, cache: Cache, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = lambda request: Reply(503)
    assert sync.registry() is TypeRegistry.bundled()
    assert "cannot be read" in caplog.text and cache.rows == {}
    cache.put("live", server.url.removeprefix("http://").replace(":", "_"), {"checked": clock.now, "types": [1]})
    assert sync.registry() is TypeRegistry.bundled()
