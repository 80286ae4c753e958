"""Processes of one file, made at its end: their ends resolved for many of them together, and what has to come along."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from shared.atlas.checks import REMEMBERED, Checks, Made, Repeats
from shared.atlas.endpoints import End, Endpoints
from shared.atlas.entities import Entities
from shared.atlas.stubs import Stubs
from shared.naming import Name
from shared.records import Address, Deleted, Process, Refusal

#: processes whose ends are looked for together; characters of SQL that they may hold meanwhile
AHEAD, AHEAD_CHARACTERS = 400, 2_000_000
#: columns that a placeholder shows
_PLACEHOLDER_COLUMNS = 1_000


class Flow(NamedTuple):
    """A process, its lineage complete, or one to be deleted. counted: it is `repeated` where it says nothing new."""

    record: Process | Deleted
    place: int | str
    repeats: Repeats
    counted: bool


class Processes:
    """adopt: assets of the file's own source are not written, so no stubs of them either."""

    def __init__(self, entities: Entities, checks: Checks, stubs: Stubs, endpoints: Endpoints, *, adopt: bool) -> None:
        self._entities = entities
        self._checks = checks
        self._stubs = stubs
        self._endpoints = endpoints
        self._adopt = adopt
        self._placeholders: dict[Name, dict[str, None]] = {}

    def ahead(self, flows: Iterable[Flow | Refusal]) -> Iterator[Flow | Refusal]:
        """The same, in their order, with the ends of many of them resolved at a time. Raises CatalogBusy."""
        batch: list[Flow | Refusal] = []
        size = 0
        for flow in flows:
            batch.append(flow)
            if isinstance(flow, Flow) and isinstance(flow.record, Process):
                size += len(flow.record.sql)
            if len(batch) >= AHEAD or size >= AHEAD_CHARACTERS:
                yield from self._resolved(batch)
                batch, size = [], 0
        yield from self._resolved(batch)

    def _resolved(self, batch: list[Flow | Refusal]) -> list[Flow | Refusal]:
        ends: dict[Address, bool] = {}
        for flow in batch:
            if isinstance(flow, Flow) and isinstance(flow.record, Process):
                record = flow.record
                for address in (*record.inputs, *record.outputs):
                    ends.setdefault(address, False)
                for edge in record.columns:
                    ends[edge.source] = ends[edge.target] = True
        self._endpoints.look_ahead(ends)
        return batch

    def make(self, record: Process, place: int | str, repeats: Repeats) -> Made:
        """The process, behind what it refers to and nobody has sent. Raises NameRefused."""
        edges = record.columns
        end = self._endpoints.end
        inputs = {a: end(a) for a in (*record.inputs, *(edge.source for edge in edges))}
        outputs = {a: end(a) for a in (*record.outputs, *(edge.target for edge in edges))}
        drafts = self._entities.process(
            record,
            list(dict.fromkeys(one.name for one in inputs.values())),
            list(dict.fromkeys(one.name for one in outputs.values())),
            [
                (
                    inputs[e.source].name.qualified_name,
                    inputs[e.source].column(e.source_column),
                    outputs[e.target].name.qualified_name,
                    outputs[e.target].column(e.target_column),
                )
                for e in edges
            ],
        )
        made: Made = []
        for draft in list(drafts):
            made += self._checks.create(draft, place, volatile=record.statistics, repeats=repeats)
        if not made:
            return made
        if refused := next((item for item in made if isinstance(item, Refusal)), None):
            return [refused]
        columns: dict[Address, dict[str, None]] = {}
        for e in edges:
            columns.setdefault(e.source, {})[e.source_column] = None
            columns.setdefault(e.target, {})[e.target_column] = None
        along: Made = []
        for address, one in (*inputs.items(), *outputs.items()):
            along += self._along(one, columns.get(address, {}), place)
        if record.parent is not None:
            along += self._stubs.stub(record.parent, place)
        return along + made

    def _along(self, end: End, columns: Iterable[str], place: int | str) -> Made:
        """What an end of lineage needs to be there."""
        if end.how == "placeholder":
            return self._placeholder(end, columns, place)
        if self._adopt or end.how not in ("known", "stub"):
            return []
        return self._stubs.above(end.meant, place) + self._stubs.stub(end.meant, place)

    def _placeholder(self, end: End, columns: Iterable[str], place: int | str) -> Made:
        """The placeholder, sent again when lineage names further columns of it."""
        shown = self._placeholders.get(end.name)
        new = {column: None for column in columns if column != "*" and (shown is None or column not in shown)}
        if shown is not None and (not new or len(shown) >= _PLACEHOLDER_COLUMNS):
            return []
        if len(self._placeholders) > REMEMBERED:
            self._placeholders.clear()
        shown = dict.fromkeys([*(shown or ()), *new][:_PLACEHOLDER_COLUMNS])
        self._placeholders[end.name] = shown
        draft = self._entities.placeholder(end.wanted, end.meant.name, shown)
        return self._checks.create(draft, place, stub=True)
