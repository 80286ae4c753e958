"""AMQP 1.0 types <-> bytes (OASIS AMQP 1.0 part 1, sections 1.2 to 1.6).

A decoded value keeps its AMQP type, because an answer must sometimes carry a value back as the type it came with (a
correlation-id is the message-id of the request, ulong or uuid or string): integers are subclasses of int, symbols a
subclass of str. Types that are carried but never looked at (decimals, char, 32-bit float) are `Opaque`.

    null None        boolean bool       ubyte .. ulong UByte UShort UInt ULong      byte .. long Byte Short Int Long
    double float     timestamp Timestamp (ms since 1970, UTC)      uuid uuid.UUID   binary bytes
    string str       symbol Symbol      list list      map dict    array Array      described Described

Input is hostile until proven otherwise: every length is checked against the bytes that are there, nesting stops at
MAX_DEPTH, and array elements that occupy no bytes are refused (an array of 2**32 nulls takes ten bytes).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection
from typing import NamedTuple
from uuid import UUID

MAX_DEPTH = 16


class AmqpError(Exception):
    """What a peer is told in an AMQP `error` (part 2, 2.8.14): a condition symbol and a sentence."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(f"{condition}: {description}")
        self.condition = condition
        self.description = description


class CodecError(AmqpError):
    """Bytes that are no AMQP value, or a value AMQP cannot express."""

    def __init__(self, description: str) -> None:
        super().__init__("amqp:decode-error", description)


class UByte(int):
    pass


class UShort(int):
    pass


class UInt(int):
    pass


class ULong(int):
    pass


class Byte(int):
    pass


class Short(int):
    pass


class Int(int):
    pass


class Long(int):
    pass


class Timestamp(int):
    """Milliseconds since 1970-01-01 UTC."""


class Symbol(str):
    """ASCII name from a constrained domain; equal to the str of the same letters."""

    __slots__ = ()


class Array(list[object]):
    """Elements of one type (never mixed)."""

    __slots__ = ()


class Described(NamedTuple):
    """A value with the descriptor that says what it means (1.2.1)."""

    descriptor: object
    value: object


class Opaque(NamedTuple):
    """A fixed-width value that is passed on as it came: constructor code and bytes."""

    code: int
    data: bytes


# Integers (1.6): constructor, type, layout; first in full width, which is how they are written, then abbreviated.
_INTEGERS: tuple[tuple[int, type[int], str], ...] = (
    (0x50, UByte, ">B"),
    (0x60, UShort, ">H"),
    (0x70, UInt, ">I"),
    (0x80, ULong, ">Q"),
    (0x51, Byte, ">b"),
    (0x61, Short, ">h"),
    (0x71, Int, ">i"),
    (0x81, Long, ">q"),
    (0x83, Timestamp, ">q"),
)
_ABBREVIATED: tuple[tuple[int, type[int], str], ...] = (
    (0x52, UInt, ">B"),
    (0x53, ULong, ">B"),
    (0x54, Int, ">b"),
    (0x55, Long, ">b"),
)
_READ_INTEGER = {code: (kind, struct.Struct(layout)) for code, kind, layout in (*_INTEGERS, *_ABBREVIATED)}
_WRITE_INTEGER = {kind: (code, struct.Struct(layout)) for code, kind, layout in _INTEGERS}
_CONSTANTS: dict[int, object] = {0x40: None, 0x41: True, 0x42: False, 0x43: UInt(0), 0x44: ULong(0)}
_OPAQUE = (0x72, 0x73, 0x74, 0x84, 0x94)  # float, char, decimal32, decimal64, decimal128
#: bytes of a value after its constructor, by the constructor's upper half (1.2, "subcategory"); None: a size follows
_WIDTH: dict[int, int | None] = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16} | dict.fromkeys(range(0xA, 0x10))
_DOUBLE, _SIZE, _SIZES = struct.Struct(">d"), struct.Struct(">I"), struct.Struct(">II")


# ---------------------------------------------------------------------------------------------------------- encoding


def encode(value: object) -> bytes:
    """The bytes of a value. Raises CodecError for a value that has no AMQP type or does not fit its type."""
    writer = _WRITERS.get(type(value))
    if writer is None:
        raise CodecError(f"{type(value).__name__} has no AMQP type")
    return writer(value)


def _write_integer(value: int) -> bytes:
    if isinstance(value, UInt | ULong) and 0 <= value < 256:
        small, zero = (0x52, 0x43) if isinstance(value, UInt) else (0x53, 0x44)
        return bytes((small, value)) if value else bytes((zero,))
    code, layout = _WRITE_INTEGER[type(value)]
    try:
        return bytes((code,)) + layout.pack(value)
    except struct.error as error:
        raise CodecError(f"{value} does not fit {type(value).__name__}") from error


