"""Job files: what is written is read, what is damaged is refused before anything of it is used."""

from __future__ import annotations

import gzip
import io
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import job_file
from shared.errors import BadInput
from shared.job_file import FORMAT, Footer, Header, JobFileWriter, Progress, peek_header, read, verify
from shared.records import Address, Column, Container, Dataset, Found, Record, Refusal
from tests.support.generated_records import RECORDS

HEADER = Header(
    format=FORMAT, connector="sqlite", instance="shop", scope="main", scan="s1", part=0, base=Address("sqlite", "shop")
)
TABLE = Dataset(address=Address("sqlite", "shop", ("shop", "main", "orders")), columns=(Column("id"),))


def written(*records: Record, **footer: Any) -> bytes:
    out = io.BytesIO()
    writer = JobFileWriter(out, HEADER)
    for record in records:
        writer.write(record)
    writer.close(**footer)
    return out.getvalue()


def found(data: bytes) -> list[Found | Refusal]:
    return list(read(io.BytesIO(data), "file"))


def repacked(data: bytes, change: Any) -> bytes:
    return gzip.compress(b"\n".join(change(gzip.decompress(data).split(b"\n"))))


def test_a_file_is_its_header_its_records_and_its_footer() -> None:
    data = written(
        TABLE, Container(address=Address("sqlite", "shop")), last=True, parts=3, complete=True, progress=Progress("w")
    )
    header, footer = verify(io.BytesIO(data), "file")
    assert header == HEADER
    assert (footer.count, footer.last, footer.parts, footer.complete, footer.watermark) == (2, True, 3, True, "w")
    assert [(f.record, f.place) for f in found(data) if isinstance(f, Found)] == [
        (TABLE, 2),
        (Container(address=Address("sqlite", "shop")), 3),
    ]


def test_the_same_records_give_the_same_bytes() -> None:
    assert written(TABLE, last=True) == written(TABLE, last=True)


def test_no_records_at_all_are_a_file_too() -> None:
    _, footer = verify(io.BytesIO(written(last=True, parts=1)), "file")
    assert footer.count == 0 and found(written()) == []


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(RECORDS, max_size=6))
def test_every_record_comes_back(records: list[Record]) -> None:
    data = written(*records)
    verify(io.BytesIO(data), "file")
    assert [f.record for f in found(data) if isinstance(f, Found)] == records


def test_a_part_is_full_by_count_or_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_file, "PART_RECORDS", 2)
    writer = JobFileWriter(io.BytesIO(), HEADER)
    writer.write(TABLE)
    assert not writer.full
    writer.write(TABLE)
    assert writer.full
    monkeypatch.setattr(job_file, "PART_RECORDS", 10)
    monkeypatch.setattr(job_file, "PART_BYTES", writer.bytes)
    assert writer.full
    writer.close()


