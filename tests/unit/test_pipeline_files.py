"""Files that people put into landing: good ones, and every kind of bad one, with what is wrong, place and fix."""

from __future__ import annotations

import gzip
import io
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from shared.job_file import FORMAT, Header, JobFileWriter
from shared.pipeline import reading, replaying, transformation
from shared.records import Address, Column, Dataset
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import Faults, Table, World, world  # noqa: F401

BASE = Address("postgresql", "files.test:5432", (), "server")


def line(name: str, **fields: Any) -> str:
    address = {"platform": "postgresql", "host": "files.test:5432", "path": ["shop", "public", name]}
    return json.dumps({"kind": "dataset", "address": address, "columns": [{"name": "id", "type": "int"}], **fields})


def lines(*names: str) -> str:
    return "".join(line(name) + "\n" for name in names)


def job_file(*, instance: str = "crm", scan: str = "20260101T000000-abcdef", part: int = 0) -> bytes:
    out = io.BytesIO()
    header = Header(format=FORMAT, connector="toy", instance=instance, scope="public", scan=scan, part=part, base=BASE)
    writer = JobFileWriter(out, header)
    for n in range(50):
        writer.write(Dataset(address=BASE.at("shop", "public", f"t{n}"), columns=(Column(name="id", type="text"),)))
    writer.close(last=True, parts=1, complete=True)
    return out.getvalue()


def rejected(world: World, path: str) -> str:
    """The file is rejected as a whole, once and for all; the reason."""
    world.settle()
    receipt = world.receipt(path)
    (told,) = world.rejected(path)
    assert (receipt.state, receipt.refused, receipt.sent, receipt.attempts) == ("rejected", 1, 0, 1)
    assert receipt.reasons == {told.rule: 1}
    assert receipt.error == told.reason
    assert told.fix
    assert told.place.startswith(path)
    assert world.errors == [], "a permanent error does not raise"
    assert world.hub.messages == []
    assert path in world.landed(), "the file is kept"
    return told.reason


# ---- whole files


@pytest.mark.parametrize("cut", [1, 9, 200, -9, -1])
def test_truncated(world: World, cut: int) -> None:
    reason = rejected(world, world.upload("uploads/records/cut.jsonl.gz", job_file()[:cut]))
    assert any(
        words in reason for words in ("cut off", "no footer", "damaged", "no JSON", "not a job file", "not JSON")
    )


def test_edited(world: World) -> None:
    body = gzip.decompress(job_file()).replace(b'"t7"', b'"t8"')
    assert "changed after it was written" in rejected(world, world.upload("uploads/records/edited.jsonl", body))


def test_empty(world: World) -> None:
    assert rejected(world, world.upload("uploads/records/empty.jsonl", b"")) == "the file is empty"


def test_nothing_in_it(world: World) -> None:
    assert rejected(world, world.upload("uploads/records/blank.jsonl", b"\n\n  \n"))


def test_too_large_is_not_read(world: World) -> None:
    """5 GB cannot be uploaded here: its size comes from the properties, so a small limit does the same."""
    world.limits = {"file_bytes": 1000}
    read: list[str] = []
    path = world.upload("uploads/records/large.jsonl", b"x" * 1001)
    world.faults.on_request = lambda r: read.append(
        f"{r.method} {path in (r.url or '') and 'landing' in (r.url or '')}"
    )
    assert "1,001 bytes, more than 1,000" in rejected(world, path)
    assert "GET True" not in read


@pytest.mark.parametrize("folder", ["records", "openlineage", "atlas_json", "sql"])
def test_binary(world: World, folder: str) -> None:
    body = bytes(range(256)) * 40
    path = world.upload(f"uploads/{folder}/photo.bin", body)
    world.settle()
    receipt = world.receipt(path)
    assert receipt.state == "rejected"
    assert world.rejected(path)[0].fix
    assert world.hub.messages == []


