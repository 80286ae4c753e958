-- Everything in PostgreSQL through which rows flow; test_postgresql_lineage.py says what is expected of each.
-- bodies are text: their names are looked up when they run
set check_function_bodies = off;

create schema sales;
create schema mart;
create schema jobs;

create table sales.customers (id int primary key, email text, country text);
create table sales.orders (id int primary key, customer int references sales.customers, total numeric(10,2), placed timestamptz);
create table sales.visits (id int, day date) partition by range (day);
create table sales.visits_2024 partition of sales.visits for values from ('2024-01-01') to ('2025-01-01');
create table mart.revenue (country text, total numeric, loaded timestamptz);
create table mart.log (at timestamptz, what text, who text);
create table mart.orders (id int, total numeric);
create table sales."Orders of Old" (id int, "Total" numeric);
create table mart."Mixed" ("Ä b" numeric, plain numeric);

create function jobs.load() returns void language sql as $$
  insert into mart.revenue (country, total, loaded)
  select c.country, sum(o.total), now() from sales.orders o join sales.customers c on c.id = o.customer group by 1 $$;
create function jobs.load(wanted text) returns int language plpgsql as $$
declare
  n int := 0;
  r record;
begin
  delete from mart.revenue where country = wanted;
  for r in select c.country, o.total from sales.orders o join sales.customers c on c.id = o.customer loop
    insert into mart.revenue (country, total) values (r.country, r.total);
  end loop;
  return n;
end $$;
create procedure jobs.archive() language plpgsql as $$
begin
  create temp table old as select * from sales.orders where placed < now() - interval '1 year';
  insert into mart.log (at, what) select o.placed, o.id::text from old o;
end $$;
create procedure jobs.atomic() begin atomic insert into mart.log (at, what) select placed, total::text from sales.orders; end;
-- mart has orders of its own, sales does not have log
create function jobs.on_path() returns void language plpgsql set search_path = sales, mart as $$
begin insert into log (at, what) select placed, id::text from orders; end $$;
create function jobs.whole() returns void language sql as $$ insert into mart.orders select id, total from sales.orders $$;
create function jobs.star() returns void language sql as $$ insert into mart.log select placed, country, email
  from (select * from sales.orders) o, sales.customers $$;

create function jobs.with_parameter(note text) returns void language sql as $$
  insert into mart.log (what, who) select note, email from sales.customers $$;
create function jobs.row_type() returns void language plpgsql as $$
declare
  v sales.customers%rowtype;
  seen mart.log.what%type;
begin
  select * into v from sales.customers where id = 1;
  select o.placed::text into strict seen from sales.orders o limit 1;
  insert into mart.log (what, who) values (v.email, seen);
end $$;
create function jobs.upsert() returns void language sql as $$
  with gone as (delete from mart.orders where id < 0 returning total)
  insert into mart.orders (id, total) select o.id, o.total + g.total from sales.orders o, gone g
  on conflict do nothing $$;
create procedure jobs.merge_it() language plpgsql as $$
begin
  merge into mart.orders t using sales.orders s on s.id = t.id
    when matched then update set total = s.total
    when not matched then insert (id, total) values (s.id, s.customer);
end $$;
create function jobs."Mixed Case"() returns void language plpgsql as $$
begin
  insert into mart."Mixed" ("Ä b", plain) select "Total", "Total" * 2 from sales."Orders of Old";
end $$;
create function jobs.constant_text() returns void language plpgsql as $$
begin execute 'insert into mart.log (what) select country from sales.customers'; end $$;
create function jobs.calls() returns void language plpgsql as $$
begin perform jobs.load(); call jobs.archive(); end $$;
create function jobs.conditional(flag boolean) returns setof mart.orders language plpgsql as $$
begin
  if flag then
    update mart.orders m set total = o.total from sales.orders o where o.id = m.id;
  else
    truncate mart.revenue;
  end if;
  return query select * from mart.orders;
exception when others then
  insert into mart.log (what) values (sqlerrm);
end $$;

create function sales.top(n int) returns table (email text, total numeric) language sql stable as $$
  select c.email, sum(o.total) from customers c join orders o on o.customer = c.id group by 1 order by 2 desc limit n $$;
create function sales.everybody() returns setof sales.customers language sql stable as $$ select * from sales.customers $$;
create view mart.best as select t.email, t.total from sales.top(10) t;
create view mart.everybody as select e.email, e.country from sales.everybody() e;
create view mart.of_partition as select id from sales.visits_2024;
create view mart.rows as select to_jsonb(c) as all_of_it, c.id from sales.customers c;
create materialized view mart.by_country as
  select country, count(*) as n, max(email) as mail from sales.customers group by country;

create function sales.touch() returns trigger language plpgsql as $$
begin
  insert into mart.log (at, what, who) values (now(), new.total::text, current_user);
  update mart.orders set total = new.total where id = old.id;
  return new;
end $$;
create trigger touched after update on sales.orders for each row execute function sales.touch();
create view mart.writable as select id, email from sales.customers;
create function mart.through() returns trigger language plpgsql as $$
begin insert into sales.customers (id, email) values (new.id, new.email); return new; end $$;
create trigger through instead of insert on mart.writable for each row execute function mart.through();
create function jobs.into_view() returns void language sql as $$
  insert into mart.writable (id, email) select id, country from sales.customers $$;
create rule change as on update to mart.writable do instead (
  update sales.customers set email = new.email where id = old.id;
  insert into mart.log (what) values (old.email));

create extension postgres_fdw schema jobs;
create server erp foreign data wrapper postgres_fdw options (host 'erp.internal', port '5433', dbname 'erp');
create foreign table sales.notes (id int, note text options (column_name 'remark')) server erp
  options (schema_name 'crm', table_name 'remarks');
