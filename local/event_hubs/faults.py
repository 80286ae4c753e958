"""Faults on purpose: what an Event Hubs namespace does to its clients on a bad day.

    kind               what a client meets                                                  the event is
    busy               the send is rejected with com.microsoft:server-busy                  not stored
    reject             the send is rejected with `condition`                                not stored
    detach             the link is detached with `condition`                                not stored
    close              the connection is closed with amqp:connection:forced                 not stored
    drop               the TCP connection breaks                                            not stored
    drop-after-store   the TCP connection breaks, no answer is sent                         stored
    slow               the answer comes `delay` seconds later                               stored
    unauthorized       tokens are refused with `status`, links with amqp:unauthorized-access not stored

A fault hits sends to `hub` (every hub when empty). `at="receive"` makes detach, close and drop hit consumers instead,
when they are to be given an event. It ends after `times` hits or `seconds`, whichever comes first; without either it
stays until `clear()`. Of several faults the one added first wins.

In process: `server.faults.add(Fault("busy", seconds=60))`. Of a process: one JSON object per line on its standard
input, one line of JSON back on its standard output; or the same over TCP, where it was started with `--control`:

    {"add": {"kind": "busy", "hub": "purview-hook", "seconds": 60}}     {"ok": true}
    {"clear": true}                                                     {"ok": true}
    {"stats": true}                                                     {"connections": 1, "events": 20, ...}
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Annotated, Literal, Protocol

import msgspec

Kind = Literal["busy", "reject", "detach", "close", "drop", "drop-after-store", "slow", "unauthorized"]
_DEFAULT_CONDITION = {
    "busy": "com.microsoft:server-busy",
    "reject": "amqp:internal-error",
    "detach": "amqp:link:detach-forced",
    "close": "amqp:connection:forced",
    "unauthorized": "amqp:unauthorized-access",
}
_AT_RECEIVE = ("detach", "close", "drop")


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See the module's table. Times in seconds."""

    kind: Kind
    hub: str = ""
    at: Literal["send", "receive"] = "send"
    times: Annotated[int, msgspec.Meta(ge=1)] | None = None
    seconds: Annotated[float, msgspec.Meta(gt=0)] | None = None
    delay: Annotated[float, msgspec.Meta(ge=0, le=600)] = 1.0
    condition: str = ""
    description: str = "a fault injected on purpose"
    status: int = 401

    def __post_init__(self) -> None:
        if self.at == "receive" and self.kind not in _AT_RECEIVE:
            raise ValueError(f"a fault at receive is one of {', '.join(_AT_RECEIVE)}")
        if not self.condition.isascii():
            raise ValueError("a condition is ASCII")

    @property
    def symbol(self) -> str:
        """The AMQP condition that the client is told."""
        return self.condition or _DEFAULT_CONDITION.get(self.kind, "amqp:internal-error")


class Command(msgspec.Struct, forbid_unknown_fields=True):
    """One line of the protocol above."""

    add: Fault | None = None
    clear: bool = False
    stats: bool = False


class _Active:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.left = fault.times
        self.until = None if fault.seconds is None else time.monotonic() + fault.seconds

    @property
    def over(self) -> bool:
        return self.left == 0 or (self.until is not None and time.monotonic() >= self.until)


class Faults:
    """The faults in force, and how often each kind has struck; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: list[_Active] = []
        self.by_kind: Counter[str] = Counter()

    @property
    def hits(self) -> int:
        return self.by_kind.total()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._active.append(_Active(fault))

    def clear(self) -> None:
        with self._lock:
            self._active.clear()

    def hit(self, hub: str, *kinds: Kind, at: Literal["send", "receive"] = "send") -> Fault | None:
        """The fault that strikes now, counted as a hit; only of `kinds` when any are given."""
        if not self._active:
            return None
        with self._lock:
            self._active = [active for active in self._active if not active.over]
            for active in self._active:
                fault = active.fault
                if fault.at == at and fault.hub.lower() in ("", hub.lower()) and (not kinds or fault.kind in kinds):
                    if active.left is not None:
                        active.left -= 1
                    self.by_kind[fault.kind] += 1
                    return fault
        return None


class Controlled(Protocol):
    """What the line protocol reaches."""

    faults: Faults

    def stats(self) -> dict[str, float]: ...


def obey(line: bytes, server: Controlled) -> bytes:
    """Carry out one line of the protocol above; the answer is one line of JSON, an error included."""
    try:
        command = msgspec.json.decode(line, type=Command)
    except msgspec.DecodeError as error:
        return msgspec.json.encode({"error": str(error)}) + b"\n"
    if command.clear:
        server.faults.clear()
    if command.add is not None:
        server.faults.add(command.add)
    return msgspec.json.encode(server.stats() if command.stats else {"ok": True}) + b"\n"
