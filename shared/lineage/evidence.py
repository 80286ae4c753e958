"""What a statement itself tells about who owns a column: `a.x` elsewhere, or SET x, says that a has x.

An engine refuses a name that two tables have, so a table that is known to have the column is the only one.
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from shared.lineage.trees import children


def qualified(node: Any) -> dict[str, set[str]]:
    """Column -> qualifiers that it has in this query, without the queries within; all in lower case."""
    found: dict[str, set[str]] = {}
    stack = [child for _, child in children(node)]
    while stack:
        e = stack.pop()
        if isinstance(e, exp.Column):
            if e.table:
                found.setdefault(e.name.lower(), set()).add(e.table.lower())
        elif not isinstance(e, exp.Query):
            stack += [child for _, child in children(e)]
    return found


def assigned(expressions: list[Any], target: str) -> dict[str, set[str]]:
    """Columns that SET names without a qualifier are the target's."""
    found: dict[str, set[str]] = {}
    for e in expressions:
        left = e.this if isinstance(e, exp.EQ) else None
        for column in left.expressions if isinstance(left, exp.Tuple) else [left]:
            if isinstance(column, exp.Column) and not column.table:
                found.setdefault(column.name.lower(), set()).add(target.lower())
    return found
