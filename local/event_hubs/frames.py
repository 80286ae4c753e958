"""Frames and performatives (OASIS AMQP 1.0 part 2, sections 2.3 and 2.7; SASL: part 5, section 5.3).

A performative is a NamedTuple whose fields stand in the specification's order with the specification's types. All of
them are always written, trailing nulls included: azure-eventhub reads fields by position and fails on a shorter list,
and an error without all three of its fields leaves its `send_batch` waiting for ever.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple, TypeVar, get_type_hints

from local.event_hubs.codec import AmqpError, Array, Described, Symbol, UByte, UInt, ULong, UShort, decode, encode

#: what we announce in `open`; Event Hubs announces the same
MAX_FRAME_SIZE = 65_536
#: the smallest maximum a peer may announce (2.7.1), and what holds before `open`
MIN_MAX_FRAME_SIZE = 512
AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"
AMQP, SASL = 0, 1
SENDER, RECEIVER = False, True
_HEADER = struct.Struct(">IBBH")


class FramingError(AmqpError):
    """Bytes that do not form a frame, or a frame that does not hold a performative."""

    def __init__(self, description: str, condition: str = "amqp:connection:framing-error") -> None:
        super().__init__(condition, description)


class Open(NamedTuple):
    container_id: str
    hostname: str | None = None
    max_frame_size: UInt | None = None
    channel_max: UShort | None = None
    idle_time_out: UInt | None = None
    outgoing_locales: object = None
    incoming_locales: object = None
    offered_capabilities: object = None
    desired_capabilities: object = None
    properties: object = None


class Begin(NamedTuple):
    remote_channel: UShort | None
    next_outgoing_id: UInt
    incoming_window: UInt
    outgoing_window: UInt
    handle_max: UInt | None = None
    offered_capabilities: object = None
    desired_capabilities: object = None
    properties: object = None


class Attach(NamedTuple):
    name: str
    handle: UInt
    role: bool
    snd_settle_mode: UByte | None = None
    rcv_settle_mode: UByte | None = None
    source: object = None
    target: object = None
    unsettled: object = None
    incomplete_unsettled: bool | None = None
    initial_delivery_count: UInt | None = None
    max_message_size: ULong | None = None
    offered_capabilities: object = None
    desired_capabilities: object = None
    properties: object = None


class Flow(NamedTuple):
    next_incoming_id: UInt | None
    incoming_window: UInt
    next_outgoing_id: UInt
    outgoing_window: UInt
    handle: UInt | None = None
    delivery_count: UInt | None = None
    link_credit: UInt | None = None
    available: UInt | None = None
    drain: bool | None = None
    echo: bool | None = None
    properties: object = None


class Transfer(NamedTuple):
    handle: UInt
    delivery_id: UInt | None = None
    delivery_tag: bytes | None = None
    message_format: UInt | None = None
    settled: bool | None = None
    more: bool | None = None
    rcv_settle_mode: UByte | None = None
    state: object = None
    resume: bool | None = None
    aborted: bool | None = None
    batchable: bool | None = None


class Disposition(NamedTuple):
    role: bool
    first: UInt
    last: UInt | None = None
    settled: bool | None = None
    state: object = None
    batchable: bool | None = None


class Detach(NamedTuple):
    handle: UInt
    closed: bool | None = None
    error: object = None


class End(NamedTuple):
    error: object = None


class Close(NamedTuple):
    error: object = None


class SaslMechanisms(NamedTuple):
    sasl_server_mechanisms: Array


class SaslInit(NamedTuple):
    mechanism: Symbol
    initial_response: bytes | None = None
    hostname: str | None = None


class SaslOutcome(NamedTuple):
    code: UByte
    additional_data: bytes | None = None


class Source(NamedTuple):
    """Where a link's messages come from (part 3, 3.5.3)."""

    address: str | None = None
    durable: UInt | None = None
    expiry_policy: Symbol | None = None
    timeout: UInt | None = None
    dynamic: bool | None = None
    dynamic_node_properties: object = None
    distribution_mode: Symbol | None = None
    filter: object = None
    default_outcome: object = None
    outcomes: object = None
    capabilities: object = None


class Target(NamedTuple):
    """Where a link's messages go (part 3, 3.5.4)."""

    address: str | None = None
    durable: UInt | None = None
    expiry_policy: Symbol | None = None
    timeout: UInt | None = None
    dynamic: bool | None = None
    dynamic_node_properties: object = None
    capabilities: object = None


