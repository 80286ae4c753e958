"""A package -> records: the package, and a process for each of its tasks with what it reads and writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PureWindowsPath

from connectors.format import FileContext
from connectors.formats.sql_text import decode
from connectors.formats.ssis.connections import Place, file_address, place_of
from connectors.formats.ssis.dataflow import lineage_of
from connectors.formats.ssis.ends import Ends
from connectors.formats.ssis.flow import Flow
from connectors.formats.ssis.model import CONTAINERS, Connection, Package, Task, Variable
from connectors.formats.ssis.sql import SqlTexts, address_of, table_parts
from connectors.formats.ssis.values import Values
from connectors.formats.xml_tree import Node
from shared.records import Address, Container, Found, Process, Refusal
from shared.settings.redact import redact
from shared.settings.redact_sql import redact_sql

#: descriptions that the designer fills in, which say no more than the kind does
_NO_DESCRIPTION = ("Task", "Container", "Loop")
_MAX_SCRIPT = 4 * 1024 * 1024
#: TaskOperationType of a File System task, DTSFileSystemOperation; the first where nothing is said
_COPIES = ("CopyFile", "MoveFile", "RenameFile", "CopyDirectory", "MoveDirectory")
_INSIDE = (*CONTAINERS.values(), "Event handler", "Microsoft.Package")


class Records:
    """The records of one package.

    address: the package's; machine: the server that it runs on, which is what `.` means in a connection
    project: connection managers and parameters that it shares with others
    """

    def __init__(
        self,
        package: Package,
        address: Address,
        context: FileContext,
        machine: str,
        connections: Iterable[Connection] = (),
        parameters: Iterable[Variable] = (),
    ) -> None:
        self._package, self._address, self._context, self._machine = package, address, context, machine
        self._texts = SqlTexts(context)
        self._values = Values(package, parameters)
        self._connections: dict[str, Connection] = {}
        for scope, found in (("Project", connections), ("Package", package.connections)):
            for connection in found:
                names = (connection.name, connection.id, f"{scope}.ConnectionManagers[{connection.name}]")
                self._connections |= {name.lower(): connection for name in names if name}
        self._places: dict[str, Place] = {}
        self._missing: dict[str, list[str]] = {}

    def all(self) -> Iterator[Found | Refusal]:
        package = self._package
        shown = {c.name: self._pointed(c) for c in self._connections.values()}
        properties = {
            **package.properties,
            "connections": "; ".join(f"{name}: {where}" for name, where in sorted(shown.items())),
            "configured_by": "; ".join(f"{kind} {redact(where)}".strip() for kind, where, _ in package.configured),
        }
        yield Found(
            Container(
                address=self._address,
                description=redact(package.root.description),
                properties={key: value for key, value in properties.items() if value},
            ),
            "Package",
        )
        yield from self._inside(package.root, self._values)
        for name, places in self._missing.items():
            others = f" and {len(places) - 1:,} more tasks" if len(places) > 1 else ""
            yield Refusal(
                place=places[0],
                rule="ssis",
                reason=f"the connection manager {name} is not known, so nor is what this task{others} reads and writes",
                fix="upload the project's .conmgr files into the same folder, or the whole project as .ispac",
            )

    def _pointed(self, connection: Connection) -> str:
        place = self._place_of(connection, self._values)
        words = ("/".join(place.base.path), place.base.host) if place.is_file else (place.database, place.base.host)
        return " on ".join(filter(None, words))

    # ---- tasks

    def _inside(self, outer: Task, values: Values) -> Iterator[Found | Refusal]:
        for task in outer.tasks:
            if task.disabled:
                continue
            seen = values.within(task)
            if task.kind not in _INSIDE:
                yield from self._task(task, seen)
            yield from self._inside(task, seen.given(_looped(task, seen)))

    def _task(self, task: Task, values: Values) -> Iterator[Found | Refusal]:
        if task.kind == "Microsoft.Pipeline" and task.data is not None:
            yield from self._data_flow(task, task.data, values)
        elif task.kind == "Microsoft.ExecuteSQLTask" and task.data is not None:
            yield from self._execute_sql(task, task.data, values)
        elif task.kind == "Microsoft.BulkInsertTask" and task.data is not None:
            yield self._bulk_insert(task, task.data, values)
        elif task.kind == "Microsoft.FileSystemTask" and task.data is not None:
            yield self._file_system(task, task.data, values)
        elif task.kind == "Microsoft.ExecutePackageTask" and task.data is not None:
            runs = executed(task.data)
            yield self._process(task, {"runs": ", ".join(filter(None, runs[:1]))})
        else:
            yield self._process(task, {})

    def _process(self, task: Task, notes: dict[str, str], **said: object) -> Found:
        after = "; ".join(f"{a.before} ({a.condition})" for a in task.after)
        properties = {"task": task.kind, "after": after, **notes}
        plain = task.description.strip()
        made = Process(
            address=Address("ssis", self._address.host, (*self._address.path, *task.path), "task"),
            description="" if plain.endswith(_NO_DESCRIPTION) else redact(plain),
            properties={key: redact(value) for key, value in properties.items() if value},
            parent=self._address,
            **said,  # type: ignore[arg-type]
        )
        return Found(made, task.place)

    def _data_flow(self, task: Task, data: Node, values: Values) -> Iterator[Found | Refusal]:
        overrides = {
            (part[0].lower(), part[1].lower()): values.evaluate(text)
            for name, text in task.expressions.items()
            if len(part := table_parts(name)) == 2
        }
        flow = Flow(data, overrides)
        ends = Ends(values, self._texts, lambda name: self._place(name, task, values), self._own(task), self._machine)
        lineage = lineage_of(flow, ends)
        for result in lineage.results.values():
            yield Found(result, task.place)
        yield self._process(
            task,
            lineage.notes,
            inputs=tuple(lineage.inputs),
            outputs=tuple(lineage.outputs),
            columns=tuple(lineage.edges.values()),
        )

    def _execute_sql(self, task: Task, data: Node, values: Values) -> Iterator[Found | Refusal]:
        text = self._statement(task, data, values)
        place = self._place(data.get("Connection"), task, values)
        if text is None:
            yield self._process(task, {"unparsed": "its SQL lies in a file that is not beside the package"})
            return
        if place is None:
            yield self._process(task, {}, sql=redact_sql(text))
            return
        sql = self._texts.read(text, place)
        notes = {**sql.notes, "calls": ", ".join(".".join(call.path) for call in sql.calls)}
        if place.is_file:
            notes["unparsed"] = "SQL against a file is not read"
            yield self._process(task, notes, sql=redact_sql(text))
            return
        yield self._process(
            task,
            notes,
            inputs=tuple(sql.inputs),
            outputs=tuple(sql.outputs),
            columns=tuple(sql.edges),
            sql=redact_sql(text),
        )

    def _statement(self, task: Task, data: Node, values: Values) -> str | None:
        """The SQL of an Execute SQL task; None where it lies in a file that is not here."""
        source = task.expressions.get("SqlStatementSource")
        kind = data.get("SqlStatementSourceType", "DirectInput")
        told = values.evaluate(source) if source else data.get("SqlStatementSource")
        if kind in ("Variable", "2"):
            return values.design(told)
        if kind in ("FileConnection", "1"):
            connection = self._connections.get(told.lower())
            path = connection.settings.get("path", "") if connection is not None else ""
            opened = self._context.folder.open(PureWindowsPath(path.replace("/", "\\")).name) if path else None
            if opened is None:
                return None
            with opened:
                return decode(opened.read(_MAX_SCRIPT)) or ""
        stored = data.get("IsStoredProcedure").lower() == "true"
        return f"EXEC {told}" if stored and not told.lstrip().lower().startswith("exec") else told

    def _bulk_insert(self, task: Task, data: Node, values: Values) -> Found:
        """From a file into a table: SourceConnection, DestinationConnection, DestinationTableName of BulkInsertTask."""
        said = {key.lower(): value for key, value in data.attributes.items()}

        def connected(word: str) -> Place | None:
            name = next((v for k, v in said.items() if k.startswith(f"{word}connection") and v), "")
            return self._place(name, task, values) if name else None

        source, destination = connected("source"), connected("destination")
        table = task.expressions.get("DestinationTableName")
        name = values.evaluate(table) if table else said.get("destinationtablename", "")
        into = (address_of(table_parts(name), destination),) if destination is not None and name else ()
        return self._process(task, {}, inputs=(source.base,) if source is not None else (), outputs=into)

    def _file_system(self, task: Task, data: Node, values: Values) -> Found:
        """Copies, moves and renames go from a file to a file: TaskSourcePath, TaskDestinationPath of FileSystemData."""
        operation = task.expressions.get("OperationName") or data.get("TaskOperationType") or "CopyFile"

        def path(word: str) -> Address | None:
            said = data.get(f"Task{word}Path")
            by_expression = task.expressions.get(word)
            if by_expression:
                return file_address(values.evaluate(by_expression), self._machine)
            if data.get(f"TaskIs{word}Variable").lower() == "true":
                return file_address(values.text(said), self._machine)
            place = self._place(said, task, values) if said else None
            return place.base if place is not None else None

        ends = (path("Source"), path("Destination")) if operation in _COPIES else (None, None)
        if None in ends:
            return self._process(task, {"operation": operation})
        return self._process(task, {"operation": operation}, inputs=ends[:1], outputs=ends[1:])

    # ---- connections

    def _place(self, name: str, task: Task, values: Values) -> Place | None:
        """Where a connection manager leads, by its name, id or path; a missing one is taken note of."""
        plain = name.removesuffix(":external").removesuffix(":invalid").lower()
        connection = self._connections.get(plain) or self._connections.get(plain.rpartition("[")[2].rstrip("]"))
        if connection is None:
            if plain:
                self._missing.setdefault(name, []).append(task.place)
            return None
        return self._place_of(connection, values)

    def _place_of(self, connection: Connection, values: Values) -> Place:
        if connection.expressions and values is not self._values:
            return self._made_place(connection, values)
        if connection.name not in self._places:
            self._places[connection.name] = self._made_place(connection, values)
        return self._places[connection.name]

    def _made_place(self, connection: Connection, values: Values) -> Place:
        return place_of(connection, values.evaluate, self._machine, lambda name: self._only_here(name, "cache"))

    def _only_here(self, name: str, kind: str) -> Address:
        return Address("ssis", self._address.host, (*self._address.path, name or "{unnamed}"), kind)

    def _own(self, task: Task):  # type: ignore[no-untyped-def]
        def own(name: str, kind: str) -> Address:
            if kind == "recordset":
                return self._only_here(name, kind)
            return Address("ssis", self._address.host, (*self._address.path, *task.path, name or "{unnamed}"), kind)

        return own


def executed(data: Node) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Of an Execute Package task: the package that it runs, and (parameter, variable or parameter bound to it)."""
    said = {child.tag: child.text for child in data.children} | data.attributes
    name = said.get("PackageName", "") or said.get("Connection", "")
    bound = tuple(
        (parameter.text, value.text)
        for assignment in data.walk("ParameterAssignment")
        if (parameter := assignment.first("ParameterName")) is not None
        and (value := assignment.first("BindedVariableOrParameterName")) is not None
    )
    return name, bound


def _looped(task: Task, values: Values) -> dict[str, str]:
    """What a Foreach loop over files sets its variables to: the pattern that stands for all of them."""
    if task.enumerator is None or not task.mappings or "File" not in task.enumerator.get("CreationName"):
        return {}
    said = {key: value for node in task.enumerator.walk("FEFEProperty") for key, value in node.attributes.items()}
    for name, text in task.enumerator_expressions.items():
        said[{"Directory": "Folder"}.get(name, name)] = values.evaluate(text)
    folder, pattern = said.get("Folder", ""), said.get("FileSpec", "") or "*"
    kind = said.get("FileNameRetrievalType", "0")
    plain = {"1": pattern, "2": pattern.rpartition(".")[0] or pattern}.get(kind, f"{folder.rstrip(chr(92))}\\{pattern}")
    return dict.fromkeys((name for name, index in task.mappings.items() if index == 0), plain)
