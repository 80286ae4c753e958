"""The catalogue's REST client against a real server on loopback that throttles, fails, hangs and drops."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, NamedTuple

import pytest
import requests

from shared.delivery import rest
from shared.delivery.catalog import FIND_NAMES, Catalog, Collection, Found
from shared.delivery.split import split
from shared.errors import CatalogBusy, CatalogRefused, HooklineError, SettingsError
from tests.unit.rest_server import Reply, Request, RestServer, atlas_error

TOKEN = "eyJ0-very-secret-token-0"


@pytest.fixture
def server() -> Iterator[RestServer]:
    server = RestServer()
    yield server
    server.close()


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def catalog(server: RestServer, session: requests.Session, waits: list[float]) -> Catalog:
    return Catalog(server.url, session=session, sleep=waits.append, timeout=(2, 0.3))


class Token(NamedTuple):
    token: str
    expires_on: int


class Credential:
    """What azure-identity's credentials look like from outside."""

    def __init__(self, lifetime: float = 3600, error: Exception | None = None) -> None:
        self.scopes: list[str] = []
        self.lifetime = lifetime
        self.error = error

    def get_token(self, *scopes: str) -> Token:
        if self.error:
            raise self.error
        self.scopes.extend(scopes)
        return Token(f"{TOKEN}{len(self.scopes)}", int(time.time() + self.lifetime))


# ---- retries


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_passing_failures_are_tried_again(
    server: RestServer, catalog: Catalog, waits: list[float], status: int
) -> None:
    server.replies = [Reply(status), Reply(status), Reply(200, {"entityDefs": []})]
    assert catalog.typedefs() == {"entityDefs": []}
    assert len(server.requests) == 3
    assert len(waits) == 2 and 1 <= waits[0] <= 2.01 and 2 <= waits[1] <= 3.01


def test_retry_after_in_seconds_is_honoured(server: RestServer, catalog: Catalog, waits: list[float]) -> None:
    server.replies = [Reply(429, headers={"Retry-After": "17"}), Reply(503, headers={"Retry-After": "0"})]
    assert catalog.typedefs() == {}
    assert waits == [17.0, 0.0]


def test_retry_after_as_a_date_is_honoured(server: RestServer, catalog: Catalog, waits: list[float]) -> None:
    then = datetime.now(UTC) + timedelta(seconds=40)
    server.replies = [Reply(429, headers={"Retry-After": format_datetime(then, usegmt=True)})]
    assert catalog.typedefs() == {}
    assert len(waits) == 1 and 35 < waits[0] <= 40


@pytest.mark.parametrize("nonsense", ["soon", "-5", "1e400", ""])
def test_a_nonsense_retry_after_does_no_harm(
    server: RestServer, catalog: Catalog, waits: list[float], nonsense: str
) -> None:
    server.replies = [Reply(429, headers={"Retry-After": nonsense})]
    assert catalog.typedefs() == {}
    assert len(waits) == 1 and 0 <= waits[0] <= 2.01


def test_a_long_wait_is_left_to_the_trigger(server: RestServer, catalog: Catalog, waits: list[float]) -> None:
    server.replies = [Reply(429, headers={"Retry-After": "3600"})]
    with pytest.raises(CatalogBusy, match=r"429.*asks to wait 3,600 s"):
        catalog.typedefs()
    assert waits == [] and len(server.requests) == 1


def test_attempts_are_bounded(server: RestServer, catalog: Catalog, waits: list[float]) -> None:
    server.answer = lambda request: atlas_error(503, "X-503", "overloaded")
    with pytest.raises(CatalogBusy, match=r"503 X-503 overloaded \(6 attempts\)") as raised:
        catalog.typedefs()
    assert len(server.requests) == 6 and len(waits) == 5
    assert max(waits) <= 31 and waits == sorted(waits)
    assert raised.value.fix and "GET /datamap/api/atlas/v2/types/typedefs" in raised.value.where


def test_a_dropped_connection_is_tried_again(server: RestServer, catalog: Catalog, waits: list[float]) -> None:
    server.replies = [Reply(0), Reply(200, {"a": 1}, cut=True), Reply(200, {"entityDefs": [1]})]
    assert catalog.typedefs() == {"entityDefs": [1]}
    assert len(waits) == 2


