"""The bodies of the HTTP functions: (status, JSON[, queue messages])."""

from __future__ import annotations

import secrets
import zlib

import msgspec

from shared.errors import HooklineError, SettingsError, Transient
from shared.job_file import is_gzip
from shared.pipeline.app import App, now
from shared.pipeline.landing import put_landing_bytes
from shared.pipeline.overview import status as status_of
from shared.pipeline.scheduling import request

#: an OpenLineage event is a few kilobytes; the largest seen with wide schemas were below 2 MB
MAX_EVENT_BYTES = 8 * 1024 * 1024

#: where events lie
EVENTS = "uploads/openlineage/http/"

_encode = msgspec.json.encode


def _error(error: HooklineError) -> bytes:
    return _encode({"error": error.what, "where": error.where, "fix": error.fix})


def health(app: App) -> tuple[int, bytes]:
    """200 when storage answers. Anonymous, so it names nothing; `status` does."""
    try:
        app.landing.get_container_properties()
        storage = "ok"
    except Exception as error:  # noqa: BLE001 - whatever it is, health says it instead of failing
        storage = type(error).__name__
    body = {"storage": storage, "instances": len(app.settings.instances), "disabled": len(app.settings.disabled)}
    return (200 if storage == "ok" else 503), _encode(body)


def status(app: App) -> tuple[int, bytes]:
    return 200, _encode(status_of(app))


def scan(app: App, instance: str, *, full: bool) -> tuple[int, bytes, list[str]]:
    """Run an instance now: 202 and its scans, 404 for an unknown one, 502 when its source does not answer.

    A scope that is being scanned is left out.
    """
    try:
        messages = request(app, instance, full=full, reason="request")
    except SettingsError as error:
        return 404, _error(error), []
    except Transient as error:
        return 503, _error(error), []
    except HooklineError as error:
        return 502, _error(error), []
    return 202, _encode({"scans": [msgspec.json.decode(m) for m in messages]}), messages


def lineage(app: App, body: bytes) -> tuple[int, bytes]:
    """Land an OpenLineage event (or an array of them) as a job file: 201 and where it lies. The rest is transform's.

    Only what cannot be a job file at all is refused: producers never wait for the transform.
    """
    if is_gzip(body):  # the openlineage-python client compresses when it is told to
        try:
            body = zlib.decompressobj(wbits=31).decompress(body, MAX_EVENT_BYTES + 1)
        except zlib.error as error:
            return 400, _error(
                HooklineError(f"the body is damaged gzip: {error}", fix="send it again, or uncompressed")
            )
    if len(body) > MAX_EVENT_BYTES:
        return 413, _error(HooklineError("the event is too large", fix=f"at most {MAX_EVENT_BYTES:,} bytes"))
    try:
        event = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return 400, _error(HooklineError(f"the body is not JSON: {error}", fix="send one OpenLineage event"))
    if not isinstance(event, (dict, list)):
        return 400, _error(HooklineError("the body is no OpenLineage event", fix="send a JSON object"))
    path = f"{EVENTS}{now():%Y/%m/%d/%H%M%S%f}-{secrets.token_hex(4)}.json"
    try:
        put_landing_bytes(app, path, body)
    except Transient as error:
        return 503, _error(error)
    return 201, _encode({"landed": path})
