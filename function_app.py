"""The functions of the app (Azure Functions, Python v2 model): triggers and bindings, nothing else.

A failing import, a duplicate name or a bad annotation in this file makes every function vanish without a trace
(azure-functions-python-worker#1338). So it imports only what the bindings need, and each body imports the pipeline when
it runs. `List` from typing, not `list`: the indexer refuses `func.Out[list[str]]`.
`tests/unit/test_function_app.py` indexes it with Microsoft's runtime and compares it with tests/golden/functions.json.
"""
# ruff: noqa: UP006, UP035

from __future__ import annotations

import json
import logging
import os
from typing import List

import azure.functions as func
import azurefunctions.extensions.bindings.blob as blob_binding


def _set(connection: str, *suffixes: str) -> bool:
    return any(os.environ.get(connection + suffix) for suffix in ("", *suffixes))


#: app setting, or prefix of the app settings, with the account where landing and the queues lie; as shared/azure.py
STORAGE = (
    "HooklineStorage"
    if _set("HooklineStorage", "__blobServiceUri", "__serviceUri", "__accountName")
    else "AzureWebJobsStorage"
)
#: the same for the Event Hubs namespace that the catalogue's notifications come from
NOTIFICATIONS = "HooklineNotifications"
NOTIFICATIONS_HUB = "HOOKLINE_NOTIFICATIONS_HUB"

SCANS = "scans"
REPLAYS = "replays"
#: bytes; a larger OpenLineage event belongs into landing/uploads/openlineage/, where it is streamed
MAX_BODY = 16 * 1024 * 1024

# the SDKs log two records per HTTP call at INFO, which Application Insights bills
logging.getLogger("azure").setLevel(logging.WARNING)

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


def _json(status: int, body: bytes) -> func.HttpResponse:
    return func.HttpResponse(body, status_code=status, mimetype="application/json")


@app.timer_trigger(arg_name="timer", schedule=os.environ.get("HOOKLINE_SCHEDULE", "0 * * * * *"))
@app.queue_output(arg_name="scans", queue_name=SCANS, connection=STORAGE)
def schedule(timer: func.TimerRequest, scans: func.Out[List[str]]) -> None:  # noqa: ARG001
    """Every minute: one message for each instance and scope that is due."""
    from shared import pipeline

    scans.set(pipeline.schedule())


@app.queue_trigger(arg_name="message", queue_name=SCANS, connection=STORAGE)
@app.queue_output(arg_name="scans", queue_name=SCANS, connection=STORAGE)
def extract(message: func.QueueMessage, scans: func.Out[List[str]]) -> None:
    """One scope of one instance into landing; a scan that outlives the time limit goes on in a new message."""
    from shared import pipeline

    scans.set(pipeline.extract(message.get_body().decode()))


@app.blob_trigger(arg_name="blob", path="landing/{name}", connection=STORAGE, source=func.BlobSource.EVENT_GRID)
def transform(blob: blob_binding.BlobClient) -> None:
    """A landed file through to hook messages, streamed."""
    from shared import pipeline

    pipeline.transform(blob)


@app.queue_trigger(arg_name="message", queue_name=REPLAYS, connection=STORAGE)
def replay(message: func.QueueMessage) -> None:
    """A landed file again: its event was lost, or a person asks for it."""
    from shared import pipeline

    pipeline.replay(message.get_body().decode())


@app.timer_trigger(arg_name="timer", schedule=os.environ.get("HOOKLINE_SWEEP", "30 */5 * * * *"))
@app.queue_output(arg_name="replays", queue_name=REPLAYS, connection=STORAGE)
def sweep(timer: func.TimerRequest, replays: func.Out[List[str]]) -> None:  # noqa: ARG001
    """Every five minutes: landed files without a receipt, overdue confirmations, finished scans."""
    from shared import pipeline

    replays.set(pipeline.sweep())


if os.environ.get(NOTIFICATIONS_HUB) and _set(NOTIFICATIONS, "__fullyQualifiedNamespace"):

    @app.event_hub_message_trigger(
        arg_name="events",
        connection=NOTIFICATIONS,
        event_hub_name=f"%{NOTIFICATIONS_HUB}%",
        cardinality=func.Cardinality.MANY,
        consumer_group=os.environ.get("HOOKLINE_NOTIFICATIONS_GROUP", "$Default"),
    )
    @app.retry(
        strategy="exponential_backoff", max_retry_count="5", minimum_interval="00:00:02", maximum_interval="00:01:00"
    )
    def confirm(events: List[func.EventHubEvent]) -> None:
        """Notifications of the catalogue: what of the entities sent has arrived."""
        from shared import pipeline

        pipeline.confirm([event.get_body() for event in events])


@app.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def health(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001
    """Whether the app is up and its settings can be read; names no instance and no address."""
    from shared import pipeline

    return _json(*pipeline.health())


@app.route(route="status", methods=["GET"])
def status(req: func.HttpRequest) -> func.HttpResponse:
    """Instances, scans, files and what was rejected: a page for a browser, JSON for a script."""
    from shared import pipeline

    code, body, headers = pipeline.status(req.params, req.headers.get("accept", ""))
    kind = headers.pop("Content-Type")
    return func.HttpResponse(body, status_code=code, headers=headers, mimetype=kind.partition(";")[0], charset="utf-8")


@app.route(route="scan/{instance}", methods=["POST"])
@app.queue_output(arg_name="scans", queue_name=SCANS, connection=STORAGE)
def scan(req: func.HttpRequest, scans: func.Out[List[str]]) -> func.HttpResponse:
    """Scan an instance now; `?full=true` reads everything again."""
    from shared import pipeline

    full = req.params.get("full", "").lower() in ("1", "true", "yes")
    code, body, messages = pipeline.scan(req.route_params["instance"], full)
    scans.set(messages)
    return _json(code, body)


@app.route(route="v1/lineage", methods=["POST"])
def lineage(req: func.HttpRequest) -> func.HttpResponse:
    """The address an OpenLineage client posts to (`/api/v1/lineage`): the event lands as a job file."""
    body = req.get_body()
    if len(body) > MAX_BODY:
        error = {
            "error": f"the event has {len(body):,} bytes, the limit is {MAX_BODY:,}",
            "fix": "upload it as a file to landing/uploads/openlineage/",
        }
        return _json(413, json.dumps(error).encode())
    from shared import pipeline

    return _json(*pipeline.lineage(body, req.headers.get("content-type", "")))
