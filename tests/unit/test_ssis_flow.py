"""SSIS data flows: where the columns of a destination come from, through each family of components."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest

from connectors.format import FileContext
from connectors.formats.ssis.reading import Ssis
from shared.records import Dataset, Process, Refusal
from tests.support import dtsx
from tests.support.dtsx import Flow

PATH = "uploads/ssis/etl01/Finance/LoadDW/Load.dtsx"


def read(content: bytes, path: str = PATH, **context: Any) -> dict[str, Process]:
    """Processes by the path of their task. Nothing may be refused."""
    found: dict[str, Process] = {}
    for item in Ssis().read(io.BytesIO(content), FileContext(path=path, **context)):
        assert not isinstance(item, Refusal), item
        if isinstance(item.record, Process):
            found["/".join(item.record.address.path[3:])] = item.record
    return found


def edges(process: Process) -> set[str]:
    """`A.id -> B.key`, `=>` where the value is derived."""
    arrow = {"copy": "->", "derivation": "=>"}
    return {
        f"{e.source.name}.{e.source_column} {arrow[e.kind]} {e.target.name}.{e.target_column}" for e in process.columns
    }


def flow_of(flow: Flow, inner: str = "", **more: Any) -> Process:
    connections = [dtsx.connection("DW"), *more.pop("connections", ())]
    return read(dtsx.package(flow.xml(inner), connections=connections, **more))["Flow"]


def through(kind: str, columns: Mapping[str, Mapping[str, str]], taken: Mapping[str, str], **more: Any) -> set[str]:
    """The edges of A -> a component -> B. columns: what the component makes; taken: B's column -> lineage id."""
    flow = Flow().table("Read", "dbo.A", "id", "name")
    used = [(c, flow.lineage("Read", c), "", more.get("used", {}).get(c, {})) for c in ("id", "name")]
    made = [(name, "", "", properties) for name, properties in columns.items()]
    flow.add(
        "Make", kind, more.get("properties"), inputs={"In": used}, outputs={"Out": made}, passes=more.get("passes", "")
    )
    flow.into("Write", "dbo.B", taken)
    return edges(flow_of(flow.path("Read", "Make").path("Make", "Write")))


def made(column: str, component: str = "Make", port: str = "Out") -> str:
    return Flow().lineage(component, column, port)


ID = Flow().lineage("Read", "id")
INPUT = "Package\\Flow\\Make.Inputs[In].Columns[id]"


@pytest.mark.parametrize(
    ("kind", "properties", "expected"),
    [
        ("Microsoft.DataConvert", {"SourceInputColumnLineageId": f"#{{{ID}}}"}, "A.id -> B.key"),
        ("Microsoft.CopyMap", {"CopyColumnId": f"#{{{ID}}}"}, "A.id -> B.key"),
        ("Microsoft.CharacterMap", {"InputColumnLineageId": f"#{{{ID}}}"}, "A.id => B.key"),
        ("Microsoft.Sort", {"SortColumnId": f"#{{{ID}}}"}, "A.id -> B.key"),
        ("Microsoft.Aggregate", {"AggregationColumnId": f"#{{{ID}}}", "AggregationType": "0"}, "A.id -> B.key"),
        ("Microsoft.Aggregate", {"AggregationColumnId": f"#{{{ID}}}", "AggregationType": "4"}, "A.id => B.key"),
        ("Microsoft.MergeJoin", {"InputColumnID": f"#{{{INPUT}}}"}, "A.id -> B.key"),
        ("Microsoft.Pivot", {"SourceColumn": f"#{{{ID}}}"}, "A.id -> B.key"),
        ("Microsoft.TermLookup", {"CustomLineageID": ID}, "A.id -> B.key"),
        ("Microsoft.FuzzyGrouping", {"InputID": f"#{{{ID}}}"}, "A.id -> B.key"),
        ("Microsoft.DerivedColumn", {"Expression": f"#{{{ID}}} + 1"}, "A.id => B.key"),
        ("Acme.Masker", {"SourceInputColumnLineageID": f"#{{{ID}}}"}, "A.id -> B.key"),
    ],
)
def test_a_column_that_says_what_it_is_made_of(kind: str, properties: dict[str, str], expected: str) -> None:
    assert through(kind, {"new": properties}, {"key": made("new")}) == {expected}


def test_an_expression_of_two_columns_and_one_of_none() -> None:
    both = {"Expression": f"#{{{ID}}} + #{{{Flow().lineage('Read', 'name')}}}"}
    columns = {"both": both, "none": {"Expression": '"x"'}}
    found = through(
        "Microsoft.DerivedColumn", columns, {"b": made("both"), "n": made("none"), "id": ID}, passes="Package"
    )
    assert found == {"A.id => B.b", "A.name => B.b"} | {"A.id -> B.id"}


