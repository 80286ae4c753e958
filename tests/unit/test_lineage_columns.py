"""The rules of column lineage that case files cannot show: shapes, kinds, budgets, what comes back for bare queries."""

from __future__ import annotations

import json
import time

import pytest
from click.testing import CliRunner

from cli.main import hookline
from shared.lineage import ScriptLineage, analyze


def edges(result: ScriptLineage) -> set[str]:
    return {f"{c.output.table}.{c.output.column} <- {i.table}.{i.column}" for c in result.columns for i in c.inputs}


def test_copy_and_derivation_with_the_expression() -> None:
    result = analyze("INSERT INTO t (a, b) SELECT x, x + y FROM s", dialect="postgres")
    a, b = result.columns
    assert [(i.column, i.expression, i.kind) for i in a.inputs] == [("x", "x", "copy")]
    assert [(i.column, i.expression, i.kind) for i in b.inputs] == [
        ("x", "x + y", "derivation"),
        ("y", "x + y", "derivation"),
    ]
    assert b.output.table.parts == ("t",)


def test_a_derivation_stays_one_through_a_temp_table() -> None:
    sql = "SELECT x * 2 AS y INTO #t FROM s; INSERT INTO d (z) SELECT y FROM #t"
    (column,) = analyze(sql, dialect="tsql").columns
    assert [(i.column, i.expression, i.kind) for i in column.inputs] == [("x", "x * 2", "derivation")]


def test_statements_keep_what_the_script_follows_through() -> None:
    result = analyze("SELECT x INTO #t FROM s; INSERT INTO d (z) SELECT x FROM #t", dialect="tsql")
    assert [str(s.columns[0].inputs[0].table) for s in result.statements] == ["s", "#t"]
    assert edges(result) == {"d.z <- s.x"}


def test_an_unknown_owner_is_a_problem_and_a_schema_decides() -> None:
    sql = "INSERT INTO t (a) SELECT x FROM r JOIN s ON r.id = s.id"
    unknown = analyze(sql, dialect="postgres")
    assert edges(unknown) == set()
    assert [p.about for p in unknown.problems] == ["columns"]
    assert "x" in unknown.problems[0].reason
    known = analyze(sql, dialect="postgres", schemas={"s": {"id": "int"}})
    assert edges(known) == {"t.a <- r.x"}
    assert known.problems == ()


def test_a_star_of_an_unknown_table_is_reported() -> None:
    result = analyze("INSERT INTO t SELECT * FROM s", dialect="postgres")
    assert [str(t) for t in result.inputs] == ["s"]
    assert "*" in result.problems[0].reason
    assert edges(analyze("INSERT INTO t SELECT * FROM s", dialect="postgres", schemas={"s": {"a": ""}})) == {
        "t.a <- s.a"
    }


def test_a_bare_query_returns_its_columns() -> None:
    result = analyze("SELECT a AS b FROM s", dialect="postgres")
    assert result.columns == result.returned == result.statements[0].columns
    (column,) = result.returned
    assert (column.output.table.parts, column.output.column, column.inputs[0].column) == ((), "b", "a")


def test_routines_have_their_own_columns() -> None:
    sql = "CREATE PROC p AS INSERT a (x) SELECT y FROM b\nGO\nINSERT c (x) SELECT y FROM d"
    result = analyze(sql, dialect="tsql")
    assert [str(c.output.table) for c in result.routines[0].columns] == ["a"]
    assert result.main is not None
    assert [str(c.output.table) for c in result.main.columns] == ["c"]


