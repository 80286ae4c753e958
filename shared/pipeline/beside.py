"""The files beside a landed file, and reading it again when they change."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from connectors.format import MAX_BESIDE
from shared.azure import storage_errors
from shared.pipeline.app import App
from shared.pipeline.landing import open_blob, plain
from shared.state.beside import digest, folder_of, matching


class LandedFolder:
    """A Folder (connectors/format.py) in landing. asked: pattern -> digest, as the table `beside` keeps it.

    It is listed when it is asked for the first time; one listing is one state of it.
    """

    def __init__(self, app: App, path: str) -> None:
        self._app = app
        self._path = path
        self._folder = folder_of(path)
        self._files: dict[str, str] | None = None
        self.asked: dict[str, str] = {}

    def find(self, pattern: str) -> list[str]:
        if self._files is None:
            self._files = listed(self._app, self._folder)
            self._files.pop(self._path.removeprefix(self._folder), None)
        self.asked[pattern] = digest(self._files, pattern)
        return matching(self._files, pattern)

    def open(self, name: str) -> BinaryIO | None:
        """Raises StorageBusy, also when it was replaced since it was listed."""
        exact = "".join(f"[{c}]" if c in "*?[" else c for c in name)
        if name not in self.find(exact) or self._files is None:
            return None
        return open_blob(self._app, self._app.landing.get_blob_client(self._folder + name), self._files[name])


class DiskFolder:
    """The same, on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, pattern: str) -> list[str]:
        files = (found for found in self._path.parent.iterdir() if found.is_file() and found.name != self._path.name)
        return matching((found.name for found in itertools.islice(files, MAX_BESIDE)), pattern)

    def open(self, name: str) -> BinaryIO | None:
        return (self._path.parent / name).open("rb") if name in self.find("*") else None


def listed(app: App, folder: str) -> dict[str, str]:
    """Name -> ETag of the files right in a folder of landing; the first MAX_BESIDE."""
    from azure.storage.blob import BlobProperties

    with storage_errors(f"landing/{folder}"):
        found = app.landing.walk_blobs(name_starts_with=folder, delimiter="/")
        blobs = (item for item in found if isinstance(item, BlobProperties))
        return {b.name.removeprefix(folder): plain(b.etag) for b in itertools.islice(blobs, MAX_BESIDE)}


def changed(app: App) -> Iterator[str]:
    """Paths of files that would find something else beside them now than when they were read."""
    for folder, rows in itertools.groupby(sorted(app.beside.all(), key=lambda row: row.path), key=lambda r: r.folder):
        files = listed(app, folder)
        for row in rows:
            name = row.path.removeprefix(folder)
            if files.get(name) != row.etag:  # taken away, or its new version comes by itself
                if name not in files:
                    app.beside.note(row.path, row.etag, {})
                continue
            others = {other: etag for other, etag in files.items() if other != name}
            receipt, _ = app.receipts.get(row.path)
            final = receipt is not None and receipt.final and receipt.etag == row.etag
            if final and any(digest(others, pattern) != seen for pattern, seen in row.patterns.items()):
                yield row.path
