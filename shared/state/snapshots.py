"""Snapshots: what each scope last published, so that unchanged assets are not sent again and stale ones are found.

Per instance and scope (partition `<instance>/<scope>`):

    <scan>.part.<n>   the assets of one part: sorted JSON arrays, gzip; written by the transform of that part
    <scan>.assets     all parts merged (and what an incomplete scan did not see, carried over)
    <scan>.index      two arrays of 64-bit numbers, sorted by the first: key of the name, content hash
    current           which scan's files count; moves by compare-and-set, never back to an older scan
    again             what was sent and got lost: counts as changed in the next scan

Everything is a streaming merge of sorted files: 16 bytes of memory per published asset, for the index. Deleting any of
it costs a resend of the scope, never a loss.
"""

from __future__ import annotations

import array
import gzip
import heapq
import io
import itertools
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

import msgspec

from shared.atlas.closure import Operation, key
from shared.naming import Name
from shared.state.blob_table import NEW, BlobTable

#: how old the worker's picture of all scopes may be: an asset too few costs a stub, which changes nothing
PUBLISHED_SECONDS = 300
_CURRENT, _AGAIN = "current", "again"


class Asset(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """One published asset: its name, the hash of what it is (odd for a stub), and the children that travel with it.

    refers:  of a process, keys of the assets it refers to
    deleted: the source reported that it is gone, and so it was deleted
    sent:    in this scan
    """

    type_name: str
    qualified_name: str
    mark: int = 0
    child_type: str = ""
    children: tuple[str, ...] = ()
    refers: tuple[int, ...] = ()
    deleted: bool = False
    sent: bool = False

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
    """The scan whose files count. assets: how many it published, stubs left out.

    selection: what the instance was to read, of the last scan after which nothing was held back or carried over.
    """

    scan: str
    started: str
    assets: int
    selection: str = ""


class Again(msgspec.Struct, frozen=True, array_like=True):
    """Something that was lost, and when (RFC 3339)."""

    operation: Operation
    type_name: str
    qualified_name: str
    since: str

    @property
    def name(self) -> Name:
        return Name(self.type_name, self.qualified_name)


_decode = msgspec.json.Decoder(Asset).decode
_encode = msgspec.json.Encoder().encode


class Index:
    """name -> mark (content hash, odd for a stub), in two sorted arrays."""

    def __init__(self, data: bytes = b"", scan: str = "", version: str | None = "") -> None:
        self.scan, self.version = scan, version
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

    def publishes(self, name: Name) -> bool:
        """Whether it is there, as more than a stub."""
        mark = self.mark(name)
        return mark is not None and not mark & 1

    def real(self) -> Iterator[int]:
        """Keys of the assets that are more than stubs."""
        return (k for k, m in zip(self._keys, self._marks, strict=True) if not m & 1)

    @staticmethod
    def build(keys: array.array[int], marks: array.array[int]) -> bytes:
        order = sorted(range(len(keys)), key=keys.__getitem__)
        numbers = array.array("Q", [keys[at] for at in order])
        numbers.extend([marks[at] for at in order])
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
        self._published: tuple[float, frozenset[tuple[str, str, str]], Published] | None = None

    @staticmethod
    def _partition(instance: str, scope: str) -> str:
        return f"{instance}/{scope}"

    def current(self, instance: str, scope: str) -> tuple[Pointer | None, str | None]:
        return self._table.get(self._partition(instance, scope), _CURRENT, type=Pointer)

    def index(self, instance: str, scope: str) -> Index:
        """The index of the last finished scan; empty when there is none."""
        pointer, version = self.current(instance, scope)
        partition = self._partition(instance, scope)
        if pointer is None:
            return Index()
        held = self._indexes.get(partition)
        if held is None or held.version != version:
            data, _ = self._table.get_bytes(partition, f"{pointer.scan}.index")
            if data is None:
                return Index(b"", pointer.scan, version)
            held = self._indexes[partition] = Index(data, pointer.scan, version)
        return held

    def elsewhere(self, instance: str, scope: str) -> list[Index]:
        """The indexes of all other scopes."""
        return [self.index(*place) for place in self.scopes() if place != (instance, scope)]

    def published(self) -> Published:
        """What is published, at most PUBLISHED_SECONDS old."""
        if self._published is not None and time.monotonic() - self._published[0] < PUBLISHED_SECONDS:
            return self._published[2]
        found = {place: self.index(*place) for place in self.scopes()}
        versions = frozenset((*place, index.version or "") for place, index in found.items())
        same = self._published is not None and self._published[1] == versions
        made = self._published[2] if same and self._published is not None else Published(found.values())
        self._published = (time.monotonic(), versions, made)
        return made

    def scopes(self) -> Iterator[tuple[str, str]]:
        for partition in self._table.partitions():
            instance, _, scope = partition.partition("/")
            yield instance, scope

    def write_part(self, instance: str, scope: str, scan: str, part: int, assets: Iterable[Asset]) -> None:
        data = _pack(sorted(assets))
        self._table.put_bytes(self._partition(instance, scope), f"{scan}.part.{part:05d}", data)

    def parts(self, instance: str, scope: str, scan: str) -> set[int]:
        """The parts of a scan that were written."""
        prefix = f"{scan}.part."
        rows = self._table.names(self._partition(instance, scope))
        return {int(row.removeprefix(prefix)) for row in rows if row.startswith(prefix)}

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
        counted = 0
        keys, marks = array.array("Q"), array.array("Q")

        def noted() -> Iterator[Asset]:
            nonlocal counted
            for asset in assets:
                keys.append(key(asset.name))
                marks.append(asset.mark)
                counted += not asset.stub
                yield asset

        self._table.put_bytes(partition, f"{pointer.scan}.assets", _pack(noted()))
        self._table.put_bytes(partition, f"{pointer.scan}.index", Index.build(keys, marks))
        self._table.put(partition, _CURRENT, msgspec.structs.replace(pointer, assets=counted), etag=etag or NEW)

    def amend(self, instance: str, scope: str, assets: Iterable[Asset]) -> None:
        """Add to the scope's snapshot what of its scan was published later. Raises Conflict."""
        pointer, etag = self.current(instance, scope)
        if pointer is None:
            return
        both = heapq.merge(self.assets(instance, scope), sorted(assets), key=lambda a: a.identity)
        last = (list(same)[-1] for _, same in itertools.groupby(both, key=lambda a: a.identity))
        self.replace(instance, scope, pointer, last, etag)

    def trim(self, instance: str, scope: str) -> None:
        """Remove the files of scans other than the current one."""
        pointer, _ = self.current(instance, scope)
        if pointer is None:
            return
        partition = self._partition(instance, scope)
        for row in list(self._table.names(partition)):
            scan, dot, kind = row.partition(".")
            if dot and scan <= pointer.scan and (scan != pointer.scan or kind.startswith("part.")):
                self._table.delete(partition, row)

    def drop(self, instance: str, scope: str) -> None:
        """Forget a scope: what it published is nobody's any more."""
        partition = self._partition(instance, scope)
        self._table.delete(partition, _CURRENT)  # first: without it the others count for nothing
        for row in list(self._table.names(partition)):
            self._table.delete(partition, row)
        self._indexes.pop(partition, None)
        self._published = None

    # ---- what was lost

    def again(self, instance: str, scope: str) -> list[Again]:
        found, _ = self._table.get(self._partition(instance, scope), _AGAIN, type=list[Again])
        return found or []

    def doubt(self, instance: str, scope: str, lost: Iterable[tuple[Operation, Name]], since: str) -> None:
        """These were sent and did not arrive: the next scan sends them again, unchanged or not."""
        more = [Again(operation, name.type_name, name.qualified_name, since) for operation, name in lost]
        self._change_again(instance, scope, lambda known: [*(k for k in known if not _in(k, more)), *more])

    def trust(self, instance: str, scope: str, sent: list[Again]) -> None:
        """These were sent again. What was lost anew meanwhile stays in doubt."""
        self._change_again(instance, scope, lambda known: [k for k in known if k not in sent])

    def _change_again(self, instance: str, scope: str, change: Callable[[list[Again]], list[Again]]) -> None:
        def step(value: list[Again] | None) -> list[Again] | None:
            changed = change(value or [])
            return value if changed == (value or []) else changed

        self._table.update(self._partition(instance, scope), _AGAIN, step, type=list[Again])


def _in(one: Again, others: list[Again]) -> bool:
    return any(one.name == other.name for other in others)


def _pack(assets: Iterable[Asset]) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=3, mtime=0) as out:
        for asset in assets:
            out.write(_encode(asset) + b"\n")
    return buffer.getvalue()
