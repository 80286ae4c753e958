"""Text that is not clean: NUL characters, binary data, a quote or a comment that is open somewhere."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import NamedTuple

from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

#: a part of a text ends after one of these, if it ends well
_ENDS = re.compile(r";[ \t\r]*(?:--[^\n]*)?\n|\n[ \t]*(?:GO|/)[ \t\r]*(?=\n)", re.IGNORECASE)
#: parts that are joined because the first of them may have a semicolon in a string
MAX_JOINED, MAX_JOINED_CHARACTERS = 12, 20_000
#: characters that are looked at to tell text from binary data
SAMPLE = 65_536
#: words and signs of a text; as tokens they take 170 bytes each
MAX_WORDS = 1_000_000
_WORD = re.compile(r"'[^'\n]{0,100}'|\w+|[^\w\s]")
_CONTROL = re.compile(r"[\x01-\x08\x0e-\x1f\x7f\ufffd]")

Tokenize = Callable[[str], list[Token]]


class Cleaned(NamedTuple):
    """A text, and what is wrong with it ("" if nothing is)."""

    text: str
    wrong: str = ""


def cleaned(text: str, limit: int) -> Cleaned:
    """With plain line ends, without NUL characters and what goes beyond `limit`; empty where it is no text at all."""
    wrong = []
    text = text.replace("\r\n", "\n")
    if "\n" not in text:
        text = text.replace("\r", "\n")
    if "\0" in text:
        wrong.append(f"{text.count(chr(0)):,} NUL characters were left out")
        text = text.replace("\0", "")
    if len(_CONTROL.findall(text[:SAMPLE])) > 0.02 * len(text[:SAMPLE]) + 2:
        return Cleaned("", "binary data, not SQL; nothing of it was read")
    if len(text) > MAX_WORDS:
        beyond = next(itertools.islice(_WORD.finditer(text), MAX_WORDS, None), None)
        limit = min(limit, beyond.start()) if beyond is not None else limit
    if len(text) > limit:
        ends = [m.end() for m in _ENDS.finditer(text, limit // 2, limit)]
        text = text[: ends[-1] if ends else limit]
        after = text.count("\n") + 1
        wrong.append(
            f"the text is too long; what follows after {limit:,} characters, from line {after} on, was not read"
        )
    return Cleaned(text, "; ".join(wrong))


def recovered(text: str, tokenize: Tokenize) -> tuple[list[Token], list[int]]:
    """Tokens of what can be split into words, and the lines where parts begin that cannot.

    A part is joined with those after it as long as that may close its quote: a semicolon may stand in a string. For one
    that cannot be read there is a semicolon.
    """
    ends = [m.end() for m in _ENDS.finditer(text)]
    if not ends or ends[-1] < len(text):
        ends.append(len(text))
    found: list[Token] = []
    lost: list[int] = []
    left = 4 * len(text) + 100_000  # characters that may be looked at, all attempts together
    start, i, line = 0, 0, 0
    while i < len(ends):
        tokens, j = None, i
        while tokens is None and j < min(i + MAX_JOINED, len(ends)):
            part = text[start : ends[j]]
            if j > i and (len(part) > MAX_JOINED_CHARACTERS or left < len(part)):
                break
            left -= len(part)
            tokens = _tokens(part, tokenize)
            j += 1
        if tokens is None:
            lost.append(line + 1)
            j = i + 1
            found.append(Token(TokenType.SEMICOLON, ";", line + 1, 0, start, start))
        else:
            found += [
                Token(t.token_type, t.text, t.line + line, t.col, t.start + start, t.end + start, t.comments)
                for t in tokens
            ]
        line += text.count("\n", start, ends[j - 1])
        start, i = ends[j - 1], j
    return found, lost


def _tokens(text: str, tokenize: Tokenize) -> list[Token] | None:
    try:
        return tokenize(text)
    except (TokenError, ValueError, RecursionError):
        return None
