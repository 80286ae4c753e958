"""`./hookline run`, which stays up: files that are dropped, commands beside it, and its end."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.flow import COMMAND, environ, hookline

pytestmark = pytest.mark.e2e

NOBODY = {"typeName": "tabel", "attributes": {"qualifiedName": "x://y", "name": "y"}}


def test_it_shows_what_happens_and_goes_away_cleanly(tmp_path: Path) -> None:
    told = tmp_path / "told"
    with told.open("wb") as file:
        run = subprocess.Popen([*COMMAND, "run", "--port", "0"], cwd=tmp_path, env=environ(tmp_path), stderr=file)
    with run:
        try:
            until(run, lambda: "Ctrl-C stops it" in told.read_text())
            until(run, lambda: "confirmed  shop/" in told.read_text())
            uploads = tmp_path / "landing" / "uploads"
            (uploads / "atlas_json").mkdir()
            (uploads / "atlas_json" / "bad.json").write_text(json.dumps({"entities": [NOBODY]}))
            until(run, lambda: "rejected   uploads/atlas_json/bad.json" in told.read_text(), seconds=15)
            until(run, lambda: "look at http://127.0.0.1:" in told.read_text())
            rest = told.read_text().partition("rejected   uploads/atlas_json/bad.json")[2]
            assert "there is no type 'tabel'" in rest
            assert "fix: " in rest
            second = hookline(tmp_path, "run", "--port", "0")
            assert (second.returncode, f"process {run.pid}" in second.stderr) == (2, True)
            status = json.loads(hookline(tmp_path, "status", "--json").stdout)
            assert status["totals"]["rejected"] == 1
            refused = hookline(tmp_path, "rejected", "--json")
            assert [json.loads(line)["file"] for line in refused.stdout.splitlines()] == ["uploads/atlas_json/bad.json"]
            planned = hookline(tmp_path, "plan", "shop")
            assert "unchanged 22, refused 0" in planned.stdout, planned.stdout + planned.stderr
        finally:
            began = time.monotonic()
            run.send_signal(signal.SIGINT)
            code = run.wait(60)
    assert (code, told.read_text().endswith("- stopping\n")) == (0, True), told.read_text()
    assert time.monotonic() - began < 10
    after = hookline(tmp_path, "status")
    assert (after.returncode, "no local stack is running" in after.stderr) == (2, True)


def until(run: subprocess.Popen[bytes], done: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert run.poll() is None, "it has ended"
        assert time.monotonic() < deadline, f"not after {seconds} s"
        time.sleep(0.1)
