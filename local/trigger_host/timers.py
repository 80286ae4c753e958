"""Timer triggers: NCRONTAB schedules, one run at a time, a missed run made up for when the host starts.

When the last and next runs are is kept in storage, as the host does
(https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer: `IsPastDue`, `useMonitor`).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json

from azure.core.exceptions import AzureError
from croniter import croniter

from local.trigger_host import storage
from local.trigger_host.executions import Executions, log
from local.trigger_host.protocol import TypedData
from local.trigger_host.runtime import Function, Result
from shared.errors import SettingsError


def _utc() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class TimerTrigger:
    """Runs one function at the times of its schedule, in UTC, and when somebody asks."""

    def __init__(self, function: Function, executions: Executions) -> None:
        self.function = function
        self.executions = executions
        self.schedule = storage.setting(function.trigger["schedule"])
        self.note = f"timers/{function.name}.json"
        self._one_at_a_time = asyncio.Lock()
        if not croniter.is_valid(self.schedule, second_at_beginning=self._seconds):
            raise SettingsError(
                f"the schedule {self.schedule!r} of {function.name} is no NCRONTAB expression",
                where="function_app.py",
                fix="six fields: second minute hour day month weekday",
            )

    @property
    def _seconds(self) -> bool:
        return len(self.schedule.split()) == 6

    def next_after(self, moment: dt.datetime) -> dt.datetime:
        following: dt.datetime = croniter(self.schedule, moment, second_at_beginning=self._seconds).get_next(
            dt.datetime
        )
        return following

    async def run(self) -> None:
        planned = await self._planned()
        if planned and dt.datetime.fromisoformat(planned) < _utc():
            await self.fire(past_due=True)
        elif self.function.trigger.get("runOnStartup"):
            await self.fire()
        while not self.executions.stopping.is_set():
            due = self.next_after(_utc())
            try:
                await asyncio.to_thread(storage.write_note, self.note, {"Next": due.isoformat()})
            except AzureError as error:
                log.warning("timer %s: %s", self.function.name, error)
            await self.executions.pause((due - _utc()).total_seconds())
            if not self.executions.stopping.is_set() and _utc() >= due:
                await self.fire()

    async def _planned(self) -> str:
        """When the next run was to be, by the host that ran before; storage is waited for."""
        while not self.executions.stopping.is_set():
            try:
                return str((await asyncio.to_thread(storage.read_note, self.note)).get("Next", ""))
            except AzureError as error:
                log.warning("timer %s: %s", self.function.name, error)
                await self.executions.pause(1)
        return ""

    async def fire(self, *, past_due: bool = False) -> Result:
        """Run it now, after a run that is at work. A failed run is not tried again: the next one comes."""
        request = {"IsPastDue": past_due, "ScheduleStatus": {}, "Schedule": {"AdjustForDST": True}}
        async with self._one_at_a_time:
            return await self.executions.start(
                self.executions.run(
                    self.function,
                    TypedData(json=json.dumps(request)),
                    {},
                    trigger="past due" if past_due else self.schedule,
                )
            )

    def pending(self) -> dict[str, int]:
        return {}

    def poison(self) -> dict[str, int]:
        return {}
