"""Which JSON values Atlas takes for an attribute's type.

Read in Apache Atlas, intg/src/main/java/org/apache/atlas/type/AtlasBuiltInTypes.java: numbers may come as text ("12"
for a long, but not "abc"), a date as milliseconds or as text, a boolean as text. Where Atlas would take a value and
store something else without a word ("abc" for a boolean is false, 1.5 for an int is 1, a list for a string is its
Java text) it counts as wrong here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

INTEGER_BITS = {"byte": 8, "short": 16, "int": 32, "long": 64}
_DECIMALS = ("float", "double", "bigdecimal")
_FLOAT_MAX = 3.4028234663852886e38
#: longer texts are no numbers, and int() would take quadratic time
_MAX_DIGITS = 400


def integer_range(type_name: str) -> tuple[int, int]:
    """Smallest and greatest value of byte, short, int or long (Java: signed)."""
    bits = INTEGER_BITS[type_name] - 1
    return -(1 << bits), (1 << bits) - 1


def _integer(type_name: str, value: object) -> str:
    number: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    elif isinstance(value, str) and len(value) <= _MAX_DIGITS:
        try:
            number = int(value) if "_" not in value and value == value.strip() else None
        except ValueError:
            number = None
    if number is None:
        return "a whole number"
    if type_name in INTEGER_BITS:
        low, high = integer_range(type_name)
        if not low <= number <= high:
            return f"a whole number between {low:,} and {high:,}"
    return ""


def _decimal(type_name: str, value: object) -> str:
    number: float | None = None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
    elif isinstance(value, str) and len(value) <= _MAX_DIGITS:
        try:
            number = float(value) if "_" not in value else None
        except ValueError:
            number = None
    if number is None or not math.isfinite(number) or (type_name == "float" and abs(number) > _FLOAT_MAX):
        return f"a number that fits a {type_name}"
    return ""


def _date(value: object) -> str:
    expected = "milliseconds since 1970, or RFC 3339 text such as 2024-05-01T06:00:00Z"
    if isinstance(value, str):
        if value.lstrip("-").isdecimal():
            return _integer("long", value) and expected
        try:
            datetime.fromisoformat(value)
        except ValueError:
            return expected
        return "" if "T" in value or " " in value else expected
    if isinstance(value, int) and not isinstance(value, bool):
        return _integer("long", value) and expected
    return expected


def expected(type_name: str, value: Any, reference: Callable[[str, Any], None]) -> str:
    """What a value of `type_name` should be, when `value` is not; empty when it is fine.

    reference: called with a type that is none of Atlas's built-in ones, and the value. It refuses what is no reference
    to an entity of that type; a struct or an enum is taken as it comes.
    """
    if type_name == "string":
        return "text" if isinstance(value, (dict, list)) else ""
    if type_name == "boolean":
        right = isinstance(value, bool) or (isinstance(value, str) and value.lower() in ("true", "false"))
        return "" if right else "true or false"
    if type_name in INTEGER_BITS or type_name == "biginteger":
        return _integer(type_name, value)
    if type_name in _DECIMALS:
        return _decimal(type_name, value)
    if type_name == "date":
        return _date(value)
    if type_name.startswith("array<") and type_name.endswith(">"):
        if not isinstance(value, list):
            return "a list"
        inner = type_name[6:-1]
        wrong = (expected(inner, item, reference) for item in value)
        return next((f"a list, each of it {what}" for what in wrong if what), "")
    if type_name.startswith("map<") and type_name.endswith(">"):
        if not isinstance(value, dict):
            return "an object"
        inner = type_name[4:-1].partition(",")[2]
        wrong = (expected(inner, item, reference) for item in value.values())
        return next((f"an object, each value {what}" for what in wrong if what), "")
    reference(type_name, value)
    return ""
