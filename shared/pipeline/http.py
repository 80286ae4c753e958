"""The bodies of the HTTP functions: (status, JSON[, queue messages])."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Mapping

import msgspec

from shared.errors import HooklineError, SettingsError, Transient, UsageError
from shared.job_file import is_gzip
from shared.pipeline.app import App, now, rfc3339
from shared.pipeline.files import Wanted
from shared.pipeline.landing import put_landing_bytes
from shared.pipeline.overview import Status
from shared.pipeline.overview import status as status_of
from shared.pipeline.page import HEADERS, Pages
from shared.pipeline.refusals import Group, grouped, refusals
from shared.pipeline.refusals import Wanted as Refusals
from shared.pipeline.scheduling import request
from shared.pipeline.story import Story, story
from shared.pipeline.why import Why, why
from shared.settings.redact_json import redact_json

#: an OpenLineage event is a few kilobytes; the largest seen with wide schemas were below 2 MB
MAX_EVENT_BYTES = 8 * 1024 * 1024

#: files of a page of `status`, and the most that may be asked for
PAGE_FILES, MOST_FILES = 50, 500

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


def status(app: App, query: Mapping[str, str], accept: str = "") -> tuple[int, bytes, dict[str, str]]:
    """What `./hookline status` shows: status, body and headers; HTML for a browser, JSON for everybody else.

    query: `of` a file, a scan or an instance for its story; `why` for what is known of an asset; `rejected` for what
    was refused, grouped; else `state`, `before`, `under` and `files` (so many, at most 500) choose files.
    """
    as_page = _wants_html(accept)
    pages = Pages(rfc3339(now()), key=query.get("code", ""))
    code = 200
    try:
        found = _found(app, query)
        body = _encode(found) if not as_page else _page(pages, found, query)
    except HooklineError as error:
        code = 404 if isinstance(error, UsageError) and error.where else 503 if isinstance(error, Transient) else 400
        body = pages.error(error.what, error.where, error.fix) if as_page else _error(error)
    kind = {"Content-Type": "text/html; charset=utf-8"} if as_page else {"Content-Type": "application/json"}
    return code, body, {**HEADERS, **kind}


Found = Status | Story | Why | list[Group]


def _wants_html(accept: str) -> bool:
    """Whether HTML stands in an Accept header before JSON: browsers name it first, scripts name JSON or nothing."""
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    html, json = ([kinds.index(kind)] if kind in kinds else [] for kind in ("text/html", "application/json"))
    return bool(html) and (not json or html < json)


def _found(app: App, query: Mapping[str, str]) -> Found:
    if query.get("of"):
        return story(app, query["of"])
    if query.get("why"):
        return why(app, query["why"])
    if query.get("rejected"):
        return grouped(refusals(app, Refusals(instance=query.get("instance", ""), rule=query.get("rule", ""))))
    most = query.get("files", str(PAGE_FILES))
    if not most.isdecimal() or int(most) > MOST_FILES:
        raise UsageError(f"`files` is a number up to {MOST_FILES}", fix=f"leave it out for {PAGE_FILES}")
    state, under, before = (query.get(name, "") for name in ("state", "under", "before"))
    return status_of(app, Wanted(most=int(most), before=before, state=state, under=under))


def _page(pages: Pages, found: Found, query: Mapping[str, str]) -> bytes:
    if isinstance(found, Status):
        return pages.status(found, {name: query.get(name, "") for name in ("state", "under", "files")})
    if isinstance(found, Why):
        return pages.why(found)
    return pages.story(found) if isinstance(found, Story) else pages.rejected(found)


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

    Producers put their whole environment into facets; what looks like a credential there does not reach storage.

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
        masked = redact_json(event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return 400, _error(HooklineError(f"the body is not JSON: {error}", fix="send one OpenLineage event"))
    if not isinstance(event, (dict, list)):
        return 400, _error(HooklineError("the body is no OpenLineage event", fix="send a JSON object"))
    path = f"{EVENTS}{now():%Y/%m/%d/%H%M%S%f}-{secrets.token_hex(4)}.json"
    try:
        put_landing_bytes(app, path, body if masked == event else msgspec.json.encode(masked))
    except Transient as error:
        return 503, _error(error)
    return 201, _encode({"landed": path})
