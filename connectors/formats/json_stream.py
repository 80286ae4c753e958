"""JSON of any size as a stream of values with their places, for the formats that are made of JSON.

Taken are JSON Lines (one value a line), one document over many lines, a sequence of documents, and arrays, whose
elements come one by one. Plain or gzip; UTF-8 with or without a byte order mark. JSON Lines are read with msgspec,
everything else with ijson, so that memory holds one value and not the file. Values nested deeper than MAX_DEPTH or
larger than MAX_VALUE are refused one by one; the rest goes on.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Literal, NamedTuple, cast

import msgspec

from shared.errors import BadInput
from shared.job_file import MAX_LINE, is_gzip, lines
from shared.records import Refusal

MAX_DEPTH = 100
#: what is nested deeper than this is a bomb: its end is not looked for
HOPELESS_DEPTH = 10_000
#: characters of one value's keys and scalars, about the size of its text
MAX_VALUE = MAX_LINE
#: bytes of one string, which ijson holds as a whole before anyone can look at it
MAX_TOKEN = 4 * MAX_VALUE
_CHUNK = 1 << 16
_BOM = b"\xef\xbb\xbf"


class Value(NamedTuple):
    """A decoded value, its place (a line number, or `event 2 of the array`), and the document's key it lay under.

    key:  "" for a value of its own; `[]` for an element of the file's array; `entities` for an element or member of
          what lies under that key, where `into` asked for it
    name: the member's name where `into` asked for the members of an object
    """

    value: Any
    place: int | str
    key: str = ""
    name: str = ""


def where_of(place: int | str) -> str:
    return f"line {place}" if isinstance(place, int) else place


def starts_like_json(head: bytes) -> bytes:
    """The head of a file, unpacked and without byte order mark and leading space, if it can be JSON; else b""."""
    if is_gzip(head):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, _CHUNK)
        except zlib.error:
            return b""
    head = head.removeprefix(_BOM).lstrip()
    return head if head[:1] in (b"{", b"[") else b""


def values(
    file: BinaryIO,
    where: str,
    noun: str,
    into: Mapping[str, Literal["start_array", "start_map"]] | None = None,
    *,
    lines: bool = True,
) -> Iterator[Value | Refusal]:
    """The values of a file.

    noun: what one value is called in places: event, entity.
    into: keys of a document over many lines whose array elements (`start_array`) or object members (`start_map`) come
          one by one too; such a document itself comes last, without them.
    lines: whether it may be JSON Lines; else a document is one on a single line, too.

    Raises BadInput: empty, not JSON, another encoding, damaged gzip.
    """
    stream, first = opened(file, where, noun)
    if lines and _is_lines(first):
        yield from _lines(stream, where, noun)
    else:
        yield from _documents(stream, where, noun, into or {})


def opened(file: BinaryIO, where: str, noun: str) -> tuple[BinaryIO, list[bytes]]:
    """The unpacked file without byte order mark, and its first three lines that are not blank, which it still holds.

    Raises BadInput: empty, not JSON, another encoding, damaged gzip.
    """
    plain = io.BufferedReader(_Unpacked(file, where), _CHUNK)
    head, first = bytearray(), list[bytes]()  # millions of blank lines are added one by one
    while len(first) < 3 and len(head) <= MAX_LINE and (line := plain.readline(MAX_LINE + 1)):
        line = line if head else line.removeprefix(_BOM)
        head += line
        if line.strip():
            first.append(line.lstrip())
    if not first:
        raise BadInput("the file is empty", where=where, fix="upload it again")
    if not any(line[:1] in (b"{", b"[") and b"\x00" not in line[:64] for line in first):
        if first[0][:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in first[0][:64]:
            raise BadInput("the file is no UTF-8 text", where=where, fix="save it as UTF-8, then upload it again")
        kind = "HTML or XML" if first[0][:1] == b"<" else "no JSON"
        fix = f"upload JSON: one {noun}, or one {noun} a line"
        raise BadInput(f"the file is {kind}", where=where, fix=fix)
    return cast(BinaryIO, io.BufferedReader(Rejoined(bytes(head), plain), _CHUNK)), first


class _Unpacked(io.RawIOBase):
    """A plain or gzip file as a stream that says when it is damaged."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        head = file.read(2)
        head += file.read(1) if len(head) == 1 else b""  # a stream may hand out less than was asked for
        whole = cast(BinaryIO, Rejoined(head, file))
        self._stream: Any = gzip.GzipFile(fileobj=io.BufferedReader(whole)) if is_gzip(head) else whole  # type: ignore[type-var]
        self._where = where

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            reason = f"the file is damaged or cut off ({error})"
            raise BadInput(reason, where=self._where, fix="upload it again") from error
        buffer[: len(data)] = data
        return len(data)


