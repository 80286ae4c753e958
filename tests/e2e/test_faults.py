"""`./hookline faults`, small: two rows, a quarter of their time."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.flow import CHECKOUT, COMMAND

ROWS = ["hub-drop-after", "storage-drop"]


@pytest.mark.timeout(420)
def test_faults_lose_nothing(tmp_path: Path) -> None:
    report, table = tmp_path / "report.json", tmp_path / "table.md"
    done = subprocess.run(
        [*COMMAND, "faults", *ROWS, "--short", "--files", "8", "--report", str(report), "--markdown", str(table)],
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
    played = {row["row"]: row for row in told["rows"]}
    assert list(played) == ROWS
    assert all(row["struck_by"] and row["memory_mb"] < 600 for row in played.values())
    assert table.read_text("utf-8").count("\n") == len(played) + 2
