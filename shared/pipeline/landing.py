"""Reading and writing landing and rejected: streams in both directions, so that memory does not grow with a file."""

from __future__ import annotations

import datetime as dt
import io
import re
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any, BinaryIO, NamedTuple

from shared.azure import storage_errors
from shared.encryption import decryption_errors, wrapped_key
from shared.errors import BadInput, StorageBusy
from shared.settings.model import RESERVED_NAMES

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient

    from shared.encryption import Encryption
    from shared.pipeline.app import App


_PART = re.compile(r"([a-z0-9][a-z0-9-]*)/([0-9]{8}T[0-9]{6}-[0-9a-f]+)/([0-9]{5})\.jsonl\.gz")


class Part(NamedTuple):
    """Which part of which scan of which instance a landed file is."""

    instance: str
    scan: str
    number: int


class Version(NamedTuple):
    """One version of a blob. The ETag without quotes: listings give it so, headers with them.

    size: bytes; landed: when it came to lie there, by storage's clock.
    """

    etag: str
    size: int
    landed: dt.datetime


def part_path(instance: str, scan: str, part: int) -> str:
    return f"{instance}/{scan}/{part:05d}.jsonl.gz"


def part_of(path: str) -> Part | None:
    """What an extracted file is by its path; None for everything that people put into landing."""
    found = _PART.fullmatch(path)
    return Part(found[1], found[2], int(found[3])) if found is not None and found[1] not in RESERVED_NAMES else None


def landed_parts(app: App, instance: str, scan: str) -> dict[int, str]:
    """Number -> ETag of the parts of a scan that are in landing."""
    found: dict[int, str] = {}
    with storage_errors(f"landing/{instance}/{scan}"):
        for blob in app.landing.list_blobs(name_starts_with=f"{instance}/{scan}/"):
            part = part_of(blob.name)
            if part is not None:
                found[part.number] = plain(blob.etag)
    return found


def version(blob: BlobClient) -> Version | None:
    """The version that lies there now; None when there is no such blob."""
    from azure.core.exceptions import ResourceNotFoundError

    with storage_errors(str(blob.blob_name)):
        try:
            properties = blob.get_blob_properties()
        except ResourceNotFoundError:
            return None
    return Version(plain(properties.etag), int(properties.size), properties.last_modified)


def plain(etag: object) -> str:
    """An ETag as `Version` has it."""
    return str(etag).strip('"')


class BlobReader(io.RawIOBase):
    """One version of a blob as a forward-only stream in clear, fetched in chunks of 4 MiB.

    Raises StorageBusy; a blob that was replaced in between (412) likewise: its own event brings it back. BadInput: it
    is encrypted and cannot be decrypted; SettingsError, Transient: the key cannot be used now.
    """

    def __init__(self, blob: BlobClient, etag: str, encryption: Encryption | None) -> None:
        from azure.core import MatchConditions

        self._name = str(blob.blob_name)
        this: dict[str, Any] = {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified}
        with storage_errors(self._name), decryption_errors(self._name):
            if encryption is not None:
                key = encryption.unseal(blob.get_blob_properties(**this).metadata, self._name)
                blob.key_resolver_function = (lambda _: key) if key is not None else None
            download = blob.download_blob(max_concurrency=1, **this)
            if encryption is None and wrapped_key(download.properties.metadata, self._name) is not None:
                fix = "set landing.encryption_key to the key it was written with, and run `./hookline replay`"
                raise BadInput("it is encrypted, and no key is configured", where=self._name, fix=fix)
            self._chunks: Iterator[bytes] = download.chunks()
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        if not self._rest:
            with storage_errors(self._name), decryption_errors(self._name):
                self._rest = memoryview(next(self._chunks, b""))
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def open_blob(app: App, blob: BlobClient, etag: str) -> BinaryIO:
    """A blob of landing or rejected, whoever wrote it, encrypted or not. Raises as BlobReader does, reading it too."""
    return io.BufferedReader(BlobReader(blob, etag, app.encryption), 1 << 18)


def _sealed(app: App, blob: BlobClient) -> BlobClient:
    """The client to write with. Raises SettingsError, Transient: there is a key, and it cannot be used."""
    return app.encryption.seal(blob) if app.encryption is not None else blob


def put_part(app: App, path: str, file: IO[bytes]) -> None:
    """Write a part of a scan, once. Raises StorageBusy when it has landed already: it is taken over, not replaced."""
    from azure.core.exceptions import ResourceExistsError

    with storage_errors(path):
        try:
            _sealed(app, app.landing.get_blob_client(path)).upload_blob(file, overwrite=False)
        except ResourceExistsError as error:
            fix = "nothing to do: the scan goes on behind it"
            raise StorageBusy("this part has landed already", where=path, fix=fix) from error


def put_landing_bytes(app: App, path: str, body: bytes) -> None:
    """Write a small file that arrived over HTTP."""
    with storage_errors(path):
        _sealed(app, app.landing.get_blob_client(path)).upload_blob(body, overwrite=True)


def drop_landing(app: App, path: str) -> None:
    """Remove a landed file."""
    _drop(app.landing.get_blob_client(path), path)


def put_rejected(app: App, path: str, lines: Iterable[bytes]) -> None:
    """Write rejected/<path>.jsonl."""
    with tempfile.SpooledTemporaryFile(max_size=1 << 20) as spool:
        for line in lines:
            spool.write(line)
        spool.seek(0)
        with storage_errors(path):
            _sealed(app, app.rejected.get_blob_client(f"{path}.jsonl")).upload_blob(spool, overwrite=True)


def drop_rejected(app: App, path: str) -> None:
    """Remove what an earlier run refused of this file, or found to be lost."""
    for name in (path, f"{path}.lost"):
        _drop(app.rejected.get_blob_client(f"{name}.jsonl"), path)


def _drop(blob: BlobClient, path: str) -> None:
    from azure.core.exceptions import ResourceNotFoundError

    with storage_errors(path):
        try:
            blob.delete_blob()
        except ResourceNotFoundError:
            return
