"""What keeps a statement from taking the parser down with it: measured on its tokens, before it is parsed."""

from __future__ import annotations

from sqlglot.tokenizer_core import Token

#: nesting beyond these makes sqlglot's compiled parser overflow the C stack, or, for brackets, take exponential time
#: (sqlglot 30.30: 2,000 parentheses are safe, 20,000 crash; 18 nested ARRAY[ take 1.4 s)
MAX_NESTING, MAX_BRACKETS, MAX_RUN = 250, 10, 250
#: subscripts a[1][1].. cost quadratic time: 500 take 0.3 s
MAX_SUBSCRIPTS = 300
#: tokens of one statement; about two seconds
MAX_TOKENS = 250_000


def too_deep(tokens: list[Token]) -> str:
    """Why this statement cannot be parsed safely, or ""."""
    if len(tokens) > MAX_TOKENS:
        return f"longer than {MAX_TOKENS:,} words; not read"
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
            return f"nested deeper than {MAX_NESTING} levels; not read"
        if brackets > MAX_BRACKETS or subscripts > MAX_SUBSCRIPTS:
            return "too many brackets within brackets; not read"
    return ""
