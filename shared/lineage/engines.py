"""Statements that one engine alone has, each in its vendor's module."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from shared.lineage import clickhouse, functions, general, hive, lakehouse, mysql, postgresql, snowflake, teradata
from shared.lineage.clauses import by_conflict
from shared.lineage.rewriting import pivot_query

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

    from shared.lineage.findings import Place
    from shared.lineage.script import Script

_READERS: dict[str, Callable[[list[Token], Script, Place], bool]] = {
    "clickhouse": clickhouse.read,
    "snowflake": snowflake.read,
    "teradata": teradata.read,
    "duckdb": functions.read,
    "bigquery": functions.read,
    "hive": lakehouse.read,
    "spark": lakehouse.read,
    "databricks": lakehouse.read,
    "": lakehouse.read,
}

#: one statement as several
_SEVERAL: dict[str, Callable[[list[Token]], list[list[Token]]]] = {
    "hive": hive.single,
    "spark": hive.single,
    "databricks": hive.single,
    "": hive.single,
    "sqlite": by_conflict,
    "duckdb": by_conflict,
}

_REWRITERS: dict[str, Callable[[list[Token]], list[Token]]] = {
    "mysql": mysql.rewritten,
    "postgres": postgresql.plain,
    "redshift": postgresql.plain,
    "duckdb": pivot_query,
    "teradata": teradata.rewritten,
    "": general.rewritten,
}


def rewritten(tokens: list[Token], dialect: str) -> list[Token]:
    """What the grammar of the engine's dialect does not know, in words that it does."""
    rewriter = _REWRITERS.get(dialect)
    return rewriter(tokens) if rewriter is not None else tokens


def read(tokens: list[Token], script: Script, place: Place) -> bool:
    """Whether the statement was one of the script's engine's own and is done with."""
    reader = _READERS.get(script.name)
    if reader is not None and reader(tokens, script, place):
        return True
    split = _SEVERAL.get(script.name)
    several = split(tokens) if split is not None else [tokens]
    if several == [tokens]:
        return False
    for statement in several:
        script.again(statement, place)
    return True
