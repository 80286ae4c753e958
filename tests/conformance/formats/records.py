"""Records: hand-written lines, and a job file as extract lands it."""

from __future__ import annotations

import gzip
import io

from connectors.formats.records import Records
from shared.job_file import FORMAT, Header, JobFileWriter
from shared.records import Address, Column, Container, Dataset, Process
from tests.conformance.formats.subject import SECRET, Bad, Subject

SHOP = Address("sqlite", "shop", (), "server")
ORDERS = SHOP.at("shop", "main", "orders")


def _job_file() -> bytes:
    stream = io.BytesIO()
    header = Header(format=FORMAT, connector="sqlite", instance="shop", scope="main", scan="s1", part=1, base=SHOP)
    writer = JobFileWriter(stream, header)
    writer.write(Container(address=SHOP))
    writer.write(Dataset(address=ORDERS, columns=(Column("id", "INTEGER", key="primary"), Column("state", "TEXT"))))
    writer.write(
        Process(address=SHOP.at("nightly", type="job"), inputs=(ORDERS,), outputs=(SHOP.at("shop", "main", "days"),))
    )
    writer.close(last=True, parts=1)
    return stream.getvalue()


def line(number: int) -> bytes:
    return b'{"kind":"dataset","address":{"platform":"box","host":"h","path":["d","t%d"]}}' % number


LINES = b"\n".join(map(line, range(1, 4)))

SUBJECT = Subject(
    format=Records,
    good={
        "lines.jsonl": LINES,
        "spaced.jsonl": b'{"kind": "container", "address": {"platform": "box", "host": "h", "type": "server"}}\n',
        "marked.jsonl": b"\xef\xbb\xbf" + LINES,
        "packed.jsonl.gz": gzip.compress(LINES),
        "landed.jsonl.gz": _job_file(),
    },
    bad={
        "an unknown field": Bad(line(1) + b'\n{"kind":"dataset","adress":{}}', "unknown field `adress`", "line 2"),
        "an unknown kind": Bad(b'{"kind":"dataste"}\n' + line(1), "dataste", "line 1"),
        "a wrong type": Bad(b'{"kind":"container","address":{"platform":7}}\n', "Expected `str`", "line 1"),
        "an empty file": Bad(b"", "empty"),
        "HTML": Bad(b"<!doctype html>\n<p>not found", "HTML"),
        "UTF-16": Bad('{"kind":"x"}'.encode("utf-16"), "UTF-8"),
        "a damaged archive": Bad(gzip.compress(LINES)[:-12], "damaged or cut off"),
    },
    line=line,
    secret={"typo.jsonl": b'{"kind":"dataset","sql":"x","password":"%b"}' % SECRET.encode()},
)
