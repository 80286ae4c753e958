"""The queue's work: one scope of one instance -> job files in landing, then the watermark.

A scan is made of parts. A part is durable before the scan's row says so, and the row is what a scan goes on from: after
the function's time limit in a new queue message, after a crash when the message comes back. Killed anywhere, the worst
that happens is that a part is written again, with the same name and the same content.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from typing import IO

import msgspec

from shared.errors import HooklineError, SettingsError, SourceRefused, SourceUnreachable, Superseded
from shared.job_file import FORMAT, Footer, Header, JobFileWriter
from shared.pipeline.app import App, log, now, parsed, rfc3339
from shared.pipeline.finish import finish_if_done
from shared.pipeline.landing import put_landing, put_rejected
from shared.pipeline.scheduling import ScanRequest
from shared.records import Container, Cursor, Refusal
from shared.state import Conflict
from shared.state.blob_table import Lease
from shared.state.scans import Scan, ScopeRow

#: leave this much of the function's time limit (30 minutes, host.json) for the part at hand
TIME_LIMIT_SECONDS = 20 * 60
_RENEW_SECONDS = 20

Write = Callable[[IO[bytes], int], None]


class PartWriter:
    """Records in, parts out. Every part begins with the containers, so that it can be transformed on its own."""

    def __init__(self, header: Header, part: int, write: Write) -> None:
        self._header = header
        self._write = write
        self._containers: list[Container] = []
        self.part = part
        self._open()

    def _open(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=1 << 20)  # noqa: SIM115 - closed when the part is
        self._writer = JobFileWriter(self._file, msgspec.structs.replace(self._header, part=self.part))
        for container in self._containers:
            self._writer.write(container)

    @property
    def full(self) -> bool:
        return self._writer.full

    @property
    def empty(self) -> bool:
        return self._writer.count == len(self._containers)

    def add(self, record: object) -> None:
        if isinstance(record, Container):
            self._containers.append(record)
        self._writer.write(record)  # type: ignore[arg-type]

    def next(self) -> None:
        """Close this part durably and open the next."""
        self._close(last=False)
        self._open()

    def end(self, *, complete: bool, watermark: str) -> None:
        self._close(last=True, complete=complete, watermark=watermark)

    def _close(self, *, last: bool, complete: bool = False, watermark: str = "") -> Footer:
        footer = self._writer.close(
            last=last, parts=self.part + 1 if last else 0, complete=complete, watermark=watermark
        )
        self._file.seek(0)
        self._write(self._file, self.part)
        self._file.close()
        self.part += 1
        return footer


def part_path(instance: str, scan: str, part: int) -> str:
    return f"{instance}/{scan}/{part:05d}.jsonl.gz"


def extract(app: App, body: str, *, time_limit: float = TIME_LIMIT_SECONDS) -> list[str]:
    """Run one queue message. Returns the message with which the scan goes on, if it has to.

    Raises Transient (the queue tries again) and SourceUnreachable (likewise); what a person must fix is noted in the
    scan's row, and the message is done.
    """
    message = msgspec.json.decode(body, type=ScanRequest)
    try:
        lease = app.scans.lease(message.instance, message.scope)
    except Conflict as error:
        row, _ = app.scans.get(message.instance, message.scope)
        if row.current is not None and row.current.id == message.scan:
            raise  # our own scan: the worker before us died, its lease runs out
        log.warning("instance=%s scope=%s is being scanned already: %s", message.instance, message.scope, error)
        return []
    with lease:
        row, _ = app.scans.get(message.instance, message.scope)
        scan = _take_up(row, message)
        if scan is None:
            return []
        try:
            more = _stretch(app, row, scan, message, lease, time.monotonic() + time_limit)
        except (SourceRefused, SettingsError) as error:
            _end(app, row, scan, error, lease)
            return []
        except SourceUnreachable as error:
            _note(app, row, scan, error, lease)
            raise
        except Superseded as error:
            log.warning("instance=%s scope=%s scan=%s: %s", scan.instance, scan.scope, scan.id, error)
            return []
    # The last part may have been transformed before the row said that it is the last.
    finish_if_done(app, message.instance, message.scope, message.scan)
    return more


def _take_up(row: ScopeRow, message: ScanRequest) -> Scan | None:
    """The scan this message is about: gone on with, begun, or None when it is over or a newer one was there."""
    current = row.current
    if current is not None and current.id == message.scan:
        return current if current.state in ("running", "failed") else None
    if current is not None and parsed(current.started) > parsed(message.started):
        log.warning("scan %s of %s is older than %s: left out", message.scan, message.scope, current.id)
        return None
    return Scan(
        id=message.scan,
        instance=message.instance,
        scope=message.scope,
        started=message.started,
        reason=message.reason,
        full=message.full,
        since="" if message.full else row.watermark,
    )


def _save(app: App, row: ScopeRow, scan: Scan, lease: Lease, **changes: object) -> ScopeRow:
    if lease.lost:
        raise Superseded(f"another scan of {scan.scope} has taken over", where=scan.instance)
    saved = msgspec.structs.replace(row, current=scan, **changes)
    app.scans.put(scan.instance, scan.scope, saved, lease=lease)
    return saved


def _note(app: App, row: ScopeRow, scan: Scan, error: HooklineError, lease: Lease) -> None:
    _save(app, row, msgspec.structs.replace(scan, state="failed", error=error.what, fix=error.fix), lease)


def _end(app: App, row: ScopeRow, scan: Scan, error: HooklineError, lease: Lease) -> None:
    log.error("instance=%s scope=%s: %s", scan.instance, scan.scope, error)
    ended = msgspec.structs.replace(scan, finished=rfc3339(now()))
    _note(app, row, ended, error, lease)


def _stretch(app: App, row: ScopeRow, scan: Scan, message: ScanRequest, lease: Lease, deadline: float) -> list[str]:
    """From the last durable part to the end, or to the time limit."""
    instance = app.instance(scan.instance)
    source = app.source(scan.instance)
    scan = msgspec.structs.replace(scan, state="running", error="", fix="", touched=rfc3339(now()))
    row = _save(app, row, scan, lease)
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

    def write(file: IO[bytes], part: int) -> None:
        lease.renew()
        put_landing(app, part_path(scan.instance, scan.id, part), file)

    parts = PartWriter(header, scan.parts, write)
    refusals: list[Refusal] = []
    records, watermark, position = 0, scan.watermark, scan.position
    renewed = time.monotonic()
    gone = False
    for item in source.extract(scan.scope, since=scan.since, resume=scan.position):
        if time.monotonic() - renewed > _RENEW_SECONDS:
            lease.renew()
            renewed = time.monotonic()
        if isinstance(item, Refusal):
            refusals.append(item)
            continue
        if not isinstance(item, Cursor):
            parts.add(item)
            records += 1
            continue
        position, watermark = item.position, item.watermark or watermark
        gone = position == "gone"
        late = time.monotonic() > deadline
        if (parts.full or late) and not gone:
            parts.next()
            _write_refusals(app, scan, parts.part, refusals)
            scan = msgspec.structs.replace(
                scan,
                parts=parts.part,
                position=position,
                records=scan.records + records,
                refused=scan.refused + len(refusals),
                watermark=watermark,
                touched=rfc3339(now()),
            )
            row = _save(app, row, scan, lease)
            records, refusals = 0, []
            if late:
                log.info("instance=%s scope=%s goes on after part %d", scan.instance, scan.scope, scan.parts)
                return [msgspec.json.encode(message).decode()]
    refused = scan.refused + len(refusals)
    complete = not gone and not refused and not (scan.since and source.incremental())
    parts.end(complete=complete, watermark=watermark)
    _write_refusals(app, scan, parts.part, refusals)
    scan = msgspec.structs.replace(
        scan,
        parts=parts.part,
        position="",
        records=scan.records + records,
        refused=refused,
        complete=complete,
        state="gone" if gone else "extracted",
        watermark=watermark,
        touched=rfc3339(now()),
        error=f"{scan.scope} is not there any more" if gone else "",
        fix="exclude it, or retire its assets" if gone else "",
    )
    _save(app, row, scan, lease, watermark=watermark if not gone else row.watermark)
    return []


def _write_refusals(app: App, scan: Scan, part: int, refusals: list[Refusal]) -> None:
    """What the source could not read, kept beside what rules refuse later."""
    if refusals:
        put_rejected(app, f"{scan.instance}/{scan.id}/extract-{part:05d}", _lines(refusals))


def _lines(refusals: list[Refusal]) -> Iterator[bytes]:
    for refusal in refusals:
        yield msgspec.json.encode(refusal) + b"\n"
