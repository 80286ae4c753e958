"""Receipts: where they lie, how they end, and that writing one twice is writing it once."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import msgspec
import pytest
from azure.storage.blob import ContainerClient

from local.azurite import Azurite
from shared.state import BlobTable, Conflict
from shared.state.receipts import FINAL, Receipt, Receipts, settled
from tests.support.azurite import azurite  # noqa: F401

NOW = "2026-01-01T00:00:00.000000Z"


@pytest.fixture
def receipts(azurite: Azurite) -> Iterator[Receipts]:
    with ContainerClient.from_connection_string(azurite.connection_string, f"t{secrets.token_hex(6)}") as client:
        yield Receipts(BlobTable(client, "receipts"))


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"state": "transforming"}, "transforming"),
        ({"sent": 3, "confirmed": 2}, "sent"),
        ({"sent": 3, "confirmed": 3}, "confirmed"),
        ({"sent": 3, "deleted": 1, "confirmed": 3}, "sent"),
        ({"sent": 3, "deleted": 1, "confirmed": 4}, "confirmed"),
        ({"sent": 3, "confirmed": 2, "overtaken": 1}, "confirmed"),
        ({"sent": 3, "confirmed": 3, "refused": 1}, "partly rejected"),
        ({}, "confirmed"),
        ({"refused": 2}, "partly rejected"),
        ({"state": "lost", "sent": 3, "confirmed": 3}, "lost"),
    ],
)
def test_how_it_ends(changes: dict[str, object], state: str) -> None:
    receipt = msgspec.structs.replace(Receipt(path="a/b", state="sent"), **changes)
    done = settled(receipt, NOW)
    assert done.state == state
    assert done.final == (state in FINAL)
    assert settled(done, "later") == done, "once and for all"


def test_the_run_is_in_the_order_of_time() -> None:
    runs = [Receipt(path="a", started=f"2026-01-0{day}T00:00:00.00000{day}Z").run for day in (1, 2, 3)]
    assert runs == sorted(runs)
    assert len(set(map(len, runs))) == 1


def test_by_folder(receipts: Receipts) -> None:
    paths = ["crm/s1/00000.jsonl.gz", "crm/s1/00001.jsonl.gz", "crm/s2/00000.jsonl.gz", "x.json", "uploads/ä b/c.json"]
    for path in paths:
        receipts.put(Receipt(path=path))
    assert [r.path for r in receipts.within("crm/s1")] == paths[:2]
    assert sorted(r.path for r in receipts.all()) == sorted(paths)
    receipts.delete("x.json")
    assert receipts.get("x.json") == (None, None)


def test_twice_is_once(receipts: Receipts) -> None:
    receipt = Receipt(path="a/b.json", state="sent", sent=2, reasons={"x": 1})
    receipts.put(receipt)
    receipts.put(receipt)
    assert list(receipts.all()) == [receipt]
    assert receipts.get("a/b.json")[0] == receipt


def test_a_leased_one_is_written_by_its_holder_only(receipts: Receipts) -> None:
    path = "a/b.json"
    with receipts.lease(path) as lease:
        assert receipts.get(path)[0] is None, "made for its lease, and still absent"
        assert list(receipts.all()) == []
        with pytest.raises(Conflict):
            receipts.lease(path)
        with pytest.raises(Conflict):
            receipts.put(Receipt(path=path))
        receipts.put(Receipt(path=path, state="sent"), lease=lease)
    receipts.put(Receipt(path=path, state="confirmed"))
    assert receipts.get(path)[0] == Receipt(path=path, state="confirmed")


def test_update(receipts: Receipts) -> None:
    assert receipts.update("nothing", lambda r: r) is None
    receipts.put(Receipt(path="a", sent=1))
    done = receipts.update("a", lambda r: msgspec.structs.replace(r, sent=r.sent + 1))
    assert done is not None
    assert done.sent == 2
    assert receipts.get("a")[0] == done
