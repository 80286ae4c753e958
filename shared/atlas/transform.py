"""The transform: records in, closures and refusals out. Written once, for whatever source or format they come from.

Order: containers and datasets as they come, processes at the end of the file, when every dataset of the file is known
(they wait in a temporary file, so memory stays flat). What a record refers to and nobody has published yet is sent
along as a stub or a placeholder, or is found in the catalogue (endpoints.py). Every record ends as a closure, as a
refusal, or is counted as `repeated` or `adopted`; a record that is refused takes nothing with it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Literal, TypeVar

import msgspec

from shared.atlas import flows, uploaded
from shared.atlas.bounds import text
from shared.atlas.checks import Checks, Made, Repeats, passed
from shared.atlas.closure import Closure
from shared.atlas.describing import Descriptions
from shared.atlas.endpoints import Directory, Endpoints
from shared.atlas.entities import Entities
from shared.atlas.file_columns import FileColumns
from shared.atlas.history import History
from shared.atlas.messages import MAX_BYTES
from shared.atlas.problems import Problem
from shared.atlas.processes import Flow, Processes
from shared.atlas.refusals import masked, refusal
from shared.atlas.rules import Rules
from shared.atlas.spool import Spool, Waiting
from shared.atlas.stencil import Stencils
from shared.atlas.stubs import VIEWS, Known, Stubs
from shared.lineage.known import Read, Request, Schemas
from shared.naming import Name, NameRefused, Naming
from shared.records import (
    Atlas,
    Container,
    Dataset,
    Deleted,
    Description,
    Found,
    Process,
    Query,
    Record,
    Refusal,
    Report,
)

T = TypeVar("T")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """assets: `adopt` writes no asset, only lineage and descriptions onto what Purview has scanned.

    repeats: whether a second, different account of the same asset in one file is its newer state (events) or a
    contradiction to be refused (lists of assets).
    """

    assets: Literal["create", "adopt"] = "create"
    repeats: Repeats = "newer"
    max_bytes: int = MAX_BYTES


class Transform:
    """One file's transform. `run` may be called once.

    directory: who knows what the catalogue has; None where it cannot be asked. flavours: as Endpoints takes them.

    records:  how many there were
    repeated: of them, those that say nothing that is not said elsewhere: the same asset again, a statement again or
              one in which nothing flows, a schema where schemas are only a part of names
    adopted:  of them, those left alone because of `assets: adopt`
    """

    def __init__(
        self,
        naming: Naming,
        rules: Rules,
        *,
        known: Known,
        options: Options | None = None,
        columns: FileColumns | None = None,
        schemas: Schemas | None = None,
        directory: Directory | None = None,
        flavours: Sequence[Naming] = (),
    ) -> None:
        options = options or Options()
        self._columns = columns if columns is not None else FileColumns()
        self._schemas = schemas if schemas is not None else Schemas([self._columns])
        self._owns_columns = columns is None
        self._naming = naming
        self._adopt = options.assets == "adopt"
        self._repeats = options.repeats
        self._entities = Entities(naming)
        self._checks = Checks(rules, options.max_bytes)
        self._stencils = Stencils(naming, self._entities)
        self._stubs = Stubs(naming, self._entities, self._checks, known)
        self.endpoints = Endpoints(naming, self._stubs, directory, flavours, self._columns.spelled)
        self._processes = Processes(self._entities, self._checks, self._stubs, self.endpoints, adopt=self._adopt)
        self._beside: object = None  # what the last dataset refers to; the same object for all beside it
        self._descriptions = Descriptions(
            naming, self._entities, self._checks, self._stubs, self.endpoints, self._schemas, self._adopt
        )
        self._history = History()
        self.records = 0
        self.repeated = 0
        self.adopted = 0

    def run(self, found: Iterable[Found | Refusal]) -> Iterator[Closure | Refusal]:
        with ExitStack() as held:
            spool = held.enter_context(Spool())
            held.callback(self._history.close)
            if self._owns_columns:
                held.callback(self._columns.close)
            for item in found:
                if isinstance(item, Refusal):
                    yield masked(item)
                    continue
                self.records += 1
                record, place = item.record, item.place
                yield from self._made(self._at_once, record, place, spool)
                if self._descriptions.are_many:
                    yield from self._by_others()
            yield from self._by_others()
            for flow in self._processes.ahead(self._flows(spool)):
                if isinstance(flow, Refusal):
                    yield flow
                else:
                    yield from self._made(self._at_the_end, flow.record, flow.place, flow)

    def _made(self, make: Callable[..., Made], record: Record, place: int | str, *further: Any) -> Made:
        try:
            return make(record, place, *further)
        except (NameRefused, UnicodeEncodeError) as error:
            return [_unusable(error, record, place)]

    def _read(self, items: Iterable[T], request: Callable[[T], Request | None]) -> Iterator[tuple[T, Read | None]]:
        """Each with what its SQL says, where it has any that is to be read."""
        mine, theirs = itertools.tee(items)
        yield from zip(mine, self._schemas.read(map(request, theirs)), strict=True)

    # ---- assets

    def _at_once(self, record: Record, place: int | str, spool: Spool) -> Made:
        if isinstance(record, (Dataset, Report)):
            return self._dataset(record, place, spool)
        if isinstance(record, Container):
            return self._container(record, place)
        if isinstance(record, Atlas):
            return self._uploaded(record, place)
        if isinstance(record, Deleted):
            return self._deleted(record, place, spool)
        if isinstance(record, Description):
            self._descriptions.add(record, place)
        elif isinstance(record, Query):
            self._history.add(record, place)
        else:
            spool.add(Waiting(place, record))
        return []

    def _dataset(self, record: Dataset | Report, place: int | str, spool: Spool) -> Made:
        if record.columns and isinstance(record, Dataset):
            self._columns.add(record.address, record.columns)
        if self._adopt:
            made = self._described(record, place)
        else:
            made = self._built(record, place)
            if not made:
                self.repeated += 1
            elif isinstance(made[0], Refusal):
                return made
            elif made[0].refers is not self._beside:
                self._beside = made[0].refers
                made = self._stubs.above(record.address, place) + made
        if record.address.type in VIEWS:
            self._stubs.is_view(record.address)
        if record.inputs or (isinstance(record, Dataset) and record.sql):
            spool.add(Waiting(place, flows.derived(record), derived=True))
        return made

    def _built(self, record: Dataset | Report, place: int | str) -> Made:
        if isinstance(record, Dataset):
            filled = self._stencils.fill(record, place)
            if filled is not None and self._checks.fits(filled):
                return self._checks.once(filled, place, self._repeats)
        draft = self._entities.dataset(record)
        made = self._checks.create(draft, place, volatile=record.statistics, repeats=self._repeats)
        if isinstance(record, Dataset) and passed(made):
            self._stencils.learn(record, draft)
        return made

    def _container(self, record: Container, place: int | str) -> Made:
        if self._naming.level(record.address) is None:
            self.repeated += 1
            return []
        if self._adopt:
            return self._described(record, place)
        draft = self._entities.container(record)
        made = self._checks.create(draft, place, volatile=record.statistics, repeats=self._repeats)
        if not made:
            self.repeated += 1
        return self._stubs.above(record.address, place) + made if passed(made) else made

    def _described(self, record: Container | Dataset | Report, place: int | str) -> Made:
        """What `assets: adopt` writes of an asset."""
        name = self._naming.name(record.address)
        self.adopted += 1
        if not record.description:
            return []
        attributes = {"qualifiedName": name.qualified_name, "description": text(record.description)}
        return self._checks.update(name, attributes, place)

    def _by_others(self) -> Iterator[Closure | Refusal]:
        """What comes of the descriptions that were held until now."""
        for record, place, known in self._descriptions.taken():
            made = list(self._made(self._descriptions.write, record, place, known))
            self.repeated += not made
            yield from made

    def _deleted(self, record: Deleted, place: int | str, spool: Spool) -> Made:
        if self._naming.level(record.address) is None:
            self.repeated += 1
            return []
        name = self._naming.name(record.address)
        if self._checks.is_process(name.type_name):  # after what this file says of it before
            spool.add(Waiting(place, record))
            return []
        if self._adopt:
            self.adopted += 1
            return []
        return self._gone(name, place)

    def _gone(self, name: Name, place: int | str) -> Made:
        """What refers to it from here on needs a stub again."""
        self._stubs.forget(name)
        self._beside = None
        return self._checks.delete(name, place)

    def _uploaded(self, record: Atlas, place: int | str) -> Made:
        if record.operation == "create":
            draft = uploaded.draft(record)
            if isinstance(draft, Problem):
                return [refusal(place, draft.rule, draft.reason, draft.fix, record.entity)]
            made = self._checks.create(draft, place, repeats=self._repeats)
            if not made:
                self.repeated += 1
            return made
        name = uploaded.identity(record.entity)
        if isinstance(name, Problem):
            return [refusal(place, name.rule, name.reason, name.fix, record.entity)]
        if record.operation == "delete":
            return self._gone(name, place)
        changed = uploaded.changes(record)
        if isinstance(changed, Problem):
            return [refusal(place, changed.rule, changed.reason, changed.fix, record.entity)]
        (fields, referred) = changed
        attributes = fields.pop("attributes")
        del fields["typeName"]
        return self._checks.update(name, attributes, place, fields=fields, referred=referred)

    # ---- processes

    def _flows(self, spool: Spool) -> Iterator[Flow | Refusal]:
        """The file's own processes, then the statements of its history, with what their SQL says."""
        for waiting, read in self._read(spool, _request):
            yield self._flow(waiting, read)
        self.repeated += self._history.silent
        for executed, read in self._read(self._history.statements(), lambda e: flows.request(flows.statement(e))):
            self.repeated += executed.count - 1
            process = flows.statement(executed)
            if read is not None:
                process = flows.with_lineage(process, read)
            if process.inputs and process.outputs:
                yield Flow(flows.by_target(process), executed.place, "newer", counted=True)
            else:  # nothing flows
                self.repeated += 1

    def _flow(self, waiting: Waiting, read: Read | None) -> Flow | Refusal:
        record = waiting.record
        if read is not None and isinstance(record, Process):
            record = flows.with_lineage(record, read)
        repeats: Repeats = "newer" if waiting.derived else self._repeats
        return Flow(record, waiting.place, repeats, counted=not waiting.derived)

    def _at_the_end(self, record: Process | Deleted, place: int | str, flow: Flow) -> Made:
        if isinstance(record, Deleted):
            return self._checks.delete(self._naming.name(record.address), place)
        made = self._processes.make(record, place, flow.repeats)
        self.repeated += not made and flow.counted
        return made


def _request(waiting: Waiting) -> Request | None:
    record = waiting.record
    return flows.request(record, derived=waiting.derived) if isinstance(record, Process) else None


def _unusable(error: NameRefused | UnicodeEncodeError, record: Record, place: int | str) -> Refusal:
    if isinstance(error, NameRefused):
        return refusal(place, "name", error.what, error.fix, record)
    reason = f"a text is not valid Unicode ({error.reason})"
    return refusal(place, "text", reason, "correct the name or the text at the source", record)
