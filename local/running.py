"""One stack per folder: who runs it holds a lock, and others find its app settings.

The lock is the operating system's, so that it ends with the process however that ends.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from shared.errors import UsageError

SETTINGS = "local.settings.json"
#: somebody who only looks whether the lock is free holds it for a moment
PATIENCE = 1.0


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Hold the folder of a stack until the block ends. Raises UsageError: another process holds it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _lock_file(folder).open("a+b") as file:
        taking = Retrying(
            retry=retry_if_result(lambda taken: not taken),
            stop=stop_after_delay(PATIENCE),
            wait=wait_fixed(0.1),
            retry_error_callback=lambda _: False,
        )
        if not taking(_take, file):
            raise UsageError(
                f"a local stack runs here already (process {_owner(folder)})",
                where=str(folder),
                fix="use that one, stop it, or set HOOKLINE_LOCAL to another folder",
            )
        _owner_file(folder).write_text(str(os.getpid()), "utf-8")
        (folder / SETTINGS).unlink(missing_ok=True)  # of a stack that was killed
        try:
            yield
        finally:
            (folder / SETTINGS).unlink(missing_ok=True)


def running(folder: Path) -> dict[str, str] | None:
    """App settings of the stack that runs in this folder, None when there is none.

    Raises UsageError while it starts.
    """
    if not _lock_file(folder).exists():
        return None
    with _lock_file(folder).open("a+b") as file:
        if _take(file):
            return None
    try:
        found: dict[str, str] = json.loads((folder / SETTINGS).read_text("utf-8"))
    except FileNotFoundError:
        raise UsageError("the local stack is still starting", where=str(folder), fix="wait a few seconds") from None
    return found


def _lock_file(folder: Path) -> Path:
    """Beside the folder, which may be emptied."""
    return folder.with_name(f"{folder.name}.lock")


def _owner_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.pid")


def _owner(folder: Path) -> str:
    try:
        return _owner_file(folder).read_text("utf-8")
    except OSError:
        return "unknown"


def _take(file: BinaryIO) -> bool:
    """Take the lock; it is given back when the file is closed."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
