"""What a file's ends of lineage would be resolved to, for `plan`: asked of the catalogue, noted nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from shared.atlas.endpoints import Answer, End, How, Wanted
from shared.delivery.resolve import Resolver
from shared.errors import CatalogBusy, CatalogRefused
from shared.naming import Name
from shared.pipeline.app import App, log
from shared.pipeline.resolving import will_publish
from shared.records import Address
from shared.state.resolved import Resolved


class PlannedEnd(msgspec.Struct, frozen=True, kw_only=True):
    """wanted: what the file calls it; name: what lineage would refer to; how: as in a receipt's `resolved`.

    alias_of: the host that was scanned, where the file names another; near: assets that might be meant.
    """

    wanted: Name
    name: Name
    how: How
    alias_of: str = ""
    several: tuple[Name, ...] = ()
    near: tuple[Name, ...] = ()


class Asking:
    """A directory (shared.atlas.endpoints) that leaves no trace."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._resolver = Resolver(
            app.asking_catalog,
            lambda: app.pace,
            _NoMemory(),
            app.catalogue_columns.ask,
            types=lambda name: name in app.rules.types,
            clock=app.clock,
        )
        self._wanted: dict[Name, Wanted] = {}

    def ask(self, wanted: Sequence[Wanted]) -> Mapping[Name, Answer]:
        self._wanted.update({one.name: one for one in wanted})
        try:
            return self._resolver.ask(wanted)
        except CatalogBusy as error:
            log.warning("ends of lineage are not looked for: %s", error)
            return {}

    def ours(self, address: Address, name: Name) -> bool:
        return will_publish(self._app, address, name)

    def refer(self, wanted: Sequence[Wanted]) -> None:
        """Nothing is going to be sent."""

    def planned(self, ends: Iterable[End]) -> list[PlannedEnd]:
        """Every foreign end once, in order of what it is taken for and its name."""
        naming = self._app.naming()
        found: dict[Name, PlannedEnd] = {}
        for end in ends:
            if end.wanted in found:
                continue
            host = naming.host(end.meant)
            found[end.wanted] = PlannedEnd(
                wanted=end.wanted,
                name=end.name,
                how=end.how,
                alias_of=host if host != end.meant.host else "",
                several=end.several,
                near=self._near(end),
            )
        return sorted(found.values(), key=lambda one: (one.how, one.wanted.qualified_name))

    def _near(self, end: End) -> tuple[Name, ...]:
        one = self._wanted.get(end.wanted)
        if one is None or end.several or end.how not in ("placeholder", "stub"):
            return ()
        try:
            return tuple(self._resolver.near(one))
        except (CatalogBusy, CatalogRefused):
            return ()


class _NoMemory:
    """In place of the table `resolved`."""

    def get(self, name: Name) -> Resolved | None:  # noqa: ARG002
        return None

    def put(self, answers: Mapping[Name, Resolved], path: str) -> None:
        """Nothing is remembered."""

    def forget(self, names: Iterable[Name]) -> set[str]:  # noqa: ARG002
        return set()

    def doubt(self, names: Iterable[Name]) -> None:
        """Nothing is remembered."""
