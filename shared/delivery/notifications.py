"""What the catalogue says it took: ENTITY_NOTIFICATION_V2 events of the notification hub (ATLAS_ENTITIES).

Shape: purview's captured events equal Apache Atlas's EntityNotificationV2. An envelope that cannot be read is not
ours to judge (the hub may be shared with other consumers): it is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from shared.atlas.closure import Operation
from shared.naming import Name


class _Entity(msgspec.Struct, frozen=True, rename="camel"):
    type_name: str
    attributes: dict[str, object] = {}
    is_incomplete: object = None


class _Body(msgspec.Struct, frozen=True, rename="camel"):
    operation_type: str
    entity: _Entity
    event_time: int = 0


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    message: _Body
    msg_creation_time: int = 0


class Notice(msgspec.Struct, frozen=True):
    """One asset the catalogue has created, updated or deleted; time in milliseconds since 1970 (0: not said)."""

    operation: Operation
    name: Name
    time: int


_decode = msgspec.json.Decoder(_Envelope).decode
_OPERATIONS: dict[str, Operation] = {
    "ENTITY_CREATE": "create",
    "ENTITY_UPDATE": "create",
    "ENTITY_DELETE": "delete",
}


def notices(bodies: Iterable[bytes]) -> Iterator[Notice]:
    """The notices in these event bodies; anything else is passed over.

    So is a shell (`isIncomplete`): something refers to the asset, but the asset itself has not arrived.
    """
    for body in bodies:
        try:
            envelope = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        message = envelope.message
        operation = _OPERATIONS.get(message.operation_type)
        qualified_name = message.entity.attributes.get("qualifiedName")
        if operation is None or not isinstance(qualified_name, str) or message.entity.is_incomplete is True:
            continue
        time = message.event_time or envelope.msg_creation_time
        yield Notice(operation, Name(message.entity.type_name, qualified_name), time)
