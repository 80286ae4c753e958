"""Schemas: the columns of known tables, for SQL that does not say them (`SELECT *`, columns without their table).

Tables lie by where they are, not by who scanned them, because that is how SQL names them. A container is a schema or
whatever else tables lie in (`shared.naming.place`); partition `at/<container>`:

    <instance>/<scope>/current        which scan's chunks count, and the first table of each
    <instance>/<scope>/<scan>.<n>     a chunk: sorted lines `["orders",["id","total"]]`, gzip, half a MB unpacked

and per scope (partition `of/<instance>/<scope>`):

    <scan>.part.<n>                   tables of one part of a scan, sorted, until the scan is over
    containers                        those that the scope has tables in

and under `wanted` the landed files whose SQL names tables that nobody knew.

A scan of 10,000 tables writes a handful of blobs; a statement reads two for each container that it names, which are
kept for a while. Deleting any of it costs columns that are unknown until the next scan.
"""

from __future__ import annotations

import gzip
import heapq
import io
import itertools
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from shared.atlas.file_columns import TableColumns, chosen
from shared.errors import HooklineError
from shared.lineage.known import Known
from shared.naming.place import Place, place
from shared.records import Address
from shared.state.blob_table import BlobTable
from shared.telemetry import get_logger

log = get_logger(__name__)

#: bytes of a chunk, unpacked; chunks that a worker keeps
CHUNK_BYTES, KEPT_CHUNKS = 500_000, 12
#: containers of which a worker remembers what is there, and for how many seconds it believes that
KEPT_CONTAINERS, BELIEVED_SECONDS = 1_000, 60.0
_CURRENT, _CONTAINERS, _WANTED = "/current", "containers", "wanted"


