"""The app as one worker process holds it: settings, clients and tables, made once and on first use."""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectors import source_class
from connectors.source import Selection, Source
from shared.atlas.rules import Rules
from shared.atlas.types import TypeRegistry
from shared.azure import Azure
from shared.delivery.collections import Collections
from shared.delivery.pace import Pace
from shared.delivery.sinks import Sink, make_sink
from shared.encryption import Encryption, VaultKeys
from shared.errors import HooklineError, LoginRefused, SettingsError
from shared.naming import Naming
from shared.pipeline.breaking import GuardedSink, SinkCircuit, SourceCircuit
from shared.pipeline.known_columns import CatalogueColumns
from shared.records import Address
from shared.settings import Instance, Secrets, Settings, convert, load, resolve
from shared.state import BlobTable
from shared.state.beside import Beside
from shared.state.circuits import Circuits
from shared.state.deleted import Deleted
from shared.state.pending import Pending
from shared.state.placeholders import Placeholders
from shared.state.placements import Placements
from shared.state.receipts import Receipts, notes
from shared.state.resolved import ResolvedTable
from shared.state.scans import Scans
from shared.state.schemas import SchemaTable
from shared.state.snapshots import Snapshots
from shared.telemetry import get_logger

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

    from shared.delivery.catalog import Catalog
    from shared.delivery.resolve import Resolver
    from shared.delivery.typedefs import TypedefSync

log = get_logger("pipeline")

