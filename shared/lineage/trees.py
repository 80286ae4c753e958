"""Small questions to sqlglot's trees."""

from __future__ import annotations

from typing import Any

from sqlglot import exp


def children(node: Any) -> list[tuple[str, Any]]:
    """(argument, node)."""
    found = []
    for key, child in node.args.items():
        if isinstance(child, exp.Expression):
            found.append((key, child))
        elif isinstance(child, list):
            found += [(key, c) for c in child if isinstance(c, exp.Expression)]
    return found


def branches(node: Any) -> list[tuple[Any, Any]]:
    """The queries of a chain of set operations, each with the operation that adds it."""
    found: list[tuple[Any, Any]] = []
    while isinstance(node, exp.SetOperation):
        found.append((node.expression, node))
        node = node.this
        if isinstance(node, exp.SetOperation) and node.args.get("with_"):
            break
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.SetOperation) and not node.args.get("with_"):
            node = node.this
    found.append((node, None))
    return found[::-1]


def text_of(node: Any, dialect: str) -> str:
    """SQL of an expression; long ones are cut, and one that is too deep or too odd to write has none."""
    try:
        return _written(node, dialect)
    except (RecursionError, TypeError, AttributeError, ValueError):
        return ""


def _written(node: Any, dialect: str) -> str:
    return str(node.sql(dialect=dialect or None, comments=False))[:2_000] if node is not None else ""


def identifier(node: Any) -> Any:
    """The identifier of a column in a list of columns."""
    while isinstance(node, (exp.Column, exp.ColumnDef, exp.Ordered, exp.Paren)):
        node = node.this
    return node if isinstance(node, exp.Identifier) else None


def selects(node: Any) -> list[Any]:
    """The SELECTs of a query, without those in subqueries."""
    found = []
    while isinstance(node, (exp.SetOperation, exp.Subquery)):
        if isinstance(node, exp.SetOperation) and isinstance(node.expression, exp.Select):
            found.append(node.expression)
        node = node.this
    return [*found, node] if isinstance(node, exp.Select) else found
