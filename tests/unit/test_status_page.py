"""`/api/status`: a page for a browser, JSON for scripts; nothing that people can name gets out of its place."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser

import msgspec
import pytest

from shared.pipeline import http, page
from shared.pipeline.overview import InstanceStatus, Status
from shared.pipeline.story import Story
from shared.pipeline.why import Why
from shared.state.receipts import Receipt
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import System, Table, World, world  # noqa: F401

#: what a browser sends (Firefox 128)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
HOSTILE = 'uploads/records/"><script>alert(1)</script>&<img src=x onerror=alert(2)>.jsonl'


@pytest.fixture
def crm(world: World) -> System:
    system = world.system("crm")
    system.tables.update({"orders": Table("id", "a"), "parts": Table("id")})
    return system


def shown(world: World, **query: str) -> str:
    code, body, headers = http.status(world.app, query, BROWSER)
    assert code == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    return body.decode()


class Tags(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (BROWSER, "text/html"),
        ("text/html", "text/html"),
        ("application/json", "application/json"),
        ("application/json, text/html;q=0.5", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
    ],
)
def test_who_gets_what(world: World, accept: str, kind: str) -> None:
    code, body, headers = http.status(world.app, {}, accept)
    assert (code, headers["Content-Type"].partition(";")[0]) == (200, kind)
    if kind == "application/json":
        assert msgspec.json.decode(body, type=Status).version == 1


def test_a_page_with_everything_that_matters(world: World, crm: System) -> None:
    crm.tables.update({f"t{n:02}": Table("id") for n in range(30)})
    world.scan("crm")
    world.settle()
    for n in range(20):
        del crm.tables[f"t{n:02}"]
    world.scan("crm")
    world.settle()
    world.upload("uploads/records/bad.jsonl", '{"kind": "x"}\n')
    world.settle()
    world.upload("uploads/records/waits.jsonl", "{}")
    told = Tags(shown(world)).text
    for words in (
        "./hookline approve crm public",
        "20 assets gone from the source",
        "finished",
        "landed",
        "rejected",
        "ago",
    ):
        assert words in told, words
    story = Tags(shown(world, of="uploads/records/bad.jsonl")).text
    for words in ("line 1", "not a record", "taken up", "next", "attempts"):
        assert words in story, words
    held = Tags(shown(world, of="crm")).text
    assert "Held back in public" in held
    assert "/tables/t00" in held
    scan = world.scan_of("crm").id
    assert f"crm: scan {scan}" in Tags(shown(world, of=scan)).text
    assert "held: 20 in 1 files" in Tags(shown(world, rejected="1")).text
    why = Tags(shown(world, why="t01")).text
    for words in ("held", "published", "crm/public", "ACTIVE", "./hookline approve crm public"):
        assert words in why, words
    assert "did you mean" in Tags(shown(world, why="odrers")).text
    _, body, _ = http.status(world.app, {"why": "t25"}, "application/json")
    assert [s.kind for s in msgspec.json.decode(body, type=Why).sightings] == ["published"]
    _, body, _ = http.status(world.app, {"of": "crm"}, "application/json")
    assert msgspec.json.decode(body, type=Story).about == "instance"
    _, body, _ = http.status(world.app, {"rejected": "1"}, "application/json")
    assert {group["rule"] for group in json.loads(body)} == {"held", "record"}


@pytest.mark.parametrize(
    "query", [{}, {"of": HOSTILE}, {"rejected": "1"}, {"of": "<script>alert(3)</script>"}, {"why": "<script>alert(1)"}]
)
def test_a_hostile_name_stays_a_name(world: World, query: dict[str, str]) -> None:
    world.upload(HOSTILE, '{"kind": "<script>alert(4)</script>"}\n')
    world.settle()
    key = '"><script>alert(5)</script>'
    _, body, _ = http.status(world.app, {**query, "code": key, "state": "", "under": ""}, BROWSER)
    read = Tags(body.decode())
    assert "script" not in read.tags
    assert "img" not in read.tags
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    assert not [value for name, value in read.attributes if name == "href" and not str(value).startswith("?")]
    assert "alert" in read.text, "it is told all the same"


def test_without_escaping_it_would_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.upload(HOSTILE, "{}")
    monkeypatch.setattr(page, "esc", lambda text: text if isinstance(text, str) else str(text))
    assert "script" in Tags(shown(world)).tags


def test_nothing_runs_and_nothing_is_loaded(world: World) -> None:
    _, body, headers = http.status(world.app, {}, BROWSER)
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    (style,) = re.findall(r"<style>(.*?)</style>", body.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy, "or the browser would leave it out"
    read = Tags(body.decode())
    assert not {"script", "img", "link", "iframe", "object"} & set(read.tags)
    assert "style" not in [name for name, _ in read.attributes]
    assert (headers["Referrer-Policy"], headers["Cache-Control"]) == ("no-referrer", "no-store")


def test_what_fails_as_a_whole_is_told(world: World, crm: System) -> None:
    from shared.state.circuits import Circuit

    moment = "2026-01-01T00:00:00.000000Z"
    broken = Circuit(
        failures=7, since=moment, last=moment, retry_at=moment, error="the <b>hub</b> refuses", fix="`az role`"
    )
    told = Status(
        at=moment,
        sink="event hub",
        instances=[InstanceStatus(name="crm", circuit=broken)],
        files=[],
        totals={},
        waiting=0,
        circuit=broken,
    )
    read = Tags(page.Pages(moment).status(told, {}).decode())
    for words in ("sending by event hub", "the <b>hub</b> refuses (circuit open since", "failures: 7", "az role"):
        assert read.text.count(words) >= 1, words
    assert read.text.count("circuit open since") == 2
    assert "code" in read.tags


def test_links_carry_the_key_and_pages_follow_each_other(world: World) -> None:
    for n in range(7):
        world.app.receipts.put(
            Receipt(path=f"uploads/records/{n}.jsonl", state="confirmed", started=f"2026-01-0{n + 1}T00:00:00Z")
        )
    seen: list[str] = []
    link: str | None = "?files=3&code=k%26y"
    while link:
        query = dict(pair.split("=", 1) for pair in link.removeprefix("?").split("&"))
        body = shown(world, **{name: page_value(value) for name, value in query.items()})
        seen += re.findall(r">uploads/records/(\d)\.jsonl<", body)
        hrefs = [html.unescape(href) for href in re.findall(r'href="([^"]*)"', body)]
        assert all("code=k%26y" in href for href in hrefs)
        link = next((href for href in hrefs if "before=" in href), None)
    assert seen == list("6543210")


def page_value(text: str) -> str:
    from urllib.parse import unquote_plus

    return unquote_plus(text)


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ({"of": "uploads/records/nothere"}, 404, "there is no such file, scan or instance"),
        ({"files": "many"}, 400, "a number up to 500"),
        ({"files": "100000"}, 400, "a number up to 500"),
        ({"before": "x"}, 404, "no place in the list"),
    ],
)
def test_what_is_asked_for_wrongly(world: World, query: dict[str, str], code: int, words: str) -> None:
    for accept in (BROWSER, "application/json"):
        answered, body, _ = http.status(world.app, query, accept)
        assert answered == code
        assert words in body.decode()


def test_the_function_answers_both(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    import azure.functions as func

    import function_app
    from shared import pipeline

    monkeypatch.setattr(pipeline, "worker", lambda: world.app)
    for accept, kind in ((BROWSER, "text/html"), ("application/json", "application/json")):
        request = func.HttpRequest("GET", "https://x/api/status", headers={"Accept": accept}, body=b"")
        answer = function_app.status.build().get_user_function()(request)
        assert (answer.status_code, answer.mimetype) == (200, kind)
        assert "Content-Security-Policy" in answer.headers
