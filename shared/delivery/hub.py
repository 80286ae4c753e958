"""Publishing hook messages to Event Hubs: in order per partition key, and only done when everything is accepted.

The client library does not back off when the hub is busy (measured with azure-eventhub 5.15: server-busy, a detached
link and a closed connection come up at once), so the retry is here. A batch may arrive twice, when its acceptance was
lost on the way: hook messages are upserts.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from shared.azure_errors import hub_error, is_refused, is_server_busy
from shared.delivery.pace import Pace
from shared.errors import BadInput, HubBusy, SettingsError
from shared.telemetry import get_logger

if TYPE_CHECKING:
    from azure.eventhub import EventDataBatch, EventHubProducerClient
    from tenacity import RetryCallState

log = get_logger(__name__)

ATTEMPTS = 12
#: seconds that a single send may take before it counts as failed; without one it could wait for ever
SEND_SECONDS = 60.0
#: seconds for all attempts of one batch; longer than the minute for which a throttled hub may say server-busy
PATIENCE_SECONDS = 150.0
#: the same while the sign-in is refused: a token that just ran out, or a role that was given a moment ago, is refused
#: for a while; then a person has to know
REFUSED_SECONDS = 45.0
#: first pause after server-busy, which asks for 4 s at least
#: (https://learn.microsoft.com/java/api/com.microsoft.azure.eventhubs.serverbusyexception), after anything else, and
#: the longest; jitter comes on top
BUSY_PAUSE, OTHER_PAUSE, LONGEST_PAUSE = 4.0, 0.5, 30.0
#: Microsoft's other clients refuse longer ones (MAX_PARTITION_KEY_LENGTH in Azure/azure-sdk-for-java)
LONGEST_KEY = 128
#: batches that are filled at the same time, one per partition key
OPEN_BATCHES = 8

T = TypeVar("T")


class Message(msgspec.Struct, frozen=True):
    """One hook message: the body of one event. Messages with the same partition key stay in order."""

    body: bytes
    partition_key: str


class Published(msgspec.Struct, frozen=True):
    """What the hub has accepted: events, and bytes of their bodies."""

    count: int = 0
    bytes: int = 0


class Hub:
    """A publisher over an EventHubProducerClient (`shared.azure.Azure.hub_producer`).

    attempts, patience: tries and seconds for one batch, whichever ends first. timeout: seconds of one try.
    sleep: how pauses are made. pace: of messages; it slows down when the hub says that it is busy.
    """

    def __init__(
        self,
        producer: EventHubProducerClient,
        *,
        attempts: int = ATTEMPTS,
        timeout: float = SEND_SECONDS,
        patience: float = PATIENCE_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
        pace: Pace | None = None,
    ) -> None:
        self._producer = producer
        self._pace = pace
        self._attempts = attempts
        self._timeout = timeout
        self._patience = patience
        self._sleep = sleep
        self._where = f"event hub {producer.eventhub_name}"

    def publish(self, messages: Iterable[Message]) -> Published:
        """Send every message, one event each, and return when the hub has accepted all of them.

        Raises BadInput for a message above the hub's limit (those before it may be sent), SettingsError when the hub
        refuses access or does not exist, HubBusy when patience is over. After an error send all of them again.
        """
        from azure.eventhub import EventData

        count = size = 0
        batches: dict[str, EventDataBatch] = {}
        for message in messages:
            if self._pace is not None:
                self._pace.take()
            key = partition_key(message.partition_key)
            event = EventData(message.body)
            if key in batches and not _fits(batches[key], event):
                self._send(batches.pop(key))
            elif key in batches:
                count, size = count + 1, size + len(message.body)
                continue
            if len(batches) >= OPEN_BATCHES:
                self._send(batches.pop(next(iter(batches))))
            batches[key] = self._new_batch(key)
            if not _fits(batches[key], event):
                limit = batches[key].max_size_in_bytes
                raise BadInput(
                    f"a message of {len(message.body):,} bytes does not fit into one event of {limit:,} bytes",
                    where=self._where,
                    fix="lower limits.message_bytes (a hub in the Basic tier takes 256 KB)",
                )
            count, size = count + 1, size + len(message.body)
        for batch in batches.values():
            self._send(batch)
        return Published(count, size)

    def _new_batch(self, key: str) -> EventDataBatch:
        # The first batch of a client opens the link, to learn the hub's size limit: it can fail like a send.
        return self._patiently(lambda: self._producer.create_batch(partition_key=key))

    def _send(self, batch: EventDataBatch) -> None:
        if len(batch):
            self._patiently(lambda: self._producer.send_batch(batch, timeout=self._timeout))

    def _patiently(self, act: Callable[[], T]) -> T:
        from azure.eventhub.exceptions import EventHubError
        from tenacity import Retrying, retry_if_exception

        def once() -> T:
            try:
                return act()
            except (EventHubError, OSError) as error:
                if self._pace is not None and is_server_busy(error):
                    self._pace.throttled()
                raise hub_error(error, self._where) from error

        return Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, HubBusy) or _is_refused(error)),
            stop=self._over,
            wait=_pause,
            sleep=self._sleep,
            before_sleep=self._tell,
            reraise=True,
        )(once)

    def _over(self, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        patience = min(self._patience, REFUSED_SECONDS) if _is_refused(error) else self._patience
        spent = max(state.idle_for, state.seconds_since_start or 0.0)
        return state.attempt_number >= self._attempts or spent + state.upcoming_sleep > patience

    def _tell(self, state: RetryCallState) -> None:
        error: Any = state.outcome.exception() if state.outcome else None
        log.warning(
            "the hub is tried again",
            hub=self._where,
            attempt=state.attempt_number,
            pause=round(state.upcoming_sleep, 1),
            reason=getattr(error, "what", ""),
        )


def partition_key(key: str) -> str:
    """The key as Event Hubs takes it: at most 128 characters, a longer one cut and told apart by a digest."""
    if len(key) <= LONGEST_KEY:
        return key
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    return f"{key[: LONGEST_KEY - 25]}~{digest}"


def _fits(batch: EventDataBatch, event: Any) -> bool:
    """Add the event to the batch, unless it is full."""
    try:
        batch.add(event)
    except ValueError:
        return False
    return True


def _is_refused(error: BaseException | None) -> bool:
    """Whether the sign-in was refused; what else is wrong with the settings does not pass by itself."""
    return isinstance(error, SettingsError) and error.__cause__ is not None and is_refused(error.__cause__)


def _pause(state: RetryCallState) -> float:
    """Doubling pauses with jitter; longer ones when the hub said server-busy, never shorter than it asks for."""
    from tenacity import wait_exponential, wait_random

    error = state.outcome.exception() if state.outcome else None
    said = error.__cause__ if error is not None else None
    busy = said is not None and (is_server_busy(said) or is_refused(said))
    base = BUSY_PAUSE if busy else OTHER_PAUSE
    return float((wait_exponential(multiplier=base, max=LONGEST_PAUSE) + wait_random(0, base))(state))
