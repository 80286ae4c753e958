"""What the conformance checks need to know about a format: files it reads, files it refuses, and how.

A format `widgets` gets its checks through `tests/conformance/formats/widgets.py` with `SUBJECT = Subject(...)`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from connectors.format import Alone, FileContext, Folder, Format
from shared.errors import BadInput
from shared.records import Address, Found, Refusal

Item = Found | Refusal | BadInput

SECRET = "hunter2-correct-horse"
INSTANCES = {"shop": Address("sqlite", "shop", (), "server"), "dw": Address("mssql", "sql01", (), "server")}


@dataclass(frozen=True)
class Bad:
    """A file that is refused: as a whole (place "") with these words, or in part at this place."""

    content: bytes
    words: str
    place: str = ""
    name: str = ""


@dataclass(frozen=True)
class Subject:
    """good:   file name -> content; each gives records and no refusal
    bad:    what it is -> a file that is refused
    line:   for a format of lines: line number -> a line that gives at least one record, no two alike; lines are
            independent of each other
    secret: files that hold SECRET where the format masks it
    bypass: check -> why it does not apply
    """

    format: type[Format]
    good: Mapping[str, bytes]
    bad: Mapping[str, Bad]
    line: Callable[[int], bytes] | None = None
    secret: Mapping[str, bytes] = field(default_factory=dict)
    bypass: Mapping[str, str] = field(default_factory=dict)

    def read(self, content: bytes, name: str = "", folder: Folder | None = None) -> list[Item]:
        """Everything that comes out of a file; BadInput, which ends it, last. folder: the files beside it."""
        return self.drain(io.BytesIO(content), name, folder)

    def drain(self, file: Any, name: str = "", folder: Folder | None = None) -> list[Item]:
        items: list[Item] = []
        try:
            for item in self.format().read(file, self.context(name, folder)):
                assert isinstance(item, (Found, Refusal)), f"{type(item).__name__} is neither a record nor a refusal"
                items.append(item)
        except BadInput as error:
            items.append(error)
        return items

    def context(self, name: str = "", folder: Folder | None = None) -> FileContext:
        path = f"uploads/{self.format.name}/{name or next(iter(self.good))}"
        return FileContext(path=path, instances=INSTANCES, folder=folder or Alone())


def shown(items: list[Item]) -> list[str]:
    """Items as text, so that they can be compared and searched."""
    return [str(item) if isinstance(item, BadInput) else msgspec.json.encode(item).decode() for item in items]


def records(items: list[Item]) -> list[str]:
    """The records alone, without their places."""
    return [msgspec.json.encode(item.record).decode() for item in items if isinstance(item, Found)]
