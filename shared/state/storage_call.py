"""One call to blob storage: tried again while storage is busy, its errors as ours."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from shared.azure_errors import is_conflict, storage_error
from shared.errors import StorageBusy, Transient

#: tries of one call, and the longest it takes with all pauses between them (the time-outs of the calls come on top)
ATTEMPTS = 6
LONGEST_PAUSE = 8.0

T = TypeVar("T")


class Conflict(Transient):
    """Somebody else wrote the row, or holds its lease."""


class Missing(Transient):
    """There is no such blob or container."""


class StorageCall:
    """Runs storage calls that ask the SDK itself for no retry (`retry_total=0`): one layer tries again, this one."""

    def __init__(self, attempts: int = ATTEMPTS, sleep: Callable[[float], None] = time.sleep) -> None:
        self.attempts = attempts
        self.sleep = sleep

    def __call__(self, act: Callable[[], T], where: str) -> T:
        """Raises Conflict (409, 412), Missing (404), StorageBusy after the last attempt, SettingsError (401, 403)."""
        from azure.core.exceptions import AzureError, ResourceNotFoundError
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

        def once() -> T:
            try:
                return act()
            except AzureError as error:
                known = storage_error(error, where)
                if isinstance(error, ResourceNotFoundError):
                    raise Missing(known.what, where=where, fix=known.fix) from error
                if is_conflict(error):
                    raise Conflict(known.what, where=where, fix=known.fix) from error
                raise known from error

        return Retrying(
            retry=retry_if_exception_type(StorageBusy),
            stop=stop_after_attempt(self.attempts),
            wait=wait_random_exponential(multiplier=0.2, max=LONGEST_PAUSE),
            sleep=self.sleep,
            reraise=True,
        )(once)
