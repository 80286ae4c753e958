"""The Event Hubs stand-in, seen by the unmodified azure-eventhub client.

Every wait of that client is a multiple of 0.2 s, so scenarios that do not touch each other run side by side.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import logging
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.aio import EventHubConsumerClient as AsyncConsumer
from azure.eventhub.aio import EventHubProducerClient as AsyncProducer
from azure.eventhub.exceptions import EventHubError

from local.event_hubs import EventHubs, Fault, frames, running
from local.event_hubs.hub import Partition
from local.event_hubs.selector import Position
from shared.errors import SettingsError

#: azure-eventhub leaves its sockets to the garbage collector when a connection breaks
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{message}:{kind}")
    for message in ("unclosed", "loop is closed", "Exception ignored in")
    for kind in ("ResourceWarning", "pytest.PytestUnraisableExceptionWarning")
]
MAX = 1_048_576
ROOT = Path(__file__).parents[2]


Scenario = Callable[[EventHubs, str], Awaitable[None]]
SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    """Register a test that gets the server and a hub of its own (four partitions, named like the function)."""
    SCENARIOS[function.__name__] = function
    return function


@pytest.fixture(scope="module", autouse=True)
def forgotten() -> Iterator[None]:
    """azure-eventhub forgets sockets of broken connections: they are collected here, not in somebody else's test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.fixture(scope="module")
def server() -> Iterator[EventHubs]:
    with running(dict.fromkeys((*SCENARIOS, "sync", "wild"), 4), consumer_groups=["catalogue"]) as server:
        yield server


@pytest.fixture(scope="module")
def finished(server: EventHubs) -> dict[str, BaseException | None]:
    async def side_by_side() -> dict[str, BaseException | None]:
        results = await asyncio.gather(
            *(each(server, name) for name, each in SCENARIOS.items()), return_exceptions=True
        )
        return dict(zip(SCENARIOS, results, strict=True))

    return asyncio.run(side_by_side())


@asynccontextmanager
async def producing(server: EventHubs, hub: str, **options: Any) -> AsyncIterator[AsyncProducer]:
    options = {"retry_total": 0, **options}
    async with AsyncProducer.from_connection_string(server.connection_string(hub), **options) as producer:
        yield producer


async def outcome(attempt: Awaitable[object]) -> str:
    """`ok`, or the error as a caller tells errors apart: type and `.error`."""
    try:
        await attempt
    except EventHubError as error:
        return f"{type(error).__name__} {error.error}"
    except ValueError as error:
        return type(error).__name__
    return "ok"


class Reading:
    """A consumer that runs until `count` events came, an error did, or the time is up."""

    def __init__(self, server: EventHubs, hub: str, group: str = "$Default", retries: int = 0) -> None:
        self._client = AsyncConsumer.from_connection_string(
            server.connection_string(hub), consumer_group=group, retry_total=retries, load_balancing_interval=0.1
        )
        self.events: list[EventData] = []
        self.error: Exception | None = None

    async def until(self, count: int, seconds: float = 8, **options: Any) -> list[EventData]:
        async def on_event(_: object, event: EventData | None) -> None:
            assert event is not None
            self.events.append(event)
            if len(self.events) >= count:
                done.set()

        async def on_error(_: object, error: Exception) -> None:
            self.error = error
            done.set()

        done = asyncio.Event()
        receiving = asyncio.create_task(self._client.receive(on_event=on_event, on_error=on_error, **options))
        try:
            async with asyncio.timeout(seconds):
                await done.wait()
        except TimeoutError:
            pass
        finally:
            await self._client.close()
            await receiving
        return self.events


async def read(server: EventHubs, hub: str, count: int, group: str = "$Default", **options: Any) -> list[str]:
    options = {"starting_position": "-1", "partition_id": "0", **options}
    return [event.body_as_str() for event in await Reading(server, hub, group).until(count, **options)]


