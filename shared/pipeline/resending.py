"""What of a file did not arrive, once more: through the hub, then over REST, whose answer names the reason.

Before anything is sent again, the catalogue is looked at: what it shows just so has arrived, and only no event told.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

import msgspec

from shared.atlas.closure import Operation
from shared.delivery.comparison import Comparison
from shared.delivery.sinks import Refused, RestSink, Sink
from shared.errors import BadInput, CatalogBusy, CatalogRefused
from shared.naming import Name
from shared.pipeline.app import App, log, now, rfc3339
from shared.pipeline.beat import Beat
from shared.pipeline.confirmation import settle
from shared.pipeline.deletions import DELETIONS, delete_again
from shared.pipeline.file import File
from shared.pipeline.ground import AT_WORK
from shared.pipeline.landing import put_rejected, version
from shared.pipeline.transformation import TIME_LIMIT_SECONDS
from shared.records import Refusal
from shared.state import Conflict
from shared.state.pending import Chunk, identity
from shared.state.receipts import Receipt
from shared.state.snapshots import Index


def resend(app: App, path: str, *, by_rest: bool = False) -> None:
    """Send once more what of a file was not confirmed, as far as it still holds. Once: a second call does nothing.

    by_rest: over REST, after the hub has lost it twice; its answer is the confirmation, or the reason.
    """
    if not by_rest and app.sink_circuit.shut() is not None:
        return  # the sweep comes back to it
    with ExitStack() as held:
        receipt, _ = app.receipts.get(path)
        if receipt is None or not _is_open(receipt, by_rest=by_rest):
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
        if receipt is None or not _is_open(receipt, by_rest=by_rest) or _at_work(app, receipt):
            return
        chunks = [chunk for chunk, _ in app.pending.of(path, receipt.run)]
        missing = {name: (operation, chunk) for chunk in chunks for operation, name in app.pending.missing(chunk)}
        names = frozenset(missing) - _there(app, receipt, missing, beat)
        if missing and not names:
            held.close()
            settle(app, path)
            return
        log.warning("path=%s: %d assets are overdue and sent once more", path, len(names))
        over_rest = RestSink(app.catalog, app.pace) if by_rest and app.catalog is not None else None
        work = _Resending(app, receipt, names, beat, over_rest or app.sink)
        try:
            sent = work.deletions() if receipt.format == DELETIONS else work.file()
        except CatalogRefused as error:
            if not by_rest:
                raise
            log.error("path=%s cannot be sent over REST either: %s", path, error)
            app.receipts.put(
                msgspec.structs.replace(receipt, by_rest=True, error=error.what, fix=error.fix), lease=lease
            )
            return
        for chunk in {missing[name][1] for name in sent if name in missing}:
            app.pending.sent_again(chunk, rfc3339(now()))
        overtaken = names - sent
        answered = names if work.sink.answers and work.was_sent else overtaken
        for chunk in chunks:
            passed = [identity(missing[name][0], name) for name in answered if missing[name][1] == chunk]
            app.pending.confirm(chunk, passed)
        if receipt.scan and work.refused:
            doubted = [(missing[name][0], name) for name in work.refused]
            app.snapshots.doubt(receipt.instance, receipt.scope, doubted, rfc3339(now()))
        app.receipts.put(work.told(by_rest=by_rest), lease=lease)
    settle(app, path, overtaken=len(overtaken) + len(work.refused))


def look(app: App, path: str) -> None:
    """Compare what was not confirmed with what the catalogue shows; nothing is sent."""
    receipt, _ = app.receipts.get(path)
    if receipt is None or receipt.state != "sent" or _at_work(app, receipt):
        return
    chunks = [chunk for chunk, _ in app.pending.of(path, receipt.run)]
    missing = {name: (operation, chunk) for chunk in chunks for operation, name in app.pending.missing(chunk)}
    if _there(app, receipt, missing, Beat()):
        settle(app, path)


def _there(app: App, receipt: Receipt, missing: Mapping[Name, tuple[Operation, Chunk]], beat: Beat) -> set[Name]:
    """Those that the catalogue shows just as they were sent; they are noted as seen."""
    if app.catalog is None or receipt.format == DELETIONS:
        return set()
    work = _Resending(app, receipt, frozenset(missing), beat, app.sink)
    try:
        found = work.there(Comparison(app.catalog, app.pace))
    except (CatalogBusy, CatalogRefused) as error:
        log.warning("path=%s cannot be compared: %s", receipt.path, error)
        return set()
    for chunk in {missing[name][1] for name in found}:
        seen = [identity(missing[name][0], name) for name in found if missing[name][1] == chunk]
        app.pending.confirm(chunk, seen)
    return found


def _is_open(receipt: Receipt, *, by_rest: bool) -> bool:
    return receipt.state == "sent" and not (receipt.by_rest if by_rest else receipt.resent)


def _at_work(app: App, receipt: Receipt) -> bool:
    """Whether the scope is being scanned; what is true of it is not known before that is over."""
    if not receipt.scan:
        return False
    row, _ = app.scans.get(receipt.instance, receipt.scope)
    return row.current is not None and row.current.id != receipt.scan and row.current.state in AT_WORK


class _Resending:
    """names: what is missing. refused: of them, by the catalogue, with its reason (when the sink answers).

    was_sent: False when the file cannot be read any more; its names are waited for a last time, and then lost.
    """

    def __init__(self, app: App, receipt: Receipt, names: frozenset[Name], beat: Beat, sink: Sink) -> None:
        self._app, self._receipt, self._names, self._beat, self.sink = app, receipt, names, beat, sink
        self.refused: dict[Name, Refused] = {}
        self.was_sent = False

    def deletions(self) -> set[Name]:
        """Delete again what has not come back since, as an asset or as a column of one."""
        app, receipt = self._app, self._receipt
        index = app.snapshots.index(receipt.instance, receipt.scope)
        gone = {name for name in self._names if not index.publishes(name)}
        for asset in app.snapshots.assets(receipt.instance, receipt.scope):
            gone.difference_update(Name(asset.child_type, child) for child in asset.children)
        delete_again(app, receipt, [name for name in self._names if name in gone], self._beat, self.sink)
        self.was_sent = True
        return gone

    def _open(self) -> tuple[File, bool, Index] | None:
        """The file, whether only the last scan's truth counts, and what that is; None when it is not there any more."""
        app, receipt = self._app, self._receipt
        blob = app.landing.get_blob_client(receipt.path)
        there = version(blob)
        if there is None or there.etag != receipt.etag:
            return None
        over, index = False, Index()
        if receipt.scan:
            pointer, _ = app.snapshots.current(receipt.instance, receipt.scope)
            row, _ = app.scans.get(receipt.instance, receipt.scope)
            at_work = row.current is not None and row.current.id == receipt.scan
            over = pointer is not None and (pointer.scan == receipt.scan or not at_work)
            index = app.snapshots.index(receipt.instance, receipt.scope) if over else index
        return File(app, blob, receipt, there.size, self._beat, time_limit=TIME_LIMIT_SECONDS), over, index

    def there(self, comparison: Comparison) -> set[Name]:
        """Those of the names that the catalogue shows just so. Raises CatalogBusy, CatalogRefused."""
        opened = self._open()
        if opened is None:
            return set()
        file, over, index = opened
        try:
            return file.missing_and_there(self._names, truth=over, index=index, comparison=comparison)
        except BadInput as error:
            log.warning("path=%s cannot be compared: %s", self._receipt.path, error)
            return set()

    def file(self) -> set[Name]:
        """Send again what the scope's last scan has published just so; all of it, for a file of no scan."""
        receipt, opened = self._receipt, self._open()
        if opened is None:
            log.warning("path=%s is not in landing any more, and cannot be sent again", receipt.path)
            return set(self._names)
        file, over, index = opened
        try:
            found, refused = file.send_missing(self._names, truth=over, index=index, sink=self.sink)
        except BadInput as error:
            log.warning("path=%s cannot be sent again: %s", receipt.path, error)
            return set(self._names)
        self.was_sent = True
        self.refused = {item.name: item for item in refused if item.name in self._names}
        return found

    def told(self, *, by_rest: bool) -> Receipt:
        """The receipt as it is now; what was refused lies in rejected/."""
        receipt = msgspec.structs.replace(self._receipt, resent=True, by_rest=by_rest)
        if not self.refused:
            return receipt
        rule, count = CatalogRefused.__name__, len(self.refused)
        told = (
            Refusal(place=f"{name.type_name} {name.qualified_name}", rule=rule, reason=item.reason, fix=item.fix)
            for name, item in self.refused.items()
        )
        put_rejected(self._app, f"{receipt.path}.lost", (msgspec.json.encode(item) + b"\n" for item in told))
        return msgspec.structs.replace(
            receipt,
            refused=receipt.refused + count,
            reasons={**receipt.reasons, rule: receipt.reasons.get(rule, 0) + count},
        )
