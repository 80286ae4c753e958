"""Records in, parts of a job file out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import IO

import msgspec

from shared.job_file import Header, JobFileWriter, Progress
from shared.records import Container, Record

Write = Callable[[IO[bytes], int], None]


class PartWriter:
    """Every part begins with the containers, so that it can be transformed on its own.

    write: is given each finished part and its number, and returns when it is durable.
    """

    def __init__(self, header: Header, part: int, write: Write) -> None:
        self._header = header
        self._write = write
        self._containers: list[Container] = []
        self.part = part
        self._open()

    def _open(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=1 << 20)  # noqa: SIM115 - closed when the part is
        self._writer = JobFileWriter(self._file, msgspec.structs.replace(self._header, part=self.part))
        for container in self._containers:
            self._writer.write(container)

    @property
    def full(self) -> bool:
        return self._writer.full

    @property
    def empty(self) -> bool:
        """Whether there is nothing but containers in it."""
        return self._writer.count == len(self._containers)

    def add(self, record: Record) -> None:
        if isinstance(record, Container):
            self._containers.append(record)
        self._writer.write(record)

    def next(self, progress: Progress | None = None) -> None:
        """Close this part durably and open the next."""
        self._close(last=False, progress=progress)
        self._open()

    def end(self, *, complete: bool, progress: Progress) -> None:
        """Close the last part durably."""
        self._close(last=True, complete=complete, progress=progress)

    def drop(self) -> None:
        """Forget the part at hand."""
        self._writer.drop()
        self._file.close()

    def _close(self, *, last: bool, complete: bool = False, progress: Progress | None = None) -> None:
        parts = self.part + 1 if last else 0
        self._writer.close(last=last, parts=parts, complete=complete, progress=progress)
        self._file.seek(0)
        self._write(self._file, self.part)
        self._file.close()
        self.part += 1