async def attached(server: EventHubs, hub: str) -> None:
    async with asyncio.timeout(5):
        while not server.consumers(hub):
            await asyncio.sleep(0.02)


async def publish(server: EventHubs, hub: str, *bodies: str, **options: Any) -> None:
    async with producing(server, hub) as producer:
        await producer.send_batch([EventData(body) for body in bodies], timeout=5, **options)


# ------------------------------------------------------------------------------------------------- sending, receiving


@scenario
async def every_position_in_both_groups(server: EventHubs, hub: str) -> None:
    bodies = [f"{number}" for number in range(10)]
    async with producing(server, hub) as producer:
        for part in (bodies[:5], bodies[5:]):
            await producer.send_batch([EventData(body) for body in part], partition_id="0", timeout=5)
            await asyncio.sleep(0.02)  # another enqueued time
    events = await Reading(server, hub).until(10, partition_id="0", starting_position="-1")
    positions: list[tuple[object, bool, list[str]]] = [
        (events[3].offset, False, bodies[4:]),
        (events[3].offset, True, bodies[3:]),
        (6, False, bodies[7:]),
        (0, True, bodies),
        (events[0].enqueued_time, False, bodies[5:]),
        (events[9].enqueued_time, True, bodies[5:]),
        (datetime(2020, 1, 1, tzinfo=UTC), False, bodies),
    ]
    groups = itertools.cycle(["$Default", "catalogue"])
    results = await asyncio.gather(
        *(
            read(server, hub, len(wanted), group, starting_position=at, starting_position_inclusive=inclusive)
            for group, (at, inclusive, wanted) in zip(groups, positions, strict=False)
        )
    )
    assert results == [wanted for _, _, wanted in positions]


@scenario
async def two_producers_and_a_consumer_at_once(server: EventHubs, hub: str) -> None:
    live = Reading(server, hub)
    async with producing(server, hub) as first, producing(server, hub) as second:
        await first.send_batch([EventData("before")], partition_id="1", timeout=5)
        following = asyncio.create_task(live.until(12, partition_id="1", starting_position="@latest"))
        await attached(server, hub)
        for number in range(6):
            await asyncio.gather(
                first.send_batch([EventData(f"first {number}")], partition_id="1", timeout=5),
                second.send_batch([EventData(f"second {number}")], partition_id="1", timeout=5),
            )
        await following
        properties = await first.get_partition_properties("1")
        assert (properties["beginning_sequence_number"], properties["last_enqueued_sequence_number"]) == (0, 12)
        assert (await first.get_partition_properties("2"))["is_empty"]
    seen = [event.body_as_str() for event in live.events]
    for name in ("first", "second"):
        assert [body for body in seen if body.startswith(name)] == [f"{name} {number}" for number in range(6)]
    assert [event.sequence_number for event in live.events] == list(range(1, 13))


@scenario
async def keys_keep_their_partition_and_others_take_turns(server: EventHubs, hub: str) -> None:
    async with producing(server, hub) as producer:
        for _ in range(3):
            for key in ("a", "b", "c", "d", "e"):
                await producer.send_batch([EventData("keyed")], partition_key=key, timeout=5)
        for _ in range(4):
            await producer.send_batch([EventData("anywhere")], timeout=5)
    partitions: dict[str | None, set[int]] = {}
    for event in server.events(hub):
        partitions.setdefault(event.partition_key, set()).add(event.partition)
    assert partitions.pop(None) == {0, 1, 2, 3}
    assert sorted(map(len, partitions.values())) == [1] * 5
    assert len(set.union(*partitions.values())) > 1


@scenario
async def a_large_batch_crosses_frames_and_stays_whole(server: EventHubs, hub: str) -> None:
    bodies = [letter * 200_000 for letter in "abcde"]
    await publish(server, hub, *bodies, partition_id="0")
    assert await read(server, hub, 5) == bodies


# -------------------------------------------------------------------------------------------------------------- rules


