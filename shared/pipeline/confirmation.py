"""What arrived: answers of the catalogue -> receipts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import msgspec

from shared.delivery.notifications import Notice, notices
from shared.pipeline.app import App, log, now, parsed, rfc3339
from shared.pipeline.resolving import heard as note_heard
from shared.state import Conflict
from shared.state.pending import Chunk, Seen, identity
from shared.state.receipts import Receipt, settled

#: clocks of the catalogue and of ours may differ by this much
SKEW_MS = 120_000
#: how often a receipt is tried that others write at the same time
_TRIES = 5


def confirm(app: App, bodies: list[bytes]) -> int:
    """Take in a batch of notifications; returns how many pending assets they confirm. Raises StorageBusy."""
    heard = list(notices(bodies))
    if not heard:
        return 0
    confirmed = mark(app, heard)
    note_heard(app, heard)
    return confirmed


def mark(app: App, heard: Iterable[Notice]) -> int:
    """Set what was heard in every file that waits for it."""
    answers: dict[int, int] = {}
    for notice in heard:
        number = identity(notice.operation, notice.name)
        answers[number] = max(answers.get(number, 0), notice.time)
    confirmed = 0
    touched: set[str] = set()
    for chunk in app.pending.all():
        found = app.pending.answered(chunk, answers)
        if not found:
            continue
        touched.add(chunk.path)  # also when it is no news: a worker may have died between the bit and the receipt
        confirmed += confirm_chunk(app, chunk, {number: answers[number] for number in found})
    for path in touched:
        settle(app, path)
    return confirmed


def confirm_chunk(app: App, chunk: Chunk, answers: dict[int, int]) -> int:
    """Set those that were answered (identity -> milliseconds since 1970) after they were sent."""
    seen = app.pending.seen(chunk)
    if seen is None or not seen.missing:
        return 0
    since = answers_since(app, seen)
    return app.pending.confirm(chunk, [number for number, time in answers.items() if time >= since])


def answers_since(app: App, seen: Seen) -> float:
    """From when on (ms since 1970, on the catalogue's clock) an answer is about what was sent; infinite for never."""
    sent = math.floor(parsed(seen.sent).timestamp() * 1000)
    if seen.belief == "content" and app.catalog is not None:
        return math.inf
    return sent - SKEW_MS if seen.belief == "usual" else sent


def settle(app: App, path: str, *, overtaken: int = 0) -> None:
    """Bring a receipt up to date with what was seen; drop the list when nothing is missing.

    overtaken: so many more of the names that are marked as seen are not to be waited for any longer.
    A receipt that somebody is at is left as it is: whoever that is, or the sweep, settles it afterwards.
    """
    for _ in range(_TRIES):
        receipt, etag = app.receipts.get(path)
        if receipt is None or receipt.state != "sent":
            return
        seen = sum(chunk.count - chunk.missing for chunk in _seen(app, receipt))
        others = receipt.overtaken + overtaken
        counted = msgspec.structs.replace(receipt, confirmed=seen - others, overtaken=others)
        done = settled(counted, rfc3339(now()))
        try:
            if done != receipt:
                app.receipts.put(done, etag=etag)
        except Conflict as error:
            log.info("path=%s is settled later: %s", path, error.what)
            continue
        if done.final:
            app.pending.remove(path, done.run)
        return


def _seen(app: App, receipt: Receipt) -> Iterator[Seen]:
    return (seen for _, seen in app.pending.of(receipt.path, receipt.run))
