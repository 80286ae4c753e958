"""The data flow: components, and where the values of a column come from, traced along the paths from input to input.

Columns go by lineage id. A synchronous output (one with a `synchronousInputId`) passes every column of its input on
under the id that it has; a component that makes a column says what of, in one of the properties of REFERENCES. So most
components need no code of their own, and one that nobody here has heard of passes its columns like any other.
Properties: https://learn.microsoft.com/sql/integration-services/data-flow/transformations/transformation-custom-properties
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from connectors.formats.ssis.sql import Source
from connectors.formats.xml_tree import Node

#: properties of an output column that name the column it comes from, by lineage id or id; copied where True.
#: Aggregate, Character Map and Row Sampling, Copy Column, Data Conversion and Fuzzy Lookup, Merge Join, Sort, Pivot,
#: Term Lookup, Fuzzy Grouping
REFERENCES = {
    "aggregationcolumnid": False,
    "inputcolumnlineageid": False,
    "copycolumnid": True,
    "sourceinputcolumnlineageid": True,
    "inputcolumnid": True,
    "sortcolumnid": True,
    "sourcecolumn": True,
    "customlineageid": True,
    "inputid": True,
}
#: properties of an input column that name the output column it goes to: Union All and Merge, Unpivot
_TARGETS = ("outputcolumnlineageid", "destinationcolumn")
_ID = re.compile(r"#\{([^}]*)\}|#(\d+)")
#: of columns that are made of columns, where `solve` has not been before (in a circle)
_MAX_DEPTH = 60
#: of tracing, in one flow; a hundred components with a hundred columns each take 20,000
_MAX_STEPS = 2_000_000
Trace = tuple[Source, ...]


@dataclass
class Column:
    """A column of an input or output. lineage: the id by which it is referred to; external: id outside of the flow."""

    id: str
    lineage: str
    name: str
    properties: dict[str, str]
    type: str = ""
    external: str = ""
    special: bool = False


@dataclass
class Port:
    """An input or output."""

    id: str
    name: str
    columns: list[Column]
    external: dict[str, str]
    synchronous: str = ""
    is_error: bool = False
    component: Component | None = None

    def __post_init__(self) -> None:
        self.by_lineage = {column.lineage: column for column in self.columns}


@dataclass
class Component:
    """properties by lower-case name; connections: id or name of their managers, in order."""

    id: str
    name: str
    kind: str
    description: str
    properties: dict[str, str]
    connections: list[str]
    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)


#: values of an output column that come from outside: (component, output, column) -> where from; None: not from there
Outside = Callable[[Component, Port, Column], "Trace | None"]


class Flow:
    """A `pipeline` element. `solve` comes before `trace`."""

    def __init__(self, pipeline: Node, overrides: dict[tuple[str, str], str]) -> None:
        """overrides: (name of a component, name of a property) -> the value that a property expression gives it."""
        self.components = [_component(node, overrides) for node in pipeline.all("components", "component")]
        self._outputs = {port.id: port for c in self.components for port in c.outputs}
        self._inputs = {port.id: port for c in self.components for port in c.inputs}
        self._made = {
            column.lineage: (port, column) for c in self.components for port in c.outputs for column in port.columns
        }
        self._from: dict[str, list[str]] = {}
        for path in pipeline.all("paths", "path"):
            self._from.setdefault(path.get("endId"), []).append(path.get("startId"))
        self._traces: dict[tuple[str, str], Trace] = {}
        self._asking: set[tuple[str, str]] = set()
        self._outside: Outside = lambda *_: None
        self._steps = _MAX_STEPS

    def solve(self, outside: Outside) -> None:
        """Trace what each component makes, in the order in which it flows: so no question is ever a deep one."""
        self._outside = outside
        for component in self._in_order():
            for port in component.outputs:
                for column in port.columns:
                    self._leaving(column.lineage, port)

    @property
    def too_large(self) -> bool:
        """Whether it was given up before all columns were traced."""
        return self._steps <= 0

    def _in_order(self) -> Iterator[Component]:
        """Sources first; of a circle, which SSIS refuses, the components as they stand."""
        before = {
            id(c): {
                id(self._outputs[s].component) for p in c.inputs for s in self._from.get(p.id, ()) if s in self._outputs
            }
            for c in self.components
        }
        after: dict[int, list[Component]] = {}
        for component in self.components:
            for earlier in before[id(component)]:
                after.setdefault(earlier, []).append(component)
        ready = [c for c in self.components if not before[id(c)]]
        done: set[int] = set()
        for component in ready:  # grows while it is read
            done.add(id(component))
            yield component
            for later in after.get(id(component), ()):
                before[id(later)].discard(id(component))
                if not before[id(later)]:
                    ready.append(later)
        yield from (c for c in self.components if id(c) not in done)

    def trace(self, lineage: str, port: Port) -> Trace:
        """Where the column of that lineage id comes from, as it arrives at an input."""
        passed: set[str] = set()
        while True:
            starts = [self._outputs[start] for start in self._from.get(port.id, ()) if start in self._outputs]
            if not starts and lineage in self._made:
                starts = [self._made[lineage][0]]  # no path tells; the id does
            through = self._passed(lineage, starts[0]) if len(starts) == 1 else None
            if through is None or through.id in passed or self._steps <= 0:
                break
            self._steps -= 1
            passed.add(through.id)
            port = through
        return _merged(self._leaving(lineage, start) for start in starts)

    def _passed(self, lineage: str, start: Port) -> Port | None:
        """The input behind an output that does nothing to a column."""
        before = self._inputs.get(start.synchronous)
        if before is None or lineage in start.by_lineage:
            return None
        seen = before.by_lineage.get(lineage)
        changes = seen is not None and ("expression" in seen.properties or "copyfromreferencecolumn" in seen.properties)
        return None if changes else before

    def _leaving(self, lineage: str, port: Port) -> Trace:
        """The same, as it leaves an output."""
        key = lineage, port.id
        known = self._traces.get(key)
        if known is not None:
            return known
        if key in self._asking or len(self._asking) > _MAX_DEPTH or self._steps <= 0:
            return ()
        self._steps -= 1
        self._asking.add(key)
        try:
            found = self._traces[key] = self._found(lineage, port)
        finally:
            self._asking.discard(key)
        return found

    def _found(self, lineage: str, port: Port) -> Trace:
        component = port.component
        assert component is not None
        column = port.by_lineage.get(lineage)
        if column is not None:
            return self._origin(component, port, column)
        before = self._inputs.get(port.synchronous)
        if before is None:
            made = self._made.get(lineage)
            return self._origin(made[0].component or component, *made) if made else ()
        replaced = before.by_lineage.get(lineage)
        if replaced is not None and (refers := _ids(replaced.properties.get("expression", ""))):
            return derived(_merged(self.trace(refer, before) for refer in refers))
        if replaced is not None and replaced.properties.get("copyfromreferencecolumn"):
            found = self._outside(component, port, replaced)
            return found if found is not None else self.trace(lineage, before)
        return self.trace(lineage, before)

    def _origin(self, component: Component, port: Port, column: Column) -> Trace:
        """Of a column that this component makes."""
        found = self._outside(component, port, column)
        if found is not None:
            return found
        if column.special:
            return ()
        for name, copied in REFERENCES.items():
            value = column.properties.get(name, "")
            if value and value not in ("0", "-1"):
                traces = _merged(self._referred(component, refer) for refer in _ids(value, plain=True))
                keeps = copied or column.properties.get("aggregationtype") == "0"
                return traces if keeps else derived(traces)
        refers = _ids(column.properties.get("expression", ""))
        if refers:
            return derived(_merged(self._referred(component, refer) for refer in refers))
        mapped = [
            (port_in, inner, target)
            for port_in in component.inputs
            for inner in port_in.columns
            for target in _TARGETS
            if column.lineage in _ids(inner.properties.get(target, ""), plain=True)
        ]
        if mapped:
            return _merged(self.trace(inner.lineage, port_in) for port_in, inner, _ in mapped)
        if "expression" in column.properties or "pivotkey" in column.properties:
            return ()
        return self._alike(component, column)

    def _alike(self, component: Component, column: Column) -> Trace:
        """A component that does not say: an input column of the same name, by which scripts and others pass values."""
        wanted = column.name.lower()
        return derived(
            _merged(
                self.trace(inner.lineage, port)
                for port in component.inputs
                for inner in port.columns
                if self.name_of(inner).lower() == wanted
            )
        )

    def _referred(self, component: Component, refer: str) -> Trace:
        """An id: an input column's own, or a lineage id."""
        for port in component.inputs:
            for column in port.columns:
                if refer in (column.id, column.lineage):
                    return self.trace(column.lineage, port)
        return _merged(self.trace(refer, port) for port in component.inputs)

    def name_of(self, column: Column) -> str:
        """An input column's name; old formats only know the id of the column that it is."""
        made = self._made.get(column.lineage)
        return column.name or (made[1].name if made else "")


