-- Cases of test_lineage_tables.py. A case begins with `--# name | dialect [| database] [| schema]`; what it must give
-- follows its SQL: `--> in`, `--> out`, `--> problem` (words of it and its line); a line that is left out means "none".

--# insert select | postgres
INSERT INTO mart.sales SELECT * FROM staging.sales s JOIN dim.day d ON d.id = s.day_id;
--> in staging.sales, dim.day
--> out mart.sales

--# a bare query reads | postgres
SELECT * FROM (SELECT * FROM a JOIN (b LEFT JOIN c ON true) ON true) x, LATERAL (SELECT * FROM d) y, generate_series(1, 2) g;
--> in a, b, c, d

--# common table expressions are no tables | postgres
WITH recent AS (SELECT * FROM orders), big AS (SELECT * FROM recent) INSERT INTO report SELECT * FROM big;
--> in orders
--> out report

--# a table behind a CTE of its name | postgres
WITH city AS (SELECT * FROM city) SELECT * FROM city;
--> in city

--# a recursive CTE reads itself | postgres
WITH RECURSIVE r AS (SELECT * FROM node UNION ALL SELECT n.* FROM node n JOIN r ON r.id = n.parent) INSERT INTO tree SELECT * FROM r;
--> in node
--> out tree

--# a CTE hides a table only where it is in scope | postgres
INSERT INTO t SELECT * FROM (WITH a AS (SELECT * FROM b) SELECT * FROM a) x JOIN a ON true;
--> in a, b
--> out t

--# create table as | snowflake | DW | PUBLIC
CREATE OR REPLACE TABLE monthly AS SELECT * FROM raw."Events";
--> in DW.RAW.Events
--> out DW.PUBLIC.MONTHLY

--# views, materialised or not | postgres
CREATE VIEW v AS SELECT * FROM a UNION SELECT * FROM b; CREATE MATERIALIZED VIEW m AS SELECT * FROM v;
--> in a, b, v
--> out v, m

--# a definition without a query makes its table, and takes a form from another | postgres
CREATE TABLE a (b int REFERENCES c (b)); CREATE TABLE q (LIKE r); CREATE TABLE o (p int); DROP TABLE o; GRANT SELECT ON y TO z;
--> in r
--> out a, q

--# a table that is made like another and filled has what fills it | postgres
CREATE TABLE q (LIKE r); INSERT INTO q SELECT * FROM s;
--> in s
--> out q

--# a temporary table that nothing reads is what the script makes | postgres
CREATE TEMP TABLE x AS SELECT a FROM y; ANALYZE x;
--> in y
--> out x

--# clone | snowflake
CREATE TABLE copy CLONE original;
--> in ORIGINAL
--> out COPY

--# temporary tables are followed | postgres
CREATE TEMP TABLE x AS SELECT * FROM y; INSERT INTO x SELECT * FROM w; CREATE TABLE z AS SELECT * FROM x;
--> in y, w
--> out z

--# hash tables and table variables are followed | tsql
DECLARE @t TABLE (a int)
SELECT a INTO #t FROM src
INSERT @t SELECT a FROM #t
INSERT INTO dst SELECT a FROM @t
--> in src
--> out dst

--# default database and schema, and what lies between two dots | tsql | DW
SELECT a INTO #t FROM staging..orders; INSERT fact.orders SELECT * FROM #t JOIN city ON 1 = 1;
--> in staging.dbo.orders, DW.dbo.city
--> out DW.fact.orders

--# two levels where the dialect has two | mysql | shop
INSERT INTO a SELECT * FROM archive.b;
--> in archive.b
--> out shop.a

--# sqlite has main | sqlite | shop
INSERT INTO a SELECT * FROM main.b;
--> in shop.main.b
--> out shop.main.a

--# linked server | tsql
SELECT * FROM srv.db.dbo.x, OPENQUERY(lnk, 'select 1') o;
--> in srv.db.dbo.x

--# names fold as the database folds them | oracle
INSERT INTO orders SELECT * FROM "Orders", dual;
--> in Orders
--> out ORDERS

--# update through the alias of its table | tsql
UPDATE c SET c.name = s.name FROM Dimension.City AS c JOIN Integration.City_Staging AS s ON s.id = c.id WHERE c.id IN (SELECT id FROM ok);
--> in Integration.City_Staging, ok
--> out Dimension.City

--# update and delete through a CTE | tsql
WITH c AS (SELECT * FROM base) UPDATE c SET a = 2;
WITH d AS (SELECT * FROM other) DELETE FROM d;
--> out base, other

--# update from | postgres
UPDATE t SET a = s.a FROM s WHERE t.id = s.id; DELETE FROM t USING gone WHERE t.id = gone.id;
--> in s, gone
--> out t

--# update of a join sets whose columns are set | mysql
UPDATE a JOIN b ON a.x = b.x SET b.y = a.y;
--> in a
--> out b

--# delete through an alias | tsql
DELETE o FROM Fact.[Order] AS o WHERE o.id IN (SELECT id FROM Integration.[Order Staging]);
--> in Integration.Order Staging
--> out Fact.Order

--# merge | tsql
MERGE INTO dim.customer WITH (HOLDLOCK) AS t USING (SELECT * FROM stage.customer JOIN stage.city ON 1 = 1) s ON s.id = t.id
WHEN MATCHED THEN UPDATE SET name = s.name
WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name)
WHEN NOT MATCHED BY SOURCE THEN DELETE
OUTPUT inserted.id INTO dbo.merge_log (id);
--> in stage.customer, stage.city, dim.customer
--> out dim.customer, dbo.merge_log