@scenario
async def a_wrong_client_is_refused_as_the_service_would(server: EventHubs, hub: str) -> None:
    async def send_one(size: int) -> None:
        async with producing(server, hub) as producer:
            await producer.send_event(EventData(b"x" * size), timeout=5)

    async def fill() -> None:
        async with producing(server, hub) as producer:
            (await producer.create_batch()).add(EventData(b"x" * MAX))

    async def receive(group: str = "$Default", **options: Any) -> None:
        reading = Reading(server, hub, group)
        await reading.until(1, **{"partition_id": "0", "starting_position": "-1", **options})
        if reading.error:
            raise reading.error

    async def wrong_key() -> None:
        wrong = server.connection_string(hub).replace("SharedAccessKey=", "SharedAccessKey=no")
        async with AsyncProducer.from_connection_string(wrong, retry_total=0) as producer:
            await producer.send_batch([EventData("x")], timeout=5)

    expected: dict[str, tuple[Awaitable[None], str]] = {
        "unknown hub": (publish(server, "nowhere", "x"), "ConnectError not-found"),
        "unknown partition": (publish(server, hub, "x", partition_id="7"), "ConnectError None"),  # it asked $management
        "unknown group": (receive("nobody"), "ConnectionLostError not-found"),
        "offset beyond the end": (receive(starting_position="99"), "ConnectError argument-error"),
        "list too large": (publish(server, hub, "x" * MAX), "ValueError"),
        "batch overfull": (fill(), "ValueError"),
        "event too large": (send_one(MAX + 1), "ConnectionLostError link:message-size-exceeded"),
        "wrong key": (wrong_key(), "AuthenticationError client-error"),
    }
    results = await asyncio.gather(*(outcome(attempt) for attempt, _ in expected.values()))
    assert dict(zip(expected, results, strict=True)) == {name: error for name, (_, error) in expected.items()}
    assert server.events(hub) == []


@scenario
async def an_epoch_takes_the_partition_from_lower_ones(server: EventHubs, hub: str) -> None:
    await publish(server, hub, "x", partition_id="0")
    from_start: dict[str, Any] = {"partition_id": "0", "starting_position": "-1"}
    holder = Reading(server, hub)
    held = asyncio.create_task(holder.until(9, owner_level=1, **from_start))
    await attached(server, hub)
    lower, none, elsewhere = Reading(server, hub), Reading(server, hub), Reading(server, hub, "catalogue")
    await asyncio.gather(
        lower.until(1, owner_level=0, **from_start),
        none.until(1, **from_start),
        elsewhere.until(1, owner_level=0, **from_start),
    )
    assert (lower.events, none.events, len(elsewhere.events)) == ([], [], 1)
    for reading in (lower, none):
        assert "created with epoch of '1'" in str(reading.error)
    assert holder.error is None
    higher = Reading(server, hub)
    await higher.until(1, owner_level=2, **from_start)
    await held
    assert len(higher.events) == 1
    assert "higher epoch of '2'" in str(holder.error)


# ------------------------------------------------------------------------------------------------------------- faults

#: fault, what the client sees with retry_total=0, how often the event is stored
FAULTS: dict[str, tuple[Fault, str, int]] = {
    "busy": (Fault("busy", seconds=60), "EventDataSendError server-busy", 0),
    "busy_once": (Fault("busy", times=1), "ok", 1),  # the client sends a rejected message once more at once
    "reject": (Fault("reject", condition="amqp:not-allowed"), "EventDataSendError not-allowed", 0),
    "detach": (Fault("detach"), "ConnectionLostError link:detach-forced", 0),
    "close": (Fault("close"), "ConnectError connection:forced", 0),
    "drop": (Fault("drop"), "ConnectError socket-error", 0),
    "drop_once": (Fault("drop", times=1), "ok", 1),
    "drop_after_store": (Fault("drop-after-store", times=1), "ok", 2),  # it cannot know, and sends again: a duplicate
    "slow": (Fault("slow", delay=0.5), "ok", 1),
    "too_slow": (Fault("slow", delay=30), "OperationTimeoutError None", 2),  # given up, yet stored, and tried again
    "unauthorized": (Fault("unauthorized"), "AuthenticationError client-error", 0),
}


