"""What Atlas's hook consumer does to rdbms_* and hive_* entities before it writes them.

RdbmsPreprocessor and HivePreprocessor take the lists of owned children off the parents, give each listed child its
reference to the parent, and move it to the top level (PreprocessorContext.moveRegisteredReferredEntities), so that a
shorter list never deletes columns of these types. REST does not do it.
"""

from __future__ import annotations

from typing import Any

_OWNED = {
    "rdbms_instance": {"databases": "instance"},
    "rdbms_db": {"tables": "db"},
    "rdbms_table": {"columns": "table", "indexes": "table", "foreign_keys": "table"},
    "hive_table": {"columns": "table", "partitionKeys": "table"},
}


def move_owned(top: list[dict[str, Any]], referred: dict[str, dict[str, Any]]) -> None:
    """Changes both in place; a moved child leaves `referred` and is appended to `top`."""
    moved: dict[str, None] = {}
    for entity in [*top, *referred.values()]:
        for attribute, inverse in _OWNED.get(str(entity.get("typeName")), {}).items():
            listed: list[Any] = []
            for place in ("attributes", "relationshipAttributes"):
                value = (entity.get(place) or {}).pop(attribute, None)
                listed += value if isinstance(value, list) else []
            for target in listed:
                guid = str(target.get("guid")) if isinstance(target, dict) else ""
                child = referred.get(guid)
                if child is not None:
                    moved[guid] = None
                    if inverse not in (child.get("attributes") or {}):
                        references = child.setdefault("relationshipAttributes", {})
                        references.setdefault(inverse, {"guid": entity["guid"], "typeName": entity["typeName"]})
    top += [referred.pop(guid) for guid in moved]
