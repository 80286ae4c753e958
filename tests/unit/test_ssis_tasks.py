"""SSIS control flow: SQL tasks, containers, variables and expressions, connection managers, projects."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.format import FileContext
from connectors.formats.ssis.connections import configured, connection_of
from connectors.formats.ssis.reading import Ssis
from connectors.formats.xml_tree import parse
from shared.pipeline.beside import DiskFolder
from shared.records import Address, Container, Found, Process, Refusal
from tests.support import dtsx
from tests.unit.test_ssis_flow import PATH, edges, read, source

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
DW = dtsx.connection("DW")


def items(content: bytes, path: str = PATH, **context: object) -> list[Found | Refusal]:
    return list(Ssis().read(io.BytesIO(content), FileContext(path=path, **context)))  # type: ignore[arg-type]


def tables(addresses: tuple[Address, ...]) -> list[str]:
    return [".".join(address.path) for address in addresses]


def test_a_sql_task_reads_and_writes_tables() -> None:
    text = "INSERT INTO dbo.B (k) SELECT a.id FROM dbo.A a; EXEC etl.Finish; DELETE FROM DW2.x.C"
    task = read(dtsx.package(dtsx.sql_task("Load", text), connections=[DW]))["Load"]
    assert tables(task.inputs) == ["DW.dbo.A"]
    assert tables(task.outputs) == ["DW.dbo.B", "DW2.x.C"]
    assert edges(task) == {"A.id -> B.k"}
    assert task.properties["calls"] == "DW.etl.Finish"
    assert task.parent == Address("ssis", "etl01", ("Finance", "LoadDW", "Load.dtsx"), "package")


def test_sql_from_variables_expressions_and_stored_procedures() -> None:
    variables = [dtsx.variable("User::Sql", "DELETE FROM dbo.V"), dtsx.variable("User::T", "dbo.E")]
    by_expression = dtsx.expression("SqlStatementSource", '"TRUNCATE TABLE " + @[User::T]')
    content = dtsx.package(
        dtsx.sql_task("By variable", "User::Sql", SqlStatementSourceType="Variable"),
        dtsx.sql_task("By expression", "", inner=by_expression),
        dtsx.sql_task("Procedure", "etl.Run", IsStoredProcedure="True"),
        dtsx.sql_task("File", "Script", SqlStatementSourceType="FileConnection"),
        connections=[DW, dtsx.connection("Script", r"C:\etl\clear.sql", "FILE")],
        variables=variables,
    )

    class Beside:
        def find(self, pattern: str) -> list[str]:
            return ["clear.sql"] if pattern == "clear.sql" else []

        def open(self, name: str) -> io.BytesIO | None:
            return io.BytesIO(b"DELETE FROM dbo.F") if name == "clear.sql" else None

    found = read(content, folder=Beside())
    assert tables(found["By variable"].outputs) == ["DW.dbo.V"]
    assert tables(found["By expression"].outputs) == ["DW.dbo.E"]
    assert found["Procedure"].properties["calls"] == "DW.etl.Run"
    assert tables(found["File"].outputs) == ["DW.dbo.F"]
    assert "not beside" in read(content)["File"].properties["unparsed"]


def test_a_variable_that_is_assigned_at_run_time_is_no_name() -> None:
    """A result set fills User::T, so its design-time value is nobody's table; as a whole SQL text it is."""
    binding = (
        '<SQLTask:ResultBinding SQLTask:ResultName="0" SQLTask:DtsVariableName="User::T" />'
        '<SQLTask:ResultBinding SQLTask:ResultName="1" SQLTask:DtsVariableName="User::Sql" />'
    )
    ask = dtsx.sql_task("Ask", "SELECT name, text FROM dbo.Config").replace(
        " /></DTS:ObjectData>", f">{binding}</SQLTask:SqlTaskData></DTS:ObjectData>"
    )
    use = dtsx.sql_task("Use", "", inner=dtsx.expression("SqlStatementSource", '"DELETE FROM " + @[User::T]'))
    run = dtsx.sql_task("Run", "User::Sql", SqlStatementSourceType="Variable")
    variables = [dtsx.variable("User::T", "dbo.Example"), dtsx.variable("User::Sql", "DELETE FROM dbo.Design")]
    found = read(dtsx.package(ask, use, run, connections=[DW], variables=variables))
    assert tables(found["Use"].outputs) == ["DW.dbo.{User::T}"]
    assert tables(found["Run"].outputs) == ["DW.dbo.Design"]


