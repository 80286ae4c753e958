"""What people call SQL dialects, what sqlglot calls them, and whose rules they follow. Costs nothing to import."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

#: names of products and of other tools' settings, without blanks and punctuation -> sqlglot's name
_ALIASES = {
    **dict.fromkeys(
        ("sqlserver", "mssql", "microsoftsqlserver", "azuresql", "azuresynapse", "synapse", "transactsql"), "tsql"
    ),
    **dict.fromkeys(
        ("postgresql", "pg", "plpgsql", "pgsql", "greenplum", "timescaledb", "cockroachdb", "cockroach"), "postgres"
    ),
    **dict.fromkeys(
        ("yugabytedb", "yugabyte", "alloydb", "edb", "aurorapostgresql", "hologres", "opengauss", "gaussdb"), "postgres"
    ),
    **dict.fromkeys(("plsql", "oracledb"), "oracle"),
    **dict.fromkeys(
        ("mariadb", "tidb", "aurora", "auroramysql", "percona", "vitess", "planetscale", "mysql8"), "mysql"
    ),
    **dict.fromkeys(("singlestoredb", "memsql"), "singlestore"),
    **dict.fromkeys(("sparksql", "spark3", "pyspark", "delta", "deltalake"), "spark"),
    **dict.fromkeys(("databrickssql", "unitycatalog", "dbsql"), "databricks"),
    **dict.fromkeys(("hiveql", "hql"), "hive"),
    **dict.fromkeys(("googlebigquery", "bq", "standardsql", "googlesql"), "bigquery"),
    **dict.fromkeys(("amazonredshift", "awsredshift", "redshiftserverless"), "redshift"),
    **dict.fromkeys(("awsathena", "amazonathena"), "athena"),
    **dict.fromkeys(("prestodb", "prestosql"), "presto"),
    "starburst": "trino",
    "sqlite3": "sqlite",
    "motherduck": "duckdb",
    "teradatasql": "teradata",
    **{name: name for name in ("tsql", "bigquery", "clickhouse", "duckdb", "redshift", "postgres", "mysql")},
    **dict.fromkeys(("ansi", "ansisql", "generic", "nonvalidating", "sql", "default"), ""),
}
#: systems without a grammar of their own here -> the nearest
_NEAREST = {
    **dict.fromkeys(("vertica", "netezza", "questdb", "cratedb", "h2", "denodo", "monetdb"), "postgres"),
    **dict.fromkeys(("impala", "flink", "flinksql"), "hive"),
    **dict.fromkeys(("sybase", "sapase", "ase"), "tsql"),
    **dict.fromkeys(("dameng", "dm"), "oracle"),
    "oceanbase": "mysql",
}
#: grammars that differ from the rules' owner in syntax only
_FAMILIES = {
    **dict.fromkeys(("materialize", "risingwave"), "postgres"),
    **dict.fromkeys(("singlestore", "doris", "starrocks"), "mysql"),
    **dict.fromkeys(("presto", "dune"), "trino"),
    "spark2": "spark",
    "fabric": "tsql",
}


def canonical(name: str) -> str:
    """Sqlglot's name for a dialect; a name that is not known comes back in lower case."""
    wanted = name.strip().lower()
    return _ALIASES.get(re.sub(r"[\W_]+", "", wanted), wanted)


#: what to offer where a name is not known
COMMON = (
    "tsql", "postgres", "mysql", "oracle", "snowflake", "databricks", "spark", "hive", "bigquery", "redshift", "trino",
    "athena", "sqlite", "duckdb", "clickhouse", "teradata",
)  # fmt: skip


def similar(name: str, known: Iterable[str]) -> str | None:
    """The dialect whose name, or one of whose other names, is spelled nearly like this one, versions left out."""
    bare = re.sub(r"[\W_]+|v?\d+[a-z]?$", "", name.lower())
    found = difflib.get_close_matches(bare, [*(k for k in known if k), *_ALIASES], 1, 0.8) if len(bare) > 2 else []
    return canonical(found[0]) or None if found else None


def nearest(name: str) -> str | None:
    """The dialect to read a system's SQL with that has none of its own; None where nothing is known about it."""
    return _NEAREST.get(re.sub(r"[\W_]+", "", name.lower()))


def family(dialect: str) -> str:
    """The dialect whose rules about names, scopes and defaults another one of sqlglot's follows."""
    return _FAMILIES.get(dialect, dialect)
