"""The SSIS expression language: operators, casts, functions, and what is not known."""

from __future__ import annotations

import time

import pytest

from connectors.formats.ssis.expressions import Unknown, Value, evaluate

KNOWN: dict[str, Value] = {"User::Table": "dbo.Sale", "User::N": 5, "User::On": True, "$Package::Server": "sql01"}


def value(text: str) -> str:
    return evaluate(text, lambda name: KNOWN.get(name, Unknown("{" + name + "}")))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"SELECT * FROM " + @[User::Table]', "SELECT * FROM dbo.Sale"),
        ("@Table", "dbo.Sale"),
        ("@[$Package::Server]", "sql01"),
        ("@[User::N] + 1", "6"),
        ("1 + 2 * 3 - 4 / 2", "5"),
        ("-7 / 2", "-3"),
        ("7 % 4 == 3 && !FALSE || FALSE", "True"),
        ("@[User::On] ? @[User::N] > 3 ? 1 : 2 : 3", "1"),
        ('"a\\\\b\\"c\\"\\x0041\\n"', 'a\\b"c"A\n'),
        ("0x1F + 10L", "41"),
        ("(DT_WSTR, 3)12345", "123"),
        ('(DT_I4)"12" + 1', "13"),
        ("(DT_BOOL)1", "True"),
        ("5 & 4 | 1 ^ 3", "6"),
        ("~0", "-1"),
        ('UPPER(TRIM("  ab ")) + LOWER("C") + REVERSE("de")', "ABced"),
        ('SUBSTRING("abcdef", 2, 3) + LEFT("xyz", 1) + RIGHT("xyz", 2)', "bcdxyz"),
        ('REPLACE("a-b-c", "-", "") + REPLICATE("0", 3)', "abc000"),
        ('(DT_WSTR, 5)LEN("four") + (DT_WSTR, 5)FINDSTRING("abcabc", "b", 2)', "45"),
        ('TOKEN("a;b;c", ";", 2) + (DT_WSTR, 1)TOKENCOUNT("a;b", ";")', "b2"),
        ('RIGHT("0" + (DT_WSTR, 2)@[User::N], 2)', "05"),
        ('ISNULL(NULL(DT_WSTR, 50)) ? REPLACENULL(NULL(DT_I4), "x") : "y"', "x"),
        ("ROUND(2.5, 0) + ABS(-1) + FLOOR(1.9) + CEILING(0.1)", "6.0"),
        ("HEX(255) + (DT_WSTR, 4)POWER(2, 3) + (DT_WSTR, 9)SIGN(-3)", "FF8.0-1"),
    ],
)
def test_what_is_known_is_computed(text: str, expected: str) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"C:\\\\in\\\\" + @[User::Day] + ".csv"', "C:\\in\\{User::Day}.csv"),
        ("(DT_WSTR, 4)YEAR(GETDATE())", "{YEAR(GETDATE())}"),
        ('"a" + (DT_WSTR, 10)@[User::Day]', "a{User::Day}"),
        ('@[User::Day] == "x" ? "same" : "same"', "same"),
        ('@[User::Day] == "x" ? "one" : "two"', '{@[User::Day] == "x" ? "one" : "two"}'),
        ("FALSE && @[User::Day]", "False"),
        ("TRUE || @[User::Day]", "True"),
        ("@[User::Day] + 1", "{User::Day}1"),
        ("1 / 0", "{1 / 0}"),
        ("NOSUCH(1)", "{NOSUCH(1)}"),
        ('SUBSTRING("a", 0, 1) + "b"', '{SUBSTRING("a", 0, 1)}b'),
        ("1 +", "{1 +}"),
        ('"open', '{"open}'),
    ],
)
def test_what_is_not_known_stays_as_a_placeholder(text: str, expected: str) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "(" * 3_000 + "1" + ")" * 3_000,
        "!" * 3_900 + "TRUE",
        "-" * 3_900 + "1",
        "SQUARE(" * 500 + "9" + ")" * 500,
        'REPLICATE("ab", 1000000000)',
        "1" * 3_999,
        "9 * " * 900 + "9",
        "POWER(9, 999999999)",
        '"' + "x" * 5_000 + '"',
        "\x00",
        "",
    ],
    ids=lambda text: text[:12],
)
def test_nothing_takes_long_or_raises(text: str) -> None:
    started = time.process_time()
    assert len(value(text)) < 200_000
    assert time.process_time() - started < 2
