"""Job files: how records lie in landing.

JSON Lines, gzip: a header, the records, a footer.

    {"kind":"header","format":"records/1","connector":"postgresql","instance":"crm","scope":"public", ...}
    {"kind":"container", ...}
    {"kind":"dataset", ...}
    {"kind":"footer","count":2,"digest":"9f..","last":true,"complete":true}

The footer makes a truncated or edited file recognisable before anything of it is sent: `verify` reads a file once and
returns its header and footer, or raises BadInput; only then is it read again for its records. A job file holds no
credential and can be transformed without access to its source.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from typing import IO, BinaryIO, NamedTuple, cast

import msgspec

from shared.errors import BadInput
from shared.records import Address, Found, Record, Refusal
from shared.settings.redact import redact
from shared.settings.redact_sql import redact_code

FORMAT = "records/1"
#: a part is closed at the first Cursor after either bound, so that one transform call is bounded
PART_RECORDS = 20_000
PART_BYTES = 16 * 1024 * 1024
#: one record's line; Purview takes no entity above 2 MB anyway
MAX_LINE = 8 * 1024 * 1024
SAMPLE = 2_000
#: Windows tools put it in front of UTF-8
_BOM = b"\xef\xbb\xbf"
#: read at once: a few hundred records
_BLOCK = 1 << 16


class Header(
    msgspec.Struct,
    frozen=True,
    tag_field="kind",
    tag="header",
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """First line. `base` is the source's server address; `since` the watermark it started from; `started` RFC 3339."""

    format: str
    connector: str
    instance: str
    scope: str
    scan: str
    part: int
    base: Address
    since: str = ""
    started: str = ""


class Footer(
    msgspec.Struct,
    frozen=True,
    tag_field="kind",
    tag="footer",
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """Last line. count: records in this part; digest: over their lines.

    last: no part follows; parts: how many there are then. complete: the scan saw everything its scope holds, so what
    is missing from it is gone. watermark: where the next incremental scan starts.
    position: where the source goes on behind this part; records, assets, refused: what the scan counts in it. With
    these a scan goes on behind a part whose worker died before it could note that the part had landed.
    """

    count: int
    digest: str
    last: bool = False
    parts: int = 0
    complete: bool = False
    watermark: str = ""
    position: str = ""
    records: int = 0
    assets: int = 0
    refused: int = 0


class Progress(NamedTuple):
    """What a footer says of a part beyond its lines; see Footer."""

    watermark: str = ""
    position: str = ""
    records: int = 0
    assets: int = 0
    refused: int = 0


#: how each text of a record is masked; SQL so that its lineage stays the same
_TEXTS = {"sql": redact_code, "definitions": redact_code, "description": redact, "url": redact}
_encode = msgspec.json.Encoder().encode
_line_decoder = msgspec.json.Decoder(Header | Record | Footer)
_decode_line = _line_decoder.decode
_decode_block = _line_decoder.decode_lines
_decode_header = msgspec.json.Decoder(Header).decode
#: what a decoder raises: not JSON or not of the shape, not UTF-8, nested without end
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class JobFileWriter:
    """Writes one part into `stream`. Deterministic: the same header and records give the same bytes."""

    def __init__(self, stream: IO[bytes], header: Header) -> None:
        self._gzip = gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=6, mtime=0, filename="")
        self._digest = hashlib.blake2b(digest_size=16)
        self._gzip.write(_encode(header) + b"\n")
        self.count = 0
        self.bytes = 0

    @property
    def full(self) -> bool:
        return self.count >= PART_RECORDS or self.bytes >= PART_BYTES

    def write(self, record: Record) -> None:
        line = _encode(_masked(record)) + b"\n"
        self._digest.update(line)
        self._gzip.write(line)
        self.count += 1
        self.bytes += len(line)

    def close(
        self, *, last: bool = False, parts: int = 0, complete: bool = False, progress: Progress | None = None
    ) -> Footer:
        footer = Footer(
            count=self.count,
            digest=self._digest.hexdigest(),
            last=last,
            parts=parts,
            complete=complete,
            **(progress or Progress())._asdict(),
        )
        self._gzip.write(_encode(footer) + b"\n")
        self._gzip.close()
        return footer

    def drop(self) -> None:
        """Leave the part unfinished; before `stream` is closed."""
        self._gzip.close()


def _masked(record: Record) -> Record:
    """The record without the credentials that people have left in its texts: SQL, descriptions, properties."""
    changed: dict[str, object] = {}
    for name, mask in _TEXTS.items():
        text = getattr(record, name, "")
        if text and (masked := mask(text)) != text:
            changed[name] = masked
    properties: dict[str, str] = getattr(record, "properties", {})
    for key, text in properties.items():
        if (masked := redact(text)) != text:
            changed["properties"] = {**cast("dict[str, str]", changed.get("properties", properties)), key: masked}
    return msgspec.structs.replace(record, **changed) if changed else record


def is_gzip(head: bytes) -> bool:
    return head[:2] == b"\x1f\x8b"


