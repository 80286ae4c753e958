"""Deletions of a scan: sent like everything else, with a receipt of their own and names that wait to be confirmed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import msgspec

from shared.atlas.closure import deletion
from shared.atlas.messages import Message, Packer
from shared.delivery.sinks import Sink
from shared.naming import Name
from shared.pipeline.app import App, now, rfc3339
from shared.pipeline.beat import Beat
from shared.pipeline.believing import of_scan
from shared.state.pending import CHUNK, Chunk, Expected
from shared.state.receipts import Receipt, settled
from shared.state.scans import Scan

#: format and file name of the receipt that a scan's deletions have
DELETIONS = "deletions"


def deletions_path(scan: Scan) -> str:
    return f"{scan.instance}/{scan.id}/{DELETIONS}"


def publish_deletions(app: App, scan: Scan, names: Sequence[Name], beat: Beat) -> None:
    """Delete these, once and for all: a second call (after a crash) sends them again and counts them once."""
    path = deletions_path(scan)
    before, _ = app.receipts.get(path)
    receipt = Receipt(
        path=path,
        format=DELETIONS,
        instance=scan.instance,
        scope=scan.scope,
        scan=scan.id,
        started=rfc3339(now()),
        attempts=1 if before is None else before.attempts + 1,
    )
    app.receipts.put(receipt)
    if before is not None:
        app.pending.remove(path, before.run)
    app.deleted.note(scan.instance, scan.scope, scan.id, names)
    belief = of_scan(app, scan.instance, scan.scope, scan.id)
    deleted = messages = size = 0
    for number, group in enumerate(_batches(names)):
        packed = _messages(app, group)
        expected: list[Expected] = [("delete", name) for name in group]
        chunk = Chunk(path, receipt.run, number)
        if not app.sink.answers:
            app.pending.expect(chunk, expected, rfc3339(now()), belief=belief)
        _publish(app.sink, receipt, packed, beat)
        if app.sink.answers:
            app.pending.expect(chunk, expected, rfc3339(now()), seen=True)
        deleted += len(group)
        messages += len(packed)
        size += sum(len(m.body) for m in packed)
    done = msgspec.structs.replace(
        receipt,
        state="sent",
        sent_at=rfc3339(now()),
        deleted=deleted,
        messages=messages,
        bytes=size,
        confirmed=sum(seen.count - seen.missing for _, seen in app.pending.of(path, receipt.run)),
    )
    app.receipts.put(settled(done, rfc3339(now())))


def delete_again(app: App, receipt: Receipt, names: Sequence[Name], beat: Beat, sink: Sink) -> None:
    """Those of its deletions that were not confirmed; they are waited for already."""
    for group in _batches(names):
        _publish(sink, receipt, _messages(app, group), beat)


def _batches(names: Sequence[Name]) -> Iterator[list[Name]]:
    waiting = iter(names)
    while group := list(itertools.islice(waiting, CHUNK)):
        yield group


def _messages(app: App, names: Sequence[Name]) -> list[Message]:
    packer = Packer(max_bytes=app.settings.limits.message_bytes)
    return [message for name in names for message in packer.add(deletion(name))] + list(packer.flush())


def _publish(sink: Sink, receipt: Receipt, messages: list[Message], beat: Beat) -> None:
    """In the order of the scope, so that nothing of it is overtaken."""
    beat(now=True)
    for message in messages:
        sink.publish([message], f"{receipt.instance}/{receipt.scope}")
        beat()
