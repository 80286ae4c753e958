"""Not faster than so many operations a second, however many threads of the process ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Pace:
    """`take(n)` returns when n operations may begin."""

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._seconds = 1 / per_second
        self._clock = clock
        self._sleep = sleep
        self._free = 0.0
        self._lock = threading.Lock()

    def take(self, count: int = 1) -> None:
        with self._lock:
            moment = self._clock()
            begin = max(moment, self._free)
            self._free = begin + count * self._seconds
        if begin > moment:
            self._sleep(begin - moment)
