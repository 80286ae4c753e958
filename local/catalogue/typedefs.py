"""The type system of the stand-in: Purview's built-in types plus whatever is created over REST.

A definition marked `partial` is known in part only (the bundled file is what is public of Purview's types), so unknown
attributes of it are kept instead of ignored. Everything else follows Atlas: AtlasEntityType, AtlasRelationshipType.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from local.catalogue import values
from local.catalogue.errors import unknown_type

BUNDLED = Path(__file__).parents[2] / "shared" / "atlas" / "bundled_types.json"
CATEGORIES = ("entityDefs", "relationshipDefs", "classificationDefs", "enumDefs", "structDefs", "businessMetadataDefs")
_ROOTS = frozenset({"Referenceable", "Asset", "DataSet", "Process", "Infrastructure"})
_COLUMN_LISTS = frozenset({"columns", "table_columns", "fields", "partitionKeys"})

Definition = dict[str, Any]
Definitions = dict[str, list[Definition]]


class Attribute(NamedTuple):
    name: str
    type_name: str
    optional: bool


class End(NamedTuple):
    """One end of a relationship: entities of `type` hold the other end under `name`."""

    type: str
    name: str
    many: bool
    container: bool


class Relationship(NamedTuple):
    name: str
    category: str
    ends: tuple[End, End]


class Reference(NamedTuple):
    """A relationship attribute, seen from the entity that holds it. side: which of the two ends the holder is."""

    relationship: Relationship
    side: int

    @property
    def own(self) -> End:
        return self.relationship.ends[self.side]

    @property
    def other(self) -> End:
        return self.relationship.ends[1 - self.side]

    @property
    def owns(self) -> bool:
        """Whether what is referenced lives and dies with the holder."""
        return self.relationship.category == "COMPOSITION" and self.own.container

    @property
    def required(self) -> bool:
        """AtlasRelationshipType: the child end of a composition is mandatory."""
        return self.relationship.category == "COMPOSITION" and not self.own.container


class EntityType(NamedTuple):
    """A type with all that it inherits. `parents`: required references, of which one is enough."""

    name: str
    ancestors: frozenset[str]
    attributes: dict[str, Attribute]
    references: dict[str, tuple[Reference, ...]]
    parents: frozenset[str]
    partial: bool


class Types:
    """All definitions by name, and entity types put together on first use. A change makes a new one (`added`)."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions: dict[str, dict[str, Definition]] = {
            category: {d["name"]: d for d in definitions.get(category) or []} for category in CATEGORIES
        }
        self._built: dict[str, EntityType] = {}
        self._ends: dict[str, list[Reference]] = {}
        self._relationships = {
            name: _relationship(definition) for name, definition in self.definitions["relationshipDefs"].items()
        }
        for relationship in self._relationships.values():
            for side, end in enumerate(relationship.ends):
                if end.name:
                    self._ends.setdefault(end.type, []).append(Reference(relationship, side))

    @classmethod
    def bundled(cls) -> Types:
        """Purview's built-in types."""
        return cls(_bundled())

    def added(self, definitions: Definitions) -> Types:
        """With these put in, replacing those of the same name; they must be consistent (typedef_rules checks)."""
        return Types({c: [*self.definitions[c].values(), *(definitions.get(c) or [])] for c in CATEGORIES})

    def entity(self, name: object) -> EntityType:
        """Raises AtlasError (404) for a type that does not exist."""
        built = self._built.get(name) if isinstance(name, str) else None
        if built is None:
            if not isinstance(name, str) or name not in self.definitions["entityDefs"]:
                raise unknown_type(name)
            built = self._built[name] = self._build(name)
        return built

    def has(self, name: object) -> bool:
        return isinstance(name, str) and name in self.definitions["entityDefs"]

    def relationship(self, name: str) -> Relationship:
        return self._relationships[name]

    def is_a(self, name: str, ancestor: str) -> bool:
        return name == ancestor or (self.has(name) and ancestor in self.entity(name).ancestors)

    def is_column(self, name: str) -> bool:
        """Whether it is part of a table; Purview's search never finds these."""
        if not self.has(name):
            return False
        return name == "column" or any(
            reference.required and reference.other.name in _COLUMN_LISTS
            for references in self.entity(name).references.values()
            for reference in references
        )

    def known(self, type_name: str) -> bool:
        """Whether an attribute may be declared with this type."""
        while type_name.startswith("array<"):
            type_name = type_name[6:-1]
        if type_name.startswith("map<"):
            return self.known(type_name[4:-1].partition(",")[2].strip())
        simple = type_name in values.EMPTY or type_name in ("string", "date")
        return simple or any(type_name in self.definitions[c] for c in ("entityDefs", "enumDefs", "structDefs"))

    def value(self, attribute: Attribute, value: Any) -> Any:
        """The value as Atlas stores it; raises WrongValue."""
        try:
            return values.normalised(attribute.type_name, value, self._other_value)
        except (ValueError, OverflowError):
            shown = values.java_text(value)
            raise values.WrongValue(
                f"{attribute.name}={shown[:200]}: invalid value for type {attribute.type_name}"
            ) from None

    def _other_value(self, type_name: str, value: Any) -> Any:
        """Enumerations, structs and legacy object references; types of which nothing is known take anything."""
        enumeration = self.definitions["enumDefs"].get(type_name)
        if enumeration is not None:
            if value not in [element.get("value") for element in enumeration.get("elementDefs") or []]:
                raise values.WrongValue
        elif type_name in self.definitions["structDefs"] and not isinstance(value, dict):
            raise values.WrongValue
        return value

    def _lineage(self, name: str) -> list[str]:
        """The type and its ancestors, nearest first."""
        order, queue = [name], [name]
        while queue:
            definition = self.definitions["entityDefs"].get(queue.pop(0), {})
            supers = definition.get("superTypes") or []
            if not supers and definition.get("partial"):
                supers = ["Asset"]  # servers, databases and schemas whose supertypes were not recorded
            new = [s for s in supers if s not in order]
            order.extend(new)
            queue.extend(new)
        return order

    def _build(self, name: str) -> EntityType:
        lineage = self._lineage(name)
        attributes: dict[str, Attribute] = {}
        references: dict[str, list[Reference]] = {}
        for ancestor in lineage:
            definition = self.definitions["entityDefs"].get(ancestor, {})
            for a in definition.get("attributeDefs") or []:
                attributes.setdefault(a["name"], Attribute(a["name"], a["typeName"], a.get("isOptional", True)))
            for reference in self._ends.get(ancestor, []):
                nearer = references.get(reference.own.name)
                # a child type may hide an inherited name (`schema` of DataSet and of a table)
                if nearer is None or nearer[0].own.type == ancestor:
                    references.setdefault(reference.own.name, []).append(reference)
        for attribute, candidates in references.items():
            candidates.sort(key=lambda r: r.relationship.name)
            attributes.pop(attribute, None)
        return EntityType(
            name=name,
            ancestors=frozenset(lineage),
            attributes=attributes,
            references={attribute: tuple(candidates) for attribute, candidates in references.items()},
            parents=frozenset(n for n, candidates in references.items() if any(r.required for r in candidates)),
            partial=any(
                self.definitions["entityDefs"].get(t, {}).get("partial", False) for t in lineage if t not in _ROOTS
            ),
        )