def test_containers_order_and_disabled_tasks() -> None:
    inner = dtsx.sql_task("Clear", "DELETE FROM dbo.B")
    off = dtsx.sql_task("Off", "DELETE FROM dbo.Off", disabled="True")
    gone = dtsx.container("Gone", dtsx.sql_task("Inside", "DELETE FROM dbo.Gone"), Disabled="True")
    handler = f'<DTS:EventHandlers><DTS:EventHandler DTS:EventName="OnError" DTS:CreationName="OnError">\
<DTS:Executables>{dtsx.sql_task("Log", "INSERT INTO dbo.Log (m) VALUES (1)")}</DTS:Executables>\
</DTS:EventHandler></DTS:EventHandlers>'
    content = dtsx.package(
        dtsx.container("Prepare", inner, off),
        dtsx.copy(),
        gone,
        connections=[DW],
        more=dtsx.after("Prepare", "Flow", "1", "@[User::N] > 0") + handler,
    )
    found = read(content)
    assert set(found) == {"Prepare/Clear", "Flow", "OnError/Log"}
    assert found["Flow"].properties["after"] == "Prepare (failure and @[User::N] > 0)"


def test_tasks_of_one_name_stay_two() -> None:
    found = read(
        dtsx.package(dtsx.sql_task("A", "DELETE FROM dbo.B"), dtsx.sql_task("A", "DELETE FROM dbo.C"), connections=[DW])
    )
    assert set(found) == {"A", "A (2)"}


def test_a_variable_of_a_container_hides_the_packages() -> None:
    own = f"<DTS:Variables>{dtsx.variable('User::T', 'dbo.Inner')}</DTS:Variables>"
    text = dtsx.expression("SqlStatementSource", '"DELETE FROM " + @[User::T]')
    tasks = dtsx.container("Box", dtsx.sql_task("In", "", inner=text), inner=own), dtsx.sql_task("Out", "", inner=text)
    found = read(dtsx.package(*tasks, connections=[DW], variables=[dtsx.variable("User::T", "dbo.Outer")]))
    assert tables(found["Box/In"].outputs) == ["DW.dbo.Inner"]
    assert tables(found["Out"].outputs) == ["DW.dbo.Outer"]


def test_variables_that_refer_to_each_other_in_a_circle() -> None:
    variables = [dtsx.variable("User::A", "", "@[User::B]"), dtsx.variable("User::B", "", "@[User::A]")]
    task = dtsx.sql_task("X", "", inner=dtsx.expression("SqlStatementSource", '"DELETE FROM dbo." + @[User::A]'))
    assert tables(read(dtsx.package(task, connections=[DW], variables=variables))["X"].outputs) == ["DW.dbo.{User::A}"]


def test_a_connection_by_parameters_and_expressions() -> None:
    expressions = dtsx.expression("ServerName", "@[$Package::Server]") + dtsx.expression(
        "ConnectionString",
        '"Data Source=x;Password=hunter2hunter2;Initial Catalog=" + @[User::Db] + ";Provider=SQLNCLI11"',
    )
    content = dtsx.package(
        dtsx.sql_task("Clear", "DELETE FROM dbo.B"),
        connections=[dtsx.connection("DW", expressions=expressions)],
        parameters=[dtsx.parameter("Server", "prod01")],
        variables=[dtsx.variable("User::Db", "Sales")],
    )
    (table,) = read(content)["Clear"].outputs
    assert table.path == ("Sales", "dbo", "B")
    assert "hunter2" not in str(items(content))


def test_a_component_by_property_expression() -> None:
    flow = dtsx.Flow().table("Read", "dbo.A", "id")
    flow.into("Write", "dbo.B", {"key": flow.lineage("Read", "id")}).path("Read", "Write")
    inner = dtsx.expression("[Read].[OpenRowset]", '"dbo." + @[User::T]')
    content = dtsx.package(flow.xml(inner), connections=[DW], variables=[dtsx.variable("User::T", "Real")])
    assert edges(read(content)["Flow"]) == {"Real.id -> B.key"}