def meets(fault: Fault, expected: str, stored: int) -> Scenario:
    async def meet(server: EventHubs, hub: str) -> None:
        async with producing(server, hub) as producer:
            await producer.send_batch([EventData("warm")], timeout=5)
            server.faults.add(msgspec.structs.replace(fault, hub=hub))
            seen = await outcome(producer.send_batch([EventData("x")], timeout=2.5))
        assert (seen, sum(event.body == b"x" for event in server.events(hub))) == (expected, stored)

    return meet


SCENARIOS |= {f"fault_{name}": meets(*case) for name, case in FAULTS.items()}


@scenario
async def a_fault_ends_by_its_time(server: EventHubs, hub: str) -> None:
    async with producing(server, hub) as producer:
        await producer.send_batch([EventData("warm")], timeout=5)
        server.faults.add(Fault("busy", hub=hub, seconds=6))
        assert await outcome(producer.send_batch([EventData("x")], timeout=5)) == "EventDataSendError server-busy"
        await asyncio.sleep(6)
        assert await outcome(producer.send_batch([EventData("x")], timeout=5)) == "ok"


@scenario
async def a_consumer_goes_on_after_it_was_detached(server: EventHubs, hub: str) -> None:
    await publish(server, hub, "a", "b", partition_id="0")
    server.faults.add(Fault("detach", hub=hub, at="receive", times=1))
    reading = Reading(server, hub, retries=1)
    await reading.until(2, partition_id="0", starting_position="-1")
    assert [event.body_as_str() for event in reading.events] == ["a", "b"]


@pytest.mark.parametrize("name", SCENARIOS)
def test(name: str, finished: dict[str, BaseException | None]) -> None:
    problem = finished[name]
    if problem is not None:
        raise problem


@pytest.mark.parametrize("options", [{"kind": "busy", "at": "receive"}, {"kind": "reject", "condition": "é"}])
def test_impossible_faults_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"receive|ASCII"):
        Fault(**options)


# ---------------------------------------------------------------------------------------------------- a sync client


def test_a_sync_producer_and_a_sync_consumer(server: EventHubs) -> None:
    with EventHubProducerClient.from_connection_string(server.connection_string("sync")) as producer:
        assert producer.get_eventhub_properties()["partition_ids"] == ["0", "1", "2", "3"]
        batch = producer.create_batch(partition_key="crm/public")
        assert batch.max_size_in_bytes == MAX
        for number in range(50):
            batch.add(EventData(f"keyed {number}"))
        producer.send_batch(batch, timeout=5)
        single = EventData(b"single")
        single.properties = {"n": 1, "s": "text"}
        single.content_type, single.correlation_id = "application/json", "c-1"
        producer.send_event(single, partition_key="crm/public", timeout=5)
    stored = server.events("sync")
    assert [event.body.decode() for event in stored] == [*(f"keyed {number}" for number in range(50)), "single"]
    assert {event.partition_key for event in stored} == {"crm/public"}
    (partition,) = {event.partition for event in stored}

    received: list[EventData] = []
    consumer = EventHubConsumerClient.from_connection_string(server.connection_string("sync"), "$Default")

    def on_event(_: object, event: EventData | None) -> None:
        assert event is not None
        received.append(event)
        if len(received) == len(stored):
            consumer.close()

    consumer.receive(on_event, partition_id=str(partition), starting_position="-1")
    assert [event.sequence_number for event in received] == list(range(51))
    assert [event.partition_key for event in received] == [b"crm/public"] * 51
    enqueued = received[0].enqueued_time
    assert enqueued is not None and abs((datetime.now(UTC) - enqueued).total_seconds()) < 60
    last = received[-1]
    assert last.properties == {b"n": 1, b"s": b"text"}
    assert (last.body_as_str(), last.content_type, last.correlation_id) == ("single", "application/json", "c-1")


