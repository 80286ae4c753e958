"""What every format must do, whatever it reads. A check takes a subject and raises AssertionError with what is wrong.

Formats of lines (`subject.line`) are checked for isolation and streaming too; the rest of the checks hold for all.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.format import HEAD_BYTES
from connectors.formats.detect import detect
from shared.errors import BadInput
from shared.records import Found, Record, Refusal
from tests.conformance.formats.subject import SECRET, Subject, records, shown

#: of CPU time: what else the machine is busy with does not count
SLOW_SECONDS = 10.0
SETTINGS = settings(
    max_examples=60, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
#: a JSON text, which is a key where a colon follows, or a number or a word
VALUE = re.compile(rb'"(?:[^"\\]|\\.)*"(\s*:)?|(?<=[:\[,\s])(?:-?\d+|true|false|null)(?=[,\]}\s])')
DEEP = 100_000
HUGE = 9 * 1024 * 1024
#: a format of lines may read this far ahead of its first record
AHEAD = 4 * 1024 * 1024
STREAM = 24 * 1024 * 1024

Check = Callable[[Subject], None]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    def checked(subject: Subject) -> None:
        if function.__name__ in subject.bypass:
            assert subject.bypass[function.__name__].strip(), "a bypass needs a reason"
            return
        function(subject)

    CHECKS[function.__name__] = checked
    return checked


@contextmanager
def bounded(what: str) -> Iterator[None]:
    started = time.process_time()
    yield
    took = time.process_time() - started
    assert took < SLOW_SECONDS, f"{what} took {took:.1f} s"


@check
def good_files_give_records_and_no_refusal(subject: Subject) -> None:
    for name, content in subject.good.items():
        items = subject.read(content, name)
        assert any(isinstance(i, Found) for i in items), f"{name} gives no record"
        assert all(isinstance(i, Found) for i in items), f"{name} is refused: {shown(items)}"


@check
def good_files_are_recognised(subject: Subject) -> None:
    for name, content in subject.good.items():
        assert subject.format().recognises(name, content[:HEAD_BYTES]), f"{name} is not recognised"
        folder = f"uploads/{subject.format.name}/{name}"
        assert detect(folder, b"", [subject.format]) is subject.format, f"{folder} is not recognised"


@check
def bad_files_are_refused_with_place_and_reason(subject: Subject) -> None:
    for what, bad in subject.bad.items():
        items = subject.read(bad.content, bad.name)
        refused = [i for i in items if not isinstance(i, Found)]
        assert refused, f"{what} is not refused"
        places = [i.place for i in refused if isinstance(i, Refusal)]
        if bad.place:
            assert bad.place in places, f"{what} is refused at {places}, not at {bad.place}"
        else:
            assert any(isinstance(i, BadInput) for i in refused), f"{what} is not refused as a whole"
        said = "\n".join(shown(refused))
        assert bad.words in said, f"{what} is refused with other words: {said}"
        for item in refused:
            assert item.fix, f"{what}: no fix"


@check
def a_broken_line_takes_no_neighbour_down(subject: Subject) -> None:
    if subject.line is None:
        return
    lines = [subject.line(n) for n in range(1, 8)]
    whole = records(subject.read(b"\n".join(lines)))
    for at in (0, 3, 6):
        for broken in (b"\x00\xff\xfe{", lines[at][: len(lines[at]) // 2], b"[" * 2_000, b'"a text"'):
            items = subject.read(b"\n".join([*lines[:at], broken, *lines[at + 1 :]]) + b"\n")
            refused = [i for i in items if not isinstance(i, Found)]
            rest = records(subject.read(b"\n".join([*lines[:at], *lines[at + 1 :]])))
            assert sorted(records(items)) == sorted(rest), f"line {at + 1} broken as {broken[:20]!r} took others down"
            assert len(rest) < len(whole)
            places = [i.place for i in refused if isinstance(i, Refusal)]
            assert places == [f"line {at + 1}"], f"line {at + 1} is broken, refused is {places}"


@check
def places_are_right(subject: Subject) -> None:
    if subject.line is None:
        return
    items = subject.read(b"\n\n".join(subject.line(n) for n in range(1, 6)))
    places = {i.place for i in items if isinstance(i, Found)}
    assert places == {1, 3, 5, 7, 9}, f"records of lines 1, 3, 5, 7, 9 have places {sorted(places, key=str)}"


class _Lines(io.RawIOBase):
    """A file of lines that is made while it is read, and cannot be read twice."""

    def __init__(self, subject: Subject) -> None:
        self._line, self._number, self._left, self.handed = subject.line, 0, b"", 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        assert self._line is not None
        while len(self._left) < len(buffer) and self.handed + len(self._left) < STREAM:
            self._number += 1
            self._left += self._line(self._number) + b"\n"
        data, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(data)] = data
        self.handed += len(data)
        return len(data)


@check
def lines_are_streamed(subject: Subject) -> None:
    if subject.line is None:
        return
    file = _Lines(subject)
    found = subject.format().read(io.BufferedReader(file, 1 << 16), subject.context())
    next(iter(found))
    assert file.handed < AHEAD, f"{file.handed:,} bytes were read before the first record came out"


class _Forward:
    """A stream that can only be read forward, and hands out a few bytes at a time."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(min(size, 7) if size > 0 else size)

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    closed = False

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


