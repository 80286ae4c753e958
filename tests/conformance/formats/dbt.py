"""dbt: manifests of several versions, alone and in an archive, and what is wrong with some."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from typing import Any

from connectors.formats.dbt.files import Dbt
from tests.conformance.formats.subject import SECRET, Bad, Subject


def schema(artifact: str = "manifest", version: int = 12) -> str:
    return f"https://schemas.getdbt.com/dbt/{artifact}/v{version}.json"


def metadata(version: int = 12, adapter: str = "sqlserver") -> dict[str, Any]:
    return {"dbt_schema_version": schema(version=version), "project_name": "shop", "adapter_type": adapter}


def model(name: str, needs: list[str], sql: str, **changes: Any) -> dict[str, Any]:
    whole = {
        "name": name,
        "resource_type": "model",
        "package_name": "shop",
        "database": "DW",
        "schema": "mart",
        "alias": name,
        "relation_name": f'"DW"."mart"."{name}"',
        "description": f"All {name}.",
        "columns": {"id": {"name": "id", "description": "Which one.", "tags": []}},
        "config": {"materialized": "table", "meta": {"owner": "team@shop.example"}, "tags": ["core"]},
        "depends_on": {"nodes": needs},
        "compiled_code": sql,
        "language": "sql",
    }
    return whole | changes


SOURCE = {
    "name": "orders",
    "source_name": "raw",
    "resource_type": "source",
    "package_name": "shop",
    "database": "DW",
    "schema": "raw",
    "identifier": "orders",
    "relation_name": '"DW"."raw"."orders"',
    "description": "As delivered.",
    "columns": {},
}
TEST = {
    "name": "unique_days_id",
    "resource_type": "test",
    "column_name": "id",
    "test_metadata": {"name": "unique", "kwargs": {"model": "{{ get_where_subquery(ref('days')) }}"}},
    "depends_on": {"nodes": ["model.shop.days"]},
}
EXPOSURE = {
    "name": "board",
    "type": "dashboard",
    "url": "https://bi.example/1",
    "owner": {"name": "Ada", "email": ["ada@shop.example"]},
    "depends_on": {"nodes": ["model.shop.days", "metric.shop.revenue"]},
}
METRIC = {"name": "revenue", "type": "simple", "depends_on": {"nodes": ["semantic_model.shop.days"]}}
MEANING = {
    "name": "days",
    "depends_on": {"nodes": ["model.shop.days"]},
    "entities": [{"name": "id", "type": "primary"}],
    "measures": [{"name": "total", "agg": "sum"}],
}
DAYS = 'select id, sum(amount) as total from "DW"."raw"."orders" group by id'


def manifest(version: int = 12, **changes: Any) -> dict[str, Any]:
    whole = {
        "metadata": metadata(version),
        "nodes": {"model.shop.days": model("days", ["source.shop.raw.orders"], DAYS), "test.shop.unique": TEST},
        "sources": {"source.shop.raw.orders": SOURCE},
        "macros": {"macro.dbt.x": {"macro_sql": "{% macro x() %}"}},
        "exposures": {"exposure.shop.board": EXPOSURE},
        "metrics": {"metric.shop.revenue": METRIC},
        "semantic_models": {"semantic_model.shop.days": MEANING},
        "groups": {"group.shop.bi": {"name": "bi", "owner": {"email": "bi@shop.example"}}},
    }
    return whole | changes


def old() -> dict[str, Any]:
    """As dbt 1.0 wrote it; the server is not known."""
    node = model("days", [], "")
    node["compiled_sql"] = node.pop("compiled_code")
    return {"metadata": metadata(4, "snowflake"), "nodes": {"model.shop.days": node}}


def file(value: Any, indent: int | None = None) -> bytes:
    return json.dumps(value, indent=indent).encode()


def packed(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(f"target/{name}.json"), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def two(**changes: Any) -> bytes:
    """A good model, and one that is changed."""
    other = model("weeks", [], "select 1 as id") | changes
    return file(manifest(nodes={"model.shop.days": model("days", [], DAYS), "model.shop.weeks": other}))


CATALOG = {"metadata": {"dbt_schema_version": schema("catalog", 1)}, "nodes": {}}
CIRCLE = {
    f"model.shop.{name}": model(name, [f"model.shop.{need}"], "") for name, need in (("a", "b"), ("b", "a"), ("c", "a"))
}
_LOGIN = f"select * from openrowset('SQLNCLI', 'Server=h;Uid=u;Pwd={SECRET};', 'select 1') as t"
_SECRETS = model(
    "days", [], _LOGIN, description=f"postgres://u:{SECRET}@h/db", meta={"password": SECRET, "note": f"pwd={SECRET}"}
)

SUBJECT = Subject(
    format=Dbt,
    good={
        "manifest.json": file(manifest()),
        "manifest_of_many_lines.json": file(old(), 1),
        "manifest.json.gz": gzip.compress(file(old())),
        "project.zip": packed(manifest=file(old()), catalog=file(CATALOG)),
    },
    bad={
        "a manifest from before dbt 1.0": Bad(file(manifest(3)), "v3 is of a dbt before 1.0"),
        "a file that is none of dbt's": Bad(file({"metadata": {}, "nodes": {}}), "no dbt_schema_version"),
        "a catalog under the name of a manifest": Bad(file(CATALOG), "it is dbt's catalog"),
        "an array": Bad(b"[1, 2]", "no dbt_schema_version"),
        "models that need each other": Bad(
            file(manifest(nodes=CIRCLE)), "model.shop.a <- model.shop.b <- model.shop.a", "model.shop.a"
        ),
        "two models of one table": Bad(two(relation_name='"DW"."mart"."days"'), "same table", "model.shop.weeks"),
        "columns that are a text": Bad(two(columns="x"), "columns", "model.shop.weeks"),
        "a model without a name": Bad(two(name=""), "no name", "model.shop.weeks"),
        "a node twice": Bad(file(old())[:-2] + b', "model.shop.days": {"name": "days"}}}', "twice", "model.shop.days"),
        "a manifest that is cut off": Bad(file(manifest())[:-40], "broken or cut off"),
        "an empty file": Bad(b" \n", "empty"),
        "a web page": Bad(b"<html>", "HTML"),
        "UTF-16": Bad(file(old()).decode().encode("utf-16"), "UTF-8"),
        "an archive without a manifest": Bad(packed(catalog=file(CATALOG)), "no manifest.json"),
        "a damaged archive": Bad(packed(manifest=file(old()))[:-30], "damaged"),
    },
    secret={"manifest.json": file(manifest(nodes={"model.shop.days": _SECRETS}))},
)
