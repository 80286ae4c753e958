"""MySQL's modifiers and hints, which say nothing about lineage and which sqlglot's grammar refuses.

https://dev.mysql.com/doc/refman/8.4/en/insert.html, /select.html, /index-hints.html, /values.html
"""

from __future__ import annotations

from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage.tokens import balanced, instead
from shared.lineage.words import word, words_in

_WRITES = words_in("INSERT REPLACE UPDATE DELETE")
_MODIFIERS = words_in("LOW_PRIORITY DELAYED HIGH_PRIORITY QUICK IGNORE")
_OF_SELECT = words_in("""
    HIGH_PRIORITY STRAIGHT_JOIN SQL_SMALL_RESULT SQL_BIG_RESULT SQL_BUFFER_RESULT SQL_NO_CACHE SQL_CACHE
    SQL_CALC_FOUND_ROWS""")
_HINTS = words_in("USE FORCE IGNORE")


def rewritten(tokens: list[Token]) -> list[Token]:
    """Without modifiers of writes and queries, hints about indexes, and ROW before a row of VALUES."""
    words = [word(t) for t in tokens]
    found: list[Token] = []
    i = 0
    if words[0] in _WRITES:
        found, i = tokens[:1], 1
        while words[i : i + 1] and words[i] in _MODIFIERS:
            i += 1
        if i > 1 and words[0] in ("INSERT", "REPLACE") and words[i : i + 1] != ["INTO"]:
            found = [*found, instead(tokens[0], TokenType.INTO)]
    if i < 2 and not {"SELECT", "ROW"}.intersection(words):
        return tokens
    while i < len(tokens):
        before = words[i - 1] if i else ""
        follows = tokens[i + 1].text if i + 1 < len(tokens) else ""
        is_row = words[i] == "ROW" and follows == "(" and (before == "VALUES" or tokens[i - 1].text == ",")
        if is_row or (words[i] in _OF_SELECT and _after_select(words, i)):
            i += 1
        elif words[i] in _HINTS and i > 1 and words[i + 1 : i + 2] in (["INDEX"], ["KEY"]):
            i = _after_hint(tokens, words, i + 2)
        else:
            found.append(tokens[i])
            i += 1
    return found


def _after_select(words: list[str], i: int) -> bool:
    while i and words[i] in _OF_SELECT:
        i -= 1
    return words[i] in ("SELECT", "DISTINCT", "ALL")


def _after_hint(tokens: list[Token], words: list[str], i: int) -> int:
    if words[i : i + 1] == ["FOR"]:
        i += 3 if words[i + 2 : i + 3] == ["BY"] else 2
    return i + 2 + len(balanced(tokens[i + 1 :])) if tokens[i : i + 1] and tokens[i].text == "(" else i
