"""What Atlas and Purview take of texts, custom attributes and labels: values cut and spelled so that they pass.

org.apache.atlas.AtlasConfiguration: atlas.custom.attribute.key.max.length 50, .value.max.length 500 (Java characters:
an emoji counts as two), atlas.label.max.length 50; EntityGraphMapper: keys and labels match ^[a-zA-Z0-9_-]*$. A single
one beyond that drops the whole message. Purview: 32 KB for a property's name and value together
(https://learn.microsoft.com/purview/how-to-manage-quotas).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from shared.settings.redact import MASK, redact
from shared.settings.redact_sql import redact_sql

KEY_LENGTH, VALUE_LENGTH, LABEL_LENGTH = 50, 500, 50
TEXT_BYTES = 32 * 1024 - 512
_NOT_WORD = re.compile(r"[^a-zA-Z0-9_-]+")
_CUT_MARK = "\n-- cut by Hookline: Purview takes at most 32 KB"


def text(value: str) -> str:
    """A long text (a description) without credentials and below Purview's limit for a property."""
    return _cut(redact(value))


def sql_text(value: str) -> str:
    """The same for SQL."""
    return _cut(redact_sql(value))


def _cut(value: str) -> str:
    if len(value) * 4 <= TEXT_BYTES or len(value.encode()) <= TEXT_BYTES:
        return value
    return value.encode()[: TEXT_BYTES - len(_CUT_MARK)].decode("utf-8", "ignore") + _CUT_MARK


def custom_attributes(values: Mapping[str, str]) -> dict[str, str]:
    """Keys and values as Atlas takes them, credentials masked; two keys that become the same stay two."""
    made: dict[str, str] = {}
    for name, value in values.items():
        if not value:
            continue
        key = word = _NOT_WORD.sub("_", name)[:KEY_LENGTH] or "_"
        number = 1
        while key in made:
            number += 1
            key = f"{word[: KEY_LENGTH - 1 - len(str(number))]}_{number}"
        made[key] = _value(name, value)
    return made


def labels(tags: Iterable[str]) -> list[str]:
    """Tags as labels, sorted; blank ones left out."""
    return sorted({_NOT_WORD.sub("_", tag)[:LABEL_LENGTH] for tag in tags if tag.strip()})


def _value(name: str, value: str) -> str:
    # The name often says that a value is a secret (`password`), so both are looked at together.
    together = redact(f"{name}={value}")
    value = together[len(name) + 1 :] if together.startswith(f"{name}=") else MASK
    if len(value) * 2 <= VALUE_LENGTH or (len(value) <= VALUE_LENGTH and value.isascii()):
        return value
    units = value.encode("utf-16-le", "surrogatepass")
    if len(units) <= 2 * VALUE_LENGTH:
        return value
    return units[: 2 * (VALUE_LENGTH - 1)].decode("utf-16-le", "ignore") + "…"
