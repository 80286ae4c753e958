"""The blob trigger's work: one landed file -> hook messages, a receipt, and what was refused.

Delivered twice, in parallel on two workers, or killed at any point, the outcome is the same: a lease on the receipt
keeps two workers apart, a final receipt for the same version of the blob ends the matter, and everything that is sent
is an upsert under a deterministic name.

What a file cannot help (a busy service, a setting that is wrong) never uses up its attempts: it waits in landing, its
receipt says for what, and the trigger or the sweep comes back to it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from shared.errors import (
    BadInput,
    CatalogRefused,
    HooklineError,
    SettingsError,
    StorageBusy,
    Superseded,
    Transient,
)
from shared.pipeline.app import App, log, now, rfc3339
from shared.pipeline.beat import Beat
from shared.pipeline.believing import of_file
from shared.pipeline.confirmation import settle
from shared.pipeline.file import File
from shared.pipeline.finish import finish_if_done
from shared.pipeline.ground import place_of
from shared.pipeline.landing import Version, part_of, put_rejected, version
from shared.records import Refusal
from shared.state import Conflict, Lease
from shared.state.circuits import Circuit
from shared.state.pending import Confirmed
from shared.state.receipts import Receipt, settled

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient

#: a file whose transform failed this often for reasons of ours is rejected, so that it cannot block for ever
MAX_ATTEMPTS = 5
#: leave this much of the function's time limit (30 minutes, host.json) for what is being sent
TIME_LIMIT_SECONDS = 20 * 60


def transform(
    app: App, blob: BlobClient, *, again: bool = False, time_limit: float = TIME_LIMIT_SECONDS
) -> Receipt | None:
    """Transform one landed blob. None: somebody else is at it, it is done already, or there is no such blob.

    again: even if the receipt says that it was sent; what was confirmed is sent again too.
    Raises Transient (the trigger tries again), and whatever else went wrong for the first few times.
    """
    path = str(blob.blob_name)
    there = version(blob)
    if there is None:
        return vanished(app, path)
    if not again and _is_done(app.receipts.get(path)[0], there):
        return None
    shut = None if again else app.sink_circuit.shut()
    try:
        lease = app.receipts.lease(path)
    except Conflict:
        _elsewhere(app, path, there)
        return None
    attempt: _Attempt | None = None
    try:
        with lease:
            before, _ = app.receipts.get(path)
            if not again and _is_done(before, there):
                return None
            attempt = _Attempt(app, blob, there, before, lease, again=again)
            done = attempt.run(time_limit) if shut is None else attempt.wait(shut)
    except Superseded as error:
        log.warning("path=%s: the lease was lost: %s", path, error)
        if attempt is not None:
            attempt.go_on_later(error)
        return None
    if done.state == "sent":
        settle(app, path)  # what was heard while the receipt was being written
    if done.scan:
        finish_if_done(app, done.instance, done.scope, done.scan)
    return done


def _is_done(receipt: Receipt | None, there: Version) -> bool:
    return receipt is not None and receipt.etag == there.etag and receipt.state != "transforming"


def _elsewhere(app: App, path: str, there: Version) -> None:
    """Another worker holds the receipt: fine, unless it is at an older version of the file."""
    receipt, _ = app.receipts.get(path)
    if receipt is not None and receipt.etag and receipt.etag != there.etag:
        raise StorageBusy("an older version of it is being transformed", where=path, fix="it is tried again")
    log.info("path=%s is being transformed by another worker", path)


def vanished(app: App, path: str) -> Receipt | None:
    """The file was taken out of landing: if it was never transformed, its receipt must not wait for ever."""
    part = part_of(path)
    receipt, _ = app.receipts.get(path)
    if receipt is None or receipt.state != "transforming":
        return None
    error = BadInput("it was removed from landing before it was transformed", where=path, fix="upload it again")
    done = _rejected(app, receipt, error)
    app.receipts.put(done)
    if part is not None and done.scan:
        finish_if_done(app, done.instance, done.scope, done.scan)
    return done


class _Attempt:
    """One try at one version of a file, with the lease on its receipt."""

    def __init__(
        self, app: App, blob: BlobClient, there: Version, before: Receipt | None, lease: Lease, *, again: bool
    ) -> None:
        self.app = app
        self.blob = blob
        self.there = there
        self.lease = lease
        self.again = again
        self.before = before
        same = before is not None and before.etag == there.etag
        self.failed = before.attempts if before is not None and same else 0
        scan = before.scan if before is not None and same else ""
        scope = before.scope if before is not None and same else ""
        part = part_of(str(blob.blob_name))
        self.receipt = Receipt(
            path=str(blob.blob_name),
            etag=there.etag,
            attempts=self.failed + 1,
            landed=rfc3339(there.landed),
            started=rfc3339(now()),
            resent=again,
            instance=part.instance if part is not None else "",
            scope=scope,
            scan=part.scan if part is not None else scan,
            part=part.number if part is not None else -1,
            belief=of_file(before, there.etag) if part is None else "usual",
        )

    def run(self, time_limit: float) -> Receipt:
        """Raises Superseded, Transient, and errors of ours that may pass."""
        app, path = self.app, self.receipt.path
        confirmed = self._take_up()
        clock = time.perf_counter()
        try:
            beat = Beat(self.lease)
            file = File(app, self.blob, self.receipt, self.there.size, beat, time_limit=time_limit)
            done = file.send(confirmed, again=self.again)
        except Superseded:
            raise
        except BadInput as error:
            done = self._reject(error)
        except Transient as error:
            self._note(error, counts=False)
            raise
        except (SettingsError, CatalogRefused) as error:
            log.error("path=%s waits: %s", path, error)
            return self._note(error, counts=False)
        except HooklineError as error:
            done = self._failed(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it concerns this file, and after a while it is given up
            log.exception("path=%s: the transform failed", path)
            kind = type(error).__name__
            fix = "look at the function's log; it is a fault of the app, please report it"
            done = self._failed(HooklineError(f"the transform failed ({kind})", where=path, fix=fix), error)
        done = msgspec.structs.replace(done, seconds=round(time.perf_counter() - clock, 3))
        done = settled(done, rfc3339(now()))
        app.receipts.put(done, lease=self.lease)
        if done.final:
            app.pending.remove(path, done.run)
        return done

    def wait(self, circuit: Circuit) -> Receipt:
        """Nothing can be sent, so nothing is begun; the sweep comes back to it."""
        before = self.before
        taken_up = before is not None and before.etag == self.there.etag and before.state == "transforming"
        receipt = before if before is not None and taken_up else self.receipt
        waiting = msgspec.structs.replace(receipt, attempts=self.failed, error=circuit.error, fix=circuit.fix)
        if waiting != before:
            self.app.receipts.put(waiting, lease=self.lease)
        return waiting

    def go_on_later(self, lost: Superseded) -> None:
        """Raises StorageBusy when nobody has taken over: the trigger tries again, and no attempt is used up."""
        path = self.receipt.path
        try:
            self.lease = self.app.receipts.lease(path)
        except Conflict as error:
            log.info("path=%s: another worker has taken over: %s", path, error)
            return
        with self.lease:
            receipt, _ = self.app.receipts.get(path)
            if _is_done(receipt, self.there):
                return
            busy = StorageBusy("a lease was lost in the middle of the work", where=path, fix="it is tried again")
            if receipt is not None and receipt.run == self.receipt.run:
                self._note(busy, counts=False)
        raise busy from lost

    def _take_up(self) -> Confirmed:
        """Write the receipt of this run; what an interrupted one has brought into the catalogue, it keeps."""
        app, path, before = self.app, self.receipt.path, self.before
        confirmed = Confirmed()
        if before is not None and before.etag == self.there.etag and not self.again:
            confirmed = app.pending.carry(path, before.run, self.receipt.run, rfc3339(now()))
        app.receipts.put(self.receipt, lease=self.lease)
        if before is not None:
            app.pending.remove(path, before.run)
        return confirmed

    def _failed(self, error: HooklineError, cause: Exception | None = None) -> Receipt:
        if self.receipt.attempts < MAX_ATTEMPTS:
            self._note(error, counts=True)
            raise error from cause
        return self._reject(error)

    def _reject(self, error: HooklineError) -> Receipt:
        part = part_of(self.receipt.path)
        receipt = self.receipt
        if part is not None and not receipt.scope:
            receipt = msgspec.structs.replace(receipt, scope=place_of(self.app, part))
        return _rejected(self.app, receipt, error)

    def _note(self, error: HooklineError, *, counts: bool) -> Receipt:
        """The file waits; its receipt says for what."""
        noted = msgspec.structs.replace(
            self.receipt,
            attempts=self.receipt.attempts if counts else self.failed,
            error=error.what,
            fix=error.fix,
        )
        self.app.receipts.put(noted, lease=self.lease)
        return noted


def _rejected(app: App, receipt: Receipt, error: HooklineError) -> Receipt:
    """The whole file is refused: the reason goes to rejected/, the file stays in landing."""
    refusal = Refusal(place=error.where or receipt.path, rule=type(error).__name__, reason=error.what, fix=error.fix)
    put_rejected(app, receipt.path, [msgspec.json.encode(refusal) + b"\n"])
    log.warning("path=%s rejected: %s", receipt.path, error)
    return msgspec.structs.replace(
        receipt,
        state="rejected",
        error=error.what,
        fix=error.fix,
        refused=1,
        reasons={type(error).__name__: 1},
        finished=rfc3339(now()),
    )
