"""Records -> Atlas entities (plain dicts), for every kind of record, once.

What is written and what is not:
- the child names its parent, never the parent its children: a subset of `columns` would delete the others (measured);
- `description` only, never `userDescription`, which belongs to the stewards;
- no null keys: a null clears an attribute;
- customAttributes within Atlas's bounds, or the whole message would be dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from shared.atlas.closure import Entity, child_guid, guid, reference
from shared.atlas.column_mapping import Edge, column_mappings
from shared.naming import Level, Name, NameRefused, Naming
from shared.records import Address, Column, Container, Dataset, Process, Report
from shared.settings.redact import redact

# org.apache.atlas.AtlasConfiguration: atlas.custom.attribute.key.max.length 50, .value.max.length 500,
# atlas.label.max.length 50; EntityGraphMapper: keys and labels match ^[a-zA-Z0-9_-]*$
_KEY_LENGTH, _VALUE_LENGTH, _LABEL_LENGTH = 50, 500, 50
_NOT_KEY = re.compile(r"[^a-zA-Z0-9_-]+")
#: Purview: 32 KB for a property's name and value
TEXT_BYTES = 32 * 1024 - 512
_REMEMBERED = 10_000


def custom_attributes(values: Mapping[str, str]) -> dict[str, str]:
    """Keys and values cut to what Atlas takes; a longer one would drop the whole message."""
    return {
        _NOT_KEY.sub("_", name)[:_KEY_LENGTH]: value
        if len(value) <= _VALUE_LENGTH
        else value[: _VALUE_LENGTH - 1] + "…"
        for name, value in values.items()
        if value
    }


def text(value: str) -> str:
    """A long text (SQL, description) without credentials and below Purview's limit for a property."""
    value = redact(value)
    if len(value) * 4 <= TEXT_BYTES or len(value.encode()) <= TEXT_BYTES:
        return value
    note = "\n-- cut by Hookline: Purview takes at most 32 KB"
    return value.encode()[: TEXT_BYTES - len(note)].decode("utf-8", "ignore") + note


