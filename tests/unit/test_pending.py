"""What was sent and not seen yet: noted before it is sent, found by its answer, in any number of chunks."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator

import pytest
from azure.storage.blob import ContainerClient
from hypothesis import given, settings
from hypothesis import strategies as st

from local.azurite import Azurite
from shared.naming import Name
from shared.state import BlobTable
from shared.state import pending as module
from shared.state.pending import Chunk, Expected, Keys, Pending, identity
from tests.support.azurite import azurite  # noqa: F401

SENT = "2026-01-01T00:00:00.000000Z"
RUN = "20260101000000000000"


@pytest.fixture
def container(azurite: Azurite) -> Iterator[ContainerClient]:
    name = f"t{secrets.token_hex(6)}"
    with ContainerClient.from_connection_string(azurite.connection_string, name) as client:
        yield client


@pytest.fixture
def pending(container: ContainerClient) -> Pending:
    return Pending(BlobTable(container, "pending"))


def names(*numbers: int) -> list[Expected]:
    return [("create", Name("hive_table", f"db.t{n}@prod")) for n in numbers]


def ids(*numbers: int) -> list[int]:
    return [identity(*expected) for expected in names(*numbers)]


def test_what_is_noted_is_confirmed_bit_by_bit(pending: Pending) -> None:
    chunk = Chunk("crm/s1/00000.jsonl.gz", RUN, 0)
    assert pending.expect(chunk, names(*range(20)), SENT) == (20, 0)
    assert pending.answered(chunk, [*ids(3), 12345]) == ids(3)
    assert pending.confirm(chunk, ids(3, 4, 99)) == 2
    assert pending.confirm(chunk, ids(3, 4)) == 0, "no news"
    seen = pending.seen(chunk)
    assert seen is not None
    assert (seen.count, seen.missing) == (20, 18)
    assert {n.qualified_name for _, n in pending.missing(chunk)} == {
        f"db.t{n}@prod" for n in range(20) if n not in (3, 4)
    }
    assert pending.confirm(chunk, ids(*range(20))) == 18
    assert pending.missing(chunk) == []


def test_a_deletion_is_answered_by_a_deletion(pending: Pending) -> None:
    chunk = Chunk("a", RUN, 0)
    table = Name("hive_table", "db.t@prod")
    assert pending.expect(chunk, [("delete", table), ("create", Name("hive_table", "db.u@prod"))], SENT) == (1, 1)
    assert pending.answered(chunk, [identity("create", table)]) == []
    assert pending.answered(chunk, [identity("delete", table)]) == [identity("delete", table)]
    assert identity("update", table) == identity("create", table)


def test_of_one_name_the_last_word_counts(pending: Pending) -> None:
    chunk, table = Chunk("a", RUN, 0), Name("hive_table", "db.t@prod")
    assert pending.expect(chunk, [("create", table), ("delete", table)], SENT) == (0, 1)
    assert pending.expect(chunk, [("delete", table), ("create", table), ("create", table)], SENT) == (1, 0)


def test_names_are_recognised_as_purview_spells_them() -> None:
    said = Name("azure_blob_path", "https://Acme.blob.core.windows.net/Landing/x")
    heard = Name("azure_blob_path", "https://acme.blob.core.windows.net/Landing/x")
    assert identity("create", said) == identity("create", heard)


@pytest.mark.parametrize("path", ["uploads/a|b|00001/c.json", "a" * 900, "ä/ö ü.json", "x|y"])
def test_any_path(pending: Pending, path: str) -> None:
    chunk = Chunk(path, RUN, 3)
    pending.expect(chunk, names(1), SENT)
    assert list(pending.all()) == [chunk]


def test_one_listing_finds_everything_and_reads_nothing(pending: Pending, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = [Chunk(f"f{n}", RUN, part) for n in range(3) for part in range(2)]
    for chunk in chunks:
        pending.expect(chunk, names(1), SENT)
    monkeypatch.setattr(BlobTable, "get", lambda *_, **__: pytest.fail("a row was read"))
    assert sorted(pending.all()) == chunks


def test_runs_are_kept_apart(pending: Pending) -> None:
    for run in (RUN, RUN[:-1] + "1"):
        for number in range(3):
            pending.expect(Chunk("f", run, number), names(number), SENT)
    assert [chunk.number for chunk, _ in pending.of("f", RUN)] == [0, 1, 2]
    pending.remove("f", RUN)
    assert list(pending.of("f", RUN)) == []
    assert len(list(pending.all())) == 3


def test_what_is_left_of_a_removal_can_still_be_removed(pending: Pending, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the middle of it."""
    for number in range(3):
        pending.expect(Chunk("f", RUN, number), names(number), SENT)
    real, calls = BlobTable.delete, []

    def dies(self: BlobTable, *args: str, **options: object) -> bool:
        calls.append(args)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(BlobTable, "delete", dies)
        with pytest.raises(KeyboardInterrupt):
            pending.remove("f", RUN)
    assert [chunk.number for chunk, _ in pending.of("f", RUN)] == [0, 1]
    pending.remove("f", RUN)
    assert list(pending.all()) == []


