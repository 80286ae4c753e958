"""The cases. Each prints one JSON line: n, cpu, wall, peak_mb, result. Setting up is not measured."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from shared.records import Address, Query

#: what a hook message takes (shared/atlas/messages.py, limits.message_bytes)
MAX_ENTITIES, MESSAGE_BYTES = 50, 900_000


class Case(NamedTuple):
    run: Callable[[Path], None]
    goal: str


class Meter:
    """CPU (this process and its children), wall and peak memory between start and stop."""

    def __init__(self) -> None:
        self.result: dict[str, Any] = {}

    @contextmanager
    def running(self, n: int, unit: str) -> Iterator[None]:
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rate = f"{n / cpu:,.0f} {unit}/CPU s, {cpu / n * 1e6:.1f} us each"
        self.result = {"n": n, "cpu": cpu, "wall": wall, "peak_mb": peak, "result": rate}

    def say(self, extra: str = "") -> None:
        if extra:
            self.result["result"] += f"; {extra}"
        print(json.dumps(self.result))


def _transform(paths: list[Path], out: Path) -> tuple[int, int, int]:
    """Job files -> hook messages in a file; returns (messages, assets, entities)."""
    from shared.pipeline.offline import FileResult, messages

    count = entities = assets = 0
    refused: list[object] = []
    with out.open("wb") as sink:
        for path in paths:
            result = FileResult(path=str(path))
            for message in messages(path, refused.append, result=result):
                sink.write(message.body + b"\n")
                count += 1
                entities += message.entities
            assets += result.assets
    assert not refused, refused[:3]
    return count, assets, entities


def _postgres(tables: int, nested: int = 0) -> Callable[[Path], None]:
    """nested: so many views on views, whose column lineage is held against what they were made with."""

    def run(folder: Path) -> None:
        from benchmarks.postgres_estate import build
        from benchmarks.published import differences, edges
        from shared.pipeline.app import App
        from shared.pipeline.offline import extract_to
        from shared.settings import Secret, from_mapping
        from shared.settings.document import Place
        from tests.support import postgres

        with postgres.database("estate") as conninfo:
            made = build(conninfo, tables, nested=nested)
            settings = {k: v.reveal() if isinstance(v, Secret) else v for k, v in postgres.settings(conninfo).items()}
            instance = {"connector": "postgresql", "settings": settings}
            app = App(from_mapping({"instances": {"estate": instance}}, {}, Place(), offline=True), {})
            import psycopg  # noqa: F401 - its import is not what is measured

            meter = Meter()
            with meter.running(tables, "tables"):
                files, records = [], 0
                clock = time.process_time()
                for path, count, refused in extract_to(app, "estate", folder / f"out{tables}"):
                    assert not refused, refused
                    files.append(path)
                    records += count
                extracting = time.process_time() - clock
                out = folder / f"messages{tables}-{nested}"
                count, _, entities = _transform(files, out)
        said = (
            f"extract {extracting / tables * 1e6:.0f} us/table, {records:,} records, {entities:,} entities in "
            f"{count:,} messages, {len(files)} parts"
        )
        if made:
            with out.open("rb") as messages:
                wrong = differences(made, edges(messages))
            total = sum(1 for view in made for origin in view.edges.values() if origin)
            said += f"; {total:,} columns of {nested:,} views, {len(wrong)} not exactly as made"
        meter.say(said)

    return run


def _flat(n: int, columns: int, comment: str = "") -> Callable[[Path], None]:
    """Tables of so many columns; comment: of each column."""

    def run(folder: Path) -> None:
        from shared.job_file import FORMAT, Header, JobFileWriter
        from shared.records import Address, Column, Dataset

        base = Address("postgresql", "crm.internal:5432", (), "server")
        path = folder / f"flat-{n}-{columns}.jsonl.gz"
        with path.open("wb") as out:
            header = Header(
                format=FORMAT, connector="postgresql", instance="crm", scope="public", scan="s", part=0, base=base
            )
            writer = JobFileWriter(out, header)
            fields = tuple(Column(f"column_{i}", "text", True, comment) for i in range(columns))
            for i in range(n):
                writer.write(
                    Dataset(
                        address=base.at("crm", "public", f"table_{i}"),
                        description=f"What table {i} is about",
                        columns=fields,
                    )
                )
            writer.close(last=True, parts=1, complete=True)
        meter = Meter()
        with meter.running(n * (1 + columns), "entities"):
            out = folder / "messages"
            count, _, entities = _transform([path], out)
        full = max(entities / count / MAX_ENTITIES, out.stat().st_size / count / MESSAGE_BYTES)
        meter.say(f"{count:,} messages, {full:.0%} full")

    return run


def _atlas(n: int) -> Callable[[Path], None]:
    def run(folder: Path) -> None:
        plain = folder / f"atlas-{n}.jsonl"
        with plain.open("w") as out:
            for i in range(n):
                entity = {
                    "typeName": "hookline_dataset",
                    "guid": f"-{i + 1}",
                    "attributes": {"name": f"d{i}", "qualifiedName": f"demo://x/d{i}", "description": "a dataset"},
                }
                out.write(json.dumps({"entity": entity}) + "\n")
        meter = Meter()
        with meter.running(n, "entities"):
            count, _, _ = _transform([plain], folder / "messages")
        meter.say(f"{count:,} messages")

    return run


def _query_history(executions: int, statements: int) -> Callable[[Path], None]:
    """Executions of statements that differ in layout and values; four of five write, the others only read."""

    def run(folder: Path) -> None:
        import random

        from shared.job_file import FORMAT, Header, JobFileWriter
        from shared.records import Address

        random.seed(7)
        base = Address("postgresql", "crm.internal:5432", (), "server")
        path = folder / "history.jsonl.gz"
        with path.open("wb") as out:
            header = Header(
                format=FORMAT, connector="postgresql", instance="crm", scope="history", scan="s", part=0, base=base
            )
            writer = JobFileWriter(out, header)
            for i in range(executions):
                number = i % statements if i < statements else random.randrange(statements)
                writer.write(_executed(base, number, random.randrange(1_000_000)))
            writer.close(last=True, parts=1, complete=True)
        meter = Meter()
        with meter.running(executions, "executions"):
            count, assets, _ = _transform([path], folder / "messages")
        meter.say(f"{statements:,} statements, {assets:,} assets in {count:,} messages")

    return run


def _executed(base: Address, number: int, value: int) -> Query:
    from shared.records import Query

    day = f"2026-{value % 12 + 1:02}-{value % 28 + 1:02}"
    where = f"o.placed = '{day}' AND o.quantity > {value} AND o.region_{number} IS NOT NULL"
    joined = f"stage.orders_{number} o JOIN crm.customers c ON c.id = o.customer_id"
    sql = f"SELECT o.id, c.name, o.total * 2 AS twice FROM {joined} WHERE {where}"
    if number % 5:
        sql = f"INSERT INTO mart.sales_{number % 400} (id, name, twice) {sql}"
    if value % 3 == 0:
        sql = sql.replace(" FROM ", "\n  from ").replace(" WHERE ", "\n where ")
    return Query(
        address=base.at("crm", type="database"),
        sql=sql,
        dialect="postgres",
        default_database="crm",
        default_schema="public",
        user=f"user_{value % 40}",
        time=f"{day}T00:00:00Z",
    )


def _import_app(folder: Path) -> None:
    del folder
    meter = Meter()
    sys.path.insert(0, str(Path(__file__).parents[1]))
    with meter.running(1, "imports"):
        import function_app  # noqa: F401
    meter.say()


def _pyapacheatlas(folder: Path) -> None:
    """What building the same flat entities with pyapacheatlas's objects takes, for comparison."""
    from pyapacheatlas.core import AtlasEntity

    n = 100_000
    meter = Meter()
    with meter.running(n, "entities"):
        schema = {"typeName": "postgresql_schema", "uniqueAttributes": {"qualifiedName": "postgresql://x/s"}}
        held = []
        for i in range(n):
            entity = AtlasEntity(
                f"table_{i}",
                "postgresql_table",
                f"postgresql://servers/crm.internal:5432/dbs/crm/schemas/public/tables/table_{i}",
                guid=-i - 1,
                attributes={"description": f"What table {i} is about"},
                relationshipAttributes={"dbSchema": schema},
            )
            held.append(entity.to_json())
        (folder / "pya.json").write_text(json.dumps(held))
    meter.say()