class Rejoined(io.RawIOBase):
    """What was read ahead, and then the rest."""

    def __init__(self, head: bytes, rest: Any) -> None:
        self._head, self._rest = io.BytesIO(head), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._head.read(len(buffer)) or self._rest.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _is_lines(first: list[bytes]) -> bool:
    """JSON Lines: the first line is a whole object, or broken before a second one that is whole.

    A document over many lines has an incomplete first line too; but where its second line is a whole object (`[`, then
    an element), its third cannot begin another one.
    """
    if first[0][:1] not in (b"{", b"[") or _is_whole(first[0]):
        return True
    return len(first) > 1 and _is_whole(first[1]) and (len(first) == 2 or first[2][:1] == b"{")


def _is_whole(line: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(line), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _lines(stream: BinaryIO, where: str, noun: str) -> Iterator[Value | Refusal]:
    decode = msgspec.json.Decoder().decode
    for number, line in enumerate(lines(stream, where), 1):
        if line.isspace():
            continue
        try:
            value = decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            yield _refused(number, "json", f"not JSON: {error}", f"one {noun} a line, as JSON", line)
            continue
        except RecursionError:
            yield _too_deep(number, noun)
            continue
        yield Value(value, number) if _depth_ok(line, value) else _too_deep(number, noun)


def _depth_ok(line: bytes, value: Any) -> bool:
    if line.count(b"{") + line.count(b"[") <= MAX_DEPTH:
        return True
    stack = [(value, 1)]
    while stack:
        item, depth = stack.pop()
        if isinstance(item, (dict, list)):
            if depth > MAX_DEPTH:
                return False
            stack.extend((inner, depth + 1) for inner in (item.values() if isinstance(item, dict) else item))
    return True


def _refused(place: int | str, rule: str, reason: str, fix: str, sample: bytes = b"") -> Refusal:
    return Refusal(place=where_of(place), rule=rule, reason=reason, fix=fix, sample=masked(sample))


def masked(sample: bytes) -> str:
    from shared.settings.redact import redact

    return redact(sample[:2_000].decode("utf-8", "replace"))


def _too_deep(place: int | str, noun: str) -> Refusal:
    return _refused(place, "depth", f"nested deeper than {MAX_DEPTH} levels", f"flatten the {noun}")


class _Watched:
    """Hands ijson its chunks, and notices a single token that never ends (a 1 GB string)."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        self._file = file
        self._where = where
        self.since = 0  # bytes handed out since the last token

    def read(self, size: int = -1) -> bytes:
        if self.since > MAX_TOKEN:
            raise BadInput(f"a single string is larger than {MAX_TOKEN:,} bytes", where=self._where, fix="split it")
        data = self._file.read(size if size >= 0 else _CHUNK)
        self.since += len(data)
        return data


def _documents(file: BinaryIO, where: str, noun: str, into: Mapping[str, str]) -> Iterator[Value | Refusal]:
    import ijson

    watched = _Watched(file, where)
    # Atlas puts numbers as they are into attributes, so 1.0 must not become Decimal("1.0")
    events = ijson.basic_parse(watched, buf_size=_CHUNK, use_float=True, multiple_values=True)
    walk = _Walk(noun, where, into)
    try:
        for event, data in events:
            watched.since = 0
            yield from walk.take(event, data)
    except (ijson.JSONError, ValueError, OverflowError) as error:
        reason = f"the JSON is broken or cut off here: {' '.join(str(error).split(chr(10))[0].split())[:200]}"
        if not walk.finished:
            fix = f"upload it again; of JSON Lines (one {noun} a line) the other lines survive"
            raise BadInput(reason, where=where, fix=fix) from error
        place = walk.place(walk.finished + 1)
        yield _refused(place, "json", f"{reason}; nothing after it was read", "repair the file and upload it again")


class _Walk:
    """Builds values out of ijson's events, one at a time and bounded in depth and size."""

    def __init__(self, noun: str, where: str, into: Mapping[str, str]) -> None:
        import ijson

        self._builder_class = ijson.ObjectBuilder
        self._noun, self._where, self._into = noun, where, into
        self.finished = 0  # values that came out, or were refused
        self._depth = 0
        self._array = False  # within a top-level array
        self._key = self._name = ""  # in which member of the document
        self._inside = ""  # the key of `into` whose elements are read now
        self._rest: dict[str, Any] | None = None  # the document without them
        self._builder: Any = None
        self._base = self._size = self._rest_size = 0
        self._refusal: Refusal | None = None

    def place(self, number: int) -> str:
        if self._inside:
            return f"{self._noun} {number} of `{self._inside}`"
        return f"{self._noun} {number}" + (" of the array" if self._array else "")

    def take(self, event: str, data: Any) -> Iterator[Value | Refusal]:
        opens = event in ("start_map", "start_array")
        closes = event in ("end_map", "end_array")
        if self._builder is not None:
            yield from self._build(event, data, opens, closes)
            return
        if closes:
            self._depth -= 1
            if self._depth == 0 and self._rest is not None:
                yield Value(self._rest, self.place(1))
                self._rest = None
            if self._depth <= 1:
                self._inside = ""
            if self._depth == 0:
                self._array = False
        elif self._depth == 0 and event == "start_array":
            self._array, self._depth = True, 1
        elif self._depth == 0 and event == "start_map" and self._into:
            self._rest, self._depth = {}, 1
        elif event == "map_key" and self._depth == 1:
            self._key = data
        elif event == "map_key":
            self._name = data
        elif self._rest is not None and self._depth == 1 and self._into.get(self._key) == event:
            self._inside, self._name, self._depth, self.finished = self._key, "", 2, 0
        else:
            self._builder, self._base, self._size = self._builder_class(), self._depth, 0
            yield from self._build(event, data, opens, closes)

    def _build(self, event: str, data: Any, opens: bool, closes: bool) -> Iterator[Value | Refusal]:
        if closes:
            self._depth -= 1
        done = self._depth == self._base and event != "map_key"
        if opens:
            self._depth += 1
            done = False
            if self._depth > HOPELESS_DEPTH:
                what = f"nested deeper than {HOPELESS_DEPTH:,} levels: it was not read on"
                raise BadInput(what, where=self._where, fix=f"flatten the {self._noun}")
        self._size += len(data) if isinstance(data, str) else 8
        if self._refusal is None:
            if self._depth - self._base > MAX_DEPTH:
                self._refusal = _too_deep(self.place(self.finished + 1), self._noun)
            elif self._size > MAX_VALUE:
                reason = f"larger than {MAX_VALUE:,} bytes"
                self._refusal = _refused(self.place(self.finished + 1), "size", reason, f"split the {self._noun}")
            else:
                self._builder.event(event, data)
        if not done:
            return
        builder, refusal = self._builder, self._refusal
        self._builder = self._refusal = None
        if self._rest is not None and not self._inside:
            self._rest_size += self._size
            if self._rest_size > MAX_VALUE:
                raise BadInput(f"the document holds more than {MAX_VALUE:,} bytes outside its lists", where=self._where)
            if refusal is None:
                self._rest[self._key] = builder.value
            else:
                yield refusal
            return
        self.finished += 1
        key = self._inside or ("[]" if self._array else "")
        yield refusal or Value(builder.value, self.place(self.finished), key, self._name)
