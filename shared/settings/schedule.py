"""Schedules: NCRONTAB as Azure Functions' timers use it, in UTC.

Six fields: second, minute, hour, day of month, month, day of week. Unlike cron, a day of month and a day of week must
both match (https://github.com/atifaziz/NCrontab/issues/107), and `?`, `L`, `W` and `#` do not exist
(https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from shared.errors import SettingsError
from shared.settings.document import Place

_FIELD = re.compile(r"[0-9*,/-]+")
_MONTH = re.compile(r"(?:[0-9*,/-]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)+", re.I)
_WEEKDAY = re.compile(r"(?:[0-9*,/-]|sun|mon|tue|wed|thu|fri|sat)+", re.I)
_EXAMPLE = (
    'write `second minute hour day month weekday`, for example "0 0 2 * * *" (02:00 every day) or "0 */15 * * * *"'
)


def check(schedule: str, where: Place | str = "") -> None:
    """Raises SettingsError, with an example, for what is no NCRONTAB expression or never comes."""
    fields = schedule.split()
    if len(fields) != 6:
        fix = f'add the seconds in front: "0 {" ".join(fields)}"' if len(fields) == 5 else _EXAMPLE
        raise SettingsError(f"a schedule has six fields, this one has {len(fields)}", where=str(where), fix=fix)
    shapes = [*[_FIELD] * 4, _MONTH, _WEEKDAY]
    if not all(shape.fullmatch(field) for shape, field in zip(shapes, fields, strict=True)):
        raise SettingsError(
            "not a schedule: a field may hold numbers, * , - / and short English names", where=str(where), fix=_EXAMPLE
        )
    try:
        next_time(schedule, datetime(2024, 1, 1, tzinfo=UTC))
    except (ValueError, KeyError) as error:
        never = type(error).__name__ == "CroniterBadDateError"
        what = "a schedule that never comes" if never else "not a schedule: a field is out of its range"
        raise SettingsError(what, where=str(where), fix=_EXAMPLE) from error


def next_time(schedule: str, after: datetime) -> datetime:
    """The first time of the schedule later than `after` (with a time zone), in UTC."""
    from croniter import croniter

    _aware(after)
    times = croniter(schedule, after.astimezone(UTC), second_at_beginning=True, day_or=False)
    found: datetime = times.get_next(datetime)
    return found


def due(schedule: str, last: datetime | None, now: datetime) -> bool:
    """Whether a run is due at `now`, when the last one began at `last` (None: there was none, so it is).

    Missed times count once: after an outage one run is due, not one for every time that went by.
    """
    _aware(now)
    return last is None or next_time(schedule, last) <= now.astimezone(UTC)


def _aware(time: datetime) -> None:
    if time.tzinfo is None:
        raise ValueError("a time without a time zone")
