"""Deletions that are not believed (too many, or another filter): listed by name, held back, let go by a person.

An approval is for what was shown, and deletes nothing by itself: the next complete scan of the scope does, if what it
misses was on the list. Whatever has come back by then stays; whatever else has gone meanwhile is held anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import msgspec

from shared.errors import UsageError
from shared.naming import Name
from shared.pipeline.app import App
from shared.pipeline.ground import AT_WORK
from shared.pipeline.landing import drop_rejected, put_rejected
from shared.pipeline.refusals import refused_of
from shared.pipeline.scheduling import request
from shared.records import Refusal
from shared.settings import Instance
from shared.state import Conflict
from shared.state.scans import Scan, ScopeRow

RULE = "held"


def _path(instance: str, scan: str) -> str:
    return f"{instance}/{scan}/held"


def selection_of(instance: Instance) -> str:
    """Stands for what an instance is to read."""
    said = msgspec.json.encode([sorted(instance.include), sorted(instance.exclude)])
    return hashlib.blake2b(said, digest_size=8).hexdigest()


def hold(app: App, scan: Scan, names: Iterable[Name], why: str) -> None:
    """Write down what is not deleted before somebody approves."""
    fix = f"`./hookline approve {scan.instance} {scan.scope}` if it is meant"
    reason = f"the last scan did not find it any more. It was not deleted: {why}"
    put_rejected(
        app,
        _path(scan.instance, scan.id),
        (
            msgspec.json.encode(Refusal(place=f"{n.type_name} {n.qualified_name}", rule=RULE, reason=reason, fix=fix))
            + b"\n"
            for n in names
        ),
    )


def held(app: App, instance: str, scan: str) -> Iterator[Name]:
    """What a scan holds back; nothing when its list is not there any more."""
    for _, item in refused_of(app, _path(instance, scan)):
        type_name, _, qualified_name = item.place.partition(" ")
        yield Name(type_name, qualified_name)


def approved(app: App, instance: str, row: ScopeRow, names: Iterable[Name]) -> bool:
    """Whether a person has let all of these go."""
    return row.approved and set(names) <= set(held(app, instance, row.held))


def forget(app: App, instance: str, row: ScopeRow) -> None:
    """A complete scan has decided anew: the last list counts no more."""
    if row.held:
        drop_rejected(app, _path(instance, row.held))


def waiting(app: App, instance: str, scopes: Iterable[str] = ()) -> dict[str, list[Name]]:
    """Scope -> what is held of it. scopes: only these. Raises UsageError for one that holds nothing, SettingsError."""
    app.instance(instance)
    rows = dict(app.scans.of(instance))
    holding = {scope: row for scope, row in rows.items() if row.held}
    wanted = list(scopes) or list(holding)
    for scope in wanted:
        if scope not in holding:
            there = f"deletions wait in {', '.join(sorted(holding))}" if holding else "nothing waits for an approval"
            raise UsageError(f"there are no held deletions in {scope}", where=f"instance {instance}", fix=there)
    return {scope: list(held(app, instance, holding[scope].held)) for scope in wanted}


def approve(app: App, instance: str, scopes: Iterable[str]) -> list[str]:
    """Let the held deletions of these scopes go; returns messages for the queue `scans`, with which that happens.

    Raises UsageError while one of them is being scanned, SettingsError, SourceError, StorageBusy.
    """
    for scope in scopes:
        row, etag = app.scans.get(instance, scope)
        try:
            if row.current is not None and row.current.state in AT_WORK:
                raise Conflict("it is being scanned")
            app.scans.put(instance, scope, msgspec.structs.replace(row, approved=True), etag=etag)
        except Conflict as error:
            raise UsageError(
                f"{scope} is being scanned", where=f"instance {instance}", fix="approve when that scan is finished"
            ) from error
    return request(app, instance, full=False, reason="approve", only=frozenset(scopes))
