"""The postgresql source on a real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from connectors.source import Selection
from connectors.sql import postgresql
from connectors.sql.base import GONE
from connectors.sql.postgresql import PostgreSQL
from shared.errors import DriverMissing, SourceRefused, SourceUnreachable
from shared.records import Column, Container, Cursor, Dataset, Process, Refusal
from shared.settings import convert
from tests.support import postgres

pytestmark = pytest.mark.server
SCRIPT = Path(__file__).with_name("postgresql.sql")


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    with postgres.database() as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(SCRIPT.read_bytes())
        yield conninfo


@pytest.fixture
def empty() -> Iterator[str]:
    with postgres.database("empty") as conninfo:
        yield conninfo


def run(conninfo: str, *statements: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def source(conninfo: str, selection: Selection | None = None, **changes: object) -> PostgreSQL:
    return PostgreSQL(convert(PostgreSQL.Settings, postgres.settings(conninfo, **changes)), selection)


def named(conninfo: str, schema: str, selection: Selection | None = None) -> dict[str, Any]:
    items = source(conninfo, selection).extract(schema)
    return {item.address.name: item for item in items if isinstance(item, (Dataset, Process))}


def relations(addresses: Any) -> list[tuple[str, str]]:
    return [(".".join(a.path[1:]), a.type) for a in addresses]


def test_scopes_are_the_schemas_that_people_made(shop: str) -> None:
    assert source(shop).scopes() == ["odd.schema", "other", "public", "sales"]
    wanted = Selection(include=("sales.*", "information_schema.tables", "*.regions"), exclude=("public.*",))
    assert source(shop, wanted).scopes() == ["information_schema", "odd.schema", "other", "sales"]
    assert "tables" in named(shop, "information_schema", wanted)


def test_containers(shop: str) -> None:
    found = [item for item in source(shop).extract("public") if isinstance(item, Container)]
    assert [item.address.type for item in found] == ["server", "database", "schema"]
    assert found[0].properties["version"]
    assert found[2].description == "Where it starts"


def test_columns(shop: str) -> None:
    table = named(shop, "sales")["customers"]
    assert (table.address.type, table.description) == ("table", "People who buy — ünïcode 😀")
    assert table.columns == (
        Column("id", "bigint", nullable=False, key="primary", default="generated always as identity"),
        Column("number", "integer", nullable=False, default="nextval('sales.customers_number_seq'::regclass)"),
        Column("email", "sales.email", nullable=False, key="unique", description="Sign-in name"),
        Column("mood", "sales.mood", nullable=True, default="'glad'::sales.mood"),
        Column("name", "character varying(40)", nullable=False, default="'x''y'::character varying"),
        Column("net", "numeric(10,2)", nullable=True),
        Column("gross", "numeric(12,2)", nullable=True, default="generated always as ((net * 1.2))"),
        Column("tags", "text[]", nullable=True),
        Column("first", "text", nullable=True),
        Column("last", "text", nullable=True),
    )
    assert table.properties == {"unique keys": "(last, first)"}


def test_foreign_keys_across_schemas(shop: str) -> None:
    keys = {key.name: key for key in named(shop, "sales")["orders"].foreign_keys}
    assert set(keys) == {"who", "where"}
    assert (keys["who"].columns, keys["who"].referenced_columns) == (("customer_id",), ("id",))
    assert relations([keys["who"].referenced]) == [("sales.customers", "table")]
    assert (keys["where"].columns, keys["where"].referenced_columns) == (("region", "country"), ("code", "country"))
    assert relations([keys["where"].referenced]) == [("other.regions", "table")]


def test_a_primary_key_does_not_contain_what_it_includes(shop: str) -> None:
    columns = named(shop, "other")["regions"].columns
    assert {column.name: column.key for column in columns} == {"country": "primary", "code": "primary", "name": ""}


def test_partitions_are_folded_into_their_table(shop: str) -> None:
    found = named(shop, "sales")
    assert "events_2024" not in found
    assert list(named(shop, "other")) == ["regions"]
    assert found["events"].properties == {"partition key": "RANGE (day)"}
    assert found["events"].statistics["partitions"] == "3"
    assert [relations([key.referenced]) for key in found["events"].foreign_keys] == [[("sales.orders", "table")]]
    assert relations(found["of_one_partition"].inputs) == [("sales.events", "table")]


def test_views_and_what_they_read(shop: str) -> None:
    found = named(shop, "sales")
    view = found["open"]
    assert (view.address.type, view.dialect, view.description) == ("view", "postgres", "Orders of customers")
    assert "JOIN sales.customers c" in view.sql  # with its schema, although the schema might be on somebody's path
    assert relations(view.inputs) == [("sales.customers", "table"), ("sales.orders", "table")]
    assert [(c.name, c.type, c.nullable, c.description) for c in view.columns] == [
        ("id", "integer", None, ""),
        ("email", "sales.email", None, "Whom to write to"),
    ]
    assert found["totals"].address.type == "materialized_view"
    assert [c.key for c in found["totals"].columns] == ["unique", ""]
    assert relations(found["totals"].inputs) == [("other.regions", "table"), ("sales.open", "view")]
    # what the server itself consists of is scanned by nobody: it is no input
    assert relations(found["chain"].inputs) == [("sales.totals", "materialized_view")]
    assert found["nothing"].inputs == ()


def test_foreign_tables_and_what_is_no_table(shop: str) -> None:
    found = named(shop, "sales")
    assert (found["remote"].address.type, found["remote"].properties) == ("table", {"foreign server": "far away"})
    assert [c.nullable for c in found["remote"].columns] == [False, True]
    assert not {"counter", "customers_number_seq", "customers_pkey", "mood"} & set(found)


def test_routines(shop: str) -> None:
    found = {name: item for name, item in named(shop, "sales").items() if isinstance(item, Process)}
    assert list(found) == [
        "c_one(internal)", "glad(sales.mood)", "load(integer)", "touch()", "twice(integer)", "twice(text)",
    ]  # fmt: skip
    load = found["load(integer)"]
    assert (load.address.type, load.dialect, load.default_schema) == ("procedure", "postgres", "sales")
    assert load.sql.startswith("CREATE OR REPLACE PROCEDURE sales.load(IN days integer)")
    assert "begin insert into sales.orders (id) select days; end" in load.sql
    assert [(one.path[1:], one.address.type) for one in load.mentions] == [(("sales", "orders"), "table")]
    assert load.mentions[0].columns == ("id", "customer_id", "region", "country")
    assert load.default_database == load.address.path[0]
    assert load.properties == {"language": "plpgsql", "arguments": "IN days integer"}
    twice = found["twice(text)"]
    assert (twice.address.type, twice.description) == ("function", "Says it twice")
    assert "select x || x" in twice.sql
    assert twice.properties == {"language": "sql", "returns": "text", "arguments": "x text"}
    assert "RETURN (m = 'glad'::sales.mood)" in found["glad(sales.mood)"].sql
    assert (found["c_one(internal)"].sql, found["c_one(internal)"].dialect) == ("", "")


def test_selection_reaches_routines_by_name(shop: str) -> None:
    found = named(shop, "sales", Selection(include=("sales.twice", "sales.orders")))
    assert list(found) == ["orders", "twice(integer)", "twice(text)"]


def test_names_that_need_quotes(shop: str) -> None:
    found = named(shop, "odd.schema")
    assert list(found) == ["Größe 😀", "a.b/c", "select"]
    assert [c.name for c in found["a.b/c"].columns] == ["x.y", 'say "hi"', "100%"]
    assert relations(found["select"].inputs) == [("odd.schema.a.b/c", "table")]
    assert found["Größe 😀"].foreign_keys[0].referenced == found["Größe 😀"].address


def test_resuming_after_names_that_need_quotes(shop: str) -> None:
    whole = [item for item in source(shop).extract("odd.schema") if isinstance(item, Dataset)]
    for n, item in enumerate(whole):
        rest = source(shop).extract("odd.schema", resume=f"relations:{item.address.name}")
        assert [one for one in rest if isinstance(one, Dataset)] == whole[n + 1 :]


def test_rows_are_an_estimate_of_the_server(empty: str) -> None:
    run(empty, "create table t as select generate_series(1, 1234) as n")
    assert named(empty, "public")["t"].statistics == {}
    run(empty, "analyze t")
    assert named(empty, "public")["t"].statistics == {"rows": "1234"}


def test_a_socket_directory_is_a_host(empty: str) -> None:
    with psycopg.connect(empty) as connection:
        [folder] = connection.execute("show unix_socket_directories").fetchone() or [""]
    folder = folder.split(",")[0].strip()
    if not Path(folder).is_dir():
        pytest.skip("the server named by HOOKLINE_TEST_POSTGRES has no socket on this machine")
    over = source(empty, host=folder)
    assert over.scopes() == ["public"]
    assert over.base().host == f"localhost:{over.settings.port}"


# ---- what changes while it is read


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "PAGE", 2)


def names_while(conninfo: str, at: str, *statements: str) -> list[Any]:
    """Everything extracted from `public`, with `statements` run as soon as the table `at` has come."""
    items = []
    for item in source(conninfo).extract("public"):
        items.append(item.address.name if isinstance(item, Dataset) else item)
        if items[-1] == at:
            run(conninfo, *statements)
    return [item for item in items if not isinstance(item, Container) and getattr(item, "position", "gone") == "gone"]


@pytest.mark.usefixtures("small_pages")
def test_a_table_dropped_during_the_scan_is_left_out(empty: str) -> None:
    run(empty, *(f"create table {name} (x int)" for name in "abcde"))
    # nothing is locked and nothing waits: the drop goes through at once
    assert names_while(empty, "a", "set lock_timeout = '1s'; drop table c") == ["a", "b", "d", "e"]


@pytest.mark.usefixtures("small_pages")
def test_a_schema_dropped_during_the_scan_is_gone(empty: str) -> None:
    run(empty, *(f"create table {name} (x int)" for name in "abcde"))
    assert names_while(empty, "a", "drop schema public cascade") == ["a", "b", GONE]


def test_what_another_session_has_locked_does_not_hold_up_the_scan(empty: str) -> None:
    run(empty, *(f"create table {name} (x int)" for name in "abc"), "create view v as select x from a")
    with psycopg.connect(empty) as other:
        other.execute("alter table a add column y int")  # the strongest lock, until it commits
        items = list(source(empty).extract("public"))
        found = {item.address.name: item for item in items if isinstance(item, Dataset)}
        assert list(found) == ["a", "b", "c"]
        assert [c.name for c in found["a"].columns] == ["x"]
        [refusal] = [item for item in items if isinstance(item, Refusal)]
        assert (refusal.place, refusal.reason.split(" on ")[0]) == ("public.v", "another session holds a lock")


def test_one_object_that_cannot_be_read_does_not_end_the_scan(empty: str) -> None:
    run(
        empty,
        *(f"create table t{n:03} (x int)" for n in range(40)),
        "create view t020v as select x from t020",
        "create function f() returns int language sql as 'select 1'",
        # damage: the view's table is no longer in the catalogue
        "delete from pg_class where relname = 't020'",
    )
    items = list(source(empty).extract("public"))
    [refusal] = [item for item in items if isinstance(item, Refusal)]
    assert (refusal.place, refusal.rule) == ("public.t020v", "source")
    assert "OID" in refusal.reason
    assert "exclude" in refusal.fix
    good = [f"t{n:03}" for n in range(40) if n != 20]
    assert [i.address.name for i in items if isinstance(i, (Dataset, Process))] == [*good, "f()"]


def test_text_that_is_no_utf8(empty: str) -> None:
    with postgres.database("bytes", encoding="SQL_ASCII", template="template0", locale="C") as conninfo:
        run(conninfo, "create table a (x int)", "create table b (x int)", "create table c (x int)")
        run(conninfo, r"do $$ begin execute E'comment on table b is \'caf\351\''; end $$")
        items = list(source(conninfo).extract("public"))
        assert [i.address.name for i in items if isinstance(i, Dataset)] == ["a", "c"]
        assert [i.place for i in items if isinstance(i, Refusal)] == ["public.b"]


# ---- what the server says no to


def test_wrong_password_names_place_and_fix(shop: str) -> None:
    with pytest.raises(SourceRefused, match="password authentication failed") as caught:
        source(shop, password="not-the-password").scopes()
    assert "not-the-password" not in str(caught.value)
    assert caught.value.where.endswith(source(shop).base().host)


@pytest.mark.parametrize("change", [{"database": "no_such_database"}, {"user": "nobody_here"}, {"sslmode": "require"}])
def test_other_refused_logins(shop: str, change: dict[str, str]) -> None:
    with psycopg.connect(shop) as connection:
        if "sslmode" in change and connection.pgconn.ssl_in_use:
            pytest.skip("the server named by HOOKLINE_TEST_POSTGRES has TLS")
    with pytest.raises(SourceRefused, match="refused the login") as caught:
        source(shop, None, **change).scopes()
    assert "pg_hba.conf" in caught.value.fix


def test_unreachable(shop: str) -> None:
    for change in ({"port": 1}, {"host": "no-such-host.invalid"}):
        with pytest.raises(SourceUnreachable, match="no connection") as caught:
            source(shop, connect_timeout_seconds=2, **change).scopes()
        assert "host and port" in caught.value.fix


def test_a_server_that_never_answers(shop: str) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        asked = source(shop, host="127.0.0.1", port=silent.getsockname()[1], connect_timeout_seconds=2)
        with pytest.raises(SourceUnreachable, match="timeout"):
            asked.scopes()


def test_a_full_server_is_busy_and_not_forbidden(shop: str) -> None:
    with postgres.role(shop, "canary-of-the-full") as name:
        run(shop, f"alter role {name} connection limit 0")
        with pytest.raises(SourceUnreachable, match="too many connections"):
            source(shop, user=name, password="canary-of-the-full").scopes()


def test_a_query_that_takes_too_long(shop: str) -> None:
    quick = source(shop, statement_timeout_seconds=0.05)
    with quick.connect() as session, pytest.raises(SourceUnreachable, match="50ms") as caught:
        quick._rows(session, "select pg_sleep(5)")
    assert caught.value.fix == "raise statement_timeout_seconds"


def test_the_connection_is_lost(shop: str) -> None:
    items = source(shop).extract("sales")
    next(items)
    run(shop, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'hookline'")
    with pytest.raises(SourceUnreachable, match="connection was lost"):
        list(items)


def test_a_role_without_any_rights_sees_everything(shop: str) -> None:
    with postgres.role(shop, "canary-of-the-poor") as name:
        poor = source(shop, user=name, password="canary-of-the-poor")
        with (
            psycopg.connect(shop, user=name, password="canary-of-the-poor") as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("select * from sales.customers")
        assert list(poor.extract("sales")) == list(source(shop).extract("sales"))
        assert all(line.ok for line in poor.check())


def test_a_catalogue_that_was_closed_names_the_grant(empty: str) -> None:
    run(empty, "revoke select on pg_constraint from public", "create table t (x int)")
    with postgres.role(empty, "canary-of-the-closed") as name:
        closed = source(empty, user=name, password="canary-of-the-closed")
        with pytest.raises(SourceRefused, match="permission denied for table pg_constraint") as caught:
            list(closed.extract("public"))
        assert name in caught.value.fix
        [bad] = [line for line in closed.check() if not line.ok]
        assert (bad.name, bad.detail) == ("catalogue", "pg_constraint")
        assert bad.fix == f"grant select on pg_catalog.pg_constraint to {name}"


def test_the_transaction_is_read_only_and_never_left_open(shop: str) -> None:
    asked = source(shop)
    with asked.connect() as session:
        with pytest.raises(Exception, match="read-only transaction"):
            asked._rows(session, "create table public.written (x int)")
        assert session.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    items = asked.extract("sales")
    for item in items:
        if isinstance(item, Dataset):
            break
    with psycopg.connect(shop) as other:
        states = other.execute("select state from pg_stat_activity where application_name = 'hookline'").fetchall()
    assert states == [("idle",)]
    items.close()  # type: ignore[attr-defined]


def test_an_abandoned_scan_leaves_no_connection(shop: str) -> None:
    items = source(shop, application_name="abandoned").extract("sales")
    next(items)
    items.close()  # type: ignore[attr-defined]
    closed = threading.Event()
    with psycopg.connect(shop, autocommit=True) as other:
        for _ in range(50):
            if not other.execute("select from pg_stat_activity where application_name = 'abandoned'").fetchall():
                closed.set()
                break
            other.execute("select pg_sleep(0.1)")
    assert closed.is_set()


def test_a_missing_driver_names_the_install_line(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(DriverMissing) as caught:
        source(shop).scopes()
    assert caught.value.fix == "pip install -r connectors/requirements/postgresql.txt"
    assert Path(caught.value.fix.split()[-1]).is_file()


def test_check_tells_version_encryption_and_schemas(shop: str) -> None:
    lines = {line.name: line for line in source(shop).check()}
    assert list(lines) == ["connection", "encryption", "catalogue", "schemas"]
    assert f" as {source(shop).settings.user}, " in lines["connection"].detail
    assert "verify-full" in lines["encryption"].detail
    assert lines["schemas"].detail == "odd.schema, other, public, sales"


def test_records_are_json(shop: str) -> None:
    for schema in source(shop).scopes():
        for item in source(shop).extract(schema):
            if not isinstance(item, (Cursor, Refusal)):
                assert msgspec.json.decode(msgspec.json.encode(item), type=type(item)) == item
