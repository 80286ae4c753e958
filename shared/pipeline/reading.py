"""A landed file -> records: which format it is, whether it is whole, and then one record after the other."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, cast

import msgspec

from connectors import FORMATS, format_class
from connectors.format import HEAD_BYTES, Alone, FileContext, Folder
from shared import job_file
from shared.errors import BadInput
from shared.job_file import Footer, Header
from shared.lineage.known import Schemas
from shared.records import Address, Found, Refusal

#: a gzip file may grow this much, or to this many bytes; beyond it somebody is trying to keep the machine busy
MAX_RATIO = 200
MAX_UNPACKED = 64 * 1024 * 1024
_DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was recognised and found whole. header and footer only for job files that extract wrote."""

    path: str
    format: str
    found: Iterator[Found | Refusal]
    header: Header | None = None
    footer: Footer | None = None
    repeats: str = "newer"
    may_be_empty: bool = False
    wants_columns: bool = False


def read(
    opened: Callable[[], BinaryIO],
    path: str,
    *,
    size: int,
    max_bytes: int,
    instances: Callable[[], Mapping[str, Address]] = dict,
    schemas: Schemas | None = None,
    folder: Folder | None = None,
) -> Reading:
    """Recognise and check a file. `opened` gives a fresh stream; it is called two or three times.

    instances: base addresses, asked for only where a file may name one.
    schemas: columns of tables that SQL in it names.
    folder: the files beside it.

    Raises BadInput when nothing of the file can be used.
    """
    if size == 0:
        raise BadInput("the file is empty", where=path, fix="upload it again")
    if size > max_bytes:
        raise BadInput(
            f"the file has {size:,} bytes, more than {max_bytes:,}",
            where=path,
            fix="split it (JSON Lines can be split at any line), or raise limits.file_bytes in hookline.yaml",
        )
    with opened() as stream:
        head = stream.read(HEAD_BYTES)
    plain = unpacked(opened, path, size) if job_file.is_gzip(head) else opened
    header = job_file.peek_header(head)
    if header is not None:
        with plain() as stream:
            header, footer = job_file.verify(stream, path)
        return Reading(
            path=path, format="records", found=_records(plain, path), header=header, footer=footer, repeats="refuse"
        )
    from connectors.formats.detect import detect

    kind = detect(path, head, [format_class(name) for name in FORMATS])
    context = FileContext(
        path=path, size=size, instances=instances(), schemas=schemas or Schemas(), folder=folder or Alone()
    )
    return Reading(
        path=path,
        format=kind.name,
        found=_as_far_as_it_goes(_found(kind().read, plain, context)),
        repeats="refuse" if kind.name in ("records", "atlas_json") else "newer",
        may_be_empty=kind.may_be_empty,
        wants_columns=kind.wants_columns,
    )


def unpacked(opened: Callable[[], BinaryIO], path: str, size: int) -> Callable[[], BinaryIO]:
    """The same for what is in a gzip file of `size` bytes; the streams raise BadInput where it is damaged or a bomb."""
    most = max(MAX_UNPACKED, size * MAX_RATIO)
    return lambda: cast(BinaryIO, io.BufferedReader(_Unpacked(opened(), path, most), 1 << 18))


def check_not_empty(reading: Reading) -> None:
    """Raises BadInput: no record and no refusal came out of a file of which something has to come out."""
    if not reading.may_be_empty:
        fix = "see docs/formats for what it may hold"
        raise BadInput("the file holds nothing to transform", where=reading.path, fix=fix)


def _records(opened: Callable[[], BinaryIO], path: str) -> Iterator[Found | Refusal]:
    with opened() as stream:
        yield from job_file.read(stream, path)


def _found(
    read_format: Callable[[BinaryIO, FileContext], Iterator[Found | Refusal]],
    opened: Callable[[], BinaryIO],
    context: FileContext,
) -> Iterator[Found | Refusal]:
    with opened() as stream:
        yield from read_format(stream, context)


def _as_far_as_it_goes(found: Iterator[Found | Refusal]) -> Iterator[Found | Refusal]:
    """What can be used of a file that turns out to be damaged further on; what cannot is one refusal at the end."""
    last = ""
    try:
        for item in found:
            last = item.where if isinstance(item, Found) else item.place
            yield item
    except BadInput as error:
        if not last:
            raise
        yield Refusal(place=f"behind {last}", rule=type(error).__name__, reason=error.what, fix=error.fix)


class _Unpacked(io.RawIOBase):
    """A gzip file's content, up to `most` bytes of it. Raises BadInput: damaged, or more than that."""

    def __init__(self, packed: BinaryIO, where: str, most: int) -> None:
        self._packed = packed
        self._gzip = gzip.GzipFile(fileobj=packed)
        self._where = where
        self._most = most
        self._count = 0

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._packed.close()
        super().close()

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        try:
            data = self._gzip.read(len(view))
        except _DAMAGED as error:
            raise BadInput(
                f"the file is damaged or cut off ({error})",
                where=self._where,
                fix="upload it again; scan the instance again if it was extracted",
            ) from error
        self._count += len(data)
        if self._count > self._most:
            raise BadInput(
                f"the file unpacks to more than {self._most:,} bytes",
                where=self._where,
                fix="split it, or upload it unpacked",
            )
        view[: len(data)] = data
        return len(data)
