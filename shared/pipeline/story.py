"""The whole story of one landed file, one scan or one instance: what `status PATH|SCAN|INSTANCE` shows."""

from __future__ import annotations

import heapq
import itertools
import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Literal

import msgspec

from shared.azure import storage_errors
from shared.errors import UsageError
from shared.pipeline.app import App, now, rfc3339
from shared.pipeline.files import Files, Look, Wanted, late_before, shown
from shared.pipeline.held import held
from shared.pipeline.landing import version
from shared.pipeline.overview import InstanceStatus, instances
from shared.pipeline.refusals import refused_of
from shared.records import Refusal
from shared.state.receipts import Receipt
from shared.state.scans import Scan

#: names and refusals that a story tells
SHOWN = 20
NEAREST = 3
#: paths that are compared letter by letter for the nearest one
COMPARED = 20_000
SCAN_ID = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9a-f]+")


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """One asset that is waited for or held. operation: create, update or delete."""

    operation: str
    type_name: str
    qualified_name: str


class FileStory(msgspec.Struct, frozen=True, kw_only=True):
    """One landed file. receipt: None when nobody has taken it up; next: what happens, or what to do.

    lies: it is still in landing; newer: in a version that landed after the receipt's; missing: the first assets that
    are not confirmed; rejected: the first that were refused; superseded: the later scan that has published its scope.
    """

    path: str
    receipt: Receipt | None
    lies: bool
    newer: bool
    missing: list[Asset] = []
    rejected: list[Refusal] = []
    superseded: str = ""
    next: str = ""


class ScanStory(msgspec.Struct, frozen=True, kw_only=True):
    """One scan. scan: None when its row tells of a later one; files: receipts of its parts and deletions."""

    id: str
    instance: str
    scan: Scan | None
    files: list[Receipt]
    held: list[Asset] = []


class InstanceStory(msgspec.Struct, frozen=True, kw_only=True):
    """One instance. files: its newest; held: scope -> the first assets of which the deletion waits for a person."""

    status: InstanceStatus
    files: Files
    held: dict[str, list[Asset]] = {}


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """One of the three. version: of this structure; at: the moment it is about."""

    version: int = 1
    at: str
    about: Literal["file", "scan", "instance"]
    file: FileStory | None = None
    scan: ScanStory | None = None
    instance: InstanceStory | None = None


def story(app: App, what: str) -> Story:
    """what: a path in landing, the id of a scan (or `<instance>/<id>`), or an instance.

    Raises UsageError, which names the nearest path, for anything else; StorageBusy.
    """
    moment = rfc3339(now())
    name = what.strip().removeprefix("landing/").rstrip("/")
    known = next((one for one in instances(app) if one.name == name), None)
    if known is not None:
        return Story(at=moment, about="instance", instance=_of_instance(app, known))
    folder = scan_folder(app, name)
    if folder:
        return Story(at=moment, about="scan", scan=_of_scan(app, folder))
    receipt, _ = app.receipts.get(name)
    if receipt is not None or version(app.landing.get_blob_client(name)) is not None:
        return Story(at=moment, about="file", file=_of_file(app, name, receipt))
    raise UsageError("there is no such file, scan or instance", where=what, fix=nearest(app, name))


def scan_folder(app: App, what: str) -> str:
    """`<instance>/<scan>` of a scan that has landed something, or is known; empty for anything else."""
    instance, _, scan = what.rpartition("/")
    if not SCAN_ID.fullmatch(scan):
        return ""
    for name in [instance] if instance else list(app.scans.instances()):
        if any(scan in (one.id for one in (row.current, row.last) if one) for _, row in app.scans.of(name)):
            return f"{name}/{scan}"
    found = (
        folder for folder in app.receipts.folders() if folder == what or (not instance and folder.endswith(f"/{scan}"))
    )
    return next(found, "")


def nearest(app: App, what: str) -> str:
    """The fix for a path, scan or instance that is not there: those whose names are nearest."""
    names = itertools.chain(app.settings.instances, app.scans.instances(), _paths(app))
    wanted = what.lower()
    end = wanted.rpartition("/")[2]

    def likeness() -> Iterator[tuple[float, str]]:
        for count, name in enumerate(names):
            lower = name.lower()
            if wanted in lower or lower.rpartition("/")[2] == end:
                yield 1.0, name
            elif count < COMPARED:
                compared = SequenceMatcher(None, wanted, lower, autojunk=False)
                if compared.real_quick_ratio() > 0.6 and compared.quick_ratio() > 0.6:
                    yield compared.ratio(), name

    likely = heapq.nlargest(NEAREST, set(likeness()))
    near = [name for much, name in likely if much > max(0.6, likely[0][0] - 0.1)]
    known = f"did you mean {' or '.join(near)}? " if near else ""
    return f"{known}`./hookline status` names files, scans and instances"


