"""Closures -> hook messages, as full as they go.

Shapes: Apache Atlas HookNotification.EntityCreateRequestV2, EntityPartialUpdateRequestV2, EntityDeleteRequestV2 in an
AtlasNotificationMessage envelope of version 1.0.0 (a newer version is refused by the consumer, an array of envelopes
is skipped; measured). `message.entities.entities` is an array; a DELETE's `entities` is a flat list.

Bounds: 50 top-level entities, because Atlas commits in batches of 50 and a failure behind them would leave half a
message applied; 1,000,000 bytes less 512, Atlas's own limit, below Event Hubs' 1 MiB for an event (Standard tier).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from shared.atlas.closure import Closure, Operation
from shared.naming import Name

MAX_ENTITIES = 50
MAX_BYTES = 1_000_000 - 512
USER = "hookline"


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One hook message: the body of one event, and the names of its top-level entities, for the receipt."""

    body: bytes
    operation: Operation
    names: tuple[Name, ...]
    entities: int


class Packer:
    """Packs closures into messages in the order in which they come.

    A message holds one kind of operation; an update holds one entity. Two entities with the same guid in one message
    would lose the second without a word, so a closure whose guids are already taken opens a new message.

    clock: milliseconds since 1970 for `msgCreationTime`; None leaves it out (same input, same bytes).
    """

    def __init__(
        self, *, max_bytes: int = MAX_BYTES, max_entities: int = MAX_ENTITIES, clock: Callable[[], int] | None = None
    ) -> None:
        self._max_bytes = max_bytes
        self._max_entities = max_entities
        self._clock = clock
        self._closures: list[Closure] = []
        self._guids: set[str] = set()
        self._size = 0
        self._frame = len(self._envelope("create", b"", b"")) + 64

    def fits(self, closure: Closure) -> bool:
        """Whether this closure can travel at all."""
        return closure.size + self._frame <= self._max_bytes

    @property
    def limit(self) -> int:
        return self._max_bytes

    def add(self, closure: Closure) -> Iterator[Message]:
        """Take one closure; yield the message that had to be closed before it, if any."""
        held = self._closures
        if held and (
            len(held) >= self._max_entities
            or self._size + closure.size > self._max_bytes
            or held[0].operation != closure.operation
            or closure.operation == "update"
            or not self._guids.isdisjoint(closure.guids)
        ):
            yield self._close()
        if not self._closures:
            self._size = self._frame
        self._closures.append(closure)
        self._guids.update(closure.guids)
        self._size += closure.size

    def flush(self) -> Iterator[Message]:
        if self._closures:
            yield self._close()

    def _close(self) -> Message:
        closures, self._closures = self._closures, []
        self._guids.clear()
        operation = closures[0].operation
        return Message(
            body=self._envelope(
                operation,
                b",".join([c.body for c in closures]),
                b",".join([c.referred for c in closures if c.referred]),
            ),
            operation=operation,
            names=tuple([c.name for c in closures]),
            entities=sum([c.entities for c in closures]),
        )

    def _envelope(self, operation: Operation, entities: bytes, referred: bytes) -> bytes:
        time = b"" if self._clock is None else b'"msgCreationTime":%d,' % self._clock()
        head = (
            b'{"version":{"version":"1.0.0"},"msgCompressionKind":"NONE","msgSplitIdx":1,"msgSplitCount":1,'
            b'"msgCreatedBy":"%b",%b"message":{"user":"%b",' % (USER.encode(), time, USER.encode())
        )
        if operation == "delete":
            return b'%b"type":"ENTITY_DELETE_V2","entities":[%b]}}' % (head, entities)
        if operation == "update":
            return b'%b"type":"ENTITY_PARTIAL_UPDATE_V2",%b}}' % (head, entities)
        return b'%b"type":"ENTITY_CREATE_V2","entities":{"entities":[%b],"referredEntities":{%b}}}}' % (
            head,
            entities,
            referred,
        )
