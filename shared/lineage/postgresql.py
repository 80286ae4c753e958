"""PostgreSQL's clauses that sqlglot's grammar refuses, in words that it knows."""

from __future__ import annotations

from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage.tokens import balanced, instead, parts, select
from shared.lineage.words import word

#: `TABLE t` is a query after these (https://www.postgresql.org/docs/current/sql-select.html#SQL-TABLE)
_QUERY_AFTER = ("AS", "ALL", "UNION", "EXCEPT", "INTERSECT", "DISTINCT")
_TYPES = (TokenType.TABLE, TokenType.ROWS)


def plain(tokens: list[Token]) -> list[Token]:
    """Without OVERRIDING .. VALUE; TABLE t as a query; ROWS FROM (f(), g()) as its first function."""
    if not any(t.token_type in _TYPES or t.text.upper() in ("OVERRIDING", "UNLOGGED") for t in tokens):
        return tokens
    words = [word(t) for t in tokens]
    found: list[Token] = []
    i = 0
    while i < len(tokens):
        w, before = words[i], found[-1] if found else None
        follows = words[i + 1 : i + 3]
        if w == "OVERRIDING" and follows in (["SYSTEM", "VALUE"], ["USER", "VALUE"]):
            i += 3
        elif w in ("UNLOGGED", "TABLE") and before is not None and word(before) == "INTO" and words[0] != "INSERT":
            i += 1  # SELECT a INTO UNLOGGED TABLE t
        elif w == "TABLE" and _is_query(tokens, words, i, before):
            found += [select(tokens[i]), _star(tokens[i]), instead(tokens[i], TokenType.FROM)]
            i += 1
        elif w == "ROWS" and follows[:1] == ["FROM"] and tokens[i + 2 : i + 3] and tokens[i + 2].text == "(":
            inner = balanced(tokens[i + 3 :])
            found += parts(inner)[0] if inner else []
            i += 4 + len(inner)
        else:
            found.append(tokens[i])
            i += 1
    return found


def _is_query(tokens: list[Token], words: list[str], i: int, before: Token | None) -> bool:
    named = i + 1 < len(tokens) and (bool(words[i + 1]) or tokens[i + 1].token_type is TokenType.IDENTIFIER)
    if not named or words[i + 1] in ("FROM", "WHERE", "AS"):  # an alias: SELECT a AS TABLE FROM ..
        return False
    if before is None or word(before) in _QUERY_AFTER:
        return True
    after = i + 2 + 2 * sum(t.text == "." for t in tokens[i + 2 : i + 5])
    ends = after >= len(tokens) or tokens[after].text == ")"
    return (before.text == "(" or words[0] == "INSERT") and ends


def _star(token: Token) -> Token:
    return Token(TokenType.STAR, "*", token.line, token.col, token.start, token.end)
