"""MATCH_RECOGNIZE: rows per match, with the measures as columns.

https://trino.io/docs/current/sql/match-recognize.html,
https://docs.snowflake.com/en/sql-reference/constructs/match_recognize
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage.relations import Column, Relation, Star
from shared.lineage.tokens import balanced, opens
from shared.lineage.words import word

if TYPE_CHECKING:
    from shared.lineage.queries import Queries
    from shared.lineage.scopes import Scope


def without_patterns(tokens: list[Token]) -> list[Token]:
    """Without AFTER MATCH, PATTERN, SUBSET and DEFINE, which choose rows and which the grammar knows in part only."""
    found: list[Token] = []
    i = 0
    while i < len(tokens):
        found.append(tokens[i])
        i += 1
        if tokens[i - 1].token_type is not TokenType.MATCH_RECOGNIZE or i >= len(tokens):
            continue
        inner = balanced(tokens[i + 1 :])
        depth, end, shows = 0, len(inner), list[Token]()
        for n, t in enumerate(inner):
            depth += opens(t)
            w = [t.text.upper(), *(x.text.upper() for x in inner[n + 1 : n + 4])]
            if depth == 0 and w[0] in ("ONE", "ALL") and w[1][:3] == "ROW" and w[2:] == ["PER", "MATCH"]:
                shows = inner[n : n + 4]
                end = min(end, n)
            if depth == 0 and (w[:2] == ["AFTER", "MATCH"] or w[0] == "PATTERN" or word(t) in ("SUBSET", "DEFINE")):
                end = min(end, n)
                break
        found += [tokens[i], *(_without_semantics(inner[:end])), *shows]
        i += 1 + len(inner)
    return found


def _without_semantics(tokens: list[Token]) -> list[Token]:
    """Without RUNNING and FINAL before a measure."""
    kept = []
    for t, following in itertools.zip_longest(tokens, tokens[1:]):
        says_when = word(t) in ("RUNNING", "FINAL") and following is not None and bool(word(following))
        if not says_when:
            kept.append(t)
    return kept


def matched(queries: Queries, match: Any, scope: Scope) -> None:
    """The table that is searched becomes the rows of its matches."""
    alias, table = scope.relations[0] if scope.relations else ("", Relation())
    inner = type(scope)(scope)
    inner.add(alias, table)
    inner.hidden = _Anything(table)
    items: list[Column | Star] = []
    measures = [m.this for m in match.args.get("measures") or () if isinstance(getattr(m, "this", None), exp.Alias)]
    if "ALL" in str(match.args.get("rows") or "").upper():
        items += [*table.items, *([Star((table,))] if table.open else [])]
    else:
        for e in match.args.get("partition_by") or ():
            items.append(Column(e.name, queries.value(e, inner)))
    items += [Column(queries.names.text(m.args["alias"]), queries.value(m.this, inner)) for m in measures]
    name = match.alias.lower() or alias
    scope.relations[:1] = [(name, Relation(items))]


class _Anything(dict[str, Relation]):
    """Every pattern variable is a row of the table."""

    def __init__(self, table: Relation) -> None:
        super().__init__()
        self._table = table

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, name: str) -> Relation:
        return self._table
