"""What flows: processes from views, reports and executed statements, and the tables that a process's SQL names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from shared.atlas.history import Executed
from shared.lineage import ColumnLineage
from shared.lineage.known import Read, Request, unknown_text
from shared.records import Address, ColumnEdge, Dataset, Process, Report
from shared.settings.redact_sql import redact_code

#: of what was not understood of a text, shown on its process
_PROBLEMS = 3


def derived(record: Dataset | Report) -> Process:
    """The process by which a view or report comes out of what it reads."""
    address = record.address
    around = address.path[:-1]
    made = Process(
        address=msgspec.structs.replace(address, type="query"),
        inputs=record.inputs,
        outputs=(address,),
        default_database=around[-2] if len(around) > 1 else "",
        default_schema=around[-1] if around else "",
    )
    if not isinstance(record, Dataset):
        return made
    return msgspec.structs.replace(
        made, sql=record.sql, dialect=record.dialect, mentions=record.mentions, definitions=record.definitions
    )


def statement(executed: Executed) -> Process:
    """A statement from a query history, before its lineage is known."""
    query = executed.query
    return Process(
        address=query.address.at(f"{executed.key:016x}", type="query"),
        description=executed.usage,
        sql=query.sql,
        dialect=query.dialect,
        default_database=query.default_database,
        default_schema=query.default_schema,
        owners=(executed.last_user,) if executed.last_user else (),
        ended=executed.last,
    )


def by_target(record: Process) -> Process:
    """A statement under the name of the table that it writes, so that those of one table stand together."""
    target = ".".join(record.outputs[0].path[-2:])
    *around, key = record.address.path
    return msgspec.structs.replace(
        record, address=msgspec.structs.replace(record.address, path=(*around, f"{target} {key}"))
    )


def request(record: Process, *, derived: bool = False) -> Request | None:
    """What is to be read of its SQL; None where the record says itself what flows.

    derived: it is a view's, so its SQL is read for columns even where the source has told what the view reads.
    """
    if not record.sql or not record.dialect or (record.inputs and not derived):
        return None
    sql = f"{record.definitions}\n{record.sql}" if record.definitions else record.sql
    told = {mention.path: mention.columns for mention in record.mentions if mention.columns}
    sql = redact_code(sql)  # a table may be named by a URL, a column by an expression
    return Request(sql, record.dialect, _address_of(record), record.default_database, record.default_schema, told)


def _address_of(record: Process) -> Callable[[tuple[str, ...]], Address]:
    """Where the tables of its SQL lie, by the parts of their names."""
    server = Address(record.address.platform, record.address.host)
    meant = {mention.path: mention.address for mention in record.mentions}
    return lambda parts: meant.get(parts) or server.at(*parts)


def with_lineage(record: Process, read: Read) -> Process:
    """The process with inputs and outputs, as the record says or else as its SQL says, and with column edges.

    What was not understood of the SQL is shown among its properties, `unparsed`; tables whose columns would have to be
    known, `columns_unknown`.
    """
    found = read.lineage
    address_of = _address_of(record)
    properties = record.properties
    problems = [problem for problem in found.problems if problem.about == "statement"]
    if problems and not record.inputs and "unparsed" not in properties:
        shown = "; ".join(f"{problem.place}: {problem.reason}" for problem in problems[:_PROBLEMS])
        properties = {**properties, "unparsed": shown}
    if read.unknown:
        properties = {**properties, "columns_unknown": unknown_text(read.unknown)}
    inputs = record.inputs
    if not inputs or record.definitions:  # what the source says of a view's inputs is not what its functions read
        told = {_place(address) for address in inputs}
        named = dict.fromkeys(address_of(table.parts) for table in found.inputs)
        inputs += tuple(address for address in named if _place(address) not in told)
    shares = [share for share in (found.main, *found.routines) if share is not None]
    filled = {table for share in shares for table in share.outputs}  # without what is only defined, or temporary
    outputs = record.outputs or tuple(
        dict.fromkeys(address_of(table.parts) for table in found.outputs if table in filled)
    )
    return msgspec.structs.replace(
        record,
        inputs=inputs,
        outputs=outputs,
        columns=record.columns or tuple(edges(found.columns or found.returned, inputs, outputs, address_of)),
        properties=properties,
    )


def edges(
    columns: Iterable[ColumnLineage],
    inputs: Sequence[Address],
    outputs: Sequence[Address],
    address_of: Callable[[tuple[str, ...]], Address],
) -> Iterator[ColumnEdge]:
    """Column lineage from SQL as edges between these addresses; columns of other tables are left out.

    A bare query, as many systems keep their views, does not name its output: that is the view.
    """
    sources = {_place(address): address for address in inputs}
    sinks = {_place(address): address for address in outputs}
    for column in columns:
        written = column.output.table.parts
        sink = sinks.get(_place(address_of(written))) if written else outputs[0] if len(outputs) == 1 else None
        for came_from in column.inputs:
            source = sources.get(_place(address_of(came_from.table.parts)))
            if source is not None and sink is not None:
                yield ColumnEdge(
                    source, came_from.column, sink, column.output.column, came_from.expression, came_from.kind
                )


def _place(address: Address) -> tuple[str, tuple[str, ...]]:
    """What tells tables apart: SQL does not say whether one is a view."""
    return address.host, address.path
