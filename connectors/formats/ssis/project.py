"""What is around a package: its place in the SSIS catalog, the project's connection managers and parameters, .ispac.

An .ispac is a zip of the project's packages, `*.conmgr`, `Project.params` and `@Project.manifest`; beside a lone .dtsx
the same files may lie in its folder. [MS-ISPAC]: https://learn.microsoft.com/openspecs/sql_data_portability/ms-ispac
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from connectors.format import FileContext, Folder
from connectors.formats.ssis.configurations import configure
from connectors.formats.ssis.connections import connection_of
from connectors.formats.ssis.model import Connection, Package, Task, Variable
from connectors.formats.ssis.package import LIMITS, read_package
from connectors.formats.ssis.tasks import Records, executed
from connectors.formats.ssis.values import Values
from connectors.formats.xml_tree import Node, parse
from shared.errors import BadInput
from shared.records import Address, Found, Refusal

#: where nobody says in which server, folder and project of the SSIS catalog a package lies
NO_SERVER, NO_FOLDER, NO_PROJECT = "localhost", "default", "default"
#: System.TypeCode, as parameters of a project say it -> VARTYPE, as variables of a package do
_TYPES = {"3": "11", "5": "16", "6": "17", "7": "2", "8": "18", "9": "3", "10": "19", "11": "20", "12": "21"}
_NUMBERS = {"13": "4", "14": "5", "15": "14"}


class Whereabouts(NamedTuple):
    server: str
    folder: str
    project: str

    def package(self, name: str) -> Address:
        return Address("ssis", self.server, (self.folder, self.project, name), "package")


class Shared(NamedTuple):
    """What all packages of a project see. refusals: files of it that could not be read."""

    connections: tuple[Connection, ...] = ()
    parameters: tuple[Variable, ...] = ()
    refusals: tuple[Refusal, ...] = ()


def whereabouts(path: str, instances: Mapping[str, Address], project: str = "") -> Whereabouts:
    """From the folders `uploads/ssis/<server>/<folder>/<project>/x.dtsx`: as many as there are, from the right.

    project: its name where the file says it (.ispac); what is told of two folders is server and folder then.
    The server may be the name of an instance in hookline.yaml.
    """
    parts = PurePosixPath(path.replace("\\", "/")).parts
    folders: tuple[str, ...] = ()
    if "uploads" in parts[:-1]:
        folders = parts[parts.index("uploads") + 2 : -1][-3:]
    if project and len(folders) < 3:
        folders = (*folders[-2:], project)
    server, folder, name = (*("",) * (3 - len(folders)), *folders)
    known = instances.get(server)
    server = known.host if known is not None else server
    return Whereabouts(server or NO_SERVER, folder or NO_FOLDER, name or NO_PROJECT)


def shared_of(folder: Folder) -> Shared:
    """Connection managers and parameters among the files of a folder or archive."""
    connections: list[Connection] = []
    parameters: list[Variable] = []
    refusals: list[Refusal] = []
    for pattern in ("*.conmgr", "*.params"):
        for name in folder.find(pattern):
            try:
                root = _read(folder, name)
                if pattern == "*.conmgr":
                    connections.append(connection_in(root, name))
                else:
                    parameters += parameters_in(root, name)
            except BadInput as error:
                refusals.append(_refusal(name, error))
    return Shared(tuple(connections), tuple(parameters), tuple(refusals))


def connection_in(root: Node, where: str) -> Connection:
    """Raises BadInput: no connection manager."""
    if root.tag != "ConnectionManager":
        raise BadInput(
            f"the file is no connection manager (its root is <{root.tag[:60]}>)",
            where=where,
            fix="upload a .conmgr as Visual Studio saves it",
        )
    return connection_of(root)


def parameters_in(root: Node, where: str) -> list[Variable]:
    """`$Project::` parameters. Raises BadInput: no list of parameters."""
    if root.tag != "Parameters":
        raise BadInput(
            f"the file is no list of parameters (its root is <{root.tag[:60]}>)",
            where=where,
            fix="upload Project.params as Visual Studio saves it",
        )
    found = []
    for node in root.all("Parameter"):
        said = {p.get("Name"): p.text for p in node.all("Properties", "Property")}
        code = said.get("DataType", "")
        sensitive = said.get("Sensitive", "0") in ("1", "True", "true")
        value = "" if sensitive else said.get("Value", "")
        kind = _TYPES.get(code) or _NUMBERS.get(code, "8")
        found.append(Variable(f"$Project::{node.get('Name')}", value, kind, sensitive=sensitive))
    return found


def package_file(root: Node, context: FileContext) -> Iterator[Found | Refusal]:
    """The records of a .dtsx; what its project shares is looked for beside it."""
    name = PurePosixPath(context.path.replace("\\", "/")).name
    package = read_package(root, name if name.lower().endswith(".dtsx") else f"{name}.dtsx", context.path)
    shared = shared_of(context.folder)
    refusals = [*shared.refusals]
    package = configure(package, context.folder, refusals)
    yield from refusals
    at = whereabouts(context.path, context.instances)
    yield from _records(package, at, context, shared)


def archive_file(archive: Folder, context: FileContext) -> Iterator[Found | Refusal]:
    """The records of all packages of an .ispac; a package that cannot be read takes no other down."""
    names = archive.find("*.dtsx")
    if not names:
        raise BadInput(
            "the archive holds no package (.dtsx)", where=context.path, fix="build the project and upload its .ispac"
        )
    shared = shared_of(archive)
    yield from shared.refusals
    at = whereabouts(context.path, context.instances, _project_name(archive))
    bound = _bound(archive, names, shared)
    for member in names:
        name = _plain(member)
        try:
            package = read_package(_read(archive, member), name, name)
        except BadInput as error:
            yield _refusal(name, error)
            continue
        given = bound.get(name.lower(), {})
        agreed = {parameter: values[0] for parameter, values in given.items() if len(set(values)) == 1}
        yield from _records(package.with_parameters(agreed), at, context, shared)


def _records(package: Package, at: Whereabouts, context: FileContext, shared: Shared) -> Iterator[Found | Refusal]:
    made = Records(package, at.package(package.name), context, at.server, shared.connections, shared.parameters)
    yield from made.all()


def _bound(archive: Folder, names: list[str], shared: Shared) -> dict[str, dict[str, list[str]]]:
    """What Execute Package tasks give to packages of the project: package -> parameter -> values, one a caller."""
    found: dict[str, dict[str, list[str]]] = {}
    for member in names:
        try:
            package = read_package(_read(archive, member), _plain(member), member)
        except BadInput:
            continue  # it is refused when its turn comes
        _bindings(package.root, Values(package, shared.parameters), found)
    return found


def _bindings(outer: Task, values: Values, found: dict[str, dict[str, list[str]]]) -> None:
    for task in outer.tasks:
        if task.disabled:
            continue
        seen = values.within(task)
        if task.kind == "Microsoft.ExecutePackageTask" and task.data is not None:
            name, bound = executed(task.data)
            for parameter, variable in bound:
                full = parameter if "::" in parameter else f"$Package::{parameter}"
                found.setdefault(name.lower(), {}).setdefault(full, []).append(seen.text(variable))
        _bindings(task, seen, found)


def _read(folder: Folder, name: str) -> Node:
    """Raises BadInput."""
    opened = folder.open(name)
    if opened is None:
        raise BadInput("the file has gone", where=name, fix="upload it again")
    with opened:
        return parse(opened, _plain(name), LIMITS)


def _project_name(archive: Folder) -> str:
    for name in archive.find("@project.manifest"):
        try:
            root = _read(archive, name)
        except BadInput:
            return ""  # the packages are told by their names; the project keeps its placeholder
        return next((p.text.strip() for p in root.all("Properties", "Property") if p.get("Name") == "Name"), "")
    return ""


def _plain(member: str) -> str:
    """A member's name; parts of an OPC package are written like URLs."""
    return unquote(member).rpartition("/")[2]


def _refusal(place: str, error: BadInput) -> Refusal:
    return Refusal(place=place, rule="ssis", reason=error.what, fix=error.fix)
