"""What people write beside the columns of a CREATE statement, for systems that keep comments only in its text.

Tokens are enough for that: a parser would refuse whole statements for one clause that it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import msgspec

#: longer statements are left alone: finding comments is worth a millisecond, not a second
MAX_TEXT = 100_000
_WORTH_READING = re.compile(r"--|/\*|\bas\s*\(", re.IGNORECASE)


class Comments(msgspec.Struct, frozen=True):
    """table: the comment on the statement as a whole; columns and generated expressions by lower-case column name."""

    table: str = ""
    columns: dict[str, str] = {}
    generated: dict[str, str] = {}


def comments(statement: str, dialect: str) -> Comments:
    """Read the comments of a CREATE TABLE or CREATE VIEW; none where its tokens are not understood.

    What stands before the first column, or before a view's SELECT, belongs to the table; what stands above a column or
    behind it belongs to the column.
    """
    if len(statement) > MAX_TEXT or not _WORTH_READING.search(statement):
        return Comments()
    from sqlglot import Dialect
    from sqlglot.errors import TokenError

    try:
        tokens = Dialect.get_or_raise(dialect).tokenize(statement)
    except TokenError:
        return Comments()
    words = [token.text.upper() for token in tokens]
    is_table = "TABLE" in words[:3]  # CREATE [TEMPORARY] TABLE
    opening = "(" if is_table else "AS"
    if opening not in words or "VIRTUAL" in words[:2]:
        return Comments()
    head = words.index(opening) + 1
    columns: dict[str, str] = {}
    generated: dict[str, str] = {}
    for column in _items(tokens[head:]) if is_table else ():
        name = column[0].text.lower()
        columns.setdefault(name, _text(column))
        for before, token in pairwise(column):
            if before.text.upper() == "AS" and token.text == "(":
                generated[name] = _parenthesised(statement, column, token)
    return Comments(_text(tokens[:head]), columns, generated)


def _items(tokens: list[Any]) -> Iterable[list[Any]]:
    """The items up to the closing parenthesis, each with its comma, which carries the comment behind it."""
    depth, item = 0, []
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth < 0:
            break
        item.append(token)
        if depth == 0 and token.text == ",":
            yield item
            item = []
    if item:
        yield item


def _parenthesised(statement: str, tokens: list[Any], opening: Any) -> str:
    depth = 0
    for token in tokens[tokens.index(opening) :]:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth == 0:
            return statement[opening.end + 1 : token.start].strip()
    return ""


def _text(tokens: Iterable[Any]) -> str:
    said = (" ".join(line.strip(" \t*") for line in comment.split("\n")) for t in tokens for comment in t.comments)
    return " ".join(text.strip() for text in said if text.strip())
