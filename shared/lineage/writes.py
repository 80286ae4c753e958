"""A parsed statement -> what it writes: each target with its rows, named by the target's columns."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlglot import exp

from shared.lineage.relations import Column, Relation, Star
from shared.lineage.scopes import Scope
from shared.lineage.tables import HOLE, Ref, is_temporary, made
from shared.lineage.trees import identifier, selects
from shared.lineage.updates import Updates, Write

#: T-SQL's OUTPUT .. INTO, or RETURNING .. INTO variables (no table): the table, its columns, the expressions
Log = tuple[Any, list[str], list[Any]]


class Effect(NamedTuple):
    """What a statement does besides naming tables: `returned` are the rows of a bare query or of RETURNING."""

    writes: list[Write]
    returned: Relation | None = None


class Writes(Updates):
    """Column edges of one statement."""

    def of(self, statement: Any, logs: list[Log]) -> Effect:
        scope = Scope()
        found: list[Write] = []
        with_ = statement.args.get("with_") or exp.With(expressions=[])
        writes = [c for c in with_.expressions if isinstance(c.this, (exp.Insert, exp.Update, exp.Delete, exp.Merge))]
        if writes or not isinstance(statement, exp.Query):
            self.q.ctes(with_, scope)
        for cte in writes:
            found += self._dml(cte.this, Scope(scope), [])[0]
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
            into = next((s.args["into"] for s in selects(statement) if s.args.get("into")), None)
            rows = self.q.query(statement, None)
            if into is not None and isinstance(into.this, exp.Table):
                ref = self.names.ref(into.this)
                if ref is not None:
                    temporary = ref.temporary or bool(into.args.get("temporary"))
                    return Effect([*found, Write(Ref(ref.name, temporary), rows, creates=True)])
                return Effect(found)  # in dynamic SQL, a table whose name is not known
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
        return [self.names.text(identifier(c)) for c in target.expressions if identifier(c) is not None]

    def placed(self, rows: Relation, ref: Ref, listed: list[str], node: Any = None) -> Relation:
        """Rows under the target's column names."""
        if node is not None and node.args.get("by_name"):
            return rows
        if listed:
            return self._aligned(rows, listed).renamed(listed)
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

    def _aligned(self, rows: Relation, listed: list[str]) -> Relation:
        """Without what follows a hole of dynamic SQL that stands for another number of columns than one."""
        hole = next((i for i, c in enumerate(rows.items) if isinstance(c, Column) and HOLE in c.name.lower()), None)
        if hole is None or len(rows.items) == len(listed):
            return rows
        return Relation(rows.items[:hole])

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

    # ---- CREATE

    def _create(self, node: Any, scope: Scope) -> list[Write]:
        place = made(node)
        target = place.this if isinstance(place, exp.Schema) else place
        ref = self.names.ref(target) if isinstance(target, exp.Table) else None
        if ref is None:
            return []
        ref = Ref(ref.name, ref.temporary or is_temporary(node))
        clone = node.args.get("clone")
        if clone is not None:
            table = clone.this if isinstance(clone.this, exp.Table) else None
            source = self.names.ref(table) if table is not None else None
            base = self.q.base(source) if source is not None else Relation()
            rows = Relation([Star((base,))]) if base.open else base
            return [Write(ref, Relation(rows.items), creates=True, copies=True)]
        if not isinstance(node.expression, exp.Expression):
            return []
        listed = self.listed(place)
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
        if self.q.dialect == "mysql" and str(node.args.get("kind")).upper() == "TABLE":  # they are met by name
            more = [Column(n, {}) for n in listed if rows.listed(n) is None]
            return [Write(ref, Relation([*more, *rows.items]), creates=True)]
        if place is not node.this:  # the target's columns are met by name
            return [Write(ref, rows)]
        return [Write(ref, rows.renamed(listed), creates=True)]
