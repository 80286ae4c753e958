"""Hookline's own types, for what Purview has no type for. Written down once; both views are derived from it.

Every attribute is optional, because Atlas lets a type that has instances only gain optional attributes: a change here
may only add. `typeVersion` goes up with it. A COMPOSITION child cannot exist without its parent (Atlas), so columns go
with their dataset; everything else is an AGGREGATION.
"""

from __future__ import annotations

import copy
import functools
from typing import Any, NamedTuple

from shared.atlas.types import Attribute, Definition, RelationshipAttribute

PREFIX = "hookline_"
SERVICE_TYPE = "Hookline"
VERSION = "1.1"


class OwnType(NamedTuple):
    """`options` drive Purview's Schema tab: which relationship holds the columns, which attributes a column shows."""

    name: str
    super_type: str
    attributes: dict[str, str]
    description: str
    options: dict[str, str] | None = None


class OwnRelationship(NamedTuple):
    """`parent_type.children` holds many, `child_type.parent` holds one."""

    name: str
    category: str
    parent_type: str
    children: str
    child_type: str
    parent: str


def _strings(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "string")


TYPES = (
    OwnType(
        "hookline_container",
        "Asset",
        _strings("type", "platform", "host"),
        "Server, database, schema, workspace, project, bucket and the like",
    ),
    OwnType(
        "hookline_dataset",
        "DataSet",
        _strings("type", "platform", "host", "definition", "dialect"),
        "Table, view, collection, topic, queue, file and the like",
        {"schemaElementsAttribute": "columns"},
    ),
    OwnType(
        "hookline_column",
        "DataSet",
        _strings("data_type", "default", "key", "path") | {"nullable": "boolean"},
        "Column of a hookline_dataset",
        # a JSON list in a string: Purview answers a plain word with ATLAS-400-00-01A
        # (microsoft/Purview-ADB-Lineage-Solution-Accelerator issue 239)
        {"schemaAttributes": '["data_type"]'},
    ),
    OwnType("hookline_report", "DataSet", _strings("type", "platform", "url"), "Report, dashboard, sheet and the like"),
    OwnType(
        "hookline_process",
        "Process",
        _strings("columnMapping", "sql", "dialect", "type", "platform", "lastRunTime", "lastRunState"),
        "Job, task, package, flow, query and the like",
    ),
    OwnType(
        "hookline_placeholder",
        "DataSet",
        _strings("expectedType", "expectedQualifiedName"),
        "Stands for an end of lineage that nobody has scanned yet",
        {"schemaElementsAttribute": "columns"},
    ),
    OwnType("hookline_placeholder_column", "DataSet", {}, "Column of a hookline_placeholder that lineage names"),
)

RELATIONSHIPS = (
    OwnRelationship(
        "hookline_container_children", "AGGREGATION", "hookline_container", "children", "hookline_container", "parent"
    ),
    OwnRelationship(
        "hookline_container_datasets", "AGGREGATION", "hookline_container", "datasets", "hookline_dataset", "container"
    ),
    OwnRelationship(
        "hookline_container_reports", "AGGREGATION", "hookline_container", "reports", "hookline_report", "container"
    ),
    OwnRelationship(
        "hookline_dataset_columns", "COMPOSITION", "hookline_dataset", "columns", "hookline_column", "table"
    ),
    OwnRelationship(
        "hookline_placeholder_columns",
        "COMPOSITION",
        "hookline_placeholder",
        "columns",
        "hookline_placeholder_column",
        "placeholder",
    ),
    OwnRelationship(
        "hookline_process_parent", "AGGREGATION", "hookline_process", "subProcesses", "hookline_process", "parent"
    ),
)


def own_definitions() -> dict[str, Definition]:
    """Our types as the registry reads them; needs no import of pyapacheatlas (0.4 s)."""
    ends: dict[str, list[RelationshipAttribute]] = {t.name: [] for t in TYPES}
    for r in RELATIONSHIPS:
        ends[r.parent_type].append(RelationshipAttribute(r.children, r.child_type, r.name, "SET"))
        ends[r.child_type].append(
            RelationshipAttribute(r.parent, r.parent_type, r.name, required=r.category == "COMPOSITION")
        )
    return {
        t.name: Definition(
            super_types=(t.super_type,),
            attributes=tuple(Attribute(name, type_name) for name, type_name in t.attributes.items()),
            relationship_attributes=tuple(ends[t.name]),
        )
        for t in TYPES
    }


def own_typedefs() -> dict[str, list[dict[str, Any]]]:
    """Our types as Atlas typedefs JSON, the body of POST types/typedefs: `entityDefs` and `relationshipDefs`."""
    return copy.deepcopy(_typedefs())


@functools.cache
def _typedefs() -> dict[str, list[dict[str, Any]]]:
    from pyapacheatlas.core.typedef import (
        AtlasAttributeDef,
        ChildEndDef,
        EntityTypeDef,
        ParentEndDef,
        RelationshipTypeDef,
    )

    common = {"serviceType": SERVICE_TYPE, "typeVersion": VERSION}
    entities = [
        EntityTypeDef(
            t.name,
            superTypes=[t.super_type],
            description=t.description,
            options=t.options,
            attributeDefs=[AtlasAttributeDef(name, typeName=kind) for name, kind in t.attributes.items()],
            **common,
        ).to_json()
        for t in TYPES
    ]
    relationships = [
        RelationshipTypeDef(
            r.name,
            ParentEndDef(r.children, r.parent_type),
            ChildEndDef(r.parent, r.child_type),
            r.category,
            **common,
        ).to_json()
        for r in RELATIONSHIPS
    ]
    return {"entityDefs": entities, "relationshipDefs": relationships}


def own_digest() -> str:
    """Changes whenever a type here does: what a cache may remember to have created."""
    import hashlib

    import msgspec

    written = msgspec.json.encode((VERSION, SERVICE_TYPE, TYPES, RELATIONSHIPS))
    return hashlib.blake2b(written, digest_size=16).hexdigest()
