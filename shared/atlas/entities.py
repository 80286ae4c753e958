"""Records -> Atlas entities (plain dicts), for every kind of record, once.

What is written and what is not:
- the child names its parent, never the parent its children: a subset of `columns` would delete the others (measured);
- `description` only, never `userDescription`, which belongs to the stewards;
- no null keys: a null clears an attribute;
- texts, custom attributes and labels within the bounds of bounds.py, or the whole message would be dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from shared.atlas.bounds import custom_attributes, labels, sql_text, text
from shared.atlas.closure import Draft, Entity, Target, child_guid, guid, reference, reference_by_guid, target
from shared.atlas.column_mapping import Edge, column_mappings
from shared.naming import Level, Name, NameRefused, Naming
from shared.naming.own import PLACEHOLDER_COLUMN, PROCESS, placeholder
from shared.naming.spelling import own
from shared.naming.system import Spelled
from shared.records import Address, Column, Container, Dataset, ForeignKey, Process, Report
from shared.settings.redact import redact

_REMEMBERED = 10_000


class _Beside(msgspec.Struct, frozen=True, gc=False):
    """What assets beside each other share.

    fixed:   attributes that are the same for all of them; `varying` ones hold the asset's own name
    related: the relationship to their parent, if they name one
    """

    level: Level
    fixed: dict[str, str]
    varying: dict[str, str]
    related: dict[str, Entity] | None
    refers: tuple[Target, ...]


class Entities:
    """Builds drafts for one naming. Raises NameRefused when an address has no valid name."""

    def __init__(self, naming: Naming) -> None:
        self.naming = naming
        self._besides: dict[Spelled, _Beside] = {}

    def container(self, record: Container) -> Draft:
        draft, _ = self._draft(record.address, record)
        _set_custom(draft.top, record.properties)
        return draft

    def stub(self, address: Address) -> Draft:
        """Name, qualified name and parent only: an upsert that creates what is missing and changes nothing else."""
        draft, _ = self._draft(address, None)
        if address.type == "table":  # said of whatever SQL names, and a view may be there already
            draft.top["attributes"].pop("type", None)
        return draft

    def placeholder(self, meant: Name, shown: str, columns: Iterable[str]) -> Draft:
        """What stands for an asset that is not in the catalogue. shown: its own name; columns: those lineage names."""
        name = placeholder(meant)
        top: Entity = {
            "typeName": name.type_name,
            "guid": guid(name),
            "attributes": {
                "name": shown,
                "qualifiedName": name.qualified_name,
                "description": text(
                    f"Stands for {meant.type_name} {meant.qualified_name}, which is not in the catalogue. "
                    "Lineage moves there, and this goes, once it has been scanned."
                ),
                "expectedType": meant.type_name,
                "expectedQualifiedName": meant.qualified_name,
            },
        }
        related = {"placeholder": reference_by_guid(top["guid"], name.type_name)}
        members = [
            {
                "typeName": PLACEHOLDER_COLUMN,
                "guid": child_guid(top["guid"], number),
                "attributes": {"name": column, "qualifiedName": f"{name.qualified_name}#{own(column)}"},
                "relationshipAttributes": related,
            }
            for number, column in enumerate(columns, 1)
        ]
        return Draft(top, members, owns=False, name=name)

    def dataset(self, record: Dataset | Report) -> Draft:
        """The dataset with its columns."""
        address = record.address
        draft, level = self._draft(address, record)
        attributes = draft.top["attributes"]
        custom = record.properties
        if isinstance(record, Dataset):
            if record.sql and level.definition_attribute:
                attributes[level.definition_attribute] = sql_text(record.sql)
                if record.dialect and level.type_name == "hookline_dataset":
                    attributes["dialect"] = record.dialect
            if record.foreign_keys:
                custom = custom | _foreign_keys(record.foreign_keys)
        elif record.url:
            attributes["url"] = redact(record.url)
        columns = record.columns
        if columns and level.column_type:
            parent = reference_by_guid(draft.top["guid"], level.type_name)
            if level.column_relationship_type:
                parent["relationshipType"] = level.column_relationship_type
            related = {level.column_parent_attribute: parent}
            draft.members = [
                self._column(address, level, related, child_guid(parent["guid"], number), column)
                for number, column in enumerate(columns, 1)
            ]
        elif columns:  # files and reports have no columns of their own; so at least their names are shown
            custom = {"columns": ", ".join([_shown(column) for column in columns]), **custom}
        if custom:
            _set_custom(draft.top, custom)
        return draft

    def process(self, record: Process, inputs: list[Name], outputs: list[Name], edges: list[Edge]) -> Iterator[Draft]:
        """The process; several when its column mapping exceeds what one property holds (`.../2`, `.../3`)."""
        first, level = self._draft(record.address, record)
        refers = [*inputs, *outputs]
        attributes = first.top["attributes"]
        attributes["inputs"] = [reference(name) for name in inputs]
        attributes["outputs"] = [reference(name) for name in outputs]
        said = {
            "sql": sql_text(record.sql),
            "dialect": record.dialect,
            "lastRunTime": record.ended,
            "lastRunState": record.state,
        }
        if level.type_name == PROCESS:
            attributes.update((attribute, value) for attribute, value in said.items() if value)
            _set_custom(first.top, record.properties)
        else:  # Purview's own process types have no attributes for these
            _set_custom(first.top, {**record.properties, **said})
        if record.parent is not None:
            parent = self.naming.name(record.parent)
            refers.append(parent)
            first.top["relationshipAttributes"] = {"parent": reference(parent)}
        first.refers = tuple([target(name) for name in refers])
        mappings = list(column_mappings(edges))
        if mappings:
            attributes["columnMapping"] = mappings[0]
        yield first
        for number, mapping in enumerate(mappings[1:], 2):
            part = Name(first.top["typeName"], f"{attributes['qualifiedName']}/{number}")
            changed = {**attributes, "qualifiedName": part.qualified_name, "columnMapping": mapping}
            yield Draft({**first.top, "guid": guid(part), "attributes": changed}, refers=first.refers, name=part)

    # ---- what all assets have

    def _draft(self, address: Address, record: Container | Dataset | Report | Process | None) -> tuple[Draft, Level]:
        spelled = self.naming.at(address)
        name = self.naming.named(address, spelled)
        beside = self._besides.get(spelled)
        if beside is None:
            beside = self._beside(address, spelled)
            if len(self._besides) >= _REMEMBERED:
                self._besides.clear()
            self._besides[spelled] = beside
        path = address.path
        attributes: dict[str, Any] = {
            "name": path[-1] if path else self.naming.host(address),
            "qualifiedName": name.qualified_name,
        }
        if beside.fixed:
            attributes |= beside.fixed
        if beside.varying:
            for attribute, template in beside.varying.items():
                known = {"platform": address.platform, "host": self.naming.host(address), "name": attributes["name"]}
                attributes[attribute] = template.format(**known)
        top: Entity = {"typeName": name.type_name, "guid": guid(name), "attributes": attributes}
        if beside.related is not None:
            top["relationshipAttributes"] = beside.related
        if record is not None:
            if record.description:
                attributes["description"] = text(record.description)
            if record.owners:
                attributes["owner"] = text(", ".join(record.owners))
            if record.tags and (tags := labels(record.tags)):
                top["labels"] = tags
            if record.classifications:
                top["classifications"] = [{"typeName": c} for c in dict.fromkeys(record.classifications)]
        return Draft(top, refers=beside.refers, name=name), beside.level

    def _beside(self, address: Address, spelled: Spelled) -> _Beside:
        level = spelled.level
        if level is None:
            raise NameRefused(f"{address} has no entity of its own")
        known = {"platform": address.platform, "host": self.naming.host(address)}
        varying = {attribute: template for attribute, template in level.required.items() if "{name}" in template}
        fixed = {a: template.format(**known) for a, template in level.required.items() if a not in varying}
        above = spelled.parent if level.parent_attribute else None
        if above is None:
            return _Beside(level, fixed, varying, None, ())
        parent = self.naming.name(above)
        named = reference(parent)
        if level.relationship_type:
            named["relationshipType"] = level.relationship_type
        return _Beside(level, fixed, varying, {level.parent_attribute: named}, (target(parent),))

    # ---- columns

    def _column(self, address: Address, level: Level, related: dict[str, Entity], guid: str, column: Column) -> Entity:
        shown = _shown(column)
        attributes: dict[str, Any] = {
            "name": shown,
            "qualifiedName": self.naming.column(address, shown).qualified_name,
        }
        entity: Entity = {
            "typeName": level.column_type,
            "guid": guid,
            "attributes": attributes,
            "relationshipAttributes": related,
        }
        if level.column_data_type:
            # azure_sql_column.data_type, mssql_column.data_type and others are required
            attributes[level.column_data_type] = column.type or "unknown"
        if column.description:
            attributes["description"] = text(column.description)
        if level.column_type == "rdbms_column":
            custom = _rdbms_details(column, attributes)
        elif level.column_type == "hookline_column":
            custom = _own_details(column, attributes)
        else:  # Purview's own column types have no attributes for these
            custom = {"key": column.key, "nullable": _flag(column.nullable), "default": column.default}
        if column.key or column.default or column.nullable is not None:
            _set_custom(entity, custom)
        return entity


def _rdbms_details(column: Column, attributes: dict[str, Any]) -> dict[str, str]:
    """Apache Atlas model 2000-RDBMS/2010-rdbms_model.json."""
    attributes["isPrimaryKey"] = column.key == "primary"
    if column.nullable is not None:
        attributes["isNullable"] = column.nullable
    if column.default:
        attributes["default_value"] = text(column.default)
    return {"key": column.key} if column.key == "unique" else {}


def _own_details(column: Column, attributes: dict[str, Any]) -> dict[str, str]:
    if column.key:
        attributes["key"] = column.key
    if column.nullable is not None:
        attributes["nullable"] = column.nullable
    if column.default:
        attributes["default"] = text(column.default)
    if column.path:
        attributes["path"] = ".".join(column.path)
    return {}


def _flag(value: bool | None) -> str:
    return "" if value is None else "true" if value else "false"


def _shown(column: Column) -> str:
    return ".".join((*column.path, column.name)) if column.path else column.name


def _set_custom(entity: Entity, values: dict[str, str]) -> None:
    if values and (custom := custom_attributes(values)):
        entity["customAttributes"] = custom


def _foreign_keys(keys: tuple[ForeignKey, ...]) -> dict[str, str]:
    """Purview has no foreign keys; an unnamed one (SQLite) goes by its number."""
    return {
        f"foreignKey_{key.name or number}": f"({', '.join(key.columns)}) references "
        f"{'.'.join(key.referenced.path[1:] or key.referenced.path)} ({', '.join(key.referenced_columns)})"
        for number, key in enumerate(keys, 1)
    }
