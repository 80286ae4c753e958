"""One client's connection (OASIS AMQP 1.0 part 2, sections 2.2 and 2.4; SASL: part 5, section 5.3).

Whatever is wrong with what a client sends ends here: the connection is closed with the reason, and no other notices.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from local.event_hubs.codec import AmqpError, Array, Symbol, UByte, UInt, UShort
from local.event_hubs.frames import (
    AMQP,
    AMQP_HEADER,
    EMPTY_FRAME,
    MAX_FRAME_SIZE,
    MIN_MAX_FRAME_SIZE,
    SASL,
    SASL_HEADER,
    Attach,
    Begin,
    Close,
    Detach,
    Disposition,
    End,
    Flow,
    Frame,
    FrameBuffer,
    FramingError,
    Open,
    Performative,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
    Transfer,
    error,
    write_frame,
)
from local.event_hubs.session import Session

if TYPE_CHECKING:
    from local.event_hubs.server import Namespace

log = logging.getLogger(__name__)

MAX_CHANNEL = 255
#: what Event Hubs announces, so that clients send their empty frames; we do not enforce it on loopback
IDLE_TIME_OUT_MS = 240_000
#: bytes that may wait in a socket's buffer before consumers are held back
_WRITE_BUFFER = 1 << 20
#: Event Hubs' mechanisms; the real authentication is the token (nodes.py), so the initial response is not looked at
_MECHANISMS = ("MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL")


class Connection(asyncio.Protocol):
    """`authorised`: hubs (lower case) for which this client has put a valid token, "" standing for all of them."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.authorised: set[str] = set()
        self.peer_frame_size = MIN_MAX_FRAME_SIZE
        self.writable = True
        self._transport: asyncio.Transport | None = None
        self._frames = FrameBuffer()
        self._sessions: dict[int, Session] = {}
        #: channels whose session has ended: azure-eventhub ends a session first and detaches its links afterwards
        self._ended: set[int] = set()
        self._opened = False
        self._closing = False
        self._heartbeat: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------------------------------------------------ asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        self.namespace.connections.add(self)
        self.namespace.counts["connections"] += 1

    def connection_lost(self, _: Exception | None) -> None:
        self.namespace.connections.discard(self)
        if self._heartbeat:
            self._heartbeat.cancel()
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()
        self._transport = None

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        for session in tuple(self._sessions.values()):
            session.pump()

    def data_received(self, data: bytes) -> None:
        try:
            for item in self._frames.feed(data):
                if self._transport is None or self._transport.is_closing():
                    return
                if isinstance(item, bytes):
                    self._header(item)
                else:
                    self._frame(item)
        except AmqpError as problem:
            log.warning("a connection was closed: %s", problem)
            self.namespace.counts["refused_connections"] += 1
            self.close(problem.condition, problem.description)
            self.end()

    # ------------------------------------------------------------------------------------------------------- sending

    def send(self, channel: int, performative: Performative, payload: bytes = b"", kind: int = AMQP) -> None:
        if self._transport is not None and not self._closing:
            self._transport.write(write_frame(channel, performative, payload, kind))

    def close(self, condition: str, description: str) -> None:
        """Close with an error; nothing but the client's own close is taken afterwards."""
        if self._opened:
            self.send(0, Close(error(condition, description)))
        self._closing = True

    def abort(self) -> None:
        """Break the TCP connection without a word."""
        if self._transport is not None:
            self._transport.abort()

    def end(self) -> None:
        """Close the TCP connection once what was sent is out."""
        if self._transport is not None:
            self._transport.close()

    def _beat(self, interval: float) -> None:
        if self._transport is not None and not self._closing:
            self._transport.write(EMPTY_FRAME)
            self._heartbeat = asyncio.get_running_loop().call_later(interval, self._beat, interval)

    # ----------------------------------------------------------------------------------------------------- receiving

    def _header(self, header: bytes) -> None:
        assert self._transport is not None
        if header not in (AMQP_HEADER, SASL_HEADER) or self._opened:
            # 2.2: a header that does not suit is answered with one that would
            self._transport.write(SASL_HEADER)
            raise FramingError(f"protocol header {header!r} is not taken here")
        self._transport.write(header)
        if header == SASL_HEADER:
            self.send(0, SaslMechanisms(Array(map(Symbol, _MECHANISMS))), kind=SASL)

    def _frame(self, frame: Frame) -> None:
        if self._closing and not isinstance(frame.performative, Close):
            return
        match frame.performative:
            case None:
                return
            case SaslInit():
                self.send(0, SaslOutcome(UByte(0)), kind=SASL)
            case Open() as opening:
                self._open(opening)
            case Close():
                self.send(0, Close())
                self.end()
            case Begin() as begin:
                self._begin(frame.channel, begin)
            case other:
                self._in_session(frame.channel, other, frame.payload)

    def _open(self, opening: Open) -> None:
        if self._opened:
            raise AmqpError("amqp:illegal-state", "The connection is open already.")
        if opening.max_frame_size is not None and opening.max_frame_size < MIN_MAX_FRAME_SIZE:
            raise AmqpError("amqp:invalid-field", f"max-frame-size is at least {MIN_MAX_FRAME_SIZE}.")
        self._opened = True
        self.peer_frame_size = opening.max_frame_size or MAX_FRAME_SIZE
        limits = UInt(MAX_FRAME_SIZE), UShort(MAX_CHANNEL), UInt(IDLE_TIME_OUT_MS)
        self.send(0, Open("hookline-event-hubs", None, *limits))
        if opening.idle_time_out:
            self._beat(max(opening.idle_time_out / 2000, 0.05))

    def _begin(self, channel: int, begin: Begin) -> None:
        if not self._opened or channel in self._sessions or channel > MAX_CHANNEL:
            raise AmqpError("amqp:not-allowed", f"A session cannot begin on channel {channel}.")
        self._ended.discard(channel)
        self._sessions[channel] = Session(self, channel, begin)

    def _in_session(self, channel: int, performative: Performative, payload: bytes) -> None:
        session = self._sessions.get(channel)
        if channel in self._ended:
            return
        if session is None:
            raise AmqpError("amqp:not-allowed", f"Channel {channel} has no session.")
        match performative:
            case Attach():
                session.attach(performative)
            case Flow():
                session.flow(performative)
            case Transfer():
                session.transfer(performative, payload)
            case Detach():
                session.detach(performative)
            case End():
                session.close()
                session.send(End())
                del self._sessions[channel]
                self._ended.add(channel)
            case Disposition():
                return  # a log keeps no state per delivery: consumers remember their own position
            case _:
                raise AmqpError("amqp:not-allowed", f"{type(performative).__name__} was not expected.")
