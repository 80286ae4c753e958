"""host.json: how the host runs the triggers.

Only the settings that mean something on a laptop are read; the others are Azure's business. App settings override them
as in Azure: `AzureFunctionsJobHost__extensions__queues__visibilityTimeout=00:00:01`
(https://learn.microsoft.com/azure/azure-functions/functions-host-json#override-hostjson-values).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import SettingsError

OVERRIDE = "AzureFunctionsJobHost__"
_TIME_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})(\.\d+)?")


@dataclass(frozen=True)
class HostJson:
    """Times in seconds; None is no limit. Defaults are those of the host."""

    function_timeout: float | None
    route_prefix: str
    queue_batch: int
    queue_new_batch_threshold: int
    queue_max_dequeue_count: int
    queue_visibility_timeout: float
    queue_base64: bool
    blob_parallelism: int
    blob_max_tries: int
    event_batch: int
    event_prefetch: int


def read_host_json(folder: Path, environ: Mapping[str, str]) -> HostJson:
    """Raises SettingsError: the file is missing, no JSON, or a value is none."""
    path = folder / "host.json"
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SettingsError("there is no host.json", where=str(folder), fix="name the folder of the app") from None
    except json.JSONDecodeError as error:
        raise SettingsError(f"not JSON: {error}", where=str(path), fix="correct the line") from None
    overrides = {key[len(OVERRIDE) :].lower(): value for key, value in environ.items() if key.startswith(OVERRIDE)}

    def value(name: str, default: Any) -> Any:
        if name.replace(".", "__").lower() in overrides:
            return overrides[name.replace(".", "__").lower()]
        found = document
        for key in name.split("."):
            found = found.get(key) if isinstance(found, dict) else None
        return default if found is None else found

    def number(name: str, default: int) -> int:
        try:
            return int(value(name, default))
        except (TypeError, ValueError):
            raise SettingsError(f"{name} is no whole number", where=str(path), fix="write a number") from None

    def seconds(name: str, default: str) -> float:
        found = _TIME_SPAN.fullmatch(str(value(name, default)))
        if found is None:
            raise SettingsError(f"{name} is no time span", where=str(path), fix="write hh:mm:ss")
        days, hours, minutes, secs, fraction = found.groups(default="0")
        return int(days) * 86400 + int(hours) * 3600 + int(minutes) * 60 + int(secs) + float(fraction)

    batch = number("extensions.queues.batchSize", 16)
    endless = str(value("functionTimeout", "")) == "-1"
    return HostJson(
        function_timeout=None if endless else seconds("functionTimeout", "00:30:00"),
        route_prefix=str(value("extensions.http.routePrefix", "api")).strip("/"),
        queue_batch=batch,
        queue_new_batch_threshold=number("extensions.queues.newBatchThreshold", batch // 2),
        queue_max_dequeue_count=number("extensions.queues.maxDequeueCount", 5),
        queue_visibility_timeout=seconds("extensions.queues.visibilityTimeout", "00:00:00"),
        queue_base64=str(value("extensions.queues.messageEncoding", "base64")).lower() == "base64",
        blob_parallelism=number("extensions.blobs.maxDegreeOfParallelism", 8),
        blob_max_tries=number("extensions.blobs.poisonBlobThreshold", 5),
        event_batch=number("extensions.eventHubs.maxEventBatchSize", 100),
        event_prefetch=number("extensions.eventHubs.prefetchCount", 300),
    )
