"""What fell by the wayside: files whose event was lost, scans whose end was missed, answers that did not come.

Nothing here is needed when all goes well; everything else is found again within a few minutes. One file or scan that
cannot be dealt with now does not keep the others from it.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections import deque
from collections.abc import Iterator

import msgspec

from shared.azure import storage_errors
from shared.errors import HooklineError, Transient
from shared.pipeline.answers import Answers
from shared.pipeline.app import App, log, now, parsed, rfc3339
from shared.pipeline.beside import changed
from shared.pipeline.finish import finish_if_done
from shared.pipeline.landing import plain, put_rejected, version
from shared.pipeline.placing import place
from shared.pipeline.reconciling import reconcile
from shared.pipeline.replaying import Replay
from shared.pipeline.transformation import MAX_ATTEMPTS
from shared.pipeline.trimming import trim_daily
from shared.records import Refusal
from shared.state import Conflict
from shared.state.receipts import Receipt

#: queue messages per run: the next run takes the next ones
MAX_REPLAYS = 500
#: times MAX_ATTEMPTS: tries of a file whose transform dies without a word
DEATHS = 2
#: clocks of storage and of ours, and its time stamps of whole seconds
SLACK = dt.timedelta(seconds=60)


def sweep(app: App) -> list[str]:
    """Returns messages for the queue `replays`."""
    trouble = app.sink_circuit.look()
    shut = trouble is not None and trouble.shut(now())
    if not shut:
        _finish(app)
    answers = Answers(app)
    looks = itertools.chain(answers.look(), _unseen(app, answers.paths), _early(app), _beside(app), reconcile(app))
    if shut:  # what was sent before may have arrived all the same
        deque(answers.look(), maxlen=0)
    found = list(itertools.islice(looks, 0 if shut else MAX_REPLAYS if trouble is None else 1))
    place(app)
    trim_daily(app)
    return [msgspec.json.encode(replay).decode() for replay in found]


def _finish(app: App) -> None:
    """Scans all of whose parts are through; normally the last part's transform has done it."""
    for instance in list(app.scans.instances()):
        for scope, row in list(app.scans.of(instance)):
            if row.current is None or row.current.state != "extracted":
                continue
            try:
                finish_if_done(app, instance, scope, row.current.id)
            except HooklineError as error:
                log.error("instance=%s scope=%s cannot be finished: %s", instance, scope, error)


def _unseen(app: App, waiting: set[str]) -> Iterator[Replay]:
    """Landed files without a receipt, or with one that got stuck, some minutes after they landed.

    How far everything is accounted for is remembered, so that receipts of old files are not read again and again.
    waiting: paths of which something is still waited for.
    """
    table = app.table("sweeps")
    limit = now() - dt.timedelta(seconds=app.settings.limits.sweep_after_seconds)
    through, _ = table.get("landing", "through", type=str)
    since = parsed(through) if through else dt.datetime.min.replace(tzinfo=dt.UTC)
    reached = limit
    with storage_errors("landing"):
        for blob in app.landing.list_blobs():
            if not since <= blob.last_modified <= limit:
                continue
            try:
                replay, open_ = _look(app, blob.name, plain(blob.etag), limit, waiting)
            except (Conflict, Transient) as error:
                log.warning("path=%s is looked at later: %s", blob.name, error)
                replay, open_ = None, True
            if open_:
                reached = min(reached, blob.last_modified)
            if replay is not None:
                yield replay
    table.put("landing", "through", rfc3339(max(since, reached - SLACK)))


def _early(app: App) -> Iterator[Replay]:
    """Scripts that came before the scan which knows the columns of the tables they name."""
    for wanted in app.schemas.wanted():
        receipt, _ = app.receipts.get(wanted.path)
        there = version(app.landing.get_blob_client(wanted.path))
        same = receipt is not None and there is not None and receipt.etag == there.etag == wanted.etag
        if receipt is None or not same or receipt.state == "rejected":  # taken away, or its new version comes by itself
            app.schemas.want(wanted.path, wanted.etag, ())
        elif receipt.final:
            yield Replay(path=wanted.path, again=True)


def _beside(app: App) -> Iterator[Replay]:
    """Files that are read together with those beside them, when one of those came, changed or went."""
    return (Replay(path=path, again=True) for path in changed(app))


def _look(app: App, path: str, etag: str, limit: dt.datetime, waiting: set[str]) -> tuple[Replay | None, bool]:
    """What to do about a landed file, and whether it is to be looked at again."""
    receipt, _ = app.receipts.get(path)
    if receipt is None or receipt.etag != etag:
        return Replay(path=path), True
    if receipt.state == "transforming":
        if parsed(receipt.started) > limit:
            return None, True
        if receipt.attempts < MAX_ATTEMPTS * DEATHS:
            return Replay(path=path), True
        _give_up(app, receipt)
        return None, False
    if receipt.state == "sent":
        # Nothing waits for it although it is not confirmed: somebody has deleted the table `pending`.
        return (None if path in waiting else Replay(path=path, again=True)), True
    return None, False


def _give_up(app: App, receipt: Receipt) -> None:
    reason = receipt.error or "its transform stopped again and again without a word (out of memory, or killed)"
    refusal = Refusal(
        place=receipt.path,
        rule="stuck",
        reason=f"tried {receipt.attempts} times: {reason}",
        fix=receipt.fix or "look at the function's log at the time of the last attempt",
    )
    put_rejected(app, receipt.path, [msgspec.json.encode(refusal) + b"\n"])
    moment = rfc3339(now())

    def step(value: Receipt) -> Receipt:
        if value.state != "transforming" or value.run != receipt.run:
            return value
        return msgspec.structs.replace(
            value,
            state="rejected",
            refused=1,
            reasons={"stuck": 1},
            error=refusal.reason,
            fix=refusal.fix,
            finished=moment,
        )

    app.receipts.update(receipt.path, step)
    app.pending.remove(receipt.path, receipt.run)
