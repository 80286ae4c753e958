"""Messages and their sections (OASIS AMQP 1.0 part 3, section 3.2) as Event Hubs uses them.

A producer sends either one event (message-format 0) or a batch (0x80013700, Microsoft's own): a message whose data
sections each hold one encoded event. Events are kept as they were encoded; the broker's annotations are merged in when
an event is delivered.
"""

from __future__ import annotations

from typing import NamedTuple

from local.event_hubs.codec import (
    CodecError,
    Described,
    Int,
    Long,
    Symbol,
    Timestamp,
    ULong,
    decode,
    encode,
    encode_map,
    map_entries,
    skip,
)
from local.event_hubs.hub import Event

HEADER, DELIVERY_ANNOTATIONS, MESSAGE_ANNOTATIONS, PROPERTIES, APPLICATION_PROPERTIES, DATA, SEQUENCE, VALUE, FOOTER = (
    range(0x70, 0x79)
)
BATCH_FORMAT = 0x80013700
PARTITION_KEY = Symbol("x-opt-partition-key")
_ANNOTATIONS = b"\x00" + encode(ULong(MESSAGE_ANNOTATIONS))


class Section(NamedTuple):
    """data[start:end] is the section, its value begins at `value`."""

    code: int
    start: int
    value: int
    end: int


def sections(message: bytes) -> list[Section]:
    """The sections in order; their values are measured, not decoded. Raises CodecError."""
    found = []
    at = 0
    while at < len(message):
        if message[at] != 0x00:
            raise CodecError("a message section has no descriptor")
        code, value = decode(message, at + 1)
        if not isinstance(code, ULong) or not HEADER <= code <= FOOTER:
            raise CodecError(f"{code!r} is no message section")
        end = skip(message, value)
        found.append(Section(int(code), at, value, end))
        at = end
    if not found:
        raise CodecError("the message is empty")
    return found


def _binary(message: bytes, section: Section) -> bytes:
    value, _ = decode(message, section.value)
    if not isinstance(value, bytes):
        raise CodecError("a data section holds no binary")
    return value


def _mapping(message: bytes, section: Section) -> dict[object, object]:
    value, _ = decode(message, section.value)
    if not isinstance(value, dict):
        raise CodecError("the section holds no map")
    return value


class Publication(NamedTuple):
    """What one transfer asks to store: the events, in order, and the key that chooses their partition."""

    events: list[bytes]
    partition_key: str | None


def publication(message: bytes, message_format: int) -> Publication:
    """The events of a single or batch message. Raises CodecError when any of them is no message."""
    key: str | None = None
    events: list[bytes] = []
    for section in sections(message):
        if section.code == MESSAGE_ANNOTATIONS:
            value = _mapping(message, section).get(PARTITION_KEY)
            if value is not None and not isinstance(value, str):
                raise CodecError("the partition key is no string")
            key = None if value is None else str(value)
        elif section.code == DATA and message_format == BATCH_FORMAT:
            events.append(_binary(message, section))
    if message_format != BATCH_FORMAT:
        return Publication([message], key)
    for event in events:
        for section in sections(event):
            if section.code == MESSAGE_ANNOTATIONS:
                _mapping(event, section)
    return Publication(events, key)


def body(event: Event) -> bytes:
    """The event's data sections, joined; what `EventData.body_as_str` shows."""
    return b"".join(_binary(event.message, s) for s in sections(event.message) if s.code == DATA)


def delivery(event: Event) -> bytes:
    """The event as a consumer gets it: the annotations of the sender with those of the broker, the rest untouched."""
    annotations: dict[object, bytes] = {}
    before = after = b""
    for section in sections(event.message):
        raw = event.message[section.start : section.end]
        if section.code == MESSAGE_ANNOTATIONS:
            annotations |= map_entries(event.message, section.value)
        elif section.code < MESSAGE_ANNOTATIONS:
            before += raw
        else:
            after += raw
    brokers: dict[Symbol, object] = {
        Symbol("x-opt-sequence-number"): Long(event.sequence),
        Symbol("x-opt-offset"): str(event.offset),
        Symbol("x-opt-enqueued-time"): Timestamp(event.enqueued),
    }
    if event.partition_key is not None:
        brokers[PARTITION_KEY] = event.partition_key
    annotations |= {key: encode(key) + encode(value) for key, value in brokers.items()}
    return before + _ANNOTATIONS + encode_map(annotations.values()) + after


class Request(NamedTuple):
    """A request to a `$cbs` or `$management` node (AMQP management working draft: request and response properties)."""

    message_id: object
    properties: dict[object, object]
    value: object


def request(message: bytes) -> Request:
    """Raises CodecError."""
    message_id: object = None
    properties: dict[object, object] = {}
    value: object = None
    for section in sections(message):
        if section.code == PROPERTIES:
            fields, _ = decode(message, section.value)
            message_id = fields[0] if isinstance(fields, list) and fields else None
        elif section.code == APPLICATION_PROPERTIES:
            properties = _mapping(message, section)
        elif section.code == VALUE:
            value, _ = decode(message, section.value)
    return Request(message_id, properties, value)


def response(correlation_id: object, status: int, description: str, value: object = "") -> bytes:
    """The answer; the correlation-id keeps the type of the request's message-id, or the client never finds it."""
    return b"".join(
        encode(Described(ULong(code), content))
        for code, content in (
            (PROPERTIES, [None, None, None, None, None, correlation_id]),
            (APPLICATION_PROPERTIES, {"status-code": Int(status), "status-description": description}),
            (VALUE, value),
        )
    )
