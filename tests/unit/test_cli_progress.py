"""What `run` shows while it works, and what it uploads: on a real storage emulator, with receipts as the app writes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cli.progress import Progress
from cli.report import report
from cli.uploads import Uploads
from local.azurite import Azurite
from shared.pipeline.app import App
from shared.pipeline.refusals import refusals
from shared.records import Refusal
from shared.settings import load
from shared.state.receipts import Receipt
from shared.state.scans import Scan, ScopeRow
from tests.support.azurite import azurite

__all__ = ["azurite"]

PATH = "uploads/records/a.jsonl"


@pytest.fixture
def app(azurite: Azurite, tmp_path: Path) -> App:
    """An app on storage of its own: an account per test, so that no blob of another test is seen."""
    config = tmp_path / "hookline.yaml"
    config.write_text("instances:\n  shop: {connector: sqlite, settings: {path: shop.db}}\n")
    environ = {
        "HooklineStorage": azurite.connection_string,
        "HOOKLINE_PURVIEW_ENDPOINT": "http://127.0.0.1:1",
        "HOOKLINE_PURVIEW_AUTH": "none",
    }
    app = App(load(config, environ), environ)
    for container in (app.landing, app.rejected, app.azure.container("state")):
        for blob in container.list_blobs():
            container.delete_blob(blob.name)
    return app


def execution(function: str, trigger: str, outcome: str = "ok", error: str = "", attempt: int = 1) -> dict[str, Any]:
    told = {"function": function, "trigger": trigger, "outcome": outcome, "error": error}
    return {**told, "seconds": 0.25, "attempt": attempt}


def refuse(app: App, path: str, *refusals: Refusal) -> None:
    app.rejected.upload_blob(
        f"{path}.jsonl", b"".join(msgspec.json.encode(r) + b"\n" for r in refusals), overwrite=True
    )


def test_a_file_tells_its_story_once(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(app)
    done = execution("transform", f"landing/{PATH}")
    sent = Receipt(path=PATH, etag="1", state="sent", records=3, sent=2, seconds=0.5)
    app.receipts.put(sent)
    progress.show([done])
    assert capsys.readouterr().err.split()[:2] == ["sent", f"{PATH}:"]
    progress.show([done])
    assert capsys.readouterr().err == "", "told already"
    app.receipts.put(msgspec.structs.replace(sent, state="confirmed", confirmed=2))
    progress.show([])
    assert "confirmed" in capsys.readouterr().err
    progress.show([done])
    assert capsys.readouterr().err == "", "the event came twice"
    app.receipts.put(msgspec.structs.replace(sent, etag="2", state="confirmed", unchanged=2, sent=0))
    progress.show([done])
    assert "2 unchanged" in capsys.readouterr().err, "another version of the file is another story"


def test_what_was_refused_is_told_with_its_fix(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    app.receipts.put(Receipt(path=PATH, etag="1", state="partly rejected", records=9, sent=4, refused=5))
    items = [
        Refusal(place=f"line {n}", rule="unknown-type", reason="no type 'tabel'", fix="known are: a") for n in range(5)
    ]
    refuse(app, PATH, *items)
    refuse(app, f"{PATH}x", Refusal(place="p", rule="r", reason="of another file"))
    Progress(app).show([execution("transform", f"landing/{PATH}")])
    told = capsys.readouterr().err
    assert told.split()[:2] == ["rejected", f"{PATH}:"]
    for words in ("5 refused, 4 assets", "line 0: no type 'tabel'", "fix: known are: a", "and 2 more"):
        assert words in told
    assert "another file" not in told
    assert len(list(refusals(app))) == 6


def test_a_scan_is_named_by_instance_and_scope(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    message = json.dumps({"instance": "shop", "scope": "main", "scan": "s1", "started": "x"})
    scan = Scan(id="s1", instance="shop", scope="main", started="x", state="extracted", records=18, parts=1)
    app.scans.put("shop", "main", ScopeRow(current=scan))
    Progress(app).show(
        [execution("extract", message), execution("schedule", "0 * * * * *"), execution("confirm", "hub/0")]
    )
    told = capsys.readouterr().err
    assert "shop/main: 18 records in 1 file" in told
    assert len(told.splitlines()) == 1, "timers and notifications are not worth a line"
    failed = msgspec.structs.replace(scan, state="failed", error="no connection", fix="check host and port")
    app.scans.put("shop", "main", ScopeRow(current=failed))
    Progress(app).show([execution("extract", message)])
    told = capsys.readouterr().err
    assert "shop/main: no connection" in told
    assert "fix: check host and port" in told


def test_the_same_failure_is_told_once_and_the_end_of_trying(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    message = json.dumps({"instance": "shop", "scope": "main", "scan": "s1"})
    tries = [execution("extract", message, "failed", "SourceUnreachable: down\n  fix: wait", n) for n in (1, 2, 3)]
    Progress(app).show([*tries, execution("extract", "scans-poison", "poison", "SourceUnreachable: down", 3)])
    told = capsys.readouterr().err
    assert told.count("shop/main failed: SourceUnreachable: down") == 1
    assert "fix: wait" in told
    assert "given up after 3 attempts" in told


def test_files_are_uploaded_once_per_version_also_over_a_restart(app: App, tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    (drop / "records").mkdir(parents=True)
    file, hidden = drop / "records" / "a.jsonl", drop / ".a.swp"
    file.write_text("one")
    hidden.touch()

    def there() -> dict[str, bytes]:
        return {b.name: app.landing.download_blob(b.name).readall() for b in app.landing.list_blobs()}

    uploads = Uploads(app, [drop, tmp_path / "missing"])
    uploads.sync()
    assert there() == {}, "it may still be written"
    uploads.sync()
    assert there() == {PATH: b"one"}
    etag = app.landing.get_blob_client(PATH).get_blob_properties().etag
    uploads.sync()
    Uploads(app, [drop]).sync(settled=True)
    assert app.landing.get_blob_client(PATH).get_blob_properties().etag == etag
    file.write_text("second")
    os.utime(file, (4_000_000_000, 4_000_000_000))  # a clock that is ahead
    uploads.sync()
    uploads.sync()
    assert there() == {PATH: b"second"}


def test_the_report_counts_and_decides(app: App, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan = Scan(id="s1", instance="shop", scope="main", started="2026-01-01T00:00:00Z", state="finished", records=3)
    app.scans.put("shop", "main", ScopeRow(current=scan))
    app.receipts.put(Receipt(path=PATH, etag="1", state="confirmed", records=3, sent=2, confirmed=2, entities=7))
    file = tmp_path / "report.json"
    idle: dict[str, object] = {"poison": {}}
    assert report(app, seconds=1.5, idle=idle, file=file) == 0
    assert "everything is confirmed: 2 of 2 assets (7 entities)" in capsys.readouterr().out
    told = json.loads(file.read_text())
    assert (told["ok"], told["problems"], told["rejected"]) == (True, [], [])
    assert told["status"]["files"][0]["entities"] == 7
    assert report(app, seconds=1.5, idle={"poison": {"scans-poison": 1}}, file=None) == 1
    assert "1 message given up in the queue scans-poison" in capsys.readouterr().out
    refuse(app, PATH, Refusal(place="line 2", rule="json", reason="not JSON", fix="correct it"))
    assert report(app, seconds=1.5, idle=idle, file=file) == 1
    assert "not everything is confirmed" in capsys.readouterr().out
    told = json.loads(file.read_text())
    assert told["rejected"] == [
        {"file": PATH, "place": "line 2", "rule": "json", "reason": "not JSON", "fix": "correct it"}
    ]
