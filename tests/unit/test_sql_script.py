"""SQL scripts: where dialect, server and names come from, and what is kept of a script."""

from __future__ import annotations

import io

import pytest

from connectors.format import FileContext
from connectors.formats.sql_script import SqlScript
from connectors.formats.sql_text import decode, guess, leading_comment
from shared.records import Address, Found, Process, Refusal

INSTANCES = {
    "shop": Address("sqlite", "shop", (), "server"),
    "crm": Address("postgresql", "crm.internal", (), "server"),
}
LOAD = "INSERT INTO b SELECT * FROM a"


def read(text: str | bytes, path: str = "uploads/sql/load.sql") -> list[Found | Refusal]:
    content = text.encode() if isinstance(text, str) else text
    return list(SqlScript().read(io.BytesIO(content), FileContext(path=path, instances=INSTANCES)))


def processes(text: str | bytes, path: str = "uploads/sql/load.sql") -> list[Process]:
    found = [item.record for item in read(text, path) if isinstance(item, Found)]
    assert all(isinstance(record, Process) for record in found)
    return [record for record in found if isinstance(record, Process)]


class TestNames:
    def test_an_instance_gives_the_addresses_that_its_scan_gives(self) -> None:
        (process,) = processes(f"-- hookline: instance=shop database=shop\n{LOAD}")
        assert process.inputs == (Address("sqlite", "shop", ("shop", "main", "a")),)
        assert process.outputs == (Address("sqlite", "shop", ("shop", "main", "b")),)
        assert process.address == Address("sql", "shop", ("load.sql",), "script")
        assert process.dialect == "sqlite"

    def test_a_server_and_a_linked_server(self) -> None:
        (process,) = processes(
            "-- hookline: dialect=sqlserver server=sql01 database=DW\n"
            "INSERT t SELECT * FROM other..x JOIN lnk.d.s.y ON 1 = 1"
        )
        assert process.outputs == (Address("mssql", "sql01", ("DW", "dbo", "t")),)
        assert set(process.inputs) == {
            Address("mssql", "sql01", ("other", "dbo", "x")),
            Address("mssql", "lnk", ("d", "s", "y")),
        }

    def test_without_a_server_names_are_our_own(self) -> None:
        (process,) = processes(LOAD)
        assert process.inputs == (Address("sql", "", ("a",)),)

    def test_a_name_that_is_not_complete_is_not_attached(self) -> None:
        (process,) = processes(f"-- hookline: dialect=tsql server=sql01\n{LOAD}")
        assert process.inputs == (Address("sql", "sql01", ("a",)),)

    def test_a_procedure_lies_in_its_database(self) -> None:
        (process,) = processes(
            "-- hookline: dialect=tsql server=s database=DW\nCREATE PROC etl.p AS INSERT b SELECT * FROM a"
        )
        assert process.address == Address("mssql", "s", ("DW", "etl", "p"), "procedure")

    @pytest.mark.parametrize(
        ("path", "dialect", "name"),
        [
            ("uploads/sql/tsql/etl/load.sql", "tsql", ("etl", "load.sql")),
            ("uploads/sql/SQLServer/load.sql", "tsql", ("load.sql",)),
            ("uploads/sql_script/snowflake/load.sql", "snowflake", ("load.sql",)),
            ("uploads/sql/etl/load.sql", "", ("etl", "load.sql")),
            ("/home/me/load.sql", "", ("load.sql",)),
        ],
    )
    def test_the_folder_tells_dialect_and_name(self, path: str, dialect: str, name: tuple[str, ...]) -> None:
        (process,) = processes(LOAD, path)
        assert (process.dialect, process.address.path) == (dialect, name)

    def test_a_name_of_its_own_outlives_a_move(self) -> None:
        text = f"-- hookline: name='nightly load'\n{LOAD}"
        addresses = {processes(text, path)[0].address for path in ("uploads/sql/a.sql", "uploads/sql/tsql/b.sql")}
        assert addresses == {Address("sql", "", ("nightly load",), "script")}


