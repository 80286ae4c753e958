"""What fell by the wayside: files whose event was lost, scans that stopped, answers that did not come.

Nothing here is needed when all goes well; everything else is found again within a few minutes.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator

import msgspec

from shared.delivery.notifications import Notice
from shared.errors import CatalogBusy, CatalogRefused
from shared.naming import Name
from shared.pipeline.app import App, log, now, parsed, rfc3339
from shared.pipeline.confirmation import mark, settle
from shared.pipeline.finish import DELETIONS, finish_if_done, publish_deletions
from shared.pipeline.landing import put_rejected
from shared.pipeline.transformation import MAX_ATTEMPTS
from shared.records import Refusal
from shared.state.pending import Expected
from shared.state.receipts import Receipt
from shared.state.scans import Scan

#: queue messages per run: the next run takes the next ones
MAX_REPLAYS = 500


class Replay(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message of the queue `replays`: transform this landed file, even if its receipt says that it was sent."""

    path: str
    again: bool = False


def sweep(app: App) -> list[str]:
    """Returns messages for the queue `replays`."""
    for instance in list(app.scans.instances()):
        for scope, row in list(app.scans.of(instance)):
            if row.current is not None and row.current.state == "extracted":
                finish_if_done(app, instance, scope, row.current.id)
    replays = list(itertools.islice(itertools.chain(_unseen(app), _waiting(app)), MAX_REPLAYS))
    return [msgspec.json.encode(replay).decode() for replay in replays]


def stopped_scans(app: App) -> Iterator[Scan]:
    """Scans that say they are running but were not touched for an hour: their queue message is gone."""
    limit = now() - dt.timedelta(hours=1)
    for instance in app.scans.instances():
        for _, row in app.scans.of(instance):
            scan = row.current
            if scan is not None and scan.state == "running" and scan.touched and parsed(scan.touched) < limit:
                yield scan


def _unseen(app: App) -> Iterator[Replay]:
    """Landed files that have no receipt, or one that got stuck, some minutes after they landed."""
    limit = now() - dt.timedelta(seconds=app.settings.limits.sweep_after_seconds)
    for blob in app.landing.list_blobs():
        if blob.last_modified > limit:
            continue
        receipt, _ = app.receipts.get(blob.name)
        if receipt is None or receipt.etag != str(blob.etag):
            yield Replay(path=blob.name)
        elif receipt.state == "transforming" and parsed(receipt.started) < limit:
            if receipt.attempts < MAX_ATTEMPTS * 2:
                yield Replay(path=blob.name)
            else:
                _give_up(app, receipt)


def _give_up(app: App, receipt: Receipt) -> None:
    reason = receipt.error or "its transform stopped again and again without a word (out of memory, or killed)"
    refusal = Refusal(
        place=receipt.path,
        rule="stuck",
        reason=f"tried {receipt.attempts} times: {reason}",
        fix=receipt.fix or "look at the function's log at the time of the last attempt",
    )
    put_rejected(app, receipt.path, [msgspec.json.encode(refusal) + b"\n"])

    def step(value: Receipt) -> Receipt:
        return msgspec.structs.replace(
            value, state="rejected", refused=1, reasons={"stuck": 1}, error=refusal.reason, finished=rfc3339(now())
        )

    app.receipts.update(receipt.path, step)


def _waiting(app: App) -> Iterator[Replay]:
    """Ask the catalogue for what was sent and not heard of; what it does not have is sent once more, then lost."""
    ask = dt.timedelta(seconds=app.settings.limits.ask_after_seconds)
    overdue = dt.timedelta(seconds=app.settings.limits.overdue_after_seconds)
    for path, chunk, seen in list(app.pending.chunks()):
        age = now() - parsed(seen.sent)
        receipt, _ = app.receipts.get(path)
        if receipt is None or receipt.state == "transforming" or not seen.missing:
            if receipt is not None and not seen.missing:
                settle(app, path)
            continue
        if age < ask:
            continue
        _ask(app, path, chunk)
        missing = app.pending.missing(path, chunk)
        if not missing or age < overdue:
            continue
        if receipt.resent:
            _lose(app, receipt, missing)
            continue
        log.warning("path=%s: %d assets are overdue and sent once more", path, len(missing))
        app.receipts.update(path, lambda r: msgspec.structs.replace(r, resent=True))
        if receipt.format == DELETIONS:
            publish_deletions(app, receipt, [name for _, name in missing])
        else:
            yield Replay(path=path, again=True)


def _ask(app: App, path: str, chunk: str) -> None:
    """Whether the catalogue has what no event told of (an update that changes nothing causes none)."""
    if app.catalog is None:
        return
    missing = app.pending.missing(path, chunk)
    by_type: dict[str, list[Expected]] = {}
    for operation, name in missing:
        by_type.setdefault(name.type_name, []).append((operation, name))
    heard: list[Notice] = []
    moment = int(now().timestamp() * 1000)
    try:
        for type_name, expected in by_type.items():
            found = app.catalog.find(type_name, [name.qualified_name for _, name in expected])
            for operation, name in expected:
                there = name.qualified_name in found and found[name.qualified_name][1] == "ACTIVE"
                if there == (operation != "delete"):
                    heard.append(Notice(operation, Name(type_name, name.qualified_name), moment))
    except (CatalogBusy, CatalogRefused) as error:
        log.warning("the catalogue cannot be asked: %s", error)
    if heard:
        mark(app, heard)


def _lose(app: App, receipt: Receipt, missing: list[Expected]) -> None:
    """Sent twice and still not there: say so, with the names."""
    put_rejected(
        app,
        f"{receipt.path}.lost",
        (
            msgspec.json.encode(
                Refusal(
                    place=f"{name.type_name} {name.qualified_name}",
                    rule="not-confirmed",
                    reason=f"sent twice ({operation}), and the catalogue does not show it",
                    fix="publish the file with `./hookline publish --rest`, whose answer names the reason",
                )
            )
            + b"\n"
            for operation, name in missing
        ),
    )
    log.error("path=%s: %d assets were sent twice and did not arrive", receipt.path, len(missing))

    def step(value: Receipt) -> Receipt:
        return msgspec.structs.replace(
            value,
            state="lost",
            refused=value.refused + len(missing),
            reasons={**value.reasons, "not-confirmed": len(missing)},
            finished=rfc3339(now()),
        )

    app.receipts.update(receipt.path, step)
    app.pending.remove(receipt.path)