--# a table that only feeds itself is no input | postgres
INSERT INTO t SELECT * FROM t; UPDATE u SET a = (SELECT max(a) FROM u);
--> out t, u

--# truncate | tsql
TRUNCATE TABLE a; TRUNCATE TABLE b.c
--> out a, b.c

--# replace into | mysql
REPLACE INTO t SELECT * FROM b;
--> in b
--> out t

--# insert all | oracle
INSERT ALL INTO a VALUES (x) INTO b VALUES (y) SELECT x, y FROM s;
--> in S
--> out A, B

--# insert overwrite | spark
INSERT OVERWRITE TABLE a PARTITION (day = 1) SELECT * FROM b LATERAL VIEW explode(c) AS d;
--> in b
--> out a

--# table functions and methods are no tables | tsql
SELECT * FROM a CROSS APPLY dbo.split(a.x) f CROSS APPLY a.doc.nodes('/x') AS t(c);
--> in a

--# statements without semicolons | tsql
IF OBJECT_ID('x') IS NOT NULL DROP TABLE x
SET NOCOUNT ON
INSERT a SELECT * FROM b UPDATE c SET d = 1 WHERE e IN (SELECT f FROM g) DELETE TOP (10) FROM h
WHILE 1 = 1 BEGIN UPDATE TOP (10) i SET j = 1 FROM k AS i IF @@ROWCOUNT = 0 BREAK END
INSERT l WITH (TABLOCK) (m) SELECT n FROM o
--> in b, g, o
--> out a, c, h, k, l

--# try, catch, cursors | tsql
BEGIN TRY INSERT a SELECT * FROM b END TRY BEGIN CATCH INSERT errors SELECT ERROR_MESSAGE(); THROW END CATCH
DECLARE c CURSOR LOCAL FOR SELECT x FROM src OPEN c FETCH NEXT FROM c INTO @x
WHILE @@FETCH_STATUS = 0 BEGIN INSERT d VALUES (@x) FETCH NEXT FROM c INTO @x END CLOSE c DEALLOCATE c
--> in b, src
--> out a, errors, d

--# batches | tsql
CREATE VIEW dbo.v WITH SCHEMABINDING AS WITH c AS (SELECT a FROM dbo.t) SELECT * FROM c
GO
CREATE PROC dbo.p @x AS int AS INSERT dbo.z SELECT * FROM dbo.v
GO 2
SELECT * FROM last
--> in dbo.t, dbo.v, last
--> out dbo.v, dbo.z

--# a trigger's rows are its table's | tsql
CREATE TRIGGER tr ON dbo.a AFTER INSERT, UPDATE AS BEGIN INSERT dbo.audit SELECT * FROM inserted i JOIN dbo.u ON 1 = 1 END
--> in dbo.u
--> out dbo.audit

--# a body between dollars | postgres | db
CREATE FUNCTION f() RETURNS void AS $$
DECLARE v int := 0; r record;
BEGIN
  SELECT max(id) INTO v FROM staging;
  IF v > 0 THEN INSERT INTO target SELECT * FROM src; ELSE DELETE FROM target USING gone WHERE target.id = gone.id; END IF;
  FOR r IN SELECT * FROM looped LOOP INSERT INTO o VALUES (r.a); END LOOP;
  v := (SELECT count(*) FROM counted);
END $$ LANGUAGE plpgsql;
INSERT INTO after_it SELECT * FROM z;
--> in db.public.staging, db.public.src, db.public.gone, db.public.looped, db.public.counted, db.public.z
--> out db.public.target, db.public.o, db.public.after_it

--# a body in another language is left alone | postgres
CREATE FUNCTION f() RETURNS int AS $$ select * from nowhere $$ LANGUAGE plpython3u; SELECT * FROM a;
--> in a

--# PL/SQL | oracle
CREATE OR REPLACE PROCEDURE p (a IN NUMBER) IS v NUMBER;
BEGIN
  SELECT x INTO v FROM settings;
  INSERT INTO t SELECT * FROM s;
EXCEPTION WHEN OTHERS THEN INSERT INTO err VALUES (1);
END p;
/
INSERT INTO k SELECT * FROM l;
--> in SETTINGS, S, L
--> out T, ERR, K

--# a procedure without AS | mysql | d
CREATE PROCEDURE p() BEGIN DECLARE x INT; SET x = (SELECT 1 FROM q); INSERT INTO t SELECT * FROM s; END;
INSERT INTO u SELECT * FROM w;
--> in d.q, d.s, d.w
--> out d.t, d.u

--# dynamic SQL and called procedures are said | tsql
EXEC('select 1'); EXEC sp_executesql @s; EXEC dbo.q 1, 2; INSERT INTO t EXEC dbo.p;
--> out t
--> problem line 1: dynamic SQL
--> problem line 1: the rows come from a procedure

--# what is not understood takes nothing else down | postgres
SELECT * FROM ok;
hello world;
SELECT FROM WHERE ((;
INSERT INTO a SELECT * FROM b;
--> in ok, b
--> out a
--> problem line 2: HELLO
--> problem line 3: Expected

--# an open quote | postgres
INSERT INTO a SELECT 'x FROM b;
--> problem line 1: quote

--# an unknown dialect | nonsense
INSERT INTO x SELECT 1 FROM y;
--> in y
--> out x
--> problem line 1: unknown dialect
