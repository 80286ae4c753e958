"""What was sent, what arrived, and why something did not: what `status` shows."""

from __future__ import annotations

import msgspec

from shared.errors import SettingsError
from shared.pipeline.app import App
from shared.state.receipts import Receipt
from shared.state.scans import Scan


class InstanceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One configured instance: its scopes' current and last finished scans, or why it is disabled."""

    name: str
    connector: str = ""
    enabled: bool = True
    problem: str = ""
    fix: str = ""
    scans: list[Scan] = []


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Everything; `totals` counts files by state, `waiting` the assets that were sent and not confirmed yet."""

    sink: str
    instances: list[InstanceStatus]
    files: list[Receipt]
    totals: dict[str, int]
    waiting: int


def status(app: App) -> Status:
    instances = []
    for name, instance in sorted(app.settings.instances.items()):
        scans = [row.current for _, row in app.scans.of(name) if row.current is not None]
        instances.append(InstanceStatus(name=name, connector=instance.connector, enabled=instance.enabled, scans=scans))
    for name, error in sorted(app.settings.disabled.items()):
        instances.append(InstanceStatus(name=name, enabled=False, problem=str(error), fix=error.fix))
    files = sorted(app.receipts.all(), key=lambda r: (r.started, r.path))
    totals: dict[str, int] = {}
    for receipt in files:
        totals[receipt.state] = totals.get(receipt.state, 0) + 1
    return Status(
        sink=_sink(app),
        instances=instances,
        files=files,
        totals=totals,
        waiting=sum(max(0, r.sent + r.deleted - r.confirmed - r.overtaken) for r in files if r.state == "sent"),
    )


def _sink(app: App) -> str:
    try:
        return app.sink.name
    except SettingsError as error:
        return f"nothing: {error.what}"