def test_what_was_confirmed_is_carried_into_the_next_run(pending: Pending) -> None:
    pending.expect(Chunk("f", "1", 0), names(*range(10)), SENT)
    pending.expect(Chunk("f", "1", 1), [("delete", Name("hive_table", "db.x@prod")), *names(20)], SENT)
    pending.expect(Chunk("f", "1", 2), names(30), SENT)
    pending.confirm(Chunk("f", "1", 0), ids(2, 5))
    pending.confirm(Chunk("f", "1", 1), [identity("delete", Name("hive_table", "db.x@prod"))])
    carried = pending.carry("f", "1", "2", SENT)
    assert (carried.sent, carried.deleted, len(carried.chunks)) == (2, 1, 2)
    assert all(seen.missing == 0 for _, seen in pending.of("f", "2"))
    assert carried.holds(*names(5)[0])
    assert not carried.holds(*names(6)[0])
    assert carried.holds("delete", Name("hive_table", "db.x@prod"))
    assert not carried.holds("create", Name("hive_table", "db.x@prod"))


def test_marked_as_seen_from_the_start(pending: Pending) -> None:
    for count in (1, 7, 8, 9, 64):
        chunk = Chunk("f", str(count), 0)
        pending.expect(chunk, names(*range(count)), SENT, seen=True)
        seen = pending.seen(chunk)
        assert seen is not None
        assert seen.missing == 0


def test_many_workers_confirm_at_once(pending: Pending, container: ContainerClient) -> None:
    chunk = Chunk("f", RUN, 0)
    pending.expect(chunk, names(*range(64)), SENT)
    workers = [Pending(BlobTable(container, "pending")) for _ in range(4)]
    news: list[int] = []
    threads = [
        threading.Thread(target=lambda w=w, n=n: news.append(w.confirm(chunk, ids(*range(n * 16, n * 16 + 20)))))  # type: ignore[misc]
        for n, w in enumerate(workers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = pending.seen(chunk)
    assert seen is not None
    assert seen.missing == 0
    assert sum(news) == 64, "each is news to one of them"


def test_a_worker_remembers_a_bounded_number_of_keys(pending: Pending, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHED_KEYS", 10)
    for number in range(5):
        pending.expect(Chunk("f", RUN, number), names(*range(number * 4, number * 4 + 4)), SENT)
    for _ in range(2):
        for number in range(5):
            assert pending.answered(Chunk("f", RUN, number), ids(number * 4)) == ids(number * 4)
    assert sum(map(len, pending._keys.values())) <= 10


def test_and_of_chunks_and_forgets_those_that_are_over(pending: Pending, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are small and many: it is the chunks that would pile up, not their keys."""
    monkeypatch.setattr(module, "CACHED_CHUNKS", 3)
    for number in range(5):
        chunk = Chunk("f", RUN, number)
        pending.expect(chunk, names(number), SENT)
        assert pending.answered(chunk, ids(number)) == ids(number)
    assert [chunk.number for chunk in pending._keys] == [2, 3, 4]
    pending.remove("f", RUN)
    assert (len(pending._keys), pending._cached) == (0, 0)


def test_a_chunk_that_is_being_written_is_not_taken_for_an_empty_one(pending: Pending) -> None:
    chunk = Chunk("f", RUN, 0)
    assert pending.answered(chunk, ids(1)) == []
    pending.expect(chunk, names(1), SENT)
    assert pending.answered(chunk, ids(1)) == ids(1)


@settings(max_examples=50)
@given(st.sets(st.integers(0, 2**64 - 1)), st.integers(0, 2**64 - 1))
def test_keys(numbers: set[int], other: int) -> None:
    keys = Keys(Keys.pack(sorted(numbers)))
    assert len(keys) == len(numbers)
    assert [keys.place(n) for n in sorted(numbers)] == list(range(len(numbers)))
    assert (keys.place(other) is None) == (other not in numbers)