def _write_bytes(small: int, data: bytes) -> bytes:
    if len(data) < 256:
        return bytes((small, len(data))) + data
    return bytes((small + 0x10,)) + _SIZE.pack(len(data)) + data


def _ascii(value: str) -> bytes:
    try:
        return value.encode("ascii")
    except UnicodeEncodeError as error:
        raise CodecError(f"symbol {value!r} is not ASCII") from error


def _utf8(value: str) -> bytes:
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise CodecError("the string holds a lone surrogate") from error


def _write_compound(small: int, count: int, body: bytes) -> bytes:
    if len(body) < 255 and count < 256:
        return bytes((small, len(body) + 1, count)) + body
    return bytes((small + 0x10,)) + _SIZES.pack(len(body) + 4, count) + body


def _write_list(values: list[object]) -> bytes:
    return _write_compound(0xC0, len(values), b"".join(map(encode, values))) if values else b"\x45"


def encode_map(entries: Collection[bytes]) -> bytes:
    """A map of entries that are encoded already, each a key and its value."""
    return _write_compound(0xC1, 2 * len(entries), b"".join(entries))


def _write_map(values: dict[object, object]) -> bytes:
    return encode_map([encode(key) + encode(value) for key, value in values.items()])


def _write_array(values: Array) -> bytes:
    """Each element in its type's widest form, because one constructor stands for all of them (1.6.24)."""
    kinds = {type(value) for value in values}
    if len(kinds) > 1:
        raise CodecError("the elements of an array have one type")
    kind = kinds.pop() if kinds else type(None)
    if kind in _WRITE_INTEGER:
        constructor, layout = _WRITE_INTEGER[kind]
        elements = [encode(value)[1:] if layout.size == 1 else layout.pack(value) for value in values]
    elif kind in (str, Symbol, bytes):
        constructor = {str: 0xB1, Symbol: 0xB3, bytes: 0xB0}[kind]
        raw = [value if isinstance(value, bytes) else _utf8(str(value)) for value in values]
        elements = [_SIZE.pack(len(data)) + data for data in raw]
    elif kind in (UUID, float):
        constructor = 0x98 if kind is UUID else 0x82
        elements = [encode(value)[1:] for value in values]
    elif not values:
        constructor, elements = 0x40, []
    else:
        raise CodecError(f"arrays of {kind.__name__} are not written here")
    body = bytes((constructor,)) + b"".join(elements)
    return b"\xf0" + _SIZES.pack(len(body) + 4, len(values)) + body


_WRITERS: dict[type, Callable[..., bytes]] = {
    type(None): lambda _: b"\x40",
    bool: lambda value: b"\x41" if value else b"\x42",
    int: lambda value: _write_integer(Long(value)),
    **dict.fromkeys(_WRITE_INTEGER, _write_integer),
    float: lambda value: b"\x82" + _DOUBLE.pack(value),
    UUID: lambda value: b"\x98" + value.bytes,
    bytes: lambda value: _write_bytes(0xA0, value),
    str: lambda value: _write_bytes(0xA1, _utf8(value)),
    Symbol: lambda value: _write_bytes(0xA3, _ascii(value)),
    Opaque: lambda value: bytes((value.code,)) + value.data,
    list: _write_list,
    dict: _write_map,
    Array: _write_array,
    Described: lambda value: b"\x00" + encode(value.descriptor) + encode(value.value),
}


# ---------------------------------------------------------------------------------------------------------- decoding


def map_entries(data: bytes, at: int) -> dict[object, bytes]:
    """The entries of the map at `at`, each still encoded with its key. Raises CodecError when there is no map."""
    value, end = decode(data, at)
    if not isinstance(value, dict):
        raise CodecError("no map where one belongs")
    entries = {}
    at += 3 if data[at] == 0xC1 else 9  # constructor, size, count
    while at < end:
        key, after_key = decode(data, at)
        after_value = skip(data, after_key)
        entries[key] = data[at:after_value]
        at = after_value
    return entries


def decode(data: bytes, at: int = 0, depth: int = 0) -> tuple[object, int]:
    """The value that starts at `at`, and where it ends. Raises CodecError."""
    if depth > MAX_DEPTH:
        raise CodecError(f"values are nested more than {MAX_DEPTH} deep")
    code = _byte(data, at)
    if code == 0x00:
        descriptor, at = decode(data, at + 1, depth + 1)
        value, at = decode(data, at, depth + 1)
        return Described(descriptor, value), at
    return _read(code, data, at + 1, depth)


