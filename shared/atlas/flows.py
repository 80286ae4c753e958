"""What flows: processes from views, reports and executed statements, and the tables that a process's SQL names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from shared.atlas.closure import key
from shared.lineage import ColumnLineage, analyze
from shared.naming import Name
from shared.records import Address, ColumnEdge, Dataset, Process, Query, Report

#: of what was not understood of a text, shown on its process
_PROBLEMS = 3


def derived(record: Dataset | Report) -> Process:
    """The process by which a view or report comes out of what it reads."""
    address = record.address
    around = address.path[:-1]
    sql, dialect = (record.sql, record.dialect) if isinstance(record, Dataset) else ("", "")
    return Process(
        address=msgspec.structs.replace(address, type="query"),
        inputs=record.inputs,
        outputs=(address,),
        sql=sql,
        dialect=dialect,
        default_database=around[-2] if len(around) > 1 else "",
        default_schema=around[-1] if around else "",
    )


def statement(query: Query) -> Process:
    """A statement from a query history: one process per distinct text in one place."""
    return Process(
        address=query.address.at(f"{statement_key(query):016x}", type="query"),
        sql=query.sql,
        dialect=query.dialect,
        default_database=query.default_database,
        default_schema=query.default_schema,
        owners=(query.user,) if query.user else (),
        ended=query.time,
    )


def statement_key(query: Query) -> int:
    """64 bits of the text and of what its unqualified names mean."""
    return key(Name(f"{query.default_database}\0{query.default_schema}", query.sql))


def with_lineage(record: Process, *, derived: bool = False) -> Process:
    """The process with inputs and outputs, as the record says or else as its SQL says, and with column edges.

    derived: it is a view's, so its SQL is read for columns even where the source has told what the view reads.
    What was not understood of the SQL is shown among its properties, `unparsed`.
    """
    if not record.sql or not record.dialect or (record.inputs and not derived):
        return record
    found = analyze(
        record.sql,
        dialect=record.dialect,
        default_database=record.default_database or None,
        default_schema=record.default_schema or None,
    )
    server = Address(record.address.platform, record.address.host)
    properties = record.properties
    problems = [problem for problem in found.problems if problem.about == "statement"]
    if problems and not record.inputs and "unparsed" not in properties:
        shown = "; ".join(f"{problem.place}: {problem.reason}" for problem in problems[:_PROBLEMS])
        properties = {**properties, "unparsed": shown}
    inputs = record.inputs or tuple(server.at(*table.parts) for table in found.inputs)
    outputs = record.outputs or tuple(server.at(*table.parts) for table in found.outputs)
    return msgspec.structs.replace(
        record,
        inputs=inputs,
        outputs=outputs,
        columns=record.columns or tuple(edges(found.columns or found.returned, inputs, outputs)),
        properties=properties,
    )


def edges(
    columns: Iterable[ColumnLineage], inputs: Sequence[Address], outputs: Sequence[Address]
) -> Iterator[ColumnEdge]:
    """Column lineage from SQL as edges between these addresses; columns of other tables are left out.

    A bare query, as many systems keep their views, does not name its output: that is the view.
    """
    sources = {address.path: address for address in inputs}
    sinks = {address.path: address for address in outputs}
    if len(outputs) == 1:
        sinks[()] = outputs[0]
    for column in columns:
        sink = sinks.get(column.output.table.parts)
        for came_from in column.inputs:
            source = sources.get(came_from.table.parts)
            if source is not None and sink is not None:
                yield ColumnEdge(
                    source, came_from.column, sink, column.output.column, came_from.expression, came_from.kind
                )
