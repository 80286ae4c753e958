"""What stands in FROM and JOIN -> relations: tables, subqueries, functions, VALUES, UNNEST, PIVOT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlglot import exp

from shared.lineage.pivots import Pivots
from shared.lineage.relations import Column, Environment, Relation, Star, Value, derived, merged
from shared.lineage.tables import HOLE, Names, Ref
from shared.lineage.trees import children, text_of

if TYPE_CHECKING:
    from shared.lineage.scopes import Scope

#: columns of table functions: whether the argument's values reach them
_FUNCTION_COLUMNS: dict[str, dict[str, bool]] = {
    "flatten": {"seq": False, "key": True, "path": True, "index": False, "value": True, "this": True},
    "string_split": {"value": True, "ordinal": False},
    "openjson": {"key": True, "value": True, "type": False},
    "split_to_table": {"seq": False, "index": False, "value": True},
    "json_each": {"key": True, "value": True},
    "jsonb_each": {"key": True, "value": True},
    "json_each_text": {"key": True, "value": True},
    "jsonb_each_text": {"key": True, "value": True},
}
#: functions whose first column is a position
_POSITIONS = ("posexplode", "posexplode_outer")


class Rowsets(Pivots):
    """The half of the resolver that turns FROM items into relations."""

    names: Names
    env: Environment
    dialect: str

    if TYPE_CHECKING:

        def query(self, node: Any, parent: Scope | None) -> Relation: ...
        def value(self, node: Any, scope: Scope) -> Value: ...
        def projections(self, expressions: list[Any], scope: Scope) -> Relation: ...
        def joins(self, node: Any, scope: Scope) -> None: ...
        def problem(self, reason: str) -> None: ...

    def source(self, node: Any, scope: Scope) -> tuple[str, Relation]:
        """(alias, relation) of a FROM item; joins within it are added to the scope by the caller."""
        alias = node.alias_or_name if isinstance(node, exp.Expression) else ""
        if isinstance(node, exp.AtIndex) and isinstance(node.this, exp.Alias):  # Redshift: t.array AS x AT i
            value = derived(self.value(node.this.this, scope), node.this.this)
            columns: list[Column | Star] = [Column(node.this.alias, value), Column(node.expression.name, {})]
            return node.this.alias, Relation(columns, whole=value)
        if not alias and _is_parenthesised(node):
            return self._parenthesised(node, scope)
        relation = self._rows(node, scope)
        names = self._alias_columns(node)
        if names and not isinstance(node, (exp.Unnest, exp.Lateral)):
            relation = relation.renamed(names)
        for pivot in node.args.get("pivots") or ():
            relation = self.pivoted(pivot, relation)
            alias = pivot.alias or alias
        if isinstance(node, exp.Unnest) and not alias and names:
            alias = names[0]
        return alias, relation

    def _alias_columns(self, node: Any) -> list[str]:
        alias = node.args.get("alias")
        if not isinstance(alias, exp.TableAlias):
            return []
        return [self.names.text(c.this if isinstance(c, exp.ColumnDef) else c) for c in alias.columns]

    def _rows(self, node: Any, scope: Scope) -> Relation:
        if isinstance(node, exp.Table):
            return self._table(node, scope)
        if isinstance(node, exp.Subquery):
            if _is_parenthesised(node) and node.this.args.get("joins"):
                items: list[Column | Star] = []
                for _, r in self._inside(node, scope).relations:
                    items += r.items if r.is_known else [*r.items, Star((r,))]
                return Relation(items)
            return self.query(node.this, self._with(node, scope))
        if isinstance(node, exp.Lateral):
            return self._lateral(node, scope)
        if isinstance(node, exp.Unnest):
            return self._unnest(node, scope)
        if isinstance(node, exp.Values):
            return self._values(node, scope)
        if isinstance(node, exp.Query):
            return self.query(node, scope)
        if isinstance(node, exp.Column):  # ClickHouse: ARRAY JOIN a, ARRAY JOIN a AS x
            return Relation([Column(node.name, derived(self.value(node, scope), node))])
        if isinstance(node, exp.Alias) and isinstance(node.this, exp.Expression):
            return Relation([Column(node.alias, derived(self.value(node.this, scope), node.this))])
        return self._function(node, scope)

    def _parenthesised(self, node: Any, scope: Scope) -> tuple[str, Relation]:
        """`(a JOIN b ON ..)`: the names inside are visible outside, in their order."""
        inside = self._inside(node, scope)
        scope.using.update(inside.using)
        scope.beside = inside.relations[1:]
        return inside.relations[0]

    def _inside(self, node: Any, scope: Scope) -> Scope:
        from shared.lineage.scopes import Scope as Inner

        inside = Inner(scope)
        inside.add(*self.source(node.this, inside))
        self.joins(node.this, inside)
        self.joins(node, inside)
        return inside

    def _with(self, node: Any, scope: Scope) -> Scope:
        with_ = node.args.get("with_")
        if with_ is None:
            return scope
        from shared.lineage.scopes import Scope as Inner

        inner = Inner(scope)
        self.ctes(with_, inner)  # type: ignore[attr-defined]
        return inner

    def _table(self, node: Any, scope: Scope) -> Relation:
        this = node.this
        if isinstance(this, exp.Identifier) and not node.args.get("db"):
            cte = scope.cte(this.name.lower())
            if cte is not None:
                return cte
            # BigQuery, Presto: FROM t, t.array
        elif isinstance(this, exp.Identifier) and not node.args.get("catalog"):
            owner = scope.named([node.text("db")])
            if owner is not None and self.dialect in ("bigquery", "snowflake", "spark", "databricks"):
                value = owner.get(this.name)
                if value is not None:
                    return Relation([Column(node.alias_or_name, value)], whole=derived(value, node))
        if not isinstance(this, (exp.Identifier, exp.Parameter, exp.Var, exp.Dot, exp.Literal)):
            return self._function(this, scope, node)
        ref = self.names.ref(node)
        if ref is None:
            return Relation(is_open=False, whole={}, loose=HOLE not in node.sql().lower())
        if not node.args.get("db"):
            hidden = scope.named([this.name]) if this.name.lower() in self.names.ignored else None
            if hidden is not None:
                return hidden
        return self.base(ref)

    def base(self, ref: Ref) -> Relation:
        """A table: with the columns that are known, or open."""
        if ref.name.name.lower() in self.names.ignored and len(ref.name.parts) == 1:
            return self.env.record(ref.name.name) or Relation()
        return self.env.relation(ref) or Relation(ref=ref, is_open=True)

    def _lateral(self, node: Any, scope: Scope) -> Relation:
        this = node.this
        names = self._alias_columns(node)
        if isinstance(this, exp.Subquery):
            return self.query(this, scope).renamed(names)
        if isinstance(this, exp.Unnest) and names:
            values = [derived(self.value(e, scope), this) for e in this.expressions]
            if this.args.get("offset") or node.args.get("ordinality"):
                values.append({})
            offset = this.args.get("offset")
            names += [offset.name] if isinstance(offset, exp.Identifier) else []
            return Relation([Column(n, values[i] if i < len(values) else {}) for i, n in enumerate(names)])
        if isinstance(this, exp.Unnest):
            return self._unnest(this, scope)
        if isinstance(this, exp.Explode) and names and names[-1].lower() == "this":  # Snowflake's FLATTEN
            value = derived(self.value(this, scope), this)
            plain = _FUNCTION_COLUMNS["flatten"]
            return Relation([Column(n, value if plain.get(n.lower(), True) else {}) for n in names])
        relation = self._function(this, scope, node)
        if not names:
            return relation
        whole = relation.whole if relation.whole is not None else merged([c.value for c in relation.columns()] or [{}])
        first = isinstance(this, exp.Posexplode)
        last = bool(node.args.get("ordinality"))
        return Relation(
            [
                Column(n, {} if (first and i == 0) or (last and i == len(names) - 1) else whole)
                for i, n in enumerate(names)
            ]
        )

    def _unnest(self, node: Any, scope: Scope) -> Relation:
        names = self._alias_columns(node)
        values = [derived(self.value(e, scope), node) for e in node.expressions]
        offset = node.args.get("offset")
        items: list[Column | Star] = []
        if isinstance(offset, exp.Identifier):
            if names and names[-1].lower() == offset.name.lower():
                names = names[:-1]
            items.append(Column(offset.name, {}))
        elif offset and len(names) > len(values):
            items.append(Column(names.pop(), {}))
        if len(values) > 1:
            items += [Column(n, values[i] if i < len(values) else {}) for i, n in enumerate(names)]
            return Relation(items)
        whole = values[0] if values else {}
        items += [Column(n, whole) for n in names]
        if not names and node.alias:
            items.append(Column(node.alias, whole))
        is_closed = bool(names) and self.dialect not in ("bigquery",)
        return Relation(items, whole=None if is_closed else whole, loose=True)

    def _values(self, node: Any, scope: Scope) -> Relation:
        rows = [r.expressions if isinstance(r, exp.Tuple) else [r] for r in node.expressions[:200]]
        if len(rows) == 1 and any(isinstance(e, exp.Column) and isinstance(e.this, exp.Star) for e in rows[0]):
            return self.projections(rows[0], scope)  # PostgreSQL: VALUES (NEW.*)
        width = max(map(len, rows), default=0)
        items: list[Column | Star] = []
        names = self._alias_columns(node)
        for i in range(width):
            value = merged([self.value(r[i], scope) for r in rows if i < len(r)])
            items.append(Column(names[i] if i < len(names) else f"column{i + 1}", value))
        return Relation(items)

    def _function(self, this: Any, scope: Scope, node: Any = None) -> Relation:
        """A table function's rows hold its arguments' values."""
        if isinstance(this, exp.Dot):
            name, call = text_of(this, self.dialect).split("(")[0], this.expression
        else:
            name, call = (this.name if isinstance(this, exp.Anonymous) else getattr(this, "key", "")), this
        if not isinstance(call, exp.Expression):  # LATERAL with nothing behind it
            return Relation(whole={}, loose=True)
        if name.lower() == "table" or isinstance(call, exp.TableFromRows):
            inner = call.expressions[0] if call.expressions else call.this
            if isinstance(inner, exp.Expression) and not isinstance(inner, exp.Column):
                return self._function(inner, scope, node)
        known = self.env.function(name)
        if known is not None:
            return self.env.called(known, [self._given(a, scope) for a in call.expressions])
        given = [t for _, a in children(call) if (t := _table_argument(a)) is not None]
        if given:
            return self._passed_through(given, scope)
        schema = call.args.get("schema")
        declared = (schema.expressions if isinstance(schema, exp.Expression) else []) or [
            e for e in call.args.get("columns") or call.expressions or () if isinstance(e, _DEFINITIONS)
        ]
        if declared:
            value = self.value(call.this, scope) if isinstance(call.this, exp.Expression) else {}
            for e in call.args.get("passing") or ():
                value = merged([value, self.value(e, scope)])
            value = derived(value, call)
            return Relation([*self._declared(declared, value)])
        value = derived(self.value(this if isinstance(this, exp.Dot) else call, scope), call)
        owner = node.args.get("db") if isinstance(node, exp.Table) else None
        if isinstance(owner, exp.Parameter):  # T-SQL: FROM @x.nodes('/a') AS t(c)
            value = merged([value, derived(self.value(owner, scope), call)])
        columns = _FUNCTION_COLUMNS.get(name.lower())
        if columns:
            return Relation([Column(c, value if counts else {}) for c, counts in columns.items()], loose=True)
        return Relation(whole=value, loose=True)

    def _given(self, argument: Any, scope: Scope) -> tuple[str, Value]:
        """(name, value) of an argument; `name => value` says its name."""
        if isinstance(argument, (exp.Kwarg, exp.PropertyEQ, exp.EQ)) and isinstance(
            argument.expression, exp.Expression
        ):
            return argument.this.name.lower(), self.value(argument.expression, scope)
        return "", self.value(argument, scope)

    def _passed_through(self, given: list[Any], scope: Scope) -> Relation:
        """Rows of a function over tables (ML.PREDICT, polymorphic functions): theirs, and columns that it makes up."""
        items: list[Column | Star] = []
        for table in given:
            rows = self._rows(table, scope)
            items += [*rows.items, *([Star((rows,))] if rows.open else [])]
        known = not any(isinstance(i, Star) for i in items)
        return Relation(items, whole={} if known else None, loose=True)

    def _declared(self, definitions: list[Any], value: Value) -> list[Column | Star]:
        """Columns of OPENJSON .. WITH, JSON_TABLE .. COLUMNS, XMLTABLE."""
        found: list[Column | Star] = []
        for d in definitions:
            nested = d.args.get("nested_schema")
            if nested is not None:
                found += self._declared(nested.expressions, value)
            elif d.name:
                found.append(Column(self.names.text(d.this) or d.name, {} if d.args.get("ordinality") else value))
        return found


def _table_argument(node: Any) -> Any:
    """A table among a function's arguments: the name of one, or a query of all columns or several."""
    node = node.expression if isinstance(node, exp.Kwarg) else node
    if isinstance(node, exp.Table):
        return node
    query = node.this if isinstance(node, exp.Subquery) else node
    if isinstance(query, exp.Select) and (len(query.expressions) > 1 or query.is_star):
        return exp.Subquery(this=query) if node is query else node
    return None


_DEFINITIONS = tuple(
    t for t in (getattr(exp, n, None) for n in ("OpenJSONColumnDef", "JSONColumnDef", "ColumnDef")) if t is not None
)


def _is_parenthesised(node: Any) -> bool:
    return isinstance(node, exp.Subquery) and isinstance(node.this, (exp.Table, exp.Subquery))
