"""What was sent, what arrived, and why something did not: what `status` shows.

The JSON of `Status` is a contract (docs/guide/status.md): fields are added, never renamed or removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from shared.errors import SettingsError
from shared.pipeline.app import App, now, rfc3339
from shared.pipeline.files import Look, Wanted
from shared.pipeline.placing import UPLOADS
from shared.state.circuits import Circuit
from shared.state.receipts import Receipt
from shared.state.scans import Scan

VERSION = 1


class Note(NamedTuple):
    """Something that a person should know: what about, what it is, and what to do."""

    place: str
    what: str
    fix: str


class InstanceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One instance: the current scan of each of its scopes, or why it is disabled.

    finished: the last finished scan of scopes whose current one has not finished.
    known: False for one that is not in hookline.yaml any more, and still has assets in the catalogue: `assets` of them.
    circuit: of its source, where the last tries failed. placing: of moving its assets to their collection.
    """

    name: str
    connector: str = ""
    enabled: bool = True
    known: bool = True
    problem: str = ""
    fix: str = ""
    assets: int = 0
    scans: list[Scan] = []
    finished: list[Scan] = []
    circuit: Circuit | None = None
    placing: Circuit | None = None

    @property
    def state(self) -> str:
        """In a word, for one without a scan."""
        if self.problem:
            return "disabled" if self.known else "not configured"
        return "not scanned yet" if self.enabled else "switched off"

    def notes(self) -> Iterator[Note]:
        """What is wrong with it, or waits for a person."""
        if self.problem:
            yield Note(self.name, self.problem, self.fix)
        if self.circuit is not None and self.circuit.open:
            yield left_alone(self.name, self.circuit)
        if self.placing is not None:
            yield left_alone(f"collection of {self.name}", self.placing)
        for scan in self.scans:
            place = f"{scan.instance}/{scan.scope}"
            if scan.error:
                yield Note(place, scan.error, scan.fix)
            if scan.held:
                what = f"{scan.held:,} assets gone from the source and not deleted; `./hookline rejected` says why"
                yield Note(place, what, f"`./hookline approve {scan.instance} {scan.scope}` if this is meant")


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Everything. version: of this structure; at: the moment it is about (RFC 3339); the rest as in `files.Files`.

    circuit: of the sink, where it refuses whatever it is given. placing: of moving what files brought.
    """

    version: int = VERSION
    at: str
    sink: str
    instances: list[InstanceStatus]
    files: list[Receipt]
    next: str = ""
    totals: dict[str, int]
    waiting: int
    waiting_since: str = ""
    landed_since: str = ""
    circuit: Circuit | None = None
    placing: Circuit | None = None

    def notes(self) -> Iterator[Note]:
        """What keeps messages, or assets of uploaded files, from where they belong."""
        if self.circuit is not None:
            yield left_alone(f"sending by {self.sink}", self.circuit)
        if self.placing is not None:
            yield left_alone("collection of uploads", self.placing)


def left_alone(place: str, circuit: Circuit) -> Note:
    """What an open circuit means for the person who waits."""
    since = f"circuit open since {circuit.since[:16]}Z, failures: {circuit.failures:,}"
    return Note(place, f"{circuit.error} ({since}; next try at {circuit.retry_at[:16]}Z)", circuit.fix)


def status(app: App, wanted: Wanted | None = None) -> Status:
    """Instances, and the files that are wanted (all of them unless said otherwise). Raises StorageBusy, UsageError."""
    found = Look(app, wanted or Wanted()).files()
    return Status(
        at=rfc3339(now()),
        sink=_sink(app),
        instances=instances(app),
        files=found.files,
        next=found.next,
        totals=found.totals,
        waiting=found.waiting,
        waiting_since=found.waiting_since,
        landed_since=found.landed_since,
        circuit=app.sink_circuit.look(),
        placing=app.circuits.get("collection", UPLOADS),
    )


def instances(app: App) -> list[InstanceStatus]:
    """Those that are configured, those that cannot be used, and those that have left something behind."""
    found = []
    for name, instance in sorted(app.settings.instances.items()):
        found.append(
            _with_scans(app, InstanceStatus(name=name, connector=instance.connector, enabled=instance.enabled))
        )
    for name, error in sorted(app.settings.disabled.items()):
        broken = InstanceStatus(name=name, enabled=False, problem=str(error).partition("\n")[0], fix=error.fix)
        found.append(_with_scans(app, broken))
    return found + _left_behind(app, {one.name for one in found})


def _with_scans(app: App, one: InstanceStatus) -> InstanceStatus:
    rows = [row for _, row in app.scans.of(one.name) if row.current is not None]
    last = [
        row.last for row in rows if row.last is not None and row.current is not None and row.last.id != row.current.id
    ]
    scans = [row.current for row in rows if row.current is not None]
    circuit, placing = app.circuits.get("source", one.name), app.circuits.get("collection", one.name)
    return msgspec.structs.replace(one, scans=scans, finished=last, circuit=circuit, placing=placing)


def _left_behind(app: App, configured: set[str]) -> list[InstanceStatus]:
    """Instances that were taken out of hookline.yaml: nothing deletes their assets unless it is asked for."""
    assets: dict[str, int] = {}
    for instance, scope in app.snapshots.scopes():
        if instance not in configured:
            pointer, _ = app.snapshots.current(instance, scope)
            assets[instance] = assets.get(instance, 0) + (pointer.assets if pointer is not None else 0)
    return [
        _with_scans(
            app,
            InstanceStatus(
                name=name,
                enabled=False,
                known=False,
                problem=f"not in hookline.yaml; {count:,} of its assets are in the catalogue",
                fix=f"`./hookline retire {name}` deletes them; or configure it again",
                assets=count,
            ),
        )
        for name, count in sorted(assets.items())
        if count
    ]


def _sink(app: App) -> str:
    try:
        return app.sink.name
    except SettingsError as error:
        return f"nothing: {error.what}"
