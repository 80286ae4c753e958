"""A real PostgreSQL through the local stack into the local catalogue, three times."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from tests.e2e.flow import Flow, columns, running
from tests.support import postgres

pytestmark = [pytest.mark.e2e, pytest.mark.server]

SCHEMA = """
create table customers (id int primary key, email text not null unique);
comment on table customers is 'people who buy';
create table orders (id int primary key, customer int not null references customers (id), total numeric(10, 2));
create table audit (at timestamptz, what text);
create view revenue as
  select c.email, sum(o.total) as total from orders o join customers c on c.id = o.customer group by 1;
create materialized view best as select * from revenue where total > 100;
"""
TYPES = ("postgresql_table", "postgresql_view")


def scan(flow: Flow) -> dict[str, int]:
    """Scan everything, through to the end; what the files of that scan came to."""
    answer = requests.post(f"{flow.stack.app_url}/api/scan/crm", timeout=60)
    assert answer.status_code == 202, answer.text
    (asked,) = answer.json()["scans"]
    flow.settle()
    row, _ = flow.app.scans.get("crm", asked["scope"])
    assert row.current is not None
    assert (row.current.id, row.current.state, row.current.error) == (asked["scan"], "finished", "")
    files = [receipt for receipt in flow.receipts().values() if receipt.scan == asked["scan"]]
    assert {file.state for file in files} == {"confirmed"}
    return {
        name: sum(getattr(f, name) for f in files) for name in ("sent", "deleted", "unchanged", "refused", "messages")
    }


def test_scan_drop_a_table_scan_again_and_again(tmp_path: Path) -> None:
    with postgres.database("crm") as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(SCHEMA)
        crm = {"connector": "postgresql", "settings": postgres.settings(conninfo), "include": ["public.*"]}
        with running(tmp_path, {"crm": crm}) as flow:
            first = scan(flow)
            assert (first["refused"], first["deleted"], first["unchanged"]) == (0, 0, 0)
            before = flow.assets(*TYPES)
            assert {name.rpartition("/")[2] for name in before} == {"customers", "orders", "audit", "revenue", "best"}
            orders = next(name for name in before if name.endswith("/orders"))
            assert columns(flow.stack.url, "postgresql_table", orders) == {"id", "customer", "total"}

            with psycopg.connect(conninfo, autocommit=True) as connection:
                connection.execute("drop table audit")
            second = scan(flow)
            assert second["deleted"] >= 1
            after = flow.assets(*TYPES)
            gone = set(before) - set(after)
            assert {name.rpartition("/")[2] for name in gone} == {"audit"}
            assert set(after) < set(before)

            sent = flow.sent()
            third = scan(flow)
            assert (third["sent"], third["deleted"], third["messages"]) == (0, 0, 0)
            assert third["unchanged"] > 0
            assert flow.sent() == sent, "the third scan sends nothing"
            assert flow.assets(*TYPES) == after
            assert flow.stack.dropped("") == 0


ESTATE = """
create schema sales; create schema mart; create schema jobs;
create table sales.customers (id int primary key, email text not null);
create table sales.orders (id int primary key, customer int, total numeric(10, 2));
create table mart.revenue (email text, total numeric);
create table mart.log (what text);
create view mart.rich as select r.email, upper(r.email) as shouted from mart.revenue r where r.total > 100;
create function jobs.refresh() returns void language plpgsql as $$
declare
  one record;
begin
  for one in select c.email, o.total from sales.orders o join sales.customers c on c.id = o.customer loop
    insert into mart.revenue (email, total) values (one.email, one.total);
  end loop;
end $$;
create function jobs.note() returns trigger language plpgsql as $$
begin insert into mart.log (what) values (new.email); return new; end $$;
create trigger noted after insert on mart.revenue for each row execute function jobs.note();
"""


def entity(flow: Flow, type_name: str, qualified_name: str) -> dict[str, Any]:
    answer = requests.get(
        f"{flow.stack.url}/datamap/api/atlas/v2/entity/uniqueAttribute/type/{type_name}",
        params={"attr:qualifiedName": qualified_name},
        timeout=30,
    )
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()["entity"]
    return found


def test_column_lineage_of_views_and_functions_across_schemas(tmp_path: Path) -> None:
    """orders, customers -> jobs.refresh -> revenue -> view and trigger, in the lineage REST and in the picture."""
    with postgres.database("crm") as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(ESTATE)
        crm = {"connector": "postgresql", "settings": postgres.settings(conninfo), "exclude": ["public.*"]}
        with running(tmp_path, {"crm": crm}) as flow:
            assert requests.post(f"{flow.stack.app_url}/api/scan/crm", timeout=60).status_code == 202
            flow.settle()
            assets = flow.assets(*TYPES)
            assert {name.rpartition("/")[2] for name in assets} == {"customers", "orders", "revenue", "log", "rich"}

            processes = flow.assets("hookline_process")
            mapped = {
                name.rpartition("/")[2].partition("#")[0]: {
                    (one["DatasetMapping"]["Source"].rpartition("/")[2], pair["Source"], pair["Sink"])
                    for one in json.loads(entity(flow, "hookline_process", name)["attributes"]["columnMapping"])
                    for pair in one["ColumnMapping"]
                }
                for name in processes
            }
            assert mapped == {
                "refresh()": {("customers", "email", "email"), ("orders", "total", "total")},
                "rich": {("revenue", "email", "email"), ("revenue", "email", "shouted")},
                "noted": {("revenue", "email", "what")},
            }

            [rich] = [name for name in assets if name.endswith("/rich")]
            guid = entity(flow, "postgresql_view", rich)["guid"]
            answer = requests.get(
                f"{flow.stack.url}/datamap/api/atlas/v2/lineage/{guid}", params={"direction": "INPUT"}, timeout=30
            ).json()
            around = {one["attributes"]["qualifiedName"].rpartition("/")[2] for one in answer["guidEntityMap"].values()}
            assert {"rich", "revenue", "orders", "customers"} < around

            [revenue] = [name for name in assets if name.endswith("/revenue")]
            middle = entity(flow, "postgresql_table", revenue)["guid"]
            page = requests.get(f"{flow.stack.url}/lineage/{middle}?column=email", timeout=30).text
            # refresh writes two columns, the view has two, the trigger one
            assert page.count('class="column-edge"') == 5
            assert "data-column=" in page
            assert flow.stack.dropped("") == 0
