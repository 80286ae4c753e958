"""Event Hubs triggers: batches per partition, in order, with a checkpoint after each.

A batch that fails is tried again as the function's retry policy says, and after that passed over, as in Azure
(https://learn.microsoft.com/azure/azure-functions/functions-bindings-error-pages). Checkpoints lie in the container
that the host uses; there is one host on a laptop, so partitions need no owner.
"""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from azure.core.exceptions import AzureError
from azure.eventhub import EventData, EventHubConsumerClient, PartitionContext
from azure.eventhub.exceptions import EventHubError

from local.trigger_host import storage
from local.trigger_host.executions import Executions, log
from local.trigger_host.protocol import CollectionBytes, TypedData
from local.trigger_host.runtime import Function, Retry
from shared.errors import SettingsError

#: before the first event: what the host does unless told otherwise (`initialOffsetOptions`)
START = "-1"
#: seconds the receiver waits for a batch to fill
FILL_SECONDS = 0.2


class EventHubTrigger:
    """Receives from all partitions of one hub and runs one function per batch."""

    def __init__(self, function: Function, executions: Executions, *, poll: float) -> None:
        binding = function.trigger
        if str(binding.get("cardinality", "MANY")).upper() != "MANY":
            raise SettingsError(
                f"{function.name} takes one event at a time",
                where="function_app.py",
                fix="set cardinality to MANY",
            )
        self.function = function
        self.executions = executions
        self.poll = poll
        self.hub = storage.setting(binding["eventHubName"])
        self.group = storage.setting(binding.get("consumerGroup") or "$Default")
        self.connection = storage.connection_string(storage.setting(binding["connection"]))
        #: partition -> {offset, sequence} of the last event that is done
        self._done: dict[str, dict[str, Any]] = {}
        self._asking = threading.Lock()
        self._asker: EventHubConsumerClient | None = None

    def _client(self) -> EventHubConsumerClient:
        return EventHubConsumerClient.from_connection_string(self.connection, self.group, eventhub_name=self.hub)

    async def run(self) -> None:
        """Until the host is to end; a hub that does not answer is reported and asked again."""
        loop = asyncio.get_running_loop()
        while not self.executions.stopping.is_set():
            ended = asyncio.Event()
            # a thread that nobody waits for: the SDK blocks in it for as long as the host lives
            threading.Thread(target=self._receive, args=(loop, ended), name=f"receive {self.hub}", daemon=True).start()
            while not ended.is_set() and not self.executions.stopping.is_set():
                await self.executions.pause(self.poll)

    def _receive(self, loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
        def on_batch(partition: PartitionContext, events: list[EventData]) -> None:
            if events and not self.executions.stopping.is_set():
                asyncio.run_coroutine_threadsafe(self._batch(partition.partition_id, events), loop).result()

        try:
            with self._client() as client:
                partitions = client.get_partition_ids()
                self._done = {partition: storage.read_note(self._note(partition)) for partition in partitions}
                client.receive_batch(
                    on_event_batch=on_batch,
                    max_batch_size=self.executions.settings.event_batch,
                    max_wait_time=FILL_SECONDS,
                    prefetch=self.executions.settings.event_prefetch,
                    starting_position={p: self._done[p].get("offset", START) for p in partitions},
                    on_error=lambda _, error: log.warning("event hub %s: %s", self.hub, error),
                )
        except (EventHubError, AzureError) as error:
            log.warning("event hub %s: %s", self.hub, error)
        finally:
            loop.call_soon_threadsafe(ended.set)

    async def _batch(self, partition: str, events: list[EventData]) -> None:
        await self.executions.start(self._run_batch(partition, events))

    async def _run_batch(self, partition: str, events: list[EventData]) -> None:
        retry = self.function.retry or Retry(0, 0.0, 0.0)
        last = events[-1]
        metadata = {"SystemPropertiesArray": TypedData(json=json.dumps([_properties(e) for e in events]))}
        data = TypedData(collection_bytes=CollectionBytes(bytes=[_body(e) for e in events]))
        trigger = f"{self.hub}/{partition} {events[0].sequence_number}..{last.sequence_number}"
        attempt, wait = 1, retry.first
        while True:
            result = await self.executions.run(self.function, data, metadata, trigger=trigger, attempt=attempt)
            if result.error and self.executions.stopping.is_set():
                return
            if not result.error:
                break
            if attempt > retry.max_retries >= 0:
                self.executions.tell(self.function, trigger, "passed over", attempt=attempt, error=result.error)
                break
            await self.executions.pause(wait)
            attempt, wait = attempt + 1, min(wait * 2, retry.longest)
        done = {"offset": str(last.offset), "sequence": last.sequence_number}
        await asyncio.to_thread(storage.write_note, self._note(partition), done)
        self._done[partition] = done

    def _note(self, partition: str) -> str:
        return f"eventhub/{self.hub}/{self.group}/{partition}.json"

    def pending(self) -> dict[str, int]:
        """Events that are not done. Blocking."""
        with self._asking:
            if self._asker is None:
                self._asker = self._client()
            partitions = list(self._done) or self._asker.get_partition_ids()
            # the SDK takes 0.4 s for each answer
            with ThreadPoolExecutor(len(partitions)) as pool:
                return {self.hub: sum(pool.map(self._unread, partitions))}

    def _unread(self, partition: str) -> int:
        assert self._asker is not None
        there = self._asker.get_partition_properties(partition)
        if there["is_empty"]:
            return 0
        before = int(there["beginning_sequence_number"]) - 1
        done = int(self._done.get(partition, {}).get("sequence", before))
        return int(there["last_enqueued_sequence_number"]) - max(done, before)

    def poison(self) -> dict[str, int]:
        return {}


def _body(event: EventData) -> bytes:
    """The bytes of an event, as sent in one or several data sections."""
    body = event.body
    return body if isinstance(body, bytes) else b"".join(body)  # type: ignore[arg-type]


def _properties(event: EventData) -> dict[str, Any]:
    key = event.partition_key
    return {
        "SequenceNumber": event.sequence_number,
        "Offset": str(event.offset),
        "EnqueuedTimeUtc": event.enqueued_time.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if event.enqueued_time else None,
        "PartitionKey": key.decode("utf-8", "replace") if key else None,
    }
