"""Packing closures into hook messages, and the checker that every other test here leans on."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.atlas.closure import Closure, Draft, Target, closure, deletion, guid, reference, target, update
from shared.atlas.messages import MAX_BYTES, MAX_ENTITIES, Message, Packer
from shared.naming import Name
from tests.support.hook_message import check_hook_message, entities_of

CASES = yaml.safe_load(
    (Path(__file__).parents[1] / "cases" / "transform" / "broken_messages.yaml").read_text(encoding="utf-8")
)
GOOD = CASES["good"]
BROKEN = [(kind, change) for kind, changes in CASES["broken"].items() for change in changes]


# ---- the checker


def changed(message: Any, change: dict[str, Any]) -> Any:
    message = copy.deepcopy(message)
    *path, step = str(change.get("at") or change["drop"]).split(".")
    holder = message
    for part in path:
        holder = holder[int(part) if isinstance(holder, list) else part]
    last = int(step) if isinstance(holder, list) else step
    if "drop" in change:
        del holder[last]
    else:
        holder[last] = change["value"]
    return changed(message, change["also"]) if "also" in change else message


@pytest.mark.parametrize("kind", GOOD)
def test_the_checker_lets_good_messages_pass(kind: str) -> None:
    check_hook_message(json.dumps(GOOD[kind]).encode())


@pytest.mark.parametrize(("kind", "change"), BROKEN, ids=lambda v: v if isinstance(v, str) else str(v)[:70])
def test_the_checker_refuses(kind: str, change: dict[str, Any]) -> None:
    with pytest.raises(AssertionError) as refused:
        check_hook_message(json.dumps(changed(GOOD[kind], change)).encode())
    assert change["says"] in str(refused.value)


@pytest.mark.parametrize("body", [b"", b"[]", b"\xef\xbb\xbf{}", b"\xff", b"x" * 1_100_000])
def test_the_checker_refuses_what_is_no_message(body: bytes) -> None:
    with pytest.raises(AssertionError):
        check_hook_message(body)


@pytest.mark.parametrize("count", [51, 200])
def test_the_checker_refuses_too_many(count: int) -> None:
    for kind in ("create", "delete"):
        message = copy.deepcopy(GOOD[kind])
        entities = message["message"]["entities"]
        one = (entities["entities"] if kind == "create" else entities)[0]
        many = [one | {"guid": f"-{n}"} for n in range(count)]
        message["message"]["entities"] = {"entities": many, "referredEntities": {}} if kind == "create" else many
        with pytest.raises(AssertionError, match=str(count)):
            check_hook_message(json.dumps(message).encode())


# ---- the packer


def table(number: int, columns: int = 0, *, text: str = "", folder: str = "") -> Closure:
    name = Name("demo_table", f"demo://t{number}")
    top: dict[str, Any] = {
        "typeName": name.type_name,
        "guid": guid(name),
        "attributes": {"name": f"t{number}", "qualifiedName": name.qualified_name, "description": text},
    }
    refers: tuple[Target, ...] = ()
    if folder:
        above = Name("demo_folder", folder)
        top["relationshipAttributes"] = {"folder": reference(above) | {"relationshipType": "demo_folder_tables"}}
        refers = (target(above),)
    members = [
        {
            "typeName": "demo_column",
            "guid": f"{guid(name)[:-5]}{n:05d}",
            "attributes": {"name": f"c{n}", "qualifiedName": f"demo://t{number}#c{n}"},
            "relationshipAttributes": {"table": {"guid": guid(name), "typeName": "demo_table"}},
        }
        for n in range(1, columns + 1)
    ]
    return closure(Draft(top, members, refers=refers))


def folder(name: str) -> Closure:
    named = Name("demo_folder", name)
    attributes = {"name": name, "qualifiedName": name}
    return closure(Draft({"typeName": "demo_folder", "guid": guid(named), "attributes": attributes}))


def packed(closures: list[Closure], **options: Any) -> list[Message]:
    packer = Packer(**options)
    messages = [m for c in closures for m in packer.add(c)] + list(packer.flush())
    assert not packer.flush()
    for message in messages:
        check_hook_message(message.body)
    return messages


def inside(message: Message) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(message.body)["message"]
    return decoded


def test_nothing_makes_no_message() -> None:
    assert packed([]) == []


def test_a_message_holds_at_most_fifty_and_every_closure_once_in_order() -> None:
    messages = packed([table(n) for n in range(120)])
    assert [len(m.names) for m in messages] == [50, 50, 20]
    assert [n.qualified_name for m in messages for n in m.names] == [f"demo://t{n}" for n in range(120)]
    assert [m.entities for m in messages] == [50, 50, 20]


def test_a_table_stays_with_its_columns_where_one_message_can_hold_them() -> None:
    messages = packed([table(n, columns=19) for n in range(5)])
    assert [len(m.names) for m in messages] == [2, 2, 1]
    assert [m.entities for m in messages] == [40, 40, 20]


def test_columns_are_top_level_entities() -> None:
    (message,) = packed([table(1, columns=3)])
    assert inside(message)["entities"]["referredEntities"] == {}
    assert [e["typeName"] for e in entities_of(message.body)] == ["demo_table"] + 3 * ["demo_column"]


def test_a_wide_table_goes_on_in_the_next_messages_and_its_columns_name_it() -> None:
    messages = packed([table(0), table(1, columns=120), table(2)])
    assert [m.entities for m in messages] == [50, 50, 23]
    assert messages[0].names == (Name("demo_table", "demo://t0"), Name("demo_table", "demo://t1"))
    assert messages[1].names == (Name("demo_column", "demo://t1#c98"),)  # by which its arrival can be seen
    assert messages[2].names == (Name("demo_table", "demo://t2"), Name("demo_column", "demo://t1#c120"))
    ends = [e["relationshipAttributes"]["table"] for m in messages for e in entities_of(m.body) if "#" in str(e)]
    assert [end for end in ends if "guid" in end] == 48 * [
        {"guid": guid(Name("demo_table", "demo://t1")), "typeName": "demo_table"}
    ]
    assert [end for end in ends if "guid" not in end] == 72 * [reference(Name("demo_table", "demo://t1"))]
    columns = [e["attributes"]["name"] for m in messages for e in entities_of(m.body) if "#" in str(e)]
    assert columns == [f"c{n}" for n in range(1, 121)]


def test_bytes_bound_a_message() -> None:
    messages = packed([table(n, text="ä" * 10_000) for n in range(100)], max_bytes=200_000)
    assert len(messages) == 12
    assert all(len(m.body) <= 200_000 for m in messages)
    (*_, last) = packed([table(n, text="x" * 30_000, columns=2) for n in range(40)])
    assert all(len(m.body) <= MAX_BYTES for m in [last])


def test_what_is_in_the_message_is_referred_to_by_guid_and_anything_else_by_name() -> None:
    here, there = packed([folder("f"), *[table(n, folder="f") for n in range(60)]])
    ends = [e["relationshipAttributes"]["folder"] for e in entities_of(here.body)[1:]]
    by_guid = {
        "guid": guid(Name("demo_folder", "f")),
        "typeName": "demo_folder",
        "relationshipType": "demo_folder_tables",
    }
    assert ends == 49 * [by_guid]
    by_name = reference(Name("demo_folder", "f")) | {"relationshipType": "demo_folder_tables"}
    assert [e["relationshipAttributes"]["folder"] for e in entities_of(there.body)] == 11 * [by_name]


def test_a_reference_ahead_becomes_one_by_guid_too() -> None:
    (message,) = packed([table(1, folder="f"), folder("f")])
    assert "guid" in entities_of(message.body)[0]["relationshipAttributes"]["folder"]


def test_a_text_that_looks_like_a_reference_stays_as_it_is() -> None:
    text = json.dumps(reference(Name("demo_folder", "f")), separators=(",", ":"))
    (message,) = packed([folder("f"), table(1, folder="f", text=text)])
    assert entities_of(message.body)[1]["attributes"]["description"] == text


def test_the_same_asset_again_opens_a_new_message() -> None:
    messages = packed([table(1, text="a"), table(2), table(1, text="b"), table(3)])
    assert [len(m.names) for m in messages] == [2, 2]
    messages = packed([table(1, columns=60), table(1, columns=60, text="b")])
    assert [m.entities for m in messages] == [50, 11, 50, 11]


def test_operations_do_not_mix_and_an_update_is_alone() -> None:
    named = Name("demo_table", "demo://t9")
    changes = [update(named, {"description": "x"}), update(named, {"description": "y"})]
    messages = packed([table(1), deletion(named), deletion(Name("t", "b")), *changes, table(2)])
    assert [m.operation for m in messages] == ["create", "delete", "update", "update", "create"]
    assert [m.names for m in messages][1] == (named, Name("t", "b"))
    assert inside(messages[1])["entities"] == [reference(named), reference(Name("t", "b"))]
    assert inside(messages[2])["entityId"] == reference(named)


def test_deletions_are_bounded_too() -> None:
    assert [m.entities for m in packed([deletion(Name("t", str(n))) for n in range(101)])] == [50, 50, 1]


def test_the_clock_is_in_the_message_and_without_one_the_bytes_are_the_same() -> None:
    (timed,) = packed([table(1)], clock=lambda: 1767225600000)
    assert json.loads(timed.body)["msgCreationTime"] == 1767225600000
    assert packed([table(1)]) == packed([table(1)])


@settings(max_examples=40, derandomize=True, deadline=None)
@given(widths=st.lists(st.integers(0, 130), min_size=1, max_size=60))
def test_neighbours_hold_more_than_one_could(widths: list[int]) -> None:
    messages = packed([table(number, width) for number, width in enumerate(widths)])
    for first, second in itertools.pairwise(messages):
        assert first.entities + second.entities > MAX_ENTITIES


@pytest.mark.parametrize(
    ("columns", "most"),
    [(0, 20_000), (12, 25_642), (25, 38_462), (49, 20_000), (50, 20_000), (51, 20_000), (60, 20_400), (1500, 20_400)],
)
def test_what_a_million_entities_cost(columns: int, most: int) -> None:
    """A hundredth of them, and the last message of them need not be full: docs/reliability.md has the figures."""
    assert most <= 39_216
    tables = 10_000 // (1 + columns)
    messages = packed([table(number, columns) for number in range(tables)])
    assert len(messages) <= most / 100 * (tables * (1 + columns) / 10_000) + 1


def test_every_message_has_a_name_for_each_table_that_it_holds_a_part_of() -> None:
    """A message that is lost is noticed by its names; the rest of a wide table must not hide behind its neighbour."""
    wide, small = table(1, 60), table(2, 3)
    first, second = packed([wide, small])
    assert first.names == (wide.name,)
    assert second.names == (small.name, Name("demo_column", "demo://t1#c60"))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    widths=st.lists(st.integers(0, 130), max_size=8),
    max_entities=st.integers(1, MAX_ENTITIES),
    max_bytes=st.integers(4_000, 60_000),
)
def test_whatever_comes_nothing_is_lost(widths: list[int], max_entities: int, max_bytes: int) -> None:
    closures = [folder("f"), *[table(n, width, folder="f", text="x" * width) for n, width in enumerate(widths)]]
    messages = packed(closures, max_entities=max_entities, max_bytes=max_bytes)
    found = [e["attributes"]["qualifiedName"] for m in messages for e in entities_of(m.body)]
    wanted = ["f"]
    for number, width in enumerate(widths):
        wanted += [f"demo://t{number}", *[f"demo://t{number}#c{n}" for n in range(1, width + 1)]]
    assert found == wanted
    assert sum(m.entities for m in messages) == len(wanted)
    for message in messages:
        assert len(message.body) <= max_bytes
        assert 0 < len(inside(message)["entities"]["entities"]) <= max_entities
        assert message.names and {n.qualified_name for n in message.names} <= set(wanted)
