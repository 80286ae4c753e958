"""SSIS: packages of every format version, projects, and files that are none."""

from __future__ import annotations

from connectors.formats.ssis.reading import Ssis
from tests.conformance.formats.subject import SECRET, Bad, Subject
from tests.support import dtsx

LOAD = dtsx.package(
    dtsx.sql_task("Clear", "DELETE FROM dbo.B"),
    dtsx.copy(),
    connections=[dtsx.connection("DW")],
    more=dtsx.after("Clear", "Flow"),
)
LOST = dtsx.package(dtsx.sql_task("Clear", "DELETE FROM dbo.B", to="Nowhere"), connections=[dtsx.connection("DW")])
ENCRYPTED = (
    b'<?xml version="1.0"?><EncryptedData Type="http://www.w3.org/2001/04/xmlenc#Element" Salt="x">AAAA</EncryptedData>'
)
ENTITY = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'
DEEP = b"<a>" * 300 + b"</a>" * 300

SUBJECT = Subject(
    format=Ssis,
    good={
        "load.dtsx": LOAD,
        "old.dtsx": dtsx.old(2),
        "utf16.dtsx": LOAD.decode().replace('version="1.0"', 'version="1.0" encoding="utf-16"').encode("utf-16"),
        "bom.dtsx": b"\xef\xbb\xbf" + LOAD,
        "project.ispac": dtsx.project({"Load.dtsx": LOAD, "Old%20one.dtsx": dtsx.old(3)}),
    },
    bad={
        "cut off": Bad(LOAD[:-200], "broken or cut off"),
        "an unknown version": Bad(dtsx.package(version=9), "PackageFormatVersion 9 is not known"),
        "no version": Bad(LOAD.replace(b"PackageFormatVersion", b"Other"), "PackageFormatVersion is missing"),
        "encrypted as a whole": Bad(ENCRYPTED, "EncryptAllWithPassword"),
        "another XML": Bad(b"<Workbook />", "no SSIS package (its root is <Workbook>)"),
        "a task, no package": Bad(b"<Executable />", "no SSIS package"),
        "a web page": Bad(b"<!DOCTYPE html><html><p>sign in</html>", "HTML"),
        "an empty file": Bad(b" \n", "empty"),
        "text": Bad(b"SELECT 1", "not XML"),
        "an entity from outside": Bad(ENTITY, "document type declaration"),
        "too deep": Bad(DEEP, "more than 200 deep"),
        "a connection manager that is missing": Bad(
            LOST, "connection manager {Nowhere} is not known", "Package\\Clear"
        ),
        "a damaged archive": Bad(dtsx.project({"Load.dtsx": LOAD})[:-30], "damaged"),
        "an archive without packages": Bad(dtsx.project({}), "holds no package"),
        "a broken package in a project": Bad(
            dtsx.project({"Load.dtsx": LOAD, "Bad.dtsx": LOAD[:-200]}), "broken or cut off", "Bad.dtsx"
        ),
        "an encrypted package in a project": Bad(
            dtsx.project({"A.dtsx": LOAD, "E.dtsx": ENCRYPTED}), "encrypted", "E.dtsx"
        ),
        "a broken connection manager in a project": Bad(
            dtsx.project({"Load.dtsx": LOAD, "DW.conmgr": b"<x />"}), "no connection manager", "DW.conmgr"
        ),
        "no connection manager": Bad(b"<x />", "no SSIS package", name="x.conmgr"),
    },
    secret={
        "connection.dtsx": dtsx.package(
            dtsx.sql_task("Login", f"CREATE LOGIN a WITH PASSWORD = '{SECRET}'; DELETE FROM dbo.B"),
            dtsx.copy(),
            connections=[
                dtsx.connection(
                    "DW", f"Data Source=sql01;User ID=u;Password={SECRET};Initial Catalog=DW;Provider=SQLNCLI11"
                ),
                dtsx.connection("Web", f"https://u:{SECRET}@files.example/x", "HTTP", Password=SECRET),
                dtsx.connection("Blob", f"AccountName=x;AccountKey={SECRET};", "AzureStorage"),
            ],
            parameters=[dtsx.parameter("Key", SECRET, sensitive=True)],
            variables=[dtsx.variable("Password", SECRET)],
        ),
    },
)
