"""What a rule says when it refuses."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import NoReturn

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """Why a closure is refused: the rule's stable name, the reason with attribute and value, what to do."""

    rule: str
    reason: str
    fix: str


class RefusedError(Exception):
    """Carries a problem from where it is seen to `Rules.check`."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.reason)
        self.problem = problem


def refuse(rule: str, reason: str, fix: str) -> NoReturn:
    raise RefusedError(Problem(rule, reason, fix))


def shown(value: object) -> str:
    """A value as a reason may show it: cut to 80 characters, credentials masked."""
    from shared.settings.redact import redact

    text = redact(value[:2000] if isinstance(value, str) else str(value)[:2000])
    return repr(text if len(text) <= 80 else text[:79] + "…")


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean ..?`, or what there is."""
    names = sorted(known)
    near = [n for n in names if n.lower() == name.lower()] or get_close_matches(name, names, 1)
    if near:
        return f"did you mean {near[0]!r}?"
    return "known are " + ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
