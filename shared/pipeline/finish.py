"""The end of a scan: when all its parts are through, compare it with the last one and delete what has gone.

Deletions come only from complete scans in which nothing was refused, and never from a scan older than the snapshot.
More of them than the limit (10 % of the scope, but at least 10 assets) wait for a person: a source that answers with
half of its tables is a likelier reason than half of the tables dropped.

A scan that broke off is closed in the same way before the next one begins: what its parts have published belongs to
the snapshot, or nobody would ever delete it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from shared.atlas.closure import key
from shared.errors import Superseded
from shared.naming import Name
from shared.pipeline.app import App, log, now, parsed, rfc3339
from shared.pipeline.beat import Beat
from shared.pipeline.deletions import deletions_path, publish_deletions
from shared.pipeline.held import approved, forget, hold
from shared.pipeline.landing import landed_parts, part_path
from shared.state import Conflict, Lease
from shared.state.receipts import Receipt
from shared.state.scans import Scan, ScopeRow
from shared.state.snapshots import Again, Asset, Pointer

#: however small the scope, so many stale assets (columns) are deleted without asking
DELETE_FLOOR, COLUMNS_FLOOR = 10, 100

Pair = tuple[Asset | None, Asset | None]


class Outcome(NamedTuple):
    """As in `Scan`: what the scan has brought, what has gone, and what of that was deleted or is held back."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    stale: int = 0
    deleted: int = 0
    held: int = 0


class Stale:
    """What a scan does not have any more, and how many assets it has, in one pass over (before, now)."""

    def __init__(self, pairs: Iterator[Pair]) -> None:
        self.before = self.gone = self.columns = self.lost_columns = 0
        self.new = self.changed = self.unchanged = 0
        self.names: list[Name] = []
        for old, new in pairs:
            if new is not None and not new.stub and not new.deleted:
                self._count(old, new)
            if old is None or old.stub:
                continue
            self.before += 1
            self.columns += len(old.children)
            if has_gone(old, new):
                self.gone += 1
                self.names.append(old.name)
            elif new is not None and not new.deleted and old.children != new.children:
                still = set(new.children)
                lost = [Name(old.child_type, child) for child in old.children if child not in still]
                self.lost_columns += len(lost)
                self.names += lost

    def _count(self, old: Asset | None, new: Asset) -> None:
        if old is None or old.stub:
            self.new += 1
        elif old.mark != new.mark:
            self.changed += 1
        else:
            self.unchanged += 1

    def too_many(self, limit: float) -> bool:
        return self.gone > max(limit * self.before, DELETE_FLOOR) or self.lost_columns > max(
            limit * self.columns, COLUMNS_FLOOR
        )


def has_gone(old: Asset, new: Asset | None) -> bool:
    """A stub in its place means that something still refers to it, not that it is there."""
    return not old.stub and (new is None or (new.stub and not new.deleted))


def finish_if_done(app: App, instance: str, scope: str, scan_id: str) -> bool:
    """Finish the scan if every part of it is through. Safe to call from everywhere, any number of times."""
    row, _ = app.scans.get(instance, scope)
    scan = row.current
    if scan is None or scan.id != scan_id or scan.state != "extracted" or not _through(app, scan):
        return False
    if app.sink_circuit.shut() is not None:
        return False  # its deletions could not be sent
    try:
        lease = app.scans.lease(instance, scope)
    except Conflict:
        return False  # another worker is at it, or the sweep comes back to it
    try:
        with lease:
            return _finish(app, instance, scope, scan_id, lease)
    except Superseded as error:
        log.warning("scan %s of %s: %s", scan_id, scope, error)
        return False


