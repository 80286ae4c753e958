"""Records -> closures and refusals -> messages: the table of cases, generated records, and what hostile input does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.catalogue import Catalogue, Store
from shared.atlas import checks, flows
from shared.atlas.closure import Closure, guid
from shared.atlas.messages import Message, Packer
from shared.atlas.own_types import own_typedefs
from shared.atlas.rules import Rules
from shared.atlas.transform import Options, Transform
from shared.atlas.types import TypeRegistry
from shared.lineage import ColumnInput, ColumnLineage, ColumnName, TableName
from shared.naming import Name, Naming
from shared.records import (
    Address,
    Atlas,
    Column,
    ColumnEdge,
    Container,
    Dataset,
    Deleted,
    Found,
    Process,
    Query,
    Record,
    Refusal,
    Report,
)
from tests.support.generated_records import RECORDS
from tests.support.hook_message import check_hook_message, entities_of

CASES = yaml.safe_load((Path(__file__).parents[1] / "cases" / "transform" / "cases.yaml").read_text(encoding="utf-8"))
SQLITE = Address("sqlite", "h", type="server")
RULES = Rules(TypeRegistry.bundled())


class Published:
    """Names that an earlier scan has published."""

    def __init__(self, names: Iterable[Name] = ()) -> None:
        self.names = set(names)

    def contains(self, name: Name) -> bool:
        return name in self.names


class Result:
    def __init__(
        self, records: Iterable[Record | Refusal], known: Iterable[Name] = (), types: Any = "native", **options: Any
    ) -> None:
        self.transform = Transform(Naming(types), RULES, known=Published(known), options=Options(**options))
        found = (r if isinstance(r, Refusal) else Found(r, number) for number, r in enumerate(records, 1))
        self.made = list(self.transform.run(found))
        self.closures = [item for item in self.made if isinstance(item, Closure)]
        self.refusals = [item for item in self.made if isinstance(item, Refusal)]

    @property
    def messages(self) -> list[Message]:
        packer = Packer()
        messages = [m for c in self.closures for m in packer.add(c)] + list(packer.flush())
        for message in messages:
            check_hook_message(message.body)
        return messages

    def body(self, qualified_name: str) -> Any:
        (found,) = (c.body for c in self.closures if c.name.qualified_name == qualified_name and not c.stub)
        return json.loads(found)

    @property
    def reasons(self) -> list[str]:
        return [refusal.reason for refusal in self.refusals]


# ---- the table


def address(text: str) -> dict[str, Any]:
    platform, host, *rest = text.split()
    kind = rest[-1] if rest and "." not in rest[-1] and (len(rest) > 1 or rest[-1] == "server") else "table"
    path = [] if rest == [kind] else rest[0].split(".") if rest else []
    return {"platform": platform, "host": host, "path": ["" if p == '""' else p for p in path], "type": kind}


def expanded(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {k: expanded(v, k) for k, v in value.items()} if key != "entity" else value
    if isinstance(value, list):
        return [expanded(v, key) for v in value]
    return address(value) if key in ("address", "inputs", "outputs", "parent", "source", "target") else value


def line(item: Closure | Refusal) -> str:
    if isinstance(item, Refusal):
        return f"refused {item.place} {item.rule}"
    return f"{'stub' if item.stub else item.operation} {item.name.type_name} {item.name.qualified_name}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(case: dict[str, Any]) -> None:
    records = [msgspec.convert(expanded(record), Record) for record in case["records"]]
    known = [Name(*text.split(" ", 1)) for text in case.get("known", [])]
    result = Result(records, known, **case.get("options", {}))
    assert [line(item) for item in result.made] == case["out"]
    assert result.transform.repeated == case.get("repeated", 0)
    assert result.transform.adopted == case.get("adopted", 0)
    assert result.transform.records == len(records)
    for qualified_name, inputs in case.get("inputs", {}).items():
        ends = result.body(qualified_name)["attributes"]["inputs"]
        assert [end["uniqueAttributes"]["qualifiedName"] for end in ends] == inputs
    if "places" in case:
        assert [f"line {c.place}" for c in result.closures] == case["places"]
    assert result.messages or not result.closures


# ---- what is in them


def test_every_refusal_says_why_and_what_to_do() -> None:
    result = Result(
        [
            Dataset(address=SQLITE.at("d", "s", " ")),
            Process(address=SQLITE.at("j", type="job"), inputs=(SQLITE.at("t"),)),
        ]
    )
    assert [r.place for r in result.refusals] == ["line 1", "line 2"]
    assert all(r.reason and r.fix and '"kind"' in r.sample for r in result.refusals)


def test_credentials_are_in_no_message_and_in_no_refusal() -> None:
    secret = "postgresql://app:hunter2!@db/x"
    leaky: dict[str, Any] = {"description": secret, "properties": {"password": "hunter2!", "url": secret}}
    result = Result(
        [
            Dataset(
                address=SQLITE.at("d", "s", "t"), **leaky, columns=(Column("c", description=secret, default=secret),)
            ),
            Dataset(address=SQLITE.at("d", "s", "v", type="view"), sql=f"select '{secret}'", dialect="sqlite"),
            Process(address=SQLITE.at("j", type="job"), sql=f"copy t from '{secret}'", **leaky),
            Query(address=SQLITE, sql=f"insert into d.s.t select '{secret}' from d.s.u", dialect="sqlite"),
            Report(address=SQLITE.at("r", type="dashboard"), url=secret, **leaky),
            Dataset(address=SQLITE.at("", "s", "t"), **leaky),
            Refusal(place="line 9", rule="record", reason=f"cannot read {secret}", sample=secret),
        ]
    )
    assert len(result.refusals) == 2
    assert "hunter2" not in "".join(m.body.decode() for m in result.messages)
    assert "hunter2" not in msgspec.json.encode(result.refusals).decode()


def test_what_the_analysis_did_not_understand_is_shown_on_the_process() -> None:
    view = Dataset(
        address=SQLITE.at("d", "s", "v", type="view"), sql="create view v as select * from a where ((", dialect="sqlite"
    )
    process = Result([view]).body("hookline://sqlite/h/d/s/v#query")
    assert "line 1" in process["customAttributes"]["unparsed"]


def test_columns_from_sql_become_edges_between_the_tables_that_are_known() -> None:
    def table(*parts: str) -> TableName:
        return TableName(parts)

    columns = [
        ColumnLineage(
            ColumnName(table("d", "s", "v"), "total"),
            (
                ColumnInput(table("d", "s", "a"), "price", "price * 2", "derivation"),
                ColumnInput(table("d", "s", "elsewhere"), "x"),
            ),
        ),
        ColumnLineage(ColumnName(table("d", "s", "temp"), "y"), (ColumnInput(table("d", "s", "a"), "y"),)),
    ]
    source, view = SQLITE.at("d", "s", "a"), SQLITE.at("d", "s", "v", type="view")
    edge = ColumnEdge(source, "price", view, "total", "price * 2", "derivation")

    def at(parts: tuple[str, ...]) -> Address:
        return SQLITE.at(*parts)

    assert list(flows.edges(columns, [source], [view], at)) == [edge]
    bare = [msgspec.structs.replace(columns[0], output=ColumnName(table(), "total"))]
    assert list(flows.edges(bare, [source], [view], at)) == [edge]
    assert list(flows.edges(bare, [source], [view, source], at)) == []


@pytest.mark.parametrize("sql", ["select x * 2 as y from a", "create view v as select x * 2 as y from a"])
def test_a_view_has_column_lineage_whether_its_sql_names_it_or_not(sql: str) -> None:
    view = SQLITE.at("d", "s", "v", type="view")
    for inputs in ((), (SQLITE.at("d", "s", "a"),)):
        process = Result([Dataset(address=view, sql=sql, dialect="sqlite", inputs=inputs)]).body(
            "hookline://sqlite/h/d/s/v#query"
        )
        (element,) = json.loads(process["attributes"]["columnMapping"])
        assert element == {
            "DatasetMapping": {"Source": "sqlite://h/d/s/a", "Sink": "sqlite://h/d/s/v"},
            "ColumnMapping": [{"Source": "x", "Sink": "y"}],
        }


def test_the_same_text_with_other_defaults_is_another_statement() -> None:
    sql = "insert into b select * from a"
    records = [
        Query(address=SQLITE, sql=sql, dialect="sqlite", default_database="d", default_schema=s) for s in ("x", "y")
    ]
    names = {c.name.qualified_name for c in Result(records).closures if "#query" in c.name.qualified_name}
    assert len(names) == 2


def test_a_stub_that_the_rules_refuse_is_said_where_it_was_needed() -> None:
    attributes = [{"name": "mandatory", "typeName": "string", "isOptional": False}]
    attributes += [{"name": name, "typeName": "string", "isOptional": True} for name in ("rdbms_type", "hostname")]
    types = {"entityDefs": [{"name": "rdbms_instance", "superTypes": ["DataSet"], "attributeDefs": attributes}]}
    rules = Rules(TypeRegistry.bundled().with_live(types, complete=False))
    transform = Transform(Naming(), rules, known=Published())
    made = list(transform.run([Found(Dataset(address=SQLITE.at("d", "s", "t")), 5)]))
    refused = [m for m in made if isinstance(m, Refusal)]
    assert [(r.place, r.rule) for r in refused] == [("line 5", "missing-attribute")]


def test_a_file_of_more_assets_than_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "REMEMBERED", 10)
    tables = [Dataset(address=SQLITE.at("d", "s", f"t{n}")) for n in range(50)]
    view = Dataset(address=Address("postgresql", "h", ("d", "s", "v"), "view"))
    job = Process(address=SQLITE.at("j", type="job"), inputs=(Address("postgresql", "h", ("d", "s", "v")),))
    result = Result([view, *tables, *reversed(tables), job])
    assert 10 <= result.transform.repeated <= 20  # the others were forgotten, and are sent a second time
    ends = result.body("hookline://sqlite/h/j#job")["attributes"]["inputs"]
    assert ends[0]["typeName"] == "postgresql_view"  # views are not forgotten: a name depends on them


# ---- wide and large


def columns(count: int, description: str = "") -> tuple[Column, ...]:
    return tuple(Column(f"column_{n}", "text", description=description) for n in range(count))


def test_a_table_too_wide_for_a_message_is_one_asset_all_the_same() -> None:
    table = Dataset(address=SQLITE.at("d", "s", "t"), columns=columns(3_000, "x" * 600), statistics={"rows": "7"})
    result = Result([table])
    (made,) = (c for c in result.closures if not c.stub)
    assert made.size > 1_500_000 and len(made.children) == made.entities - 1 == 3_000
    messages = result.messages
    found = [
        e["attributes"]["qualifiedName"]
        for m in messages
        for e in entities_of(m.body)
        if e["typeName"] == "rdbms_column"
    ]
    assert found == list(made.children)
    assert sum(m.entities for m in messages) == 3_003
    assert json.loads(made.body)["customAttributes"] == {"rows": "7"}


def test_what_fits_into_no_message_is_refused_alone() -> None:
    owners = tuple(f"owner {n}" for n in range(100_000))
    many = tuple(SQLITE.at("d", "s", f"a rather long name {n}") for n in range(10_000))
    result = Result(
        [
            Dataset(address=SQLITE.at("d", "s", "a"), owners=owners),  # cut: a text
            Process(address=SQLITE.at("j", type="job"), inputs=many),
            Dataset(address=SQLITE.at("d", "s", "b")),
        ]
    )
    assert [(r.place, r.rule) for r in result.refusals] == [("line 2", "oversize")]
    assert {c.place for c in result.closures} == {1, 3}
    assert result.messages


def test_an_oversize_record_does_not_count_as_sent() -> None:
    job = SQLITE.at("j", type="job")
    big = Process(address=job, inputs=tuple(SQLITE.at("d", "s", f"a rather long name {n}") for n in range(10_000)))
    result = Result([big, Process(address=SQLITE.at("k", type="job"), parent=job)])
    assert [line(i) for i in result.made][1:] == [
        "stub hookline_process hookline://sqlite/h/j#job",
        "create hookline_process hookline://sqlite/h/k#job",
    ]


def test_a_small_bound_for_messages_holds() -> None:
    result = Result([Dataset(address=SQLITE.at("d", "s", "t"), columns=columns(100))], max_bytes=8_000)
    packer = Packer(max_bytes=8_000)
    messages = [m for c in result.closures for m in packer.add(c)] + list(packer.flush())
    assert len(messages) > 3 and all(len(m.body) <= 8_000 for m in messages)


# ---- uploads


def upload(top: dict[str, Any], *referred: dict[str, Any], **options: Any) -> Result:
    return Result([Atlas(entity=top, referred=referred, **options)])


def dataset(name: str = "d", **more: Any) -> dict[str, Any]:
    return {
        "typeName": "hookline_dataset",
        "guid": "-1",
        "attributes": {"name": name, "qualifiedName": f"x://{name}"},
        **more,
    }


def column(number: int, **more: Any) -> dict[str, Any]:
    return {
        "typeName": "hookline_column",
        "guid": f"-{number + 1}",
        "attributes": {"name": f"c{number}", "qualifiedName": f"x://d#c{number}"},
        "relationshipAttributes": {"table": {"guid": "-1"}},
        **more,
    }


def test_guids_of_a_file_become_ours_everywhere() -> None:
    top = dataset(relationshipAttributes={"columns": [{"guid": "-2"}, {"guid": -3, "typeName": "hookline_column"}]},
                  customAttributes={"guid": "-2"})  # fmt: skip
    result = upload(top, column(1), column(2, guid=-3))
    (message,) = result.messages
    whole = json.loads(message.body)["message"]["entities"]
    ours = guid(Name("hookline_dataset", "x://d"))
    (found,) = whole["entities"]
    assert found["guid"] == ours and found["customAttributes"] == {"guid": "-2"}
    assert [c["guid"] for c in found["relationshipAttributes"]["columns"]] == list(whole["referredEntities"])
    for child in whole["referredEntities"].values():
        assert child["relationshipAttributes"] == {"table": {"guid": ours, "typeName": "hookline_dataset"}}
    assert result.closures[0].children == ()  # nobody says that these are all


def test_columns_that_only_name_their_table_are_not_lost() -> None:
    (message,) = upload(dataset(), column(1), column(2)).messages
    assert len(json.loads(message.body)["message"]["entities"]["entities"]) == 3
    messages = upload(dataset(), *[column(n) for n in range(1, 121)]).messages
    assert [m.entities for m in messages] == [50, 50, 21]
    assert [m.names for m in messages] == 3 * [(Name("hookline_dataset", "x://d"),)]


def test_an_entity_that_nothing_reaches_and_that_reaches_others_is_refused() -> None:
    loose = column(
        2,
        relationshipAttributes={"table": {"guid": "-1"}},
        attributes={"name": "x", "qualifiedName": "x", "meanings": [{"guid": "-2"}]},
    )
    assert [r.rule for r in upload(dataset(), column(1), loose).refusals] == ["unreached-entity"]


def test_the_same_guid_on_every_line_is_no_matter() -> None:
    (message,) = Result([Atlas(entity=dataset(f"d{n}")) for n in range(20)]).messages
    assert message.entities == 20


def test_references_by_name_are_recognised_in_any_order_of_fields() -> None:
    above = {"typeName": "hookline_container", "guid": "-1", "attributes": {"name": "f", "qualifiedName": "x://f"}}
    named = {"uniqueAttributes": {"qualifiedName": "x://f"}, "typeName": "hookline_container"}
    result = Result([Atlas(entity=above), Atlas(entity=dataset(relationshipAttributes={"container": named}))])
    (message,) = result.messages
    assert "guid" in entities_of(message.body)[1]["relationshipAttributes"]["container"]


def test_what_pyapacheatlas_writes_goes_through() -> None:
    from pyapacheatlas.core import AtlasEntity, AtlasProcess

    source, sink = (AtlasEntity(n, "hookline_dataset", f"x://{n}", guid=g) for n, g in (("a", -1), ("b", -2)))
    process = AtlasProcess("p", "hookline_process", "x://p", [source], [sink], guid=-3).to_json()
    unset = AtlasProcess("q", "hookline_process", "x://q", None, None).to_json()
    result = Result([Atlas(entity=process, referred=(source.to_json(), sink.to_json())), Atlas(entity=unset)])
    assert not result.refusals
    assert "inputs" not in result.body("x://q")["attributes"]  # null means: leave it
    assert len(entities_of(result.messages[0].body)) == 4


def test_an_update_carries_whatever_is_given() -> None:
    changed = dataset(labels=["x"], customAttributes={"a": "b"}, relationshipAttributes={"container": {
        "typeName": "hookline_container", "uniqueAttributes": {"qualifiedName": "x://f"}}})  # fmt: skip
    (message,) = upload(changed, operation="update").messages
    entity = json.loads(message.body)["message"]["entity"]["entity"]
    assert entity == {k: v for k, v in changed.items() if k != "guid"}


def deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("operation", ["create", "update"])
@pytest.mark.parametrize(
    "value",
    [deep(40), deep(900), {"a": deep(400)}, 10**40, float("nan"), float("inf"), "\ud800", {"guid": deep(30)}, [None]],
    ids=["deep", "deeper", "deep in a map", "large", "nan", "inf", "half a pair", "a guid", "null"],
)  # fmt: skip
def test_hostile_values_are_refused_and_their_neighbours_are_not(operation: Any, value: Any) -> None:
    for spoilt in (
        dataset(attributes={"name": "d", "qualifiedName": "x://d", "definition": value}),
        dataset(relationshipAttributes={"container": value}),
        dataset(classifications=value),
    ):
        result = Result([Atlas(entity=spoilt, operation=operation), Atlas(entity=dataset("ok"))])
        assert "x://ok" in {c.name.qualified_name for c in result.closures}
        assert len(result.made) == 2 and result.messages
        assert all(len(r.sample) <= 2_000 for r in result.refusals)


@pytest.mark.parametrize(
    "record",
    [
        Dataset(address=SQLITE.at("d", "s", "\udcff")),
        Dataset(address=SQLITE.at("d", "s", "t"), description="\udcff" * 20_000),
        Dataset(address=SQLITE.at("d", "s", "t"), properties={"a": "\udcff"}),
        Dataset(address=SQLITE.at("d", "s", "t"), columns=(Column("\udcff"),)),
        Process(address=SQLITE.at("j", type="job"), sql="\udcff"),
        Query(address=SQLITE, sql="\udcff", dialect="sqlite"),
        Deleted(address=SQLITE.at("d", "s", "\udcff")),
    ],
    ids=lambda record: type(record).__name__,
)
def test_text_that_is_no_unicode_is_refused(record: Record) -> None:
    result = Result([record, Container(address=SQLITE)])
    assert [r.place for r in result.refusals] == ["line 1"]
    assert [c.place for c in result.closures if not c.stub] == [2]


# ---- whatever comes


@settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    records=st.lists(RECORDS, max_size=12),
    types=st.sampled_from(["native", "rdbms", "own"]),
    assets=st.sampled_from(["create", "create", "adopt"]),
    repeats=st.sampled_from(["newer", "refuse"]),
)
def test_every_record_is_accounted_for_and_every_message_is_right(
    records: list[Record], types: Any, assets: Any, repeats: Any
) -> None:
    result = Result(records, types=types, assets=assets, repeats=repeats)
    packed = result.messages  # each of them checked
    assert sum(m.entities for m in packed) == sum(c.entities for c in result.closures)
    told = {c.place for c in result.closures if not c.stub} | {int(r.place.split()[1]) for r in result.refusals}
    silent = [number for number in range(1, len(records) + 1) if number not in told]
    counted = result.transform.repeated + result.transform.adopted
    assert len(silent) <= counted <= len(records)
    if assets == "create":
        assert result.transform.adopted == 0
    names = [c.name for c in result.closures if not c.stub and c.operation == "create"]
    if repeats == "refuse":
        deleted = {c.name for c in result.closures if c.operation == "delete"}
        contested = [n for n in names if n not in deleted and "query" not in n.qualified_name]
        assert len(contested) == len(set(contested))


@settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(records=st.lists(RECORDS, min_size=3, max_size=12))
def test_the_catalogue_takes_all_of_it(tmp_path_factory: pytest.TempPathFactory, records: list[Record]) -> None:
    """By hook and, where it has no shells to hold on to, by REST."""
    result = Result([r for r in records if not isinstance(r, Atlas)])
    store = Store(tmp_path_factory.mktemp("catalogue") / "catalogue.db")
    catalogue = Catalogue(store)
    catalogue.add_types(own_typedefs(), changed=False)
    try:
        for message in result.messages:
            if message.operation == "create":
                catalogue.upsert(json.loads(message.body)["message"]["entities"])
            outcome = catalogue.apply(message.body)
            assert (outcome.status, outcome.reason, outcome.ignored, outcome.lost) == ("applied", "", [], [])
    finally:
        store.close()


def test_the_catalogue_has_every_column_of_a_wide_table(tmp_path: Path) -> None:
    result = Result([Dataset(address=Address("postgresql", "h", ("d", "s", "t")), columns=columns(130))])
    store = Store(tmp_path / "catalogue.db")
    catalogue = Catalogue(store)
    for message in reversed(result.messages):  # also in the wrong order: Atlas holds the place with a shell
        assert catalogue.apply(message.body).status == "applied"
    for closure in result.closures:
        assert not catalogue.named(closure.name.type_name, {"qualifiedName": closure.name.qualified_name}).incomplete
        for child in closure.children:
            assert catalogue.named(closure.child_type, {"qualifiedName": child})
    store.close()


def test_the_order_of_edges_and_ends_is_the_records() -> None:
    a, b, c = (SQLITE.at("d", "s", name) for name in "abc")
    edges = (ColumnEdge(a, "x", c, "x"), ColumnEdge(b, "*", c, "y"))
    process = Process(address=SQLITE.at("j", type="job"), inputs=(b, a), outputs=(c,), columns=edges)
    attributes = Result([process]).body("hookline://sqlite/h/j#job")["attributes"]
    assert [e["uniqueAttributes"]["qualifiedName"][-1] for e in attributes["inputs"]] == ["b", "a"]
    assert [m["DatasetMapping"]["Source"][-1] for m in json.loads(attributes["columnMapping"])] == ["a", "b"]


def test_what_the_file_spells_otherwise_is_still_its_own() -> None:
    """SQL Server's names are the same in any case; a second table and a second schema would be made up."""
    server = Address("mssql", "erp.internal", (), "server")
    columns = (Column(name="id", type="int"),)
    records: list[Record] = [
        Dataset(address=server.at("ERP", "dbo", "orders"), columns=columns),
        Dataset(address=server.at("ERP", "dbo", "v", type="view"), sql="select Id from DBO.ORDERS", dialect="tsql"),
    ]

    def names(spelled: Callable[[Address], Address] | None) -> set[str]:
        made = Transform(Naming(), RULES, known=Published(()))
        if spelled is not None:
            made.endpoints._spelled = spelled
        found = made.run(Found(record, place) for place, record in enumerate(records))
        return {c.name.qualified_name.rpartition("MSSQLSERVER/")[2] for c in found if isinstance(c, Closure)}

    assert {"ERP/dbo/orders", "ERP/dbo/v"} <= names(None)
    assert "ERP/DBO/ORDERS" not in names(None)
    assert "ERP/DBO/ORDERS" in names(lambda address: address)  # the mechanism switched off
