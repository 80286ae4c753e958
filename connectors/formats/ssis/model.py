"""A package as it is read, whatever its format version: connections, variables, and the tree of its tasks."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from connectors.formats.xml_tree import Node

#: CreationName / ExecutableType of containers, in any version
CONTAINERS = {"STOCK:SEQUENCE": "Sequence", "STOCK:FORLOOP": "For loop", "STOCK:FOREACHLOOP": "Foreach loop"}


@dataclass(frozen=True)
class Connection:
    """A connection manager.

    kind:        its CreationName: OLEDB, ADO.NET:.., ODBC, FLATFILE, EXCEL, FILE, AzureStorage ...
    settings:    its properties by lower-case name, the parts of its connection string among them; no credentials
    expressions: property -> expression
    """

    name: str
    id: str
    kind: str
    settings: dict[str, str] = field(default_factory=dict)
    expressions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Variable:
    """A variable or parameter by its full name: `User::Table`, `$Package::Server`, `$Project::Server`.

    type: DataType, a VARTYPE: 8 text, 3 whole number, 7 date, 11 truth value ...
    """

    name: str
    value: str = ""
    type: str = "8"
    expression: str = ""
    sensitive: bool = False


@dataclass(frozen=True)
class After:
    """A precedence constraint: what runs before, and on which condition."""

    before: str
    condition: str


@dataclass
class Task:
    """A task, a container, the package itself, or an event handler.

    path:     names from the outside in, without the package's own
    kind:     `Microsoft.Pipeline`, `Microsoft.ExecuteSQLTask`, `Sequence` ..., without version and assembly
    data:     what the task itself says (the child of ObjectData)
    mappings: variable -> index of the value that a Foreach loop sets it to
    """

    path: tuple[str, ...]
    kind: str
    description: str = ""
    disabled: bool = False
    expressions: dict[str, str] = field(default_factory=dict)
    variables: list[Variable] = field(default_factory=list)
    data: Node | None = None
    enumerator: Node | None = None
    enumerator_expressions: dict[str, str] = field(default_factory=dict)
    mappings: dict[str, int] = field(default_factory=dict)
    tasks: list[Task] = field(default_factory=list)
    after: list[After] = field(default_factory=list)

    @property
    def place(self) -> str:
        return "\\".join(("Package", *self.path))


@dataclass(frozen=True)
class Package:
    """format: PackageFormatVersion; configured: package configurations, as (what kind, where from, what they set)."""

    name: str
    format: int
    root: Task
    connections: tuple[Connection, ...] = ()
    parameters: tuple[Variable, ...] = ()
    configured: tuple[tuple[str, str, str], ...] = ()
    properties: dict[str, str] = field(default_factory=dict)

    def with_parameters(self, values: dict[str, str]) -> Package:
        """The package as it runs with other values of its parameters."""
        changed = tuple(
            dataclasses.replace(p, value=values[p.name]) if p.name in values else p for p in self.parameters
        )
        return dataclasses.replace(self, parameters=changed)