def _finish(app: App, instance: str, scope: str, scan_id: str, lease: Lease) -> bool:
    row, _ = app.scans.get(instance, scope)
    scan = row.current
    if scan is None or scan.id != scan_id or scan.state != "extracted":
        return False
    receipts = _through(app, scan)
    if receipts is None:
        return False
    whole = scan.complete and all(not r.refused and r.state != "rejected" for r in receipts)
    outcome = _replace_snapshot(app, scan, row, receipts, Beat(lease), whole=whole)
    moment = now()
    finished = msgspec.structs.replace(
        scan,
        state="finished",
        finished=rfc3339(moment),
        seconds=round((moment - parsed(scan.started)).total_seconds(), 3),
        refused=scan.refused + sum(r.refused for r in receipts),
        **outcome._asdict(),
    )
    refreshed = scan.started if scan.full else row.refreshed
    done = msgspec.structs.replace(row, current=finished, last=finished, refreshed=refreshed)
    if whole:
        done = msgspec.structs.replace(done, held=scan.id if outcome.held else "", approved=False)
    app.scans.put(instance, scope, done, lease=lease)
    if whole and row.held != scan.id:
        forget(app, instance, row)
    app.snapshots.trim(instance, scope)
    return True


def close_broken(app: App, scan: Scan, beat: Beat) -> bool:
    """Take what a scan that broke off has published into the snapshot. False while some of its files are not through.

    The caller holds the scope's lease.
    """
    landed = landed_parts(app, scan.instance, scan.id)
    scan = msgspec.structs.replace(scan, parts=max([scan.parts, *(number + 1 for number in landed)]))
    if not scan.parts:
        return True
    receipts = _through(app, scan)
    if receipts is None:
        return False
    _replace_snapshot(app, scan, ScopeRow(), receipts, beat, whole=False)
    return True


def _through(app: App, scan: Scan) -> list[Receipt] | None:
    """The receipts of all parts; None while one of them is not transformed, in the version that lies in landing.

    The last part first: files are taken up in the order in which they land, so it is the likeliest to be missing.
    """
    landed = landed_parts(app, scan.instance, scan.id)
    receipts: list[Receipt] = []
    for number in reversed(range(scan.parts)):
        path = part_path(scan.instance, scan.id, number)
        receipt, _ = app.receipts.get(path)
        if number in landed:
            if receipt is None or receipt.state == "transforming" or receipt.etag != landed[number]:
                return None
        elif receipt is None:
            receipt = _removed(app, scan, number)
        elif receipt.state == "transforming":
            return None  # transform says what becomes of it
        receipts.append(receipt)
    return receipts


def _removed(app: App, scan: Scan, number: int) -> Receipt:
    """A part that somebody took out of landing before it was transformed: the scan goes on without it."""
    receipt = Receipt(
        path=part_path(scan.instance, scan.id, number),
        state="rejected",
        instance=scan.instance,
        scope=scan.scope,
        scan=scan.id,
        part=number,
        refused=1,
        reasons={"BadInput": 1},
        started=rfc3339(now()),
        finished=rfc3339(now()),
        error="it was removed from landing before it was transformed",
        fix="scan the instance again",
    )
    app.receipts.put(receipt)
    return receipt


def _replace_snapshot(
    app: App, scan: Scan, row: ScopeRow, receipts: list[Receipt], beat: Beat, *, whole: bool
) -> Outcome:
    """Delete what has gone, and leave the scan's snapshot as the scope's."""
    snapshots, place = app.snapshots, (scan.instance, scan.scope)
    pointer, etag = snapshots.current(*place)
    if pointer is not None and parsed(pointer.started) > parsed(scan.started):
        log.warning("scan %s of %s is older than its snapshot: left out", scan.id, scan.scope)
        return Outcome()
    if whole:  # a part that is not there any more (somebody deleted the table) is nothing to conclude from
        expected = {r.part for r in receipts}
        whole = expected <= snapshots.parts(*place, scan.id)

    def pairs() -> Iterator[Pair]:
        for pair in snapshots.compare(*place, scan.id, scan.parts):
            beat()
            yield pair

    stale = Stale(pairs())
    instance = app.settings.instances.get(scan.instance)
    again = [lost for lost in snapshots.again(*place) if lost.since < scan.started]
    held = row.last.held if row.last is not None and row.held and not whole else 0
    doubt = _doubt(app, scan, row, stale, pointer) if whole else ""
    if not whole or instance is None:
        delete = False
    elif doubt:
        delete, held = False, len(stale.names)
        hold(app, scan, stale.names, doubt)
        log.warning("instance=%s scope=%s: %d of %d assets are gone, held back", *place, stale.gone, stale.before)
    else:
        delete = True
    deleted = _delete(app, scan, stale.names, again, pairs, beat) if delete else 0
    created = set() if scan.full or pointer is None else _created(pairs())
    beat(now=True)
    snapshots.replace(
        *place,
        Pointer(
            scan=scan.id,
            started=scan.started,
            assets=0,
            selection=scan.selection if delete or pointer is None else pointer.selection,
        ),
        _kept(pairs(), created, delete=delete),
        etag,
    )
    app.schemas.replace(*place, scan.id, scan.parts, whole=delete)
    if again:
        _trust(app, scan, again, pairs, delete=delete)
    return Outcome(stale.new, stale.changed, stale.unchanged, len(stale.names), deleted, held)


