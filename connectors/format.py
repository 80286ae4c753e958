"""The contract of a format: a module that knows one kind of file and yields the same records as a source does.

    class Lines(Format):
        name = "lines"

        def recognises(self, name, head): return name.endswith(".lines")

        def read(self, file, context):
            for number, line in enumerate(file, 1):
                yield Found(Dataset(address=...), number)

A format streams: memory does not grow with the file. It never raises for one bad line, event or element: that becomes
a `Refusal` with its place, and the rest goes on. It raises `BadInput` when the file as a whole is not what it says.
`tests/conformance/test_formats.py` checks every format that is registered in `connectors.FORMATS`.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from typing import BinaryIO, ClassVar, Protocol

import msgspec

from shared.lineage.known import Schemas
from shared.records import Address, Found, Refusal

#: how much of a file `recognises` sees
HEAD_BYTES = 4096
#: how many files of a folder are looked at
MAX_BESIDE = 1000


class Folder(Protocol):
    """The other files in the folder of a file: the connection managers of a package, the catalog of a dbt manifest.

    What was asked for is remembered: when one of these files comes, changes or goes, the file that asked is read again.
    """

    def find(self, pattern: str) -> list[str]:
        """Names of the files that match, sorted, at most MAX_BESIDE (shell wildcards; case counts for nothing)."""

    def open(self, name: str) -> BinaryIO | None:
        """A file of that exact name; None when there is none."""


class Alone:
    """No other file."""

    def find(self, pattern: str) -> list[str]:  # noqa: ARG002
        return []

    def open(self, name: str) -> BinaryIO | None:  # noqa: ARG002
        return None


class FileContext(msgspec.Struct, frozen=True):
    """What a format may know about its file besides its bytes.

    path:      where it lies, for messages and for conventions in folder names: `uploads/sql/tsql/load.sql`
    size:      bytes, or -1 when not known
    instances: base address of every configured instance, so that a file can say "this is about crm"
    schemas:   columns of tables that SQL in the file names
    folder:    the files beside it
    """

    path: str
    size: int = -1
    instances: Mapping[str, Address] = {}
    schemas: Schemas = msgspec.field(default_factory=Schemas)
    folder: Folder = Alone()


class Format(abc.ABC):
    """Base of all formats."""

    name: ClassVar[str]
    #: for `./hookline formats` and the rejection of an unknown file: one sentence; what such a file looks like
    title: ClassVar[str] = ""
    looks_like: ClassVar[str] = ""
    #: folder names below `uploads/` that mean this format (its name always does)
    folders: ClassVar[tuple[str, ...]] = ()
    #: whether a good file may hold nothing to record (events of runs that moved no data)
    may_be_empty: ClassVar[bool] = False
    #: whether a file of it is read again when a scan has told the columns of tables that it names
    wants_columns: ClassVar[bool] = False

    @abc.abstractmethod
    def recognises(self, name: str, head: bytes) -> bool:
        """Whether a file of this name and these first bytes (at most HEAD_BYTES) is of this format. Never raises."""

    @abc.abstractmethod
    def read(self, file: BinaryIO, context: FileContext) -> Iterator[Found | Refusal]:
        """Yield records and refusals. `file` is read forward only, once. Raises BadInput."""
