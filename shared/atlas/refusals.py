"""What is refused on the way from records to messages, in the words of rejected/."""

from __future__ import annotations

from typing import Any

import msgspec

from shared.atlas.closure import encode
from shared.records import Refusal
from shared.settings.redact import redact

SAMPLE = 2_000
#: of a sample before credentials are masked, which makes it shorter
_LOOKED_AT = 32 * SAMPLE


def where(place: int | str) -> str:
    return f"line {place}" if isinstance(place, int) else place


def refusal(place: int | str, rule: str, reason: str, fix: str, value: Any) -> Refusal:
    """`value` is the record or entity, for the sample."""
    return Refusal(place=where(place), rule=rule, reason=redact(reason), fix=fix, sample=sample(value))


def masked(found: Refusal) -> Refusal:
    """A refusal that a source or format has made, without credentials."""
    return msgspec.structs.replace(
        found, reason=redact(found.reason), sample=redact(found.sample[:_LOOKED_AT])[:SAMPLE]
    )


def sample(value: Any) -> str:
    """The value as JSON, credentials masked, cut to 2,000 characters."""
    try:
        text = encode(value)[:_LOOKED_AT].decode("utf-8", "replace")
    except UnicodeEncodeError:  # half of a surrogate pair, in a file's name for instance
        text = ascii(value)[:_LOOKED_AT]
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        text = f"(cannot be shown: {error})"
    return redact(text)[:SAMPLE]
