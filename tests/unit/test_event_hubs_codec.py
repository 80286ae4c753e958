"""The stand-in's AMQP types, frames and messages: round trips, the specification's own bytes, and hostile input."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import struct
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote_plus

import pytest
from azure.eventhub import EventHubSharedKeyCredential
from hypothesis import given, settings
from hypothesis import strategies as st

from local.event_hubs import codec, frames, messages
from local.event_hubs.codec import (
    AmqpError,
    Array,
    CodecError,
    Described,
    Opaque,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
    decode,
    encode,
)
from local.event_hubs.connection import Connection
from local.event_hubs.faults import Faults
from local.event_hubs.hub import Event, Hub
from local.event_hubs.selector import InvalidSelector, Position, position
from local.event_hubs.server import Namespace
from local.event_hubs.tokens import shared_access_key

deterministic = settings(derandomize=True, deadline=None, database=None)
BOUNDS = {kind: struct.Struct(layout) for _, kind, layout in codec._INTEGERS}


def integers(kind: type[int]) -> st.SearchStrategy[int]:
    bits = 8 * BOUNDS[kind].size
    signed = BOUNDS[kind].format.endswith(tuple("bhiq"))
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.integers(low, high).map(kind)


symbols = st.text(st.characters(max_codepoint=127), max_size=300).map(Symbol)
any_integer = st.one_of([integers(kind) for kind in BOUNDS])
primitives = st.one_of(
    st.none(),
    st.booleans(),
    any_integer,
    st.floats(allow_nan=False),
    st.binary(max_size=300),
    st.text(max_size=100),
    symbols,
    st.uuids(),
    st.binary(min_size=4, max_size=4).map(lambda data: Opaque(0x73, data)),
)
arrays = st.one_of(
    [st.lists(each, max_size=5).map(Array) for each in (symbols, st.text(max_size=9), st.uuids(), integers(UInt))]
)
values = st.recursive(
    primitives | arrays,
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(st.text(max_size=9), inner, max_size=5)
        | st.builds(Described, symbols | integers(ULong), inner)
    ),
    max_leaves=20,
)


def same(left: object, right: object) -> bool:
    """Equal, and of the same AMQP type all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict) and isinstance(right, dict):
        return same(list(left), list(right)) and same(list(left.values()), list(right.values()))
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


@deterministic
@given(values)
def test_a_value_survives_the_round_trip_with_its_type(value: object) -> None:
    data = encode(value)
    decoded, end = decode(data)
    assert same(decoded, value)
    assert end == len(data) == codec.skip(data, 0)


@pytest.mark.parametrize(
    ("data", "value"),
    [  # OASIS AMQP 1.0 part 1, sections 1.2 and 1.6
        ("40", None),
        ("5601", True),
        ("43", UInt(0)),
        ("80 0000000000000014", ULong(20)),
        ("5314", ULong(20)),
        ("a1 05 48656c6c6f", "Hello"),
        ("00 a1 03 55524c a1 04 68747470", Described("URL", "http")),
        ("45", []),
        ("c0 04 03 40 41 42", [None, True, False]),
        ("c1 07 02 a3 01 61 55 ff 00"[:-3], {Symbol("a"): codec.Long(-1)}),
        ("e0 07 02 a3 01 61 02 6263", Array([Symbol("a"), Symbol("bc")])),
        ("83 0000018bcfe56800", Timestamp(1_700_000_000_000)),
    ],
)
def test_the_specifications_encodings_are_read(data: str, value: object) -> None:
    raw = bytes.fromhex(data)
    if data.startswith("c1"):
        raw = bytes((0xC1, len(raw) - 2)) + raw[2:]
    if data.startswith("e0"):
        raw = bytes((0xE0, len(raw) - 2)) + raw[2:]
    assert same(decode(raw), (value, len(raw)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\x00" * 100,
        b"\x3f",
        b"\xa0\x05abc",
        b"\xb0\xff\xff\xff\xffabc",
        b"\xa1\x02\xff\xfe",
        b"\xa3\x02\xc3\xa9",
        b"\x57\x02",
        b"\xd0\x00\x00\x00\x04\xff\xff\xff\xff",
        b"\xd0\x00\x00\x00\x05\x00\x00\x00\x00\x40",
        b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40",
        b"\xf0\x00\x00\x00\x07\x00\x00\x00\x02\x40\x40\x40",
        b"\xc1\x02\x01\x40",
        b"\xc1\x05\x04\x43\x40\x43\x40",
        b"\xc1\x03\x02\x45\x40",
        b"\xc0\xff\x01" * 40,
    ],
    ids=repr,
)
def test_damaged_values_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode(data)


