"""Receipts: one row per landed file, from landing to confirmed.

landed -> transforming -> sent -> confirmed
                       |       -> partly rejected (some records were refused, the rest is confirmed)
                       |       -> lost (asked for, sent once more, and still missing)
                       -> rejected (nothing of it was sent)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from shared.state.blob_table import BlobTable, Lease

State = Literal["transforming", "sent", "confirmed", "partly rejected", "rejected", "lost"]

#: no more is going to happen to a file in one of these states, unless it lands again
FINAL: frozenset[State] = frozenset({"confirmed", "partly rejected", "rejected", "lost"})


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one landed file. Times are RFC 3339, UTC; `seconds` is the time the transform took.

    records: read; refused: records and lines that a rule refused, by rule in `reasons`; sent: top-level assets in
    messages; entities: those and their columns; unchanged: assets equal to what is already published; repeated: said
    again by the same file; confirmed: of `sent` and `deleted`, seen in the catalogue; overtaken: of them, changed or
    deleted by a later scan before they were seen. instance, scan, part: of an extracted file. attempts: those that did
    not end because something else was busy. resent: what was missing was sent once more; by_rest: and then over REST.
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
    unknown: tuple[str, ...] = ()
    attempts: int = 0
    resent: bool = False
    by_rest: bool = False
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


class Receipts:
    """The table `receipts`: partition = folder of the landed file, row = its name."""

    def __init__(self, table: BlobTable) -> None:
        self._table = table

    @staticmethod
    def _place(path: str) -> tuple[str, str]:
        folder, _, file = path.rpartition("/")
        return folder or ".", file

    def get(self, path: str) -> tuple[Receipt | None, str | None]:
        return self._table.get(*self._place(path), type=Receipt)

    def put(self, receipt: Receipt, etag: str | None = None, lease: Lease | None = None) -> str:
        return self._table.put(*self._place(receipt.path), receipt, etag=etag, lease=lease)

    def lease(self, path: str, seconds: int = 60) -> Lease:
        """A lease on the receipt; the row is made when there is none. Raises Conflict while somebody holds it."""
        return self._table.lease(*self._place(path), seconds)

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

    def all(self) -> Iterator[Receipt]:
        for folder in self.folders():
            yield from self.within(folder)

    def delete(self, path: str) -> None:
        self._table.delete(*self._place(path))
