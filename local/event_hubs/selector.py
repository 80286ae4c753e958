"""Where a consumer starts: the selector filter of its source, as azure-eventhub and the other clients write it.

amqp.annotation.x-opt-offset > '-1'                   from the beginning
amqp.annotation.x-opt-offset > '@latest'              only what comes from now on
amqp.annotation.x-opt-offset >= '4096'                from an offset, inclusive
amqp.annotation.x-opt-sequence-number > '17'
amqp.annotation.x-opt-enqueued-time > '1700000000000' milliseconds since 1970, UTC
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from local.event_hubs.codec import AmqpError, Described

#: key and descriptor of the filter (Apache's registry of AMQP filters, apache.org:selector-filter:string)
FILTER = "apache.org:selector-filter:string"
_SELECTOR = re.compile(
    r"\s*amqp\.annotation\.x-opt-(?P<by>offset|sequence-number|enqueued-time)(?:-utc)?"
    r"\s*(?P<operator>>=?)\s*'?(?P<value>@latest|-?\d{1,19})'?\s*"
)


class Position(NamedTuple):
    """The events wanted are those whose `by` is greater than `value`, or equal to it if `inclusive`."""

    by: Literal["offset", "sequence", "enqueued", "latest"]
    value: int = -1
    inclusive: bool = False


BEGINNING = Position("offset")


class InvalidSelector(AmqpError):
    def __init__(self, description: str) -> None:
        super().__init__("com.microsoft:argument-error", description)


def position(filters: object) -> Position:
    """The start a source's filter set asks for; without a selector the beginning. Raises InvalidSelector."""
    selector = filters.get(FILTER) if isinstance(filters, dict) else None
    text = selector.value if isinstance(selector, Described) else selector
    if text is None:
        return BEGINNING
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    match = _SELECTOR.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise InvalidSelector(f"The selector {str(text)[:200]!r} is not understood.")
    if match["value"] == "@latest":
        return Position("latest")
    by: Literal["offset", "sequence", "enqueued"] = "offset"
    if match["by"] == "sequence-number":
        by = "sequence"
    elif match["by"] == "enqueued-time":
        by = "enqueued"
    return Position(by, int(match["value"]), match["operator"] == ">=")