def test_a_slow_answer_is_tried_again_and_then_reported(server: RestServer, session: requests.Session) -> None:
    slow = Catalog(server.url, session=session, sleep=lambda _: None, timeout=(2, 0.05), attempts=2)
    server.replies = [Reply(hang=True), Reply(hang=True)]
    with pytest.raises(CatalogBusy, match=r"no answer \(\w+\) \(2 attempts\)"):
        slow.typedefs()


def test_nobody_listens(waits: list[float], session: requests.Session) -> None:
    gone = RestServer()
    gone.close()
    with pytest.raises(CatalogBusy, match="no answer"):
        Catalog(gone.url, session=session, sleep=waits.append, attempts=3).typedefs()
    assert len(waits) == 2


# ---- refusals


@pytest.mark.parametrize(
    ("reply", "says", "fix"),
    [
        (atlas_error(400, "ATLAS-400-00-01A", "invalid parameters"), "400 ATLAS-400-00-01A: invalid parameters", "rea"),
        (Reply(401, b"Unauthorized"), "401: no reason given", "purview.azure.net"),
        (
            Reply(403, {"error": {"code": "Unauthorized", "message": "Not authorized"}}),
            "Not authorized",
            "Data Curator",
        ),
        (atlas_error(404, "ATLAS-404-00-001", "Given typename x was invalid"), "ATLAS-404-00-001", "types push"),
        (atlas_error(404, "ATLAS-404-00-00A", "Referenced entity t q is not found"), "Referenced entity", "before it"),
        (Reply(404, b"<html>nothing</html>"), "404", "purview.azure.com"),
        (atlas_error(409, "ATLAS-409-00-001", "Given type t already exists"), "already exists", "correct"),
        (Reply(413), "413", "fewer"),
        (Reply(302, headers={"Location": "https://elsewhere.example/"}), "302", "leads elsewhere"),
    ],
)
def test_refusals_say_why_and_what_to_do(
    server: RestServer, catalog: Catalog, waits: list[float], reply: Reply, says: str, fix: str
) -> None:
    server.replies = [reply]
    with pytest.raises(CatalogRefused) as raised:
        catalog.upsert([{"typeName": "x", "guid": "-1", "attributes": {}}])
    assert says in raised.value.what and fix in raised.value.fix
    assert raised.value.where == f"POST /datamap/api/atlas/v2/entity/bulk on {server.url}"
    assert waits == [] and len(server.requests) == 1, "a refusal is not tried again, a redirect not followed"


def test_a_page_instead_of_json(server: RestServer, catalog: Catalog) -> None:
    server.replies = [Reply(200, b"<html>Sign in</html>")]
    with pytest.raises(CatalogRefused, match="no JSON"):
        catalog.typedefs()


def test_an_answer_too_large(server: RestServer, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "MAX_RESPONSE", 200_000)
    server.replies = [Reply(200, b'"' + b"x" * 300_000 + b'"')]
    with pytest.raises(CatalogRefused, match="larger than 200,000 bytes"):
        catalog.typedefs()


def test_an_answer_that_never_ends(server: RestServer, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "_ANSWER_SECONDS", -1.0)
    server.answer = lambda request: Reply(200, b'"' + b"x" * 300_000 + b'"')
    with pytest.raises(CatalogBusy, match="did not end"):
        catalog.typedefs()


def test_no_credential_of_an_answer_is_repeated(server: RestServer, catalog: Catalog) -> None:
    server.replies = [atlas_error(400, "X", "cannot reach postgresql://reader:hunter22secret@crm/db")]
    with pytest.raises(CatalogRefused) as raised:
        catalog.typedefs()
    assert "hunter22secret" not in str(raised.value)


# ---- sign-in


def test_the_token_is_for_purview_and_kept(server: RestServer, session: requests.Session) -> None:
    credential = Credential()
    catalog = Catalog(server.url, credential, session=session)
    catalog.typedefs()
    catalog.typedefs()
    assert credential.scopes == ["https://purview.azure.net/.default"]
    assert {r.headers["Authorization"] for r in server.requests} == {f"Bearer {TOKEN}1"}


