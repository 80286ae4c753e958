"""Keeping a lease through long work: a sign of life now and then, from wherever the work happens to be."""

from __future__ import annotations

import time

from shared.state import Lease

#: a lease is renewed when so much of its time is over
SHARE = 1 / 3


class Beat:
    """Call it often; it renews the lease when it is time. Raises Superseded when somebody else has taken it."""

    def __init__(self, *leases: Lease) -> None:
        self._leases = list(leases)
        self._last = time.monotonic()

    def add(self, lease: Lease) -> None:
        """One more that the work needs from here on."""
        self._leases.append(lease)

    def __call__(self, *, now: bool = False) -> None:
        """now: whatever the time, because what follows must not be done twice."""
        if now or time.monotonic() - self._last > min((lease.seconds for lease in self._leases), default=0) * SHARE:
            for lease in self._leases:
                lease.renew()
            self._last = time.monotonic()
