"""JSON_TABLE and XMLTABLE, put into the one form of JSON_TABLE that the grammar reads.

Their columns differ in clauses that say nothing about lineage (EXISTS PATH, DEFAULT .. ON EMPTY, BY REF, types):
https://docs.oracle.com/en/database/oracle/oracle-database/23/sqlrf/JSON_TABLE.html,
https://dev.mysql.com/doc/refman/8.4/en/json-table-functions.html, https://www.postgresql.org/docs/current/functions-xml.html
"""

from __future__ import annotations

from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage.tokens import balanced, comma, named, opens, parts
from shared.lineage.words import word

_FUNCTIONS = ("JSON_TABLE", "XMLTABLE")
#: functions whose last argument is followed by options
_MADE = ("JSON_OBJECT", "JSON_OBJECTAGG", "JSON_ARRAY", "JSON_ARRAYAGG", "JSON_VALUE", "JSON_QUERY", "JSON_SERIALIZE")
MAX_NESTED = 20


def tabled(tokens: list[Token], depth: int = 0) -> list[Token]:
    """The tokens with each of these functions rewritten."""
    if depth > MAX_NESTED or not any((w := word(t)) in _FUNCTIONS or w in _MADE or w == "UNPIVOT" for t in tokens):
        return tokens
    found: list[Token] = []
    i = 0
    while i < len(tokens):
        end = _object(tokens, i)
        if end:
            found += _unpivoted(tokens[i:end])
            i = end
            continue
        if word(tokens[i]) in _FUNCTIONS and i + 1 < len(tokens) and tokens[i + 1].text == "(":
            inner = balanced(tokens[i + 2 :])
            made = _function(tokens[i], inner, depth)
            if made:
                found += made
                i += len(inner) + 3
                continue
        if word(tokens[i]) in _MADE and i + 1 < len(tokens) and tokens[i + 1].text == "(":
            inner = balanced(tokens[i + 2 :])
            if i + 2 + len(inner) < len(tokens):
                found += [tokens[i], tokens[i + 1], *tabled(_without_options(inner), depth + 1)]
                i += len(inner) + 2
                continue
        found.append(tokens[i])
        i += 1
    return found


def _without_options(inner: list[Token]) -> list[Token]:
    """The arguments of JSON_OBJECT and the like, without what says how the result looks."""
    level = 0
    for i, token in enumerate(inner):
        level += (token.text in ("(", "[")) - (token.text in (")", "]"))
        words = [word(t) for t in inner[i : i + 3]]
        if level or not i:
            continue
        if words[0] in ("RETURNING", "STRICT", "PRETTY", "WITHOUT") or words[1:] == ["ON", "NULL"]:
            return inner[:i]
        if words[0] in ("ERROR", "EMPTY", "NULL", "DEFAULT", "TRUE", "FALSE") and {"ERROR", "EMPTY"} & {
            word(t) for t in inner[i + 1 : i + 6]
        }:
            return inner[:i]
        if words[0] == "WITH" and {"WRAPPER", "UNIQUE"} & {word(t) for t in inner[i + 1 : i + 5]}:
            return inner[:i]
    return inner


def _object(tokens: list[Token], i: int) -> int:
    """Where Redshift's `UNPIVOT t.object AS value AT attribute` in FROM ends, or 0.

    https://docs.aws.amazon.com/redshift/latest/dg/query-super.html
    """
    if word(tokens[i]) != "UNPIVOT" or not i or not (tokens[i - 1].text == "," or word(tokens[i - 1]) == "JOIN"):
        return 0
    at = next((j for j in range(i + 2, min(i + 12, len(tokens))) if word(tokens[j]) == "AS"), 0)
    return at + 4 if at and [word(t) for t in tokens[at + 2 : at + 3]] == ["AT"] and at + 4 <= len(tokens) else 0


def _unpivoted(tokens: list[Token]) -> list[Token]:
    name = tokens[0]
    head = [named("JSON_TABLE", name), _left(name), *tokens[1:-4], comma(name), _string("$", name)]
    return [*head, *_columns(name, [tokens[-3], comma(name), tokens[-1]], 0), _right(name), named("unpivoted", name)]


def _function(name: Token, inner: list[Token], depth: int) -> list[Token]:
    """The whole call, or nothing where its columns are not listed."""
    level = 0
    at = 0
    for i, token in enumerate(inner):
        level += opens(token)
        if level == 0 and word(token) == "COLUMNS":
            at = i
            break
    if not at:
        return []
    columns = inner[at + 1 :]
    if columns and columns[0].text == "(":
        columns = balanced(columns[1:])
    sources = _sources(name, inner[:at])
    if not sources:
        return []
    source = [named("COALESCE", name), _left(name)]
    for n, each in enumerate(sources):
        source += [*([comma(name)] if n else []), *tabled(each, depth + 1)]
    made = [named("JSON_TABLE", name), _left(name), *source, _right(name), comma(name), _string("$", name)]
    return [*made, *_columns(name, columns, depth), _right(name)]


def _sources(name: Token, head: list[Token]) -> list[list[Token]]:
    """The expressions that hold the document: the first argument, or those after PASSING."""
    words = [word(t) for t in head]
    if word(name) == "JSON_TABLE":
        first = parts(head)[0] if head else []
        cut = next((i for i, t in enumerate(first) if word(t) == "FORMAT"), len(first))
        return [first[:cut]] if first[:cut] else []
    if "PASSING" not in words:
        return []
    found = []
    rest = head[words.index("PASSING") + 1 :]
    for part in parts(rest):
        kept = part
        while kept and word(kept[0]) in ("BY", "VALUE", "REF"):
            kept = kept[1:]
        end = len(kept)
        for i, token in enumerate(kept):
            if word(token) in ("RETURNING", "AS", "BY") and i and not _inside(kept, i):
                end = min(end, i)
        if kept[:end]:
            found.append(kept[:end])
    return found


def _inside(tokens: list[Token], i: int) -> bool:
    return sum(opens(t) for t in tokens[:i]) > 0


def _columns(name: Token, columns: list[Token], depth: int) -> list[Token]:
    """COLUMNS (..) with a name and a path each; nested ones stand beside the others."""
    found: list[Token] = []

    def listed(tokens: list[Token], level: int) -> None:
        for part in parts(tokens):
            words = [word(t) for t in part]
            if words[0] == "NESTED" and "COLUMNS" in words and level < MAX_NESTED:
                at = words.index("COLUMNS") + 1
                inner = part[at:]
                listed(balanced(inner[1:]) if inner and inner[0].text == "(" else inner, level + 1)
                continue
            if found:
                found.append(comma(name))
            found.append(part[0])
            if words[1:3] == ["FOR", "ORDINALITY"]:
                found.extend(part[1:3])
            else:
                found.extend([_type(name), named("PATH", name), _string("$", name)])

    listed(columns, depth)
    return [named("COLUMNS", name), _left(name), *found, _right(name)]


def _left(token: Token) -> Token:
    return Token(TokenType.L_PAREN, "(", token.line, token.col, token.start, token.end)


def _right(token: Token) -> Token:
    return Token(TokenType.R_PAREN, ")", token.line, token.col, token.start, token.end)


def _string(text: str, token: Token) -> Token:
    return Token(TokenType.STRING, text, token.line, token.col, token.start, token.end)


def _type(token: Token) -> Token:
    return Token(TokenType.VARCHAR, "VARCHAR", token.line, token.col, token.start, token.end)
