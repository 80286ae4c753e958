"""The timer's work: which scans are due, and which have stopped without a word."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Container, Iterator

import msgspec

from shared.errors import BadInput, HooklineError, SourceUnreachable, StorageBusy
from shared.pipeline.app import App, log, now, parsed, rfc3339
from shared.pipeline.breaking import longest
from shared.pipeline.login import logged_in
from shared.settings import Instance, due
from shared.state import NEW, Conflict
from shared.state.circuits import Circuit, delay
from shared.state.scans import Scan, ScopeRow, new_scan_id

#: a scan that nobody has touched for so long has lost its queue message; a worker stops after half of it
STOPPED_AFTER = dt.timedelta(hours=1)
#: how often such a scan is taken up again from its last part
MAX_STOPS = 5
#: rows are looked at when the schedule says so, and otherwise this often
LOOK_EVERY = dt.timedelta(minutes=15)
#: a storage queue takes 64 KiB, base64 included
MAX_MESSAGE = 48 * 1024
#: the row that says why an instance's scopes cannot even be listed
NO_SCOPE = "*"


class ScanRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message of the queue `scans`: one scope of one instance, or the next stretch of a scan at work."""

    instance: str
    scope: str
    scan: str
    started: str
    full: bool = False
    reason: str = "schedule"


def request(
    app: App,
    instance: str,
    *,
    full: bool,
    reason: str,
    only_due: bool = False,
    only: Container[str] | None = None,
) -> list[str]:
    """Queue messages for the scopes of one instance (or `only` these), except those that are being scanned.

    Raises SettingsError, SourceError, StorageBusy.
    """
    return list(_requests(app, instance, full=full, reason=reason, only_due=only_due, only=only))


def _requests(
    app: App, instance: str, *, full: bool, reason: str, only_due: bool, only: Container[str] | None = None
) -> Iterator[str]:
    """The same, one by one: a scope is noted as asked for before its message is handed out, which must not get lost."""
    settings = app.instance(instance)
    moment = now()
    circuit = app.source_circuit(instance)
    failing = circuit.look()
    if failing is not None and not only_due:  # a person wants to know
        circuit.close()
        failing = None
    if failing is not None and failing.open:
        app.looked.pop(instance, None)  # to be there when its time has come
        if failing.shut(moment):
            return
    rows = dict(app.scans.of(instance))
    going_on = False
    for message in _stopped(app, instance, rows, moment) if only_due else ():
        going_on = True
        yield message
    if only_due and instance not in app.half_asked and not _any_due(settings, rows, moment):
        return
    scopes = logged_in(app, instance, lambda source: source.scopes())
    if NO_SCOPE in rows and NO_SCOPE not in scopes:
        app.scans.delete(instance, NO_SCOPE)
        circuit.works()
        failing = None
    for scope in rows.keys() - scopes - {NO_SCOPE}:
        _note_gone(app, instance, scope, rows[scope], moment)
    if failing is not None and failing.open:
        if going_on or any(_at_work(row.current, moment) or _asked(row, moment) for row in rows.values()):
            return  # one is on its way already
        scopes = _first(settings, rows, scopes, moment)
    app.half_asked.add(instance)
    too_long = ""
    for scope in scopes:
        if only is not None and scope not in only:
            continue
        row = rows.get(scope, ScopeRow())
        if _at_work(row.current, moment) or (only_due and not _due(settings, row, moment)):
            continue
        asked = ScanRequest(
            instance=instance,
            scope=scope,
            scan=new_scan_id(moment),
            started=rfc3339(moment),
            full=full or (row.current is not None and unanswered(row.current) and row.current.full),
            reason=reason,
        )
        message = msgspec.json.encode(asked).decode()
        if len(message) > MAX_MESSAGE:
            too_long = scope
        elif _note_asked(app, instance, scope, asked.started):
            yield message
    app.half_asked.discard(instance)
    if too_long:
        raise BadInput(
            f"a scope's name is too long for a queue message ({len(too_long):,} characters)",
            where=f"instances.{instance}",
            fix="exclude it",
        )


def _at_work(scan: Scan | None, moment: dt.datetime) -> bool:
    return (
        scan is not None and scan.state == "running" and moment - parsed(scan.touched or scan.started) < STOPPED_AFTER
    )


