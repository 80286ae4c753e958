"""Storage accounts by the name of their connection, and what the host itself keeps in one."""

from __future__ import annotations

import contextlib
import json
import os
import re
from functools import cache
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient, ContainerClient, LinearRetry
from azure.storage.queue import QueueClient, QueueServiceClient

from shared.errors import SettingsError

HOST_CONNECTION = "AzureWebJobsStorage"
#: where the host keeps its own state, as in Azure
HOST_CONTAINER = "azure-webjobs-hosts"
# a laptop's storage answers at once or not at all, and every trigger asks again anyway
_SHORT: dict[str, Any] = {
    "retry_policy": LinearRetry(backoff=1, retry_total=2, random_jitter_range=0),
    "connection_timeout": 5,
    "read_timeout": 60,
}


def connection_string(name: str) -> str:
    """The value of a connection. Raises SettingsError: missing, or one that needs Azure's managed identity."""
    value = os.environ.get(name, "")
    if not value:
        raise SettingsError(
            f"the connection {name} is not set", where="app settings", fix=f"set {name} to a connection string"
        )
    return value


def setting(text: str) -> str:
    """A binding's value with its `%NAME%` replaced by app settings. Raises SettingsError when one is not set."""

    def replaced(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise SettingsError(f"the app setting {found[1]} is not set", where=text, fix=f"set {found[1]}")
        return os.environ[found[1]]

    return re.sub(r"%(\w+)%", replaced, text)


@cache
def blobs(connection: str) -> BlobServiceClient:
    return BlobServiceClient.from_connection_string(connection_string(connection), **_SHORT)


@cache
def _queues(connection: str) -> QueueServiceClient:
    return QueueServiceClient.from_connection_string(connection_string(connection), **_SHORT)


@cache
def queue(connection: str, name: str) -> QueueClient:
    """A queue, made when it is not there. Messages are sent and received as they are: encoding is the trigger's."""
    client = _queues(connection).get_queue_client(name, message_encode_policy=None, message_decode_policy=None)
    with contextlib.suppress(ResourceExistsError):
        client.create_queue()
    return client


@cache
def container(connection: str, name: str) -> ContainerClient:
    """A container, made when it is not there."""
    client = blobs(connection).get_container_client(name)
    with contextlib.suppress(ResourceExistsError):
        client.create_container()
    return client


def queue_length(connection: str, name: str) -> int:
    """Messages in a queue, those at work or waiting for another try included; 0 when there is no such queue."""
    try:
        return int(_queues(connection).get_queue_client(name).get_queue_properties().approximate_message_count or 0)
    except ResourceNotFoundError:
        return 0


def read_note(name: str) -> dict[str, Any]:
    """A JSON note of the host, {} when there is none or it is damaged."""
    try:
        found = json.loads(container(HOST_CONNECTION, HOST_CONTAINER).download_blob(name).readall())
    except (ResourceNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_note(name: str, note: dict[str, Any]) -> None:
    container(HOST_CONNECTION, HOST_CONTAINER).upload_blob(name, json.dumps(note).encode(), overwrite=True)
