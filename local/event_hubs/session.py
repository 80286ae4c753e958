"""Sessions (OASIS AMQP 1.0 part 2, section 2.5): a channel of a connection with its links and its transfer windows."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from local.event_hubs.codec import AmqpError, UInt, ULong, UShort
from local.event_hubs.frames import (
    MAX_FRAME_SIZE,
    RECEIVER,
    Attach,
    Begin,
    Detach,
    Flow,
    Performative,
    Source,
    Target,
    Transfer,
    read_composite,
)
from local.event_hubs.links import Consumer, Link, Producer
from local.event_hubs.nodes import CBS, MANAGEMENT, ReplyLink, RequestLink
from local.event_hubs.selector import position

if TYPE_CHECKING:
    from local.event_hubs.connection import Connection
    from local.event_hubs.server import Namespace

#: transfer frames we take without another flow from us; loopback and bounded links need no smaller one
WINDOW = 2**20
MAX_HANDLE = 255
EPOCH = "com.microsoft:epoch"
#: frame header, performative and its fields; the rest of a frame is payload
_TRANSFER_OVERHEAD = 64


class Session:
    """Made by the client's `begin`, which it answers; our channel number is the client's."""

    def __init__(self, connection: Connection, channel: int, begin: Begin) -> None:
        self.connection = connection
        self.namespace: Namespace = connection.namespace
        self.links: dict[int, Link] = {}
        self._channel = channel
        self._next_incoming = int(begin.next_outgoing_id)
        self._next_outgoing = 0
        self._next_delivery = 0
        self._remote_window = int(begin.incoming_window)
        self._payload = min(connection.peer_frame_size, MAX_FRAME_SIZE) - _TRANSFER_OVERHEAD
        self.send(Begin(UShort(channel), UInt(0), UInt(WINDOW), UInt(WINDOW), UInt(MAX_HANDLE)))

    # ------------------------------------------------------------------------------------------------------- sending

    def send(self, performative: Performative, payload: bytes = b"") -> None:
        self.connection.send(self._channel, performative, payload)

    def window(self) -> Flow:
        """The session's part of a flow."""
        return Flow(
            UInt(self._next_incoming & 0xFFFFFFFF), UInt(WINDOW), UInt(self._next_outgoing & 0xFFFFFFFF), UInt(WINDOW)
        )

    def deliver(self, handle: UInt, message: bytes, settled: bool) -> bool:
        """Send a message in as many transfers as the client's frame size asks for; False when it must wait."""
        frames = -(-len(message) // self._payload) or 1
        if not self.connection.writable or frames > self._remote_window:
            return False
        delivery = UInt(self._next_delivery & 0xFFFFFFFF)
        first = Transfer(handle, delivery, struct.pack(">I", delivery), UInt(0), settled)
        later = Transfer(handle)
        for number in range(frames):
            start = number * self._payload
            transfer = (later if number else first)._replace(more=number + 1 < frames)
            self.send(transfer, message[start : start + self._payload])
        self._next_delivery += 1
        self._next_outgoing += frames
        self._remote_window -= frames
        return True

    # ----------------------------------------------------------------------------------------------------- receiving

    def attach(self, attach: Attach) -> None:
        """Answer with an attach; a link that is not possible is detached at once with the reason (2.6.3)."""
        if attach.handle in self.links or attach.handle > MAX_HANDLE:
            raise AmqpError("amqp:session:handle-in-use", f"Handle {attach.handle} cannot be attached.")
        problem: AmqpError | None = None
        try:
            link = self._link(attach)
        except AmqpError as error:
            link, problem = Link(self, attach), error
        self.links[attach.handle] = link
        self.send(
            Attach(
                attach.name,
                attach.handle,
                not attach.role,
                attach.snd_settle_mode,
                attach.rcv_settle_mode,
                attach.source,
                attach.target,
                initial_delivery_count=UInt(0) if attach.role == RECEIVER else None,
                max_message_size=ULong(self.namespace.max_message_size),
            )
        )
        if problem:
            link.detach(problem.condition, problem.description)
        else:
            link.start()

    def _link(self, attach: Attach) -> Link:
        """The link to the node that the client names. Raises AmqpError when there is none for it."""
        source, target = read_composite(Source, attach.source), read_composite(Target, attach.target)
        receives = attach.role == RECEIVER
        address = (source.address if receives else target.address) or ""
        try:
            path = urlsplit(address).path if "://" in address else address
        except ValueError:
            path = address
        segments = path.strip("/").split("/")
        if segments[-1] in (CBS, MANAGEMENT):
            return (ReplyLink if receives else RequestLink)(self, attach, segments[-1])
        hub = self.namespace.hub(segments[0])
        self.require_token(hub.name)
        match receives, [segment.lower() for segment in segments[1:]]:
            case False, []:
                return Producer(self, attach, hub, None)
            case False, ["partitions", number]:
                return Producer(self, attach, hub, hub.partition(number))
            case True, ["consumergroups", group, "partitions", number] if group in hub.consumer_groups:
                epoch = attach.properties.get(EPOCH) if isinstance(attach.properties, dict) else None
                if epoch is not None and not isinstance(epoch, int):
                    raise AmqpError("amqp:invalid-field", "The epoch is no integer.")
                start = position(source.filter)
                return Consumer(self, attach, hub, hub.partition(number), group, start, epoch)
        raise AmqpError("amqp:not-found", f"The messaging entity '{path[:300]}' could not be found.")

    def require_token(self, hub: str) -> None:
        """Raises AmqpError unless this connection has put a token for the hub or for the whole namespace."""
        fault = self.namespace.faults.hit(hub, "unauthorized")
        if fault or not self.connection.authorised & {hub.lower(), ""}:
            raise AmqpError(
                "amqp:unauthorized-access",
                fault.description if fault else f"Unauthorized access. No valid token was put for '{hub[:300]}'.",
            )

    def flow(self, flow: Flow) -> None:
        self._remote_window = (flow.next_incoming_id or 0) + flow.incoming_window - self._next_outgoing
        if flow.handle is None:
            self.pump()
            if flow.echo:
                self.send(self.window())
            return
        link = self._attached(flow.handle)
        if not link.detached:
            link.flow(flow)

    def transfer(self, transfer: Transfer, payload: bytes) -> None:
        self._next_incoming += 1
        link = self._attached(transfer.handle)
        if not link.detached:
            link.transfer(transfer, payload)

    def detach(self, detach: Detach) -> None:
        link = self._attached(detach.handle)
        del self.links[detach.handle]
        if not link.detached:
            link.close()
            self.send(Detach(detach.handle, True))

    def _attached(self, handle: UInt) -> Link:
        try:
            return self.links[handle]
        except KeyError:
            raise AmqpError("amqp:session:unattached-handle", f"Handle {handle} is not attached.") from None

    def pump(self) -> None:
        for link in tuple(self.links.values()):
            link.pump()

    def close(self) -> None:
        """The session or its connection is gone."""
        for link in self.links.values():
            link.close()