def test_nesting_is_bounded() -> None:
    value: object = None
    for _ in range(codec.MAX_DEPTH):
        value = [value]
    assert decode(encode(value))[0] == value
    with pytest.raises(CodecError, match="nested"):
        decode(encode([value]))
    with pytest.raises(CodecError, match="nested"):
        codec.skip(b"\x00" * 10_000, 0)


@pytest.mark.parametrize("value", [object(), UByte(256), ULong(-1), Symbol("é"), Array([UInt(1), ULong(1)]), "\ud800"])
def test_what_amqp_cannot_express_is_not_written(value: object) -> None:
    with pytest.raises(CodecError):
        encode(value)


@deterministic
@given(st.binary(max_size=400))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    for attempt in (decode, codec.skip):
        try:
            result = attempt(data, 0)
        except CodecError:
            continue
        assert (result if isinstance(result, int) else result[1]) <= len(data)


# -------------------------------------------------------------------------------------------------------------- frames


def test_all_fields_of_a_performative_are_written() -> None:
    """azure-eventhub reads fields by position: trailing nulls must not be trimmed (attach 14, flow 11 ...)."""
    frame = frames.write_frame(0, frames.Detach(UInt(0), True, frames.error("amqp:not-found", "x")))
    value, _ = decode(frame, 8)
    assert isinstance(value, Described) and isinstance(value.value, list) and len(value.value) == 3
    assert value.value[2] == Described(ULong(0x1D), ["amqp:not-found", "x", None])
    attach, _ = decode(frames.write_frame(0, frames.Attach("n", UInt(0), True)), 8)
    assert isinstance(attach, Described) and isinstance(attach.value, list) and len(attach.value) == 14


def built(
    kind: Callable[..., frames.Performative], **fields: st.SearchStrategy[Any]
) -> st.SearchStrategy[frames.Performative]:
    """st.builds would fill the optional fields (typed `object`) with anything Python has."""
    return st.fixed_dictionaries(fields).map(lambda values: kind(**values))


uints = integers(UInt)
performatives = st.one_of(
    built(frames.Open, container_id=st.text(max_size=9), max_frame_size=st.none() | uints, idle_time_out=st.none()),
    built(
        frames.Begin,
        remote_channel=st.none() | integers(UShort),
        next_outgoing_id=uints,
        incoming_window=uints,
        outgoing_window=uints,
    ),
    built(frames.Attach, name=st.text(max_size=9), handle=uints, role=st.booleans()),
    built(
        frames.Flow,
        next_incoming_id=st.none() | uints,
        incoming_window=uints,
        next_outgoing_id=uints,
        outgoing_window=uints,
    ),
    built(
        frames.Transfer, handle=uints, delivery_id=st.none() | uints, delivery_tag=st.none() | st.binary(max_size=32)
    ),
    built(frames.Disposition, role=st.booleans(), first=uints),
    built(frames.Detach, handle=uints, closed=st.none() | st.booleans()),
    st.sampled_from([frames.End(), frames.Close(), frames.SaslInit(Symbol("ANONYMOUS"))]),
)


@deterministic
@given(st.lists(st.tuples(integers(UShort), performatives, st.binary(max_size=50)), max_size=5), st.data())
def test_frames_survive_any_chunking(sent: list[tuple[int, frames.Performative, bytes]], data: st.DataObject) -> None:
    kinds = [frames.SASL if isinstance(p, frames.SaslInit) else frames.AMQP for _, p, _ in sent]
    stream = b"".join(frames.write_frame(*each, kind) for each, kind in zip(sent, kinds, strict=True))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    buffer, received = frames.FrameBuffer(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += list(buffer.feed(stream[start:end]))
    assert received == [frames.Frame(*each) for each in sent]


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">IBBH", 7, 2, 0, 0),
        struct.pack(">IBBH", 2**31, 2, 0, 0),
        struct.pack(">IBBH", 8, 1, 0, 0),
        struct.pack(">IBBH", 8, 9, 0, 0),
        struct.pack(">IBBH", 8, 2, 7, 0),
        struct.pack(">IBBH", 9, 2, 0, 0) + b"\x40",
        frames.write_frame(0, frames.Open("x"))[:-1] + b"\x99",
        struct.pack(">IBBH", 13, 2, 0, 0) + b"\x00\x53\x10\xc0\x00",
        struct.pack(">IBBH", 12, 2, 0, 0) + b"\x00\x53\x12\x45",
        b"HTTP/1.1 200 OK",
    ],
    ids=repr,
)
def test_damaged_frames_are_refused(data: bytes) -> None:
    with pytest.raises(AmqpError):
        list(frames.FrameBuffer().feed(data))