def _any_due(settings: Instance, rows: dict[str, ScopeRow], moment: dt.datetime) -> bool:
    if list(rows) == [NO_SCOPE] or not rows:
        return _due(settings, rows.get(NO_SCOPE, ScopeRow()), moment)
    failed = rows.get(NO_SCOPE)
    if failed is not None and not _due(settings, failed, moment):
        return False  # its scopes could not be listed a moment ago
    return any(_due(settings, row, moment) for row in rows.values())


def _due(settings: Instance, row: ScopeRow, moment: dt.datetime) -> bool:
    """Whether a scope is to be scanned, and nobody has asked for it lately."""
    if _asked(row, moment):
        return False
    scan = row.current
    if scan is None or _try_again(settings, scan, moment):
        return True
    return due(settings.schedule, parsed(scan.started), moment)


def _asked(row: ScopeRow, moment: dt.datetime) -> bool:
    return bool(row.asked) and moment - parsed(row.asked) < STOPPED_AFTER


def _first(settings: Instance, rows: dict[str, ScopeRow], scopes: list[str], moment: dt.datetime) -> list[str]:
    """Of a source that is just being tried again: one scope that is due, the one whose last try was longest ago.

    So that a scope which fails for reasons of its own does not stand before its neighbours.
    """
    wanted = [scope for scope in scopes if _due(settings, rows.get(scope, ScopeRow()), moment)]

    def tried(scope: str) -> str:
        scan = rows.get(scope, ScopeRow()).current
        return "" if scan is None else scan.touched or scan.started

    return sorted(wanted, key=tried)[:1]


def unanswered(scan: Scan) -> bool:
    """Whether the source did not answer a scan, so that trying again may help."""
    return scan.state == "failed" and scan.problem == SourceUnreachable.__name__


def configured(instance: Instance) -> str:
    """Stands for how an instance is configured, references to secrets as written; too short to tell anything else."""
    said = msgspec.json.encode([instance.connector, dict(instance.settings)], enc_hook=str)
    return hashlib.blake2b(said, digest_size=3).hexdigest()


def _try_again(settings: Instance, scan: Scan, moment: dt.datetime) -> bool:
    """Whether a scan that failed is tried again before its next due time.

    A source that did not answer after a while, a wrong password only when somebody has changed the settings.
    """
    if unanswered(scan):
        wait = delay(scan.tries + 1, longest(settings, moment))
        return moment - parsed(scan.touched or scan.started) >= wait
    return scan.state == "failed" and scan.configured not in ("", configured(settings))


def wait_for_source(app: App, message: ScanRequest, circuit: Circuit) -> None:
    """A scan that cannot be begun while the source is left alone: its row says why, and it is asked for again."""
    log.info("instance=%s scope=%s waits for the source", message.instance, message.scope)
    row, _ = app.scans.get(message.instance, message.scope)
    last, asked = row.current, "" if row.asked == message.started else row.asked
    if last is None or (last.id != message.scan and last.state not in ("running", "extracted")):
        last = Scan(
            id=message.scan,
            instance=message.instance,
            scope=message.scope,
            started=message.started,
            reason=message.reason,
            full=message.full,
        )
    if last.id == message.scan and last.state == "running":
        last = msgspec.structs.replace(
            last,
            state="failed",
            touched=rfc3339(now()),
            problem=SourceUnreachable.__name__,
            error=circuit.error,
            fix=circuit.fix,
        )
    _change(app, message.instance, message.scope, current=last, asked=asked)


def _stopped(app: App, instance: str, rows: dict[str, ScopeRow], moment: dt.datetime) -> Iterator[str]:
    """Messages with which scans go on that say they are running, but have not been touched for an hour."""
    for scope, row in rows.items():
        scan = row.current
        if scan is None or scan.state != "running" or _at_work(scan, moment):
            continue
        if scan.stops >= MAX_STOPS:
            what = f"stopped {scan.stops} times without a word since its last part (out of memory, or killed)"
            fix = "look at the function's log at the time of its last attempt"
            ended = msgspec.structs.replace(
                scan, state="failed", problem="stuck", error=what, fix=fix, finished=rfc3339(moment)
            )
            _change(app, instance, scope, current=ended)
            continue
        touched = msgspec.structs.replace(scan, stops=scan.stops + 1, touched=rfc3339(moment))
        if _change(app, instance, scope, current=touched):
            log.warning("instance=%s scope=%s scan=%s has stopped and is taken up again", instance, scope, scan.id)
            again = ScanRequest(
                instance=instance,
                scope=scope,
                scan=scan.id,
                started=scan.started,
                full=scan.full,
                reason=scan.reason,
            )
            yield msgspec.json.encode(again).decode()


