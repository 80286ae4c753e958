"""What a statement is, whatever its layout: without comments, case of keywords, literals. Never parses.

    statement_key(sql, dialect="tsql")      64 bits that stay when the text is reformatted or run with other values

Layout is whitespace, line ends, comments, upper and lower case of keywords (of all unquoted words, where the dialect's
names have no case), and the words that may as well be left out: AS, INNER, OUTER, ASC, INTO after INSERT and MERGE, a
semicolon at the end. Literals count only where they are more than values: names of files, SQL in text, columns of a
PIVOT.
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Any

from shared.lineage.dialects import canonical


def _words(text: str) -> list[str]:
    return text.split()


#: a statement without any of these has no table as its output (parts of words, because that is the cheapest to ask)
_MOVES = tuple(
    _words("""
    insert update merge upsert create replace copy unload export import load into overwrite delete call exec perform
    begin declare do alter rename swap exchange put outfile dumpfile attach cache""")
)
#: literals of statements with these words may name files, hold SQL or give columns their names
_TELLING = frozenset(
    _words("""
    copy unload export import load exec execute immediate call do begin declare prepare perform put pivot unpivot
    openrowset openquery opendatasource external_query directory location infile outfile dumpfile options""")
)
_FUNCTIONS = frozenset(
    _words("""
    remote remotesecure url urlcluster file s3 s3cluster gcs hdfs azureblobstorage mysql postgresql jdbc iceberg
    deltalake read_csv read_csv_auto read_json read_json_auto read_parquet read_files read_kafka parquet_scan
    iceberg_scan delta_scan sqlite_scan postgres_scan mysql_scan glob table""")
)
_WORD = re.compile(r"[a-z_]\w*")
_FILE = re.compile(r"(?:from|join|into|using|to|query\s*=>)\s*'")
#: texts with these may have quotes that do not end a literal, or do not begin one
_ODD = ("\\", "$", "--", "/*", "#", "q'")
_LITERAL = re.compile(r"""("[^"]*"|`[^`]*`|\[[^\]]*\])|'(?:[^']|'')*'|(?<![\w.$@#:-])\d+(?:\.\d+)?(?![\w.])""")
_LIST = re.compile(r"\bIN \( \?(?: , \?)+ \)")
#: where [ ] are quotes of names
_BRACKETS = frozenset(("tsql", "fabric", "sqlite"))
_DROPPED = frozenset(("AS", "INNER", "OUTER", "ASC"))
#: INSERT INTO t, INSERT OVERWRITE TABLE t, MERGE INTO t
_DROPPED_AFTER = {"INSERT": ("INTO", "TABLE"), "OVERWRITE": ("INTO", "TABLE"), "MERGE": ("INTO",)}
_SAME = {"!=": "<>", "==": "=", "INTEGER": "INT", "EXECUTE": "EXEC"}
#: names of tables differ by case (BigQuery, and MySQL and ClickHouse on most systems)
_CASE_COUNTS = frozenset(("bigquery", "mysql", "clickhouse"))


def moves_nothing(sql: str) -> bool:
    """Whether a statement surely writes no table: a query, a setting. Costs about a microsecond."""
    lower = sql.lower()
    return not any(word in lower for word in _MOVES)


def outline(sql: str, dialect: str) -> str | None:
    """The text without the values of its literals; None where that takes a tokenizer. Costs ten microseconds.

    Texts of one outline are one statement; one statement may have several outlines.
    """
    lower = sql.lower()
    if "[" in sql and dialect not in _BRACKETS:  # x['it]'s']
        return None
    if any(sign in lower for sign in _ODD) or _is_telling(lower):
        return None
    return _LITERAL.sub(_without_value, sql)


def _without_value(found: re.Match[str]) -> str:
    return found[1] or "?"


def _is_telling(lower: str) -> bool:
    words = set(_WORD.findall(lower))
    if not words.isdisjoint(_TELLING) or ("'" in lower and _FILE.search(lower) is not None):
        return True
    called = words & _FUNCTIONS
    return any(f"{name}(" in lower or f"{name} (" in lower for name in called)


def statement_key(sql: str, dialect: str, around: str = "") -> int:
    """64 bits of the statement. around: of what else makes it what it is (the defaults of its names)."""
    text = f"{around}\0{plain_text(sql, dialect)}"
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big")


def plain_text(sql: str, dialect: str) -> str:
    """The statement in its plainest layout; for comparing, not for reading."""
    from sqlglot.errors import TokenError
    from sqlglot.tokenizer_core import TokenType

    from shared.lineage.parsing import dialect_of, tokenizer_of

    name, spoken, _ = dialect_of(canonical(dialect))
    try:
        tokens = tokenizer_of(name)(dialect=spoken).tokenize(sql)
    except (TokenError, ValueError):
        return " ".join(sql.split())
    telling, cased, strings = _is_telling(sql.lower()), name in _CASE_COUNTS, _strings()
    parts: list[str] = []
    for token in tokens:
        kind, text = token.token_type, token.text
        if kind is TokenType.IDENTIFIER:
            parts.append(f'"{text}"')
        elif kind is TokenType.NUMBER:
            alone = not (telling or _joined(sql, token.start - 1) or _joined(sql, token.end + 1))
            parts.append("?" if alone else text)
        elif kind in strings:
            parts.append(f"'{text}'" if telling else "?")
        else:
            word = text if kind is TokenType.VAR and cased else text.upper()
            before = parts[-1] if parts else ""
            if word not in _DROPPED and word not in _DROPPED_AFTER.get(before, ()):
                parts.append(_SAME.get(word, word))
    while parts and parts[-1] == ";":
        parts.pop()
    return _LIST.sub("IN ( ? )", " ".join(parts))


@functools.cache
def _strings() -> frozenset[Any]:
    from sqlglot.tokenizer_core import TokenType

    return frozenset(kind for kind in TokenType if kind.name.endswith("STRING"))


def _joined(sql: str, at: int) -> bool:
    """Whether the character there makes a number a part of a name: `my-project-1.sales`."""
    return 0 <= at < len(sql) and (sql[at].isalnum() or sql[at] in "_.-$@#:")
