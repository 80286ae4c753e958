"""The type registry: what is bundled, what is our own, what an account says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shared.atlas.own_types import PREFIX, RELATIONSHIPS, TYPES, own_definitions, own_digest, own_typedefs
from shared.atlas.types import TypeRegistry, live_definitions

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "shared" / "atlas" / "bundled_types.json"


@pytest.fixture
def types() -> TypeRegistry:
    return TypeRegistry.bundled()


# ---- bundled


def test_bundle_is_one_sorted_type_a_line() -> None:
    lines = BUNDLE.read_text(encoding="utf-8").splitlines()
    names = [line.split('"')[1] for line in lines[2:-1]]
    assert names == sorted(names) and len(set(names)) == len(names) > 550
    document = json.loads("\n".join(lines))
    assert list(document["types"]) == names
    assert any("test_smoke.test_basic_smoke_test.yaml" in source for source in document["_meta"]["sources"])


def test_every_type_resolves(types: TypeRegistry) -> None:
    complete = 0
    for name in types:
        found = types.entity(name)
        assert found is not None and found.name == name and name in found.ancestors
        assert types.entity(name) is found, "put together once"
        assert found.required <= found.attributes.keys() and found.parents <= found.relationships.keys()
        complete += not found.partial
    assert complete > 200


def test_inheritance(types: TypeRegistry) -> None:
    column = types.entity("mssql_column")
    assert column is not None and not column.partial and column.rooted
    assert column.ancestors == {"mssql_column", "DataSet", "Asset", "Referenceable"}
    assert {"qualifiedName", "name", "description", "data_type"} <= column.attributes.keys()
    assert column.required == {"qualifiedName", "name", "data_type"}
    assert column.parents == {"table"}
    assert [e.relationship_type_name for e in column.relationships["inputToProcesses"]] == ["dataset_process_inputs"]


def test_is_a(types: TypeRegistry) -> None:
    assert types.is_a("postgresql_table", "DataSet") and types.is_a("ssis_package_process", "Process")
    assert not types.is_a("mssql_schema", "DataSet"), "containers are no ends of lineage"
    assert not types.is_a("no_such_type", "DataSet") and not types.is_a("DataSet", "no_such_type")


def test_what_is_not_known_is_partial(types: TypeRegistry) -> None:
    databricks = types.entity("databricks_table")
    assert databricks is not None and databricks.partial and not databricks.rooted
    assert types.entity("no_such_type") is None and "no_such_type" not in types


def test_rdbms_column_follows_the_atlas_model(types: TypeRegistry) -> None:
    column = types.entity("rdbms_column")
    assert column is not None and not column.partial
    kinds = {name: a.type_name for name, a in column.attributes.items()}
    assert kinds["data_type"] == kinds["default_value"] == kinds["comment"] == "string"
    assert (kinds["length"], kinds["isNullable"], kinds["isPrimaryKey"]) == ("int", "boolean", "boolean")


def test_one_name_two_relationships(types: TypeRegistry) -> None:
    column = types.entity("cassandra_table_column")
    assert column is not None
    assert {e.relationship_type_name for e in column.relationships["table"]} == {
        "cassandra_table_columns",
        "cassandra_table_partition_key_columns",
    }


def test_looking_up_loads_no_sdk() -> None:
    """The registry and the rules are on every cold start: pyapacheatlas alone takes 0.4 s."""
    code = (
        "import sys; from shared.atlas.rules import Rules; from shared.atlas.types import TypeRegistry;"
        "assert Rules(TypeRegistry.bundled()).types.entity('hookline_process');"
        "print([m for m in ('pyapacheatlas', 'requests', 'azure', 'tenacity') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- our own


def test_own_types_read_the_same_from_both_views() -> None:
    assert live_definitions(own_typedefs()) == own_definitions()


def test_own_types_may_only_grow_so_nothing_is_required() -> None:
    typedefs = own_typedefs()
    assert {d["name"] for d in typedefs["entityDefs"]} == {
        PREFIX + name
        for name in ("container", "dataset", "column", "report", "process", "placeholder", "placeholder_column")
    }
    for definition in (*typedefs["entityDefs"], *typedefs["relationshipDefs"]):
        assert definition["name"].startswith(PREFIX)
        assert definition["serviceType"] == "Hookline" and definition["typeVersion"]
        assert all(a["isOptional"] for a in definition.get("attributeDefs", ()))


def test_schema_tab_options() -> None:
    options = {d["name"]: d.get("options", {}) for d in own_typedefs()["entityDefs"]}
    assert options["hookline_dataset"]["schemaElementsAttribute"] == "columns"
    shown = options["hookline_column"]["schemaAttributes"]
    assert isinstance(shown, str) and json.loads(shown) == ["data_type"]


def test_relationships_have_one_container_and_known_ends(types: TypeRegistry) -> None:
    for definition in own_typedefs()["relationshipDefs"]:
        first, second = definition["endDef1"], definition["endDef2"]
        assert (first["isContainer"], second["isContainer"]) == (True, False)
        assert (first["cardinality"], second["cardinality"]) == ("SET", "SINGLE")
        assert first["type"] in types and second["type"] in types
    compositions = [r.child_type for r in RELATIONSHIPS if r.category == "COMPOSITION"]
    assert compositions == ["hookline_column", "hookline_placeholder_column"]


def test_own_supertypes(types: TypeRegistry) -> None:
    for name in ("dataset", "column", "report", "placeholder"):
        assert types.is_a(PREFIX + name, "DataSet")
    assert types.is_a("hookline_process", "Process")
    assert not types.is_a("hookline_container", "DataSet")
    process = types.entity("hookline_process")
    assert process is not None and {"columnMapping", "sql", "lastRunTime", "inputs"} <= process.attributes.keys()
    assert {"parent", "subProcesses"} <= process.relationships.keys() and not process.parents


def test_callers_cannot_spoil_the_typedefs() -> None:
    own_typedefs()["entityDefs"].clear()
    own_typedefs()["relationshipDefs"][0]["name"] = "x"
    assert len(own_typedefs()["entityDefs"]) == len(TYPES)
    assert own_typedefs()["relationshipDefs"][0]["name"] == RELATIONSHIPS[0].name


def test_digest_is_the_same_in_another_process() -> None:
    code = "from shared.atlas.own_types import own_digest; print(own_digest())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == own_digest()


# ---- live


def live() -> dict[str, Any]:
    """An account with the base types, a table type of its own and a changed native one."""

    def attribute(name: str, kind: str = "string", optional: bool = True) -> dict[str, Any]:
        return {"name": name, "typeName": kind, "isOptional": optional, "cardinality": "SINGLE"}

    extension = {"qualifiedNamePattern": "acme://(?<Server>[^/]+)/(?<Table>[^/]+)$", "displayName": "Acme"}
    return {
        "entityDefs": [
            {"name": "Referenceable", "superTypes": [], "attributeDefs": [attribute("qualifiedName", optional=False)]},
            {"name": "Asset", "superTypes": ["Referenceable"], "attributeDefs": [attribute("name", optional=False)]},
            {"name": "DataSet", "superTypes": ["Asset"], "attributeDefs": []},
            {"name": "azure_postgresql_table", "superTypes": ["DataSet"], "attributeDefs": [attribute("rows", "long")]},
            {
                "name": "acme_table",
                "superTypes": ["DataSet"],
                "attributeDefs": [attribute("kind", optional=False)],
                "relationshipAttributeDefs": [
                    {
                        "name": "files",
                        "typeName": "array<DataSet>",
                        "isOptional": True,
                        "cardinality": "SET",
                        "relationshipTypeName": "acme_files",
                    }
                ],
                "options": {"purviewEntityExtDef": json.dumps(extension), "schemaElementsAttribute": "columns"},
            },
            {"name": "acme_schema", "superTypes": ["Asset"], "options": {"purviewEntityExtDef": "{not json"}},
        ],
        "relationshipDefs": [
            {
                "name": "acme_schema_tables",
                "relationshipCategory": "COMPOSITION",
                "endDef1": {"type": "acme_table", "name": "schema", "cardinality": "SINGLE", "isContainer": False},
                "endDef2": {"type": "acme_schema", "name": "tables", "cardinality": "SET", "isContainer": True},
            }
        ],
    }


def test_live_types_replace_bundled_ones(types: TypeRegistry) -> None:
    account = types.with_live(live())
    table = account.entity("acme_table")
    assert table is not None and not table.partial and table.rooted
    assert table.required == {"qualifiedName", "name", "kind"}
    assert table.parents == {"schema"}, "the end that is no container is the child, whichever comes first"
    assert table.relationships["files"][0].other_end_type == "DataSet"
    assert table.qualified_name_pattern == "acme://(?<Server>[^/]+)/(?<Table>[^/]+)$"
    native = account.entity("azure_postgresql_table")
    assert native is not None and not native.partial and "rows" in native.attributes
    assert types.entity("azure_postgresql_table") is not native, "the bundled registry stays as it is"


def test_a_type_that_the_account_lacks_is_unknown(types: TypeRegistry) -> None:
    assert types.with_live(live()).entity("snowflake_table") is None
    assert types.with_live(live(), complete=False).entity("snowflake_table") is not None
    own = types.with_live(live()).entity("hookline_dataset")
    assert own is not None and not own.partial and own.rooted


def test_live_definitions_survive_a_cache(types: TypeRegistry) -> None:
    import msgspec

    from shared.atlas.types import Definition

    read = live_definitions(live())
    kept = json.loads(json.dumps(msgspec.to_builtins(read)))
    assert msgspec.convert(kept, dict[str, Definition]) == read


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"entityDefs": None, "relationshipDefs": "x"},
        {"entityDefs": [None, 1, {"superTypes": []}, {"name": 5}]},
        {"entityDefs": [{"name": "t", "superTypes": None, "attributeDefs": [{"name": "a"}, 3], "options": 7}]},
        {"entityDefs": [], "relationshipDefs": [{"name": "r"}, {"name": "r", "endDef1": {}, "endDef2": {}}]},
    ],
)
def test_an_odd_answer_does_no_harm(types: TypeRegistry, answer: dict[str, Any]) -> None:
    account = types.with_live(answer)
    assert account.entity("no_such_type") is None
    for name in account:
        assert account.entity(name) is not None


def test_supertypes_in_a_circle_end(types: TypeRegistry) -> None:
    circle = {"entityDefs": [{"name": "a", "superTypes": ["b"]}, {"name": "b", "superTypes": ["a"]}]}
    found = types.with_live(circle).entity("a")
    assert found is not None and found.ancestors == {"a", "b"} and not found.rooted
