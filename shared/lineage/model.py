"""What SQL lineage is made of; the shapes that `./hookline lineage --json` prints."""

from __future__ import annotations

from typing import Literal

import msgspec


class TableName(msgspec.Struct, frozen=True):
    """A table as the script names it, qualified with the defaults; outermost part first: `("DW", "dbo", "Sale")`."""

    parts: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.parts[-1]

    def __str__(self) -> str:
        return ".".join(self.parts)


class ColumnName(msgspec.Struct, frozen=True):
    table: TableName
    column: str


class ColumnInput(msgspec.Struct, frozen=True):
    """One input column of an output column: the expression's text, and whether the value is copied or derived."""

    table: TableName
    column: str
    expression: str = ""
    kind: Literal["copy", "derivation"] = "derivation"


class ColumnLineage(msgspec.Struct, frozen=True):
    output: ColumnName
    inputs: tuple[ColumnInput, ...] = ()


class Problem(msgspec.Struct, frozen=True):
    """Something that was not understood, and where: `line 12`.

    about: `columns` where only the owner of a column or the columns behind a star are not known, else `statement`.
    """

    place: str
    reason: str
    about: Literal["statement", "columns"] = "statement"


class Statement(msgspec.Struct, frozen=True):
    """One statement that reads or writes tables, as written: temp tables are still there, CTEs and aliases are not.

    columns: of the tables that it writes; of a bare query those that it returns, under a table without parts.

    kind: INSERT, UPDATE, DELETE, MERGE, TRUNCATE, SELECT, SELECT INTO, CREATE TABLE, CREATE VIEW, COPY ...
    """

    kind: str
    inputs: tuple[TableName, ...]
    outputs: tuple[TableName, ...]
    line: int
    columns: tuple[ColumnLineage, ...] = ()
    problems: tuple[Problem, ...] = ()


class Feed(msgspec.Struct, frozen=True):
    """What flows into one table, temp tables followed through; the table itself left out."""

    output: TableName
    inputs: tuple[TableName, ...] = ()


class Routine(msgspec.Struct, frozen=True):
    """A procedure, function or trigger that the script creates, with its own lineage; `sql` is its text.

    kind: procedure, function, trigger, package; `script` for what stands outside of all routines (no name then).
    feeds: the same inputs and outputs, by output.
    """

    name: TableName
    kind: str
    line: int
    sql: str
    inputs: tuple[TableName, ...] = ()
    outputs: tuple[TableName, ...] = ()
    columns: tuple[ColumnLineage, ...] = ()
    problems: tuple[Problem, ...] = ()
    returned: tuple[ColumnLineage, ...] = ()
    feeds: tuple[Feed, ...] = ()


class ScriptLineage(msgspec.Struct, frozen=True):
    """The lineage of a script: tables after temp tables, CTEs and variables are followed through, and per statement.

    routines: what the script creates, each with its share; `inputs`, `outputs` and `problems` cover them too.
    main:     the share of what stands outside of all routines; None where nothing does.
    outputs:  tables that are written; of a script that moves no rows the tables that it creates, of one that only
              fills temporary tables those that it leaves unread.
    columns:  of the outputs; of a script without any, those that its last bare query returns.
    returned: columns of the last bare query; their output table has no parts.
    dialect:  the one that was used.
    """

    inputs: tuple[TableName, ...] = ()
    outputs: tuple[TableName, ...] = ()
    columns: tuple[ColumnLineage, ...] = ()
    statements: tuple[Statement, ...] = ()
    problems: tuple[Problem, ...] = ()
    routines: tuple[Routine, ...] = ()
    main: Routine | None = None
    returned: tuple[ColumnLineage, ...] = ()
    dialect: str = ""
