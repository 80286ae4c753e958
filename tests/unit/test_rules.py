"""The rules: one file per case in tests/cases/rules, the short cut against the rules, and pyapacheatlas's entities."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.atlas.rules import FIELDS, Problem, Rules, duplicate
from shared.atlas.types import TypeRegistry

CASES = sorted((Path(__file__).parents[1] / "cases" / "rules").glob("*.json"))
NAMES = [path.stem for path in CASES]


def expand(value: Any) -> Any:
    """`{"$repeat": ["x", 3]}` in a case stands for a long text."""
    if isinstance(value, dict):
        if value.keys() == {"$repeat"}:
            text, times = value["$repeat"]
            return text * times
        return {k: expand(v) for k, v in value.items()}
    return [expand(v) for v in value] if isinstance(value, list) else value


def load(path: Path) -> dict[str, Any]:
    case: dict[str, Any] = expand(json.loads(path.read_text(encoding="utf-8")))
    return case


def check(rules: Rules, case: dict[str, Any]) -> Problem | None:
    return rules.check(case["top"], case.get("referred", []), partial=case.get("partial", False))


@pytest.fixture(scope="module")
def experienced() -> Rules:
    """Rules whose short cut knows the shape of everything that is accepted."""
    rules = Rules(TypeRegistry.bundled())
    for path in CASES:
        check(rules, load(path))
    return rules


@pytest.mark.parametrize("path", CASES, ids=NAMES)
def test_case(path: Path, experienced: Rules) -> None:
    case = load(path)
    untouched = copy.deepcopy(case)
    for rules in (Rules(TypeRegistry.bundled()), experienced):
        problem = check(rules, case)
        assert (problem and problem.rule) == case["rule"], problem
        if problem is not None:
            assert case.get("reason", "") in problem.reason
            assert case.get("fix", "") in problem.fix
            assert problem.fix and len(problem.reason) < 2000
    assert case == untouched, "rules never change what they look at"


def test_every_rule_has_a_case() -> None:
    source = Path("shared/atlas")
    root = Path(__file__).parents[2] / source
    named = set()
    for module in ("rules.py", "references.py"):
        text = (root / module).read_text(encoding="utf-8")
        for part in text.split("refuse(")[1:]:
            rule = part.lstrip().removeprefix("\n").strip()
            if rule.startswith('"'):
                named.add(rule.split('"')[1])
    covered = {load(path)["rule"] for path in CASES}
    assert named - covered == set()
    assert len(named) > 15


def dataset(**attributes: Any) -> dict[str, Any]:
    return {
        "typeName": "hookline_dataset",
        "guid": "-1",
        "attributes": {"name": "orders", "qualifiedName": "acme://crm/orders", **attributes},
        "relationshipAttributes": {
            "container": {"typeName": "hookline_container", "uniqueAttributes": {"qualifiedName": "acme://crm"}}
        },
    }


def test_half_a_surrogate_pair_is_no_json(experienced: Rules) -> None:
    assert experienced.check(dataset()) is None
    for broken in (dataset(name="a\ud800"), dataset(description="\udfff")):
        problem = experienced.check(broken)
        assert problem is not None and problem.rule == "form"
    broken = dataset()
    broken["relationshipAttributes"]["container"]["uniqueAttributes"]["qualifiedName"] = "\ud800"
    problem = experienced.check(broken)
    assert problem is not None and problem.rule == "form"


def test_values_no_json_library_takes() -> None:
    for value in (object(), {1: object()}):
        problem = Rules(TypeRegistry.bundled()).check(dataset(description=value))
        assert problem is not None and problem.rule in ("form", "value-type")
    assert Rules(TypeRegistry.bundled()).check(["no entity"]).rule == "form"  # type: ignore[arg-type, union-attr]


def test_no_credential_reaches_a_reason() -> None:
    wrong = dataset(nullable="postgresql://reader:hunter22secret@crm/db")
    wrong["labels"] = ["postgresql://reader:hunter22secret@crm/db"]
    del wrong["attributes"]["nullable"]
    problem = Rules(TypeRegistry.bundled()).check(wrong)
    assert problem is not None and problem.rule == "labels"
    assert "hunter22secret" not in problem.reason and "***" in problem.reason


def test_long_values_are_cut() -> None:
    problem = Rules(TypeRegistry.bundled()).check(dataset(guid="x") | {"guid": "g" * 5000})
    assert problem is not None and problem.rule == "guid" and len(problem.reason) < 250


def test_duplicates_in_one_message() -> None:
    first, second = dataset(), {**dataset(), "guid": "-2"}
    assert duplicate([first, {**second, "typeName": "hookline_report"}]) is None
    problem = duplicate([first, second])
    assert problem is not None and problem.rule == "duplicate-name"
    problem = duplicate([first, {**dataset(qualifiedName="other"), "guid": "-1"}])
    assert problem is not None and problem.rule == "duplicate-guid"


def test_memory_stays_flat() -> None:
    """Shapes are bounded, and nothing else is kept: 20,000 different shapes leave no more than 4,096."""
    rules = Rules(TypeRegistry.bundled())
    for number in range(20_000):
        entity = dataset()
        entity["customAttributes"] = {f"key{number}": "v"}
        entity["typeName"] = "azure_postgresql_table"
        entity["relationshipAttributes"] = {
            "dbSchema": {"typeName": "azure_postgresql_schema", "uniqueAttributes": {"qualifiedName": "p"}}
        }
        entity["attributes"][f"extra{number}"] = "v"
        assert rules.check(entity) is None
    shapes = rules._shapes._shapes
    assert 0 < len(shapes) <= 4096
    assert max(len(shape.custom) for shape in shapes.values()) <= 4097


# ---- the short cut never accepts what the rules refuse

BASES = [load(path) for path in CASES if load(path)["rule"] is None]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["", " ", "-1", "-2", "--", '-1"', "x" * 600, "x" * 5000, "\ud800", "é", "acme://crm", "12", "true"]
    ),
    st.just([]),
    st.just({}),
    st.just({"guid": "-1"}),
    st.just({"guid": "-2", "typeName": "hookline_column"}),
    st.just({"typeName": "hookline_container", "guid": "-1"}),
    st.just({"typeName": "hookline_container", "uniqueAttributes": {"qualifiedName": "\u2003"}}),
    st.just({"typeName": "hookline_container", "uniqueAttributes": {"qualifiedName": "a"}, "relationshipType": "x"}),
    st.just({"typeName": ["unhashable"], "uniqueAttributes": {}}),
)
KEYS = st.sampled_from(sorted(FIELDS | {"name", "qualifiedName", "description", "container", "table", "x", "nullable"}))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place inside a case's entities at which something can be replaced."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            found += places(inner, (*path, number))
    return found


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(st.data())
def test_short_cut_agrees_with_the_rules(data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(BASES))
    closure = copy.deepcopy([case["top"], *case.get("referred", [])])
    rules = Rules(TypeRegistry.bundled())
    rules.check(closure[0], closure[1:])
    for _ in range(data.draw(st.integers(0, 2))):
        *path, last = data.draw(st.sampled_from(places(closure)[1:]))
        holder: Any = closure
        for step in path:
            holder = holder[step]
        action = data.draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "replace" or isinstance(holder, list):
            holder[last] = copy.deepcopy(data.draw(VALUES))
        elif action == "remove":
            del holder[last]
        else:
            holder[data.draw(KEYS)] = copy.deepcopy(data.draw(VALUES))
    if not isinstance(closure[0], dict):
        return
    told = rules.check(closure[0], closure[1:])
    fresh = Rules(TypeRegistry.bundled()).check(closure[0], closure[1:])
    assert told == fresh


# ---- pyapacheatlas: what it writes passes


def test_pyapacheatlas_entities_pass() -> None:
    from pyapacheatlas.core import AtlasClassification, AtlasEntity, AtlasProcess

    source = AtlasEntity("orders", "hookline_dataset", "acme://crm/orders", guid="-1", attributes={"type": "table"})
    target = AtlasEntity("fact", "hookline_dataset", "acme://dw/fact", guid="-2", attributes={})
    column = AtlasEntity(
        "id",
        "hookline_column",
        "acme://crm/orders#id",
        guid="-3",
        attributes={"data_type": "int"},
        relationshipAttributes={"table": source.to_json(minimum=True)},
    )
    column.classifications = [AtlasClassification("MICROSOFT.PERSONAL.EMAIL").to_json()]
    mapping = [
        {
            "DatasetMapping": {"Source": "acme://crm/orders", "Sink": "acme://dw/fact"},
            "ColumnMapping": [{"Source": "id", "Sink": "order_id"}],
        }
    ]
    process = AtlasProcess(
        "load",
        "hookline_process",
        "job://load",
        inputs=[source],
        outputs=[target],
        guid="-4",
        attributes={"columnMapping": json.dumps(mapping)},
    )
    rules = Rules(TypeRegistry.bundled())
    assert rules.check(source.to_json(), [column.to_json()]) is None
    assert rules.check(process.to_json(), [source.to_json(), target.to_json()]) is None


def test_pyapacheatlas_traps_are_refused() -> None:
    from pyapacheatlas.core import AtlasEntity, AtlasProcess

    rules = Rules(TypeRegistry.bundled())
    problem = rules.check(AtlasEntity("orders", "hookline_dataset", "acme://crm/orders", attributes={}).to_json())
    assert problem is not None and problem.rule == "null", "a forgotten guid is written as null"
    without = AtlasProcess("load", "hookline_process", "job://load", None, [], guid="-1", attributes={})
    problem = rules.check(without.to_json())
    assert problem is not None and problem.rule == "null", "inputs=None is written as null"
