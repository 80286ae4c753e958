"""Which landed files a person wants to run again: by path, by scan, or all of which something was refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from shared.errors import UsageError
from shared.pipeline.app import App
from shared.pipeline.deletions import DELETIONS
from shared.pipeline.ground import AT_WORK
from shared.pipeline.landing import version
from shared.pipeline.replaying import Replay
from shared.pipeline.story import nearest, scan_folder, superseded
from shared.state.receipts import Receipt

#: a later run would be dropped, because one worker at a time is at a file
BUSY = "it is being worked on"
GONE = "it is not in landing any more"


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """One file. message: for the queue `replays`; None for one that cannot run now, and `note` says why.

    note: what else a person should know. state: of the file as it is now.
    """

    path: str
    state: str
    message: Replay | None
    note: str = ""


def named(app: App, what: Iterable[str]) -> list[Replay]:
    """Messages for the queue `replays`: those of `chosen` that can run."""
    return messages(chosen(app, what))


def refused(app: App) -> list[Replay]:
    """The same of `rejected`."""
    return messages(rejected(app))


def messages(found: Iterable[Chosen]) -> list[Replay]:
    return [one.message for one in found if one.message is not None]


def chosen(app: App, what: Iterable[str]) -> list[Chosen]:
    """what: paths in landing, or ids of scans.

    Raises UsageError for any other, which names the nearest; for a path that is worked on or gone; and for a scan of
    which no file can run.
    """
    found: dict[str, Chosen] = {}
    for one in what:
        path = one.removeprefix("landing/")
        folder = scan_folder(app, path.rstrip("/"))
        if folder:
            parts = [_choose(app, r.path, r) for r in app.receipts.within(folder) if r.format != DELETIONS]
            if not messages(parts):
                raise _cannot(one, parts)
            found |= {part.path: part for part in parts}
            continue
        receipt, _ = app.receipts.get(path)
        if receipt is not None and receipt.format == DELETIONS:
            fix = f"`./hookline scan {receipt.instance}`: whatever is still missing is deleted again"
            raise UsageError("these are the deletions of a scan, not a landed file", where=one, fix=fix)
        known = _choose(app, path, receipt)
        if known.message is None:
            if receipt is None:
                raise UsageError(
                    "there is no such file in landing, and no such scan", where=one, fix=nearest(app, path)
                )
            raise _cannot(one, [known])
        found[path] = known
    return list(found.values())


def _cannot(what: str, parts: list[Chosen]) -> UsageError:
    if not parts:
        return UsageError("this scan has landed nothing", where=what, fix="`./hookline status SCAN` tells what it did")
    if any(part.note == BUSY for part in parts):
        return UsageError(BUSY, where=what, fix=f"wait until `./hookline status {what}` says that it is through")
    fix = (
        "scan the instance again"
        if parts[0].path.partition("/")[0] != "uploads"
        else "put it there again: it runs by itself"
    )
    return UsageError(GONE, where=what, fix=fix)


def rejected(app: App) -> list[Chosen]:
    """Every file of which something was refused, or got lost."""
    found = []
    for item in app.receipts.known():
        if item.state not in ("rejected", "lost", "partly rejected"):
            continue
        receipt, _ = app.receipts.get(item.path)
        if receipt is not None and receipt.final and receipt.format != DELETIONS:
            found.append(_choose(app, item.path, receipt))
    return found


def _choose(app: App, path: str, receipt: Receipt | None) -> Chosen:
    state = receipt.state if receipt is not None else "landed"
    if version(app.landing.get_blob_client(path)) is None:
        return Chosen(path=path, state=state, message=None, note=GONE)
    if app.receipts.held(path):
        return Chosen(path=path, state=state, message=None, note=BUSY)
    note = "; ".join(_notes(app, receipt)) if receipt is not None else ""
    return Chosen(path=path, state=state, message=Replay(path=path, again=True), note=note)


def _notes(app: App, receipt: Receipt) -> Iterator[str]:
    later = superseded(app, receipt)
    if later:
        yield f"the later scan {later} has published its scope: only what that published just so is sent"
    if receipt.scan and receipt.scope:
        row, _ = app.scans.get(receipt.instance, receipt.scope)
        if row.current is not None and row.current.id != receipt.scan and row.current.state in AT_WORK:
            yield f"it waits until scan {row.current.id} is over"
