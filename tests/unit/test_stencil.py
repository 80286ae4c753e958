"""What is filled into a stencil equals what is built, byte for byte; whatever is not plain is built."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.atlas.closure import closure
from shared.atlas.entities import Entities
from shared.atlas.rules import Rules
from shared.atlas.stencil import Stencils
from shared.atlas.transform import Options, Transform
from shared.atlas.types import TypeRegistry
from shared.naming import Name, NameRefused, Naming
from shared.records import Address, Column, Dataset, Found, Refusal

RULES = Rules(TypeRegistry.bundled())
PLACES = (
    Address("postgresql", "crm:5432", ("crm", "public", "x"), "table"),
    Address("postgresql", "crm:5432", ("crm", "public", "x"), "view"),
    Address("kafka", "broker:9092", ("x",), "topic"),  # the name stands in a third attribute
    Address("abfss", "lake", ("raw", "2024", "x"), "file"),
    Address("nothing_known", "100%-host", ("50%", "x"), "thing"),
)


def beside(address: Address, name: str, description: str = "") -> Dataset:
    return Dataset(
        address=Address(address.platform, address.host, (*address.path[:-1], name), address.type),
        description=description,
    )


class Pair:
    """The stencils after a first record of a place, and the long way for the same naming."""

    def __init__(self, first: Dataset, types: Any = "native") -> None:
        naming = Naming(types)
        self.entities = Entities(naming)
        self.stencils = Stencils(naming, self.entities)
        draft = self.entities.dataset(first)
        assert RULES.check(draft.top) is None
        self.stencils.learn(first, draft)

    def both(self, record: Dataset) -> tuple[object, object]:
        filled = self.stencils.fill(record, 7)
        draft = self.entities.dataset(record)
        assert RULES.check(draft.top) is None
        return filled, closure(draft, 7)


@pytest.mark.parametrize("types", ["native", "rdbms", "own"])
@pytest.mark.parametrize("address", PLACES, ids=lambda a: f"{a.platform}.{a.type}")
@given(
    name=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=40),
    description=st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
)
def test_filled_is_what_would_be_built(address: Address, types: str, name: str, description: str) -> None:
    pair = Pair(beside(address, "first", description and "one"), types)
    try:
        filled, built = pair.both(beside(address, name, description))
    except NameRefused:
        return
    assert filled in (None, built)


def test_most_places_have_a_stencil_and_a_name_in_another_attribute_has_none() -> None:
    filled = {a: Pair(beside(a, "first")).stencils.fill(beside(a, "second"), 1) is not None for a in PLACES}
    assert [a.platform for a, is_filled in filled.items() if not is_filled] == ["kafka"]


def test_a_password_in_a_description_is_masked() -> None:
    filled, built = Pair(beside(PLACES[0], "a", "one")).both(beside(PLACES[0], "b", "password=hunter22"))
    assert filled == built
    assert b"hunter22" not in filled.body  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "record",
    [
        Dataset(address=PLACES[0], columns=(Column("a"),)),
        Dataset(address=PLACES[0], owners=("anna",)),
        Dataset(address=PLACES[0], tags=("t",)),
        Dataset(address=PLACES[0], classifications=("MICROSOFT.PERSONAL.EMAIL",)),
        Dataset(address=PLACES[0], properties={"a": "b"}),
        Dataset(address=PLACES[0], statistics={"rows": "1"}),
        Dataset(address=PLACES[0], sql="select 1", dialect="postgres"),
        Dataset(address=PLACES[0], description="d" * 5000),
        Dataset(address=PLACES[0], description="the first had none"),
    ],
)
def test_what_has_more_to_say_is_built(record: Dataset) -> None:
    pair = Pair(beside(PLACES[0], "first", "d" if len(record.description) > 100 else ""))
    assert pair.stencils.fill(record, 1) is None


class _Nothing:
    def contains(self, name: Name) -> bool:
        return False


def _found(records: list[Dataset]) -> Iterator[Found | Refusal]:
    return (Found(record, number) for number, record in enumerate(records, 1))


def test_the_rules_hold_for_the_filled_as_for_the_first() -> None:
    address = PLACES[0]
    records = [
        beside(address, "a", "one"),
        beside(address, "b", "two"),
        beside(address, "b", "two"),
        beside(address, "b", "three"),
        beside(address, "\n", "four"),
        beside(address, "c", "five \ud800"),
        beside(address, "d", "six" * 200),
    ]
    work = Transform(Naming(), RULES, known=_Nothing(), options=Options(repeats="refuse", max_bytes=1_700))
    made = list(work.run(_found(records)))
    refused = [(item.place, item.rule) for item in made if isinstance(item, Refusal)]
    assert refused == [
        ("line 4", "duplicate-qualified-name"),
        ("line 5", "name"),
        ("line 6", "text"),
        ("line 7", "oversize"),
    ]
    assert work.repeated == 1
    assert '"three"' in next(item.sample for item in made if isinstance(item, Refusal))
