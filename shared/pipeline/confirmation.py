"""What arrived: answers of the catalogue -> receipts."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from shared.delivery.notifications import Notice, notices
from shared.pipeline.app import App, now, parsed, rfc3339
from shared.state.pending import identity
from shared.state.receipts import Receipt, settled

#: clocks of the catalogue and of ours may differ by this much
SKEW_MS = 120_000


def confirm(app: App, bodies: list[bytes]) -> int:
    """Take in a batch of notifications; returns how many pending assets they confirm."""
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
    for path, chunk, seen in app.pending.chunks():
        sent = parsed(seen.sent).timestamp() * 1000 - SKEW_MS
        news = app.pending.confirm(path, chunk, seen, [n for n, time in answers.items() if time >= sent])
        if news:
            confirmed += news
            touched.add(path)
    for path in touched:
        settle(app, path)
    return confirmed


def settle(app: App, path: str) -> None:
    """Bring a receipt up to date with what was seen; drop the list when nothing is missing."""
    seen = [chunk for _, _, chunk in app.pending.chunks(path)]
    confirmed = sum(chunk.count - chunk.missing for chunk in seen)

    def step(receipt: Receipt) -> Receipt:
        if receipt.state != "sent":
            return receipt
        return settled(msgspec.structs.replace(receipt, confirmed=confirmed), rfc3339(now()))

    receipt = app.receipts.update(path, step)
    if receipt is not None and receipt.final:
        app.pending.remove(path)
