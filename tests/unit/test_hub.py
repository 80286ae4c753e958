"""The publisher: with the unmodified azure-eventhub client against the local stand-in, and its pauses with a producer
that fails on command (a minute of server-busy is not waited for)."""

from __future__ import annotations

import gc
import random
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from azure.eventhub import EventData, EventHubProducerClient
from azure.eventhub._pyamqp.error import MessageException
from azure.eventhub.exceptions import (
    AuthenticationError,
    ConnectError,
    ConnectionLostError,
    EventDataSendError,
    EventHubError,
    OperationTimeoutError,
)

from local.event_hubs import EventHubs, Fault, running
from shared.delivery import hub
from shared.delivery.hub import LONGEST_KEY, Hub, Message, Published, partition_key
from shared.errors import BadInput, HubBusy, SettingsError

NAME = "purview-hook"


@pytest.fixture(scope="module")
def server() -> Iterator[EventHubs]:
    with running({NAME: 4}) as namespace:
        yield namespace


@pytest.fixture(scope="module")
def producer(server: EventHubs) -> Iterator[EventHubProducerClient]:
    """One for the module: its first send takes half a second."""
    with EventHubProducerClient.from_connection_string(
        server.connection_string(NAME), retry_total=0, retry_backoff_factor=0, auth_timeout=10
    ) as client:
        client.create_batch()
        yield client
    collect_forgotten_sockets()


class Bench:
    """A real producer, what was stored since the test began, and the pauses that were made."""

    def __init__(self, server: EventHubs, producer: EventHubProducerClient) -> None:
        self.faults = server.faults
        self.producer = producer
        self.pauses: list[float] = []
        self._server = server
        self._before = {(event.partition, event.sequence) for event in server.events(NAME)}

    def hub(self, **options: Any) -> Hub:
        return Hub(self.producer, sleep=self.pauses.append, timeout=10, **options)

    def stored(self, key: str = "") -> list[bytes]:
        """Bodies in order of their partition, of one key if it is given."""
        new = [e for e in self._server.events(NAME) if (e.partition, e.sequence) not in self._before]
        return [event.body for event in new if key in ("", event.partition_key)]


@pytest.fixture
def bench(server: EventHubs, producer: EventHubProducerClient) -> Iterator[Bench]:
    yield Bench(server, producer)
    server.faults.clear()
    collect_forgotten_sockets()


#: the SDK forgets the socket of a connection that broke; it may be noticed during the test, or is right after it
leaks_a_socket = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def collect_forgotten_sockets() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_one_event_for_each_message_in_order_per_key(bench: Bench) -> None:
    messages = [Message(f"{key} {n}".encode(), key) for n in range(50) for key in ("crm/public", "erp/dbo", "x")]
    assert bench.hub().publish(messages) == Published(150, sum(len(m.body) for m in messages))
    for key in ("crm/public", "erp/dbo", "x"):
        assert bench.stored(key) == [f"{key} {n}".encode() for n in range(50)]
    assert len(bench.stored()) == 150


def test_more_keys_than_open_batches(bench: Bench) -> None:
    messages = [Message(b"%d" % n, f"key {n % 20}") for n in range(200)]
    assert bench.hub().publish(iter(messages)).count == 200
    for key in range(20):
        assert bench.stored(f"key {key}") == [b"%d" % n for n in range(key, 200, 20)]


def test_batches_are_cut_by_size(bench: Bench) -> None:
    messages = [Message(bytes([n]) * 300_000, "crm") for n in range(10)]
    assert bench.hub().publish(messages) == Published(10, 3_000_000)
    assert [body[0] for body in bench.stored("crm")] == list(range(10))


def test_nothing_to_publish(bench: Bench) -> None:
    assert bench.hub().publish([]) == Published(0, 0)


def test_an_oversize_message_is_refused_at_once(bench: Bench) -> None:
    with pytest.raises(BadInput, match="1,100,000 bytes does not fit") as error:
        bench.hub().publish([Message(b"small", "crm"), Message(b"x" * 1_100_000, "crm")])
    assert error.value.where == "event hub purview-hook"
    assert bench.pauses == []


