"""A thread with a large stack, for SQL that is long or deep: how much is left of the caller's nobody knows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: room for `bounds.MAX_OPENERS` levels of the parser, which take up to 8 kB each; memory is used as far as it is needed
STACK_BYTES = 256 * 1024 * 1024
#: shorter text with fewer brackets cannot nest so deep that any stack is too small
SHORT, FEW = 4_000, 50

#: of the budget, once it is spent: for tables only
MORE = 0.1

_starting = threading.Lock()


def needed(sql: str) -> bool:
    return len(sql) > SHORT or sql.count("(") > FEW or sql.upper().count("CASE") > FEW


def run(call: Callable[[], T]) -> T:
    """What `call` returns or raises; where there can be no such thread, it runs here."""
    results: list[T] = []
    errors: list[BaseException] = []

    def inside() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001  raised again where it was called
            errors.append(error)

    thread = threading.Thread(target=inside, name="lineage", daemon=True)
    try:
        with _starting:  # the size is a setting of the whole process
            before = threading.stack_size(STACK_BYTES)
            try:
                thread.start()
            finally:
                threading.stack_size(before)
    except (RuntimeError, ValueError, MemoryError):
        return call()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


class Clock:
    """CPU time that one script may take, whichever threads read it: what is found does not depend on the neighbours."""

    def __init__(self, seconds: float) -> None:
        self._budget = seconds
        self._end = time.thread_time() + seconds

    def is_spent(self, *, more: bool = False) -> bool:
        """Whether the budget is used up, or also what is given `more` for tables only."""
        return time.thread_time() > self._end + (MORE * self._budget if more else 0)

    def run(self, call: Callable[[], T]) -> T:
        """`call` in a thread with room, on the same clock."""
        left = self._end - time.thread_time()

        def inside() -> T:
            nonlocal left
            self._end = time.thread_time() + left
            try:
                return call()
            finally:
                left = self._end - time.thread_time()

        try:
            return run(inside)
        finally:
            self._end = time.thread_time() + left
