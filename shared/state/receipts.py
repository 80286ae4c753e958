"""Receipts: one row per landed file, from landing to confirmed.

landed -> transforming -> sent -> confirmed
                       |     |  -> partly rejected (some records were refused, the rest is confirmed)
                       |     |  -> lost (asked for, sent once more, and still missing)
                       |     overdue (sent, and not confirmed in time)
                       -> rejected (nothing of it was sent)

`landed` and `overdue` are never stored: the one is a file without a receipt, the other a matter of the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple, get_args

import msgspec

from shared.state.blob_table import LEASE_SECONDS, BlobTable, Lease
from shared.state.pending import Belief

State = Literal["landed", "transforming", "sent", "overdue", "confirmed", "partly rejected", "rejected", "lost"]

#: no more is going to happen to a file in one of these states, unless it lands again
_STATES: dict[str, State] = {state: state for state in get_args(State)}
FINAL: frozenset[State] = frozenset({"confirmed", "partly rejected", "rejected", "lost"})


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one landed file. Times are RFC 3339, UTC; `seconds` is the time the transform took.

    landed: when this version of the file came to lie in landing; started: when its last run began.
    records: read; refused: records and lines that a rule refused, by rule in `reasons`; sent: top-level assets in
    messages; entities: those and their columns; unchanged: assets equal to what is already published; repeated: said
    again by the same file; confirmed: of `sent` and `deleted`, seen in the catalogue; overtaken: of them, changed or
    deleted by a later scan before they were seen. instance, scan, part: of an extracted file. attempts: those that did
    not end because something else was busy. belief: how answers about it are believed (state/pending.py). resent: what
    was missing was sent once more; by_rest: and then over REST.
    resolved: ends of lineage that are neither in the file nor published by us, by what they were taken for (`exact`,
    `spelling`, `resource_set`, `placeholder`, `stub`); `ambiguous`: of them, those that several assets could be.
    """

    path: str
    etag: str = ""
    state: State = "transforming"
    format: str = ""
    instance: str = ""
    scope: str = ""
    scan: str = ""
    part: int = -1
    records: int = 0
    sent: int = 0
    entities: int = 0
    messages: int = 0
    bytes: int = 0
    unchanged: int = 0
    repeated: int = 0
    adopted: int = 0
    refused: int = 0
    deleted: int = 0
    confirmed: int = 0
    overtaken: int = 0
    reasons: dict[str, int] = {}
    resolved: dict[str, int] = {}
    unknown: tuple[str, ...] = ()
    attempts: int = 0
    belief: Belief = "usual"
    resent: bool = False
    by_rest: bool = False
    landed: str = ""
    started: str = ""
    sent_at: str = ""
    finished: str = ""
    seconds: float = 0.0
    error: str = ""
    fix: str = ""

    @property
    def final(self) -> bool:
        return self.state in FINAL

    @property
    def waits(self) -> int:
        """Assets that were sent and are not confirmed yet."""
        left = self.sent + self.deleted - self.confirmed - self.overtaken
        return max(0, left) if self.state in ("sent", "overdue") else 0

    @property
    def run(self) -> str:
        """Which run over the file this is about; names its rows in `pending`."""
        return "".join(c for c in self.started if c.isdigit())


def settled(receipt: Receipt, now: str) -> Receipt:
    """The receipt with the state its numbers call for, once it was sent."""
    if receipt.state != "sent" or receipt.confirmed + receipt.overtaken < receipt.sent + receipt.deleted:
        return receipt
    return msgspec.structs.replace(
        receipt, state="partly rejected" if receipt.refused else "confirmed", finished=receipt.finished or now
    )


class Known(NamedTuple):
    """What a listing tells of a receipt. waits: assets not confirmed yet; refused: 1 when something was."""

    path: str
    state: State
    etag: str
    started: str
    sent_at: str
    waits: int
    refused: bool


def known(receipt: Receipt) -> Known:
    """The same of a receipt that was read."""
    r = receipt
    return Known(r.path, r.state, r.etag, r.started, r.sent_at, r.waits, r.refused > 0)


def notes(receipt: Receipt) -> dict[str, str]:
    """What is kept beside a receipt, for `Known`."""
    said = known(receipt)
    told = {"state": said.state, "etag": said.etag, "started": said.started, "sent": said.sent_at}
    told |= {"waits": str(said.waits or ""), "refused": "1" if said.refused else ""}
    return {name: text for name, text in told.items() if text and text.isascii()}


class Receipts:
    """The table `receipts`: partition = folder of the landed file, row = its name."""

    def __init__(self, table: BlobTable, lease_seconds: int = LEASE_SECONDS) -> None:
        self._table = table
        self._lease_seconds = lease_seconds

    @staticmethod
    def _place(path: str) -> tuple[str, str]:
        folder, _, file = path.rpartition("/")
        return folder or ".", file

    def get(self, path: str) -> tuple[Receipt | None, str | None]:
        return self._table.get(*self._place(path), type=Receipt)

    def put(self, receipt: Receipt, etag: str | None = None, lease: Lease | None = None) -> str:
        return self._table.put(*self._place(receipt.path), receipt, etag=etag, lease=lease)

    def lease(self, path: str) -> Lease:
        """A lease on the receipt; the row is made when there is none. Raises Conflict while somebody holds it."""
        return self._table.lease(*self._place(path), self._lease_seconds)

    def held(self, path: str) -> bool:
        """Whether somebody is at the file: holds the lease."""
        return self._table.held(*self._place(path))

    def update(self, path: str, change: Callable[[Receipt], Receipt]) -> Receipt | None:
        """Read, change and write with compare-and-set; None when there is no such receipt."""
        result: Receipt | None = None

        def step(value: Receipt | None) -> Receipt | None:
            nonlocal result
            result = None if value is None else change(value)
            return result

        self._table.update(*self._place(path), step, type=Receipt)
        return result

    def folders(self) -> Iterator[str]:
        """Folders of landing with a receipt in them; of an extracted file: `<instance>/<scan>`."""
        return self._table.partitions()

    def within(self, folder: str) -> Iterator[Receipt]:
        for _, receipt, _ in self._table.rows(folder, type=Receipt):
            yield receipt

    def known(self) -> Iterator[Known]:
        """Every receipt by one listing; only those that an older version of Hookline wrote are read."""
        for partition, row, told, _ in self._table.listed():
            path = row if partition == "." else f"{partition}/{row}"
            state = _STATES.get(told.get("state", ""))
            if state is not None:
                waits, refused = int(told.get("waits", 0)), "refused" in told
                times = told.get("started", ""), told.get("sent", "")
                yield Known(path, state, told.get("etag", ""), *times, waits, refused)
            elif (receipt := self.get(path)[0]) is not None:
                yield known(receipt)

    def all(self) -> Iterator[Receipt]:
        for folder in self.folders():
            yield from self.within(folder)

    def delete(self, path: str) -> None:
        self._table.delete(*self._place(path))
