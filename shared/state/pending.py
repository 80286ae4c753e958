"""Pending: what was sent and has not been seen in the catalogue yet.

A run over a landed file notes its names in chunks of about 20,000 (row: path, run, number of the chunk), before it
sends them, so that a fast answer finds what it answers. One partition for each kind of row, so that one listing finds
everything that waits:

    seen    which of the names were seen: a bit for each; moves by compare-and-set. Written first, deleted last
    names   sorted by key: gzip JSON arrays [operation, typeName, qualifiedName]; immutable
    keys    the keys in the same order, 8 bytes each; immutable, so that workers keep them in memory

A second run over the file has rows of its own; which run counts, its receipt says.

No correlation id comes back from the catalogue, so names are matched by typeName and *normalised* qualified name
(Purview normalises some of them: shared/naming/normalise.py).
"""

from __future__ import annotations

import array
import base64
import gzip
import sys
import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import msgspec

from shared.atlas.closure import Operation, key
from shared.naming import Name, normalise
from shared.state.blob_table import BlobTable

CHUNK = 20_000
#: keys that a worker keeps in memory: 32 MB; and chunks, most of which are small
CACHED_KEYS, CACHED_CHUNKS = 4_000_000, 10_000
_SEEN, _NAMES, _KEYS = "seen", "names", "keys"


class Chunk(NamedTuple):
    """Names of one file that were sent together."""

    path: str
    run: str
    number: int

    @property
    def row(self) -> str:
        return f"{self.path}|{self.run}|{self.number:05d}"


#: how an answer is believed
#: usual:   when it is of the time after the sending, clocks may differ by minutes
#: exact:   another version of the file was sent minutes ago: its late answers are told apart by the very moment
#: content: another version is still on its way, any answer may be about that one: only what the catalogue shows counts
Belief = Literal["usual", "exact", "content"]


class Seen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """count: names in the chunk; bits: base64 of one bit a name; sent: RFC 3339; asked: how often REST was asked."""

    count: int
    bits: str
    sent: str
    asked: int = 0
    belief: Belief = "usual"

    def mask(self) -> bytearray:
        return bytearray(base64.b64decode(self.bits))

    @property
    def missing(self) -> int:
        return self.count - sum(byte.bit_count() for byte in self.mask())


class Noted(NamedTuple):
    """How many different assets a chunk waits for."""

    sent: int
    deleted: int


Expected = tuple[Operation, Name]
_decode = msgspec.json.Decoder(list[tuple[Operation, str, str]]).decode


def identity(operation: Operation, name: Name) -> int:
    """The key under which an answer about this asset is recognised; a deletion is answered by another event."""
    normal = Name(name.type_name, normalise(name.type_name, name.qualified_name))
    return key(normal) ^ (1 if operation == "delete" else 0)


class Keys:
    """The sorted keys of a chunk."""

    def __init__(self, data: bytes) -> None:
        self._keys = array.array("Q")
        self._keys.frombytes(data)
        if sys.byteorder == "big":
            self._keys.byteswap()

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[int]:
        return iter(self._keys)

    def place(self, wanted: int) -> int | None:
        at = bisect_left(self._keys, wanted)
        return at if at < len(self._keys) and self._keys[at] == wanted else None

    @staticmethod
    def pack(ordered: Iterable[int]) -> bytes:
        keys = array.array("Q", ordered)
        if sys.byteorder == "big":
            keys.byteswap()
        return keys.tobytes()


