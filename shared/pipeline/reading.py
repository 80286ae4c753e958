"""A landed file -> records: which format it is, whether it is whole, and then one record after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

import msgspec

from connectors import FORMATS, format_class
from connectors.format import HEAD_BYTES, FileContext
from shared import job_file
from shared.errors import BadInput
from shared.job_file import Footer, Header
from shared.records import Address, Found, Refusal

#: a gzip file may grow this much; beyond it somebody is trying to fill the machine
MAX_RATIO = 200
MAX_UNPACKED = 64 * 1024 * 1024


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was recognised and found whole. header and footer only for job files that extract wrote."""

    path: str
    format: str
    found: Iterator[Found | Refusal]
    header: Header | None = None
    footer: Footer | None = None
    repeats: str = "newer"


def read(
    opened: Callable[[], BinaryIO],
    path: str,
    *,
    size: int,
    max_bytes: int,
    instances: Mapping[str, Address] | None = None,
) -> Reading:
    """Recognise and check a file. `opened` gives a fresh stream; it is called two or three times.

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
    header = job_file.peek_header(head)
    if header is not None:
        with opened() as stream:
            header, footer = job_file.verify(stream, path)
        return Reading(
            path=path, format="records", found=_records(opened, path), header=header, footer=footer, repeats="refuse"
        )
    from connectors.formats.detect import detect

    kind = detect(path, head, [format_class(name) for name in FORMATS])
    context = FileContext(path=path, size=size, instances=instances or {})
    return Reading(
        path=path,
        format=kind.name,
        found=_bounded(kind().read, opened, context),
        repeats="refuse" if kind.name in ("records", "atlas_json") else "newer",
    )


def _records(opened: Callable[[], BinaryIO], path: str) -> Iterator[Found | Refusal]:
    with opened() as stream:
        yield from job_file.read(stream, path)


def _bounded(
    read_format: Callable[[BinaryIO, FileContext], Iterator[Found | Refusal]],
    opened: Callable[[], BinaryIO],
    context: FileContext,
) -> Iterator[Found | Refusal]:
    with opened() as stream:
        yield from read_format(stream, context)
