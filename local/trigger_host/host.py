"""The trigger host: one trigger per function, and the web server."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import uvicorn
from azure.core.exceptions import AzureError
from azure.eventhub.exceptions import EventHubError

from local.trigger_host.blobs import BlobTrigger
from local.trigger_host.event_hubs import EventHubTrigger
from local.trigger_host.executions import Executions, Report, check_outputs
from local.trigger_host.host_json import HostJson
from local.trigger_host.http import web_app
from local.trigger_host.queues import QueueTrigger
from local.trigger_host.runtime import Function, FunctionApp
from local.trigger_host.timers import TimerTrigger
from shared.errors import SettingsError

#: threads for calls to storage, next to the runtime's own pool for functions
STORAGE_THREADS = 32
#: seconds that functions at work get to end after SIGTERM
GRACE = 20.0


class Trigger(Protocol):
    """Fires one function until the host is to end; `pending` and `poison` (blocking) count by container, queue, hub."""

    async def run(self) -> None: ...
    def pending(self) -> dict[str, int]: ...
    def poison(self) -> dict[str, int]: ...


class TriggerHost:
    """All triggers of an app. Raises SettingsError and AzureError when one cannot be set up."""

    def __init__(self, app: FunctionApp, settings: HostJson, report: Report, *, poll: float, lease: float) -> None:
        self.app = app
        self.executions = Executions(app, settings, report)
        self.poll = poll
        self.lease = lease
        self.triggers: list[Trigger] = []
        self.timers: dict[str, TimerTrigger] = {}
        for function in app.functions.values():
            check_outputs(function)
            self._add(function)

    def _add(self, function: Function) -> None:
        kind = function.trigger["type"]
        if kind == "timerTrigger":
            self.timers[function.name] = timer = TimerTrigger(function, self.executions)
            self.triggers.append(timer)
        elif kind == "queueTrigger":
            self.triggers.append(QueueTrigger(function, self.executions, poll=self.poll, lease=self.lease))
        elif kind == "blobTrigger":
            self.triggers.append(BlobTrigger(function, self.executions, poll=self.poll, lease=self.lease))
        elif kind == "eventHubTrigger":
            self.triggers.append(EventHubTrigger(function, self.executions, poll=self.poll))
        elif kind != "httpTrigger":
            raise SettingsError(
                f"the trigger {kind} of {function.name} is not known to the local trigger host",
                where="function_app.py",
                fix="use a timer, queue, blob, Event Hubs or HTTP trigger",
            )

    async def idle(self) -> dict[str, Any]:
        """{idle, running, pending, poison, unknown}; idle: nothing is at work, nothing waits, nothing moved meanwhile.

        pending and poison count what waits or was given up, by container, queue and hub. What cannot be counted because
        a service does not answer stands under `unknown`, and is not idle.
        """
        before = self.executions.movements
        pending: dict[str, int] = {}
        poison: dict[str, int] = {}
        unknown: list[str] = []

        def look(trigger: Trigger) -> None:
            try:
                pending.update(trigger.pending())
                poison.update(trigger.poison())
            except (AzureError, EventHubError) as error:
                unknown.append(f"{type(trigger).__name__}: {error}")

        await asyncio.gather(*(asyncio.to_thread(look, trigger) for trigger in self.triggers))
        running = [
            {"function": e.function, "trigger": e.trigger, "seconds": round(time.monotonic() - e.began, 1)}
            for e in self.executions.at_work
        ]
        still = before == self.executions.movements and not running and not unknown
        return {
            "idle": still and not any(pending.values()),
            "running": running,
            "pending": pending,
            "poison": {name: count for name, count in poison.items() if count},
            "unknown": unknown,
        }

    async def serve(self, listener: socket.socket, ready: Callable[[], None]) -> None:
        """Run everything until SIGTERM or SIGINT, then let what is at work end (for GRACE seconds)."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(STORAGE_THREADS))
        config = uvicorn.Config(
            web_app(self), lifespan="off", log_level="warning", timeout_graceful_shutdown=round(GRACE), ws="none"
        )
        server = _Server(config, ready)
        running = [asyncio.create_task(trigger.run()) for trigger in self.triggers]
        for task in running:
            task.add_done_callback(server.end_on_error)
        await server.serve(sockets=[listener])
        self.executions.stopping.set()
        await self.executions.drain(GRACE)
        for task in running:
            if task.done():
                task.result()


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    def end_on_error(self, task: asyncio.Task[None]) -> None:
        """A trigger that broke must not be missed by going on with the others."""
        if not task.cancelled() and task.exception() is not None:
            self.should_exit = True


def run(host: TriggerHost, port: int, ready: Callable[[int], None]) -> None:
    """Serve on the loopback at `port` (0: any free one) until a signal ends it; `ready` is called with the port."""
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    # uvicorn hands signals on to the handlers that were there before it; ending is our business
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    # not asyncio.run: it would wait for calls to a storage that is gone. What was not finished reappears
    asyncio.new_event_loop().run_until_complete(host.serve(listener, lambda: ready(listener.getsockname()[1])))


def leave(code: int) -> None:
    """End the process without waiting for threads that are beyond their time."""
    os._exit(code)
