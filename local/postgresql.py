"""A private PostgreSQL server from the binaries that are installed: on a loopback port of its own, with fsync off."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

#: what it must not do behind anybody's back: wait for the disk, or analyze tables between two scans
QUICK = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "autovacuum=off", "max_connections=40")


def installed() -> Path | None:
    """The folder of initdb and pg_ctl; None where there is none."""

    def version(path: Path) -> list[int]:
        return [int(n) for n in re.findall(r"\d+", path.parent.name)]

    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=version)
    found = shutil.which("initdb")
    return debian[-1] if debian else Path(found).resolve().parent if found else None


class Server:
    """A running server; `login` holds host, port, user, password and dbname of its superuser."""

    def __init__(self, binaries: Path) -> None:
        """Start it. Raises RuntimeError with what it said when it does not start."""
        folder = self._folder = Path(tempfile.mkdtemp(prefix="hookline-pg-"))  # a socket path has at most 107 bytes
        password, port = secrets.token_hex(8), _free_port()
        (folder / "password").write_text(password)
        self._as_user: list[str] = []
        if os.geteuid() == 0:  # the server refuses root
            shutil.chown(folder, "postgres")
            shutil.chown(folder / "password", "postgres")
            self._as_user = ["runuser", "-u", "postgres", "--"]
        data = str(folder / "data")
        initdb = [str(binaries / "initdb"), "-D", data, "-U", "postgres", "-A", "scram-sha-256", "--no-sync"]
        self._run(*initdb, f"--pwfile={folder / 'password'}", "-E", "UTF8", "--locale=C")
        options = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", *QUICK]
        self._pg_ctl = [str(binaries / "pg_ctl"), "-D", data, "-w"]
        self._run(*self._pg_ctl, "-o", " ".join(f"-c {option}" for option in options), "start")
        self.port = port
        self.login = {"host": "127.0.0.1", "user": "postgres", "password": password, "dbname": "postgres"}

    def stop(self) -> None:
        """Stop and remove it."""
        self._run(*self._pg_ctl, "-m", "immediate", "stop")
        shutil.rmtree(self._folder)

    def _run(self, *command: str) -> None:
        log = self._folder / "log"
        with log.open("ab") as file:
            done = subprocess.run(
                [*self._as_user, *command], cwd=self._folder, stdout=file, stderr=file, check=False, timeout=60
            )
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{log.read_text(errors='replace')[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
