"""Circuits: what has failed too often in a row to be tried each time, and when it is tried next.

One row for each thing that can fail as a whole: `source/<instance>`, `sink/<name>`, `collection/<instance>`. While a
circuit is open nothing is tried before `retry_at`; then one try goes through (half-open), which closes it or opens it
for twice as long. Deleting the table costs a few tries too many.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from typing import Literal

import msgspec

from shared.errors import HooklineError
from shared.state.blob_table import BlobTable

Kind = Literal["source", "sink", "collection"]

#: how long a circuit is open first; then twice as long with every failure
FIRST = dt.timedelta(minutes=15)
#: of that, by chance, so that what failed together is not tried again together
JITTER = 0.1


class Circuit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """failures: in a row, since `since`; last: the time of the last one. retry_at: empty while there are too few.

    problem, error, fix: of the last failure. Times are RFC 3339, UTC.
    """

    failures: int
    since: str
    last: str
    retry_at: str = ""
    problem: str = ""
    error: str = ""
    fix: str = ""

    @property
    def open(self) -> bool:
        return bool(self.retry_at)

    def shut(self, moment: dt.datetime) -> bool:
        """Whether nothing may be tried at that moment."""
        return self.open and moment < dt.datetime.fromisoformat(self.retry_at)


def delay(failures: int, longest: dt.timedelta, name: str = "") -> dt.timedelta:
    """How long to wait after so many failures in a row (from 1).

    name: adds up to a tenth by chance, which follows from it and the number, so that things apart stay apart.
    """
    chance = random.Random(f"{name}/{failures}").random() if name else 0.0  # noqa: S311 - to spread, not to hide
    doubled: dt.timedelta = min(longest, FIRST * 2 ** min(failures - 1, 16))
    return doubled * (1 + JITTER * chance)


class Circuits:
    """The table `circuits`: partition = kind, row = name."""

    def __init__(self, table: BlobTable) -> None:
        self._table = table

    def get(self, kind: Kind, name: str) -> Circuit | None:
        return self._table.get(kind, name, type=Circuit)[0]

    def of(self, kind: Kind) -> Iterator[tuple[str, Circuit]]:
        for name, circuit, _ in self._table.rows(kind, type=Circuit):
            yield name, circuit

    def failed(
        self, kind: Kind, name: str, error: HooklineError, moment: dt.datetime, *, longest: dt.timedelta, after: int = 1
    ) -> Circuit:
        """One more failure; the circuit as it is now. It opens with the one of number `after`.

        What was under way when it opened counts no more: only a try that was let through opens it for longer.
        """
        told = {"last": _text(moment), "problem": type(error).__name__, "error": error.what, "fix": error.fix}

        def step(before: Circuit | None) -> Circuit:
            if before is not None and before.shut(moment):
                return msgspec.structs.replace(before, **told)
            failures = 1 if before is None else before.failures + 1
            times = failures - after + 1
            return Circuit(
                failures=failures,
                since=_text(moment) if before is None else before.since,
                retry_at=_text(moment + delay(times, longest, name)) if times > 0 else "",
                **told,
            )

        changed = self._table.update(kind, name, step, type=Circuit)
        assert changed is not None  # step gives one
        return changed

    def close(self, kind: Kind, name: str) -> None:
        """It works again, or a person wants to see whether it does."""
        self._table.delete(kind, name)


def _text(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