# ---------------------------------------------------------------------------------------------------------- messages


def section(code: int, value: object) -> bytes:
    return encode(Described(ULong(code), value))


def test_a_batch_is_taken_apart_and_delivered_with_the_brokers_annotations() -> None:
    inner = section(messages.MESSAGE_ANNOTATIONS, {Symbol("mine"): "kept"}) + section(messages.DATA, b"one")
    batch = section(messages.MESSAGE_ANNOTATIONS, {messages.PARTITION_KEY: "k"}) + section(messages.DATA, inner)
    events, key = messages.publication(batch, messages.BATCH_FORMAT)
    assert (events, key) == ([inner], "k")
    annotated, *rest = messages.sections(message := messages.delivery(Event(7, 70, 1234, key, inner)))
    assert same(
        decode(message, annotated.value)[0],
        {
            Symbol("mine"): "kept",
            Symbol("x-opt-sequence-number"): codec.Long(7),
            Symbol("x-opt-offset"): "70",
            Symbol("x-opt-enqueued-time"): Timestamp(1234),
            Symbol("x-opt-partition-key"): "k",
        },
    )
    assert [message[s.start : s.end] for s in rest] == [section(messages.DATA, b"one")]


def test_annotations_that_are_only_passed_on_stay_as_they_came() -> None:
    nested = b"\xf0" + bytes.fromhex("0000000e 00000001 f0 00000005 00000000 40")  # an array of an empty array
    wild = b"\x00\x53\x72\xc1" + bytes((len(nested) + 4, 2)) + encode(Symbol("a")) + nested
    brokers = section(messages.MESSAGE_ANNOTATIONS, {Symbol("x-opt-offset"): "mine"})
    for event in (wild, brokers):
        assert messages.publication(event, 0).events == [event]
    delivered = messages.delivery(Event(0, 5, 0, None, wild))
    entries = codec.map_entries(delivered, messages.sections(delivered)[0].value)
    assert entries.pop("a") == encode(Symbol("a")) + nested
    assert len(entries) == 3
    delivered = messages.delivery(Event(0, 5, 0, None, brokers))
    annotations, _ = decode(delivered, messages.sections(delivered)[0].value)
    assert isinstance(annotations, dict) and annotations["x-opt-offset"] == "5"


@pytest.mark.parametrize("message", [b"", b"abc", section(0x10, []), section(messages.DATA, "no binary")])
def test_what_is_no_message_is_no_publication(message: bytes) -> None:
    with pytest.raises(CodecError):
        messages.publication(message, messages.BATCH_FORMAT)


@pytest.mark.parametrize("message_id", [uuid.UUID(int=1), ULong(5), "text", b"bytes"])
def test_an_answer_carries_the_message_id_back_with_its_type(message_id: object) -> None:
    answer = messages.response(message_id, 200, "OK")
    properties, _ = decode(answer, messages.sections(answer)[0].value)
    assert isinstance(properties, list) and same(properties[5], message_id)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("amqp.annotation.x-opt-offset > '-1'", Position("offset", -1)),
        ("amqp.annotation.x-opt-offset >= '12'", Position("offset", 12, True)),
        ("amqp.annotation.x-opt-offset > '@latest'", Position("latest")),
        (b"amqp.annotation.x-opt-sequence-number > '3'", Position("sequence", 3)),
        ("amqp.annotation.x-opt-enqueued-time >= '1700000000000'", Position("enqueued", 1_700_000_000_000, True)),
        ("amqp.annotation.x-opt-enqueued-timeutc > '1'", None),
        ("amqp.annotation.x-opt-offset > '1' OR 1=1", None),
        ("", None),
    ],
)
def test_selectors(selector: str | bytes, expected: Position | None) -> None:
    name = Symbol("apache.org:selector-filter:string")
    filters = {name: Described(name, selector)}
    if expected is None:
        with pytest.raises(InvalidSelector):
            position(filters)
    else:
        assert position(filters) == expected
    assert position(None) == Position("offset", -1)


# -------------------------------------------------------------------------------------------------------------- tokens


