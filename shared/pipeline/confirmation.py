"""What arrived: answers of the catalogue -> receipts."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from shared.delivery.notifications import Notice, notices
from shared.pipeline.app import App, now, parsed, rfc3339
from shared.state.pending import Chunk, identity
from shared.state.receipts import Receipt, settled

#: clocks of the catalogue and of ours may differ by this much
SKEW_MS = 120_000


def confirm(app: App, bodies: list[bytes]) -> int:
    """Take in a batch of notifications; returns how many pending assets they confirm. Raises StorageBusy."""
    heard = list(notices(bodies))
    return mark(app, heard) if heard else 0


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
    sent = parsed(seen.sent).timestamp() * 1000 - SKEW_MS
    return app.pending.confirm(chunk, [number for number, time in answers.items() if time >= sent])


def settle(app: App, path: str, *, overtaken: int = 0) -> None:
    """Bring a receipt up to date with what was seen; drop the list when nothing is missing.

    overtaken: so many more of the names that are marked as seen are not to be waited for any longer.
    """
    receipt, _ = app.receipts.get(path)
    if receipt is None or receipt.state != "sent":
        return
    run = receipt.run
    seen = sum(chunk.count - chunk.missing for _, chunk in app.pending.of(path, run))

    def step(value: Receipt) -> Receipt:
        if value.state != "sent" or value.run != run:
            return value
        others = value.overtaken + overtaken
        # Another worker may have counted more meanwhile.
        confirmed = max(value.confirmed, seen - others)
        if confirmed == value.confirmed and not overtaken:
            return settled(value, rfc3339(now()))
        counted = msgspec.structs.replace(value, confirmed=confirmed, overtaken=others)
        return settled(counted, rfc3339(now()))

    done = app.receipts.update(path, step)
    if done is not None and done.final:
        app.pending.remove(path, run)
