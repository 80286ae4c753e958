"""What a record refers to: whether it is there, and what is sent along where that cannot be known.

A stub (name, qualified name, parent) is an upsert that changes nothing where the asset exists, and gives a reference
something to hold on to where it does not.
"""

from __future__ import annotations

from typing import Protocol

from shared.atlas.checks import REMEMBERED, Checks, Made
from shared.atlas.entities import Entities
from shared.naming import Name, Naming
from shared.records import Address

#: where lineage names a table, the source may have a view of that name
VIEWS = ("view", "materialized_view")


class Known(Protocol):
    """What is already published (the snapshots of finished scans)."""

    def contains(self, name: Name) -> bool: ...


class Stubs:
    """The stubs of one file, each sent once."""

    def __init__(self, naming: Naming, entities: Entities, checks: Checks, known: Known) -> None:
        self._naming = naming
        self._entities = entities
        self._checks = checks
        self._known = known
        self._stubs: set[int] = set()  # hashes of names
        self._views: set[int] = set()
        self._above: set[tuple[str, str, tuple[str, ...], str]] = set()

    def is_view(self, address: Address) -> None:
        """Take note of a view of this file: lineage may call it a table."""
        self._views.add(hash(self._naming.name(address)))

    def forget(self, name: Name) -> None:
        """The asset was deleted: what refers to it from here on needs its stub again."""
        self._stubs.discard(hash(name))
        self._views.discard(hash(name))
        self._above.clear()

    def above(self, address: Address, place: int | str) -> Made:
        """Stubs of the containers above `address` that nobody has sent yet, outermost first."""
        beside = (address.platform, address.host, address.path[:-1], address.type)
        if beside in self._above:
            return []
        if len(self._above) > REMEMBERED:
            self._above.clear()
        self._above.add(beside)
        above, parent = [], self._naming.parent(address)
        while parent is not None:
            above.append(parent)
            parent = self._naming.parent(parent)
        return [stub for container in reversed(above) for stub in self.stub(container, place)]

    def stub(self, address: Address, place: int | str) -> Made:
        """The stub of one asset, unless it is there. `place`: of the record that refers to it."""
        name = self._naming.name(address)
        identity = hash(name)
        if identity in self._stubs or self.there(name):
            return []
        if len(self._stubs) > REMEMBERED:
            self._stubs.clear()
        self._stubs.add(identity)
        return self._checks.create(self._entities.stub(address), place, stub=True)

    def there(self, name: Name) -> bool:
        """Whether this file brings it, or somebody has published it."""
        return self._checks.sent(name) or hash(name) in self._views or self._known.contains(name)
