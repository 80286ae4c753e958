"""What a SELECT's items look like in the text: the name of a column that has no other, as most engines give it."""

from __future__ import annotations

from typing import Any

from sqlglot import exp
from sqlglot.tokenizer_core import Token

from shared.lineage.words import word, words_in

#: ends of a SELECT list
_ENDS = words_in(
    "FROM INTO WHERE GROUP HAVING ORDER LIMIT UNION INTERSECT EXCEPT MINUS QUALIFY WINDOW BULK FETCH OFFSET"
)
MAX_NAME = 200


class Spelling:
    """The items of all SELECT lists of one statement; they are looked for when the first one is asked."""

    def __init__(self, tokens: list[Token], text: str) -> None:
        self._tokens = tokens
        self._text = text
        self._items: list[tuple[int, int]] | None = None

    def of(self, node: Any) -> str:
        """The expression as it is written, or "" where that is not known."""
        found = [n for n in node.walk() if isinstance(n, exp.Identifier) and n.meta.get("start") is not None]
        if not found or any(self._text[n.meta["start"] : n.meta["end"] + 1].strip('"`[]') != n.name for n in found):
            return ""  # parsed from another text
        first, last = min(n.meta["start"] for n in found), max(n.meta["end"] for n in found)
        if self._items is None:
            self._items = self._lists()
        spans = [(end - start, start, end) for start, end in self._items if start <= first and last <= end]
        if not spans:
            return ""
        _, start, end = min(spans)
        text = self._text[start : end + 1]
        return " ".join(text.split()) if len(text) <= MAX_NAME and "--" not in text and "/*" not in text else ""

    def _lists(self) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        opened: list[tuple[int, int]] = []  # (depth of a list, index of its item's first token)
        depth = 0
        for i, token in enumerate(self._tokens):
            w = word(token)
            closes = token.text in (")", "]", "}")
            if opened and opened[-1][0] == depth and (closes or token.text == "," or w in _ENDS):
                _, start = opened.pop()
                if start < i:
                    found.append((self._tokens[start].start, self._tokens[i - 1].end))
                if token.text == ",":
                    opened.append((depth, i + 1))
            depth += (token.text in ("(", "[", "{")) - closes
            if w == "SELECT":
                after = word(self._tokens[i + 1]) if i + 1 < len(self._tokens) else ""
                opened.append((depth, i + 2 if after in ("DISTINCT", "ALL") else i + 1))
        while opened:
            _, start = opened.pop()
            if start < len(self._tokens):
                found.append((self._tokens[start].start, self._tokens[-1].end))
        return found
