"""SQL that makes parsers explode ends within its budget, says what was not read, and its neighbours are read."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from shared.lineage import analyze
from tests.lineage.shapes import ROOT, SHAPES, Shape, run, unread

#: CPU seconds of the slowest, on a machine three times as slow as the one that docs/lineage.md was measured on
SECONDS = 20.0


@pytest.mark.parametrize("name", SHAPES)
def test_shape(name: str) -> None:
    shape = SHAPES[name]
    started = time.process_time()
    result = run(shape)
    assert time.process_time() - started < SECONDS
    inputs, outputs = {str(t) for t in result.inputs}, {str(t) for t in result.outputs}
    assert inputs >= shape.inputs
    assert outputs >= shape.outputs
    assert len(result.columns) >= shape.edges
    assert not shape.reads or unread(result) == []
    if shape.neighbours:
        assert {t.lower() for t in outputs} >= {"before_", "after_"}
    assert not [p for p in result.problems if "failed with" in p.reason]


def test_memory() -> None:
    command = [sys.executable, "-m", "tests.lineage.shapes", "--one", "300 hops of 1,000 columns"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert int(done.stdout.split(" | ")[2]) < 300


def test_a_small_stack_is_enough() -> None:
    """A caller's thread may have little room: what is long or deep is read in a thread of its own."""
    deep = Shape(lambda: "INSERT INTO t (c) SELECT a FROM " + "(SELECT * FROM " * 200 + "s" + ") x" * 200)
    found: list[int] = []
    before = threading.stack_size(512 * 1024)
    try:
        thread = threading.Thread(target=lambda: found.append(len(run(deep).columns)))
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    assert found == [3]


def test_what_is_found_does_not_depend_on_the_callers_frames() -> None:
    sql = "INSERT INTO t (c) SELECT a FROM " + "(SELECT * FROM " * 150 + "s" + ") x" * 150

    def below(frames: int) -> int:
        return below(frames - 1) if frames else len(analyze(sql, dialect="postgres").columns)

    assert below(0) == below(700) == 1


def test_a_spent_budget_is_a_problem() -> None:
    result = analyze("INSERT INTO t (c) SELECT a FROM s;\n" * 8_000, dialect="postgres", budget_seconds=0.1)
    assert [p for p in result.problems if p.reason.startswith("the time budget is spent; from here on")]


@pytest.mark.parametrize(
    ("name", "dialect", "said"),
    [
        ("postgre", "postgres", "the nearest name"),
        ("PostgreSQL 14", "postgres", "the nearest name"),
        ("sqlserver2019", "tsql", "the nearest name"),
        ("Snowflak", "snowflake", "the nearest name"),
        ("klingon", "", "there are tsql, postgres,"),
    ],
)
def test_an_unknown_dialect_is_read_as_the_nearest(name: str, dialect: str, said: str) -> None:
    result = analyze("INSERT INTO t (a) SELECT a FROM s", dialect=name)
    assert result.dialect == dialect
    assert said in result.problems[0].reason
    assert [str(t).lower() for t in result.outputs] == ["t"]


def test_a_statement_of_another_dialect_says_which_one_was_used() -> None:
    result = analyze("SELECT TOP 5 [a b] INTO x FROM [my table]", dialect="postgres")
    assert [p for p in result.problems if "read as tsql" in p.reason]