@check
def files_are_read_forward_only(subject: Subject) -> None:
    for name, content in subject.good.items():
        assert shown(subject.drain(_Forward(content), name)) == shown(subject.read(content, name)), name


@check
def reading_twice_gives_the_same(subject: Subject) -> None:
    for name, content in subject.good.items():
        assert shown(subject.read(content, name)) == shown(subject.read(content, name)), f"{name} differs"


@check
def records_survive_a_job_file(subject: Subject) -> None:
    decode = msgspec.json.Decoder(Record).decode
    for name, content in subject.good.items():
        for item in subject.read(content, name):
            if isinstance(item, Found):
                assert decode(msgspec.json.encode(item.record)) == item.record, f"{name}: {item.record}"


def _survives(subject: Subject, content: bytes, what: str) -> None:
    try:
        with bounded(what):
            subject.format().recognises("x", content[:HEAD_BYTES])
            subject.format().recognises(next(iter(subject.good)), content[:HEAD_BYTES])
            subject.read(content)
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"{what} raised {type(error).__name__}: {error}") from error


@check
def wild_bytes_raise_nothing_else(subject: Subject) -> None:
    files = list(subject.good.values())

    @SETTINGS
    @given(st.one_of(st.binary(max_size=300), st.text(max_size=100).map(str.encode)))
    def wild(content: bytes) -> None:
        _survives(subject, content, f"{content!r}")

    @SETTINGS
    @given(st.sampled_from(files), st.data())
    def damaged(content: bytes, data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(content)))
        length = data.draw(st.integers(0, 30))
        odd = [b"null", b"[]", b"{}", b"-1", b'"x"', b"\x00", b"1e999"]
        instead = data.draw(st.one_of(st.binary(max_size=8), st.sampled_from(odd)))
        _survives(
            subject,
            content[:at] + instead + content[at + length :],
            f"{content[:40]!r} damaged at {at} with {instead!r}",
        )

    wild()
    damaged()


@check
def values_of_another_type_raise_nothing_else(subject: Subject) -> None:
    """Every value of a good file, one after the other, is replaced by one of another type."""
    for name, content in subject.good.items():
        for match in VALUE.finditer(content):
            if match[1]:
                continue
            for instead in (b"null", b"7", b"[{}]", b'{"a": [1]}', b'""'):
                changed = content[: match.start()] + instead + content[match.end() :]
                _survives(subject, changed, f"{name} with {instead!r} for {match[0][:40]!r}")


@check
def deep_nesting_is_survived(subject: Subject) -> None:
    for bomb in (b"[" * DEEP, b"[" * DEEP + b"]" * DEEP, b'{"a":' * DEEP, b"(" * DEEP, b"SELECT (" * DEEP):
        _survives(subject, bomb, f"{bomb[:8]!r} x {DEEP:,}")
        for content in list(subject.good.values())[:2]:
            _survives(subject, content + b"\n" + bomb, f"a good file and {bomb[:8]!r} x {DEEP:,}")


@check
def huge_lines_are_survived(subject: Subject) -> None:
    x = b"x" * HUGE
    for huge in (x, b"\n" * HUGE, b'{"kind": "' + x + b'"}', b'{\n"typeName": "' + x + b'"}', b"[1" + b",1" * 100_000):
        _survives(subject, huge, f"{len(huge):,} bytes that begin with {huge[:12]!r}")


@check
def no_secret_comes_out(subject: Subject) -> None:
    for what, content in subject.secret.items():
        assert SECRET.encode() in content, f"{what} holds no secret"
        items = subject.read(content, what)
        assert items, f"nothing comes out of {what}"
        for text in shown(items):
            assert SECRET not in text, f"{what} shows its secret: {text}"
