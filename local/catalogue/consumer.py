"""The two ends on Event Hubs, with the unmodified azure-eventhub client: hook messages in, notifications out.

Positions are kept in the store after each batch, so a restart goes on where it was (a message may come twice, as from
Kafka; applying it again changes nothing). Notifications lie in the store until the hub has taken them.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from tenacity import Retrying, retry_if_exception_type, sleep_using_event, stop_when_event_set, wait_exponential

from local.catalogue.catalogue import Catalogue
from local.catalogue.faults import Injector

if TYPE_CHECKING:
    from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient, PartitionContext

log = logging.getLogger(__name__)
_FROM_THE_START = "-1"


class HookConsumer:
    """Reads the hook hub in a thread of its own, from `start()` to `close()`."""

    def __init__(self, catalogue: Catalogue, connection: str, hub: str, group: str, faults: Injector) -> None:
        self._catalogue = catalogue
        self._connection = connection
        self._hub = hub
        self._group = group
        self._faults = faults
        self._stop = threading.Event()
        self._client: EventHubConsumerClient | None = None
        self._thread = threading.Thread(target=self._run, name="hook-consumer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._client is not None:
            self._client.close()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        from azure.core.exceptions import AzureError
        from azure.eventhub import EventHubConsumerClient
        from azure.eventhub.exceptions import EventHubError

        for attempt in _until(self._stop, (EventHubError, AzureError, OSError)):
            with attempt:
                self._client = EventHubConsumerClient.from_connection_string(
                    self._connection, consumer_group=self._group, eventhub_name=self._hub
                )
                with self._client as client:
                    positions = dict.fromkeys(client.get_partition_ids(), _FROM_THE_START)
                    positions |= self._catalogue.store.checkpoints(self._hub, self._group)
                    if not self._stop.is_set():
                        client.receive_batch(
                            self._take, starting_position=positions, max_batch_size=100, max_wait_time=1
                        )

    def _take(self, context: PartitionContext, events: list[EventData]) -> None:
        store = self._catalogue.store
        for event in events:
            body = _body(event)
            if self._faults.drops(body):
                store.record_dropped("fault", self._hub, "dropped on purpose (/local/faults)", body)
            else:
                self._catalogue.apply(body)
        if events and events[-1].offset is not None:
            store.save_checkpoint(self._hub, self._group, context.partition_id, str(events[-1].offset))


class Notifier:
    """Sends what lies in the store's outbox, in order, in a thread of its own."""

    def __init__(self, catalogue: Catalogue, connection: str, hub: str) -> None:
        self._catalogue = catalogue
        self._connection = connection
        self._hub = hub
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)

    def start(self) -> None:
        self._catalogue.queued.set()
        self._thread.start()

    def close(self) -> None:
        """Sends what is there, if the hub takes it at once, and stops; the rest goes out after the next start."""
        self._stop.set()
        self._catalogue.queued.set()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        from azure.core.exceptions import AzureError
        from azure.eventhub import EventHubProducerClient
        from azure.eventhub.exceptions import EventHubError

        for attempt in _until(self._stop, (EventHubError, AzureError, OSError)):
            with (
                attempt,
                EventHubProducerClient.from_connection_string(self._connection, eventhub_name=self._hub) as producer,
            ):
                while True:
                    self._catalogue.queued.wait()
                    stopping = self._stop.is_set()
                    self._catalogue.queued.clear()
                    self._drain(producer)
                    if stopping:
                        return

    def _drain(self, producer: EventHubProducerClient) -> None:
        from azure.eventhub import EventData

        store = self._catalogue.store
        while waiting := store.notifications(500):
            batch, last = producer.create_batch(), 0
            for number, body in waiting:
                try:
                    batch.add(EventData(body))
                except ValueError:  # full: the rest goes with the next one
                    if last == 0:
                        raise
                    break
                last = number
            producer.send_batch(batch, timeout=30)
            store.forget_notifications(last)


def _body(event: EventData) -> bytes:
    content: Any = event.body  # a generator of byte strings for what came over AMQP
    return content if isinstance(content, bytes) else b"".join(content)


def _until(stop: threading.Event, errors: tuple[type[BaseException], ...]) -> Any:
    """Attempts until one succeeds or we are stopped; the client itself does not back off."""
    return Retrying(
        retry=retry_if_exception_type(errors),
        wait=wait_exponential(multiplier=0.5, max=10),
        stop=stop_when_event_set(stop),
        sleep=sleep_using_event(stop),
        before_sleep=lambda state: log.warning(
            "event hub: %s; trying again", state.outcome and state.outcome.exception()
        ),
        retry_error_callback=lambda _: None,
    )
