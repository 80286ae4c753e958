"""dbt projects through the whole app: neighbours that come late, tables that are scanned before or after, archives."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from connectors.formats.dbt.files import Dbt
from shared.atlas.checks import Checks
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import Table, World, stands_for, world  # noqa: F401

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "dbt"
FOLDER = "uploads/dbt/crm/"
PATH = FOLDER + "manifest.json"
TABLES = "postgresql://servers/crm.test:5432/dbs/shop/schemas/public"


def schema(artifact: str, version: int) -> dict[str, str]:
    return {"dbt_schema_version": f"https://schemas.getdbt.com/dbt/{artifact}/v{version}.json"}


def relation(name: str) -> dict[str, Any]:
    whole = f'"shop"."public"."{name}"'
    return {"name": name, "database": "shop", "schema": "public", "identifier": name, "relation_name": whole}


DAYS: dict[str, Any] = {
    **relation("days"),
    "package_name": "shop",
    "description": "One row a day.",
    "tags": ["core"],
    "columns": {n: {"name": n, "description": f"What {n} is."} for n in ("DAY", "total", "gone")},
    "config": {"materialized": "table"},
    "depends_on": {"nodes": ["source.shop.raw.orders"]},
    "compiled_code": 'select * from "shop"."public"."orders"',
}
MANIFEST: dict[str, Any] = {
    "metadata": {**schema("manifest", 12), "project_name": "shop", "adapter_type": "postgres"},
    "nodes": {"model.shop.days": DAYS},
    "sources": {"source.shop.raw.orders": relation("orders")},
}
CATALOG = {
    "metadata": schema("catalog", 1),
    "nodes": {},
    "sources": {
        "source.shop.raw.orders": {
            "metadata": {"type": "BASE TABLE", "database": "shop", "schema": "public", "name": "orders"},
            "columns": {n: {"name": n, "type": "text", "index": i} for i, n in enumerate(("day", "total"))},
        }
    },
}


def text(value: Any) -> str:
    return json.dumps(value)


def model(world: World) -> dict[str, Any]:
    (process,) = [e for e in world.entities() if e.qn == "hookline://dbt/shop/shop/days#transformation"]
    return process.parts


def columns(world: World) -> list[tuple[str, str]]:
    mapping = json.loads(model(world)["attributes"].get("columnMapping") or "[]")
    return [(c["Source"], c["Sink"]) for element in mapping for c in element["ColumnMapping"]]


def described(world: World) -> dict[str, tuple[str, str]]:
    """Column of the table days -> its data type and its description."""
    prefix = f"{TABLES}/tables/days/columns/"
    found = {e.qn.removeprefix(prefix): e.parts["attributes"] for e in world.entities() if e.qn.startswith(prefix)}
    return {name: (str(a.get("dataType")), str(a.get("description") or "")) for name, a in found.items()}


@pytest.fixture
def crm(world: World) -> World:
    world.system("crm").tables.update(orders=Table("day", "total"), days=Table("day", "total", "rest"))
    return world


def test_a_catalog_that_comes_late_brings_the_columns(world: World) -> None:
    world.system("crm")
    world.upload(PATH, text(MANIFEST))
    world.settle()
    assert columns(world) == []
    assert "shop.public.orders" in model(world)["customAttributes"]["columns_unknown"]
    world.upload(FOLDER + "catalog.json", text(CATALOG))
    world.settle()
    assert columns(world) == [("day", "day"), ("total", "total")]
    world.confirmed()


def test_the_last_run_and_the_failed_tests(world: World) -> None:
    world.system("crm")
    test = {
        "name": "unique",
        "attached_node": "model.shop.days",
        "column_name": "day",
        "test_metadata": {"name": "unique"},
    }
    world.upload(PATH, text({**MANIFEST, "nodes": {"model.shop.days": DAYS, "test.shop.unique.1": test}}))
    world.settle()
    assert model(world)["customAttributes"]["tests"] == "day: unique"
    results = [
        {"unique_id": "model.shop.days", "status": "error", "timing": [{"completed_at": "2026-03-01T04:00:03Z"}]},
        {"unique_id": "test.shop.unique.1", "status": "fail", "failures": 2},
    ]
    world.upload(FOLDER + "run_results.json", text({"metadata": schema("run-results", 6), "results": results}))
    world.settle()
    assert model(world)["attributes"]["lastRunState"] == "FAIL"
    assert model(world)["attributes"]["lastRunTime"] == "2026-03-01T04:00:03Z"
    assert model(world)["customAttributes"]["tests_failed"] == "unique(day): fail, 2 rows"


WRITTEN = {"day": ("text", "What DAY is."), "total": ("text", "What total is."), "rest": ("text", "")}


def test_descriptions_reach_scanned_tables_and_change_nothing_else(crm: World) -> None:
    crm.scan("crm")
    crm.settle()
    before = crm.catalogue()
    crm.upload(PATH, text(MANIFEST))
    crm.settle()
    assert described(crm) == WRITTEN
    assert crm.catalogue()["postgresql_table", f"{TABLES}/tables/days"] == "One row a day."
    new = crm.catalogue().keys() - before.keys()
    assert {name for kind, name in new} == {
        "hookline://dbt/shop/shop#workflow",
        "hookline://dbt/shop/shop/days#transformation",
    }, "no table and no column beside those that the scan has brought"
    assert columns(crm) == [("day", "day"), ("total", "total")]
    crm.confirmed()


def test_a_manifest_that_came_before_the_scan_describes_the_columns_after_it(crm: World) -> None:
    crm.upload(PATH, text(MANIFEST))
    crm.settle()
    assert described(crm) == {}
    assert crm.catalogue()["postgresql_table", f"{TABLES}/tables/days"] == "One row a day."
    crm.scan("crm")
    crm.settle()
    assert described(crm) == WRITTEN
    assert crm.catalogue()["postgresql_table", f"{TABLES}/tables/days"] == "One row a day."


def test_without_being_read_again_the_columns_stay_without(crm: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dbt, "wants_columns", False)
    crm.upload(PATH, text(MANIFEST))
    crm.settle()
    crm.scan("crm")
    crm.settle()
    assert described(crm)["day"] == ("text", "")


def test_where_a_type_demands_more_the_column_is_updated_alone(crm: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Checks, "optional", lambda *_: False)
    crm.scan("crm")
    crm.settle()
    crm.hub.clear()
    crm.upload(PATH, text(MANIFEST))
    crm.settle()
    assert described(crm) == WRITTEN
    updates = [name for name in crm.hub.names if name.startswith("update")]
    assert updates == ["update postgresql_table_column day", "update postgresql_table_column total"]
    crm.confirmed()


def test_as_a_dataset_it_would_overwrite_the_types(crm: World) -> None:
    """What a Description is there for."""
    crm.scan("crm")
    crm.settle()
    address = {"platform": "postgresql", "host": "crm.test:5432", "path": ["shop", "public", "days"]}
    record = {"kind": "dataset", "address": address, "columns": [{"name": "day", "description": "Which."}]}
    crm.upload("uploads/records/days.jsonl", text(record))
    crm.settle()
    assert described(crm)["day"] == ("unknown", "Which.")


def test_a_whole_project_in_an_archive(crm: World) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("target/manifest.json", text(MANIFEST))
        archive.writestr("target/catalog.json", text(CATALOG))
        archive.writestr("target/partial_parse.msgpack", b"\x80")
    path = crm.upload("uploads/dbt/project.zip", out.getvalue())
    crm.settle()
    assert columns(crm) == [("day", "day"), ("total", "total")]
    assert crm.receipt(path).state == "confirmed"


def test_a_neighbour_that_is_broken_is_named_and_the_rest_is_read(crm: World) -> None:
    crm.upload(FOLDER + "catalog.json", text(CATALOG)[:-5])
    crm.upload(PATH, text(MANIFEST))
    crm.settle()
    assert crm.receipt(PATH).state == "partly rejected"
    (refused,) = crm.rejected(PATH)
    assert refused.place == "catalog.json"
    assert "broken or cut off" in refused.reason
    crm.upload(FOLDER + "catalog.json", text(CATALOG))
    crm.settle()
    assert crm.receipt(PATH).state == "confirmed"
    assert crm.rejected(PATH) == []


def test_a_server_that_is_told_wrongly_holds_the_manifest_until_it_is_right(crm: World) -> None:
    crm.upload("uploads/dbt/manifest.json", text(MANIFEST))
    crm.upload("uploads/dbt/hookline.json", '{"instance": "crmm"}')
    crm.settle()
    receipt = crm.receipt("uploads/dbt/manifest.json")
    assert receipt.state == "rejected"
    assert "did you mean crm?" in receipt.fix
    crm.upload("uploads/dbt/hookline.json", '{"instance": "crm"}')
    crm.settle()
    assert crm.receipt("uploads/dbt/manifest.json").state == "confirmed"
    assert crm.catalogue()["postgresql_table", f"{TABLES}/tables/days"] == "One row a day."


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample files are not here")
def test_projects_that_nobody_here_wrote(world: World) -> None:
    """Tables and processes of both, and the way from a seed to a table by columns."""
    for name, folder in (("postgres_manifest", "a"), ("postgres_run_results", "a"), ("spark_thrift_manifest", "b")):
        world.upload(f"uploads/dbt/{folder}/{name}.json", (SAMPLES / f"{name}.json").read_bytes())
    world.upload("uploads/dbt/a/hookline.json", '{"server": "wh.example"}')
    world.upload("uploads/dbt/b/hookline.json", '{"server": "spark.example", "name": "lake"}')
    world.upload("uploads/dbt/b/spark_thrift_catalog.json", (SAMPLES / "spark_thrift_catalog.json").read_bytes())
    world.settle()
    world.confirmed()
    names = {stands_for(name) for _, name in world.catalogue()}
    for table in ("customers", "orders", "raw_orders", "stg_payments"):
        kind = "view" if table.startswith("stg") else "table"
        assert f"postgresql://servers/wh.example:5432/dbs/postgres/schemas/public/{kind}s/{table}" in names
        assert f"default.{table}@spark.example" in names
    for project in ("jaffle_shop", "lake"):
        models = [
            n for n in names if n.startswith(f"hookline://dbt/{project}/jaffle_shop/") and n.endswith("#transformation")
        ]
        assert len(models) == 5, project
    (process,) = [e for e in world.entities() if e.qn == "hookline://dbt/lake/jaffle_shop/customers#transformation"]
    mapping = json.loads(process.parts["attributes"]["columnMapping"])
    found = {
        (stands_for(m["DatasetMapping"]["Source"]), c["Source"], c["Sink"]) for m in mapping for c in m["ColumnMapping"]
    }
    assert ("default.stg_customers@spark.example", "first_name", "first_name") in found
    assert ("default.stg_payments@spark.example", "amount", "customer_lifetime_value") in found