class Confirmed:
    """What an interrupted run over the same file had confirmed already, and need not be sent again."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self.sent = self.deleted = 0
        self._keys: list[Keys] = []

    def add(self, chunk: Chunk, noted: Noted, keys: Keys) -> None:
        self.chunks.append(chunk)
        self.sent += noted.sent
        self.deleted += noted.deleted
        self._keys.append(keys)

    def holds(self, operation: Operation, name: Name) -> bool:
        if not self._keys:
            return False
        wanted = identity(operation, name)
        return any(keys.place(wanted) is not None for keys in self._keys)


class Pending:
    """The table `pending`. May be used by several threads."""

    def __init__(self, table: BlobTable) -> None:
        self._table = table
        self._keys: OrderedDict[Chunk, Keys] = OrderedDict()
        self._cached = 0
        self._lock = threading.Lock()

    def expect(
        self, chunk: Chunk, expected: Iterable[Expected], sent: str, *, seen: bool = False, belief: Belief = "usual"
    ) -> Noted:
        """Note what is about to be sent; how many different assets that is. seen: the catalogue has taken it already.

        Of a name that is written and deleted in one chunk, only the last counts: nothing else can be seen afterwards.
        """
        last = {name: operation for operation, name in expected}
        rows = sorted(
            {identity(op, name): (op, name.type_name, name.qualified_name) for name, op in last.items()}.items()
        )
        count, size = len(rows), (len(rows) + 7) // 8
        mask = bytearray(size)
        if seen:
            mask[:] = b"\xff" * (count >> 3) + bytes([(1 << (count & 7)) - 1] if count & 7 else [])
        keys = Keys.pack(k for k, _ in rows)
        noted = Seen(count=count, bits=base64.b64encode(mask).decode(), sent=sent, belief=belief)
        self._table.put(_SEEN, chunk.row, noted)
        self._table.put_bytes(
            _NAMES, chunk.row, gzip.compress(msgspec.json.encode([row for _, row in rows]), 3, mtime=0)
        )
        self._table.put_bytes(_KEYS, chunk.row, keys)
        deleted = sum(row[0] == "delete" for _, row in rows)
        return Noted(count - deleted, deleted)

    # ---- what there is

    def all(self, under: str = "") -> Iterator[Chunk]:
        """Every chunk that waits, by one listing; nothing is read. under: only of paths that begin so."""
        for row in self._table.names(_SEEN, under):
            path, run, number = row.rsplit("|", 2)  # a path may hold the separator, run and number never do
            yield Chunk(path, run, int(number))

    def of(self, path: str, run: str) -> Iterator[tuple[Chunk, Seen]]:
        """The chunks of one run over a file, in order. They are numbered without a gap."""
        number = 0
        while run:
            chunk = Chunk(path, run, number)
            seen = self.seen(chunk)
            if seen is None:
                return
            yield chunk, seen
            number += 1

    def seen(self, chunk: Chunk) -> Seen | None:
        return self._table.get(_SEEN, chunk.row, type=Seen)[0]

    def missing(self, chunk: Chunk) -> list[Expected]:
        """The names of a chunk that were not seen yet."""
        seen = self.seen(chunk)
        return [] if seen is None else self._select(chunk, seen, seen_too=False)

    def _select(self, chunk: Chunk, seen: Seen, *, seen_too: bool) -> list[Expected]:
        """Names by whether they were seen."""
        data, _ = self._table.get_bytes(_NAMES, chunk.row)
        if data is None:
            return []
        mask = seen.mask()
        return [
            (operation, Name(type_name, qualified_name))
            for at, (operation, type_name, qualified_name) in enumerate(_decode(gzip.decompress(data)))
            if bool(mask[at >> 3] & (1 << (at & 7))) == seen_too
        ]

    # ---- answers

    def answered(self, chunk: Chunk, identities: Iterable[int]) -> list[int]:
        """Which of the identities the chunk waits (or waited) for; from memory after the first time."""
        keys = self._keys_of(chunk)
        return [wanted for wanted in identities if keys.place(wanted) is not None]

    def confirm(self, chunk: Chunk, answered: Sequence[int]) -> int:
        """Set the bits of the identities that were answered; returns how many of them were news."""
        keys = self._keys_of(chunk)
        places = [at for wanted in answered if (at := keys.place(wanted)) is not None]
        news = 0

        def step(value: Seen | None) -> Seen | None:
            nonlocal news
            news = 0
            if value is None:
                return None
            mask = value.mask()
            for at in places:
                if at < value.count and not mask[at >> 3] & (1 << (at & 7)):
                    mask[at >> 3] |= 1 << (at & 7)
                    news += 1
            return msgspec.structs.replace(value, bits=base64.b64encode(mask).decode()) if news else value

        if places:
            self._table.update(_SEEN, chunk.row, step, type=Seen)
        return news

    def asked(self, chunk: Chunk) -> None:
        """One more question to the catalogue about this chunk."""
        self._change(chunk, lambda seen: msgspec.structs.replace(seen, asked=seen.asked + 1))

    def sent_again(self, chunk: Chunk, sent: str) -> None:
        """Its missing names were sent once more: the wait begins anew."""
        self._change(chunk, lambda seen: msgspec.structs.replace(seen, sent=sent, asked=0))

    def _change(self, chunk: Chunk, change: Callable[[Seen], Seen]) -> None:
        self._table.update(_SEEN, chunk.row, lambda value: None if value is None else change(value), type=Seen)

    # ---- runs

    def carry(self, path: str, old: str, run: str, sent: str) -> Confirmed:
        """Give a run what an interrupted one before it had confirmed, as its first chunks."""
        confirmed = Confirmed()
        for chunk, seen in self.of(path, old):
            names = self._select(chunk, seen, seen_too=True)
            if names:
                mine = Chunk(path, run, len(confirmed.chunks))
                noted = self.expect(mine, names, sent, seen=True)
                confirmed.add(mine, noted, self._keys_of(mine))
        return confirmed

    def remove(self, path: str, run: str) -> None:
        """Forget a run. The last chunk goes first, so that what is left after a crash is still without a gap."""
        for chunk, _ in reversed(list(self.of(path, run))):
            self.drop(chunk)

    def drop(self, chunk: Chunk) -> None:
        with self._lock:
            gone = self._keys.pop(chunk, None)
            self._cached -= len(gone) if gone is not None else 0
        for partition in (_NAMES, _KEYS, _SEEN):
            self._table.delete(partition, chunk.row)

    def _keys_of(self, chunk: Chunk) -> Keys:
        with self._lock:
            known = self._keys.get(chunk)
            if known is not None:
                self._keys.move_to_end(chunk)
                return known
        data, _ = self._table.get_bytes(_KEYS, chunk.row)
        keys = Keys(data or b"")
        if data is None:
            return keys  # not written yet, or just removed
        with self._lock:
            if chunk not in self._keys:
                self._keys[chunk] = keys
                self._cached += len(keys)
            while (self._cached > CACHED_KEYS or len(self._keys) > CACHED_CHUNKS) and len(self._keys) > 1:
                self._cached -= len(self._keys.popitem(last=False)[1])
        return keys
