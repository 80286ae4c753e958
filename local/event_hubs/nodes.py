"""The two nodes a client asks questions: `$cbs` (may I come in) and `$management` (what is this hub like).

Claims-based security: OASIS "AMQP Claims-based Security" draft, section 3 (put-token); the management operations are
Microsoft's own (READ of com.microsoft:eventhub and com.microsoft:partition), their fields as azure-eventhub reads them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from local.event_hubs import messages
from local.event_hubs.codec import AmqpError, Array, CodecError, Int, Long, Timestamp
from local.event_hubs.frames import ACCEPTED, Attach, Transfer, rejected
from local.event_hubs.hub import Hub, Partition
from local.event_hubs.links import IncomingLink, OutgoingLink

if TYPE_CHECKING:
    from local.event_hubs.session import Session

CBS, MANAGEMENT = "$cbs", "$management"
#: answers that may wait for a client's credit before its link is given up
_MAX_WAITING = 100


class ReplyLink(OutgoingLink):
    """Where the answers of a node go."""

    def __init__(self, session: Session, attach: Attach, node: str) -> None:
        super().__init__(session, attach)
        self.node = node
        self._waiting: deque[bytes] = deque()

    def answer(self, message: bytes) -> None:
        if len(self._waiting) >= _MAX_WAITING:
            self.detach("amqp:resource-limit-exceeded", "Too many answers wait for credit.")
            return
        self._waiting.append(message)
        self.pump()

    def pump(self) -> None:
        while self._waiting and self.deliver(self._waiting[0]):
            self._waiting.popleft()


class RequestLink(IncomingLink):
    """Takes the questions to a node."""

    def __init__(self, session: Session, attach: Attach, node: str) -> None:
        super().__init__(session, attach)
        self._node = node

    def message(self, first: Transfer, message: bytes) -> None:
        try:
            request = messages.request(message)
        except CodecError as problem:
            self.settle(first, rejected(problem.condition, problem.description))
            return
        self.settle(first, ACCEPTED)
        value: object = ""
        if self._node == CBS:
            status, description = _put_token(self.session, request)
        else:
            status, description, value = _read(self.session, request)
        for link in tuple(self.session.links.values()):
            if isinstance(link, ReplyLink) and link.node == self._node:
                link.answer(messages.response(request.message_id, status, description, value))
                return


def entity(audience: str) -> str:
    """The hub that a token's audience names: `sb://host:port/hub/...` -> `hub`; empty for the whole namespace."""
    try:
        return urlsplit(audience).path.strip("/").split("/")[0].lower()
    except ValueError:
        return audience


def _put_token(session: Session, request: messages.Request) -> tuple[int, str]:
    audience = str(request.properties.get("name") or "")
    token = request.value
    if request.properties.get("operation") != "put-token" or not audience or not isinstance(token, str | bytes):
        return 400, "BadRequest: put-token needs a name and a token."
    hub = entity(audience)
    fault = session.namespace.faults.hit(hub, "unauthorized")
    if fault:
        return fault.status, fault.description
    text = token if isinstance(token, str) else token.decode("utf-8", "replace")
    reason = session.namespace.check_token(audience, str(request.properties.get("type") or ""), text)
    if reason:
        session.connection.authorised.discard(hub)
        return 401, reason
    session.connection.authorised.add(hub)
    return 200, "OK"


def _read(session: Session, request: messages.Request) -> tuple[int, str, object]:
    asked = {name: str(request.properties.get(name) or "") for name in ("operation", "type", "name", "partition")}
    if asked["operation"] != "READ":
        return 400, "BadRequest: the only operation is READ.", ""
    try:
        session.require_token(asked["name"])
        hub = session.namespace.hub(asked["name"])
        match asked["type"]:
            case "com.microsoft:eventhub":
                return 200, "OK", _describe_hub(hub)
            case "com.microsoft:partition":
                number = asked["partition"]
                return 200, "OK", {"name": hub.name, "partition": number, **_describe_partition(hub.partition(number))}
    except AmqpError as problem:
        status = {"amqp:not-found": 404, "amqp:unauthorized-access": 401}.get(problem.condition, 400)
        return status, problem.description, ""
    return 400, "BadRequest: the type is com.microsoft:eventhub or com.microsoft:partition.", ""


def _describe_hub(hub: Hub) -> dict[object, object]:
    return {
        "name": hub.name,
        "type": "com.microsoft:eventhub",
        "created_at": Timestamp(hub.created),
        "partition_count": Int(len(hub.partitions)),
        "partition_ids": Array(str(number) for number in range(len(hub.partitions))),
    }


def _describe_partition(partition: Partition) -> dict[object, object]:
    return {
        "type": "com.microsoft:partition",
        "begin_sequence_number": Long(partition.first_sequence),
        "last_enqueued_sequence_number": Long(partition.last_sequence),
        "last_enqueued_offset": str(partition.last_offset),
        "last_enqueued_time_utc": Timestamp(partition.last_enqueued),
        "is_partition_empty": partition.empty,
    }
