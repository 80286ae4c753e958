"""Queries and expressions -> relations and values: one pass over the tree, innermost first."""

from __future__ import annotations

from typing import Any, Protocol

from sqlglot import exp

from shared.lineage.relations import Ambiguous, Column, Relation, Star, Value, derived, merged, union
from shared.lineage.rowsets import Rowsets
from shared.lineage.scopes import Scope
from shared.lineage.tables import Names, Ref
from shared.lineage.words import NOT_COLUMNS

#: dialects in which an expression may name an earlier column of its own SELECT
LATERAL_ALIASES = frozenset({"snowflake", "redshift", "databricks", "spark", "duckdb", "clickhouse", "teradata", ""})
#: dialects in which `a.b` may be field b of column a
STRUCTS = frozenset(
    {"bigquery", "spark", "databricks", "hive", "duckdb", "trino", "athena", "presto", "clickhouse", ""}
)
#: dialects in which the name of a row is a value
ROWS = frozenset({"postgres", "bigquery", "redshift", "duckdb"})
MAX_ROUNDS = 4


#: columns and expressions of one statement beyond which only its tables are read
MAX_STEPS = 400_000


class TooMuch(Exception):
    """The statement has more columns than the budget allows."""


class Environment(Protocol):
    """What the statements before have left behind."""

    def relation(self, ref: Ref) -> Relation | None: ...
    def variable(self, name: str) -> Value | None: ...
    def record(self, name: str) -> Relation | None: ...
    def function(self, name: str) -> Relation | None: ...
    def next_mark(self) -> Value: ...


