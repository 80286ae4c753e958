"""What the PostgreSQL source asks the catalogue.

One row per object, its columns and keys as JSON made by the server: measured on 12,000 relations, that takes the client
6 us per relation instead of 12 for rows of columns, and the server no longer (100 us against 110, without keys).
Names sort by code point because the type `name` has the collation "C". Nothing is joined that could repeat a row.
pg_get_expr gets the table's oid only where the expression can name its columns: it lists them all first, which takes
4 s for a table of 1,500 columns with defaults.
"""

from __future__ import annotations

#: An empty search_path makes the server write every name with its schema, and lets nobody slip in a function.
#: pg_get_viewdef waits for whoever alters a table that the view reads: not for long.
SESSION = """
select set_config('search_path', '', true), set_config('statement_timeout', %(timeout)s, true),
  set_config('lock_timeout', '500ms', true)"""

SCHEMAS = """
select nspname::text, nspname = 'information_schema' or nspname ^@ 'pg_' from pg_namespace
where nspname !~ '^pg_(toast|temp_|toast_temp_)'"""

DESCRIPTIONS = """
select coalesce((select shobj_description(oid, 'pg_database') from pg_database where datname = current_database()), ''),
  coalesce(obj_description(oid, 'pg_namespace'), '') from pg_namespace where nspname = %(schema)s"""

#: names of the columns of RELATIONS from the ninth on, as properties of the record; then the number of partitions
PROPERTIES = ("unique keys", "partition key", "foreign server")

# Partitions are folded into their table: they are its storage, and there may be thousands. A dependency on one is one
# on the table. Foreign keys with a conparentid are the copies that partitioning makes.
_FROM_RELATIONS = """
from pg_class c where c.relnamespace = (select oid from pg_namespace where nspname = %(schema)s)
  and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition and c.relname > %(after)s
order by c.relname """

RELATIONS = """
select c.relname::text, c.relkind::text, coalesce(obj_description(c.oid, 'pg_class'), ''),
  case when c.relkind in ('r', 'p', 'm') then c.reltuples::bigint end,
  (select json_agg(json_build_object(
      'name', a.attname,
      'type', format_type(a.atttypid, a.atttypmod),
      'nullable', case when c.relkind in ('r', 'p', 'f') then not a.attnotnull end,
      'description', coalesce(col_description(a.attrelid, a.attnum), ''),
      'key', case when exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary
                               and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1])) then 'primary'
                  when exists (select from pg_index i where i.indrelid = c.oid and i.indisunique and i.indnkeyatts = 1
                               and i.indkey[0] = a.attnum and i.indpred is null) then 'unique' else '' end,
      'default', case when a.attidentity <> '' then 'generated ' || case a.attidentity when 'a' then 'always'
                        else 'by default' end || ' as identity'
                      when a.attgenerated <> '' then 'generated always as (' || pg_get_expr(d.adbin, d.adrelid) || ')'
                      else coalesce(pg_get_expr(d.adbin, 0), '') end)
    order by a.attnum)
   from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
   where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)::text,
  case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end,
  (select json_agg(json_build_array(k.conname,
      (select json_agg(a.attname order by x.n) from unnest(k.conkey) with ordinality x (attnum, n)
       join pg_attribute a on a.attrelid = k.conrelid and a.attnum = x.attnum),
      (select json_agg(a.attname order by x.n) from unnest(k.confkey) with ordinality x (attnum, n)
       join pg_attribute a on a.attrelid = k.confrelid and a.attnum = x.attnum),
      n.nspname, r.relname, r.relkind) order by k.conname)
   from pg_constraint k join pg_class r on r.oid = coalesce(pg_partition_root(k.confrelid), k.confrelid)
   join pg_namespace n on n.oid = r.relnamespace
   where k.conrelid = c.oid and k.contype = 'f' and k.conparentid = 0)::text,
  case when c.relkind in ('v', 'm') then
    (select json_agg(json_build_array(x.nspname, x.relname, x.relkind) order by x.nspname, x.relname) from (
      select distinct n.nspname, r.relname, r.relkind from pg_rewrite w
      join pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = w.oid
        and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid <> c.oid
      join pg_class r on r.oid = coalesce(pg_partition_root(d.refobjid), d.refobjid)
      join pg_namespace n on n.oid = r.relnamespace
      where w.ev_class = c.oid and r.relkind in ('r', 'p', 'v', 'm', 'f')
        and n.nspname <> 'information_schema' and not n.nspname ^@ 'pg_') x)::text end,
  (select string_agg(format('(%%s)', (select string_agg(quote_ident(a.attname), ', ' order by x.n)
      from unnest(i.indkey) with ordinality x (attnum, n)
      join pg_attribute a on a.attrelid = i.indrelid and a.attnum = x.attnum where x.n <= i.indnkeyatts)), ', '
      order by i.indexrelid)
   from pg_index i where i.indrelid = c.oid and i.indisunique and not i.indisprimary and i.indnkeyatts > 1
     and i.indpred is null and i.indexprs is null),
  case when c.relkind = 'p' then pg_get_partkeydef(c.oid) end,
  case when c.relkind = 'f' then (select s.srvname::text from pg_foreign_table t
    join pg_foreign_server s on s.oid = t.ftserver where t.ftrelid = c.oid) end,
  case when c.relkind = 'p' then (select count(*) from pg_partition_tree(c.oid) where isleaf) end
FROM_RELATIONS limit %(limit)s""".replace("FROM_RELATIONS", _FROM_RELATIONS)
RELATION_NAME = "select c.relname::text FROM_RELATIONS limit 1".replace("FROM_RELATIONS", _FROM_RELATIONS)

# A routine's name says nothing alone: functions may share it. Its key is the name with the types of its arguments.
# What belongs to an extension is not the user's. Aggregates and window functions have no source in SQL.
_FROM_ROUTINES = """
from (select p.*, p.proname || '(' || oidvectortypes(p.proargtypes) || ')' as key from pg_proc p
  where p.pronamespace = (select oid from pg_namespace where nspname = %(schema)s) and p.prokind in ('f', 'p')
    and not exists (select from pg_depend d where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid
                    and d.deptype = 'e')) p
join pg_language l on l.oid = p.prolang where p.key collate "C" > %(after)s
order by p.key collate "C" """

_ROUTINES = """
select p.key, p.proname::text, p.prokind::text, coalesce(obj_description(p.oid, 'pg_proc'), ''), l.lanname::text,
  coalesce(pg_get_function_result(p.oid), ''), pg_get_function_arguments(p.oid), BODY
FROM_ROUTINES limit %(limit)s""".replace("FROM_ROUTINES", _FROM_ROUTINES)
#: since 14 the body of an SQL routine may be kept parsed (BEGIN ATOMIC); prosrc is empty then
ROUTINES = _ROUTINES.replace("BODY", "coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)")
ROUTINES_BEFORE_14 = _ROUTINES.replace("BODY", "p.prosrc")
ROUTINE_NAME = "select p.key, p.proname::text FROM_ROUTINES limit 1".replace("FROM_ROUTINES", _FROM_ROUTINES)

UNREADABLE_CATALOGUE = """
select relname::text from pg_class where relnamespace = 'pg_catalog'::regnamespace and relname in ('pg_attrdef',
  'pg_attribute', 'pg_class', 'pg_constraint', 'pg_database', 'pg_depend', 'pg_description', 'pg_foreign_server',
  'pg_foreign_table', 'pg_index', 'pg_language', 'pg_namespace', 'pg_proc', 'pg_rewrite')
  and not has_table_privilege(oid, 'select') order by relname"""
