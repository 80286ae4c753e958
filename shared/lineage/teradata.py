"""Teradata: short verbs, casts in brackets, periods, macros, its object store.

https://docs.teradata.com: SQL Data Types and Literals (data conversions), SQL Data Definition Language (macros)
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage.bteq import EXPORT, without_commands
from shared.lineage.definitions import name_at
from shared.lineage.loading import Moved
from shared.lineage.model import TableName
from shared.lineage.relations import Source
from shared.lineage.rewriting import ABBREVIATIONS
from shared.lineage.tables import Ref
from shared.lineage.tokens import balanced, instead, named, opens, parts, select
from shared.lineage.words import word, words_in

if TYPE_CHECKING:
    from shared.lineage.findings import Place
    from shared.lineage.script import Script

_TYPES = words_in("""
    BYTE VARBYTE BLOB BYTEINT SMALLINT INTEGER INT BIGINT DECIMAL DEC NUMERIC NUMBER FLOAT REAL DATE TIME TIMESTAMP CHAR
    CHARACTER VARCHAR CLOB GRAPHIC VARGRAPHIC INTERVAL PERIOD LONG""")
_ATTRIBUTES = words_in("FORMAT TITLE NAMED CASESPECIFIC CS UPPERCASE NOT WITH SET ZONE PRECISION VARYING")
_UNITS = frozenset({"YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"})
#: comparisons and operations by name, as operators that the grammar has
_OPERATORS = {
    "EQ": TokenType.EQ, "NE": TokenType.NEQ, "GT": TokenType.GT, "GE": TokenType.GTE, "LT": TokenType.LT,
    "LE": TokenType.LTE, "CONTAINS": TokenType.EQ, "MEETS": TokenType.EQ, "PRECEDES": TokenType.EQ,
    "SUCCEEDS": TokenType.EQ, "P_INTERSECT": TokenType.DPIPE, "LDIFF": TokenType.DPIPE, "RDIFF": TokenType.DPIPE,
}  # fmt: skip
_SIGNS = {TokenType.EQ: "=", TokenType.DPIPE: "||", TokenType.NEQ: "<>"}


def plain(tokens: list[Token], text: str, script: Script) -> list[Token]:
    """A script as statements: without the clients' commands, macros as procedures."""
    tokens = [
        named("period_bound", t) if word(t) in ("BEGIN", "END") and n is not None and n.text == "(" else t
        for t, n in itertools.zip_longest(tokens, tokens[1:])
    ]
    return _routines(without_commands(tokens, text, script))


def read(tokens: list[Token], script: Script, place: Place) -> bool:
    """Whether the statement was one of these and is done with."""
    first = word(tokens[0])
    if first == EXPORT and len(tokens) > 1:
        script.exported = Ref(TableName((tokens[1].text,))) if tokens[1].text else None
        return True
    if first == "USING" and len(tokens) > 2:  # USING a (CHAR(3)), b (DATE) INSERT ..
        at = next((i for i, t in enumerate(tokens) if i and _starts(tokens, i)), 0)
        listed = balanced(tokens[2:]) if tokens[1].text == "(" else tokens[1:at]
        if at and script.imported is not None:
            for part in parts(listed):
                name = part[0].text
                script.memory.variables[name.lower()] = {Source(script.imported, name): None}
        if at:
            script.again(tokens[at:], place)
        return bool(at)
    written = _written_objects(tokens) if first == "SELECT" else None
    if written is not None:
        script.statements.loaded(written, tokens, place)
        return True
    if first in ("SELECT", "WITH") and script.exported is not None:
        script.statements.loaded(Moved("EXPORT", (), (script.exported,), tokens, is_file=True), tokens, place)
        return True
    return False


def _starts(tokens: list[Token], i: int) -> bool:
    starts = word(tokens[i]) in ("INSERT", "INS", "UPDATE", "UPD", "DELETE", "DEL", "MERGE", "SELECT", "SEL", "EXEC")
    return starts and tokens[i - 1].text == ")"


# ---- routines