def test_a_column_that_is_replaced_in_place() -> None:
    used = {"id": {"Expression": f"UPPER(#{{{Flow().lineage('Read', 'name')}}})"}}
    found = through("Microsoft.DerivedColumn", {}, {"key": ID}, used=used, passes="In")
    assert found == {"A.name => B.key"}


def test_components_that_pass_columns_on() -> None:
    """Conditional Split, Multicast, Row Count, and what nobody has heard of: by lineage id."""
    for kind in ("Microsoft.ConditionalSplit", "Microsoft.Multicast", "Microsoft.RowCount", "Acme.Audit"):
        assert through(kind, {}, {"key": ID}, passes="In") == {"A.id -> B.key"}, kind


def test_a_script_that_makes_columns_of_the_same_name() -> None:
    assert through("Microsoft.ScriptComponent", {"id": {}, "other": {}}, {"key": made("id"), "x": made("other")}) == {
        "A.id => B.key"
    }


def test_union_all_takes_from_every_input() -> None:
    flow = Flow().table("One", "dbo.A", "id").table("Two", "dbo.C", "nr")
    key = {"OutputColumnLineageID": f"#{{{flow.lineage('Union', 'key')}}}"}
    inputs = {
        "In 1": [("id", flow.lineage("One", "id"), "", key)],
        "In 2": [("nr", flow.lineage("Two", "nr"), "", key)],
    }
    flow.add("Union", "Microsoft.UnionAll", {}, inputs=inputs, outputs={"Out": [("key", "", "", {})]})
    flow.into("Write", "dbo.B", {"key": flow.lineage("Union", "key")})
    flow.path("One", "Union", end="In 1").path("Two", "Union", end="In 2").path("Union", "Write")
    assert edges(flow_of(flow)) == {"A.id -> B.key", "C.nr -> B.key"}


def test_unpivot() -> None:
    target = {"DestinationColumn": f"#{{{made('value')}}}"}
    columns = {"value": {}, "what": {"PivotKey": "true"}}
    used = {"id": target, "name": target}
    found = through("Microsoft.UnPivot", columns, {"v": made("value"), "w": made("what")}, used=used)
    assert found == {"A.id -> B.v", "A.name -> B.v"}


def lookup(connection: str, properties: Mapping[str, str]) -> Flow:
    flow = Flow().table("Read", "dbo.A", "id")
    used = [("id", flow.lineage("Read", "id"), "", {"JoinToReferenceColumn": "nr"})]
    copied = [("city", "", "", {"CopyFromReferenceColumn": "Town"})]
    flow.add("Find", "Microsoft.Lookup", properties, connection, {"In": used}, {"Out": copied}, passes="In")
    flow.into("Write", "dbo.B", {"key": flow.lineage("Read", "id"), "city": flow.lineage("Find", "city")})
    return flow.path("Read", "Find").path("Find", "Write")


def test_lookup_adds_the_columns_of_its_query() -> None:
    process = flow_of(
        lookup("DW", {"SqlCommand": "SELECT nr, upper(T.Place) AS Town FROM ref.Towns T", "NoMatchBehavior": "1"})
    )
    assert edges(process) == {"A.id -> B.key", "Towns.Place => B.city"}
    assert [a.name for a in process.inputs] == ["A", "Towns"]


def test_lookup_in_a_cache_that_another_flow_fills() -> None:
    fill = Flow("Fill").table("Towns", "ref.Towns", "Town")
    fill.add(
        "Keep",
        "Microsoft.Cache",
        {},
        "Cache",
        inputs={"In": [("Town", fill.lineage("Towns", "Town"), "Town", {})]},
    ).path("Towns", "Keep")
    find = lookup("Cache", {"SqlCommand": "", "NoMatchBehavior": "1"})
    connections = [dtsx.connection("DW"), dtsx.connection("Cache", "", "CACHE")]
    found = read(dtsx.package(fill.xml(), find.xml(), connections=connections))
    assert edges(found["Fill"]) == {"Towns.Town -> Cache.Town"}
    assert edges(found["Flow"]) == {"A.id -> B.key", "Cache.Town -> B.city"}
    assert found["Fill"].outputs[0] == found["Flow"].inputs[1]


