"""The queue `replays`: run a landed file again, or send once more what of it did not arrive."""

from __future__ import annotations

from contextlib import ExitStack

import msgspec

from shared.errors import BadInput
from shared.naming import Name
from shared.pipeline.app import App, log, now, rfc3339
from shared.pipeline.beat import Beat
from shared.pipeline.confirmation import settle
from shared.pipeline.deletions import DELETIONS, delete_again
from shared.pipeline.file import File
from shared.pipeline.ground import AT_WORK
from shared.pipeline.landing import version
from shared.pipeline.transformation import TIME_LIMIT_SECONDS, transform
from shared.state import Conflict
from shared.state.pending import identity
from shared.state.receipts import Receipt
from shared.state.snapshots import Index


class Replay(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message of the queue `replays`: transform this landed file.

    again:   even if its receipt says that it was sent.
    missing: only what of it is not confirmed, without looking at the rest.
    """

    path: str
    again: bool = False
    missing: bool = False


def replay(app: App, body: str) -> None:
    """Raises Transient; the queue tries again."""
    try:
        message = msgspec.json.decode(body, type=Replay)
    except msgspec.DecodeError as error:
        raise BadInput(f"not a replay: {error}", where="queue replays", fix='send {"path": "..."}') from error
    if message.missing:
        resend(app, message.path)
    else:
        transform(app, app.landing.get_blob_client(message.path), again=message.again)


def resend(app: App, path: str) -> None:
    """Send once more what of a file was not confirmed, as far as it still holds. Once: a second call does nothing."""
    with ExitStack() as held:
        receipt, _ = app.receipts.get(path)
        if receipt is None or receipt.state != "sent" or receipt.resent:
            return
        beat = Beat()
        try:
            if receipt.scan:  # no scan may begin meanwhile that this would overwrite
                beat.add(held.enter_context(app.scans.lease(receipt.instance, receipt.scope)))
            beat.add(lease := held.enter_context(app.receipts.lease(path)))
        except Conflict as error:
            log.info("path=%s is resent later: %s", path, error)
            return
        receipt, _ = app.receipts.get(path)
        if receipt is None or receipt.state != "sent" or receipt.resent or _at_work(app, receipt):
            return
        chunks = [chunk for chunk, _ in app.pending.of(path, receipt.run)]
        missing = {name: (operation, chunk) for chunk in chunks for operation, name in app.pending.missing(chunk)}
        names = frozenset(missing)
        log.warning("path=%s: %d assets are overdue and sent once more", path, len(names))
        sent = (
            _deletions(app, receipt, names, beat) if receipt.format == DELETIONS else _file(app, receipt, names, beat)
        )
        for chunk in {missing[name][1] for name in sent if name in missing}:
            app.pending.sent_again(chunk, rfc3339(now()))
        overtaken = names - sent
        for chunk in chunks:
            passed = [identity(missing[name][0], name) for name in overtaken if missing[name][1] == chunk]
            app.pending.confirm(chunk, passed)
        app.receipts.put(msgspec.structs.replace(receipt, resent=True), lease=lease)
    settle(app, path, overtaken=len(overtaken))


def _at_work(app: App, receipt: Receipt) -> bool:
    """Whether the scope is being scanned; what is true of it is not known before that is over."""
    if not receipt.scan:
        return False
    row, _ = app.scans.get(receipt.instance, receipt.scope)
    return row.current is not None and row.current.id != receipt.scan and row.current.state in AT_WORK


def _deletions(app: App, receipt: Receipt, names: frozenset[Name], beat: Beat) -> set[Name]:
    """Delete again what has not come back since, as an asset or as a column of one."""
    index = app.snapshots.index(receipt.instance, receipt.scope)
    gone = {name for name in names if not index.publishes(name)}
    for asset in app.snapshots.assets(receipt.instance, receipt.scope):
        gone.difference_update(Name(asset.child_type, child) for child in asset.children)
    delete_again(app, receipt, [name for name in names if name in gone], beat)
    return gone


def _file(app: App, receipt: Receipt, names: frozenset[Name], beat: Beat) -> set[Name]:
    """Send again what the scope's last scan has published just so; all of it, for a file of no scan."""
    blob = app.landing.get_blob_client(receipt.path)
    there = version(blob)
    if there is None or there.etag != receipt.etag:
        log.warning("path=%s is not in landing any more, and cannot be sent again", receipt.path)
        return set(names)  # waited for a last time, then lost
    over, index = False, Index()
    if receipt.scan:
        pointer, _ = app.snapshots.current(receipt.instance, receipt.scope)
        row, _ = app.scans.get(receipt.instance, receipt.scope)
        at_work = row.current is not None and row.current.id == receipt.scan
        over = pointer is not None and (pointer.scan == receipt.scan or not at_work)
        index = app.snapshots.index(receipt.instance, receipt.scope) if over else index
    file = File(app, blob, receipt, there.size, beat, time_limit=TIME_LIMIT_SECONDS)
    try:
        return file.send_missing(names, truth=over, index=index)
    except BadInput as error:
        log.warning("path=%s cannot be sent again: %s", receipt.path, error)
        return set(names)