def skip(data: bytes, at: int, depth: int = 0) -> int:
    """Where the value that starts at `at` ends, without looking into it. Raises CodecError."""
    if depth > MAX_DEPTH:
        raise CodecError(f"values are nested more than {MAX_DEPTH} deep")
    code = _byte(data, at)
    if code == 0x00:
        return skip(data, skip(data, at + 1, depth + 1), depth + 1)
    return _end(code, data, at + 1)


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise CodecError("the value is cut off")
    return data[at]


def _end(code: int, data: bytes, at: int) -> int:
    """End of a value whose constructor `code` ended at `at`."""
    try:
        width = _WIDTH[code >> 4]
    except KeyError:
        raise CodecError(f"unknown constructor 0x{code:02x}") from None
    if width is None:
        small = (code >> 4) in (0xA, 0xC, 0xE)
        size_width = 1 if small else 4
        if at + size_width > len(data):
            raise CodecError("the value is cut off")
        width = size_width + (data[at] if small else int(_SIZE.unpack_from(data, at)[0]))
    if at + width > len(data):
        raise CodecError(f"a value of {width} bytes has only {len(data) - at}")
    return at + width


def _read(code: int, data: bytes, at: int, depth: int) -> tuple[object, int]:
    if code in _CONSTANTS:
        return _CONSTANTS[code], at
    end = _end(code, data, at)
    if code in _READ_INTEGER:
        kind, layout = _READ_INTEGER[code]
        return kind(layout.unpack_from(data, at)[0]), end
    family = code >> 4
    if family in (0xA, 0xB):
        return _read_bytes(code, data[at + (1 if family == 0xA else 4) : end]), end
    if code == 0x45:
        return [], at
    if code in (0xC0, 0xD0):
        return _read_items(code, data, at, end, depth), end
    if code in (0xC1, 0xD1):
        return _read_map(_read_items(code, data, at, end, depth)), end
    if code in (0xE0, 0xF0):
        return _read_array(code, data, at, end, depth), end
    if code == 0x82:
        return _DOUBLE.unpack_from(data, at)[0], end
    if code == 0x98:
        return UUID(bytes=bytes(data[at:end])), end
    if code == 0x56 and data[at] in (0, 1):
        return data[at] == 1, end
    if code in _OPAQUE:
        return Opaque(code, bytes(data[at:end])), end
    raise CodecError(f"unknown constructor 0x{code:02x}")


def _read_bytes(code: int, data: bytes) -> bytes | str:
    try:
        match code & 0xF:
            case 0x0:
                return bytes(data)
            case 0x1:
                return str(data, "utf-8")
            case 0x3:
                return Symbol(str(data, "ascii"))
    except UnicodeDecodeError as error:
        raise CodecError(f"text is not {error.encoding}") from error
    raise CodecError(f"unknown constructor 0x{code:02x}")


def _count(code: int, data: bytes, at: int, end: int) -> tuple[int, int]:
    """Number of elements of a list, map or array, and where the first one starts."""
    width = 1 if (code >> 4) in (0xC, 0xE) else 4
    start = at + 2 * width
    if start > end:
        raise CodecError("a compound value is too short for its count")
    count = data[at + 1] if width == 1 else int(_SIZE.unpack_from(data, at + 4)[0])
    if count > end - start:
        raise CodecError(f"{count} elements in {end - start} bytes")
    return count, start


def _read_items(code: int, data: bytes, at: int, end: int, depth: int) -> list[object]:
    count, at = _count(code, data, at, end)
    items = []
    for _ in range(count):
        item, at = decode(data, at, depth + 1)
        items.append(item)
    if at != end:
        raise CodecError("a compound value's size and contents disagree")
    return items


def _read_map(items: list[object]) -> dict[object, object]:
    if len(items) % 2:
        raise CodecError("a map has a key without a value")
    keys, values = items[::2], items[1::2]
    if any(isinstance(key, list | dict | Described) for key in keys):
        raise CodecError("a map's key is not a primitive value")
    result = dict(zip(keys, values, strict=True))
    if len(result) < len(keys):
        raise CodecError("a map has the same key twice")
    return result


def _read_array(code: int, data: bytes, at: int, end: int, depth: int) -> Array:
    count, at = _count(code, data, at, end)
    constructor = _byte(data, at)
    at += 1
    descriptor: object = None
    described = constructor == 0x00
    if described:
        descriptor, at = decode(data, at, depth + 1)
        constructor = _byte(data, at)
        at += 1
    if count and constructor >> 4 == 0x4:
        raise CodecError("an array's elements occupy no bytes")
    if constructor == 0x00 or depth >= MAX_DEPTH:
        raise CodecError("an array's elements are nested too deep")
    items = Array()
    for _ in range(count):
        item, at = _read(constructor, data, at, depth + 1)
        items.append(Described(descriptor, item) if described else item)
    if at != end:
        raise CodecError("an array's size and contents disagree")
    return items
