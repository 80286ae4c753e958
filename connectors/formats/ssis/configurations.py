r"""Package configurations of XML files (`.dtsConfig`) that lie beside a package: values that replace the package's own.

`<Configuration ConfiguredType="Property" Path="\Package.Connections[DW].Properties[ConnectionString]">`, and
`\Package.Variables[User::Table].Properties[Value]` or `.Value`. Kinds that lie elsewhere (environment variables, the
registry, a SQL Server table, a parent's variables) are named on the package and not applied.
https://learn.microsoft.com/sql/integration-services/packages/legacy-package-deployment-ssis
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import PureWindowsPath

from connectors.format import Folder
from connectors.formats.ssis.connections import configured
from connectors.formats.ssis.model import Package
from connectors.formats.xml_tree import parse
from shared.errors import BadInput
from shared.records import Refusal

_XML = "XML configuration file"
_PATH = re.compile(r"\\Package\.(Connections|Variables)\[([^\]]*)\]\.(?:Properties\[([^\]]*)\]|(\w+))", re.IGNORECASE)


def configure(package: Package, folder: Folder, refusals: list[Refusal]) -> Package:
    """The package with what the configuration files beside it say. refusals: of those that cannot be read."""
    values: dict[tuple[str, str, str], str] = {}
    for kind, where, _ in package.configured:
        if kind == _XML and where:
            name = PureWindowsPath(where.replace("/", "\\")).name
            try:
                values |= dict(_values(folder, name))
            except BadInput as error:
                refusals.append(Refusal(place=name, rule="ssis", reason=error.what, fix=error.fix))
    if not values:
        return package
    variables = [
        dataclasses.replace(v, value=values.get(("variables", v.name.lower(), "value"), v.value))
        for v in package.root.variables
    ]
    package.root.variables[:] = variables
    connections = []
    for connection in package.connections:
        said = {
            p: value
            for (of, name, p), value in values.items()
            if (of, name) == ("connections", connection.name.lower())
        }
        connections.append(configured(connection, said))
    return dataclasses.replace(package, connections=tuple(connections))


def _values(folder: Folder, name: str) -> Iterator[tuple[tuple[str, str, str], str]]:
    opened = folder.open(name)
    if opened is None:
        return
    with opened:
        root = parse(opened, name)
    for node in root.all("Configuration"):
        found = _PATH.fullmatch(node.get("Path"))
        value = node.first("ConfiguredValue")
        if found and value is not None:
            yield (found[1].lower(), found[2].lower(), (found[3] or found[4]).lower()), value.text
