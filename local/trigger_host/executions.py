"""Executions: run a function, write its output bindings, report what happened.

Every trigger goes through `Executions.run`, so that there is one place that knows what is at work.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from azure.core.exceptions import AzureError

from local.trigger_host import storage
from local.trigger_host.host_json import HostJson
from local.trigger_host.protocol import TypedData
from local.trigger_host.runtime import Function, FunctionApp, Result
from shared.errors import HooklineError, SettingsError

log = logging.getLogger("trigger_host")

#: called with one JSON object per execution; see `Executions.run`
Report = Callable[[dict[str, Any]], None]
ERROR_LENGTH = 1000
TRIGGER_LENGTH = 300
T = TypeVar("T")


@dataclass(frozen=True)
class Execution:
    """One that is at work: its function, what triggered it, when it began (monotonic seconds)."""

    function: str
    trigger: str
    began: float


class Executions:
    """Runs functions with the time-out of host.json and keeps track of what is at work."""

    def __init__(self, app: FunctionApp, settings: HostJson, report: Report) -> None:
        self.app = app
        self.settings = settings
        self.report = report
        self.at_work: set[Execution] = set()
        #: counts beginnings and ends, so that a look at the queues can tell whether anything moved meanwhile
        self.movements = 0
        #: set when the host is to end: triggers take nothing new
        self.stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(
        self,
        function: Function,
        data: TypedData,
        metadata: dict[str, TypedData],
        *,
        trigger: str,
        attempt: int = 1,
    ) -> Result:
        """Run one function and write its outputs; never raises for what the function does.

        Reports {function, trigger, outcome, seconds, attempt, error}; outcome is ok, failed or timeout. After a
        time-out the function's thread goes on (Python cannot end one; Azure restarts the worker), its outputs are
        dropped and the trigger tries again.
        """
        execution = Execution(function.name, trigger, time.monotonic())
        self.at_work.add(execution)
        self.movements += 1
        outcome = "ok"
        try:
            async with asyncio.timeout(self.settings.function_timeout):
                result = await self.app.invoke(function, data, metadata, attempt - 1)
            if not result.error:
                await asyncio.to_thread(self._write_outputs, function, result)
        except TimeoutError:
            outcome = "timeout"
            result = Result(error=f"still running after functionTimeout ({self.settings.function_timeout:g} s)")
        except (AzureError, HooklineError) as error:
            result = Result(error=f"an output could not be written: {type(error).__name__}: {error}")
        finally:
            self.at_work.discard(execution)
            self.movements += 1
        if result.error and outcome == "ok":
            outcome = "failed"
            log.error("%s (%s) failed: %s\n%s", function.name, trigger, result.error, result.stack_trace)
        self.tell(function, trigger, outcome, time.monotonic() - execution.began, attempt, result.error)
        return result

    def tell(
        self, function: Function, trigger: str, outcome: str, seconds: float = 0.0, attempt: int = 1, error: str = ""
    ) -> None:
        self.report(
            {
                "function": function.name,
                "trigger": trigger[:TRIGGER_LENGTH],
                "outcome": outcome,
                "seconds": round(seconds, 3),
                "attempt": attempt,
                "error": error[:ERROR_LENGTH],
            }
        )

    def _write_outputs(self, function: Function, result: Result) -> None:
        for name, value in result.outputs.items():
            binding = function.output(name)
            queue = storage.queue(binding["connection"], storage.setting(binding["queueName"]))
            for text in _messages(value):
                queue.send_message(encoded(text, self.settings.queue_base64), time_to_live=-1)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task of its own for one execution; `drain` waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # storage did not answer: the message becomes visible again and is taken up once more
            log.error("trigger host: %s: %s", type(error).__name__, error)

    async def drain(self, seconds: float) -> None:
        """Let what is at work end, for `seconds` at most."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def pause(self, seconds: float) -> None:
        """Wait, or less when the host is to end."""
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            return


def check_outputs(function: Function) -> None:
    """Raises SettingsError for an output binding that this host cannot write."""
    for binding in function.bindings:
        if binding["direction"] == "OUT" and binding["type"] not in ("queue", "http"):
            raise SettingsError(
                f"the output binding {binding['type']} of {function.name} is not known to the local trigger host",
                where="function_app.py",
                fix="write to a queue",
            )


def encoded(text: str, base64_text: bool) -> str:
    return base64.b64encode(text.encode()).decode() if base64_text else text


def _messages(value: TypedData) -> list[str]:
    """The texts of a queue output: one, or each item of a list."""
    if value.kind == "bytes":
        return [value.value.decode()]
    if value.kind != "json":
        return [value.value]
    items = json.loads(value.value)
    items = items if isinstance(items, list) else [items]
    return [item if isinstance(item, str) else item["body"] for item in items]
