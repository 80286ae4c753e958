from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from azure.core.exceptions import ServiceRequestError, ServiceResponseError
from azure.storage.blob import ContainerClient

from local import azurite
from shared.errors import HooklineError

ROOT = Path(__file__).parents[2]
WORKDIR = ROOT / ".hookline"
ANY = (0, 0, 0)


def container(connection_string: str) -> ContainerClient:
    return ContainerClient.from_connection_string(connection_string, "landing", retry_total=0)


def test_it_keeps_its_data_in_a_location(tmp_path: Path) -> None:
    for first in (True, False):
        with azurite.start(ANY, WORKDIR, location=tmp_path) as storage, container(storage.connection_string) as client:
            if first:
                client.create_container()
                client.upload_blob("a", b"kept")
            else:
                assert client.download_blob("a").readall() == b"kept"
        assert storage.process.returncode == 0


def test_a_taken_port_is_an_error_with_a_fix() -> None:
    with azurite.start(ANY, WORKDIR) as storage:
        port = int(storage.blob.rsplit(":", 1)[1])
        with pytest.raises(HooklineError, match="EADDRINUSE") as error:
            azurite.start((port, 0, 0), WORKDIR)
    assert str(port) in error.value.where
    assert "0 means any free one" in error.value.fix


def test_it_does_not_outlive_a_process_that_was_killed() -> None:
    code = (
        "import os; from pathlib import Path; from local import azurite\n"
        f"print(azurite.start({ANY}, Path({str(WORKDIR)!r})).connection_string, flush=True); os._exit(9)"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert killed.returncode == 9
    with container(killed.stdout.strip()) as client:
        deadline = time.monotonic() + 10
        with pytest.raises((ServiceRequestError, ServiceResponseError)):
            while time.monotonic() < deadline:
                client.exists()
                time.sleep(0.05)
