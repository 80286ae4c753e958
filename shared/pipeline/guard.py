"""What a function raises is shown by the host as it is, past our log: no credential may stand in it.

The texts of our own errors are masked when they are made. Those of others (a driver that quotes its connection string)
are not, and Python shows the causes of an error along with it.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from shared.errors import HooklineError

P = ParamSpec("P")
R = TypeVar("R")


def guarded(body: Callable[P, R]) -> Callable[P, R]:
    """The body of a function, whose errors come without their causes; these are in the log, masked."""

    @functools.wraps(body)
    def run(*args: P.args, **options: P.kwargs) -> R:
        try:
            return body(*args, **options)
        except Exception as error:  # noqa: BLE001 - whatever it is, the host is about to show it
            raise without_secrets(error) from None

    return run


def without_secrets(error: Exception) -> HooklineError:
    """The same error if it is one of ours, else one of ours in its stead; without cause and traceback."""
    from shared.telemetry import get_logger

    if isinstance(error, HooklineError):
        if error.__cause__ is not None:
            get_logger("pipeline").debug("%s", "".join(traceback.format_exception(error)))
        return type(error)(error.what, where=error.where, fix=error.fix)
    get_logger("pipeline").exception("the function failed")
    what = f"{type(error).__name__}: {error}"
    return HooklineError(what, fix="the log has the details; it is a fault of the app, please report it")
