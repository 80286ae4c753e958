"""The transform: records in, closures and refusals out. Written once, for whatever source or format they come from.

Order: containers and datasets as they come, processes at the end of the file, when every dataset of the file is known
(they wait in a temporary file, so memory stays flat). What a record refers to and nobody has published yet is sent
along as a stub (name, qualified name, parent): an upsert that changes nothing where the asset exists, and gives the
reference something to hold on to where it does not.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, Protocol

import msgspec

from shared.atlas import closure as closures
from shared.atlas.closure import Closure, Entity, child_guid, closure, deletion, encode, guid, update
from shared.atlas.entities import Entities, custom_attributes, text
from shared.atlas.messages import MAX_BYTES
from shared.atlas.rules import Rules
from shared.lineage import analyze
from shared.naming import Name, NameRefused, Naming
from shared.records import (
    Address,
    Atlas,
    Container,
    Dataset,
    Deleted,
    Found,
    Process,
    Query,
    Refusal,
    Report,
)

#: names of assets this file has already sent; beyond it the oldest are forgotten, which costs a repeated upsert
REMEMBERED = 100_000
SPOOL_BYTES = 4 * 1024 * 1024
#: where lineage names a table, the source may have a view of that name
_TABLE_LIKE = ("table", "view", "materialized_view")


class Known(Protocol):
    """What is already published (the snapshots of finished scans)."""

    def contains(self, name: Name) -> bool: ...


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """assets: `adopt` writes no asset, only lineage and descriptions onto what Purview has scanned.

    repeats: whether a second, different account of the same asset in one file is its newer state (events) or a
    contradiction to be refused (lists of assets).
    """

    assets: Literal["create", "adopt"] = "create"
    repeats: Literal["newer", "refuse"] = "newer"
    max_bytes: int = MAX_BYTES


Made = Sequence[Closure | Refusal]

_spool_encode = msgspec.msgpack.Encoder().encode
_spool_decode = msgspec.msgpack.Decoder(tuple[int | str, Process | Query]).decode


class Transform:
    """One file's transform. `run` may be called once."""

    def __init__(self, naming: Naming, rules: Rules, *, known: Known, options: Options | None = None) -> None:
        self._naming = naming
        self._entities = Entities(naming)
        self._rules = rules
        self._known = known
        self._options = options or Options()
        self._seen: dict[tuple[str, str], tuple[int, int | str]] = {}
        self._stubs: set[tuple[str, str]] = set()
        self._chains: set[tuple[str, str, tuple[str, ...], str]] = set()
        #: records and events that said nothing new, and assets left alone because of `assets: adopt`
        self.repeated = 0
        self.adopted = 0
        self.records = 0

    def run(self, found: Iterable[Found | Refusal]) -> Iterator[Closure | Refusal]:
        with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as spool:
            lengths: list[int] = []
            for item in found:
                if isinstance(item, Refusal):
                    yield item
                    continue
                self.records += 1
                record, place = item.record, item.place
                if isinstance(record, (Process, Query)):
                    line = _spool_encode((place, record))
                    spool.write(line)
                    lengths.append(len(line))
                    continue
                try:
                    made = self._asset(record, place)
                except NameRefused as error:
                    yield _refused(error, place, record)
                    continue
                yield from made
                if isinstance(record, (Dataset, Report)) and (
                    record.inputs or (isinstance(record, Dataset) and record.sql)
                ):
                    line = _spool_encode((place, _derived(record)))
                    spool.write(line)
                    lengths.append(len(line))
            spool.seek(0)
            for length in lengths:
                place, process = _spool_decode(spool.read(length))
                try:
                    made = self._process(process, place)
                except NameRefused as error:
                    yield _refused(error, place, process)
                    continue
                yield from made

    # ---- assets

    def _asset(self, record: Any, place: int | str) -> Made:
        if isinstance(record, (Dataset, Report)):
            if self._options.assets == "adopt":
                return self._description(record, place)
            above = self._parents(record.address)
            top, referred = self._entities.dataset(record)
            return [*above, *self._checked(top, referred, place, volatile=record.statistics)]
        if isinstance(record, Container):
            if self._naming.level(record.address) is None:
                return []
            if self._options.assets == "adopt":
                return self._description(record, place)
            above = self._parents(record.address)
            top = self._entities.container(record)
            return [*above, *self._checked(top, [], place, volatile=record.statistics)]
        if isinstance(record, Deleted):
            return [deletion(self._naming.name(record.address), place)]
        return self._atlas(record, place)

    def _description(self, record: Container | Dataset | Report, place: int | str) -> Made:
        self.adopted += 1
        if not record.description:
            return []
        return [update(self._naming.name(record.address), {"description": text(record.description)}, place)]

    def _atlas(self, record: Atlas, place: int | str) -> Made:
        top = _without_nulls(record.entity)
        attributes = top.get("attributes")
        name = Name(str(top.get("typeName", "")), str((attributes or {}).get("qualifiedName", "")))
        if record.operation == "delete":
            return [deletion(name, place)]
        if record.operation == "update":
            problem = self._rules.check(top, partial=True)
            if problem is not None:
                return [_refusal(place, problem.rule, problem.reason, problem.fix, top)]
            return [update(name, dict(attributes or {}), place)]
        referred = [_without_nulls(child) for child in record.referred]
        # Guids of a file mean nothing outside it: ours keep entities of different lines apart in one message.
        ours = guid(name)
        guids = {str(e["guid"]): child_guid(ours, i) for i, e in enumerate((top, *referred)) if "guid" in e}
        if referred or any(g in guids for g in _guids(attributes, top.get("relationshipAttributes"))):
            top, *referred = [_with_guids(e, guids, 0) for e in (top, *referred)]
        top["guid"] = ours
        return self._checked(top, referred, place, repeats=self._options.repeats)

    # ---- what stands above an asset, and what lineage points to

    def _parents(self, address: Address) -> Made:
        """Stubs of the containers above `address` that nobody has sent yet, outermost first."""
        beside = (address.platform, address.host, address.path[:-1], address.type)
        if beside in self._chains:
            return ()
        if len(self._chains) > REMEMBERED:
            self._chains.clear()
        self._chains.add(beside)
        above, parent = [], self._naming.parent(address)
        while parent is not None:
            above.append(parent)
            parent = self._naming.parent(parent)
        return [stub for container in reversed(above) for stub in self._stub(container)]

    def _stub(self, address: Address) -> Made:
        name = self._naming.name(address)
        identity = (name.type_name, name.qualified_name)
        if identity in self._stubs or identity in self._seen or self._known.contains(name):
            return ()
        if len(self._stubs) > REMEMBERED:
            self._stubs.clear()
        self._stubs.add(identity)
        return self._checked(self._entities.stub(address), [], "", stub=True)

    def _endpoint(self, address: Address) -> tuple[Address, Name]:
        """The asset that lineage means by `address`: a view where a view of that name is known, or what it says."""
        if address.type in _TABLE_LIKE:
            for kind in (address.type, *_TABLE_LIKE):
                candidate = msgspec.structs.replace(address, type=kind)
                name = self._naming.name(candidate)
                if (name.type_name, name.qualified_name) in self._seen or self._known.contains(name):
                    return candidate, name
        level = self._naming.level(address)
        if level is None or not level.is_dataset:
            raise NameRefused(
                f"{address} cannot be an end of lineage: only datasets can (Atlas: DataSet and its subtypes)",
                fix="name the table, view, file or topic that is read or written",
            )
        return address, self._naming.name(address)

    # ---- processes

    def _process(self, record: Process | Query, place: int | str) -> Made:
        if isinstance(record, Query):
            record = _as_process(record)
            must_flow = True
        else:
            must_flow = False
        inputs, outputs = self._tables(record)
        if must_flow and not (inputs and outputs):
            self.repeated += 1
            return ()
        made: list[Closure | Refusal] = []
        read: dict[Name, None] = {}
        written: dict[Name, None] = {}
        names: dict[Address, Name] = {}
        edges = record.columns
        for ends, addresses in (
            (read, (*inputs, *(e.source for e in edges))),
            (written, (*outputs, *(e.target for e in edges))),
        ):
            for address in addresses:
                if address in names and names[address] in ends:
                    continue
                meant, name = self._endpoint(address)
                names[address] = name
                ends[name] = None
                if self._options.assets == "create":
                    made += self._parents(meant)
                    made += self._stub(meant)
        if record.parent is not None:
            made += self._stub(record.parent)
        named = [
            (names[e.source].qualified_name, e.source_column, names[e.target].qualified_name, e.target_column)
            for e in edges
        ]
        for top in self._entities.process(record, list(read), list(written), named):
            made += self._checked(top, [], place, volatile=record.statistics)
        return made

    def _tables(self, record: Process) -> tuple[tuple[Address, ...], tuple[Address, ...]]:
        """Inputs and outputs as the record says, or else as its SQL says."""
        if record.inputs or not record.sql or not record.dialect:
            return record.inputs, record.outputs
        found = analyze(
            record.sql,
            dialect=record.dialect,
            default_database=record.default_database or None,
            default_schema=record.default_schema or None,
        )
        server = Address(record.address.platform, record.address.host)
        inputs = tuple(server.at(*table.parts) for table in found.inputs)
        outputs = record.outputs or tuple(server.at(*table.parts) for table in found.outputs)
        return inputs, outputs

    # ---- the last step: rules, repeats, size

    def _checked(
        self,
        top: Entity,
        referred: list[Entity],
        place: int | str,
        *,
        volatile: dict[str, str] | None = None,
        stub: bool = False,
        repeats: str = "newer",
    ) -> Made:
        problem = self._rules.check(top, referred)
        if problem is not None:
            return [_refusal(place, problem.rule, problem.reason, problem.fix, top)]
        made = closure(
            top, referred, place=place, volatile=custom_attributes(volatile) if volatile else None, stub=stub
        )
        if not stub:
            identity = (made.name.type_name, made.name.qualified_name)
            said = hash(made.body) ^ hash(made.referred)
            seen = self._seen.get(identity)
            if seen is None:
                if len(self._seen) >= REMEMBERED:
                    del self._seen[next(iter(self._seen))]
            elif seen[0] == said:
                self.repeated += 1
                return ()
            elif repeats == "refuse":
                reason = f"{made.name.type_name} {made.name.qualified_name} differs from {_where(seen[1])}"
                return [_refusal(place, "duplicate-qualified-name", reason, "keep one of the two", top)]
            self._seen[identity] = (said, place)
        if made.size <= self._options.max_bytes - 1024:
            return (made,)
        if referred:
            return self._apart(made, top, referred, place)
        reason = f"{made.name.qualified_name} takes {made.size:,} bytes, a message {self._options.max_bytes:,}"
        return [_refusal(place, "oversize", reason, "shorten its longest attributes or split it", top)]

    def _apart(self, made: Closure, top: Entity, referred: list[Entity], place: int | str) -> Made:
        """A table too wide for one message: first the table, then its columns, each naming it by qualified name."""
        parts: list[Closure | Refusal] = [closure(top, [], place=place)]
        parent = closures.reference(made.name)
        for child in referred:
            relations = {
                k: parent if isinstance(v, dict) and v.get("guid") == top["guid"] else v
                for k, v in child.get("relationshipAttributes", {}).items()
            }
            parts += self._checked({**child, "relationshipAttributes": relations}, [], place)
        return parts