class Entities:
    """Builds entity dicts for one naming. Raises NameRefused when an address has no valid name."""

    def __init__(self, naming: Naming) -> None:
        self.naming = naming
        self._parents: dict[tuple[str, str, tuple[str, ...], str], Entity | None] = {}

    def _top(self, address: Address, name: Name, level: Level, record: Any) -> Entity:
        attributes: dict[str, Any] = {"name": address.name, "qualifiedName": name.qualified_name}
        top: Entity = {"typeName": name.type_name, "guid": guid(name), "attributes": attributes}
        if level.required:
            for attribute, template in level.required.items():
                attributes[attribute] = template.format(platform=address.platform, host=address.host, name=address.name)
        around = (address.platform, address.host, address.path[:-1], address.type)
        if around in self._parents:
            parent = self._parents[around]
        else:
            parent = self._parent(address, level)
            if len(self._parents) >= _REMEMBERED:
                self._parents.clear()
            if address.path:
                self._parents[around] = parent
        if parent is not None:
            top["relationshipAttributes"] = parent
        if record is None:
            return top
        if record.description:
            attributes["description"] = text(record.description)
        if record.owners:
            attributes["owner"] = ", ".join(record.owners)
        if record.tags:
            top["labels"] = sorted({_NOT_KEY.sub("_", tag)[:_LABEL_LENGTH] for tag in record.tags})
        if record.classifications:
            top["classifications"] = [{"typeName": c} for c in record.classifications]
        if record.properties:
            top["customAttributes"] = custom_attributes(record.properties)
        return top

    def _parent(self, address: Address, level: Level) -> Entity | None:
        """The relationship to the parent; the same for everything beside this address."""
        parent = self.naming.parent(address) if level.parent_attribute else None
        if parent is None:
            return None
        target = reference(self.naming.name(parent))
        if level.relationship_type:
            target["relationshipType"] = level.relationship_type
        return {level.parent_attribute: target}

    def _level(self, address: Address) -> Level:
        level = self.naming.level(address)
        if level is None:
            raise NameRefused(f"{address} has no entity of its own")
        return level

    def stub(self, address: Address) -> Entity:
        """Name, qualified name and parent only: an upsert that creates what is missing and changes nothing else."""
        return self._top(address, self.naming.name(address), self._level(address), None)

    def container(self, record: Container) -> Entity:
        return self._top(record.address, self.naming.name(record.address), self._level(record.address), record)

    def dataset(self, record: Dataset | Report) -> tuple[Entity, list[Entity]]:
        """The dataset and its columns."""
        address = record.address
        name, level = self.naming.name(address), self._level(address)
        top = self._top(address, name, level, record)
        if isinstance(record, Dataset):
            if record.sql and level.definition_attribute:
                top["attributes"][level.definition_attribute] = text(record.sql)
            if record.foreign_keys:
                top["customAttributes"] = custom_attributes(
                    record.properties | {f"foreignKey_{k.name}": self._foreign_key(k) for k in record.foreign_keys}
                )
        elif record.url:
            top["attributes"]["url"] = record.url
        if not record.columns or not level.column_type:
            return top, []
        parent = {"guid": top["guid"], "typeName": name.type_name}
        return top, [
            self._column(address, level, parent, column, number) for number, column in enumerate(record.columns, 1)
        ]

    def _foreign_key(self, key: Any) -> str:
        columns, referenced = ", ".join(key.columns), ", ".join(key.referenced_columns)
        return f"({columns}) references {'.'.join(key.referenced.path[1:])} ({referenced})"

    def _column(self, address: Address, level: Level, parent: Entity, column: Column, number: int) -> Entity:
        shown = ".".join((*column.path, column.name)) if column.path else column.name
        attributes: dict[str, Any] = {
            "name": shown,
            "qualifiedName": self.naming.column(address, shown).qualified_name,
        }
        entity: Entity = {
            "typeName": level.column_type,
            "guid": child_guid(parent["guid"], number),
            "attributes": attributes,
            "relationshipAttributes": {level.column_parent_attribute: parent},
        }
        if level.column_data_type:
            # azure_sql_column.data_type, mssql_column.data_type and others are required
            attributes[level.column_data_type] = column.type or "unknown"
        if column.description:
            attributes["description"] = text(column.description)
        custom: dict[str, str] = {}
        if level.column_type == "rdbms_column":
            # Apache Atlas model 2000-RDBMS/2010-rdbms_model.json
            attributes["isPrimaryKey"] = column.key == "primary"
            if column.nullable is not None:
                attributes["isNullable"] = column.nullable
            if column.default:
                attributes["default_value"] = redact(column.default)
        else:
            if column.key:
                custom["key"] = column.key
            if column.nullable is not None:
                custom["nullable"] = "true" if column.nullable else "false"
            if column.default:
                custom["default"] = redact(column.default)
        if custom:
            entity["customAttributes"] = custom_attributes(custom)
        return entity

    def process(self, record: Process, inputs: list[Name], outputs: list[Name], edges: list[Edge]) -> Iterator[Entity]:
        """The process; several when its column mapping exceeds what one property holds (`.../2`, `.../3`)."""
        address = record.address
        name, level = self.naming.name(address), self._level(address)
        for number, mapping in enumerate(list(column_mappings(edges)) or [""], 1):
            part = name if number == 1 else Name(name.type_name, f"{name.qualified_name}/{number}")
            top = self._top(address, part, level, record)
            attributes = top["attributes"]
            attributes["inputs"] = [reference(n) for n in inputs]
            attributes["outputs"] = [reference(n) for n in outputs]
            if mapping:
                attributes["columnMapping"] = mapping
            for attribute, value in (
                ("sql", text(record.sql)),
                ("dialect", record.dialect),
                ("lastRunTime", record.ended),
                ("lastRunState", record.state),
            ):
                if value:
                    attributes[attribute] = value
            if record.parent is not None:
                parent = {"parent": reference(self.naming.name(record.parent))}
                top["relationshipAttributes"] = top.get("relationshipAttributes", {}) | parent
            yield top