def test_a_loop_over_files_reads_the_pattern() -> None:
    loop = (
        '<DTS:ForEachEnumerator DTS:CreationName="Microsoft.ForEachFileEnumerator"><DTS:ObjectData>'
        '<ForEachFileEnumeratorProperties><FEFEProperty Folder="D:\\in" /><FEFEProperty FileSpec="*.csv" />'
        '<FEFEProperty FileNameRetrievalType="0" /></ForEachFileEnumeratorProperties></DTS:ObjectData>'
        "</DTS:ForEachEnumerator><DTS:ForEachVariableMappings><DTS:ForEachVariableMapping "
        'DTS:VariableName="User::File" DTS:ValueIndex="0" /></DTS:ForEachVariableMappings>'
    )
    flat = dtsx.connection(
        "Flat", r"D:\in\sample.csv", "FLATFILE", dtsx.expression("ConnectionString", "@[User::File]")
    )
    flow = dtsx.Flow().add("Read", "Microsoft.FlatFileSource", {}, "Flat", outputs={"Out": [("id", "", "id", {})]})
    flow.into("Write", "dbo.B", {"key": flow.lineage("Read", "id")}).path("Read", "Write")
    box = dtsx.container("Each", flow.xml(), kind="STOCK:FOREACHLOOP", inner=loop)
    variables = [dtsx.variable("User::File", r"D:\in\sample.csv")]
    (file,) = read(dtsx.package(box, connections=[DW, flat], variables=variables))["Each/Flow"].inputs
    assert str(file) == "resource_set D:.in.*.csv on file etl01"


def test_files_that_a_task_copies() -> None:
    said = 'TaskSourcePath="{In}" TaskDestinationPath="User::Out" TaskIsDestinationVariable="True"'
    content = dtsx.package(
        dtsx.task("Copy", "Microsoft.FileSystemTask", f"<FileSystemData {said} />"),
        dtsx.task("Delete", "Microsoft.FileSystemTask", f'<FileSystemData TaskOperationType="DeleteFile" {said} />'),
        connections=[dtsx.connection("In", r"D:\in\a.csv", "FILE")],
        variables=[dtsx.variable("User::Out", r"\\files01\out\a.csv")],
    )
    found = read(content)
    assert [str(a) for a in found["Copy"].inputs] == ["file D:.in.a.csv on file etl01"]
    assert [str(a) for a in found["Copy"].outputs] == ["file out.a.csv on file files01"]
    assert found["Delete"].outputs == ()
    assert found["Delete"].properties["operation"] == "DeleteFile"


def test_bulk_insert() -> None:
    said = 'SourceConnectionName="{In}" DestinationConnectionName="{DW}" DestinationTableName="[dbo].[B]"'
    task = dtsx.task("Load", "Microsoft.BulkInsertTask", f"<BulkInsertTaskData {said} />")
    found = read(dtsx.package(task, connections=[DW, dtsx.connection("In", r"D:\in\a.csv", "FILE")]))["Load"]
    assert [str(a) for a in found.inputs] == ["file D:.in.a.csv on file etl01"]
    assert tables(found.outputs) == ["DW.dbo.B"]


CONFIGURED = """<DTS:Configuration DTS:ConfigurationType="1" DTS:ConfigurationString="C:\\etl\\prod.dtsConfig" />
<DTS:Configuration DTS:ConfigurationType="2" DTS:ConfigurationString="ETL_DB" />"""
PROD = rb"""<DTSConfiguration>
<Configuration Path="\Package.Connections[DW].Properties[ConnectionString]">
<ConfiguredValue>Data Source=prod01;Initial Catalog=Sales;Password=hunter2hunter2</ConfiguredValue></Configuration>
<Configuration Path="\Package.Variables[User::T].Properties[Value]"><ConfiguredValue>dbo.Prod</ConfiguredValue>
</Configuration></DTSConfiguration>"""


def test_a_configuration_file_beside_the_package(tmp_path: Path) -> None:
    clear = dtsx.sql_task("Clear", "User::Sql", SqlStatementSourceType="Variable")
    variables = [dtsx.variable("User::T", "dbo.Test"), dtsx.variable("User::Sql", "", '"DELETE FROM " + @[User::T]')]
    content = dtsx.package(clear, connections=[DW], variables=variables, more=CONFIGURED).replace(
        b'DTS:VersionBuild="7"', b'DTS:EnableConfig="True"'
    )
    path = tmp_path / "Load.dtsx"
    path.write_bytes(content)
    (table,) = read(content, folder=DiskFolder(path))["Clear"].outputs
    assert (table.host, table.path) == ("sql01", ("DW", "dbo", "Test"))
    (tmp_path / "prod.dtsConfig").write_bytes(PROD)
    (table,) = read(content, folder=DiskFolder(path))["Clear"].outputs
    assert (table.host, table.path) == ("prod01", ("Sales", "dbo", "Prod"))
    first = items(content, folder=DiskFolder(path))[0]
    assert isinstance(first, Found)
    assert "environment variable ETL_DB" in first.record.properties["configured_by"]  # type: ignore[union-attr]
    assert "hunter2" not in str(items(content, folder=DiskFolder(path)))
    (tmp_path / "prod.dtsConfig").write_bytes(PROD[:-40])
    assert [i.place for i in items(content, folder=DiskFolder(path)) if isinstance(i, Refusal)] == ["prod.dtsConfig"]


