"""The rows of the fault matrix: what goes wrong, for how long, and how to call it."""

from __future__ import annotations

import random

import msgspec

from local.event_hubs.faults import Fault as HubFault
from local.event_hubs.faults import Kind as HubKind
from local.faults.http import HttpFault
from local.faults.stack import Faulty, Sink
from local.stack import HOOK

#: the app's containers; what the trigger host keeps for itself is Azure's business
_STORAGE = r"^/[^/]+/(landing|state|rejected)[/?]"
_WRITES = ("PUT", "POST", "DELETE", "PATCH")
#: headers by which to tell calls: of a write with a lease, of a call for one, of a conditional write
_LEASED, _ACQUIRES, _CONDITION = "x-ms-lease-id", "x-ms-lease-duration", "if-match"
#: longer than the app's patience (stack.ANSWER_SECONDS)
_TOO_LATE = 5.0


class Row(msgspec.Struct, frozen=True):
    """One row. seconds: how long the faults last while work goes on; sink: what the app sends over."""

    name: str
    service: str
    what: str
    faults: Faulty
    seconds: float = 15.0
    changes: int = 10
    sink: Sink = "hub"
    needs_remote: bool = False

    def seeded(self, seed: int, share: float = 1.0) -> Faulty:
        """Its faults, whatever is random in them chosen by the seed, for a share of their time."""

        def of(faults: tuple[HttpFault, ...], salt: int) -> tuple[HttpFault, ...]:
            return tuple(msgspec.structs.replace(fault, seed=seed * 1000 + salt + n) for n, fault in enumerate(faults))

        found = self.faults
        return msgspec.structs.replace(
            found,
            hub=tuple(
                msgspec.structs.replace(fault, seconds=fault.seconds * share if fault.seconds else None)
                for fault in found.hub
            ),
            rest=of(found.rest, 0),
            storage=of(found.storage, 100),
            vault=of(found.vault, 200),
        )


def _hub(kind: HubKind, times: int | None = None, seconds: float | None = None, delay: float = 1.0) -> HubFault:
    return HubFault(kind, hub=HOOK, times=times, seconds=seconds, delay=delay)


def _storage(kind: str, percent: float, **options: object) -> HttpFault:
    return msgspec.convert({"path": _STORAGE, **options, "kind": kind, "percent": percent}, HttpFault)


def _answers(percent: float, *statuses: int) -> tuple[HttpFault, ...]:
    return tuple(HttpFault("answer", status=status, percent=percent) for status in statuses)


_LOST_LEASE = HttpFault("upset", header=_LEASED, methods=("PUT",), path=_STORAGE, percent=25)
_OF_EVERYTHING = Faulty(
    hub=(
        _hub("busy", 4),
        _hub("drop-after-store", 2),
        _hub("detach", 2),
        _hub("drop", 2),
        _hub("slow", 5, delay=2.0),
        HubFault("close", at="receive", times=2),
    ),
    rest=(
        HttpFault("answer", status=429, percent=20),
        HttpFault("answer", status=503, percent=10),
        HttpFault("half", status=500, methods=("POST",), path=r"/entity/bulk", percent=15),
        HttpFault("lose", percent=10),
        HttpFault("slow", delay=_TOO_LATE, percent=5),
    ),
    storage=(
        _storage("answer", 4, status=503, code="ServerBusy"),
        _storage("answer", 2, status=500, code="InternalError"),
        _storage("lose", 2),
        _storage("slow", 0.5, delay=_TOO_LATE),
        msgspec.structs.replace(_LOST_LEASE, percent=2),
    ),
    vault=(HttpFault("answer", status=503, percent=40), HttpFault("answer", status=429, percent=20)),
    cuts=(900, 6000),
)

