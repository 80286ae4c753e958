"""Expressions -> the base columns whose values reach them; what a column's name means at its place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from shared.lineage.placeholders import is_placeholder
from shared.lineage.relations import Ambiguous, Column, Environment, Relation, Value, derived, merged
from shared.lineage.tables import HOLE, Names
from shared.lineage.trees import children

if TYPE_CHECKING:
    from shared.lineage.scopes import Scope

#: dialects in which the name of a row is a value
ROWS = frozenset({"postgres", "bigquery", "redshift", "duckdb"})
#: dialects without lambdas, in which `f(a -> 'b')` is a path into a
ARROWS = frozenset({"postgres", "redshift", "mysql", "sqlite", "oracle"})
#: columns and expressions of one statement beyond which only its tables are read
MAX_STEPS = 400_000


_HOLES = re.compile(HOLE + r"\d+[nv]_")


#: methods of XML columns (https://learn.microsoft.com/sql/t-sql/xml/xml-data-type-methods), case-sensitive
_METHODS = frozenset({"value", "query", "exist", "nodes", "modify"})


#: sources that are merged in the time of one step
MERGED = 8


class TooMuch(Exception):
    """The statement has more columns than the budget allows."""


class Expressions:
    """The part of the resolver that turns expressions and names into values."""

    names: Names
    env: Environment
    dialect: str
    excluded: Relation | None
    _not_columns: frozenset[str]
    _busy: set[str]
    _steps: int
    _structs: bool
    _has_sigils: bool

    if TYPE_CHECKING:

        def query(self, node: Any, parent: Scope | None) -> Relation: ...
        def problem(self, reason: str) -> None: ...

    def _count(self, steps: int) -> None:
        self._steps += steps
        if self._steps > MAX_STEPS:
            raise TooMuch

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
            return self._literal(node)
        found: list[Value] = []
        stack: list[Any] = [node]
        bound: set[str] = set()
        while stack:
            e = stack.pop()
            self._count(1)
            if isinstance(e, exp.Column):
                if isinstance(e.this, exp.Star) and isinstance(e.parent, exp.Count):
                    continue  # COUNT(t.*) counts rows
                if isinstance(e.this, exp.Star):
                    found.append(self._whole(scope.named(self.parts(e)[:-1]), e.table))
                elif not (bound and (e.name.lower() in bound or e.table.lower() in bound)):
                    found.append(self._column(e, scope))
            elif isinstance(e, exp.Query):
                found.append(self._scalar(e, scope))
            elif isinstance(e, exp.Exists):
                if not isinstance(e.this, exp.Query):
                    stack.append(e.this)
            elif isinstance(e, exp.Literal):
                if HOLE in e.name:
                    found.append(self._literal(e))
            elif isinstance(e, (exp.Identifier, exp.DataType)):
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
                stack += [c for k, c in reversed(children(e)) if k != "expression"]
            elif isinstance(e, exp.Lambda) and self.dialect in ARROWS:
                found += [self._name([self.names.text(i)], scope) or {} for i in e.expressions]
                stack.append(e.this)
            elif isinstance(e, exp.Lambda):
                bound.update(i.name.lower() for i in e.expressions)
                stack.append(e.this)
            elif isinstance(e, exp.Dot) and self._has_sigils and (owner := self._owner(e, scope)):
                found.append(self._name(owner, scope) or {})
            elif isinstance(e, exp.Anonymous) and (held := self._held(e)) is not None:
                found.append(held)
                if e.name.lower() not in ("values", "getvariable"):  # rate(o.currency): what it is looked up by
                    stack += e.expressions
            elif (
                isinstance(e, exp.Dot)
                and isinstance(e.this, (exp.Anonymous, exp.Placeholder, exp.Parameter))
                and self.env.record(e.this.name)
            ):
                record = self.env.record(e.this.name)
                field = self.names.text(e.expression) or e.expression.name
                found.append((record.get(field) if record is not None else None) or {})
            elif isinstance(e, exp.Anonymous) and (result := self.env.scalar(e.name)) is not None:
                found.append(result)
                stack += e.expressions
            elif isinstance(e, (exp.Kwarg, exp.PropertyEQ)):
                stack.append(e.expression)
            elif isinstance(e, exp.Window):
                named = scope.window(e.args.get("alias"))
                stack += [named] if named is not None else []
                stack += [c for k, c in reversed(children(e)) if k != "alias"]
            elif isinstance(e, exp.NextValueFor):
                stack += [c for k, c in children(e) if k == "order"]
            elif isinstance(e, (exp.Interval, exp.SessionParameter)):
                continue
            else:
                stack += [c for _, c in reversed(children(e))]
        if isinstance(node, (exp.Parameter, exp.Placeholder)) and len(found) == 1:
            return found[0]
        self._count(sum(map(len, found)) // MERGED)
        return derived(merged(found), node) if found else {}

    def _literal(self, node: Any) -> Value:
        """A literal of dynamic SQL holds the values of its holes."""
        if node is None or HOLE not in node.name:
            return {}
        found = [v for name in _HOLES.findall(node.name) if (v := self.env.variable(name))]
        self._count(sum(map(len, found)) // MERGED)
        return derived(merged(found), node) if found else {}

    def _owner(self, dot: Any, scope: Scope) -> list[str]:
        """T-SQL: the column behind `a.b.value(..)`, a method of an XML or another typed column; [] for a call."""
        parts: list[str] = []
        node = dot if isinstance(dot.expression, exp.Identifier) else dot.this
        while isinstance(node, exp.Dot):
            parts.append(self.names.text(node.expression))
            node = node.this
        if not isinstance(node, exp.Identifier) or not all(parts):
            return []
        parts = [*reversed([*parts, self.names.text(node)])]
        if isinstance(dot.expression, exp.Identifier) or dot.expression.name in _METHODS:
            return parts
        return parts if len(parts) > 1 and scope.named(parts[:-1]) is not None else []

    def _held(self, call: Any) -> Value | None:
        """`rows(i)` of a collection, `getvariable('x')`, `VALUES(c)` of ON DUPLICATE KEY UPDATE: none of them calls."""
        name = call.name.lower()
        if any(e is None for e in call.expressions):  # VALUES()
            return None
        if name == "getvariable" and call.expressions:
            return self.env.variable(call.expressions[0].name)
        if name == "values" and len(call.expressions) == 1 and self.excluded is not None:
            return self.excluded.get(call.expressions[0].name)
        if not self._has_sigils and (self.env.variable(name) or self.env.record(name)):
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

    def parts(self, node: Any) -> list[str]:
        """The parts of a column's name, outermost first."""
        parts = [self.names.text(node.args.get(k)) for k in ("catalog", "db", "table")]
        this = node.this
        last = self.names.text(this) if isinstance(this, exp.Identifier) else ""
        if not last and isinstance(this, exp.Parameter):
            last = f"${this.this.name}"
        return [*(p for p in parts if p), last or node.name]

    def _column(self, node: Any, scope: Scope) -> Value:
        parts = self.parts(node)
        if self.dialect == "exasol":  # LOCAL.x is the alias x of this SELECT, x never is
            local = parts[-1].lower() if len(parts) == 2 and parts[0].lower() == "local" else ""
            if local in scope.aliases:
                return scope.aliases[local]
        if len(parts) == 1 and getattr(node.this, "quoted", False) and is_placeholder(parts[0]):
            return {}
        value = self._name(parts, scope, unquoted=not getattr(node.this, "quoted", False))
        return value if value is not None else {}

    def _name(self, parts: list[str], scope: Scope, *, quiet: bool = False, unquoted: bool = True) -> Value | None:
        if HOLE in parts[-1].lower():
            is_value = parts[-1].lower().endswith("v_")
            self.names.unknown += not is_value
            return (self.env.variable(parts[0]) if is_value else None) or {}
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
        if self._has_sigils:
            return None
        variable = self.env.variable(parts[-1])  # package.variable, block_label.variable
        return variable if variable is not None else self.env.variable(parts[0])

    def _unqualified(self, name: str, scope: Scope) -> Value | None:
        key = name.lower()
        here: Scope | None = scope
        variable = None if self._has_sigils else self.env.variable(name)
        if name.startswith("$") and name[1:].isdigit():
            return self._position(int(name[1:]), name, scope)
        while here is not None:
            owners, maybe = here.owners(key)
            if len(owners) > 1:
                return here.shared(key, owners)
            if owners:
                return owners[0].get(name)
            scalar = here.scalar(key) if key not in self._busy else None
            if scalar is not None:
                return self._named(key, scalar, scope)
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
                    owner = here.proved(key, firm)
                    if owner is None:
                        raise Ambiguous
                    return owner.get(name)
                row = here.named([name])
                is_alias = row is not None and (row.ref is None or row.ref.name.name.lower() != key)
                if row is not None and is_alias and self.dialect in ROWS:
                    return self._whole(row, name)
                return firm[0].get(name)
            row = here.named([name]) if here.relations else None
            if row is not None:
                return self._whole(row, name)
            here = here.parent
        if variable is None and (record := self.env.record(name)) is not None:
            return self._whole(record, name)
        return variable

    def _named(self, key: str, node: Any, scope: Scope) -> Value:
        """The expression behind a name, read where the name is used; it may use columns of that place."""
        self._busy.add(key)
        value = derived(self.value(node, scope), node)
        self._busy.discard(key)
        return value

    def _position(self, number: int, name: str, scope: Scope) -> Value | None:
        """Snowflake's $1: the column of the only relation at that place; elsewhere a parameter."""
        if self.dialect != "snowflake":
            return self.env.variable(str(number)) or {}
        relations = [r for r, _ in scope.visible()]
        if len(relations) != 1:
            return None
        listed = relations[0].items
        if number <= len(listed) and isinstance(listed[number - 1], Column):
            return listed[number - 1].value  # type: ignore[union-attr]
        return relations[0].get(name)
