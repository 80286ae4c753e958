"""Guids, keys, marks, and the bytes of a closure."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.atlas.closure import (
    Closure,
    Draft,
    Entity,
    child_guid,
    closure,
    deletion,
    guid,
    key,
    reference,
    target,
    update,
)
from shared.naming import Name

NAME = Name("demo_table", "demo://a")
NAMES = st.builds(Name, st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=60))


def top(**attributes: Any) -> Entity:
    return {
        "typeName": "demo_table",
        "guid": guid(NAME),
        "attributes": {"name": "a", "qualifiedName": "demo://a"} | attributes,
    }


def column(number: int, **attributes: Any) -> Entity:
    return {
        "typeName": "demo_column",
        "guid": child_guid(guid(NAME), number),
        "attributes": {"name": f"c{number}", "qualifiedName": f"demo://a#c{number}"} | attributes,
        "relationshipAttributes": {"table": {"guid": guid(NAME), "typeName": "demo_table"}},
    }


@settings(derandomize=True, max_examples=200)
@given(NAMES)
def test_a_guid_is_a_negative_64_bit_number_that_ends_in_room_for_children(name: Name) -> None:
    assert -(1 << 63) <= int(guid(name)) <= 0
    assert guid(name).startswith("-") and guid(name).endswith("00000")
    assert guid(name) == target(name).guid
    assert 0 <= key(name) < 1 << 64


def test_keys_are_as_snapshots_hold_them() -> None:
    """They lie in storage: a change of this number makes every asset look new."""
    assert key(NAME) == 0xD5283D8026DB13A8
    assert key(Name("a", "bc")) != key(Name("ab", "c"))
    assert key(Name("t", "\ud800")) != key(Name("t", "?"))  # half a surrogate pair is refused later, with a reason


def test_children_have_numbers_of_their_own() -> None:
    guids = [child_guid("-12300000", n) for n in range(1, 100_000)]
    assert len(set(guids)) == 99_999
    assert guids[0] == "-12300001" and guids[-1] == "-12399999"


def test_a_closure_counts_and_lists_what_travels_with_it() -> None:
    made = closure(Draft(top(), [column(1), column(2)]), place=7)
    assert (made.name, made.entities, made.place, made.operation, made.stub) == (NAME, 3, 7, "create", False)
    assert (made.child_type, made.children) == ("demo_column", ("demo://a#c1", "demo://a#c2"))
    assert [json.loads(m)["guid"] for m in made.members] == [column(1)["guid"], column(2)["guid"]]
    assert made.size == len(made.body) + sum(map(len, made.members)) + 4


def test_children_that_it_does_not_own_are_not_missed_when_they_go() -> None:
    made = closure(Draft(top(), [column(1)], owns=False))
    assert (made.entities, made.child_type, made.children) == (2, "", ())


def test_what_it_reaches_by_guid_lies_in_referred_entities() -> None:
    made = closure(Draft(top(keys=[{"guid": "-5"}]), referred=[column(1)]))
    assert json.loads(b"{%b}" % made.referred) == {column(1)["guid"]: column(1)}
    assert made.entities == 2


def mark(*columns: Entity, volatile: dict[str, str] | None = None, stub: bool = False, **attributes: Any) -> int:
    return closure(Draft(top(**attributes), columns), volatile=volatile, stub=stub).mark


def test_the_mark_is_what_the_asset_is() -> None:
    marks = {
        "plain": mark(),
        "described": mark(description="x"),
        "with a column": mark(column(1)),
        "with another": mark(column(1), column(2)),
        "with a described one": mark(column(1, description="x")),
    }
    assert len(set(marks.values())) == len(marks)
    assert mark(column(1)) == marks["with a column"]


def test_statistics_are_sent_and_do_not_count() -> None:
    assert mark(column(1), volatile={"rows": "1"}) == mark(column(1), volatile={"rows": "2"}) == mark(column(1))
    entity = top() | {"customAttributes": {"owner": "x"}}
    made = closure(Draft(entity), volatile={"rows": "5"})
    assert json.loads(made.body)["customAttributes"] == {"owner": "x", "rows": "5"}
    assert json.loads(made.stable)["customAttributes"] == {"owner": "x"}
    assert entity["customAttributes"] == {"owner": "x"}


def test_a_stub_never_has_the_mark_of_the_asset() -> None:
    assert mark(stub=True) != mark()
    assert mark(stub=True) & 1 and not mark() & 1


def body(made: Closure) -> Any:
    text = made.body if made.operation == "delete" else b"{%b}" % made.body
    return json.loads(text)


def test_deletions_and_updates_go_by_name() -> None:
    assert body(deletion(NAME)) == reference(NAME)
    made = update(NAME, {"description": "x"}, 3, fields={"labels": ["l"]}, referred=[column(1)])
    assert body(made)["entityId"] == reference(NAME)
    assert body(made)["entity"]["entity"] == {
        "typeName": "demo_table",
        "attributes": {"description": "x"},
        "labels": ["l"],
    }
    assert body(made)["entity"]["referredEntities"] == {column(1)["guid"]: column(1)}
    assert (made.entities, made.place, made.size) == (2, 3, len(made.body) + 1)