class Current(msgspec.Struct, frozen=True, array_like=True):
    """The chunks of a scope in a container: of which scan, and the first table of each (in lower case)."""

    scan: str
    first: tuple[str, ...]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A landed file with SQL, and the tables whose columns it would need."""

    path: str
    etag: str
    tables: tuple[Address, ...]


class _Line(NamedTuple):
    name: str
    columns: tuple[str, ...]


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_part = msgspec.json.Decoder(TableColumns).decode
_encode = msgspec.json.Encoder().encode

K = TypeVar("K")
V = TypeVar("V")
Chunk = dict[str, list[tuple[str, bytes]]]


class SchemaTable:
    """The table `schemas`; a layer of known columns (shared.lineage.known) that never raises when it is asked."""

    def __init__(self, table: BlobTable, clock: Callable[[], float] = time.monotonic) -> None:
        self._table = table
        self._clock = clock
        self._lock = threading.Lock()
        self._scopes: dict[str, tuple[float, list[tuple[str, Current]]]] = {}
        self._chunks: dict[tuple[str, str], Chunk] = {}

    # ---- asking

    def find(self, tables: Sequence[Address]) -> Mapping[Address, Known]:
        found: dict[Address, Known] = {}
        for table in tables:
            try:
                columns = self._columns(place(table))
            except HooklineError as error:
                log.warning("columns of known tables cannot be read now", reason=error)
                break
            if columns is not None:
                found[table] = Known(columns)
        return found

    def _columns(self, where: Place) -> tuple[str, ...] | None:
        rows = self._rows(where)
        if rows is None:  # a scan has put others in their place since this worker looked
            with self._lock:
                self._scopes.pop(where.container, None)
            rows = self._rows(where)
        columns = chosen(where, list({name: (name, line) for name, line in rows or ()}.values()))
        return _decode_line(columns).columns if columns is not None else None

    def _rows(self, where: Place) -> list[tuple[str, bytes]] | None:
        """The tables of that name in any case; None where a chunk is not there any more."""
        folded = where.name.casefold()
        rows: list[tuple[str, bytes]] = []
        for scope, current in self._in(where.container):
            at = bisect_right(current.first, folded) - 1
            if at < 0:
                continue
            chunk = self._chunk(where.container, f"{scope}/{current.scan}.{at:05d}")
            if chunk is None:
                return None
            rows += chunk.get(folded, ())
        return rows

    def _in(self, container: str) -> list[tuple[str, Current]]:
        """What lies in a container, by the scopes that have scanned it."""
        with self._lock:
            kept = self._scopes.get(container)
        if kept is not None and self._clock() - kept[0] < BELIEVED_SECONDS:
            return kept[1]
        found = []
        for row in list(self._table.names(f"at/{container}")):
            if row.endswith(_CURRENT):
                current, _ = self._table.get(f"at/{container}", row, type=Current)
                if current is not None:
                    found.append((row.removesuffix(_CURRENT), current))
        with self._lock:
            _keep(self._scopes, container, (self._clock(), found), KEPT_CONTAINERS)
        return found

    def _chunk(self, container: str, row: str) -> Chunk | None:
        with self._lock:
            chunk = self._chunks.get((container, row))
        if chunk is None:
            data, _ = self._table.get_bytes(f"at/{container}", row)
            if data is None:
                return None
            chunk = {}
            for line in _lines(data):
                name = _decode_line(line).name
                chunk.setdefault(name.casefold(), []).append((name, line))
        with self._lock:
            _keep(self._chunks, (container, row), chunk, KEPT_CHUNKS)
        return chunk

    # ---- a scan

    def write_part(self, instance: str, scope: str, scan: str, part: int, tables: Iterable[TableColumns]) -> None:
        """tables: sorted by container and name. Nothing is written where there are none."""
        data = _pack(_encode(table) for table in tables)
        if data:
            self._table.put_bytes(f"of/{instance}/{scope}", f"{scan}.part.{part:05d}", data)

    def replace(self, instance: str, scope: str, scan: str, parts: int, *, whole: bool) -> None:
        """A scan is over: what its parts have is what the scope has.

        whole: it has seen everything; else what it does not have is kept. Repeated, it does the same again.
        """
        scopes, here = f"of/{instance}/{scope}", f"{instance}/{scope}"
        before, etag = self._table.get(scopes, _CONTAINERS, type=list[str])
        left = dict.fromkeys(before or ())
        seen = dict(left) if not whole else {}
        for container, tables in itertools.groupby(self._seen(scopes, scan, parts), key=lambda t: t.container):
            lines = (_Line(t.name, t.columns) for t in tables)
            self._write(container, here, scan, lines if whole else _merged(lines, self._lines_of(container, here)))
            seen[container] = None
            left.pop(container, None)
        for container in left if whole else ():
            self._remove(container, here, keep="")
        if sorted(seen) != sorted(before or ()):
            self._table.put(scopes, _CONTAINERS, sorted(seen), etag=etag)
        for row in list(self._table.names(scopes)):
            of, dot, _ = row.partition(".part.")
            if dot and of <= scan:
                self._table.delete(scopes, row)

    def _seen(self, partition: str, scan: str, parts: int) -> Iterator[TableColumns]:
        """The tables of a scan, sorted, each once: the last part that has it wins."""
        streams = [self._part(partition, f"{scan}.part.{part:05d}") for part in range(parts)]
        last: TableColumns | None = None
        for table in heapq.merge(*streams, key=_order):
            if last is not None and (last.container, last.name) != (table.container, table.name):
                yield last
            last = table
        if last is not None:
            yield last

    def _part(self, partition: str, row: str) -> Iterator[TableColumns]:
        data, _ = self._table.get_bytes(partition, row)
        return (_decode_part(line) for line in _lines(data))

    def _lines_of(self, container: str, here: str) -> Iterator[_Line]:
        current, _ = self._table.get(f"at/{container}", here + _CURRENT, type=Current)
        for number in range(len(current.first) if current is not None else 0):
            data, _ = self._table.get_bytes(f"at/{container}", f"{here}/{current.scan}.{number:05d}")  # type: ignore[union-attr]
            for line in _lines(data):
                yield _decode_line(line)

    def _write(self, container: str, here: str, scan: str, tables: Iterable[_Line]) -> None:
        first: list[str] = []
        for folded, data in _chunked(tables):
            self._table.put_bytes(f"at/{container}", f"{here}/{scan}.{len(first):05d}", data)
            first.append(folded)
        self._table.put(f"at/{container}", here + _CURRENT, Current(scan, tuple(first)))
        self._remove(container, here, keep=scan)

    def _remove(self, container: str, here: str, *, keep: str) -> None:
        """Remove the chunks of other scans than `keep`, and without one everything that the scope has there."""
        with self._lock:
            self._scopes.pop(container, None)
        for row in list(self._table.names(f"at/{container}")):
            beside = row.startswith(f"{here}/") and "/" not in row[len(here) + 1 :]
            if beside and (not keep or (not row.endswith(_CURRENT) and not row.startswith(f"{here}/{keep}."))):
                self._table.delete(f"at/{container}", row)

    # ---- files that came too early

    def want(self, path: str, etag: str, tables: Sequence[Address]) -> None:
        """Remember (or forget, without tables) that this version of a landed file names tables nobody knows yet."""
        if tables:
            self._table.put(_WANTED, path, Wanted(path=path, etag=etag, tables=tuple(tables)))
        else:
            self._table.delete(_WANTED, path)

    def wanted(self) -> Iterator[Wanted]:
        """Those of the files for which a table is known by now."""
        with self._lock:
            self._scopes.clear()  # what was believed a minute ago
        for _, row, _ in self._table.rows(_WANTED, type=Wanted):
            if self.find(row.tables):
                yield row


def _keep(kept: dict[K, V], key: K, value: V, most: int) -> None:
    """The latest at the end; the oldest goes."""
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > most:
        del kept[next(iter(kept))]


def _order(table: TableColumns) -> tuple[str, str, str]:
    return table.container, table.name.casefold(), table.name


def _merged(new: Iterable[_Line], old: Iterable[_Line]) -> Iterator[_Line]:
    """Both, sorted; of the same table the new one."""
    last: _Line | None = None
    for line in heapq.merge(new, old, key=lambda line: (line.name.casefold(), line.name)):  # new ones first
        if last is None or last.name != line.name:
            yield line
        last = line


def _chunked(tables: Iterable[_Line]) -> Iterator[tuple[str, bytes]]:
    """(first table in lower case, packed lines); tables that differ in case only stay together."""
    lines: list[bytes] = []
    first = last = ""
    size = 0
    for table in tables:
        folded = table.name.casefold()
        if size >= CHUNK_BYTES and folded != last:
            yield first, _pack(lines)
            lines, size = [], 0
        if not lines:
            first = folded
        line = _encode(table)
        lines.append(line)
        size += len(line)
        last = folded
    if lines:
        yield first, _pack(lines)


def _pack(lines: Iterable[bytes]) -> bytes:
    buffer = io.BytesIO()
    count = 0
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=3, mtime=0) as out:
        for line in lines:
            out.write(line + b"\n")
            count += 1
    return buffer.getvalue() if count else b""


def _lines(data: bytes | None) -> Iterator[bytes]:
    if data:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as lines:
            for line in lines:
                yield line.rstrip(b"\n")
