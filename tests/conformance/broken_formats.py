"""A format of lines that is right, and for every check one that is wrong in just the way the check looks for."""

from __future__ import annotations

import dataclasses
import io
import random
import re
import time
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from connectors.format import FileContext, Format
from shared import job_file
from shared.errors import BadInput
from shared.records import Address, Column, Dataset, Found, Refusal
from shared.settings.redact import redact
from tests.conformance.formats.subject import SECRET, Bad, Subject


class _Thing(msgspec.Struct):
    thing: str
    columns: list[str] = []


class Toy(Format):
    """One JSON object a line: {"thing": name, "columns": [names]}."""

    name = "toy"
    title = "toys"
    looks_like = '{"thing": ...}'

    def recognises(self, name: str, head: bytes) -> bool:
        return b'"thing"' in head

    def lines(self, file: BinaryIO, where: str) -> Iterator[bytes]:
        return job_file.lines(file, where)

    def read(self, file: BinaryIO, context: FileContext) -> Iterator[Found | Refusal]:
        for number, line in enumerate(self.lines(file, context.path), 1):
            if not line.isspace():
                yield self.one(line, number)

    def one(self, line: bytes, number: int) -> Found | Refusal:
        try:
            return Found(self.record(self.thing(line)), number)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return self.refused(line, number, error)

    def thing(self, line: bytes) -> _Thing:
        return msgspec.json.decode(line, type=_Thing)

    def record(self, thing: _Thing) -> Dataset:
        return Dataset(address=Address("toy", "box", (thing.thing or "?",)), columns=tuple(map(Column, thing.columns)))

    def refused(self, line: bytes, number: int, error: Exception) -> Refusal:
        sample = redact(line[:2_000].decode("utf-8", "replace"))
        return Refusal(
            place=f"line {number}", rule="toy", reason=f"no thing: {error}", fix="write a thing", sample=sample
        )


def _line(number: int) -> bytes:
    return b'{"thing": "t%d", "columns": ["a", "b"]}' % number


def subject(format: type[Format] = Toy) -> Subject:
    return Subject(
        format=format,
        good={"things.toy": b"\n".join(map(_line, range(1, 4)))},
        bad={
            "a line without a thing": Bad(_line(1) + b'\n{"no": 1}', "missing required field", "line 2"),
            "a line that is too long": Bad(b'{"thing": "' + b"x" * job_file.MAX_LINE + b'"}', "longer than"),
        },
        line=_line,
        secret={"broken.toy": b'{"password": "%b"}' % SECRET.encode()},
    )


TOY = subject()


class Silent(Toy):
    """Gives nothing."""

    def read(self, file: BinaryIO, context: FileContext) -> Iterator[Found | Refusal]:
        return iter(())


class Fussy(Toy):
    """Refuses what is right."""

    def one(self, line: bytes, number: int) -> Found | Refusal:
        found = super().one(line, number)
        return self.refused(line, number, ValueError("no")) if number == 2 else found


class Shy(Toy):
    def recognises(self, name: str, head: bytes) -> bool:
        return False


class Lenient(Toy):
    """Leaves out what is wrong without a word."""

    def read(self, file: BinaryIO, context: FileContext) -> Iterator[Found | Refusal]:
        return (item for item in super().read(file, context) if isinstance(item, Found))


class Curt(Toy):
    def refused(self, line: bytes, number: int, error: Exception) -> Refusal:
        return Refusal(place=f"line {number}", rule="toy", reason="no", fix="write a thing")


class Lost(Toy):
    """Does not know where it is."""

    def refused(self, line: bytes, number: int, error: Exception) -> Refusal:
        return msgspec.structs.replace(super().refused(line, number, error), place="somewhere")


class Helpless(Toy):
    def refused(self, line: bytes, number: int, error: Exception) -> Refusal:
        return msgspec.structs.replace(super().refused(line, number, error), fix="")


class Giving(Toy):
    """Gives up at the first bad line."""

    def read(self, file: BinaryIO, context: FileContext) -> Iterator[Found | Refusal]:
        for item in super().read(file, context):
            yield item
            if isinstance(item, Refusal):
                return


class CountsFromZero(Toy):
    def read(self, file: BinaryIO, context: FileContext) -> Iterator[Found | Refusal]:
        for number, line in enumerate(self.lines(file, context.path)):
            if not line.isspace():
                yield self.one(line, number)


class CountsThings(Toy):
    """Counts things, not lines."""

    def read(self, file: BinaryIO, context: FileContext) -> Iterator[Found | Refusal]:
        full = (line for line in self.lines(file, context.path) if not line.isspace())
        return (self.one(line, number) for number, line in enumerate(full, 1))


