"""Which entities of an Atlas document must travel together, because they name each other by guid.

A guid that begins with `-` means something only within one message: what it names must be in that message. One record
is one message's worth: a top-level entity, and everything that it reaches by such guids. Atlas creates from `referred`
only what is reached from a top-level entity, so the top of a record is an entity that no other one reaches; where
entities reach each other in a circle, it is the first of them. What several tops reach travels with each (an upsert
twice is harmless, a reference into another message is not).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from connectors.formats.json_stream import where_of
from shared.errors import BadInput
from shared.records import Atlas, Found, Refusal

#: Purview takes no entity above 2 MB (https://learn.microsoft.com/purview/how-to-manage-quotas)
MAX_ENTITY = 2_000_000
#: an entity with all that travels with it: a line of a job file
MAX_TOGETHER = 8_000_000
#: memory for the entities of one document that wait for each other: their text, and about so much for each
MAX_WAITING = 100_000_000
_EACH = 400

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def is_local(guid: Any) -> bool:
    """Whether a guid stands for an entity of the same message: `"-12"`, or the number -12, which Atlas takes too."""
    if isinstance(guid, str):
        return guid.startswith("-")
    return isinstance(guid, int) and not isinstance(guid, bool) and guid < 0


class _Node(msgspec.Struct):
    text: bytes
    place: int | str
    top: bool
    refers: tuple[str, ...]
    to: tuple[int, ...] = ()


class Document:
    """The entities of one document, held as text until it is known which of them belong together."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._nodes: list[_Node] = []
        self._by_guid: dict[str, int] = {}
        self._refused: set[str] = set()
        self._bytes = 0

    def add(self, entity: Any, place: int | str, *, top: bool, key: str = "") -> Iterator[Found | Refusal]:
        """Take an entity; one that nothing in the document can name and that names nothing comes out at once.

        key: under which it lies in referredEntities. Raises BadInput: too much waits to be put together.
        """
        reason = _malformed(entity)
        guid = entity.get("guid") if isinstance(entity, dict) else None
        if guid is None and key:
            guid = key
            if not reason:
                entity = {**entity, "guid": key}
        if not reason and is_local(guid) and str(guid) in self._by_guid:
            reason = f"a second entity with guid {guid}; Atlas would lose it"
        text, fix = b"" if reason else _encode(entity), ""
        if len(text) > MAX_ENTITY:
            reason = f"the entity has {len(text):,} bytes; Purview takes at most {MAX_ENTITY:,}"
            fix = "shorten its texts, or send its children apart from it"
        if reason:
            if is_local(guid):
                self._refused.add(str(guid))
            yield refusal(place, reason, fix)
            return
        refers = _references(entity)
        if top and not refers and not is_local(guid):
            yield Found(Atlas(entity=entity), place)
            return
        if is_local(guid):
            self._by_guid[str(guid)] = len(self._nodes)
        self._nodes.append(_Node(text, place, top, refers))
        self._bytes += len(text) + _EACH
        if self._bytes > MAX_WAITING:
            raise BadInput(
                f"more than {MAX_WAITING:,} bytes of entities may refer to each other by guid",
                where=self._where,
                fix="upload JSON Lines, one entity with its referredEntities a line; or refer by uniqueAttributes",
            )

    def finish(self) -> Iterator[Found | Refusal]:
        """Put together what is left, in the order of the document."""
        for node in self._nodes:
            node.to = tuple(dict.fromkeys(self._by_guid[g] for g in node.refers if g in self._by_guid))
        roots = self._roots()
        reached: set[int] = set()
        for root in roots:
            together = self._reach(root)
            reached.update(together)
            yield self._record(together)
        for number, node in enumerate(self._nodes):
            if number not in reached and not node.top:
                yield refusal(node.place, "no entity of the document refers to this one; Atlas would ignore it")
        self._nodes, self._by_guid, self._refused, self._bytes = [], {}, set(), 0

    def _roots(self) -> list[int]:
        """The fewest top-level entities that reach all others.

        A walk from each in order marks what it reaches; of those where a walk began, only a later one can reach an
        earlier one, so going through them backwards, those not yet reached are the roots.
        """
        tops = [number for number, node in enumerate(self._nodes) if node.top]
        began = self._walks(tops)
        return sorted(self._walks(reversed(began)))

    def _walks(self, starts: Any) -> list[int]:
        began, seen = [], set[int]()
        for start in starts:
            if start in seen:
                continue
            began.append(start)
            seen.add(start)
            stack = [start]
            while stack:
                new = [n for n in self._nodes[stack.pop()].to if n not in seen]
                seen.update(new)
                stack.extend(new)
        return began

    def _reach(self, root: int) -> list[int]:
        """The root and all it reaches, nearest first; cut off beyond MAX_TOGETHER, which _record then refuses."""
        order, seen, size = [root], {root}, 0
        for number in order:
            size += len(self._nodes[number].text)
            if size > MAX_TOGETHER:
                break
            new = [n for n in self._nodes[number].to if n not in seen]
            seen.update(new)
            order.extend(new)
        return order

    def _record(self, together: list[int]) -> Found | Refusal:
        nodes = [self._nodes[number] for number in together]
        place = nodes[0].place
        if sum(len(node.text) for node in nodes) > MAX_TOGETHER:
            fix = "refer to shared entities by typeName and uniqueAttributes instead of by guid"
            return refusal(place, f"with all that it refers to by guid it is larger than {MAX_TOGETHER:,} bytes", fix)
        for node in nodes:
            for guid in node.refers:
                if guid in self._by_guid:
                    continue
                was = "was refused" if guid in self._refused else "is not in the document"
                fix = "add it to referredEntities, or refer by typeName and uniqueAttributes"
                at = "" if node is nodes[0] else f" ({where_of(node.place)})"
                return refusal(place, f"it refers to guid {guid}{at}, which {was}", fix)
        entity, *referred = (_decode(node.text) for node in nodes)
        return Found(Atlas(entity=entity, referred=tuple(referred)), place)


def refusal(place: int | str, reason: str, fix: str = "") -> Refusal:
    return Refusal(
        place=where_of(place),
        rule="atlas_json",
        reason=reason,
        fix=fix or "see docs/formats/atlas_json.md for the shapes",
    )


def _malformed(entity: Any) -> str:
    if not isinstance(entity, dict):
        return "an entity is an object with typeName and attributes"
    if not isinstance(entity.get("typeName"), str) or not entity["typeName"]:
        return "the entity has no typeName"
    for key in ("attributes", "relationshipAttributes"):
        if not isinstance(entity.get(key) or {}, dict):
            return f"its {key} are no object"
    if not entity.get("attributes") and not entity.get("relationshipAttributes"):
        return "the entity has no attributes"
    return ""


def _references(entity: dict[str, Any]) -> tuple[str, ...]:
    """Local guids that the entity names anywhere in its attributes."""
    found: dict[str, None] = {}
    stack: list[Any] = [entity.get("relationshipAttributes"), entity.get("attributes")]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if is_local(item.get("guid")):
                found[str(item["guid"])] = None
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(reversed(item))
    found.pop(str(entity.get("guid")), None)
    return tuple(found)