def _note_asked(app: App, instance: str, scope: str, started: str) -> bool:
    """So that the same scan is not asked for again while its message waits. False: somebody is at the scope."""
    return _change(app, instance, scope, asked=started)


def _note_gone(app: App, instance: str, scope: str, row: ScopeRow, moment: dt.datetime) -> None:
    """A scope that the source (or the selection) does not have any more; its assets are left alone."""
    if row.current is not None and row.current.state == "gone":
        touched = msgspec.structs.replace(row.current, started=rfc3339(moment))
        _change(app, instance, scope, current=touched)
        return
    last = row.current
    gone = Scan(
        id=last.id if last is not None else new_scan_id(moment),
        instance=instance,
        scope=scope,
        started=rfc3339(moment),
        state="gone",
        parts=last.parts if last is not None else 0,
        finished=rfc3339(moment),
        error=f"{scope} is not there any more, or not selected",
        fix="its assets stay in the catalogue until somebody deletes them there",
    )
    if last is None or last.state == "finished":
        _change(app, instance, scope, current=gone)


def _change(app: App, instance: str, scope: str, **changes: object) -> bool:
    """Write a row unless somebody is at work on the scope (or just was)."""
    row, etag = app.scans.get(instance, scope)
    try:
        app.scans.put(instance, scope, msgspec.structs.replace(row, **changes), etag=etag or NEW)
    except Conflict:
        return False
    return True


def schedule(app: App) -> list[str]:
    """Messages for everything that is due. An instance whose source does not answer is noted and the others go on."""
    messages: list[str] = []
    for name, instance in app.settings.instances.items():
        if not instance.enabled or not _worth_a_look(app, name, instance):
            continue
        try:
            for message in _requests(app, name, full=False, reason="schedule", only_due=True):
                messages.append(message)  # at once: what comes before an error is not to be lost with it
        except StorageBusy as error:
            log.warning("instance=%s waits for the next minute: %s", name, error)
            app.looked.pop(name, None)
        except HooklineError as error:
            log.error("instance=%s cannot be scanned: %s", name, error)
            _noted(app, name, error)
        except Exception as error:  # noqa: BLE001 - one connector's fault is not to stop the others
            log.exception("instance=%s: the connector failed", name)
            fix = "look at the function's log; it is a fault of the connector, please report it"
            _noted(app, name, HooklineError(f"the connector failed ({type(error).__name__})", fix=fix))
    return messages


def _noted(app: App, name: str, error: HooklineError) -> None:
    """Note a failure; storage that is busy is no reason to forget what the other instances ask for."""
    try:
        note_failure(app, name, error)
        if isinstance(error, SourceUnreachable):
            app.source_circuit(name).failed(error, now(), at_once=True)
    except StorageBusy as busy:
        log.warning("instance=%s: its failure is noted in the next minute: %s", name, busy)
        app.looked.pop(name, None)


def _worth_a_look(app: App, name: str, instance: Instance) -> bool:
    """Reading rows costs money: only when the schedule's time has come since the last look, and now and then."""
    moment, last = now(), app.looked.get(name)
    if last is not None and abs(moment - last) < LOOK_EVERY and not due(instance.schedule, last, moment):
        return False
    app.looked[name] = moment
    return True


def note_failure(app: App, instance: str, error: HooklineError) -> None:
    """Keep the reason where `status` finds it; the schedule is tried again when it is next due."""
    moment = rfc3339(now())
    failed = Scan(
        id=new_scan_id(now()),
        instance=instance,
        scope=NO_SCOPE,
        started=moment,
        finished=moment,
        state="failed",
        reason="schedule",
        problem=type(error).__name__,
        configured=configured(app.instance(instance)),
        error=error.what,
        fix=error.fix,
    )
    _change(app, instance, NO_SCOPE, current=failed)
