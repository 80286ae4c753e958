"""The short cut of the rules: an entity whose shape has passed before needs only its values looked at.

The shape of an entity is its type and the names of its attributes and relationships. `Shapes`
learns it from an entity that has passed the rules, and from then on answers for its like in about a microsecond. It
never refuses: False means "ask the rules". tests/unit/test_rules.py holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

import msgspec

from shared.atlas.types import TypeRegistry
from shared.atlas.values import INTEGER_BITS, integer_range

#: what all texts of an entity together may have here: below every limit of the rules, in characters and in bytes
_TEXT = 4096
_CUSTOM_TEXT = 500
_MAX_SHAPES = 4096
_ALWAYS = frozenset(("typeName", "guid", "attributes"))
_SOMETIMES = frozenset(("relationshipAttributes", "customAttributes"))
_NONE: Mapping[str, Any] = {}


class _Shape(msgspec.Struct):
    """What is left to check.

    fields:  how many fields the entity has besides customAttributes; which they are follows from it
    texts:   takes the text attributes out of `attributes`; None when all of them are text
    others:  (name, bool or int, smallest, greatest) of the attributes that are no text
    links:   relationship name -> typeNames (with the relationshipType, if given) of references that have passed
    custom:  keys of custom attributes that have passed
    passed:  the very relationships that passed last, and among which guids (None: they need none); entities that lie
             beside each other share them, so they are looked at once
    """

    fields: int
    texts: Any
    others: tuple[tuple[str, Any, int, int], ...]
    links: dict[str, set[Any]]
    custom: set[str]
    passed: tuple[Any, Any] = (None, None)


class Shapes:
    """Shapes that have passed; at most 4,096 of them."""

    def __init__(self, types: TypeRegistry) -> None:
        self._types = types
        self._shapes: dict[tuple[Any, ...], _Shape] = {}

    def pass_entity(self, entity: Mapping[str, Any], guids: Mapping[str, str] | None) -> bool:
        """Whether this entity certainly obeys the rules; may raise when it is not of the common form.

        guids: typeName by guid of what travels in the same closure; None when that is this entity alone.
        """
        attributes = entity["attributes"]
        related = entity.get("relationshipAttributes", _NONE)
        shape = self._shapes.get((entity["typeName"], *attributes, None, *related))
        if shape is None:
            return False
        text = "".join(attributes.values() if shape.texts is None else shape.texts(attributes))
        fields = len(entity)
        if "customAttributes" in entity:
            custom = entity["customAttributes"]
            values = "".join(custom.values())
            if len(values) > _CUSTOM_TEXT or not shape.custom.issuperset(custom):
                return False
            text += values
            fields -= 1
        if fields != shape.fields or len(text) > _TEXT or not (text.isascii() or len(text.encode()) <= _TEXT):
            return False
        name, qualified_name, guid = attributes["name"], attributes["qualifiedName"], entity["guid"]
        if not name or name.isspace() or not qualified_name or qualified_name.isspace():
            return False
        if guid[0] != "-" or not guid[1:].isdecimal() or len(guid) > 64:
            return False
        if shape.others:
            for other, python_type, low, high in shape.others:
                value = attributes[other]
                if type(value) is not python_type or not low <= value <= high:
                    return False
        passed, among = shape.passed
        return (passed is related and (among is None or among is guids)) or self._pass_links(shape, related, guids)

    @staticmethod
    def _pass_links(shape: _Shape, related: Mapping[str, Any], guids: Mapping[str, str] | None) -> bool:
        among = None
        for link, target in related.items():
            token = target["typeName"]
            if len(target) != 2:
                if len(target) != 3:
                    return False
                token = token, target["relationshipType"]
            if token not in shape.links[link]:
                return False
            if "guid" in target:
                if guids is None or guids[target["guid"]] != target["typeName"]:
                    return False
                among = guids
            else:
                unique = target["uniqueAttributes"]
                key = unique["qualifiedName"]
                if len(unique) != 1 or not key or key.isspace() or len(key) > _TEXT or not key.isascii():
                    return False
        shape.passed = related, among
        return True

    def pass_closure(self, top: Mapping[str, Any], referred: Any) -> bool:
        """The same for an entity and its children, with guids and names unique among them."""
        guids = {child["guid"]: child["typeName"] for child in referred}
        guids[top["guid"]] = top["typeName"]
        names = {(child["typeName"], child["attributes"]["qualifiedName"]) for child in referred}
        names.add((top["typeName"], top["attributes"]["qualifiedName"]))
        count = 1 + len(referred)
        if len(guids) != count or len(names) != count or not self.pass_entity(top, guids):
            return False
        pass_entity = self.pass_entity
        for child in referred:  # noqa: SIM110 -- all() over a generator costs a third more, and this runs per column
            if not pass_entity(child, guids):
                return False
        return True

    def learn(self, entity: Mapping[str, Any]) -> None:
        """Remember the shape of an entity that has passed the rules, if it is one that can be judged here.

        An empty relationshipAttributes or customAttributes is not, so that the number of fields says which they are.
        """
        fields = entity.keys()
        if not _ALWAYS <= fields <= _ALWAYS | _SOMETIMES or not all(entity[field] for field in fields):
            return
        attributes, related = entity["attributes"], entity.get("relationshipAttributes", _NONE)
        judged = self._judge_values(entity["typeName"], attributes)
        links = {name: _token(target) for name, target in related.items()}
        if judged is None or not all(links.values()):
            return
        texts, others = judged
        custom = entity.get("customAttributes", _NONE)
        key = (entity["typeName"], *attributes, None, *related)
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= _MAX_SHAPES:
                self._shapes.clear()
            shape = self._shapes[key] = _Shape(
                fields=len(entity) - bool(custom),
                texts=None if len(texts) == len(attributes) else itemgetter(*texts),
                others=tuple(others),
                links={name: set() for name in links},
                custom=set(),
            )
        for name, token in links.items():
            shape.links[name].add(token)
        if len(shape.custom) > _MAX_SHAPES:
            shape.custom.clear()
        shape.custom.update(custom)

    def _judge_values(
        self, type_name: str, attributes: Mapping[str, Any]
    ) -> tuple[list[str], list[tuple[str, Any, int, int]]] | None:
        """Names of the text attributes, and the others; None when an attribute is not judged here."""
        kind = self._types.entity(type_name)
        if kind is None or not {"name", "qualifiedName"} <= attributes.keys() or "columnMapping" in attributes:
            return None
        texts: list[str] = []
        others: list[tuple[str, Any, int, int]] = []
        for name, value in attributes.items():
            if name in kind.relationships:
                return None
            declared = kind.attributes.get(name)
            wanted = declared.type_name if declared else "string"
            if wanted == "string" and type(value) is str:
                texts.append(name)
            elif wanted == "boolean" and type(value) is bool:
                others.append((name, bool, 0, 1))
            elif type(value) is int and (wanted in INTEGER_BITS or wanted == "date"):
                others.append((name, int, *integer_range("long" if wanted == "date" else wanted)))
            else:
                return None
        return (texts, others) if {"name", "qualifiedName"} <= set(texts) else None


def _token(target: Any) -> Any:
    """What stands for a reference in `links`; None for a form that is not judged here (a list, a bare guid)."""
    if not isinstance(target, dict):
        return None
    if target.keys() in ({"typeName", "guid"}, {"typeName", "uniqueAttributes"}):
        return target["typeName"]
    if target.keys() in (
        {"typeName", "guid", "relationshipType"},
        {"typeName", "uniqueAttributes", "relationshipType"},
    ):
        return target["typeName"], target["relationshipType"]
    return None
