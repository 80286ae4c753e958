"""An estate to measure against: tables with comments, keys and foreign keys, and views.

The views are one simple join per five tables, or those of nested_views.py, which come with their column lineage.

    python benchmarks/postgres_estate.py CONNINFO TABLES [COLUMNS]

Everything is created by the server itself (DO blocks in batches, because each table takes locks until its commit).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import psycopg

from benchmarks.nested_views import View, views

SCHEMA = "estate"
#: objects per transaction: each holds locks, and max_locks_per_transaction is 64 per connection by default
BATCH = 500

_TABLES = """
do $$
declare cols text; parent text;
begin
  select string_agg(format('c%%s %%s', i, (array['integer not null default 0', 'text', 'numeric(10,2)',
    'timestamp with time zone default now()', 'varchar(40) not null', 'boolean', 'jsonb', 'date'])[i %% 8 + 1]), ', ')
    into cols from generate_series(1, {columns} - 2) i;
  for n in {first}..{last} loop
    parent := case when n %% 10 <> 0 then format(' references {schema}.t%%s', lpad((n - n %% 10)::text, 6, '0')) end;
    execute format('create table {schema}.t%%s (id integer primary key, parent_id integer%%s%%s)',
      lpad(n::text, 6, '0'), coalesce(parent, ''), coalesce(', ' || cols, ''));
    execute format('comment on table {schema}.t%%s is %%L', lpad(n::text, 6, '0'), 'Table ' || n || ' of the estate');
    execute format('comment on column {schema}.t%%s.id is %%L', lpad(n::text, 6, '0'), 'The key of table ' || n);
    execute format('comment on column {schema}.t%%s.parent_id is %%L', lpad(n::text, 6, '0'), 'The row it belongs to');
  end loop;
end $$
"""
_VIEWS = """
do $$
begin
  for n in {first}..{last} loop
    continue when n %% 5 <> 0;
    execute format('create view {schema}.v%%s as select a.id, a.parent_id, b.id as other from {schema}.t%%1$s a'
      ' join {schema}.t%%s b on b.parent_id = a.id', lpad(n::text, 6, '0'), lpad(greatest(n - 1, 0)::text, 6, '0'));
  end loop;
end $$
"""


def build(
    conninfo: str, tables: int, columns: int = 12, schema: str = SCHEMA, *, nested: int = 0, seed: int = 1
) -> list[View]:
    """Create `schema` with `tables` tables of `columns` columns each (t000000, ...), anew if it is there.

    nested: so many views on views, which are returned with their lineage, instead of the simple ones.
    """
    if not schema.isidentifier() or tables < 1 or columns < 2:
        raise ValueError("a plain schema name, at least one table and two columns")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(f"create schema if not exists {schema}")
        for kind in ("v", "t"):
            _drop(connection, schema, kind)
        for block in (_TABLES,) if nested else (_TABLES, _VIEWS):
            for first in range(0, tables, BATCH):
                last = min(first + BATCH, tables) - 1
                text = block.format(schema=schema, columns=columns, first=first, last=last).replace("%%", "%")
                connection.execute(text)
        made = list(views(_names(tables), _columns(columns), nested, schema=schema, seed=seed))
        for first in range(0, nested, BATCH):
            _create(connection, made[first : first + BATCH])
        connection.execute("analyze")
    return made


def _names(tables: int) -> list[str]:
    return [f"t{number:06}" for number in range(tables)]


def _columns(columns: int) -> list[str]:
    return ["id", "parent_id", *(f"c{number}" for number in range(1, columns - 1))]


def _create(connection: psycopg.Connection[tuple[object, ...]], made: Sequence[View]) -> None:
    with connection.transaction(), connection.pipeline():
        for view in made:
            connection.execute(view.sql.encode(), prepare=False)


def _drop(connection: psycopg.Connection[tuple[object, ...]], schema: str, kind: str) -> None:
    word = {"v": "view", "t": "table"}[kind]
    while names := connection.execute(
        "select format('%%I.%%I', schemaname, name) from (select schemaname, viewname name, 'v' as kind from pg_views"
        " union all select schemaname, tablename, 't' from pg_tables) x where schemaname = %s and kind = %s limit 500",
        (schema, kind),
    ).fetchall():
        connection.execute(f"drop {word} {', '.join(str(name) for (name,) in names)} cascade")


if __name__ == "__main__":
    build(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 12)
