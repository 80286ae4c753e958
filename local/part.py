"""One child process of the local stack."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from shared.errors import HooklineError

ROOT = Path(__file__).parents[1]
READY_SECONDS = 60
STOP_SECONDS = 25


class StackError(HooklineError):
    """A part of the local stack did not start or has died."""


class Part:
    """A module that says a JSON line when it is ready, and goes on to print JSON lines. It ends when we do.

    log: name of its log, where it is not the module's.
    """

    def __init__(self, module: str, arguments: list[str], logs: Path, *, log: str = "") -> None:
        self.name = name = module.rpartition(".")[2]
        self.log = logs / f"{log or name}.log"
        logs.mkdir(parents=True, exist_ok=True)
        self._errors: IO[bytes] = self.log.open("ab")
        self._begins = self._errors.tell()
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "local.child", module, *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # Ctrl-C is for us; we take the parts down in order
        )
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, name=f"{name}-output", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                try:
                    said = json.loads(line)
                except ValueError:
                    self._errors.write(line)
                    continue
                if isinstance(said, dict):
                    self._lines.put(said)
        self._lines.put(None)

    def ready(self) -> dict[str, Any]:
        """What it says when it is ready. Raises StackError when it ends, or says nothing for a minute."""
        try:
            said = self._lines.get(timeout=READY_SECONDS)
        except queue.Empty:
            raise self._error(f"says nothing for {READY_SECONDS} s") from None
        if said is None:
            self.process.wait(STOP_SECONDS)
            raise self._error("did not start", in_its_words=True)
        return said

    def left(self) -> Iterator[dict[str, Any]]:
        """The lines printed since the last call, whether the process still runs or not."""
        while True:
            try:
                line = self._lines.get_nowait()
            except queue.Empty:
                return
            if line is not None:
                yield line

    def said(self) -> Iterator[dict[str, Any]]:
        """The lines printed since the last call. Raises StackError when the process is gone."""
        yield from self.left()
        if self.process.poll() is not None:
            raise self._error(f"has stopped (exit code {self.process.returncode})")

    def _error(self, what: str, *, in_its_words: bool = False) -> StackError:
        """in_its_words: with what it said last, and the fix it named."""
        fix = f"the log tells more; start it again, or begin anew without {self.log.parents[1]}"
        if in_its_words:
            self._errors.flush()
            with self.log.open("rb") as log:
                log.seek(self._begins)
                told = [line.strip() for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
            fix = next((line.removeprefix("fix: ") for line in reversed(told) if line.startswith("fix: ")), fix)
            words = [line for line in told if not line.startswith("fix: ")]
            what += f": {words[-1]}" if words else ""
        return StackError(f"the {self.name.replace('_', ' ')} {what}", where=str(self.log), fix=fix)

    def memory(self) -> int:
        """Bytes of memory that the process has held at most (Linux: `VmHWM`); 0 where nobody says."""
        try:
            told = Path(f"/proc/{self.process.pid}/status").read_text("ascii", "replace")
        except OSError:
            return 0
        peak = next((line.split()[1] for line in told.splitlines() if line.startswith("VmHWM:")), "0")
        return int(peak) * 1024

    def forget_memory(self) -> None:
        """`memory` is about what comes from now on (proc(5), clear_refs)."""
        with contextlib.suppress(OSError):
            Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", "ascii")

    def ask_to_stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()

    def stop(self) -> None:
        """Ask it to stop and wait until it is gone."""
        self.ask_to_stop()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        assert self.process.stdin is not None
        self.process.stdin.close()
        self._reader.join(STOP_SECONDS)  # what it said last
        self._errors.close()
