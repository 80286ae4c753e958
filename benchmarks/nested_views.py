"""Views on views on tables, made up at random from a seed, with the column lineage that they have by construction.

Every piece of SQL is put together along with the base columns that its values come from, so the truth owes nothing to
anybody's parser. What counts is what docs/lineage.md says: columns of WHERE, ON, GROUP BY and HAVING do not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from benchmarks import expressions

#: where values come from: (relation, column)
Origin = frozenset[tuple[str, str]]
NOWHERE: Origin = frozenset()

MAX_DEPTH = 8
MAX_COLUMNS = 16
#: names that need quotes are among them
_WORDS = (
    "amount", "total", "label", "code", "note", "kind", "rank", "share", "value", "name", "order", "Total Amount",
    "größe", "user", "first day", "CamelCase",
)  # fmt: skip
_SOURCES = (
    "join", "join", "left join", "left join", "subquery", "subquery", "lateral", "unnest", "rows", "turned", "elements",
    "renamed", "series", "values",
)  # fmt: skip


class View(NamedTuple):
    """edges: column of the view -> the columns of what it reads directly; views in between are ends of their own."""

    name: str
    sql: str
    depth: int
    reads: frozenset[str]
    edges: dict[str, Origin]


class Item(NamedTuple):
    """What stands in FROM under an alias."""

    alias: str
    columns: Mapping[str, Origin]


class Query(NamedTuple):
    sql: str
    columns: dict[str, Origin]


class Value(NamedTuple):
    sql: str
    origin: Origin


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def views(tables: Sequence[str], columns: Sequence[str], count: int, *, schema: str, seed: int = 1) -> Iterator[View]:
    """`count` views in the order in which they can be created, over tables that all have these columns."""
    estate: dict[str, tuple[tuple[str, ...], int]] = {name: (tuple(columns), 0) for name in tables}
    made: list[str] = []
    chance = random.Random(seed)
    for number in range(count):
        view = _View(chance, schema, estate, tables, made).make(f"v{number:06}")
        estate[view.name] = (tuple(view.edges), view.depth)
        if view.depth < MAX_DEPTH:
            made.append(view.name)
        yield view


class _View:
    """One view in the making."""

    def __init__(
        self,
        chance: random.Random,
        schema: str,
        estate: Mapping[str, tuple[tuple[str, ...], int]],
        tables: Sequence[str],
        made: Sequence[str],
    ) -> None:
        self.chance = chance
        self.schema = schema
        self.estate = estate
        self.tables = tables
        self.made = made
        self.reads: set[str] = set()
        self.aliases = 0

    def make(self, name: str) -> View:
        query = self.query(2)
        columns, listed = query.columns, ""
        if self.chance.random() < 0.2:  # CREATE VIEW v (a, b): the view's own names
            columns = {f"own_{number}": origin for number, origin in enumerate(query.columns.values())}
            listed = f" ({', '.join(columns)})"
        sql = f"create view {self.schema}.{quoted(name)}{listed} as {query.sql}"
        depth = 1 + max(self.estate[relation][1] for relation in self.reads)
        return View(name, sql, depth, frozenset(self.reads), columns)

    # ---- queries

    def query(self, levels: int) -> Query:
        forms = [self.plain, self.plain, self.plain, self.grouped, self.grouped, self.union, self.star]
        forms += [self.windowed, self.merged]
        if levels:
            forms += [self.with_ctes, self.with_ctes, self.recursive]
        return self.chance.choice(forms)(levels)

    def plain(self, levels: int) -> Query:
        items, source = self.sources(levels)
        values = [self.value(items) for _ in range(self.chance.randint(2, 9))]
        distinct = ""
        if self.chance.random() < 0.1:
            first = self.column(items)
            distinct, source = f"distinct on ({first.sql}) ", f"{source} order by {first.sql}"
        return self.select(values, source, distinct)

    def grouped(self, levels: int) -> Query:
        items, source = self.sources(levels)
        keys = [self.column(items) for _ in range(self.chance.randint(1, 3))]
        values = [*keys, *(self.aggregate(items, keys) for _ in range(self.chance.randint(1, 5)))]
        having = self.chance.choice(("", f" having count({self.text(items).sql}) > 1"))
        by = self.chance.choice(("{}", "{}", "rollup ({})", "grouping sets (({}), ())"))
        return self.select(values, f"{source} group by {by.format(', '.join(key.sql for key in keys))}{having}")

    def windowed(self, levels: int) -> Query:
        items, source = self.sources(levels)
        a, b, c = self.text(items), self.text(items), self.text(items)
        values = [
            Value(f"sum(length({a.sql})) over w", a.origin | b.origin),
            Value(f"rank() over (w order by {c.sql})", b.origin | c.origin),
            self.column(items),
        ]
        return self.select(values, f"{source} window w as (partition by {b.sql})")

    def merged(self, levels: int) -> Query:
        """USING: the column of a full join is one of both sides, that of another join is the left side's."""
        del levels
        sides = []
        for _ in range(2):
            name = self.chance.choice(self.tables)
            self.reads.add(name)
            sides.append(Item(self.alias(f"{name}_"), {c: frozenset({(name, c)}) for c in self.estate[name][0]}))
        key = self.chance.choice(list(sides[0].columns))
        kind = self.chance.choice(("full join", "left join", "join", "right join"))
        origins = {"full join": sides[0].columns[key] | sides[1].columns[key], "right join": sides[1].columns[key]}
        both = Value(quoted(key), origins.get(kind, sides[0].columns[key]))
        values = [both, *(self.value(sides) for _ in range(self.chance.randint(1, 4)))]
        return self.select(values, f"{self.named(sides[0])} {kind} {self.named(sides[1])} using ({quoted(key)})")

    def union(self, levels: int) -> Query:
        width = self.chance.randint(2, 6)
        sides = []
        for _ in range(self.chance.randint(2, 3)):
            items, source = self.sources(min(levels, 1))
            sides.append(self.select([self.text(items) for _ in range(width)], source))
        if self.chance.random() < 0.2:  # what is taken away does not show
            left = " except ".join((f"({sides[0].sql})", f"({sides[1].sql})"))
            return Query(left, sides[0].columns)
        word = self.chance.choice((" union all ", " union "))
        together = [NOWHERE.union(*origins) for origins in zip(*(side.columns.values() for side in sides), strict=True)]
        return Query(word.join(side.sql for side in sides), dict(zip(sides[0].columns, together, strict=True)))

    def star(self, levels: int) -> Query:
        items, source = self.sources(levels)
        whole = min(items, key=lambda item: len(item.columns))
        if len(whole.columns) > MAX_COLUMNS - 3:
            return self.plain(levels)
        more = [self.value(items) for _ in range(self.chance.randint(0, 2))]
        named = [f"{value.sql} as more_{number}" for number, value in enumerate(more)]
        columns = {f"more_{number}": value.origin for number, value in enumerate(more)}
        if columns.keys() & whole.columns.keys():
            return self.plain(levels)
        return Query(f"select {', '.join([f'{whole.alias}.*', *named])} from {source}", {**whole.columns, **columns})

    def with_ctes(self, levels: int) -> Query:
        ctes: list[Item] = []
        texts = []
        for _ in range(self.chance.randint(1, 3)):
            part = self.plain(0) if ctes and self.chance.random() < 0.3 else self.query(levels - 1)
            alias = self.alias("w")
            columns, listed = part.columns, ""
            if self.chance.random() < 0.2:
                columns = {f"k{number}": origin for number, origin in enumerate(part.columns.values())}
                listed = f" ({', '.join(columns)})"
            texts.append(f"{alias}{listed} as {self.chance.choice(('', 'materialized '))}({part.sql})")
            ctes.append(Item(alias, columns))
        first = self.alias("c")
        items = [Item(first, ctes[0].columns)]
        source = f"{ctes[0].alias} {first}"
        for cte in ctes[1:]:
            alias = self.alias("c")
            items.append(Item(alias, cte.columns))
            source += f" cross join {cte.alias} {alias}"
        inner = self.select([self.value(items) for _ in range(self.chance.randint(2, 7))], source)
        return Query(f"with {', '.join(texts)} {inner.sql}", inner.columns)

    def recursive(self, levels: int) -> Query:
        del levels
        start, again = self.relation(), self.relation()
        label, step = self.text([start]), self.text([again])
        key, parent = self.column([start]), self.column([again])
        alias, tree = self.alias("r"), self.alias("t")
        path = label.origin | step.origin
        sql = (
            f"with recursive {alias} (id, path, depth) as (select {key.sql}::text, {label.sql}, 1 from "
            f"{self.named(start)} union all select {parent.sql}::text, {tree}.path || {step.sql}, {tree}.depth + 1"
            f" from {self.named(again)} join {alias} {tree} on {tree}.id = {parent.sql}::text) select * from {alias}"
        )
        return Query(sql, {"id": key.origin | parent.origin, "path": path, "depth": NOWHERE})

    def select(self, values: Sequence[Value], source: str, distinct: str = "") -> Query:
        columns: dict[str, Origin] = {}
        texts = []
        for value in values:
            name = self.chance.choice(_WORDS)
            if name in columns:
                name = f"{name} {len(columns)}"
            columns[name] = value.origin
            texts.append(f"{value.sql} as {quoted(name)}")
        return Query(f"select {distinct}{', '.join(texts)} from {source}", columns)

    # ---- FROM

    def sources(self, levels: int) -> tuple[list[Item], str]:
        items = [self.relation()]
        source = self.named(items[0])
        for _ in range(self.chance.choice((0, 1, 1, 2))):
            kind = self.chance.choice(_SOURCES)
            last = self.column(items)
            if kind == "subquery" and levels:
                part = self.query(levels - 1)
                item, text = Item(self.alias("s"), part.columns), f"({part.sql})"
                source += f" cross join {text} {item.alias}"
            elif kind == "lateral":
                inner = self.relation()
                value, outer = self.text([inner]), self.text(items)
                item = Item(self.alias("l"), {"one": value.origin, "two": outer.origin})
                source += (
                    f" left join lateral (select {value.sql} as one, {outer.sql} as two from {self.named(inner)}"
                    f" where {self.column([inner]).sql}::text = {last.sql}::text limit 1) {item.alias} on true"
                )
            elif kind == "unnest":
                one, two = self.text(items), self.text(items)
                item = Item(self.alias("u"), {"element": one.origin | two.origin})
                source += f" cross join lateral unnest(array[{one.sql}, {two.sql}]) {item.alias} (element)"
            elif kind == "rows":
                one, two = self.text(items), self.text(items)
                item = Item(self.alias("n"), {"first": one.origin, "second": two.origin, "position": NOWHERE})
                source += (
                    f" cross join lateral unnest(array[{one.sql}], array[{two.sql}]) with ordinality"
                    f" {item.alias} (first, second, position)"
                )
            elif kind == "turned":
                one, two = self.text(items), self.text(items)
                item = Item(self.alias("y"), {"label": NOWHERE, "amount": one.origin | two.origin})
                source += (
                    f" cross join lateral (values ('a', {one.sql}), ('b', {two.sql})) {item.alias} (label, amount)"
                )
            elif kind == "elements":
                one = self.text(items)
                item = Item(self.alias("e"), {"entry": one.origin})
                rows = f"jsonb_array_elements(jsonb_build_array({one.sql}))"
                source += f" left join lateral {rows} {item.alias} (entry) on true"
            elif kind == "renamed":
                there = self.relation()
                item = Item(there.alias, {f"r{n}": origin for n, origin in enumerate(there.columns.values())})
                source += f" cross join {self.named(item)} ({', '.join(item.columns)})"
            elif kind == "series":
                item = Item(self.alias("g"), {"n": NOWHERE})
                source += f" cross join generate_series(1, 3) {item.alias} (n)"
            elif kind == "values":
                item = Item(self.alias("x"), {"code": NOWHERE, "label": NOWHERE})
                source += f" cross join (values (1, 'a'), (2, 'b')) {item.alias} (code, label)"
            else:
                item = self.relation()
                on = f"{self.column([item]).sql}::text = {last.sql}::text"
                source += f" {kind if kind != 'subquery' else 'join'} {self.named(item)} on {on}"
            items.append(item)
        if self.chance.random() < 0.3:
            beside = self.relation()
            here, theirs = self.column(items).sql, self.column([beside]).sql
            source += f" where exists (select 1 from {self.named(beside)} where {theirs}::text = {here}::text)"
        return items, source

    def relation(self) -> Item:
        """A table or an earlier view of the estate, under an alias of its own."""
        name = self.chance.choice(self.made if self.made and self.chance.random() < 0.5 else self.tables)
        self.reads.add(name)
        return Item(self.alias(f"{name}_"), {column: frozenset({(name, column)}) for column in self.estate[name][0]})

    def named(self, item: Item) -> str:
        return f"{self.schema}.{quoted(item.alias.rpartition('_')[0])} {item.alias}"

    def alias(self, prefix: str) -> str:
        self.aliases += 1
        return f"{prefix}{self.aliases}"

    # ---- expressions

    def column(self, items: Sequence[Item]) -> Value:
        item = self.chance.choice(items)
        name = self.chance.choice(list(item.columns))
        return Value(f"{item.alias}.{quoted(name)}", item.columns[name])

    def text(self, items: Sequence[Item]) -> Value:
        value = self.column(items)
        return Value(f"{value.sql}::text", value.origin)

    def value(self, items: Sequence[Item]) -> Value:
        form = self.chance.randrange(13)
        if form < 4:
            return self.column(items)
        if form == 4:
            inner = self.relation()
            best, key, outer = self.text([inner]), self.column([inner]), self.text(items)
            body = f"select {self.chance.choice(('max({})', 'min({})')).format(best.sql)} from {self.named(inner)}"
            return Value(f"({body} where {key.sql}::text = {outer.sql})", best.origin)
        if form == 5:
            item = self.chance.choice(items)
            return Value(f"to_jsonb({item.alias}.*)", NOWHERE.union(*item.columns.values()))
        if form == 12:
            inner = self.relation()
            one, key, outer = self.text([inner]), self.column([inner]), self.text(items)
            body = f"select {one.sql} from {self.named(inner)} where {key.sql}::text = {outer.sql}"
            return Value(f"array({body} order by {key.sql})", one.origin)
        return self.filled(self.chance.choice(expressions.WINDOWS if form < 8 else expressions.EXPRESSIONS), items)

    def aggregate(self, items: Sequence[Item], keys: Sequence[Value]) -> Value:
        if self.chance.random() < 0.15:
            key = self.chance.choice(keys)
            return Value(f"sum(count(*)) over (order by {key.sql})", key.origin)
        return self.filled(self.chance.choice(expressions.AGGREGATES), items)

    def filled(self, template: str, items: Sequence[Item]) -> Value:
        """An expression over the columns that stand for {a}, {b} and {c}, as text."""
        values = {letter: self.text(items) for letter in "abc" if f"{{{letter}}}" in template}
        sql = template.format(**{letter: value.sql for letter, value in values.items()})
        return Value(sql, NOWHERE.union(*(value.origin for value in values.values())))
