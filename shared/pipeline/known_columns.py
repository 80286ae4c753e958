"""Where the columns of tables are known from: the file itself, scans that are over, the live catalogue.

The catalogue is asked last, for many tables at a time, and never keeps a file from being sent: where it does not
answer, columns stay unknown for some minutes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from shared.errors import CatalogRefused, HooklineError
from shared.lineage.known import Known
from shared.naming import Name, NameRefused, Naming
from shared.records import Address
from shared.telemetry import get_logger

if TYPE_CHECKING:
    from shared.delivery.catalog import Catalog

log = get_logger(__name__)

#: tables whose columns (or absence) a worker remembers; for how long; how long a catalogue that failed is left alone
REMEMBERED, SECONDS, PAUSE_SECONDS = 5_000, 600.0, 300.0
#: a table that is asked for may be a view
_KINDS = ("table", "view")


class CatalogueColumns:
    """Columns as the catalogue has them: of what Purview has scanned, and of what others have written there.

    catalog: gives the client; None, or an error of ours, where there is none.
    """

    def __init__(self, catalog: Callable[[], Catalog | None], clock: Callable[[], float] = time.monotonic) -> None:
        self._catalog = catalog
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[Name, tuple[float, tuple[str, ...] | None]] = {}
        self._not_before = 0.0

    def named_by(self, naming: Naming) -> _Named:
        """The layer for files whose names are made so."""
        return _Named(self, naming)

    def ask(self, tables: Mapping[Name, str]) -> dict[Name, tuple[str, ...]]:
        """tables: name -> the attribute that lists its columns. Those that are there and have columns."""
        moment = self._clock()
        found: dict[Name, tuple[str, ...]] = {}
        by_type: dict[tuple[str, str], list[str]] = {}
        with self._lock:
            for name, attribute in tables.items():
                said, columns = self._known.get(name, (0.0, None))
                if columns is not None and moment - said < SECONDS:
                    found[name] = columns
                elif name not in self._known or moment - said >= SECONDS:
                    by_type.setdefault((name.type_name, attribute), []).append(name.qualified_name)
        for (type_name, attribute), names in by_type.items():
            if self._clock() < self._not_before:
                break
            try:
                catalog = self._catalog()
                answered = catalog.columns(type_name, names, attribute) if catalog is not None else {}
            except CatalogRefused as error:  # a type that the account does not have, or may not be read
                log.info("the catalogue tells no columns of %s: %s", type_name, error)
                answered = {}
            except HooklineError as error:
                log.warning("the catalogue is not asked for columns for some minutes: %s", error)
                self._not_before = self._clock() + PAUSE_SECONDS
                break
            with self._lock:
                for qualified_name in names:
                    name, columns = Name(type_name, qualified_name), answered.get(qualified_name) or None
                    self._known[name] = (moment, columns)
                    if columns is not None:
                        found[name] = columns
                while len(self._known) > REMEMBERED:
                    del self._known[next(iter(self._known))]
        return found


class _Named:
    """A layer (shared.lineage.known)."""

    def __init__(self, catalogue: CatalogueColumns, naming: Naming) -> None:
        self._catalogue = catalogue
        self._naming = naming

    def find(self, tables: Sequence[Address]) -> Mapping[Address, Known]:
        found: dict[Address, Known] = {}
        for kind in _KINDS:
            wanted: dict[Name, str] = {}
            meant: dict[Name, Address] = {}
            for table in tables:
                if table in found:
                    continue
                address = Address(table.platform, table.host, table.path, kind)
                try:
                    name, level = self._naming.name(address), self._naming.level(address)
                except NameRefused:
                    continue
                if level is not None and level.columns_attribute:
                    wanted[name], meant[name] = level.columns_attribute, table
            for name, columns in (self._catalogue.ask(wanted) if wanted else {}).items():
                found[meant[name]] = Known(columns, ordered=False)
        return found
