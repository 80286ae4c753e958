-- What the server tests look at: every kind of object, and names that break what quotes badly.
comment on schema public is 'Where it starts';
create schema sales;
create schema "odd.schema";
create schema other;
create type sales.mood as enum ('glad', 'sad');
create domain sales.email as text check (value like '%@%');

create table sales.customers (
  id bigint generated always as identity primary key,
  number serial,
  email sales.email not null unique,
  mood sales.mood default 'glad',
  name varchar(40) not null default 'x''y',
  net numeric(10,2),
  gross numeric(12,2) generated always as (net * 1.2) stored,
  tags text[],
  dropped int,
  first text, last text, unique (last, first)
);
alter table sales.customers drop column dropped;
create unique index on sales.customers (name) where net > 0;
create unique index on sales.customers (lower(name));
comment on table sales.customers is 'People who buy — ünïcode 😀';
comment on column sales.customers.email is 'Sign-in name';

create table other.regions (country text, code text, name text, primary key (code, country) include (name));
create table sales.orders (
  id int primary key,
  customer_id bigint constraint who references sales.customers,
  region text, country text,
  constraint "where" foreign key (region, country) references other.regions (code, country)
);

create table sales.events (id int, day date not null, order_id int references sales.orders) partition by range (day);
create table sales.events_2024 partition of sales.events for values from ('2024-01-01') to ('2025-01-01');
create table other.events_2025 partition of sales.events for values from ('2025-01-01') to ('2026-01-01')
  partition by list (id);
create table other.events_2025_1 partition of other.events_2025 for values in (1);
create table other.events_2025_2 partition of other.events_2025 for values in (2);

create view sales.open as select o.id, c.email from sales.orders o join sales.customers c on c.id = o.customer_id;
create view sales.of_one_partition as select id from sales.events_2024;
create materialized view sales.totals as select r.name, count(*) as n from sales.open p, other.regions r group by r.name;
create unique index on sales.totals (name);
create view sales.chain as select t.n, s.datname from sales.totals t, pg_stat_database s;
create view sales.nothing as select 1 as one;
comment on view sales.open is 'Orders of customers';
comment on column sales.open.email is 'Whom to write to';

create foreign data wrapper nowhere;
create server "far away" foreign data wrapper nowhere options (host 'far');
create foreign table sales.remote (id int not null, note text) server "far away";
create sequence sales.counter;

create function sales.twice(x int, out y int) language sql as 'select x * 2';
create function sales.twice(x text) returns text language sql as 'select x || x';
create function sales.glad(m sales.mood default 'glad') returns boolean language sql return m = 'glad';
create function sales.touch() returns trigger language plpgsql as 'begin new.name := upper(new.name); return new; end';
create procedure sales.load(days int) language plpgsql as 'begin insert into sales.orders (id) select days; end';
create function sales.c_one(internal) returns void language internal as 'pg_stat_get_backend_pid';
create aggregate sales.total(int) (sfunc = int4pl, stype = int);
comment on function sales.twice(text) is 'Says it twice';
create extension pgcrypto schema sales;

create table "odd.schema"."a.b/c" ("x.y" int, "say ""hi""" text, "100%" int);
create table "odd.schema"."Größe 😀" (id int references "odd.schema"."Größe 😀"(id), "Spalte %s" int, primary key (id));
create view "odd.schema"."select" as select "x.y" from "odd.schema"."a.b/c";
