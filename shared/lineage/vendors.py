"""Clauses of single vendors that the grammar refuses: cut off where they say nothing about lineage, else reworded."""

from __future__ import annotations

import itertools

from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage.tokens import balanced, comma, named, opens, parts
from shared.lineage.words import word

#: between MODEL and its rules
#: (https://docs.oracle.com/en/database/oracle/oracle-database/19/dwhsg/sql-modeling-data-warehouses.html)
_MODEL = ("PARTITION", "DIMENSION", "MEASURES")


def reworded(tokens: list[Token]) -> list[Token]:
    """The statement without WHERE CURRENT OF, FOR UPDATE OF, VERSIONS BETWEEN, and with MODEL as a subquery."""
    words = [word(t) for t in tokens]
    known = set(words)
    if "CURRENT" in known and "OF" in known:
        tokens = _without_cursor(tokens)
    if "UPDATE" in known and "FOR" in known and words[0] in ("SELECT", "WITH"):
        tokens = _without_lock(tokens)
    if "VERSIONS" in known and "BETWEEN" in known:
        tokens = _without_versions(tokens)
    if any(t.text in ("<=", ">=") for t in tokens):
        tokens = _without_networks(tokens)
    if "PARTITION BY" in known and "JOIN" in known:
        tokens = _without_densification(tokens)
    if words[0] == "INSERT" and "CONFLICT" in known and "SELECT" in known:
        tokens = _conditioned(tokens)
    if "MEMBER" in known and "OF" in known:
        tokens = _compared(tokens)
    if "MODEL" in known and "MEASURES" in known:
        tokens = _without_model(tokens)
    return tokens


def without_functions(tokens: list[Token]) -> list[Token]:
    """Oracle's `WITH FUNCTION f (..) RETURN t IS BEGIN .. END; SELECT`: without them; their semicolons split it."""
    found: list[Token] = []
    i = 0
    while i < len(tokens):
        if found and word(tokens[i]) in ("FUNCTION", "PROCEDURE") and word(found[-1]) == "WITH":
            end = _body_end(tokens, i)
            if end:
                i = end
                if i < len(tokens) and word(tokens[i]) == "SELECT":
                    found.pop()
                continue
        found.append(tokens[i])
        i += 1
    return found


def _body_end(tokens: list[Token], i: int) -> int:
    """Where the routine ends that begins at `i`: behind `END [name];`."""
    depth, begun = 0, False
    while i < len(tokens):
        w = word(tokens[i])
        if w == "END":
            depth -= 1
            if begun and depth == 0:
                while i < len(tokens) and tokens[i].text != ";":
                    i += 1
                return i + 1
            if i + 1 < len(tokens) and word(tokens[i + 1]) in ("IF", "LOOP", "CASE"):
                i += 1
        elif w in ("BEGIN", "CASE", "IF", "LOOP"):
            begun = begun or w == "BEGIN"
            depth += 1
        i += 1
    return 0


def _without_networks(tokens: list[Token]) -> list[Token]:
    """PostgreSQL's `a <<= b`: as far as lineage goes, `a <= b`."""
    found: list[Token] = []
    for token in tokens:
        if (
            found
            and token.text in ("<=", ">=")
            and found[-1].text == token.text[0]
            and found[-1].end + 1 == token.start
        ):
            found.pop()
        found.append(token)
    return found


def _without_densification(tokens: list[Token]) -> list[Token]:
    """Oracle's partitioned outer join, `t PARTITION BY (a) RIGHT JOIN u`: a join."""
    found: list[Token] = []
    i = 0
    while i < len(tokens):
        if word(tokens[i]) == "PARTITION BY" and i + 1 < len(tokens) and tokens[i + 1].text == "(":
            end = i + 3 + len(balanced(tokens[i + 2 :]))
            if end < len(tokens) and word(tokens[end]) in ("ON", "USING", "RIGHT", "LEFT", "FULL", "OUTER", "JOIN"):
                i = end
                continue
        found.append(tokens[i])
        i += 1
    return found


def _conditioned(tokens: list[Token]) -> list[Token]:
    """`INSERT .. SELECT .. FROM a CROSS JOIN b ON CONFLICT ..`: with WHERE TRUE, so that ON begins no condition.

    https://www.sqlite.org/lang_upsert.html ("Parsing Ambiguity")
    """
    depth, is_open = 0, False
    for i, token in enumerate(tokens[:-1]):
        depth += (token.text == "(") - (token.text == ")")
        w = word(token)
        if depth or not w:
            continue
        if w in ("FROM", "JOIN"):
            is_open = True
        elif w in ("WHERE", "GROUP BY", "GROUP", "HAVING", "ORDER BY", "ORDER", "LIMIT", "WINDOW", "VALUES", "FETCH"):
            is_open = False
        elif w == "ON" and word(tokens[i + 1]) == "CONFLICT":
            if not is_open:
                return tokens
            where = Token(TokenType.WHERE, "WHERE", token.line, 0, token.start, token.start)
            true = Token(TokenType.TRUE, "TRUE", token.line, 0, token.start, token.start)
            return [*tokens[:i], where, true, *tokens[i:]]
    return tokens


def _compared(tokens: list[Token]) -> list[Token]:
    """`x [NOT] MEMBER OF list`: a comparison, as far as lineage goes."""
    words = [word(t) for t in tokens]
    found: list[Token] = []
    for i, token in enumerate(tokens):
        if words[i : i + 2] == ["MEMBER", "OF"]:
            if found and word(found[-1]) == "NOT":
                found.pop()
            found.append(Token(TokenType.EQ, "=", token.line, 0, token.start, token.end))
        elif not i or words[i - 1 : i + 1] != ["MEMBER", "OF"]:
            found.append(token)
    return found


