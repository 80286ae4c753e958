"""Deleted: which assets each scan has taken out of the catalogue, for who asks later where one has gone.

Partition: `<instance>/<scope>`, row: the scan; JSON arrays [typeName, qualifiedName], gzip. It goes with the receipt of
the deletions. Deleting the table costs nothing but the answer.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Iterator

import msgspec

from shared.naming import Name
from shared.state.blob_table import BlobTable


class Deleted:
    """The table `deleted`."""

    def __init__(self, table: BlobTable) -> None:
        self._table = table

    def note(self, instance: str, scope: str, scan: str, names: Iterable[Name]) -> None:
        buffer = io.BytesIO()
        with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=3, mtime=0) as out:
            for name in names:
                out.write(msgspec.json.encode((name.type_name, name.qualified_name)) + b"\n")
        self._table.put_bytes(f"{instance}/{scope}", scan, buffer.getvalue())

    def all(self) -> Iterator[tuple[str, str, str, Name]]:
        """(instance, scope, scan, name) of everything that is remembered, the scans of a scope newest first."""
        for partition in self._table.partitions():
            instance, _, scope = partition.partition("/")
            for scan in sorted(self._table.names(partition), reverse=True):
                data, _ = self._table.get_bytes(partition, scan)
                with gzip.GzipFile(fileobj=io.BytesIO(data or gzip.compress(b""))) as lines:
                    for line in lines:
                        yield instance, scope, scan, Name(*msgspec.json.decode(line, type=tuple[str, str]))

    def forget(self, instance: str, scope: str, scan: str) -> None:
        self._table.delete(f"{instance}/{scope}", scan)
