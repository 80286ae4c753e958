"""The local stack as tests use it: wait until everything is through, and ask the catalogue what has become of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml

from cli.context import app_of
from cli.run import waits_for
from local.stack import HOOK, Stack
from shared.pipeline.app import App
from shared.state.receipts import Receipt

CHECKOUT = Path(__file__).resolve().parents[2]
JOBS = CHECKOUT / "local" / "samples" / "jobs"
SETTLE_SECONDS = 60
COMMAND = [sys.executable, "-P", "-m", "cli"]


class Flow:
    """A running stack, and the app that works on it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.app: App = app_of(stack.environ)

    def land(self, name: str, body: bytes) -> str:
        """Upload a file as a person would; its path in landing."""
        path = f"uploads/{name}"
        self.app.landing.upload_blob(path, body, overwrite=True)
        return path

    def until(self, done: Callable[[], Any], what: str, seconds: float = SETTLE_SECONDS) -> Any:
        """Wait until `done` gives something true, and return it."""
        deadline = time.monotonic() + seconds
        while not (result := done()):
            for execution in self.stack.watch():
                assert execution["outcome"] in ("ok", "superseded"), execution
            assert time.monotonic() < deadline, f"after {seconds} s still waiting for {what}"
            time.sleep(0.1)
        return result

    def settle(self) -> None:
        """Wait until every scan is over, every file has its final receipt and every queue is empty."""
        self.until(lambda: not waits_for(self.stack, self.app), "everything to settle")

    def receipt(self, path: str) -> Receipt:
        receipt, _ = self.app.receipts.get(path)
        assert receipt is not None, f"no receipt for {path}"
        return receipt

    def receipts(self) -> dict[str, Receipt]:
        return {receipt.path: receipt for receipt in self.app.receipts.all()}

    def sent(self) -> int:
        """Hook messages that were ever sent."""
        from azure.eventhub import EventHubProducerClient

        connection = self.stack.environ["PurviewHook"]
        with (
            EventHubProducerClient.from_connection_string(connection, eventhub_name=HOOK) as hub,
            ThreadPoolExecutor() as pool,  # the client takes 0.4 s for each answer
        ):
            partitions = list(pool.map(hub.get_partition_properties, hub.get_partition_ids()))
        return sum(p["last_enqueued_sequence_number"] + 1 for p in partitions)

    def assets(self, *types: str) -> dict[str, str]:
        """Qualified name -> type of the active assets of these types."""
        return search(self.stack.url, *types)


def search(url: str, *types: str) -> dict[str, str]:
    """Qualified name -> type of the active assets of these types in the catalogue at `url`."""
    body = {"filter": {"or": [{"entityType": name} for name in types]}, "limit": 1000}
    answer = requests.post(f"{url}/datamap/api/search/query?api-version=2023-09-01", json=body, timeout=30)
    answer.raise_for_status()
    return {found["qualifiedName"]: found["entityType"] for found in answer.json()["value"]}


def columns(url: str, type_name: str, qualified_name: str) -> set[str]:
    """Names of the active columns of a table in the catalogue at `url`."""
    answer = requests.get(
        f"{url}/datamap/api/atlas/v2/entity/uniqueAttribute/type/{type_name}",
        params={"attr:qualifiedName": qualified_name},
        timeout=30,
    )
    answer.raise_for_status()
    related = answer.json()["entity"]["relationshipAttributes"]["columns"]
    return {column["displayText"] for column in related if column["entityStatus"] == "ACTIVE"}


@contextmanager
def running(folder: Path, instances: dict[str, Any] | None = None, **waits: int) -> Iterator[Flow]:
    """A stack with these instances (hookline.yaml's `instances:`) in a folder of its own."""
    config = folder / "hookline.yaml"
    config.write_text(yaml.safe_dump({"instances": instances or {}}), "utf-8")
    with Stack(folder / "local", config, waits=waits or None) as stack:
        yield Flow(stack)


def environ(folder: Path) -> dict[str, str]:
    """For the command line: nothing of Hookline's from outside, and the local stack below this folder."""
    inherited = {key: value for key, value in os.environ.items() if not key.upper().startswith("HOOKLINE")}
    return {**inherited, "PYTHONPATH": str(CHECKOUT), "HOOKLINE_LOCAL": str(folder / ".hookline")}


def hookline(folder: Path, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does, in `folder`."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environ(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
