"""Whether the catalogue shows an asset just as it was sent.

An update that changes nothing causes no notification and leaves the time of the last update as it was; an update that
was dropped looks the same from outside. Only the content tells them apart: attributes, custom attributes, and what the
asset refers to, by the guids of what lives under those names now (a table that was deleted and came back has a new one,
and what referred to the old one has to be told).

Only what was sent is compared; what the catalogue adds is its own. Whatever cannot be compared counts as different: it
is sent once more, which does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from shared.atlas.closure import Closure
from shared.naming import Name, normalise

if TYPE_CHECKING:
    from shared.delivery.catalog import Catalog
    from shared.delivery.pace import Pace

Entity = dict[str, Any]

#: keys of an entity that are compared; with any other in it, it counts as different
_COMPARED = {"typeName", "guid", "attributes", "relationshipAttributes", "customAttributes", "labels"}
_EMPTY: tuple[object, ...] = (None, "", [], {})


class _Sent(NamedTuple):
    """A closure as entities: (name, entity); the first is the asset itself. by_guid: their own references."""

    closure: Closure
    entities: list[tuple[Name, Entity]]
    by_guid: dict[str, Name]


class Comparison:
    """Asks for whole entities, in bulk. Raises CatalogBusy, CatalogRefused."""

    def __init__(self, catalog: Catalog, pace: Pace) -> None:
        self._catalog, self._pace = catalog, pace

    def same(self, closures: Sequence[Closure]) -> list[Closure]:
        """Those that the catalogue shows just so, their members too."""
        sent = [_taken_apart(closure) for closure in closures if closure.operation != "delete"]
        there = self._entities(name for one in sent for name, _ in one.entities)
        near = [one for one in sent if all(_key(name) in there for name, _ in one.entities)]
        guids = {key: str(entity["guid"]) for key, entity in there.items()}
        guids |= self._guids(n for one in near for n in _targets(one) if _key(n) not in guids)
        return [
            one.closure
            for one in near
            if all(_equal(entity, there[_key(name)], one, guids) for name, entity in one.entities)
        ]

    def _entities(self, names: Iterable[Name]) -> dict[Name, Entity]:
        found: dict[Name, Entity] = {}
        for type_name, qualified_names in _by_type(names).items():
            self._pace.take(len(qualified_names))
            for name, entity in self._catalog.entities(type_name, qualified_names).items():
                found[_key(Name(type_name, name))] = entity
        return found

    def _guids(self, names: Iterable[Name]) -> dict[Name, str]:
        found: dict[Name, str] = {}
        for type_name, qualified_names in _by_type(names).items():
            self._pace.take(len(qualified_names))
            for name, known in self._catalog.find(type_name, qualified_names).items():
                if known.status == "ACTIVE":
                    found[_key(Name(type_name, name))] = known.guid
        return found


def _taken_apart(closure: Closure) -> _Sent:
    body = closure.stable or closure.body
    if closure.operation == "update":  # the members of a partial update's message
        whole: Entity = msgspec.json.decode(b"{%b}" % body)["entity"]
        return _Sent(closure, [(closure.name, whole["entity"])], {})
    top: Entity = msgspec.json.decode(body)
    others: list[Entity] = [msgspec.json.decode(member) for member in closure.members]
    others += msgspec.json.decode(b"{%b}" % closure.referred).values()
    named = [(Name(e["typeName"], e["attributes"]["qualifiedName"]), e) for e in others]
    entities = [(closure.name, top), *named]
    return _Sent(closure, entities, {str(entity.get("guid")): name for name, entity in entities})


def _targets(sent: _Sent) -> Iterable[Name]:
    """Whom it refers to by name."""
    for _, entity in sent.entities:
        for part in ("attributes", "relationshipAttributes"):
            for value in (entity.get(part) or {}).values():
                yield from (name for name in (_name_of(one, sent) for one in _references(value)) if name is not None)


def _equal(entity: Entity, there: Entity, sent: _Sent, guids: dict[Name, str]) -> bool:
    if not entity.keys() <= _COMPARED:
        return False
    custom = there.get("customAttributes") or {}
    if any(custom.get(key) != value for key, value in (entity.get("customAttributes") or {}).items()):
        return False
    if not set(entity.get("labels") or ()) <= set(there.get("labels") or ()):
        return False
    shown, linked = there.get("attributes") or {}, there.get("relationshipAttributes") or {}
    for part in ("attributes", "relationshipAttributes"):
        for key, value in (entity.get(part) or {}).items():
            found = linked.get(key) if key in linked else shown.get(key)
            if not (_refers(value, found, sent, guids) if _references(value) else _alike(value, shown.get(key))):
                return False
    return True


def _alike(value: object, there: object) -> bool:
    return value == there or (value in _EMPTY and there in _EMPTY)


def _refers(value: object, there: object, sent: _Sent, guids: dict[Name, str]) -> bool:
    """Whether the references lead to just those assets that live under their names now."""
    names = [_name_of(one, sent) for one in _references(value)]
    wanted = {guids.get(_key(name)) if name is not None else None for name in names}
    alive = {str(one.get("guid")) for one in _references(there) if _is_alive(one)}
    return None not in wanted and wanted == alive


def _references(value: object) -> list[Entity]:
    """A reference, or all of a list of them; nothing when it is something else."""
    listed = value if isinstance(value, list) else [value]
    found = [one for one in listed if isinstance(one, dict) and ("guid" in one or "uniqueAttributes" in one)]
    return found if len(found) == len(listed) else []


def _name_of(reference: Entity, sent: _Sent) -> Name | None:
    unique = reference.get("uniqueAttributes")
    if isinstance(unique, dict) and "qualifiedName" in unique:
        return Name(str(reference.get("typeName")), str(unique["qualifiedName"]))
    return sent.by_guid.get(str(reference.get("guid")))


def _is_alive(related: Entity) -> bool:
    return "DELETED" not in (related.get("entityStatus"), related.get("relationshipStatus"))


def _key(name: Name) -> Name:
    """Under which an answer is found: Purview normalises some names."""
    return Name(name.type_name, normalise(name.type_name, name.qualified_name))


def _by_type(names: Iterable[Name]) -> dict[str, list[str]]:
    found: dict[str, dict[str, None]] = {}
    for name in names:
        found.setdefault(name.type_name, {})[name.qualified_name] = None
    return {type_name: list(qualified_names) for type_name, qualified_names in found.items()}
