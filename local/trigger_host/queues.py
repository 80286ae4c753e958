"""Queue triggers: visibility time-outs, tries, poison queues.

A message is invisible to others while it is at work and that is renewed; when the process dies it reappears by itself.
After a failed try it reappears after `visibilityTimeout`; after `maxDequeueCount` tries it goes to `<queue>-poison`
(https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger#poison-messages).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueMessage

from local.trigger_host import storage
from local.trigger_host.executions import Executions, encoded, log
from local.trigger_host.protocol import TypedData
from local.trigger_host.runtime import Function

#: in one call: the storage service gives no more
MOST_MESSAGES = 32
#: times the poll interval: how rarely a queue that stays empty is looked at
SLOWEST = 4


@dataclass(frozen=True)
class Work:
    """What a message means: the trigger's value and metadata, and how to call it in a report. None: nothing to do."""

    data: TypedData
    metadata: dict[str, TypedData]
    trigger: str


class QueueTrigger:
    """Takes messages from one queue and runs one function for each, several at a time."""

    def __init__(self, function: Function, executions: Executions, *, poll: float, lease: float) -> None:
        settings = executions.settings
        self.function = function
        self.executions = executions
        self.poll = poll
        #: seconds a message stays hidden without a sign of life from us
        self.lease = lease
        self.connection: str = function.trigger["connection"]
        self.name = self.queue_name()
        self.poison_name = f"{self.name}-poison"
        # as the host does: another batch is fetched when no more than the threshold are at work
        self.batch = settings.queue_batch
        self.threshold = settings.queue_new_batch_threshold
        self.max_tries = settings.queue_max_dequeue_count
        self.retry_after = settings.queue_visibility_timeout
        self.base64 = settings.queue_base64
        self.queue = storage.queue(self.connection, self.name)

    def queue_name(self) -> str:
        return storage.setting(self.function.trigger["queueName"])

    def work(self, text: str, message: QueueMessage) -> Work | None:
        """Blocking. Raises ValueError when the text cannot be what this trigger expects."""
        return Work(TypedData(string=text), _metadata(message), text)

    async def run(self) -> None:
        """Until the host is to end. Storage that does not answer is reported and asked again."""
        tasks: set[asyncio.Task[None]] = set()
        wait = self.poll
        while not self.executions.stopping.is_set():
            tasks = {task for task in tasks if not task.done()}
            if len(tasks) > self.threshold:
                await asyncio.wait(tasks, timeout=self.poll, return_when=asyncio.FIRST_COMPLETED)
                continue
            try:
                messages = await asyncio.to_thread(self._receive, min(self.batch, MOST_MESSAGES))
            except AzureError as error:
                log.warning("queue %s: %s", self.name, error)
                messages = []
            tasks |= {self.executions.start(self._handle(message)) for message in messages}
            if messages:
                wait = self.poll
            else:
                await self.executions.pause(wait)
                wait = min(wait * 1.5, self.poll * SLOWEST)

    def _receive(self, most: int) -> list[QueueMessage]:
        found = self.queue.receive_messages(
            messages_per_page=most, max_messages=most, visibility_timeout=round(self.lease)
        )
        return list(found)

    async def _handle(self, message: QueueMessage) -> None:
        tries = message.dequeue_count or 1
        if tries > self.max_tries:
            await self._poison(message, f"taken up {tries - 1} times without an end: the process died each time")
            return
        try:
            text = base64.b64decode(message.content, validate=True).decode() if self.base64 else message.content
            work = await asyncio.to_thread(self.work, text, message)
        except (binascii.Error, ValueError) as error:
            await self._poison(message, f"not a message for this queue: {error}")
            return
        if work is None:
            await asyncio.to_thread(self._delete, message)
            return
        ended = asyncio.Event()
        renewing = asyncio.create_task(self._renew(message, ended))
        try:
            result = await self.executions.run(
                self.function, work.data, work.metadata, trigger=work.trigger, attempt=tries
            )
        finally:
            ended.set()
            await renewing
        if not result.error:
            await asyncio.to_thread(self._delete, message)
        elif tries >= self.max_tries:
            await self._poison(message, result.error)
        else:
            await asyncio.to_thread(self._hide, message, self.retry_after)

    async def _renew(self, message: QueueMessage, ended: asyncio.Event) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.lease / 3):
                    await ended.wait()
                    return
            try:
                await asyncio.to_thread(self._hide, message, self.lease)
            except AzureError as error:
                log.warning("queue %s: a message could not be kept: %s", self.name, error)

    def _hide(self, message: QueueMessage, seconds: float) -> None:
        changed = self.queue.update_message(message, visibility_timeout=round(seconds))
        message.pop_receipt = changed.pop_receipt

    def _delete(self, message: QueueMessage) -> None:
        with contextlib.suppress(ResourceNotFoundError):  # it reappeared meanwhile, and is taken up again: harmless
            self.queue.delete_message(message)

    async def _poison(self, message: QueueMessage, reason: str) -> None:
        def move() -> None:
            content = encoded(self.poison_text(message), self.base64)
            storage.queue(self.connection, self.poison_name).send_message(content, time_to_live=-1)
            self._delete(message)

        await asyncio.to_thread(move)
        self.executions.tell(
            self.function, self.poison_name, "poison", attempt=message.dequeue_count or 1, error=reason
        )

    def poison_text(self, message: QueueMessage) -> str:
        try:
            return base64.b64decode(message.content, validate=True).decode() if self.base64 else str(message.content)
        except (binascii.Error, ValueError):
            return str(message.content)

    def pending(self) -> dict[str, int]:
        """Messages that are not done, by what holds them. Blocking."""
        return {self.name: storage.queue_length(self.connection, self.name)}

    def poison(self) -> dict[str, int]:
        return {self.poison_name: storage.queue_length(self.connection, self.poison_name)}


def _metadata(message: QueueMessage) -> dict[str, TypedData]:
    def moment(value: datetime | None) -> TypedData:
        return TypedData(string=(value or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S+00:00"))

    values: dict[str, Any] = {
        "Id": TypedData(string=message.id),
        "DequeueCount": TypedData(string=str(message.dequeue_count)),
        "PopReceipt": TypedData(string=message.pop_receipt),
        "ExpirationTime": moment(message.expires_on),
        "InsertionTime": moment(message.inserted_on),
        "NextVisibleTime": moment(message.next_visible_on),
    }
    return values
