"""A source with a watermark: a journal of accounts in a SQLite file, read from the last entry on.

The connectors that Hookline brings read everything at every scan; this one is only there to be played with.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

import connectors
from connectors.source import Source
from shared.records import Address, Container, Cursor, Dataset, Deleted, Record, Refusal

SCOPE = "main"
#: entries between two cursors
CURSOR_EVERY = 5

_LATEST = """
SELECT max(seq), account, closed FROM entry WHERE seq >= ? AND seq > ? GROUP BY account ORDER BY 1"""


class LedgerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """path: the file; host: what names call it."""

    path: str
    host: str


class LedgerSource(Source[LedgerSettings]):
    """Accounts, each with the number of its last entry; one that was closed is reported as gone."""

    Settings = LedgerSettings
    title = "a journal, for `./hookline chaos`"

    def base(self) -> Address:
        return Address("ledger", self.settings.host, (), "server")

    def scopes(self) -> list[str]:
        return [SCOPE]

    def incremental(self) -> bool:
        return True

    def extract(self, scope: str, *, since: str = "", resume: str = "") -> Iterator[Record | Cursor | Refusal]:
        base = self.base()
        book = base.at(scope, type="schema")
        yield Container(address=base)
        yield Container(address=book)
        with closing(sqlite3.connect(self.settings.path)) as connection:
            entries = connection.execute(_LATEST, (int(since or 0), int(resume or 0))).fetchall()
        last = resume or since
        for count, (seq, account, closed) in enumerate(entries, 1):
            address = book.at(account, type="list")
            yield Deleted(address=address) if closed else Dataset(address=address, description=f"entry {seq}")
            last = str(seq)
            if count % CURSOR_EVERY == 0:
                yield Cursor(position=last, watermark=last)
        yield Cursor(position=last, watermark=last)


def register() -> None:
    """Make it known to this process."""
    connectors.SOURCES["ledger"] = "local.chaos.ledger:LedgerSource"


def create(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE entry (seq INTEGER PRIMARY KEY, account TEXT, closed INTEGER)")


def write(file: Path, seq: int, account: str, *, closed: bool) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("INSERT INTO entry VALUES (?, ?, ?)", (seq, account, int(closed)))
