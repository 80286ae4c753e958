"""Spark's and Databricks' own statements: views over files, cached queries, flows that apply changes to a table.

https://docs.databricks.com/sql/language-manual/sql-ref-syntax-ddl-create-view, /sql-ref-syntax-aux-cache-cache-table,
https://docs.databricks.com/dlt-ref/dlt-sql-ref-apply-changes-into
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage.definitions import name_at
from shared.lineage.loading import Moved
from shared.lineage.model import TableName
from shared.lineage.tables import Ref
from shared.lineage.tokens import balanced, instead, named
from shared.lineage.words import word

if TYPE_CHECKING:
    from shared.lineage.findings import Place
    from shared.lineage.script import Script


def read(tokens: list[Token], script: Script, place: Place) -> bool:
    """Whether the statement was one of these and is done with."""
    if word(tokens[0]) not in ("CACHE", "APPLY", "CREATE"):
        return False
    words = [word(t) for t in tokens]
    if words[0] == "CACHE" and {"SELECT", "WITH", "FROM", "VALUES"} & set(words):
        return _cached(tokens, words, script, place)
    if words[0] == "APPLY" or (words[0] == "CREATE" and "FLOW" in words[1:4]):
        return _flow(tokens, words, script, place)
    if words[0] == "CREATE" and "VIEW" in words[1:6] and "USING" in words and "SELECT" not in words:
        return _view_of_files(tokens, words, script, place)
    return False


def _cached(tokens: list[Token], words: list[str], script: Script, place: Place) -> bool:
    """CACHE [LAZY] TABLE t [OPTIONS (..)] [AS] query: a temporary view."""
    at = next(i for i, w in enumerate(words) if w in ("SELECT", "WITH", "FROM", "VALUES"))
    if "TABLE" not in words[:at]:
        return False
    first = tokens[0]
    name, _ = name_at(tokens, words.index("TABLE") + 1)
    head = [instead(first, kind) for kind in (TokenType.CREATE, TokenType.TEMPORARY, TokenType.VIEW)]
    alias = Token(TokenType.ALIAS, "AS", first.line, first.col, first.start, first.end)
    script.again([*head, *name, alias, *tokens[at:]], place)
    return True


def _view_of_files(tokens: list[Token], words: list[str], script: Script, place: Place) -> bool:
    """CREATE TEMPORARY VIEW v USING csv OPTIONS (path 's3://..')."""
    name, _ = name_at(tokens, words.index("VIEW") + 1)
    ref = script.names.of_tokens(name)
    file = next(
        (
            t.text
            for key, equals, t in zip(tokens, tokens[1:], [*tokens[2:], tokens[-1]], strict=False)
            for t in [t if equals.text == "=" else equals]
            if (word(key) or key.text.upper()) == "PATH" and t.token_type.name.endswith("STRING")
        ),
        None,
    )
    if ref is None or file is None:
        return False
    temporary = bool({"TEMP", "TEMPORARY"} & set(words[1:6]))
    target = Ref(ref.name, temporary)
    script.memory.define(target, None, temporary=temporary)
    source = Ref(TableName((file,)))
    script.statements.loaded(Moved("CREATE VIEW", (source,), (target,)), tokens, place)
    return True


def _flow(tokens: list[Token], words: list[str], script: Script, place: Place) -> bool:
    """APPLY CHANGES INTO t FROM s ..; CREATE FLOW f AS AUTO CDC INTO t FROM s ..; CREATE FLOW f AS INSERT INTO .."""
    if "INSERT" in words:
        script.again(tokens[words.index("INSERT") :], place)
        return True
    if "INTO" not in words or "FROM" not in words[words.index("INTO") :]:
        return False
    at = words.index("INTO")
    source = words.index("FROM", at) + 1
    name, _ = name_at(tokens, at + 1)
    source += words[source : source + 1] == ["STREAM"]
    inner = balanced(tokens[source + 1 :]) if tokens[source].text == "(" else name_at(tokens, source)[0]
    listed = _columns(tokens, words)
    star = [Token(TokenType.STAR, "*", tokens[0].line, 0, tokens[0].start, tokens[0].start)]
    query = [instead(tokens[0], TokenType.SELECT), *(listed or star), instead(tokens[0], TokenType.FROM), *inner]
    script.again([instead(tokens[0], TokenType.INSERT), instead(tokens[0], TokenType.INTO), *name, *query], place)
    return True


def _columns(tokens: list[Token], words: list[str]) -> list[Token]:
    """COLUMNS (a, b), COLUMNS * EXCEPT (c)."""
    if "COLUMNS" not in words:
        return []
    at = words.index("COLUMNS") + 1
    if at < len(tokens) and tokens[at].text == "(":
        return balanced(tokens[at + 1 :])
    if words[at + 1 : at + 2] == ["EXCEPT"] and at + 2 < len(tokens):
        inner = balanced(tokens[at + 3 :])
        return [tokens[at], named("EXCEPT", tokens[at]), tokens[at + 2], *inner, tokens[at + 3 + len(inner)]]
    return []
