"""Records that wait for the end of their file, on disk, so that memory stays flat."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator
from types import TracebackType

import msgspec

from shared.records import Deleted, Process

#: kept in memory up to here
SPOOL_BYTES = 4 * 1024 * 1024


class Waiting(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """derived: the process of a view or report, which is no record of its own."""

    place: int | str
    record: Process | Deleted
    derived: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Waiting).decode


class Spool:
    """A context manager; iterating gives what was added, in that order."""

    def __enter__(self) -> Spool:
        self._file = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)
        self._lengths = array("Q")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def add(self, waiting: Waiting) -> int:
        """Returns its number, from 0. Raises UnicodeEncodeError for text that is not valid Unicode."""
        line = _encode(waiting)
        self._file.write(line)
        self._lengths.append(len(line))
        return len(self._lengths) - 1

    def __iter__(self) -> Iterator[Waiting]:
        self._file.seek(0)
        for length in self._lengths:
            yield _decode(self._file.read(length))
