"""The sqlite source on real database files."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.source import Selection
from connectors.sql.comments import comments
from connectors.sql.sqlite import SQLite
from local.samples import shop
from shared.errors import SourceRefused, SourceUnreachable
from shared.records import Container, Cursor, Dataset, Refusal
from shared.settings import convert

GOLDEN = Path(__file__).parents[1] / "golden" / "records" / "shop.jsonl"
UPDATE = "HOOKLINE_UPDATE_GOLDEN"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data base #1.db"  # what a URI must quote


@pytest.fixture
def writer(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def source(path: Path, selection: Selection | None = None, **settings: Any) -> SQLite:
    return SQLite(convert(SQLite.Settings, {"path": str(path), **settings}), selection)


def datasets(path: Path, **settings: Any) -> dict[str, Dataset]:
    items = source(path, **settings).extract("main")
    return {item.address.name: item for item in items if isinstance(item, Dataset)}


def test_the_shop_is_as_the_golden_file_shows_it(tmp_path: Path) -> None:
    items = source(shop.build(tmp_path / "shop.db")).extract("main")
    text = "".join(msgspec.json.encode(item).decode() + "\n" for item in items if not isinstance(item, Cursor))
    if os.environ.get(UPDATE):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8"), f"if the change is meant: {UPDATE}=1 pytest {__file__}"


def test_building_the_shop_again_replaces_it(tmp_path: Path) -> None:
    first = shop.build(tmp_path / "samples" / "shop.db").read_bytes()
    (tmp_path / "samples" / "shop.db").write_bytes(b"something else")
    assert shop.build(tmp_path / "samples" / "shop.db").read_bytes() == first
    assert [p.name for p in (tmp_path / "samples").iterdir()] == ["shop.db"]


def test_the_host_setting_names_the_server(path: Path, writer: sqlite3.Connection) -> None:
    writer.execute("create table t (a)")
    assert source(path).base().host == "data base #1"
    named = datasets(path, host="till.north")["t"].address
    assert (named.host, named.path) == ("till.north", ("data base #1", "main", "t"))


def test_columns_as_declared(path: Path, writer: sqlite3.Connection) -> None:
    writer.executescript("""
        create table kinds (id integer primary key, code varchar(10) not null unique, note,
          price numeric(10,2) default 1.5, doubled generated always as (price * 2) stored,
          tripled integer as (price * (2 + 1)));
        create table loose (code text primary key);
        create table tight (code text primary key, a, b, unique (a, b)) without rowid;
        create table exact (a integer, b text) strict;
        create unique index some_loose on exact (a) where b = 'x';
        create unique index folded on exact (lower(b));
    """)
    found = datasets(path)
    kinds = {column.name: column for column in found["kinds"].columns}
    assert [c.name for c in found["kinds"].columns] == ["id", "code", "note", "price", "doubled", "tripled"]
    assert (kinds["id"].type.upper(), kinds["id"].key, kinds["id"].nullable) == ("INTEGER", "primary", False)
    assert (kinds["code"].type, kinds["code"].key, kinds["code"].nullable) == ("varchar(10)", "unique", False)
    assert (kinds["note"].type, kinds["note"].key, kinds["note"].nullable) == ("", "", True)
    assert kinds["price"].default == "1.5"
    assert kinds["doubled"].default == "generated always as (price * 2)"
    assert kinds["tripled"].default == "generated always as (price * (2 + 1))"
    assert found["loose"].columns[0].nullable is True  # SQLite's own: a primary key that takes NULL
    assert found["tight"].columns[0].nullable is False
    assert found["tight"].properties == {"storage": "without rowid", "unique keys": "(a, b)"}
    assert found["exact"].properties == {"strict": "true"}
    assert [c.key for c in found["exact"].columns] == [
        "",
        "",
    ]  # a partial index and an expression make no unique column


def test_foreign_keys(path: Path, writer: sqlite3.Connection) -> None:
    writer.executescript("""
        create table Parents (a, b, primary key (a, b));
        create table child (x references PARENTS (a), p, q, z references nowhere,
          foreign key (p, q) references parents (b, a));
    """)
    keys = datasets(path)["child"].foreign_keys
    assert [(k.columns, k.referenced.path[-1], k.referenced_columns) for k in keys] == [
        (("x",), "Parents", ("a",)),  # written in another case
        (("z",), "nowhere", ()),
        (("p", "q"), "Parents", ("b", "a")),
    ]


def test_names_of_every_kind(path: Path, writer: sqlite3.Connection) -> None:
    names = [
        "a.b/c",
        'say "hi"',
        "it's",
        "Größe 😀",
        "select",
        "%_",
        "back\\slash",
        "sqliteish",
        "[x]",
        "tab\tnewline\n",
    ]
    for name in names:
        quoted = '"' + name.replace('"', '""') + '"'
        writer.execute(f"create table {quoted} ({quoted} text)")
    found = datasets(path)
    assert list(found) == sorted(names)
    for name, dataset in found.items():
        assert [column.name for column in dataset.columns] == [name]


def test_views_and_a_view_of_what_is_gone(path: Path, writer: sqlite3.Connection) -> None:
    writer.executescript("""
        create table t (a integer, b text); create table u (c);
        create view v as select a, b || 'x' as bx from t; create view w (k) as select c from u; drop table u;
    """)
    found = datasets(path)
    assert [(c.name, c.type, c.nullable) for c in found["v"].columns] == [("a", "INTEGER", None), ("bx", "", None)]
    assert (found["v"].address.type, found["v"].dialect) == ("view", "sqlite")
    assert found["v"].sql == "CREATE VIEW v as select a, b || 'x' as bx from t"
    assert (found["w"].columns, found["w"].sql) == ((), "CREATE VIEW w (k) as select c from u")
    assert found["w"].properties == {"broken": "no such table: main.u"}


def test_virtual_tables_hide_their_storage(path: Path, writer: sqlite3.Connection) -> None:
    writer.execute("create virtual table notes using fts5 (title, body)")
    found = datasets(path)
    assert list(found) == ["notes"]
    assert [column.name for column in found["notes"].columns] == ["title", "body"]
    assert found["notes"].properties == {"virtual table module": "fts5"}


def test_a_table_that_cannot_be_read_is_refused_and_the_others_go_on(path: Path, writer: sqlite3.Connection) -> None:
    writer.executescript("create table a (x); create table z (x);")
    writer.execute("pragma writable_schema = on")
    writer.execute(
        "insert into sqlite_schema values ('table', 'm', 'm', 0, 'CREATE VIRTUAL TABLE m USING no_such_module (x)')"
    )
    items = list(source(path).extract("main"))
    [refusal] = [item for item in items if isinstance(item, Refusal)]
    assert (refusal.place, refusal.rule, refusal.reason) == ("main.m", "source", "no such module: no_such_module")
    assert "exclude" in refusal.fix
    assert [item.address.name for item in items if isinstance(item, Dataset)] == ["a", "z"]


def test_row_estimates_come_from_analyze(path: Path, writer: sqlite3.Connection) -> None:
    writer.execute("create table t (a integer primary key, b)")
    writer.executemany("insert into t (b) values (?)", [(n,) for n in range(7)])
    assert datasets(path)["t"].statistics == {}
    writer.execute("analyze")
    assert datasets(path)["t"].statistics == {"rows": "7"}


def test_a_table_dropped_while_it_is_scanned_is_left_out(path: Path, writer: sqlite3.Connection) -> None:
    writer.executescript("create table a (x); create table b (x); create table c (x);")
    items = []
    for item in source(path).extract("main"):
        items.append(item)
        if isinstance(item, Dataset) and item.address.name == "a":
            writer.execute("drop table b")  # and nothing that the scan holds keeps the writer from it
    assert [item.address.name for item in items if isinstance(item, Dataset)] == ["a", "c"]


def test_the_file_is_opened_read_only(path: Path, writer: sqlite3.Connection) -> None:
    writer.execute("create table t (a)")
    with source(path).connect() as session, pytest.raises(SourceRefused, match="readonly"):
        session.rows("create table written (a)")


def test_a_query_that_takes_too_long(path: Path, writer: sqlite3.Connection) -> None:
    writer.execute("create table t (a)")
    endless = "with recursive n (i) as (select 1 union all select i + 1 from n) select max(i) from n"
    with (
        source(path, statement_timeout_seconds=0.05).connect() as session,
        pytest.raises(SourceUnreachable, match=r"longer than 0\.05 s") as caught,
    ):
        session.rows(endless)
    assert caught.value.fix == "raise statement_timeout_seconds"


def test_a_file_that_a_writer_has_locked(path: Path, writer: sqlite3.Connection) -> None:
    writer.executescript("create table t (a); begin exclusive;")
    with pytest.raises(SourceUnreachable, match="locked by a writer"):
        list(source(path, statement_timeout_seconds=0.05).extract("main"))


def test_a_missing_and_a_damaged_file(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable, match="there is no file") as caught:
        source(tmp_path / "no.db").scopes()
    assert "path" in caught.value.fix
    assert not (tmp_path / "no.db").exists()
    (tmp_path / "text.db").write_text("hello " * 100)
    with pytest.raises(SourceRefused, match="not a database"):
        source(tmp_path / "text.db").scopes()


def test_an_empty_selection_says_so(path: Path, writer: sqlite3.Connection) -> None:
    writer.execute("create table t (a)")
    last = list(source(path, Selection(include=("public.*",))).check())[-1]
    assert (last.ok, last.detail) == (False, "none of main is selected")
    assert "include" in last.fix


def test_containers_stand_alone_in_an_empty_file(path: Path, writer: sqlite3.Connection) -> None:
    writer.executescript("create table t (a); drop table t")
    items = list(source(path).extract("main"))
    assert [item.address.type for item in items if isinstance(item, Container)] == ["server", "database", "schema"]
    assert all(isinstance(item, Cursor) for item in items[3:])


@pytest.mark.parametrize(
    ("statement", "table", "columns"),
    [
        ("CREATE TABLE t (a int, -- the a\n b int -- the b\n)", "", {"a": "the a", "b": "the b"}),
        (
            "CREATE TABLE t ( -- all of it\n -- above\n a int, b int default 0 -- last\n)",
            "all of it",
            {"a": "above", "b": "last"},
        ),
        ("CREATE TABLE /* people\n * who buy */ t (a)", "people who buy", {}),
        ("CREATE TABLE t (a text default '-- no', b numeric(1, 2) /* yes */, check (a <> ','))", "", {"b": "yes"}),
        ("CREATE VIEW v (a, b) AS -- what it shows\nSELECT 1, 2 -- not this", "what it shows", {}),
        ("CREATE TABLE t (a text, -- unclosed '", "", {"a": "unclosed '"}),
        ("CREATE TABLE t (a text '-- never closed", "", {}),
        ("CREATE TABLE t (a int) -- " + "x" * 100_000, "", {}),
    ],
)
def test_comments_in_the_statement(statement: str, table: str, columns: dict[str, str]) -> None:
    said = comments(statement, "sqlite")
    assert said.table == table
    assert {name: text for name, text in said.columns.items() if text} == columns
