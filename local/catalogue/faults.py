"""Faults on purpose, for tests of the product: lost hook messages, and a REST API that is busy."""

from __future__ import annotations

import random
import threading

import msgspec


class Faults(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Body of POST /local/faults. All zero: no faults.

    drop_percent:  hook messages that vanish without a word, chosen by `seed`
    rest_status:   what the next `rest_requests` Atlas and search calls are answered with (429, 503 ...)
    retry_after:   seconds, as a Retry-After header; 0 leaves it out
    """

    drop_percent: float = 0.0
    seed: int = 0
    rest_status: int = 0
    rest_requests: int = 0
    retry_after: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.drop_percent <= 100 or not (self.rest_status == 0 or 400 <= self.rest_status <= 599):
            raise ValueError("dropPercent is 0 to 100, restStatus 0 or 400 to 599")


class Injector:
    """The faults in force."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.set(Faults())

    def set(self, faults: Faults) -> None:
        with self._lock:
            self.faults = faults
            self._random = random.Random(faults.seed)  # noqa: S311 - reproducible on purpose

    def drops(self) -> bool:
        """Whether the next hook message vanishes."""
        with self._lock:
            return self.faults.drop_percent > 0 and self._random.random() * 100 < self.faults.drop_percent

    def answer(self) -> tuple[int, int] | None:
        """(status, retry after) for the next REST call, None when it is served."""
        with self._lock:
            if self.faults.rest_requests <= 0 or not self.faults.rest_status:
                return None
            self.faults.rest_requests -= 1
            return self.faults.rest_status, self.faults.retry_after