def _paths(app: App) -> Iterator[str]:
    with storage_errors("landing"):
        for blob in app.landing.list_blobs():
            yield blob.name
    for item in app.receipts.known():
        yield item.path


# ---- a file


def _of_file(app: App, path: str, receipt: Receipt | None) -> FileStory:
    there = version(app.landing.get_blob_client(path))
    newer = there is not None and receipt is not None and bool(receipt.etag) and there.etag != receipt.etag
    told = shown(receipt, late_before(app)) if receipt is not None else None
    missing = list(itertools.islice(waited_for(app, receipt), SHOWN)) if receipt is not None else []
    found = FileStory(
        path=path,
        receipt=told,
        lies=there is not None,
        newer=newer,
        missing=missing,
        rejected=[item for _, item in itertools.islice(refused_of(app, path), SHOWN)],
        superseded=superseded(app, receipt) if receipt is not None else "",
    )
    return msgspec.structs.replace(found, next=_next(app, found))


def waited_for(app: App, receipt: Receipt) -> Iterator[Asset]:
    """What of a file is not confirmed yet, by name."""
    if receipt.state != "sent":
        return
    for chunk, _ in app.pending.of(receipt.path, receipt.run):
        for operation, name in app.pending.missing(chunk):
            yield Asset(operation=operation, type_name=name.type_name, qualified_name=name.qualified_name)


def superseded(app: App, receipt: Receipt) -> str:
    """The later scan that has published the scope of this file since; empty when its own scan still counts."""
    if not receipt.scan or not receipt.scope:
        return ""
    pointer, _ = app.snapshots.current(receipt.instance, receipt.scope)
    return pointer.scan if pointer is not None and pointer.scan > receipt.scan else ""


def _next(app: App, found: FileStory) -> str:
    """What happens next, or what to do."""
    receipt, limits = found.receipt, app.settings.limits
    again = f"`./hookline replay {found.path}`"
    if receipt is None or found.newer:
        minutes = limits.sweep_after_seconds // 60
        return f"nobody has taken it up yet; the sweep does so {minutes} minutes after it landed, {again} at once"
    if receipt.state == "transforming":
        return receipt.fix or "it is being transformed; if its worker has died, the sweep takes it up again"
    if receipt.state in ("sent", "overdue"):
        asked, once_more = limits.ask_after_seconds // 60, limits.overdue_after_seconds // 60
        done = "they were sent once more, and over REST" if receipt.by_rest else "they were sent once more"
        said = f"{receipt.waits:,} assets are not confirmed yet; "
        if receipt.resent:
            return f"{said}{done}; what does not arrive now is reported as lost"
        return f"{said}they are asked for {asked} minutes after they were sent, and sent once more after {once_more}"
    gone = "" if found.lies else " (it is not in landing any more: put it there again)"
    if receipt.state == "lost":
        return f"look at the reasons, put that right, then {again}{gone}"
    if receipt.refused:
        return f"correct the file and upload it again; if it was right and something else was wrong, {again}{gone}"
    return "nothing to do: all of it is in the catalogue"


# ---- a scan, an instance


def _of_scan(app: App, folder: str) -> ScanStory:
    instance, _, scan = folder.partition("/")
    rows = [one for _, row in app.scans.of(instance) for one in (row.current, row.last) if one is not None]
    files = sorted(app.receipts.within(folder), key=lambda r: r.path)
    overdue = late_before(app)
    return ScanStory(
        id=scan,
        instance=instance,
        scan=next((one for one in rows if one.id == scan), None),
        files=[shown(receipt, overdue) for receipt in files],
        held=_held(app, instance, scan),
    )


def _held(app: App, instance: str, scan: str) -> list[Asset]:
    names = itertools.islice(held(app, instance, scan), SHOWN)
    return [Asset(operation="delete", type_name=n.type_name, qualified_name=n.qualified_name) for n in names]


def _of_instance(app: App, one: InstanceStatus) -> InstanceStory:
    waiting = {scope: _held(app, one.name, row.held) for scope, row in app.scans.of(one.name) if row.held}
    return InstanceStory(status=one, files=Look(app, Wanted(most=SHOWN, under=f"{one.name}/")).files(), held=waiting)
