"""Where hook messages go: Event Hubs (the high-volume way) or Purview's REST API (slower, but it answers)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from shared.atlas.messages import Message
from shared.delivery import hub
from shared.errors import SettingsError

if TYPE_CHECKING:
    from shared.azure import Azure
    from shared.delivery.catalog import Catalog
    from shared.settings import Settings


class Sink(Protocol):
    """Takes messages in order; returns when all of them are accepted. Raises Transient or CatalogRefused."""

    name: str

    def publish(self, messages: Iterable[Message], partition_key: str) -> None: ...


class HubSink:
    """Event Hubs: one event per hook message, one partition key per container that must stay in order."""

    name = "event hub"

    def __init__(self, publisher: hub.Hub) -> None:
        self._publisher = publisher

    def publish(self, messages: Iterable[Message], partition_key: str) -> None:
        self._publisher.publish(hub.Message(m.body, partition_key) for m in messages)


class RestSink:
    """REST: the same messages, taken apart again."""

    name = "REST"

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def publish(self, messages: Iterable[Message], partition_key: str) -> None:  # noqa: ARG002 - one order anyway
        for message in messages:
            body: dict[str, Any] = msgspec.json.decode(message.body)["message"]
            if message.operation == "create":
                entities = body["entities"]
                self._catalog.upsert(entities["entities"], entities["referredEntities"])
            elif message.operation == "update":
                self._catalog.upsert([_whole(body)])
            else:
                for entity in body["entities"]:
                    self._catalog.delete(entity["typeName"], entity["uniqueAttributes"]["qualifiedName"])


def _whole(body: dict[str, Any]) -> dict[str, Any]:
    """A partial update as the entity that REST's upsert takes: attributes that are absent stay as they are."""
    entity = body["entity"]["entity"]
    qualified_name = body["entityId"]["uniqueAttributes"]["qualifiedName"]
    return {**entity, "guid": "-1", "attributes": {**entity["attributes"], "qualifiedName": qualified_name}}


def make_sink(azure: Azure, settings: Settings, catalog: Catalog | None) -> Sink:
    """The hook's Event Hub when one is configured, else REST. Raises SettingsError when there is neither."""
    if settings.purview.hook is not None:
        return HubSink(hub.Hub(azure.hub_producer()))
    if catalog is not None:
        return RestSink(catalog)
    raise SettingsError(
        "nowhere to send entities to",
        where="purview",
        fix="set purview.hook (namespace and hub) or purview.account in hookline.yaml",
    )
