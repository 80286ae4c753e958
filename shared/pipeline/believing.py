"""How far an answer about what is being sent can be believed.

No answer of the catalogue says which version of an asset it is about. Usually there is only one that it can be about.
"""

from __future__ import annotations

import datetime as dt

from shared.pipeline.app import App, now, parsed
from shared.pipeline.confirmation import SKEW_MS
from shared.state.pending import Belief
from shared.state.receipts import Receipt

#: scans whose scope a worker keeps in mind
REMEMBERED = 10_000
#: what was sent before this is answered by now, or told apart by its time, whatever the clocks show
RECENT = dt.timedelta(milliseconds=2 * SKEW_MS)


def of_file(before: Receipt | None, etag: str) -> Belief:
    """Of a file that people have put into landing. before: its receipt as the run finds it."""
    if before is None or not before.etag:
        return "usual"
    if before.etag == etag:
        return "usual" if before.final else before.belief
    if not before.final and (before.sent_at or before.belief != "usual" or before.state == "transforming"):
        return "content"
    return "exact" if before.sent_at and now() - parsed(before.sent_at) < RECENT else "usual"


def of_scan(app: App, instance: str, scope: str, scan: str) -> Belief:
    """Of a part of a scan, and of its deletions."""
    others = {chunk.path.split("/")[1]: chunk.path for chunk in app.pending.all(f"{instance}/")}
    if any(_scope(app, other, path) == scope for other, path in others.items() if other != scan):
        return "content"
    row, _ = app.scans.get(instance, scope)
    last = row.last
    if last is not None and last.id != scan and last.finished and now() - parsed(last.finished) < RECENT:
        return "exact"
    return "usual"


def _scope(app: App, scan: str, path: str) -> str:
    """Of which scope a scan was; empty while its file is at work. Never another one, so that it is read once."""
    known = app.scope_of_scan.get(scan, "")
    if not known:
        receipt, _ = app.receipts.get(path)
        known = receipt.scope if receipt is not None else ""
        if len(app.scope_of_scan) >= REMEMBERED:
            app.scope_of_scan.clear()
        app.scope_of_scan[scan] = known
    return known
