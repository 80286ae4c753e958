"""What a model reads and which columns flow, out of its compiled SQL.

The SQL of a model is a query. It is read as `CREATE VIEW <the model> AS <the query>; SELECT * FROM <the model>`, so
that the columns of the model itself become known, in their order: models behind it that say `select *` need them, and
a catalog is not always there. What dbt says about dependencies always counts; SQL adds tables that it names in full.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from connectors.formats.dbt.warehouse import Spelled, Warehouse
from shared.lineage.known import Read, Request, Schemas, unknown_text
from shared.records import Address, ColumnEdge

#: characters of one model's SQL that are read, and CPU seconds for the SQL of a whole project
MAX_SQL = 1_000_000
SQL_SECONDS = 300.0
_QUERY = re.compile(r"\A(?:\s+|--[^\n]*\n|/\*.*?\*/)*(?:with|select|\()", re.IGNORECASE | re.DOTALL)
_TICKED = ("bigquery", "spark", "databricks", "hive", "mysql")
_PROBLEMS = 3


class Model(NamedTuple):
    """A model with SQL. sources: unique ids of what it reads, as dbt says."""

    uid: str
    sql: str
    table: Spelled
    address: Address
    sources: tuple[str, ...]


class Flow(NamedTuple):
    """What flows into a model. notes: properties that say what is not known."""

    inputs: tuple[Address, ...]
    edges: tuple[ColumnEdge, ...] = ()
    notes: Mapping[str, str] = {}


class Flows:
    """Reads models in an order in which each comes behind what it reads; remembers the columns of each."""

    def __init__(self, warehouse: Warehouse, schemas: Schemas) -> None:
        self._warehouse = warehouse
        self._schemas = schemas
        self._started = time.process_time()
        self._addresses: dict[str, Address] = {}
        self._by_name: dict[tuple[str, ...], str] = {}
        self._by_address: dict[Address, str] = {}
        self._spelled: dict[str, tuple[tuple[str, ...], ...]] = {}
        self.columns: dict[str, tuple[str, ...]] = {}

    def know(
        self, uid: str, table: Spelled, address: Address, columns: Sequence[str] = (), in_sql: tuple[str, ...] = ()
    ) -> None:
        """A table of the project; its columns, where the catalog has them, in their order; its name in dbt's SQL."""
        name = tuple(filter(None, table))
        spellings = (name, tuple(p.lower() for p in name), tuple(p.upper() for p in name), in_sql)
        self._addresses[uid], self._spelled[uid] = address, tuple(dict.fromkeys(filter(None, spellings)))
        self._by_address.setdefault(address, uid)
        for parts in (name, in_sql):
            self._by_name.setdefault(_folded(parts), uid)
        if columns:
            self.columns[uid] = tuple(columns)

    def read(self, models: Sequence[Model]) -> Iterator[Flow]:
        """One for each, in their order; none of them reads another."""
        spent = time.process_time() - self._started > SQL_SECONDS
        requests = [None if spent else self._request(model) for model in models]
        for model, read in zip(models, self._schemas.read(requests), strict=True):
            if read is None:
                yield Flow(self._said(model), notes=_LATE if spent and model.sql else {})
            else:
                yield self._flow(model, read)

    def _said(self, model: Model) -> tuple[Address, ...]:
        return tuple(dict.fromkeys(self._addresses[uid] for uid in model.sources if uid in self._addresses))

    def _request(self, model: Model) -> Request | None:
        sql = model.sql
        if not sql.strip() or len(sql) > MAX_SQL or not self._warehouse.dialect:
            return None
        if _QUERY.match(sql):
            target = self._quoted(model.table)
            sql = f"CREATE VIEW {target} AS {sql.rstrip().rstrip(';')}\n;\nSELECT * FROM {target}"
        told: dict[tuple[str, ...], Sequence[str]] = {}
        for uid in model.sources:
            if uid in self.columns:
                told |= dict.fromkeys(self._spelled[uid], self.columns[uid])
        return Request(sql, self._warehouse.dialect, self._asked, model.table.database, model.table.schema, told)

    def _quoted(self, table: Spelled) -> str:
        opening, closing = ("`", "`") if self._warehouse.dialect in _TICKED else ('"', '"')
        if self._warehouse.dialect in ("tsql", "fabric"):
            opening, closing = "[", "]"
        return ".".join(f"{opening}{part.replace(closing, closing * 2)}{closing}" for part in table if part)

    def _asked(self, parts: tuple[str, ...]) -> Address | None:
        """Where a table of the text lies, for those who know its columns."""
        address = self._address(parts)
        return None if address is None or address.platform == "dbt" else address

    def _address(self, parts: tuple[str, ...]) -> Address | None:
        """A table of the project by its name; another one only where its name is complete."""
        uid = self._by_name.get(_folded(parts))
        if uid is not None:
            return self._addresses[uid]
        if len(parts) > 3:
            return None
        address = self._warehouse.address(Spelled(*("", "", *parts)[-3:]), "table")
        return address if address.platform != "dbt" or len(parts) == 3 else None

    def _flow(self, model: Model, read: Read) -> Flow:
        lineage = read.lineage
        notes: dict[str, str] = {}
        problems = [p for p in lineage.problems if p.about == "statement"]
        if problems:
            notes["unparsed"] = "; ".join(f"{p.place}: {p.reason}" for p in problems[:_PROBLEMS])
        said = self._said(model)
        named = dict.fromkeys(filter(None, (self._address(table.parts) for table in lineage.inputs)))
        places = {_place(address) for address in (*said, model.address)}
        further = [] if problems else [a for a in named if a is not None and _place(a) not in places]
        if further:
            notes["only_in_sql"] = ", ".join(".".join(a.path) for a in further)
        unread = [a for a in said if _place(a) not in {_place(b) for b in named if b is not None}]
        if unread and lineage.inputs and not problems:
            notes["not_in_sql"] = ", ".join(".".join(a.path) for a in unread)
        inputs = (*said, *further)
        returned = tuple(sys.intern(column.output.column) for column in lineage.returned)
        if returned and model.uid not in self.columns:
            self.columns[model.uid] = returned
        unknown = tuple(table for table in read.unknown if _place(table) != _place(model.address))
        if unknown:
            notes["columns_unknown"] = unknown_text(unknown)
        return Flow(inputs, tuple(self._edges(model, read, inputs)), notes)

    def _edges(self, model: Model, read: Read, inputs: Sequence[Address]) -> Iterator[ColumnEdge]:
        sources = {_place(address): address for address in inputs}
        for column in read.lineage.columns:
            if self._address(column.output.table.parts) != model.address:
                continue
            target = self._column(model.address, column.output.column)
            for came_from in column.inputs:
                address = self._address(came_from.table.parts)
                source = sources.get(_place(address)) if address is not None else None
                if source is not None:
                    here = self._column(source, came_from.column)
                    yield ColumnEdge(source, here, model.address, target, kind=came_from.kind)

    def _column(self, table: Address, column: str) -> str:
        """The column as the table spells it, where that is known."""
        folded = column.casefold()
        columns = self.columns.get(self._by_address.get(table, ""), ())
        return column if column in columns else next((c for c in columns if c.casefold() == folded), column)


_LATE = {"unparsed": f"the project's SQL takes more than {SQL_SECONDS:.0f} s to read; tables as dbt tells them"}


def _folded(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part.casefold() for part in parts)


def _place(address: Address) -> tuple[str, tuple[str, ...]]:
    """What tells tables apart, whatever the kind and the case of their names."""
    return address.host, _folded(address.path)
