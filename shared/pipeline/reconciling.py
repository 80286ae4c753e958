"""Placeholders give way: when the asset that one stands for appears, the files that need it are transformed again.

A notification only says that it is worth looking; what counts is what the catalogue answers to `Resolver.ask`, the very
question that the files were resolved by. Without a notification hub the sweep looks by itself, after a quarter of an
hour and then more and more seldom, up to once a day; for thousands of placeholders that is a few calls.

Processes first, then the placeholder: it is deleted when the files that needed it are through again and the catalogue
shows no process that still refers to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from shared.errors import CatalogRefused, Transient
from shared.pipeline.app import App, log, now, rfc3339
from shared.pipeline.landing import part_of, version
from shared.pipeline.replaying import Replay
from shared.state.placeholders import Placeholder
from shared.state.receipts import Receipt

#: placeholders that one sweep looks for, so that it ends
MOST = 2_000
#: files that one sweep has transformed again because an asset has come or gone
MOST_FILES = 200
#: a file that was asked for and is not through is looked at again after so long
_WAIT_SECONDS = 4 * 60.0


def reconcile(app: App) -> Iterator[Replay]:
    """Files to be transformed again; deletes placeholders that nothing needs any more.

    Never raises Transient or CatalogRefused: the next sweep goes on.
    """
    if not app.settings.purview.base_url:
        return
    try:
        yield from _again(app)
        moment = app.clock()
        due = sorted((one for one in app.placeholders.all() if one.look_at <= moment), key=lambda one: one.look_at)
        yield from _look_for(app, [one for one in due[:MOST] if not one.appeared], moment)
        for one in due[:MOST]:
            if one.appeared:
                yield from _give_way(app, one, moment)
    except (Transient, CatalogRefused) as error:
        log.warning("placeholders are looked at later: %s", error)


def _again(app: App) -> Iterator[Replay]:
    """Files whose lineage ended at something that has gone; each until it has been transformed since."""
    for path, told in app.placeholders.to_do(MOST_FILES):
        receipt, _ = app.receipts.get(path)
        done = receipt is not None and receipt.started > told and receipt.final
        if done or version(app.landing.get_blob_client(path)) is None:
            app.placeholders.done(path)
        elif receipt is None or receipt.started <= told:
            yield Replay(path=path, again=True)


def _look_for(app: App, waiting: list[Placeholder], moment: float) -> Iterator[Replay]:
    """Whether what they stand for is there by now."""
    if not waiting:
        return
    answers = app.resolver.ask([one.wanted for one in waiting], fresh=True)
    for one in waiting:
        answer = answers.get(one.wanted.name)
        if answer is None:  # the catalogue may not be read
            continue
        if answer.name is None:
            if not _live(app, one) and _delete(app, one):
                continue
            app.placeholders.put({one.wanted.name: lambda row: row.later(moment)})
            continue
        log.info("%s has appeared: what refers to its placeholder is sent again", answer.name.qualified_name)
        appeared = rfc3339(now())

        def step(row: Placeholder, appeared: str = appeared) -> Placeholder:
            return msgspec.structs.replace(row, appeared=appeared, looks=0, look_at=moment + _WAIT_SECONDS)

        app.placeholders.put({one.wanted.name: step})
        for path in _live(app, one):
            yield Replay(path=path, again=True)


def _give_way(app: App, one: Placeholder, moment: float) -> Iterator[Replay]:
    """Delete a placeholder whose asset is there, once the files that needed it are through again."""
    open_ = []
    for path in _live(app, one):
        receipt, _ = app.receipts.get(path)
        if receipt is None or not _is_through(receipt, one):
            open_.append(path)
    if not open_ and _delete(app, one):
        return
    app.placeholders.put({one.wanted.name: lambda row: row.later(moment)})
    for path in open_:
        receipt, _ = app.receipts.get(path)
        if receipt is None or receipt.started <= one.appeared:  # the queue has lost it
            yield Replay(path=path, again=True)


def _is_through(receipt: Receipt, one: Placeholder) -> bool:
    return receipt.final and receipt.started > one.appeared


def _live(app: App, one: Placeholder) -> list[str]:
    """The files that need it, without those that lie there no more, or whose scan is not the scope's last."""
    return [path for path, run in one.refs.items() if _needs(app, one, path, run)]


def _needs(app: App, one: Placeholder, path: str, run: str) -> bool:
    receipt, _ = app.receipts.get(path)
    if receipt is not None and receipt.final and receipt.started > run and not one.appeared:
        return False  # transformed again since, and it did without
    part = part_of(path)
    if part is not None and receipt is not None and receipt.scope:
        pointer, _ = app.snapshots.current(part.instance, receipt.scope)
        if pointer is not None and pointer.scan > part.scan:
            return False
    return version(app.landing.get_blob_client(path)) is not None


def _delete(app: App, one: Placeholder) -> bool:
    """Delete the placeholder if the catalogue shows nothing that refers to it; whether it is gone."""
    catalog = app.catalog
    if catalog is None:
        return False
    name = one.name
    app.pace.take(2)
    found = catalog.get(name.type_name, name.qualified_name)
    if found is not None and _is_referred_to(found):
        return False
    if found is not None:
        catalog.delete(name.type_name, name.qualified_name)
        log.info("the placeholder of %s is deleted", one.wanted.name.qualified_name)
    app.placeholders.put({one.wanted.name: lambda row: None if row.refs == one.refs else row})
    return True


def _is_referred_to(found: dict[str, Any]) -> bool:
    """Whether a living process has it among its inputs or outputs."""
    related = (found.get("entity") or {}).get("relationshipAttributes") or {}
    listed = [*(related.get("inputToProcesses") or ()), *(related.get("outputFromProcesses") or ())]
    return any("DELETED" not in (r.get("entityStatus"), r.get("relationshipStatus")) for r in listed)
