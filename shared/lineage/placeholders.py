"""Template placeholders of scripts that a tool fills in before they run: each becomes one name, written as it stands.

`@extschema@` in PostgreSQL's extension scripts (https://www.postgresql.org/docs/current/extend-extensions.html),
`$(Database)` of sqlcmd (https://learn.microsoft.com/sql/tools/sqlcmd/sqlcmd-use-scripting-variables), `&schema..t` of
SQL*Plus, `:schema` and `:"schema"` of psql, `${hivevar:db}`, `&{var}` of SnowSQL, `{{ params.t }}` of Jinja.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

from sqlglot.tokenizer_core import Token, TokenType

_BRACED = r"\$\{[^{}\n]{1,120}\}|\{\{[^{}]{1,400}\}\}|&\{\w{1,80}\}"
_AT = r"@[A-Za-z_]\w*@"
_PSQL = r"(?<![:\w\]]):(?:\"[^\"\n]{1,80}\"|'[A-Za-z_]\w*'|[A-Za-z_]\w*)"
#: the variable in a placeholder
_VARIABLE = re.compile(r"[$&:]{1,2}[{('\"]?(?:hivevar:|hiveconf:)?(\w+)[})'\"]?\.?")
_SIMPLE = re.compile(r"[\w$#]+(?:\.[\w$#]+)*")
_SQLCMD = r"\$\([A-Za-z_][\w.]*\)"
_AMPERSAND = r"&&?[A-Za-z_]\w*(?:\.(?=\.))?"
#: what opens a placeholder of each dialect; a script without it costs one search
_PATTERNS = {
    "tsql": rf"{_BRACED}|{_SQLCMD}",
    "fabric": rf"{_BRACED}|{_SQLCMD}",
    "oracle": rf"{_BRACED}|{_AMPERSAND}",
    "snowflake": rf"{_BRACED}|{_AMPERSAND}",
    "mysql": _BRACED,
    "postgres": rf"{_BRACED}|{_AT}|{_PSQL}",
    "redshift": rf"{_BRACED}|{_AT}|{_PSQL}",
}
_BLOCK = re.compile(r"\{%[^%]{0,2000}%\}|\{\{[-+]?\s*config\s*\((?:(?!\{\{)[^%]){0,2000}?\)\s*[-+]?\}\}")
#: dbt's names of tables (https://docs.getdbt.com/reference/dbt-jinja-functions)
_DBT = re.compile(r"\{\{[-+]?\s*(?:ref|source)\s*\(([^()]*)\)\s*[-+]?\}\}")


@functools.cache
def _pattern(dialect: str) -> re.Pattern[str]:
    one = _PATTERNS.get(dialect, rf"{_BRACED}|{_AT}")
    # a piece of the name may touch it on either side: stg_${env}_orders
    return re.compile(rf"(?<!\w)\w{{0,128}}(?:{one})(?:\w+|{one})*")


def is_placeholder(name: str) -> bool:
    """Whether a name is, or holds, a placeholder: it may then stand for a number or a whole expression."""
    return "{" in name or (name[:1] in "&@$" and not name[1:].isdigit())


def joined(tokens: list[Token], text: str, dialect: str, known: Mapping[str, str]) -> list[Token]:
    """Tokens with every placeholder, and the rest of a name that touches it, as one quoted name or as its value."""
    if "{%" in text or "{{" in text:
        tokens = _without_blocks(tokens, text)
    if not any(c in text for c in "{&@$") and ':"' not in text and dialect not in ("postgres", "redshift"):
        return tokens
    spans = [m.span() for m in _pattern(dialect).finditer(text)]
    if not spans:
        return tokens
    found: list[Token] = []
    at = 0
    for token in tokens:
        at = _reached(spans, at, token)
        if at == len(spans) or token.start < spans[at][0]:
            if at < len(spans) and token.end >= spans[at][0]:  # inside a string or a quoted name
                at = _after(spans, at, token.end)
                token = _filled(token, known)  # noqa: PLW2901
            found.append(token)
        elif token.start == spans[at][0]:
            start, end = spans[at]
            if token.end >= end:
                found.append(token)
            else:
                follows = text[end : end + 1] == "."
                inner = text[start:end]
                made = _valued(inner, token, end - 1, known) or _named(inner, token, end - 1, follows=follows)
                if not made:
                    at += 1
                found += made or [token]
        elif token.end >= spans[at][1]:
            found.append(token)
    return found


def _reached(spans: list[tuple[int, int]], at: int, token: Token) -> int:
    """The first span, from `at` on, that does not end before the token."""
    while at < len(spans) and spans[at][1] <= token.start:
        at += 1
    return at


def _after(spans: list[tuple[int, int]], at: int, end: int) -> int:
    while at < len(spans) and spans[at][0] <= end:
        at += 1
    return at


def _filled(token: Token, known: Mapping[str, str]) -> Token:
    text = _VARIABLE.sub(lambda m: known.get(m[1].lower(), m[0]), token.text) if known else token.text
    return Token(token.token_type, text, token.line, token.col, token.start, token.end) if known else token


def _valued(text: str, token: Token, end: int, known: Mapping[str, str]) -> list[Token]:
    """The value of a variable that the script sets: a name, a number or a string."""
    if not known:
        return []
    value, count = _VARIABLE.subn(lambda m: known.get(m[1].lower(), m[0]), text)
    if not count or value == text:
        return []
    if text.startswith(":'") or not _SIMPLE.fullmatch(value):
        return [Token(TokenType.STRING, value, token.line, token.col, token.start, end)]
    kind = TokenType.NUMBER if value.replace(".", "").isdigit() else TokenType.VAR
    return _dotted([value] if kind is TokenType.NUMBER else value.split("."), kind, token, end)


def _named(text: str, token: Token, end: int, *, follows: bool) -> list[Token]:
    """The placeholder as a name; none where psql's `:x` is more likely a value. follows: a point stands after it."""
    dbt = _DBT.fullmatch(text)
    parts = [p.strip().strip("'\"") for p in dbt[1].split(",")] if dbt else [text.removesuffix(".")]
    if text.startswith(':"'):
        parts = [text[2:-1]]
    elif text.startswith(":") and not follows:
        return []
    return _dotted(parts, TokenType.IDENTIFIER, token, end)


def _dotted(parts: list[str], kind: TokenType, token: Token, end: int) -> list[Token]:
    found: list[Token] = []
    for part in parts:
        if found:
            found.append(Token(TokenType.DOT, ".", token.line, token.col, token.start, end))
        found.append(Token(kind, part, token.line, token.col, token.start, end))
    return found


def _without_blocks(tokens: list[Token], text: str) -> list[Token]:
    """Jinja's `{% if .. %}` taken out; what stands between them stays, all branches of it."""
    spans = [m.span() for m in _BLOCK.finditer(text)]
    found: list[Token] = []
    at = 0
    for token in tokens:
        at = _reached(spans, at, token)
        if at == len(spans) or token.start < spans[at][0]:
            found.append(token)
    return found
