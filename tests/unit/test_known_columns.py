"""Columns of tables that a text names and does not define: the layers, what is asked of which, what stays unknown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.atlas.file_columns import FileColumns
from shared.lineage.known import TOGETHER, Known, Read, Request, Schemas
from shared.records import Address, Column

SERVER = Address("postgresql", "crm.internal", (), "server")
ORDERS, ARCHIVE = SERVER.at("crm", "public", "orders"), SERVER.at("crm", "public", "archive")


class Layer:
    """Knows what it is told to, and remembers what it was asked."""

    def __init__(self, known: Mapping[Address, Known]) -> None:
        self.known = known
        self.asked: list[list[Address]] = []

    def find(self, tables: Sequence[Address]) -> Mapping[Address, Known]:
        self.asked.append(list(tables))
        return {table: self.known[table] for table in tables if table in self.known}


def request(sql: str) -> Request:
    return Request(sql, "postgres", lambda parts: SERVER.at(*parts), "crm", "public")


def edges(read: Read) -> set[str]:
    return {
        f"{c.output.table.name}.{c.output.column} <- {i.table.name}.{i.column}"
        for c in read.lineage.columns
        for i in c.inputs
    }


def file_of(**tables: str) -> FileColumns:
    found = FileColumns()
    for name, columns in tables.items():
        found.add(SERVER.at("crm", "public", name), [Column(c) for c in columns.split()])
    return found


INSERT = "INSERT INTO archive SELECT * FROM orders"


def test_stars_positions_and_owners() -> None:
    layer = file_of(orders="id total", archive="order_id amount", people="nr name")
    read = Schemas([layer]).read_one
    assert edges(read(request(INSERT))) == {"archive.order_id <- orders.id", "archive.amount <- orders.total"}
    joined = "CREATE VIEW v AS SELECT total, name FROM orders JOIN people ON id = nr"
    assert edges(read(request(joined))) == {"v.total <- orders.total", "v.name <- people.name"}
    layer.close()


def test_the_nearer_layer_wins_and_is_asked_once_a_table() -> None:
    near, behind = Layer({ORDERS: Known(("id",))}), Layer({ORDERS: Known(("other",)), ARCHIVE: Known(("a",))})
    read = Schemas([near, behind]).read_one(request(f"{INSERT}; INSERT INTO archive SELECT id FROM orders"))
    assert edges(read) == {"archive.a <- orders.id"}
    assert sorted(a.name for asked in near.asked for a in asked) == ["archive", "orders"]
    assert [a.name for asked in behind.asked for a in asked] == ["archive"]


def test_the_far_layer_is_asked_together_and_only_for_what_is_missing() -> None:
    near = Layer({ARCHIVE: Known(("a",))})
    tables = [SERVER.at("crm", "public", f"t{n}") for n in range(TOGETHER + 50)]
    far = Layer({table: Known((f"c{n}",)) for n, table in enumerate(tables)})
    found = list(Schemas([near], far).read(request(f"CREATE VIEW v AS SELECT * FROM {t.name}") for t in tables))
    assert [len(asked) for asked in far.asked] == [TOGETHER, 50]
    assert edges(found[7] or Read(found[0].lineage)) == {"v.c7 <- t7.c7"}  # type: ignore[union-attr]
    far.asked.clear()
    list(Schemas([near], far).read([request("INSERT INTO archive SELECT a FROM archive")]))
    assert far.asked == []


def test_long_texts_are_not_gathered() -> None:
    taken: list[int] = []

    def requests() -> Iterator[Request]:
        for number in range(4):
            taken.append(number)
            yield request("CREATE VIEW v AS SELECT a.x FROM a -- " + "x" * 600_000)

    found = Schemas().read(requests())
    next(found)
    assert taken == [0]


def test_nothing_is_asked_for_nothing() -> None:
    assert list(Schemas([Layer({})], Layer({})).read([None])) == [None]


def test_an_unknown_table_is_told_where_it_matters() -> None:
    schemas = Schemas([Layer({})])
    assert schemas.read_one(request("INSERT INTO archive (a) SELECT o.id FROM orders o")).unknown == ()
    assert set(schemas.read_one(request(INSERT)).unknown) == {ORDERS, ARCHIVE}
    assert set(schemas.unknown) == {ORDERS, ARCHIVE}


def test_columns_without_an_order_count_by_name_only() -> None:
    """The catalogue tells which columns a table has, not in which order."""
    far = Layer({ORDERS: Known(("total", "id"), ordered=False)})
    star = Schemas([], far).read_one(request("CREATE VIEW v AS SELECT * FROM orders"))
    assert edges(star) == {"v.id <- orders.id", "v.total <- orders.total"}
    into = Schemas([Layer({ARCHIVE: Known(("order_id", "amount"))})], far).read_one(request(INSERT))
    assert edges(into) == set()
    assert into.unknown == (ORDERS,)
    listed = Schemas([Layer({ARCHIVE: Known(("order_id", "amount"))})], far)
    assert edges(listed.read_one(request("INSERT INTO archive SELECT id, total FROM orders"))) == {
        "archive.order_id <- orders.id",
        "archive.amount <- orders.total",
    }


def test_a_target_without_an_order_takes_the_querys_names_where_it_has_such() -> None:
    far = Layer({ORDERS: Known(("id", "total"), ordered=False), ARCHIVE: Known(("total", "id", "day"), ordered=False)})
    assert edges(Schemas([], far).read_one(request(INSERT))) == {
        "archive.id <- orders.id",
        "archive.total <- orders.total",
    }
    other = Layer({ORDERS: Known(("id", "x"), ordered=False), ARCHIVE: Known(("id", "y"), ordered=False)})
    read = Schemas([], other).read_one(request(INSERT))
    assert edges(read) == {"archive.id <- orders.id"}
    assert set(read.unknown) == {ARCHIVE, ORDERS}


def test_many_tables_without_an_order_of_two_columns_each() -> None:
    tables = [SERVER.at("crm", "public", f"t{n}") for n in range(6)]
    far = Layer({table: Known((f"a{n}", f"b{n}"), ordered=False) for n, table in enumerate(tables)})
    union = " UNION ALL ".join(f"SELECT * FROM t{n}" for n in range(6))
    assert edges(Schemas([], far).read_one(request(f"CREATE VIEW v AS {union}"))) <= {"v.a0 <- t0.a0", "v.b0 <- t0.b0"}


@settings(max_examples=40, deadline=None)
@given(st.permutations(["a", "b", "c", "d"]), st.permutations(["a", "b", "c", "d"]))
def test_whatever_order_the_catalogue_answers_in_the_edges_are_the_same(one: list[str], other: list[str]) -> None:
    union = "CREATE VIEW v AS SELECT * FROM orders UNION ALL SELECT * FROM archive"
    for sql in (union, INSERT, "CREATE VIEW v AS SELECT o.*, b FROM orders o"):
        found = [
            edges(
                Schemas([], Layer({ORDERS: Known(tuple(x), False), ARCHIVE: Known(tuple(y), False)})).read_one(
                    request(sql)
                )
            )
            for x, y in ((one, other), (other, one))
        ]
        assert found[0] == found[1]
        assert all(edge.split(" <- ")[0].split(".")[1] == edge.rsplit(".", 1)[1] for edge in found[0])


# ---- of one file


def test_names_are_found_in_any_case_and_exactly_where_two_differ_by_it() -> None:
    layer = file_of(Orders="a")
    layer.add(SERVER.at("crm", "public", "T"), [Column("upper")])
    layer.add(SERVER.at("crm", "public", "t"), [Column("lower")])
    assert layer.find([SERVER.at("CRM", "Public", "ORDERS")]) == {SERVER.at("CRM", "Public", "ORDERS"): Known(("a",))}
    assert layer.find([SERVER.at("crm", "public", "t")])[SERVER.at("crm", "public", "t")].columns == ("lower",)
    assert layer.find([SERVER.at("crm", "public", "x"), SERVER.at("other", "public", "orders")]) == {}
    layer.close()


def test_spellings_of_a_server_and_kinds_of_a_table_are_the_same_place() -> None:
    layer = file_of(orders="a")
    view = Address("postgres", "CRM.internal:5432", ("crm", "public", "orders"), "view")
    assert layer.find([view])[view].columns == ("a",)
    layer.close()


def test_said_again_the_last_counts_and_nested_columns_are_left_out() -> None:
    layer = file_of(orders="a b")
    layer.add(ORDERS, [Column("a"), Column("inner", path=("a",)), Column("c")])
    layer.add(SERVER.at("crm", "public", "empty"), [])
    assert [(row.name, row.columns) for row in layer.rows()] == [("orders", ("a", "c"))]
    layer.close()
    assert list(FileColumns().rows()) == []
    assert FileColumns().find([ORDERS]) == {}
