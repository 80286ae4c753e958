"""SSIS packages for tests, written as the designer writes them: formats 6 and 8 (and 3, see `old`)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

DTS = "www.microsoft.com/SqlServer/Dts"
SQL = "www.microsoft.com/sqlserver/dts/tasks/sqltask"
SQL_SERVER = "Data Source={};Initial Catalog={};Provider=SQLNCLI11.1;Integrated Security=SSPI;"
#: name, what it refers to (input columns: lineage id), external name, properties
Column = tuple[str, str, str, Mapping[str, str]]


def attributes(values: Mapping[str, str], prefix: str = "") -> str:
    return "".join(f" {prefix}{name}={quoteattr(value)}" for name, value in values.items())


def package(
    *tasks: str,
    connections: Iterable[str] = (),
    variables: Iterable[str] = (),
    parameters: Iterable[str] = (),
    version: int = 8,
    more: str = "",
) -> bytes:
    return f"""<?xml version="1.0"?>
<DTS:Executable xmlns:DTS="{DTS}" DTS:refId="Package" DTS:ExecutableType="Microsoft.Package" DTS:ObjectName="Load"
  DTS:CreationName="Microsoft.Package" DTS:VersionBuild="7">
<DTS:Property DTS:Name="PackageFormatVersion">{version}</DTS:Property>
<DTS:ConnectionManagers>{"".join(connections)}</DTS:ConnectionManagers>
<DTS:PackageParameters>{"".join(parameters)}</DTS:PackageParameters>
<DTS:Variables>{"".join(variables)}</DTS:Variables>
<DTS:Executables>{"".join(tasks)}</DTS:Executables>{more}
</DTS:Executable>""".encode()


def connection(
    name: str, string: str = SQL_SERVER.format("sql01", "DW"), kind: str = "OLEDB", expressions: str = "", **more: str
) -> str:
    said = {"ObjectName": name, "CreationName": kind, "DTSID": f"{{{name}}}"}
    inner = attributes({"ConnectionString": string, **more}, "DTS:")
    data = f"<DTS:ObjectData><DTS:ConnectionManager{inner} /></DTS:ObjectData>"
    refers = f"Package.ConnectionManagers[{name}]"
    opening = f'<DTS:ConnectionManager xmlns:DTS="{DTS}" DTS:refId={quoteattr(refers)}{attributes(said, "DTS:")}>'
    return f"{opening}{expressions}{data}</DTS:ConnectionManager>"


def expression(name: str, text: str) -> str:
    return f"<DTS:PropertyExpression DTS:Name={quoteattr(name)}>{escape(text)}</DTS:PropertyExpression>"


def variable(name: str, value: str = "", formula: str = "", kind: str = "8") -> str:
    namespace, _, plain = name.rpartition("::")
    said = {"Namespace": namespace or "User", "ObjectName": plain}
    if formula:
        said |= {"EvaluateAsExpression": "True", "Expression": formula}
    held = f'<DTS:VariableValue DTS:DataType="{kind}">{escape(value)}</DTS:VariableValue>'
    return f"<DTS:Variable{attributes(said, 'DTS:')}>{held}</DTS:Variable>"


def parameter(name: str, value: str, kind: str = "8", sensitive: bool = False) -> str:
    said = {"ObjectName": name, "DataType": kind, "Sensitive": "True" if sensitive else "False"}
    held = f'<DTS:Property DTS:Name="ParameterValue">{escape(value)}</DTS:Property>'
    return f"<DTS:PackageParameter{attributes(said, 'DTS:')}>{held}</DTS:PackageParameter>"


def task(name: str, kind: str, data: str = "", inner: str = "", **said: str) -> str:
    told = {"ObjectName": name, "ExecutableType": kind, "CreationName": kind, "DTSID": f"{{{name}}}", **said}
    held = f"<DTS:ObjectData>{data}</DTS:ObjectData>" if data else ""
    return (
        f'<DTS:Executable DTS:refId="Package\\{escape(name)}"{attributes(told, "DTS:")}>{inner}{held}</DTS:Executable>'
    )


def sql_task(name: str, text: str, to: str = "DW", inner: str = "", disabled: str = "False", **said: str) -> str:
    told = {"Connection": f"{{{to}}}", "SqlStatementSource": text, **said}
    data = f'<SQLTask:SqlTaskData xmlns:SQLTask="{SQL}"{attributes(told, "SQLTask:")} />'
    return task(name, "Microsoft.ExecuteSQLTask", data, inner, Disabled=disabled)


def container(name: str, *tasks: str, kind: str = "STOCK:SEQUENCE", inner: str = "", **said: str) -> str:
    return task(name, kind, "", f"{inner}<DTS:Executables>{''.join(tasks)}</DTS:Executables>", **said)


def after(before: str, then: str, value: str = "0", formula: str = "") -> str:
    said = {"From": f"Package\\{before}", "To": f"Package\\{then}", "Value": value}
    if formula:
        said["Expression"] = formula
    inner = f"<DTS:PrecedenceConstraint{attributes(said, 'DTS:')} />"
    return f"<DTS:PrecedenceConstraints>{inner}</DTS:PrecedenceConstraints>"


@dataclass
class Flow:
    """A data flow: components by name, and which feeds which."""

    name: str = "Flow"
    components: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def lineage(self, component: str, column: str, port: str = "Out") -> str:
        return f"Package\\{self.name}\\{component}.Outputs[{port}].Columns[{column}]"

    def add(
        self,
        name: str,
        kind: str,
        properties: Mapping[str, str] | None = None,
        connection: str = "",
        inputs: Mapping[str, Sequence[Column]] | None = None,
        outputs: Mapping[str, Sequence[Column]] | None = None,
        passes: str = "",
    ) -> Flow:
        """passes: the input to which its outputs are synchronous; an output called Error is one."""
        at = f"Package\\{self.name}\\{name}"
        made = [f"<component refId={quoteattr(at)} name={quoteattr(name)} componentClassID={quoteattr(kind)}>"]
        made.append(_properties(properties or {}))
        if connection:
            refers = {"connectionManagerRefId": f"Package.ConnectionManagers[{connection}]", "name": "Connection"}
            made.append(f"<connections><connection{attributes(refers)} /></connections>")
        made.append("<inputs>")
        for port, columns in (inputs or {}).items():
            where = f"{at}.Inputs[{port}]"
            made.append(f"<input refId={quoteattr(where)} name={quoteattr(port)}><inputColumns>")
            made += [_column("inputColumn", where, column) for column in columns]
            made.append(f"</inputColumns>{_external(where, columns)}</input>")
        made.append("</inputs><outputs>")
        for port, columns in (outputs or {}).items():
            where = f"{at}.Outputs[{port}]"
            said = {"refId": where, "name": port}
            if passes:
                said["synchronousInputId"] = f"{at}.Inputs[{passes}]"
            if port == "Error":
                said["isErrorOut"] = "true"
            made.append(f"<output{attributes(said)}><outputColumns>")
            made += [_column("outputColumn", where, column) for column in columns]
            made.append(f"</outputColumns>{_external(where, columns)}</output>")
        made.append("</outputs></component>")
        self.components.append("".join(made))
        return self

    def path(self, source: str, target: str, start: str = "Out", end: str = "In") -> Flow:
        ends = {"startId": f"Package\\{self.name}\\{source}.Outputs[{start}]"}
        ends["endId"] = f"Package\\{self.name}\\{target}.Inputs[{end}]"
        self.paths.append(f"<path{attributes(ends)} />")
        return self

    def table(self, name: str, table: str, *columns: str, to: str = "DW") -> Flow:
        """An OLE DB source."""
        return self.add(
            name,
            "Microsoft.OLEDBSource",
            {"OpenRowset": table, "SqlCommand": "", "AccessMode": "0"},
            to,
            outputs={"Out": [(column, "", column, {}) for column in columns], "Error": [("ErrorCode", "", "", {})]},
        )

    def into(self, name: str, table: str, columns: Mapping[str, str], to: str = "DW") -> Flow:
        """An OLE DB destination; columns: column of the table -> lineage id."""
        taken = [(column, lineage, column, {}) for column, lineage in columns.items()]
        said = {"OpenRowset": table, "SqlCommand": "", "AccessMode": "3"}
        return self.add(name, "Microsoft.OLEDBDestination", said, to, inputs={"In": taken})

    def xml(self, inner: str = "") -> str:
        listed = f"<components>{''.join(self.components)}</components><paths>{''.join(self.paths)}</paths>"
        return task(self.name, "Microsoft.Pipeline", f'<pipeline version="1">{listed}</pipeline>', inner)


def _properties(values: Mapping[str, str]) -> str:
    inner = "".join(f"<property name={quoteattr(name)}>{escape(value)}</property>" for name, value in values.items())
    return f"<properties>{inner}</properties>"


def _column(tag: str, where: str, column: Column) -> str:
    name, lineage, external, properties = column
    at = f"{where}.Columns[{name}]"
    said = {"refId": at, "lineageId": lineage or at}
    said |= {"cachedName": name} if tag == "inputColumn" else {"name": name, "dataType": "wstr"}
    if external:
        said["externalMetadataColumnId"] = f"{where}.ExternalColumns[{external}]"
    return f"<{tag}{attributes(said)}>{_properties(properties)}</{tag}>"


def _external(where: str, columns: Sequence[Column]) -> str:
    names = dict.fromkeys(external for _, _, external, _ in columns if external)
    ids = ({"refId": f"{where}.ExternalColumns[{name}]", "name": name} for name in names)
    listed = "".join(f"<externalMetadataColumn{attributes(said)} />" for said in ids)
    return f"<externalMetadataColumns>{listed}</externalMetadataColumns>"


def copy(name: str = "Flow", source: str = "dbo.A", target: str = "dbo.B") -> str:
    """The simplest data flow: column `id` of one table into `key` of another."""
    flow = Flow(name).table("Read", source, "id", "name")
    flow.into("Write", target, {"key": flow.lineage("Read", "id")})
    return flow.path("Read", "Write").xml()


MANIFEST = """<SSIS:Project xmlns:SSIS="www.microsoft.com/SqlServer/SSIS" SSIS:ProtectionLevel="DontSaveSensitive">
<SSIS:Properties><SSIS:Property SSIS:Name="Name">LoadDW</SSIS:Property></SSIS:Properties></SSIS:Project>"""


def parameters_file(**values: str) -> bytes:
    inner = "".join(
        f'<SSIS:Parameter SSIS:Name="{name}"><SSIS:Properties><SSIS:Property SSIS:Name="DataType">18</SSIS:Property>'
        f'<SSIS:Property SSIS:Name="Value">{escape(value)}</SSIS:Property></SSIS:Properties></SSIS:Parameter>'
        for name, value in values.items()
    )
    return f'<SSIS:Parameters xmlns:SSIS="www.microsoft.com/SqlServer/SSIS">{inner}</SSIS:Parameters>'.encode()


def project(members: Mapping[str, bytes], manifest: str = MANIFEST) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**members, "@Project.manifest": manifest.encode()}.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content)
    return file.getvalue()


def old(version: int = 3) -> bytes:
    """A package as SQL Server 2005 and 2008 write it: properties as elements, columns by number."""

    def props(**values: str) -> str:
        return "".join(
            f'<DTS:Property DTS:Name="{name}">{escape(value)}</DTS:Property>' for name, value in values.items()
        )

    ids = "{11111111-0000-0000-0000-000000000001}", "{22222222-0000-0000-0000-000000000002}"
    manager = (
        f"<DTS:ConnectionManager>{props(ObjectName='DW', DTSID='{C}', CreationName='OLEDB')}<DTS:ObjectData>"
        f"<DTS:ConnectionManager>{props(ConnectionString=SQL_SERVER.format('sql01', 'DW'))}</DTS:ConnectionManager>"
        "</DTS:ObjectData></DTS:ConnectionManager>"
    )
    sql = (
        '<DTS:Executable DTS:ExecutableType="Microsoft.SqlServer.Dts.Tasks.ExecuteSQLTask.ExecuteSQLTask, '
        'Microsoft.SqlServer.SQLTask, Version=9.0.242.0">'
        f'{props(ObjectName="Clear", DTSID=ids[0])}<DTS:ObjectData><SQLTask:SqlTaskData xmlns:SQLTask="{SQL}" '
        'SQLTask:Connection="{C}" SQLTask:SqlStatementSource="TRUNCATE TABLE dbo.B" />'
        "</DTS:ObjectData></DTS:Executable>"
    )
    pipeline = """<pipeline id="0" name="pipelineXml"><components>
