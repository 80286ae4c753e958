"""Bad files: a clear reason with the place and the fix, the file is kept, and its neighbours go through."""

from __future__ import annotations

import gzip
import io
import json

import pytest

from shared.job_file import FORMAT, Header, JobFileWriter
from shared.records import Address, Dataset
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import World, world  # noqa: F401

BASE = Address("mailroom", "mail.example", (), "server")


def record(name: str) -> bytes:
    dataset = {"kind": "dataset", "address": {"platform": "mailroom", "host": "mail.example", "path": [name]}}
    return json.dumps(dataset).encode() + b"\n"


def job_file() -> bytes:
    out = io.BytesIO()
    header = Header(format=FORMAT, connector="x", instance="x", scope="x", scan="x", part=0, base=BASE)
    writer = JobFileWriter(out, header)
    writer.write(Dataset(address=BASE.at("letters")))
    writer.close(last=True, parts=1, complete=True)
    return out.getvalue()


EDITED = gzip.compress(gzip.decompress(job_file()).replace(b"letters", b"numbers"))
CUT = gzip.compress(gzip.decompress(job_file()).rsplit(b"\n", 2)[0])
BOMB = gzip.compress(b"[" + b" " * 300_000_000 + b"]", 9)


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("uploads/records/empty.jsonl", b"", "empty"),
        ("uploads/records/damaged.jsonl.gz", job_file()[:-12], "damaged or cut off"),
        ("uploads/records/cut.jsonl.gz", CUT, "no footer"),
        ("uploads/records/edited.jsonl.gz", EDITED, "changed after it was written"),
        ("uploads/photo.jpg", bytes(range(256)) * 40, "format"),
        ("uploads/openlineage/binary.json", b"\x00\x01\x02\xff" * 100, ""),
        ("uploads/openlineage/bomb.json.gz", BOMB, ""),
    ],
)
def test_a_file_that_cannot_be_used_is_rejected_whole(world: World, path: str, body: bytes, reason: str) -> None:
    world.upload("uploads/records/good.jsonl", record("parcels"))
    world.upload(path, body)
    world.settle()
    receipt = world.receipt(path)
    assert receipt.state == "rejected"
    refusals = world.rejected(path)
    assert refusals
    assert all(refusal.reason and refusal.fix for refusal in refusals)
    assert reason in refusals[0].reason
    assert path in world.landed()
    assert world.receipt("uploads/records/good.jsonl").state == "confirmed"


def test_a_file_above_the_limit_is_not_even_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(world.app.settings.limits), "file_bytes", 10, raising=True)
    world.upload("uploads/records/large.jsonl", record("parcels"))
    world.settle()
    assert world.receipt("uploads/records/large.jsonl").state == "rejected"
    assert "more than 10" in world.rejected("uploads/records/large.jsonl")[0].reason


def test_a_bad_line_is_named_and_the_others_go_through(world: World) -> None:
    path = "uploads/records/mixed.jsonl"
    world.upload(path, record("a") + b'{"kind": "dataset", "adress": {}}\n' + record("b") + b"nonsense\n" + record("c"))
    world.settle()
    receipt = world.receipt(path)
    assert (receipt.state, receipt.refused) == ("partly rejected", 2)
    assert [refusal.place for refusal in world.rejected(path)] == ["line 2", "line 4"]
    names = {name for _, name in world.catalogue()}
    assert {f"hookline://mailroom/mail.example/{n}" for n in "abc"} <= names


def test_the_fixed_file_replaces_receipt_and_reasons(world: World) -> None:
    path = "uploads/records/mixed.jsonl"
    world.upload(path, b"nonsense\n")
    world.settle()
    assert world.receipt(path).state == "rejected"
    world.upload(path, record("a"))
    world.settle()
    assert world.receipt(path).state == "confirmed"
    assert world.rejected(path) == []


def test_entities_that_atlas_would_drop_are_refused_beside_their_neighbours(world: World) -> None:
    def entity(type_name: str, name: str, **attributes: str) -> dict[str, object]:
        return {"typeName": type_name, "attributes": {"name": name, "qualifiedName": f"x://{name}", **attributes}}

    entities = [
        entity("hookline_dataset", "fine"),
        entity("no_such_type", "unknown"),
        entity("hookline_dataset", "misspelt", plattform="x"),
        entity("hookline_dataset", "huge", definition="x" * 2_100_000),
    ]
    path = "uploads/atlas_json/list.json"
    world.upload(path, json.dumps({"entities": entities}))
    world.settle()
    assert world.receipt(path).state == "partly rejected"
    assert len(world.rejected(path)) == 3
    assert ("hookline_dataset", "x://fine") in world.catalogue()


def test_an_event_without_a_job_is_refused_and_one_without_datasets_is_nothing(world: World) -> None:
    event = {"eventType": "COMPLETE", "eventTime": "2026-01-01T00:00:00Z", "run": {"runId": "r"}, "producer": "p"}
    world.upload("uploads/openlineage/nobody.json", json.dumps({**event, "inputs": [], "outputs": []}))
    idle = {**event, "job": {"namespace": "n", "name": "j"}, "inputs": [], "outputs": []}
    world.upload("uploads/openlineage/idle.json", json.dumps(idle))
    world.settle()
    assert world.receipt("uploads/openlineage/nobody.json").state == "rejected"
    assert "job" in world.rejected("uploads/openlineage/nobody.json")[0].reason
    receipt = world.receipt("uploads/openlineage/idle.json")
    assert (receipt.state, receipt.records, receipt.sent) == ("confirmed", 0, 0)