def signature(resource: str = "sb://h/hub", expiry: int = 4_000_000_000, key: str = "secret", name: str = "k") -> str:
    quoted = quote_plus(resource)
    digest = hmac.new(key.encode(), f"{quoted}\n{expiry}".encode(), hashlib.sha256).digest()
    return f"SharedAccessSignature sr={quoted}&sig={quote_plus(base64.b64encode(digest))}&se={expiry}&skn={name}"


@pytest.mark.parametrize(
    ("kind", "token", "reason"),
    [
        ("servicebus.windows.net:sastoken", signature(), ""),
        ("servicebus.windows.net:sastoken", signature("sb://h/"), ""),
        ("servicebus.windows.net:sastoken", signature("sb://h/other"), "InvalidAudience"),
        ("servicebus.windows.net:sastoken", signature(expiry=1_000), "ExpiredToken"),
        ("servicebus.windows.net:sastoken", signature(key="guess"), "InvalidSignature"),
        ("servicebus.windows.net:sastoken", signature(name="other"), "InvalidSignature"),
        ("servicebus.windows.net:sastoken", "SharedAccessSignature ", "InvalidSignature"),
        ("servicebus.windows.net:sastoken", "SharedAccessSignature sig=é&skn=k", "InvalidSignature"),
        ("servicebus.windows.net:sastoken", "Bearer x", "InvalidToken"),
        ("jwt", "anything", ""),
        ("jwt", "", "InvalidToken"),
    ],
)
def test_tokens(kind: str, token: str, reason: str) -> None:
    assert shared_access_key("k", "secret")("sb://h/hub", kind, token).partition(":")[0] == reason


def test_the_clients_own_signature_is_taken() -> None:
    token = EventHubSharedKeyCredential("k", "secret").get_token("sb://h/hub").token
    assert shared_access_key("k", "secret")("sb://h/hub", "servicebus.windows.net:sastoken", token) == ""


# ----------------------------------------------------------------------------------------------- a connection's bytes


