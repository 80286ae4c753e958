"""Which collection a person means: by its six-character id, its path, or its name.

`Finance/Sales` is a path of the names that people see, from below the root collection (or from the root itself). A name
alone will do where only one collection has it. Upper and lower case count only where they tell two apart.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Sequence

from shared.delivery.catalog import Catalog, Collection
from shared.errors import SettingsError

#: how old the list of collections may be
LIST_SECONDS = 900.0


def root_of(collections: Sequence[Collection]) -> Collection | None:
    """The one without a parent; None where it is not visible to the caller."""
    return next((one for one in collections if not one.parent), None)


def path_of(collection: Collection, collections: Sequence[Collection]) -> str:
    """Names from below the root; the root's own name for the root."""
    by_id = {one.name: one for one in collections}
    names = [collection.friendly_name]
    while (parent := by_id.get(collection.parent)) is not None and parent.parent and len(names) < len(by_id):
        names.append(parent.friendly_name)
        collection = parent
    return "/".join(reversed(names))


def find(wanted: str, collections: Sequence[Collection], where: str) -> Collection:
    """The collection that is meant. Raises SettingsError for one that is not there, or could be several."""
    for one in collections:
        if one.name == wanted:
            return one
    root = root_of(collections)
    paths = {one.name: path_of(one, collections) for one in collections}
    steps = "/".join(step.strip() for step in wanted.strip("/").split("/"))
    below = steps.partition("/")[2] if root is not None and _same(steps.partition("/")[0], root.friendly_name) else ""
    for spelled in (str, str.casefold):
        for asked in filter(None, (steps, below)):
            by_path = [one for one in collections if spelled(paths[one.name]) == spelled(asked)]
            by_name = [one for one in collections if spelled(one.friendly_name) == spelled(asked)]
            found = by_path or by_name
            if len(found) == 1:
                return found[0]
            if found:
                several = ", ".join(sorted(f"{paths[one.name]} ({one.name})" for one in found))
                raise SettingsError(
                    f"{wanted!r} could be {len(found)} collections: {several}",
                    where=where,
                    fix="write the path, or the six characters in brackets",
                )
    near = difflib.get_close_matches(steps, list(paths.values()), n=3, cutoff=0.5)
    shown = ", ".join(near or sorted(paths.values())[:10]) or "none that the app may see"
    raise SettingsError(
        f"there is no collection {wanted!r}",
        where=where,
        fix=f"write its path or its six characters; {'near are' if near else 'there are'}: {shown}",
    )


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


class Collections:
    """The account's collections as this worker knows them. catalog: gives the client, or None."""

    def __init__(self, catalog: Callable[[], Catalog | None], clock: Callable[[], float] = time.monotonic) -> None:
        self._catalog = catalog
        self._clock = clock
        self._until = 0.0
        self._known: list[Collection] = []

    def all(self) -> list[Collection]:
        """Raises CatalogBusy, CatalogRefused."""
        catalog = self._catalog()
        if catalog is not None and self._clock() >= self._until:
            self._known = catalog.collections()
            self._until = self._clock() + LIST_SECONDS
        return self._known

    def find(self, wanted: str, where: str) -> Collection:
        """Raises SettingsError (no such collection, as of now) and what `all` raises."""
        try:
            return find(wanted, self.all(), where)
        except SettingsError:
            self._until = 0.0  # it may have been made a moment ago
            return find(wanted, self.all(), where)

    def root(self) -> str:
        """Id of the root collection; empty where the app may not see it."""
        root = root_of(self.all())
        return root.name if root is not None else ""