def test_local_connections_lead_to_the_server_of_the_package() -> None:
    for host, expected in (
        (".", "etl01"),
        ("(local)\\DEV", "etl01\\DEV"),
        ("localhost,1433", "etl01,1433"),
        ("tcp:x,1", "x,1"),
    ):
        local = dtsx.connection("Here", dtsx.SQL_SERVER.format(host, "DW"))
        found = source({"OpenRowset": "dbo.A", "AccessMode": "0"}, to="Here", connections=[local])
        assert found.inputs[0].host == expected


def test_no_credential_of_a_connection_manager_is_kept() -> None:
    """Not in the model either, so that whoever shows a setting later cannot show one."""
    string = 'Data Source=a;User ID=u;Password="x;secret1";Pwd={secret2};Initial Catalog=DW;AccountKey=secret3=='
    node = parse(io.BytesIO(dtsx.connection("DW", string, Password="secret4", SasToken="secret5").encode()), "x")
    made = connection_of(node)
    assert made.settings["user id"] == "u"
    assert made.settings["initial catalog"] == "DW"
    assert "secret" not in str(configured(made, {"connectionstring": string, "password": "secret6", "servername": "b"}))


@pytest.mark.parametrize(
    ("path", "host", "folders"),
    [
        ("uploads/ssis/etl01/Finance/DW/x.dtsx", "etl01", ("Finance", "DW")),
        ("uploads/ssis/Finance/DW/x.dtsx", "localhost", ("Finance", "DW")),
        ("uploads/ssis/DW/x.dtsx", "localhost", ("default", "DW")),
        ("uploads/ssis/x.dtsx", "localhost", ("default", "default")),
        ("uploads/x.dtsx", "localhost", ("default", "default")),
        ("uploads/ssis/dw/Finance/DW/x.dtsx", "sql01", ("Finance", "DW")),
        ("/home/me/x.dtsx", "localhost", ("default", "default")),
    ],
)
def test_where_a_package_lies(path: str, host: str, folders: tuple[str, ...]) -> None:
    known = {"dw": Address("mssql", "sql01", (), "server")}
    first = items(dtsx.package(connections=[DW]), path, instances=known)[0]
    assert isinstance(first, Found)
    assert isinstance(first.record, Container)
    assert (first.record.address.host, first.record.address.path) == (host, (*folders, "x.dtsx"))


def test_a_missing_connection_manager_takes_nothing_else_down() -> None:
    content = dtsx.package(
        dtsx.sql_task("A", "DELETE FROM dbo.B"), dtsx.sql_task("B", "DELETE FROM x", "No"), connections=[DW]
    )
    found = items(content)
    (refused,) = [item for item in found if isinstance(item, Refusal)]
    assert refused.place == "Package\\B"
    assert "{No}" in refused.reason
    assert ".conmgr" in refused.fix
    processes = [item.record for item in found if isinstance(item, Found) and isinstance(item.record, Process)]
    assert [len(process.outputs) for process in processes] == [1, 0]


def run_child(name: str, **given: str) -> str:
    bound = "".join(
        f"<ParameterAssignment><ParameterName>{parameter}</ParameterName>"
        f"<BindedVariableOrParameterName>{variable}</BindedVariableOrParameterName></ParameterAssignment>"
        for parameter, variable in given.items()
    )
    data = "<UseProjectReference>True</UseProjectReference><PackageName>Child.dtsx</PackageName>"
    return dtsx.task(name, "Microsoft.ExecutePackageTask", f"<ExecutePackageTask>{data}{bound}</ExecutePackageTask>")


def project(*parents: bytes) -> dict[str, Process]:
    child = dtsx.package(
        dtsx.sql_task("Clear", "", inner=dtsx.expression("SqlStatementSource", '"DELETE FROM " + @[$Package::Table]')),
        parameters=[dtsx.parameter("Table", "dbo.Default")],
    ).replace(b"{DW}", b"{DW}:external")
    manager = DW.encode()
    members = {"Child.dtsx": child, "DW.conmgr": manager, "Project.params": dtsx.parameters_file(Table="dbo.Project")}
    members |= {f"Parent{number}.dtsx": parent for number, parent in enumerate(parents)}
    return read(dtsx.project(members), "uploads/ssis/etl01/Finance/LoadDW.ispac")


