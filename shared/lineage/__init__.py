"""SQL text -> the tables and columns that a script reads and writes.

    result = analyze("INSERT INTO mart.sales SELECT * FROM staging.sales", dialect="tsql", default_database="DW")
    [str(t) for t in result.outputs]    # ["DW.mart.sales"]

`analyze` never raises on SQL, whatever the text: what it does not understand is a problem with a line, and everything
around it still counts. sqlglot is imported on the first call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from shared.lineage.lookup import Lookup
from shared.lineage.model import (
    ColumnInput,
    ColumnLineage,
    ColumnName,
    Problem,
    Routine,
    ScriptLineage,
    Statement,
    TableName,
)

if TYPE_CHECKING:
    Schemas = Mapping[str, Mapping[str, str]] | Lookup

__all__ = [
    "ColumnInput",
    "ColumnLineage",
    "ColumnName",
    "Lookup",
    "Problem",
    "Routine",
    "ScriptLineage",
    "Statement",
    "TableName",
    "analyze",
]


def analyze(
    sql: str,
    *,
    dialect: str,
    default_database: str | None = None,
    default_schema: str | None = None,
    schemas: Schemas | None = None,
    budget_seconds: float = 5.0,
) -> ScriptLineage:
    """Tables and columns in and out, per statement and for the whole script.

    dialect:          sqlglot's name or a usual one (`sqlserver`, `postgresql`); an unknown one is reported and read
                      with sqlglot's general grammar
    default_database, default_schema: for names that do not say
    schemas:          table name -> column name -> type, for stars, positions and unqualified columns; or what answers
                      for one table at a time (known.py puts such together)
    budget_seconds:   of CPU time; the statements not reached by then are a problem
    """
    from shared.lineage import room
    from shared.lineage.script import Script  # sqlglot takes 0.1 s to import; most callers never meet SQL

    def read() -> ScriptLineage:
        return Script(sql, dialect, default_database or "", default_schema or "", schemas, budget_seconds).read()

    return room.run(read) if room.needed(sql) else read()
