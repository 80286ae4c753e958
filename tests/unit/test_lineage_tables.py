"""Tables in and out of SQL: cases from a file that a person can read, the shape, and what hurts parsers."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from shared.lineage import TableName, analyze

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT.parent / "shared" / "samples" / "sql"


class Case(NamedTuple):
    name: str
    dialect: str
    database: str
    schema: str
    sql: str
    inputs: list[str]
    outputs: list[str]
    problems: list[str]


def cases() -> list[Case]:
    text = (ROOT / "tests" / "golden" / "formats" / "lineage_tables.sql").read_text()
    found = []
    for block in text.split("\n--# ")[1:]:
        head, _, rest = block.partition("\n")
        name, dialect, database, schema, *_ = [*(part.strip() for part in head.split("|")), "", "", ""]
        sql = [line for line in rest.splitlines() if not line.startswith("--> ")]
        said = [line[4:].partition(" ")[::2] for line in rest.splitlines() if line.startswith("--> ")]
        tables = {key: [t.strip() for t in value.split(",")] for key, value in said}
        problems = [value for key, value in said if key == "problem"]
        found.append(
            Case(name, dialect, database, schema, "\n".join(sql), tables.get("in", []), tables.get("out", []), problems)
        )
    return found


@pytest.mark.parametrize("case", cases(), ids=lambda c: c.name)
def test_case(case: Case) -> None:
    result = analyze(
        case.sql, dialect=case.dialect, default_database=case.database or None, default_schema=case.schema or None
    )
    assert sorted(map(str, result.inputs)) == sorted(case.inputs)
    assert sorted(map(str, result.outputs)) == sorted(case.outputs)
    unread = [p for p in result.problems if p.about == "statement"]
    assert len(unread) == len(case.problems), result.problems
    for problem, expected in zip(unread, case.problems, strict=True):
        place, _, words = expected.partition(": ")
        assert problem.place == place
        assert words in problem.reason


def test_shape() -> None:
    result = analyze(
        "CREATE PROC dbo.load AS\nINSERT a SELECT * FROM #x\nGO\nUPDATE b SET c = 1",
        dialect="sqlserver",
        default_database="DW",
    )
    assert result.dialect == "tsql"
    assert result.columns == ()
    assert result.outputs[0] == TableName(("DW", "dbo", "a"))
    assert [(s.kind, s.line, [str(t) for t in s.inputs]) for s in result.statements] == [
        ("INSERT", 2, ["#x"]),
        ("UPDATE", 4, []),
    ]
    (routine,) = result.routines
    assert (str(routine.name), routine.kind, routine.line) == ("DW.dbo.load", "procedure", 1)
    assert routine.sql == "CREATE PROC dbo.load AS\nINSERT a SELECT * FROM #x"
    assert [str(t) for t in routine.outputs] == ["DW.dbo.a"]
    assert result.main is not None
    assert [str(t) for t in result.main.outputs] == ["DW.dbo.b"]


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample scripts are not here")
def test_a_real_procedure() -> None:
    sql = (SAMPLES / "MigrateStagedSaleData.sql").read_text(encoding="utf-8-sig")
    result = analyze(sql, dialect="tsql")
    assert {str(t) for t in result.outputs} == {
        "Fact.Sale",
        "Integration.Sale_Staging",
        "Integration.Lineage",
        "Integration.ETL Cutoff",
    }
    dimensions = {f"Dimension.{name}" for name in ("City", "Customer", "Stock Item", "Employee")}
    assert {str(t) for t in result.inputs} == {"Integration.Sale_Staging", "Integration.Lineage"} | dimensions
    assert result.problems == ()


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample scripts are not here")
def test_every_real_script_is_understood() -> None:
    for path in sorted(SAMPLES.glob("*.sql")):
        result = analyze(path.read_text(encoding="utf-8-sig"), dialect="tsql")
        assert result.problems == (), path.name
        assert result.inputs, path.name


N = 20_000
HURTS = {
    "parentheses": "SELECT " + "(" * N + "1" + ")" * N,
    "open parentheses": "SELECT " + "(" * N,
    "subqueries": "SELECT * FROM " + "(SELECT * FROM " * N + "t" + ") x" * N,
    "brackets": "SELECT " + "ARRAY[" * 300 + "1" + "]" * 300,
    "subscripts": "SELECT a" + "[1]" * N,
    "structs": "CREATE TABLE t AS SELECT CAST(a AS " + "STRUCT<a " * N + "int" + ">" * N + ")",
    "cases": "SELECT " + "CASE WHEN 1 = 1 THEN " * N + "1" + " END" * N,
    "nots": "SELECT " + "NOT " * N + "1",
    "minuses": "SELECT " + "- " * N + "1",
}


@pytest.mark.parametrize("name", HURTS)
def test_nesting_that_hurts_the_parser_is_a_problem(name: str) -> None:
    started = time.process_time()
    result = analyze(
        f"INSERT INTO a SELECT * FROM b;\n{HURTS[name]};\nINSERT INTO c SELECT * FROM d", dialect="postgres"
    )
    assert time.process_time() - started < 5
    assert {str(t) for t in result.outputs} >= {"a"}
    assert [p for p in result.problems if p.place == "line 2"]


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("unions", " UNION ALL ".join(["SELECT a FROM t"] * N)),
        ("a long list", "SELECT * FROM t WHERE a IN (" + ",".join(["1"] * N) + ")"),
        ("natural joins", "SELECT * FROM t" + " NATURAL JOIN t" * 2_000),
        (
            "a million rows",
            "INSERT INTO o SELECT * FROM t; INSERT INTO t VALUES " + ",".join(["('abc', 1, 2)"] * 100_000),
        ),
    ],
)
def test_long_statements_are_read(name: str, sql: str) -> None:
    started = time.process_time()
    result = analyze(sql, dialect="postgres")
    assert time.process_time() - started < 10
    assert [str(t) for t in result.inputs] == ["t"], name
    assert [p for p in result.problems if p.about == "statement"] == []


def test_budget() -> None:
    sql = "INSERT INTO t SELECT a FROM b;\n" * 20_000
    started = time.process_time()
    result = analyze(sql, dialect="postgres", budget_seconds=0.2)
    assert time.process_time() - started < 3
    assert [str(t) for t in result.inputs] in ([], ["b"])
    assert result.problems
    assert all("budget" in p.reason for p in result.problems)


def test_too_long_a_text_is_not_read_to_its_end() -> None:
    result = analyze("-" * (2 * 1024 * 1024 + 1), dialect="postgres")
    assert "too long" in result.problems[0].reason


@pytest.mark.parametrize(
    "text",
    ["", " ", "\x00", "\x00\x01\x02PNG", "é" * 100, ";;;", "GO\nGO", "'", '"', "/*", "$$", "END END END", "@", "#"],
)
@pytest.mark.parametrize("dialect", ["tsql", "postgres", ""])
def test_odd_texts_give_nothing_and_raise_nothing(text: str, dialect: str) -> None:
    result = analyze(text, dialect=dialect)
    assert result.inputs == result.outputs == ()


WORDS = [
    "SELECT",
    "FROM",
    "WHERE",
    "INSERT",
    "INTO",
    "t",
    "a",
    "b",
    ",",
    "(",
    ")",
    "[",
    "]",
    ";",
    "CASE",
    "WHEN",
    "THEN",
    "END",
    "BEGIN",
    "IF",
    "ELSE",
    "UPDATE",
    "SET",
    "=",
    "MERGE",
    "USING",
    "ON",
    "WITH",
    "AS",
    "@x",
    "#t",
    "'a'",
    '"q"',
    "DECLARE",
    "EXEC",
    "CREATE",
    "PROCEDURE",
    "FUNCTION",
    "$$",
    "OUTPUT",
    "TOP",
    "UNION",
    ".",
    "..",
    "::",
    "<",
    ">",
    "NOT",
    "-",
    "+",
    "*",
    "DELETE",
    "FOR",
    "IN",
    "LOOP",
    "CURSOR",
    "IS",
    "RETURN",
    "REPLACE",
    "VALUES",
    "TRUNCATE",
    "TABLE",
    "VIEW",
    "COPY",
    "LANGUAGE",
    "BODY",
    "/",
    "DO",
    "OPEN",
    "ELSIF",
    "EXCEPTION",
]
WORDS.append("\nGO\n")
DIALECTS = ["tsql", "postgres", "mysql", "snowflake", "bigquery", "oracle", "spark", "sqlite", "redshift", ""]


def test_random_words_raise_nothing() -> None:
    """Our own code must not fail either: `failed with` is how the last line of defence reports that it did."""
    chance = random.Random(20260301)
    for _ in range(3_000):
        sql = " ".join(chance.choice(WORDS) for _ in range(chance.randint(1, 50)))
        result = analyze(sql, dialect=chance.choice(DIALECTS))
        assert not [p for p in result.problems if "failed with" in p.reason], sql


def test_a_problem_does_not_show_the_text() -> None:
    result = analyze("SELECT FROM 'hunter2-secret' ((; LOGIN 'hunter2-secret", dialect="postgres")
    assert result.problems
    assert "hunter2" not in repr(result.problems)


def test_sqlglot_is_imported_when_it_is_needed() -> None:
    code = "import sys, shared.lineage, connectors.formats.sql_script; sys.exit('sqlglot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