@pytest.mark.parametrize("kind", ["busy", "reject", "detach", "close", "drop"], ids=str)
@leaks_a_socket
def test_a_bad_day_is_survived_without_loss(bench: Bench, kind: Any) -> None:
    bench.faults.add(Fault(kind, times=2))
    assert bench.hub().publish([Message(b"%d" % n, "crm") for n in range(20)]).count == 20
    assert bench.stored("crm") == [b"%d" % n for n in range(20)]
    assert len(bench.pauses) >= 1


@leaks_a_socket
def test_an_acceptance_that_is_lost_means_sent_again(bench: Bench) -> None:
    bench.faults.add(Fault("drop-after-store", times=1))
    assert bench.hub().publish([Message(b"a", "crm"), Message(b"b", "crm")]).count == 2
    assert bench.stored("crm") == [b"a", b"b", b"a", b"b"]


@leaks_a_socket
def test_a_hub_that_does_not_answer_in_time_is_tried_again(bench: Bench) -> None:
    bench.faults.add(Fault("slow", delay=30, times=2))  # the client sends twice by itself
    hub = Hub(bench.producer, sleep=bench.pauses.append, timeout=1)
    assert hub.publish([Message(b"a", "crm")]).count == 1
    assert b"a" in bench.stored("crm")
    assert len(bench.pauses) >= 1


@leaks_a_socket
def test_a_refused_token_is_tried_for_a_while_and_then_said(bench: Bench) -> None:
    bench.faults.add(Fault("drop", times=1))
    bench.faults.add(Fault("unauthorized"))
    with pytest.raises(SettingsError) as error:
        bench.hub().publish([Message(b"a", "crm")])
    assert error.value.where == "event hub purview-hook"
    assert "Azure Event Hubs Data Sender" in error.value.fix
    assert bench.pauses
    assert sum(bench.pauses) <= hub.REFUSED_SECONDS


@leaks_a_socket
def test_a_refused_token_that_recovers(bench: Bench) -> None:
    bench.faults.add(Fault("drop", times=1))
    bench.faults.add(Fault("unauthorized", times=2))
    assert bench.hub().publish([Message(b"a", "crm")]).count == 1
    assert b"a" in bench.stored("crm")