def derived(trace: Trace) -> Trace:
    return tuple(source._replace(copied=False) for source in trace)


def _merged(traces: Iterator[Trace]) -> Trace:
    """Each source once; a copy on any way is a copy."""
    found: dict[tuple[object, str], Source] = {}
    for trace in traces:
        for source in trace:
            key = source.address, source.column
            if key not in found or source.copied:
                found[key] = source
    return tuple(found.values())


def _ids(text: str, *, plain: bool = False) -> list[str]:
    """Lineage ids of an expression: `#24`, or `#{..}` around a path; plain: the text itself may be one."""
    found = [match[1] or match[2] for match in _ID.finditer(text)]
    return found or ([text.strip()] if plain and text.strip() else [])


def _component(node: Node, overrides: dict[tuple[str, str], str]) -> Component:
    name = node.get("name")
    properties = _properties(node)
    properties |= {key: value for (of, key), value in overrides.items() if of == name.lower()}
    kind = node.get("componentClassID")
    if "managed" in kind.lower() or (kind.startswith("{") and properties.get("usercomponenttypename")):
        kind = properties.get("usercomponenttypename", kind).split(",")[0]
    made = Component(
        id=node.get("refId") or node.get("id"),
        name=name,
        kind=kind,
        description=node.get("description"),
        properties=properties,
        connections=[
            c.get("connectionManagerRefId") or c.get("connectionManagerID")
            for c in node.all("connections", "connection")
        ],
    )
    made.inputs = [_port(port, "inputColumn", made) for port in node.all("inputs", "input")]
    made.outputs = [_port(port, "outputColumn", made) for port in node.all("outputs", "output")]
    return made


def _port(node: Node, kind: str, component: Component) -> Port:
    columns = [
        Column(
            id=column.get("refId") or column.get("id"),
            lineage=column.get("lineageId") or column.get("refId") or column.get("id"),
            name=column.get("cachedName") or column.get("name"),
            properties=_properties(column),
            type=column.get("dataType") or column.get("cachedDataType"),
            external=column.get("externalMetadataColumnId"),
            special=column.get("specialFlags") not in ("", "0"),
        )
        for column in node.all(f"{kind}s", kind)
    ]
    external = {
        c.get("refId") or c.get("id"): c.get("name")
        for c in node.all("externalMetadataColumns", "externalMetadataColumn")
    }
    synchronous = node.get("synchronousInputId")
    return Port(
        id=node.get("refId") or node.get("id"),
        name=node.get("name"),
        columns=columns,
        external=external,
        synchronous="" if synchronous == "0" else synchronous,
        is_error=node.get("isErrorOut").lower() == "true",
        component=component,
    )


def _properties(node: Node) -> dict[str, str]:
    """Custom properties; a list (`<arrayElement>`) as its elements."""
    return {
        child.get("name").lower(): child.text or ",".join(e.text for e in child.walk("arrayElement"))
        for child in node.all("properties", "property")
    }