def _doubt(app: App, scan: Scan, row: ScopeRow, stale: Stale, pointer: Pointer | None) -> str:
    """Why the deletions of a complete scan wait for a person; empty when they need not.

    A source that comes back with nothing but containers is not believed, unless somebody has said that it may.
    """
    instance = app.settings.instances.get(scan.instance)
    limit = instance.delete_limit if instance is not None else 0.0
    if not stale.names or approved(app, scan.instance, row, stale.names):
        return ""
    if pointer is not None and pointer.selection not in ("", scan.selection):
        return "`include` or `exclude` have changed since the last scan that deleted anything"
    if stale.gone and not scan.assets and limit < 1:
        return "the source came back with nothing"
    return "they are more than `delete_limit` allows" if stale.too_many(limit) else ""


def _delete(
    app: App, scan: Scan, stale: list[Name], again: list[Again], pairs: Callable[[], Iterator[Pair]], beat: Beat
) -> int:
    """Delete stale assets and columns, and what an earlier scan could not delete; how many that is."""
    names = dict.fromkeys(stale)
    names |= dict.fromkeys(lost.name for lost in again if lost.operation == "delete")
    if names:
        for index in app.snapshots.elsewhere(scan.instance, scan.scope):
            for name in [n for n in names if index.publishes(n)]:
                log.info("%s has gone from %s, but another scope has it", name.qualified_name, scan.scope)
                del names[name]
        for _, new in pairs() if names else ():  # a name may stand for a column before and an asset now
            if new is not None and not new.deleted and not new.stub:
                names.pop(new.name, None)
                for child in new.children:
                    names.pop(Name(new.child_type, child), None)
    if names:
        publish_deletions(app, scan, list(names), beat)
        return len(names)
    before, _ = app.receipts.get(deletions_path(scan))  # of a worker that died behind it
    return before.deleted if before is not None else 0


def _created(pairs: Iterator[Pair]) -> set[int]:
    """Keys of the assets that were not there before."""
    return {key(new.name) for old, new in pairs if old is None and new is not None and not new.stub}


def _kept(pairs: Iterator[Pair], created: set[int], *, delete: bool) -> Iterator[Asset]:
    """The new snapshot. delete: what this scan does not have is gone; else it is carried over."""
    for old, new in pairs:
        if new is not None and new.deleted:
            continue
        if old is not None and (new is None or has_gone(old, new)):
            if not delete:
                yield old
            continue
        if new is None:
            continue
        if old is not None and not delete and old.child_type == new.child_type and old.children != new.children:
            seen = set(new.children)
            children = (*new.children, *(child for child in old.children if child not in seen))
            new = msgspec.structs.replace(new, children=children)  # noqa: PLW2901 - until they are deleted
        if old is not None and not new.sent and not created.isdisjoint(new.refers):
            # What it refers to has come back with a new guid, which it has to be told.
            new = msgspec.structs.replace(new, mark=0)  # noqa: PLW2901
        yield new


def _trust(app: App, scan: Scan, again: list[Again], pairs: Callable[[], Iterator[Pair]], *, delete: bool) -> None:
    """What was in doubt is not any more, once a scan has sent it, or has shown that it is gone."""
    if delete:
        app.snapshots.trust(scan.instance, scan.scope, again)
        return
    waiting = {lost.name: lost for lost in again}
    seen = [waiting[new.name] for _, new in pairs() if new is not None and new.name in waiting]
    app.snapshots.trust(scan.instance, scan.scope, seen)
