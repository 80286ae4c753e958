"""Landed files and what became of them: states, totals and a page of receipts, from two listings.

A deployment keeps receipts for months, so nothing here reads them all: a listing of 5,000 names a call tells the state
of each (`Receipts.known`), and only the receipts of the page are read. Memory is two numbers a file, and the page.
"""

from __future__ import annotations

import datetime as dt
import heapq
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from shared.azure import storage_errors
from shared.errors import UsageError
from shared.pipeline.app import App, now, parsed, rfc3339
from shared.pipeline.landing import plain, version
from shared.state.receipts import Known, Receipt, State


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which files. most: so many, None for all; before: only older ones (`Files.next` of the page before).

    state: only in this state; under: only whose path begins so (`crm/` for an instance, `crm/<scan>/` for a scan).
    """

    most: int | None = None
    before: str = ""
    state: str = ""
    under: str = ""


class Files(msgspec.Struct, kw_only=True):
    """files: a page, newest first. next: where the next page begins; empty when there is none.

    totals: files by state; waiting: assets that are not confirmed yet, waiting_since: when the first of them was sent;
    landed_since: since when the first of the files lies there that nobody has taken up. Of all files, not of the page.
    """

    files: list[Receipt] = []
    next: str = ""
    totals: dict[str, int] = {}
    waiting: int = 0
    waiting_since: str = ""
    landed_since: str = ""


class _Place(NamedTuple):
    """Where a file stands in the order of time, the newest is the largest. landed: nobody has taken it up."""

    when: str
    path: str
    landed: bool = False

    @property
    def cursor(self) -> str:
        return f"{self.when}|{self.path}"


def place_after(cursor: str) -> tuple[str, str] | None:
    """Raises UsageError for a cursor that is none."""
    if not cursor:
        return None
    when, bar, path = cursor.partition("|")
    if not bar or not path:
        raise UsageError(
            "this is no place in the list of files", where=cursor[:200], fix="take `next` of the page before"
        )
    return when, path


class Look:
    """One look at all of them. Raises StorageBusy."""

    def __init__(self, app: App, wanted: Wanted) -> None:
        self._app = app
        self._wanted = wanted
        self._after = place_after(wanted.before)
        self._overdue = late_before(app)
        self._heap: list[_Place] = []
        self._found = Files()

    def files(self) -> Files:
        lying = {hash(path): hash(etag) for path, etag, _ in self._lying()}
        for item in self._app.receipts.known():
            etag = lying.pop(hash(item.path), None)
            landed = self._newer(item) if etag not in (None, hash(item.etag)) else None
            if landed is not None:
                self._landed(item.path, landed)
                continue
            state = state_of(item, self._overdue)
            self._count(state)
            if item.waits:
                self._found.waiting += item.waits
                self._found.waiting_since = min(self._found.waiting_since or item.sent_at, item.sent_at)
            self._take(item.path, item.started, state)
        if lying:  # no receipt at all; listed once more, because keeping the names of all files would cost memory
            for path, _, moment in self._lying():
                if hash(path) in lying:
                    self._landed(path, moment)
        return self._page()

    def _lying(self) -> Iterator[tuple[str, str, dt.datetime]]:
        with storage_errors("landing"):
            for blob in self._app.landing.list_blobs():
                yield blob.name, plain(blob.etag), blob.last_modified

    def _newer(self, item: Known) -> dt.datetime | None:
        """When the version landed that nobody has taken up yet; None when that happened between the two listings."""
        receipt, _ = self._app.receipts.get(item.path)
        there = version(self._app.landing.get_blob_client(item.path))
        return there.landed if there is not None and (receipt is None or receipt.etag != there.etag) else None

    def _landed(self, path: str, moment: dt.datetime) -> None:
        since = rfc3339(moment)
        self._count("landed")
        self._found.landed_since = min(self._found.landed_since or since, since)
        self._take(path, since, "landed")

    def _count(self, state: str) -> None:
        self._found.totals[state] = self._found.totals.get(state, 0) + 1

    def _take(self, path: str, when: str, state: str) -> None:
        place, wanted = _Place(when, path, state == "landed"), self._wanted
        if (self._after is not None and place >= self._after) or not path.startswith(wanted.under):
            return
        if wanted.state and state != wanted.state:
            return
        if wanted.most is None or len(self._heap) <= wanted.most:
            heapq.heappush(self._heap, place)  # one more than asked for, to know whether there is one
        else:
            heapq.heappushpop(self._heap, place)

    def _page(self) -> Files:
        places = sorted(self._heap, reverse=True)
        most = len(places) if self._wanted.most is None else self._wanted.most
        found = self._found
        found.totals = dict(sorted(found.totals.items()))
        found.next = places[most - 1].cursor if 0 < most < len(places) else ""
        for place in places[:most]:
            if place.landed:
                found.files.append(Receipt(path=place.path, state="landed", landed=place.when))
            elif (receipt := self._app.receipts.get(place.path)[0]) is not None:
                found.files.append(shown(receipt, self._overdue))
        return found


def late_before(app: App) -> dt.datetime:
    """What was sent before this moment, and is not confirmed, is overdue."""
    return now() - dt.timedelta(seconds=app.settings.limits.overdue_after_seconds)


def state_of(item: Known | Receipt, overdue: dt.datetime) -> State:
    """Its state as people see it. overdue: what was sent before this moment is."""
    late = item.state == "sent" and item.sent_at and parsed(item.sent_at) <= overdue
    return "overdue" if late else item.state


def shown(receipt: Receipt, overdue: dt.datetime) -> Receipt:
    """The same receipt with the state that people see."""
    return msgspec.structs.replace(receipt, state=state_of(receipt, overdue))
