"""Package XML -> model: formats 2 and 3 (SQL Server 2005, 2008), 6 (2012) and 8 (2014 and later), by one reader.

Formats 2 and 3 write every property as an element `<DTS:Property DTS:Name="ObjectName">`, name tasks by class and
number their columns; 6 and 8 write attributes and call everything by its path (`refId`). What a reader has to know is
the same. Element and attribute names: [MS-DTSX2], https://learn.microsoft.com/openspecs/sql_data_portability/ms-dtsx2,
and for 2 and 3 [MS-DTSX].
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from connectors.formats.ssis.connections import connection_of
from connectors.formats.ssis.dts import TRUE, children, expressions, is_true, prop
from connectors.formats.ssis.model import CONTAINERS, After, Connection, Package, Task, Variable
from connectors.formats.xml_tree import Limits, Node
from shared.errors import BadInput

FORMATS = (2, 3, 6, 8)
#: layout of the designer, and texts that are the same in every file
LIMITS = Limits(
    skip=frozenset(
        ("DesignTimeProperties", "PackageVariable", "LoggingOptions", "BinaryItem", "ProjectItem", "LogProvider")
    ),
    drop=frozenset(("contactInfo", "TaskContact", "UITypeEditor", "typeConverter", "DesignTimeProperties")),
)
#: ConfigurationType (DTSConfigurationType): 0 parent package variable, 1 XML file, 2 environment variable, 3 registry
#: entry; 5 to 9 the same but found through an environment variable, 7 SQL Server table
_CONFIGURATIONS = {
    "0": "parent package variable",
    "1": "XML configuration file",
    "2": "environment variable",
    "3": "registry entry",
    "4": "parent package variable",
    "5": "XML configuration file",
    "6": "registry entry",
    "7": "SQL Server table",
    "8": "SQL Server table",
}
#: formats 2 and 3 name tasks by class (`Microsoft.SqlServer.Dts.Tasks.ExecuteSQLTask.ExecuteSQLTask, ...`) or ProgID
_KINDS = {
    "SSIS.PIPELINE": "Microsoft.Pipeline",
    "DTS.PIPELINE": "Microsoft.Pipeline",
    "MSDTS.PACKAGE": "Microsoft.Package",
    "SSIS.PACKAGE": "Microsoft.Package",
    "SSIS.EXECUTEPACKAGETASK": "Microsoft.ExecutePackageTask",
    "{5918251B-2970-45A4-AB5F-01C3C588FE5A}": "Microsoft.Pipeline",
}
_CLASS = re.compile(r"Microsoft\.SqlServer\.Dts\.Tasks\.(?:\w+\.)*(\w+)", re.IGNORECASE)
_CONDITIONS = {"0": "success", "1": "failure", "2": "completion"}


def read_package(root: Node, name: str, where: str) -> Package:
    """Raises BadInput: no package, encrypted as a whole, of a version that is not known."""
    if root.tag == "EncryptedData" or root.first("EncryptedData") is not None:
        raise BadInput(
            "the package is encrypted as a whole (protection level EncryptAllWithPassword or EncryptAllWithUserKey)",
            where=where,
            fix="save it with the protection level DontSaveSensitive or EncryptSensitiveWithPassword, and upload that",
        )
    if root.tag != "Executable" or "Package" not in kind_of(root):
        raise BadInput(
            f"the file is XML, but no SSIS package (its root is <{root.tag[:60]}>)",
            where=where,
            fix="upload a .dtsx, .ispac, .conmgr or .params as Visual Studio or SSMS saves it",
        )
    said = prop(root, "PackageFormatVersion")
    version = int(said) if said.isdecimal() and len(said) < 4 else 0
    if version not in FORMATS:
        known = ", ".join(map(str, FORMATS))
        raise BadInput(
            f"PackageFormatVersion {said[:20] or 'is missing and'} is not known (there are {known})",
            where=where,
            fix="open it with SQL Server Data Tools and save it, which upgrades it",
        )
    connections = [connection_of(node) for node in children(root, "ConnectionManager")]
    parameters = [
        Variable(
            f"$Package::{prop(node, 'ObjectName')}",
            prop(node, "ParameterValue"),
            prop(node, "DataType"),
            sensitive=is_true(node, "Sensitive"),
        )
        for node in children(root, "PackageParameter")
    ]
    properties = {
        "version": ".".join(filter(None, (prop(root, "VersionMajor"), prop(root, "VersionMinor"))))
        + (f" build {build}" if (build := prop(root, "VersionBuild")) else ""),
        "package_format": str(version),
        "creator": prop(root, "CreatorName"),
        "saved_with": prop(root, "LastModifiedProductVersion"),
    }
    return Package(
        name=name,
        format=version,
        root=_task(root, ()),
        connections=tuple(_by_name(connections)),
        parameters=tuple(parameters),
        configured=tuple(_configurations(root)) if is_true(root, "EnableConfig") or version < 6 else (),
        properties={key: value.strip() for key, value in properties.items() if value.strip()},
    )


def kind_of(node: Node) -> str:
    """`Microsoft.ExecuteSQLTask`, whatever the version calls it: without number and assembly."""
    said = node.get("ExecutableType") or prop(node, "CreationName")
    if (known := CONTAINERS.get(said.upper())) is not None:
        return known
    plain = re.sub(r"\.\d+$", "", said.split(",")[0].strip())
    if (known := _KINDS.get(plain.upper())) is not None:
        return known
    found = _CLASS.match(plain)
    return f"Microsoft.{found[1]}" if found else plain


def _task(node: Node, path: tuple[str, ...]) -> Task:
    data = next((child for part in node.all("ObjectData") for child in part.children), None)
    enumerator = node.first("ForEachEnumerator")
    made = Task(
        path=path,
        kind=kind_of(node),
        description=prop(node, "Description"),
        disabled=is_true(node, "Disabled"),
        expressions=expressions(node),
        variables=[_variable(child) for child in children(node, "Variable")],
        data=data,
        enumerator=enumerator,
        enumerator_expressions=expressions(enumerator) if enumerator is not None else {},
        mappings=dict(_mappings(node)),
    )
    ids: dict[str, str] = {}
    taken: dict[str, int] = {}
    for number, child in enumerate(children(node, "Executable"), 1):
        name = prop(child, "ObjectName") or f"task {number}"
        inner = _task(child, (*path, _unlike(name, taken)))
        made.tasks.append(inner)
        ids |= dict.fromkeys(filter(None, (prop(child, "DTSID"), child.get("refId"))), inner.path[-1])
    for handler in children(node, "EventHandler"):
        event = prop(handler, "EventName") or prop(handler, "CreationName") or prop(handler, "ObjectName")
        made.tasks.append(_task(handler, (*path, _unlike(event, taken))))
        made.tasks[-1].kind = "Event handler"
    _constrain(node, made, ids)
    return made


def _unlike(name: str, taken: dict[str, int]) -> str:
    """Two tasks of one name in one container stay two. taken: name -> how often it was asked for."""
    made = name
    while made in taken:
        taken[name] += 1
        made = f"{name} ({taken[name]})"
    taken[made] = 1
    return made


def _constrain(node: Node, made: Task, ids: dict[str, str]) -> None:
    by_name = {task.path[-1]: task for task in made.tasks}
    for constraint in children(node, "PrecedenceConstraint"):
        before, after = constraint.get("From"), constraint.get("To")
        for end in constraint.all("Executable"):  # formats 2 and 3
            if end.get("IsFrom").lower() in TRUE:
                before = end.get("IDREF")
            else:
                after = end.get("IDREF")
        task = by_name.get(ids.get(after, ""))
        if task is None or before not in ids:
            continue
        condition = _CONDITIONS.get(prop(constraint, "Value") or "0", "")
        expression = prop(constraint, "Expression")
        task.after.append(After(ids[before], f"{condition} and {expression}" if expression else condition))


def _mappings(node: Node) -> Iterator[tuple[str, int]]:
    for mapping in children(node, "ForEachVariableMapping"):
        index = prop(mapping, "ValueIndex")
        yield prop(mapping, "VariableName"), int(index) if index.isdecimal() else 0


def _variable(node: Node) -> Variable:
    value = node.first("VariableValue")
    evaluated = is_true(node, "EvaluateAsExpression")
    return Variable(
        f"{prop(node, 'Namespace') or 'User'}::{prop(node, 'ObjectName')}",
        value.text if value is not None and not value.children else "",
        value.get("DataType") if value is not None else "",
        prop(node, "Expression") if evaluated else "",
        value is not None and is_true(value, "Sensitive"),
    )


def _by_name(connections: list[Connection]) -> Iterator[Connection]:
    """One connection manager a name: the first, as SSIS takes it."""
    seen: set[str] = set()
    for connection in connections:
        if connection.name not in seen:
            seen.add(connection.name)
            yield connection


def _configurations(root: Node) -> Iterator[tuple[str, str, str]]:
    for node in children(root, "Configuration"):
        kind = _CONFIGURATIONS.get(prop(node, "ConfigurationType"), "configuration")
        yield kind, prop(node, "ConfigurationString"), prop(node, "ConfigurationVariable")