def _relationship(definition: Definition) -> Relationship:
    ends = [
        End(
            type=end["type"],
            name=end.get("name") or "",
            many=end.get("cardinality", "SINGLE") != "SINGLE",
            container=bool(end.get("isContainer")),
        )
        for end in (definition["endDef1"], definition["endDef2"])
    ]
    return Relationship(definition["name"], definition.get("relationshipCategory", "ASSOCIATION"), (ends[0], ends[1]))


@functools.cache
def _bundled() -> Definitions:
    """The bundled file in the shape of Atlas's typedefs.

    It lists relationships from the side of the types that hold them; the child end of a composition is the required
    one, so the two ends and the category follow from there.
    """
    raw = msgspec.json.decode(BUNDLED.read_bytes())["types"]
    entities: list[Definition] = []
    ends: dict[str, list[tuple[str, Definition]]] = {}
    for name, definition in raw.items():
        entities.append(
            {
                "category": "ENTITY",
                "name": name,
                "superTypes": definition.get("superTypes") or [],
                "typeVersion": "1.0",
                "options": {"schemaElementsAttribute": "columns"},
                "attributeDefs": [_attribute(a) for a in definition.get("attributes") or []],
                **({"partial": True} if definition.get("partial") else {}),
            }
        )
        for reference in definition.get("relationshipAttributes") or []:
            relationship = reference.get("relationshipTypeName") or f"{name}_{reference['name']}"
            ends.setdefault(relationship, []).append((name, reference))
        if not any(r["name"] in _COLUMN_LISTS for r in definition.get("relationshipAttributes") or []):
            del entities[-1]["options"]
    relationships = [_joined(name, held, raw) for name, held in ends.items()]
    return {"entityDefs": entities, "relationshipDefs": [r for r in relationships if r is not None]}


def _attribute(a: Definition) -> Definition:
    return {
        "name": a["name"],
        "typeName": a["typeName"],
        "isOptional": a.get("isOptional", True),
        "cardinality": a.get("cardinality", "SINGLE"),
        "isUnique": a["name"] == "qualifiedName",
        "isIndexable": a["name"] in ("qualifiedName", "name"),
    }


def _joined(name: str, held: Iterable[tuple[str, Definition]], known: dict[str, Any]) -> Definition | None:
    """A relationship from its one or two recorded sides; None when its other type is not known at all."""
    sides = list(held)[:2]
    if len(sides) == 1:
        reference = sides[0][1]
        if reference["otherEndType"] not in known:
            return None
        sides.append((reference["otherEndType"], {"name": "", "cardinality": "SET"}))
    # parent first, then the way Atlas writes it: process before data set, upstream (`sinks`) before downstream
    sides.sort(key=lambda side: (bool(side[1].get("required")), side[1]["name"] not in ("inputs", "outputs", "sinks")))
    composed = bool(sides[1][1].get("required"))
    ends = [
        {
            "type": holder,
            "name": reference["name"],
            "cardinality": reference.get("cardinality", "SINGLE"),
            "isContainer": composed and index == 0,
        }
        for index, (holder, reference) in enumerate(sides)
    ]
    return {
        "category": "RELATIONSHIP",
        "name": name,
        "relationshipCategory": "COMPOSITION" if composed else "ASSOCIATION",
        "typeVersion": "1.0",
        "endDef1": ends[0],
        "endDef2": ends[1],
    }