def _derived(record: Dataset | Report) -> Process:
    """The process by which a view or report comes out of what it reads."""
    address = record.address
    database, schema = _defaults(address)
    sql, dialect = (record.sql, record.dialect) if isinstance(record, Dataset) else ("", "")
    return Process(
        address=msgspec.structs.replace(address, type="query"),
        inputs=record.inputs,
        outputs=(address,),
        sql=sql,
        dialect=dialect,
        default_database=database,
        default_schema=schema,
    )


def _defaults(address: Address) -> tuple[str, str]:
    """Database and schema around a relation, for the unqualified names in its SQL."""
    around = address.path[:-1]
    return (around[-2] if len(around) > 1 else "", around[-1] if around else "")


def _as_process(query: Query) -> Process:
    """A statement from a query history: one process per distinct text."""
    digest = closures.key(Name("sql", query.sql))
    return Process(
        address=query.address.at(f"{digest:016x}", type="query"),
        sql=query.sql,
        dialect=query.dialect,
        default_database=query.default_database,
        default_schema=query.default_schema,
        owners=(query.user,) if query.user else (),
        ended=query.time,
    )


def _where(place: int | str) -> str:
    return f"line {place}" if isinstance(place, int) else place


def _sample(value: Any) -> str:
    return text(encode(value).decode())[:2_000]