class TestParts:
    def test_one_process_for_each_routine_and_one_for_the_rest(self) -> None:
        text = "CREATE PROC p AS INSERT a SELECT * FROM b\nGO\nCREATE PROC q AS DELETE FROM c\nGO\nTRUNCATE TABLE d\n"
        found = {p.address.path[-1]: p for p in processes(text)}
        assert set(found) == {"p", "q", "load.sql"}
        assert [o.path for o in found["load.sql"].outputs] == [("d",)]
        assert found["p"].sql == "CREATE PROC p AS INSERT a SELECT * FROM b"
        assert [i.place for i in read(text)] == [1, 1, 3]

    def test_a_script_that_writes_several_tables_is_a_process_for_each(self) -> None:
        text = (
            "-- hookline: dialect=tsql server=s database=DW\n-- Loads a day.\nSELECT id INTO #t FROM src.a;\n"
            "INSERT x (id) SELECT id FROM #t;\nSELECT * FROM src.looked_at;\nDELETE FROM y WHERE id = 1;\n"
            "INSERT y (k)\nSELECT k FROM src.b\nGO\nCREATE PROC p AS INSERT q SELECT k FROM r\n"
        )
        whole, x, y, routine = processes(text)
        assert whole.address == Address("sql", "s", ("load.sql",), "script")
        assert whole.description == "Loads a day."
        assert [a.path[1:] for a in whole.inputs] == [("src", "looked_at")]
        assert whole.outputs == ()
        assert x.address == Address("sql", "s", ("load.sql", "DW.dbo.x"), "statement")
        assert {p.parent for p in (x, y)} == {whole.address}
        assert [a.name for p in (x, y) for a in (*p.inputs, *p.outputs)] == ["a", "x", "b", "y"]
        assert [(e.source.name, e.source_column, e.target_column) for e in x.columns] == [("a", "id", "id")]
        assert [(e.source.name, e.source_column, e.target_column) for e in y.columns] == [("b", "k", "k")]
        assert y.sql == "DELETE FROM y WHERE id = 1;\nINSERT y (k)\nSELECT k FROM src.b\nGO"
        assert routine.address.type == "procedure"

    def test_its_names_stay_when_the_text_is_reformatted(self) -> None:
        text = "-- hookline: dialect=tsql server=s database=DW\nINSERT x SELECT id FROM a; INSERT y SELECT id FROM b"
        again = (
            text.replace("; ", ";\n\n-- a comment\n")
            .replace("SELECT", "select\r\n  ")
            .replace("\nINSERT", "\ninsert into")
        )
        assert [p.address for p in processes(text)] == [p.address for p in processes(again)]

    def test_columns_of_tables_that_nobody_knows(self) -> None:
        (process,) = processes(f"-- hookline: instance=shop database=shop\n{LOAD}")
        assert "shop.main.a" in process.properties["columns_unknown"]
        (process,) = processes(LOAD, "uploads/sql/postgres/load.sql")
        assert "dialect=postgres" in process.properties["columns_unknown"]
        (process,) = processes("INSERT INTO b (x) SELECT a.x FROM a")
        assert "columns_unknown" not in process.properties

    def test_what_is_not_understood_is_listed(self) -> None:
        (process,) = processes(f"{LOAD};\nBOO HOO;\nEXEC(@x)", "uploads/sql/tsql/x.sql")
        assert "line 2" in process.properties["unparsed"]
        assert "line 3: dynamic SQL" in process.properties["unparsed"]

    def test_a_routine_of_which_nothing_is_known_is_refused_beside_the_others(self) -> None:
        items = read(
            "CREATE PROC p AS EXEC(@x)\nGO\nCREATE PROC q AS INSERT a SELECT * FROM b", "uploads/sql/tsql/x.sql"
        )
        refusal, found = items
        assert isinstance(refusal, Refusal)
        assert "procedure p: line 1: dynamic SQL" in refusal.reason
        assert isinstance(found, Found)

    def test_the_comment_at_its_head_describes_a_script(self) -> None:
        (process,) = processes(f"-- hookline: name=x\n-- Loads a day.\n-- Runs at two.\n\n-- Not this.\n{LOAD}")
        assert process.description == "Loads a day.\nRuns at two."
        assert leading_comment(f"/***\n * One\n */\n{LOAD}") == "One"
        assert leading_comment(LOAD) == ""

    def test_credentials_are_masked(self) -> None:
        (process,) = processes(f"{LOAD};\nCREATE LOGIN x WITH PASSWORD = 'hunter2hunter2'")
        assert "hunter2" not in process.sql


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("SELECT 1\nGO\nSELECT 2", "tsql"),
        ("SELECT * FROM [dbo].[t]", "tsql"),
        ("DECLARE @x int = 1", "tsql"),
        ("SELECT * INTO #t FROM a", "tsql"),
        ("DO $$ BEGIN END $$", "postgres"),
        ("SELECT a::int FROM b", "postgres"),
        ("SELECT SYSDATE FROM dual", "oracle"),
        ("COPY INTO t FROM @stage", "snowflake"),
        ("SELECT * FROM `my-project.data.t`", "bigquery"),
        ("SELECT `a` FROM `t`", "mysql"),
        ("CREATE TABLE t USING DELTA AS SELECT 1", "databricks"),
        ("INSERT OR REPLACE INTO t SELECT 1", "sqlite"),
        ("SELECT '[dbo].[t] GO', a FROM b -- [dbo].[t]", ""),
        ("SELECT a FROM b", ""),
    ],
)
def test_guess(text: str, dialect: str) -> None:
    assert guess(text) == dialect


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_encodings(codec: str) -> None:
    text = "SELECT 'für' FROM a"
    if codec in ("utf-16-le", "utf-16-be"):
        text = "SELECT 'fur' FROM a"
    assert decode(text.encode(codec)) == text


def test_binary_is_no_text() -> None:
    assert decode(bytes(range(256)) * 4) is None
    assert decode(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR") is None
