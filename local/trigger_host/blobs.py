"""Blob triggers with `source=EventGrid`: each new blob, and each new content of one, is delivered at least once.

As in Azure an event first becomes a message in a queue of the host, from which the function is run; so tries, poison
queue and survival of a crash are those of queues (`queues.py`). A note per blob says which version was announced.
"""

from __future__ import annotations

import asyncio
import json
import time

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueMessage

from local.trigger_host import storage
from local.trigger_host.executions import Executions, encoded, log
from local.trigger_host.protocol import ModelBindingData, TypedData
from local.trigger_host.queues import QueueTrigger, Work
from local.trigger_host.runtime import Function
from shared.errors import SettingsError

#: at most this share of the time is spent on listing a container
LISTING_SHARE = 0.2


class BlobTrigger(QueueTrigger):
    """Announces the blobs of one container and runs one function for each."""

    def __init__(self, function: Function, executions: Executions, *, poll: float, lease: float) -> None:
        binding = function.trigger
        if not binding.get("properties", {}).get("SupportsDeferredBinding"):
            raise SettingsError(
                f"the blob parameter of {function.name} is no SDK type",
                where="function_app.py",
                fix="annotate it with azurefunctions.extensions.bindings.blob.BlobClient, which is streamed",
            )
        self.container_name, _, pattern = storage.setting(binding["path"]).partition("/")
        super().__init__(function, executions, poll=poll, lease=lease)
        self.prefix = pattern.partition("{")[0]
        self.container = storage.container(self.connection, self.container_name)
        most = executions.settings.blob_parallelism
        self.batch, self.threshold = most - most // 2, most // 2
        self.max_tries = executions.settings.blob_max_tries
        self.retry_after = 0.0
        self.poison_name = "webjobs-blobtrigger-poison"
        self.notes = storage.container(storage.HOST_CONNECTION, storage.HOST_CONTAINER)
        self.notes_prefix = f"eventgrid/{function.name}/{self.container_name}/"
        self._announced: dict[str, str] | None = None

    def queue_name(self) -> str:
        # with the container: two apps on one storage account must not take each other's events
        function = self.function.name.replace("_", "-").lower()
        return f"webjobs-blobtrigger-{function}-{self.container_name}"[:63].rstrip("-")

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(super().run())
            group.create_task(self._announce())

    async def _announce(self) -> None:
        while not self.executions.stopping.is_set():
            began = time.monotonic()
            try:
                await asyncio.to_thread(self._announce_new)
            except AzureError as error:
                log.warning("container %s: %s", self.container_name, error)
            await self.executions.pause(max(self.poll, (time.monotonic() - began) / LISTING_SHARE))

    def _announce_new(self) -> None:
        for name, etag in self._new():
            event = {
                "Type": "BlobTrigger",
                "FunctionId": f"Host.Functions.{self.function.name}",
                "BlobType": "BlockBlob",
                "ContainerName": self.container_name,
                "BlobName": name,
                "ETag": etag,
            }
            self.queue.send_message(encoded(json.dumps(event), self.base64), time_to_live=-1)
            # after the message: a process that dies in between announces it twice, as Event Grid may too
            self.notes.upload_blob(self.notes_prefix + name, b"", metadata={"etag": etag}, overwrite=True)
            self._known()[name] = etag

    def _known(self) -> dict[str, str]:
        if self._announced is None:
            notes = self.notes.list_blobs(name_starts_with=self.notes_prefix, include=["metadata"])
            self._announced = {
                note.name[len(self.notes_prefix) :]: (note.metadata or {}).get("etag", "") for note in notes
            }
        return self._announced

    def _new(self) -> list[tuple[str, str]]:
        """Blobs, or contents of blobs, that were not announced yet, oldest first."""
        known = self._known()
        found = self.container.list_blobs(name_starts_with=self.prefix or None)
        new = [blob for blob in found if known.get(blob.name) != blob.etag]
        return [(blob.name, blob.etag) for blob in sorted(new, key=lambda blob: (blob.last_modified, blob.name))]

    def work(self, text: str, message: QueueMessage) -> Work | None:  # noqa: ARG002
        event = json.loads(text)
        if not isinstance(event, dict) or not isinstance(event.get("BlobName"), str):
            raise ValueError("no blob event")
        path = f"{self.container_name}/{event['BlobName']}"
        client = self.container.get_blob_client(event["BlobName"])
        try:
            current = client.get_blob_properties().etag
        except ResourceNotFoundError:
            current = ""
        if current.strip('"') != str(event.get("ETag")).strip('"'):
            # gone, or replaced: its new content has an event of its own
            self.executions.tell(self.function, path, "superseded")
            return None
        reference = {"Connection": self.connection, "ContainerName": self.container_name, "BlobName": event["BlobName"]}
        data = ModelBindingData(
            version="1.0",
            source="AzureStorageBlobs",
            content_type="application/json",
            content=json.dumps(reference),
        )
        metadata = {"BlobTrigger": TypedData(string=path), "Uri": TypedData(string=client.url)}
        return Work(TypedData(model_binding_data=data), metadata, path)

    def pending(self) -> dict[str, int]:
        return {self.container_name: len(self._new()), **super().pending()}
