"""Column lineage of a PostgreSQL estate: what is published equals what the views were made with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from benchmarks.postgres_estate import build
from benchmarks.published import differences, edges
from shared.pipeline.app import App
from shared.pipeline.offline import extract_to, messages
from shared.records import Refusal
from shared.settings import from_mapping
from shared.settings.document import Place
from tests.support import postgres

pytestmark = pytest.mark.server

SQL = Path(__file__).with_name("postgresql_lineage.sql")


def app_for(conninfo: str, **changes: Any) -> App:
    settings = postgres.settings(conninfo)
    instance = {"connector": "postgresql", "settings": settings, **changes}
    return App(from_mapping({"instances": {"estate": instance}}, {}, Place(), offline=True), {})


def published(app: App, folder: Path) -> list[bytes]:
    """The bodies of all hook messages of a scan."""
    refused: list[Refusal] = []
    bodies = []
    for path, _, refusals in extract_to(app, "estate", folder):
        assert not refusals
        bodies += [message.body for message in messages(path, refused.append)]
    assert not refused
    return bodies


@pytest.mark.parametrize("seed", [1, 2])
def test_nested_views_have_exactly_the_lineage_they_were_made_with(seed: int, tmp_path: Path) -> None:
    with postgres.database("estate") as conninfo:
        made = build(conninfo, 40, nested=150, seed=seed)
        found = edges(published(app_for(conninfo), tmp_path))
    assert {view.depth for view in made} >= set(range(1, 6))
    assert differences(made, found) == []


# ---- routines, triggers, rules, functions in views, partitions, foreign tables

#: process -> its column edges; `schema.relation.column <- schema.relation.column`
EXPECTED = {
    "jobs.load()": "mart.revenue.country <- sales.customers.country; mart.revenue.total <- sales.orders.total",
    "jobs.load(text)": "mart.revenue.country <- sales.customers.country; mart.revenue.total <- sales.orders.total",
    "jobs.archive()": "mart.log.at <- sales.orders.placed; mart.log.what <- sales.orders.id",
    "jobs.atomic()": "mart.log.at <- sales.orders.placed; mart.log.what <- sales.orders.total",
    "jobs.on_path()": "mart.log.at <- sales.orders.placed; mart.log.what <- sales.orders.id",
    "jobs.whole()": "mart.orders.id <- sales.orders.id; mart.orders.total <- sales.orders.total",
    "jobs.star()": "mart.log.at <- sales.orders.placed; mart.log.what <- sales.customers.country;"
    " mart.log.who <- sales.customers.email",
    "jobs.with_parameter(text)": "mart.log.who <- sales.customers.email",
    "jobs.row_type()": "mart.log.what <- sales.customers.email; mart.log.who <- sales.orders.placed",
    # a table that feeds itself is no input of the process, so the deleted rows are not in its mapping
    "jobs.upsert()": "mart.orders.id <- sales.orders.id; mart.orders.total <- sales.orders.total",
    "jobs.merge_it()": "mart.orders.total <- sales.orders.total; mart.orders.id <- sales.orders.id;"
    " mart.orders.total <- sales.orders.customer",
    "jobs.Mixed Case()": "mart.Mixed.Ä b <- sales.Orders of Old.Total; mart.Mixed.plain <- sales.Orders of Old.Total",
    "jobs.constant_text()": "mart.log.what <- sales.customers.country",
    "jobs.conditional(boolean)": "mart.orders.total <- sales.orders.total",
    "jobs.into_view()": "mart.writable.id <- sales.customers.id; mart.writable.email <- sales.customers.country",
    "mart.best": "mart.best.email <- sales.customers.email; mart.best.total <- sales.orders.total",
    "mart.everybody": "mart.everybody.email <- sales.customers.email;"
    " mart.everybody.country <- sales.customers.country",
    "mart.of_partition": "mart.of_partition.id <- sales.visits.id",
    "mart.rows": "mart.rows.all_of_it <- sales.customers.country; mart.rows.all_of_it <- sales.customers.email;"
    " mart.rows.all_of_it <- sales.customers.id; mart.rows.id <- sales.customers.id",
    "mart.by_country": "mart.by_country.country <- sales.customers.country;"
    " mart.by_country.mail <- sales.customers.email",
    "mart.writable": "mart.writable.id <- sales.customers.id; mart.writable.email <- sales.customers.email",
    "mart.writable.through": "sales.customers.id <- mart.writable.id; sales.customers.email <- mart.writable.email",
    "mart.writable.change": "sales.customers.email <- mart.writable.email; mart.log.what <- mart.writable.email",
    "sales.orders.touched": "mart.log.what <- sales.orders.total; mart.orders.total <- sales.orders.total",
    "sales.notes": "sales.notes.id <- crm.remarks.id; sales.notes.note <- crm.remarks.remark",
}
#: routines that write nothing: what they read
READERS = {
    "jobs.calls()": set(),
    "sales.top(integer)": {"sales.customers", "sales.orders"},
    "sales.everybody()": {"sales.customers"},
}


class Published:
    """Assets and processes of hook messages, by the last parts of their names."""

    def __init__(self, bodies: list[bytes]) -> None:
        self.types: dict[str, set[str]] = {}
        self.processes: dict[str, dict[str, Any]] = {}
        for body in bodies:
            entities = json.loads(body)["message"]["entities"]["entities"]
            guids = {entity["guid"]: entity["attributes"]["qualifiedName"] for entity in entities}
            for entity in entities:
                attributes = entity["attributes"]
                self.types.setdefault(entity["typeName"], set()).add(attributes["qualifiedName"])
                if entity["typeName"] == "hookline_process":
                    for end in ("inputs", "outputs"):
                        attributes[end] = [
                            one.get("uniqueAttributes", {}).get("qualifiedName") or guids[one["guid"]]
                            for one in attributes.get(end, ())
                        ]
                    name = ".".join(attributes["qualifiedName"].partition("#")[0].split("/")[5:])
                    self.processes[name] = attributes

    def edges(self, process: str) -> set[str]:
        return {
            f"{short(mapping['DatasetMapping']['Sink'])}.{pair['Sink']} <- "
            f"{short(mapping['DatasetMapping']['Source'])}.{pair['Source']}"
            for mapping in json.loads(self.processes[process].get("columnMapping", "[]"))
            for pair in mapping["ColumnMapping"]
        }


def short(qualified_name: str) -> str:
    parts = qualified_name.split("/")
    return f"{parts[-3]}.{parts[-1]}"


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    with postgres.database("estate") as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(SQL.read_bytes())
        yield Published(published(app_for(conninfo), tmp_path_factory.mktemp("files")))


@pytest.mark.parametrize("process", EXPECTED)
def test_columns_of(process: str, estate: Published) -> None:
    assert estate.edges(process) == set(EXPECTED[process].split("; "))


def test_there_is_no_other_process(estate: Published) -> None:
    assert set(estate.processes) == {*EXPECTED, *READERS}
    for name, read in READERS.items():
        assert {short(one) for one in estate.processes[name]["inputs"]} == read
        assert estate.processes[name]["outputs"] == []


def test_every_end_is_a_scanned_asset(estate: Published) -> None:
    """Each schema is scanned apart, and what one names of another is the very asset that the other publishes."""
    assets = {
        kind: {name for name in estate.types[kind] if "erp.internal" not in name}
        for kind in ("postgresql_table", "postgresql_view")
    }
    assert {short(name) for name in assets["postgresql_table"]} == {
        "sales.customers", "sales.orders", "sales.visits", "sales.notes", "mart.revenue", "mart.log", "mart.orders",
        "sales.Orders of Old", "mart.Mixed",
    }  # fmt: skip
    assert {short(name) for name in assets["postgresql_view"]} == {
        "mart.best", "mart.everybody", "mart.of_partition", "mart.rows", "mart.by_country", "mart.writable",
    }  # fmt: skip
    ends = {end for one in estate.processes.values() for end in (*one["inputs"], *one["outputs"])}
    assert ends - assets["postgresql_table"] - assets["postgresql_view"] == {
        "postgresql://servers/erp.internal:5433/dbs/erp/schemas/crm/tables/remarks"
    }


def test_nothing_was_left_unread(estate: Published) -> None:
    assert [name for name, one in estate.processes.items() if "unparsed" in one] == []
