"""What the conformance checks need to know about a source: a live instance of it, and where it would fail.

A source `widgets` gets its checks through `tests/conformance/sources/widgets.py` with

    @contextmanager
    def live(folder: Path) -> Iterator[Subject]: ...

which makes a live instance (in `folder` if it needs files), or calls `pytest.skip` with how to get one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.source import Selection, Source
from shared.records import Container, Cursor, Record, Refusal
from shared.settings import convert

Item = Record | Cursor | Refusal


@dataclass(frozen=True)
class Subject:
    """scope: holds at least a thousand datasets, no two alike, and nothing that cannot be read.

    settings:    the instance's `settings:` block, references resolved
    dataset:     path of one dataset of `scope`, as patterns see it (without the database): ("public", "t000007")
    unreachable: settings under which nothing answers
    refused:     settings that the system says no to: a wrong password, a damaged file
    secret:      the credential in `settings`, where the source takes one; also part of the one in `refused`
    """

    source: type[Source[Any]]
    settings: Mapping[str, Any]
    scope: str
    dataset: tuple[str, ...]
    unreachable: Mapping[str, Any]
    refused: Mapping[str, Any]
    secret: str = ""
    module: str = field(default="")

    def open(self, selection: Selection | None = None, settings: Mapping[str, Any] | None = None) -> Source[Any]:
        wanted = self.settings if settings is None else settings
        return self.source(convert(self.source.Settings, dict(wanted)), selection)

    def items(self, selection: Selection | None = None, *, since: str = "", resume: str = "") -> list[Item]:
        return list(self.open(selection).extract(self.scope, since=since, resume=resume))


def records(items: list[Item]) -> list[Record]:
    return [item for item in items if not isinstance(item, (Cursor, Refusal))]


def assets(items: list[Item]) -> list[Record]:
    return [record for record in records(items) if not isinstance(record, Container)]
