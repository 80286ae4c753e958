"""Lineage as a picture: layers from left to right, data sets as cards, processes as circles, columns inside the cards.

Only positions are worked out here; templates/lineage.html writes the SVG.
"""

from __future__ import annotations

import msgspec

from local.catalogue.catalogue import Catalogue
from local.catalogue.lineage import Graph
from local.catalogue.store import Entity

CARD, CIRCLE, HEAD, ROW = 240, 52, 46, 18
_GAP_X, _GAP_Y, _MARGIN = 90, 26, 24
#: height of the name under a circle
_LABEL = 16
MAX_COLUMNS = 60
_LEVELS = ("servers", "dbs", "databases", "schemas", "tables", "views")


class Column(msgspec.Struct):
    """A column that takes part in a mapping. y: of its text. sources: keys of the columns it comes from."""

    key: int
    name: str
    y: float = 0.0
    sources: list[int] = msgspec.field(default_factory=list)


class Node(msgspec.Struct):
    """Top left corner, size, and what is written on it."""

    entity: Entity
    process: bool
    columns: list[Column] = msgspec.field(default_factory=list)
    hidden: int = 0
    x: float = 0.0
    y: float = 0.0
    width: float = CARD
    height: float = HEAD

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    @property
    def around(self) -> str:
        """The schema or folder, to tell tables of one name apart; levels' own words (tables, views) are none."""
        parts = [part for part in self.entity.qn.partition("://")[2].split("/")[1:-1] if part not in _LEVELS]
        return parts[-1] if parts else ""


class Line(msgspec.Struct):
    """A curve, as an SVG path; start and end are column keys for a line between columns."""

    path: str
    removed: bool = False
    start: int = 0
    end: int = 0


class Mapping(msgspec.Struct):
    """One column edge in words; source_column `*` is derived or unknown."""

    source: str
    source_column: str
    sink: str
    sink_column: str
    process: Entity


class Picture(msgspec.Struct):
    nodes: list[Node]
    lines: list[Line]
    column_lines: list[Line]
    mappings: list[Mapping]
    width: float
    height: float
    cut: bool


def drawn(catalogue: Catalogue, graph: Graph) -> Picture:
    nodes = {
        i: Node(entity=entity, process=catalogue.types.is_a(entity.type, "Process"))
        for i, entity in graph.entities.items()
    }
    mappings = [m for node in nodes.values() if node.process for m in column_mappings(node.entity)]
    columns = _place_columns(nodes, mappings)
    for node in nodes.values():
        if node.process:
            node.width = node.height = CIRCLE
        else:
            node.height = HEAD + ROW * (len(node.columns) + bool(node.hidden)) + (8 if node.columns else 0)
    _arrange(nodes, graph)
    lines = [Line(path=_curve(nodes[e.source], nodes[e.target]), removed=e.removed) for e in graph.edges]
    column_lines = []
    for node in nodes.values():
        for number, column in enumerate(node.columns):
            column.y = node.y + HEAD + ROW * number + ROW - 5
    for node in nodes.values():
        for column in node.columns:
            for key in column.sources:
                origin, start = columns[key]
                path = _path(origin.x + origin.width, start.y - 4, node.x, column.y - 4)
                column_lines.append(Line(path=path, start=key, end=column.key))
    return Picture(
        nodes=list(nodes.values()),
        lines=lines,
        column_lines=column_lines,
        mappings=mappings,
        width=max((n.x + n.width for n in nodes.values()), default=0) + _MARGIN,
        height=max((n.y + n.height for n in nodes.values()), default=0) + _MARGIN + 20,
        cut=graph.cut,
    )


def column_mappings(process: Entity) -> list[Mapping]:
    """What a process's columnMapping says; text that is no such JSON says nothing (the asset page shows it raw)."""
    text = (process.parts.get("attributes") or {}).get("columnMapping")
    try:
        listed = msgspec.json.decode(text) if isinstance(text, str) else []
    except msgspec.DecodeError:
        return []
    found = []
    for item in listed if isinstance(listed, list) else []:
        pair, edges = (
            (item.get("DatasetMapping"), item.get("ColumnMapping")) if isinstance(item, dict) else (None, None)
        )
        if not isinstance(pair, dict) or not isinstance(edges, list):
            continue
        for edge in edges:
            if isinstance(edge, dict):
                names = (pair.get("Source"), edge.get("Source"), pair.get("Sink"), edge.get("Sink"))
                source, source_column, sink, sink_column = map(str, names)
                found.append(Mapping(source, source_column, sink, sink_column, process))
    return found