def test_branches_keep_both_values_and_a_later_assignment_replaces() -> None:
    branches = """DECLARE @v int IF 1 = 1 SET @v = (SELECT max(x) FROM a) ELSE SET @v = (SELECT max(y) FROM b)
        INSERT t (c) SELECT @v"""
    assert edges(analyze(branches, dialect="tsql")) == {"t.c <- a.x", "t.c <- b.y"}
    line = "DECLARE @v int SET @v = (SELECT max(x) FROM a) SET @v = (SELECT max(y) FROM b) INSERT t (c) SELECT @v"
    assert edges(analyze(line, dialect="tsql")) == {"t.c <- b.y"}


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t WITH " + ", ".join(f"c{i} AS (SELECT * FROM s)" for i in range(400)) + " SELECT * FROM c1",
        "INSERT INTO t SELECT " + " + ".join(["a"] * 5_000) + " FROM s",
        "INSERT INTO t SELECT " + ", ".join(f"a{i} + b AS c{i}" for i in range(2_000)) + " FROM s",
        "CREATE VIEW v AS SELECT * FROM s" + "".join(f" NATURAL JOIN s{i}" for i in range(500)),
    ],
    ids=["ctes", "a long sum", "a wide row", "natural joins"],
)
def test_wide_and_long_statements_end_in_time(sql: str) -> None:
    started = time.monotonic()
    result = analyze(sql, dialect="postgres")
    assert time.monotonic() - started < 10
    assert "s" in [str(t) for t in result.inputs]


def test_the_command_prints_json(tmp_path) -> None:  # type: ignore[no-untyped-def]
    script = tmp_path / "a.sql"
    script.write_text("INSERT INTO t SELECT * FROM s")
    schema = tmp_path / "s.json"
    schema.write_text('{"s": {"a": "int"}}')
    done = CliRunner().invoke(
        hookline, ["lineage", str(script), "--dialect", "postgres", "--schema", str(schema), "--json"]
    )
    assert done.exit_code == 0
    shown = json.loads(done.stdout)
    assert shown["inputs"] == ["s"]
    assert shown["columns"] == [
        {
            "output": {"table": "t", "column": "a"},
            "inputs": [{"table": "s", "column": "a", "expression": "a", "kind": "copy"}],
        }
    ]
    assert set(shown) == {"file", "inputs", "outputs", "columns", "statements", "problems"}


def test_a_column_without_a_name_is_called_as_it_is_written() -> None:
    sql = "INSERT INTO t SELECT max( a ), b+c, nvl(d, 1), (SELECT min(e) FROM r), f::date FROM s"
    columns = [c.output.column for c in analyze(sql, dialect="").columns]
    assert columns == ["max( a )", "b+c", "nvl(d, 1)", "(SELECT min(e) FROM r)", "f::date"]
    assert [c.output.column for c in analyze("SELECT f::date FROM s", dialect="postgres").columns] == ["f"]


def test_dialects_have_the_names_that_other_tools_give_them() -> None:
    same = {
        "": ("ansi", "non-validating", "generic"),
        "tsql": ("mssql", "SQL Server", "t-sql", "azure_synapse"),
        "postgres": ("PostgreSQL", "greenplum", "cockroachdb", "pl/pgsql"),
        "spark": ("sparksql", "spark3", "spark-sql"),
        "mysql": ("mariadb", "TiDB"),
        "singlestore": ("singlestoredb", "memsql"),
        "oracle": ("PL/SQL",),
        "trino": ("starburst",),
    }
    for name, others in same.items():
        for other in others:
            result = analyze("CREATE TABLE b AS SELECT a FROM t", dialect=other)
            assert (result.dialect, result.problems, len(result.columns)) == (name, (), 1), other
    for other, near in (("vertica", "postgres"), ("impala", "hive"), ("db2", ""), ("no such thing", "")):
        result = analyze("CREATE TABLE b AS SELECT a FROM t", dialect=other)
        assert (result.dialect, len(result.problems), len(result.columns)) == (near, 1, 1), other


def test_schemas_may_be_nested_or_lists() -> None:
    sql = "INSERT INTO o SELECT * FROM sales.t"
    wanted = {"o.a <- sales.t.a", "o.b <- sales.t.b"}
    forms: list[dict[str, object]] = [
        {"sales.t": {"a": "int", "b": "int"}},
        {"SALES.T": ["a", "b"]},
        {"sales": {"t": {"a": "int", "b": "int"}}},
        {"dw": {"sales": {"t": {"a": "int", "b": "int"}}}},
        {'"sales"."t"': {"a": "int", "b": "int"}},
    ]
    for schemas in forms:
        assert edges(analyze(sql, dialect="postgres", schemas=schemas)) == wanted, schemas  # type: ignore[arg-type]
