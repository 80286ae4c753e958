"""What a statement is, whatever its layout and values: keys that stay, and statements not taken for one another."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shared.lineage.normal import moves_nothing, outline, plain_text, statement_key
from tests.lineage.scorer import cases

WRITING = [
    (c.dialect, c.sql)
    for c in cases()
    if c.sql.lstrip().upper().startswith(("INSERT", "MERGE", "UPDATE", "DELETE", "WITH")) and "$$" not in c.sql
]


def same(one: str, other: str, dialect: str = "postgres") -> bool:
    return statement_key(one, dialect) == statement_key(other, dialect)


@pytest.mark.parametrize(
    "other",
    [
        "insert   into b\r\n\r\nselect a.x, a.y from a where a.d = '2024-01-01' and a.n in (1, 2, 3)",
        "INSERT INTO b -- once a day\nSELECT a.x, /* second */ a.y FROM a WHERE a.d='2024-01-01' AND a.n IN (1,2,3);",
        "INSERT INTO b SELECT a.x, a.y FROM a WHERE a.d = '2023-12-31' AND a.n IN (7)",
        "Insert b select a.x,a.y from a where a.d=\t'it''s -- not a comment' and a.n in(9,9);\n;",
    ],
)
def test_layout_comments_case_and_values_make_no_other_statement(other: str) -> None:
    assert same("INSERT INTO b SELECT a.x, a.y FROM a WHERE a.d = '2024-01-01' AND a.n IN (1, 2, 3)", other)


@pytest.mark.parametrize(
    ("one", "other", "dialect"),
    [
        ("INSERT INTO b SELECT x FROM a", "INSERT INTO b SELECT y FROM a", "postgres"),
        ("INSERT INTO b SELECT 1, x FROM a", "INSERT INTO b SELECT 1, 2, x FROM a", "postgres"),
        ('INSERT INTO b SELECT "x" FROM a', 'INSERT INTO b SELECT "X" FROM a', "postgres"),
        ("INSERT INTO b SELECT x FROM a1", "INSERT INTO b SELECT x FROM a2", "postgres"),
        ("INSERT INTO d.b SELECT x FROM d.Sales", "INSERT INTO d.b SELECT x FROM d.sales", "bigquery"),
        ("INSERT INTO d.b SELECT x FROM my-pro-1.d.a", "INSERT INTO d.b SELECT x FROM my-pro-2.d.a", "bigquery"),
        ("COPY INTO t FROM 's3://one/x'", "COPY INTO t FROM 's3://two/x'", "snowflake"),
        ("INSERT INTO t SELECT * FROM 'one.csv'", "INSERT INTO t SELECT * FROM 'two.csv'", "duckdb"),
        (
            "INSERT INTO t SELECT * FROM read_csv('one.csv')",
            "INSERT INTO t SELECT * FROM read_csv('two.csv')",
            "duckdb",
        ),
        ("EXEC('INSERT a SELECT x FROM b')", "EXEC('INSERT a SELECT x FROM c')", "tsql"),
        ("INSERT t SELECT * FROM [a b]", "INSERT t SELECT * FROM [a  b]", "tsql"),
        (
            "INSERT INTO t SELECT * FROM s PIVOT (sum(v) FOR k IN ('a', 'b'))",
            "INSERT INTO t SELECT * FROM s PIVOT (sum(v) FOR k IN ('a', 'c'))",
            "snowflake",
        ),
    ],
)
def test_what_makes_another_statement(one: str, other: str, dialect: str) -> None:
    assert not same(one, other, dialect)
    first, second = outline(one, dialect), outline(other, dialect)
    assert first is None or first != second


def test_the_defaults_of_its_names_are_part_of_it() -> None:
    assert statement_key("INSERT INTO a SELECT 1", "postgres", "x") != statement_key(
        "INSERT INTO a SELECT 1", "postgres", "y"
    )


def test_text_that_is_no_sql_has_a_key_too() -> None:
    for text in ("", "'open", "\x00\ud800", "((((", "/* open"):
        assert same(text, text)
    assert not same("'open", "'other")
    assert statement_key("x", "no such dialect") == statement_key("x", "no such dialect")


def _reformatted(sql: str, dialect: str, seed: int) -> str:
    """Other white space, line ends, comments and case of keywords, between the tokens of the text."""
    from sqlglot.errors import TokenError

    from shared.lineage.parsing import dialect_of, tokenizer_of

    name, spoken, _ = dialect_of(dialect)
    try:
        tokens = tokenizer_of(name)(dialect=spoken).tokenize(sql)
    except TokenError:
        return sql
    chance = random.Random(seed)
    made, at = "", 0
    for token in tokens:
        between, text = sql[at : token.start], sql[token.start : token.end + 1]
        if at and (between.strip() or between) and between.isspace():
            made += chance.choice([" ", "\n", "\r\n\t", "  ", " /* a, 'b */ ", "\n\n"])
        elif between and not between.isspace():
            made += between if at == 0 else "\n"  # a comment: left out
        if token.token_type.name != "VAR" and re.fullmatch(r"[A-Za-z]+", text):
            text = chance.choice([text.upper(), text.lower()])
        made += text
        at = token.end + 1
    return made


@pytest.mark.parametrize("seed", [1, 2])
def test_every_statement_of_the_cases_keeps_its_key(seed: int) -> None:
    assert len(WRITING) > 200
    for dialect, sql in WRITING:
        assert same(sql, _reformatted(sql, dialect, seed), dialect), sql


def test_pretty_printed_by_sqlglot() -> None:
    """What sqlglot respells (`x::int`, `SELECT TOP (1)`) is another text; what it only lays out is not."""
    import sqlglot

    kept = all_ = 0
    for dialect, sql in WRITING:
        try:
            (parsed,) = sqlglot.parse(sql, read=dialect)
            flat, pretty = (parsed.sql(dialect=dialect, pretty=wide) for wide in (False, True)) if parsed else ("", "")
        except (ValueError, TypeError, sqlglot.errors.SqlglotError):
            continue
        all_ += 1
        assert same(flat, pretty, dialect), sql
        kept += same(sql, pretty, dialect)
    assert all_ > 150
    assert kept > 0.7 * all_


# ---- the cheap looks

PIECES = st.sampled_from(
    [
        *("a", "b1", '"x"', '"it\'s"', "`y`", "[z]", "'", "''", "'v'", "'it''s'", "--", "\n", "/*", "*/"),
        *(
            ")",
            "=",
            "-",
            ".",
            "1",
            "2.5",
            "$1",
            "$$",
            "\\",
            "E'x'",
            "q'[x]'",
            "#",
            "from",
            "in",
            ":",
            "::int",
            "t_2024",
        ),
    ]
)
VALUES = st.sampled_from(["'v'", "'w w'", "'it''s'", "1", "22", "3.5", "''"])


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.one_of(PIECES, st.none()), max_size=14),
    st.data(),
    st.sampled_from(["postgres", "tsql", "mysql", "bigquery"]),
)
def test_texts_of_one_outline_are_one_statement(pieces: list[str | None], data: st.DataObject, dialect: str) -> None:
    from sqlglot.errors import TokenError

    from shared.lineage.parsing import dialect_of, tokenizer_of

    values = VALUES.filter(lambda value: dialect != "bigquery" or "''s" not in value)  # two literals there
    texts = [
        "INSERT INTO t SELECT " + " ".join(data.draw(values) if piece is None else piece for piece in pieces)
        for _ in range(2)
    ]
    first, second = (outline(text, dialect) for text in texts)
    if first is None or first != second:
        return
    name, spoken, _ = dialect_of(dialect)
    try:
        for text in texts:
            tokenizer_of(name)(dialect=spoken).tokenize(text)
    except (TokenError, ValueError):
        assume(False)
    assert plain_text(texts[0], dialect) == plain_text(texts[1], dialect)


@pytest.mark.parametrize("sql", ["SELECT 1", "select a from b", "SET x = 1", "SHOW TABLES", "  COMMIT"])
def test_what_surely_writes_nothing(sql: str) -> None:
    assert moves_nothing(sql)


def test_no_case_that_writes_counts_as_silent() -> None:
    silent = [c.id for c in cases() if c.outputs and c.inputs and moves_nothing(c.sql)]
    assert silent == []


@pytest.mark.parametrize("name", ["a." * 10_000, "../x", "\0", "x" * 100_000, ".", "tsql, x=y"])
def test_a_dialect_that_is_no_name_is_only_unknown(name: str) -> None:
    assert plain_text("SELECT 1 FROM a", name) == plain_text("SELECT 1 FROM a", "")