def test_wild_bytes_beside_a_good_client(server: EventHubs) -> None:
    before = server.stats()["refused_connections"]

    async def beside() -> None:
        async with producing(server, "wild") as producer:
            await producer.send_batch([EventData("before")], partition_id="0", timeout=5)
            for wild in (b"GET / HTTP/1.1\r\n\r\n", frames.AMQP_HEADER + b"\xff" * 8, b"\x00" * 64):
                with socket.create_connection(("127.0.0.1", server.port), timeout=5) as peer:
                    peer.sendall(wild)
                    while peer.recv(4096):  # until the server closes
                        continue
            await producer.send_batch([EventData("after")], partition_id="0", timeout=5)

    asyncio.run(beside())
    assert [event.body for event in server.events("wild")] == [b"before", b"after"]
    assert server.stats()["refused_connections"] == before + 3


# ----------------------------------------------------------------------------------------------------------- retention


def test_the_oldest_events_go_when_a_partition_is_full(caplog: pytest.LogCaptureFixture) -> None:
    partition = Partition("h/0", None, retention=100_000)
    with caplog.at_level(logging.WARNING, "local.event_hubs.hub"):
        for number in range(30):
            partition.append([bytes([number]) * 10_000], None)
    kept = list(partition.read(-1))
    assert 80_000 <= sum(len(event.message) for event in kept) <= 100_000
    assert [event.sequence for event in kept] == list(range(30 - len(kept), 30))
    assert all(event.message == bytes([event.sequence]) * 10_000 for event in kept)
    assert "oldest events were dropped" in caplog.text
    assert partition.locate(Position("offset", -1)) == partition.locate(Position("sequence", 2)) == kept[0].sequence - 1
    assert partition.locate(Position("offset", kept[0].offset, inclusive=True)) == kept[0].sequence - 1
    partition.close()


def test_events_and_their_numbers_outlive_a_restart(tmp_path: Path) -> None:
    with running({"one": 1}, data=tmp_path) as server:
        asyncio.run(publish(server, "one", "a", "b", partition_id="0"))
        with pytest.raises(SettingsError, match="locked"):
            EventHubs({"one": 1}, data=tmp_path).start()
        with pytest.raises(SettingsError, match="port"):
            EventHubs({"one": 1}, port=server.port).start()
    with running({"one": 2}, data=tmp_path) as server:
        asyncio.run(publish(server, "one", "c", partition_id="0"))
        assert [(event.sequence, event.body) for event in server.events("one")] == [(0, b"a"), (1, b"b"), (2, b"c")]
    with pytest.raises(SettingsError, match="has 2 partitions"):
        EventHubs({"one": 1}, data=tmp_path).start()


@pytest.mark.parametrize("hubs", [{}, {"../up": 1}, {"a/b": 1}, {"": 1}, {"h": 0}, {"h": 5000}])
def test_impossible_hubs_are_refused(hubs: dict[str, int]) -> None:
    with pytest.raises(SettingsError):
        EventHubs(hubs).start()


# ---------------------------------------------------------------------------------------------------------- the process