def test_a_child_package_runs_with_what_its_parents_give_it() -> None:
    one = dtsx.package(run_child("Run", Table="User::T"), variables=[dtsx.variable("User::T", "dbo.One")])
    two = dtsx.package(run_child("Run", Table="$Project::Table"))
    assert tables(project()["Clear"].outputs) == ["DW.dbo.Default"]
    assert tables(project(one)["Clear"].outputs) == ["DW.dbo.One"]
    assert tables(project(two)["Clear"].outputs) == ["DW.dbo.Project"]
    assert tables(project(one, two)["Clear"].outputs) == ["DW.dbo.Default"], "they do not agree"
    found = project(one)
    assert found["Run"].properties["runs"] == "Child.dtsx"
    assert found["Clear"].address.path[:3] == ("Finance", "LoadDW", "Child.dtsx")


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample files are not here")
def test_the_package_of_wide_world_importers() -> None:
    path = SAMPLES / "ssis" / "DailyETLMain.dtsx"
    found = read(path.read_bytes(), "uploads/ssis/etl01/WWI/DailyETL/DailyETLMain.dtsx", folder=DiskFolder(path))
    flows = [p for p in found.values() if p.properties["task"] == "Microsoft.Pipeline"]
    assert len(flows) == 13
    for flow in flows:
        (rows,), (staging,) = flow.inputs, flow.outputs
        assert (rows.host, rows.path[:2], rows.type) == ("etl01", ("WideWorldImporters", "Integration"), "result_set")
        assert staging.path[:2] == ("WideWorldImportersDW", "Integration")
        assert staging.name.endswith("_Staging")
        assert flow.columns
        assert {(e.source, e.target, e.kind) for e in flow.columns} == {(rows, staging, "copy")}
    sql = [p for p in found.values() if p.properties["task"] == "Microsoft.ExecuteSQLTask"]
    assert len(sql) == 53
    assert all(p.outputs or "calls" in p.properties for p in sql)
    assert sum(bool(p.outputs) for p in sql) == 13
    assert not [p for p in found.values() if "unparsed" in p.properties]


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample files are not here")
def test_its_procedures_are_followed_when_their_scripts_lie_beside_it(tmp_path: Path) -> None:
    for file in (*(SAMPLES / "ssis").iterdir(), *(SAMPLES / "sql").glob("*.sql")):
        (tmp_path / file.name).symlink_to(file)
    path = tmp_path / "DailyETLMain.dtsx"
    found = read(path.read_bytes(), folder=DiskFolder(path))
    task = found["Load City Dimension/Migrate Staged City Data"]
    assert "DW.Integration.City_Staging".replace("DW", "WideWorldImportersDW") in tables(task.inputs)
    assert "WideWorldImportersDW.Dimension.City" in tables(task.outputs)
    assert "City_Staging.City -> City.City" in edges(task)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample files are not here")
def test_the_project_of_the_purview_accelerator() -> None:
    found = read((SAMPLES / "ssis" / "PurviewSSISTest.ispac").read_bytes(), "uploads/ssis/PurviewSSISTest.ispac")
    flow = found["Data Flow Task"]
    assert flow.address.path[:3] == ("default", "PurviewSSISTest", "Package.dtsx")
    assert str(flow.inputs[0]).endswith("MovCustomers.csv on wasbs pccsastorage2732136.blob.core.windows.net")
    assert str(flow.outputs[0]) == "table purview-sqlmi-db.dbo.MovCustomers on mssql 128.128.128.128"
    assert len(flow.columns) == 11


BIG = """
import io, pathlib, re, sys
from connectors.format import FileContext
from connectors.formats.ssis.reading import Ssis
content = open(sys.argv[1], "rb").read()
found = sum(1 for _ in Ssis().read(io.BytesIO(content), FileContext(path="x.dtsx")))
# unlike ru_maxrss this is not the parent's
peak = re.search(r"VmHWM:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text())
print(found, int(peak[1]) // 1024)
"""


def test_a_package_of_20_megabytes_takes_bounded_memory(tmp_path: Path) -> None:
    flow = dtsx.Flow("F").table("Read", "dbo.A", *(f"c{n}" for n in range(300)))
    flow.into("Write", "dbo.B", {f"k{n}": flow.lineage("Read", f"c{n}") for n in range(300)}).path("Read", "Write")
    one = flow.xml()
    content = dtsx.package(*(one.replace('"F"', f'"F{n}"') for n in range(20_000_000 // len(one))), connections=[DW])
    assert len(content) > 19_000_000
    file = tmp_path / "big.dtsx"
    file.write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", BIG, file],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": "."},
    )
    count, megabytes = map(int, done.stdout.split())
    assert count == content.count(b"<pipeline") + 1
    assert megabytes < 300
