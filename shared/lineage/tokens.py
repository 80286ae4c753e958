"""Lists of tokens: what stands between brackets and commas, names, a keyword in place of another."""

from __future__ import annotations

from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage.words import word

#: brackets of all kinds
OPENING = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE})
CLOSING = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE})
_L_PAREN, _R_PAREN, _COMMA = TokenType.L_PAREN, TokenType.R_PAREN, TokenType.COMMA


def instead(token: Token, kind: TokenType) -> Token:
    """Another keyword at the place of this one."""
    return Token(kind, kind.name, token.line, token.col, token.start, token.end)


def named(text: str, token: Token) -> Token:
    return Token(TokenType.VAR, text, token.line, token.col, token.start, token.end)


def comma(token: Token) -> Token:
    return Token(TokenType.COMMA, ",", token.line, token.col, token.start, token.start)


def select(token: Token) -> Token:
    """SELECT, before a token that begins an expression."""
    return Token(TokenType.SELECT, "SELECT", token.line, token.col, token.start, token.start)


def opens(token: Token) -> int:
    """1 for an opening bracket, -1 for a closing one; a string that holds one is none."""
    return (token.token_type is _L_PAREN) - (token.token_type is _R_PAREN)


def balanced(tokens: list[Token]) -> list[Token]:
    depth = 0
    for i, token in enumerate(tokens):
        depth += opens(token)
        if depth < 0:
            return tokens[:i]
    return tokens


def parts(tokens: list[Token]) -> list[list[Token]]:
    """Between the commas outside of parentheses."""
    found: list[list[Token]] = [[]]
    depth = 0
    for t in tokens:
        depth += opens(t) + (t.token_type is TokenType.L_BRACKET) - (t.token_type is TokenType.R_BRACKET)
        if t.token_type is _COMMA and depth == 0:
            found.append([])
        else:
            found[-1].append(t)
    return [p for p in found if p]


def variables(tokens: list[Token]) -> list[str]:
    """`STRICT a, @b, :c, d.e` up to the next keyword."""
    names = []
    for part in parts(tokens):
        kept = [t for t in part if word(t) != "STRICT" and t.text not in ("@", ":")]
        if not kept:
            break
        name = kept[0].text
        i = 1
        while i + 1 < len(kept) and kept[i].text == ".":
            name += "." + kept[i + 1].text
            i += 2
        names.append(name)
        if i < len(kept) and kept[i].text != "(":
            break
    return names


def is_assign(tokens: list[Token], i: int) -> bool:
    return tokens[i].text == ":=" or (
        tokens[i].text == ":"
        and i + 1 < len(tokens)
        and tokens[i + 1].text == "="
        and tokens[i].end + 1 == tokens[i + 1].start
    )


def first_name(tokens: list[Token]) -> str:
    """The first word that is no sigil, in lower case."""
    for t in tokens:
        if t.text not in ("@", ":", "(", "#"):
            return str(t.text).lower()
    return ""