class Wire(asyncio.Transport):
    """Where a connection writes to; no socket."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close


@pytest.fixture(scope="module")
def namespace() -> Iterator[Namespace]:
    hub = Hub("h", 1, data=None, retention=1 << 20)
    yield Namespace([hub], Faults(), lambda *_: "", 4096)
    hub.close()


def connected(namespace: Namespace) -> tuple[Connection, Wire]:
    connection, wire = Connection(namespace), Wire()
    connection.connection_made(wire)
    return connection, wire


PRELUDE = (
    frames.AMQP_HEADER
    + frames.write_frame(0, frames.Open("c"))
    + frames.write_frame(1, frames.Begin(None, UInt(0), UInt(100), UInt(100)))
)


def sender_link(address: str) -> bytes:
    source, target = frames.Source("c"), frames.Target(address)
    return frames.write_frame(
        1,
        frames.Attach("l", UInt(0), frames.SENDER, source=frames.composite(source), target=frames.composite(target)),
    )


SENDER_LINK = sender_link("amqps://127.0.0.1:1/h")
CONSUMER_LINK = frames.write_frame(
    1,
    frames.Attach(
        "r",
        UInt(1),
        frames.RECEIVER,
        source=frames.composite(frames.Source("h/ConsumerGroups/$default/Partitions/0")),
        target=frames.composite(frames.Target("c")),
    ),
)


@deterministic
@given(
    prelude=st.sampled_from(
        [b"", frames.SASL_HEADER, frames.AMQP_HEADER, PRELUDE, PRELUDE + SENDER_LINK + CONSUMER_LINK]
    ),
    wild=st.binary(max_size=200)
    | st.lists(
        st.tuples(
            st.integers(0, 2),
            st.one_of(
                performatives,
                built(
                    frames.Transfer,
                    handle=uints | st.just(UInt(0)),
                    delivery_id=st.just(UInt(1)),
                    message_format=st.sampled_from([None, UInt(messages.BATCH_FORMAT)]),
                    more=st.booleans(),
                ),
                built(
                    frames.Attach,
                    name=st.text(max_size=5),
                    handle=st.just(UInt(2)),
                    role=st.booleans(),
                    source=values,
                    target=values,
                ),
                built(
                    frames.Flow,
                    next_incoming_id=st.just(UInt(0)),
                    incoming_window=uints,
                    next_outgoing_id=uints,
                    outgoing_window=uints,
                    handle=st.sampled_from([None, UInt(0), UInt(1), UInt(9)]),
                    delivery_count=uints,
                    link_credit=uints,
                    drain=st.booleans(),
                    echo=st.booleans(),
                ),
            ),
            st.binary(max_size=100) | values.map(lambda value: section(messages.DATA, value)),
        ),
        max_size=6,
    ).map(lambda sent: b"".join(frames.write_frame(*each) for each in sent)),
)
def test_wild_bytes_close_their_own_connection_at_most(namespace: Namespace, prelude: bytes, wild: bytes) -> None:
    """Any exception but the handled AmqpError would leave data_received and fail this test."""
    connection, wire = connected(namespace)
    connection.authorised.add("")
    connection.data_received(prelude)
    assert not wire.closed
    connection.data_received(wild)
    connection.connection_lost(None)
    assert namespace.connections == set()
    assert all(not partition.readers for partition in namespace.hub("h").partitions)
    kept = sum(len(event.message) for event in namespace.hub("h").partitions[0].read(-1))
    assert kept <= 1 << 20


CONVERSATION = (
    PRELUDE
    + SENDER_LINK
    + CONSUMER_LINK
    + frames.write_frame(1, frames.Flow(UInt(0), UInt(9), UInt(0), UInt(9), UInt(1), UInt(0), UInt(10)))
    + frames.write_frame(1, frames.Transfer(UInt(0), UInt(0), b"0", UInt(0)), section(messages.DATA, b"event"))
    + frames.write_frame(1, frames.Detach(UInt(1), True))
    + frames.write_frame(1, frames.End())
    + frames.write_frame(0, frames.Close())
)


@deterministic
@given(st.lists(st.tuples(st.integers(0, len(CONVERSATION) - 1), st.integers(0, 255)), max_size=4))
def test_a_damaged_conversation_ends_in_order(namespace: Namespace, edits: list[tuple[int, int]]) -> None:
    damaged = bytearray(CONVERSATION)
    for index, byte in edits:
        damaged[index] = byte
    connection, wire = connected(namespace)
    connection.authorised.add("h")
    before = namespace.hub("h").partitions[0].last_sequence
    connection.data_received(bytes(damaged))
    connection.connection_lost(None)
    stored = namespace.hub("h").partitions[0].last_sequence - before
    assert stored in (0, 1)
    if not edits:
        assert stored == 1 and wire.closed
    assert not namespace.connections and not namespace.hub("h").partitions[0].readers


def test_a_link_without_a_token_is_refused(namespace: Namespace) -> None:
    connection, wire = connected(namespace)
    connection.data_received(PRELUDE + SENDER_LINK)
    sent = [
        item.performative for item in frames.FrameBuffer().feed(bytes(wire.written)) if isinstance(item, frames.Frame)
    ]
    assert Counter(map(type, sent)) == {frames.Open: 1, frames.Begin: 1, frames.Attach: 1, frames.Detach: 1}
    assert b"amqp:unauthorized-access" in wire.written
    connection.connection_lost(None)


@pytest.mark.parametrize(
    ("address", "condition"),
    [
        ("h/Partitions/1", "com.microsoft:argument-out-of-range"),
        ("h/Partitions/-1", "com.microsoft:argument-out-of-range"),
        ("h/Partitions/\u0663", "com.microsoft:argument-out-of-range"),
        ("nowhere", "amqp:not-found"),
        ("", "amqp:not-found"),
        ("http://[/h", "amqp:not-found"),
        ("h/ConsumerGroups/$Default/Partitions/0", "amqp:not-found"),
    ],
)
def test_an_address_that_is_no_target_is_refused(namespace: Namespace, address: str, condition: str) -> None:
    connection, wire = connected(namespace)
    connection.authorised.add("")
    connection.data_received(PRELUDE + sender_link(address))
    *_, last = frames.FrameBuffer().feed(bytes(wire.written))
    assert isinstance(last, frames.Frame) and isinstance(last.performative, frames.Detach)
    assert condition in repr(last.performative.error)
    assert not wire.closed
    connection.connection_lost(None)


def test_an_unfinished_message_is_held_up_to_the_limit_only(namespace: Namespace) -> None:
    connection, wire = connected(namespace)
    connection.authorised.add("h")
    connection.data_received(PRELUDE + SENDER_LINK)
    for _ in range(10):
        connection.data_received(frames.write_frame(1, frames.Transfer(UInt(0), UInt(0), more=True), b"x" * 1000))
    assert b"amqp:link:message-size-exceeded" in wire.written
    assert not wire.closed  # the link is gone, the connection may go on
    connection.connection_lost(None)