def _without_cursor(tokens: list[Token]) -> list[Token]:
    """`WHERE CURRENT OF c`: the row that the cursor stands on."""
    words = [word(t) for t in tokens]
    for i in range(len(tokens) - 3):
        if words[i : i + 3] == ["WHERE", "CURRENT", "OF"]:
            return [*tokens[:i], *tokens[i + 4 :]]
    return tokens


def _without_lock(tokens: list[Token]) -> list[Token]:
    depth = 0
    for i, token in enumerate(tokens[:-1]):
        depth += opens(token)
        if depth == 0 and word(token) == "FOR" and word(tokens[i + 1]) in ("UPDATE", "SHARE"):
            return tokens[:i]
    return tokens


def _without_versions(tokens: list[Token]) -> list[Token]:
    """`t VERSIONS BETWEEN SCN a AND b x`: the table, with its alias."""
    words = [word(t) for t in tokens]
    for i in range(len(tokens) - 3):
        if words[i : i + 2] == ["VERSIONS", "BETWEEN"] and "AND" in words[i:]:
            end = words.index("AND", i) + 1
            depth = 0
            while end < len(tokens):  # one operand
                depth += opens(tokens[end])
                end += 1
                if depth <= 0 and not (end < len(tokens) and tokens[end].text in ("(", "+", "-", ".")):
                    break
            return [*tokens[:i], *tokens[end:]]
    return tokens


def without_error_log(tokens: list[Token]) -> tuple[list[Token], list[Token]]:
    """`LOG ERRORS INTO t ('tag') REJECT LIMIT n` cut off, and the name of the table that takes the rejected rows."""
    words = [word(t) for t in tokens]
    depth = 0
    for i in range(len(tokens) - 1):
        depth += opens(tokens[i])
        if depth == 0 and words[i : i + 2] == ["LOG", "ERRORS"]:
            name: list[Token] = []
            if words[i + 2 : i + 3] == ["INTO"]:
                end = i + 3
                while end < len(tokens) and (tokens[end].text == "." or not name or name[-1].text == "."):
                    name.append(tokens[end])
                    end += 1
            return tokens[:i], name
    return tokens, []


def _without_model(tokens: list[Token]) -> list[Token]:
    """`SELECT a FROM t MODEL DIMENSION BY (d) MEASURES (m) RULES (..)`: SELECT a FROM (SELECT d, m FROM t)."""
    words = [word(t) for t in tokens]
    at = words.index("MODEL")
    level = sum(opens(t) for t in tokens[:at])
    depth, start, begin = level, -1, -1
    for i in range(at - 1, -1, -1):  # its SELECT and FROM
        depth -= opens(tokens[i])
        if depth == level and words[i] == "FROM" and begin < 0:
            begin = i
        if depth == level and words[i] == "SELECT":
            start = i
            break
    if start < 0 or begin < start:
        return tokens
    lists: dict[str, list[Token]] = {}
    end, i = at, at + 1
    while i < len(tokens) and tokens[i].text != ")" and words[i] not in ("ORDER", "UNION"):
        if tokens[i].text == "(":
            inner = balanced(tokens[i + 1 :])
            heads = (w.split()[0] for w in reversed(words[end + 1 : i]) if w)  # PARTITION BY is one word
            head = next((w for w in heads if w in (*_MODEL, "RULES")), "RULES")
            lists.setdefault(head, inner)
            end = i + len(inner) + 1
            i = end
        i += 1
    if "MEASURES" not in lists:
        return tokens
    rules = _rules(lists.get("RULES", []))
    listed: list[Token] = []
    for head in _MODEL:
        for part in parts(lists.get(head, [])):
            name = part[-1].text.lower()
            others = [o for o in rules.get(name, ()) if o != name] if head == "MEASURES" else []
            listed += [*([comma(tokens[at])] if listed else []), *_measure(part, others, lists["MEASURES"])]
    left = Token(TokenType.L_PAREN, "(", tokens[at].line, 0, tokens[at].start, tokens[at].end)
    right = Token(TokenType.R_PAREN, ")", tokens[at].line, 0, tokens[at].start, tokens[at].end)
    query = [tokens[start], *listed, *tokens[begin:at]]
    return [*tokens[: begin + 1], left, *query, right, named("model_rows", tokens[at]), *tokens[end + 1 :]]


def _rules(tokens: list[Token]) -> dict[str, list[str]]:
    """Measure -> measures that its rules read: names before `[`."""
    found: dict[str, list[str]] = {}
    for part in parts(tokens):
        names = [t.text.lower() for t, after in itertools.pairwise(part) if after.text == "["]
        if names:
            found.setdefault(names[0], []).extend(names[1:])
    return found


def _measure(part: list[Token], others: list[str], measures: list[Token]) -> list[Token]:
    """A measure, with the values of those that its rules read."""
    read = [p for p in parts(measures) if p[-1].text.lower() in others]
    if not read:
        return part
    left = Token(TokenType.L_PAREN, "(", part[0].line, 0, part[0].start, part[0].end)
    right = Token(TokenType.R_PAREN, ")", part[0].line, 0, part[0].start, part[0].end)
    found = [named("COALESCE", part[0]), left, *_expression(part)]
    for other in read:
        found += [comma(part[0]), *_expression(other)]
    return [*found, right, part[-1]]


def _expression(part: list[Token]) -> list[Token]:
    """`expr [AS] name` without the name."""
    end = len(part)
    if end > 1 and part[-2].text != ".":
        end -= 2 if word(part[-2]) == "AS" else 1
    return part[:end]
