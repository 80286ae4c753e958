"""The pipeline: the only place where the parts meet. Each function here is the body of one trigger in function_app.py.

schedule -> [scans] -> extract -> landing -> transform -> Event Hubs -> catalogue -> confirm -> receipts
                                                ^------- [replays] <- sweep
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from shared.pipeline.guard import guarded

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient

    from shared.pipeline.app import App


@functools.lru_cache(maxsize=1)
def worker() -> App:
    """The worker's app; made by the first function that runs. Raises SettingsError (not remembered)."""
    from shared.pipeline.app import App

    return App.from_environment()


@guarded
def schedule() -> list[str]:
    """Messages for the queue `scans`: everything that is due."""
    from shared.pipeline.scheduling import schedule

    return schedule(worker())


@guarded
def extract(body: str) -> list[str]:
    """Run one message of the queue `scans`; returns the message with which the scan goes on, if it has to."""
    from shared.pipeline.extraction import extract

    return extract(worker(), body)


@guarded
def transform(blob: BlobClient) -> None:
    """Transform one landed file."""
    from shared.pipeline.transformation import transform

    transform(worker(), blob)


@guarded
def replay(body: str) -> None:
    """Run one message of the queue `replays`."""
    from shared.pipeline.replaying import replay

    replay(worker(), body)


@guarded
def confirm(bodies: list[bytes]) -> None:
    """Take in notifications of the catalogue."""
    from shared.pipeline.confirmation import confirm

    confirm(worker(), bodies)


@guarded
def sweep() -> list[str]:
    """Messages for the queue `replays`: what fell by the wayside."""
    from shared.pipeline.sweeping import sweep

    return sweep(worker())


@guarded
def health() -> tuple[int, bytes]:
    """HTTP status and JSON."""
    from shared.pipeline.http import health

    return health(worker())


@guarded
def status(query: Mapping[str, str], accept: str) -> tuple[int, bytes, dict[str, str]]:
    """HTTP status, a page or JSON, and headers."""
    from shared.pipeline.http import status

    return status(worker(), query, accept)


@guarded
def scan(instance: str, full: bool) -> tuple[int, bytes, list[str]]:
    """HTTP status, JSON, and messages for the queue `scans`."""
    from shared.pipeline.http import scan

    return scan(worker(), instance, full=full)


@guarded
def lineage(body: bytes, content_type: str) -> tuple[int, bytes]:  # noqa: ARG001 - producers differ in what they say
    """HTTP status and JSON; the event lies in landing."""
    from shared.pipeline.http import lineage

    return lineage(worker(), body)