GOOD = written(TABLE, TABLE, last=True)
DAMAGED = {
    "empty": b"",
    "cut": GOOD[: len(GOOD) // 2],
    "cut near the end": GOOD[:-5],
    "another checksum": GOOD[:-8] + b"\0" * 8,
    "not gzip inside": GOOD[:20] + b"\xff" * 40,
    "no footer": repacked(GOOD, lambda lines: [*lines[:-2], b""]),
    "a record less": repacked(GOOD, lambda lines: [lines[0], *lines[2:]]),
    "a record more": repacked(GOOD, lambda lines: [lines[0], lines[1], *lines[1:]]),
    "another record": repacked(GOOD, lambda lines: [lines[0], lines[1].replace(b"orders", b"orderz"), *lines[2:]]),
    "only a header": repacked(GOOD, lambda lines: [*lines[:1], b""]),
    "no header": repacked(GOOD, lambda lines: lines[1:]),
    "another format": repacked(GOOD, lambda lines: [lines[0].replace(b"records/1", b"records/9"), *lines[1:]]),
    "header of another shape": repacked(GOOD, lambda lines: [lines[0].replace(b'"scan"', b'"scam"'), *lines[1:]]),
    "header that is no UTF-8": repacked(GOOD, lambda lines: [lines[0].replace(b"shop", b"sh\xffp"), *lines[1:]]),
    "footer that is no UTF-8": repacked(GOOD, lambda lines: [*lines[:-2], lines[-2].replace(b"last", b"l\xffst"), b""]),
    "header without end": b"[" * 100_000,
    "footer without end": repacked(GOOD, lambda lines: [*lines[:-2], b"[" * 100_000, b""]),
    "plain text": b"id,name\n1,x\n",
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_refused_with_a_reason(name: str) -> None:
    with pytest.raises(BadInput) as refused:
        verify(io.BytesIO(DAMAGED[name]), "landing/x.jsonl.gz")
    assert refused.value.where == "landing/x.jsonl.gz"
    assert refused.value.what and refused.value.fix


def test_a_footer_counts_and_digests() -> None:
    data = repacked(GOOD, lambda lines: [lines[0], lines[2], lines[1], *lines[3:]])
    verify(io.BytesIO(data), "file")  # two equal records in either order
    other = written(TABLE, Container(address=Address("sqlite", "shop")))
    with pytest.raises(BadInput, match="another digest"):
        verify(io.BytesIO(repacked(other, lambda lines: [lines[0], lines[2], lines[1], *lines[3:]])), "file")


# ---- plain lines, as people write them


def test_lines_without_header_and_footer() -> None:
    lines = b'\xef\xbb\xbf{"kind":"container","address":{"platform":"sqlite","host":"shop"}}\r\n\n  \n' + (
        b'{"kind":"container","address":{"platform":"sqlite","host":"two"}}'
    )
    assert [f.place for f in found(lines) if isinstance(f, Found)] == [1, 4]
    assert len(found(gzip.compress(lines))) == 2


BAD_LINES = {
    "not JSON": b"{kind: container}",
    "a typo in a field": b'{"kind":"container","adress":{}}',
    "no kind": b'{"address":{"platform":"sqlite"}}',
    "another kind": b'{"kind":"tabel","address":{"platform":"sqlite"}}',
    "a wrong type": b'{"kind":"container","address":"sqlite"}',
    "no UTF-8": b'{"kind":"container","address":{"platform":"sql\xffite"}}',
    "without end": b"[" * 100_000,
    "a list": b"[]",
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_line_that_is_no_record_is_refused_alone(name: str) -> None:
    good = b'{"kind":"container","address":{"platform":"sqlite","host":"shop"}}\n'
    first, refused, last = found(good + BAD_LINES[name] + b"\n" + good)
    assert isinstance(first, Found) and isinstance(last, Found) and isinstance(refused, Refusal)
    assert refused.place == "line 2" and refused.rule == "record" and refused.fix
    assert len(refused.sample) <= job_file.SAMPLE


def test_a_refused_line_shows_no_credentials() -> None:
    (refused,) = found(b'{"url":"postgresql://app:hunter2@db/x","password":"hunter3",' + b"x" * 9_000)
    assert isinstance(refused, Refusal)
    assert "hunter" not in refused.sample and "***" in refused.sample


def test_a_line_too_long_refuses_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_file, "MAX_LINE", 100)
    with pytest.raises(BadInput, match="line 2 is longer than 100 bytes"):
        found(b"{}\n" + b"x" * 101)


def test_a_small_file_that_grows_without_end_takes_no_memory() -> None:
    bomb = gzip.compress(b"\0" * 100_000_000)
    assert len(bomb) < 100_000
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match="longer than"):
            found(bomb)
        assert tracemalloc.get_traced_memory()[1] < 4 * job_file.MAX_LINE
    finally:
        tracemalloc.stop()


def test_a_file_that_is_not_ours_stays_open() -> None:
    file = io.BytesIO(GOOD)
    verify(file, "file")
    file.seek(0)
    assert len(list(read(file, "file"))) == 2
    some = read(file, "file")
    file.seek(0)
    next(some)
    some.close()  # type: ignore[attr-defined]
    assert not file.closed


def test_the_header_can_be_seen_from_the_first_bytes() -> None:
    assert peek_header(GOOD[:4096]) == HEADER
    assert peek_header(gzip.decompress(GOOD)[:4096]) == HEADER
    for head in (b"", b"\x1f\x8b", b"\x1f\x8bnothing", b"{}", b"\xff\xff", b"[" * 100_000, b"id,name"):
        assert peek_header(head) is None


def test_a_header_or_footer_in_between_is_no_record() -> None:
    whole = gzip.decompress(GOOD)
    assert [f.place for f in found(whole + whole) if isinstance(f, Found)] == [2, 3, 6, 7]


def test_unknown_fields_are_refused_in_header_and_footer() -> None:
    assert Footer(count=1, digest="x").last is False
    with pytest.raises(BadInput):
        verify(io.BytesIO(repacked(GOOD, lambda lines: [*lines[:-2], lines[-2][:-1] + b',"extra":1}', b""])), "file")
