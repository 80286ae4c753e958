"""Rules: refuse what Atlas would drop without an answer, or take and silently not store.

`Rules(types).check(top, referred)` looks at one closure: a top-level entity and the children that travel with it.
What Atlas does with each kind of mistake was measured on Apache Atlas; the limits are Microsoft's
(learn.microsoft.com/purview/how-to-manage-quotas) and AtlasConfiguration's (labels and custom attributes).
Rules refuse or let pass; they never change anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from shared.atlas.problems import Problem, RefusedError, nearest, refuse, shown
from shared.atlas.references import NEGATIVE, References
from shared.atlas.shapes import Shapes
from shared.atlas.types import EntityType, TypeRegistry
from shared.atlas.values import expected

Entity = Mapping[str, Any]

ENTITY_BYTES = 2 * 1024 * 1024
PROPERTY_BYTES = 32 * 1024  # of name and value together
NAME_BYTES = 4 * 1024
CONTACTS = 20
# org.apache.atlas.AtlasConfiguration: atlas.custom.attribute.key.max.length, .value.max.length, atlas.label.max.length
CUSTOM_KEY_LENGTH, CUSTOM_VALUE_LENGTH, LABEL_LENGTH = 50, 500, 50
_WORD = re.compile(r"[a-zA-Z0-9_-]+")  # EntityGraphMapper: custom attribute keys and labels

#: fields of AtlasEntity (Apache Atlas, and Purview's 2023-09-01 model); anything else is ignored by the consumer
FIELDS = frozenset((
    "typeName", "guid", "attributes", "relationshipAttributes", "customAttributes", "businessAttributes",
    "classifications", "labels", "meanings", "contacts", "status", "isIncomplete", "provenanceType", "createdBy",
    "updatedBy", "createTime", "updateTime", "version", "homeId", "proxy", "source", "sourceDetails",
    "lastModifiedTS", "collectionId", "domainId", "displayText", "isIndexed", "pendingTasks",
))  # fmt: skip


class Rules:
    """The rules for one set of types. Remembers nothing of what it has seen but the shapes of what passed."""

    def __init__(self, types: TypeRegistry) -> None:
        self.types = types
        self._shapes = Shapes(types)
        self._pass_entity = self._shapes.pass_entity  # looked up once: it runs for every entity

    def check(self, top: Entity, referred: Sequence[Entity] = (), *, partial: bool = False) -> Problem | None:
        """The first problem of a closure, or None.

        partial: an update of an entity that exists (ENTITY_PARTIAL_UPDATE_V2): nothing is required of the top-level
        entity, but what is given must be right.
        """
        if not partial:
            try:
                if self._shapes.pass_closure(top, referred) if referred else self._pass_entity(top, None):
                    return None
            except (KeyError, TypeError, AttributeError, ValueError, IndexError):
                pass  # not of the common form: the rules below say what it is
        try:
            _Closure(self.types, top, referred).check(partial)
        except RefusedError as refused:
            return refused.problem
        if not partial:
            for entity in (top, *referred):
                self._shapes.learn(entity)
        return None


class _Closure:
    """One closure under the rules. Every method returns when all is well, and raises at the first problem."""

    def __init__(self, types: TypeRegistry, top: Entity, referred: Sequence[Entity]) -> None:
        self.types = types
        self.top = top
        self.referred = referred
        self.guids: dict[str, Entity] = {}
        self._references = References(types, self.guids)

    def check(self, partial: bool) -> None:
        self._identity(self.top, partial)
        for child in self.referred:
            self._identity(child, partial=False)
        names: set[tuple[str, str]] = set()
        for entity in (self.top, *self.referred):
            try:
                self._entity(entity, partial and entity is self.top)
            except RefusedError as refused:
                if entity is self.top:
                    raise
                problem = refused.problem
                name = entity["attributes"].get("qualifiedName", entity["guid"])
                where = f"{str(entity.get('typeName'))[:80]} {shown(name)}"
                refuse(problem.rule, f"child {where}: {problem.reason}", problem.fix)
            key = (entity["typeName"], entity["attributes"].get("qualifiedName", ""))
            if key in names:
                refuse(
                    "duplicate-name",
                    f"{key[0]} {shown(key[1])} occurs twice in this closure; Atlas would merge the two",
                    "give each its own qualifiedName",
                )
            names.add(key)

    def _identity(self, entity: Entity, partial: bool) -> None:
        """Form, fields, guid: what must hold before anything can be said about the closure."""
        if not isinstance(entity, dict) or not isinstance(entity.get("attributes"), dict):
            refuse("form", "an entity must be an object with an object `attributes`", "see docs/formats/atlas_json.md")
        try:
            size = len(msgspec.json.encode(entity))
        except (TypeError, ValueError, RecursionError, OverflowError) as error:
            refuse("form", f"the entity cannot be written as JSON: {error}", "send text that is valid Unicode")
        if size > ENTITY_BYTES:
            refuse(
                "entity-size",
                f"the entity has {size:,} bytes; Purview takes at most {ENTITY_BYTES:,}",
                "shorten its texts, or send its children apart from it",
            )
        for field, value in entity.items():
            if field not in FIELDS:
                refuse("unknown-field", f"field {shown(field)} is none of an entity's", nearest(field, FIELDS))
            if value is None:
                refuse("null", f"field {field!r} is null", "leave the field out")
        if partial and "guid" not in entity:
            return
        guid = entity.get("guid")
        if not isinstance(guid, str) or not NEGATIVE.fullmatch(guid):
            refuse(
                "guid",
                f"guid {shown(guid)} is no negative text such as '-1'; Atlas would look for an entity that has it",
                "give the entity a guid that starts with a minus sign, unique in its message",
            )
        if guid in self.guids:
            refuse(
                "duplicate-guid",
                f"guid {shown(guid)} is used by two entities of this closure; Atlas would lose the second",
                "give every entity of a message its own guid",
            )
        self.guids[guid] = entity

    def _entity(self, entity: Entity, partial: bool) -> None:
        type_name, attributes = entity.get("typeName"), entity["attributes"]
        kind = self.types.entity(type_name) if isinstance(type_name, str) else None
        if kind is None:
            refuse(
                "unknown-type",
                f"there is no type {shown(type_name)}",
                nearest(str(type_name), self.types) + " (`./hookline types diff` compares with the account)",
            )
        related: Any = entity.get("relationshipAttributes", {})
        if not isinstance(related, dict):
            refuse("form", "relationshipAttributes is no object", "name each relationship and its reference")
        for name, value in attributes.items():
            self._attribute(kind, name, value)
        for name, value in related.items():
            self._references.relationship(kind, name, value)
        self._names(kind, attributes, partial)
        if not partial:
            self._required(kind, attributes, related)
        if "columnMapping" in attributes and "Process" in kind.ancestors:
            self._references.column_mapping(attributes["columnMapping"], {**attributes, **related}, partial)
        self._decorations(entity)

    def _attribute(self, kind: EntityType, name: str, value: Any) -> None:
        if value is None:
            refuse("null", f"attribute {name!r} is null, which clears it in Atlas", "leave the attribute out")
        if name in kind.relationships:  # Atlas takes a relationship among the attributes, too
            self._references.relationship(kind, name, value)
            return
        declared = kind.attributes.get(name)
        if declared is None:
            if kind.partial:
                self._size(name, value)
                return
            if name == "columnMapping":
                fix = "use a type that declares columnMapping, such as hookline_process"
            else:
                fix = nearest(name, (*kind.attributes, *kind.relationships))
            refuse("unknown-attribute", f"{kind.name} has no attribute {name!r}; Atlas would ignore it", fix)
        what = expected(declared.type_name, value, lambda inner, v: self._references.value(kind, name, inner, v))
        if what:
            refuse(
                "value-type",
                f"{kind.name}.{name} is of type {declared.type_name}, but has the value {shown(value)}",
                f"send {what}",
            )
        self._size(name, value)

    def _size(self, name: str, value: Any) -> None:
        if isinstance(value, str):
            size = len(name) + (len(value) if value.isascii() else len(value.encode()))
            if size > PROPERTY_BYTES:
                refuse(
                    "property-size",
                    f"attribute {name!r} has {size:,} bytes with its name; Purview takes at most {PROPERTY_BYTES:,}",
                    "spread a columnMapping over several processes"
                    if name == "columnMapping"
                    else "shorten the text, or keep it where it is and send a link",
                )
        elif isinstance(value, (list, dict)) and _holds_null(value):
            refuse("null", f"attribute {name!r} holds a null: {shown(value)}", "leave it out")

    def _names(self, kind: EntityType, attributes: Mapping[str, Any], partial: bool) -> None:
        for name, rule in (("qualifiedName", "qualified-name"), ("name", "name")):
            value = attributes.get(name)
            if value is None and (partial or (name == "name" and name not in kind.attributes)):
                continue
            if not isinstance(value, str) or not value or value.isspace():
                state = "missing" if value is None else "blank" if isinstance(value, str) else "no text"
                refuse(rule, f"{name} of the {kind.name} is {state}", f"give it a {name}")
        name = attributes.get("name", "")
        if isinstance(name, str) and len(name) * 4 > NAME_BYTES and len(name.encode()) > NAME_BYTES:
            refuse(
                "name-size",
                f"name {shown(name)} has {len(name.encode()):,} bytes; Purview takes at most {NAME_BYTES:,}",
                "shorten the name",
            )

    def _required(self, kind: EntityType, attributes: Mapping[str, Any], related: Mapping[str, Any]) -> None:
        for name in sorted(kind.required):
            if name not in attributes and name not in related:
                refuse(
                    "missing-attribute",
                    f"{kind.name} needs the attribute {name!r}; without it Atlas drops the whole message",
                    f"add {name!r}",
                )
        if kind.parents and kind.parents.isdisjoint(related) and kind.parents.isdisjoint(attributes):
            parents = sorted(kind.parents)
            ends = ", ".join(sorted({end.other_end_type for name in parents for end in kind.relationships[name]}))
            refuse(
                "missing-parent",
                f"{kind.name} cannot exist without {' or '.join(map(repr, parents))}",
                f"add a reference to its {ends} under relationshipAttributes",
            )

    def _decorations(self, entity: Entity) -> None:
        """customAttributes, labels, classifications, contacts."""
        custom = entity.get("customAttributes", {})
        if not isinstance(custom, dict) or not all(isinstance(v, str) for v in custom.values()):
            refuse("custom-attributes", f"customAttributes {shown(custom)} are not all text", "send them as text")
        for key, value in custom.items():
            if not _WORD.fullmatch(key) or len(key) > CUSTOM_KEY_LENGTH or len(value) > CUSTOM_VALUE_LENGTH:
                refuse(
                    "custom-attributes",
                    f"custom attribute {shown(key)} ({len(value)} characters) is not one that Atlas takes",
                    f"keys of letters, digits, _ and - up to {CUSTOM_KEY_LENGTH}, values up to {CUSTOM_VALUE_LENGTH}",
                )
        labels = entity.get("labels", [])
        for label in labels if isinstance(labels, list) else [labels]:
            if not isinstance(label, str) or not _WORD.fullmatch(label) or len(label) > LABEL_LENGTH:
                refuse(
                    "labels",
                    f"label {shown(label)} is not one that Atlas takes",
                    f"a list of letters, digits, _ and -, up to {LABEL_LENGTH} each",
                )
        classifications = entity.get("classifications", [])
        for item in classifications if isinstance(classifications, list) else [None]:
            name = item.get("typeName") if isinstance(item, dict) else None
            if not isinstance(name, str) or not name.strip():
                refuse(
                    "classifications",
                    f"classifications {shown(classifications)} are not of their form",
                    'send a list of {"typeName": "MICROSOFT.PERSONAL.EMAIL"}',
                )
        contacts = entity.get("contacts", {})
        for people in contacts.values() if isinstance(contacts, dict) else [None]:
            if not isinstance(people, list) or len(people) > CONTACTS:
                refuse(
                    "contacts",
                    f"contacts {shown(contacts)} are not of their form",
                    f'send {{"Owner": [..], "Expert": [..]}}, at most {CONTACTS} each',
                )


def _holds_null(value: Any) -> bool:
    """Whether a null lies anywhere inside; the depth is bounded, because the entity was encoded before."""
    if isinstance(value, dict):
        return any(_holds_null(v) for v in value.values())
    if isinstance(value, list):
        return any(_holds_null(v) for v in value)
    return value is None


def duplicate(entities: Iterable[Entity]) -> Problem | None:
    """The first guid, or type and qualified name, that occurs twice among the entities of one message.

    Over a whole file a second entity of the same name is an update in its own right, so no state is kept for that.
    """
    guids: set[Any] = set()
    names: set[tuple[Any, Any]] = set()
    for entity in entities:
        guid, name = entity.get("guid"), (entity.get("typeName"), entity["attributes"].get("qualifiedName"))
        if guid in guids:
            return Problem("duplicate-guid", f"guid {shown(guid)} is used twice in one message", "open a new message")
        if name in names:
            return Problem("duplicate-name", f"{name[0]} {shown(name[1])} comes twice", "send it in a message after it")
        guids.add(guid)
        names.add(name)
    return None
