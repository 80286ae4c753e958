"""Which entities travel together, and that nothing of a document is lost without a word."""

from __future__ import annotations

import io
import json
import random
from typing import Any

import pytest

from connectors.format import FileContext
from connectors.formats import atlas_graph
from connectors.formats.atlas_json import AtlasJson
from shared.errors import BadInput
from shared.records import Atlas, Found, Refusal


def entity(guid: Any, *refers: Any) -> dict[str, Any]:
    return {
        "typeName": "t",
        "guid": guid,
        "attributes": {"qualifiedName": f"q{guid}", "list": [{"deep": {"guid": g}} for g in refers]},
    }


def read(document: Any, indent: int | None = None) -> list[Found | Refusal]:
    return list(AtlasJson().read(io.BytesIO(json.dumps(document, indent=indent).encode()), FileContext(path="x.json")))


def together(document: Any) -> list[list[str]]:
    """Guids of each record, the top first."""
    found = []
    for item in read(document):
        assert isinstance(item, Found), item
        assert isinstance(item.record, Atlas)
        found.append([str(e["guid"]) for e in (item.record.entity, *item.record.referred)])
    return found


def document(*tops: Any, referred: tuple[Any, ...] = ()) -> dict[str, Any]:
    return {"entities": list(tops), "referredEntities": {str(e["guid"]): e for e in referred}}


@pytest.mark.parametrize(
    ("tops", "referred", "expected"),
    [
        ([entity("-1"), entity("-2")], (), [["-1"], ["-2"]]),
        ([entity("-1", "-5")], (entity("-5", "-6"), entity("-6", "-1")), [["-1", "-5", "-6"]]),
        ([entity("-1", "-2"), entity("-2")], (), [["-1", "-2"]]),
        ([entity("-2"), entity("-1", "-2")], (), [["-1", "-2"]]),
        ([entity("-1", "-2"), entity("-2", "-1")], (), [["-1", "-2"]]),
        ([entity("-1"), entity("-2", "-1"), entity("-3", "-1")], (), [["-2", "-1"], ["-3", "-1"]]),
        ([entity("-1", "-9"), entity("-2", "-9")], (entity("-9"),), [["-1", "-9"], ["-2", "-9"]]),
        ([entity("-1", "-1")], (), [["-1"]]),
        ([entity(-1, -2)], (entity(-2),), [["-1", "-2"]]),
        ([entity("ab-1", "cd-2")], (), [["ab-1"]]),
    ],
    ids=[
        *("apart", "chain", "top refers to top", "whatever the order", "circle", "shared top", "shared child", "self"),
        *("numbers", "assigned"),
    ],
)  # fmt: skip
def test_together(tops: list[Any], referred: tuple[Any, ...], expected: list[list[str]]) -> None:
    assert together(document(*tops, referred=referred)) == expected


def test_every_entity_of_any_document_comes_out_reachable() -> None:
    """The property that Atlas needs: a record's entities are all reached from its top, and none is missing."""
    chance = random.Random(7)
    for _ in range(200):
        guids = [f"-{n}" for n in range(1, chance.randint(2, 12))]
        refers = {g: chance.sample(guids, chance.randint(0, min(3, len(guids)))) for g in guids}
        found = together(document(*(entity(g, *refers[g]) for g in guids)))
        assert {g for group in found for g in group} == set(guids)
        for top, *rest in found:
            reached, waiting = {top}, [top]
            while waiting:
                new = [g for g in refers[waiting.pop()] if g not in reached]
                reached.update(new)
                waiting.extend(new)
            assert reached == {top, *rest}
        for top, *_rest in found:
            assert not any(top in group for group in found if group[0] != top), "a record that another one contains"


def test_one_line_and_many_lines_are_the_same() -> None:
    value = document(entity("-1", "-5"), entity(None), referred=(entity("-5"),))
    records = [[i.record for i in read(value, indent) if isinstance(i, Found)] for indent in (None, 1)]
    assert records[0] == records[1]
    assert len(records[0]) == 2


def test_an_entity_without_guid_gets_the_key_it_lies_under() -> None:
    inner = {"typeName": "c", "attributes": {"qualifiedName": "c"}}
    (found,) = read({"entities": [entity("-1", "-5")], "referredEntities": {"-5": inner}})
    assert isinstance(found, Found)
    assert isinstance(found.record, Atlas)
    assert found.record.referred[0]["guid"] == "-5"


def test_what_refers_to_a_refused_entity_is_refused_too() -> None:
    too_large = entity("-5")
    too_large["attributes"]["x"] = "x" * atlas_graph.MAX_ENTITY
    items = read(document(entity("-1", "-5"), entity("-2"), referred=(too_large,)))
    assert [i.reason for i in items if isinstance(i, Refusal)] == [
        "the entity has 2,000,082 bytes; Purview takes at most 2,000,000",
        "it refers to guid -5, which was refused",
    ]
    assert sum(isinstance(i, Found) for i in items) == 1


def test_too_much_together_is_refused_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atlas_graph, "MAX_TOGETHER", 500)
    hub = [entity(f"-{n}", "-99") for n in range(1, 4)]
    items = read(
        document(
            *hub, entity("-50"), referred=(entity("-99", *(f"-{n}" for n in range(1, 4)), *["-60"] * 9), entity("-60"))
        )
    )
    assert next(i.place for i in items if isinstance(i, Refusal)) == "line 1, entity 1"
    assert any(isinstance(i, Found) and i.place == "line 1, entity 4" for i in items)


def test_a_document_that_must_wait_for_its_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atlas_graph, "MAX_WAITING", 20_000)
    many = [entity(f"-{n}") for n in range(1, 100)]
    with pytest.raises(BadInput, match="refer to each other by guid") as caught:
        read(document(*many), 1)
    assert "JSON Lines" in caught.value.fix
    unreferable = [{**entity(n), "guid": f"assigned-{n}"} for n in range(1, 100)]
    assert len(read(document(*unreferable), 1)) == 99


def test_a_list_without_guids_is_streamed() -> None:
    class Watched(io.BytesIO):
        handed = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.handed += len(data)
            return data

    file = Watched(
        json.dumps([{"typeName": "t", "attributes": {"qualifiedName": str(n)}} for n in range(100_000)]).encode()
    )
    found = AtlasJson().read(file, FileContext(path="x.json"))
    next(found)
    assert file.handed <= 9 * 1024 * 1024  # the first line, which is the whole file here, is looked at up to 8 MB
    assert sum(1 for _ in found) == 99_999


def test_lines_stand_for_themselves() -> None:
    lines = b"\n".join(json.dumps(e).encode() for e in (entity("-1"), entity("-1", "-2"), entity("-2")))
    items = list(AtlasJson().read(io.BytesIO(lines), FileContext(path="x.jsonl")))
    assert [i.place for i in items] == [1, "line 2", 3]


def test_a_partial_update_keeps_what_it_needs() -> None:
    message = {
        "type": "ENTITY_PARTIAL_UPDATE_V2",
        "entityId": {"typeName": "t", "uniqueAttributes": {"qualifiedName": "q"}},
        "entity": {"entity": {"attributes": {"owner": "me"}}, "referredEntities": {}},
    }
    (found,) = read(message)
    assert isinstance(found, Found)
    assert found.record == Atlas(
        entity={"typeName": "t", "attributes": {"qualifiedName": "q", "owner": "me"}}, operation="update"
    )
    for broken in ("entityId", "entity"):
        (refusal,) = read({**message, broken: None})
        assert isinstance(refusal, Refusal)
