"""The timer's work: which scans are due."""

from __future__ import annotations

import datetime as dt

import msgspec

from shared.errors import HooklineError, SourceUnreachable
from shared.pipeline.app import App, log, now, parsed, rfc3339
from shared.settings import due
from shared.state.scans import Scan, ScopeRow, new_scan_id

UNREACHABLE_AGAIN = dt.timedelta(minutes=15)


class ScanRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message of the queue `scans`: one scope of one instance, or the next stretch of a scan at work."""

    instance: str
    scope: str
    scan: str
    started: str
    full: bool = False
    reason: str = "schedule"


def request(app: App, instance: str, *, full: bool, reason: str, only_due: bool = False) -> list[str]:
    """Queue messages for the scopes of one instance. Raises SettingsError, SourceError."""
    settings = app.instance(instance)
    moment = now()
    rows = dict(app.scans.of(instance))
    tried = [r.current for r in rows.values() if r.current is not None and not _try_again(r.current, moment)]
    last = max((scan.started for scan in tried), default="")
    if only_due and not due(settings.schedule, parsed(last) if last else None, moment):
        return []
    messages = []
    for scope in app.source(instance).scopes():
        row = rows.get(scope, ScopeRow())
        if only_due and row.current is not None and not due(settings.schedule, parsed(row.current.started), moment):
            continue
        scan = ScanRequest(
            instance=instance,
            scope=scope,
            scan=new_scan_id(moment),
            started=rfc3339(moment),
            full=full,
            reason=reason,
        )
        messages.append(msgspec.json.encode(scan).decode())
    return messages


def _try_again(scan: Scan, moment: dt.datetime) -> bool:
    """Whether a source that did not answer is asked again before its next due time (a wrong password is not)."""
    return (
        scan.state == "failed"
        and scan.reason == SourceUnreachable.__name__
        and moment - parsed(scan.started) > UNREACHABLE_AGAIN
    )


def schedule(app: App) -> list[str]:
    """Messages for everything that is due. An instance whose source does not answer is noted and the others go on."""
    messages: list[str] = []
    for name, instance in app.settings.instances.items():
        if not instance.enabled:
            continue
        try:
            messages += request(app, name, full=False, reason="schedule", only_due=True)
        except HooklineError as error:
            log.error("instance=%s cannot be scanned: %s", name, error)
            note_failure(app, name, error)
    return messages


def note_failure(app: App, instance: str, error: HooklineError) -> None:
    """Keep the reason where `status` finds it; the schedule is tried again when it is next due."""
    moment = rfc3339(now())
    failed = Scan(
        id=new_scan_id(now()),
        instance=instance,
        scope="*",
        started=moment,
        finished=moment,
        state="failed",
        reason=type(error).__name__,
        error=error.what,
        fix=error.fix,
    )
    row, _ = app.scans.get(instance, "*")
    app.scans.put(instance, "*", msgspec.structs.replace(row, current=failed))
