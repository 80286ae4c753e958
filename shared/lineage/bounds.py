"""What keeps a statement from taking the parser down with it: measured on its tokens, before it is parsed."""

from __future__ import annotations

from typing import NamedTuple

from sqlglot.tokenizer_core import Token

from shared.lineage.words import word, words_in

#: nesting beyond these makes sqlglot's compiled parser overflow the C stack, or, for brackets, take exponential time
#: (sqlglot 30.30: 2,000 parentheses are safe, 20,000 crash; 18 nested ARRAY[ take 1.4 s)
MAX_NESTING, MAX_BRACKETS, MAX_RUN = 250, 10, 250
#: subscripts a[1][1].. cost quadratic time: 500 take 0.3 s
MAX_SUBSCRIPTS = 300
#: tokens of one statement; about three seconds
MAX_TOKENS = 400_000
#: words that can open a level of the grammar without a bracket (`ANY - ANY - ..`, `SELECT FROM SELECT FROM ..`); the
#: stack of `room.py` has room for as many
MAX_OPENERS = 30_000
#: elements of a list of constants that are parsed
MAX_CONSTANTS = 100
#: shorter statements are parsed as they are
LONG = 1_000

#: words and signs that open no level, however many there are
_FLAT = words_in(
    ", . ( ) = <> != < > <= >= || AND OR AS UNION ALL WHEN THEN ELSE END CASE NULL TRUE FALSE INT INTEGER VARCHAR"
)
#: an operand or a closed bracket must stand before these, else they open a level
_AFTER_OPERAND = words_in("+ - * / SELECT FROM IN IS ON JOIN WHERE LIKE BETWEEN")


def allowed_nodes(tokens: list[Token]) -> int:
    """Nodes that the parser may make, attempts that it gives up included: ordinary SQL makes fewer than one a token."""
    return min(20 * len(tokens) + 5_000, 3 * len(tokens) + 200_000)


class _List(NamedTuple):
    """An open bracket: whether its elements may be left out, where in the result the current one begins.

    constant, pure: whether the current one is a constant, and whether all before it are; how many stand in a `row`.
    """

    is_list: bool
    start: int
    constant: bool = True
    pure: bool = True
    row: int = 0


def condensed(tokens: list[Token]) -> list[Token]:
    """Long lists of constants after IN, and rows of constants after VALUES, cut to their first elements."""
    if len(tokens) < LONG:
        return tokens
    found: list[Token] = []
    stack: list[_List] = []
    level = _List(False, 0)
    for i, token in enumerate(tokens):
        text, kind = token.text, token.token_type.name
        if text == "(" and kind == "L_PAREN":
            found.append(token)
            stack.append(level)
            level = _List(bool(i) and word(tokens[i - 1]) == "IN", len(found))
        elif text == ")" and kind == "R_PAREN" and stack:
            if level.is_list and level.constant and level.row >= MAX_CONSTANTS:
                del found[level.start - 1 :]  # with the comma before it
            pure = level.pure and level.constant
            found.append(token)
            level = stack.pop()
            level = level._replace(constant=level.constant and pure)
        elif text == "," and kind == "COMMA":
            row = level.row + 1 if level.constant else 0
            if level.is_list and row > MAX_CONSTANTS:
                del found[level.start - 1 :]
            found.append(token)
            level = _List(level.is_list, len(found), pure=level.pure and level.constant, row=row)
        elif word(token) == "VALUES":
            found.append(token)
            level = _List(True, len(found))
        else:
            found.append(token)
            if not (kind.endswith("STRING") or kind in ("NUMBER", "NULL", "TRUE", "FALSE") or text in ("-", "+")):
                level = level._replace(constant=False)
    return found


def too_deep(tokens: list[Token]) -> str:
    """Why this statement cannot be parsed safely, or ""."""
    if len(tokens) > MAX_TOKENS:
        return f"longer than {MAX_TOKENS:,} words"
    openers = sum(_opens(tokens, i) for i in range(len(tokens))) if len(tokens) > MAX_OPENERS else 0
    if openers > MAX_OPENERS:
        return f"more than {MAX_OPENERS:,} keywords and signs that open something"
    depth = brackets = angles = cases = run = subscripts = 0
    before = ""
    for token in tokens:
        text, kind = token.text, token.token_type.name
        if kind.endswith("STRING") or kind == "IDENTIFIER":
            before = ""
            continue
        run = run + 1 if text == before else 0
        if text in ("(", "[", "{"):
            depth += 1
            brackets += text == "["
            subscripts += text == "[" and before == "]"
        elif text in (")", "]", "}"):
            depth -= 1
            brackets -= text == "]"
        elif text == "<" and before.upper() in ("STRUCT", "ARRAY", "MAP"):
            angles += 1
        elif kind in ("CASE", "END"):
            cases += 1 if kind == "CASE" else -1
        before = text
        if depth + cases > MAX_NESTING or angles > MAX_NESTING or run > MAX_RUN:
            return f"nested deeper than {MAX_NESTING} levels"
        if brackets > MAX_BRACKETS or subscripts > MAX_SUBSCRIPTS:
            return "too many brackets within brackets"
    return ""


def _opens(tokens: list[Token], i: int) -> bool:
    """Whether the token may open a level of the grammar."""
    token = tokens[i]
    kind = token.token_type.name
    if kind in ("IDENTIFIER", "VAR", "NUMBER") or kind.endswith("STRING"):
        return False
    text = token.text.upper()
    if text in _FLAT:
        return False
    if text not in _AFTER_OPERAND or not i:
        return True
    before = tokens[i - 1]
    if text == "SELECT":
        return word(before) not in ("ALL", "UNION", "AS") and before.text not in ("(", ")")
    return before.text not in (")", "]") and before.token_type.name not in ("IDENTIFIER", "VAR", "NUMBER", "STRING")