def test_ole_db_command_writes_its_parameters() -> None:
    flow = Flow().table("Read", "dbo.A", "id", "name")
    taken = [(c, flow.lineage("Read", c), f"Param_{n}", {}) for n, c in ((1, "id"), (0, "name"))]
    said = {"SqlCommand": "UPDATE dbo.B SET title = ? WHERE key = ?"}
    flow.add("Update", "Microsoft.OLEDBCommand", said, "DW", {"In": [taken[1], taken[0]]}, {"Out": []}, passes="In")
    process = flow_of(flow.path("Read", "Update"))
    assert [a.name for a in process.outputs] == ["B"]
    assert edges(process) == {"A.name -> B.title"}


def test_slowly_changing_dimension_reads_the_dimension_and_passes_columns() -> None:
    flow = Flow().table("Read", "dbo.A", "id")
    said = {"SqlCommand": "SELECT nr, name FROM dim.Customer", "CurrentRowWhere": "[to] IS NULL"}
    used = [("id", flow.lineage("Read", "id"), "", {"ColumnType": "1"})]
    flow.add("Compare", "Microsoft.SCD", said, "DW", {"In": used}, {"New": [], "Unchanged": []}, passes="In")
    flow.into("Insert", "dim.Customer", {"nr": flow.lineage("Read", "id")})
    process = flow_of(flow.path("Read", "Compare").path("Compare", "Insert", "New"))
    assert [a.name for a in process.inputs] == ["A", "Customer"]
    assert edges(process) == {"A.id -> Customer.nr"}


def test_rows_in_error_go_their_own_way() -> None:
    flow = Flow()
    columns = {"Out": [("id", "", "nr", {})], "Error": [("id", "", "", {}), ("ErrorCode", "", "", {})]}
    said = {"OpenRowset": "dbo.A", "AccessMode": "0"}
    flow.add("Read", "Microsoft.OLEDBSource", said, "DW", outputs=columns)
    flow.into("Write", "dbo.B", {"key": flow.lineage("Read", "id")})
    flow.into("Bad", "dbo.Errors", {"key": flow.lineage("Read", "id", "Error")})
    process = flow_of(flow.path("Read", "Write").path("Read", "Bad", "Error"))
    assert edges(process) == {"A.nr -> B.key", "A.nr -> Errors.key"}


def source(properties: Mapping[str, str], kind: str = "Microsoft.OLEDBSource", **more: Any) -> Process:
    flow = Flow().add("Read", kind, properties, more.pop("to", "DW"), outputs={"Out": [("id", "", "id", {})]})
    flow.into("Write", "dbo.B", {"key": flow.lineage("Read", "id")})
    return flow_of(flow.path("Read", "Write"), **more)


def test_access_modes_of_an_ole_db_source() -> None:
    variables = [dtsx.variable("User::Table", "dbo.V"), dtsx.variable("User::Query", "SELECT nr AS id FROM dbo.Q")]
    said = {"OpenRowset": "dbo.T", "OpenRowsetVariable": "User::Table", "SqlCommandVariable": "User::Query"}
    said["SqlCommand"] = "SELECT a.x AS id FROM dbo.S AS a"
    expected = {"0": "T.id", "1": "V.id", "2": "S.x", "3": "Q.nr"}
    for mode, from_ in expected.items():
        assert edges(source({**said, "AccessMode": mode}, variables=variables)) == {f"{from_} -> B.key"}, mode


def test_ado_net_odbc_and_other_systems() -> None:
    oracle = dtsx.connection("Ora", "Data Source=orcl:1521/x;User ID=scott;Provider=OraOLEDB.Oracle", "OLEDB")
    net = dtsx.connection("Net", "server=pg01;database=crm", "ADO.NET:Npgsql.NpgsqlConnection, Npgsql")
    odbc = dtsx.connection("Odbc", "Driver={MySQL ODBC 8.0 Driver};Server=my01;Database=shop", "ODBC")
    odd = dtsx.connection("Odd", "Dsn=Legacy", "ODBC")
    found = source({"OpenRowset": '"EMP"', "AccessMode": "0"}, to="Ora", connections=[oracle])
    assert str(found.inputs[0]) == "table SCOTT.EMP on oracle orcl:1521/x"
    found = source(
        {"TableOrViewName": '"sales"."orders"', "AccessMode": "0"},
        "Microsoft.AdoNetSource",
        to="Net",
        connections=[net],
    )
    assert str(found.inputs[0]) == "table crm.sales.orders on postgresql pg01"
    found = source({"TableName": "`orders`", "AccessMode": "0"}, "Microsoft.ODBCSource", to="Odbc", connections=[odbc])
    assert str(found.inputs[0]) == "table shop.orders on mysql my01"
    found = source({"TableName": "ORDERS", "AccessMode": "0"}, "Microsoft.ODBCSource", to="Odd", connections=[odd])
    assert str(found.inputs[0]) == "table ORDERS on odbc Legacy"