class Queries(Rowsets):
    """Resolves the queries of one statement; `problems` says what could not be decided."""

    def __init__(self, names: Names, environment: Environment, dialect: str) -> None:
        self.names = names
        self.env = environment
        self.dialect = dialect
        self.problems: dict[str, None] = {}
        self.excluded: Relation | None = None
        self._not_columns = NOT_COLUMNS | {"level"} if dialect == "oracle" else NOT_COLUMNS
        self._steps = 0
        self._reuses_aliases = dialect in LATERAL_ALIASES
        self._structs = dialect in STRUCTS

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
        return self.source(node, outer)[1]

    def ctes(self, with_: Any, scope: Scope) -> None:
        for cte in with_.expressions:
            names = self._alias_columns(cte)
            alias = cte.alias.lower()
            body = cte.this
            if isinstance(body, exp.SetOperation) and self._names_itself(body, alias):
                scope.ctes[alias] = self.recursive(body, alias, names, scope)
            elif isinstance(body, exp.Query):
                scope.ctes[alias] = self.query(body, scope).renamed(names)
            elif isinstance(body, (exp.Insert, exp.Update, exp.Delete, exp.Merge)):
                scope.ctes[alias] = self._returned(body, scope).renamed(names)
            elif isinstance(body, exp.Expression):  # ClickHouse: WITH expression AS name
                scope.scalars[alias] = self.value(body, scope)

    def _names_itself(self, body: Any, alias: str) -> bool:
        return any(t.name.lower() == alias and not t.args.get("db") for t in body.find_all(exp.Table))

    def recursive(self, body: Any, alias: str, names: list[str], scope: Scope) -> Relation:
        branches = _branches(body)
        first = self.query(branches[0][0], scope).renamed(names)
        inner = Scope(scope)
        result = first
        for _ in range(MAX_ROUNDS):
            inner.ctes[alias] = result
            new = first
            for branch, kind in branches[1:]:
                new = self._combined(new, self.query(branch, inner), kind)
            new = new.renamed(names) if new.is_known else new
            same = [c.value.keys() for c in new.columns()] == [c.value.keys() for c in result.columns()]
            result = new if new.is_known or not result.is_known else result
            if same:
                break
        return result

    def _set_operation(self, node: Any, scope: Scope) -> Relation:
        branches = _branches(node)
        result = self.query(branches[0][0], scope)
        for branch, operation in branches[1:]:
            result = self._combined(result, self.query(branch, scope), operation)
        return result

    def _combined(self, left: Relation, right: Relation, operation: Any) -> Relation:
        if isinstance(operation, exp.Except):
            return left
        return union(left, right, by_name=bool(operation.args.get("by_name")))

    def _returned(self, node: Any, scope: Scope) -> Relation:
        """RETURNING rows of a statement within a query: the target's columns."""
        target = node.this.this if isinstance(node.this, exp.Schema) else node.this
        inner = Scope(scope)
        if isinstance(target, exp.Table):
            inner.add(*self.source(target, inner))
        for other in [node.args.get("from_"), node.args.get("using")]:
            if isinstance(other, (exp.From, exp.Table, exp.Subquery)):
                inner.add(*self.source(other.this if isinstance(other, exp.From) else other, inner))
        returning = node.args.get("returning")
        return self.projections(returning.expressions, inner) if returning is not None else Relation()

    def select(self, node: Any, outer: Scope) -> Relation:
        scope = Scope(outer)
        args = node.args
        from_ = args.get("from_")
        if from_ is not None:
            scope.add(*self.source(from_.this, scope))
            self.joins(from_.this, scope)
        self.joins(node, scope)
        for window in args.get("windows") or ():
            scope.windows[window.name.lower()] = window
        if args.get("match"):
            scope.measures(self, args["match"])
        kind = args.get("kind")
        rows = self.projections(node.expressions, scope)
        if kind in ("STRUCT", "VALUE") and len(rows.items) == 1 and not rows.is_known:
            return rows
        return rows

    def joins(self, node: Any, scope: Scope) -> None:
        for join in node.args.get("joins") or ():
            alias, relation = self.source(join.this, scope)
            using = [i.name.lower() for i in join.args.get("using") or ()]
            if join.args.get("method") == "NATURAL":
                using = [c.name.lower() for c in relation.columns() if scope.listed(c.name)]
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
            items += self._star(scope.visible(), e, scope)
        elif isinstance(e, exp.Column) and isinstance(e.this, exp.Star):
            parts = self._parts(e)[:-1]
            relation = scope.named(parts) or self.env.record(parts[-1])
            if relation is not None:
                items += self._star([(relation, frozenset())], e.this, scope)
            else:
                value = self._name(parts, scope, quiet=True)
                if value is None:
                    self.problem(f"{'.'.join(parts)}.*: no table of that name")
                else:
                    items.append(Star((Relation(whole=derived(value, e)),)))
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
            if self._reuses_aliases and isinstance(e, exp.Alias):
                scope.aliases.setdefault(name.lower(), value)

    def _name_of(self, e: Any) -> str:
        while isinstance(e, (exp.Paren, exp.Cast, exp.Bracket)) and not isinstance(e.this, exp.Literal):
            e = e.this
        if isinstance(e, exp.Column):
            return self.names.text(e.this) or e.name
        if isinstance(e, exp.Dot):
            return self.names.text(e.expression) or e.expression.name
        if isinstance(e, exp.JSONExtract) and self.dialect in ("snowflake", "databricks"):
            return str(e.output_name)
        if isinstance(e, exp.Subquery) and isinstance(e.this, exp.Select) and len(e.this.expressions) == 1:
            return e.this.expressions[0].alias_or_name if self.dialect != "tsql" else ""
        return text_of(e, self.dialect)

    def _count(self, steps: int) -> None:
        self._steps += steps
        if self._steps > MAX_STEPS:
            raise TooMuch

    def _star(self, relations: list[tuple[Relation, frozenset[str]]], star: Any, scope: Scope) -> list[Column | Star]:
        hidden = frozenset(e.name.lower() for e in star.args.get("except_") or star.args.get("except") or ())
        replaced = {e.alias.lower(): self.value(e.this, scope) for e in star.args.get("replace") or ()}
        renamed = {e.this.name.lower(): e.alias for e in star.args.get("rename") or ()}
        items: list[Column | Star] = []
        for relation, merged_names in relations:
            self._count(len(relation.items) + 1)
            gone = hidden | merged_names
            for item in relation.items:
                if isinstance(item, Star):
                    items.append(Star(item.relations, item.hidden | gone))
                elif item.name.lower() not in gone:
                    key = item.name.lower()
                    items.append(Column(renamed.get(key, item.name), replaced.get(key, item.value)))
            if relation.open or relation.whole is not None:
                items.append(Star((relation,), gone | frozenset(c.name.lower() for c in relation.columns())))
        return items

    # ---- expressions

    def value(self, node: Any, scope: Scope) -> Value:
        """The columns whose values reach an expression. Raises TooMuch."""
        self._steps += 1
        while isinstance(node, (exp.Paren, exp.Alias)):
            node = node.this
        if isinstance(node, exp.Column):
            return self._column(node, scope)
        if isinstance(node, exp.Query):
            return self._scalar(node, scope)
        if isinstance(node, exp.Literal) or node is None:
            return {}
        found: list[Value] = []
        stack: list[Any] = [node]
        bound: set[str] = set()
        while stack:
            e = stack.pop()
            self._count(1)
            if isinstance(e, exp.Column):
                if isinstance(e.this, exp.Star):
                    found.append(self._whole(scope.named(self._parts(e)[:-1]), e.table))
                elif not (bound and (e.name.lower() in bound or e.table.lower() in bound)):
                    found.append(self._column(e, scope))
            elif isinstance(e, exp.Query):
                found.append(self._scalar(e, scope))
            elif isinstance(e, exp.Exists):
                if not isinstance(e.this, exp.Query):
                    stack.append(e.this)
            elif isinstance(e, (exp.Literal, exp.Identifier, exp.DataType)):
                continue
            elif isinstance(e, exp.Star):
                if not isinstance(e.parent, exp.Count):
                    found += [self._whole(r, "*") for r, _ in scope.visible()]
            elif isinstance(e, exp.Parameter) and isinstance(e.this, exp.Literal) and self.env.variable(e.name) is None:
                found.append(self._position(int(e.name), f"${e.name}", scope) or {} if e.name.isdigit() else {})
            elif isinstance(e, (exp.Parameter, exp.Placeholder)):
                found.append(self._variable(e))
            elif isinstance(e, exp.Comprehension):
                bound.update(i.name.lower() for i in (e.args.get("expression"),) if i is not None)
                stack += [c for k, c in reversed(_children(e)) if k != "expression"]
            elif isinstance(e, exp.Lambda):
                bound.update(i.name.lower() for i in e.expressions)
                stack.append(e.this)
            elif isinstance(e, exp.Anonymous) and (held := self._held(e)) is not None:
                found.append(held)
            elif (
                isinstance(e, exp.Dot)
                and isinstance(e.this, (exp.Anonymous, exp.Placeholder, exp.Parameter))
                and self.env.record(e.this.name)
            ):
                record = self.env.record(e.this.name)
                found.append((record.get(e.expression.name) if record is not None else None) or {})
            elif isinstance(e, (exp.Kwarg, exp.PropertyEQ)):
                stack.append(e.expression)
            elif isinstance(e, exp.Window):
                named = scope.window(e.args.get("alias"))
                stack += [named] if named is not None else []
                stack += [c for k, c in reversed(_children(e)) if k != "alias"]
            elif isinstance(e, (exp.NextValueFor, exp.Interval, exp.SessionParameter)):
                continue
            else:
                stack += [c for _, c in reversed(_children(e))]
        if isinstance(node, (exp.Parameter, exp.Placeholder)) and len(found) == 1:
            return found[0]
        return derived(merged(found), node) if found else {}

    def _held(self, call: Any) -> Value | None:
        """`rows(i)` of a collection, `getvariable('x')`, `VALUES(c)` of ON DUPLICATE KEY UPDATE: none of them calls."""
        name = call.name.lower()
        if name == "getvariable" and call.expressions:
            return self.env.variable(call.expressions[0].name)
        if name == "values" and len(call.expressions) == 1 and self.excluded is not None:
            return self.excluded.get(call.expressions[0].name)
        if self.env.variable(name) or self.env.record(name):
            return self.env.variable(name) or {}
        return None

    def _scalar(self, node: Any, scope: Scope) -> Value:
        """A subquery as a value: its first column."""
        rows = self.query(node, scope)
        columns = list(rows.columns())
        inner = node.this if isinstance(node, exp.Subquery) else node
        if isinstance(inner, exp.Select) and inner.args.get("kind") == "STRUCT":
            return merged([c.value for c in columns] + [{}])
        return columns[0].value if columns else {}

    def _whole(self, relation: Relation | None, name: str) -> Value:
        """A row as a value: all its columns."""
        if relation is None:
            return {}
        if not relation.is_known and relation.whole is None:
            self.problem(f"{name}: the columns of the row are not known")
        return merged([c.value for c in relation.columns()] + ([relation.whole] if relation.whole else []) + [{}])

    def _variable(self, node: Any) -> Value:
        if isinstance(node, exp.Placeholder) and not node.args.get("this"):
            return self.env.next_mark()
        name = node.name or (node.this.name if isinstance(node.this, exp.Expression) else "")
        return self.env.variable(name) or {}

    def _parts(self, node: Any) -> list[str]:
        parts = [self.names.text(node.args.get(k)) for k in ("catalog", "db", "table")]
        this = node.this
        last = self.names.text(this) if isinstance(this, exp.Identifier) else ""
        if not last and isinstance(this, exp.Parameter):
            last = f"${this.this.name}"
        return [*(p for p in parts if p), last or node.name]

    def _column(self, node: Any, scope: Scope) -> Value:
        parts = self._parts(node)
        value = self._name(parts, scope, unquoted=not getattr(node.this, "quoted", False))
        return value if value is not None else {}

    def _name(self, parts: list[str], scope: Scope, *, quiet: bool = False, unquoted: bool = True) -> Value | None:
        try:
            value = self._unqualified(parts[0], scope) if len(parts) == 1 else self._qualified(parts, scope)
        except Ambiguous:
            self.problem(f"column {'.'.join(parts)}: several tables could own it")
            return None
        if value is None and not quiet and not (unquoted and parts[-1].lower() in self._not_columns):
            self.problem(f"column {'.'.join(parts)}: no table here is known to have it")
        return value

    def _qualified(self, parts: list[str], scope: Scope) -> Value | None:
        for i in range(len(parts) - 1):
            relation = scope.named(parts[: i + 1])
            if relation is not None:
                value = relation.get(parts[i + 1])
                if value is None and relation.listed(parts[i]):  # UNNEST(..) AS u: u.field
                    value = relation.get(parts[i])
                if value is None or i + 2 == len(parts):
                    return value
                return value
        record = self.env.record(parts[-2]) or self.env.record(parts[0])
        if record is not None:
            return record.get(parts[-1]) or record.get(parts[1]) or {}
        if parts[-1].lower() in ("nextval", "currval"):
            return {}
        if self._structs:
            return self._unqualified(parts[0], scope)
        variable = self.env.variable(parts[-1])  # package.variable, block_label.variable
        return variable if variable is not None else self.env.variable(parts[0])

    def _unqualified(self, name: str, scope: Scope) -> Value | None:
        key = name.lower()
        here: Scope | None = scope
        variable = self.env.variable(name)
        if name.startswith("$") and name[1:].isdigit():
            return self._position(int(name[1:]), name, scope)
        while here is not None:
            owners, maybe = here.owners(key)
            if len(owners) > 1:
                return here.shared(key, owners)
            if owners:
                return owners[0].get(name)
            if key in here.scalars:
                return here.scalars[key]
            if key in here.aliases:
                return here.aliases[key]
            if variable is not None:
                return variable
            if maybe and key not in self._not_columns:
                firm = [r for r in maybe if not r.loose] or maybe
                if len(firm) > 1 and key in here.using:
                    return here.shared(key, firm)
                if len(firm) > 1:
                    row = here.named([name])
                    if row is not None:
                        return self._whole(row, name)
                    raise Ambiguous
                row = here.named([name])
                is_alias = row is not None and (row.ref is None or row.ref.name.name.lower() != key)
                if row is not None and is_alias and self.dialect in ROWS:
                    return self._whole(row, name)
                return firm[0].get(name)
            row = here.named([name]) if here.relations else None
            if row is not None:
                return self._whole(row, name)
            here = here.parent
        return variable

    def _position(self, number: int, name: str, scope: Scope) -> Value | None:
        """Snowflake's $1: the column of the only relation at that place."""
        relations = [r for r, _ in scope.visible()]
        if len(relations) != 1:
            return None
        listed = relations[0].items
        if number <= len(listed) and isinstance(listed[number - 1], Column):
            return listed[number - 1].value  # type: ignore[union-attr]
        return relations[0].get(name)


def _children(node: Any) -> list[tuple[str, Any]]:
    found = []
    for key, child in node.args.items():
        if isinstance(child, exp.Expression):
            found.append((key, child))
        elif isinstance(child, list):
            found += [(key, c) for c in child if isinstance(c, exp.Expression)]
    return found


def _branches(node: Any) -> list[tuple[Any, Any]]:
    """The queries of a chain of set operations, each with the operation that adds it."""
    found: list[tuple[Any, Any]] = []
    while isinstance(node, exp.SetOperation):
        found.append((node.expression, node))
        node = node.this
        if isinstance(node, exp.SetOperation) and node.args.get("with_"):
            break
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.SetOperation) and not node.args.get("with_"):
            node = node.this
    found.append((node, None))
    return found[::-1]


def text_of(node: Any, dialect: str) -> str:
    """SQL of an expression; long ones are cut, and one that is too deep to write has none."""
    try:
        return _written(node, dialect)
    except RecursionError:
        return ""


def _written(node: Any, dialect: str) -> str:
    return str(node.sql(dialect=dialect or None, comments=False))[:2_000] if node is not None else ""
