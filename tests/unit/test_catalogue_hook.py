"""The local catalogue against what a real Apache Atlas was seen to do; cases in tests/cases/catalogue/hook.yaml."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.catalogue import Catalogue, Outcome, Store, answers, lineage
from local.catalogue.envelope import MAX_BYTES, Envelopes

CASES = Path(__file__).parents[1] / "cases" / "catalogue"
TYPES = yaml.safe_load((CASES / "types.yaml").read_text())
HOOK = yaml.safe_load((CASES / "hook.yaml").read_text())


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    store = Store(tmp_path / "catalogue.db")
    found = Catalogue(store, notify=True)
    found.add_types(TYPES, changed=False)
    yield found
    store.close()


def target(value: Any) -> Any:
    """A reference as the cases write it: "-1", "type name" or JSON."""
    if not isinstance(value, str):
        return value
    if value.startswith("-"):
        return {"guid": value}
    type_name, _, qn = value.partition(" ")
    return {"typeName": type_name, "uniqueAttributes": {"qualifiedName": qn}} if qn else value


def targets(values: dict[str, Any]) -> dict[str, Any]:
    names = ("inputs", "outputs", "columns", "table", "tables", "folder", "db", "dbSchema", "server", "look")
    return {
        name: ([target(v) for v in value] if isinstance(value, list) else target(value)) if name in names else value
        for name, value in values.items()
    }


def entity(short: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"typeName": short["t"], "guid": short.get("guid", "-1")}
    if found["guid"] == "absent":
        del found["guid"]
    named = {"name": short["q"], "qualifiedName": short["q"]} if "q" in short else {}
    return found | {
        "attributes": named | targets(short.get("a", {})),
        "relationshipAttributes": targets(short.get("r", {})),
    }


def body(send: dict[str, Any]) -> bytes:
    if "text" in send:
        return str(send["text"]).encode()
    if "body" in send:
        return json.dumps(send["body"], ensure_ascii=False).encode()
    if "delete" in send:
        message: Any = {"type": "ENTITY_DELETE_V2", "entities": [target(v) for v in send["delete"]]}
    elif "update" in send:
        changed = entity(send["update"])
        named = {"typeName": changed["typeName"], "uniqueAttributes": {"qualifiedName": send["update"]["q"]}}
        changed = {"typeName": changed["typeName"], "attributes": targets(send["update"]["a"])}
        message = {"type": "ENTITY_PARTIAL_UPDATE_V2", "entityId": named, "entity": {"entity": changed}}
    else:
        kind = "ENTITY_CREATE_V2" if "create" in send else "ENTITY_FULL_UPDATE_V2"
        top = [entity(e) for e in send.get("create") or send["full_update"]]
        referred = {e["guid"]: e for e in map(entity, send.get("referred", []))}
        message = {"type": kind, "user": "test", "entities": {"entities": top, "referredEntities": referred}}
    return json.dumps({"version": {"version": "1.0.0"}, "message": message}).encode()


def living(catalogue: Catalogue, qn: str) -> dict[str, Any]:
    found = catalogue.store.by_qualified_name(qn)
    assert found, f"{qn} is not there"
    return answers.full(catalogue, found[0])[0]


def ends(shown: dict[str, Any], name: str) -> list[str]:
    value = shown["relationshipAttributes"][name]
    listed = value if isinstance(value, list) else [value] if value else []
    return sorted(r["uniqueAttributes"]["qualifiedName"] for r in listed if r["relationshipStatus"] == "ACTIVE")


@pytest.mark.parametrize("case", HOOK, ids=[c["name"] for c in HOOK])
def test_hook(catalogue: Catalogue, case: dict[str, Any]) -> None:
    outcomes: list[Outcome] = []
    first: dict[str, str] = {}
    for send in case["send"]:
        outcomes.append(catalogue.apply(body(send)))
        if not first:
            first = {e.qn: e.guid for e in catalogue.store.by_qualified_name("a")}
    assert [o.status for o in outcomes] == case["outcomes"], [o.reason for o in outcomes]
    assert case.get("reason", "") in outcomes[-1].reason
    for qn, expected in case.get("state", {}).items():
        check_state(living(catalogue, qn), expected)
    for qn in case.get("missing", []):
        assert not catalogue.store.by_qualified_name(qn), f"{qn} should not be there"
    if "count" in case:
        assert catalogue.store.value("SELECT count(*) FROM entity WHERE deleted = 0") == case["count"]
    if "same_guid" in case:
        assert living(catalogue, case["same_guid"])["guid"] == first[case["same_guid"]]
    if "new_guid" in case:
        assert living(catalogue, case["new_guid"])["guid"] != first[case["new_guid"]]
    if "events" in case:
        assert sorted(shown_events(outcomes[-1])) == sorted(case["events"])
    if "lineage" in case:
        base = catalogue.store.by_qualified_name(case["lineage"]["of"])[0]
        found = lineage.answer(catalogue, base, "BOTH", 3)
        names = sorted(e["attributes"]["qualifiedName"] for e in found["guidEntityMap"].values())
        assert (names, len(found["relations"])) == (case["lineage"]["nodes"], case["lineage"]["edges"])
    for kind in ("lost", "ignored"):
        noted = [f"{d['subject']} {d['reason']}" for d in catalogue.store.dropped(kind)]
        assert len(noted) == len(case.get(kind, noted if kind == "ignored" else []))
        for part in case.get(kind, []):
            assert any(part in text for text in noted), noted
    bad = [o for o in outcomes if o.status in ("dropped", "skipped")]
    assert sum(d["count"] for d in catalogue.store.dropped() if d["kind"] in ("failed", "skipped")) == len(bad)


def check_state(shown: dict[str, Any], expected: dict[str, Any]) -> None:
    for key, value in expected.items():
        if key == "attributes":
            assert {k: shown["attributes"][k] for k in value} == value
        elif key == "type":
            assert shown["typeName"] == value
        elif key == "incomplete":
            assert shown["isIncomplete"] is value
        elif key in ("labels", "customAttributes"):
            assert shown[key] == value
        else:
            assert ends(shown, key) == sorted(value), key


def shown_events(outcome: Outcome) -> list[str]:
    messages = [event["message"] for event in outcome.events]
    return [f"{m['operationType']} {m['entity']['attributes']['qualifiedName']}" for m in messages]


def tables(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"t": "demo_table", "q": f"t{n}", "guid": f"-{n + 1}"} for n in range(start, start + count)]


def test_one_bad_among_120_commits_the_first_50_and_loses_the_rest(catalogue: Catalogue) -> None:
    many = tables(120)
    many[70]["a"] = {"rows": "abc"}
    outcome = catalogue.apply(body({"create": many}))
    assert (outcome.status, len(outcome.created)) == ("partial", 50)
    assert [bool(catalogue.store.by_qualified_name(f"t{n}")) for n in (0, 49, 50, 119)] == [True, True, False, False]
    assert "invalid value for type long" in outcome.reason
    assert catalogue.store.dropped("failed")[0]["subject"] == "ENTITY_CREATE_V2 (partial)"


def test_one_bad_among_50_drops_all(catalogue: Catalogue) -> None:
    many = tables(50)
    many[49]["a"] = {"rows": "abc"}
    assert catalogue.apply(body({"create": many})).status == "dropped"
    assert catalogue.store.value("SELECT count(*) FROM entity") == 0


def test_references_across_batches_resolve(catalogue: Catalogue) -> None:
    process = {"t": "demo_process", "q": "p", "guid": "-9000", "a": {"inputs": ["-1"], "outputs": ["-120"]}}
    outcome = catalogue.apply(body({"create": [process, *tables(120)]}))
    assert (outcome.status, len(outcome.created)) == ("applied", 121)
    assert ends(living(catalogue, "p"), "outputs") == ["t119"]


def test_120_columns_before_their_table(catalogue: Catalogue) -> None:
    columns = [
        {"t": "demo_column", "q": f"c{n}", "guid": f"-{n + 1}", "a": {"dataType": "int"}, "r": {"table": "-500"}}
        for n in range(120)
    ]
    outcome = catalogue.apply(body({"create": [*columns, {"t": "demo_table", "q": "t", "guid": "-500"}]}))
    assert (outcome.status, len(outcome.created)) == ("applied", 121)
    assert len(ends(living(catalogue, "t"), "columns")) == 120


# envelopes


def compressed(send: dict[str, Any]) -> str:
    return base64.b64encode(gzip.compress(body(send))).decode()


def envelope(text: str, **fields: Any) -> bytes:
    return json.dumps({"version": {"version": "1.0.0"}, "msgId": "m", "message": text} | fields).encode()


def test_gzip(catalogue: Catalogue) -> None:
    outcome = catalogue.apply(envelope(compressed({"create": tables(3)}), msgCompressionKind="GZIP"))
    assert (outcome.status, len(outcome.created)) == ("applied", 3)


def test_gzip_bomb_is_skipped(catalogue: Catalogue) -> None:
    text = base64.b64encode(gzip.compress(b" " * (MAX_BYTES + 1))).decode()
    assert catalogue.apply(envelope(text, msgCompressionKind="GZIP")).status == "skipped"


@pytest.mark.parametrize(
    ("order", "taken"), [((0, 1, 2), True), ((1, 0, 2), False), ((0, 2, 1), False), ((2, 1, 0), False)]
)
@pytest.mark.parametrize("packed", [True, False])
def test_split(catalogue: Catalogue, order: tuple[int, ...], taken: bool, packed: bool) -> None:
    whole = {"create": tables(3)}
    text = compressed(whole) if packed else base64.b64encode(body(whole)).decode()
    size = len(text) // 3 + 1
    parts = [text[n * size : (n + 1) * size] for n in range(3)]
    kind = "GZIP" if packed else "NONE"
    for n in order:
        catalogue.apply(envelope(parts[n], msgSplitIdx=n, msgSplitCount=3, msgCompressionKind=kind))
    assert (catalogue.store.value("SELECT count(*) FROM entity") == 3) is taken
    assert bool(catalogue.store.dropped("skipped")) is not taken


def test_an_incomplete_set_is_given_up_after_15_minutes(tmp_path: Path) -> None:
    now = [0.0]
    store = Store(tmp_path / "c.db")
    found = Catalogue(store, envelopes=Envelopes(clock=lambda: now[0]))
    assert found.apply(envelope("x", msgSplitIdx=0, msgSplitCount=2)).status == "pending"
    now[0] = 901
    found.apply(b"{}")
    assert [d["subject"] for d in store.dropped("skipped") if "given up" in d["reason"]] == ["m"]
    store.close()


# everything from outside

KEYS = ("guid", "typeName", "uniqueAttributes", "qualifiedName", "name", "inputs", "table", "columns", "rows", "x")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab-1", max_size=3) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(
    kind=st.sampled_from(["CREATE", "FULL_UPDATE", "PARTIAL_UPDATE", "DELETE"]),
    entities=json_values,
    attributes=json_values,
    extra=st.dictionaries(
        st.sampled_from(["labels", "customAttributes", "classifications", "contacts", "relationshipAttributes"]),
        json_values,
    ),
)
def test_no_message_raises(
    catalogue: Catalogue, kind: str, entities: Any, attributes: Any, extra: dict[str, Any]
) -> None:
    if isinstance(attributes, dict):
        attributes = {"name": "a", "qualifiedName": "a"} | attributes
    one = {"typeName": "demo_table", "guid": "-1", "attributes": attributes} | extra
    for value in (
        entities,
        {"entities": [one]},
        {"entities": entities},
        {"entities": [one], "referredEntities": entities},
    ):
        message = {"type": f"ENTITY_{kind}_V2", "entities": value, "entity": {"entity": one}, "entityId": value}
        status = catalogue.apply(json.dumps({"message": message}).encode()).status
        assert status in ("applied", "dropped", "skipped", "partial")


def test_notifications_have_the_shape_of_purview(catalogue: Catalogue) -> None:
    catalogue.apply(body({"create": [{"t": "demo_table", "q": "a"}]}))
    ((_, queued),) = catalogue.store.notifications(10)
    event = json.loads(queued)
    assert event["version"] == {"version": "1.0.0", "versionParts": [1]}
    message = event["message"]
    assert (message["type"], message["operationType"]) == ("ENTITY_NOTIFICATION_V2", "ENTITY_CREATE")
    assert message["entity"]["guid"] == living(catalogue, "a")["guid"]
    assert message["entity"]["attributes"] == {"name": "a", "qualifiedName": "a"}
    assert message["entity"]["status"] == "ACTIVE"


def test_a_dropped_message_notifies_nobody(catalogue: Catalogue) -> None:
    catalogue.apply(body({"create": [{"t": "demo_table", "q": "a"}, {"t": "demo_nothing", "q": "b", "guid": "-2"}]}))
    assert catalogue.store.notifications(10) == []


def test_the_store_survives_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "c.db")
    first = Catalogue(store)
    first.add_types(TYPES, changed=False)
    first.apply(body({"create": [{"t": "demo_table", "q": "a"}]}))
    store.close()
    store = Store(tmp_path / "c.db")
    again = Catalogue(store)
    assert again.apply(body({"create": [{"t": "demo_table", "q": "a"}]})).updated == []
    assert living(again, "a")["typeName"] == "demo_table"
    store.close()


def test_equal_drops_are_counted_not_repeated(catalogue: Catalogue) -> None:
    for _ in range(5):
        catalogue.apply(b"hello")
    assert [(d["kind"], d["count"]) for d in catalogue.store.dropped()] == [("skipped", 5)]
