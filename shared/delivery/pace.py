"""Not faster than so many operations a second, however many threads of the process ask: a token bucket that gives way.

The bucket holds `burst` tokens and is filled at the rate; so in any t seconds at most `burst + rate * t` operations
begin. Whoever asks for more than there is pays by waiting before he begins, and the next one behind him.

When the service says that it is too much (429, server-busy), the rate is halved; it doubles again with every minute in
which nothing was said, up to what was set. The pauses between attempts of the call that was refused are made where that
call is made (rest.py, hub.py); this is for everybody else's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from shared.telemetry import get_logger

log = get_logger(__name__)

#: what may begin at once after a quiet time: so many seconds' worth
BURST_SECONDS = 5.0
#: refusals within so many seconds are one: calls that were under way together are refused together
TOGETHER_SECONDS = 1.0
#: the rate doubles in so many seconds without a refusal
DOUBLES_SECONDS = 60.0
#: a service that wants to hear nothing for longer is asked again all the same: its answer is cheap, a lease is not
LONGEST_PAUSE = 60.0
#: of the rate that was set; it is never slower
SLOWEST = 1 / 64


class Pace:
    """`take(n)` returns when n operations may begin; `throttled` is said when the service refused one as too much.

    per_second: the rate. burst: operations that may begin at once; five seconds' worth where nothing is said.
    name: what is counted, for the log. May be used by several threads.
    """

    def __init__(
        self,
        per_second: float,
        *,
        burst: float | None = None,
        name: str = "operations",
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._full = per_second
        self._burst = max(1.0, per_second * BURST_SECONDS if burst is None else burst)
        self._name = name
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._tokens = self._burst
        self._filled = clock()  # up to when tokens are counted; in the future while the service has asked for a pause
        self._slowed: float | None = None  # the rate to which it was slowed down, and when
        self._slowed_at = 0.0

    def take(self, count: int = 1) -> None:
        with self._lock:
            moment = self._clock()
            rate = self._rate(moment)
            self._fill(moment, rate)
            self._tokens -= count
            wait = max(0.0, self._filled - moment) + max(0.0, -self._tokens / rate)
        if wait:
            self._sleep(wait)

    def throttled(self, retry_after: float | None = None) -> None:
        """The service refused as too much. retry_after: seconds in which it wants to hear nothing."""
        with self._lock:
            moment = self._clock()
            rate = self._rate(moment)
            self._fill(moment, rate)
            self._tokens = min(self._tokens, 0.0)
            self._filled = max(self._filled, moment + min(retry_after or 0.0, LONGEST_PAUSE))
            if self._slowed is not None and moment - self._slowed_at < TOGETHER_SECONDS:
                return
            self._slowed, self._slowed_at = max(rate / 2, self._full * SLOWEST), moment
        log.warning("slowed down", pace=self._name, per_second=self._slowed, pause=retry_after)

    @property
    def rate(self) -> float:
        """Operations a second as of now."""
        with self._lock:
            return self._rate(self._clock())

    def _rate(self, moment: float) -> float:
        if self._slowed is None:
            return self._full
        rate = self._slowed * 2 ** max(0.0, (moment - self._slowed_at) / DOUBLES_SECONDS)
        if rate < self._full:
            return rate
        self._slowed = None
        log.info("at full speed again", pace=self._name, per_second=self._full)
        return self._full

    def _fill(self, moment: float, rate: float) -> None:
        if moment > self._filled:
            self._tokens = min(self._burst, self._tokens + rate * (moment - self._filled))
            self._filled = moment
