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

#: names of the columns of RELATIONS from the eleventh on, as properties of the record; then the number of partitions
PROPERTIES = ("unique keys", "partition key", "foreign server")

#: where the unqualified names of a routine p are looked for: what it sets itself, else, as far as can be known without
#: its caller, its own schema and the default of every session
_SEARCH_PATH = """
coalesce((select substr(s, 13) from unnest(p.proconfig) s where s ^@ 'search_path='),
  (select quote_ident(nspname) from pg_namespace where oid = p.pronamespace) || ', public')"""

_COLUMNS = """(select json_agg(a.attname order by a.attnum) from pg_attribute a
  where a.attrelid = RELATION and a.attnum > 0 and not a.attisdropped)"""


def _columns_of(relation: str) -> str:
    return _COLUMNS.replace("RELATION", relation)


# Relations whose name stands in a body as a word, in a schema that is named there too or lies on the search path: what
# it may mean by its names. A body of text is not resolved by the server before it runs.
_MENTIONED = """
case when l.lanname in ('sql', 'plpgsql') then
  (select json_agg(json_build_array(n.nspname, r.relname, r.relkind, s.nspname, o.relname, COLUMNS_OF(r.oid))
     order by s.nspname, o.relname)
   from (select array(select distinct unnest(regexp_split_to_array(BODY || ' ' || lower(BODY), '[^[:alnum:]_$]+')))
           as words, SEARCH_PATH as path) b
   join pg_class o on o.relname = any (b.words) and o.relkind in ('r', 'p', 'v', 'm', 'f')
   join pg_namespace s on s.oid = o.relnamespace
   join pg_class r on r.oid = coalesce(pg_partition_root(o.oid), o.oid)
   join pg_namespace n on n.oid = r.relnamespace
   where not s.nspname ^@ 'pg_' and s.nspname <> 'information_schema'
     and (s.nspname = any (b.words) or s.nspname = any (string_to_array(replace(b.path, '"', ''), ', '))))::text end"""