Performative = (
    Open
    | Begin
    | Attach
    | Flow
    | Transfer
    | Disposition
    | Detach
    | End
    | Close
    | SaslMechanisms
    | SaslInit
    | SaslOutcome
)
_DESCRIPTORS: dict[type[tuple[object, ...]], int] = {
    Open: 0x10,
    Begin: 0x11,
    Attach: 0x12,
    Flow: 0x13,
    Transfer: 0x14,
    Disposition: 0x15,
    Detach: 0x16,
    End: 0x17,
    Close: 0x18,
    SaslMechanisms: 0x40,
    SaslInit: 0x41,
    SaslOutcome: 0x44,
    Source: 0x28,
    Target: 0x29,
}
_FIELDS = {kind: tuple(get_type_hints(kind).items()) for kind in _DESCRIPTORS}
_PERFORMATIVES = {
    AMQP: {code: kind for kind, code in _DESCRIPTORS.items() if 0x10 <= code <= 0x18},
    SASL: {code: kind for kind, code in _DESCRIPTORS.items() if code >= 0x40},
}
T = TypeVar("T")


def error(condition: str, description: str) -> Described:
    """The composite type `error` (2.8.14), all three fields present."""
    return Described(ULong(0x1D), [Symbol(condition), description, None])


ACCEPTED = Described(ULong(0x24), [])


def rejected(condition: str, description: str) -> Described:
    """Delivery state `rejected` (part 3, 3.4.3)."""
    return Described(ULong(0x25), [error(condition, description)])


def composite(value: Performative | Source | Target) -> Described:
    return Described(ULong(_DESCRIPTORS[type(value)]), list(value))


def read_composite(kind: type[T], value: object) -> T:
    """`value` as a `kind` (Source, Target). Raises FramingError amqp:invalid-field."""
    if not isinstance(value, Described) or value.descriptor != _DESCRIPTORS[kind]:  # type: ignore[index]
        raise FramingError(f"a {kind.__name__.lower()} was expected", "amqp:invalid-field")
    return _fill(kind, value.value)


def _fill(kind: type[T], values: object) -> T:
    fields = _FIELDS[kind]  # type: ignore[index]
    if not isinstance(values, list) or len(values) > len(fields):
        raise FramingError(f"{kind.__name__.lower()} has no valid list of fields", "amqp:invalid-field")
    values = values + [None] * (len(fields) - len(values))
    for (name, hint), value in zip(fields, values, strict=True):
        if not isinstance(value, hint):
            raise FramingError(f"{kind.__name__.lower()}: field {name} is missing or mistyped", "amqp:invalid-field")
    return kind(*values)


def write_frame(channel: int, performative: Performative, payload: bytes = b"", kind: int = AMQP) -> bytes:
    body = encode(composite(performative))
    return _HEADER.pack(_HEADER.size + len(body) + len(payload), 2, kind, channel) + body + payload


#: keeps a connection alive (2.4.5)
EMPTY_FRAME = _HEADER.pack(_HEADER.size, 2, AMQP, 0)


class Frame(NamedTuple):
    """One incoming frame; `performative` is None for an empty one."""

    channel: int
    performative: Performative | None
    payload: bytes


def read_frame(data: bytes) -> Frame:
    """A whole frame. Raises FramingError, CodecError."""
    _, doff, kind, channel = _HEADER.unpack_from(data)
    body = doff * 4
    if not _HEADER.size <= body <= len(data):
        raise FramingError(f"data offset {doff} lies outside the frame")
    if kind not in _PERFORMATIVES:
        raise FramingError(f"frame type {kind} is unknown")
    if body == len(data):
        return Frame(channel, None, b"")
    value, end = decode(data, body)
    descriptor = value.descriptor if isinstance(value, Described) else None
    performative = _PERFORMATIVES[kind].get(descriptor) if isinstance(descriptor, ULong) else None
    if performative is None or not isinstance(value, Described):
        raise FramingError("the frame holds no known performative", "amqp:not-implemented")
    return Frame(channel, _fill(performative, value.value), data[end:])  # type: ignore[arg-type]


class FrameBuffer:
    """Cuts a stream of bytes into protocol headers (bytes) and frames; holds at most one incomplete frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes | Frame]:
        """Raises FramingError, CodecError; the stream is unusable then."""
        self._buffer += data
        at = 0
        try:
            while len(self._buffer) - at >= _HEADER.size:
                if self._buffer.startswith(b"AMQP", at):
                    yield bytes(self._buffer[at : at + 8])
                    at += 8
                    continue
                size = _HEADER.unpack_from(self._buffer, at)[0]
                if not _HEADER.size <= size <= MAX_FRAME_SIZE:
                    raise FramingError(f"a frame of {size} bytes; allowed are {_HEADER.size} to {MAX_FRAME_SIZE}")
                if len(self._buffer) - at < size:
                    return
                frame = bytes(self._buffer[at : at + size])
                at += size
                yield read_frame(frame)
        finally:
            del self._buffer[:at]
