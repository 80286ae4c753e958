"""Where hook messages go: Event Hubs (the high-volume way) or Purview's REST API (slower, but it answers)."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from shared.atlas.closure import reference
from shared.atlas.messages import Message
from shared.delivery import hub
from shared.delivery.pace import Pace
from shared.errors import CatalogRefused, SettingsError
from shared.naming import Name
from shared.telemetry import get_logger

if TYPE_CHECKING:
    from shared.azure import Azure
    from shared.delivery.catalog import Catalog
    from shared.settings import Settings

log = get_logger(__name__)

#: answers that are about what was sent (shared/delivery/rest.py words them); any other would be the same for everything
_ABOUT_ENTITIES = re.compile(r"the catalogue answered (400|409|413|404 \w)")


class Refused(NamedTuple):
    """An entity that the catalogue does not take, with its reason."""

    name: Name
    reason: str
    fix: str


class Sink(Protocol):
    """Takes messages in order; returns when all of them are accepted, with what was refused of them.

    answers: what is accepted is in the catalogue. Raises Transient, SettingsError, CatalogRefused (of everything).
    """

    name: str
    answers: bool

    def publish(self, messages: Iterable[Message], partition_key: str) -> Sequence[Refused]: ...


class HubSink:
    """Event Hubs: one event per hook message, one partition key per container that must stay in order."""

    name = "event hub"
    answers = False

    def __init__(self, publisher: hub.Hub) -> None:
        self._publisher = publisher
        self._one = threading.Lock()  # the client library is not made for several threads

    def publish(self, messages: Iterable[Message], partition_key: str) -> Sequence[Refused]:
        with self._one:
            self._publisher.publish(hub.Message(m.body, partition_key) for m in messages)
        return ()


class RestSink:
    """REST: the same messages, taken apart again. What is refused is sent entity by entity, to find the culprit.

    collection: partition key -> id of the collection for what is new; empty: wherever the catalogue puts it.
    """

    name = "REST"
    answers = True

    def __init__(
        self, catalog: Catalog, pace: Pace | None = None, collection: Callable[[str], str] = lambda _: ""
    ) -> None:
        self._catalog = catalog
        self._pace = pace
        self._collection = collection

    def publish(self, messages: Iterable[Message], partition_key: str) -> Sequence[Refused]:
        refused: list[Refused] = []
        for message in messages:
            body: dict[str, Any] = msgspec.json.decode(message.body)["message"]
            if message.operation == "create":
                entities = body["entities"]
                collection = self._place(message.names, partition_key)
                refused += self._create(entities["entities"], entities.get("referredEntities") or {}, collection)
            elif message.operation == "update":
                refused += self._update(body)
            else:
                for entity in body["entities"]:
                    self._take(1)
                    self._catalog.delete(entity["typeName"], entity["uniqueAttributes"]["qualifiedName"])
        return refused

    def _place(self, names: Sequence[Name], partition_key: str) -> str:
        """The collection for a message, if all of its assets are new: the call would move what exists as well."""
        collection = self._collection(partition_key)
        if not collection:
            return ""
        self._take(len(names))
        for type_name, group in itertools.groupby(sorted(names, key=_type), key=_type):
            if self._catalog.find(type_name, [name.qualified_name for name in group]):
                return ""
        return collection

    def _create(
        self, entities: list[dict[str, Any]], referred: dict[str, dict[str, Any]], collection: str
    ) -> Iterator[Refused]:
        self._take(len(entities) + len(referred))
        if collection:
            try:
                self._catalog.upsert(entities, referred, collection)
                return
            except CatalogRefused as error:  # of the collection perhaps, which is no reason not to deliver
                log.warning("sent without its collection %s: %s", collection, error.what)
        try:
            self._catalog.upsert(entities, referred)
            return
        except CatalogRefused as error:
            if not _ABOUT_ENTITIES.match(error.what):
                raise
        by_guid = {e["guid"]: _name(e) for e in entities}
        for entity in entities:
            alone = {k: _by_name(v, by_guid) if k.endswith("ttributes") else v for k, v in entity.items()}
            yield from self._upsert(_name(entity), alone, _reached(alone, referred))

    def _upsert(self, name: Name, entity: dict[str, Any], referred: dict[str, dict[str, Any]]) -> Iterator[Refused]:
        self._take(1 + len(referred))
        try:
            self._catalog.upsert([entity], referred)
        except CatalogRefused as error:
            if not _ABOUT_ENTITIES.match(error.what):
                raise
            yield Refused(name, error.what, error.fix)

    def _update(self, body: dict[str, Any]) -> Iterator[Refused]:
        """REST has no partial update by name in bulk: an upsert of the entity, if it is there."""
        target = body["entityId"]
        name = Name(target["typeName"], target["uniqueAttributes"]["qualifiedName"])
        self._take(1)
        if name.qualified_name not in self._catalog.find(name.type_name, [name.qualified_name]):
            reason = "only what is there can be updated, and this is not in the catalogue"
            yield Refused(name, reason, "let Purview scan it first, or set `assets: create`")
            return
        entity = body["entity"]["entity"]
        whole = {**entity, "guid": "-1", "attributes": {**entity["attributes"], "qualifiedName": name.qualified_name}}
        yield from self._upsert(name, whole, body["entity"].get("referredEntities") or {})

    def _take(self, count: int) -> None:
        if self._pace is not None:
            self._pace.take(count)


def _type(name: Name) -> str:
    return name.type_name


def _name(entity: dict[str, Any]) -> Name:
    return Name(str(entity.get("typeName")), str((entity.get("attributes") or {}).get("qualifiedName")))


def _reached(entity: dict[str, Any], referred: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of the referred entities, those that this one leads to by guid."""
    found: dict[str, dict[str, Any]] = {}
    waiting: list[Any] = [entity] if referred else []
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            guid = value.get("guid")
            if guid in referred and guid not in found:
                found[guid] = referred[guid]
                waiting.append(referred[guid])
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return found


def _by_name(value: Any, by_guid: dict[str, Name]) -> Any:
    """References by guid to top-level entities of the message as references by name."""
    if isinstance(value, dict):
        name = by_guid.get(value.get("guid", ""))
        if name is not None:
            rest = {k: v for k, v in value.items() if k not in ("guid", "typeName")}
            return {**rest, **reference(name)}
        return {k: _by_name(v, by_guid) for k, v in value.items()}
    if isinstance(value, list):
        return [_by_name(v, by_guid) for v in value]
    return value


def make_sink(
    azure: Azure,
    settings: Settings,
    catalog: Catalog | None,
    pace: Pace | None = None,
    collection: Callable[[str], str] = lambda _: "",
) -> Sink:
    """The hook's Event Hub when one is configured, else REST. Raises SettingsError when there is neither.

    pace: of messages for the hub, of operations for REST. collection: as RestSink takes it.
    """
    if settings.purview.hook is not None:
        return HubSink(hub.Hub(azure.hub_producer(), pace=pace))
    if catalog is not None:
        return RestSink(catalog, pace, collection)
    raise SettingsError(
        "nowhere to send entities to",
        where="purview",
        fix="set purview.hook (namespace and hub) or purview.account in hookline.yaml",
    )
