"""`./hookline soak`, small: scans and files through one process that is never restarted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.flow import CHECKOUT, COMMAND


@pytest.mark.timeout(300)
def test_nothing_grows(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    few = ["--changes", "24", "--rests", "4", "--files", "6", "--drop", "10"]
    done = subprocess.run(
        [*COMMAND, "soak", *few, "--report", str(report)],
        cwd=CHECKOUT,
        env={**os.environ, "HOOKLINE_LOCAL": str(tmp_path / "local"), "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=290,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(report.read_text("utf-8"))
    assert (told["ok"], told["grown"], told["lost"], told["wrong"], told["duplicated"]) == (True, [], [], [], [])
    assert len(told["looks"]) == 4
    if sys.platform == "linux":
        assert all(look["memory"] > 20 and look["handles"] > 5 and look["threads"] > 1 for look in told["looks"])
