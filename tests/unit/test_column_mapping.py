"""columnMapping strings: shape, order, the 32 KB bound."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.atlas.column_mapping import MAX_BYTES, Edge, column_mappings


def edges_of(mapping: str) -> list[Edge]:
    return [
        (element["DatasetMapping"]["Source"], edge["Source"], element["DatasetMapping"]["Sink"], edge["Sink"])
        for element in json.loads(mapping)
        for edge in element["ColumnMapping"]
    ]


def test_no_edges_no_mapping() -> None:
    assert list(column_mappings([])) == []


def test_one_element_for_each_pair_of_datasets() -> None:
    (mapping,) = column_mappings(
        [("a", "x", "t", "x"), ("b", "*", "t", "n"), ("a", "y", "t", "y"), ("a", "x", "t", "x")]
    )
    assert json.loads(mapping) == [
        {
            "DatasetMapping": {"Source": "a", "Sink": "t"},
            "ColumnMapping": [{"Source": "x", "Sink": "x"}, {"Source": "y", "Sink": "y"}],
        },
        {"DatasetMapping": {"Source": "b", "Sink": "t"}, "ColumnMapping": [{"Source": "*", "Sink": "n"}]},
    ]


def test_a_wide_mapping_is_spread_as_full_as_it_goes() -> None:
    edges = [("demo://source", f"column_{n}", "demo://target", f"column_{n}") for n in range(2_000)]
    mappings = list(column_mappings(edges))
    assert [edge for mapping in mappings for edge in edges_of(mapping)] == edges
    assert len(mappings) == 3
    assert all(MAX_BYTES - 100 < len(mapping.encode()) <= MAX_BYTES for mapping in mappings[:-1])


NAMES = st.sampled_from(["demo://a", "demo://" + "b" * 3_000, "demo://ä" * 300])
COLUMNS = st.text(min_size=1, max_size=400)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.tuples(NAMES, COLUMNS, NAMES, COLUMNS), max_size=120))
def test_every_edge_is_there_once_and_below_the_bound(edges: list[Edge]) -> None:
    mappings = list(column_mappings(edges))
    assert sorted(edge for mapping in mappings for edge in edges_of(mapping)) == sorted(set(edges))
    assert all(len(mapping.encode()) <= MAX_BYTES for mapping in mappings)
