"""Forgetting: receipts of `receipts.keep_days` ago, and the landed files that belong to them.

What extract has landed, and what came over HTTP, goes with its receipt. What people have put into landing is theirs:
it stays until they take it away, and so does its receipt.
"""

from __future__ import annotations

import datetime as dt

import msgspec

from shared.azure import storage_errors
from shared.errors import StorageBusy
from shared.pipeline.app import App, log, now, parsed, rfc3339
from shared.pipeline.deletions import DELETIONS
from shared.pipeline.http import EVENTS
from shared.pipeline.landing import drop_landing, drop_rejected, part_of, version
from shared.pipeline.transformation import vanished
from shared.state.receipts import FINAL, Receipt

EVERY = dt.timedelta(days=1)


def trim_daily(app: App) -> None:
    """Once a day."""
    table = app.table("sweeps")
    last, _ = table.get("receipts", "trimmed", type=str)
    if last and now() - parsed(last) < EVERY:
        return
    try:
        count = trim(app)
    except StorageBusy as error:
        log.warning("old receipts are removed later: %s", error)
        return
    if count:
        log.info("%d receipts of more than %d days ago removed", count, app.settings.receipts.keep_days)
    table.put("receipts", "trimmed", rfc3339(now()))


def trim(app: App) -> int:
    """Returns how many receipts were removed."""
    before = now() - dt.timedelta(days=app.settings.receipts.keep_days)
    current = {row.current.id for name in app.scans.instances() for _, row in app.scans.of(name) if row.current}
    removed = 0
    for item in list(app.receipts.known()):
        if item.state in FINAL and item.started and parsed(item.started) >= before:
            continue  # unread: most are like this
        receipt, _ = app.receipts.get(item.path)
        if receipt is None:
            continue
        if not receipt.final:
            _check(app, receipt)
        elif receipt.scan not in current and parsed(receipt.finished or receipt.started) < before:
            removed += _remove(app, receipt)
    return removed


def _check(app: App, receipt: Receipt) -> None:
    """What nothing would ever end: its file was taken out of landing, or its names out of `pending`."""
    if receipt.format == DELETIONS:
        waits = next(app.pending.of(receipt.path, receipt.run), None) is not None
        if receipt.state == "sent" and not waits and now() - parsed(receipt.sent_at) > EVERY:
            app.receipts.update(receipt.path, _forgotten)
    elif receipt.state == "transforming" and version(app.landing.get_blob_client(receipt.path)) is None:
        vanished(app, receipt.path)


def _forgotten(receipt: Receipt) -> Receipt:
    if receipt.state != "sent":
        return receipt
    return msgspec.structs.replace(
        receipt,
        state="lost",
        finished=rfc3339(now()),
        error="it is not known any more what was deleted: the table `pending` was removed",
        fix="look whether the catalogue still has assets that the source has lost",
    )


def _remove(app: App, receipt: Receipt) -> bool:
    path = receipt.path
    if receipt.format == DELETIONS or part_of(path) is not None or path.startswith(EVENTS):
        with storage_errors(path):
            drop_landing(app, path)
    elif version(app.landing.get_blob_client(path)) is not None:
        return False
    drop_rejected(app, path)
    if receipt.format == DELETIONS:
        app.deleted.forget(receipt.instance, receipt.scope, receipt.scan)
    app.receipts.delete(path)
    return True
