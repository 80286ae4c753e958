"""Databases, ledgers and files that change at random, and what the catalogue has to hold of them.

The model is written down by hand from docs/guide/names-and-types.md; it asks the product nothing. Everything that is
random comes from one seed. What two sources say of one asset has no right order, so every asset has one owner: a
database its tables, a ledger its accounts, a file (in all its versions) its lists and its job.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from local.chaos import ledger

Key = tuple[str, str]

DATABASES, LEDGERS = 3, 2
#: tables that a database begins with, and never falls below
TABLES, FEWEST = 8, 3
#: datasets of a file
LISTS = 3
#: of so many versions of files one has a line that is not JSON
BROKEN_EVERY = 10
#: of a hundred changes of a careful database, one loses most of its tables: more than may be deleted without asking
COLLAPSES = 0.03
#: of the changes of files, so many are none: a person has the file run again
AGAIN = 0.05


class Change(NamedTuple):
    """What happened: an instance to scan, or a file to upload (without a body: to run again); one of the two."""

    instance: str = ""
    path: str = ""
    body: bytes = b""


class Database:
    """A SQLite file whose tables come, go and grow.

    careful: deletions above the product's limit wait for an approval; now and then it loses most of its tables at once.
    """

    connector, scope = "sqlite", "main"

    def __init__(self, name: str, file: Path, *, careful: bool = False) -> None:
        self.name, self.file, self.careful = name, file, careful
        self.tables: dict[str, list[str]] = {}
        self._made = 0

    def settings(self) -> dict[str, Any]:
        limit = {} if self.careful else {"delete_limit": 1.0}
        return {**limit, "settings": {"path": str(self.file), "host": self.name}}

    def change(self, rng: random.Random) -> None:
        if self.careful and rng.random() < COLLAPSES:
            for table in sorted(self.tables)[FEWEST:]:
                self._drop(table)
            return
        kind = rng.choice(("create", "create", "drop", "grow"))
        if kind == "create" or len(self.tables) <= FEWEST:
            self.create(rng)
            return
        table = rng.choice(sorted(self.tables))
        if kind == "drop":
            self._drop(table)
        else:
            column = f"c{len(self.tables[table])}"
            self.tables[table].append(column)
            self._run(f"ALTER TABLE {table} ADD COLUMN {column} TEXT")

    def _drop(self, table: str) -> None:
        del self.tables[table]
        self._run(f"DROP TABLE {table}")

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


class Ledger:
    """A journal that only grows: accounts are opened, written to and closed. It is read from a watermark on."""

    connector, scope = "ledger", ledger.SCOPE

    def __init__(self, name: str, file: Path) -> None:
        self.name, self.file = name, file
        self.seq = self._made = 0
        #: account -> its last entry
        self.accounts: dict[str, int] = {}
        #: all that was ever written, in order: entry, account, whether it closed it
        self.written: list[tuple[int, str, bool]] = []
        ledger.create(file)

    def settings(self) -> dict[str, Any]:
        return {"delete_limit": 1.0, "settings": {"path": str(self.file), "host": self.name}}

    def change(self, rng: random.Random) -> None:
        """A few entries at once."""
        for _ in range(rng.randint(1, 4)):
            kind = rng.choice(("open", "write", "write", "close"))
            if kind == "open" or len(self.accounts) < FEWEST:
                self._made += 1
                self._write(f"a{self._made}")
            elif kind == "write":
                self._write(rng.choice(sorted(self.accounts)))
            else:
                self._write(rng.choice(sorted(self.accounts)), closed=True)

    def _write(self, account: str, *, closed: bool = False) -> None:
        self.seq += 1
        ledger.write(self.file, self.seq, account, closed=closed)
        self.written.append((self.seq, account, closed))
        if closed:
            del self.accounts[account]
        else:
            self.accounts[account] = self.seq

    def expected(self) -> Iterator[tuple[Key, str]]:
        server = f"hookline://ledger/{self.name}"
        yield ("hookline_container", server), ""
        yield ("hookline_container", f"{server}/{ledger.SCOPE}"), ""
        for account, seq in self.accounts.items():
            yield ("hookline_dataset", f"{server}/{ledger.SCOPE}/{account}#list"), f"entry {seq}"


class Estate:
    """Everything that is played. folder: where its databases lie."""

    def __init__(self, folder: Path, seed: int, files: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self.databases = [Database(f"db{n}", folder / f"db{n}.db", careful=n == 0) for n in range(DATABASES)]
        self.ledgers = [Ledger(f"ledger{n}", folder / f"ledger{n}.db") for n in range(LEDGERS)]
        self.uploads = [Upload(n) for n in range(files)]
        self.changes = 0
        for database in self.databases:
            for _ in range(TABLES):
                database.create(self.rng)
        for book in self.ledgers:
            book.change(self.rng)

    @property
    def sources(self) -> list[Database | Ledger]:
        return [*self.databases, *self.ledgers]

    def settings(self) -> dict[str, Any]:
        """`instances` of hookline.yaml. Nothing is due by itself; only a careful database's deletions are held."""
        return {
            source.name: {"connector": source.connector, "schedule": "0 0 0 1 1 *"} | source.settings()
            for source in self.sources
        }

    def change(self) -> Change:
        """The next change: every second time a source, else a file; new files first, and now and then one again."""
        self.changes += 1
        if self.rng.random() < 0.5 and self.changes > 1:
            source = self.rng.choice(self.sources)
            source.change(self.rng)
            return Change(instance=source.name)
        there = [upload for upload in self.uploads if upload.version]
        if there and self.rng.random() < AGAIN:
            return Change(path=self.rng.choice(there).path)
        fresh = [upload for upload in self.uploads if not upload.version]
        upload = fresh[0] if fresh and self.rng.random() < 0.7 else self.rng.choice(self.uploads)
        return Change(path=upload.path, body=upload.change(self.rng, broken=self.changes % BROKEN_EVERY == 0))

    def expected(self) -> dict[Key, str]:
        """(type, qualified name) -> description."""
        owners: list[Database | Ledger | Upload] = [*self.sources, *self.uploads]
        return dict(found for owner in owners for found in owner.expected())