def _place_columns(nodes: dict[int, Node], mappings: list[Mapping]) -> dict[int, tuple[Node, Column]]:
    """Give the cards their columns; what was placed, by key."""
    by_name = {node.entity.qn: node for node in nodes.values() if not node.process}
    keys: dict[tuple[str, str], Column] = {}
    placed: dict[int, tuple[Node, Column]] = {}

    def column(qn: str, name: str) -> Column | None:
        node = by_name.get(qn)
        if node is None or name == "*":
            return None
        found = keys.get((qn, name))
        if found is None:
            if len(node.columns) >= MAX_COLUMNS:
                node.hidden += 1
                return None
            found = keys[qn, name] = Column(key=len(keys) + 1, name=name)
            node.columns.append(found)
            placed[found.key] = (node, found)
        return found

    for mapping in mappings:
        source = column(mapping.source, mapping.source_column)
        sink = column(mapping.sink, mapping.sink_column)
        if source is not None and sink is not None and source.key not in sink.sources:
            sink.sources.append(source.key)
    return placed


def _arrange(nodes: dict[int, Node], graph: Graph) -> None:
    """Layers by distance from the base; inside a layer, nodes go to the mean place of their neighbours."""
    layers: dict[int, list[int]] = {}
    for i in sorted(nodes, key=lambda i: nodes[i].entity.name):
        layers.setdefault(graph.layers[i], []).append(i)
    neighbours: dict[int, list[int]] = {i: [] for i in nodes}
    for edge in graph.edges:
        neighbours[edge.source].append(edge.target)
        neighbours[edge.target].append(edge.source)
    rank = {i: float(n) for layer in layers.values() for n, i in enumerate(layer)}
    outwards = sorted(layers, key=abs)
    for order in (outwards, outwards[::-1], outwards):
        for number in order:
            layer = layers[number]
            means = {i: _mean([rank[j] for j in neighbours[i]], rank[i]) for i in layer}
            layer.sort(key=lambda i, means=means: means[i])  # type: ignore[misc]
            rank.update({i: float(n) for n, i in enumerate(layer)})
    heights = {n: sum(nodes[i].height + _GAP_Y for i in layer) for n, layer in layers.items()}
    tallest, x = max(heights.values(), default=0.0), float(_MARGIN)
    for number in sorted(layers):
        width = max(nodes[i].width for i in layers[number])
        y = _MARGIN + (tallest - heights[number]) / 2
        for i in layers[number]:
            nodes[i].x, nodes[i].y = x + (width - nodes[i].width) / 2, y
            y += nodes[i].height + _GAP_Y
        x += width + _GAP_X


def _mean(values: list[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _curve(source: Node, target: Node) -> str:
    """From the right of one to the left of the other; what flows back goes round underneath."""
    if target.x >= source.x + source.width:
        return _path(source.x + source.width, source.middle, target.x, target.middle)
    x1, x2 = source.x + source.width / 2, target.x + target.width / 2
    y1, y2 = source.y + source.height, target.y + target.height + (_LABEL if target.process else 0)
    deep = max(y1, y2) + _GAP_Y + _LABEL
    return f"M{x1:.0f} {y1:.0f} C{x1:.0f} {deep:.0f} {x2:.0f} {deep:.0f} {x2:.0f} {y2:.0f}"


def _path(x1: float, y1: float, x2: float, y2: float) -> str:
    bend = max(40.0, abs(x2 - x1) / 2)
    return f"M{x1:.0f} {y1:.0f} C{x1 + bend:.0f} {y1:.0f} {x2 - bend:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"


def last_part(name: str) -> str:
    """The table in a qualified name, for where the whole name would be too long."""
    return name.rpartition("/")[2] or name


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
