"""Cases, changed at random: nothing is raised, edges belong to known tables, and what says nothing changes nothing."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.lineage import ScriptLineage, analyze
from tests.lineage.scorer import FIXTURES, Case, cases
from tests.lineage.shapes import unread

#: texts that hurt once, each with what it did
FOUND = sorted((FIXTURES.parent / "lineage_robust").glob("*.sql"))
CASES = list(cases())
DIALECTS = sorted({c.dialect for c in CASES} | {"clickhouse", "spark", "athena", ""})
PARTS = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|`[^`]*`|--[^\n]*|/\*.*?\*/|\w+|\s+|.", re.DOTALL)
ODD = (
    *"'\"()[]{}`@#$;,.*%?\\\0\n",
    *(
        "$$",
        "..",
        "::",
        ":=",
        "=>",
        "->",
        "--",
        "/*",
        "*/",
        "||",
        "<<",
        "\nGO\n",
        "\n/\n",
        "\ufeff",
        "\u2028",
        "\ud800",
    ),
    *("BEGIN", "END", "SELECT", "FROM", "WITH", "INTO", "AS", "TABLE", "MERGE", "EXEC", "CASE", "LOOP", "IF", "THEN"),
    *("ELSE", "VALUES", "VALUES()", "ON", "USING", "SET", "DECLARE", "CURSOR", "FOR", "RETURN", "CREATE", "UNION ALL"),
)
#: seconds of CPU
LIMIT = 4.0


@st.composite
def texts(draw: st.DrawFn) -> tuple[Case, str]:
    """A case with words deleted, doubled, swapped, inserted, cut off, or continued by another case."""
    case = draw(st.sampled_from(CASES))
    words = PARTS.findall(case.sql)
    for _ in range(draw(st.integers(1, 4))):
        i = draw(st.integers(0, max(0, len(words) - 1)))
        match draw(st.integers(0, 6)):
            case 0:
                del words[i : i + 1]
            case 1:
                words[i:i] = words[i : i + draw(st.integers(1, 12))]
            case 2:
                j = draw(st.integers(0, max(0, len(words) - 1)))
                words[i : i + 1], words[j : j + 1] = words[j : j + 1], words[i : i + 1]
            case 3 | 4:
                words.insert(i, f" {draw(st.sampled_from(ODD))} ")
            case 5:
                del words[i:]
            case 6:
                other = PARTS.findall(draw(st.sampled_from(CASES)).sql)
                words[i:] = other[draw(st.integers(0, max(0, len(other) - 1))) :]
    return case, "".join(words)


def run(case: Case, sql: str, dialect: str | None = None) -> ScriptLineage:
    return analyze(
        sql,
        dialect=case.dialect if dialect is None else dialect,
        default_database=case.database or None,
        default_schema=case.schema or None,
        schemas=case.schemas or None,
    )


def known(result: ScriptLineage) -> tuple[set[str], set[str], set[tuple[str, str, str, str]]]:
    return (
        {str(t) for t in result.inputs},
        {str(t) for t in result.outputs},
        {(str(c.output.table), c.output.column, str(i.table), i.column) for c in result.columns for i in c.inputs},
    )


def check(result: ScriptLineage) -> None:
    assert not [p for p in result.problems if "failed with" in p.reason]
    named = {str(t).casefold() for t in (*result.inputs, *result.outputs)}
    for column in result.columns:
        if column.output.table.parts:  # else a bare query's
            assert {str(i.table).casefold() for i in column.inputs} <= named


@settings(max_examples=400, derandomize=True, deadline=None)
@given(texts(), st.sampled_from(DIALECTS), st.integers(0, 4))
def test_changed_cases(text: tuple[Case, str], other: str, chance: int) -> None:
    case, sql = text
    started = time.process_time()
    check(run(case, sql, other if chance == 0 else None))
    assert time.process_time() - started < LIMIT


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.sampled_from(CASES))
def test_what_says_nothing_changes_nothing(case: Case) -> None:
    before = known(run(case, case.sql))
    assert known(run(case, case.sql + "\n;")) == before
    assert known(run(case, case.sql.replace("\n", "\r\n"))) == before
    separator = {"tsql": "\nGO\n", "oracle": "\n/\n"}.get(case.dialect, ";\n")
    alone = run(case, case.sql).statements
    more = run(case, f"{case.sql}{separator}INSERT INTO zzz (a) SELECT b FROM zzy").statements
    assert more[: len(alone)] == alone


@pytest.mark.parametrize("path", FOUND, ids=lambda p: p.stem)
def test_found_before(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    said = {key: value.strip() for key, value in re.findall(r"^-- (\w+):(.*)$", text, re.MULTILINE)}
    started = time.process_time()
    result = analyze(text.split("\n", 4)[4], dialect=said["dialect"])
    assert time.process_time() - started < LIMIT
    check(result)
    for key, tables in (("inputs", result.inputs), ("outputs", result.outputs)):
        assert {str(t).lower() for t in tables} == {t.strip() for t in said[key].split(",") if t.strip()}


def test_a_carriage_return_alone_ends_a_line() -> None:
    result = analyze("-- one\rINSERT INTO t (a) SELECT a FROM s", dialect="postgres")
    assert unread(result) == []
    assert [str(t) for t in result.outputs] == ["t"]