def _routines(tokens: list[Token]) -> list[Token]:
    """REPLACE PROCEDURE is CREATE PROCEDURE; a macro's statements stand in brackets, a procedure's in BEGIN .. END."""
    if not any(word(t) in ("MACRO", "PROCEDURE") for t in tokens):
        return tokens
    found: list[Token] = []
    i = 0
    while i < len(tokens):
        following = word(tokens[i + 1]) if i + 1 < len(tokens) else ""
        if word(tokens[i]) == "REPLACE" and following == "PROCEDURE":
            found.append(instead(tokens[i], TokenType.CREATE))
        elif word(tokens[i]) in ("CREATE", "REPLACE") and following == "MACRO":
            at = next((j for j in range(i, min(i + 400, len(tokens))) if word(tokens[j]) == "AS"), 0)
            if at and at + 1 < len(tokens) and tokens[at + 1].text == "(":
                inner = balanced(tokens[at + 2 :])
                end = at + 2 + len(inner)
                semicolon = Token(TokenType.SEMICOLON, ";", tokens[i].line, 0, tokens[i].start, tokens[i].start)
                found += [instead(tokens[i], TokenType.CREATE), named("PROCEDURE", tokens[i]), *tokens[i + 2 : at]]
                closing = tokens[min(end, len(tokens) - 1)]
                found += [instead(tokens[at], TokenType.BEGIN), *inner, semicolon, instead(closing, TokenType.END)]
                i = end + 1
                continue
            found.append(tokens[i])
        else:
            found.append(tokens[i])
        i += 1
    return found


# ---- one statement


def _copied(tokens: list[Token]) -> list[Token]:
    """CREATE TABLE t AS u WITH DATA with a query of u."""
    at = next((i for i, t in enumerate(tokens) if word(t) == "AS"), 0) if word(tokens[0]) == "CREATE" else 0
    if (
        not at
        or at + 1 >= len(tokens)
        or tokens[at + 1].text == "("
        or word(tokens[at + 1]) in ("SELECT", "SEL", "WITH")
    ):
        return tokens
    name, end = name_at(tokens, at + 1)
    if [word(t) for t in tokens[end : end + 2]] != ["WITH", "DATA"]:
        return tokens
    mark = tokens[at]
    star = Token(TokenType.STAR, "*", mark.line, mark.col, mark.start, mark.end)
    opening = Token(TokenType.L_PAREN, "(", mark.line, mark.col, mark.start, mark.end)
    closing = Token(TokenType.R_PAREN, ")", mark.line, mark.col, mark.start, mark.end)
    query = [opening, select(mark), star, instead(mark, TokenType.FROM), *name, closing]
    return [*tokens[: at + 1], *query, *tokens[end:]]


def rewritten(tokens: list[Token]) -> list[Token]:
    """SEL, INS, UPD, DEL in full; without LOCKING .. FOR ACCESS, casts in brackets and what else says how to show."""
    if word(tokens[0]) == "USING":
        return tokens
    tokens = _copied(_objects(_expanded(_without_locks(tokens))))
    kind = ABBREVIATIONS.get(word(tokens[0]))
    tokens = [instead(tokens[0], kind), *tokens[1:]] if kind is not None else tokens
    if word(tokens[0]) == "INSERT" and len(tokens) > 2 and word(tokens[1]) != "INTO":
        tokens = [tokens[0], instead(tokens[0], TokenType.INTO), *tokens[1:]]
    defines = word(tokens[0]) == "CREATE" and not any(word(t) in ("SELECT", "SEL") for t in tokens)
    found: list[Token] = []
    i = 0
    while i < len(tokens):
        token, w = tokens[i], word(tokens[i])
        before = found[-1] if found else token
        following = tokens[i + 1] if i + 1 < len(tokens) else token
        if w == "SEL":
            found.append(instead(token, TokenType.SELECT))
        elif w in _OPERATORS and i and _is_operand(before) and following.text not in (",", ")", "."):
            kind = _OPERATORS[w]
            found.append(Token(kind, _SIGNS.get(kind, kind.name), token.line, token.col, token.start, token.end))
        elif w == "NORMALIZE" and word(before) == "SELECT":
            i += 1
            while i < len(tokens) and word(tokens[i]) in ("ON", "MEETS", "OR", "OVERLAPS"):
                i += 1
            continue
        elif w == "RESET" and word(following) == "WHEN":
            i += 1 + len(_window(tokens[i + 1 :]))
            continue
        elif w in ("ASC", "DESC") and following.text in (",", ")") and _legacy(found):
            pass  # RANK(a DESC)
        elif w == "WITH" and word(following) == "TIES":
            i += 2
            continue
        elif w in _UNITS and before.text == ")" and i and tokens[i - 1].text == ")" and not defines:
            i += _qualifier(tokens[i:])
            continue
        elif token.text == "(" and found and not defines and _is_operand(before):
            inner = balanced(tokens[i + 1 :])
            cast, name = _cast(inner)
            if cast:
                if name is not None:
                    found += [instead(token, TokenType.ALIAS), name]
                i += len(inner) + 2
                continue
            found.append(token)
        elif w == "FORMAT" and word(before) == "AS" and following.token_type is TokenType.STRING:
            found.append(named("VARCHAR", token))  # CAST(x AS FORMAT 'YYYY')
            i += 2
            continue
        else:
            found.append(token)
        i += 1
    return found


