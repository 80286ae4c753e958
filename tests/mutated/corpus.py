"""The samples that are mutated: everything the registered formats are tested with. A new format brings its own."""

from __future__ import annotations

import importlib
import io
import itertools
from pathlib import Path
from typing import NamedTuple

import msgspec

import connectors
from shared.job_file import FORMAT, Header, JobFileWriter
from shared.records import (
    Address,
    Atlas,
    Column,
    ColumnEdge,
    Container,
    Dataset,
    Deleted,
    Description,
    ForeignKey,
    Process,
    Query,
    Record,
    Report,
)
from tests.lineage.scorer import cases

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "formats"
JOBS = ROOT / "local" / "samples" / "jobs"
#: larger ones (dumps that a format refuses for their size) say nothing more when they are changed
LARGEST = 256 * 1024
#: of the lineage fixtures, every so many'th
EVERY = 25


class Sample(NamedTuple):
    """A file: the format whose it is, where it would lie, and what it holds."""

    format: str
    path: str
    content: bytes


def _every_kind() -> list[Record]:
    """One record of each kind with most of its fields: a database that feeds a report."""
    server = Address("postgresql", "crm.example:5432", (), "server")
    database = server.at("crm", type="database")
    orders, customers = database.at("public", "orders", type="table"), database.at("public", "customers", type="table")
    recent = database.at("public", "recent", type="view")
    columns = (
        Column("id", "integer", nullable=False, description="number", key="primary", default="1"),
        Column("customer", "integer", key="unique"),
    )
    return [
        Container(address=server, properties={"version": "16"}),
        Container(address=database, description="customers and their orders", owners=("team:crm",)),
        Container(address=database.at("public", type="schema")),
        Dataset(address=customers, columns=(Column("id", "integer"), Column("name", "text")), tags=("pii",)),
        Dataset(
            address=orders,
            columns=columns,
            foreign_keys=(
                ForeignKey(columns=("customer",), referenced=customers, referenced_columns=("id",), name="fk"),
            ),
            statistics={"rows": "12"},
        ),
        Dataset(
            address=recent,
            columns=(Column("id", "integer"), Column("name", "text")),
            sql="SELECT o.id, c.name FROM orders o JOIN customers c ON o.customer = c.id",
            dialect="postgres",
            inputs=(orders, customers),
        ),
        Process(
            address=database.at("public", "refresh()", type="procedure"),
            inputs=(orders,),
            outputs=(customers,),
            columns=(ColumnEdge(orders, "customer", customers, "id"),),
            sql="INSERT INTO customers (id) SELECT customer FROM orders",
            dialect="postgres",
            default_database="crm",
            default_schema="public",
        ),
        Query(
            address=server,
            sql="INSERT INTO public.orders SELECT * FROM stage.orders",
            dialect="postgres",
            default_database="crm",
        ),
        Report(
            address=Address("looker", "bi.example", ("sales",), "dashboard"),
            inputs=(recent,),
            url="https://bi.example/1",
        ),
        Deleted(address=database.at("public", "old", type="table")),
        Description(
            address=orders, description="as dbt says", tags=("core",), columns=(Column("id", description="which"),)
        ),
        Atlas(
            entity={
                "typeName": "hookline_dataset",
                "guid": "-1",
                "attributes": {"name": "a", "qualifiedName": "x://a", "description": "by hand"},
                "labels": ["x"],
            },
            operation="create",
        ),
    ]


def _landed(records: list[Record]) -> bytes:
    stream = io.BytesIO()
    base = records[0].address if isinstance(records[0], Container) else Address("sqlite", "x", (), "server")
    header = Header(
        format=FORMAT, connector="postgresql", instance="shop", scope="public", scan="s1", part=0, base=base
    )
    writer = JobFileWriter(stream, header)
    for record in records:
        writer.write(record)
    writer.close(last=True, parts=1, complete=True)
    return stream.getvalue()


def corpus() -> dict[str, list[Sample]]:
    """Samples by format, in an order that does not change."""
    return {name: list(_samples(name)) for name in connectors.FORMATS}


def _samples(name: str) -> list[Sample]:
    subject = importlib.import_module(f"tests.conformance.formats.{name}").SUBJECT
    kind = connectors.format_class(name)
    files = dict(subject.good)
    if name == "records":
        files["every_kind.jsonl"] = b"".join(msgspec.json.encode(record) + b"\n" for record in _every_kind())
        files["every_kind.jsonl.gz"] = _landed(_every_kind())
    files |= {f"bad/{what}": bad.content for what, bad in subject.bad.items()}
    files |= {f"secret/{file}": content for file, content in subject.secret.items()}
    for folder in (GOLDEN / name, *(JOBS / known for known in (name, *kind.folders))):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and ".records" not in path.name:
                files[f"{folder.name}/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
    if name == "sql_script":
        for number, case in enumerate(itertools.islice(cases(), 0, None, EVERY)):
            header = f"-- hookline: dialect={case.dialect} database={case.database or 'd'}\n"
            files[f"cases/{number}.sql"] = (header + case.sql).encode()
    return [
        Sample(name, f"uploads/{name}/{file}", content)
        for file, content in files.items()
        if 0 < len(content) <= LARGEST
    ]
