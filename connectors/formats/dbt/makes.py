"""The nodes of a project as records.

A model or snapshot is a Process from what it reads to the table that it fills. The tables themselves belong to the
warehouse: dbt's word on them is a Description, unless nobody says where they lie; then they are Datasets of our own.
Metrics and semantic models are Datasets, exposures Reports, all under `dbt/<project>`.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from connectors.formats.dbt.artifacts import CatalogMetadata, Field, Node, people
from connectors.formats.dbt.beside import Outcome, Table, states
from connectors.formats.dbt.lineage import Flow, Flows, Model
from connectors.formats.dbt.project import RELATIONS, Project, refusal
from connectors.formats.dbt.warehouse import Spelled, Warehouse, parts_of
from shared.lineage.known import Schemas
from shared.records import Address, Column, Dataset, Description, Found, Process, Refusal, Report
from shared.settings.redact import MASK, redact
from shared.settings.redact_sql import redact_sql

#: models whose SQL is read together, and held
TOGETHER, TOGETHER_BYTES = 100, 8 * 1024 * 1024
#: characters of SQL on a process, of which Purview takes 32 KB
MAX_SHOWN = 65_536
#: characters of a property, of which Atlas takes 500; keys of `meta`
MAX_LISTED, MAX_META = 450, 20
_NO_SQL = "the manifest has no compiled SQL of it: upload one written by `dbt compile` or `dbt docs generate`"
_PYTHON = "it is a Python model; its tables are those that dbt knows of"


class Records:
    """Makes the records of one project. tables: of the catalog; outcomes: of the last run; both by unique id."""

    def __init__(
        self,
        project: Project,
        warehouse: Warehouse,
        tables: Mapping[str, Table],
        outcomes: Mapping[str, Outcome],
        schemas: Schemas,
    ) -> None:
        self._project = project
        self._warehouse = warehouse
        self._tables = tables
        self._outcomes = outcomes
        self._flows = Flows(warehouse, schemas)
        self._spelled: dict[str, Spelled] = {}
        self._addresses: dict[str, Address] = {}
        self._top = Address("dbt", warehouse.project, (warehouse.project,), "workflow")

    def read(self) -> Iterator[Found | Refusal]:
        refused = yield from self._place()
        yield Found(self._whole(), "metadata")
        models: list[str] = []
        for uid, kept in self._project.nodes.items():
            if uid in refused:
                continue
            if kept.kind in ("source", "seed"):
                yield from self._table(uid, self._project.node(uid))
            elif kept.kind in ("model", "snapshot"):
                models.append(uid)
        for level in self._project.levels(models):
            circle = (
                self._project.circles(level) if any(need in level for u in level for need in self._needs(u)) else ()
            )
            for uid in sorted(circle):
                yield refusal(uid, f"it needs itself: {self._circle(uid)}", "correct the manifest")
            for chunk in self._chunks(uid for uid in level if uid not in circle and uid in self._addresses):
                yield from self._models(chunk)
        for uid, kept in self._project.nodes.items():
            if kept.kind in ("semantic_model", "metric"):
                yield Found(self._meaning(uid, self._project.node(uid)), uid)
            elif kept.kind == "exposure":
                yield Found(self._exposure(uid, self._project.node(uid)), uid)

    def _chunks(self, uids: Iterable[str]) -> Iterator[list[str]]:
        """Some at a time, fewer where they are large."""
        chunk: list[str] = []
        size = 0
        for uid in uids:
            chunk.append(uid)
            size += self._project.nodes[uid].length
            if len(chunk) >= TOGETHER or size >= TOGETHER_BYTES:
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk

    # ---- where things lie

    def _place(self) -> Generator[Refusal, None, set[str]]:
        """Address everything. Returns the nodes that are refused: two models that fill one table."""
        filled: dict[Address, str] = {}
        refused: set[str] = set()
        for uid, kept in self._project.nodes.items():
            if kept.kind not in RELATIONS:
                self._addresses[uid] = self._ours(kept.kind, kept.name)
                continue
            if kept.materialized == "ephemeral":
                continue
            table = self._tables.get(uid)
            said = table.metadata if table else None
            spelled = self._warehouse.spell(said, kept.relation, kept.database, kept.schema, kept.name)
            address = self._warehouse.address(spelled, _type(said, kept.materialized))
            if kept.kind != "source":
                other = filled.setdefault(address, uid)
                if other != uid:
                    reason = f"{other} fills the same table {'.'.join(address.path)}"
                    yield refusal(uid, reason, "give one of the two another alias")
                    refused.add(uid)
                    continue
            self._spelled[uid], self._addresses[uid] = spelled, address
            columns = [c.name for c in table.columns] if table else ()
            self._flows.know(uid, spelled, address, columns, parts_of(kept.relation, self._warehouse.dialect))
        return refused

    def _ours(self, kind: str, name: str) -> Address:
        """A metric, semantic model or exposure; the kind of an exposure is known when it is read."""
        return Address("dbt", self._warehouse.project, (f"{kind}s", name), kind)

    def _needs(self, uid: str) -> tuple[str, ...]:
        return self._project.nodes[uid].needs

    def _circle(self, uid: str) -> str:
        """The way from a node in a circle back to itself."""
        came: dict[str, str] = {}
        waiting = [uid]
        while waiting:
            at = waiting.pop()
            for need in self._needs(at):
                if need == uid:
                    way = [uid]
                    while at != uid:
                        way.append(at)
                        at = came[at]
                    return " <- ".join([*way[:10], uid])
                if need in self._project.nodes and need not in came:
                    came[need] = at
                    waiting.append(need)
        return uid

    # ---- records

    def _whole(self) -> Process:
        about, warehouse = self._project.metadata, self._warehouse
        properties = {
            "adapter": warehouse.adapter,
            "dbt_version": about.get("dbt_version", ""),
            "server": warehouse.why,
        }
        ended = max((outcome.ended for outcome in self._outcomes.values()), default="")
        return Process(
            address=self._top, description=f"dbt project {warehouse.project}", properties=properties, ended=ended
        )

    def _table(self, uid: str, node: Node) -> Iterator[Found]:
        """What dbt says of a table; nothing where it says nothing and the table belongs to the warehouse."""
        address = self._addresses[uid]
        if address.platform != "dbt":
            described = tuple(
                Column(c.name or name, description=_text(c.description))
                for name, c in (node.columns or {}).items()
                if c.description
            )
            if node.description or node.all_tags or described:
                made = Description(
                    address=address, description=_text(node.description), tags=node.all_tags, columns=described
                )
                yield Found(made, uid)
            return
        yield Found(
            Dataset(
                address=address,
                columns=self._columns(uid, node),
                description=_text(node.description),
                tags=node.all_tags,
                owners=self._project.owners_of(node),
                properties={"server": self._warehouse.why},
            ),
            uid,
        )

    def _columns(self, uid: str, node: Node) -> tuple[Column, ...]:
        """Of a table that is ours to describe: as the catalog has them, else as its SQL and dbt's files tell."""
        said = {(column.name or name).casefold(): column for name, column in (node.columns or {}).items()}
        table = self._tables.get(uid)
        if table is not None and table.columns:
            names = {column.name: column for column in table.columns}
        else:
            learned = self._flows.columns.get(uid) or tuple(c.name or name for name, c in (node.columns or {}).items())
            names = {name: Column(name) for name in learned}
        return tuple(
            Column(
                name,
                known.type or ((own.data_type if own else "") or ""),
                description=_text((own.description if own else "") or known.description),
            )
            for name, known in names.items()
            for own in (said.get(name.casefold()),)
        )

    def _models(self, uids: list[str]) -> Iterator[Found]:
        nodes = [self._project.node(uid) for uid in uids]
        models = [
            Model(
                uid,
                self._sql(uid, node),
                self._spelled[uid],
                self._addresses[uid],
                tuple(self._project.sources_of(uid)),
            )
            for uid, node in zip(uids, nodes, strict=True)
        ]
        for model, node, flow in zip(models, nodes, self._flows.read(models), strict=True):
            yield from self._table(model.uid, node)
            yield Found(self._process(model, node, flow), model.uid)

    def _sql(self, uid: str, node: Node) -> str:
        if (node.language or "sql") != "sql":
            return ""
        outcome = self._outcomes.get(uid)
        return node.compiled or (outcome.sql if outcome else "")

    def _process(self, model: Model, node: Node, flow: Flow) -> Process:
        kept = self._project.nodes[model.uid]
        state, ended = states(self._outcomes, model.uid)
        name = ".".join(model.uid.split(".")[2:]) or node.name
        properties = {
            "materialized": kept.materialized,
            "file": node.original_file_path or "",
            "access": node.access or "",
            "group": node.group or "",
            **self._tested(model.uid),
            **flow.notes,
            **_meta(node.all_meta),
        }
        if not model.sql:
            python = (node.language or "sql") != "sql"
            properties["columns_unknown"] = _PYTHON if python else _NO_SQL
        if missing := self._project.unknown_needs(model.uid):
            properties["not_in_manifest"] = ", ".join(missing)[:MAX_LISTED]
        return Process(
            address=Address(
                "dbt", self._warehouse.project, (node.package_name or self._warehouse.project, name), "transformation"
            ),
            inputs=tuple(address for address in flow.inputs if address != model.address),
            outputs=(model.address,),
            columns=flow.edges,
            sql=redact_sql(model.sql[:MAX_SHOWN]),
            dialect=self._warehouse.dialect
            if flow.inputs and model.sql
            else "",  # else the transform would read it once more
            default_database=model.table.database,
            default_schema=model.table.schema,
            description=_text(node.description),
            owners=self._project.owners_of(node),
            tags=node.all_tags,
            properties={key: value for key, value in properties.items() if value},
            parent=self._top,
            ended=ended,
            state=state,
        )

    def _tested(self, uid: str) -> dict[str, str]:
        """Its tests by column, and those that failed in the last run."""
        by_column: dict[str, dict[str, None]] = {}
        failed: list[str] = []
        for test in self._project.tests.get(uid, ()):
            by_column.setdefault(test.column, {})[test.name] = None
            outcome = self._outcomes.get(test.uid)
            if outcome is not None and outcome.status in ("fail", "error", "warn"):
                failed.append(f"{test.name}({test.column}): {outcome.status}, {outcome.failures:,} rows")
        told = "; ".join(f"{column + ': ' if column else ''}{', '.join(names)}" for column, names in by_column.items())
        return {"tests": told[:MAX_LISTED], "tests_failed": "; ".join(failed)[:MAX_LISTED]}

    def _meaning(self, uid: str, node: Node) -> Dataset:
        """A metric or a semantic model."""
        expression = node.expression or node.sql or str((node.type_params or {}).get("expr") or "")
        measure = (node.type_params or {}).get("measure")
        properties = {
            "label": node.label or "",
            "type": node.type or node.calculation_method or "",
            "expression": redact_sql(expression),
            "measure": str(measure.get("name", "")) if isinstance(measure, dict) else "",
            **_meta(node.all_meta),
        }
        return Dataset(
            address=self._addresses[uid],
            columns=_fields(node),
            description=_text(node.description),
            inputs=self._inputs(uid),
            owners=self._project.owners_of(node),
            tags=node.all_tags,
            properties={key: value for key, value in properties.items() if value},
        )

    def _exposure(self, uid: str, node: Node) -> Report:
        kind = "dashboard" if node.type == "dashboard" else "report"
        properties = {
            "label": node.label or "",
            "type": node.type or "",
            "maturity": node.maturity or "",
            **_meta(node.all_meta),
        }
        return Report(
            address=Address("dbt", self._warehouse.project, ("exposures", node.name), kind),
            inputs=self._inputs(uid),
            url=redact(node.url or ""),
            description=_text(node.description),
            owners=tuple(dict.fromkeys((*people(node.owner), *self._project.owners_of(node)))),
            tags=node.all_tags,
            properties={key: value for key, value in properties.items() if value},
        )

    def _inputs(self, uid: str) -> tuple[Address, ...]:
        found = (self._addresses.get(need) for need in self._project.sources_of(uid))
        return tuple(dict.fromkeys(address for address in found if address is not None))


