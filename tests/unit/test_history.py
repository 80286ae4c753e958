"""Query histories: each statement parsed once, counted ever after, and silent ones hardly looked at."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.atlas import history as module
from shared.atlas.closure import Closure
from shared.atlas.history import Executed, History
from shared.atlas.rules import Rules
from shared.atlas.transform import Transform
from shared.atlas.types import TypeRegistry
from shared.lineage import known
from shared.naming import Name, Naming
from shared.records import Address, Column, Dataset, Found, Query, Record

CRM = Address("postgresql", "crm.internal:5432", ("crm",), "database")
LOAD = "INSERT INTO mart.sales (id) SELECT o.id FROM stage.orders o WHERE o.day = '{}'"


def query(sql: str, user: str = "", time: str = "", schema: str = "public") -> Query:
    return Query(
        address=CRM, sql=sql, dialect="postgres", default_database="crm", default_schema=schema, user=user, time=time
    )


def statements(*queries: Query) -> list[Executed]:
    history = History()
    for place, one in enumerate(queries, 1):
        history.add(one, place)
    found = list(history.statements())
    history.close()
    return found


class Nothing:
    def contains(self, name: Name) -> bool:
        return False


def transformed(*records: Record) -> tuple[Transform, list[Any]]:
    """The transform, and the processes that it made."""
    work = Transform(Naming(), Rules(TypeRegistry.bundled()), known=Nothing())
    made = list(work.run(Found(record, place) for place, record in enumerate(records, 1)))
    bodies = [json.loads(c.body) for c in made if isinstance(c, Closure) and c.name.type_name == "hookline_process"]
    assert all(isinstance(item, Closure) for item in made), made
    return work, bodies


def test_values_layout_and_comments_make_one_statement() -> None:
    (one,) = statements(
        query(LOAD.format("2026-11-01"), "etl", "2026-11-01"),
        query(LOAD.format("2026-11-02").replace(" FROM", "\n  from"), "etl", "2026-11-02"),
        query("-- nightly\n" + LOAD.format("2026-11-03"), "bob", "2026-11-03"),
    )
    assert (one.place, one.count, one.users, one.last_user) == (1, 3, ("etl", "bob"), "bob")
    assert (one.first, one.last) == ("2026-11-01", "2026-11-03")
    assert one.usage == "Executed 3 times since 2026-11-01 by etl, bob, last 2026-11-03."


def test_where_it_ran_and_what_its_names_mean_are_part_of_it() -> None:
    assert (
        len(statements(query("INSERT INTO a SELECT x FROM b"), query("INSERT INTO a SELECT x FROM b", schema="s"))) == 2
    )


def test_counts_that_do_not_fit_into_memory_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COUNTED", "REMEMBERED"):
        monkeypatch.setattr(module, name, 3)
    queries = [
        query(f"INSERT INTO t{n % 7} SELECT x FROM s WHERE d = {n}", f"u{n % 5}", f"2026-11-{n // 7 % 28 + 1:02}")
        for n in range(500)
    ]
    found = statements(*queries)
    assert [one.query.sql.split()[2] for one in found] == [f"t{n}" for n in range(7)]
    assert sum(one.count for one in found) == 500
    assert all(one.last == "2026-11-28" and one.first == "2026-11-01" for one in found)
    assert all(set(one.users) == {f"u{n}" for n in range(5)} for one in found)


def test_without_user_and_time() -> None:
    (one,) = statements(query("INSERT INTO a SELECT x FROM b"))
    assert one.usage == "Executed once."


def test_a_million_executions_parse_as_often_as_there_are_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    real = known.analyze

    def counted(sql: str, **options: Any) -> Any:
        parsed.append(sql)
        return real(sql, **options)

    monkeypatch.setattr(known, "analyze", counted)
    executed = [query(LOAD.format(n).replace("sales", f"sales{n % 20}")) for n in range(4_000)]
    silent = [query(f"SELECT * FROM stage.orders WHERE id = {n}") for n in range(4_000)]
    work, processes = transformed(*executed, *silent)
    assert len(parsed) == 20
    assert len(processes) == 20
    assert work.repeated == 8_000 - 20


def test_a_statement_is_a_process_under_the_name_of_its_table() -> None:
    orders = Dataset(
        address=CRM.at("stage", "orders"), columns=(Column("id"), Column("total")), properties={"of": "this file"}
    )
    _, (process,) = transformed(
        query("INSERT INTO mart.sales SELECT * FROM stage.orders", "etl", "2026-11-01T00:00:00Z"),
        query("insert into mart.sales\nselect * from stage.orders;", "bob", "2026-11-02T00:00:00Z"),
        orders,
    )
    attributes = process["attributes"]
    assert attributes["qualifiedName"].startswith("hookline://postgresql/crm.internal:5432/crm/mart.sales ")
    assert attributes["description"].startswith("Executed 2 times")
    assert attributes["owner"] == "bob"
    assert attributes["lastRunTime"] == "2026-11-02T00:00:00Z"
    (element,) = json.loads(attributes["columnMapping"])
    assert element["ColumnMapping"] == [{"Source": c, "Sink": c} for c in ("id", "total")]


def test_its_name_stays_when_the_text_is_reformatted() -> None:
    names = {
        transformed(query(sql))[1][0]["attributes"]["qualifiedName"]
        for sql in (
            LOAD.format("a"),
            LOAD.format("b").lower().replace("mart.sales (id)", "mart.sales(id)"),
            LOAD.format("c").replace(" ", "\r\n\t") + " ;",
        )
    }
    assert len(names) == 1


def test_a_statement_in_which_nothing_flows_is_counted_and_left_out() -> None:
    work, processes = transformed(
        *(query(sql) for sql in ("DELETE FROM a", "INSERT INTO a VALUES (1)", "no SQL into it"))
    )
    assert processes == []
    assert work.repeated == 3
