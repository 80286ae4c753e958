"""What a scan or a file would change, without changing it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import msgspec

from shared.atlas.closure import Closure
from shared.errors import CatalogBusy, CatalogRefused, HooklineError
from shared.naming import Name
from shared.pipeline.app import App
from shared.pipeline.arrival import missing
from shared.pipeline.offline import FileResult, closures, extract_to
from shared.pipeline.planned_ends import Asking, PlannedEnd
from shared.pipeline.resolving import flavours
from shared.records import Refusal
from shared.state.snapshots import Index


class Plan(msgspec.Struct, kw_only=True):
    """Names by what would happen to them; `compared_with` says against what. ends: of a file's lineage."""

    create: list[Name] = []
    change: list[Name] = []
    delete: list[Name] = []
    unchanged: int = 0
    refused: list[Refusal] = []
    ends: list[PlannedEnd] = []
    compared_with: str = "nothing"


def plan_file(path: Path, app: App | None) -> Plan:
    """Compare a file's assets with the catalogue: what is not there is created, what is there may change."""
    plan = Plan()
    made: dict[Name, Closure] = {}
    settings, bases = (app.settings, app.bases) if app is not None else (None, None)
    asking = Asking(app) if app is not None and app.settings.purview.base_url else None
    result = FileResult(path=str(path))
    mine = flavours(app, app.naming()) if app is not None else []
    for item in closures(path, settings=settings, bases=bases, result=result, directory=asking, flavours=mine):
        if isinstance(item, Refusal):
            plan.refused.append(item)
        elif item.operation == "delete":
            plan.delete.append(item.name)
        else:
            made[item.name] = item
    if asking is not None:
        plan.ends = asking.planned(result.ends)
    absent = set(made)
    if app is not None and app.catalog is not None:
        try:
            absent = set(missing(app, made))
            plan.compared_with = "the catalogue"
        except (CatalogBusy, CatalogRefused) as error:
            plan.compared_with = f"nothing ({error.what})"
    plan.create = [name for name in made if name in absent]
    # A stub only names what is there already: it changes nothing.
    plan.change = [name for name, closure in made.items() if name not in absent and not closure.stub]
    plan.unchanged = len(made) - len(plan.create) - len(plan.change)
    return plan


def plan_instance(instance: str, app: App, folder: Path) -> Plan:
    """Extract into `folder` and compare with the snapshot of each scope's last scan. Raises SourceError."""
    plan = Plan()
    seen: set[Name] = set()
    indexes: dict[str, Index] = {}
    for file, _, refusals in extract_to(app, instance, folder):
        plan.refused += refusals
        for item in closures(file, settings=app.settings, bases=app.bases):
            if isinstance(item, Refusal):
                plan.refused.append(item)
                continue
            if item.stub or item.name in seen:
                continue
            seen.add(item.name)
            scope = unquote(file.parent.name)
            if scope not in indexes:
                indexes[scope] = _index(app, instance, scope, plan)
            mark = indexes[scope].mark(item.name)
            if mark is None:
                plan.create.append(item.name)
            elif mark != item.mark:
                plan.change.append(item.name)
            else:
                plan.unchanged += 1
    if plan.compared_with.startswith("scan ") and not plan.refused:
        for scope in indexes:
            for asset in app.snapshots.assets(instance, scope):
                if not asset.stub and asset.name not in seen:
                    plan.delete.append(asset.name)
    return plan


def _index(app: App, instance: str, scope: str, plan: Plan) -> Index:
    try:
        index = app.snapshots.index(instance, scope)
    except HooklineError as error:
        plan.compared_with = f"nothing ({error.what})"
        return Index()
    if index.scan:
        plan.compared_with = f"scan {index.scan}"
    return index
