"""Column lineage read back from hook messages, to be held against what is true."""

from __future__ import annotations

import json
from collections.abc import Iterable

from benchmarks.nested_views import Origin, View

Edges = dict[tuple[str, str], Origin]


def edges(messages: Iterable[bytes]) -> Edges:
    """(relation, column) -> where its values come from, by the last part of the qualified names."""
    found: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for body in messages:
        for entity in json.loads(body)["message"]["entities"]["entities"]:
            for mapping in json.loads(entity["attributes"].get("columnMapping", "[]")):
                source, sink = (mapping["DatasetMapping"][end].rpartition("/")[2] for end in ("Source", "Sink"))
                for pair in mapping["ColumnMapping"]:
                    found.setdefault((sink, pair["Sink"]), set()).add((source, pair["Source"]))
    return {column: frozenset(origins) for column, origins in found.items()}


def differences(views: Iterable[View], published: Edges) -> list[str]:
    """Every column whose lineage is not exactly what its view was made with."""
    true = {(view.name, column): origin for view in views for column, origin in view.edges.items() if origin}
    return [
        f"{column}: missing {sorted(true.get(column, frozenset()) - published.get(column, frozenset()))}, "
        f"invented {sorted(published.get(column, frozenset()) - true.get(column, frozenset()))}"
        for column in sorted(true.keys() | published.keys())
        if true.get(column) != published.get(column)
    ]
