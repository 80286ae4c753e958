"""What a process holds, and whether it grows: memory, handles, threads, and rows of the state.

Linux tells it under /proc (https://man7.org/linux/man-pages/man5/proc.5.html); elsewhere only the rows are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple


class Usage(NamedTuple):
    """At one moment, all at rest. memory in MB (resident); rows: blobs in the container `state`, receipts left out.

    A receipt is kept for each file and scan, for `receipts.keep_days`; nothing else may stay behind.
    """

    memory: float
    handles: int
    threads: int
    rows: int


class Bound(NamedTuple):
    """By how much a median may grow from the beginning to the end: by a share of what it was, and so much more."""

    share: float
    more: float


#: memory: Python gives back in pieces what it held; rows: the databases of the play grow
LIMITS: dict[str, Bound] = {
    "memory": Bound(0.10, 8),
    "handles": Bound(0, 6),
    "threads": Bound(0, 4),
    "rows": Bound(0.20, 20),
}
#: the first of the looks, that do not count: modules are loaded, caches fill
WARM_UP = 1 / 3


def usage(pid: int, rows: int) -> Usage:
    """Of a process; zeros where nobody tells."""
    process = Path(f"/proc/{pid}")
    try:
        lines = (process / "status").read_text("ascii", "replace").splitlines()
        told = dict(line.split(":", 1) for line in lines if ":" in line)
        handles = sum(1 for _ in (process / "fd").iterdir())
    except OSError:
        return Usage(0, 0, 0, rows)
    return Usage(round(int(told["VmRSS"].split()[0]) / 1024, 1), handles, int(told["Threads"]), rows)


def grown(looks: Sequence[Usage]) -> list[str]:
    """What grew beyond its bound between the first and the last half of the looks after the warm-up."""
    counted = looks[round(len(looks) * WARM_UP) :]
    half = len(counted) // 2
    if not half:
        return []
    found = []
    for number, name in enumerate(Usage._fields):
        before, after = (median(look[number] for look in part) for part in (counted[:half], counted[-half:]))
        share, more = LIMITS[name]
        if after > before * (1 + share) + more:
            found.append(f"{name} grew from {before:g} to {after:g}, more than by {share:.0%} and {more:g}")
    return found