def test_without_patience_for_a_refused_token_it_is_final_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pair of the one before, with the mechanism switched off."""
    monkeypatch.setattr(hub, "REFUSED_SECONDS", 0.0)
    bench.faults.add(Fault("unauthorized", times=2))
    with pytest.raises(SettingsError):
        bench.hub().publish([Message(b"a", "crm")])


def test_a_hub_that_does_not_exist(server: EventHubs) -> None:
    pauses: list[float] = []
    string = server.connection_string("nope")
    with (
        EventHubProducerClient.from_connection_string(string, retry_total=0, retry_backoff_factor=0) as producer,
        pytest.raises(SettingsError, match="there is no such event hub"),
    ):
        Hub(producer, sleep=pauses.append).publish([Message(b"a", "crm")])
    assert pauses == []


def test_a_hub_that_stays_busy_is_given_up(bench: Bench) -> None:
    bench.faults.add(Fault("busy"))
    with pytest.raises(HubBusy, match="server-busy"):
        bench.hub().publish([Message(b"a", "crm")])
    assert 90 < sum(bench.pauses) <= 150
    assert bench.stored() == []


# ---- pauses


def failure(kind: type[EventHubError], condition: str) -> EventHubError:
    """The error as the SDK builds it from what came over the wire."""
    cause = MessageException(condition.encode(), description="told") if condition else None
    return kind("told", cause)  # type: ignore[arg-type]


class Producer:
    """Fails as often as it is told, then accepts."""

    eventhub_name = NAME

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.sent: list[list[bytes]] = []
        self.timeouts: list[float] = []

    def create_batch(self, **options: Any) -> Batch:
        return Batch()

    def send_batch(self, batch: Batch, *, timeout: float) -> None:
        self.timeouts.append(timeout)
        if self.errors:
            raise self.errors.pop(0)
        self.sent.append(batch.bodies)


class Batch:
    max_size_in_bytes = 100

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def add(self, event: EventData) -> None:
        self.bodies.append(bytes(event.body_as_str(), "utf-8"))

    def __len__(self) -> int:
        return len(self.bodies)


def published(producer: Any, pauses: list[float], **options: Any) -> Published:
    return Hub(producer, sleep=pauses.append, **options).publish([Message(b"a", "crm")])


@pytest.mark.parametrize(
    "error",
    [
        failure(EventDataSendError, "com.microsoft:server-busy"),
        failure(EventDataSendError, "amqp:internal-error"),
        failure(EventDataSendError, "com.microsoft:timeout"),
        failure(EventDataSendError, "amqp:unknown-error"),
        failure(ConnectionLostError, "amqp:link:detach-forced"),
        failure(ConnectionLostError, "amqp:connection:forced"),
        failure(ConnectError, "amqp:socket-error"),
        failure(OperationTimeoutError, ""),
        failure(EventHubError, ""),
        failure(AuthenticationError, "amqp:client-error"),
        ConnectionResetError("reset"),
        TimeoutError("timed out"),
    ],
    ids=lambda error: f"{type(error).__name__} {getattr(error, 'error', '')}",
)
def test_what_is_tried_again(error: Exception) -> None:
    producer, pauses = Producer(error, error), []  # type: ignore[var-annotated]
    assert published(producer, pauses, timeout=7) == Published(1, 1)
    assert producer.sent == [[b"a"]]
    assert producer.timeouts == [7, 7, 7]
    low = 4.0 if getattr(error, "error", "") == "server-busy" else 0.5
    assert low <= pauses[0] <= 2 * low
    assert 2 * low <= pauses[1] <= 3 * low


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (failure(ConnectError, "amqp:not-found"), SettingsError),
        (failure(ConnectError, "com.microsoft:entity-disabled"), SettingsError),
        (failure(EventDataSendError, "com.microsoft:argument-error"), SettingsError),
        (failure(EventDataSendError, "amqp:link:message-size-exceeded"), BadInput),
        (AuthenticationError("CBS Token authentication failed.\nStatus code: 404"), SettingsError),
        (EventHubError("DefaultAzureCredential failed to retrieve a token from the chain"), SettingsError),
    ],
)
def test_what_is_not_tried_again(error: Exception, kind: type[Exception]) -> None:
    pauses: list[float] = []
    with pytest.raises(kind):
        published(Producer(error), pauses)
    assert pauses == []


def test_a_minute_of_server_busy_is_survived() -> None:
    random.seed(7)
    busy = failure(EventDataSendError, "com.microsoft:server-busy")
    clock = 0.0

    class Throttled(Producer):
        def send_batch(self, batch: Batch, *, timeout: float) -> None:
            if clock < 60:
                raise busy
            super().send_batch(batch, timeout=timeout)

    def sleep(seconds: float) -> None:
        nonlocal clock
        clock += seconds

    producer: Any = Throttled()
    assert Hub(producer, sleep=sleep).publish([Message(b"a", "crm")]).count == 1
    assert 60 <= clock < 150


@pytest.mark.parametrize(
    ("options", "least", "most"), [({"attempts": 3}, 2, 2), ({"patience": 20.0}, 1, 3), ({"patience": 0.0}, 0, 0)]
)
def test_patience_ends(options: dict[str, Any], least: int, most: int) -> None:
    pauses: list[float] = []
    error = failure(EventDataSendError, "com.microsoft:server-busy")
    with pytest.raises(HubBusy):
        published(Producer(*[error] * 50), pauses, **options)
    assert least <= len(pauses) <= most
    assert sum(pauses) <= options.get("patience", 150.0)


def test_no_error_text_holds_a_credential(caplog: pytest.LogCaptureFixture) -> None:
    error = EventHubError("cannot reach Endpoint=sb://x/;SharedAccessKey=hunter2;EntityPath=h")
    with pytest.raises(HubBusy) as found:
        published(Producer(error, error), [], attempts=2)
    assert "hunter2" not in str(found.value) + caplog.text


# ---- partition keys


def test_partition_keys_fit_and_stay_apart() -> None:
    assert partition_key("crm/public") == "crm/public"
    assert partition_key("k" * LONGEST_KEY) == "k" * LONGEST_KEY
    long = ["k" * 200 + str(n) for n in range(3)]
    keys = [partition_key(one) for one in long]
    assert len(set(keys)) == 3
    assert all(len(key) == LONGEST_KEY for key in keys)
    assert partition_key(long[0]) == keys[0]
