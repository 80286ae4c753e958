"""Keeping the account's type definitions and ours together.

A hook message that uses a type which the account does not have is lost without a word, and types cannot be created
through the hook; so they are created over REST before the first message that needs them. Atlas lets a type that has
instances only gain optional attributes (POST is no upsert: GET first, POST what is missing, PUT what has grown);
any other difference is refused here, with what differs.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import msgspec

from shared.atlas.own_types import PREFIX, own_digest, own_typedefs
from shared.atlas.types import Definition, TypeRegistry, live_definitions
from shared.errors import CatalogBusy, CatalogRefused, SettingsError

if TYPE_CHECKING:
    from shared.delivery.catalog import Catalog

log = logging.getLogger(__name__)

#: somebody may delete or change types: what a cache says is believed for a day
CHECK_AGAIN = 24 * 3600.0
_CATEGORIES = ("entityDefs", "relationshipDefs")

Typedefs = dict[str, list[dict[str, Any]]]


class Cache(Protocol):
    """What is remembered between invocations; `shared.state.BlobTable` is one."""

    def get(self, partition: str, row: str, /) -> tuple[Any, Any]: ...

    def put(self, partition: str, row: str, value: Any, /) -> Any: ...


class _Differences(NamedTuple):
    """missing: to POST; grown: to PUT, merged with what is there; refused: reasons why neither will do."""

    missing: Typedefs
    grown: Typedefs
    refused: list[str]


class TypedefSync:
    """Creates and extends Hookline's types in one account, and reads the account's own.

    catalog: None when no REST endpoint is configured; `ensure` then says so.
    """

    def __init__(self, catalog: Catalog | None, cache: Cache, *, clock: Callable[[], float] = time.time) -> None:
        self._catalog = catalog
        self._cache = cache
        self._clock = clock
        self._sure_until = 0.0

    def ensure(self, type_names: Iterable[str]) -> None:
        """Make sure that Hookline's own types are there, if one of `type_names` is among them.

        All of them at once, because their relationships hold them together. Asks the account once a day at most.
        Raises CatalogRefused (with what differs), CatalogBusy, and SettingsError without a REST endpoint.
        """
        if self._clock() < self._sure_until or not any(name.startswith(PREFIX) for name in type_names):
            return
        remembered = self._remembered("own")
        if remembered is not None and remembered.get("digest") == own_digest():
            self._sure_until = remembered["checked"] + CHECK_AGAIN
            return
        self.push()

    def diff(self) -> tuple[list[str], list[str]]:
        """Names of what `push` would create and of what it would extend. Raises as `push` does."""
        differences = self._differences()
        return _names(differences.missing), _names(differences.grown)

    def push(self) -> tuple[list[str], list[str]]:
        """Create what is missing and extend what has grown; the names of both. Removes nothing.

        Raises CatalogRefused when a type is there with another meaning, CatalogBusy, SettingsError.
        """
        catalog = self._endpoint()
        differences = self._differences()
        missing, grown = differences.missing, differences.grown
        if any(missing.values()):
            try:
                catalog.create_typedefs(missing)
            except CatalogRefused:
                # another invocation may have created them in the meantime (409); what is missing still, is refused
                differences = self._differences()
                if any(differences.missing.values()):
                    raise
                grown = differences.grown
        if any(grown.values()):
            catalog.update_typedefs(grown)
        self._remember("own", {"digest": own_digest()})
        self._sure_until = self._clock() + CHECK_AGAIN
        return _names(missing), _names(grown)

    def registry(self) -> TypeRegistry:
        """The account's types, read once a day at most; the bundled ones where they cannot be read."""
        if self._catalog is None:
            return TypeRegistry.bundled()
        remembered = self._remembered("live")
        try:
            if remembered is None:
                live = live_definitions(self._catalog.typedefs())
                self._remember("live", {"types": msgspec.to_builtins(live)})
            else:
                live = msgspec.convert(remembered["types"], dict[str, Definition])
        except (CatalogBusy, CatalogRefused, KeyError, msgspec.ValidationError) as error:
            log.warning("the account's types cannot be read, the bundled ones are used: %s", error)
            return TypeRegistry.bundled()
        # an answer without the base types is an excerpt: what it lacks may be there all the same
        return TypeRegistry.bundled().with_definitions(live, complete="DataSet" in live)

    def _endpoint(self) -> Catalog:
        if self._catalog is None:
            raise SettingsError(
                "Hookline's types can only be created over REST, and no account is configured",
                where="purview",
                fix="set purview.account in hookline.yaml, and give the app's identity the role Data Curator",
            )
        return self._catalog

    def _differences(self) -> _Differences:
        catalog = self._endpoint()
        differences = _compare(own_typedefs(), catalog.typedefs())
        if differences.refused:
            raise CatalogRefused(
                "types of Hookline's are in the account with another meaning: " + "; ".join(differences.refused),
                where=catalog.endpoint,
                fix="delete these types and their entities in the account, and run `./hookline types push`",
            )
        return differences

    def _row(self) -> str:
        """One row per account, in case the configuration is pointed at another."""
        return re.sub(r"[^a-zA-Z0-9.-]", "_", urlsplit(self._catalog.endpoint).netloc) if self._catalog else "none"

    def _remembered(self, partition: str) -> dict[str, Any] | None:
        value, _ = self._cache.get(partition, self._row())
        if not isinstance(value, dict) or not isinstance(value.get("checked"), (int, float)):
            return None
        return value if self._clock() < value["checked"] + CHECK_AGAIN else None

    def _remember(self, partition: str, value: dict[str, Any]) -> None:
        self._cache.put(partition, self._row(), {**value, "checked": self._clock()})


