"""What `./hookline chaos` plays: databases and files that change at random, and what the catalogue has to hold of them.

The model is written down by hand from docs/guide/names-and-types.md; it asks the product nothing. Everything that is
random comes from one seed. What two sources say of one asset has no right order, so every asset has one owner: a
database its tables, a file (in all its versions) its lists and its job.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

Key = tuple[str, str]

DATABASES = 3
#: tables that a database begins with, and never falls below
TABLES, FEWEST = 8, 3
#: datasets of a file
LISTS = 3
#: of so many versions of files one has a line that is not JSON
BROKEN_EVERY = 10


class Change(NamedTuple):
    """What happened: a database to scan, or a file to upload; exactly one of the two."""

    instance: str = ""
    path: str = ""
    body: bytes = b""


class Database:
    """A SQLite file whose tables come, go and grow."""

    def __init__(self, name: str, file: Path) -> None:
        self.name, self.file = name, file
        self.tables: dict[str, list[str]] = {}
        self._made = 0

    def change(self, rng: random.Random) -> None:
        kind = rng.choice(("create", "create", "drop", "grow"))
        if kind == "create" or len(self.tables) <= FEWEST:
            self.create(rng)
            return
        table = rng.choice(sorted(self.tables))
        if kind == "drop":
            del self.tables[table]
            self._run(f"DROP TABLE {table}")
        else:
            column = f"c{len(self.tables[table])}"
            self.tables[table].append(column)
            self._run(f"ALTER TABLE {table} ADD COLUMN {column} TEXT")

    def create(self, rng: random.Random) -> None:
        """A new table, now and then with the name of one that was dropped."""
        self._made += 1
        gone = [f"t{n}" for n in range(self._made) if f"t{n}" not in self.tables]
        table = rng.choice(gone) if rng.random() < 0.3 else f"t{self._made}"
        self.tables[table] = [f"c{n}" for n in range(rng.randint(1, 6))]
        self._run(f"CREATE TABLE {table} ({', '.join(f'{c} TEXT' for c in self.tables[table])})")

    def _run(self, sql: str) -> None:
        with closing(sqlite3.connect(self.file)) as connection, connection:
            connection.execute(sql)

    def expected(self) -> Iterator[tuple[Key, str]]:
        server = f"sqlite://{self.name}"
        yield ("rdbms_instance", server), ""
        yield ("rdbms_db", f"{server}/{self.name}"), ""
        for table, columns in self.tables.items():
            name = f"{server}/{self.name}/main/{table}"
            yield ("rdbms_table", name), ""
            for column in columns:
                yield ("rdbms_column", f"{name}#{column}"), ""


class Upload:
    """A file of records that people put into landing again and again; the last version counts."""

    def __init__(self, number: int) -> None:
        self.path = f"uploads/records/file_{number:04d}.jsonl"
        self.host = f"h{number}.example"
        self.version = self.columns = 0

    def change(self, rng: random.Random, *, broken: bool) -> bytes:
        self.version += 1
        self.columns += 1 if self.columns == 0 or rng.random() < 0.3 else 0
        lists = [self._address("lists", f"l{n}", "list") for n in range(LISTS)]
        columns = [{"name": f"c{n}", "type": "text"} for n in range(self.columns)]
        said = {"description": self._said()}
        lines: list[dict[str, Any]] = [
            {"kind": "dataset", "address": address, "columns": columns} | said for address in lists
        ]
        first, second = lists[:2]
        mapped = {"source": first, "source_column": "c0", "target": second, "target_column": "c0", "kind": "copy"}
        job = self._address("jobs", "j", "job")
        lines.append(
            {"kind": "process", "address": job, "inputs": [first], "outputs": [second], "columns": [mapped]} | said
        )
        rng.shuffle(lines)  # a process may come before its datasets
        texts = [json.dumps(line) for line in lines]
        if broken:
            texts.insert(rng.randrange(len(texts)), '{"kind": ')
        return ("\n".join(texts) + "\n").encode()

    def _address(self, folder: str, name: str, kind: str) -> dict[str, Any]:
        return {"platform": "mailroom", "host": self.host, "path": [folder, name], "type": kind}

    def _said(self) -> str:
        return f"version {self.version}"

    def expected(self) -> Iterator[tuple[Key, str]]:
        if not self.version:
            return
        server = f"hookline://mailroom/{self.host}"
        yield ("hookline_container", server), ""
        yield ("hookline_container", f"{server}/lists"), ""
        yield ("hookline_process", f"{server}/jobs/j#job"), self._said()
        for n in range(LISTS):
            name = f"{server}/lists/l{n}#list"
            yield ("hookline_dataset", name), self._said()
            for column in range(self.columns):
                yield ("hookline_column", f"{name}#c{column}"), ""

    def lineage(self) -> tuple[str, set[str]]:
        """The job, and what it reads and writes."""
        server = f"hookline://mailroom/{self.host}"
        return f"{server}/jobs/j#job", {f"{server}/lists/l0#list", f"{server}/lists/l1#list"}


class Estate:
    """Everything that is played. folder: where its databases lie."""

    def __init__(self, folder: Path, seed: int, files: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self.databases = [Database(f"db{n}", folder / f"db{n}.db") for n in range(DATABASES)]
        self.uploads = [Upload(n) for n in range(files)]
        self.changes = 0
        for database in self.databases:
            for _ in range(TABLES):
                database.create(self.rng)

    def settings(self) -> dict[str, Any]:
        """`instances` of hookline.yaml. Nothing is due by itself, and no deletion is held."""
        return {
            database.name: {
                "connector": "sqlite",
                "schedule": "0 0 0 1 1 *",
                "delete_limit": 1.0,
                "settings": {"path": str(database.file), "host": database.name},
            }
            for database in self.databases
        }

    def change(self) -> Change:
        """The next change: every second time a database, else a file; new files first."""
        self.changes += 1
        if self.rng.random() < 0.5 and self.changes > 1:
            database = self.rng.choice(self.databases)
            database.change(self.rng)
            return Change(instance=database.name)
        fresh = [upload for upload in self.uploads if not upload.version]
        upload = fresh[0] if fresh and self.rng.random() < 0.7 else self.rng.choice(self.uploads)
        return Change(path=upload.path, body=upload.change(self.rng, broken=self.changes % BROKEN_EVERY == 0))

    def expected(self) -> dict[Key, str]:
        """(type, qualified name) -> description."""
        owners: list[Database | Upload] = [*self.databases, *self.uploads]
        return dict(found for owner in owners for found in owner.expected())


class Difference(NamedTuple):
    """Catalogue against model. lost: not there; wrong: there, but not so, or not to be there; duplicated: twice."""

    lost: list[str]
    wrong: list[str]
    duplicated: list[str]

    def __bool__(self) -> bool:
        return bool(self.lost or self.wrong or self.duplicated)


def difference(estate: Estate, catalogue: Path) -> Difference:
    """catalogue: the database of the local catalogue, read while it runs."""
    with closing(sqlite3.connect(f"{catalogue.as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT type, qn, doc, incomplete FROM entity WHERE NOT deleted").fetchall()
        ends: dict[str, set[str]] = {}
        for one, other in connection.execute(
            "SELECT a.qn, b.qn FROM relation r JOIN entity a ON a.id = r.end1 JOIN entity b ON b.id = r.end2 "
            "WHERE NOT r.deleted AND NOT a.deleted AND NOT b.deleted"
        ):
            ends.setdefault(one, set()).add(other)
            ends.setdefault(other, set()).add(one)
    wanted = estate.expected()
    there = {
        (kind, name): "incomplete" if incomplete else json.loads(doc)["attributes"].get("description") or ""
        for kind, name, doc, incomplete in rows
    }
    lost = [f"{kind} {name}" for kind, name in wanted.keys() - there.keys()]
    wrong = [f"{kind} {name} ought not to be there" for kind, name in there.keys() - wanted.keys()]
    wrong += [
        f"{key[0]} {key[1]}: {there[key]!r} instead of {said!r}"
        for key, said in wanted.items()
        if key in there and there[key] != said
    ]
    for upload in estate.uploads:
        if upload.version:
            job, lists = upload.lineage()
            found = {name for name in ends.get(job, set()) if name.endswith("#list")}
            wrong += [f"{job} is linked to {sorted(found)}"] if found != lists else []
    twice = Counter((kind, name) for kind, name, _, _ in rows)
    return Difference(sorted(lost), sorted(wrong), sorted(f"{k} {n}" for (k, n), count in twice.items() if count > 1))
