"""SQL scripts: dialects, encodings, and texts that are none."""

from __future__ import annotations

from connectors.formats.sql_script import SqlScript
from tests.conformance.formats.subject import SECRET, Bad, Subject

LOAD = "-- hookline: instance=dw database=DW\n-- Loads the sales.\nINSERT INTO fact.sale SELECT * FROM stage.sale;\n"

SUBJECT = Subject(
    format=SqlScript,
    good={
        "load.sql": LOAD.encode(),
        "utf16.sql": LOAD.encode("utf-16"),
        "windows.sql": (LOAD + "-- für alle").encode("cp1252"),
        "procedures.sql": b"CREATE PROC a AS INSERT x SELECT * FROM y\nGO\nCREATE PROC dbo.b AS DELETE FROM x\nGO\n",
        "partly.sql": b"THIS IS NOT SQL; INSERT INTO a SELECT * FROM b;",
    },
    bad={
        "an unknown instance": Bad(b"-- hookline: instance=dww\nselect 1", "did you mean dw"),
        "an unknown key": Bad(b"-- hookline: datbase=x\nselect 1", "did you mean database"),
        "an unknown dialect": Bad(b"-- hookline: dialect=tsqll\nselect 1", "did you mean tsql"),
        "a server of no dialect": Bad(b"-- hookline: server=x\nselect a from b", "dialect"),
        "an open quote in the first line": Bad(b"-- hookline: database='x\nselect 1", "No closing quotation"),
        "a binary file": Bad(b"\x89PNG\r\n\x1a\n\x00\x00", "binary", "the whole file"),
        "an empty file": Bad(b"", "empty", "the whole file"),
        "no statement": Bad(b"hello world", "no table", "the whole file"),
        "no table": Bad(b"GRANT a TO b; SET x = 1;", "no table", "the whole file"),
        "a dump": Bad(b"INSERT INTO a VALUES (1);\n" * 400_000, "larger than"),
    },
    secret={
        "login.sql": f"CREATE USER a IDENTIFIED BY '{SECRET}'; INSERT INTO a SELECT * FROM b; x pwd='{SECRET}".encode(),
    },
)
