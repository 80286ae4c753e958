"""Column edges -> `columnMapping`, the JSON string in which Purview shows column lineage on a process.

Shape (Microsoft's own ADF and SQL processes; pyapacheatlas's ColumnMapping sheet writes the same):

    [{"DatasetMapping": {"Source": <input's qualifiedName>, "Sink": <output's qualifiedName>},
      "ColumnMapping":  [{"Source": <column name>, "Sink": <column name>}]}]

One element per (input, output) pair; Source "*" stands for derived or unknown. A property holds at most 32 KB
(Purview's quota for property name and value), so a wide process is spread over several.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from shared.atlas.closure import encode

#: 32 KB for name and value together; the rest is room for the name and for multi-byte counting
MAX_BYTES = 32 * 1024 - 512

Edge = tuple[str, str, str, str]  # source qualified name, source column, target qualified name, target column


def column_mappings(edges: Iterable[Edge]) -> Iterator[str]:
    """Yield one or more columnMapping strings, each below the limit, together holding every edge once, in order."""
    pairs: dict[tuple[str, str], dict[tuple[str, str], None]] = {}
    for source, source_column, target, target_column in edges:
        pairs.setdefault((source, target), {})[(source_column, target_column)] = None
    mapping: list[dict[str, Any]] = []
    size = 2
    for (source, target), columns in pairs.items():
        element: dict[str, Any] = {"DatasetMapping": {"Source": source, "Sink": target}, "ColumnMapping": []}
        frame = len(encode(element)) + 1
        opened = False
        for source_column, target_column in columns:
            item = {"Source": source_column, "Sink": target_column}
            need = len(encode(item)) + 1
            if mapping and size + need + (0 if opened else frame) > MAX_BYTES:
                yield encode(mapping).decode()
                mapping, size, opened = [], 2, False
                element = {"DatasetMapping": {"Source": source, "Sink": target}, "ColumnMapping": []}
            if not opened:
                mapping.append(element)
                size += frame
                opened = True
            element["ColumnMapping"].append(item)
            size += need
    if mapping:
        yield encode(mapping).decode()