def test_an_expiring_token_is_renewed_and_the_scope_can_be_set(server: RestServer, session: requests.Session) -> None:
    credential = Credential(lifetime=60)
    catalog = Catalog(server.url, credential, session=session, scope="https://purview.azure.cn/.default")
    catalog.typedefs()
    catalog.typedefs()
    assert credential.scopes == ["https://purview.azure.cn/.default"] * 2


def test_a_revoked_token_is_renewed_once(server: RestServer, session: requests.Session) -> None:
    credential = Credential()
    catalog = Catalog(server.url, credential, session=session)
    server.replies = [Reply(401)]
    assert catalog.typedefs() == {}
    assert [r.headers["Authorization"][-1] for r in server.requests] == ["1", "2"]
    server.answer = lambda request: Reply(401)
    with pytest.raises(CatalogRefused, match="401"):
        catalog.typedefs()
    assert len(server.requests) == 4


def test_sign_in_that_fails(server: RestServer, session: requests.Session, waits: list[float]) -> None:
    from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError

    refused = Catalog(server.url, Credential(error=ClientAuthenticationError("AADSTS7000215")), session=session)
    with pytest.raises(CatalogRefused, match="no token") as raised:
        refused.typedefs()
    assert "managed identity" in raised.value.fix
    offline = Credential(error=ServiceRequestError("no route"))
    with pytest.raises(CatalogBusy, match="sign-in"):
        Catalog(server.url, offline, session=session, sleep=waits.append, attempts=2).typedefs()
    assert server.requests == [] and len(waits) == 1


