"""Taking an instance's assets out of the catalogue, because a person says so. Nothing else ever retires one.

What another instance has published as well stays. Lineage that came in files of people is theirs, and stays too.
"""

from __future__ import annotations

from collections.abc import Iterator

from shared.errors import UsageError
from shared.naming import Name
from shared.pipeline.app import App, now, rfc3339
from shared.pipeline.beat import Beat
from shared.pipeline.deletions import publish_deletions
from shared.pipeline.ground import AT_WORK
from shared.state import Conflict
from shared.state.scans import Scan, new_scan_id


def assets(app: App, instance: str) -> dict[str, list[Name]]:
    """Scope -> what the instance has in the catalogue, and nobody else; each name once.

    Raises UsageError when there is nothing, and while it is switched on: its next scan would bring everything back.
    """
    places = list(app.snapshots.scopes())
    mine = sorted(scope for owner, scope in places if owner == instance)
    configured = app.settings.instances.get(instance)
    if configured is not None and configured.enabled:
        raise UsageError(
            "it is still switched on, and its next scan would bring everything back",
            where=f"instance {instance}",
            fix="take it out of hookline.yaml, or write `enabled: false`, and deploy that first",
        )
    if not mine:
        known = ", ".join(sorted({owner for owner, _ in places})) or "no instance at all"
        raise UsageError(
            "it has published nothing that is known", where=f"instance {instance}", fix=f"known is: {known}"
        )
    others = [app.snapshots.index(*place) for place in places if place[0] != instance]
    found: dict[Name, str] = {}  # the first scope that has it: the containers above are in all of them
    for scope in mine:
        for name in _published(app, instance, scope):
            if not any(other.publishes(name) for other in others):
                found.setdefault(name, scope)
    return {scope: [name for name, of in found.items() if of == scope] for scope in mine}


def _published(app: App, instance: str, scope: str) -> Iterator[Name]:
    found = dict.fromkeys(asset.name for asset in app.snapshots.assets(instance, scope) if not asset.stub)
    found |= dict.fromkeys(lost.name for lost in app.snapshots.again(instance, scope) if lost.operation == "delete")
    yield from found


def retire(app: App, instance: str, found: dict[str, list[Name]]) -> int:
    """Delete these assets and forget the instance's scans; how many assets that is.

    Raises UsageError while one of its scopes is being scanned, StorageBusy, and what the sink raises; called again, it
    goes on where it stopped.
    """
    deleted = 0
    for scope, names in found.items():
        try:
            lease = app.scans.lease(instance, scope)
        except Conflict as error:
            raise _busy(instance, scope) from error
        with lease:
            row, _ = app.scans.get(instance, scope)
            if row.current is not None and row.current.state in AT_WORK:
                raise _busy(instance, scope)
            scan = Scan(id=new_scan_id(now()), instance=instance, scope=scope, started=rfc3339(now()))
            if names:
                publish_deletions(app, scan, names, Beat(lease))
            app.snapshots.drop(instance, scope)
        app.scans.delete(instance, scope)
        deleted += len(names)
    return deleted


def _busy(instance: str, scope: str) -> UsageError:
    return UsageError(f"{scope} is being scanned", where=f"instance {instance}", fix="try again when that scan is over")
