"""dbt: names of the warehouse's own tables by adapter, where the server is known from, and what depends on what."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from connectors.format import FileContext
from connectors.formats.dbt.files import Dbt
from connectors.formats.dbt.warehouse import Told, parts_of, warehouse
from connectors.formats.json_stream import MAX_VALUE
from shared.errors import BadInput
from shared.naming import Naming
from shared.records import Address, Dataset, Description, Found, Process, Record, Refusal, Report

UC = "f27d9d14-8edd-4964-a5fb-2f9f5d113c6e"


@pytest.mark.parametrize(
    ("adapter", "server", "relation", "name"),
    [
        ("postgres", "wh", '"shop"."mart"."Days"', "postgresql://servers/wh:5432/dbs/shop/schemas/mart/tables/Days"),
        ("snowflake", "a.snowflakecomputing.com", "shop.mart.days", "snowflake://a.snowflakecomputing.com/databases/SHOP/schemas/MART/tables/DAYS"),
        ("snowflake", "a.snowflakecomputing.com", 'shop."mart".days', "snowflake://a.snowflakecomputing.com/databases/SHOP/schemas/mart/tables/DAYS"),
        ("bigquery", "", "`shop-1`.`mart`.`Days`", "bigquery://shop-1/mart/Days"),
        ("redshift", "r:5439", '"shop"."mart"."days"', "redshift://r:5439/shop/mart/days"),
        ("databricks", UC, "`shop`.`mart`.`days`", f"databricks://{UC}/catalogs/shop/schemas/mart/tables/days"),
        ("databricks", "adb-1.azure.net", "`hive_metastore`.`mart`.`days`", "mart.days@adb-1.azure.net"),
        ("spark", "cluster", "mart.days", "mart.days@cluster"),
        ("sqlserver", "sql01", '"shop"."mart"."days"', "mssql://sql01/MSSQLSERVER/shop/mart/days"),
        ("synapse", "w.sql.azuresynapse.net", '"shop"."mart"."days"', "mssql://w.sql.azuresynapse.net/shop/mart/days"),
        ("fabric", "f.datawarehouse.fabric.microsoft.com", '"shop"."mart"."days"', "fabric-warehouse://f.datawarehouse.fabric.microsoft.com/shop/mart/days"),
        ("duckdb", "host", '"shop"."mart"."days"', "duckdb://host/shop/mart/days"),
        ("athena", "eu-west-1", '"awsdatacatalog"."mart"."days"', "athena://eu-west-1/awsdatacatalog/mart/days"),
        ("trino", "t:8080", '"shop"."mart"."days"', "trino://t:8080/shop/mart/days"),
        ("mysql", "m", "`mart`.`days`", "mysql://servers/m:3306/dbs/mart/tables/days"),
        ("nobody", "n", '"shop"."mart"."days"', "hookline://dbt/p/shop/mart/days"),
    ],
)  # fmt: skip
def test_tables_have_the_names_that_a_scan_gives_them(adapter: str, server: str, relation: str, name: str) -> None:
    where = warehouse(adapter, "p", Told(server=server), FileContext(path="manifest.json"))
    table = where.spell(None, relation, "", "", "")
    assert Naming().name(where.address(table, "table")).qualified_name == name


@pytest.mark.parametrize(
    ("relation", "parts"),
    [
        ('"a""b"."c.d"', ('a"b', "c.d")),
        ("[a]]b].[c]", ("a]b", "c")),
        ("`a.b`.c", ("a.b", "C")),
        ("read_csv('x.csv')", ()),
        ("a..b", ()),
        ('"a', ()),
        ("", ()),
    ],
)
def test_parts_of_a_relation(relation: str, parts: tuple[str, ...]) -> None:
    assert parts_of(relation, "snowflake") == parts


DW, CRM = Address("mssql", "sql01", (), "server"), Address("postgresql", "crm:5432", (), "server")


@pytest.mark.parametrize(
    ("path", "told", "instances", "host", "why"),
    [
        ("uploads/dbt/manifest.json", Told(), {"dw": DW}, "sql01", "instance dw (the only server of mssql)"),
        ("uploads/dbt/manifest.json", Told(), {"dw": DW, "crm": CRM}, "sql01", "instance dw"),
        ("uploads/dbt/manifest.json", Told(), {"dw": DW, "x": Address("mssql", "sql02")}, "", "2 servers of sqlserver"),
        ("uploads/dbt/x/manifest.json", Told(), {"dw": DW, "x": Address("mssql", "sql02")}, "sql02", "(its folder)"),
        ("uploads/dbt/crm/manifest.json", Told(), {"crm": CRM}, "", "no server of sqlserver is configured"),
        ("uploads/dbt/dw/manifest.json", Told(server="sql03"), {"dw": DW}, "sql03", "hookline.json"),
        ("uploads/dbt/manifest.json", Told(instance="dw"), {"dw": DW}, "sql01", "instance dw (hookline.json)"),
    ],
)
def test_where_the_server_is_known_from(
    path: str, told: Told, instances: dict[str, Address], host: str, why: str
) -> None:
    found = warehouse("sqlserver", "p", told, FileContext(path=path, instances=instances))
    assert (found.base.host if found.base else "") == host
    assert why in found.why


def test_an_instance_of_another_platform_is_refused() -> None:
    with pytest.raises(BadInput, match="for sqlserver, instance crm is postgresql"):
        warehouse("sqlserver", "p", Told(instance="crm"), FileContext(path="x", instances={"crm": CRM}))


def node(name: str, *needs: str, sql: str = "", made: str = "table", **more: Any) -> dict[str, Any]:
    relation = None if made == "ephemeral" else f'"w"."m"."{name}"'
    whole = {"name": name, "package_name": "p", "relation_name": relation, "compiled_code": sql}
    return {**whole, "config": {"materialized": made}, "depends_on": {"nodes": list(needs)}, **more}


def read(nodes: dict[str, Any], **more: Any) -> dict[str, Record | Refusal]:
    about = {"dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json", "adapter_type": "postgres"}
    content = json.dumps({"metadata": {**about, "project_name": "p"}, "nodes": nodes, **more}).encode()
    context = FileContext(path="uploads/dbt/manifest.json", instances={"crm": CRM})
    items = Dbt().read(io.BytesIO(content), context)
    return {str(i.place): i.record if isinstance(i, Found) else i for i in items}


def test_an_ephemeral_model_stands_for_what_it_reads() -> None:
    nodes = {
        "model.p.a": node("a"),
        "model.p.e": node("e", "model.p.a", made="ephemeral"),
        "model.p.f": node("f", "model.p.e", made="ephemeral"),
        "model.p.b": node("b", "model.p.f", "model.p.away"),
    }
    made = read(nodes)["model.p.b"]
    assert isinstance(made, Process)
    assert [a.path for a in made.inputs] == [("w", "m", "a")]
    assert made.properties["not_in_manifest"] == "model.p.away"


def test_columns_come_from_models_before_it() -> None:
    """Written in the wrong order, and no catalog: the star of c is known from b, that of b from a."""
    nodes = {
        "model.p.c": node("c", "model.p.b", sql='select * from "w"."m"."b"'),
        "model.p.b": node("b", "model.p.a", sql='with x as (select * from "w"."m"."a") select x.*, 1 as one from x'),
        "model.p.a": node("a", sql="select 1 as id, now() as at"),
    }
    made = read(nodes)["model.p.c"]
    assert isinstance(made, Process)
    assert [(e.source.name, e.source_column, e.target_column) for e in made.columns] == [
        ("b", "id", "id"),
        ("b", "at", "at"),
        ("b", "one", "one"),
    ]


def test_what_dbt_and_the_sql_disagree_about_is_told() -> None:
    sql = 'select a.id, z.name from "w"."m"."a" a join "w"."other"."z" z on a.id = z.id'
    nodes = {"model.p.a": node("a"), "model.p.x": node("x"), "model.p.b": node("b", "model.p.a", "model.p.x", sql=sql)}
    made = read(nodes)["model.p.b"]
    assert isinstance(made, Process)
    assert [".".join(a.path) for a in made.inputs] == ["w.m.a", "w.m.x", "w.other.z"]
    assert made.properties["only_in_sql"] == "w.other.z"
    assert made.properties["not_in_sql"] == "w.m.x"
    assert {(e.source.name, e.target_column) for e in made.columns} == {("a", "id"), ("z", "name")}


def test_sql_that_is_not_understood_leaves_dbts_word() -> None:
    nodes = {"model.p.a": node("a"), "model.p.b": node("b", "model.p.a", sql="select from where (((")}
    made = read(nodes)["model.p.b"]
    assert isinstance(made, Process)
    assert [a.name for a in made.inputs] == ["a"]
    assert made.properties["unparsed"]


def test_an_incremental_model_is_not_its_own_input() -> None:
    sql = 'select id from "w"."m"."a" where id > (select max(id) from "w"."m"."b")'
    made = read({"model.p.a": node("a"), "model.p.b": node("b", "model.p.a", sql=sql, made="incremental")})["model.p.b"]
    assert isinstance(made, Process)
    assert [a.name for a in made.inputs] == ["a"]


def test_what_stands_behind_a_circle_is_read() -> None:
    nodes = {
        "model.p.a": node("a", "model.p.b"),
        "model.p.b": node("b", "model.p.a"),
        "model.p.c": node("c", "model.p.a"),
    }
    made = read(nodes)
    assert isinstance(made["model.p.a"], Refusal)
    assert isinstance(made["model.p.b"], Refusal)
    assert isinstance(made["model.p.c"], Process)


def test_a_node_that_is_too_large_takes_no_other_down() -> None:
    made = read({"model.p.a": node("a", sql="x" * (MAX_VALUE + 1)), "model.p.b": node("b")})
    assert isinstance(made["node 1 of `nodes`"], Refusal)
    assert isinstance(made["model.p.b"], Process)


def test_metrics_and_exposures_hang_together() -> None:
    made = read(
        {"model.p.a": node("a", description="A.", columns={"id": {"name": "id", "description": "Which."}})},
        metrics={"metric.p.m": {"name": "m", "depends_on": {"nodes": ["model.p.a"]}}},
        exposures={"exposure.p.e": {"name": "e", "type": "dashboard", "depends_on": {"nodes": ["metric.p.m"]}}},
    )
    metric, exposure = made["metric.p.m"], made["exposure.p.e"]
    assert isinstance(metric, Dataset)
    assert isinstance(exposure, Report)
    assert [a.name for a in metric.inputs] == ["a"]
    assert exposure.inputs == (metric.address,)


def test_a_description_names_columns_and_no_types() -> None:
    columns = {"id": {"name": "id", "description": "Which.", "data_type": "bigint"}, "x": {"name": "x"}}
    context = FileContext(path="uploads/dbt/manifest.json", instances={"crm": CRM})
    about = {"dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json", "adapter_type": "postgres"}
    content = json.dumps({"metadata": about, "nodes": {"seed.p.a": node("a", columns=columns)}}).encode()
    said = [i.record for i in Dbt().read(io.BytesIO(content), context) if isinstance(i, Found)]
    (description,) = [r for r in said if isinstance(r, Description)]
    assert [(c.name, c.type, c.description) for c in description.columns] == [("id", "", "Which.")]


def test_a_file_beside_a_manifest_says_nothing_by_itself() -> None:
    for name in ("catalog.json", "prod_run_results.json", "hookline.json", "sources.json", "semantic_manifest.json"):
        context = FileContext(path=f"uploads/dbt/{name}")
        assert list(Dbt().read(io.BytesIO(b"{}"), context)) == [], name
