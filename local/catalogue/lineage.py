"""Lineage of an entity: a walk over input and output edges, in Atlas's answer and for the page.

Removed edges are followed too: Atlas's lineage REST still lists an input whose edge is DELETED (measured).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from local.catalogue.answers import header
from local.catalogue.catalogue import Catalogue
from local.catalogue.errors import AtlasError
from local.catalogue.store import Entity, Relation

#: relationship name -> whether data flows from its first end to its second
_FLOW = {"process_dataset_outputs": True, "dataset_process_inputs": False, "direct_lineage_dataset_dataset": True}
MAX_DEPTH = 50


class Edge(NamedTuple):
    """Data flows from `source` to `target` (row ids); `removed`: the edge is soft-deleted."""

    source: int
    target: int
    guid: str
    removed: bool


class Graph(NamedTuple):
    """layers: row id -> signed distance from the base in edges, negative upstream. cut: more lies behind the bounds."""

    base: Entity
    entities: dict[int, Entity]
    edges: list[Edge]
    layers: dict[int, int]
    cut: bool


def graph(catalogue: Catalogue, base: Entity, *, direction: str = "BOTH", depth: int = 3, limit: int = 2000) -> Graph:
    """Walk up to `depth` levels, one level being a process and the data sets behind it. Raises AtlasError."""
    if not any(catalogue.types.is_a(base.type, t) for t in ("DataSet", "Process")):
        raise AtlasError(
            404,
            "ATLAS-404-00-011",
            f"Given instance guid {base.guid} with type {base.type} is not a valid lineage entity type.",
        )
    steps = min(depth if depth > 0 else MAX_DEPTH, MAX_DEPTH) * 2
    layers, edges, cut = {base.id: 0}, {}, False
    for sign, wanted in ((-1, "INPUT"), (1, "OUTPUT")):
        if direction not in ("BOTH", wanted):
            continue
        front, seen = [base.id], {base.id}
        for step in range(1, steps + 2):
            following: list[int] = []
            for current in front:
                for edge in _edges(catalogue, current, upstream=sign < 0):
                    other = edge.source if sign < 0 else edge.target
                    if other not in layers and (step > steps or len(layers) >= limit):
                        cut = True
                        continue
                    edges[edge.guid] = edge
                    layers.setdefault(other, sign * step)
                    if other not in seen:
                        seen.add(other)
                        following.append(other)
            front = following
    return Graph(base, catalogue.store.by_ids(layers), list(edges.values()), layers, cut)


def _edges(catalogue: Catalogue, entity_id: int, *, upstream: bool) -> list[Edge]:
    found = []
    for name, forward in _FLOW.items():
        side = 1 if forward == upstream else 0
        found += [_edge(r, forward) for r in catalogue.store.relations(entity_id, name, side)]
    return found


def _edge(r: Relation, forward: bool) -> Edge:
    source, target = (r.end1, r.end2) if forward else (r.end2, r.end1)
    return Edge(source, target, r.guid, bool(r.deleted))


def answer(catalogue: Catalogue, base: Entity, direction: str, depth: int) -> dict[str, Any]:
    """AtlasLineageInfo."""
    found = graph(catalogue, base, direction=direction, depth=depth)
    guids = {i: e.guid for i, e in found.entities.items()}
    return {
        "baseEntityGuid": base.guid,
        "lineageDirection": direction,
        "lineageDepth": depth,
        "guidEntityMap": {e.guid: header(e) for e in found.entities.values()} if found.edges else {},
        "relations": [
            {"fromEntityId": guids[e.source], "toEntityId": guids[e.target], "relationshipId": e.guid}
            for e in found.edges
        ],
    }