def _legacy(tokens: list[Token]) -> bool:
    """Whether the brackets that are open belong to an ordered function of old: RANK(a DESC), CSUM(a, b DESC)."""
    depth = 0
    for i in range(len(tokens) - 1, 0, -1):
        depth -= opens(tokens[i])
        if word(tokens[i]) in ("ORDER BY", "ORDER", "PARTITION BY") and depth == 0:
            return False
        if depth < 0:
            return word(tokens[i - 1]) in (
                "RANK",
                "CSUM",
                "MAVG",
                "MSUM",
                "MDIFF",
                "MLINREG",
                "QUANTILE",
                "PERCENT_RANK",
            )
    return False


def _expanded(tokens: list[Token]) -> list[Token]:
    """Without `EXPAND ON period AS p BY ..`; where the query names p, the period stands."""
    at = next((i for i in range(len(tokens) - 4) if word(tokens[i]) == "EXPAND" and word(tokens[i + 1]) == "ON"), -1)
    if at < 0:
        return tokens
    rest = balanced(tokens[at:])
    name = next((i for i, t in enumerate(rest) if word(t) == "AS"), 0)
    if not name or name + 1 >= len(rest):
        return tokens
    after = next((i for i in range(name, len(rest)) if word(rest[i]) in ("QUALIFY", "ORDER BY", "UNION")), len(rest))
    period, alias = rest[2:name], rest[name + 1].text.lower()
    kept = [*tokens[:at], *rest[after:], *tokens[at + len(rest) :]]
    found: list[Token] = []
    for i, t in enumerate(kept):
        lone = t.text.lower() == alias and kept[i - 1].text != "." and t.token_type.name in ("VAR", "IDENTIFIER")
        found += period if lone else [t]
    return found


def _objects(tokens: list[Token]) -> list[Token]:
    """`FROM (LOCATION = '/s3/..')` and READ_NOS (.. USING LOCATION ('/s3/..')) as the object store's path.

    https://docs.teradata.com: Native Object Store
    """
    found: list[Token] = []
    i = 0
    while i < len(tokens):
        reads = word(tokens[i]) == "READ_NOS" and i + 1 < len(tokens) and tokens[i + 1].text == "("
        start = i + 1 if reads else i
        inner = balanced(tokens[start + 1 :]) if tokens[start].text == "(" else []
        if inner and (reads or (word(inner[0]) == "LOCATION" and i and word(tokens[i - 1]) in ("FROM", "JOIN"))):
            path = next((t for t in _located(inner) if t.token_type is TokenType.STRING), None)
            if path is not None:
                found.append(Token(TokenType.IDENTIFIER, path.text, path.line, path.col, path.start, path.end))
                i = start + len(inner) + 2
                continue
        found.append(tokens[i])
        i += 1
    return found


