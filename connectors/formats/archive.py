"""Zip archives from outside, as a folder: bounded in number, size and ratio, names that stay inside."""

from __future__ import annotations

import io
import struct
import tempfile
import zipfile
import zlib
from contextlib import AbstractContextManager
from fnmatch import fnmatch
from pathlib import PurePosixPath
from types import TracebackType
from typing import IO, BinaryIO, Self, cast

from connectors.format import MAX_BESIDE
from shared.errors import BadInput

#: what a member may unpack to, and all of them together
MAX_MEMBER, MAX_TOTAL = 256 * 1024 * 1024, 1024 * 1024 * 1024
#: deflate reaches about 1,000; real projects stay below 50
MAX_RATIO = 200
#: small archives wait in memory, larger ones in a temporary file
_IN_MEMORY = 8 * 1024 * 1024
#: what zipfile raises at damaged archives; ValueError: an offset before the file's beginning, a name that is no text
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError, struct.error)


def is_zip(head: bytes) -> bool:
    return head[:4] in (b"PK\x03\x04", b"PK\x05\x06")


class Archive(AbstractContextManager["Archive"]):
    """A Folder (connectors/format.py) over the members of a zip file, by their full names inside (`models/x.json`).

    Raises BadInput: damaged, encrypted, a name that leads outside, more or larger than the bounds above.
    """

    def __init__(self, file: BinaryIO, where: str) -> None:
        self._where = where
        self._spool: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        try:
            while chunk := file.read(1 << 20):
                self._spool.write(chunk)
            self._zip = zipfile.ZipFile(self._spool)
            self._members = self._checked()
        except _DAMAGED as error:
            self._spool.close()
            raise self._bad(f"the archive is damaged ({error})", "pack it again") from error
        except BadInput:
            self._spool.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()
        self._spool.close()

    def __enter__(self) -> Self:
        return self

    def find(self, pattern: str) -> list[str]:
        return sorted(name for name in self._members if fnmatch(name.lower(), pattern.lower()))

    def open(self, name: str) -> BinaryIO | None:
        member = self._members.get(name)
        if member is None:
            return None
        try:
            opened = self._zip.open(member)
        except _DAMAGED as error:
            raise self._bad(f"{name} in the archive cannot be read ({error})", "pack it again") from error
        return cast(BinaryIO, io.BufferedReader(_Member(opened, member.file_size, f"{self._where}!{name}")))

    def _checked(self) -> dict[str, zipfile.ZipInfo]:
        members: dict[str, zipfile.ZipInfo] = {}
        total = 0
        for member in self._zip.infolist():
            if not member.filename:
                raise self._bad("a file in the archive has no name", "pack it again")
            if member.is_dir():
                continue
            path = PurePosixPath(member.filename.replace("\\", "/"))
            if path.is_absolute() or not path.parts or ".." in path.parts or ":" in path.parts[0]:
                raise self._bad("a name in the archive leads outside of it", "pack it again from its own folder")
            if member.flag_bits & 0x1:
                raise self._bad("the archive is encrypted", "pack it without a password")
            total += member.file_size
            ratio = member.file_size / max(1, member.compress_size)
            if member.file_size > MAX_MEMBER or total > MAX_TOTAL or (member.file_size > 1 << 20 and ratio > MAX_RATIO):
                raise self._bad("the archive unpacks to more than it may", "upload its files one by one")
            if path.as_posix() in members:
                raise self._bad("the archive holds two files of one name", "pack it again")
            members[path.as_posix()] = member
            if len(members) > MAX_BESIDE:
                raise self._bad(f"the archive holds more than {MAX_BESIDE:,} files", "split it")
        return members

    def _bad(self, what: str, fix: str) -> BadInput:
        return BadInput(what, where=self._where, fix=fix)


class _Member(io.RawIOBase):
    """A member's content; what its directory entry says of its size is held against what comes."""

    def __init__(self, opened: IO[bytes], size: int, where: str) -> None:
        self._opened, self._left, self._where = opened, size, where

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._opened.close()
        super().close()

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        try:
            data = self._opened.read(len(view))
        except _DAMAGED as error:
            raise BadInput(f"the archive is damaged ({error})", where=self._where, fix="pack it again") from error
        self._left -= len(data)
        if self._left < 0:
            raise BadInput("a file in the archive is larger than it says", where=self._where, fix="pack it again")
        view[: len(data)] = data
        return len(data)
