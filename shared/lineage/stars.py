"""`*`, `t.*`, COLUMNS('pattern') and what stands behind them: EXCEPT, REPLACE, RENAME, ILIKE, APPLY."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from shared.lineage.relations import Ambiguous, Column, Relation, Star, Value, derived

if TYPE_CHECKING:
    from shared.lineage.scopes import Scope

#: a relation with the columns that USING shows elsewhere
Visible = tuple[Relation, frozenset[str]]
MAX_PATTERN = 200
#: repetitions of repetitions, which may take forever
_ENDLESS = re.compile(r"[+*}]\)[+*{]")


class Stars:
    """The part of the resolver that expands stars."""

    if TYPE_CHECKING:

        def value(self, node: Any, scope: Scope) -> Value: ...
        def problem(self, reason: str) -> None: ...
        def _count(self, steps: int) -> None: ...

    def star(self, relations: list[Visible], star: Any, scope: Scope) -> list[Column | Star]:
        hidden = frozenset(e.name.lower() for e in star.args.get("except_") or star.args.get("except") or ())
        replaced = {e.alias.lower(): self.value(e.this, scope) for e in star.args.get("replace") or ()}
        renamed = {e.this.name.lower(): e.alias for e in star.args.get("rename") or ()}
        kept = _like(star.args.get("ilike"))
        items: list[Column | Star] = []
        seen: set[str] = set()
        for relation, merged_names in relations:
            self._count(len(relation.items) + 1)
            gone = hidden | merged_names
            for item in relation.items:
                if isinstance(item, Star):
                    items.append(Star(item.relations, item.hidden | gone))
                elif item.name.lower() not in gone and (kept is None or kept.fullmatch(item.name)):
                    key = item.name.lower()
                    seen.add(key)
                    items.append(Column(renamed.get(key, item.name), replaced.get(key, item.value)))
            if relation.open or relation.whole is not None:
                items.append(Star((relation,), gone | frozenset(c.name.lower() for c in relation.columns())))
        if (replaced or renamed) and any(isinstance(i, Star) for i in items):
            return self._told(items, {k: v for k, v in replaced.items() if k not in seen}, renamed, seen)
        return items

    def _told(
        self, items: list[Column | Star], replaced: dict[str, Value], renamed: dict[str, str], seen: set[str]
    ) -> list[Column | Star]:
        """What REPLACE and RENAME name is a column, even where the star's others are not known."""
        behind = Relation(list(items))
        found: list[Column | Star] = [Column(name, value) for name, value in replaced.items()]
        for old, new in renamed.items():
            if old not in seen:
                try:
                    found.append(Column(new, behind.get(old) or {}))
                except Ambiguous:
                    self.problem(f"column {old}: several tables could own it")
        gone = frozenset([*replaced, *renamed])
        return [*found, *(Star(i.relations, i.hidden | gone) if isinstance(i, Star) else i for i in items)]

    def columns_in(self, e: Any, visible: list[Visible], scope: Scope) -> list[Column | Star] | None:
        """DuckDB's and ClickHouse's COLUMNS('pattern') within an expression: one column for each that fits."""
        node = next(e.find_all(exp.Columns, exp.Apply), None)
        if node is None:
            return None
        chosen = node.find(exp.Columns) if isinstance(node, exp.Apply) else node
        star = node.find(exp.Star)
        if chosen is None and star is None:
            return None
        items: list[Column | Star]
        if chosen is None or isinstance(chosen.this, exp.Star):
            items = self.star(visible, star, scope)
        else:
            fits = _chosen(chosen.this)
            items = [
                i
                for i in self.star(visible, exp.Star(), scope)
                if isinstance(i, Star) or fits is None or fits.search(i.name)
            ]
        return [Column(i.name, derived(i.value, e)) if isinstance(i, Column) and i.value else i for i in items]


def _like(pattern: Any) -> re.Pattern[str] | None:
    """Snowflake: * ILIKE '%x%'."""
    if not isinstance(pattern, exp.Literal):
        return None
    text = "".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in pattern.name[:MAX_PATTERN])
    return re.compile(text, re.IGNORECASE | re.DOTALL)


def _chosen(node: Any) -> re.Pattern[str] | None:
    """The names that COLUMNS(..) means: a pattern, a list of names, or a lambda over the name."""
    if any(_ENDLESS.search(e.name) for e in node.find_all(exp.Literal)):
        return None
    try:
        if isinstance(node, exp.Literal):
            return re.compile(node.name[:MAX_PATTERN], re.IGNORECASE)
        if isinstance(node, (exp.Array, exp.Tuple)):
            return re.compile("|".join(f"^{re.escape(e.name)}$" for e in node.expressions), re.IGNORECASE)
        if isinstance(node, exp.Lambda):
            test = node.this
            if isinstance(test, (exp.Like, exp.ILike)):
                like = _like(test.expression)
                return re.compile(f"^(?:{like.pattern})$", re.IGNORECASE) if like is not None else None
            if isinstance(test, exp.In):
                return re.compile("|".join(f"^{re.escape(e.name)}$" for e in test.expressions), re.IGNORECASE)
            if isinstance(test, exp.RegexpLike) and isinstance(test.expression, exp.Literal):
                return re.compile(test.expression.name[:MAX_PATTERN], re.IGNORECASE)
    except re.error:
        return None
    return None
