"""Pipe syntax, `FROM t |> WHERE .. |> AGGREGATE ..`, as nested queries; from tokens to tokens.

https://cloud.google.com/bigquery/docs/reference/standard-sql/pipe-syntax,
https://spark.apache.org/docs/latest/sql-pipe-syntax.html
"""

from __future__ import annotations

from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage.tokens import comma, instead, opens, parts
from shared.lineage.words import word

_JOINS = frozenset({"JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS", "NATURAL", "LATERAL", "SEMI", "ANTI"})
_SETS = frozenset({"UNION", "INTERSECT", "EXCEPT", "MINUS"})
#: operators that leave the columns as they are
_KEEPS = frozenset(
    {"ORDER BY", "SORT BY", "CLUSTER BY", "DISTRIBUTE BY", "LIMIT", "OFFSET", "TABLESAMPLE", "ASSERT", "DISTINCT"}
)
MAX_PIPES = 100


def unpiped(tokens: list[Token]) -> list[Token]:
    """The statement with every pipeline in it, the innermost first, as a query."""
    if sum(t.text == "|>" for t in tokens) > MAX_PIPES:
        return tokens
    return _region(tokens)


def _region(tokens: list[Token]) -> list[Token]:
    """Tokens between two parentheses, or a whole statement."""
    found: list[Token] = []
    i = 0
    while i < len(tokens):
        found.append(tokens[i])
        if tokens[i].text == "(":
            end = _closing(tokens, i)
            inner = tokens[i + 1 : end]
            found += _region(inner) if any(t.text == "|>" for t in inner) else inner
            found += tokens[end : end + 1]
            i = end
        i += 1
    depth, bars = 0, list[int]()
    for i, t in enumerate(found):
        depth += opens(t)
        if t.text == "|>" and depth == 0:
            bars.append(i)
    return _query(found, bars) if bars else found


def _closing(tokens: list[Token], start: int) -> int:
    depth = 0
    for i in range(start, len(tokens)):
        depth += opens(tokens[i])
        if depth == 0:
            return i
    return len(tokens)


def _query(tokens: list[Token], bars: list[int]) -> list[Token]:
    depth, start = 0, 0
    for i, t in enumerate(tokens[: bars[0]]):
        is_query = depth == 0 and (word(t) in ("FROM", "SELECT", "TABLE") or (t.text == "(" and not i))
        if is_query and not (word(t) == "TABLE" and word(tokens[0]) == "CREATE"):
            start = i
            break
        depth += opens(t)
    ends = [*bars[1:], len(tokens)]
    pipeline = _Pipeline(tokens[start : bars[0]])
    for bar, end in zip(bars, ends, strict=True):
        if bar + 1 < end:
            pipeline.add(tokens[bar + 1 : end])
    return [*tokens[:start], *pipeline.query()]


class _Pipeline:
    """What FROM holds so far, with the joined and computed columns; conditions wait until the level is closed."""

    def __init__(self, first: list[Token]) -> None:
        self.at = first[0] if first else Token(TokenType.FROM, "FROM", 1, 0, 0, 0)
        self.conditions: list[list[Token]] = []
        self.source = first[1:] if first and word(first[0]) == "FROM" else self._wrapped(first)

    def add(self, operator: list[Token]) -> None:
        first, rest = word(operator[0]), operator[1:]
        if first in _KEEPS:
            return
        if first == "WHERE":
            self.conditions.append(rest)
        elif first in _JOINS:
            self.source = [*self.source, *operator]
        elif first in ("EXTEND", "WINDOW"):  # the columns join those that are there; names in front of them stay
            computed = [instead(self.at, TokenType.SELECT), *rest]
            self.source = [
                *self.source,
                instead(self.at, TokenType.CROSS),
                instead(self.at, TokenType.JOIN),
                instead(self.at, TokenType.LATERAL),
                *self._brackets(computed),
            ]
        elif first == "SELECT":
            self._level([*operator])
        elif first == "AGGREGATE":
            self._aggregate(rest)
        elif first in ("SET", "DROP", "RENAME"):
            self._star(first, rest)
        elif first == "AS":
            self.source = [*self._wrapped(self.query()), *operator]
        elif first in _SETS:
            start = next((i for i, t in enumerate(operator) if t.text == "("), len(operator))
            query = self.query()
            for other in parts(operator[start:]):
                query = [*query, *operator[:start], *other]
            self.source = self._wrapped(query)
        elif first in ("PIVOT", "UNPIVOT"):
            self.source = [*self._wrapped(self.query()), *operator]
        elif first == "CALL":
            self.source = [*self._wrapped(self.query()), comma(self.at), *rest]
        else:
            self.source = [*self.source, *operator]

    def query(self) -> list[Token]:
        """SELECT * of what there is."""
        star = Token(TokenType.STAR, "*", self.at.line, 0, self.at.start, self.at.start)
        return self._select([instead(self.at, TokenType.SELECT), star])

    def _select(self, head: list[Token], tail: list[Token] | None = None) -> list[Token]:
        found = [*head, instead(self.at, TokenType.FROM), *self.source]
        for n, condition in enumerate(self.conditions):
            found += [instead(self.at, TokenType.AND if n else TokenType.WHERE), *self._brackets(condition)]
        self.conditions = []
        return [*found, *(tail or [])]

    def _level(self, head: list[Token], tail: list[Token] | None = None) -> None:
        self.source = self._wrapped(self._select(head, tail))

    def _brackets(self, tokens: list[Token]) -> list[Token]:
        at = self.at
        left = Token(TokenType.L_PAREN, "(", at.line, 0, at.start, at.start)
        return [left, *tokens, Token(TokenType.R_PAREN, ")", at.line, 0, at.start, at.start)]

    def _wrapped(self, query: list[Token]) -> list[Token]:
        return self._brackets(query)

    def _aggregate(self, rest: list[Token]) -> None:
        """`AGGREGATE a AS x GROUP [AND ORDER] BY g AS y`: the groups come first."""
        depth, at = 0, len(rest)
        for i, t in enumerate(rest):
            depth += opens(t)
            if depth == 0 and word(t) in ("GROUP", "GROUP BY"):
                at = i
                break
        by = next((i for i in range(at, len(rest)) if word(rest[i]) in ("GROUP BY", "ORDER BY")), len(rest))
        aggregates, groups = parts(rest[:at]), parts(rest[by + 1 :])
        items = [[t for t in p if word(t) not in ("ASC", "DESC")] for p in [*groups, *aggregates]]
        head = [instead(self.at, TokenType.SELECT)]
        for n, item in enumerate(items):
            head += [*([comma(self.at)] if n else []), *item]
        if items:
            self._level(head)

    def _star(self, operator: str, rest: list[Token]) -> None:
        """SET a = e is * REPLACE (e AS a); DROP a is * EXCEPT (a); RENAME a AS b is * RENAME (a AS b)."""
        star = Token(TokenType.STAR, "*", self.at.line, 0, self.at.start, self.at.start)
        kind = {"SET": TokenType.REPLACE, "DROP": TokenType.EXCEPT, "RENAME": TokenType.RENAME}[operator]
        inside: list[Token] = []
        for n, part in enumerate(parts(rest)):
            item = part
            if operator == "SET" and len(part) > 2:
                item = [*part[2:], instead(self.at, TokenType.ALIAS), part[0]]
            elif operator == "RENAME" and len(part) == 2:
                item = [part[0], instead(self.at, TokenType.ALIAS), part[1]]
            inside += [*([comma(self.at)] if n else []), *item]
        self._level([instead(self.at, TokenType.SELECT), star, instead(self.at, kind), *self._brackets(inside)])
