"""The folder `landing/uploads/` on this machine, copied into the container `landing`."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape

from cli.output import err
from shared.azure import storage_errors
from shared.pipeline.app import App

#: metadata of an uploaded blob: which version of the file it is
VERSION = "hookline_version"


class Uploads:
    """Local folders whose files are uploaded, once per version of a file; also over a restart."""

    def __init__(self, app: App, folders: list[Path]) -> None:
        self._app = app
        self._folders = folders
        self._seen: dict[Path, str] = {}
        with storage_errors("landing"):
            blobs = app.landing.list_blobs(name_starts_with="uploads/", include=["metadata"])
            #: blob -> version that lies there
            self._done = {blob.name: (blob.metadata or {}).get(VERSION, "") for blob in blobs}

    def sync(self, *, settled: bool = False) -> None:
        """Upload what is new and was the same at the last look, so that no file is taken that is still being written.

        settled: do not wait for a second look.
        """
        for folder in self._folders:
            for path in sorted(folder.rglob("*")) if folder.exists() else []:
                if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
                    self._look(folder, path, settled)

    def _look(self, folder: Path, path: Path, settled: bool) -> None:
        target = f"uploads/{path.relative_to(folder).as_posix()}"
        try:
            stat = path.stat()
            version = f"{stat.st_mtime_ns}-{stat.st_size}"
            if self._done.get(target) == version:
                return
            if not settled and self._seen.get(path) != version:
                self._seen[path] = version
                return
            self._done[target] = version
            with path.open("rb") as file, storage_errors(target):
                blob = self._app.landing.get_blob_client(target)
                blob.upload_blob(file, overwrite=True, metadata={VERSION: version})
        except FileNotFoundError:
            return  # it was there a moment ago
        except OSError as error:
            err.print(f"  [red]cannot be read[/red]  {escape(str(path))}: {escape(error.strerror or str(error))}")
            return
        err.print(f"  [cyan]landed   [/cyan]  {escape(target)}")