CASES: dict[str, Case] = {
    "postgresql-2000": Case(_postgres(2_000), "<= 400 us/table, <= 150 MB"),
    "postgresql-10000": Case(_postgres(10_000), "<= 400 us/table, <= 150 MB, flat"),
    "postgresql-lineage": Case(_postgres(10_000, 2_000), "<= 12 s CPU, <= 150 MB, exact"),
    "records-100k": Case(_flat(100_000, 0), ">= 150,000 entities/CPU s"),
    "records-1m": Case(_flat(1_000_000, 0), ">= 150,000 entities/CPU s, <= 200 MB, constant"),
    "records-columns": Case(_flat(20_000, 12), ">= 150,000 entities/CPU s"),
    "records-columns-1m": Case(_flat(76_924, 12), "a million entities, <= 39,216 messages"),
    "records-wide": Case(_flat(300, 2_000, "what it is about, at some length. " * 8), "messages as full as they go"),
    "atlas-json-1m": Case(_atlas(1_000_000), "<= 200 MB"),
    "query-history": Case(_query_history(1_000_000, 10_000), "10,000 parsed, <= 150 MB"),
    "import-function-app": Case(_import_app, "< 1 s"),
    "pyapacheatlas-100k": Case(_pyapacheatlas, "(for comparison)"),
}


if __name__ == "__main__":
    CASES[sys.argv[1]].run(Path(sys.argv[2]))
