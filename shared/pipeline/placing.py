"""Collections: what was confirmed is moved into the collection that its instance, or `purview`, names.

Hook messages cannot say where an asset belongs: Purview puts new ones into the root collection and leaves those that it
has where they are (https://learn.microsoft.com/purview/how-to-lineage-airflow). So this comes after, in the sweep, over
REST. An asset is moved out of the root collection, and out of a collection into which Hookline has put assets of the
same instance before; one that lies anywhere else was put there by somebody, and stays. Stubs, placeholders and
adopted assets are somebody else's, and are not looked at.

What is done is remembered by scope, so that an unchanged asset is never asked for again, and everything once when the
setting changes. Killed anywhere, it asks again for what it had not noted yet, and finds it in its place.
"""

from __future__ import annotations

import datetime as dt
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import msgspec

from shared.atlas.closure import Closure, key
from shared.delivery.catalog import MAX_ENTITIES
from shared.errors import CatalogBusy, CatalogRefused, SettingsError
from shared.naming import Name
from shared.pipeline.app import App, log, now
from shared.state.placements import Placement
from shared.state.receipts import Receipt
from shared.state.snapshots import Pointer

#: moving is paced (operations_per_second): a sweep stops after so long, the next one goes on
SECONDS = 240.0
#: assets that are noted as done together
NOTED_TOGETHER = 2_000
#: names that are asked for together
_ASK_TOGETHER = 50
#: how long what cannot be moved is left alone at most
LONGEST = dt.timedelta(hours=6)
UPLOADS = "uploads"
#: stands for what somebody else owns, whoever sends it
_FOREIGN_TYPES = frozenset({"hookline_placeholder"})


class Owned:
    """Notes the names of a file that no scan has landed, while it is sent; scans have snapshots instead."""

    def __init__(self, app: App, receipt: Receipt, instance: str) -> None:
        """instance: that the file names, if it does."""
        self._app = app
        self._path = receipt.path
        self._wanted = receipt.part < 0 and bool(app.settings.collection(instance)[0]) and app.catalog is not None
        self._foreign: set[int] = set()

    def see(self, item: Closure) -> None:
        if self._wanted and (item.stub or item.operation != "create" or item.name.type_name in _FOREIGN_TYPES):
            self._foreign.add(key(item.name))

    def note(self, chunk: int, names: Iterable[Name]) -> None:
        """Before they are sent: whatever happens then, they are not forgotten."""
        own = [name for name in names if key(name) not in self._foreign] if self._wanted else []
        if own:
            self._app.placements.expect(self._path, chunk, own)


def place(app: App) -> None:
    """Move what is confirmed and not in its place yet.

    What cannot be moved is tried again later, and `status` says why; nothing else is kept from going on.
    """
    if app.catalog is None or not any(app.settings.collection(name)[0] for name in (UPLOADS, *app.settings.instances)):
        return
    until = time.monotonic() + SECONDS
    for name, work in itertools.chain(_scopes(app), _uploads(app)):
        circuit = app.circuits.get("collection", name)
        if circuit is not None and circuit.shut(now()):
            continue
        mover = _Mover(app, name, until)
        try:
            work(mover)
        except CatalogBusy as error:
            log.warning("collections are seen to later: %s", error)
            return
        except (CatalogRefused, SettingsError) as error:
            app.circuits.failed("collection", name, error, now(), longest=LONGEST)
            log.error("instance=%s: assets are not moved to their collection: %s", name, error)
            continue
        if circuit is not None and mover.through:
            app.circuits.close("collection", name)


Work = Callable[["_Mover"], None]


def _scopes(app: App) -> Iterator[tuple[str, Work]]:
    """Scopes of whose last scan something may not be in its place."""
    there = set()
    waiting = {chunk.path for chunk in app.pending.all()}
    for instance, scope in list(app.snapshots.scopes()):
        there.add(f"{instance}/{scope}")
        pointer, _ = app.snapshots.current(instance, scope)
        if pointer is None or instance not in app.settings.instances or not app.settings.collection(instance)[0]:
            continue
        if app.placed.get(f"{instance}/{scope}") == (pointer.scan, app.settings.collection(instance)[0]):
            continue
        if not any(path.startswith(f"{instance}/{pointer.scan}/") for path in waiting):
            yield instance, partial(_Mover.scope, scope=scope, pointer=pointer)
    for known in app.placements.places():
        if known not in there and not known.startswith(f"{UPLOADS}/"):
            app.placements.forget(known)


def _uploads(app: App) -> Iterator[tuple[str, Work]]:
    """What files of people have brought, by the instance that they name."""
    by_instance: dict[str, list[str]] = {}
    for row, path in list(app.placements.waiting()):
        receipt, _ = app.receipts.get(path)
        if receipt is None or (receipt.final and not app.settings.collection(receipt.instance)[0]):
            app.placements.drop(row)
        elif receipt.final:
            named = receipt.instance if receipt.instance in app.settings.instances else UPLOADS
            by_instance.setdefault(named, []).append(row)
    for name, rows in by_instance.items():
        yield name, partial(_Mover.files, rows=rows)


