"""SQL/PSM's condition handlers: declared before the statements of their block, but run after some of them.

https://dev.mysql.com/doc/refman/8.4/en/declare-handler.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from shared.lineage.words import word

if TYPE_CHECKING:
    from shared.lineage.splitting import Piece

_KINDS = ("CONTINUE", "EXIT", "UNDO")
#: what a condition may be, besides numbers, strings and names
_CONDITIONS = ("SQLEXCEPTION", "SQLWARNING", "FOUND", "SQLSTATE", "VALUE")


def last(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The statements, those of handlers at the end of their routine: then its variables hold what they may hold."""
    kept: list[Piece] = []
    block: tuple[int, ...] | None = None  # where the body of a handler stands, or will begin
    is_begun = False
    for piece in pieces:
        if kept and piece.routine is not kept[-1].routine:
            yield from kept
            kept, block = [], None
        if _is_handler(piece):
            kept.append(piece)
            block, is_begun = (piece.path, False) if _has_block(piece) else (None, False)
            continue
        if block is not None and not is_begun and len(piece.path) > len(block):
            block, is_begun = piece.path[: len(block) + 1], True
        if block is not None and is_begun and piece.path[: len(block)] == block:
            kept.append(piece)
            continue
        block = None
        yield piece
    yield from kept


def _is_handler(piece: Piece) -> bool:
    words = [word(t) for t in piece.tokens[:3]]
    return words[:1] == ["DECLARE"] and words[1:2] != [] and words[1] in _KINDS and words[2:] == ["HANDLER"]


def _has_block(piece: Piece) -> bool:
    """Whether nothing follows the conditions: the body is the BEGIN .. END behind."""
    token = piece.tokens[-1]
    is_value = token.token_type.name in ("NUMBER", "STRING")
    before = piece.tokens[-2]
    return word(token) in _CONDITIONS or is_value or word(before) == "FOR" or before.text == ","
