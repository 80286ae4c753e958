"""Links (OASIS AMQP 1.0 part 2, section 2.6): one direction of messages between a client and a node of the namespace.

IncomingLink  client -> us    Producer (events of a hub), nodes.RequestLink
OutgoingLink  us -> client    Consumer (events of a partition), nodes.ReplyLink
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from typing import TYPE_CHECKING

from local.event_hubs import messages
from local.event_hubs.codec import AmqpError, CodecError, Described, UInt
from local.event_hubs.faults import Fault
from local.event_hubs.frames import ACCEPTED, RECEIVER, Attach, Detach, Disposition, Flow, Transfer, error, rejected
from local.event_hubs.hub import Hub, Partition
from local.event_hubs.selector import Position

if TYPE_CHECKING:
    from local.event_hubs.session import Session

log = logging.getLogger(__name__)

#: messages a client may send before we answer; refilled at half
LINK_CREDIT = 1000
#: readers without an epoch that a partition takes per consumer group (Event Hubs quotas)
MAX_READERS = 5
_STOLEN = "amqp:link:stolen"


class Link:
    """What both directions share. Our handle is the client's: each side numbers its own, so they may be equal."""

    def __init__(self, session: Session, attach: Attach) -> None:
        self.session = session
        self.handle = attach.handle
        self.detached = False

    def flow(self, flow: Flow) -> None:
        raise NotImplementedError

    def transfer(self, _: Transfer, __: bytes) -> None:
        raise AmqpError("amqp:not-allowed", "A transfer came on a link on which the client receives.")

    def start(self) -> None:
        """The attach was answered."""

    def pump(self) -> None:
        """There may be something to send, or room again to send it."""

    def detach(self, condition: str, description: str) -> None:
        """Detach with an error; what still comes on the link is ignored until the client detaches as well."""
        self.close()
        self.session.send(Detach(self.handle, True, error(condition, description)))

    def close(self) -> None:
        self.detached = True

    def _flow(self, delivery_count: int, credit: int) -> None:
        self.session.send(
            self.session.window()._replace(
                handle=self.handle, delivery_count=UInt(delivery_count), link_credit=UInt(credit)
            )
        )


class IncomingLink(Link):
    """Collects the frames of a message up to the limit, then hands it to `message`."""

    def __init__(self, session: Session, attach: Attach) -> None:
        super().__init__(session, attach)
        self._delivery_count = attach.initial_delivery_count or 0
        self._credit = LINK_CREDIT
        self._first: Transfer | None = None
        self._buffer = bytearray()

    def start(self) -> None:
        self._flow(self._delivery_count, self._credit)

    def flow(self, flow: Flow) -> None:
        if flow.echo:
            self._flow(self._delivery_count, self._credit)

    def transfer(self, transfer: Transfer, payload: bytes) -> None:
        if self._first is None:
            if transfer.delivery_id is None:
                raise AmqpError("amqp:invalid-field", "The first transfer of a delivery has no delivery-id.")
            self._first = transfer
        self._buffer += payload
        limit = self.session.namespace.max_message_size
        first, size = self._first, len(self._buffer)
        if size > limit or transfer.aborted or not transfer.more:
            self._first = None
            message, self._buffer = bytes(self._buffer), bytearray()
        if size > limit:
            self.detach(
                "amqp:link:message-size-exceeded",
                f"The received message (delivery-id:{first.delivery_id}, size:{size} bytes) exceeds the limit "
                f"({limit} bytes) currently allowed on the link.",
            )
        elif self._first is None:
            self._delivery_count += 1
            self._credit -= 1
            if self._credit <= LINK_CREDIT // 2:
                self._credit = LINK_CREDIT
                self._flow(self._delivery_count, self._credit)
            if not transfer.aborted:
                self.message(first, message)

    def message(self, first: Transfer, message: bytes) -> None:
        """A whole message; `first` is its first transfer, which carries the delivery-id, format and settlement."""
        raise NotImplementedError

    def settle(self, first: Transfer, state: Described) -> None:
        if not first.settled and not self.detached and first.delivery_id is not None:
            self.session.send(Disposition(RECEIVER, first.delivery_id, first.delivery_id, True, state))


