"""Closures -> hook messages, as full as they go.

Shapes: Apache Atlas HookNotification.EntityCreateRequestV2, EntityPartialUpdateRequestV2, EntityDeleteRequestV2 in an
AtlasNotificationMessage envelope of version 1.0.0 (a newer version is refused by the consumer, an array of envelopes
is skipped; measured). `message.entities.entities` is an array; a DELETE's `entities` is a flat list.

Bounds: 50 top-level entities, because Atlas commits in batches of 50 and a failure behind them would leave half a
message applied; 1,000,000 bytes less 512, Atlas's own limit, below Event Hubs' 1 MiB for an event (Standard tier).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from shared.atlas.closure import Closure, Operation, Target, encode, reference, reference_by_guid
from shared.naming import Name

MAX_ENTITIES = 50
MAX_BYTES = 1_000_000 - 512
USER = "hookline"


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One hook message: the body of one event, and the names by which its arrival is recognised, for the receipt.

    names: its top-level assets, and the last column of a wide table whose rest it begins with.
    """

    body: bytes
    operation: Operation
    names: tuple[Name, ...]
    entities: int


class Packer:
    """Packs closures into messages in the order in which they come.

    A message holds one kind of operation; an update holds one entity. Two entities with the same guid in one message
    would lose the second without a word, so a closure whose guids are already taken opens a new message. A closure
    stays in one message if it fits into one; a table with more columns begins in this one and goes on in the next. So
    any two neighbours of a kind hold more than 50 entities together, or more bytes than one may have.

    clock: milliseconds since 1970 for `msgCreationTime`; None leaves it out (same input, same bytes).
    """

    def __init__(
        self, *, max_bytes: int = MAX_BYTES, max_entities: int = MAX_ENTITIES, clock: Callable[[], int] | None = None
    ) -> None:
        self._max_bytes = max_bytes
        self._max_entities = max_entities
        self._clock = clock
        self._frame = len(self._envelope("create", b"", b"")) + 64
        self._operation: Operation = "create"
        self._start()

    def _start(self) -> None:
        self._bodies: list[bytes] = []  # of the top-level entities
        self._refers: list[tuple[tuple[Target, ...], list[int]]] = []  # who is referred to by name, by which bodies
        self._to: tuple[Target, ...] = ()  # the last of these: neighbours in a schema share the very tuple
        self._referred: list[bytes] = []
        self._here: dict[str, Name] = {}  # by guid: the assets in this message
        self._travelling = 0  # entities in `referred`
        self._rest_of = ""  # guid of the table whose columns this message began with
        self._rest = Name("", "")  # the last of those columns
        self._size = self._frame

    def add(self, closure: Closure) -> Sequence[Message]:
        """Take one closure; the messages that had to be closed for it, if any."""
        members, guid, bodies, operation = closure.members, closure.guid, self._bodies, closure.operation
        closed: Sequence[Message] = ()
        full = len(bodies) + 1 + len(members) > self._max_entities or self._size + closure.size > self._max_bytes
        if bodies and (
            (full and not self._begins_here(closure))
            or operation != self._operation
            or operation == "update"
            or guid in self._here
            or guid == self._rest_of
        ):
            closed = (self._close(),)
            bodies = self._bodies
        self._operation = operation
        if refers := closure.refers:
            if refers is self._to:
                self._refers[-1][1].append(len(bodies))
            else:
                self._to = refers
                self._refers.append((refers, [len(bodies)]))
        bodies.append(closure.body)
        self._here[guid] = closure.name
        if closure.entities != 1:
            self._travelling += closure.entities - 1 - len(members)
            if closure.referred:
                self._referred.append(closure.referred)
        if not members:
            self._size += closure.size
            return closed
        self._size += len(closure.body) + len(closure.referred) + 2
        return (*closed, *self._add_members(closure))

    def _begins_here(self, closure: Closure) -> bool:
        """Whether a closure that no message can hold has room here for its first members."""
        count = 1 + len(closure.members)
        if count == 1 or (count <= self._max_entities and self._frame + closure.size <= self._max_bytes):
            return False
        needed = self._size + len(closure.body) + len(closure.referred) + len(closure.members[0]) + 3
        return len(self._bodies) + 2 <= self._max_entities and needed <= self._max_bytes

    def _add_members(self, closure: Closure) -> Iterator[Message]:
        """The members go into this message, or where they are too many also into the next, naming the first by name."""
        by_guid, by_name = b"", b""
        for number, member in enumerate(closure.members):
            body = member.replace(by_guid, by_name) if by_name else member
            if len(self._bodies) >= self._max_entities or self._size + len(body) + 1 > self._max_bytes:
                yield self._close()
                by_guid, by_name = _beginnings(closure.name, closure.guid)
                body = member.replace(by_guid, by_name)
                self._rest_of = closure.guid
            self._bodies.append(body)
            self._size += len(body) + 1
            if by_name:
                child = closure.children[number] if closure.children else ""
                self._rest = Name(closure.child_type, child) if child else closure.name

    def flush(self) -> Sequence[Message]:
        return (self._close(),) if self._bodies else ()

    def _close(self) -> Message:
        bodies, here = self._bodies, self._here
        if self._operation == "create":
            for refers, numbers in self._refers:
                for target in refers:
                    if target.guid in here and here[target.guid] == target.name:
                        by_guid, by_name = _beginnings(target.name, target.guid)
                        for number in numbers:
                            bodies[number] = bodies[number].replace(by_name, by_guid)
        message = Message(
            body=self._envelope(self._operation, b",".join(bodies), b",".join(self._referred)),
            operation=self._operation,
            names=(*here.values(), self._rest) if self._rest_of else tuple(here.values()),
            entities=len(bodies) + self._travelling,
        )
        self._start()
        return message

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


def _beginnings(name: Name, guid: str) -> tuple[bytes, bytes]:
    """The two forms of a reference, without the closing brace: a relationshipType may follow.

    They hold quotes that nothing escapes, so in JSON they can only be what they are, never a part of a text.
    """
    return encode(reference_by_guid(guid, name.type_name))[:-1], encode(reference(name))[:-1]