ROWS: tuple[Row, ...] = (
    Row("hub-busy", "Event Hubs", "server-busy for a minute", Faulty(hub=(_hub("busy", seconds=60),)), seconds=62),
    Row("hub-detach", "Event Hubs", "link detached, 6 times", Faulty(hub=(_hub("detach", 6),))),
    Row("hub-close", "Event Hubs", "connection closed, 6 times", Faulty(hub=(_hub("close", 6),))),
    Row("hub-drop", "Event Hubs", "connection drops before the store, 6 times", Faulty(hub=(_hub("drop", 6),))),
    Row(
        "hub-drop-after",
        "Event Hubs",
        "connection drops after the store, 6 times",
        Faulty(hub=(_hub("drop-after-store", 6),)),
    ),
    Row("hub-slow", "Event Hubs", "answers come 4 s late", Faulty(hub=(_hub("slow", delay=4.0),)), seconds=20),
    Row(
        "hub-401",
        "Event Hubs",
        "401 for 20 s, then recovery",
        Faulty(hub=(_hub("unauthorized", seconds=20),)),
        seconds=22,
    ),
    Row(
        "hub-receive",
        "Event Hubs",
        "receivers detached and dropped, 6 times",
        Faulty(hub=(HubFault("detach", at="receive", times=3), HubFault("drop", at="receive", times=3))),
    ),
    Row(
        "storage-409",
        "storage",
        "409 (lease held) to a third of the calls for a lease",
        Faulty(storage=(_storage("answer", 33, status=409, code="LeaseAlreadyPresent", header=_ACQUIRES),)),
    ),
    Row(
        "storage-412",
        "storage",
        "412 to a third of the conditional writes",
        Faulty(storage=(_storage("answer", 33, status=412, code="ConditionNotMet", header=_CONDITION),)),
    ),
    Row(
        "storage-500",
        "storage",
        "500 to every tenth call",
        Faulty(storage=(_storage("answer", 10, status=500, code="InternalError"),)),
    ),
    Row(
        "storage-503",
        "storage",
        "503 to a third of the calls",
        Faulty(storage=(_storage("answer", 33, status=503, code="ServerBusy"),)),
    ),
    Row(
        "storage-timeout",
        "storage",
        "carried out, but the answer comes too late, 4 %",
        Faulty(storage=(_storage("slow", 4, delay=_TOO_LATE),)),
    ),
    Row(
        "storage-drop",
        "storage",
        "connection drops: before 5 %, after 5 %",
        Faulty(storage=(_storage("drop", 5), _storage("lose", 5))),
    ),
    Row("storage-lease", "storage", "leases lost in the middle of the work", Faulty(storage=(_LOST_LEASE,))),
    Row(
        "vault-403",
        "Key Vault",
        "403 for 15 s",
        Faulty(vault=(HttpFault("answer", status=403, code="Forbidden"),)),
        needs_remote=True,
    ),
    Row(
        "vault-timeout",
        "Key Vault",
        "no answer for 15 s",
        Faulty(vault=(HttpFault("slow", delay=_TOO_LATE),)),
        needs_remote=True,
    ),
    Row(
        "source-cut",
        "source",
        "PostgreSQL's connection is cut, 4 times",
        Faulty(cuts=(200, 900, 4000, 9000)),
        needs_remote=True,
    ),
    Row("mixed", "everything", "all of it at once", _OF_EVERYTHING, seconds=30, changes=20),
    Row(
        "rest-429",
        "Purview REST",
        "429 without Retry-After to two thirds of the calls",
        Faulty(rest=_answers(66, 429)),
        sink="rest",
    ),
    Row(
        "rest-429-after",
        "Purview REST",
        "429 with Retry-After: 2 to two thirds of the calls",
        Faulty(rest=(HttpFault("answer", status=429, retry_after=2, percent=66),)),
        sink="rest",
    ),
    Row(
        "rest-5xx",
        "Purview REST",
        "500, 502, 503, 504, each to a sixth of the calls",
        Faulty(rest=_answers(17, 500, 502, 503, 504)),
        sink="rest",
    ),
    Row(
        "rest-timeout",
        "Purview REST",
        "carried out, but the answer comes too late, 50 %",
        Faulty(rest=(HttpFault("slow", delay=_TOO_LATE, percent=50),)),
        sink="rest",
    ),
    Row(
        "rest-drop",
        "Purview REST",
        "connection drops: before 30 %, after 30 %",
        Faulty(rest=(HttpFault("drop", percent=30), HttpFault("lose", percent=30))),
        sink="rest",
    ),
    Row(
        "rest-half",
        "Purview REST",
        "half of a bulk is applied, then 500, two thirds of the times",
        Faulty(rest=(HttpFault("half", status=500, methods=("POST",), path=r"/entity/bulk", percent=66),)),
        sink="rest",
    ),
    Row("mixed-rest", "everything", "all of it at once", _OF_EVERYTHING, seconds=30, changes=20, sink="rest"),
)
NAMES = tuple(row.name for row in ROWS)


def named(names: tuple[str, ...]) -> list[Row]:
    """These rows, all without a name, in the matrix's order."""
    return [row for row in ROWS if not names or row.name in names]


def chance(seed: int, row: Row) -> random.Random:
    """Of when things happen in a row."""
    return random.Random(f"{seed} {row.name}")  # noqa: S311 - reproducible on purpose
