"""Before the parser: what its grammar does not know is put into words that it does; what would hurt it is kept out."""

from __future__ import annotations

import itertools

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage.words import INTO_BEFORE, word

#: nesting beyond these makes sqlglot's compiled parser overflow the C stack, or, for brackets, take exponential time
#: (sqlglot 30.30: 2,000 parentheses are safe, 20,000 crash; 18 nested ARRAY[ take 1.4 s)
MAX_NESTING, MAX_BRACKETS, MAX_RUN = 250, 10, 250
#: subscripts a[1][1].. cost quadratic time: 500 take 0.3 s
MAX_SUBSCRIPTS = 300
#: tokens of one statement; about two seconds
MAX_TOKENS = 250_000
MANY_ROWS = 2_000


def instead(token: Token, kind: TokenType) -> Token:
    """Another keyword at the place of this one."""
    return Token(kind, kind.name, token.line, token.col, token.start, token.end)


def balanced(tokens: list[Token]) -> list[Token]:
    depth = 0
    for i, token in enumerate(tokens):
        depth += (token.text == "(") - (token.text == ")")
        if depth < 0:
            return tokens[:i]
    return tokens


def prepared(tokens: list[Token], *, procedural: bool) -> list[Token]:
    """What the grammar does not know, in words that it does: REPLACE INTO; SELECT .. INTO variables in a routine."""
    words = [word(t) for t in tokens]
    if words[0] == "REPLACE" and words[1:2] == ["INTO"]:
        return [instead(tokens[0], TokenType.INSERT), *tokens[1:]]
    if words[0] in ("INSERT", "UPDATE", "DELETE", "MERGE") and words[1:2] == ["TOP"] and tokens[2:]:
        end = 4 + len(balanced(tokens[3:]))
        return prepared([tokens[0], *tokens[end + (words[end : end + 1] == ["PERCENT"]) :]], procedural=procedural)
    if words[0] == "INSERT" and len(tokens) > MANY_ROWS and "VALUES" in words and "SELECT" not in words:
        rows = words.index("VALUES") + 1  # the first row tells as much about tables as a million
        return [*tokens[: rows + 1], *balanced(tokens[rows + 1 :]), tokens[-1]][:MANY_ROWS]
    if words[0] == "INSERT":  # T-SQL: INSERT t WITH (TABLOCK) (a, b) SELECT
        hint = next(
            (i for i in range(1, min(len(tokens) - 1, 12)) if words[i] == "WITH" and tokens[i + 1].text == "("), 0
        )
        if hint and not {"SELECT", "VALUES"} & set(words[:hint]):
            return [*tokens[:hint], *tokens[hint + 3 + len(balanced(tokens[hint + 2 :])) :]]
    if procedural and words[0] in ("SELECT", "WITH") and "INTO" in words:
        at = words.index("INTO")
        if words[at - 1] not in ("INSERT", "MERGE"):
            rest = itertools.dropwhile(lambda i: words[i] not in INTO_BEFORE, range(at + 1, len(tokens)))
            return [*tokens[:at], *(tokens[i] for i in rest)]
    return tokens


def without_output(tokens: list[Token]) -> tuple[list[Token], list[exp.Table]]:
    """T-SQL's `OUTPUT inserted.a INTO log (a)`, which sqlglot reads as a function: cut out, the table told apart."""
    words = [word(t) for t in tokens]
    if "OUTPUT" not in words or "INTO" not in words[words.index("OUTPUT") :]:
        return tokens, []
    at = words.index("INTO", words.index("OUTPUT"))
    i = at + 1
    name: list[Token] = []
    while i < len(tokens) and (tokens[i].text in (".", "@", "#") or not name or name[-1].text in (".", "@", "#")):
        name.append(tokens[i])
        i += 1
    if i < len(tokens) and tokens[i].text == "(":
        i += len(balanced(tokens[i + 1 :])) + 2
    parts = [t.text for t in name if t.text not in (".", "@", "#")]
    if not parts:
        return tokens, []
    special = name[0].text if name[0].text in ("@", "#") else ""
    this: exp.Expression = (
        exp.Parameter(this=exp.Var(this=parts[-1])) if special == "@" else exp.to_identifier(parts[-1], quoted=True)
    )
    if special == "#":
        this.set("temporary", True)
    above = [exp.to_identifier(p, quoted=True) for p in reversed(parts[:-1])]
    table = exp.Table(this=this, **dict(zip(("db", "catalog"), above, strict=False)))
    return [*tokens[:at], *tokens[i:]], [table]


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