CONFIG = "HOOKLINE_CONFIG"
#: the account's types are looked at again after so long; where they could not be read, after a minute
_TYPES_SECONDS, _NO_TYPES_SECONDS = 3600.0, 60.0
#: a secret that has been put right is seen after so long
_BASES_SECONDS = 60.0


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def rfc3339(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parsed(moment: str) -> dt.datetime:
    return dt.datetime.fromisoformat(moment)


class App:
    """Everything a function body needs. Nothing is connected to before it is used.

    A worker runs several functions at a time, in threads that share it; what holds an HTTP session is one per thread.
    """

    def __init__(self, settings: Settings, environ: dict[str, str] | None = None) -> None:
        self.settings = settings
        self.environ = dict(os.environ) if environ is None else environ
        self._namings: dict[str, Naming] = {}
        self._mine = threading.local()
        self._rules: tuple[float, Rules] | None = None
        self._bases: tuple[float, dict[str, Address]] | None = None
        #: place -> (scan, collection) whose assets are known to be where they belong
        self.placed: dict[str, tuple[str, str]] = {}
        #: when the scans of an instance were last looked at
        self.looked: dict[str, dt.datetime] = {}
        #: scope by scan, of scans that had something in flight (believing.py)
        self.scope_of_scan: dict[str, str] = {}
        #: instances not all of whose scopes were asked for, because storage failed in between
        self.half_asked: set[str] = set()
        #: when an instance's source refused the login with which settings, and how
        self.refused: dict[str, tuple[dt.datetime, Any, LoginRefused]] = {}

    @classmethod
    def from_environment(cls) -> App:
        """Settings from the file that HOOKLINE_CONFIG names (default: hookline.yaml beside host.json)."""
        path = Path(os.environ.get(CONFIG) or Path(__file__).parents[2] / "hookline.yaml")
        return cls(load(path, os.environ))

    @staticmethod
    def clock() -> float:
        """Seconds since 1970."""
        return now().timestamp()

    # ---- clients

    @cached_property
    def azure(self) -> Azure:
        return Azure(self.environ, self.settings)

    @cached_property
    def landing(self) -> ContainerClient:
        return self.azure.container("landing")

    @cached_property
    def rejected(self) -> ContainerClient:
        return self.azure.container("rejected")

    @cached_property
    def secrets(self) -> Secrets:
        return Secrets(self.azure.key_vault(), self.environ, ttl=self.settings.secrets.ttl.total_seconds())

    @cached_property
    def encryption(self) -> Encryption | None:
        """Of what is written into landing and rejected; None when nothing is to be encrypted."""
        client = self.azure.keys()
        if client is None:
            return None
        name, version = self.settings.landing.key
        return Encryption(VaultKeys(client, name, version, ttl=self.settings.secrets.ttl.total_seconds()))

    @property
    def catalog(self) -> Catalog | None:
        """Purview over REST; None when no account is configured. Raises SettingsError."""
        from shared.delivery.catalog import Catalog

        endpoint = self.settings.purview.base_url
        if not endpoint:
            return None
        if not hasattr(self._mine, "catalog"):
            self._mine.catalog = Catalog(
                endpoint,
                self.azure.catalog_credential(),
                timeout=(5, self.settings.limits.answer_seconds),
                throttled=self.pace.throttled,
            )
        found: Catalog = self._mine.catalog
        return found

    def asking_catalog(self) -> Catalog | None:
        """The same, for what can be done without: it gives up soon. Raises SettingsError."""
        from shared.delivery.catalog import Catalog

        endpoint = self.settings.purview.base_url
        if not endpoint:
            return None
        if not hasattr(self._mine, "asking"):
            self._mine.asking = Catalog(
                endpoint,
                self.azure.catalog_credential(),
                timeout=(5, min(20, self.settings.limits.answer_seconds)),
                attempts=2,
                throttled=self.pace.throttled,
            )
        found: Catalog = self._mine.asking
        return found

    @cached_property
    def pace(self) -> Pace:
        """Of what is written to and asked of the catalogue over REST."""
        return Pace(self.settings.limits.operations_per_second)

    @cached_property
    def message_pace(self) -> Pace:
        """Of what is sent to the hook's event hub."""
        return Pace(self.settings.limits.messages_per_second, name="messages")

    @cached_property
    def _hub_sink(self) -> Sink:
        return make_sink(self.azure, self.settings, None, self.message_pace)

    @property
    def sink(self) -> Sink:
        """Where messages go. Raises SettingsError."""
        hub = self.settings.purview.hook is not None
        sink = (
            self._hub_sink
            if hub
            else make_sink(self.azure, self.settings, self.catalog, self.pace, self._collection_of)
        )
        return GuardedSink(sink, self.sink_circuit)

    def _collection_of(self, partition_key: str) -> str:
        """Id of the collection for what goes under that key; empty where none is set, or it cannot be told now."""
        wanted, where = self.settings.collection(partition_key.partition("/")[0])
        try:
            return self.collections.find(wanted, where).name if wanted else ""
        except HooklineError as error:  # whoever moves assets to collections says so in `status`
            log.warning("sent without a collection: %s", error.what)
            return ""

    @cached_property
    def sink_circuit(self) -> SinkCircuit:
        return SinkCircuit(
            self.circuits,
            lambda: now(),  # noqa: PLW0108 - looked up when it is called: tests move it
        )

    @property
    def typedefs(self) -> TypedefSync | None:
        """None when no account is configured."""
        from shared.delivery.typedefs import TypedefSync

        if self.catalog is None:
            return None
        if not hasattr(self._mine, "typedefs"):
            self._mine.typedefs = TypedefSync(self.catalog, self.table("types"))
        found: TypedefSync = self._mine.typedefs
        return found

    # ---- tables

    def table(self, name: str, notes: Callable[[Any], Mapping[str, str]] = lambda _: {}) -> BlobTable:
        return BlobTable(self.azure.container("state"), name, notes=notes)

    @cached_property
    def receipts(self) -> Receipts:
        return Receipts(self.table("receipts", notes), self.settings.limits.lease_seconds)

    @cached_property
    def scans(self) -> Scans:
        return Scans(self.table("scans"), self.settings.limits.lease_seconds)

    @cached_property
    def snapshots(self) -> Snapshots:
        return Snapshots(self.table("snapshots"))

    @cached_property
    def schemas(self) -> SchemaTable:
        return SchemaTable(self.table("schemas"))

    @cached_property
    def beside(self) -> Beside:
        return Beside(self.table("beside"))

    @cached_property
    def placements(self) -> Placements:
        return Placements(self.table("placements"))

    @cached_property
    def collections(self) -> Collections:
        return Collections(self.asking_catalog)

    @cached_property
    def circuits(self) -> Circuits:
        return Circuits(self.table("circuits"))

    @cached_property
    def catalogue_columns(self) -> CatalogueColumns:
        return CatalogueColumns(self.asking_catalog)

    @cached_property
    def deleted(self) -> Deleted:
        return Deleted(self.table("deleted"))

    @cached_property
    def resolver(self) -> Resolver:
        """What the catalogue has for ends of lineage."""
        from shared.delivery.resolve import Resolver

        return Resolver(
            self.asking_catalog,
            lambda: self.pace,
            ResolvedTable(self.table("resolved"), self.clock),
            self.catalogue_columns.ask,
            types=lambda name: name in self.rules.types,
            clock=self.clock,
        )

    @cached_property
    def placeholders(self) -> Placeholders:
        return Placeholders(self.table("placeholders"))

    @cached_property
    def pending(self) -> Pending:
        return Pending(self.table("pending"))

    # ---- names, types, sources

    @property
    def rules(self) -> Rules:
        """Rules by the account's own types where they can be read, else by the bundled ones."""
        if self._rules is None or time.monotonic() > self._rules[0]:
            bundled = TypeRegistry.bundled()
            live = self.typedefs.registry() if self.typedefs is not None else bundled
            lasts = _NO_TYPES_SECONDS if self.typedefs is not None and live is bundled else _TYPES_SECONDS
            self._rules = (time.monotonic() + lasts, Rules(live))
        return self._rules[1]

    def naming(self, instance: str = "") -> Naming:
        """The naming of an instance; of uploads when there is none of that name."""
        known = self._namings.get(instance)
        if known is None:
            settings = self.settings.instances.get(instance)
            aliases = self.settings.aliases
            known = Naming(settings.types, settings.names, aliases) if settings else Naming(aliases=aliases)
            self._namings[instance] = known
        return known

    @cached_property
    def flavours(self) -> tuple[Naming, ...]:
        """A naming for each choice of types, for assets that somebody has published under those."""
        return tuple(Naming(types, aliases=self.settings.aliases) for types in ("native", "rdbms", "own"))

    def instance(self, name: str) -> Instance:
        """Raises SettingsError, with the reason when the instance is there but disabled."""
        if name in self.settings.disabled:
            raise self.settings.disabled[name]
        try:
            return self.settings.instances[name]
        except KeyError:
            there = ", ".join(sorted(self.settings.instances)) or "none"
            raise SettingsError(f"there is no instance {name!r}", fix=f"configured: {there}") from None

    def source_circuit(self, name: str) -> SourceCircuit:
        return SourceCircuit(self.circuits, name, self.instance(name))

    def source(self, name: str) -> Source[Any]:
        """The source of an instance, secrets resolved; not connected yet. Raises SettingsError and its kinds."""
        instance = self.instance(name)
        kind = source_class(instance.connector)
        where = f"instances.{name}.settings"
        settings = convert(kind.Settings, resolve(instance.settings, self.secrets, where=where), where)
        return kind(settings, Selection(tuple(instance.include), tuple(instance.exclude)))

    @property
    def bases(self) -> dict[str, Address]:
        """The server address of every instance whose settings can be read, for uploads that name an instance."""
        if self._bases is None or time.monotonic() > self._bases[0]:
            bases: dict[str, Address] = {}
            for name in self.settings.instances:
                try:
                    bases[name] = self.source(name).base()
                except HooklineError as error:
                    log.warning("instance %s has no address: %s", name, error)
                except Exception:
                    log.exception("instance %s has no address: the connector failed", name)
            self._bases = (time.monotonic() + _BASES_SECONDS, bases)
        return self._bases[1]
