"""Executed statements: each told apart from its neighbours once, counted ever after, and kept on disk until the end.

A history holds the same statements again and again, with other values. Three looks decide which statement an execution
is, the cheap ones first: the very text, its outline (literals left out), its plain text (comments, layout and case left
out). What surely writes nothing is not even looked at. Who ran a statement, how often and when goes into its process.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import msgspec

from shared.lineage.normal import moves_nothing, outline, statement_key
from shared.records import Query

#: texts and outlines whose statement is remembered, and counts that are kept in memory
REMEMBERED, COUNTED = 50_000, 20_000
#: users that a description names
_USERS = 5
_NOTHING = -1

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int | str, Query]).decode


class _Use(msgspec.Struct, gc=False):
    """Of one statement by one user; times as the source has them."""

    first: str
    last: str
    count: int = 0


class Executed(msgspec.Struct, frozen=True):
    """A statement as it was first met, and its use. users: the busiest first; last: time of the last execution."""

    place: int | str
    query: Query
    key: int
    count: int
    users: tuple[str, ...]
    more_users: int
    first: str
    last: str
    last_user: str

    @property
    def usage(self) -> str:
        """For a description: `Executed 1,204 times by etl and 2 others, from 2026-11-01 to 2026-11-20`."""
        times = "once" if self.count == 1 else f"{self.count:,} times"
        names = [*self.users, *([f"{self.more_users:,} more"] if self.more_users else ())]
        by = f" by {', '.join(names)}" if names else ""
        when = f", last {self.last}" if self.last else ""
        since = f" since {self.first}" if self.first and self.first != self.last else ""
        return f"Executed {times}{since}{by}{when}."


class History:
    """The executed statements of one file. silent: executions of statements that surely write nothing."""

    def __init__(self) -> None:
        self._database: sqlite3.Connection | None = None
        self._texts: dict[int, int] = {}
        self._outlines: dict[int, int] = {}
        self._uses: dict[tuple[int, str], _Use] = {}
        self.silent = 0

    def add(self, query: Query, place: int | str) -> None:
        """Raises UnicodeEncodeError for text that is not valid Unicode."""
        around = (query.address, query.dialect, query.default_database, query.default_schema)
        exact = hash((query.sql, around))
        number = self._texts.get(exact)
        if number is None:
            query.sql.encode()
            number = _NOTHING if moves_nothing(query.sql) else self._outlined(query, around, place)
            if len(self._texts) >= REMEMBERED:
                self._texts.clear()
            self._texts[exact] = number
        if number == _NOTHING:
            self.silent += 1
            return
        use = self._uses.get((number, query.user))
        if use is None:
            if len(self._uses) >= COUNTED:
                self._count()
            use = self._uses[number, query.user] = _Use(query.time, query.time)
        use.count += 1
        if query.time:
            use.last = max(use.last, query.time)
            use.first = min(use.first or query.time, query.time)

    def _outlined(self, query: Query, around: object, place: int | str) -> int:
        shape = outline(query.sql, query.dialect)
        if shape is None:
            return self._statement(query, place)
        seen = hash((shape, around))
        number = self._outlines.get(seen)
        if number is None:
            number = self._statement(query, place)
            if len(self._outlines) >= REMEMBERED:
                self._outlines.clear()
            self._outlines[seen] = number
        return number

    def _statement(self, query: Query, place: int | str) -> int:
        around = f"{query.address}\0{query.dialect}\0{query.default_database}\0{query.default_schema}"
        key = statement_key(query.sql, query.dialect, around)
        signed = key - (1 << 64) if key >> 63 else key
        database = self._open()
        row = database.execute("select number from statements where key = ?", (signed,)).fetchone()
        if row is None:
            row = database.execute(
                "insert into statements (key, query) values (?, ?) returning number", (signed, _encode((place, query)))
            ).fetchone()
        return int(row[0])

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self._database.executescript(
                "pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -4096;"
                "create table statements (number integer primary key, key integer unique, query blob);"
                "create table uses (number integer, user text, count integer, first text, last text,"
                " primary key (number, user)) without rowid; begin"
            )
        return self._database

    def _count(self) -> None:
        """What was counted in memory goes to disk."""
        rows = [(number, user, use.count, use.first, use.last) for (number, user), use in self._uses.items()]
        self._open().executemany(
            "insert into uses values (?, ?, ?, ?, ?) on conflict do update set count = count + excluded.count,"
            " first = min(coalesce(nullif(first, ''), excluded.first), coalesce(nullif(excluded.first, ''), first)),"
            " last = max(last, excluded.last)",
            rows,
        )
        self._uses.clear()

    def statements(self) -> Iterator[Executed]:
        """Every statement once, in the order in which they were first met."""
        if self._database is None:
            return
        self._count()
        for number, key, packed in self._database.execute("select number, key, query from statements order by number"):
            place, query = _decode(packed)
            uses = self._database.execute(
                "select user, count, first, last from uses where number = ? order by count desc, user", (number,)
            ).fetchall()
            users = [user for user, *_ in uses if user]
            last = max(uses, key=lambda use: use[3])
            yield Executed(
                place=place,
                query=query,
                key=key & (1 << 64) - 1,
                count=sum(use[1] for use in uses),
                users=tuple(users[:_USERS]),
                more_users=len(users) - len(users[:_USERS]),
                first=min((use[2] for use in uses if use[2]), default=""),
                last=last[3],
                last_user=last[0],
            )

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