def _fields(node: Node) -> tuple[Column, ...]:
    """Entities, dimensions and measures of a semantic model; a name that is two of them is one column."""
    fields = [
        *((f, f"entity {f.type or ''}") for f in node.entities or ()),
        *((f, f"dimension {f.type or ''}") for f in node.dimensions or () if isinstance(f, Field)),
        *((f, f"measure {f.agg or ''}") for f in node.measures or ()),
    ]
    found: dict[str, Column] = {}
    for f, kind in fields:
        before = found.get(f.name.casefold())
        kinds = f"{before.type}, {kind.strip()}" if before else kind.strip()
        about = (before.description if before else "") or _text(f.description)
        if f.name:
            found[f.name.casefold()] = Column(before.name if before else f.name, kinds, description=about)
    return tuple(found.values())


def _type(said: CatalogMetadata | None, materialized: str) -> str:
    """What the warehouse says it is (`BASE TABLE`, `MATERIALIZED VIEW`), else what dbt makes of it."""
    kind = (said.type if said else None) or materialized
    if "view" in kind.lower():
        return "materialized_view" if "material" in kind.lower() else "view"
    return "table"


def _meta(meta: Mapping[str, Any]) -> dict[str, str]:
    """`meta`, but its owners."""
    shown = {key: value for key, value in meta.items() if key not in ("owner", "owners") and value not in (None, "")}
    texts = {
        key: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for key, value in itertools.islice(shown.items(), MAX_META)
    }
    return {f"meta_{key}": _beside(key, value) for key, value in texts.items()}


def _beside(key: str, value: str) -> str:
    """The value without credentials; its key often says that it is one."""
    masked = redact(f"{key}={value}")
    return redact(masked[len(key) + 1 :]) if masked.startswith(f"{key}=") else MASK


def _text(value: str | None) -> str:
    return redact(value) if value else ""
