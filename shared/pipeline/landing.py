"""Reading and writing landing and rejected: streams in both directions, so that memory does not grow with a file."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, BinaryIO

from shared.azure import storage_errors

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient

    from shared.pipeline.app import App


class BlobReader(io.RawIOBase):
    """One version of a blob as a forward-only stream, fetched in chunks of 4 MiB.

    Raises StorageBusy; a blob that was replaced in between (412) likewise: its own event brings it back.
    """

    def __init__(self, blob: BlobClient, etag: str) -> None:
        from azure.core import MatchConditions

        self._name = str(blob.blob_name)
        with storage_errors(self._name):
            self._chunks: Iterator[bytes] = blob.download_blob(
                etag=etag, match_condition=MatchConditions.IfNotModified, max_concurrency=1
            ).chunks()
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        if not self._rest:
            with storage_errors(self._name):
                self._rest = memoryview(next(self._chunks, b""))
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def open_blob(blob: BlobClient, etag: str) -> BinaryIO:
    return io.BufferedReader(BlobReader(blob, etag), 1 << 18)


def put_landing(app: App, path: str, file: IO[bytes]) -> None:
    """Write a job file. Written twice, it is the same file."""
    with storage_errors(path):
        app.landing.get_blob_client(path).upload_blob(file, overwrite=True)


def put_landing_bytes(app: App, path: str, body: bytes) -> None:
    """Write a small file that arrived over HTTP."""
    with storage_errors(path):
        app.landing.get_blob_client(path).upload_blob(body)


def put_rejected(app: App, path: str, lines: Iterable[bytes]) -> None:
    """Write rejected/<path>.jsonl."""
    with tempfile.SpooledTemporaryFile(max_size=1 << 20) as spool:
        for line in lines:
            spool.write(line)
        spool.seek(0)
        with storage_errors(path):
            app.rejected.get_blob_client(f"{path}.jsonl").upload_blob(spool, overwrite=True)


def drop_rejected(app: App, path: str) -> None:
    """Remove what an earlier run refused of this file."""
    from azure.core.exceptions import ResourceNotFoundError

    with storage_errors(path):
        try:
            app.rejected.get_blob_client(f"{path}.jsonl").delete_blob()
        except ResourceNotFoundError:
            return
