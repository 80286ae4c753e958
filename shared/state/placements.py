"""Placements: which assets have been put into their collection, so that nothing is moved or asked for twice.

    at       of each scope of an instance, and of uploads: which collection, as of which scan
    placed   of each scope: the keys of the assets that are done, 8 bytes each; one row for each collection
    waiting  of uploaded files: names that go into a collection once the file is confirmed; gone when that is done

Deleting the table costs one question for each asset, and loses the memory of which collections were ours before.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from shared.naming import Name
from shared.state.blob_table import BlobTable
from shared.state.pending import Keys

_AT, _PLACED, _WAITING = "at", "placed", "waiting"
_decode = msgspec.json.Decoder(list[tuple[str, str]]).decode


class Placement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """collection: its id; before: ids of those that were ours earlier; scan: all of this one's assets are done.

    placed: assets that lie there; left: assets that lie elsewhere because somebody else has put them there.
    """

    collection: str
    before: tuple[str, ...] = ()
    scan: str = ""
    placed: int = 0
    left: int = 0


class Placements:
    """The table `placements`. A place is `<instance>/<scope>`, or `uploads/<instance>`."""

    def __init__(self, table: BlobTable) -> None:
        self._table = table

    def at(self, place: str) -> Placement | None:
        return self._table.get(_AT, place, type=Placement)[0]

    def put(self, place: str, placement: Placement) -> None:
        self._table.put(_AT, place, placement)

    def places(self) -> list[str]:
        return list(self._table.names(_AT))

    def forget(self, place: str) -> None:
        placement = self.at(place)
        if placement is not None:
            self.forget_done(place, placement.collection)
            self._table.delete(_AT, place)

    # ---- assets of scopes

    def done(self, place: str, collection: str) -> Keys:
        data, _ = self._table.get_bytes(_PLACED, f"{place}|{collection}")
        return Keys(data or b"")

    def put_done(self, place: str, collection: str, keys: Iterable[int]) -> None:
        self._table.put_bytes(_PLACED, f"{place}|{collection}", Keys.pack(sorted(keys)))

    def forget_done(self, place: str, collection: str) -> None:
        self._table.delete(_PLACED, f"{place}|{collection}")

    # ---- assets of uploaded files

    def expect(self, path: str, chunk: int, names: Sequence[Name]) -> None:
        data = msgspec.json.encode([(name.type_name, name.qualified_name) for name in names])
        self._table.put_bytes(_WAITING, f"{path}|{chunk:05d}", gzip.compress(data, 3, mtime=0))

    def waiting(self) -> Iterator[tuple[str, str]]:
        """(row, path of the uploaded file) of what waits, by one listing."""
        for row in self._table.names(_WAITING):
            yield row, row.rpartition("|")[0]

    def names(self, row: str) -> list[Name]:
        data, _ = self._table.get_bytes(_WAITING, row)
        return [Name(*pair) for pair in _decode(gzip.decompress(data))] if data else []

    def drop(self, row: str) -> None:
        self._table.delete(_WAITING, row)
