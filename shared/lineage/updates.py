"""UPDATE, MERGE and DELETE: what their assignments write."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlglot import exp

from shared.lineage.environment import Memory, plain
from shared.lineage.evidence import assigned
from shared.lineage.queries import Queries
from shared.lineage.relations import Ambiguous, Column, Relation, Star, Value
from shared.lineage.scopes import Scope
from shared.lineage.tables import Ref, resolved
from shared.lineage.trees import identifier


class Write(NamedTuple):
    """Rows for a target. creates: its columns are these from now on; copies: a clone, stars are no problem."""

    ref: Ref
    rows: Relation
    creates: bool = False
    copies: bool = False


class Updates:
    """The half of the writer that knows assignments."""

    def __init__(self, queries: Queries, memory: Memory) -> None:
        self.q = queries
        self.memory = memory
        self.names = queries.names

    def _old_and_new(self, scope: Scope, base: Relation) -> None:
        for name in ("inserted", "deleted"):
            scope.hidden.setdefault(name, base)
        for name in ("old", "new"):  # in a trigger or a rule those of its table
            scope.hidden.setdefault(name, self.memory.record(name) or base)

    def _update(self, node: Any, scope: Scope) -> tuple[list[Write], Scope]:
        inner = Scope(scope)
        target = node.this
        for item in [node.args.get("from_"), *([target] if target.args.get("joins") else [])]:
            if item is None:
                continue
            first = item.this if isinstance(item, exp.From) else item
            inner.add(*self.q.source(first, inner))
            self.q.joins(first, inner)
            if isinstance(item, exp.From):
                self.q.joins(item, inner)
        self.q.joins(node, inner)
        name = target.alias_or_name.lower()
        there = inner.named([name]) if not target.args.get("db") else None
        if there is None:
            alias, there = self.q.source(target, inner)
            inner.relations.insert(0, (alias.lower(), there))
        ref = there.ref or self._behind(target, node)
        self._old_and_new(inner, there)
        inner.node, inner.sure = node, assigned(node.expressions, name)
        writes: dict[Ref, list[Column | Star]] = {}
        for e in node.expressions:
            for owner, column in self._assignments(e, inner, ref, there):
                if owner is not None:
                    writes.setdefault(owner, []).append(column)
        return [Write(r, Relation(items)) for r, items in writes.items()], inner

    def _behind(self, target: Any, node: Any) -> Ref | None:
        for table in resolved(target, node) if isinstance(target, exp.Table) else ():
            return self.names.ref(table)
        return None

    def _assignments(self, e: Any, scope: Scope, ref: Ref | None, there: Relation) -> list[tuple[Ref | None, Column]]:
        """`SET a = x`, `SET (a, b) = (..)`, `SET @v = a = x`: target, column and value."""
        if isinstance(e, exp.Dot) and isinstance(e.expression, exp.Anonymous) and e.expression.name.upper() == "WRITE":
            given = e.expression.expressions[:1]  # T-SQL: SET a.WRITE(x, 0, 10)
            e = exp.EQ(
                this=exp.Column(this=e.this),
                expression=exp.Concat(expressions=[exp.column(e.this.copy(), "deleted"), *given]),
            )
        if not isinstance(e, exp.EQ):
            return []
        left, right = e.this, e.expression
        if isinstance(left, exp.Parameter):  # T-SQL: @v = x, @v = a = x
            chained = isinstance(right, exp.EQ)
            found_ = self._assignments(right, scope, ref, there) if chained else []
            self.memory.assign(left.name, self.q.value(right.expression if chained else right, scope))
            return found_
        if isinstance(left, (exp.Tuple, exp.Paren)):
            names = left.expressions if isinstance(left, exp.Tuple) else [left.this]
            return [
                found
                for name, value in zip(names, self._several(right, scope, len(names)), strict=False)
                if (found := self._target(name, value, scope, ref, there)) is not None
            ]
        row = self._row(left, right) if self.q.dialect == "oracle" else None
        if row is not None:
            known = self.memory.columns_of(ref) if ref is not None else None
            return [(ref, c) for c in (row.renamed(known) if known and row.is_known else row).columns()]
        found = self._target(left, self.q.value(right, scope), scope, ref, there)
        return [found] if found is not None else []

    def _row(self, left: Any, right: Any) -> Relation | None:
        """Oracle's `SET ROW = rec`, `SET ROW = rows(i)`."""
        if not isinstance(left, exp.Column) or left.table or left.name.upper() != "ROW":
            return None
        return self.memory.record(right.name) if isinstance(right, (exp.Column, exp.Anonymous)) else None

    def _several(self, right: Any, scope: Scope, count: int) -> list[Value]:
        while isinstance(right, exp.Paren):
            right = right.this
        if isinstance(right, exp.Query):
            return [c.value for c in self.q.query(right, scope).columns()]
        if isinstance(right, exp.Tuple):
            return [self.q.value(v, scope) for v in right.expressions]
        if isinstance(right, exp.Anonymous):  # ROW(a, b)
            return [self.q.value(v, scope) for v in right.expressions]
        return [self.q.value(right, scope)] * count

    def _target(
        self, left: Any, value: Value, scope: Scope, ref: Ref | None, there: Relation
    ) -> tuple[Ref | None, Column] | None:
        while isinstance(left, (exp.Dot, exp.Bracket)):  # SET struct.field = ..
            left = left.this
        if not isinstance(left, (exp.Column, exp.Identifier)):
            return None
        parts = self.q.parts(left) if isinstance(left, exp.Column) else [self.names.text(left)]
        column = parts[-1]
        owner = there
        if len(parts) > 1:
            relation = scope.named(parts[:-1])
            if relation is None and self.q.dialect in ("bigquery", "spark", "databricks", "snowflake"):
                column = parts[0]
            owner = relation or there
        if owner.open or (owner.ref is not None and owner.listed(column)):
            known = owner.listed(column)
            return owner.ref, Column(known.name if known else column, value)
        if owner.ref is not None:
            return owner.ref, Column(column, value)
        try:
            behind = owner.get(column) or {}
        except Ambiguous:
            behind = {}
        if len(behind) == 1:
            source = next(iter(behind))
            return source.ref, Column(source.column, value)
        return ref, Column(column, value)

    def _merge(self, node: Any, scope: Scope) -> tuple[list[Write], Scope]:
        inner = Scope(scope)
        alias, there = self.q.source(node.this, inner)
        their_alias, theirs = self.q.source(node.args["using"], inner)
        source_scope = Scope(scope)
        source_scope.add(their_alias, theirs)
        inner.add(alias, there)
        inner.add(their_alias, theirs)
        self._old_and_new(inner, there)
        whens = node.args.get("whens")
        thens = [w.args.get("then") for w in whens.expressions] if whens is not None else []
        inner.node = node
        inner.sure = assigned([e for then in thens if isinstance(then, exp.Update) for e in _sets(then)], alias)
        ref = there.ref or self._behind(node.this, node)
        if ref is None:
            return [], inner
        items: list[Column | Star] = []
        known = plain(there) if there.is_known else None
        for then in thens:
            if isinstance(then, exp.Update):
                for e in _sets(then):
                    if isinstance(e, exp.Star):
                        items += self._by_name(theirs, known)
                    else:
                        items += [c for _, c in self._assignments(e, inner, ref, there)]
            elif isinstance(then, exp.Insert):
                items += self._inserted(then, theirs, source_scope, inner, known)
        return [Write(ref, Relation(items))], inner

    def _by_name(self, theirs: Relation, known: list[str] | None) -> list[Column | Star]:
        if known is not None:
            return [Column(n, v) for n in known if (v := theirs.get(n))]
        return [*theirs.items, *([Star((theirs,))] if theirs.open else [])]

    def _inserted(
        self, then: Any, theirs: Relation, scope: Scope, both: Scope, known: list[str] | None
    ) -> list[Column | Star]:
        this = then.this
        if isinstance(this, exp.Star):
            return self._by_name(theirs, known)
        values = then.args.get("expression")
        if not isinstance(values, exp.Expression) and isinstance(this, exp.Tuple):  # INSERT VALUES (..)
            first = this.expressions[0] if this.expressions else None
            this, values = None, exp.Tuple(expressions=first.expressions) if isinstance(first, exp.Anonymous) else this
        if isinstance(this, exp.Var) or (isinstance(this, exp.Column) and this.name.upper() == "ROW"):  # INSERT ROW
            return list(theirs.renamed(known).items) if known and theirs.is_known else self._by_name(theirs, known)
        names = []
        if isinstance(this, exp.Tuple):
            names = [self.q.parts(c)[-1] if isinstance(c, exp.Column) else self.names.text(c) for c in this.expressions]
        elif isinstance(this, exp.Paren):
            names = [self.names.text(this.this.this) if isinstance(this.this, exp.Column) else this.this.name]
        elif isinstance(this, (exp.Column, exp.Identifier)):
            names = [self.names.text(identifier(this))]
        if isinstance(values, exp.Values):
            values = values.expressions[0] if values.expressions else None
        if isinstance(values, exp.Tuple):
            given = values.expressions
        elif isinstance(values, exp.Expression):
            if isinstance(values, exp.Column) and values.name.upper() == "ROW":
                return list(theirs.renamed(names or known or []).items)
            given = [values.this if isinstance(values, exp.Paren) else values]
        else:
            return []
        names = names or known or [g.name for g in given]
        inner = Scope(scope)
        inner.hidden = {**both.hidden, **dict(both.relations)}
        return [Column(n, self.q.value(v, inner)) for n, v in zip(names, given, strict=False)]

    def _delete(self, node: Any, scope: Scope) -> Scope:
        inner = Scope(scope)
        for item in [node.this, *(node.args.get("using") or ())]:
            if isinstance(item, (exp.Table, exp.Subquery)):
                inner.add(*self.q.source(item, inner))
        self.q.joins(node, inner)
        base = inner.relations[0][1] if inner.relations else Relation()
        self._old_and_new(inner, base)
        return inner


def _sets(update: Any) -> list[Any]:
    """The assignments of a branch; the star of UPDATE SET *, UPDATE * is one."""
    found = update.args.get("expressions")
    return found if isinstance(found, list) else [found]
