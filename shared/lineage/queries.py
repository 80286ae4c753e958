"""Queries -> relations: one pass over the tree, innermost first."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from shared.lineage.expressions import Expressions
from shared.lineage.patterns import matched
from shared.lineage.relations import Column, Environment, Relation, Star, derived, merged, union
from shared.lineage.rowsets import Rowsets
from shared.lineage.scopes import Scope
from shared.lineage.spelling import Spelling
from shared.lineage.stars import Stars
from shared.lineage.tables import Names
from shared.lineage.trees import branches, text_of
from shared.lineage.words import NOT_COLUMNS

#: dialects in which an expression may name an earlier column of its own SELECT
LATERAL_ALIASES = frozenset({"snowflake", "redshift", "databricks", "spark", "duckdb", "clickhouse", "teradata", ""})
#: dialects in which `a.b` may be field b of column a
STRUCTS = frozenset(
    {"bigquery", "spark", "databricks", "hive", "duckdb", "trino", "athena", "presto", "clickhouse", ""}
)
MAX_ROUNDS = 4


class Queries(Rowsets, Expressions, Stars):
    """Resolves the queries of one statement; `problems` says what could not be decided."""

    def __init__(self, names: Names, environment: Environment, dialect: str) -> None:
        self.names = names
        self.env = environment
        self.dialect = dialect
        self.problems: dict[str, None] = {}
        self.excluded: Relation | None = None
        self._not_columns = NOT_COLUMNS | {"level", "sql"} if dialect == "oracle" else NOT_COLUMNS
        self._steps = 0
        self.spelling: Spelling | None = None
        self._busy: set[str] = set()
        self._reuses_aliases = dialect in LATERAL_ALIASES
        self._structs = dialect in STRUCTS
        self._has_sigils = dialect in ("tsql", "fabric")  # a name without @ is no variable
        self._has_patterns = dialect in ("duckdb", "clickhouse")

    def problem(self, reason: str) -> None:
        self.problems[reason] = None

    # ---- queries

    def query(self, node: Any, parent: Scope | None) -> Relation:
        """The rows of a query, with its CTEs."""
        outer = Scope(parent)
        while True:
            with_ = node.args.get("with_")
            if with_ is not None:
                self.ctes(with_, outer)
            if isinstance(node, exp.Subquery) and not node.args.get("pivots") and not node.args.get("joins"):
                node = node.this
                continue
            break
        if isinstance(node, exp.Select):
            return self.select(node, outer)
        if isinstance(node, exp.SetOperation):
            return self._set_operation(node, outer)
        if isinstance(node, (exp.Insert, exp.Update, exp.Delete, exp.Merge)):
            return self._returned(node, outer)
        if isinstance(node, exp.Pivot):
            return self.pivot_statement(node, outer)
        return self.source(node, outer)[1]

    def ctes(self, with_: Any, scope: Scope) -> None:
        for cte in with_.expressions:
            names = self._alias_columns(cte)
            alias = cte.alias.lower()
            body = cte.this
            if cte.args.get("scalar"):  # ClickHouse: WITH (SELECT ..) AS name, WITH expression AS name
                scope.scalars[alias] = body
            elif isinstance(body, exp.SetOperation) and self._names_itself(body, alias):
                scope.ctes[alias] = self.recursive(body, alias, names, scope)
            elif isinstance(body, exp.Query):
                scope.ctes[alias] = self.query(body, scope).renamed(names)
            elif isinstance(body, (exp.Insert, exp.Update, exp.Delete, exp.Merge)):
                scope.ctes[alias] = self._returned(body, scope).renamed(names)

    def _names_itself(self, body: Any, alias: str) -> bool:
        return any(t.name.lower() == alias and not t.args.get("db") for t in body.find_all(exp.Table))

    def recursive(self, body: Any, alias: str, names: list[str], scope: Scope) -> Relation:
        parts = branches(body)
        first = self.query(parts[0][0], scope).renamed(names)
        inner = Scope(scope)
        result = first
        for _ in range(MAX_ROUNDS):
            inner.ctes[alias] = result
            new = first
            for branch, kind in parts[1:]:
                new = self._combined(new, self.query(branch, inner), kind)
            new = new.renamed(names) if new.is_known else new
            same = [c.value.keys() for c in new.columns()] == [c.value.keys() for c in result.columns()]
            result = new if new.is_known or not result.is_known else result
            if same:
                break
        return result

    def _set_operation(self, node: Any, scope: Scope) -> Relation:
        parts = branches(node)
        result = self.query(parts[0][0], scope)
        for branch, operation in parts[1:]:
            result = self._combined(result, self.query(branch, scope), operation)
        return result

    def _combined(self, left: Relation, right: Relation, operation: Any) -> Relation:
        if isinstance(operation, exp.Except):
            return left
        self._count(len(left.items) + len(right.items))
        return union(left, right, by_name=bool(operation.args.get("by_name")))

    def _returned(self, node: Any, scope: Scope) -> Relation:
        """RETURNING rows of a statement within a query: the target's columns."""
        target = node.this.this if isinstance(node.this, exp.Schema) else node.this
        inner = Scope(scope)
        if isinstance(target, exp.Table):
            inner.add(*self.source(target, inner))
        using = node.args.get("using")
        for other in [node.args.get("from_"), *(using if isinstance(using, list) else [using])]:
            if isinstance(other, (exp.From, exp.Table, exp.Subquery)):
                inner.add(*self.source(other.this if isinstance(other, exp.From) else other, inner))
        returning = node.args.get("returning")
        return self.projections(returning.expressions, inner) if returning is not None else Relation()

    def select(self, node: Any, outer: Scope) -> Relation:
        scope = Scope(outer)
        scope.node = node
        args = node.args
        from_ = args.get("from_")
        if from_ is not None:
            scope.add(*self.source(from_.this, scope))
            self.joins(from_.this, scope)
        if args.get("match"):
            matched(self, args["match"], scope)
        self.joins(node, scope)
        if args.get("connect"):  # the depth of CONNECT BY
            scope.aliases["level"] = {}
        for window in args.get("windows") or ():
            scope.windows[window.name.lower()] = window
        kind = args.get("kind")
        rows = self.projections(node.expressions, scope)
        if args.get("for_") is not None and str(args["for_"].args.get("kind")).upper() in ("XML", "JSON"):
            values = [c.value for c in rows.columns()] + [r.whole for s in rows.stars() for r in s.relations if r.whole]
            return Relation([Column("", derived(merged([*values, {}]), node))])
        if kind in ("STRUCT", "VALUE") and len(rows.items) == 1 and not rows.is_known:
            return rows
        return rows

    def joins(self, node: Any, scope: Scope) -> None:
        for join in node.args.get("joins") or ():
            for also in join.args.get("expressions") or ():  # ClickHouse: ARRAY JOIN a, b
                scope.add(*self.source(also, scope))
            alias, relation = self.source(join.this, scope)
            using = [i.name.lower() for i in join.args.get("using") or ()]
            if join.args.get("method") == "NATURAL":
                using = [c.name.lower() for c in relation.columns() if scope.listed(c.name)]
            if join.args.get("kind") in ("SEMI", "ANTI") and self.dialect != "clickhouse":
                scope.hidden[alias.lower()] = relation  # seen by ON only
            else:
                scope.join(alias, relation, using, join.args.get("side") or "")
            self.joins(join.this, scope)
        for lateral in node.args.get("laterals") or ():
            scope.add(*self.source(lateral, scope))

    def projections(self, expressions: list[Any], scope: Scope) -> Relation:
        items: list[Column | Star] = []
        for e in expressions:
            self._projection(e, scope, items)
        return Relation(items)

    def _projection(self, e: Any, scope: Scope, items: list[Column | Star]) -> None:
        if isinstance(e, exp.Star):
            items += self.star(scope.visible(), e, scope)
        elif isinstance(e, exp.Column) and isinstance(e.this, exp.Star):
            parts = self.parts(e)[:-1]
            relation = scope.named(parts) or self.env.record(parts[-1])
            if relation is not None:
                items += self.star([(relation, frozenset())], e.this, scope)
            else:
                value = self._name(parts, scope, quiet=True)
                if value is None:
                    self.problem(f"{'.'.join(parts)}.*: no table of that name")
                else:
                    items.append(Star((Relation(whole=derived(value, e)),)))
        elif self._has_patterns and (several := self.columns_in(e, scope.visible(), scope)) is not None:
            items += several
        elif isinstance(e, exp.Aliases):
            value = self.value(e.this, scope)
            position = isinstance(e.this, exp.Posexplode)
            items += [
                Column(self.names.text(n), {} if position and i == 0 else derived(value, e.this))
                for i, n in enumerate(e.expressions)
            ]
        else:
            name = ""
            body = e
            if isinstance(e, exp.Alias):
                body, name = e.this, self.names.text(e.args["alias"])
            value = self.value(body, scope)
            if not name:
                name = self._name_of(body)
            column = Column(name, value)
            items.append(column)
            if (self._reuses_aliases or self.dialect == "exasol") and isinstance(e, exp.Alias):
                scope.aliases.setdefault(name.lower(), value)

    def _name_of(self, e: Any) -> str:
        whole = e
        plain = (
            (exp.Paren, exp.Cast, exp.Bracket) if self.dialect else exp.Paren
        )  # an engine names a cast for its column
        while isinstance(e, plain) and not isinstance(e.this, exp.Literal):
            e = e.this
        if isinstance(e, exp.Column):
            return self.names.text(e.this) or e.name
        if isinstance(e, exp.Dot):
            return self.names.text(e.expression) or e.expression.name
        if isinstance(e, exp.Literal) and e.is_string and self.dialect == "mysql":
            return e.name
        if isinstance(e, exp.JSONExtract) and self.dialect in ("snowflake", "databricks"):
            return str(e.output_name) if e.args.get("expression") is not None else ""
        if isinstance(e, exp.Subquery) and isinstance(e.this, exp.Select) and len(e.this.expressions) == 1:
            name = e.this.expressions[0].alias_or_name if self.dialect != "tsql" else ""
            if name:
                return str(name)
        return (self.spelling.of(whole) if self.spelling is not None else "") or text_of(e, self.dialect)
