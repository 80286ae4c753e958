from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count
from typing import Any

import msgspec
import pytest
from azure.storage.blob import BlobLeaseClient, BlobServiceClient, ContainerClient
from hypothesis import given
from hypothesis import strategies as st

from local.azurite import Azurite
from shared.errors import SettingsError, StorageBusy, Superseded
from shared.state import NEW, BlobTable, Conflict
from shared.state.blob_names import LONGEST_SEGMENT, decode, encode, metadata
from tests.support.azurite import azurite  # noqa: F401
from tests.support.storage_faults import Fault, FaultyNetwork

_numbers = count()


class Scan(msgspec.Struct, frozen=True):
    id: str
    parts: int = 0


class Storage:
    """A fresh container, a transport that can be told to fail, and the pauses that were made."""

    def __init__(self, azurite: Azurite) -> None:
        self.network = FaultyNetwork()
        self.transport = self.network.transport()
        self.service = BlobServiceClient.from_connection_string(azurite.connection_string, transport=self.transport)
        self.container: ContainerClient = self.service.get_container_client(f"state{next(_numbers)}")
        self.container.create_container()
        self.pauses: list[float] = []
        self.table = self.open("scans")

    def open(self, name: str, **options: Any) -> BlobTable:
        return BlobTable(self.container, name, sleep=self.pauses.append, **options)

    def plan(self, *faults: Fault) -> None:
        self.network.plan.extend(faults)


@pytest.fixture
def storage(azurite: Azurite) -> Iterator[Storage]:
    made = Storage(azurite)
    yield made
    made.service.close()
    made.network.close()


# ---- rows


def test_a_row_comes_back_typed(storage: Storage) -> None:
    table = storage.table
    assert table.get("crm", "public", type=Scan) == (None, None)
    etag = table.put("crm", "public", Scan("s1", 3))
    assert table.get("crm", "public", type=Scan) == (Scan("s1", 3), etag)
    assert table.get("crm", "public") == ({"id": "s1", "parts": 3}, etag)
    assert [b.name for b in storage.container.list_blobs()] == ["scans/crm/public.json"]


def test_only_one_of_two_writers_gets_through(storage: Storage) -> None:
    table = storage.table
    etag = table.put("crm", "public", Scan("s1"), etag=NEW)
    with pytest.raises(Conflict, match="changed by somebody else"):
        table.put("crm", "public", Scan("s2"), etag=NEW)
    newer = table.put("crm", "public", Scan("s3"), etag=etag)
    with pytest.raises(Conflict) as error:
        table.put("crm", "public", Scan("s4"), etag=etag)
    assert error.value.where == "table scans, crm/public"
    assert table.get("crm", "public", type=Scan) == (Scan("s3"), newer)
    assert storage.pauses == []


def test_update_loses_no_increment_between_threads(storage: Storage) -> None:
    table = BlobTable(storage.container, "counters")

    def add() -> None:
        for _ in range(5):
            table.update("p", "n", lambda n: (n or 0) + 1, type=int)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert table.get("p", "n", type=int)[0] == 20


def test_update_leaves_the_row_when_nothing_changes(storage: Storage) -> None:
    etag = storage.table.put("p", "r", Scan("s1"))
    assert storage.table.update("p", "r", lambda _: None, type=Scan) == Scan("s1")
    assert storage.table.update("p", "r", lambda value: value, type=Scan) == Scan("s1")
    assert storage.table.update("p", "absent", lambda value: value) is None
    assert storage.table.get("p", "r")[1] == etag


def test_update_gives_up_when_others_keep_writing(storage: Storage) -> None:
    table = storage.table
    table.put("p", "r", 0)
    calls = 0

    def meddle(value: int | None) -> int:
        nonlocal calls
        calls += 1
        table.put("p", "r", 1000 + calls)
        return 1

    with pytest.raises(Conflict):
        table.update("p", "r", meddle, type=int)
    assert calls == 15
    assert len(storage.pauses) == 14


def test_rows_names_and_partitions(storage: Storage) -> None:
    table = storage.table
    for row in ("b", "a", "c.seen"):
        table.put("crm/1", row, Scan(row))
    table.put_bytes("crm/1", "d", b"\x00\x01")
    table.put("erp", "x", Scan("x"))
    storage.open("other").put("zzz", "x", 1)
    storage.open("scans-2").put("zzz", "x", 1)
    assert [(row, value.id) for row, value, _ in table.rows("crm/1", type=Scan)] == [
        ("a", "a"),
        ("b", "b"),
        ("c.seen", "c.seen"),
    ]
    assert [row for row, _, _ in table.rows("crm/1", suffix=".seen")] == ["c.seen"]
    assert list(table.names("crm/1")) == ["a", "b", "c.seen", "d"]
    assert list(table.names("crm")) == []
    assert list(table.partitions()) == ["crm/1", "erp"]


