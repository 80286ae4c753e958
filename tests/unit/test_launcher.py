"""The launcher `hookline`, in a checkout of its own with a command line of three lines; a script stands in for uv."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 30

pytestmark = pytest.mark.skipif(os.name == "nt", reason="stands in for uv with a shell script")

CLI = """
import os, signal, sys, time
print("cli", *sys.argv[1:], flush=True)
if sys.argv[1:] == ["wait"]:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    print("ready", flush=True)
    time.sleep(60)
sys.exit(3 if sys.argv[1:] == ["three"] else 0)
"""
#: notes each call, then does what the test says
UV = """#!/bin/sh
echo "begin $*" >> "{calls}"
{does}
echo "end" >> "{calls}"
"""


class Checkout:
    """A folder with the launcher, requirement files and a command line; `uv` says what the stand-in does."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "check out"
        self.root.mkdir()
        shutil.copy2(ROOT / "hookline", self.root / "hookline")
        (self.root / "cli").mkdir()
        (self.root / "cli/__main__.py").write_text(CLI)
        (self.root / "requirements.txt").write_text("one\n")
        (self.root / "requirements-local.txt").write_text("-r requirements.txt\n")
        (self.root / "connectors/requirements").mkdir(parents=True)
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.calls_file = folder / "calls"
        self.venv = self.root / ".venv"
        self.uv("true")

    def uv(self, does: str) -> None:
        script = self.bin / "uv"
        script.write_text(UV.format(calls=self.calls_file, does=does))
        script.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []

    @property
    def installs(self) -> int:
        return sum(call.endswith("requirements-local.txt") for call in self.calls)

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("HOOKLINE", "PYTHON", "VIRTUAL_ENV"))}
        return subprocess.Popen(
            [sys.executable, str(self.root / "hookline"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.bin,  # not the checkout: people start it from anywhere
            env={**clean, "PATH": f"{self.bin}:/usr/bin:/bin", **environ},
        )

    def run(self, *arguments: str, **environ: str) -> tuple[int, str, str]:
        with self.start(*arguments, **environ) as process:
            out, err = process.communicate(timeout=SECONDS)
            return process.returncode, out, err


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_first_start_installs_and_the_next_ones_do_not(checkout: Checkout) -> None:
    code, out, err = checkout.run("a", "b c")
    assert (code, out) == (0, "cli a b c\n")
    assert [line.split(" ...")[0] for line in err.splitlines()] == [
        f"hookline: virtual environment, Python {sys.version.split()[0]}",
        "hookline: packages, with uv",
        "hookline: Azure Functions runtime",
    ]
    python = checkout.venv / "bin/python"
    assert checkout.calls == [
        f"begin pip install --python {python} -r {checkout.root}/requirements-local.txt",
        "end",
        f"begin pip install --python {python} --no-deps --python-version 3.13 azure-functions-runtime==1.3.0",
        "end",
    ]
    assert checkout.run("a") == (0, "cli a\n", "")
    assert checkout.installs == 1


@pytest.mark.parametrize("changed", ["requirements.txt", "requirements-local.txt", "connectors/requirements/db.txt"])
def test_a_changed_requirement_is_installed_into_the_same_environment(checkout: Checkout, changed: str) -> None:
    checkout.run()
    (checkout.venv / "kept").touch()
    (checkout.root / changed).write_text("another\n")
    assert checkout.run()[0] == 0
    assert checkout.installs == 2
    assert (checkout.venv / "kept").exists()


def test_exit_code_and_signals_are_those_of_the_command_line(checkout: Checkout) -> None:
    assert checkout.run("three")[0] == 3
    with checkout.start("wait") as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["cli wait\n", "ready\n"]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SECONDS)
        assert process.returncode == 7


def test_a_folder_called_cli_where_the_user_stands_is_not_run(checkout: Checkout) -> None:
    (checkout.bin / "cli").mkdir()
    (checkout.bin / "cli/__main__.py").write_text("print('stranger')")
    assert checkout.run("a")[1] == "cli a\n"


def test_two_at_once_install_once(checkout: Checkout) -> None:
    checkout.uv("sleep 0.3")
    with checkout.start("a") as one, checkout.start("b") as two:
        ends = [process.communicate(timeout=SECONDS) for process in (one, two)]
        assert (one.returncode, two.returncode) == (0, 0)
    assert [out for out, _ in ends] == ["cli a\n", "cli b\n"]
    assert sum("another start is installing" in err for _, err in ends) == 1
    assert checkout.installs == 1


def test_a_killed_install_is_done_again_after_its_orphan_has_ended(checkout: Checkout) -> None:
    checkout.uv("sleep 0.5")
    with checkout.start("a") as process:
        wait_for(lambda: checkout.calls)
        process.kill()
        process.communicate(timeout=SECONDS)
    assert checkout.run("a")[:2] == (0, "cli a\n")
    assert checkout.calls[:2] == [checkout.calls[0], "end"]  # the orphan was not disturbed
    assert checkout.installs == 2


def test_an_environment_whose_python_is_gone_is_made_again(checkout: Checkout) -> None:
    checkout.run()
    (checkout.venv / "bin/python").unlink()
    (checkout.venv / "bin/python").symlink_to("/nowhere/python3")
    assert checkout.run("a")[:2] == (0, "cli a\n")


def test_without_network_the_error_names_the_remedy_and_hides_the_password(checkout: Checkout) -> None:
    checkout.uv("echo 'error: could not connect to https://me:secret@index.example/simple'; exit 2")
    code, out, err = checkout.run("a", PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert (code, out) == (2, "")
    assert "uv could not; trying pip" in err
    assert "No matching distribution" in err
    assert "fix: the first start needs a package index" in err
    assert "Traceback" not in err
    assert "secret" not in err + (checkout.venv / "hookline.log").read_text()
    checkout.uv("true")
    assert checkout.run("a")[:2] == (0, "cli a\n")


def fake_python(folder: Path, script: str) -> str:
    path = folder / "fakepython"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_a_python_that_is_too_old_is_named(checkout: Checkout) -> None:
    code, _, err = checkout.run(HOOKLINE_PYTHON=fake_python(checkout.bin, "echo 3 8 10"))
    assert code == 2
    assert "is Python 3.8.10" in err
    assert "fix: name a Python 3.11 or newer" in err
    assert checkout.run(HOOKLINE_PYTHON="python9.9")[2].startswith("hookline: HOOKLINE_PYTHON=python9.9 cannot be run")


def test_a_python_without_venv_is_told_what_to_install(checkout: Checkout) -> None:
    script = f'[ "$2" = venv ] && echo "Error: No module named venv" && exit 1\nexec {sys.executable} "$@"'
    code, _, err = checkout.run(HOOKLINE_PYTHON=fake_python(checkout.bin, script))
    assert code == 2
    assert "apt install python3-venv" in err


def test_another_python_gets_an_environment_of_its_own(checkout: Checkout) -> None:
    assert checkout.run("a", HOOKLINE_PYTHON=sys.executable)[0] == 0
    assert (checkout.root / f".venv-{Path(sys.executable).name}/hookline.stamp").exists()
    assert not checkout.venv.exists()


def test_the_place_can_be_named_but_a_strangers_folder_is_left_alone(checkout: Checkout, tmp_path: Path) -> None:
    assert checkout.run("a", HOOKLINE_VENV=str(tmp_path / "there/venv"))[:2] == (0, "cli a\n")
    assert (tmp_path / "there/venv/hookline.stamp").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter").write_text("dear")
    code, _, err = checkout.run("a", HOOKLINE_VENV=str(tmp_path / "mine"))
    assert code == 2
    assert "holds something else" in err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter"]


def test_an_old_python_can_read_the_launcher() -> None:
    # 3.7 is the oldest that ast can stand for
    ast.parse((ROOT / "hookline").read_text("utf-8"), feature_version=(3, 7))
    assert "from __future__ import annotations" not in (ROOT / "hookline").read_text("utf-8")  # 3.6 does not know it


def test_windows_starts_the_same_file() -> None:
    script = (ROOT / "hookline.cmd").read_bytes()
    assert b'"%~dp0hookline" %*' in script
    assert script.count(b"\r\n") == script.count(b"\n")
