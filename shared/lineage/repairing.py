"""A statement that the grammar refuses at a keyword which is meant as a name: the keyword is made a name."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot.errors import ParseError
from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage.tokens import balanced, instead
from shared.lineage.words import word, words_in

#: after these a name stands, or a function's
_NAME_AFTER = words_in(
    "SELECT AS BY DISTINCT THEN ELSE WHEN AND OR NOT ON WHERE HAVING SET IN FROM JOIN INTO UPDATE TABLE"
)
#: never meant as a name where the grammar stumbles
_NEVER = words_in("""
    SELECT FROM WHERE JOIN ON AND OR NOT IN AS BY CASE WHEN THEN ELSE END UNION WITH INTO SET INSERT UPDATE DELETE
    MERGE USING GROUP ORDER HAVING NULL""")
MAX_TRIES = 6
_TYPES = (TokenType.VAR, TokenType.OBJECT_IDENTIFIER)


def repaired(tokens: list[Token], error: ParseError) -> Iterator[list[Token]]:
    """The statement with one keyword near the error as a name; without hints for the optimizer at its end."""
    option = next((i for i in range(len(tokens) - 1, 0, -1) if word(tokens[i]) == "OPTION"), 0)
    if option and tokens[option + 1 : option + 2] and tokens[option + 1].text == "(":
        inner = balanced(tokens[option + 2 :])
        if option + len(inner) + 3 == len(tokens):
            yield tokens[:option]
    known = _with_known_types(tokens)
    if len(known) < len(tokens) or known != tokens:
        yield known
    clustered = {
        i for i in range(2, len(tokens)) if tokens[i].token_type is TokenType.CLUSTER_BY and _opens_window(tokens, i)
    }
    if clustered:  # Hive: OVER (CLUSTER BY a) is a partition
        yield [instead(t, TokenType.PARTITION_BY) if i in clustered else t for i, t in enumerate(tokens)]
    at = _position(tokens, error)
    for i in (at, at - 1, at + 1, at - 2):
        if 0 < i < len(tokens) and _is_name(tokens, i):
            yield [*tokens[:i], _as_name(tokens[i]), *tokens[i + 1 :]]
    every = [i for i in range(1, len(tokens)) if _is_name(tokens, i)]
    if 0 < len(every) < 50:
        names = set(every)
        yield [_as_name(t) if i in names else t for i, t in enumerate(tokens)]


def _with_known_types(tokens: list[Token]) -> list[Token]:
    """`x::regclass[]`, `'{}'::aclitem[]`: a cast to text, where the grammar does not know the type."""
    found: list[Token] = []
    for token in tokens:
        before = found[-1] if found else None
        is_type = before is not None and before.text == "::" and token.token_type in _TYPES
        if token.text == "]" and before is not None and before.text == "[":
            found.pop()
        else:
            found.append(instead(token, TokenType.TEXT) if is_type else token)
    return found


def _opens_window(tokens: list[Token], i: int) -> bool:
    return tokens[i - 1].text == "(" and word(tokens[i - 2]) == "OVER"


def _position(tokens: list[Token], error: ParseError) -> int:
    first = error.errors[0] if error.errors else {}
    line, column = first.get("line") or 0, first.get("col") or 0
    for i, token in enumerate(tokens):
        if token.line > line or (token.line == line and token.col >= column):
            return i
    return len(tokens) - 1


def _is_name(tokens: list[Token], i: int) -> bool:
    token = tokens[i]
    w = word(token)
    if not w or token.token_type is TokenType.VAR or w in _NEVER or not w.replace("_", "").isalnum():
        return False
    if w == "VALUES" and tokens[i + 1 : i + 2] and tokens[i + 1].text == "(":
        return False
    before, after = tokens[i - 1], tokens[i + 1] if i + 1 < len(tokens) else None
    stands = before.text in (",", "(", ".", "=", "+", "-", "*", "/", "<", ">", "||") or word(before) in _NAME_AFTER
    ends = (
        after is None
        or after.text in (",", ")", ".", "=", "(", ";", "+", "-", "*", "/", "<", ">", "||", "::")
        or (word(after) in ("FROM", "AS", "ASC", "DESC", "IS", "IN", "AND", "OR", "THEN", "END"))
    )
    return stands and ends


def _as_name(token: Token) -> Token:
    name = instead(token, TokenType.VAR)
    return Token(TokenType.VAR, token.text, name.line, name.col, name.start, name.end)
