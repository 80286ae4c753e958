"""BlobTable: partition / row -> a small JSON blob, with compare-and-set and leases.

    table = BlobTable(container, "scans")
    row, etag = table.get("crm", "public", type=Scan)
    table.put("crm", "public", changed, etag=etag or NEW)       # Conflict if somebody else was quicker

One blob per row, `<table>/<partition>/<row>.json` (`.bin` for rows of bytes); any text can be a partition or a row
(blob_names). Listings come in byte order of the encoded names.

Any table may be deleted at any time: a row that is missing, empty or unreadable counts as absent (the last is logged).
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

import msgspec

from shared.azure_errors import storage_errors
from shared.state.blob_names import decode, encode, metadata
from shared.state.lease import Lease
from shared.state.storage_call import ATTEMPTS, Conflict, Missing, StorageCall
from shared.telemetry import get_logger

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient, ContainerClient

__all__ = ["NEW", "BlobTable", "Conflict", "Lease"]

log = get_logger(__name__)

#: as `etag` of `put`: there must be no such row yet
NEW = "*new*"
JSON, BYTES = ".json", ".bin"
LEASE_SECONDS = 60
#: how often `update` starts over because somebody else wrote the row in between
UPDATE_ATTEMPTS = 15

T = TypeVar("T")


class Listed(NamedTuple):
    """A row as a listing tells of it, unread.

    notes: what the table's `notes` has put beside it; modified: by storage's clock.
    """

    partition: str
    row: str
    notes: Mapping[str, str]
    modified: dt.datetime


class BlobTable:
    """One table in a container, which is created when the first write finds that it is missing.

    notes:    what of a JSON row a listing is to tell without reading it; ASCII, kept in the blob's metadata.
    attempts: tries of a call while storage is busy (429, 5xx, no answer), with growing pauses; then StorageBusy.
    sleep:    how pauses are made.
    Every method raises StorageBusy, and SettingsError where access is refused.
    """

    def __init__(
        self,
        container: ContainerClient,
        table: str,
        *,
        notes: Callable[[Any], Mapping[str, str]] = lambda _: {},
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._container = container
        self._table = table
        self._notes = notes
        self._call = StorageCall(attempts, sleep)

    # ---- rows of JSON

    @overload
    def get(self, partition: str, row: str) -> tuple[Any, str | None]: ...
    @overload
    def get(self, partition: str, row: str, *, type: type[T]) -> tuple[T | None, str | None]: ...
    def get(self, partition: str, row: str, *, type: Any = Any) -> tuple[Any, str | None]:
        """(value, etag); (None, None) when there is no such row; (None, etag) when it is empty or unreadable.

        To write only if nothing changed meanwhile, pass `etag or NEW` to `put`: with None it overwrites.
        """
        data, etag = self._read(partition, row, JSON)
        if not data:
            return None, etag
        try:
            return _decoder(type)(data), etag
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            log.warning("an unreadable row counts as absent", row=self._where(partition, row), reason=error)
            return None, etag

    def put(
        self, partition: str, row: str, value: object, *, etag: str | None = None, lease: Lease | None = None
    ) -> str:
        """Write a row and return its new etag.

        etag:  None overwrites, NEW demands that there is no row, an etag that the row is still that version.
        lease: the one held on the row; a leased row takes no write without it.
        Raises Conflict; Superseded when somebody else has the lease by now.
        """
        return self._write(partition, row, JSON, msgspec.json.encode(value), etag, lease, self._notes(value))

    @overload
    def update(self, partition: str, row: str, change: Callable[[Any], Any]) -> Any: ...
    @overload
    def update(
        self, partition: str, row: str, change: Callable[[T | None], T | None], *, type: type[T]
    ) -> T | None: ...
    def update(self, partition: str, row: str, change: Callable[[Any], Any], *, type: Any = Any) -> Any:
        """Read, change, write if nothing came in between, else start over. Returns the value the row has then.

        change: takes the value (None: absent) and returns the new one; None, or the same object, leaves the row as it
                is. It may be called several times. Raises Conflict when others keep coming in between.
        """
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

        def once() -> Any:
            value, etag = self.get(partition, row, type=type)
            changed = change(value)
            if changed is None or changed is value:
                return value
            self.put(partition, row, changed, etag=etag or NEW)
            return changed

        return Retrying(
            retry=retry_if_exception_type(Conflict),
            stop=stop_after_attempt(UPDATE_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.05, max=2),
            sleep=self._call.sleep,
            reraise=True,
        )(once)

    @overload
    def rows(self, partition: str, *, suffix: str = "") -> Iterator[tuple[str, Any, str]]: ...
    @overload
    def rows(self, partition: str, *, type: type[T], suffix: str = "") -> Iterator[tuple[str, T, str]]: ...
    def rows(self, partition: str, *, type: Any = Any, suffix: str = "") -> Iterator[tuple[str, Any, str]]:
        """(row, value, etag) of every JSON row whose name ends with `suffix`, each read when it is asked for.

        A row that is deleted meanwhile, or unreadable, is left out.
        """
        for row, ending in self._rows(partition):
            if ending == JSON and row.endswith(suffix):
                value, etag = self.get(partition, row, type=type)
                if value is not None and etag is not None:
                    yield row, value, etag

    # ---- rows of bytes

    def get_bytes(self, partition: str, row: str) -> tuple[bytes | None, str | None]:
        """(bytes, etag) of a row that `put_bytes` wrote; (None, None) when there is none."""
        return self._read(partition, row, BYTES)

    def put_bytes(self, partition: str, row: str, value: bytes, *, etag: str | None = None) -> str:
        """As `put`, for a row of bytes. A row is either JSON or bytes."""
        return self._write(partition, row, BYTES, value, etag, None)

    # ---- both

    def names(self, partition: str, begins: str = "") -> Iterator[str]:
        """Names of the rows of a partition, of either kind, without reading them. begins: of a hundred characters."""
        return (row for row, _ in self._rows(partition, begins))

    def listed(self) -> Iterator[Listed]:
        """Every JSON row of the table that holds something: 5,000 of them in one call, none of them read."""
        prefix = f"{encode(self._table)}/"
        for item in self._listing(self._container.list_blobs, name_starts_with=prefix, include=["metadata"]):
            there, _, name = item.name.removeprefix(prefix).partition("/")
            if not item.size or not name.endswith(JSON):
                continue
            notes = item.metadata or {}
            partition = decode(there, notes, "partition")
            row = decode(name.removesuffix(JSON), notes, "row")
            if partition is not None and row is not None:
                yield Listed(partition, row, notes, item.last_modified)

    def partitions(self) -> Iterator[str]:
        """Names of the partitions that have a row."""
        prefix = f"{encode(self._table)}/"
        for item in self._listing(self._container.walk_blobs, name_starts_with=prefix):
            segment = item.name.removeprefix(prefix).rstrip("/")
            partition = decode(segment)
            if partition is None:  # too long for a name: any of its rows carries it
                rows = self._listing(self._container.list_blobs, name_starts_with=item.name, include=["metadata"])
                partition = next((decode(segment, row.metadata, "partition") for row in rows), None)
            if partition is not None:
                yield partition

    def delete(self, partition: str, row: str, *, etag: str | None = None, lease: Lease | None = None) -> bool:
        """Delete a row of either kind; whether there was one. Raises Conflict."""
        for ending in (JSON, BYTES):
            remove = partial(self._blob(partition, row, ending).delete_blob, **_condition(etag), **_held(lease))
            try:
                self._call(partial(remove, retry_total=0), self._where(partition, row))
            except Missing:
                continue
            return True
        return False

    def lease(self, partition: str, row: str, seconds: int = LEASE_SECONDS) -> Lease:
        """Take the lease on a JSON row, which is made (empty, so still absent) when there is none.

        seconds: 15 to 60; the lease runs out so long after the last `renew`. Raises Conflict while somebody holds it.
        """
        from azure.storage.blob import BlobLeaseClient

        where = self._where(partition, row)
        client = BlobLeaseClient(self._blob(partition, row, JSON))

        def acquire() -> Lease:
            client.acquire(lease_duration=seconds, retry_total=0)
            return Lease(client, self._call, where, seconds)

        try:
            return self._call(acquire, where)
        except Missing:
            log.debug("the row is made for its lease", row=where)
        try:
            self._write(partition, row, JSON, b"", NEW, None)
        except Conflict:
            log.debug("somebody else made the row", row=where)
        return self._call(acquire, where)

    def held(self, partition: str, row: str) -> bool:
        """Whether somebody holds the lease on a JSON row."""
        blob = self._blob(partition, row, JSON)
        try:
            found = self._call(lambda: blob.get_blob_properties(retry_total=0), self._where(partition, row))
        except Missing:
            return False
        return bool(found.lease.state == "leased")

    # ---- blobs

    def _where(self, partition: str, row: str) -> str:
        return f"table {self._table}, {partition}/{row}"

    def _blob(self, partition: str, row: str, ending: str) -> BlobClient:
        return self._container.get_blob_client(f"{encode(self._table)}/{encode(partition)}/{encode(row)}{ending}")

    def _read(self, partition: str, row: str, ending: str) -> tuple[bytes | None, str | None]:
        blob = self._blob(partition, row, ending)

        def read() -> tuple[bytes, str]:
            download = blob.download_blob(retry_total=0)
            return download.readall(), str(download.properties.etag)

        try:
            return self._call(read, self._where(partition, row))
        except Missing:
            return None, None

    def _write(
        self,
        partition: str,
        row: str,
        ending: str,
        data: bytes,
        etag: str | None,
        lease: Lease | None,
        notes: Mapping[str, str] | None = None,
    ) -> str:
        blob = self._blob(partition, row, ending)
        where = self._where(partition, row)
        told = {**(notes or {}), **metadata(partition=partition, row=row)}
        options = {**_condition(etag), **_held(lease), "metadata": told}
        tried = 0

        def write() -> str:
            nonlocal tried
            tried += 1
            return str(blob.upload_blob(data, overwrite=etag != NEW, retry_total=0, **options)["etag"])

        try:
            return self._call(write, where)
        except Missing:
            self._make_container(where)
        except Conflict:
            if tried > 1:  # storage was busy, but may have written it: its answer was lost, not the row
                there, version = self._read(partition, row, ending)
                if there == data and version is not None:
                    return version
            if lease is None:
                raise
            lease.renew()  # it ran out meanwhile; ours again unless somebody took it
        return self._call(write, where)

    def _make_container(self, where: str) -> None:
        try:
            self._call(self._container.create_container, where)
        except Conflict:
            log.debug("somebody else made the container", container=where)

    def _rows(self, partition: str, begins: str = "") -> Iterator[tuple[str, str]]:
        prefix = f"{encode(self._table)}/{encode(partition)}/"
        wanted = prefix + (encode(begins) if begins else "")
        for item in self._listing(self._container.list_blobs, name_starts_with=wanted, include=["metadata"]):
            segment, dot, ending = item.name.removeprefix(prefix).rpartition(".")
            row = decode(segment, item.metadata, "row")
            if row is not None and dot + ending in (JSON, BYTES):
                yield row, dot + ending

    def _listing(self, list_: Callable[..., Any], **options: Any) -> Iterator[Any]:
        from azure.core.exceptions import ResourceNotFoundError

        with storage_errors(f"table {self._table}"):
            try:
                yield from list_(**options)
            except ResourceNotFoundError:
                return  # no container, no rows


@lru_cache(maxsize=64)
def _decoder(wanted: Any) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(wanted).decode


def _condition(etag: str | None) -> dict[str, Any]:
    if etag is None or etag == NEW:
        return {}  # NEW is `overwrite=False`, which the SDK sends as If-None-Match: *
    from azure.core import MatchConditions

    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}


def _held(lease: Lease | None) -> dict[str, Any]:
    return {"lease": lease.id} if lease is not None else {}