def _refusal(place: int | str, rule: str, reason: str, fix: str, value: Any) -> Refusal:
    return Refusal(place=_where(place), rule=rule, reason=reason, fix=fix, sample=_sample(value))


def _refused(error: NameRefused, place: int | str, record: Any) -> Refusal:
    return _refusal(place, "name", error.what, error.fix, record)


def _without_nulls(entity: Entity) -> Entity:
    """Null keys are left out: pyapacheatlas writes `"inputs": null` for "leave it", Atlas reads it as "clear it"."""
    return {
        k: {a: b for a, b in v.items() if b is not None} if k.endswith("ttributes") and isinstance(v, dict) else v
        for k, v in entity.items()
        if v is not None
    }


def _guids(*values: Any) -> Iterator[str]:
    """Every guid that references inside these values carry."""
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get("guid"), (str, int)):
                yield str(value["guid"])
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _with_guids(value: Any, guids: dict[str, str], depth: int) -> Any:
    """A copy with every guid of the file replaced by ours."""
    if depth > 32:
        return value
    if isinstance(value, dict):
        return {k: guids.get(str(v), v) if k == "guid" else _with_guids(v, guids, depth + 1) for k, v in value.items()}
    if isinstance(value, list):
        return [_with_guids(v, guids, depth + 1) for v in value]
    return value