def test_rows_are_read_as_they_are_asked_for_and_a_deleted_one_is_left_out(storage: Storage) -> None:
    table = storage.table
    for row in "abc":
        table.put("p", row, row)
    found = []
    for row, _, _ in table.rows("p"):
        found.append(row)
        table.delete("p", "b")
    assert found == ["a", "c"]


def test_bytes(storage: Storage) -> None:
    table = storage.table
    assert table.get_bytes("p", "r") == (None, None)
    big = bytes(range(256)) * 4096 * 5
    etag = table.put_bytes("p", "r", big)
    assert table.get_bytes("p", "r") == (big, etag)
    with pytest.raises(Conflict):
        table.put_bytes("p", "r", b"", etag=NEW)
    assert list(table.rows("p")) == []


def test_delete(storage: Storage) -> None:
    table = storage.table
    etag = table.put("p", "json", 1)
    table.put_bytes("p", "bytes", b"1")
    table.put("p", "json", 2)
    with pytest.raises(Conflict):
        table.delete("p", "json", etag=etag)
    assert table.delete("p", "json")
    assert table.delete("p", "bytes")
    assert not table.delete("p", "json")
    assert list(table.names("p")) == []


@pytest.mark.parametrize("content", [b"", b"{", b'{"id": 5}', b"\xff\xfe", b"[" * 5000])
def test_an_unreadable_row_counts_as_absent_and_can_be_written_over(
    storage: Storage, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    table = storage.table
    table.put("p", "good", Scan("s1"))
    storage.container.upload_blob("scans/p/bad.json", content)
    value, etag = table.get("p", "bad", type=Scan)
    assert value is None
    assert etag is not None
    assert ("an unreadable row" in caplog.text) == bool(content)
    assert [row for row, _, _ in table.rows("p", type=Scan)] == ["good"]
    table.update("p", "bad", lambda now: Scan("s2") if now is None else None, type=Scan)
    assert table.get("p", "bad", type=Scan)[0] == Scan("s2")


def test_a_deleted_container_is_made_again(storage: Storage) -> None:
    storage.container.delete_container()
    assert storage.table.get("p", "r") == (None, None)
    assert list(storage.table.partitions()) == []
    assert list(storage.table.names("p")) == []
    storage.table.put("p", "r", 1)
    assert storage.table.get("p", "r")[0] == 1


# ---- names

AWKWARD = [
    "",
    ".",
    "..",
    "a/b",
    "../../x",
    "a b",
    "ü€😀",
    "%2E",
    "a%",
    "a.json",
    "A",
    "a",
    "x" * 500,
    "ü" * 300,
    "?q=1#f",
    "a\\b",
    "line\nbreak",
    "tail.",
]


def test_any_text_is_a_partition_and_a_row(storage: Storage) -> None:
    for text in AWKWARD:
        storage.table.put(text, text, text)
    assert sorted(storage.table.partitions()) == sorted(AWKWARD)
    for text in AWKWARD:
        assert list(storage.table.names(text)) == [text]
        assert [(row, value) for row, value, _ in storage.table.rows(text)] == [(text, text)]


@given(st.text(max_size=300) | st.text(st.characters(), max_size=300))
def test_a_name_comes_back_and_is_safe(text: str) -> None:
    name = encode(text)
    assert decode(name, metadata(row=text), "row") == text
    assert 0 < len(name) <= LONGEST_SEGMENT
    assert name.isascii()
    assert not set(name) & set("/\\.?# \n")


# ---- leases


def test_a_lease_keeps_others_out_and_lets_its_holder_write(storage: Storage) -> None:
    table = storage.table
    with table.lease("crm", "public", 15) as lease:
        with pytest.raises(Conflict):
            table.lease("crm", "public", 15)
        with pytest.raises(Conflict):
            table.put("crm", "public", Scan("other"))
        assert table.get("crm", "public") == (None, table.get("crm", "public")[1])
        table.put("crm", "public", Scan("mine"), lease=lease)
        lease.renew()
        assert not lease.lost
    assert table.get("crm", "public", type=Scan)[0] == Scan("mine")
    with table.lease("crm", "public", 15):
        assert True
    assert storage.pauses == []


def test_a_worker_that_lost_its_lease_writes_nothing(storage: Storage) -> None:
    table = storage.table
    lease = table.lease("crm", "public", 15)
    BlobLeaseClient(storage.container.get_blob_client("scans/crm/public.json")).break_lease(lease_break_period=0)
    with table.lease("crm", "public", 15) as successor:
        table.put("crm", "public", Scan("successor"), lease=successor)
        with pytest.raises(Superseded, match="somebody else has taken the lease"):
            table.put("crm", "public", Scan("late"), lease=lease)
        assert lease.lost
        with pytest.raises(Superseded):
            lease.renew()
        lease.release()
        table.put("crm", "public", Scan("still mine"), lease=successor)
    assert table.get("crm", "public", type=Scan)[0] == Scan("still mine")


def test_a_lease_whose_row_is_deleted_is_lost(storage: Storage) -> None:
    lease = storage.table.lease("p", "r", 15)
    assert storage.table.delete("p", "r", lease=lease)
    with pytest.raises(Superseded):
        lease.renew()


def test_release_forgives_a_busy_storage(storage: Storage) -> None:
    lease = storage.table.lease("p", "r", 15)
    storage.plan(*[Fault(503, "ServerBusy")] * 6)
    lease.release()
    assert not storage.network.plan


# ---- storage on a bad day


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 0])
def test_busy_storage_is_tried_again(storage: Storage, status: int) -> None:
    table = storage.table
    table.put("p", "r", 1)
    storage.plan(Fault(status), Fault(status))
    assert table.get("p", "r")[0] == 1
    storage.plan(Fault(status), Fault(status))
    table.put("p", "r", 2)
    storage.plan(Fault(status))
    assert table.delete("p", "r")
    assert len(storage.pauses) == 5


