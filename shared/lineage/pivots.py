"""PIVOT and UNPIVOT, as a clause of FROM and as DuckDB's statements, which GROUP BY or the rest of the columns."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from shared.lineage.relations import Column, Relation, Star, Value, derived, merged
from shared.lineage.tables import Names
from shared.lineage.trees import text_of

if TYPE_CHECKING:
    from shared.lineage.scopes import Scope
    from shared.lineage.stars import Visible

MAX_COMBINED = 1_000


class Pivots:
    """The part of the resolver that turns rows into columns and back."""

    names: Names
    dialect: str

    if TYPE_CHECKING:

        def source(self, node: Any, scope: Scope) -> tuple[str, Relation]: ...
        def value(self, node: Any, scope: Scope) -> Value: ...
        def columns_in(self, e: Any, visible: list[Visible], scope: Scope) -> list[Column | Star] | None: ...
        def _alias_columns(self, node: Any) -> list[str]: ...

    def pivoted(self, pivot: Any, relation: Relation) -> Relation:
        return self._unpivot(pivot, relation) if pivot.args.get("unpivot") else self._pivot(pivot, relation)

    def pivot_statement(self, pivot: Any, outer: Scope) -> Relation:
        """DuckDB: PIVOT t ON a IN (1, 2) USING sum(b) AS x GROUP BY c; UNPIVOT t ON a, b INTO NAME n VALUE v.

        https://duckdb.org/docs/stable/sql/statements/pivot, /unpivot
        """
        from shared.lineage.scopes import Scope as Inner

        scope = Inner(outer)
        alias, relation = self.source(pivot.this, scope)
        scope.add(alias, relation)
        if pivot.args.get("unpivot"):
            return self._unpivoted(pivot, relation, scope)
        using = list(pivot.args.get("using") or ())
        group = pivot.args.get("group")
        used = {c.name.lower() for e in (*using, *pivot.expressions) for c in e.find_all(exp.Column)}
        items: list[Column | Star]
        if group is not None:
            items = [Column(self.names.text(g.this) or g.name, self.value(g, scope)) for g in group.expressions]
        else:
            items = _without(relation, used)
        listed = [
            [v.alias_or_name or v.sql(comments=False) for v in e.expressions]
            for e in pivot.expressions
            if isinstance(e, exp.In)
        ]
        if not listed or len(listed) < len(pivot.expressions):  # the names of the columns depend on the rows
            values = [derived(self.value(u, scope), u) for u in using]
            return Relation([*items, Star((Relation(whole=merged([*values, {}])),))])
        for combined in itertools.islice(itertools.product(*listed), MAX_COMBINED):
            head = "_".join(combined)
            for u in using or [exp.Count(this=exp.Star())]:
                tail = u.alias or (text_of(u, self.dialect) if len(using) > 1 else "")
                items.append(Column(f"{head}_{tail}" if tail else head, derived(self.value(u, scope), u)))
        return Relation(items)

    def _unpivoted(self, pivot: Any, relation: Relation, scope: Scope) -> Relation:
        into = pivot.args.get("into")
        names = [c.name for c in into.expressions if isinstance(c, exp.Expression)] if into is not None else []
        names = names or ["value"]
        values: list[list[Value]] = [[] for _ in names]
        used: set[str] = set()
        for e in pivot.expressions:
            several = self.columns_in(e, [(relation, frozenset())], scope)
            if several is not None:
                for item in several:
                    if isinstance(item, Column):
                        used.add(item.name.lower())
                        values[0].append(item.value)
                continue
            body = e.this if isinstance(e, (exp.Alias, exp.PivotAlias)) else e
            listed = body.expressions if isinstance(body, exp.Tuple) else [body]
            for i, one in enumerate(listed[: len(values)]):
                values[i].append(self.value(one, scope))
                used |= {c.name.lower() for c in one.find_all(exp.Column)}
        made = [Column(n, merged([*v, {}])) for n, v in zip(names, values, strict=True)]
        label = into.this.name if into is not None and isinstance(into.this, exp.Expression) else "name"
        return Relation([*_without(relation, used), Column(label, {}), *made])

    def _pivot(self, pivot: Any, relation: Relation) -> Relation:
        from shared.lineage.scopes import Scope as Inner

        scope = Inner()
        scope.add("", relation)
        aggregates = [(e.alias, self.value(e, scope), e) for e in pivot.expressions]
        used = {c.name.lower() for e in pivot.expressions for c in e.find_all(exp.Column)}
        used |= {c.name.lower() for f in pivot.args.get("fields") or () for c in f.this.find_all(exp.Column)}
        made = [self.names.text(c) or c.name for c in pivot.args.get("columns") or ()]
        items = _without(relation, used)
        count = max(1, len(aggregates))
        new: list[Column | Star] = []
        for i, name in enumerate(made):
            value = next((v for a, v, _ in aggregates if a and name.lower().endswith(f"_{a.lower()}")), None)
            if value is None:
                value = aggregates[i % count][1] if aggregates else {}
            new.append(Column(name, derived(value, aggregates[i % count][2] if aggregates else None)))
        result = Relation([*new, *items])
        names = self._alias_columns(pivot)
        return (
            Relation([*items, *new]).renamed(names) if names or not any(isinstance(i, Star) for i in items) else result
        )

    def _unpivot(self, pivot: Any, relation: Relation) -> Relation:
        items: list[Column | Star] = []
        used: set[str] = set()
        fields = pivot.args.get("fields") or ()
        values = [i for e in pivot.expressions for i in (e.expressions if isinstance(e, exp.Tuple) else [e])]
        for field in fields:
            names = field.this.expressions if isinstance(field.this, exp.Tuple) else [field.this]
            items += [Column(self.names.text(n) or n.name, {}) for n in names]
            groups = [e.this if isinstance(e, (exp.PivotAlias, exp.Alias)) else e for e in field.expressions]
            for i, wanted in enumerate(values):
                found: list[Value] = []
                for group in groups:
                    listed = group.expressions if isinstance(group, exp.Tuple) else [group]
                    if i < len(listed):
                        name = listed[i].name
                        used.add(name.lower())
                        value = relation.get(self.names.text(listed[i].this) or name)
                        found += [value] if value is not None else []
                name_node = wanted.this if isinstance(wanted, exp.Column) else wanted
                items.append(Column(self.names.text(name_node) or wanted.name, derived(merged([*found, {}]), None)))
        kept: list[Column | Star] = [
            i if isinstance(i, Column) else Star(i.relations, i.hidden | used)
            for i in relation.items
            if isinstance(i, Star) or i.name.lower() not in used
        ]
        if relation.open:
            hidden = frozenset(used | {c.name.lower() for c in items if isinstance(c, Column)})
            kept.append(Star((relation,), hidden))
        return Relation([*kept, *items])


def _without(relation: Relation, used: set[str]) -> list[Column | Star]:
    """All columns but these."""
    items: list[Column | Star] = [
        i if isinstance(i, Column) else Star(i.relations, i.hidden | used)
        for i in relation.items
        if isinstance(i, Star) or i.name.lower() not in used
    ]
    if relation.open:
        items.append(Star((relation,), frozenset(used)))
    return items
