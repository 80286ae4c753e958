"""Names: the recorded patterns and samples of Purview, the case file, and properties that hold for any address."""

from __future__ import annotations

import json
import pickle
import re
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shared.atlas.types import TypeRegistry
from shared.errors import HooklineError, SettingsError
from shared.naming import Level, Name, NameRefused, Naming, normalise, openlineage, spelling
from shared.naming.platforms import PLATFORMS, find
from shared.naming.platforms.rdbms import RELATIONAL
from shared.records import Address

CASES = Path(__file__).parents[1] / "cases"
PATTERNS = json.loads((CASES / "naming_patterns.json").read_text("utf-8"))["names"]


def read_cases() -> dict[str, list[tuple[str, ...]]]:
    """naming.txt by section; `-` is an empty cell, escapes are read as in Python."""
    sections: dict[str, list[tuple[str, ...]]] = {}
    for line in (CASES / "naming.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            cells = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            cells.append(tuple("" if cell == "-" else cell for cell in line.split(" | ")))
    return sections


def plain(text: str) -> str:
    return re.sub(
        r"\\(n|t|\\|x[0-9a-f]{2})",
        lambda m: {"n": "\n", "t": "\t", "\\": "\\"}.get(m[1]) or chr(int(m[1][1:], 16)),
        text,
    )


SECTIONS = read_cases()


def addressed(platform: str, host: str, path: str, kind: str) -> Address:
    parts = tuple(plain(part) for part in path.split(" > ")) if path else ()
    return Address(platform, plain(host), parts, kind)


@pytest.mark.parametrize("row", PATTERNS, ids=lambda row: f"{row['type']}-{row['address']['type']}")
def test_recorded_samples_and_patterns(row: dict[str, Any]) -> None:
    address = Address(**{**row["address"], "path": tuple(row["address"].get("path", ()))})
    naming = Naming()
    column = row.get("column")
    name = naming.column(address, column) if column else naming.name(address)
    assert name == Name(row["type"], row["sample"])
    if "pattern" not in row:
        return
    pattern = re.compile(row["pattern"].replace("(?<", "(?P<"))
    assert pattern.fullmatch(row["sample"])
    if "{36}" in row["pattern"]:
        return  # ids only
    odd = Address(address.platform, address.host, (*address.path[:-1], "a/b c#1")[: len(address.path)], address.type)
    found = naming.column(address, "x/y z") if column else naming.name(odd)
    assert pattern.fullmatch(found.qualified_name), found


@pytest.mark.parametrize("mode", ["native", "rdbms", "own"])
def test_cases(mode: Any) -> None:
    naming = Naming(mode)
    for platform, host, path, kind, type_name, qualified_name in SECTIONS[mode]:
        address = addressed(platform, host, path, kind)
        expected = Name(type_name, plain(qualified_name))
        assert naming.name(address) == expected
        assert naming.name(address) == expected, "and again, from the cache"


def test_columns() -> None:
    naming = Naming()
    for platform, host, path, kind, column, type_name, qualified_name in SECTIONS["columns"]:
        assert naming.column(addressed(platform, host, path, kind), column) == Name(type_name, qualified_name)


@pytest.mark.parametrize("case", SECTIONS["refused"], ids=lambda case: f"{case[0]}-{case[3]}-{case[2]}")
def test_refused_with_place_and_fix(case: tuple[str, ...]) -> None:
    platform, host, path, kind, what, fix = case
    naming = Naming()
    address = addressed(platform, host, path, kind)
    for _ in range(2):
        with pytest.raises(NameRefused) as refused:
            naming.name(address)
        assert plain(what) in refused.value.what
        assert plain(fix) in refused.value.fix
        assert not re.search(r"[\x00-\x1f]", refused.value.what)
        assert "secret" not in str(refused.value)


def test_normalisation_cases() -> None:
    for type_name, before, after in SECTIONS["normalise"]:
        assert normalise(type_name, plain(before)) == after
        assert normalise(type_name, after) == after


def test_openlineage_cases() -> None:
    naming = Naming()
    for namespace, name, type_name, qualified_name in SECTIONS["openlineage"]:
        address = openlineage.address(namespace, plain(name))
        assert naming.name(address) == Name(type_name, qualified_name), (namespace, name, address)


def test_openlineage_names_that_are_not_whole_say_what_is_missing() -> None:
    with pytest.raises(NameRefused, match="need 3") as refused:
        Naming().name(openlineage.address("sqlserver://h:1433", "dbo.orders"))
    assert refused.value.fix == "missing: database; the whole path is database, schema, table"


# ---- what hangs on what


def chain(naming: Naming, address: Address) -> list[str]:
    above = []
    parent = naming.parent(address)
    while parent is not None:
        above.append(naming.name(parent).qualified_name)
        parent = naming.parent(parent)
    return above


def test_the_whole_chain_up_to_the_server() -> None:
    orders = Address("postgresql", "crm", ("crm", "public", "orders"))
    server = "postgresql://servers/crm:5432"
    assert chain(Naming(), orders) == [f"{server}/dbs/crm/schemas/public", f"{server}/dbs/crm", server]
    own = "hookline://postgresql/crm:5432"
    assert chain(Naming("own"), orders) == [f"{own}/crm/public", f"{own}/crm", own]
    container = Address("abfss", "a.dfs.core.windows.net", ("c",), "container")
    assert chain(Naming(), container) == ["https://a.dfs.core.windows.net", "https://a.core.windows.net"]
    assert chain(Naming(), Address("kafka", "h:9092", ("t",), "topic")) == []
    assert chain(Naming(), Address("rabbitmq", "h", ("/", "q"), "queue")) == [
        "hookline://rabbitmq/h/%2F",
        "hookline://rabbitmq/h",
    ]
    assert chain(Naming(), Address("pubsub", "", ("p", "t"), "topic")) == ["hookline://pubsub//p"]
    assert chain(Naming(), Address("postgresql", "h", ("d", "s", "f"), "function")) == []


def test_a_schema_without_an_entity_is_left_out_of_the_chain() -> None:
    naming = Naming()
    orders = Address("sqlite", "shop", ("shop", "main", "orders"))
    schema = Address("sqlite", "shop", ("shop", "main"), "schema")
    assert naming.level(schema) is None
    assert naming.parent(schema) == Address("sqlite", "shop", ("shop",), "database")
    assert naming.parent(orders) == Address("sqlite", "shop", ("shop",), "database")
    assert chain(naming, orders) == ["sqlite://shop/shop", "sqlite://shop"]


HOSTS = {
    "postgresql": ("h", "x.postgres.database.azure.com", "x.rds.amazonaws.com"),
    "mysql": ("h", "x.mysql.database.azure.com", "x.mariadb.database.azure.com", "x.rds.amazonaws.com"),
    "mssql": (
        "h",
        "x.database.windows.net",
        "mi.zone.database.windows.net",
        "w.sql.azuresynapse.net",
        "w-ondemand.sql.azuresynapse.net",
        "x.rds.amazonaws.com",
        "x.datawarehouse.fabric.microsoft.com",
    ),
    "s3": ("", "minio:9000"),
}
#: named in Microsoft's documentation, in no recording
UNRECORDED = {"azure_synapse_serverless_sql_db", "azure_datalake_gen1_account"}
#: their parent attribute comes from a supertype that is not recorded as theirs (azure_storage_service,
#: azure_synapse_sql_schema and _table); the dedicated pool's sisters of the last two have it recorded
INHERITED = {
    "azure_datalake_gen2_service",
    "azure_synapse_serverless_sql_schema",
    "azure_synapse_serverless_sql_table",
}


def all_levels(mode: Any) -> list[tuple[Naming, Address, Level]]:
    """Every level of every platform, on every kind of host, and some address types that no table lists."""
    naming = Naming(mode)
    found = []
    for name in sorted({*PLATFORMS, *RELATIONAL, "rabbitmq"}):
        platform = find(name)
        for host in HOSTS.get(platform.name if platform else name, ("h",)):
            levels = platform.levels(platform.host(host)) if platform else {}
            listed = {kind for kind, level in levels.items() if level}
            for kind in sorted(listed | {"queue", "dashboard", "database", "folder", "sequence", "view", "job"}):
                at = [Address(name, host, ("a", "b", "c", "d")[:depth], kind) for depth in range(5)]
                levelled = next(((naming, a, level) for a in at if (level := level_at(naming, a))), None)
                assert levelled or mode == "rdbms" or kind not in listed, f"{kind} of {name}"
                found += [levelled] if levelled else []
    return found


def level_at(naming: Naming, address: Address) -> Level | None:
    try:
        return naming.level(address)
    except NameRefused:
        return None


@pytest.mark.parametrize("mode", ["native", "rdbms", "own"])
def test_levels_agree_with_the_recorded_type_definitions(mode: Any) -> None:
    types = TypeRegistry.bundled()
    levels = all_levels(mode)
    assert len({level.type_name for _, _, level in levels}) > (100 if mode == "native" else 3)
    for naming, address, level in levels:
        where = f"{address}: {level.type_name}"
        kind = types.entity(level.type_name)
        if kind is None:
            assert level.type_name in UNRECORDED, where
            continue
        if kind.rooted:
            assert ("DataSet" in kind.ancestors) == level.is_dataset, where
        if level.parent_attribute:
            ends = kind.relationships.get(level.parent_attribute, ())
            if not ends:
                assert level.type_name in INHERITED, where
                continue
            if len({end.relationship_type_name for end in ends}) > 1:
                assert level.relationship_type in {end.relationship_type_name for end in ends}, where
            parent = naming.parent(address)
            if parent is None:
                assert not address.path, where
                continue
            parent_type = naming.name(parent).type_name
            assert parent_type in UNRECORDED or any(types.is_a(parent_type, end.other_end_type) for end in ends), where
        elif not kind.partial:
            assert not kind.parents, f"{where} needs one of {set(kind.parents)}"
        for attribute, template in level.required.items():
            assert kind.partial or attribute in kind.attributes, where
            assert template.format(platform="p", host="h", name="n")
        missing = kind.required - set(level.required) - {"name", "qualifiedName"}
        assert not missing, f"{where} lacks {missing}"
        if level.definition_attribute:
            assert level.definition_attribute in kind.attributes, where
        if level.column_type:
            column = types.entity(level.column_type)
            assert column is not None, where
            known = level.type_name not in INHERITED and not level.type_name.startswith("databricks")
            assert not known or level.columns_attribute in kind.relationships, where
            ends = column.relationships.get(level.column_parent_attribute, ())
            assert ends or not known, where
            if len({end.relationship_type_name for end in ends}) > 1:
                assert level.column_relationship_type in {end.relationship_type_name for end in ends}, where
            assert column.partial or not level.column_data_type or level.column_data_type in column.attributes, where
            assert column.required <= {"name", "qualifiedName", level.column_data_type}, where


def test_every_platform_says_where_its_names_come_from() -> None:
    for name in PLATFORMS:
        platform = find(name)
        assert platform is not None
        source = f"{type(platform).__doc__} {__import__(type(platform).__module__, fromlist=['x']).__doc__}"
        assert re.search(r"\([ABC]|grade [ABC]|own types", source), name


# ---- settings


def test_an_override_changes_a_table_and_its_columns() -> None:
    naming = Naming(overrides={"postgresql.table": "pg://{host}/{0}.{1}/{2}", "shopify.table": "shopify://{host}/{0}"})
    orders = Address("postgres", "crm", ("crm", "public", "orders"))
    assert naming.name(orders) == Name("postgresql_table", "pg://crm:5432/crm.public/orders")
    assert naming.column(orders, "id").qualified_name == "pg://crm:5432/crm.public/orders/columns/id"

    view = Address("postgresql", "crm", ("crm", "public", "v"), "view")
    assert naming.name(view).qualified_name == "postgresql://servers/crm:5432/dbs/crm/schemas/public/views/v"
    assert naming.name(Address("shopify", "s", ("product",))).qualified_name == "shopify://s/product"
    collections = Naming(overrides={"mongodb.table": "m://{host}/{0}/{1}"})
    assert collections.name(Address("mongodb", "h", ("d", "c"), "collection")).qualified_name == "m://h/d/c"


@pytest.mark.parametrize(
    ("key", "template", "message"),
    [
        ("postgresql", "x/{0}/{1}/{2}", "does not say which names"),
        ("postgresql.", "x/{0}/{1}/{2}", "does not say which names"),
        ("postgresql.table", "x/{0}/{1}", "names 2 parts of the path"),
        ("postgresql.table", "x/{0}/{1}/{2}/{3}", "names 4 parts of the path"),
        ("postgresql.table", "x/{0}/{2}", "without a gap"),
        ("postgresql.table", "x/{0}/{1}/{2}/{2}", "must come only once"),
        ("postgresql.table", "x/{0}/{1}/{schema}", "unknown field {schema}"),
        ("postgresql.table", "x/{0}/{1}/{2!r}", "no `:` and no `!`"),
        ("postgresql.table", "x/{0}/{1}/{2", "is not valid"),
        ("postgresql.table", "x/{0}/{1}/{host.x}{2}", "unknown field"),
        ("postgresql.table", "x/{path}", "names 0 parts"),
        ("sqlite.schema", "x/{0}/{1}", "no entity of its own"),
        ("shopify.{x}", "x/{0}", "is no address type"),
    ],
)
def test_a_wrong_override_is_a_settings_error(key: str, template: str, message: str) -> None:
    with pytest.raises(SettingsError) as error:
        Naming(overrides={key: template})
    assert message in error.value.what
    assert error.value.where == f"names: {key}"
    assert error.value.fix


def test_unknown_types_setting() -> None:
    with pytest.raises(SettingsError, match="nativ") as error:
        Naming("nativ")  # type: ignore[arg-type]
    assert "native" in error.value.fix


# ---- limits


def test_overlong_names_are_refused_and_short_ones_are_not() -> None:
    naming = Naming()
    schema = Address("postgresql", "h", ("d", "s"), "schema")
    room = 4096 - len(naming.name(schema.at("t")).qualified_name) + 1
    assert len(naming.name(schema.at("x" * room)).qualified_name) == 4096
    for leaf in ("x" * (room + 1), "é" * (room // 2 + 1)):
        with pytest.raises(NameRefused, match="at most 4,096"):
            naming.name(schema.at(leaf))
    table = schema.at("x" * (room - 20))
    with pytest.raises(NameRefused, match="at most 4,096"):
        naming.column(table, "amount_of_something")
    with pytest.raises(NameRefused, match="at most 4,096"):
        naming.name(Address("postgresql", "h", ("d" * 4096, "s", "t")))


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\ud800"])
def test_bad_column_names(name: str) -> None:
    with pytest.raises(NameRefused):
        Naming().column(Address("postgresql", "h", ("d", "s", "t")), name)


def test_types_without_columns_refuse_them() -> None:
    with pytest.raises(NameRefused, match="kafka_topic has no columns"):
        Naming().column(Address("kafka", "h", ("t",), "topic"), "c")


def test_caches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.naming._CACHED", 10)
    naming = Naming()
    for i in range(100):
        assert naming.name(Address("postgresql", "h", ("d", f"s{i}", "t"))).qualified_name.endswith(f"s{i}/tables/t")
    assert len(naming._spelled) <= 10


def test_name_refused_is_a_hookline_error_that_travels() -> None:
    assert issubclass(NameRefused, HooklineError)
    copy = pickle.loads(pickle.dumps(NameRefused("what", fix="fix")))
    assert (type(copy), copy.what, copy.fix) == (NameRefused, "what", "fix")


# ---- properties

# what tempts a naming scheme to run parts together
TEXT = st.text(st.sampled_from("ab/\\#%{}2F5.@:[] é"), min_size=1, max_size=6).filter(lambda text: not text.isspace())
PATHS = st.lists(TEXT, min_size=1, max_size=4).map(tuple)
KINDS = st.sampled_from(["table", "queue", "topic", "exchange", "database", "dashboard", "sheet", "job", "task"])


def lookalikes(parts: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Paths that a careless scheme would call the same: escaped, run together, cut elsewhere, with a suffix."""
    found = [tuple(escape(part) for part in parts) for escape in (spelling.own, spelling.native, spelling.dotted)]
    found += [tuple(urllib.parse.unquote(part) for part in parts)]
    for separator in "/#.":
        found += [(separator.join(parts),), tuple(separator.join(parts).split(separator))]
        found += [(*parts[:-1], f"{parts[-1]}{separator}{kind}") for kind in ("table", "queue", "a")]
    return [f for f in found if all(part and not part.isspace() for part in f)]


PAIRS = PATHS.flatmap(lambda path: st.tuples(st.just(path), st.one_of(st.sampled_from(lookalikes(path)), PATHS)))


@settings(derandomize=True, max_examples=600, deadline=None)
@given(PAIRS, KINDS, KINDS, TEXT, TEXT, st.booleans())
def test_own_names_never_coincide(pair: Any, kind: str, kind_: str, host: str, host_: str, same: bool) -> None:
    if same:
        kind_, host_ = kind, host
    assume((pair[0], kind, host) != (pair[1], kind_, host_))
    assume("@" not in host + host_)
    naming = Naming()
    one, other = Address("rabbitmq", host, pair[0], kind), Address("rabbitmq", host_, pair[1], kind_)
    assert naming.name(one) != naming.name(other)


@pytest.mark.parametrize("platform", ["postgresql", "snowflake", "oracle", "mysql", "sqlite", "hive"])
@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.tuples(TEXT, TEXT, TEXT), st.data())
def test_relations_and_their_columns_never_coincide(platform: str, path: Any, data: Any) -> None:
    """For the bare and the words style; the hash style (mssql) is as ambiguous as Purview's own."""
    depth = len(find(platform).containers) + 1  # type: ignore[union-attr]
    path, column = path[:depth], path[0]
    whole = (*path, column)
    other = data.draw(st.sampled_from([f for f in lookalikes(whole) if len(f) == depth + 1] or [whole]))
    assume(other != whole)
    for mode in ("native", "rdbms", "own"):
        naming = Naming(mode)  # type: ignore[arg-type]
        one, two = Address(platform, "h", path), Address(platform, "h", other[:-1])
        assert naming.column(one, column) != naming.column(two, other[-1])
        if one != two:
            assert naming.name(one) != naming.name(two)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(PAIRS, TEXT, TEXT)
def test_own_columns_never_coincide(pair: Any, column: str, column_: str) -> None:
    assume((pair[0], column) != (pair[1], column_))
    naming = Naming()
    one, other = Address("rabbitmq", "h", pair[0], "queue"), Address("rabbitmq", "h", pair[1], "table")
    assert naming.column(one, column) != naming.column(other, column_)


NORMALISED = st.sampled_from(
    [
        "adf_copy_activity",
        "ads_share",
        "aws_s3_v2_object",
        "azure_blob_container",
        "azure_blob_path",
        "azure_cosmosdb_database",
        "azure_data_explorer_table",
        "azure_datalake_gen1_account",
        "azure_datalake_gen1_path",
        "azure_datalake_gen2_resource_set",
        "azure_sql_column",
        "azure_sql_table",
        "azure_storage_account",
        "postgresql_table",
    ]
)
# fmt: off
PIECES = st.lists(
    st.sampled_from(
        [
            "https", "HTTP", "://", "/", "//", ":", ".", " ", "\t", "[", "]", "{", "}", "A", "b", "TXT", "É", "İ",
            "urn:", "/subscriptions/", "/Providers", "/factories/", "Foo", "%7B", "\n", "adl", "Σ",
        ]
    ),
    max_size=14,
).map("".join)
# fmt: on


@settings(derandomize=True, max_examples=1500, deadline=None)
@given(NORMALISED, st.one_of(PIECES, st.text(max_size=30), PIECES.map("https://".__add__)))
def test_normalisation_is_idempotent(type_name: str, name: str) -> None:
    once = normalise(type_name, name)
    assert normalise(type_name, once) == once


@settings(derandomize=True, max_examples=300, deadline=None)
@given(
    st.sampled_from(
        [
            ("abfss", "Acct.dfs.core.windows.net", 3, "file"),
            ("wasbs", "acct.blob.core.windows.net", 2, "folder"),
            ("wasbs", "acct.blob.core.windows.net", 1, "container"),
            ("s3", "", 1, "bucket"),
            ("s3", "", 2, "file"),
            ("mssql", "S.database.windows.net", 3, "table"),
            ("cosmosdb", "a.documents.azure.com", 2, "collection"),
            ("kusto", "c.kusto.windows.net", 2, "table"),
        ]
    ),
    st.lists(st.one_of(TEXT, st.sampled_from(["Key", "data.CSV", "Orders"])), min_size=3, max_size=3),
)
def test_names_come_as_purview_stores_them(place: Any, parts: list[str]) -> None:
    """On the quick way (identifiers) as on the other."""
    platform, host, depth, kind = place
    naming = Naming()
    address = Address(platform, host, tuple(parts[:depth]), kind)
    name = naming.name(address)
    assert normalise(name.type_name, name.qualified_name) == name.qualified_name
    assert naming.name(address) == name


@settings(derandomize=True, max_examples=500, deadline=None)
@given(
    st.one_of(st.text(max_size=40), st.sampled_from(sorted(PLATFORMS)).map("{}://h/x".format), PIECES),
    st.one_of(st.text(max_size=30), PATHS.map(".".join)),
)
def test_any_openlineage_dataset_gets_a_name_or_a_reason(namespace: str, name: str) -> None:
    address = openlineage.address(namespace, name)
    try:
        named = Naming().name(address)
    except NameRefused as refused:
        assert refused.what
        assert refused.fix
    else:
        assert named.qualified_name.strip()
        assert Naming().level(address) is not None


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.tuples(TEXT, TEXT), st.tuples(TEXT, TEXT))
def test_unknown_openlineage_datasets_never_coincide(one: Any, other: Any) -> None:
    assume(one != other)
    assume(not any(":" in text or "@" in text for text in (one[0], other[0])))
    first, second = (openlineage.address(f"acme://{host}", name) for host, name in (one, other))
    assert Naming().name(first) != Naming().name(second)


# ---- aliases of hosts


@pytest.mark.parametrize(
    ("host", "written"),
    [
        ("crm-db.internal", "crm.contoso.com:5432"),
        ("CRM-DB.Internal", "crm.contoso.com:5432"),
        ("crm-db.internal:6000", "crm.contoso.com:6000"),
        ("10.1.2.3:5432", "crm.contoso.com:5432"),
        ("10.1.2.3:7777", "crm.contoso.com:9000"),
        ("10.1.2.3:1", "10.1.2.3:1"),
        ("other", "other:5432"),
    ],
)
def test_an_alias_of_a_host(host: str, written: str) -> None:
    aliases = {
        "crm-db.internal": "crm.contoso.com",
        "10.1.2.3:5432": "crm.contoso.com",
        "10.1.2.3:7777": "crm.contoso.com:9000",
    }
    server = Address("postgresql", host, (), "server")
    naming = Naming(aliases=aliases)
    table = server.at("crm", "public", "orders")
    assert naming.name(table).qualified_name.split("/")[3] == written
    assert naming.column(table, "id").qualified_name.split("/")[3] == written
    assert naming.name(server).qualified_name == f"postgresql://servers/{written}"
    assert naming.system(table) == ("postgresql", written)
    own = Naming("own", aliases=aliases).name(table).qualified_name
    assert own == f"hookline://postgresql/{written}/crm/public/orders"
