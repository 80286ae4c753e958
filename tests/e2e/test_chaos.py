"""`./hookline chaos`, small: killed in the middle of work, with a catalogue that drops messages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.flow import CHECKOUT, COMMAND


@pytest.mark.timeout(420)
def test_nothing_is_lost_wrong_or_there_twice(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = subprocess.run(
        [*COMMAND, "chaos", "--kills", "3", "--files", "8", "--drop", "20", "--workers", "2", "--report", str(report)],
        cwd=CHECKOUT,
        env={**os.environ, "HOOKLINE_LOCAL": str(tmp_path / "local"), "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost 0, wrong 0, duplicated 0" in done.stdout
    told = json.loads(report.read_text("utf-8"))
    assert (told["ok"], sum(told["kills"].values()), told["never_finished"], told["ahead"]) == (True, 3, [], [])
    assert told["changes"] > 3
    assert told["watermarks"]
    assert told["memory_mb"] or sys.platform != "linux"
    assert set(told["states"]) <= {"confirmed", "partly rejected"}