def _located(tokens: list[Token]) -> list[Token]:
    """What stands after LOCATION, with or without `=` and brackets."""
    at = next((i for i, t in enumerate(tokens) if word(t) == "LOCATION"), len(tokens))
    return tokens[at + 1 : at + 3]


def _written_objects(tokens: list[Token]) -> Moved | None:
    """SELECT * FROM WRITE_NOS (ON (query) USING LOCATION ('/s3/..') ..) AS d."""
    at = next((i for i, t in enumerate(tokens[:-1]) if word(t) == "WRITE_NOS" and tokens[i + 1].text == "("), -1)
    if at < 0:
        return None
    inner = balanced(tokens[at + 2 :])
    path = next((t for t in _located(inner) if t.token_type is TokenType.STRING), None)
    query = balanced(inner[2:]) if len(inner) > 2 and word(inner[0]) == "ON" and inner[1].text == "(" else None
    if path is None or not query:
        return None
    return Moved("EXPORT", (), (Ref(TableName((path.text,))),), query, is_file=True)


def _without_locks(tokens: list[Token]) -> list[Token]:
    """Without LOCKING TABLE t FOR ACCESS, before a statement or a view's query."""
    at = next((i for i, t in enumerate(tokens) if word(t) in ("LOCKING", "LOCK")), -1)
    end = next((i for i in range(at, min(len(tokens), at + 12)) if word(tokens[i]) in _LOCKS), -1)
    if at < 0 or end < 0 or end + 1 >= len(tokens):
        return tokens
    end += word(tokens[end + 1]) in ("MODE", "NOWAIT", "OVERRIDE")
    return _without_locks([*tokens[:at], *tokens[end + 1 :]])


_LOCKS = frozenset({"ACCESS", "READ", "WRITE", "EXCLUSIVE", "SHARE"})


def _is_operand(token: Token) -> bool:
    kind = token.token_type.name
    return token.text == ")" or kind in ("VAR", "IDENTIFIER", "NUMBER", "STRING") or bool(word(token))


def _cast(inner: list[Token]) -> tuple[bool, Token | None]:
    """Whether brackets after an operand hold a type, FORMAT, TITLE or NAMED; the name that NAMED gives."""
    listed = parts(inner)
    name: Token | None = None
    for part in listed:
        first, second = word(part[0]), part[1] if len(part) > 1 else None
        if first in _TYPES:
            depth = 0
            for before, t in itertools.pairwise(part):
                depth += opens(t)
                stray = depth == 0 and t.text != ")" and word(t) not in _ATTRIBUTES | _TYPES | _UNITS | {"TO", "FOR"}
                if stray and word(before) not in ("FORMAT", "TITLE", "NAMED", "SET"):
                    return False, None
        elif first in ("FORMAT", "TITLE") and second is not None and second.token_type is TokenType.STRING:
            pass
        elif first == "NAMED" and second is not None and len(part) == 2:
            name = second
        elif not (first in ("CASESPECIFIC", "CS", "UPPERCASE", "NOT") and all(word(t) in _ATTRIBUTES for t in part)):
            return False, None
        for t, following in itertools.pairwise(part):
            if word(t) == "NAMED":
                name = following
    return bool(listed), name


def _qualifier(tokens: list[Token]) -> int:
    """Length of DAY(4) TO SECOND(3)."""
    n = 1
    while n < len(tokens):
        if tokens[n].text == "(" and word(tokens[n - 1]) in _UNITS:
            n += len(balanced(tokens[n + 1 :])) + 2
        elif word(tokens[n]) == "TO" and n + 1 < len(tokens) and word(tokens[n + 1]) in _UNITS:
            n += 2
        else:
            break
    return n


def _window(tokens: list[Token]) -> list[Token]:
    """What stands in an OVER up to its frame."""
    inner = balanced(tokens)
    end = next((i for i, t in enumerate(inner) if word(t) in ("ROWS", "RANGE")), len(inner))
    return inner[:end]
