"""One stack per folder, and parts that do not outlive whoever started them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from local.part import Part, StackError
from local.running import SETTINGS, claim, running
from shared.errors import UsageError

CHECKOUT = Path(__file__).resolve().parents[2]
HOLD = """
import sys, time
from pathlib import Path
from local.running import claim
with claim(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    """Another process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_nothing_runs_where_nothing_was_started(tmp_path: Path) -> None:
    assert running(tmp_path / "run") is None


def test_the_second_is_told_of_the_first_even_after_the_folder_was_emptied(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with holder(folder) as other:
        with pytest.raises(UsageError, match="still starting"):
            running(folder)
        folder.mkdir()
        (folder / SETTINGS).write_text(json.dumps({"HooklineStorage": "x"}))
        assert running(folder) == {"HooklineStorage": "x"}
        with pytest.raises(UsageError, match=f"process {other.pid}"), claim(folder):
            pytest.fail("held twice")
        other.kill()
        other.wait()
        assert running(folder) is None, "settings of a stack that was killed are worth nothing"
    with claim(folder):
        assert not (folder / SETTINGS).exists()


def part(folder: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> Part:
    """A part that runs this program."""
    (folder / "saying.py").write_text(textwrap.dedent(program))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return Part("saying", [], folder / "logs")


def test_a_part_tells_and_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = """
        import signal, sys, threading
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        print('{"port": 1}', flush=True)
        print('{"done": 2}', flush=True)
        print(sys.stdin.read() == "", flush=True)
        stop.wait(60)
    """
    saying = part(tmp_path, monkeypatch, program)
    try:
        assert saying.ready() == {"port": 1}
        heard = list(saying.said())
        deadline = time.monotonic() + 20
        while not heard and time.monotonic() < deadline:
            time.sleep(0.05)
            heard = list(saying.said())
        assert heard == [{"done": 2}]
    finally:
        saying.stop()
    assert saying.process.returncode == 0
    assert saying.log.read_text() == "True\n", "its standard input is empty; what is no JSON goes to its log"


def test_a_part_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saying = part(tmp_path, monkeypatch, "import sys\nsys.exit('port 8400 is taken\\n  fix: --port 0')")
    with pytest.raises(StackError) as error:
        saying.ready()
    saying.stop()
    assert (error.value.what, error.value.fix) == ("the saying did not start: port 8400 is taken", "--port 0")


def test_a_part_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n")
    parent = """
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-m", "local.child", "sleeper"], stdin=subprocess.PIPE)
        child.wait()
    """
    path = os.pathsep.join([str(CHECKOUT), str(tmp_path)])
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(parent)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        os.kill(child, 0)
        process.send_signal(signal.SIGKILL)
        assert process.stdout.read() == "", "the pipe closes when the child, which shares it, has ended too"
