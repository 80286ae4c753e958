"""A parsed statement -> what it writes: each target with its rows, named by the target's columns."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlglot import exp

from shared.lineage.environment import Memory, plain
from shared.lineage.queries import Queries
from shared.lineage.relations import Column, Relation, Star, Value
from shared.lineage.scopes import Scope
from shared.lineage.tables import Ref, _is_temporary, _resolved

#: T-SQL's OUTPUT .. INTO, or RETURNING .. INTO variables (no table): the table, its columns, the expressions
Log = tuple[Any, list[str], list[Any]]


class Write(NamedTuple):
    """Rows for a target. creates: its columns are these from now on; copies: a clone, stars are no problem."""

    ref: Ref
    rows: Relation
    creates: bool = False
    copies: bool = False


class Effect(NamedTuple):
    """What a statement does besides naming tables: `returned` are the rows of a bare query or of RETURNING."""

    writes: list[Write]
    returned: Relation | None = None


class Writes:
    """Column edges of one statement."""

    def __init__(self, queries: Queries, memory: Memory) -> None:
        self.q = queries
        self.memory = memory
        self.names = queries.names

    def of(self, statement: Any, logs: list[Log]) -> Effect:
        scope = Scope()
        found: list[Write] = []
        if not isinstance(statement, exp.Query):
            with_ = statement.args.get("with_")
            if with_ is not None:
                self.q.ctes(with_, scope)
        for cte in (statement.args.get("with_") or exp.With(expressions=[])).expressions:
            if isinstance(cte.this, (exp.Insert, exp.Update, exp.Delete, exp.Merge)):
                inner = Scope(scope)
                found += self._dml(cte.this, inner, [])[0]
        nested = statement.args.get("expression") if isinstance(statement, exp.Insert) else None
        if isinstance(nested, exp.Query):  # T-SQL: INSERT .. SELECT .. FROM (MERGE .. OUTPUT ..)
            for query in nested.find_all(exp.Subquery):
                if isinstance(query.this, (exp.Merge, exp.Update, exp.Insert)):
                    found += self._dml(query.this, Scope(scope), [])[0]
        if isinstance(statement, exp.Create):
            return Effect([*found, *self._create(statement, scope)])
        if isinstance(statement, exp.MultitableInserts):
            return Effect([*found, *self._multiple(statement, scope)])
        if isinstance(statement, exp.Query):
            into = next((s.args["into"] for s in _selects(statement) if s.args.get("into")), None)
            rows = self.q.query(statement, None)
            if into is not None and isinstance(into.this, exp.Table):
                ref = self.names.ref(into.this)
                if ref is not None:
                    temporary = ref.temporary or bool(into.args.get("temporary"))
                    return Effect([*found, Write(Ref(ref.name, temporary), rows, creates=True)])
            return Effect(found, rows)
        writes, returned = self._dml(statement, scope, logs)
        return Effect([*found, *writes], returned)

    def _dml(self, node: Any, scope: Scope, logs: list[Log]) -> tuple[list[Write], Relation | None]:
        if isinstance(node, exp.Insert):
            writes, after = self._insert(node, scope)
        elif isinstance(node, exp.Update):
            writes, after = self._update(node, scope)
        elif isinstance(node, exp.Merge):
            writes, after = self._merge(node, scope)
        elif isinstance(node, exp.Delete):
            writes, after = [], self._delete(node, scope)
        else:
            return [], None
        for table, columns, expressions in logs:
            if table is None:
                return writes, self.q.projections(expressions, after)
            ref = self.names.ref(table)
            if ref is not None:
                names = columns or self.memory.columns_of(ref) or []
                writes.append(Write(ref, self.q.projections(expressions, after).renamed(names)))
        returning = node.args.get("returning")
        return writes, self.q.projections(returning.expressions, after) if returning is not None else None

    # ---- INSERT

    def _insert(self, node: Any, scope: Scope) -> tuple[list[Write], Scope]:
        target = node.this.this if isinstance(node.this, exp.Schema) else node.this
        after = Scope(scope)
        ref = self.names.ref(target) if isinstance(target, exp.Table) else None
        if ref is None:
            return [], after
        listed = self.listed(node.this)
        base = self.q.base(ref)
        after.add(target.alias_or_name, base)
        self._old_and_new(after, base)
        expression = node.expression
        if not isinstance(expression, exp.Expression):
            return [], after
        rows = self.q.query(expression, scope)
        rows = self.placed(rows, ref, listed, node)
        writes = [Write(ref, rows)]
        conflict = node.args.get("conflict")
        if conflict is not None:
            writes.append(self._conflict(conflict, ref, base, rows, expression, after))
        return writes, after

    def listed(self, target: Any) -> list[str]:
        if not isinstance(target, exp.Schema):
            return []
        return [self.names.text(_identifier(c)) for c in target.expressions if _identifier(c) is not None]

    def placed(self, rows: Relation, ref: Ref, listed: list[str], node: Any = None) -> Relation:
        """Rows under the target's column names."""
        if node is not None and node.args.get("by_name"):
            return rows
        if listed:
            return rows.renamed(listed)
        known = self.memory.columns_of(ref)
        target = node.this if node is not None else None
        partition = (node.args.get("partition") or target.args.get("partition")) if target is not None else None
        parts = partition.expressions if isinstance(partition, exp.Partition) else []
        fixed = {e.this.name.lower() for e in parts if isinstance(e, exp.EQ)}
        dynamic = [e.name for e in parts if not isinstance(e, exp.EQ)]
        if known is not None and rows.is_known:
            fixed |= {d.lower() for d in dynamic}
            return rows.renamed([*(c for c in known if c.lower() not in fixed), *dynamic])
        if dynamic and rows.is_known:
            names = [c.name for c in rows.columns()]
            return rows.renamed([*names[: -len(dynamic)], *dynamic])
        return rows

    def _conflict(self, node: Any, ref: Ref, base: Relation, rows: Relation, select: Any, after: Scope) -> Write:
        scope = Scope()
        if isinstance(select, exp.Select) and select.args.get("from_"):
            scope.add(*self.q.source(select.args["from_"].this, scope))
            self.q.joins(select, scope)
        inner = Scope(scope)
        inner.relations = list(after.relations)
        inner.hidden["excluded"] = rows
        self.q.excluded = rows
        alias = select.alias if isinstance(select, exp.Values) else ""
        if alias:
            names = [c.name for c in select.args["alias"].columns] if select.args.get("alias") else []
            inner.hidden[alias.lower()] = rows.renamed(names) if names else rows
        items = [c for e in node.expressions for _, c in self._assignments(e, inner, ref, base)]
        return Write(ref, Relation(list(items)))

    def _multiple(self, node: Any, scope: Scope) -> list[Write]:
        alias, source = self.q.source(node.args["source"], scope)
        inner = Scope(scope)
        inner.add(alias, source)
        self.q.joins(node.args["source"], inner)
        found = []
        for item in node.expressions:
            inserts = [item] if isinstance(item, exp.Insert) else [i for i in [item.this] if isinstance(i, exp.Insert)]
            for insert in inserts:
                target = insert.this.this if isinstance(insert.this, exp.Schema) else insert.this
                ref = self.names.ref(target) if isinstance(target, exp.Table) else None
                if ref is None:
                    continue
                body = insert.args.get("expression")
                rows = self.q.query(body, inner) if isinstance(body, exp.Expression) else source
                if not isinstance(body, exp.Expression) and source.open:
                    rows = Relation([Star((source,))])
                listed = self.listed(insert.this)
                if isinstance(body, exp.Values) and not listed and self.memory.columns_of(ref) is None:
                    row = body.expressions[0] if body.expressions else None
                    listed = [e.name for e in row.expressions] if isinstance(row, exp.Tuple) else []
                found.append(Write(ref, self.placed(rows, ref, listed, insert)))
        return found

    # ---- UPDATE, MERGE, DELETE

    def _old_and_new(self, scope: Scope, base: Relation) -> None:
        for name in ("inserted", "deleted", "old", "new"):
            scope.hidden.setdefault(name, base)

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
        writes: dict[Ref, list[Column | Star]] = {}
        for e in node.expressions:
            for owner, column in self._assignments(e, inner, ref, there):
                if owner is not None:
                    writes.setdefault(owner, []).append(column)
        return [Write(r, Relation(items)) for r, items in writes.items()], inner

    def _behind(self, target: Any, node: Any) -> Ref | None:
        for table in _resolved(target, node) if isinstance(target, exp.Table) else ():
            return self.names.ref(table)
        return None

    def _assignments(self, e: Any, scope: Scope, ref: Ref | None, there: Relation) -> list[tuple[Ref | None, Column]]:
        """`SET a = x`, `SET (a, b) = (..)`, `SET @v = a = x`: target, column and value."""
        if not isinstance(e, exp.EQ):
            return []
        left, right = e.this, e.expression
        if isinstance(left, exp.EQ):  # T-SQL: @v = a = x
            if isinstance(left.this, (exp.Parameter,)):
                self.memory.assign(left.this.name, self.q.value(right, scope))
            left = left.expression
        if isinstance(left, exp.Parameter):
            self.memory.assign(left.name, self.q.value(right, scope))
            if isinstance(right, exp.EQ):
                return self._assignments(right, scope, ref, there)
            return []
        if isinstance(left, (exp.Tuple, exp.Paren)):
            names = left.expressions if isinstance(left, exp.Tuple) else [left.this]
            return [
                found
                for name, value in zip(names, self._several(right, scope, len(names)), strict=False)
                if (found := self._target(name, value, scope, ref, there)) is not None
            ]
        found = self._target(left, self.q.value(right, scope), scope, ref, there)
        return [found] if found is not None else []

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
        parts = self.q._parts(left) if isinstance(left, exp.Column) else [self.names.text(left)]
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
        behind = owner.get(column) or {}
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
        ref = there.ref or self._behind(node.this, node)
        if ref is None:
            return [], inner
        items: list[Column | Star] = []
        whens = node.args.get("whens")
        known = plain(there) if there.is_known else None
        for when in whens.expressions if whens is not None else ():
            then = when.args.get("then")
            if isinstance(then, exp.Update):
                for e in then.expressions:
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
            names = [
                self.q._parts(c)[-1] if isinstance(c, exp.Column) else self.names.text(c) for c in this.expressions
            ]
        elif isinstance(this, exp.Paren):
            names = [self.names.text(this.this.this) if isinstance(this.this, exp.Column) else this.this.name]
        elif isinstance(this, (exp.Column, exp.Identifier)):
            names = [self.names.text(_identifier(this))]
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

    # ---- CREATE

    def _create(self, node: Any, scope: Scope) -> list[Write]:
        target = node.this.this if isinstance(node.this, exp.Schema) else node.this
        ref = self.names.ref(target) if isinstance(target, exp.Table) else None
        if ref is None:
            return []
        ref = Ref(ref.name, ref.temporary or _is_temporary(node))
        clone = node.args.get("clone")
        if clone is not None:
            table = clone.this if isinstance(clone.this, exp.Table) else None
            source = self.names.ref(table) if table is not None else None
            base = self.q.base(source) if source is not None else Relation()
            rows = Relation([Star((base,))]) if base.open else base
            return [Write(ref, Relation(rows.items), creates=True, copies=True)]
        if not isinstance(node.expression, exp.Expression):
            return []
        listed = self.listed(node.this)
        alias = target.name.lower()
        if (
            isinstance(node.expression, exp.SetOperation)
            and alias
            in {t.name.lower() for t in node.expression.find_all(exp.Table) if isinstance(t.this, exp.Identifier)}
            and str(node.args.get("kind")).upper() == "VIEW"
        ):  # CREATE RECURSIVE VIEW
            for table in node.expression.find_all(exp.Table):
                if table.name.lower() == alias:
                    table.set("db", None)
            return [Write(ref, self.q.recursive(node.expression, alias, listed, scope), creates=True)]
        rows = self.q.query(node.expression, scope)
        return [Write(ref, rows.renamed(listed), creates=True)]


def _identifier(node: Any) -> Any:
    while isinstance(node, (exp.Column, exp.ColumnDef, exp.Ordered, exp.Paren)):
        node = node.this
    return node if isinstance(node, exp.Identifier) else None


def _selects(node: Any) -> list[Any]:
    """The SELECTs of a query, without those in subqueries."""
    found = []
    while isinstance(node, (exp.SetOperation, exp.Subquery)):
        if isinstance(node, exp.SetOperation) and isinstance(node.expression, exp.Select):
            found.append(node.expression)
        node = node.this
    return [*found, node] if isinstance(node, exp.Select) else found