def blocks(file: BinaryIO, where: str) -> Iterator[bytes]:
    """A gzip or plain JSON Lines file in blocks of whole lines. Raises BadInput: damaged, or a line too long."""
    buffered = file if isinstance(file, io.BufferedReader) else io.BufferedReader(file, 1 << 20)  # type: ignore[type-var]
    packed = is_gzip(buffered.peek(2)[:2])
    # around GzipFile as well: its own readline is Python, and half as fast
    stream = io.BufferedReader(gzip.GzipFile(fileobj=buffered), 1 << 16) if packed else buffered
    number = 0
    try:
        while block := stream.read1(_BLOCK):
            if not number:
                block = block.removeprefix(_BOM)
            whole = block.rfind(b"\n") + 1
            if whole:
                number += block.count(b"\n")
                yield block[:whole]
            if begun := block[whole:]:
                number += 1
                line = begun + stream.readline(MAX_LINE + 1 - len(begun))
                if len(line) > MAX_LINE:
                    what = f"line {number} is longer than {MAX_LINE:,} bytes"
                    raise BadInput(what, where=where, fix="split the record")
                yield line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(
            f"the file is damaged or cut off ({error})",
            where=where,
            fix="upload it again; scan the instance again if it was extracted",
        ) from error
    finally:
        if buffered is not file:
            buffered.detach()  # or it would close a file that is not ours


def lines(file: BinaryIO, where: str) -> Iterator[bytes]:
    """Lines of a gzip or plain JSON Lines file, newline included. Raises BadInput like `blocks`."""
    for block in blocks(file, where):
        yield from io.BytesIO(block)


def verify(file: BinaryIO, where: str) -> tuple[Header, Footer]:
    """Read a whole job file and check it: header, every line counted and digested, footer.

    Raises BadInput: not a job file, another format version, cut off, edited.
    """
    digest = hashlib.blake2b(digest_size=16)
    header: Header | None = None
    count, held = 0, b""
    again = "scan the instance again; job files are not for editing (write plain records without header and footer)"
    for block in blocks(file, where):
        if header is None:
            first, _, block = block.partition(b"\n")  # noqa: PLW2901
            header = _header(first, where)
            if not block:
                continue
        digest.update(held)
        last_line = block.rfind(b"\n", 0, -1) + 1
        digest.update(memoryview(block)[:last_line])
        held = block[last_line:]
        count += _lines_in(block)
    if header is None:
        raise BadInput("the file is empty", where=where, fix="upload it again")
    try:
        footer = _decode_line(held) if held else None
    except _NOT_JSON:
        footer = None
    if not isinstance(footer, Footer):
        raise BadInput(f"the job file has no footer: it was cut off after {count} records", where=where, fix=again)
    count -= 1
    if footer.count != count or footer.digest != digest.hexdigest():
        raise BadInput(
            f"the job file was changed after it was written: {count} records, its footer says {footer.count}"
            + ("" if footer.count != count else " with another digest"),
            where=where,
            fix=again,
        )
    return header, footer


def _lines_in(block: bytes) -> int:
    return block.count(b"\n") + (not block.endswith(b"\n"))


def _header(line: bytes, where: str) -> Header:
    try:
        header = _decode_header(line)
    except _NOT_JSON as error:
        raise BadInput(
            f"line 1 is no job file header: {error}",
            where=where,
            fix="upload records, or scan the instance again",
        ) from error
    if header.format != FORMAT:
        raise BadInput(
            f"job file format {header.format!r} is not {FORMAT!r}",
            where=where,
            fix="scan the instance again with this version",
        )
    return header


def peek_header(head: bytes) -> Header | None:
    """The header, if these first bytes (gzip or plain) are those of a job file."""
    try:
        if is_gzip(head):
            head = zlib.decompressobj(wbits=31).decompress(head, 1 << 16)
        return _decode_header(head.removeprefix(_BOM).split(b"\n", 1)[0])
    except (*_NOT_JSON, zlib.error):
        return None


def read(file: BinaryIO, where: str) -> Iterator[Found | Refusal]:
    """Records of a job file (run `verify` first) or of plain JSON Lines records, with their line numbers."""
    number = 0
    for block in blocks(file, where):
        count = _lines_in(block)
        try:
            records = _decode_block(block)
        except _NOT_JSON:
            records = []
        if len(records) == count:
            for place, record in enumerate(records, number + 1):
                if not isinstance(record, (Header, Footer)):
                    yield Found(record, place)
        else:  # a line that is blank, or no record
            yield from _one_by_one(block, number + 1)
        number += count


def _one_by_one(block: bytes, first: int) -> Iterator[Found | Refusal]:
    for number, line in enumerate(io.BytesIO(block), first):
        try:
            record = _decode_line(line)
        except _NOT_JSON as error:
            if line.isspace():
                continue
            yield Refusal(
                place=f"line {number}",
                rule="record",
                reason=f"not a record: {error}",
                fix="one JSON object a line, with `kind` and the fields of docs/formats/records.md",
                sample=redact(line[: 4 * SAMPLE].decode("utf-8", "replace"))[:SAMPLE],
            )
            continue
        if not isinstance(record, (Header, Footer)):
            yield Found(record, number)
