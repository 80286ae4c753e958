"""What was sent and not heard of: asked for, sent once more, sent over REST, and then reported as lost."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator

import msgspec

from shared.errors import CatalogBusy, CatalogRefused, Transient
from shared.naming import Name
from shared.pipeline.app import App, log, now, parsed, rfc3339
from shared.pipeline.confirmation import answers_since, settle
from shared.pipeline.landing import put_rejected
from shared.pipeline.replaying import Replay
from shared.records import Refusal
from shared.state.pending import Chunk, Expected, Seen, identity
from shared.state.receipts import Receipt, settled

#: asking is slow (operations_per_second): a sweep stops after so long, the next one goes on
ASK_SECONDS = 240.0
#: names that are asked for together
_ASK_TOGETHER = 50
#: of the pause between two questions
MOST_DOUBLINGS = 16


class Answers:
    """One look at everything that waits."""

    def __init__(self, app: App) -> None:
        self._app = app
        limits = app.settings.limits
        self._ask_after = dt.timedelta(seconds=limits.ask_after_seconds)
        self._overdue_after = dt.timedelta(seconds=limits.overdue_after_seconds)
        self._deadline = time.monotonic() + ASK_SECONDS
        #: why the catalogue cannot be asked: it is busy (later, then), or it refuses
        self._busy = False
        self._refused = "" if app.catalog is not None else "there is no REST endpoint to ask (purview.account)"
        #: paths that wait
        self.paths: set[str] = set()

    def look(self) -> Iterator[Replay]:
        """Ask, settle, lose; yields what is to be sent once more."""
        waiting: dict[str, list[Chunk]] = {}
        for chunk in self._app.pending.all():
            waiting.setdefault(chunk.path, []).append(chunk)
        self.paths.update(waiting)
        due: list[tuple[int, str, Receipt, list[tuple[Chunk, Seen]]]] = []
        for path, chunks in waiting.items():
            receipt, _ = self._app.receipts.get(path)
            mine = self._own(receipt, chunks)
            if receipt is None or receipt.state != "sent":
                continue
            seen = [(chunk, found) for chunk in mine if (found := self._app.pending.seen(chunk)) is not None]
            if not any(found.missing for _, found in seen):
                settle(self._app, path)
            elif seen:
                due.append((min(found.asked for _, found in seen), min(f.sent for _, f in seen), receipt, seen))
        for _, _, receipt, seen in sorted(due, key=lambda item: item[:2]):
            try:
                yield from self._late(receipt, seen)
            except Transient as error:  # somebody is at the receipt; the others are not to wait for it
                log.warning("path=%s is looked at later: %s", receipt.path, error)
            except Exception:  # noqa: BLE001 - one file's trouble is not to stop the sweep, on which all the others rely
                log.exception("path=%s cannot be looked at", receipt.path)

    def _own(self, receipt: Receipt | None, chunks: list[Chunk]) -> list[Chunk]:
        """The chunks of the run that counts; those of earlier runs, and of runs that are over, are forgotten.

        A later run than the receipt's is just beginning.
        """
        mine = []
        for chunk in sorted(chunks, reverse=True):
            if receipt is None or chunk.run < receipt.run or (receipt.final and chunk.run == receipt.run):
                self._app.pending.drop(chunk)
            elif chunk.run == receipt.run:
                mine.append(chunk)
        return mine[::-1]

    def _late(self, receipt: Receipt, seen: list[tuple[Chunk, Seen]]) -> Iterator[Replay]:
        app = self._app
        overdue = all(now() - parsed(found.sent) >= self._overdue_after for _, found in seen if found.missing)
        differs = False
        for chunk, found in seen:
            age = now() - parsed(found.sent)
            again = self._ask_after * 2 ** min(found.asked, MOST_DOUBLINGS)
            if found.missing and (age >= again or age >= self._overdue_after):
                differs |= self._ask(chunk, found)
        settle(app, receipt.path)
        if not overdue and differs and not self._busy:
            yield Replay(path=receipt.path, missing=True, look=True)
        if not overdue or self._busy:
            return
        missing = [expected for chunk, _ in seen for expected in app.pending.missing(chunk)]
        if missing and receipt.resent and (receipt.by_rest or self._refused):
            self._lose(receipt, missing)
        elif missing and receipt.resent:
            yield Replay(path=receipt.path, missing=True, rest=True)
        elif missing:
            yield Replay(path=receipt.path, missing=True)

    def _ask(self, chunk: Chunk, seen: Seen) -> bool:
        """Whether the catalogue has what no event told of. True: it shows some, and perhaps in an older version.

        An update that changes nothing causes no event and leaves no trace; neither does one that was dropped.
        """
        if self._refused or self._busy:
            return False
        app, since, older = self._app, answers_since(self._app, seen), False
        by_type: dict[str, list[Expected]] = {}
        for operation, name in app.pending.missing(chunk):
            by_type.setdefault(name.type_name, []).append((operation, name))
        try:
            for type_name, expected in by_type.items():
                for start in range(0, len(expected), _ASK_TOGETHER):
                    older |= self._ask_for(chunk, type_name, expected[start : start + _ASK_TOGETHER], since)
        except CatalogBusy as error:
            self._busy = True
            log.warning("the catalogue is asked later: %s", error)
            return False
        except CatalogRefused as error:
            self._refused = f"the catalogue cannot be asked: {error.what}"
            log.error("%s", error)
            return False
        app.pending.asked(chunk)
        return older

    def _ask_for(self, chunk: Chunk, type_name: str, expected: list[Expected], since: float) -> bool:
        app = self._app
        if time.monotonic() > self._deadline:
            raise CatalogBusy("the sweep's time is over", fix="nothing to do: the next one goes on")
        catalog = app.catalog
        if catalog is None:
            return False
        app.pace.take(len(expected))
        found = catalog.find(type_name, [name.qualified_name for _, name in expected])
        there = {
            identity("create", Name(type_name, name)): known.updated
            for name, known in found.items()
            if known.status == "ACTIVE"
        }
        written = {number for number, updated in there.items() if updated >= since}
        answered = [
            identity(operation, name)
            for operation, name in expected
            if (identity("create", name) in written if operation != "delete" else identity("create", name) not in there)
        ]
        app.pending.confirm(chunk, answered)
        return len(written) < len(there)

    def _lose(self, receipt: Receipt, missing: list[Expected]) -> None:
        """Sent again and still not there: say so, with the names; the next scan sends them again."""
        app, path = self._app, receipt.path
        why = self._refused or receipt.error or "the catalogue does not show it"
        often = "twice and over REST" if receipt.by_rest else "twice"
        put_rejected(
            app,
            f"{path}.lost",
            (
                msgspec.json.encode(
                    Refusal(
                        place=f"{name.type_name} {name.qualified_name}",
                        rule="not-confirmed",
                        reason=f"sent {often} ({operation}), and nothing was heard of it; {why}",
                        fix="publish the file with `./hookline publish --rest`, whose answer names the reason",
                    )
                )
                + b"\n"
                for operation, name in missing
            ),
        )
        log.error("path=%s: %d assets were sent again and did not arrive", path, len(missing))
        if receipt.scan:
            app.snapshots.doubt(receipt.instance, receipt.scope, missing, rfc3339(now()))

        def step(value: Receipt) -> Receipt:
            if value.state != "sent" or value.run != receipt.run or settled(value, "").final:
                return value
            return msgspec.structs.replace(
                value,
                state="lost",
                refused=value.refused + len(missing),
                reasons={**value.reasons, "not-confirmed": len(missing)},
                finished=rfc3339(now()),
            )

        done = app.receipts.update(path, step)
        if done is not None and done.final:
            app.pending.remove(path, receipt.run)
