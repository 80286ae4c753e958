"""A real PostgreSQL through the local stack into the local catalogue, three times."""

from __future__ import annotations

from pathlib import Path

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
            assert flow.dropped("") == 0
