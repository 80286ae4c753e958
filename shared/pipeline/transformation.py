"""The blob trigger's work: one landed file -> hook messages, a receipt, and what was refused.

Delivered twice, in parallel on two workers, or killed at any point, the outcome is the same: a lease on the receipt
keeps two workers apart, a final receipt for the same version of the blob ends the matter, and everything that is sent
is an upsert under a deterministic name.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from shared.atlas.closure import Closure
from shared.atlas.messages import Message, Packer
from shared.atlas.transform import Options, Transform
from shared.azure import storage_errors
from shared.errors import BadInput, HooklineError, Transient
from shared.naming import Name
from shared.pipeline.app import App, log, now, rfc3339
from shared.pipeline.finish import finish_if_done
from shared.pipeline.landing import drop_rejected, open_blob, put_rejected
from shared.pipeline.reading import Reading, read
from shared.records import Refusal
from shared.state import Conflict
from shared.state.pending import CHUNK, Expected
from shared.state.receipts import Receipt, settled
from shared.state.snapshots import Asset, Index

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient

    from shared.state.blob_table import Lease

#: messages are published in groups, each noted as pending before it is sent
GROUP_BYTES = 8 * 1024 * 1024
#: a file whose transform failed this often for reasons of ours is rejected, so that it cannot block for ever
MAX_ATTEMPTS = 5
_RENEW_SECONDS = 20


def transform(app: App, blob: BlobClient, *, again: bool = False) -> Receipt | None:
    """Transform one landed blob. None: somebody else is at it, or it is done already.

    again: even if the receipt says that it was sent (a replay). Raises Transient; the trigger tries again.
    """
    path = str(blob.blob_name)
    with storage_errors(path):
        if not blob.exists():
            return None
        properties = blob.get_blob_properties()
    etag, size = str(properties.etag), int(properties.size)
    receipt, _ = app.receipts.get(path)
    if receipt is not None and receipt.etag == etag and receipt.state != "transforming" and not again:
        return None
    try:
        lease = app.receipts.lease(path)
    except Conflict:
        log.info("path=%s is being transformed by another worker", path)
        return None
    with lease:
        receipt, _ = app.receipts.get(path)
        if receipt is not None and receipt.etag == etag and receipt.state != "transforming" and not again:
            return None
        attempts = 1 + (receipt.attempts if receipt is not None and receipt.etag == etag else 0)
        resent = receipt is not None and receipt.etag == etag and receipt.resent
        started = Receipt(path=path, etag=etag, attempts=attempts, started=rfc3339(now()), resent=resent)
        app.receipts.put(started, lease=lease)
        clock = time.perf_counter()
        try:
            done = _File(app, blob, started, size, lease).run()
        except BadInput as error:
            done = _rejected(app, started, error)
        except HooklineError as error:
            if attempts < MAX_ATTEMPTS or isinstance(error, Transient):
                app.receipts.put(msgspec.structs.replace(started, error=error.what, fix=error.fix), lease=lease)
                raise
            done = _rejected(app, started, error)
        done = msgspec.structs.replace(done, seconds=round(time.perf_counter() - clock, 3))
        app.receipts.put(settled(done, rfc3339(now())), lease=lease)
    if done.scan:
        finish_if_done(app, done.instance, done.scope, done.scan)
    return done


def _rejected(app: App, receipt: Receipt, error: HooklineError) -> Receipt:
    """The whole file is refused: the reason goes to rejected/, the file stays in landing."""
    refusal = Refusal(place=error.where or receipt.path, rule=type(error).__name__, reason=error.what, fix=error.fix)
    put_rejected(app, receipt.path, [msgspec.json.encode(refusal) + b"\n"])
    log.warning("path=%s rejected: %s", receipt.path, error)
    app.pending.remove(receipt.path)
    return msgspec.structs.replace(
        receipt,
        state="rejected",
        error=error.what,
        fix=error.fix,
        refused=1,
        reasons={type(error).__name__: 1},
        finished=rfc3339(now()),
    )


class _File:
    """One run over one file."""

    def __init__(self, app: App, blob: BlobClient, receipt: Receipt, size: int, lease: Lease) -> None:
        self.app = app
        self.blob = blob
        self.receipt = receipt
        self.size = size
        self.lease = lease
        self.renewed = time.monotonic()
        self.chunk = 0
        self.sent = self.entities = self.messages = self.bytes = self.unchanged = self.deleted = 0
        self.reasons: dict[str, int] = {}

    def run(self) -> Receipt:
        app, path = self.app, self.receipt.path
        reading = self._reading()
        header = reading.header
        instance = header.instance if header is not None else ""
        settings = app.settings.instances.get(instance)
        index, unsure = self._published(reading)
        work = Transform(
            app.naming(instance),
            app.rules,
            known=app.snapshots.published(),
            options=Options(
                assets=settings.assets if settings is not None else "create",
                repeats="refuse" if reading.repeats == "refuse" else "newer",
                max_bytes=app.settings.limits.message_bytes,
            ),
        )
        partition_key = f"{instance}/{header.scope}" if header is not None else path
        app.pending.remove(path)
        assets: list[Asset] | None = [] if header is not None else None
        with tempfile.SpooledTemporaryFile(max_size=1 << 20) as refused:

            def closures() -> Iterator[Closure]:
                for item in work.run(reading.found):
                    if isinstance(item, Refusal):
                        self.reasons[item.rule] = self.reasons.get(item.rule, 0) + 1
                        refused.write(msgspec.json.encode(item) + b"\n")
                        continue
                    if assets is not None and item.operation == "create":
                        mark, name = item.mark, item.name
                        assets.append(Asset(name.type_name, name.qualified_name, mark, item.child_type, item.children))
                        if index.mark(name) == mark and name not in unsure:
                            self.unchanged += not item.stub
                            continue
                    yield item

            self._publish(closures(), partition_key)
            refused.seek(0)
            if self.reasons:
                put_rejected(app, path, refused)
            else:
                drop_rejected(app, path)
        if header is not None and assets is not None:
            app.snapshots.write_part(instance, header.scope, header.scan, header.part, assets)
        if not self.reasons and not work.records:
            raise BadInput(
                "the file holds nothing to transform", where=path, fix="see docs/formats for what it may hold"
            )
        counted = msgspec.structs.replace(
            self.receipt,
            state="sent",
            format=reading.format,
            instance=instance,
            scope=header.scope if header is not None else "",
            scan=header.scan if header is not None else "",
            part=header.part if header is not None else -1,
            records=work.records,
            sent=self.sent,
            deleted=self.deleted,
            entities=self.entities,
            messages=self.messages,
            bytes=self.bytes,
            unchanged=self.unchanged,
            repeated=work.repeated,
            adopted=work.adopted,
            refused=sum(self.reasons.values()),
            reasons=self.reasons,
            sent_at=rfc3339(now()),
            confirmed=sum(seen.count - seen.missing for _, _, seen in app.pending.chunks(path)),
        )
        if counted.refused and not counted.sent and not counted.deleted and not counted.unchanged:
            return msgspec.structs.replace(counted, state="rejected", finished=rfc3339(now()))
        return counted

    def _reading(self) -> Reading:
        return read(
            lambda: open_blob(self.blob, self.receipt.etag),
            self.receipt.path,
            size=self.size,
            max_bytes=self.app.settings.limits.file_bytes,
            instances=self.app.bases,
        )

    def _published(self, reading: Reading) -> tuple[Index, set[Name]]:
        """What the scope's last scan published, and which of it was never confirmed and is sent again."""
        header = reading.header
        if header is None:
            return Index(), set()
        row, _ = self.app.scans.get(header.instance, header.scope)
        if row.current is not None and row.current.id == header.scan and row.current.full:
            return Index(), set()
        index = self.app.snapshots.index(header.instance, header.scope)
        unsure: set[Name] = set()
        if index.scan and index.scan != header.scan:
            for receipt in self.app.receipts.of_scan(header.instance, index.scan):
                for _, chunk, seen in self.app.pending.chunks(receipt.path):
                    if seen.missing:
                        unsure.update(name for _, name in self.app.pending.missing(receipt.path, chunk))
        return index, unsure

    def _publish(self, closures: Iterator[Closure], partition_key: str) -> None:
        packer = Packer(max_bytes=self.app.settings.limits.message_bytes, clock=lambda: int(time.time() * 1000))
        group: list[Message] = []
        size = names = 0
        for message in _packed(packer, closures):
            group.append(message)
            size += len(message.body)
            names += len(message.names)
            if size >= GROUP_BYTES or names >= CHUNK:
                self._send(group, partition_key)
                group, size, names = [], 0, 0
        if group:
            self._send(group, partition_key)

    def _send(self, group: list[Message], partition_key: str) -> None:
        app, path = self.app, self.receipt.path
        own = {n.type_name for m in group for n in m.names if n.type_name.startswith("hookline_")}
        if own and app.typedefs is not None:
            app.typedefs.ensure(own)
        expected: list[Expected] = [(m.operation, name) for m in group for name in m.names]
        count = app.pending.expect(path, self.chunk, expected, rfc3339(now()))
        self.chunk += 1
        self._renew()
        app.sink.publish(group, partition_key)
        self._renew()
        removed = sum(len(m.names) for m in group if m.operation == "delete")
        self.deleted += removed
        self.sent += count - removed
        self.messages += len(group)
        self.entities += sum(m.entities for m in group)
        self.bytes += sum(len(m.body) for m in group)

    def _renew(self) -> None:
        if time.monotonic() - self.renewed > _RENEW_SECONDS:
            self.lease.renew()
            self.renewed = time.monotonic()


def _packed(packer: Packer, closures: Iterator[Closure]) -> Iterator[Message]:
    for closure in closures:
        yield from packer.add(closure)
    yield from packer.flush()