def test_a_gzip_bomb(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_UNPACKED", 1 << 20)
    bomb = gzip.compress(line("t1").encode() + b"\n" + b'{"kind": "' + b"a" * (300 << 20), 1)
    assert len(bomb) * reading.MAX_RATIO < 300 << 20
    path = world.upload("uploads/records/bomb.jsonl.gz", bomb)
    tracemalloc.start()
    world.settle()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert world.receipt(path).state in ("rejected", "partly rejected")
    reason = world.rejected(path)[-1].reason
    assert "unpacks to more than" in reason or "longer than" in reason
    assert peak < 60 << 20


def test_a_bomb_of_many_lines(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_UNPACKED", 1 << 20)
    body = lines("t0") + (line("t1") + "\n") * 200_000
    path = world.upload("uploads/records/bomb.jsonl.gz", gzip.compress(body.encode(), 9))
    world.settle()
    receipt = world.receipt(path)
    assert receipt.state == "partly rejected"
    assert receipt.confirmed == receipt.sent > 0
    assert "unpacks to more than" in world.rejected(path)[-1].reason


@pytest.mark.parametrize("path", ["uploads/notes.txt", "readme.md", "uploads/recrods/t.jsonl"])
def test_an_unknown_format(world: World, path: str) -> None:
    reason = rejected(world, world.upload(path, b"hello"))
    assert "format" in reason
    assert "uploads/records/" in world.rejected(path)[0].fix


def test_a_file_that_is_no_part_where_parts_lie(world: World) -> None:
    world.system("crm")
    path = world.upload("crm/20260101T000000-abcdef/00000.jsonl.gz", lines("t1"))
    assert "not the job file that belongs there" in rejected(world, path)
    other = world.upload("crm/20260101T000000-abcdef/00001.jsonl.gz", job_file(part=0))
    world.settle()
    assert world.receipt(other).state == "rejected"


def test_a_job_file_that_somebody_uploads_is_no_scan(world: World) -> None:
    """What `./hookline extract` wrote elsewhere is a file like any other, and touches no snapshot."""
    world.system("crm")
    path = world.upload("uploads/records/elsewhere.jsonl.gz", job_file())
    world.settle()
    receipt = world.receipt(path)
    assert (receipt.state, receipt.records, receipt.scan, receipt.part) == ("confirmed", 50, "", -1)
    assert list(world.app.snapshots.scopes()) == []


# ---- one bad record among good ones


def test_invalid_json_on_line_3(world: World) -> None:
    path = world.upload("uploads/records/some.jsonl", lines("t1", "t2") + '{"kind": "dataset", \n' + lines("t4"))
    world.settle()
    receipt = world.receipt(path)
    (told,) = world.rejected(path)
    assert told.place == "line 3"
    assert told.fix
    assert receipt.state == "partly rejected"
    assert (receipt.records, receipt.refused, receipt.reasons) == (3, 1, {told.rule: 1})
    assert receipt.confirmed == receipt.sent
    assert {qn.rsplit("/", 1)[-1] for t, qn in world.catalogue() if t == "postgresql_table"} == {"t1", "t2", "t4"}


def test_damage_further_on_keeps_what_comes_before(world: World) -> None:
    whole = gzip.compress(
        "".join(line(f"t{n}", description="x" * 997 + str(n)) + "\n" for n in range(3000)).encode(), 0
    )
    path = world.upload("uploads/records/damaged.jsonl.gz", whole[: len(whole) // 2])
    world.settle()
    receipt = world.receipt(path)
    told = world.rejected(path)[-1]
    assert receipt.state == "partly rejected"
    assert 1000 < receipt.records < 1500
    assert told.place.startswith("behind line 1")
    assert "damaged or cut off" in told.reason


def entity(type_name: str, name: str, **attributes: Any) -> dict[str, Any]:
    return {"typeName": type_name, "attributes": {"qualifiedName": name, "name": name, **attributes}}


def test_an_entity_of_unknown_type_and_one_of_2_mb(world: World) -> None:
    entities = [
        entity("hookline_dataset", "hookline://a"),
        entity("martian_table", "hookline://b"),
        entity("hookline_dataset", "hookline://c", description="x" * 2_000_000),
        entity("hookline_dataset", "hookline://d"),
    ]
    path = world.upload("uploads/atlas_json/some.json", json.dumps({"entities": entities}))
    world.settle()
    receipt = world.receipt(path)
    assert receipt.state == "partly rejected"
    assert (receipt.sent, receipt.confirmed, receipt.refused) == (2, 2, 2)
    by_rule = {told.rule: told for told in world.rejected(path)}
    assert set(by_rule) == set(receipt.reasons)
    assert "martian_table" in by_rule["unknown-type"].reason
    assert all(len(told.sample) < 4000 and told.place and told.fix for told in by_rule.values())
    assert {qn for _, qn in world.catalogue()} == {"hookline://a", "hookline://d"}
    assert [d for d in world.dropped() if d["kind"] != "ignored"] == []


def test_an_openlineage_event_without_a_job(world: World) -> None:
    event = {"eventType": "COMPLETE", "eventTime": "2026-01-01T00:00:00Z", "producer": "x", "schemaURL": "x"}
    path = world.upload("uploads/openlineage/event.json", json.dumps({**event, "run": {"runId": "1"}, "inputs": []}))
    world.settle()
    assert world.receipt(path).state == "rejected"
    (told,) = world.rejected(path)
    assert "job" in told.reason
    assert told.fix


# ---- the same name again


def test_a_fixed_file_replaces_receipt_and_rejected_file(world: World) -> None:
    path = world.upload("uploads/records/some.jsonl", lines("t1") + "no json\n")
    world.settle()
    first = world.receipt(path)
    assert first.state == "partly rejected"
    world.upload(path, lines("t1", "t2"))
    world.settle()
    second = world.receipt(path)
    assert (second.state, second.refused, second.reasons, second.records) == ("confirmed", 0, {}, 2)
    assert second.etag != first.etag
    assert world.rejected(path) == []


def test_a_file_that_is_replaced_while_it_is_transformed(world: World) -> None:
    many = lines(*(f"old{n}" for n in range(2000)))
    path = world.upload("uploads/records/some.jsonl", many)
    done: list[int] = []

    def replaced(request: Any) -> None:
        if request.method == "GET" and path in request.url and not done:
            done.append(1)
            world.upload(path, lines("new"))

    world.faults.on_request = replaced
    world.settle()
    assert "changed by somebody else" in str(world.errors[0])
    assert world.receipt(path).state == "confirmed"
    assert world.receipt(path).records == 1
    assert (
        "postgresql_table",
        "postgresql://servers/files.test:5432/dbs/shop/schemas/public/tables/new",
    ) in world.catalogue()


def test_a_newer_version_does_not_get_lost_behind_an_older_one_at_work(world: World) -> None:
    path = world.upload("uploads/records/some.jsonl", lines("old"))
    world.settle()
    world.upload(path, lines("new"))
    with world.app.receipts.lease(path):
        from shared.errors import StorageBusy

        with pytest.raises(StorageBusy, match="older version"):
            transformation.transform(world.app, world.app.landing.get_blob_client(path))
    world.settle()
    assert world.receipt(path).state == "confirmed"
    assert "create postgresql_table new" in world.sent()


def test_one_that_is_taken_away_before_its_turn(world: World) -> None:
    path = world.upload("uploads/records/some.jsonl", lines("t1"))
    world._events()
    world.landing.delete_blob(path)
    world.settle()
    assert list(world.app.receipts.all()) == []


def test_a_replay_sends_everything_again(world: World) -> None:
    path = world.upload("uploads/records/some.jsonl", lines("t1", "t2"))
    world.settle()
    first = world.sent()
    replaying.replay(world.app, json.dumps({"path": path, "again": True}))
    world.settle()
    assert world.sent() == first
    assert world.receipt(path).state == "confirmed"


def test_a_replayed_part_of_an_old_scan_sends_only_what_still_holds(world: World) -> None:
    crm = world.system("crm")
    crm.tables.update({"a": Table("id"), "b": Table("id"), "c": Table("id")})
    world.scan("crm")
    world.settle()
    (old,) = world.landed()
    crm.tables["a"].description = "newer"
    del crm.tables["b"]
    world.scan("crm")
    world.settle()
    world.check()
    world.sent()
    replaying.replay(world.app, json.dumps({"path": old, "again": True}))
    world.settle()
    names = world.sent()
    assert "create postgresql_table c" in names
    assert not {"create postgresql_table a", "create postgresql_table b"} & set(names)
    world.check()
    world.scan("crm")
    world.settle()
    assert world.sent() == []


def test_messages_that_are_none(world: World) -> None:
    from shared.errors import BadInput
    from shared.pipeline import extraction

    for body in ("", "[]", '{"path": 1}', '{"instance": "crm"}'):
        with pytest.raises(BadInput, match="queue replays"):
            replaying.replay(world.app, body)
        with pytest.raises(BadInput, match="queue scans"):
            extraction.extract(world.app, body)


# ---- memory


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks the kernel of Linux")
@pytest.mark.timeout(120)
def test_memory_stays_flat(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """200,000 records need no more than 20,000, but for the names that are remembered: a bounded number."""
    monkeypatch.setattr("shared.atlas.checks.REMEMBERED", 20_000)
    world.hub.drop = lambda _: True
    world.hub.messages = _Forgetful()  # type: ignore[assignment]
    world.faults.on_request = lambda _: peaks.append(resident())
    most = []
    for count in (20_000, 200_000):
        peaks: list[int] = []
        path, local = f"uploads/records/many{count}.jsonl.gz", tmp_path / "many.jsonl.gz"
        with gzip.open(local, "wt", 1) as out:
            out.writelines(line(f"t{n}") + "\n" for n in range(count))
        with local.open("rb") as body:
            world.landing.upload_blob(path, body)
        transformation.transform(world.app, world.app.landing.get_blob_client(path))
        most.append(max(peaks))
        assert world.receipt(path).records == count
    assert most[1] - most[0] < 20 << 20


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class _Forgetful(list[Any]):
    def append(self, _: Any) -> None:
        return None