class _Mover:
    """Moves assets of one instance, or of uploads. through: it came to an end of something.

    Every method raises CatalogBusy, CatalogRefused, SettingsError.
    """

    def __init__(self, app: App, name: str, until: float) -> None:
        self._app = app
        self._name = name
        self._until = until
        self.through = False
        self._placed: list[int] = []
        self._left: list[int] = []
        self._ready: list[tuple[str, int]] = []

    def _begin(self, place: str) -> Placement:
        """The placement for the collection that is configured now."""
        app = self._app
        wanted, where = app.settings.collection(self._name)
        target = app.collections.find(wanted, where)
        before = app.placements.at(place)
        self._target, self._shown = target.name, wanted
        if before is not None and before.collection == target.name:
            placement = before
        elif before is None:
            placement = Placement(collection=target.name)
        else:  # the old list goes first: should the setting change back, it would be wrong
            app.placements.forget_done(place, before.collection)
            ours = dict.fromkeys((*before.before, before.collection))
            ours.pop(target.name, None)
            placement = Placement(collection=target.name, before=tuple(ours))
        if placement != before:
            app.placements.put(place, placement)
        root = app.collections.root() or app.settings.purview.account  # by which the root is called
        self._movable = {root, *placement.before} - {"", target.name}
        return placement

    def scope(self, scope: str, pointer: Pointer) -> None:
        """The assets of a scope's snapshot."""
        app, place = self._app, f"{self._name}/{scope}"
        placement = self._begin(place)
        if placement.scan == pointer.scan:
            app.placed[place] = (pointer.scan, self._shown)
            return
        done = app.placements.done(place, self._target)
        kept: set[int] = set()
        noted = 0

        def missing() -> Iterator[Name]:
            for asset in app.snapshots.assets(self._name, scope):
                if asset.deleted or asset.mark & 1 or asset.type_name in _FOREIGN_TYPES:
                    continue  # an odd mark: a stub, or somebody else's that was only updated
                number = key(asset.name)
                if done.place(number) is not None:
                    kept.add(number)
                else:
                    yield asset.name

        def note(keys: set[int], scan: str) -> None:
            app.placements.put_done(place, self._target, keys)
            left = min(len(keys), placement.left + len(self._left))
            counted = msgspec.structs.replace(placement, scan=scan, placed=len(keys) - left, left=left)
            app.placements.put(place, counted)

        for names in _by_type(missing()):
            if time.monotonic() > self._until:
                self._move(self._ready)
                note(kept.union(done, self._placed, self._left), "")
                return
            self._look(names)
            if len(self._placed) + len(self._left) - noted >= NOTED_TOGETHER:
                noted = len(self._placed) + len(self._left)
                note(kept.union(done, self._placed, self._left), "")
        self._move(self._ready)
        note(kept.union(self._placed, self._left), pointer.scan)
        self.through = True
        log.info("in their collection", instance=self._name, scope=scope, moved=len(self._placed), left=len(self._left))

    def files(self, rows: Sequence[str]) -> None:
        """The assets of uploaded files; a row is forgotten when all of it is done."""
        placement = self._begin(f"{UPLOADS}/{self._name}")
        for row in rows:
            for names in _by_type(sorted(self._app.placements.names(row), key=lambda name: name.type_name)):
                if time.monotonic() > self._until:
                    self._move(self._ready)
                    return
                self._look(names)
            self._move(self._ready)
            self._app.placements.drop(row)
            self.through = True
        log.info("in their collection", files=len(rows), moved=len(self._placed), collection=placement.collection)

    def _look(self, names: Sequence[Name]) -> None:
        """Names of one type: where they lie, and what of them is to be moved."""
        app, catalog = self._app, self._app.catalog
        if catalog is None:
            return
        app.pace.take(len(names))
        by_name = {name.qualified_name: name for name in names}
        for found_name, found in catalog.find(names[0].type_name, list(by_name)).items():
            number = key(by_name.get(found_name, Name(names[0].type_name, found_name)))
            if found.status != "ACTIVE":
                continue
            if found.collection == self._target:
                self._placed.append(number)
            elif found.collection in self._movable:
                self._ready.append((found.guid, number))
            elif found.collection and self._movable:
                self._left.append(number)
            else:
                raise CatalogRefused(
                    "it cannot be told which assets lie in the root collection, so none is moved",
                    where=f"{names[0].type_name} {found_name}",
                    fix="give the app's identity a role on the root collection, so that it is listed; or move the"
                    " assets in Purview and take `collection` out of hookline.yaml",
                )
        while len(self._ready) >= MAX_ENTITIES:
            self._move(self._ready[:MAX_ENTITIES])

    def _move(self, batch: list[tuple[str, int]]) -> None:
        catalog = self._app.catalog
        if not batch or catalog is None:
            return
        self._app.pace.take(len(batch))
        try:
            catalog.move([guid for guid, _ in batch], self._target)
        except CatalogRefused as error:
            raise CatalogRefused(
                f"assets cannot be moved to the collection {self._shown} ({self._target}): {error.what}",
                where=error.where,
                fix="the app's identity needs the role Data Curator on that collection and on the root collection"
                if " 403" in error.what
                else error.fix,
            ) from error
        self._placed += [number for _, number in batch]
        self._ready = self._ready[len(batch) :]


def _by_type(names: Iterable[Name]) -> Iterator[list[Name]]:
    """Neighbours of one type, as many as are asked for together."""
    for _, group in itertools.groupby(names, key=lambda name: name.type_name):
        while batch := list(itertools.islice(group, _ASK_TOGETHER)):
            yield batch
