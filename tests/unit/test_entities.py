"""Records -> entities: against pyapacheatlas where it can say the same, and against the bounds that Atlas has."""

from __future__ import annotations

import copy
import importlib
import json
import warnings
from collections.abc import Callable
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.atlas.bounds import TEXT_BYTES, custom_attributes, labels, text
from shared.atlas.closure import Draft, Entity, child_guid, guid
from shared.atlas.entities import Entities
from shared.atlas.rules import Rules
from shared.atlas.types import TypeRegistry
from shared.naming import Name, NameRefused, Naming
from shared.records import Address, Column, ColumnEdge, Container, Dataset, ForeignKey, Process, Report

redaction = importlib.import_module("shared.settings.redact")  # the package has a function of that name

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its imports
    from pyapacheatlas.core import AtlasClassification, AtlasEntity, AtlasProcess

CRM = Address("postgresql", "crm.internal", type="server")
SHOP = Address("sqlite", "shop", type="server")
PG = "postgresql://servers/crm.internal:5432"
PG_ORDERS = f"{PG}/dbs/crm/schemas/public/tables/orders"
RABBIT = Address("rabbitmq", "mq", type="server")
JOB = Address("airflow", "etl", ("load",), "job")


def made(
    record: Container | Dataset | Report | Process, types: Literal["native", "rdbms", "own"] = "native"
) -> list[Entity]:
    entities = Entities(Naming(types))
    if isinstance(record, Container):
        drafts = [entities.container(record)]
    elif isinstance(record, Process):
        naming = entities.naming
        inputs, outputs = [naming.name(a) for a in record.inputs], [naming.name(a) for a in record.outputs]
        edges = [
            (
                naming.name(e.source).qualified_name,
                e.source_column,
                naming.name(e.target).qualified_name,
                e.target_column,
            )
            for e in record.columns
        ]
        drafts = list(entities.process(record, inputs, outputs, edges))
    else:
        drafts = [entities.dataset(record)]
    return [json.loads(json.dumps(e)) for draft in drafts for e in (draft.top, *draft.members)]


def made_one(record: Container | Dataset | Report | Process, **options: Any) -> Entity:
    (entity,) = made(record, **options)
    return entity


# ---- against pyapacheatlas


