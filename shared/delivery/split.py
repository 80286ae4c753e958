"""Splitting entities for REST calls without separating what refers to each other by a negative guid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Entity = Mapping[str, Any]


def split(entities: Sequence[Entity], referred: Mapping[str, Entity], most: int) -> Iterator[dict[str, Any]]:
    """Yield bodies {entities, referredEntities} of at most `most` entities each, children counted.

    Order is kept. A group that is larger than `most` travels alone and whole. A child that nothing refers to would
    be dropped by Atlas, so it goes as an entity of its own.
    """
    body: dict[str, Any] = {"entities": [], "referredEntities": {}}
    for tops, children in _groups(entities, referred):
        size = len(body["entities"]) + len(body["referredEntities"])
        if size and size + len(tops) + len(children) > most:
            yield body
            body = {"entities": [], "referredEntities": {}}
        body["entities"] += tops or children.values()
        body["referredEntities"].update(children if tops else {})
    if body["entities"]:
        yield body


def _groups(
    entities: Sequence[Entity], referred: Mapping[str, Entity]
) -> Iterator[tuple[list[Entity], dict[str, Entity]]]:
    """Connected by guid: (top-level entities, children), in the order of their first member."""
    members = [*entities, *referred.values()]
    group = list(range(len(members)))

    def root(number: int) -> int:
        while group[number] != number:
            group[number] = group[group[number]]
            number = group[number]
        return number

    holder = {guid: len(entities) + number for number, guid in enumerate(referred)}
    holder |= {e["guid"]: number for number, e in enumerate(entities) if isinstance(e.get("guid"), str)}
    for number, entity in enumerate(members):
        for guid in _guids(entity):
            if guid in holder:
                first, second = sorted((root(number), root(holder[guid])))
                group[second] = first
    guids = list(referred)
    groups: dict[int, tuple[list[Entity], dict[str, Entity]]] = {}
    for number, entity in enumerate(members):
        tops, children = groups.setdefault(root(number), ([], {}))
        if number < len(entities):
            tops.append(entity)
        else:
            children[guids[number - len(entities)]] = entity
    yield from groups.values()


def _guids(entity: Entity) -> Iterator[str]:
    """Guids that the entity's attributes and relationships refer to."""
    pending: list[Any] = [entity.get("attributes"), entity.get("relationshipAttributes")]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            guid = value.get("guid")
            if isinstance(guid, str):
                yield guid
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
