"""Hive's and Spark's FROM-first statements with several INSERTs, and rows that go through a script (TRANSFORM).

https://cwiki.apache.org/confluence/display/Hive/LanguageManual+DML, /LanguageManual+Transform
"""

from __future__ import annotations

import itertools

from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage.tokens import balanced, comma, instead, named, opens, parts
from shared.lineage.words import word, words_in

#: what may follow the list of a SELECT that has no FROM of its own
_AFTER_LIST = words_in("""
    WHERE GROUP HAVING LATERAL ORDER SORT CLUSTER DISTRIBUTE WINDOW LIMIT QUALIFY""") | {
    "GROUP BY",
    "ORDER BY",
    "SORT BY",
    "CLUSTER BY",
    "DISTRIBUTE BY",
}
_AFTER_SCRIPT = _AFTER_LIST | {"FROM", "ROW", "RECORDREADER", "INSERT"}
_QUERY = frozenset({"SELECT", "MAP", "REDUCE", "WITH"})


def single(tokens: list[Token]) -> list[list[Token]]:
    """`FROM s INSERT .. SELECT .. INSERT .. SELECT ..` as one INSERT after another; other statements as they are."""
    tokens = _scripted_everywhere(tokens)
    if word(tokens[0]) not in ("FROM", "WITH"):
        return [tokens]
    depth, start, inserts = 0, -1, list[int]()
    for i, t in enumerate(tokens):
        depth += opens(t)
        if depth == 0:
            if word(t) == "FROM" and start < 0:
                start = i
            elif word(t) == "INSERT" and start >= 0:
                inserts.append(i)
            elif word(t) in ("SELECT", "INSERT") and start < 0:
                return [tokens]
    if not inserts:
        return [tokens]
    with_, source = tokens[:start], tokens[start : inserts[0]]
    return [
        _insert(tokens[at:end], with_, source) for at, end in zip(inserts, [*inserts[1:], len(tokens)], strict=True)
    ]


def _insert(tokens: list[Token], with_: list[Token], source: list[Token]) -> list[Token]:
    depth, select, rest = 0, -1, len(tokens)
    for i, t in enumerate(tokens):
        depth += opens(t)
        if depth == 0 and select < 0 and word(t) == "SELECT":
            select = i
        elif depth == 0 and select >= 0 and word(t) in _AFTER_LIST:
            rest = i
            break
    if select < 0:
        return tokens
    return [*tokens[:select], *with_, *tokens[select:rest], *source, *tokens[rest:]]


def _scripted_everywhere(tokens: list[Token]) -> list[Token]:
    if not any(
        t.token_type is TokenType.USING and n.token_type.name.endswith("STRING") for t, n in itertools.pairwise(tokens)
    ):
        return tokens
    found: list[Token] = []
    i = 0
    while i < len(tokens):
        found.append(tokens[i])
        if tokens[i].text == "(":
            inner = balanced(tokens[i + 1 :])
            found += _scripted_everywhere(inner)
            i += len(inner)
        i += 1
    return _scripted(found)


def _scripted(tokens: list[Token]) -> list[Token]:
    """`SELECT TRANSFORM (a, b) USING 's' AS (x, y)`, `MAP a, b USING 's' AS x, y`: each of x, y comes of a and b."""
    depth, start, using = 0, -1, -1
    for i, t in enumerate(tokens[:-1]):
        depth += opens(t)
        if depth == 0 and word(t) in _QUERY - {"WITH"}:
            start = i
        if depth == 0 and word(t) == "USING" and tokens[i + 1].token_type.name.endswith("STRING") and start >= 0:
            using = i
            break
    if using < 0:
        return tokens
    given = tokens[start + 1 : using]
    if word(tokens[start]) == "SELECT":
        at = next((i for i, t in enumerate(given) if word(t) == "TRANSFORM"), -1)
        if at < 0 or at + 1 >= len(given) or given[at + 1].text != "(":
            return tokens
        given = balanced(given[at + 2 :])
    rest = tokens[using + 2 :]
    names: list[Token] = []
    end = 0
    if rest and word(rest[0]) == "AS":
        end = 1
        listed = rest[1:]
        if listed and listed[0].text == "(":
            listed = balanced(listed[1:])
            end += len(listed) + 2
        else:
            stop = next((i for i, t in enumerate(listed) if word(t) in _AFTER_SCRIPT), len(listed))
            listed = listed[:stop]
            end += stop
        names = [p[0] for p in parts(listed)]
    at_ = tokens[start]
    names = names or [named("key", at_), named("value", at_)]
    stop = next(
        (i for i in range(end, len(rest)) if word(rest[i]) in _AFTER_SCRIPT - {"ROW", "RECORDREADER"}), len(rest)
    )
    left = Token(TokenType.L_PAREN, "(", at_.line, 0, at_.start, at_.start)
    right = Token(TokenType.R_PAREN, ")", at_.line, 0, at_.start, at_.start)
    query = [instead(at_, TokenType.SELECT)]
    for n, name in enumerate(names):
        call = [named("scripted", at_), left, *given, right, instead(at_, TokenType.ALIAS), name]
        query += [*([comma(at_)] if n else []), *call]
    before = tokens[:start]
    if before and word(before[0]) == "FROM" and not any(word(t) == "INSERT" for t in before):  # (FROM t MAP ..)
        return [*query, *before, *rest[stop:]]
    return [*before, *query, *rest[stop:]]