_MENTIONED = _MENTIONED.replace("COLUMNS_OF(r.oid)", _columns_of("r.oid"))

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
    (select json_agg(json_build_array(x.nspname, x.relname, x.relkind, x.in_schema, x.called,
        case when strpos(pg_get_viewdef(c.oid), '.*') > 0 then COLUMNS_OF(x.oid) end)
        order by x.nspname, x.relname, x.in_schema, x.called) from (
      select distinct r.oid, n.nspname, r.relname, r.relkind, s.nspname as in_schema, o.relname as called
      from pg_rewrite w
      join pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = w.oid
        and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid <> c.oid
      join pg_class o on o.oid = d.refobjid join pg_namespace s on s.oid = o.relnamespace
      join pg_class r on r.oid = coalesce(pg_partition_root(o.oid), o.oid)
      join pg_namespace n on n.oid = r.relnamespace
      where w.ev_class = c.oid and w.rulename = '_RETURN' and r.relkind in ('r', 'p', 'v', 'm', 'f')
        and n.nspname <> 'information_schema' and not n.nspname ^@ 'pg_') x)::text end,
  case when c.relkind in ('v', 'm') then
    (select json_agg(json_build_array(pg_get_functiondef(p.oid), SEARCH_PATH, MENTIONED) order by p.oid)
     from (select distinct d.refobjid as oid from pg_rewrite w
       join pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = w.oid
         and d.refclassid = 'pg_catalog.pg_proc'::regclass where w.ev_class = c.oid and w.rulename = '_RETURN') x
     join pg_proc p on p.oid = x.oid join pg_language l on l.oid = p.prolang
     where p.prokind = 'f' and l.lanname in ('sql', 'plpgsql') and not exists (select from pg_depend d
       where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'))::text end,
  case when c.relkind = 'f' then (select json_build_object('server', s.srvoptions, 'table', t.ftoptions, 'columns',
      (select json_object_agg(a.attname, a.attfdwoptions) from pg_attribute a
       where a.attrelid = c.oid and a.attfdwoptions is not null))
    from pg_foreign_table t join pg_foreign_server s on s.oid = t.ftserver
    join pg_foreign_data_wrapper w on w.oid = s.srvfdw
    where t.ftrelid = c.oid and w.fdwname = 'postgres_fdw')::text end,
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
RELATIONS = RELATIONS.replace("MENTIONED", _MENTIONED).replace("SEARCH_PATH", _SEARCH_PATH)
RELATIONS = RELATIONS.replace("BODY", "pg_get_functiondef(p.oid)")
RELATIONS = RELATIONS.replace("COLUMNS_OF(x.oid)", _columns_of("x.oid"))
RELATION_NAME = "select c.relname::text FROM_RELATIONS limit 1".replace("FROM_RELATIONS", _FROM_RELATIONS)

# A routine's name says nothing alone: functions may share it. Its key is the name with the types of its arguments.
# What belongs to an extension is not the user's. Aggregates and window functions have no source in SQL.
_FROM_ROUTINES = """
from (select p.*, p.proname || '(' || oidvectortypes(p.proargtypes) || ')' as key from pg_proc p
  where p.pronamespace = (select oid from pg_namespace where nspname = %(schema)s) and p.prokind in ('f', 'p')
    and not exists (select from pg_depend d where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid
                    and d.deptype = 'e')
    and not exists (select from pg_trigger t where t.tgfoid = p.oid and not t.tgisinternal)) p
join pg_language l on l.oid = p.prolang where p.key collate "C" > %(after)s
order by p.key collate "C" """

#: the definition and not the body alone: it says which names are parameters
ROUTINES = """
select p.key, p.proname::text, p.prokind::text, coalesce(obj_description(p.oid, 'pg_proc'), ''), l.lanname::text,
  coalesce(pg_get_function_result(p.oid), ''), pg_get_function_arguments(p.oid),
  case when l.lanname in ('sql', 'plpgsql') then pg_get_functiondef(p.oid) end, SEARCH_PATH, MENTIONED
FROM_ROUTINES limit %(limit)s""".replace("FROM_ROUTINES", _FROM_ROUTINES)
ROUTINES = ROUTINES.replace("MENTIONED", _MENTIONED).replace("SEARCH_PATH", _SEARCH_PATH)
ROUTINES = ROUTINES.replace("BODY", "pg_get_functiondef(p.oid)")
ROUTINE_NAME = "select p.key, p.proname::text FROM_ROUTINES limit 1".replace("FROM_ROUTINES", _FROM_ROUTINES)

# Triggers of the user's, but not those that PostgreSQL made of them for each partition; and rules that are no view.
_TRIGGERS = """
select t.key, t.relname::text, t.relkind::text, t.columns::text, t.name::text, t.kind, t.description, t.sql, t.path,
  t.mentioned
from (
  select quote_ident(c.relname) || '.' || quote_ident(t.tgname) as key, c.relname, c.relkind,
    COLUMNS_OF(c.oid) as columns, t.tgname as name,
    'trigger' as kind,
    coalesce(obj_description(t.oid, 'pg_trigger'), obj_description(p.oid, 'pg_proc'), '') as description,
    pg_get_functiondef(p.oid) || E';\\n' || pg_get_triggerdef(t.oid) as sql, SEARCH_PATH as path, MENTIONED as mentioned
  from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_proc p on p.oid = t.tgfoid
  join pg_language l on l.oid = p.prolang
  where c.relnamespace = (select oid from pg_namespace where nspname = %(schema)s) and not t.tgisinternal
    and not c.relispartition and l.lanname = 'plpgsql'
  union all
  select quote_ident(c.relname) || '.' || quote_ident(w.rulename), c.relname, c.relkind, COLUMNS_OF(c.oid), w.rulename,
    'rule', coalesce(obj_description(w.oid, 'pg_rewrite'), ''), pg_get_ruledef(w.oid), quote_ident(%(schema)s), null
  from pg_rewrite w join pg_class c on c.oid = w.ev_class
  where c.relnamespace = (select oid from pg_namespace where nspname = %(schema)s) and w.rulename <> '_RETURN') t
where t.key collate "C" > %(after)s order by t.key collate "C" limit %(limit)s"""
TRIGGERS = _TRIGGERS.replace("MENTIONED", _MENTIONED).replace("SEARCH_PATH", _SEARCH_PATH).replace("BODY", "p.prosrc")
TRIGGERS = TRIGGERS.replace("COLUMNS_OF(c.oid)", _columns_of("c.oid"))
TRIGGER_NAME = """
select quote_ident(c.relname) || '.' || quote_ident(n.name), c.relname::text from pg_class c join (
  select tgrelid as relation, tgname as name from pg_trigger where not tgisinternal
  union all select ev_class, rulename from pg_rewrite where rulename <> '_RETURN') n on n.relation = c.oid
where c.relnamespace = (select oid from pg_namespace where nspname = %(schema)s) and not c.relispartition
  and (quote_ident(c.relname) || '.' || quote_ident(n.name)) collate "C" > %(after)s
order by (quote_ident(c.relname) || '.' || quote_ident(n.name)) collate "C" limit 1"""

UNREADABLE_CATALOGUE = """
select relname::text from pg_class where relnamespace = 'pg_catalog'::regnamespace and relname in ('pg_attrdef',
  'pg_attribute', 'pg_class', 'pg_constraint', 'pg_database', 'pg_depend', 'pg_description', 'pg_foreign_server',
  'pg_foreign_data_wrapper', 'pg_foreign_table', 'pg_index', 'pg_language', 'pg_namespace', 'pg_proc', 'pg_rewrite',
  'pg_trigger')
  and not has_table_privilege(oid, 'select') order by relname"""
