"""SSIS: packages (.dtsx), projects (.ispac), and what packages share (.conmgr, .params)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO, cast

from connectors.format import FileContext, Format
from connectors.formats.archive import Archive, is_zip
from connectors.formats.ssis.package import LIMITS
from connectors.formats.ssis.project import archive_file, connection_in, package_file, parameters_in
from connectors.formats.xml_tree import parse
from shared.records import Found, Refusal

_ENDINGS = (".dtsx", ".ispac", ".conmgr", ".params", ".dtsconfig")
_NAMESPACES = (b"www.microsoft.com/SqlServer/Dts", b"www.microsoft.com/SqlServer/SSIS")


class Ssis(Format):
    name = "ssis"
    title = "SSIS packages and projects: data flows and SQL tasks, down to columns"
    looks_like = ".dtsx or .ispac; a project's .conmgr and .params beside its .dtsx"
    folders = ("dtsx",)
    #: a connection manager, a configuration or the text of a procedure is for the packages beside it
    may_be_empty = True

    def recognises(self, name: str, head: bytes) -> bool:
        plain = head.replace(b"\x00", b"")
        if name.lower().endswith(_ENDINGS):
            return plain.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")[:1] == b"<" or is_zip(head)
        return any(namespace in plain for namespace in _NAMESPACES)

    def read(self, file: BinaryIO, context: FileContext) -> Iterator[Found | Refusal]:
        """Raises BadInput: no XML, no package, encrypted as a whole, of an unknown version, too large."""
        head = b""
        while len(head) < 4 and (more := file.read(4 - len(head))):
            head += more
        whole = cast(BinaryIO, _Rest(head, file))
        if context.path.lower().endswith(".sql"):
            return  # the text of procedures, for the packages beside it
        if is_zip(head):
            with Archive(whole, context.path) as archive:
                yield from archive_file(archive, context)
            return
        root = parse(whole, context.path, LIMITS)
        if root.tag == "ConnectionManager":
            connection_in(root, context.path)
        elif root.tag == "Parameters":
            parameters_in(root, context.path)
        elif root.tag != "DTSConfiguration":
            yield from package_file(root, context)


class _Rest(io.RawIOBase):
    """A stream of which the first bytes have been read."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head, self._file = head, file

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._head:
            taken, self._head = (self._head, b"") if size < 0 else (self._head[:size], self._head[size:])
            return taken + self._file.read() if size < 0 else taken
        return self._file.read(size)
