"""After the parser: forms that stand for plainer ones are put in their place, so that the rest need not know them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from shared.lineage.datasets import datasets

#: reads a text as a query; raises ParseError
Parse = Callable[[str], list[Any]]
#: functions of FROM that send a text to another system
_PASSED = frozenset({"external_query", "openquery"})
#: arguments that name a model, which is no table
_MODELS = tuple(
    kind
    for name in ("Predict", "MLForecast", "MLTranslate", "GenerateEmbedding", "GenerateText", "GenerateTable")
    if (kind := getattr(exp, name, None)) is not None
)


def normalized(tree: Any, parse: Parse) -> Any:
    """The tree, changed in place; another one where its root had to change."""
    if not isinstance(tree, exp.Expression):
        return tree
    for node in list(tree.find_all(exp.Final, exp.Stream, exp.Table, exp.TableFromRows)):
        if isinstance(node, exp.Table):
            if isinstance(node.this, (exp.Func, exp.Dot, exp.Anonymous)):
                _function(node, node.this, parse)
        elif isinstance(node, exp.TableFromRows):
            if isinstance(node.this, exp.Literal):  # Snowflake: TABLE('a.b')
                table = exp.Table(alias=node.args.get("alias"))
                _named(table, node.this.name.split("."))
                node.replace(table)
        else:  # FINAL and STREAM say how to read
            node.replace(node.this)
    return tree


def _function(table: exp.Table, call: Any, parse: Parse) -> None:
    if isinstance(call, _MODELS) and isinstance(call.this, exp.Table):
        call.this.replace(exp.Literal.string(call.this.name))
        return
    while isinstance(call, exp.Anonymous) and call.name.lower() == "table" and len(call.expressions) == 1:
        call = call.expressions[0]
    found = datasets(call)
    if len(found) == 1:
        _named(table, found[0])
    elif found:
        query = _all_of(found)
        table.replace(exp.Subquery(this=query, alias=table.args.get("alias")))
    elif (passed := _passed(call, parse)) is not None:
        table.replace(exp.Subquery(this=passed, alias=table.args.get("alias")))


def _named(table: exp.Table, parts: list[str]) -> None:
    """A file is a literal: it gets no database in front."""
    if len(parts) == 1:
        table.set("this", exp.Literal.string(parts[0]))
        return
    names: list[exp.Expression] = [exp.to_identifier(p, quoted=True) for p in parts]
    if len(names) > 3:
        names = [*names[:2], exp.Dot.build(names[2:])]
    for key, name in zip(("this", "db", "catalog"), reversed(names), strict=False):
        table.set(key, name)


def _all_of(files: list[list[str]]) -> exp.Expression:
    query: exp.Expression | None = None
    for parts in files:
        table = exp.Table()
        _named(table, parts)
        one = exp.Select(expressions=[exp.Star()], from_=exp.From(this=table))
        query = one if query is None else exp.Union(this=query, expression=one, distinct=False, by_name=True)
    assert query is not None
    return query


def _passed(call: Any, parse: Parse) -> Any:
    """A query for another system: `EXTERNAL_QUERY('connection', 'SELECT ..')`, Trino's `catalog.system.query(..)`."""
    server, last = "", call
    if isinstance(call, exp.Dot) and isinstance(call.expression, exp.Anonymous):
        names = [p.name for p in call.flatten()]
        if names[1:] != ["system", "query"]:
            return None
        server, last = names[0], call.expression
    elif not (isinstance(call, exp.Anonymous) and call.name.lower() in _PASSED and len(call.expressions) > 1):
        return None
    server = server or last.expressions[0].name
    text = last.expressions[-1]
    text = text.expression if isinstance(text, exp.Kwarg) else text
    if not (isinstance(text, exp.Literal) and text.is_string):
        return None
    try:
        (query,) = parse(text.name)
    except (ParseError, TokenError, ValueError, RecursionError):
        return None
    if not isinstance(query, exp.Query):
        return None
    ctes = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    for table in query.find_all(exp.Table):
        if isinstance(table.this, exp.Identifier) and (table.args.get("db") or table.name.lower() not in ctes):
            _named(table, [server, *(p.name for p in table.parts)])
    return query
