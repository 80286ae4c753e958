"""The token bucket: how much may begin when, and how it gives way. A clock that moves only by what is slept."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import pytest
import requests

from shared.delivery.catalog import Catalog
from shared.delivery.pace import BURST_SECONDS, LONGEST_PAUSE, SLOWEST, Pace
from tests.unit.rest_server import Reply, RestServer
from tests.unit.test_hub import Producer, failure, published


class Time:
    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def paced(time: Time, per_second: float = 20, **options: float) -> Pace:
    return Pace(per_second, clock=lambda: time.now, sleep=time.sleep, **options)


def test_a_burst_and_then_the_rate(time: Time) -> None:
    pace = paced(time, 20, burst=100)
    pace.take(100)
    assert time.slept == []
    for count in (50, 10, 1):
        pace.take(count)
    assert time.slept == [2.5, 0.5, 0.05]


def test_what_is_saved_up_is_bounded(time: Time) -> None:
    pace = paced(time, 20, burst=100)
    pace.take(100)
    time.now += 3600
    pace.take(120)
    assert time.slept == [1.0]


def test_the_stated_burst_is_five_seconds_worth(time: Time) -> None:
    pace = paced(time, 20)
    pace.take(int(20 * BURST_SECONDS))
    assert time.slept == []
    pace.take()
    assert time.slept == [0.05]


@pytest.mark.parametrize("seed", range(5))
def test_in_any_stretch_no_more_than_the_burst_and_the_rate(time: Time, seed: int) -> None:
    chance = random.Random(seed)
    pace, rate, burst = paced(time, 50, burst=120), 50, 120
    began: list[tuple[float, int]] = []
    for _ in range(300):
        count = chance.choice([1, 1, 5, 50, 200])
        pace.take(count)
        began.append((time.now, count))
        time.now += chance.choice([0, 0, 0.01, 1, 10])
    for first in range(len(began)):
        total = 0
        for moment, count in began[first:]:
            total += count
            # the first of a stretch has waited for all of what it asks for, which may be more than the burst
            assert total <= max(burst, began[first][1]) + rate * (moment - began[first][0]) + 1e-6


def test_threads_share_it() -> None:
    moment, lock, waits = [0.0], threading.Lock(), []

    def sleep(seconds: float) -> None:
        with lock:
            waits.append(seconds)

    pace = Pace(10, burst=10, clock=lambda: moment[0], sleep=sleep)
    threads = [threading.Thread(target=lambda: [pace.take() for _ in range(25)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(waits) == 90, "ten of a hundred were in the bucket"
    assert max(waits) == pytest.approx(9.0)


# ---- giving way


def test_a_refusal_halves_the_rate_and_it_comes_back_slowly(time: Time) -> None:
    pace = paced(time, 20)
    pace.throttled()
    assert pace.rate == 10
    pace.take(10)
    assert time.slept == [1.0], "what was saved up is gone"
    time.now = 30
    assert 14 < pace.rate < 14.2
    time.now = 60
    assert pace.rate == 20
    time.now = 600
    pace.take(100)
    assert time.slept == [1.0]


def test_refusals_of_calls_under_way_together_count_once(time: Time) -> None:
    pace = paced(time, 20)
    for _ in range(8):
        pace.throttled()
    assert pace.rate == 10
    time.now = 2
    pace.throttled()
    assert 5 <= pace.rate < 5.2


def test_it_never_stands_still(time: Time) -> None:
    pace = paced(time, 64)
    for _ in range(50):
        time.now += 2
        pace.throttled()
    assert pace.rate == 64 * SLOWEST


def test_a_pause_that_the_service_asks_for_is_everybodys(time: Time) -> None:
    pace = paced(time, 20)
    pace.throttled(17)
    pace.take(1)
    assert time.slept == [17.1]
    pace.throttled(3600)
    pace.take(1)
    assert LONGEST_PAUSE < time.slept[1] < LONGEST_PAUSE + 1


@pytest.fixture
def server() -> Iterator[RestServer]:
    server = RestServer()
    yield server
    server.close()


@pytest.mark.parametrize(
    ("reply", "rate", "wait"),
    [
        (Reply(429), 10, 0),
        (Reply(429, headers={"Retry-After": "7"}), 10, 7),
        (Reply(503, headers={"Retry-After": "7"}), 10, 7),
        (Reply(500), 20, 0),
    ],
    ids=["429", "429 with a pause", "503 with a pause", "500"],
)
def test_what_the_catalogue_says_is_heeded(server: RestServer, time: Time, reply: Reply, rate: int, wait: int) -> None:
    pace = paced(time, 20)
    server.replies = [reply]
    with requests.Session() as session:
        catalog = Catalog(server.url, session=session, sleep=lambda _: None, throttled=pace.throttled)
        assert catalog.typedefs() == {}
    assert pace.rate == rate
    pace.take(1)
    assert sum(time.slept) == pytest.approx(wait + (1 / rate if rate < 20 else 0))


def test_what_the_hub_says_is_heeded(time: Time) -> None:
    from azure.eventhub.exceptions import EventDataSendError

    pace = paced(time, 1000)
    producer = Producer(failure(EventDataSendError, "com.microsoft:server-busy"))
    assert published(producer, [], pace=pace).count == 1
    assert pace.rate == 500
    other = paced(time, 1000)
    assert published(Producer(failure(EventDataSendError, "amqp:internal-error")), [], pace=other).count == 1
    assert other.rate == 1000, "a failure is no throttling"


def test_messages_keep_the_pace(time: Time) -> None:
    from shared.delivery.hub import Hub, Message

    pace = paced(time, 10, burst=5)
    Hub(Producer(), pace=pace).publish([Message(b"a", "crm")] * 25)
    assert time.now == pytest.approx(2.0)