class OutgoingLink(Link):
    """Sends messages while the client grants credit (2.6.7)."""

    def __init__(self, session: Session, attach: Attach) -> None:
        super().__init__(session, attach)
        self.credit = 0
        self._delivery_count = 0
        #: a client that asks for settled deliveries gets them; others may settle, which changes nothing for a log
        self._settled = attach.snd_settle_mode == 1

    def flow(self, flow: Flow) -> None:
        self.credit = max(0, (flow.delivery_count or 0) + (flow.link_credit or 0) - self._delivery_count)
        self.pump()
        if flow.drain:
            self._delivery_count += self.credit
            self.credit = 0
        if flow.drain or flow.echo:
            self._flow(self._delivery_count, self.credit)

    def deliver(self, message: bytes) -> bool:
        """Send a message; False when there is no credit, no window or no room in the socket's buffer for it now."""
        if self.detached or self.credit < 1 or not self.session.deliver(self.handle, message, self._settled):
            return False
        self.credit -= 1
        self._delivery_count += 1
        return True


def strike(link: Link, fault: Fault) -> None:
    """Let a fault that ends a link or its connection happen."""
    connection = link.session.connection
    match fault.kind:
        case "detach" | "unauthorized":
            link.detach(fault.symbol, fault.description)
        case "close":
            connection.close(fault.symbol, fault.description)
        case _:
            connection.abort()


class Producer(IncomingLink):
    """Stores what a client sends to a hub, or to one partition of it."""

    def __init__(self, session: Session, attach: Attach, hub: Hub, partition: Partition | None) -> None:
        super().__init__(session, attach)
        self._hub = hub
        self._partition = partition

    def message(self, first: Transfer, message: bytes) -> None:
        namespace = self.session.namespace
        namespace.counts.update(messages=1, bytes=len(message))
        fault = namespace.faults.hit(self._hub.name)
        if fault and fault.kind in ("busy", "reject"):
            self.settle(first, rejected(fault.symbol, fault.description))
            return
        if fault and fault.kind not in ("slow", "drop-after-store"):
            strike(self, fault)
            return
        state = self._store(first, message)
        if fault and fault.kind == "slow":
            asyncio.get_running_loop().call_later(fault.delay, self.settle, first, state)
        elif fault:
            strike(self, fault)
        else:
            self.settle(first, state)

    def _store(self, first: Transfer, message: bytes) -> Described:
        """The delivery state to answer with."""
        try:
            events, key = messages.publication(message, first.message_format or 0)
            (self._partition or self._hub.route(key)).append(events, key)
        except CodecError as problem:
            return rejected(problem.condition, problem.description)
        except sqlite3.Error as problem:
            log.exception("events for %s were not stored; the client was told", self._hub.name)
            return rejected("amqp:internal-error", f"The event could not be stored: {problem}")
        self.session.namespace.counts["events"] += len(events)
        return ACCEPTED


class Consumer(OutgoingLink):
    """Sends the events of a partition from a position on, and the new ones as they come."""

    def __init__(
        self,
        session: Session,
        attach: Attach,
        hub: Hub,
        partition: Partition,
        group: str,
        position: Position,
        epoch: int | None,
    ) -> None:
        super().__init__(session, attach)
        self.group = group.lower()
        self.epoch = epoch
        self._hub = hub
        self._partition = partition
        self._sequence = partition.locate(position)

    def start(self) -> None:
        """Take a place among the partition's readers; an epoch takes it from readers with a lower or equal one."""
        others = [reader for reader in self._partition.readers if reader.group == self.group]
        highest = max((other.epoch for other in others if other.epoch is not None), default=None)
        if highest is not None and (self.epoch is None or self.epoch < highest):
            self.detach(
                _STOLEN,
                f"At least one receiver for the endpoint is created with epoch of '{highest}', and so "
                f"{'non-epoch receiver' if self.epoch is None else f'epoch {self.epoch}'} is not allowed. Either "
                "reconnect with a higher epoch, or make sure all epoch receivers are closed or disconnected.",
            )
            return
        if self.epoch is None and len(others) >= MAX_READERS:
            self.detach(
                "amqp:resource-limit-exceeded",
                "Exceeded the maximum number of allowed receivers per partition in a consumer group which is "
                f"{MAX_READERS}.",
            )
            return
        self._partition.readers.append(self)
        if self.epoch is not None:
            for other in others:
                if isinstance(other, Consumer):
                    other.detach(_STOLEN, f"New receiver with higher epoch of '{self.epoch}' is created.")

    def pump(self) -> None:
        if self.detached or self.credit < 1:
            return
        faults = self.session.namespace.faults
        for event in self._partition.read(self._sequence):
            fault = faults.hit(self._hub.name, at="receive")
            if fault:
                strike(self, fault)
                return
            if not self.deliver(messages.delivery(event)):
                return
            self._sequence = event.sequence
            if self.credit < 1:
                return

    def close(self) -> None:
        super().close()
        if self in self._partition.readers:
            self._partition.readers.remove(self)
