"""Attribute values: which ones Atlas takes for a type, and what it makes of them.

Atlas converts before it refuses (AtlasBuiltInTypes: "12" for a long is taken, "abc" is not; measured). A string takes
anything, an object included, and stores Java's toString of it, which is how a columnMapping that was sent as an object
instead of a JSON string becomes text that nobody can parse.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

BITS = {"byte": 8, "short": 16, "int": 32, "long": 64}
FLOATS = frozenset({"float", "double", "bigdecimal"})
#: what a cleared or never written attribute reads back as (measured: a long reads back 0)
EMPTY: dict[str, Any] = {**dict.fromkeys([*BITS, "biginteger"], 0), **dict.fromkeys(FLOATS, 0.0), "boolean": False}


class WrongValue(ValueError):
    """A value that Atlas does not take for the attribute's type."""


def java_text(value: Any) -> str:
    """Java's toString: `{a=1, b=[x, null]}`."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={java_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(java_text(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def _integer(value: Any, bits: int | None) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise WrongValue
    number = int(value)
    if bits is not None and not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
        raise WrongValue
    return number


def _date(value: Any) -> int:
    """Milliseconds since 1970, from a number, a number in a string, or `yyyy-MM-dd'T'HH:mm:ss.SSS'Z'`."""
    if isinstance(value, str) and not value.lstrip("-").isdigit():
        moment = datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)
    return _integer(value, 64)


def normalised(type_name: str, value: Any, other: Callable[[str, Any], Any]) -> Any:
    """The value as Atlas stores it. `other(type_name, value)` does the same for types that are no built-in.

    Raises WrongValue (or the ValueError of a conversion) for what Atlas refuses.
    """
    if value is None:
        return None
    if type_name == "string":
        return value if isinstance(value, str) else java_text(value)
    if type_name in BITS or type_name == "biginteger":
        return _integer(value, BITS.get(type_name))
    if type_name in FLOATS:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise WrongValue
        return float(value)
    if type_name == "boolean":
        if not isinstance(value, bool | str):
            raise WrongValue
        return value if isinstance(value, bool) else value.lower() == "true"
    if type_name == "date":
        return _date(value)
    if type_name.startswith("array<"):
        if not isinstance(value, list):
            raise WrongValue
        return [normalised(type_name[6:-1], item, other) for item in value]
    if type_name.startswith("map<"):
        if not isinstance(value, dict):
            raise WrongValue
        inner = type_name[4:-1].partition(",")[2].strip()
        return {key: normalised(inner, item, other) for key, item in value.items()}
    return other(type_name, value)