def test_files() -> None:
    flat = dtsx.connection("Flat", r"\\files01\in\orders.csv", "FLATFILE")
    excel = dtsx.connection(
        "Book", r"Provider=Microsoft.ACE.OLEDB.12.0;Data Source=D:\in\a.xlsx;Extended Properties=Excel", "EXCEL"
    )
    found = source({"RetainNulls": "false"}, "Microsoft.FlatFileSource", to="Flat", connections=[flat])
    assert str(found.inputs[0]) == "file in.orders.csv on file files01"
    assert edges(found) == {"orders.csv.id -> B.key"}
    found = source(
        {"OpenRowset": "Sheet1$", "AccessMode": "0"}, "Microsoft.ExcelSource", to="Book", connections=[excel]
    )
    assert str(found.inputs[0]) == "file D:.in.a.xlsx on file etl01"
    found = source({"FileName": r"D:\raw\x.raw", "AccessMode": "0"}, "Microsoft.RawSource", to="")
    assert str(found.inputs[0]) == "file D:.raw.x.raw on file etl01"


def test_a_procedure_is_followed_where_its_text_lies_beside_the_package() -> None:
    class Beside:
        def find(self, pattern: str) -> list[str]:
            return ["procedures.sql"] if pattern == "*.sql" else []

        def open(self, name: str) -> io.BytesIO:
            return io.BytesIO(b"CREATE PROCEDURE etl.Rows @day date AS SELECT o.nr AS id FROM dbo.Orders o\nGO\n")

    said = {"OpenRowset": "", "SqlCommand": "EXEC etl.Rows ?", "AccessMode": "2"}
    opaque = source(said)
    assert str(opaque.inputs[0]) == "result_set DW.etl.Rows on mssql sql01"
    assert opaque.properties["calls"] == "DW.etl.Rows"
    flow = Flow().add("Read", "Microsoft.OLEDBSource", said, "DW", outputs={"Out": [("id", "", "id", {})]})
    flow.into("Write", "dbo.B", {"key": flow.lineage("Read", "id")}).path("Read", "Write")
    known = read(dtsx.package(flow.xml(), connections=[dtsx.connection("DW")]), folder=Beside())["Flow"]
    assert edges(known) == {"Orders.nr -> B.key"}
    assert "calls" not in known.properties


def test_the_rows_of_a_procedure_are_described_by_the_package() -> None:
    flow = Flow().add(
        "Read",
        "Microsoft.OLEDBSource",
        {"OpenRowset": "", "SqlCommand": "EXEC etl.Rows", "AccessMode": "2"},
        "DW",
        outputs={"Out": [("id", "", "nr", {})]},
    )
    content = dtsx.package(flow.xml(), connections=[dtsx.connection("DW")])
    items = list(Ssis().read(io.BytesIO(content), FileContext(path=PATH)))
    (rows,) = [i.record for i in items if not isinstance(i, Refusal) and isinstance(i.record, Dataset)]
    assert [column.name for column in rows.columns] == ["nr"]


def test_a_circle_of_components_ends() -> None:
    flow = Flow().table("Read", "dbo.A", "id")
    for name, other in (("One", "Two"), ("Two", "One")):
        used = [("c", flow.lineage(other, "c"), "", {})]
        made_of = [("c", "", "", {"Expression": f"#{{{flow.lineage(other, 'c')}}}"})]
        flow.add(name, "Microsoft.DerivedColumn", {}, "", {"In": used}, {"Out": made_of}, passes="In").path(other, name)
    flow.into("Write", "dbo.B", {"key": flow.lineage("One", "c")}).path("One", "Write")
    assert flow_of(flow).columns == ()


def test_a_long_chain_is_followed() -> None:
    flow = Flow().table("Read", "dbo.A", "id")
    last = "Read", "id"
    for number in range(400):
        used = [("x", flow.lineage(*last), "", {})]
        made_of = [(f"c{number}", "", "", {"SourceInputColumnLineageId": f"#{{{flow.lineage(*last)}}}"})]
        flow.add(f"Step {number}", "Microsoft.DataConvert", {}, "", {"In": used}, {"Out": made_of}, passes="In")
        flow.path(last[0], f"Step {number}")
        last = f"Step {number}", f"c{number}"
    flow.into("Write", "dbo.B", {"key": flow.lineage(*last)}).path(last[0], "Write")
    assert edges(flow_of(flow)) == {"A.id -> B.key"}