class Process:
    """`python -m local.event_hubs` with its line protocol."""

    def __init__(self, *arguments: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "local.event_hubs", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def line(self) -> dict[str, Any]:
        assert self.popen.stdout is not None
        answer = json.loads(self.popen.stdout.readline())
        assert isinstance(answer, dict)
        return answer

    def ask(self, line: str) -> dict[str, Any]:
        assert self.popen.stdin is not None
        self.popen.stdin.write(line.encode() + b"\n")
        self.popen.stdin.flush()
        return self.line()

    def end(self, number: signal.Signals) -> tuple[int, str]:
        self.popen.send_signal(number)
        _, errors = self.popen.communicate(timeout=10)
        return self.popen.returncode, errors.decode()


def test_the_process_loses_nothing_when_it_is_killed(tmp_path: Path) -> None:
    arguments = ("--port", "0", "--hub", "purview-hook:1", "--consumer-group", "catalogue", "--data", str(tmp_path))
    process = Process(*arguments, "--control")
    try:
        ready = process.line()
        assert ready["connection_string"].startswith(f"Endpoint=sb://127.0.0.1:{ready['port']};")
        text = ready["connection_string"]
        with EventHubProducerClient.from_connection_string(text, eventhub_name="purview-hook") as producer:
            producer.send_batch([EventData("kept")] * 3, timeout=5)
            assert process.ask('{"add": {"kind": "busy", "hub": "purview-hook"}}') == {"ok": True}
            with pytest.raises(EventHubError) as refused:
                producer.send_batch([EventData("lost")], timeout=5)
            assert refused.value.error == "server-busy"
        assert "Invalid enum value" in process.ask('{"add": {"kind": "flood"}}')["error"]
        assert "unknown field" in process.ask('{"faults": []}')["error"]
        assert "truncated" in process.ask("{")["error"]
        assert process.ask('{"clear": true}') == {"ok": True}
        stats = process.ask('{"stats": true}')
        assert (stats["events"], stats["fault_hits"], stats["fault_hits.busy"]) == (3, 2, 2)
        with socket.create_connection(("127.0.0.1", ready["control"]), timeout=5) as control:
            control.sendall(b'{"clear": true}\n{"stats": true}\n')
            told = control.makefile("rb")
            assert json.loads(told.readline()) == {"ok": True}
            assert json.loads(told.readline())["fault_hits"] == 2
            told.close()
    finally:
        process.end(signal.SIGKILL)
    process = Process(*arguments)
    try:
        ready = process.line()
        with EventHubProducerClient.from_connection_string(
            ready["connection_string"], eventhub_name="purview-hook"
        ) as producer:
            assert producer.get_partition_properties("0")["last_enqueued_sequence_number"] == 2
    finally:
        code, errors = process.end(signal.SIGTERM)
    assert code == 0 and "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--hub", "h:1"), "--data DIR or --memory"),
        (("--memory",), "--hub"),
        (("--memory", "--hub", "h"), "NAME:PARTITIONS"),
        (("--memory", "--hub", "../h:1"), "fix: letters, digits"),
    ],
)
def test_a_wrong_command_line_is_explained(arguments: tuple[str, ...], message: str) -> None:
    process = Process(*arguments)
    _, errors = process.popen.communicate(timeout=10)
    assert process.popen.returncode == 2
    assert message in errors.decode() and b"Traceback" not in errors


# ---------------------------------------------------------------------------------------------------------- throughput


def test_throughput() -> None:
    """No timing is asserted; `pytest -s` shows what the stand-in makes of 10,000 events of 1 KB."""
    with running({"one": 1}) as server:
        throughput(server, 10_000)


def throughput(server: EventHubs, count: int) -> None:
    started, busy = time.perf_counter(), time.process_time()
    with EventHubProducerClient.from_connection_string(server.connection_string("one")) as producer:
        sent = 0
        while sent < count:
            batch = producer.create_batch()
            for _ in range(800):
                batch.add(EventData(b"x" * 1000))
            producer.send_batch(batch, timeout=30)
            sent += len(batch)
    seconds, cpu = time.perf_counter() - started, time.process_time() - busy
    stats = server.stats()
    sys.stdout.write(
        f"\nclient and stand-in together: {sent / seconds:,.0f} events/s, {cpu / sent * 1e6:.0f} us CPU per event\n"
    )
    assert stats["events"] == sent >= count
    assert len(server.events("one")) == sent
