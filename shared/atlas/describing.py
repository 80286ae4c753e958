"""Descriptions: what somebody who is not the source of a table says about it, written onto the table and its columns.

The table is upserted under its name with nothing but the description and the tags, so it may come before its scan.
Columns are described only where the catalogue has them: which it has, and how it spells them, is known from scans and
from the catalogue itself. An upsert of a column leaves its data type alone; where the type's definition demands one,
or is not known whole, the column gets a partial update instead, which takes a message of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.atlas.bounds import labels, text
from shared.atlas.checks import Checks, Made
from shared.atlas.closure import Draft, Entity, child_guid, reference_by_guid
from shared.atlas.endpoints import Endpoints
from shared.atlas.entities import Entities
from shared.atlas.stubs import Stubs
from shared.lineage.known import TOGETHER, Known, Schemas
from shared.naming import Level, Name, Naming
from shared.records import Address, Description


class Descriptions:
    """Those of one file; TOGETHER of them are held until their columns are asked for together."""

    def __init__(
        self,
        naming: Naming,
        entities: Entities,
        checks: Checks,
        stubs: Stubs,
        endpoints: Endpoints,
        schemas: Schemas,
        adopt: bool,
    ) -> None:
        self._naming = naming
        self._entities = entities
        self._checks = checks
        self._stubs = stubs
        self._endpoints = endpoints
        self._schemas = schemas
        self._adopt = adopt
        self._held: list[tuple[Description, int | str]] = []

    def add(self, record: Description, place: int | str) -> None:
        self._held.append((record, place))

    @property
    def are_many(self) -> bool:
        return len(self._held) >= TOGETHER

    def taken(self) -> Iterator[tuple[Description, int | str, Known | None]]:
        """Those that were held, each with the columns of its table, where somebody knows them."""
        held, self._held = self._held, []
        known = self._schemas.columns_of(list(dict.fromkeys(r.address for r, _ in held if r.columns)))
        for record, place in held:
            yield record, place, known.get(record.address)

    def write(self, record: Description, place: int | str, known: Known | None) -> Made:
        """Raises NameRefused."""
        address, name = self._endpoints.local(record.address)
        level = self._naming.level(address)
        described = self._columns(record, known) if known is not None and level is not None else {}
        fields: Entity = {"labels": tags} if record.tags and (tags := labels(record.tags)) else {}
        attributes = {"description": text(record.description)} if record.description else {}
        assert level is not None  # what has none is no endpoint
        whole = not self._adopt and self._checks.optional(level.column_type, level.column_data_type or "name")
        made: Made = []
        if self._adopt:
            if attributes or fields:
                changed = {"qualifiedName": name.qualified_name, **attributes}
                made += self._checks.update(name, changed, place, fields=fields)
        else:
            draft = self._entities.stub(address)
            draft.top["attributes"] |= attributes
            draft.top |= fields
            if whole and described:
                draft.members = self._members(draft, address, level, described)
                draft.owns = False
            made += self._stubs.above(address, place)
            made += self._checks.create(draft, place)
        if not whole:
            for column, said in described.items():
                child = self._naming.column(address, column)
                changed = {"qualifiedName": child.qualified_name, "description": text(said)}
                made += self._checks.update(Name(child.type_name, child.qualified_name), changed, place)
        return made

    @staticmethod
    def _columns(record: Description, known: Known) -> dict[str, str]:
        """Column, as the catalogue spells it -> its description."""
        spelled = {column.casefold(): column for column in known.columns}
        found: dict[str, str] = {}
        for column in record.columns:
            here = spelled.get(".".join((*column.path, column.name)).casefold())
            if here is not None and column.description:
                found[here] = column.description
        return found

    def _members(self, draft: Draft, address: Address, level: Level, described: dict[str, str]) -> list[Entity]:
        parent = reference_by_guid(draft.top["guid"], level.type_name)
        if level.column_relationship_type:
            parent["relationshipType"] = level.column_relationship_type
        return [
            {
                "typeName": level.column_type,
                "guid": child_guid(parent["guid"], number),
                "attributes": {
                    "name": column,
                    "qualifiedName": self._naming.column(address, column).qualified_name,
                    "description": text(said),
                },
                "relationshipAttributes": {level.column_parent_attribute: parent},
            }
            for number, (column, said) in enumerate(described.items(), 1)
        ]
