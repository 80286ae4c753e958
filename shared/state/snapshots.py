"""Snapshots: what each scope last published, so that unchanged assets are not sent again and stale ones are found.

Per instance and scope (partition `<instance>/<scope>`):

    <scan>.part.<n>   the assets of one part: sorted JSON arrays, gzip; written by the transform of that part
    <scan>.assets     all parts merged (and what an incomplete scan did not see, carried over)
    <scan>.index      two arrays of 64-bit numbers, sorted by the first: key of the name, content hash
    current           which scan's files count; moves by compare-and-set, never back to an older scan

Everything is a streaming merge of sorted files: 16 bytes of memory per published asset, for the index. Deleting any of
it costs a resend of the scope, never a loss.
"""

from __future__ import annotations

import array
import gzip
import heapq
import io
import sys
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator

import msgspec

from shared.atlas.closure import key
from shared.naming import Name
from shared.state.blob_table import BlobTable

PUBLISHED_SECONDS = 30


class Asset(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """One published asset: its name, the hash of what it is (odd for a stub), and the children that travel with it."""

    type_name: str
    qualified_name: str
    mark: int = 0
    child_type: str = ""
    children: tuple[str, ...] = ()

    @property
    def name(self) -> Name:
        return Name(self.type_name, self.qualified_name)

    @property
    def stub(self) -> bool:
        return bool(self.mark & 1)

    @property
    def identity(self) -> tuple[str, str]:
        return self.type_name, self.qualified_name


class Pointer(msgspec.Struct, frozen=True, kw_only=True):
    scan: str
    started: str
    assets: int


_decode = msgspec.json.Decoder(Asset).decode
_encode = msgspec.json.Encoder().encode


class Index:
    """name -> mark (content hash, odd for a stub), in two sorted arrays."""

    def __init__(self, data: bytes = b"", scan: str = "") -> None:
        self.scan = scan
        numbers = array.array("Q")
        numbers.frombytes(data)
        if sys.byteorder == "big":
            numbers.byteswap()
        half = len(numbers) // 2
        self._keys, self._marks = numbers[:half], numbers[half:]

    def __len__(self) -> int:
        return len(self._keys)

    def mark(self, name: Name) -> int | None:
        wanted = key(name)
        at = bisect_left(self._keys, wanted)
        return self._marks[at] if at < len(self._keys) and self._keys[at] == wanted else None

    def real(self) -> Iterator[int]:
        """Keys of the assets that are more than stubs."""
        return (k for k, m in zip(self._keys, self._marks, strict=True) if not m & 1)

    @staticmethod
    def build(pairs: Iterable[tuple[int, int]]) -> bytes:
        ordered = sorted(pairs)
        numbers = array.array("Q", [k for k, _ in ordered])
        numbers.extend([c for _, c in ordered])
        if sys.byteorder == "big":
            numbers.byteswap()
        return numbers.tobytes()


class Published:
    """Everything that any scope's last scan published (stubs left out): 8 bytes an asset."""

    def __init__(self, indexes: Iterable[Index]) -> None:
        self._keys = array.array("Q", sorted(k for index in indexes for k in index.real()))

    def contains(self, name: Name) -> bool:
        wanted = key(name)
        at = bisect_left(self._keys, wanted)
        return at < len(self._keys) and self._keys[at] == wanted


class Snapshots:
    """The table `snapshots`."""

    def __init__(self, table: BlobTable) -> None:
        self._table = table
        self._indexes: dict[str, Index] = {}
        self._published: tuple[float, frozenset[str], Published] | None = None

    @staticmethod
    def _partition(instance: str, scope: str) -> str:
        return f"{instance}/{scope}"

    def current(self, instance: str, scope: str) -> tuple[Pointer | None, str | None]:
        return self._table.get(self._partition(instance, scope), "current", type=Pointer)

    def index(self, instance: str, scope: str) -> Index:
        """The index of the last finished scan; empty when there is none."""
        pointer, _ = self.current(instance, scope)
        partition = self._partition(instance, scope)
        if pointer is None:
            return Index()
        held = self._indexes.get(partition)
        if held is None or held.scan != pointer.scan:
            data, _ = self._table.get_bytes(partition, f"{pointer.scan}.index")
            held = self._indexes[partition] = Index(data or b"", pointer.scan)
        return held

    def published(self) -> Published:
        """What is published, at most PUBLISHED_SECONDS old: an asset too few costs a stub, which changes nothing."""
        if self._published is not None and time.monotonic() - self._published[0] < PUBLISHED_SECONDS:
            return self._published[2]
        indexes = [self.index(instance, scope) for instance, scope in self.scopes()]
        scans = frozenset(index.scan for index in indexes)
        same = self._published is not None and self._published[1] == scans
        made = self._published[2] if same and self._published is not None else Published(indexes)
        self._published = (time.monotonic(), scans, made)
        return made

    def scopes(self) -> Iterator[tuple[str, str]]:
        for partition in self._table.partitions():
            instance, _, scope = partition.partition("/")
            yield instance, scope

    def write_part(self, instance: str, scope: str, scan: str, part: int, assets: Iterable[Asset]) -> None:
        data = _pack(sorted(assets))
        self._table.put_bytes(self._partition(instance, scope), f"{scan}.part.{part:05d}", data)

    def _read(self, partition: str, row: str) -> Iterator[Asset]:
        data, _ = self._table.get_bytes(partition, row)
        if data is None:
            return
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as lines:
            for line in lines:
                yield _decode(line)

    def assets(self, instance: str, scope: str) -> Iterator[Asset]:
        """What the scope's last finished scan published."""
        pointer, _ = self.current(instance, scope)
        return self._read(self._partition(instance, scope), f"{pointer.scan}.assets") if pointer else iter(())

    def seen(self, instance: str, scope: str, scan: str, parts: int) -> Iterator[Asset]:
        """The assets of a scan, sorted, each once: the last part that names it wins, and a stub never does."""
        partition = self._partition(instance, scope)
        streams = [self._read(partition, f"{scan}.part.{part:05d}") for part in range(parts)]
        last: Asset | None = None
        for asset in heapq.merge(*streams, key=lambda a: a.identity):
            if last is not None and last.identity == asset.identity and asset.stub:
                continue
            if last is not None and last.identity != asset.identity:
                yield last
            last = asset
        if last is not None:
            yield last

    def compare(self, instance: str, scope: str, scan: str, parts: int) -> Iterator[tuple[Asset | None, Asset | None]]:
        """Merge the last snapshot with a scan: (before, now), either None, in order of the name."""
        pointer, _ = self.current(instance, scope)
        partition = self._partition(instance, scope)
        old = self._read(partition, f"{pointer.scan}.assets") if pointer is not None else iter(())
        new = self.seen(instance, scope, scan, parts)
        before, now = next(old, None), next(new, None)
        while before is not None or now is not None:
            if now is None or (before is not None and before.identity < now.identity):
                yield before, None
                before = next(old, None)
            elif before is None or now.identity < before.identity:
                yield None, now
                now = next(new, None)
            else:
                yield before, now
                before, now = next(old, None), next(new, None)

    def replace(self, instance: str, scope: str, pointer: Pointer, assets: Iterable[Asset], etag: str | None) -> None:
        """Make a scan's merged assets the scope's snapshot. Raises Conflict when somebody else was faster."""
        partition = self._partition(instance, scope)
        packed, pairs = _pack_indexed(assets)
        self._table.put_bytes(partition, f"{pointer.scan}.assets", packed)
        self._table.put_bytes(partition, f"{pointer.scan}.index", pairs)
        self._table.put(partition, "current", pointer, etag=etag or "*new*")

    def trim(self, instance: str, scope: str) -> None:
        """Remove the files of scans other than the current one."""
        pointer, _ = self.current(instance, scope)
        if pointer is None:
            return
        partition = self._partition(instance, scope)
        for row in self._table.names(partition):
            if (
                row != "current"
                and (not row.startswith(f"{pointer.scan}.") or ".part." in row)
                and (row.split(".", 1)[0] <= pointer.scan)
            ):
                self._table.delete(partition, row)


def _pack(assets: Iterable[Asset]) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=3, mtime=0) as out:
        for asset in assets:
            out.write(_encode(asset) + b"\n")
    return buffer.getvalue()


def _pack_indexed(assets: Iterable[Asset]) -> tuple[bytes, bytes]:
    pairs: list[tuple[int, int]] = []

    def noted() -> Iterator[Asset]:
        for asset in assets:
            pairs.append((key(asset.name), asset.mark))
            yield asset

    return _pack(noted()), Index.build(pairs)
