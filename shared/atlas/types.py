"""Type definitions: what every Atlas type may and must hold, with everything it inherits.

`TypeRegistry.bundled()` knows Purview's types as far as they are public (bundled_types.json says where from) and
Hookline's (own_types.py). `with_live` puts an account's definitions in their place. A definition that is `partial` is
enforced only as far as it is known.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

_BUNDLED = Path(__file__).with_name("bundled_types.json")


class Attribute(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A plain attribute. `type_name` in Atlas's words: string, int, date, array<string>, map<string,string>, a type."""

    name: str
    type_name: str
    is_optional: bool = True
    cardinality: str = "SINGLE"


class RelationshipAttribute(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One end of a relationship, as seen from the type that has it. `required`: the entity cannot exist without it."""

    name: str
    other_end_type: str
    relationship_type_name: str = ""
    cardinality: str = "SINGLE"
    required: bool = False


class Definition(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One type as it is written down, without what it inherits."""

    super_types: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    relationship_attributes: tuple[RelationshipAttribute, ...] = ()
    partial: bool = False
    qualified_name_pattern: str = ""


class _Bundle(msgspec.Struct):
    types: dict[str, Definition]


class EntityType(msgspec.Struct, frozen=True, kw_only=True):
    """A type with everything it inherits.

    ancestors:     the type itself and all its supertypes
    relationships: by name; several where a name is declared by several relationships (cassandra_table_column.table)
    required:      attributes without which Atlas drops the entity
    parents:       relationship attributes of which one must be there. Some Purview types list several that cannot all
                   exist (looker_query.dashboard and .look), so one of them is enough.
    partial:       something about it, or about one of its supertypes, is not known
    rooted:        its supertypes are known up to Referenceable, so what it is *not* is known too
    """

    name: str
    ancestors: frozenset[str]
    attributes: dict[str, Attribute]
    relationships: dict[str, tuple[RelationshipAttribute, ...]]
    required: frozenset[str]
    parents: frozenset[str]
    partial: bool
    rooted: bool
    qualified_name_pattern: str


class TypeRegistry:
    """Types by name. Cheap: a type is put together when it is first asked for, and kept."""

    def __init__(self, definitions: Mapping[str, Definition]) -> None:
        self._definitions = definitions
        self._entities: dict[str, EntityType | None] = {}

    @classmethod
    def bundled(cls) -> TypeRegistry:
        """The types that are shipped, and our own. One object for the whole process."""
        return _bundled()

    def with_live(self, typedefs: Mapping[str, Any], *, complete: bool = True) -> TypeRegistry:
        """A registry in which the account's definitions (the answer of GET types/typedefs) replace the bundled ones.

        complete: the answer holds every type of the account, so a bundled type that is not in it is unknown there.
        False for an excerpt. Hookline's types stay as they are written here: typedefs.TypedefSync creates or extends
        them before they are first used.
        """
        return self.with_definitions(live_definitions(typedefs), complete=complete)

    def with_definitions(self, live: Mapping[str, Definition], *, complete: bool = True) -> TypeRegistry:
        """The same from definitions that `live_definitions` has read before (and a cache has kept)."""
        from shared.atlas.own_types import own_definitions

        return TypeRegistry({**({} if complete else self._definitions), **live, **own_definitions()})

    def entity(self, type_name: str) -> EntityType | None:
        """The type with everything it inherits; None when it is unknown."""
        try:
            return self._entities[type_name]
        except KeyError:
            resolved = self._entities[type_name] = self._resolve(type_name)
            return resolved

    def is_a(self, type_name: str, ancestor: str) -> bool:
        """Whether `type_name` is `ancestor` or inherits from it, as far as its supertypes are known."""
        found = self.entity(type_name)
        return found is not None and ancestor in found.ancestors

    def __contains__(self, type_name: str) -> bool:
        return type_name in self._definitions

    def __iter__(self) -> Iterator[str]:
        return iter(self._definitions)

    def __len__(self) -> int:
        return len(self._definitions)

    def _resolve(self, type_name: str) -> EntityType | None:
        if type_name not in self._definitions:
            return None
        chain = self._chain(type_name)
        attributes: dict[str, Attribute] = {}
        relationships: dict[str, dict[tuple[str, str], RelationshipAttribute]] = {}
        known = True
        for name in reversed(chain):  # supertypes first, so that a type's own word counts
            definition = self._definitions.get(name)
            if definition is None or definition.partial:
                known = False
            if definition is None:
                continue
            attributes.update((a.name, a) for a in definition.attributes)
            for end in definition.relationship_attributes:
                same_name = relationships.setdefault(end.name, {})
                same_name[end.relationship_type_name, end.other_end_type] = end
        return EntityType(
            name=type_name,
            ancestors=frozenset(chain),
            attributes=attributes,
            relationships={name: tuple(ends.values()) for name, ends in relationships.items()},
            required=frozenset(a.name for a in attributes.values() if not a.is_optional),
            parents=frozenset(n for n, ends in relationships.items() if any(e.required for e in ends.values())),
            partial=not known,
            rooted="Referenceable" in chain and all(name in self._definitions for name in chain),
            qualified_name_pattern=self._definitions[type_name].qualified_name_pattern,
        )

    def _chain(self, type_name: str) -> list[str]:
        """The type and all its supertypes, nearest first; a circle (a broken answer) ends where it closes."""
        chain: dict[str, None] = {type_name: None}
        level = [type_name]
        while level:
            above = [s for name in level for s in self._definitions.get(name, Definition()).super_types]
            level = [s for s in dict.fromkeys(above) if s not in chain]
            for name in level:
                chain[name] = None
        return list(chain)


@functools.cache
def _bundled() -> TypeRegistry:
    from shared.atlas.own_types import own_definitions

    bundle = msgspec.json.decode(_BUNDLED.read_bytes(), type=_Bundle)
    return TypeRegistry({**bundle.types, **own_definitions()})


def live_definitions(typedefs: Mapping[str, Any]) -> dict[str, Definition]:
    """Read the answer of GET types/typedefs: entityDefs, and relationshipDefs for the ends that they give to types.

    An entry that is not of the documented shape is left out: it is then an unknown type, which the rules say by name.
    """
    ends: dict[str, list[RelationshipAttribute]] = {}
    for relationship in _entries(typedefs, "relationshipDefs"):
        first, second = relationship.get("endDef1"), relationship.get("endDef2")
        if not isinstance(first, dict) or not isinstance(second, dict):
            continue
        composition = relationship.get("relationshipCategory") == "COMPOSITION"
        for end, other in ((first, second), (second, first)):
            if isinstance(end.get("name"), str) and isinstance(other.get("type"), str):
                ends.setdefault(str(end.get("type")), []).append(
                    RelationshipAttribute(
                        name=end["name"],
                        other_end_type=other["type"],
                        relationship_type_name=relationship["name"],
                        cardinality=str(end.get("cardinality", "SINGLE")),
                        required=composition and not end.get("isContainer", False),
                    )
                )
    return {
        entity["name"]: Definition(
            super_types=tuple(s for s in entity.get("superTypes") or () if isinstance(s, str)),
            attributes=tuple(
                Attribute(
                    a["name"], a["typeName"], bool(a.get("isOptional", True)), str(a.get("cardinality", "SINGLE"))
                )
                for a in _entries(entity, "attributeDefs")
                if isinstance(a.get("typeName"), str)
            ),
            relationship_attributes=tuple(_declared_ends(entity)) + tuple(ends.get(entity["name"], ())),
            qualified_name_pattern=_pattern(entity.get("options")),
        )
        for entity in _entries(typedefs, "entityDefs")
    }


def _declared_ends(entity: Mapping[str, Any]) -> Iterator[RelationshipAttribute]:
    for end in _entries(entity, "relationshipAttributeDefs"):
        if not isinstance(end.get("typeName"), str):
            continue
        other = end["typeName"]
        yield RelationshipAttribute(
            name=end["name"],
            other_end_type=other[6:-1] if other.startswith("array<") and other.endswith(">") else other,
            relationship_type_name=str(end.get("relationshipTypeName") or ""),
            cardinality=str(end.get("cardinality", "SINGLE")),
            required=not end.get("isOptional", True),
        )


def _entries(owner: Mapping[str, Any], key: str) -> Iterator[dict[str, Any]]:
    entries = owner.get(key)
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            yield entry


def _pattern(options: object) -> str:
    """options.purviewEntityExtDef is JSON in a string; Purview's own regex for the type's names is in it."""
    if not isinstance(options, dict) or not isinstance(options.get("purviewEntityExtDef"), str):
        return ""
    try:
        extension = msgspec.json.decode(options["purviewEntityExtDef"])
    except (msgspec.DecodeError, RecursionError):
        return ""
    pattern = extension.get("qualifiedNamePattern") if isinstance(extension, dict) else None
    return pattern if isinstance(pattern, str) else ""
