"""Circuit breaking: what fails as a whole (a source, the sink) is left alone for a while, and its work waits.

A source that does not answer fails every scope of its instance, and a sink that refuses fails every file. Trying each
of them over and over costs time, locks accounts and fills poison queues; so after a few failures in a row nothing is
tried before a time that `status` names, then one scope or file goes first, and when it gets through the others follow.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence

from shared.atlas.messages import Message
from shared.delivery.sinks import Refused, Sink
from shared.errors import CatalogRefused, HooklineError, SettingsError
from shared.settings import Instance, next_time
from shared.state.circuits import FIRST, Circuit, Circuits
from shared.telemetry import get_logger

log = get_logger("pipeline")

#: failures in a row, whichever scope of the instance; the queue tries a message five times
SOURCE_FAILURES = 3
#: a source is tried again after so long at the latest, or when its schedule says so
SOURCE_LONGEST = dt.timedelta(hours=6)
#: what a sink refuses is put right by a person, who wants to see it work
SINK_LONGEST = dt.timedelta(hours=1)
#: there is one sink: its row
SINK = "messages"


def longest(instance: Instance, moment: dt.datetime) -> dt.timedelta:
    """How long a source is left alone at most: not longer than its schedule would."""
    first = next_time(instance.schedule, moment)
    return min(SOURCE_LONGEST, max(FIRST, next_time(instance.schedule, first) - first))


class SinkCircuit:
    """Whether messages can be sent at all, as far as anybody knows.

    Only refusals count (no permission, no such hub); busy is something else, and is tried again by whoever sends.
    """

    def __init__(self, circuits: Circuits, clock: Callable[[], dt.datetime]) -> None:
        self._circuits = circuits
        self._clock = clock
        self._failing = False  # as this worker has seen it last

    def look(self) -> Circuit | None:
        """The circuit as it is; None when all is well."""
        circuit = self._circuits.get("sink", SINK)
        self._failing = circuit is not None
        return circuit

    def shut(self) -> Circuit | None:
        """The same, where nothing may be sent now."""
        circuit = self.look()
        return circuit if circuit is not None and circuit.shut(self._clock()) else None

    def failed(self, error: HooklineError) -> None:
        circuit = self._circuits.failed("sink", SINK, error, self._clock(), longest=SINK_LONGEST)
        self._failing = True
        log.error("nothing can be sent", until=circuit.retry_at, failures=circuit.failures, reason=error.what)

    def works(self) -> None:
        if self._failing:
            self._circuits.close("sink", SINK)
            self._failing = False
            log.info("messages can be sent again")


class GuardedSink:
    """A sink that says to its circuit what becomes of what it is given."""

    def __init__(self, sink: Sink, circuit: SinkCircuit) -> None:
        self._sink = sink
        self._circuit = circuit
        self.name = sink.name
        self.answers = sink.answers

    def publish(self, messages: Iterable[Message], partition_key: str) -> Sequence[Refused]:
        try:
            refused = self._sink.publish(messages, partition_key)
        except (SettingsError, CatalogRefused) as error:
            self._circuit.failed(error)
            raise
        self._circuit.works()
        return refused


class SourceCircuit:
    """Whether an instance's source can be read at all, as far as anybody knows. Only an absent answer counts."""

    def __init__(self, circuits: Circuits, name: str, instance: Instance) -> None:
        self._circuits = circuits
        self._name = name
        self._instance = instance

    def look(self) -> Circuit | None:
        return self._circuits.get("source", self._name)

    def failed(self, error: HooklineError, moment: dt.datetime, *, at_once: bool = False) -> None:
        """at_once: nobody tries it again soon by himself."""
        after = 1 if at_once else SOURCE_FAILURES
        circuit = self._circuits.failed(
            "source", self._name, error, moment, longest=longest(self._instance, moment), after=after
        )
        if circuit.open:
            log.warning("a source is left alone", instance=self._name, until=circuit.retry_at, reason=error.what)

    def works(self) -> None:
        if self.look() is not None:
            self.close()
            log.info("a source answers again", instance=self._name)

    def close(self) -> None:
        self._circuits.close("source", self._name)