class Greedy(Toy):
    """Reads all before it gives anything."""

    def lines(self, file: BinaryIO, where: str) -> Iterator[bytes]:
        return job_file.lines(io.BytesIO(file.read()), where)


class OneRead(Toy):
    """Takes the first bytes for the whole file."""

    def lines(self, file: BinaryIO, where: str) -> Iterator[bytes]:
        return iter(file.read(1 << 24).splitlines(keepends=True))


class Moody(Toy):
    def record(self, thing: _Thing) -> Dataset:
        return msgspec.structs.replace(super().record(thing), description=str(random.random()))


class Unrecorded(Toy):
    """Puts what JSON cannot hold into a record."""

    def record(self, thing: _Thing) -> Dataset:
        return msgspec.structs.replace(super().record(thing), columns=[*map(Column, thing.columns)])


class Raising(Toy):
    """Trusts its input."""

    def one(self, line: bytes, number: int) -> Found | Refusal:
        return Found(self.record(self.thing(line)), number)


class Assuming(Toy):
    """Trusts the types of its input."""

    def thing(self, line: bytes) -> _Thing:
        data = msgspec.json.decode(line)
        return _Thing(data["thing"].strip(), data.get("columns", []))


class RaisingRecogniser(Toy):
    def recognises(self, name: str, head: bytes) -> bool:
        return "thing" in head.decode()


class Recursive(Toy):
    """Walks what is nested by calling itself."""

    def one(self, line: bytes, number: int) -> Found | Refusal:
        def depth(text: bytes) -> int:
            return 1 + depth(text[1:]) if text[:1] in (b"[", b"{", b"(", b"S") else 0

        depth(line)
        return super().one(line, number)


class Slow(Toy):
    def one(self, line: bytes, number: int) -> Found | Refusal:
        if len(line) > 1 << 20:
            started = time.process_time()
            while time.process_time() < started + 1.2:
                pass
        return super().one(line, number)

    def lines(self, file: BinaryIO, where: str) -> Iterator[bytes]:
        return iter(file)


class Talkative(Toy):
    """Shows what it refuses as it is."""

    def refused(self, line: bytes, number: int, error: Exception) -> Refusal:
        return msgspec.structs.replace(super().refused(line, number, error), sample=line.decode("utf-8", "replace"))


class Shouting(Toy):
    """Shows the text in the reason for refusing the file."""

    def one(self, line: bytes, number: int) -> Found | Refusal:
        found = super().one(line, number)
        if isinstance(found, Refusal):
            words = re.findall(r"[\w-]+", line.decode("utf-8", "replace"))  # as an error would not know to mask it
            raise BadInput(f"what is {' '.join(words)}", fix="write a thing")
        return found


_BYPASS = dataclasses.replace(subject(Silent), bypass={"good_files_give_records_and_no_refusal": " "})

#: check -> formats that it must reject, and with which words
BROKEN: dict[str, list[tuple[Subject, str]]] = {
    "good_files_give_records_and_no_refusal": [
        (subject(Silent), "gives no record"),
        (subject(Fussy), "is refused"),
        (_BYPASS, "a bypass needs a reason"),
    ],
    "good_files_are_recognised": [(subject(Shy), "is not recognised")],
    "bad_files_are_refused_with_place_and_reason": [
        (subject(Lenient), "is not refused"),
        (subject(Curt), "with other words"),
        (subject(Lost), "is refused at"),
        (subject(Helpless), "no fix"),
    ],
    "a_broken_line_takes_no_neighbour_down": [
        (subject(Giving), "took others down"),
        (subject(Lost), "refused is"),
        (subject(CountsFromZero), "refused is"),
    ],
    "places_are_right": [(subject(CountsFromZero), "have places"), (subject(CountsThings), "have places")],
    "lines_are_streamed": [(subject(Greedy), "before the first record")],
    "files_are_read_forward_only": [(subject(OneRead), "things.toy")],
    "reading_twice_gives_the_same": [(subject(Moody), "differs")],
    "records_survive_a_job_file": [(subject(Unrecorded), "things.toy")],
    "wild_bytes_raise_nothing_else": [(subject(Raising), "raised"), (subject(RaisingRecogniser), "raised Unicode")],
    "values_of_another_type_raise_nothing_else": [(subject(Assuming), "raised")],
    "deep_nesting_is_survived": [(subject(Recursive), "raised RecursionError")],
    "huge_lines_are_survived": [(subject(Slow), r"took \d")],
    "no_secret_comes_out": [(subject(Talkative), "shows its secret"), (subject(Shouting), "shows its secret")],
}
