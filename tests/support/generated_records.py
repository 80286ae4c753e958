"""Records as hypothesis makes them: few names, so that they meet each other, and some that nothing can name."""

from __future__ import annotations

from hypothesis import strategies as st

from shared.records import (
    Address,
    Atlas,
    Column,
    ColumnEdge,
    Container,
    Dataset,
    Deleted,
    ForeignKey,
    Process,
    Query,
    Record,
    Report,
)

PLATFORMS = st.sampled_from(
    ["postgresql", "sqlite", "mssql", "mysql", "cassandra", "kafka", "abfss", "s3", "rabbitmq", "airflow"]
)
PARTS = st.sampled_from(["a", "b", "c", "Ä b", "100%", "x/y#z", "", "\x07"])
GOOD_PARTS = st.sampled_from(["a", "b", "c", "d"])
HOSTS = st.sampled_from(["h", "h.example:1433", "contoso.dfs.core.windows.net", ""])
TEXT = st.one_of(
    st.just(""), st.text(st.characters(codec="utf-8"), max_size=30), st.sampled_from(["x" * 40_000, "ä" * 20_000])
)
WORDS = st.text(st.characters(codec="utf-8"), max_size=60)


def addresses(*types: str) -> st.SearchStrategy[Address]:
    odd = st.builds(Address, PLATFORMS, HOSTS, st.lists(PARTS, max_size=4).map(tuple), st.sampled_from(types))
    common = st.builds(
        Address, st.sampled_from(["postgresql", "sqlite"]), st.just("h"),
        st.tuples(GOOD_PARTS, GOOD_PARTS, GOOD_PARTS), st.sampled_from(types),
    )  # fmt: skip
    return st.sampled_from([*[common] * 11, odd]).flatmap(lambda strategy: strategy)


TABLES = addresses("table", "view", "materialized_view", "collection", "topic", "file", "queue")
CONTAINERS = addresses("server", "database", "schema", "bucket")
JOBS = addresses("job", "task", "procedure")
DESCRIBED = {
    "description": TEXT,
    "owners": st.lists(WORDS, max_size=2).map(tuple),
    "tags": st.lists(WORDS, max_size=2).map(tuple),
    "properties": st.dictionaries(WORDS, TEXT, max_size=3),
    "statistics": st.dictionaries(st.sampled_from(["rows", "bytes"]), st.sampled_from(["1", "2"]), max_size=2),
}
COLUMNS = st.lists(
    st.builds(
        Column,
        st.one_of(GOOD_PARTS, WORDS),
        WORDS,
        st.sampled_from([None, True, False]),
        TEXT,
        st.sampled_from(["", "primary", "unique"]),
        WORDS,
    ),
    max_size=4,
    unique_by=lambda column: column.name,
).map(tuple)
SQL = st.sampled_from(
    ["", "insert into b select * from a", "create view v as select * from a.b.c join b", "select 1", "selec (", "merge"]
)
DIALECTS = st.sampled_from(["", "postgres", "sqlite", "nonsense"])
ENDS = st.lists(TABLES, max_size=3).map(tuple)

ATLAS = st.builds(
    Atlas,
    entity=st.fixed_dictionaries(
        {"typeName": st.sampled_from(["hookline_dataset", "hookline_process", "rdbms_table", "nonsense"])},
        optional={
            "guid": st.sampled_from(["-1", "-2", -1, "x", None]),
            "attributes": st.fixed_dictionaries(
                {"name": WORDS, "qualifiedName": st.sampled_from(["x://a", "x://b", "", None])},
                optional={"description": TEXT, "inputs": st.none(), "nonsense": st.just(1)},
            ),
            "relationshipAttributes": st.dictionaries(
                st.sampled_from(["container", "db", "columns"]),
                st.sampled_from([None, {"guid": "-1"}, {"guid": "-2"}, [{"guid": "-2"}], {"typeName": "x"}]),
                max_size=2,
            ),
            "labels": st.lists(WORDS, max_size=1),
        },
    ),
    operation=st.sampled_from(["create", "create", "update", "delete"]),
)

RECORDS: st.SearchStrategy[Record] = st.one_of(
    st.builds(Container, address=CONTAINERS, **DESCRIBED),
    st.builds(
        Dataset,
        address=TABLES,
        columns=COLUMNS,
        sql=SQL,
        dialect=DIALECTS,
        inputs=ENDS,
        foreign_keys=st.lists(
            st.builds(ForeignKey, st.tuples(GOOD_PARTS), TABLES, st.tuples(GOOD_PARTS), st.sampled_from(["", "k"])),
            max_size=2,
        ).map(tuple),
        **DESCRIBED,
    ),
    st.builds(Report, address=addresses("dashboard", "sheet"), columns=COLUMNS, inputs=ENDS, url=WORDS, **DESCRIBED),
    st.builds(
        Process,
        address=JOBS,
        inputs=ENDS,
        outputs=ENDS,
        columns=st.lists(
            st.builds(ColumnEdge, TABLES, st.sampled_from(["a", "*", "b"]), TABLES, st.sampled_from(["a", "b"])),
            max_size=3,
        ).map(tuple),
        sql=SQL,
        dialect=DIALECTS,
        parent=st.none() | JOBS,
        state=st.sampled_from(["", "COMPLETE"]),
        **DESCRIBED,
    ),
    st.builds(
        Query,
        address=addresses("server", "database"),
        sql=SQL,
        dialect=DIALECTS,
        default_database=st.sampled_from(["", "a"]),
        default_schema=st.sampled_from(["", "b"]),
        time=st.sampled_from(["", "2024-01-01", "2024-01-02"]),
    ),
    st.builds(Deleted, address=st.one_of(TABLES, CONTAINERS, JOBS)),
    ATLAS,
)
