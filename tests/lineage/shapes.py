"""SQL that makes parsers explode, made by rule; `python -m tests.lineage.shapes [name]` measures each of them.

Each shape stands between two ordinary statements, which must be read whatever happens to it.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from shared.lineage import ScriptLineage, analyze

ROOT = Path(__file__).parents[2]


class Shape(NamedTuple):
    """`make` gives the SQL. inputs and outputs: what must be found (all of it); edges: how many columns at least.

    reads: no problem that something was not read; columns may still be unknown. neighbours: whether those are read.
    """

    make: Callable[[], str]
    inputs: frozenset[str] = frozenset({"s"})
    outputs: frozenset[str] = frozenset({"t"})
    edges: int = 1
    reads: bool = True
    neighbours: bool = True
    dialect: str = "postgres"
    schemas: dict[str, dict[str, str]] | None = None
    budget: float = 5.0


def _into(select: str) -> str:
    return f"INSERT INTO t (c) SELECT {select}"


def _chain(operator: str, term: str, times: int) -> str:
    return f" {operator} ".join([term] * times)


def _doubling(levels: int) -> str:
    """CTEs each of which has all columns of the one before twice."""
    ctes = ", ".join(f"c{i} AS (SELECT a.*, b.* FROM c{i - 1} a CROSS JOIN c{i - 1} b)" for i in range(1, levels))
    return f"INSERT INTO t WITH c0 AS (SELECT a, b FROM s), {ctes} SELECT * FROM c{levels - 1}"


def _wide(columns: int, ctes: int) -> str:
    names = ", ".join(f"c{i}" for i in range(columns))
    more = "".join(f", x{i} AS (SELECT * FROM x{i - 1})" for i in range(1, ctes))
    return f"INSERT INTO t WITH x0 AS (SELECT {names} FROM s){more} SELECT * FROM x{ctes - 1}"


def _wide_unions(columns: int, branches: int) -> str:
    names = ", ".join(f"c{i}" for i in range(columns))
    return "INSERT INTO t " + " UNION ALL ".join(f"SELECT {names} FROM s{i}" for i in range(branches))


def _random_bytes() -> str:
    return random.Random(4).randbytes(200_000).decode("latin-1")


SHAPES: dict[str, Shape] = {
    # lists
    "IN list of 10,000 numbers": Shape(
        lambda: _into("a FROM s WHERE a IN (" + ", ".join(map(str, range(10_000))) + ")")
    ),
    "IN list of 100,000 numbers": Shape(
        lambda: _into("a FROM s WHERE a IN (" + ", ".join(map(str, range(100_000))) + ")")
    ),
    "IN list of 10,000 rows": Shape(
        lambda: _into("a FROM s WHERE (a, b) IN (" + ", ".join(["(1, 'x')"] * 10_000) + ")")
    ),
    "VALUES of 2 MB": Shape(
        lambda: "INSERT INTO t (c) VALUES " + ", ".join(["('abcdefgh', 12, NULL)"] * 90_000),
        inputs=frozenset(),
        edges=0,
    ),
    "VALUES of 10,000 rows in a join": Shape(
        lambda: _into("s.a FROM s JOIN (VALUES " + ", ".join(["(1, 'x')"] * 10_000) + ") v (i, x) ON s.i = v.i")
    ),
    "select list of 20,000 columns": Shape(
        lambda: "INSERT INTO t SELECT " + ", ".join(f"a{i}" for i in range(20_000)) + " FROM s", edges=20_000
    ),
    "function of 10,000 arguments": Shape(lambda: _into("concat(" + ", ".join(["a"] * 10_000) + ") FROM s")),
    "array of 10,000 elements": Shape(lambda: _into("ARRAY[" + ", ".join(["a"] * 10_000) + "] FROM s")),
    # chains
    "OR of 20,000": Shape(lambda: _into("a FROM s WHERE " + _chain("OR", "a = 1", 20_000))),
    "AND of 20,000": Shape(lambda: _into("a FROM s WHERE " + _chain("AND", "a = 1", 20_000))),
    "OR of 10,000, selected": Shape(lambda: _into(_chain("OR", "a = 1", 10_000) + " FROM s")),
    "|| of 10,000": Shape(lambda: _into(_chain("||", "a", 10_000) + " FROM s")),
    "|| of 10,000 in tsql as +": Shape(lambda: _into(_chain("+", "a", 10_000) + " FROM s"), dialect="tsql"),
    "+ of 20,000": Shape(lambda: _into(_chain("+", "a", 20_000) + " FROM s")),
    "= of 5,000": Shape(lambda: _into(_chain("=", "a", 5_000) + " FROM s")),
    "casts of 1,000": Shape(lambda: _into("a" + "::int" * 1_000 + " FROM s")),
    "JSON path of 5,000": Shape(lambda: _into("a" + " -> 'k'" * 5_000 + " FROM s")),
    "dots of 5,000": Shape(lambda: _into("s" + ".a" * 5_000 + " FROM s"), edges=0),
    "subscripts of 5,000": Shape(lambda: _into("a" + "[1]" * 5_000 + " FROM s"), edges=0, reads=False),
    "variable made of 10,000 texts": Shape(
        lambda: "DECLARE @q varchar(max) = " + _chain("+", "'x'", 10_000) + f";\n{_into('a FROM s')}", dialect="tsql"
    ),
    "dynamic text of 2,000 parts": Shape(
        lambda: (
            "DECLARE @q varchar(max) = 'INSERT INTO t (c) SELECT a FROM s WHERE 1 = 1 ';\n"
            + "SET @q = @q + ' AND 1 = 1 ';\n" * 2_000
            + "EXEC (@q)"
        ),
        dialect="tsql",
    ),
    # set operations and joins
    "UNION ALL of 20,000": Shape(lambda: "INSERT INTO t (c) " + " UNION ALL ".join(["SELECT a FROM s"] * 20_000)),
    "UNION ALL of 2,000 subqueries": Shape(
        lambda: "INSERT INTO t (c) " + " UNION ALL ".join(["(SELECT a FROM s)"] * 2_000)
    ),
    "UNION of 200 tables with 1,000 columns": Shape(
        lambda: _wide_unions(1_000, 200), inputs=frozenset(f"s{i}" for i in range(200)), edges=0, reads=False
    ),
    "UNION of 20 tables with 1,000 columns": Shape(
        lambda: _wide_unions(1_000, 20), inputs=frozenset(f"s{i}" for i in range(20)), edges=1_000
    ),
    "NATURAL JOIN of 2,000": Shape(lambda: _into("1 FROM s" + " NATURAL JOIN s" * 2_000), edges=0),
    "NATURAL JOIN of 500 known tables": Shape(
        lambda: _into("a FROM s" + "".join(f" NATURAL JOIN s AS s{i}" for i in range(500))),
        schemas={"s": {f"{c}{i}": "int" for i in range(20) for c in ("a", "b")} | {"a": "int"}},
    ),
    "JOIN of 2,000 with USING": Shape(
        lambda: _into("s.a FROM s" + "".join(f" JOIN s AS s{i} USING (i)" for i in range(2_000)))
    ),
    "300 tables, 300 unqualified columns": Shape(
        lambda: (
            "INSERT INTO t SELECT "
            + ", ".join(f"c{i}" for i in range(300))
            + " FROM "
            + ", ".join(f"s{i}" for i in range(300))
        ),
        inputs=frozenset(f"s{i}" for i in range(300)),
        edges=0,
    ),
    "JOIN in brackets, 200 deep": Shape(
        lambda: _into("s.a FROM " + "(" * 200 + "s" + "".join(f" JOIN s AS s{i} ON 1 = 1)" for i in range(200)))
    ),
    # nesting
    "500 parentheses": Shape(lambda: _into("(" * 500 + "a" + ")" * 500 + " FROM s"), edges=0, reads=False),
    "200 parentheses": Shape(lambda: _into("(" * 200 + "a" + ")" * 200 + " FROM s")),
    "20,000 parentheses": Shape(lambda: _into("(" * 20_000 + "a" + ")" * 20_000 + " FROM s"), edges=0, reads=False),
    "20,000 open parentheses": Shape(lambda: _into("a FROM s WHERE " + "(" * 20_000), edges=0, reads=False),
    "200 subqueries in FROM": Shape(lambda: _into("a FROM " + "(SELECT * FROM " * 200 + "s" + ") x" * 200)),
    "2,000 subqueries in FROM": Shape(
        lambda: _into("a FROM " + "(SELECT * FROM " * 2_000 + "s" + ") x" * 2_000), edges=0, reads=False
    ),
    "100 scalar subqueries in one another": Shape(lambda: _into("(SELECT " * 100 + "a" + " FROM s)" * 100 + " FROM s")),
    "200 functions in one another": Shape(lambda: _into("coalesce(" * 200 + "a" + ", 1)" * 200 + " FROM s")),
    "5,000 functions in one another": Shape(
        lambda: _into("coalesce(" * 5_000 + "a" + ", 1)" * 5_000 + " FROM s"), edges=0, reads=False
    ),
    "100 CASE in one another": Shape(
        lambda: _into("CASE WHEN a = 1 THEN " * 100 + "a" + " ELSE 0 END" * 100 + " FROM s")
    ),
    "5,000 CASE in one another": Shape(
        lambda: _into("CASE WHEN a = 1 THEN " * 5_000 + "a" + " ELSE 0 END" * 5_000 + " FROM s"), edges=0, reads=False
    ),
    "CASE of 5,000 branches": Shape(
        lambda: _into("CASE" + "".join(f" WHEN a = {i} THEN b" for i in range(5_000)) + " ELSE a END FROM s")
    ),
    "CASE in ELSE, 200 deep": Shape(
        lambda: _into("CASE WHEN a = 1 THEN 1 ELSE " * 200 + "a" + " END" * 200 + " FROM s")
    ),
    "300 nested arrays": Shape(lambda: _into("ARRAY[" * 300 + "a" + "]" * 300 + " FROM s"), edges=0, reads=False),
    "30 nested arrays": Shape(lambda: _into("ARRAY[" * 30 + "a" + "]" * 30 + " FROM s"), edges=0, reads=False),
    "30 nested maps": Shape(
        lambda: _into("{'k': " * 30 + "a" + "}" * 30 + " FROM s"), edges=0, reads=False, dialect="duckdb"
    ),
    "20,000 STRUCT<": Shape(
        lambda: _into("CAST(a AS " + "STRUCT<a " * 20_000 + "INT64" + ">" * 20_000 + ") FROM s"),
        edges=0,
        reads=False,
        dialect="bigquery",
    ),
    "100 STRUCT<": Shape(
        lambda: _into("CAST(a AS " + "STRUCT<a " * 100 + "INT64" + " >" * 100 + ") FROM s"), dialect="bigquery"
    ),
    "20,000 NOT": Shape(lambda: _into("NOT " * 20_000 + "a FROM s"), edges=0, reads=False),
    "20,000 minus": Shape(lambda: _into("- " * 20_000 + "a FROM s"), edges=0, reads=False),
    "NOT EXISTS, 100 deep": Shape(
        lambda: _into("a FROM s WHERE " + "NOT EXISTS (SELECT 1 FROM s WHERE " * 100 + "1 = 1" + ")" * 100)
    ),
    "lambdas, 100 deep": Shape(
        lambda: _into("transform(a, x -> " * 100 + "x" + ")" * 100 + " FROM s"), dialect="databricks"
    ),
    "windows, 100 deep": Shape(
        lambda: _into("sum(" * 100 + "a" + ") OVER (PARTITION BY b ORDER BY c)" * 100 + " FROM s")
    ),
    "IF statements, 300 deep": Shape(
        lambda: "IF 1 = 1 BEGIN " * 300 + _into("a FROM s") + " END" * 300, dialect="tsql"
    ),
    # columns
    "CTEs that double, 30 levels": Shape(lambda: _doubling(30), edges=0, reads=False),
    "CTEs that double, 10 levels": Shape(lambda: _doubling(10), edges=2),
    "3,000 columns through 50 CTEs": Shape(lambda: _wide(3_000, 50), edges=3_000),
    "3,000 columns through 500 CTEs": Shape(lambda: _wide(3_000, 500), edges=0, reads=False),
    "1,000 CTEs": Shape(lambda: _wide(1, 1_000)),
    "CTE used 2,000 times": Shape(
        lambda: (
            "INSERT INTO t (c) WITH x AS (SELECT a, b, c FROM s) SELECT x0.a FROM "
            + ", ".join(f"x x{i}" for i in range(2_000))
        )
    ),
    "stars of unknown tables, 25 levels": Shape(
        lambda: (
            "INSERT INTO t (c) WITH x0 AS (SELECT * FROM s), "
            + ", ".join(f"x{i} AS (SELECT * FROM x{i - 1} UNION ALL SELECT * FROM x{i - 1})" for i in range(1, 25))
            + " SELECT a FROM x24"
        )
    ),
    "expressions that double, 40 levels": Shape(
        lambda: (
            "INSERT INTO t (c) WITH x0 AS (SELECT a FROM s), "
            + ", ".join(f"x{i} AS (SELECT a + a AS a FROM x{i - 1})" for i in range(1, 40))
            + " SELECT a FROM x39"
        )
    ),
    "200 columns, each from 500": Shape(
        lambda: (
            "INSERT INTO t WITH x AS (SELECT "
            + ", ".join(f"c{i}" for i in range(500))
            + " FROM s) SELECT "
            + ", ".join("greatest(" + ", ".join(f"c{j}" for j in range(500)) + f") AS d{i}" for i in range(200))
            + " FROM x"
        ),
        edges=200,
    ),
    "200 columns, each from 200, four times": Shape(
        lambda: (
            "INSERT INTO t WITH x0 AS (SELECT "
            + ", ".join(f"c{i}" for i in range(200))
            + " FROM s)"
            + "".join(
                f", x{k} AS (SELECT "
                + ", ".join("greatest(" + ", ".join(f"c{j}" for j in range(200)) + f") AS c{i}" for i in range(200))
                + f" FROM x{k - 1})"
                for k in range(1, 5)
            )
            + " SELECT * FROM x4"
        ),
        edges=0,
        reads=False,
    ),
    "UNNEST in CTEs, 200 levels": Shape(
        lambda: (
            "INSERT INTO t (c) WITH x0 AS (SELECT a FROM s), "
            + ", ".join(f"x{i} AS (SELECT a FROM x{i - 1}, UNNEST(x{i - 1}.a) AS a)" for i in range(1, 200))
            + " SELECT a FROM x199"
        ),
        dialect="bigquery",
        edges=0,
    ),
    "UNNEST of UNNEST, 100 deep": Shape(
        lambda: _into(
            "e FROM s, "
            + ", ".join(f"UNNEST(e{i}) AS e{i + 1}" for i in range(100)).replace("e0", "s.a").replace("e100", "e")
        ),
        dialect="bigquery",
        edges=0,
    ),
    "recursive CTE with 500 branches": Shape(
        lambda: (
            "INSERT INTO t (c) WITH RECURSIVE x AS (SELECT a FROM s"
            + " UNION ALL SELECT x.a FROM x JOIN s ON s.i = x.a" * 500
            + ") SELECT a FROM x"
        )
    ),
    "aliases that use aliases, 5,000": Shape(
        lambda: (
            "INSERT INTO t SELECT a AS a0, "
            + ", ".join(f"a{i - 1} + a{i - 1} AS a{i}" for i in range(1, 5_000))
            + " FROM s"
        ),
        dialect="snowflake",
        edges=5_000,
        inputs=frozenset({"S"}),
        outputs=frozenset({"T"}),
    ),
    "PIVOT of 2,000 values": Shape(
        lambda: (
            "INSERT INTO t SELECT * FROM (SELECT a, b, c FROM s) x PIVOT (sum(a) FOR b IN ("
            + ", ".join(f"[v{i}]" for i in range(2_000))
            + ")) p"
        ),
        dialect="tsql",
        edges=2_000,
    ),
    # many statements
    "20,000 small statements": Shape(
        lambda: f"{_into('a FROM s')};\n" * 20_000, reads=False, neighbours=False, budget=1.0
    ),
    "temp tables that double, 60 levels": Shape(
        lambda: (
            "CREATE TEMP TABLE x0 AS SELECT a FROM s;\n"
            + "".join(
                f"CREATE TEMP TABLE x{i} AS SELECT a FROM x{i - 1} UNION SELECT a FROM x{i - 1};\n"
                for i in range(1, 60)
            )
            + "INSERT INTO t (c) SELECT a FROM x59"
        )
    ),
    "temp tables with stars that double, 60 levels": Shape(
        lambda: (
            "SELECT * INTO #x0 FROM s;\n"
            + "".join(f"SELECT * INTO #x{i} FROM #x{i - 1} UNION ALL SELECT * FROM #x{i - 1};\n" for i in range(1, 60))
            + "INSERT INTO t (c) SELECT a FROM #x59"
        ),
        dialect="tsql",
    ),
    "a temp table filled 500 times from itself": Shape(
        lambda: (
            "SELECT a, b INTO #x FROM s;\n"
            + "INSERT INTO #x (a, b) SELECT b, a + b FROM #x;\n" * 500
            + "INSERT INTO t (c) SELECT a FROM #x"
        ),
        dialect="tsql",
    ),
    "a procedure of 5,000 assignments": Shape(
        lambda: (
            "CREATE PROCEDURE p AS BEGIN DECLARE @v0 int = (SELECT max(a) FROM s);\n"
            + "".join(f"DECLARE @v{i} int = @v{i - 1} + @v{i - 1};\n" for i in range(1, 5_000))
            + "INSERT INTO t (c) SELECT @v4999 END"
        ),
        dialect="tsql",
    ),
    "2,000 procedures": Shape(
        lambda: "".join(f"CREATE PROCEDURE p{i} AS BEGIN {_into('a FROM s')} END\nGO\n" for i in range(2_000)),
        dialect="tsql",
        reads=False,
    ),
    "500 renames": Shape(
        lambda: "".join(f"ALTER TABLE x{i} RENAME TO x{i + 1};\n" for i in range(500)) + _into("a FROM s"),
    ),
    # what is tried again and again
    "40 JOINs without ON": Shape(lambda: _into("s.a FROM s" + " JOIN s" * 40), edges=0, reads=False),
    "40 JOINs without ON, and a function without arguments": Shape(
        lambda: _into("s.a, split(s.b) FROM s" + " JOIN s" * 40), edges=0, reads=False
    ),
    "100 IF as operands": Shape(
        lambda: _into("a FROM s WHERE " + "- IF " * 100), edges=0, reads=False, dialect="clickhouse"
    ),
    "an error after 20,000 words": Shape(
        lambda: _into(_chain("OR", "a = 1", 5_000) + " FROM s ) ) WHERE"), edges=0, reads=False
    ),
    "a function without arguments after 20,000 words": Shape(
        lambda: _into(_chain("OR", "a = 1", 5_000) + ", split(a) FROM s"), edges=1
    ),
    "20 errors of 2,000 words": Shape(
        lambda: ";\n".join([_into(_chain("OR", "a = 1", 500) + " FROM s ) ) WHERE")] * 20), edges=0, reads=False
    ),
    # what is read from words
    "a text that doubles 60 times": Shape(
        lambda: (
            "DECLARE @q varchar(max) = 'INSERT INTO t (c) SELECT a FROM s;';\n"
            + "SET @q = @q + @q;\n" * 60
            + "EXEC (@q)"
        ),
        dialect="tsql",
        inputs=frozenset(),
        outputs=frozenset(),
        edges=0,
        reads=False,
    ),
    "a text that doubles 10 times": Shape(
        lambda: (
            "DECLARE @q varchar(max) = 'INSERT INTO t (c) SELECT a FROM s;';\n"
            + "SET @q = @q + @q;\n" * 10
            + "EXEC (@q)"
        ),
        dialect="tsql",
    ),
    "a text with replacements that double": Shape(
        lambda: "DECLARE @q varchar(max) = 'x';\n" + "SET @q = REPLACE(@q, 'x', 'xxxxxxxxxx');\n" * 30 + "EXEC (@q)",
        dialect="tsql",
        inputs=frozenset(),
        outputs=frozenset(),
        edges=0,
        reads=False,
    ),
    "10,000 heads of procedures": Shape(
        lambda: _into("a FROM s") + "\nGO\n" + "CREATE PROCEDURE p (" * 10_000, dialect="tsql", reads=False
    ),
    "10,000 heads of functions": Shape(
        lambda: _into("a FROM s;\n") + "CREATE FUNCTION f RETURNS " * 10_000, reads=False
    ),
    "20,000 heads of triggers": Shape(lambda: _into("a FROM s;\n") + "CREATE TRIGGER ON " * 20_000, reads=False),
    "20,000 triggers in a comment": Shape(lambda: _into("a FROM s") + " /* " + "TRIGGER ON x " * 20_000 + "*/"),
    "3,000 OPENQUERY": Shape(
        lambda: _into("s.a FROM s" + ", OPENQUERY(srv, 'SELECT b FROM r') q" * 3_000), dialect="tsql"
    ),
    "3,000 open OPENQUERY": Shape(
        lambda: _into("s.a FROM s") + ", OPENQUERY(" * 3_000, dialect="tsql", edges=0, reads=False
    ),
    "3,000 IDENTIFIER": Shape(
        lambda: _into("a FROM s, " + ", ".join(["IDENTIFIER('x.y')"] * 3_000)),
        dialect="snowflake",
        inputs=frozenset({"S"}),
        outputs=frozenset({"T"}),
        edges=0,
    ),
    "3,000 open IDENTIFIER": Shape(
        lambda: _into("a FROM s;\n") + "SELECT IDENTIFIER(" * 3_000,
        dialect="snowflake",
        inputs=frozenset({"S"}),
        outputs=frozenset({"T"}),
        reads=False,
    ),
    "UPDATE OR, 10,000 times": Shape(
        lambda: _into("a FROM s;\n") + "UPDATE " + "OR x " * 10_000, dialect="sqlite", reads=False
    ),
    "UPDATE TOP, 10,000 times": Shape(
        lambda: _into("a FROM s;\n") + "UPDATE " + "TOP (1) " * 10_000, dialect="tsql", reads=False
    ),
    "MERGE with 3,000 branches": Shape(
        lambda: (
            "MERGE INTO t USING s ON t.i = s.i"
            + "".join(f" WHEN MATCHED AND s.k = {i} THEN UPDATE SET c = s.a" for i in range(3_000))
        ),
        dialect="snowflake",
        inputs=frozenset({"S"}),
        outputs=frozenset({"T"}),
    ),
    "20,000 variables in one DECLARE": Shape(
        lambda: "DECLARE " + ", ".join(f"@v{i} int = 1" for i in range(20_000)) + f";\n{_into('a FROM s')}",
        dialect="tsql",
    ),
    "20,000 variables one after the other": Shape(
        lambda: "".join(f"DECLARE @v{i} int = 1;\n" for i in range(20_000)) + _into("a FROM s"), dialect="tsql"
    ),
    "50,000 IF": Shape(lambda: _into("a FROM s\n") + "IF " * 50_000, dialect="tsql", reads=False),
    "100,000 BEGIN": Shape(lambda: _into("a FROM s\n") + "BEGIN " * 100_000, dialect="tsql", reads=False),
    "100,000 END": Shape(lambda: _into("a FROM s;\n") + "END " * 100_000, reads=False),
    "20,000 labels": Shape(lambda: _into("a FROM s;\n") + "<<x>> " * 20_000, reads=False),
    "5,000 loops in one another": Shape(
        lambda: (
            "CREATE PROCEDURE p AS BEGIN FOR r IN (SELECT a FROM s) LOOP "
            + "FOR q IN (SELECT a FROM s) LOOP " * 5_000
            + "INSERT INTO t (c) VALUES (r.a);"
            + " END LOOP;" * 5_001
            + " END"
        ),
        dialect="oracle",
        inputs=frozenset({"S"}),
        outputs=frozenset({"T"}),
    ),
    "bodies in one another, 8 deep": Shape(
        lambda: (
            "".join(f"DO $b{i}$ BEGIN EXECUTE $e{i}$ " for i in range(8))
            + _into("a FROM s")
            + "".join(f" $e{i}$; END $b{i}$;" for i in reversed(range(8)))
        ),
        inputs=frozenset(),
        outputs=frozenset(),
        edges=0,
        reads=False,
    ),
    "a procedure that executes a long text 1,000 times": Shape(
        lambda: (
            "DECLARE @q varchar(max) = '"
            + "INSERT INTO t (c) SELECT a FROM s; " * 500
            + "';\n"
            + "EXEC (@q);\n" * 1_000
        ),
        dialect="tsql",
        budget=1.0,
        neighbours=False,
        reads=False,
    ),
    "temp tables with stars, each filled 20 times from the one before": Shape(
        lambda: (
            "SELECT * INTO #x0 FROM s;\n"
            + "".join(
                f"SELECT * INTO #x{i} FROM #x{i - 1};\n" + f"INSERT INTO #x{i} SELECT * FROM #x{i - 1};\n" * 20
                for i in range(1, 12)
            )
            + "INSERT INTO t (c) SELECT a FROM #x11"
        ),
        dialect="tsql",
    ),
    "100 known tables with 1,000 columns and a star": Shape(
        lambda: "INSERT INTO t SELECT * FROM s, " + ", ".join(f"w AS w{i}" for i in range(100)),
        schemas={"w": {f"c{i}": "int" for i in range(1_000)}, "s": {"a": "int"}},
        inputs=frozenset({"s", "w"}),
    ),
    "160 INSERTs of 1,000 columns": Shape(
        lambda: f"INSERT INTO t SELECT {', '.join(f'c{i}' for i in range(1_000))} FROM s;\n" * 160,
        edges=1_000,
        reads=False,
    ),
    "300 statements with a star of 1,000 columns": Shape(
        lambda: "INSERT INTO t SELECT * FROM s;\n" * 300,
        schemas={"s": {f"c{i}": "int" for i in range(1_000)}},
        edges=1_000,
    ),
    "300 hops of 1,000 columns": Shape(
        lambda: (
            "CREATE TABLE x0 AS SELECT * FROM s;\n"
            + "".join(f"CREATE TABLE x{i} AS SELECT * FROM x{i - 1};\n" for i in range(1, 300))
            + "INSERT INTO t SELECT * FROM x299"
        ),
        schemas={"s": {f"c{i}": "int" for i in range(1_000)}},
        edges=1_000,
        inputs=frozenset({"s"}),
    ),
    # what is no SQL
    "an open quote": Shape(
        lambda: _into("a FROM s WHERE a = 'open"), inputs=frozenset(), outputs=frozenset(), reads=False, edges=0
    ),
    "an open comment": Shape(
        lambda: _into("a FROM s /* open"), inputs=frozenset(), outputs=frozenset(), reads=False, edges=0
    ),
    "50,000 quotes": Shape(lambda: _into("a FROM s") + ";\n" + "'" * 49_999, reads=False, edges=0),
    "50,000 dollars": Shape(lambda: _into("a FROM s") + ";\n" + "$" * 50_000, reads=False, edges=0),
    "50,000 comments": Shape(lambda: _into("a FROM s ") + "/* x */ " * 50_000),
    "comments in comments, 5,000 deep": Shape(
        lambda: _into("a FROM s ") + "/*" * 5_000 + "*/" * 5_000, edges=0, reads=False
    ),
    "NUL bytes": Shape(lambda: _into("a FROM s;\n" + "\0" * 10_000 + "\n"), reads=False),
    "NUL bytes in a name": Shape(lambda: _into('a FROM s WHERE "a\0b" = 1'), reads=False),
    "a binary file": Shape(
        _random_bytes, neighbours=False, inputs=frozenset(), outputs=frozenset(), edges=0, reads=False
    ),
    "one word of 2,000,000 letters": Shape(lambda: _into("a FROM s WHERE a = " + "x" * 2_000_000)),
    "a string of 2,000,000 characters": Shape(lambda: _into("a FROM s WHERE a = '" + "x" * 2_000_000 + "'")),
    "2,000,000 spaces": Shape(lambda: _into("a FROM" + " " * 2_000_000 + "s")),
    "500,000 semicolons": Shape(lambda: _into("a FROM s") + ";" * 500_000),
    "500,000 commas": Shape(lambda: _into("a FROM s") + ";\nSELECT " + "," * 500_000, reads=False),
    "surrogates and marks": Shape(lambda: _into("a FROM s WHERE b = '\ud800\u202e\ufeff\u0301'")),
    "20,000 semicolons and BEGIN": Shape(lambda: _into("a FROM s;\n") + "BEGIN " * 20_000, reads=False),
    "20,000 words": Shape(lambda: _into("a FROM s;\n") + "SELECT FROM " * 20_000, reads=False),
}


def text(shape: Shape) -> str:
    end = "\nGO\n" if shape.dialect == "tsql" else ";\n"
    return f"INSERT INTO before_ (c) SELECT a FROM b{end}{shape.make()}{end}INSERT INTO after_ (c) SELECT a FROM b"


def run(shape: Shape) -> ScriptLineage:
    return analyze(text(shape), dialect=shape.dialect, schemas=shape.schemas, budget_seconds=shape.budget)


def unread(result: ScriptLineage) -> list[str]:
    return [f"{p.place}: {p.reason}" for p in result.problems if p.about == "statement"]


def measured(name: str) -> Iterator[str]:
    """Seconds and MB of one shape, over those of a small script."""
    shape = SHAPES[name]
    analyze("INSERT INTO t (c) SELECT a FROM s", dialect=shape.dialect)
    sql = text(shape)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    result = analyze(sql, dialect=shape.dialect, schemas=shape.schemas, budget_seconds=shape.budget)
    seconds = time.process_time() - started
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    yield f"{name} | {seconds:.2f} | {memory:.0f}"
    lacks = [
        what
        for what, is_right in {
            "inputs": {str(i) for i in result.inputs} >= shape.inputs,
            "outputs": {str(o) for o in result.outputs} >= shape.outputs,
            "edges": len(result.columns) >= shape.edges,
            "read": not shape.reads or not unread(result),
            "neighbours": not shape.neighbours
            or len({str(o).lower() for o in result.outputs} & {"before_", "after_"}) == 2,
        }.items()
        if not is_right
    ]
    yield f" | {len(result.columns)} edges; lacks {lacks}; {[p.reason for p in result.problems][:2]}"


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] == "--one":
        sys.stdout.write("".join(measured(sys.argv[2])))
    else:
        for shape_name in SHAPES:
            if not sys.argv[1:] or sys.argv[1] in shape_name:
                command = [sys.executable, "-m", "tests.lineage.shapes", "--one", shape_name]
                done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=None)
                sys.stdout.write((done.stdout or f"{shape_name} | ended with {done.returncode}") + "\n")
                sys.stdout.flush()
