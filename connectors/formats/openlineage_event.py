"""One OpenLineage event -> records, and refusals for the parts of it that are not what the specification says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from connectors.formats import openlineage_facets as facets
from connectors.formats.json_stream import Value, where_of
from connectors.formats.openlineage_facets import Facets
from shared.lineage import analyze
from shared.lineage.dialects import canonical
from shared.records import Address, Column, ColumnEdge, Dataset, Deleted, Found, Process, Refusal

MAX_SQL = 1_000_000
_ENDS = frozenset(("COMPLETE", "FAIL", "ABORT"))
_STATES = _ENDS | {"START", "RUNNING"}
#: uses of an input column that decide which rows there are, not what is in them
#: (https://openlineage.io/docs/spec/facets/dataset-facets/column_lineage_facet)
_NO_VALUES = frozenset(("JOIN", "GROUP_BY", "FILTER", "SORT"))


class _Named(NamedTuple):
    """A dataset of an event: its address, its column lineage, and where in the event it stands."""

    address: Address
    lineage: facets.ColumnLineage | None
    where: str


class Event:
    """Reads one event once."""

    def __init__(self, item: Value) -> None:
        self._event, self._place = item.value, item.place
        self._refusals: list[Refusal] = []
        self._records: list[Dataset | Deleted | Process] = []
        self._known: dict[tuple[str, str], Address] = {}  # symlinks followed

    def read(self) -> Iterator[Found | Refusal]:
        event = self._event
        if not isinstance(event, dict):
            self._refuse("the event", "an event is an object", "write one OpenLineage event: {...}")
        elif event.get("job") is None and event.get("dataset") is not None:
            self._dataset(event["dataset"], "dataset", always=True)
        else:
            self._job(event)
        yield from self._refusals
        for record in self._records:
            yield Found(record, self._place)

    def _refuse(self, where: str, reason: str, fix: str = "") -> None:
        self._refusals.append(
            Refusal(
                place=where_of(self._place),
                rule="openlineage",
                reason=f"{where}: {reason}",
                fix=fix or "write it as the OpenLineage specification says; the rest of the event was read",
            )
        )

    def _facets(self, owner: dict[str, Any], where: str) -> Facets:
        return Facets(owner, where, self._refuse)

    def _text(self, key: str) -> str:
        value = self._event.get(key)
        if value is not None and not isinstance(value, str):
            self._refuse(key, "Expected `str`")
        return value if isinstance(value, str) else ""

    def _job(self, event: dict[str, Any]) -> None:
        job = event.get("job")
        if not isinstance(job, dict):
            self._refuse("the event", "it has no job", "every RunEvent and JobEvent has job.namespace and job.name")
            return
        namespace, name = job.get("namespace"), job.get("name")
        if not _are_names(namespace, name):
            self._refuse("job", "its namespace and name must be texts that are not empty", "name the job")
            return
        address = Address("openlineage", str(namespace), (str(name),), "job")
        state = self._text("eventType").upper()
        state = state if state in _STATES else ""
        inputs, outputs = self._datasets("inputs", state), self._datasets("outputs", state)
        sources, edges = self._edges(outputs)
        read = dict.fromkeys([*(i.address for i in inputs), *sources])
        written = dict.fromkeys(o.address for o in outputs)
        about = self._facets(job, "job")
        sql = about.get("sql", facets.Sql)
        if sql is not None and written and not read:  # dbt's START and seed events list outputs only
            read = dict.fromkeys(_read_by(sql, tuple(written)))
        partial = state not in ("COMPLETE", "")  # such an event often lists only a part of the datasets
        if (read and written) if partial else (read or written):
            self._records.append(self._process(address, about, sql, tuple(read), tuple(written), edges, state))

    def _process(
        self,
        address: Address,
        about: Facets,
        sql: facets.Sql | None,
        inputs: tuple[Address, ...],
        outputs: tuple[Address, ...],
        edges: tuple[ColumnEdge, ...],
        state: str,
    ) -> Process:
        from shared.settings.redact import redact

        kind = about.get("jobType", facets.JobType)
        words = [kind.integration, kind.job_type, kind.processing_type] if kind else []
        return Process(
            address=address,
            inputs=inputs,
            outputs=outputs,
            columns=edges,
            sql=redact(sql.query[:MAX_SQL]) if sql else "",
            dialect=canonical(sql.dialect or "") if sql else "",
            parent=self._parent(address),
            ended=self._text("eventTime") if state in _ENDS else "",
            state=state,
            description=about.description(),
            owners=about.owners(),
            tags=about.tags(),
            properties={"job type": " ".join(filter(None, words))} if any(words) else {},
        )

    def _parent(self, child: Address) -> Address | None:
        run = self._event.get("run")
        if not isinstance(run, dict):
            return None
        about = self._facets(run, "run")
        parent = about.get("parent", facets.Parent) or about.get("parentRun", facets.Parent)  # before 0.5
        if parent is None or not _are_names(parent.job.namespace, parent.job.name):
            return None
        address = Address("openlineage", parent.job.namespace, (parent.job.name,), "job")
        return address if address != child else None

    def _datasets(self, side: str, state: str) -> list[_Named]:
        listed = self._event.get(side)
        if listed is not None and not isinstance(listed, list):
            self._refuse(side, "Expected `array`", f"{side}: [{{namespace, name}}, ...]")
            return []
        found = (self._dataset(item, f"{side}[{number}]", state) for number, item in enumerate(listed or ()))
        return [named for named in found if named is not None]

    def _dataset(self, item: Any, where: str, state: str = "", *, always: bool = False) -> _Named | None:
        """Name a dataset; keep it as a record where the event describes it. None: refused, or dropped by this run."""
        if not isinstance(item, dict) or not _are_names(item.get("namespace"), item.get("name")):
            self._refuse(where, "a dataset needs a namespace and a name", "add what is missing to the event")
            return None
        about = self._facets(item, where)
        address = self._address(item["namespace"], item["name"], about)
        change = about.get("lifecycleStateChange", facets.Lifecycle)
        dropped = change is not None and (change.lifecycle_state_change or "").upper() == "DROP"
        if dropped and state in ("COMPLETE", ""):
            self._records.append(Deleted(address=address))
            return None
        schema = about.get("schema", facets.Schema)
        record = Dataset(
            address=address,
            columns=tuple(_columns(schema.fields or [], ())) if schema else (),
            description=about.description(),
            owners=about.owners(),
            tags=about.tags(),
            properties=_properties(about),
        )
        if always or record.columns or record.description or record.owners or record.tags:
            self._records.append(record)
        return _Named(address, about.get("columnLineage", facets.ColumnLineage), where)

    def _address(self, namespace: str, name: str, about: Facets) -> Address:
        """A table's name rather than its location, where a symlink tells it: Spark names tables by their files."""
        from shared.naming.openlineage import address

        found = address(namespace, name)
        links = about.get("symlinks", facets.Symlinks)
        for link in (links.identifiers or ()) if links else ():
            if (link.type or "").upper() != "TABLE" or not _are_names(link.namespace, link.name):
                continue
            table = address(link.namespace, link.name)
            if table.type == "table" and table.platform != "openlineage":  # else the warehouse's folder, not a server
                found = table
                break
        self._known[namespace, name] = found
        return found

    def _edges(self, outputs: list[_Named]) -> tuple[list[Address], tuple[ColumnEdge, ...]]:
        """Datasets that column lineage names, which not every producer lists as inputs too; and the edges."""
        sources: list[Address] = []
        edges: dict[ColumnEdge, None] = {}
        for target, lineage, place in outputs:
            if lineage is None:
                continue
            where = f"{place}.facets.columnLineage"
            for column, data in (lineage.fields or {}).items():
                output = facets.convert(data, facets.OutputField, f"{where}.fields.{column}", self._refuse)
                for number, raw in enumerate((output.input_fields or ()) if output else ()):
                    at = f"{where}.fields.{column}.inputFields[{number}]"
                    field = facets.convert(raw, facets.InputField, at, self._refuse)
                    if field is not None and output is not None and (edge := self._edge(field, output, target, column)):
                        edges[edge] = None
                        sources.append(edge.source)
            for number, raw in enumerate(lineage.dataset or ()):
                field = facets.convert(raw, facets.InputField, f"{where}.dataset[{number}]", self._refuse)
                if field is not None:
                    sources.append(self._source(field))
        return sources, tuple(edges)

    def _source(self, field: facets.InputField) -> Address:
        from shared.naming.openlineage import address

        key = (field.namespace, field.name)
        return self._known.get(key) or address(*key)

    def _edge(
        self, field: facets.InputField, output: facets.OutputField, target: Address, column: str
    ) -> ColumnEdge | None:
        """None where the input column only decides which rows there are (a join, a filter): no value flows."""
        uses = field.transformations or []
        if uses and all((u.type or "").upper() == "INDIRECT" and (u.subtype or "").upper() in _NO_VALUES for u in uses):
            return None
        said = [(u.subtype or u.type or "").upper() for u in uses] or [(output.transformation_type or "").upper()]
        words = next((u.description for u in uses if u.description), None) or output.transformation_description or ""
        return ColumnEdge(
            source=self._source(field),
            source_column=field.field,
            target=target,
            target_column=column,
            expression=words,
            kind="copy" if all(s == "IDENTITY" for s in said) else "derivation" if any(said) else "",
        )


