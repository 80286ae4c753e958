"""The records format beyond what every format must do."""

from __future__ import annotations

import io
import tracemalloc

import pytest

from connectors.format import FileContext
from connectors.formats.records import Records
from shared.errors import BadInput
from shared.records import Found, Refusal

LINE = b'{"kind":"dataset","address":{"platform":"box","host":"h","path":["d","t%d"]}}\n'
CONTEXT = FileContext(path="uploads/records/x.jsonl")


def test_places_are_line_numbers_in_the_file() -> None:
    content = b"\n" + LINE % 1 + b"\n\n" + b"{}\n" + LINE % 2
    found = list(Records().read(io.BytesIO(content), CONTEXT))
    assert [i.place for i in found] == [2, "line 5", 6]


def test_every_line_wrong_is_every_line_refused() -> None:
    found = list(Records().read(io.BytesIO(b"{}\n{}\n"), CONTEXT))
    assert [i.place for i in found if isinstance(i, Refusal)] == ["line 1", "line 2"]


def test_a_line_beyond_the_limit_ends_the_file() -> None:
    content = LINE % 1 + b'{"kind":"' + b"x" * (8 * 1024 * 1024) + b'"}\n'
    with pytest.raises(BadInput, match="line 2 is longer"):
        list(Records().read(io.BytesIO(content), CONTEXT))


def test_memory_does_not_grow_with_the_file() -> None:
    def peak(lines: int) -> int:
        file = io.BytesIO(b"".join(LINE % n for n in range(lines)))
        tracemalloc.start()
        assert sum(isinstance(i, Found) for i in Records().read(file, CONTEXT)) == lines
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(100)
    assert peak(40_000) < peak(20_000) + 200_000
