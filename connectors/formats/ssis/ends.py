"""What a data flow reads and writes: the ends of a component, by its access mode and connection.

Access modes and property names of sources and destinations:
https://learn.microsoft.com/sql/integration-services/data-flow/ole-db-custom-properties , ado-net-custom-properties ,
odbc-source , excel-custom-properties , flat-file-custom-properties , raw-file-custom-properties
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from connectors.formats.ssis.connections import Place, file_address
from connectors.formats.ssis.flow import Column, Component, Port, Trace
from connectors.formats.ssis.sql import Source, Sql, SqlTexts, address_of, table_parts
from connectors.formats.ssis.values import Values
from shared.records import Address


@dataclass
class End:
    """What a component reads or writes outside.

    tables: the table or file, or the tables that its SQL names
    sql:    of its command, where it has one
    """

    tables: list[Address] = field(default_factory=list)
    sql: Sql | None = None
    text: str = ""

    @property
    def table(self) -> Address | None:
        return self.tables[0] if len(self.tables) == 1 else None

    def column(self, name: str) -> Trace:
        """Where a column of that name comes from."""
        if self.sql is not None and self.sql.returned:
            return tuple(self.sql.returned.get(name.lower(), ()))
        return (Source(self.table, name),) if self.table is not None and name else ()


class Ends:
    """Of the components of one task.

    place: connection manager (id, name or path) -> where it leads, None where there is no such
    own:   an address inside the task, for what only exists there
    """

    def __init__(
        self,
        values: Values,
        texts: SqlTexts,
        place: Callable[[str], Place | None],
        own: Callable[[str, str], Address],
        machine: str,
    ) -> None:
        self._values, self._texts, self._place, self._own, self._machine = values, texts, place, own, machine

    def of(self, component: Component, *, reads: bool) -> End:
        """The end of a source (reads) or destination, or what a transformation refers to (reads).

        One of which nothing is known is an asset of its own, called by the component.
        """
        properties = component.properties
        place = next((p for c in component.connections if (p := self._place(c)) is not None), None)
        mode = properties.get("accessmode", "")
        table, text = self._told(component, mode, reads=reads)
        if text.strip() and place is not None and not place.is_file:
            sql = self._texts.read(text, place)
            rows = [self.result_set(call) for call in sql.calls]
            written = [] if reads else sql.outputs
            return End([*(sql.inputs if reads else written), *(rows if reads else ())], sql, text)
        if "blob container" in properties or "blob name" in properties:
            return End([self._blob(properties, place)])
        if place is None:
            return End([self._unconnected(component, table)])
        if place.is_file:
            return End([place.base])
        if table:
            return End([address_of(table_parts(table), place)])
        path = properties.get("folderpath", "") or properties.get("folder path", "")
        name = properties.get("filename", "") or properties.get("file name", "") or properties.get("filepath", "")
        if path or name:
            parts = tuple(piece for piece in f"{path}/{name}".replace("\\", "/").split("/") if piece)
            return End([Address(place.platform, place.base.host, parts, "file" if name else "folder")])
        return End([self._own(component.name, "dataset")])

    def result_set(self, procedure: Address) -> Address:
        """The rows that a procedure returns: what Atlas takes as an end of lineage, a procedure is none."""
        return Address(procedure.platform, procedure.host, procedure.path, "result_set")

    def _told(self, component: Component, mode: str, *, reads: bool) -> tuple[str, str]:
        """Table and SQL text, by the access mode; one of them is empty."""
        p, values = component.properties, self._values
        if "openrowset" in p:  # OLE DB, Excel: 0 table, 1 table by variable, 2 SQL, 3 SQL by variable; a destination:
            by_variable = mode == "1" or (mode == "4" and not reads)  # 3 table, 4 by variable, both with fast load
            if by_variable:
                return values.text(p.get("openrowsetvariable", "")), ""
            if mode == "3" and reads:
                return "", values.design(p.get("sqlcommandvariable", ""))
            return ("", p.get("sqlcommand", "")) if mode == "2" else (p["openrowset"], "")
        for name in ("tableorviewname", "bulkinserttablename", "tablename", "referencetablename"):
            if p.get(name):
                is_sql = p.get("sqlcommand", "").strip() and mode in ("1", "2") and reads
                return ("", p["sqlcommand"]) if is_sql else (p[name], "")
        for name in ("reftermtable", "outtermtable", "collectionname", "entityname"):
            if p.get(name):
                return p[name], ""
        if p.get("sqlcommandvariable") and mode == "3":
            return "", values.design(p["sqlcommandvariable"])
        return "", p.get("sqlcommand", "") or p.get("query", "")

    def _blob(self, properties: dict[str, str], place: Place | None) -> Address:
        container = properties.get("blob container", "") or "{container}"
        base = place.base if place is not None else Address("wasbs", "{account}.blob.core.windows.net", (), "server")
        name = tuple(piece for piece in properties.get("blob name", "").replace("\\", "/").split("/") if piece)
        pattern = "*" in properties.get("blob name", "") or not name
        return Address(base.platform, base.host, (container, *(name or ("*",))), "resource_set" if pattern else "file")

    def _unconnected(self, component: Component, table: str) -> Address:
        """Raw files name their file themselves; a recordset fills a variable; others are called by the component."""
        p = component.properties
        variable = p.get("filenamevariable") or p.get("xmldatavariable")
        path = p.get("filename") or p.get("xmldata", "")
        if variable and p.get("accessmode") == "1":
            return file_address(self._values.text(variable), self._machine)
        if path and "<" not in path:
            return file_address(path, self._machine)
        if p.get("variablename"):
            return self._own(p["variablename"], "recordset")
        return self._own(table or component.name, "dataset")


def external_name(port: Port, column: Column, named: str) -> str:
    """What a column is called outside of the flow."""
    return port.external.get(column.external, "") or named
