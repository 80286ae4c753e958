"""Pending: what was sent and has not been seen in the catalogue yet.

Per landed file (partition = its path) in chunks of at most 20,000 names:

    <chunk>        sorted by key: the names, gzip JSON arrays [operation, typeName, qualifiedName]; written before the
                   messages are published, so that a fast answer finds it; immutable
    <chunk>.keys   the keys in the same order, 8 bytes each
    <chunk>.seen   which of them were seen: a bit per name; moves by compare-and-set

No correlation id comes back from the catalogue, so names are matched by typeName and *normalised* qualified name
(Purview normalises some of them: shared/naming/normalise.py).
"""

from __future__ import annotations

import array
import base64
import gzip
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Iterator

import msgspec

from shared.atlas.closure import Operation, key
from shared.naming import Name, normalise
from shared.state.blob_table import BlobTable

CHUNK = 20_000
_CACHED_CHUNKS = 128


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """count: names in the chunk; bits: base64 of one bit a name; sent: RFC 3339; asked: how often REST was asked."""

    count: int
    bits: str
    sent: str
    asked: int = 0
    resent: bool = False

    def mask(self) -> bytearray:
        return bytearray(base64.b64decode(self.bits))

    @property
    def missing(self) -> int:
        return self.count - sum(byte.bit_count() for byte in self.mask())


Expected = tuple[Operation, Name]
_decode = msgspec.json.Decoder(list[tuple[Operation, str, str]]).decode


def identity(operation: Operation, name: Name) -> int:
    """The key under which an answer about this asset is recognised; a deletion is answered by another event."""
    normal = Name(name.type_name, normalise(name.type_name, name.qualified_name))
    return key(normal) ^ (1 if operation == "delete" else 0)


class Pending:
    """The table `pending`."""

    def __init__(self, table: BlobTable) -> None:
        self._table = table
        self._keys: OrderedDict[tuple[str, str, str], array.array[int]] = OrderedDict()

    def expect(self, path: str, chunk: int, expected: Iterable[Expected], sent: str) -> int:
        """Note what is about to be sent; returns how many different assets that is."""
        rows = sorted({identity(op, name): (op, name.type_name, name.qualified_name) for op, name in expected}.items())
        keys = array.array("Q", [k for k, _ in rows])
        label = f"{chunk:05d}"
        names = gzip.compress(msgspec.json.encode([row for _, row in rows]), 3, mtime=0)
        self._table.put_bytes(path, label, names)
        self._table.put_bytes(path, f"{label}.keys", keys.tobytes())
        bits = base64.b64encode(bytes((len(rows) + 7) // 8)).decode()
        self._table.put(path, f"{label}.seen", Seen(count=len(rows), bits=bits, sent=sent))
        return len(rows)

    def chunks(self, path: str = "") -> Iterator[tuple[str, str, Seen]]:
        """(path, chunk, what was seen of it) for one file, or for all that wait."""
        for partition in [path] if path else self._table.partitions():
            for row, seen, _ in self._table.rows(partition, type=Seen, suffix=".seen"):
                yield partition, row.removesuffix(".seen"), seen

    def _sorted_keys(self, path: str, chunk: str, sent: str) -> array.array[int]:
        known = self._keys.get((path, chunk, sent))
        if known is None:
            data, _ = self._table.get_bytes(path, f"{chunk}.keys")
            known = array.array("Q")
            known.frombytes(data or b"")
            self._keys[path, chunk, sent] = known
            if len(self._keys) > _CACHED_CHUNKS:
                self._keys.popitem(last=False)
        else:
            self._keys.move_to_end((path, chunk, sent))
        return known

    def confirm(self, path: str, chunk: str, seen: Seen, answered: Iterable[int]) -> int:
        """Set the bits of the identities that were answered; returns how many of them were news."""
        keys = self._sorted_keys(path, chunk, seen.sent)
        places = []
        for wanted in answered:
            at = bisect_left(keys, wanted)
            if at < len(keys) and keys[at] == wanted:
                places.append(at)
        if not places:
            return 0
        news = 0

        def step(value: Seen | None) -> Seen | None:
            nonlocal news
            news = 0
            if value is None or value.sent != seen.sent:
                return value
            mask = value.mask()
            for at in places:
                if not mask[at >> 3] & (1 << (at & 7)):
                    mask[at >> 3] |= 1 << (at & 7)
                    news += 1
            return msgspec.structs.replace(value, bits=base64.b64encode(mask).decode())

        self._table.update(path, f"{chunk}.seen", step, type=Seen)
        return news

    def missing(self, path: str, chunk: str) -> list[Expected]:
        """The names of a chunk that were not seen yet."""
        seen, _ = self._table.get(path, f"{chunk}.seen", type=Seen)
        data, _ = self._table.get_bytes(path, chunk)
        if seen is None or data is None:
            return []
        mask = seen.mask()
        return [
            (operation, Name(type_name, qualified_name))
            for at, (operation, type_name, qualified_name) in enumerate(_decode(gzip.decompress(data)))
            if not mask[at >> 3] & (1 << (at & 7))
        ]

    def note(self, path: str, chunk: str, *, asked: int | None = None, resent: bool | None = None) -> None:
        def step(value: Seen | None) -> Seen | None:
            if value is None:
                return None
            return msgspec.structs.replace(
                value,
                asked=value.asked if asked is None else asked,
                resent=value.resent if resent is None else resent,
            )

        self._table.update(path, f"{chunk}.seen", step, type=Seen)

    def remove(self, path: str) -> None:
        for row in list(self._table.names(path)):
            self._table.delete(path, row)
