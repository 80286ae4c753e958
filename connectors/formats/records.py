"""Records: Hookline's own job files, and records that people write by hand as JSON Lines.

What `extract` lands has a header and a footer and is checked as a whole by the pipeline (`job_file.verify`) before it
is read. An upload may leave both out: one record a line, as docs/formats/records.md describes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, get_args

import msgspec

from connectors.format import HEAD_BYTES, FileContext, Format
from connectors.formats.json_stream import opened, starts_like_json
from shared import job_file
from shared.records import Found, Record, Refusal

_KINDS = frozenset({"header", *(kind.__struct_config__.tag for kind in get_args(Record))})


class _Kind(msgspec.Struct):
    kind: str


_kind = msgspec.json.Decoder(_Kind).decode


class Records(Format):
    name = "records"
    title = "Hookline's own records, one a line: containers, datasets, reports, processes, queries"
    looks_like = '.jsonl or .jsonl.gz, each line {"kind": "dataset", "address": {...}, ...}'
    folders = ("job_files",)

    def recognises(self, name: str, head: bytes) -> bool:  # noqa: ARG002
        line, newline, _ = starts_like_json(head).partition(b"\n")
        if b'"kind"' not in line:
            return False
        if not newline and len(head) >= HEAD_BYTES:  # the first line goes on behind what there is to see
            start = line[:40].replace(b" ", b"")
            return any(start.startswith(b'{"kind":"%b"' % kind.encode()) for kind in _KINDS)
        try:
            return _kind(line).kind in _KINDS
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False

    def read(self, file: BinaryIO, context: FileContext) -> Iterator[Found | Refusal]:
        """Every line that is no record is refused. Raises BadInput: empty, damaged, no JSON, a line too long."""
        stream, _ = opened(file, context.path, "record")
        for item in job_file.read(stream, context.path):
            if isinstance(item, Refusal):
                from shared.settings.redact import redact

                item = msgspec.structs.replace(item, sample=redact(item.sample))  # noqa: PLW2901
            yield item