<component id="1" name="Read" componentClassID="{2C0A8BE5-1EDC-4353-A0EF-B778599C65A0}" description="OLE DB Source">
<properties><property id="2" name="OpenRowset">[dbo].[A]</property><property name="AccessMode">0</property></properties>
<connections><connection id="4" name="OleDbConnection" connectionManagerID="{C}" /></connections><outputs>
<output id="10" name="Out" synchronousInputId="0" isErrorOut="false"><outputColumns>
<outputColumn id="11" name="id" lineageId="11" dataType="i4" externalMetadataColumnId="12" /></outputColumns>
<externalMetadataColumns isUsed="True"><externalMetadataColumn id="12" name="id" /></externalMetadataColumns></output>
</outputs></component>
<component id="20" name="Derive" componentClassID="{9CF90BF0-5BCC-4C63-B91D-1F322DC12C26}"><inputs>
<input id="21" name="In"><inputColumns><inputColumn id="22" lineageId="11" usageType="readOnly" /></inputColumns>
</input></inputs><outputs>
<output id="23" name="Out" synchronousInputId="21"><outputColumns>
<outputColumn id="24" name="x2" lineageId="24"><properties><property name="Expression">#11 * 2</property></properties>
</outputColumn></outputColumns></output></outputs></component>
<component id="30" name="Write" componentClassID="{E2568105-9550-4F71-A638-B7FE42E66922}"><properties>
<property name="OpenRowset">[dbo].[B]</property><property name="AccessMode">3</property></properties>
<connections><connection id="31" name="OleDbConnection" connectionManagerID="{C}" />
</connections><inputs><input id="32" name="In"><inputColumns>
<inputColumn id="33" lineageId="11" externalMetadataColumnId="35" />
<inputColumn id="34" lineageId="24" externalMetadataColumnId="36" /></inputColumns><externalMetadataColumns>
<externalMetadataColumn id="35" name="key" /><externalMetadataColumn id="36" name="double" /></externalMetadataColumns>
</input></inputs></component></components>
<paths><path id="40" startId="10" endId="21" /><path id="41" startId="23" endId="32" /></paths></pipeline>"""
    flow = (
        f'<DTS:Executable DTS:ExecutableType="DTS.Pipeline.1">{props(ObjectName="Load B", DTSID=ids[1])}'
        f"<DTS:ObjectData>{pipeline}</DTS:ObjectData></DTS:Executable>"
    )
    constraint = (
        f'<DTS:PrecedenceConstraint>{props(Value="0")}<DTS:Executable IDREF="{ids[0]}" DTS:IsFrom="-1" />'
        f'<DTS:Executable IDREF="{ids[1]}" DTS:IsFrom="0" /></DTS:PrecedenceConstraint>'
    )
    head = props(PackageFormatVersion=str(version), ObjectName="Old")
    opening = f'<DTS:Executable xmlns:DTS="{DTS}" DTS:ExecutableType="MSDTS.Package.1">'
    return f'<?xml version="1.0"?>{opening}{head}{manager}{sql}{flow}{constraint}</DTS:Executable>'.encode()
