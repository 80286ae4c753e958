"""Everything up on this machine: Azurite, Event Hubs stand-in, catalogue, and the function app under the trigger host.

Each is a process of its own, as in Azure, so that any of them can be killed. What they write lies below one folder;
their logs too. The app's settings are those of the user with the `purview` section pointed at the stand-ins.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import yaml

from local import azurite
from shared.errors import HooklineError

ROOT = Path(__file__).parents[1]
HOOK, NOTIFICATIONS = "purview-hook", "purview-notifications"
READY_SECONDS = 60


class StackError(HooklineError):
    """A part of the local stack did not start or has died."""


class Part:
    """One child process that says a JSON line when it is ready, and goes on to print JSON lines."""

    def __init__(self, name: str, arguments: list[str], logs: Path, environ: dict[str, str]) -> None:
        self.name = name
        self.log = logs / f"{name}.log"
        logs.mkdir(parents=True, exist_ok=True)
        self._errors: IO[bytes] = self.log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._read, name=f"{name}-output", daemon=True).start()
        self.ready = self._first()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                self._errors.write(line)
                continue
            if isinstance(said, dict):
                self._lines.put(said)
        self._lines.put(None)

    def _first(self) -> dict[str, Any]:
        try:
            said = self._lines.get(timeout=READY_SECONDS)
        except queue.Empty:
            said = None
        if said is None:
            self.stop()
            raise StackError(f"{self.name} did not start", where=str(self.log), fix=self.last_words())
        return said

    def said(self) -> Iterator[dict[str, Any]]:
        """The lines printed since the last call. Raises StackError when the process is gone."""
        while True:
            try:
                line = self._lines.get_nowait()
            except queue.Empty:
                break
            if line is not None:
                yield line
        if self.process.poll() is not None:
            raise StackError(
                f"{self.name} has stopped (exit {self.process.returncode})", where=str(self.log), fix=self.last_words()
            )

    def last_words(self) -> str:
        self._errors.flush()
        tail = self.log.read_text(errors="replace").strip().splitlines()[-3:]
        return " | ".join(tail) or "its log is empty"

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._errors.close()


class Stack(AbstractContextManager["Stack"]):
    """The local stack over one folder. `environ` is what the app (and the command line) needs to work with it."""

    def __init__(self, folder: Path, config: Path, *, port: int = 8400, progress: Callable[[str], None] | None = None):
        self.folder = folder
        self.config = config
        self.port = port
        self.environ: dict[str, str] = {}
        self.url = ""
        self.app_url = ""
        self._progress = progress or (lambda _: None)
        self._parts: list[Part] = []
        self._azurite: azurite.Azurite | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        home = ROOT / ".hookline"
        azurite.ensure_installed(home, self._progress)
        self._progress("starting storage (Azurite)")
        storage = self.folder / "storage"
        storage.mkdir(exist_ok=True)
        self._azurite = azurite.start((0, 0, 0), home, location=storage)
        self._progress("starting Event Hubs stand-in")
        groups = ["--consumer-group", "purview", "--consumer-group", "hookline"]
        hubs = self._part(
            "event_hubs",
            [
                "--port",
                "0",
                "--hub",
                f"{HOOK}:4",
                "--hub",
                f"{NOTIFICATIONS}:2",
                *groups,
                "--data",
                str(self.folder / "hubs"),
            ],
        )
        connection = str(hubs.ready["connection_string"])
        self._progress("starting catalogue")
        names = ["--hook", HOOK, "--notifications", NOTIFICATIONS]
        catalogue = self._part(
            "catalogue",
            [
                "--port",
                str(self.port),
                "--hub-connection",
                connection,
                *names,
                "--data",
                str(self.folder / "catalogue"),
            ],
        )
        self.url = catalogue.ready["url"]
        self.environ = {
            "HOOKLINE_CONFIG": str(self._derived_config()),
            "HooklineStorage": self._azurite.connection_string,
            "AzureWebJobsStorage": self._azurite.connection_string,
            "PurviewHook": connection,
            "HooklineNotifications": connection,
            "HOOKLINE_NOTIFICATIONS_HUB": NOTIFICATIONS,
            "HOOKLINE_NOTIFICATIONS_GROUP": "hookline",
        }
        settings = self.folder / "local.settings.json"
        settings.write_text(json.dumps(self.environ, indent=1))
        self._progress("starting the function app (Microsoft's azure-functions-runtime)")
        self.host = self._part("trigger_host", ["--app", str(ROOT), "--settings", str(settings), "--port", "0"])
        self.app_url = f"http://127.0.0.1:{self.host.ready['port']}"

    def _part(self, name: str, arguments: list[str]) -> Part:
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        part = Part(name, [f"local.{name}", *arguments], self.folder / "logs", environ)
        self._parts.append(part)
        return part

    def _derived_config(self) -> Path:
        """The user's hookline.yaml, with Purview replaced by the local catalogue and short waits."""
        document = yaml.safe_load(self.config.read_text()) or {}
        document["purview"] = {
            "endpoint": self.url,
            "auth": "none",
            "hook": {"hub": HOOK},
            "notifications": {"hub": NOTIFICATIONS},
        }
        waits = {"ask_after_seconds": 2, "overdue_after_seconds": 15, "sweep_after_seconds": 10}
        document["limits"] = {**(document.get("limits") or {}), **waits}
        target = self.folder / "hookline.yaml"
        target.write_text(yaml.safe_dump(document, sort_keys=False))
        return target

    def watch(self) -> Iterator[dict[str, Any]]:
        """What the app has done since the last call: a dict per execution. Raises StackError when a part has died."""
        for part in self._parts:
            for line in part.said():
                if part is self.host:
                    yield line

    def close(self) -> None:
        for part in reversed(self._parts):
            part.stop()
        self._parts.clear()
        if self._azurite is not None:
            self._azurite.stop()
            self._azurite = None


def stop_on_signals() -> threading.Event:
    """Set by SIGINT and SIGTERM, so that the stack is taken down in order."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    return stopped
