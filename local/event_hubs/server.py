"""The namespace as a server: hubs, a listening socket, a thread.

with running({"purview-hook": 4}) as server:
    producer = EventHubProducerClient.from_connection_string(server.connection_string("purview-hook"))
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from local.event_hubs import messages
from local.event_hubs.codec import AmqpError
from local.event_hubs.connection import Connection
from local.event_hubs.faults import Faults
from local.event_hubs.hub import DISK_RETENTION, MEMORY_RETENTION, Hub
from local.event_hubs.tokens import KEY, KEY_NAME, TokenCheck, shared_access_key
from shared.errors import SettingsError

#: bytes of one message or batch (Event Hubs quotas, Standard tier)
MAX_MESSAGE_SIZE = 1_048_576
T = TypeVar("T")


class Namespace:
    """What all connections share; belongs to the server's thread, but for `faults`."""

    def __init__(self, hubs: Sequence[Hub], faults: Faults, check_token: TokenCheck, max_message_size: int) -> None:
        self._hubs = {hub.name.lower(): hub for hub in hubs}
        self.faults = faults
        self.check_token = check_token
        self.max_message_size = max_message_size
        self.counts: Counter[str] = Counter()
        self.connections: set[Connection] = set()

    def hub(self, name: str) -> Hub:
        """Hub names do not regard case. Raises AmqpError."""
        try:
            return self._hubs[name.lower()]
        except KeyError:
            raise AmqpError("amqp:not-found", f"The messaging entity '{name[:300]}' could not be found.") from None

    async def disconnect(self) -> None:
        """Tell every client that the server stops, then leave."""
        for connection in tuple(self.connections):
            connection.close("amqp:connection:forced", "The server is stopping.")
            connection.end()
        await asyncio.sleep(0)
        for connection in tuple(self.connections):
            connection.abort()


class Stored(NamedTuple):
    """An event as a test wants to see it."""

    partition: int
    sequence: int
    partition_key: str | None
    body: bytes


class EventHubs:
    """An Event Hubs namespace on the loopback interface, in a thread of this process.

    hubs:             name -> number of partitions
    data:             directory to keep the events in; None keeps them in memory
    port:             0 takes any free one; `self.port` is the one taken
    consumer_groups:  of every hub, beside $Default
    retention:        bytes of events kept per partition; by default 1 GiB on disk, or a share of 256 MiB in memory
    check_token:      see tokens.TokenCheck; by default signatures are verified with `key`
    """

    def __init__(
        self,
        hubs: Mapping[str, int],
        *,
        data: Path | None = None,
        port: int = 0,
        consumer_groups: Sequence[str] = (),
        retention: int | None = None,
        key: str = KEY,
        check_token: TokenCheck | None = None,
        max_message_size: int = MAX_MESSAGE_SIZE,
    ) -> None:
        if not hubs:
            raise SettingsError("there is no hub", fix="name at least one, such as purview-hook:4")
        self._hubs = dict(hubs)
        self._data = data
        self._consumer_groups = tuple(consumer_groups)
        self._retention = retention or (DISK_RETENTION if data else MEMORY_RETENTION // max(1, sum(hubs.values())))
        self._key = key
        self._check_token = check_token or shared_access_key(KEY_NAME, key)
        self._max_message_size = max_message_size
        self.port = port
        self.faults = Faults()
        self._namespace: Namespace | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> EventHubs:
        """Listen. Raises SettingsError: the port is taken, the directory unusable or in use."""
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="event-hubs", daemon=True)
        self._thread.start()
        try:
            ready.result()
        except BaseException:
            self._thread.join()
            raise
        return self

    def stop(self) -> None:
        """Close every connection and the hubs; what was accepted is on disk if `data` is a directory."""
        if self._thread is None or self._loop is None or self._stopped is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()
        self._thread = None

    def connection_string(self, hub: str = "") -> str:
        """For azure-eventhub's `from_connection_string`; with EntityPath when a hub is named."""
        entity = f";EntityPath={hub}" if hub else ""
        return (
            f"Endpoint=sb://127.0.0.1:{self.port};SharedAccessKeyName={KEY_NAME};SharedAccessKey={self._key};"
            f"UseDevelopmentEmulator=true{entity}"
        )

    def stats(self) -> dict[str, float]:
        """Counts since the start, and this process's CPU seconds; hits of faults also by kind, `fault_hits.busy`."""

        async def read() -> dict[str, float]:
            assert self._namespace is not None
            names = ("connections", "refused_connections", "messages", "events", "bytes")
            return {name: self._namespace.counts[name] for name in names}

        hits = {f"fault_hits.{kind}": count for kind, count in self.faults.by_kind.items()}
        return {**self._call(read()), "fault_hits": self.faults.hits, **hits, "cpu_seconds": time.process_time()}

    def events(self, hub: str) -> list[Stored]:
        """Everything that is kept of a hub, partition by partition."""

        async def read() -> list[Stored]:
            assert self._namespace is not None
            return [
                Stored(number, event.sequence, event.partition_key, messages.body(event))
                for number, partition in enumerate(self._namespace.hub(hub).partitions)
                for event in partition.read(partition.first_sequence - 1)
            ]

        return self._call(read())

    def consumers(self, hub: str) -> int:
        """How many consumers are attached to a hub's partitions now."""

        async def read() -> int:
            assert self._namespace is not None
            return sum(len(partition.readers) for partition in self._namespace.hub(hub).partitions)

        return self._call(read())

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop is None or self._thread is None:
            work.close()
            raise RuntimeError("the server is not running")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _run(self, ready: Future[None]) -> None:
        try:
            asyncio.run(self._serve(ready))
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
            else:
                raise

    async def _serve(self, ready: Future[None]) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        with contextlib.ExitStack() as opened:
            hubs = []
            for name, partitions in self._hubs.items():
                hub = Hub(
                    name,
                    partitions,
                    data=self._data,
                    retention=self._retention,
                    consumer_groups=self._consumer_groups,
                )
                opened.callback(hub.close)
                hubs.append(hub)
            namespace = self._namespace = Namespace(hubs, self.faults, self._check_token, self._max_message_size)
            try:
                listener = await loop.create_server(lambda: Connection(namespace), "127.0.0.1", self.port)
            except OSError as error:
                raise SettingsError(
                    f"port {self.port} cannot be used ({error.strerror})", fix="choose another port, or 0 for any"
                ) from error
            async with listener:
                self.port = listener.sockets[0].getsockname()[1]
                ready.set_result(None)
                await self._stopped.wait()
                await namespace.disconnect()


@contextlib.contextmanager
def running(hubs: Mapping[str, int], **options: Any) -> Iterator[EventHubs]:
    """A started server for the length of a `with` block; options as those of EventHubs."""
    server = EventHubs(hubs, **options).start()
    try:
        yield server
    finally:
        server.stop()