def _names(typedefs: Typedefs) -> list[str]:
    return [definition["name"] for category in _CATEGORIES for definition in typedefs.get(category, ())]


def _compare(ours: Typedefs, live: Mapping[str, Any]) -> _Differences:
    missing: Typedefs = {category: [] for category in _CATEGORIES}
    grown: Typedefs = {category: [] for category in _CATEGORIES}
    refused: list[str] = []
    for category in _CATEGORIES:
        there = {d["name"]: d for d in live.get(category) or () if isinstance(d, dict) and "name" in d}
        for definition in ours[category]:
            found = there.get(definition["name"])
            if found is None:
                missing[category].append(definition)
            elif category == "relationshipDefs":
                refused += _relationship_differences(definition, found)
            else:
                merged, reasons = _merge(definition, found)
                refused += reasons
                if merged is not None:
                    grown[category].append(merged)
    return _Differences(missing, grown, refused)


def _merge(ours: dict[str, Any], live: dict[str, Any]) -> tuple[dict[str, Any] | None, list[str]]:
    """The live definition with what ours adds (None when it adds nothing), and what cannot be reconciled."""
    name, reasons = ours["name"], []
    if set(ours["superTypes"]) != set(live.get("superTypes") or ()):
        reasons.append(f"{name} inherits from {live.get('superTypes')}, not from {ours['superTypes']}")
    attributes = {a["name"]: a for a in live.get("attributeDefs") or () if isinstance(a, dict) and "name" in a}
    added = []
    for attribute in ours["attributeDefs"]:
        found = attributes.pop(attribute["name"], None)
        if found is None:
            added.append(attribute)
            continue
        for key, default in (("typeName", "string"), ("cardinality", "SINGLE")):
            if found.get(key, default) != attribute[key]:
                reasons.append(f"{name}.{attribute['name']} has {key} {found.get(key)}, not {attribute[key]}")
        if not found.get("isOptional", True):
            reasons.append(f"{name}.{attribute['name']} is required there")
    for attribute in attributes.values():  # theirs alone: stays as it is, unless our entities would lack it
        if not attribute.get("isOptional", True):
            reasons.append(f"{name}.{attribute['name']} is required there and unknown here")
    options = {**(live.get("options") or {}), **(ours.get("options") or {})}
    if not added and options == (live.get("options") or {}):
        return None, reasons
    merged = {key: value for key, value in live.items() if key != "relationshipAttributeDefs"}
    merged |= {"attributeDefs": [*(live.get("attributeDefs") or ()), *added], "typeVersion": ours["typeVersion"]}
    if options:
        merged["options"] = options
    return merged, reasons


def _relationship_differences(ours: dict[str, Any], live: dict[str, Any]) -> list[str]:
    name = ours["name"]
    reasons = []
    if live.get("relationshipCategory") != ours["relationshipCategory"]:
        reasons.append(f"{name} is {live.get('relationshipCategory')}, not {ours['relationshipCategory']}")
    for end in ("endDef1", "endDef2"):
        found = live.get(end) or {}
        for key in ("type", "name", "cardinality", "isContainer"):
            if found.get(key) != ours[end][key]:
                reasons.append(f"{name}.{end} has {key} {found.get(key)}, not {ours[end][key]}")
    return reasons