@pytest.mark.parametrize("status", [500, 0])
def test_storage_that_stays_busy_is_given_up(storage: Storage, status: int) -> None:
    storage.plan(*[Fault(status)] * 6)
    with pytest.raises(StorageBusy) as error:
        storage.table.get("p", "r")
    assert error.value.where == "table scans, p/r"
    assert not storage.network.plan
    assert len(storage.pauses) == 5
    assert all(0 <= pause <= 8 for pause in storage.pauses)


@pytest.mark.parametrize("status", [500, 0])
def test_a_write_whose_answer_was_lost_is_no_conflict(storage: Storage, status: int) -> None:
    storage.plan(Fault(status, done=True))
    etag = storage.table.put("p", "r", Scan("s1"), etag=NEW)
    assert storage.table.get("p", "r", type=Scan) == (Scan("s1"), etag)
    storage.plan(Fault(status, done=True))
    etag = storage.table.put("p", "r", Scan("s2"), etag=etag)
    assert storage.table.get("p", "r", type=Scan) == (Scan("s2"), etag)


def test_a_write_that_failed_while_another_came_is_a_conflict(storage: Storage) -> None:
    storage.table.put("p", "r", Scan("other"))
    storage.plan(Fault(500))
    with pytest.raises(Conflict):
        storage.table.put("p", "r", Scan("mine"), etag=NEW)
    assert storage.table.get("p", "r", type=Scan)[0] == Scan("other")


@pytest.mark.parametrize(("status", "code"), [(412, "ConditionNotMet"), (409, "BlobAlreadyExists")])
def test_an_update_starts_over_on_a_conflict(storage: Storage, status: int, code: str) -> None:
    storage.table.put("p", "r", 1)
    storage.plan(Fault(status, code, method="PUT"), Fault(status, code, method="PUT"))
    assert storage.table.update("p", "r", lambda n: (n or 0) + 1, type=int) == 2
    assert storage.table.get("p", "r")[0] == 2
    assert len(storage.pauses) == 2


def test_a_lease_whose_answer_was_lost_is_ours(storage: Storage) -> None:
    storage.table.put("p", "r", 1)
    storage.plan(Fault(500, done=True))
    with storage.table.lease("p", "r", 15) as lease:
        storage.table.put("p", "r", 2, lease=lease)
    assert storage.table.get("p", "r")[0] == 2


def test_a_container_that_is_being_deleted_is_busy_not_a_conflict(storage: Storage) -> None:
    storage.plan(*[Fault(409, "ContainerBeingDeleted")] * 6)
    with pytest.raises(StorageBusy, match="ContainerBeingDeleted"):
        storage.table.put("p", "r", 1)


def test_refused_access_says_which_role_is_missing(storage: Storage) -> None:
    storage.plan(Fault(403, "AuthorizationPermissionMismatch"))
    with pytest.raises(SettingsError, match="AuthorizationPermissionMismatch") as error:
        storage.table.put("p", "r", 1)
    assert "Storage Blob Data Owner" in error.value.fix
    assert storage.pauses == []