def _are_names(*names: Any) -> bool:
    return all(isinstance(name, str) and name.strip() for name in names)


def _read_by(sql: facets.Sql, written: tuple[Address, ...]) -> list[Address]:
    """Tables that the job's SQL reads, where all it writes lies on one server and the names are complete."""
    from shared.naming import platforms

    servers = {(a.platform, a.host, len(a.path)) for a in written if a.type == "table" and platforms.find(a.platform)}
    if len(servers) != 1 or len(written) != sum(a.type == "table" for a in written):
        return []
    platform, host, depth = servers.pop()
    tables = analyze(sql.query[:MAX_SQL], dialect=sql.dialect or "", budget_seconds=2.0).inputs
    found = (Address(platform, host, table.parts) for table in tables if len(table.parts) == depth)
    return [address for address in found if address not in written]


def _columns(fields: list[facets.SchemaField], path: tuple[str, ...]) -> Iterator[Column]:
    for field in fields:
        if field.name:
            yield Column(field.name, field.type or "", description=field.description or "", path=path)
            yield from _columns(field.fields or [], (*path, field.name))


def _properties(about: Facets) -> dict[str, str]:
    from shared.settings.redact import redact

    source = about.get("dataSource", facets.DataSource)
    said = (source.uri or source.name) if source else None
    return {"data source": redact(said)} if said else {}
