"""`./hookline faults`, small: two rows, a quarter of their time; and one row with the product's repair switched off."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.flow import CHECKOUT, COMMAND

#: what a careless product would do: a send that fails is forgotten, and what is asked for counts as there
CARELESS = """
from shared.delivery.hub import Hub
from shared.pipeline.answers import Answers
from shared.state.pending import identity


def send(hub, batch):
    try:
        hub._producer.send_batch(batch, timeout=10)
    except Exception:
        return


def believe(answers, chunk, type_name, expected, since):
    answers._app.pending.confirm(chunk, [identity(operation, name) for operation, name in expected])
    return False


Hub._send = send
Answers._ask_for = believe
"""


def faults(folder: Path, *rows: str, path: str = "") -> tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]]:
    report = folder / "report.json"
    done = subprocess.run(
        [*COMMAND, "faults", *rows, "--short", "--files", "8", "--report", str(report)],
        cwd=CHECKOUT,
        env={
            **os.environ,
            "HOOKLINE_LOCAL": str(folder / "local"),
            "PYTHONPATH": os.pathsep.join(filter(None, [path, str(CHECKOUT)])),
        },
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    return done, json.loads(report.read_text("utf-8"))["rows"]


@pytest.mark.timeout(420)
def test_faults_lose_nothing(tmp_path: Path) -> None:
    done, rows = faults(tmp_path, "hub-drop-after", "storage-drop")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost 0, wrong 0, duplicated 0" in done.stdout
    assert [row["row"] for row in rows] == ["hub-drop-after", "storage-drop"]
    assert all(row["struck_by"] and row["memory_mb"] < 600 for row in rows)


@pytest.mark.timeout(420)
def test_the_matrix_sees_a_product_that_does_not_repair(tmp_path: Path) -> None:
    """Python runs a sitecustomize module before anything else: here it takes the repair out of the product."""
    (tmp_path / "sitecustomize.py").write_text(CARELESS, "utf-8")
    done, (row,) = faults(tmp_path, "hub-drop", path=str(tmp_path))
    assert done.returncode == 1, done.stdout + done.stderr
    assert row["lost"], done.stdout
