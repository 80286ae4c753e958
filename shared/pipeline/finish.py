"""The end of a scan: when all its parts are through, compare it with the last one and delete what has gone.

Deletions come only from complete scans in which nothing was refused, and never from a scan older than the snapshot.
More of them than the limit (10 % of the scope, but at least 10 assets) wait for a person: a source that answers with
half of its tables is a likelier reason than half of the tables dropped.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from shared.atlas.closure import deletion
from shared.atlas.messages import Packer
from shared.naming import Name
from shared.pipeline.app import App, log, now, parsed, rfc3339
from shared.state import Conflict
from shared.state.pending import Expected
from shared.state.receipts import Receipt
from shared.state.scans import Scan
from shared.state.snapshots import Asset, Pointer

#: however small the scope, this many stale assets are deleted without asking
DELETE_FLOOR = 10
#: format and file name of the receipt that a scan's deletions have
DELETIONS = "deletions"


def finish_if_done(app: App, instance: str, scope: str, scan_id: str) -> bool:
    """Finish the scan if every part of it is through. Safe to call from everywhere, any number of times."""
    row, _ = app.scans.get(instance, scope)
    scan = row.current
    if scan is None or scan.id != scan_id or scan.state != "extracted":
        return False
    receipts = {r.part: r for r in app.receipts.of_scan(instance, scan_id) if r.part >= 0 or r.state == "rejected"}
    through = [r for r in receipts.values() if r.state != "transforming"]
    if len(through) < scan.parts:
        return False
    try:
        lease = app.scans.lease(instance, scope)
    except Conflict:
        return False  # a scan is at work or another worker finishes; the sweep comes back to it
    with lease:
        row, _ = app.scans.get(instance, scope)
        if row.current is None or row.current.id != scan_id or row.current.state != "extracted":
            return False
        whole = scan.complete and all(not r.refused and r.state != "rejected" for r in through)
        stale, deleted, held = _replace_snapshot(app, scan, whole=whole)
        moment = now()
        finished = msgspec.structs.replace(
            scan,
            state="finished",
            finished=rfc3339(moment),
            seconds=round((moment - parsed(scan.started)).total_seconds(), 3),
            stale=stale,
            deleted=deleted,
            held=held,
        )
        app.scans.put(
            instance,
            scope,
            msgspec.structs.replace(
                row, current=finished, last=finished, refreshed=scan.started if scan.full else row.refreshed
            ),
            lease=lease,
        )
        app.snapshots.trim(instance, scope)
    return True


def _replace_snapshot(app: App, scan: Scan, *, whole: bool) -> tuple[int, int, int]:
    """Returns (stale, deleted, held) and leaves the scan's snapshot as the scope's."""
    pointer, etag = app.snapshots.current(scan.instance, scan.scope)
    if pointer is not None and parsed(pointer.started) > parsed(scan.started):
        log.warning("scan %s of %s is older than its snapshot: left out", scan.id, scan.scope)
        return 0, 0, 0

    def compared() -> Iterator[tuple[Asset | None, Asset | None]]:
        return app.snapshots.compare(scan.instance, scan.scope, scan.id, scan.parts)

    before = gone = tables = 0
    for old, new in compared():
        tables += new is not None and bool(new.children)
        if old is not None and not old.stub:
            before += 1
            gone += new is None
    limit = max(app.instance(scan.instance).delete_limit * before, DELETE_FLOOR)
    # A source that comes back with no table at all is not believed, however small it was.
    held = gone if whole and gone and (gone > limit or not tables) else 0
    delete = whole and not held
    if delete:
        _delete(app, scan, _stale(compared()))
    elif held:
        log.warning(
            "instance=%s scope=%s: %d of %d assets are gone, held back", scan.instance, scan.scope, gone, before
        )

    def kept() -> Iterator[Asset]:
        for old, new in compared():
            asset = new if new is not None else old
            if asset is not None and (new is not None or not delete):
                yield asset

    total = 0

    def counted() -> Iterator[Asset]:
        nonlocal total
        for asset in kept():
            total += not asset.stub
            yield asset

    app.snapshots.replace(
        scan.instance, scan.scope, Pointer(scan=scan.id, started=scan.started, assets=before), counted(), etag
    )
    return gone, gone if delete else 0, held


def _stale(compared: Iterator[tuple[Asset | None, Asset | None]]) -> Iterator[Name]:
    """Names to delete: assets that have gone, and children (columns) that assets have lost."""
    for old, new in compared:
        if old is None or old.stub:
            continue
        if new is None:
            yield old.name
        elif old.mark != new.mark and old.children and not new.stub:
            still = set(new.children)
            yield from (Name(old.child_type, child) for child in old.children if child not in still)


def _delete(app: App, scan: Scan, names: Iterator[Name]) -> None:
    """Publish the deletions, with a receipt of their own."""
    stale = list(names)
    if stale:
        receipt = Receipt(
            path=f"{scan.instance}/{scan.id}/{DELETIONS}",
            format=DELETIONS,
            instance=scan.instance,
            scope=scan.scope,
            scan=scan.id,
            started=rfc3339(now()),
        )
        publish_deletions(app, receipt, stale)


def publish_deletions(app: App, receipt: Receipt, names: list[Name]) -> None:
    """Send (or send again) the deletions that this receipt is about."""
    packer = Packer(max_bytes=app.settings.limits.message_bytes)
    messages = [message for name in names for message in packer.add(deletion(name))]
    messages += packer.flush()
    sent = rfc3339(now())
    expected: list[Expected] = [("delete", name) for name in names]
    count = app.pending.expect(receipt.path, 0, expected, sent)
    app.sink.publish(messages, f"{receipt.instance}/{receipt.scope}")
    app.receipts.put(
        msgspec.structs.replace(
            receipt,
            state="sent",
            sent_at=sent,
            deleted=count,
            confirmed=0,
            messages=len(messages),
            bytes=sum(len(m.body) for m in messages),
            attempts=receipt.attempts + 1,
        )
    )
