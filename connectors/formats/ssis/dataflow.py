"""A data flow task -> inputs, outputs and column edges of its process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from connectors.formats.ssis.ends import End, Ends, external_name
from connectors.formats.ssis.flow import Column, Component, Flow, Port, Trace
from shared.records import Address, ColumnEdge, Dataset
from shared.records import Column as RecordColumn

#: what a list of components shows
_MAX_SHOWN = 40


@dataclass
class Lineage:
    """results: rows of procedures that it reads, with the columns that the package knows of them."""

    inputs: dict[Address, None] = field(default_factory=dict)
    outputs: dict[Address, None] = field(default_factory=dict)
    edges: dict[tuple[Address, str, Address, str], ColumnEdge] = field(default_factory=dict)
    results: dict[Address, Dataset] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def edge(self, trace: Trace, target: Address, column: str) -> None:
        for source in trace:
            kind: str = "copy" if source.copied else "derivation"
            key = source.address, source.column, target, column
            if source.address in self.inputs and (key not in self.edges or kind == "copy"):
                self.edges[key] = ColumnEdge(*key, kind="copy" if kind == "copy" else "derivation")


def lineage_of(flow: Flow, ends: Ends) -> Lineage:
    made = Lineage()
    reads: dict[int, End] = {}
    for component in flow.components:
        if _is_source(component) or _refers(component):
            end = reads[id(component)] = ends.of(component, reads=True)
            made.inputs |= dict.fromkeys(end.tables)
            _note(made, component, end)
            if end.sql is not None and _is_source(component):
                made.results |= _results(component, end)

    def outside(component: Component, port: Port, column: Column) -> Trace | None:
        end = reads.get(id(component))
        if end is None:
            return None
        if (copied := column.properties.get("copyfromreferencecolumn")) is not None:
            return end.column(copied) if copied else None
        if not _is_source(component):
            return None
        return () if column.special else end.column(_named_outside(component, port, column))

    flow.solve(outside)
    for component in flow.components:
        if _is_source(component):
            continue
        if _is_command(component):
            _command(made, flow, component, ends.of(component, reads=False))
        elif _is_destination(component):
            _destination(made, flow, component, ends.of(component, reads=False))
    if flow.too_large:
        made.notes["columns_unknown"] = "the data flow is too large to follow all its columns"
    names = [f"{c.name} ({_kind(c)})" for c in flow.components]
    more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
    made.notes["components"] = ", ".join(names[:_MAX_SHOWN]) + more
    return made


def _kind(component: Component) -> str:
    """`OLEDBSource`; formats 2 and 3 number the kinds differently in each version, and describe them."""
    known = component.kind and not component.kind.startswith("{")
    return component.kind.rpartition(".")[2] if known else component.description or "a component"


def _is_source(component: Component) -> bool:
    return not component.inputs


def _is_destination(component: Component) -> bool:
    return bool(component.inputs) and all(port.is_error for port in component.outputs)


def _is_command(component: Component) -> bool:
    """OLE DB Command: SQL for each row, its parameters being the external columns of its input."""
    told = component.properties.get("sqlcommand", "").strip()
    return bool(told and component.inputs and component.inputs[0].external) and not _is_destination(component)


def _refers(component: Component) -> bool:
    """A transformation that reads something besides: Lookup, Fuzzy Lookup, Slowly Changing Dimension, Term Lookup."""
    if _is_source(component) or _is_destination(component) or _is_command(component) or not component.connections:
        return False
    copied = any("copyfromreferencecolumn" in c.properties for p in component.outputs for c in p.columns)
    p = component.properties
    named = ("sqlcommand", "openrowset", "referencetablename", "reftermtable", "outtermtable")
    return copied or any(p.get(name, "").strip() for name in named)


def _named_outside(component: Component, port: Port, column: Column) -> str:
    """The column's name in what a source reads. An error output only knows the name in the flow."""
    if port.is_error:
        named = ((p, c) for p in component.outputs if not p.is_error for c in p.columns if c.name == column.name)
        port, column = next(named, (port, column))
    return external_name(port, column, column.name)


def _destination(made: Lineage, flow: Flow, component: Component, end: End) -> None:
    made.outputs |= dict.fromkeys(end.tables)
    _note(made, component, end)
    if end.table is None:
        return
    for port in component.inputs:
        for column in port.columns:
            name = external_name(port, column, flow.name_of(column))
            if name and (column.external or not port.external):
                made.edge(flow.trace(column.lineage, port), end.table, name)


def _command(made: Lineage, flow: Flow, component: Component, end: End) -> None:
    made.outputs |= dict.fromkeys(end.tables)
    _note(made, component, end)
    if end.sql is None:
        return
    made.inputs |= dict.fromkeys(end.sql.inputs)
    for edge in end.sql.edges:
        made.edges[edge.source, edge.source_column, edge.target, edge.target_column] = edge
    port = component.inputs[0]
    numbers = {id_: number for number, id_ in enumerate(port.external)}
    columns = {numbers[c.external]: c for c in port.columns if c.external in numbers}
    for number, table, name in end.sql.parameters:
        if number in columns:
            made.edge(flow.trace(columns[number].lineage, port), table, name)


def _results(component: Component, end: End) -> Iterator[tuple[Address, Dataset]] | dict[Address, Dataset]:
    """The rows of a procedure whose text is not known: their columns are those that the source knows."""
    rows = [table for table in end.tables if table.type == "result_set"]
    if len(rows) != 1 or len(end.tables) != 1:
        return {row: Dataset(address=row) for row in rows}
    columns = tuple(
        RecordColumn(name=_named_outside(component, port, column), type=column.type)
        for port in component.outputs
        if not port.is_error
        for column in port.columns
    )
    unique = {column.name: column for column in columns if column.name}
    return {rows[0]: Dataset(address=rows[0], columns=tuple(unique.values()))}


def _note(made: Lineage, component: Component, end: End) -> None:
    if end.sql is None:
        return
    for name, text in end.sql.notes.items():
        made.notes[name] = "; ".join(filter(None, (made.notes.get(name, ""), f"{component.name}: {text}")))
    if end.sql.calls:
        called = ", ".join(".".join(call.path) for call in end.sql.calls)
        made.notes["calls"] = ", ".join(filter(None, (made.notes.get("calls", ""), called)))
