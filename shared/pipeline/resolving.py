"""What a landed file's ends of lineage are asked of: the catalogue, and the instances that are configured."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from shared.atlas.endpoints import Answer, Wanted
from shared.delivery.notifications import Notice
from shared.errors import CatalogBusy, SettingsError
from shared.naming import Name, NameRefused, Naming
from shared.pipeline.app import App, log, now, rfc3339
from shared.records import Address


class FileDirectory:
    """A directory (shared.atlas.endpoints) for one run over a landed file.

    run: when it began (RFC 3339); instance: whose scan the file is of, if it is; fresh: nothing that is remembered
    counts.
    """

    def __init__(self, app: App, path: str, run: str, *, instance: str = "", fresh: bool = False) -> None:
        self._app = app
        self._instance = instance
        self._path = path
        self._run = run
        self._fresh = fresh

    def ask(self, wanted: Sequence[Wanted]) -> Mapping[Name, Answer]:
        """Raises CatalogBusy: the file waits, rather than that its lineage ends at the wrong asset.

        Nothing is asked about what the very instance publishes: a scan of 100,000 tables would ask for each of them.
        Nor does a file wait for the catalogue where instances of ours are going to publish all that it names.
        """
        if self._instance:
            mine = (self._instance,)
            wanted = [one for one in wanted if not will_publish(self._app, one.address, one.name, mine)]
        if not wanted:
            return {}
        try:
            return self._app.resolver.ask(wanted, path=self._path, concerns=self._is_foreign, fresh=self._fresh)
        except CatalogBusy as error:
            if all(self.ours(one.address, one.name) for one in wanted):
                log.warning("path=%s names what is to be scanned, without asking: %s", self._path, error)
                return {}
            raise CatalogBusy(
                f"what its lineage points to cannot be looked for: {error.what}",
                where=error.where,
                fix="nothing to do: the file is tried again",
            ) from error

    def ours(self, address: Address, name: Name) -> bool:
        return will_publish(self._app, address, name)

    def _is_foreign(self, one: Wanted) -> bool:
        """Nobody of ours publishes it. What one of our scans deletes, that scan sees to."""
        return not any(self.ours(one.address, candidate.name) for candidate in one.candidates[:1])

    def refer(self, wanted: Sequence[Wanted]) -> None:
        app = self._app
        app.placeholders.refer(wanted, self._path, self._run, app.clock())


def directory(app: App, path: str, run: str, *, instance: str = "", fresh: bool = False) -> FileDirectory | None:
    """As FileDirectory; None where the catalogue cannot be asked: then lineage ends at stubs."""
    if not app.settings.purview.base_url:
        return None
    return FileDirectory(app, path, run, instance=instance, fresh=fresh)


def will_publish(app: App, address: Address, name: Name, instances: Collection[str] = ()) -> bool:
    """Whether an instance (one of these, if any are given) is going to publish the asset under just this name."""
    for instance, base in app.bases.items():
        if instances and instance not in instances:
            continue
        settings = app.settings.instances[instance]
        if settings.assets != "create" or not settings.enabled:
            continue
        naming = app.naming(instance)
        try:
            covers = naming.system(base) == naming.system(address) and address.path[: len(base.path)] == base.path
            if covers and naming.name(address) == name:
                return True
        except (NameRefused, SettingsError):
            continue
    return False


def flavours(app: App, mine: Naming) -> list[Naming]:
    """Namings with other types than `mine`, for assets that were published under those."""
    return [naming for naming in app.flavours if naming.types != mine.types]


def heard(app: App, notices: Iterable[Notice]) -> None:
    """Take note of what has come and gone in the catalogue: the next sweep looks. Raises StorageBusy, Conflict."""
    if not app.settings.purview.base_url:
        return
    come: set[Name] = set()
    gone: set[Name] = set()
    for notice in notices:
        (gone if notice.operation == "delete" else come).add(notice.name)
    if come:
        app.placeholders.hear(come)
        app.resolver.doubt(come)
    if gone:
        app.placeholders.again(app.resolver.forget(gone), rfc3339(now()))
