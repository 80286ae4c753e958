"""Beside: what files have asked of the folder they lie in, so that they are read again when its answer changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch

import msgspec

from shared.state.blob_table import BlobTable

_PARTITION = "asked"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a landed file, and pattern -> digest of the files that matched it then."""

    path: str
    etag: str
    patterns: dict[str, str]

    @property
    def folder(self) -> str:
        return folder_of(self.path)


class Beside:
    """The table `beside`. Deleted, the price is that a late neighbour is not noticed by itself."""

    def __init__(self, table: BlobTable) -> None:
        self._table = table

    def note(self, path: str, etag: str, patterns: Mapping[str, str]) -> None:
        """Remember (or forget, without patterns) what this version of a landed file has asked."""
        if patterns:
            self._table.put(_PARTITION, path, Asked(path=path, etag=etag, patterns=dict(patterns)))
        else:
            self._table.delete(_PARTITION, path)

    def all(self) -> Iterator[Asked]:
        for _, row, _ in self._table.rows(_PARTITION, type=Asked):
            yield row


def folder_of(path: str) -> str:
    """`uploads/ssis/sales/` of `uploads/ssis/sales/load.dtsx`."""
    return path[: path.rfind("/") + 1]


def matching(names: Iterable[str], pattern: str) -> list[str]:
    return sorted(name for name in names if fnmatch(name.lower(), pattern.lower()))


def digest(files: Mapping[str, str], pattern: str) -> str:
    """Of the files (name -> ETag) that match."""
    seen = "\n".join(f"{name} {files[name]}" for name in matching(files, pattern))
    return hashlib.sha256(seen.encode()).hexdigest()[:16]