def test_no_token_in_logs_errors_or_repr(
    server: RestServer, session: requests.Session, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    catalog = Catalog(server.url, Credential(), session=session, sleep=lambda _: None, attempts=2)
    server.answer = lambda request: Reply(500)
    errors: list[HooklineError] = []
    with pytest.raises(CatalogBusy) as raised:
        catalog.typedefs()
    errors.append(raised.value)
    server.answer = lambda request: Reply(403)
    with pytest.raises(CatalogRefused) as refused:
        catalog.typedefs()
    errors.append(refused.value)
    seen = caplog.text + repr(catalog) + "".join(f"{e}{e!r}" for e in errors)
    assert TOKEN not in seen and "127.0.0.1" in seen


def test_netrc_does_not_replace_the_token(
    server: RestServer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, session: requests.Session
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password hunter22secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    Catalog(server.url, Credential(), session=session).typedefs()
    with requests.Session() as other:
        Catalog(server.url, session=other).typedefs()
    assert server.requests[0].headers["Authorization"].startswith("Bearer ")
    assert "Authorization" not in server.requests[1].headers


@pytest.mark.parametrize(
    ("endpoint", "signed", "says"),
    [
        ("https://contoso.purview.azure.com", False, "needs a credential"),
        ("https://127.0.0.1:8400", False, "needs a credential"),
        ("http://contoso.purview.azure.com", True, "not https"),
        ("http://127.0.0.1.example.com", False, "not https"),
        ("contoso.purview.azure.com", True, "no address"),
        ("https://contoso.purview.azure.com/catalog", True, "no address"),
        ("https://contoso.purview.azure.com/?x=1", True, "no address"),
        ("ftp://contoso", True, "no address"),
        ("", True, "no address"),
        ("https://me:hunter22secret@contoso.purview.azure.com", True, "user name or password"),
    ],
)
def test_endpoints_that_cannot_be(endpoint: str, signed: bool, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as raised:
        Catalog(endpoint, Credential() if signed else None)
    assert raised.value.fix and "hunter22secret" not in str(raised.value)


def test_endpoints_that_can_be() -> None:
    for endpoint in ("https://contoso.purview.azure.com/", "http://localhost:8400", "http://[::1]:8400"):
        catalog = Catalog(endpoint, Credential())
        assert catalog.endpoint == endpoint.rstrip("/")
        catalog._rest._session.close()


# ---- methods


def table(number: int, columns: int = 0) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """A table whose columns name it by guid, while it does not name them."""
    guid = f"-{number}000"
    top = {"typeName": "hookline_dataset", "guid": guid, "attributes": {"qualifiedName": f"t{number}"}}
    children = {
        f"-{number * 1000 + c}": {
            "typeName": "hookline_column",
            "guid": f"-{number * 1000 + c}",
            "relationshipAttributes": {"table": {"guid": guid}},
        }
        for c in range(1, columns + 1)
    }
    return top, children


def test_typedef_calls(server: RestServer, catalog: Catalog) -> None:
    server.replies = [Reply(200, [{"name": "t", "guid": "g"}, "x"]), Reply(200, {"entityDefs": []}), Reply(204, b"")]
    assert catalog.typedef_headers() == [{"name": "t", "guid": "g"}]
    assert catalog.create_typedefs({"entityDefs": [{"name": "t"}]}) == {"entityDefs": []}
    assert catalog.update_typedefs({"entityDefs": []}) == {}
    assert server.paths == ["GET types/typedefs/headers", "POST types/typedefs", "PUT types/typedefs"]
    assert server.requests[1].body == {"entityDefs": [{"name": "t"}]}
    assert {r.query["api-version"] for r in server.requests} == {"2023-09-01"}


def test_upsert_sends_at_most_100_and_keeps_closures(server: RestServer, catalog: Catalog) -> None:
    def assign(request: Request) -> Reply:
        sent = [e["guid"] for e in request.body["entities"]] + list(request.body["referredEntities"])
        return Reply(200, {"guidAssignments": {guid: f"real{guid}" for guid in sent}})

    server.answer = assign
    entities, referred = [], {}
    for number in range(1, 31):
        top, children = table(number, columns=9)
        entities.append(top)
        referred.update(children)
    assigned = catalog.upsert(entities, referred, "fin001")
    assert len(server.requests) == 3 and len(assigned) == 300 and assigned["-1000"] == "real-1000"
    for request in server.requests:
        assert request.query["collectionId"] == "fin001"
        tops = {e["guid"] for e in request.body["entities"]}
        assert len(tops) + len(request.body["referredEntities"]) <= 100
        for child in request.body["referredEntities"].values():
            assert child["relationshipAttributes"]["table"]["guid"] in tops
    assert [e["guid"] for r in server.requests for e in r.body["entities"]] == [e["guid"] for e in entities]


def test_upsert_without_a_collection_moves_nothing(server: RestServer, catalog: Catalog) -> None:
    assert catalog.upsert([table(1)[0]]) == {}
    assert "collectionId" not in server.requests[0].query
    assert catalog.upsert([]) == {} and len(server.requests) == 1


def test_split_keeps_a_large_closure_whole_and_far_references_together() -> None:
    wide, columns = table(1, columns=150)
    loner, _ = table(2)
    reader = {"typeName": "hookline_process", "guid": "-3000", "attributes": {"inputs": [{"guid": "-2000"}]}}
    many = [table(n)[0] for n in range(10, 210)]
    bodies = list(split([loner, wide, *many, reader], columns, 100))
    home = {e["guid"]: i for i, b in enumerate(bodies) for e in b["entities"]}
    assert home["-3000"] == home["-2000"], "the process and its input travel together, whatever stands between"
    assert bodies[home["-1000"]]["referredEntities"].keys() == columns.keys()
    assert [e["guid"] for e in bodies[home["-1000"]]["entities"]] == ["-1000"]
    assert sorted(home) == sorted(e["guid"] for e in [loner, wide, *many, reader])
    assert all(
        len(b["entities"]) + len(b["referredEntities"]) <= 100 for i, b in enumerate(bodies) if i != home["-1000"]
    )


def test_split_loses_no_child() -> None:
    bodies = list(split([], {"-5": {"typeName": "hookline_report", "guid": "-5", "attributes": {}}}, 100))
    assert bodies == [
        {"entities": [{"typeName": "hookline_report", "guid": "-5", "attributes": {}}], "referredEntities": {}}
    ]


def test_find_asks_in_bulk(server: RestServer, catalog: Catalog) -> None:
    def answer(request: Request) -> Reply:
        assert request.query["minExtInfo"] == request.query["ignoreRelationships"] == "true"
        names = [v for k, v in request.query.items() if k.startswith("attr_") and k.endswith(":qualifiedName")]
        known = [n for n in names if not n.endswith("7")]
        return Reply(200, {"entities": [{"guid": f"g{n}", "attributes": {"qualifiedName": n}} for n in known]})

    server.answer = answer
    names = [f"acme://crm/ta ble&{n}?#é/{n}" for n in range(120)]
    found = catalog.find("hookline_dataset", [*names, names[0]])
    assert found.keys() == {n for n in names if not n.endswith("7")}
    assert found[names[1]] == Found(f"g{names[1]}", "ACTIVE")
    assert len(server.requests) == -(-120 // FIND_NAMES)
    assert server.paths[0] == "GET entity/bulk/uniqueAttribute/type/hookline_dataset"
    assert catalog.find("hookline_dataset", []) == {}


def test_find_keeps_addresses_short(server: RestServer, catalog: Catalog) -> None:
    catalog.find("t", ["x" * 2000 + str(n) for n in range(9)])
    assert len(server.requests) == 5
    assert all(len(str(r.query)) < 7000 for r in server.requests)


def test_find_with_a_service_that_refuses_all_for_one(server: RestServer, catalog: Catalog) -> None:
    def answer(request: Request) -> Reply:
        names = [v for k, v in request.query.items() if k.startswith("attr_")]
        if "lost" in names:
            return atlas_error(404, "ATLAS-404-00-009", "Instance with unique attribute does not exist")
        return Reply(
            200, {"entities": [{"guid": n, "status": "DELETED", "attributes": {"qualifiedName": n}} for n in names]}
        )

    server.answer = answer
    found = catalog.find("t", ["a", "b", "lost", "c", "d"])
    assert found == {n: Found(n, "DELETED") for n in "abcd"}


def test_find_of_an_unknown_type_is_no_silence(server: RestServer, catalog: Catalog) -> None:
    server.replies = [atlas_error(404, "ATLAS-404-00-001", "Given typename t was invalid")]
    with pytest.raises(CatalogRefused, match="typename"):
        catalog.find("t", ["a"])


def test_get_and_delete(server: RestServer, catalog: Catalog) -> None:
    gone = atlas_error(404, "ATLAS-404-00-009", "does not exist")
    server.replies = [Reply(200, {"entity": {"guid": "g"}}), gone, Reply(200, {"mutatedEntities": {}}), gone]
    assert catalog.get("a/b", "acme://x y") == {"entity": {"guid": "g"}}
    assert catalog.get("t", "q") is None
    assert catalog.delete("t", "q") is True
    assert catalog.delete("t", "q") is False
    assert server.requests[0].path.endswith("/entity/uniqueAttribute/type/a%2Fb")
    assert server.requests[0].query["attr:qualifiedName"] == "acme://x y"
    assert [r.method for r in server.requests] == ["GET", "GET", "DELETE", "DELETE"]


def test_move(server: RestServer, catalog: Catalog) -> None:
    catalog.move([f"g{n}" for n in range(150)], "fin001")
    assert [r.path for r in server.requests] == ["/datamap/api/entity/moveTo"] * 2
    assert [len(r.body["entityGuids"]) for r in server.requests] == [100, 50]
    assert server.requests[0].query["collectionId"] == "fin001"


def test_collections_over_pages(server: RestServer, catalog: Catalog) -> None:
    server.replies = [
        Reply(200, {"value": [{"name": "contoso"}], "nextLink": f"{server.url}/collections?page=2"}),
        Reply(
            200,
            {"value": [{"name": "x1y2z3", "friendlyName": "Fin", "parentCollection": {"referenceName": "contoso"}}]},
        ),
    ]
    assert catalog.collections() == [Collection("contoso", "contoso", ""), Collection("x1y2z3", "Fin", "contoso")]
    assert server.requests[0].query == {"api-version": "2019-11-01-preview"}


def test_collections_never_follow_to_another_host(server: RestServer, catalog: Catalog) -> None:
    server.replies = [Reply(200, {"value": [], "nextLink": server.url + ".example.com/collections"})]
    with pytest.raises(CatalogRefused, match="another host"):
        catalog.collections()
    assert len(server.requests) == 1