def without_quirks(value: Any) -> Any:
    """pyapacheatlas's JSON without what it adds to Atlas's own shapes:

    - null keys: `"guid": null` where none was given, `"inputs": null` for "leave it"
    - references hold qualifiedName beside guid and typeName, where Atlas has uniqueAttributes or nothing
    - a classification is written with its defaults
    """
    if isinstance(value, list):
        return [without_quirks(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: without_quirks(inner) for key, inner in value.items() if inner is not None}
    if value.keys() == {"typeName", "guid", "qualifiedName"}:
        return {"typeName": value["typeName"], "guid": value["guid"]}
    if "removePropagationsOnEntityDelete" in value:
        return {"typeName": value["typeName"]}
    return value


def theirs_by_name(type_name: str, qualified_name: str) -> dict[str, Any]:
    return {"typeName": type_name, "uniqueAttributes": {"qualifiedName": qualified_name}}


def atlas(type_name: str, qualified_name: str, name: str, **more: Any) -> Any:
    more.setdefault("guid", guid(Name(type_name, qualified_name)))
    return AtlasEntity(name=name, typeName=type_name, qualified_name=qualified_name, **more)


def native_table() -> list[Any]:
    table = atlas(
        "postgresql_table", PG_ORDERS, "orders",
        attributes={"description": "Orders", "owner": "ann, bob"},
        relationshipAttributes={"dbSchema": theirs_by_name("postgresql_schema", f"{PG}/dbs/crm/schemas/public")},
        customAttributes={"storage": "heap"},
        labels=["gold"],
        classifications=[AtlasClassification("MICROSOFT.PERSONAL.EMAIL").to_json()],
    )  # fmt: skip
    columns = [
        ("id", {"dataType": "bigint"}, {"key": "primary", "nullable": "false"}),
        ("total", {"dataType": "numeric(10,2)", "description": "in euro"}, None),
    ]
    return [
        table,
        *[
            atlas(
                "postgresql_table_column", f"{PG_ORDERS}/columns/{name}", name,
                guid=child_guid(table.guid, number),
                attributes=attributes,
                customAttributes=custom,
                relationshipAttributes={"table": table.to_json(minimum=True)},
            )
            for number, (name, attributes, custom) in enumerate(columns, 1)
        ],
    ]  # fmt: skip


def rdbms_table() -> list[Any]:
    qualified_name = "sqlite://shop/shop/main/orders"
    table = atlas(
        "rdbms_table", qualified_name, "orders",
        attributes={"type": "table"},
        relationshipAttributes={"db": theirs_by_name("rdbms_db", "sqlite://shop/shop")},
    )  # fmt: skip
    column = atlas(
        "rdbms_column", f"{qualified_name}#id", "id",
        guid=child_guid(table.guid, 1),
        attributes={"data_type": "INTEGER", "isPrimaryKey": False, "isNullable": True, "default_value": "0"},
        customAttributes={"key": "unique"},
        relationshipAttributes={"table": table.to_json(minimum=True)},
    )  # fmt: skip
    return [table, column]


def own_dataset() -> list[Any]:
    qualified_name = "hookline://rabbitmq/mq/sales/orders#queue"
    queue = atlas(
        "hookline_dataset", qualified_name, "orders",
        attributes={"type": "queue", "platform": "rabbitmq", "host": "mq"},
        relationshipAttributes={"container": theirs_by_name("hookline_container", "hookline://rabbitmq/mq/sales")},
    )  # fmt: skip
    column = atlas(
        "hookline_column", f"{qualified_name}#customer.id", "customer.id",
        guid=child_guid(queue.guid, 1),
        attributes={"data_type": "long", "path": "customer", "nullable": False, "key": "primary", "default": "1"},
        relationshipAttributes={"table": queue.to_json(minimum=True)},
    )  # fmt: skip
    return [queue, column]


def process() -> list[Any]:
    source, sink = f"{PG}/dbs/crm/schemas/public/tables/a", f"{PG}/dbs/crm/schemas/public/views/b"
    mapping = [
        {
            "DatasetMapping": {"Source": source, "Sink": sink},
            "ColumnMapping": [{"Source": "x", "Sink": "y"}, {"Source": "*", "Sink": "n"}],
        }
    ]
    return [
        AtlasProcess(
            name="load", typeName="hookline_process", qualified_name="hookline://airflow/etl/load#job",
            guid=guid(Name("hookline_process", "hookline://airflow/etl/load#job")),
            inputs=[theirs_by_name("postgresql_table", source)],
            outputs=[theirs_by_name("postgresql_view", sink)],
            attributes={"type": "job", "platform": "airflow", "sql": "select 1", "dialect": "postgres",
                        "lastRunTime": "2024-05-01T06:00:00Z", "lastRunState": "COMPLETE",
                        "columnMapping": json.dumps(mapping, separators=(",", ":"))},
            relationshipAttributes={"parent": theirs_by_name("hookline_process", "hookline://airflow/etl/nightly#dag")},
        )
    ]  # fmt: skip


TABLE_A, VIEW_B = CRM.at("crm", "public", "a"), CRM.at("crm", "public", "b", type="view")
SAME: dict[str, tuple[Any, Any, Callable[[], list[Any]]]] = {
    "server": (Container(address=CRM), "native", lambda: [atlas("postgresql_server", PG, "crm.internal")]),
    "schema, described": (
        Container(address=CRM.at("crm", "public", type="schema"), description="All of it"),
        "native",
        lambda: [
            atlas(
                "postgresql_schema", f"{PG}/dbs/crm/schemas/public", "public",
                attributes={"description": "All of it"},
                relationshipAttributes={"db": theirs_by_name("postgresql_db", f"{PG}/dbs/crm")},
            )
        ],
    ),
    "server of our own type": (
        Container(address=RABBIT),
        "native",
        lambda: [
            atlas("hookline_container", "hookline://rabbitmq/mq", "mq",
                  attributes={"type": "server", "platform": "rabbitmq", "host": "mq"})
        ],
    ),
    "rdbms instance": (
        Container(address=SHOP),
        "rdbms",
        lambda: [
            atlas("rdbms_instance", "sqlite://shop", "shop", attributes={"rdbms_type": "sqlite", "hostname": "shop"})
        ],
    ),
    "native table": (
        Dataset(
            address=CRM.at("crm", "public", "orders"),
            description="Orders", owners=("ann", "bob"), tags=("gold",), classifications=("MICROSOFT.PERSONAL.EMAIL",),
            properties={"storage": "heap"},
            columns=(
                Column("id", "bigint", nullable=False, key="primary"),
                Column("total", "numeric(10,2)", description="in euro"),
            ),
        ),
        "native",
        native_table,
    ),
    "rdbms table": (
        Dataset(
            address=SHOP.at("shop", "main", "orders"),
            columns=(Column("id", "INTEGER", nullable=True, key="unique", default="0"),),
        ),
        "rdbms",
        rdbms_table,
    ),
    "queue of our own type": (
        Dataset(
            address=RABBIT.at("sales", "orders", type="queue"),
            columns=(Column("id", "long", nullable=False, key="primary", default="1", path=("customer",)),),
        ),
        "native",
        own_dataset,
    ),
    "process": (
        Process(
            address=JOB, inputs=(TABLE_A,), outputs=(VIEW_B,), sql="select 1", dialect="postgres",
            ended="2024-05-01T06:00:00Z", state="COMPLETE", parent=Address("airflow", "etl", ("nightly",), "dag"),
            columns=(ColumnEdge(TABLE_A, "x", VIEW_B, "y"), ColumnEdge(TABLE_A, "*", VIEW_B, "n")),
        ),
        "native",
        process,
    ),
    "process that reads nothing": (
        Process(address=JOB),
        "native",
        lambda: [
            AtlasProcess(
                name="load", typeName="hookline_process", qualified_name="hookline://airflow/etl/load#job",
                guid=guid(Name("hookline_process", "hookline://airflow/etl/load#job")), inputs=[], outputs=[],
                attributes={"type": "job", "platform": "airflow"},
            )
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SAME)
def test_our_json_is_pyapacheatlas_json(case: str) -> None:
    record, types, theirs = SAME[case]
    assert made(record, types) == [without_quirks(entity.to_json()) for entity in theirs()]


def test_the_quirks_are_still_there() -> None:
    """If one of these fails, `without_quirks` can do without it."""
    plain = AtlasEntity("a", "t", "q").to_json()
    assert plain["guid"] is None
    assert (
        AtlasProcess("p", "Process", "q", inputs=None, outputs=None, guid=-1).to_json()["attributes"]["inputs"] is None
    )
    assert AtlasEntity("a", "t", "q", guid="-1").to_json(minimum=True).keys() == {"typeName", "guid", "qualifiedName"}
    assert len(AtlasClassification("c").to_json()) > 1


def test_what_is_built_passes_the_rules() -> None:
    rules = Rules(TypeRegistry.bundled())
    for record, types, _ in SAME.values():
        top, *children = made(record, types)
        assert rules.check(top, children) is None


# ---- what is said and what is not


def test_a_relationship_type_is_told_where_the_level_asks_for_it() -> None:
    cassandra = Address("cassandra", "c", type="server")
    top, column = made(Dataset(address=cassandra.at("shop", "orders"), columns=(Column("id", "int"),)))
    level = Naming().level(cassandra.at("shop", "orders"))
    assert level is not None and level.column_relationship_type
    parent = {"guid": top["guid"], "typeName": top["typeName"], "relationshipType": level.column_relationship_type}
    assert column["relationshipAttributes"] == {level.column_parent_attribute: parent}
    assert Rules(TypeRegistry.bundled()).check(top, [column]) is None


def test_a_column_without_a_type_has_one_nevertheless() -> None:
    """azure_sql_column.data_type and others are required."""
    column = made(Dataset(address=CRM.at("crm", "public", "t"), columns=(Column("c"),)))[1]
    assert column["attributes"]["dataType"] == "unknown"
    assert "customAttributes" not in column


def test_the_sql_of_a_view_is_kept_where_its_type_has_room() -> None:
    sql = "create view v as select 1"
    native = made_one(Dataset(address=CRM.at("crm", "public", "v", type="view"), sql=sql, dialect="postgres"))
    assert native["attributes"]["viewDefinition"] == sql and "dialect" not in native["attributes"]
    own = made_one(Dataset(address=CRM.at("crm", "public", "v", type="view"), sql=sql, dialect="postgres"), types="own")
    assert (own["attributes"]["definition"], own["attributes"]["dialect"]) == (sql, "postgres")


def test_a_stub_is_a_name_and_a_parent() -> None:
    naming = Naming("rdbms")
    stub = Entities(naming).stub(SHOP.at("shop", "main", "orders")).top
    assert stub["attributes"] == {"name": "orders", "qualifiedName": "sqlite://shop/shop/main/orders"}
    view = Entities(naming).stub(SHOP.at("shop", "main", "orders", type="view")).top
    assert view["attributes"]["type"] == "view"  # somebody said so; `table` is what anybody says
    kafka = Entities(Naming()).stub(Address("kafka", "k:9092", ("orders",), "topic")).top
    assert kafka["attributes"].keys() == {"name", "qualifiedName", "topic", "uri"}  # required


@pytest.mark.parametrize("types", ["native", "rdbms", "own"])
def test_every_stub_passes_the_rules(types: Any) -> None:
    rules, entities = Rules(TypeRegistry.bundled()), Entities(Naming(types))
    count = 0
    for platform in ("postgresql", "mysql", "mssql", "oracle", "snowflake", "sqlite", "cassandra", "mongodb", "kafka",
                     "abfss", "s3", "hive", "bigquery", "tableau", "rabbitmq", "teradata"):  # fmt: skip
        for kind in ("server", "database", "schema", "table", "view", "topic", "file", "bucket", "job", "dashboard"):
            for depth in range(5):
                address = Address(platform, "host", ("a", "b", "c", "d")[:depth], kind)
                try:
                    draft = entities.stub(address)
                except NameRefused:
                    continue
                assert rules.check(draft.top) is None, address
                count += 1
    assert count > 100


def test_siblings_do_not_share_what_differs() -> None:
    entities = Entities(Naming())
    root = entities.container(Container(address=RABBIT)).top
    inner = entities.container(Container(address=RABBIT.at("sales", type="server"))).top
    again = entities.container(Container(address=RABBIT)).top
    assert root == again and "relationshipAttributes" not in root
    assert inner["relationshipAttributes"]["parent"]["uniqueAttributes"]["qualifiedName"] == "hookline://rabbitmq/mq"


def test_foreign_keys_without_a_name_do_not_overwrite_each_other() -> None:
    orders = SHOP.at("shop", "main", "orders")
    keys = (
        ForeignKey(("customer_id",), SHOP.at("shop", "main", "customers"), ("id",)),
        ForeignKey(("a", "b"), SHOP.at("shop", "main", "lines"), ("x", "y"), name="named"),
        ForeignKey(("c",), Address("mongodb", "h", ("lines",))),
    )
    custom = made_one(Dataset(address=orders, foreign_keys=keys, properties={"a": "b"}))["customAttributes"]
    assert custom == {
        "a": "b",
        "foreignKey_1": "(customer_id) references main.customers (id)",
        "foreignKey_named": "(a, b) references main.lines (x, y)",
        "foreignKey_3": "(c) references lines ()",
    }


def test_columns_of_what_has_none_are_shown_by_name() -> None:
    report = Report(address=Address("tableau", "t", ("site", "sales"), "dashboard"), url="https://u:pw12345@t/x",
                    columns=(Column("a"), Column("b", path=("c",))))  # fmt: skip
    entity = made_one(report)
    assert entity["customAttributes"] == {"columns": "a, c.b"}
    assert entity["attributes"]["url"] == "https://u:***@t/x"


def test_a_name_that_is_refused_refuses_the_record() -> None:
    for record in (
        Dataset(address=CRM.at("crm", "public", "or\x00ders")),
        Dataset(address=CRM.at("crm", "public", "orders"), columns=(Column(" "),)),
        Dataset(address=CRM.at("crm", "orders")),
        Process(address=JOB, parent=Address("airflow", "etl", ("",), "dag")),
    ):
        with pytest.raises(NameRefused):
            made(record)


def test_records_are_left_as_they_are() -> None:
    record = Dataset(
        address=CRM.at("crm", "public", "t"), properties={"a": "b"}, foreign_keys=(ForeignKey(("a",), TABLE_A),)
    )
    before = copy.deepcopy(record)
    assert made(record) == made(record)
    assert record == before


# ---- column mappings over several processes


def test_a_wide_process_is_several_with_the_same_ends() -> None:
    edges = tuple(ColumnEdge(TABLE_A, f"column_{n}", VIEW_B, f"column_{n}") for n in range(2_000))
    record = Process(address=JOB, inputs=(TABLE_A,), outputs=(VIEW_B,), columns=edges, description="Wide")
    parts = made(record)
    assert [p["attributes"]["qualifiedName"][-5:] for p in parts] == ["d#job", "job/2", "job/3"]
    assert len({p["guid"] for p in parts}) == 3
    mapped = [e for p in parts for m in json.loads(p["attributes"]["columnMapping"]) for e in m["ColumnMapping"]]
    assert mapped == [{"Source": f"column_{n}", "Sink": f"column_{n}"} for n in range(2_000)]
    for part in parts:
        assert part["attributes"]["inputs"] == parts[0]["attributes"]["inputs"]
        assert part["attributes"]["description"] == "Wide"
        assert Rules(TypeRegistry.bundled()).check(part) is None


# ---- bounds

WEIRD = st.text(st.characters(codec="utf-8"), max_size=700)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.dictionaries(WEIRD, WEIRD, max_size=6), st.lists(WEIRD, max_size=6))
def test_custom_attributes_and_labels_obey_the_rules(custom: dict[str, str], tags: list[str]) -> None:
    kept = {name: value for name, value in custom.items() if value}
    attributes = custom_attributes(custom)
    assert len(attributes) == len(kept)  # two keys that become the same stay two
    assert all(len(value.encode("utf-16-le")) <= 1_000 for value in attributes.values())
    made = Entities(Naming()).container(Container(address=CRM, properties=custom, tags=tuple(tags)))
    assert Rules(TypeRegistry.bundled()).check(made.top) is None


def test_keys_that_become_the_same_are_numbered() -> None:
    assert custom_attributes({"a b": "1", "a_b": "2", "a-b": "3", "a\nb": "4", "": "5", "€": "6", "x": ""}) == {
        "a_b": "1", "a_b_2": "2", "a-b": "3", "a_b_3": "4", "_": "5", "__2": "6",
    }  # fmt: skip
    long = custom_attributes({"k" * 60: "1", "k" * 70: "2"})
    assert [len(key) for key in long] == [50, 50] and len(long) == 2


def test_an_emoji_counts_as_the_two_characters_that_java_sees() -> None:
    (value,) = custom_attributes({"a": "😀" * 300}).values()
    assert value == "😀" * 249 + "…"
    assert custom_attributes({"a": "ä" * 500}) == {"a": "ä" * 500}


def test_credentials_are_masked_by_value_and_by_name() -> None:
    custom = custom_attributes(
        {
            "url": "postgresql://app:hunter2@db/x",
            "connection.password": "hunter2",
            "password=": "hunter2",
            "note": "a=b",
        }
    )
    assert "hunter2" not in json.dumps(custom)
    assert custom["note"] == "a=b" and custom["connection_password"] == "***"
    assert "hunter2" not in text("COPY t FROM 's3://b' CREDENTIALS 'aws_secret_access_key=hunter2'")


SIGNS = st.sampled_from([
    "password", "Pwd", "pa\u017fs", "to\u212aen", "s\u0131g", "\u0130d", "api_key", "=", ":", "://", "@", "'", '"', " ",
    ";", "x", "Bearer ", "a" * 20, "eyJ" + "a" * 12, ".", "-----BEGIN PRIVATE KEY-----", "identified by ",
    "authorization: basic ",
])  # fmt: skip


@settings(max_examples=800, derandomize=True, deadline=None)
@given(st.lists(SIGNS, max_size=9).map("".join))
def test_the_short_cut_of_redaction_lets_nothing_pass_that_a_rule_would_mask(value: str) -> None:
    masked = value
    for pattern, replacement in redaction._RULES:
        masked = pattern.sub(replacement, masked)
    assert redaction.redact(value) == masked


def test_long_texts_are_cut_below_the_bound_and_say_so() -> None:
    for long in ("x" * 40_000, "ä" * 40_000, "😀" * 40_000):
        cut = text(long)
        assert len(cut.encode()) <= TEXT_BYTES and "cut by Hookline" in cut
    assert text("ä" * 16_000) == "ä" * 16_000
    assert labels(("b", "a", "", " ", "x y", "x_y")) == ["a", "b", "x_y"]


def test_a_draft_says_to_whom_it_refers() -> None:
    draft: Draft = Entities(Naming()).dataset(Dataset(address=TABLE_A))
    (above,) = draft.refers
    assert above.name == Name("postgresql_schema", f"{PG}/dbs/crm/schemas/public") and above.guid == guid(above.name)
