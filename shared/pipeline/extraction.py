"""The queue's work: one scope of one instance -> job files in landing, then the watermark.

A scan is made of parts. A part is durable before the scan's row says so, and the row is what a scan goes on from: after
the function's time limit in a new queue message, after a crash when the message comes back. A part is written once: one
that landed before its worker died is taken over as its footer tells, because what stands in it may have been sent.

A scan at work is not disturbed: a request for another one is dropped until it is over, all its files are through, or
nobody has touched it for an hour.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import IO, Any

import msgspec

from connectors.source import Source
from shared.errors import BadInput, HooklineError, SourceUnreachable, StorageBusy, Superseded, Transient
from shared.job_file import FORMAT, Footer, Header, Progress, verify
from shared.pipeline.app import App, log, now, parsed, rfc3339
from shared.pipeline.beat import Beat
from shared.pipeline.finish import close_broken, finish_if_done
from shared.pipeline.held import selection_of
from shared.pipeline.landing import drop_landing, open_blob, part_path, put_part, put_rejected, version
from shared.pipeline.login import logged_in
from shared.pipeline.parts import PartWriter
from shared.pipeline.scheduling import STOPPED_AFTER, ScanRequest, configured, unanswered, wait_for_source
from shared.records import Container, Cursor, Refusal
from shared.state import Conflict, Lease
from shared.state.scans import Scan, ScopeRow

#: leave this much of the function's time limit (30 minutes, host.json) for the part at hand
TIME_LIMIT_SECONDS = 20 * 60


def extract(app: App, body: str, *, time_limit: float = TIME_LIMIT_SECONDS) -> list[str]:
    """Run one queue message. Returns the message with which the scan goes on, if it has to.

    Raises Transient and SourceUnreachable (the queue tries again); what a person must fix is noted in the scan's row,
    and the message is done.
    """
    message = _requested(body)
    instance, scope = message.instance, message.scope
    circuit = app.source_circuit(instance).look() if instance in app.settings.instances else None
    if circuit is not None and circuit.shut(now()):
        wait_for_source(app, message, circuit)
        return []
    row, _ = app.scans.get(instance, scope)
    if row.current is not None and row.current.id != message.scan:
        finish_if_done(app, instance, scope, row.current.id)
    try:
        lease = app.scans.lease(instance, scope)
    except Conflict as error:
        row, _ = app.scans.get(instance, scope)
        if row.current is None or row.current.id == message.scan or row.current.state != "running":
            raise  # our own scan: the worker before us died, its lease runs out; or somebody finishes the last one
        log.warning("instance=%s scope=%s is being scanned already: %s", instance, scope, error)
        return []
    more: list[str] = []
    try:
        with lease:
            row, _ = app.scans.get(instance, scope)
            scan = _take_up(app, row, message, Beat(lease))
            if scan is None:
                _release(app, row, message, lease)
                return []
            more = _Stretch(app, row, scan, message, lease).run(time.monotonic() + time_limit)
    except Superseded as error:
        log.warning("instance=%s scope=%s scan=%s: %s", instance, scope, message.scan, error)
        _go_on_later(app, message, error)
        return []
    # The last part may have been transformed before the row said that it is the last.
    finish_if_done(app, instance, scope, message.scan)
    return more


def _go_on_later(app: App, message: ScanRequest, lost: Superseded) -> None:
    """Raises StorageBusy when the lease was lost to nobody: our message goes on with the scan."""
    instance, scope = message.instance, message.scope
    try:
        lease = app.scans.lease(instance, scope)
    except Conflict as error:
        log.info("instance=%s scope=%s: another worker has taken over: %s", instance, scope, error)
        return
    with lease:
        row, _ = app.scans.get(instance, scope)
    current = row.current
    if current is None or current.id != message.scan or current.state == "running":
        raise StorageBusy(
            "a lease was lost in the middle of the scan", where=f"{instance}/{scope}", fix="it is tried again"
        ) from lost


def _requested(body: str) -> ScanRequest:
    try:
        return msgspec.json.decode(body, type=ScanRequest)
    except msgspec.DecodeError as error:
        raise BadInput(f"not a scan request: {error}", where="queue scans", fix="use `./hookline scan`") from error


def _take_up(app: App, row: ScopeRow, message: ScanRequest, beat: Beat) -> Scan | None:
    """The scan this message is about: gone on with, begun, or None when it is over or another one is at work."""
    current = row.current
    if current is not None and current.id == message.scan:
        return current if current.state in ("running", "failed") and not current.finished else None
    if current is not None and parsed(current.started) > parsed(message.started):
        log.warning("scan %s of %s is older than %s: left out", message.scan, message.scope, current.id)
        return None
    if current is not None and not _is_over(app, current, beat):
        log.warning("scan %s of %s is at work: %s is left out", current.id, message.scope, message.scan)
        return None
    instance = app.settings.instances.get(message.instance)
    stale = instance is not None and (
        not row.refreshed or parsed(message.started) - parsed(row.refreshed) >= instance.full_refresh
    )
    full = message.full or stale
    return Scan(
        id=message.scan,
        instance=message.instance,
        scope=message.scope,
        started=message.started,
        reason=message.reason,
        full=full,
        since="" if full else row.watermark,
        selection=selection_of(instance) if instance is not None else "",
        tries=current.tries + 1 if current is not None and unanswered(current) else 0,
        configured=configured(instance) if instance is not None else "",
    )


def _is_over(app: App, scan: Scan, beat: Beat) -> bool:
    """Whether another scan may begin; what a broken one has published is put into the snapshot first."""
    if scan.state in ("finished", "extracted"):
        return scan.state == "finished"
    idle = now() - parsed(scan.touched or scan.started)
    if scan.state == "running" and idle < STOPPED_AFTER:
        return False
    return close_broken(app, scan, beat)


def _release(app: App, row: ScopeRow, message: ScanRequest, lease: Lease) -> None:
    """A request that was dropped may be made again."""
    if row.asked == message.started:
        app.scans.put(message.instance, message.scope, msgspec.structs.replace(row, asked=""), lease=lease)


class _Stretch:
    """From the last durable part to the end, or to the time limit."""

    def __init__(self, app: App, row: ScopeRow, scan: Scan, message: ScanRequest, lease: Lease) -> None:
        self.app = app
        self.row = row
        self.scan = scan
        self.message = message
        self.lease = lease
        self.beat = Beat(lease)
        # of the part at hand
        self.records = self.assets = 0
        self.refusals: list[Refusal] = []

    def run(self, deadline: float) -> list[str]:
        """Raises Superseded, Transient, SourceUnreachable, and what nobody expected."""
        try:
            return logged_in(self.app, self.scan.instance, lambda source: self._read(source, deadline))
        except Superseded:
            raise
        except SourceUnreachable as error:
            self._save(state="failed", **_said(error))
            self.app.source_circuit(self.scan.instance).failed(error, now())
            raise
        except Transient:
            raise
        except HooklineError as error:
            log.error("instance=%s scope=%s: %s", self.scan.instance, self.scan.scope, error)
            self._save(state="failed", finished=rfc3339(now()), **_said(error))
            return []
        except Exception as error:
            fix = "look at the function's log; it is a fault of the connector, please report it"
            broken = HooklineError(f"the connector failed ({type(error).__name__})", fix=fix)
            self._save(state="failed", **_said(broken))
            raise

    def _read(self, source: Source[Any], deadline: float) -> list[str]:
        app = self.app
        instance = app.instance(self.scan.instance)
        self.records, self.assets, self.refusals = 0, 0, []
        app.naming(self.scan.instance)  # names that cannot be made are said now, not file by file
        self._save(state="running", problem="", error="", fix="")
        if self._take_over():
            return []
        scan = self.scan
        header = Header(
            format=FORMAT,
            connector=instance.connector,
            instance=scan.instance,
            scope=scan.scope,
            scan=scan.id,
            part=scan.parts,
            base=source.base(),
            since=scan.since,
            started=scan.started,
        )
        parts = PartWriter(header, scan.parts, self._write)
        try:
            return self._records(source, parts, deadline)
        finally:
            parts.drop()

    def _records(self, source: Source[Any], parts: PartWriter, deadline: float) -> list[str]:
        scan = self.scan
        watermark = scan.watermark
        for item in source.extract(scan.scope, since=scan.since, resume=scan.position):
            self.beat()
            if isinstance(item, Refusal):
                self.refusals.append(item)
            elif not isinstance(item, Cursor):
                parts.add(item)
                self._count(item)
            elif item.position == "gone":
                return self._gone()
            else:
                watermark = item.watermark or watermark
                late = time.monotonic() > deadline and item.position != self.scan.position
                if parts.full or late:
                    progress = self._progress(watermark, item.position)
                    parts.next(progress)
                    self._part_done(parts.part, progress)
                if late:
                    log.info("instance=%s scope=%s goes on after part %d", scan.instance, scan.scope, parts.part)
                    return [msgspec.json.encode(self.message).decode()]
        complete = not (self.scan.refused + len(self.refusals)) and not (scan.since and source.incremental())
        progress = self._progress(watermark)
        parts.end(complete=complete, progress=progress)
        self._end(parts.part, progress, complete=complete)
        return []

    def _progress(self, watermark: str, position: str = "") -> Progress:
        """What is true once the part at hand has landed; what the source could not read is written down before it."""
        if self.refusals:
            lines: Iterator[bytes] = (msgspec.json.encode(refusal) + b"\n" for refusal in self.refusals)
            put_rejected(self.app, self._refused(), lines)
        return Progress(watermark, position, self.records, self.assets, len(self.refusals))

    def _refused(self) -> str:
        """Beside what rules refuse later."""
        return f"{self.scan.instance}/{self.scan.id}/extract-{self.scan.parts:05d}"

    def _take_over(self) -> bool:
        """Note parts that landed before their worker died. Whether the last one was among them."""
        while (footer := self._landed()) is not None:
            scan = self.scan
            log.warning("instance=%s scan=%s: part %d had landed already", scan.instance, scan.id, scan.parts)
            progress = Progress(footer.watermark, footer.position, footer.records, footer.assets, footer.refused)
            if footer.last:
                self._end(footer.parts, progress, complete=footer.complete)
                return True
            self._part_done(scan.parts + 1, progress)
        return False

    def _landed(self) -> Footer | None:
        """The footer of the part at hand, if it lies in landing. One that is damaged is removed, and read again."""
        path = part_path(self.scan.instance, self.scan.id, self.scan.parts)
        blob = self.app.landing.get_blob_client(path)
        there = version(blob)
        if there is None:
            return None
        try:
            with open_blob(self.app, blob, there.etag) as stream:
                return verify(stream, path)[1]
        except BadInput as error:
            log.warning("path=%s is damaged and read again: %s", path, error)
            drop_landing(self.app, path)
            return None

    def _count(self, record: object) -> None:
        if not isinstance(record, Container):
            self.assets += 1
        elif self.scan.parts:
            return  # containers come first in every stretch
        self.records += 1

    def _write(self, file: IO[bytes], part: int) -> None:
        self.beat(now=True)
        put_part(self.app, part_path(self.scan.instance, self.scan.id, part), file)

    def _part_done(self, parts: int, progress: Progress, **changes: object) -> None:
        """A part is durable."""
        scan = self.scan
        self._save(
            parts=parts,
            position=progress.position,
            watermark=progress.watermark,
            records=scan.records + progress.records,
            assets=scan.assets + progress.assets,
            refused=scan.refused + progress.refused,
            stops=0,
            **changes,
        )
        self.app.source_circuit(scan.instance).works()
        self.records = self.assets = 0
        self.refusals = []

    def _end(self, parts: int, progress: Progress, *, complete: bool) -> None:
        """The last part is durable. What could not be read is read again next time: the watermark stays before it."""
        if not self.scan.refused + progress.refused:
            self.row = msgspec.structs.replace(self.row, watermark=progress.watermark)
        self._part_done(parts, progress, state="extracted", complete=complete)

    def _gone(self) -> list[str]:
        self._save(
            state="gone",
            finished=rfc3339(now()),
            error=f"{self.scan.scope} is not there any more",
            fix="exclude it; its assets stay in the catalogue until somebody deletes them there",
        )
        return []

    def _save(self, **changes: object) -> None:
        """Raises Superseded when somebody else has the lease by now."""
        scan = msgspec.structs.replace(self.scan, touched=rfc3339(now()), **changes)
        row = msgspec.structs.replace(self.row, current=scan, asked="")
        self.app.scans.put(scan.instance, scan.scope, row, lease=self.lease)
        self.scan, self.row = scan, row


def _said(error: HooklineError) -> dict[str, str]:
    return {"problem": type(error).__name__, "error": error.what, "fix": error.fix}
