"""The Atlas model rdbms_* (present in Purview), for relational systems whose own types are not known.

Definitions: apache/atlas addons/models/2000-RDBMS/2010-rdbms_model.json, and Purview's recorded typedefs. The model
prescribes no names and has no schema: here a schema is a part of the qualified name and has no entity, so a table
hangs on its database.

    redshift://h:5439   redshift://h:5439/dev   redshift://h:5439/dev/public/sales   ...#amount
"""

from __future__ import annotations

import functools

from shared.naming.level import HASH, Levels, dataset
from shared.naming.platforms.base import Platform

_THREE = ("database", "schema")
_TWO = ("database",)

#: relational systems without a class of their own -> what the outer parts of their paths are called
RELATIONAL: dict[str, tuple[str, ...]] = {
    "athena": ("catalog", "database"),
    "clickhouse": _TWO,
    "cockroachdb": _THREE,
    "crate": _THREE,
    "duckdb": _THREE,
    "exasol": ("schema",),
    "fabric-warehouse": _THREE,
    "firebird": _TWO,
    "glue": _TWO,
    "greenplum": _THREE,
    "impala": _TWO,
    "informix": _THREE,
    "netezza": _THREE,
    "oceanbase": _TWO,
    "presto": ("catalog", "schema"),
    "redshift": _THREE,
    "singlestore": _TWO,
    "spanner": _THREE,
    "sqlite": _THREE,
    "sybase": _THREE,
    "trino": ("catalog", "schema"),
    "vertica": _THREE,
}


@functools.lru_cache(maxsize=64)
def levels(containers: tuple[str, ...]) -> Levels:
    """The rdbms_* levels for paths whose outer parts are called so; the outermost is the rdbms_db."""
    server = "{platform}://{host}"
    database, *inner = containers
    table = "/".join((server, *(f"{{{number}}}" for number in range(len(containers) + 1))))
    relations = {
        kind: dataset(
            "rdbms_table",
            table,
            database,
            "db",
            required={"type": kind},
            columns="rdbms_column",
            column_template=HASH,
            data_type="data_type",
        )
        for kind in ("table", "view")
    }
    required = {"rdbms_type": "{platform}", "hostname": "{host}"}
    return {
        "server": dataset("rdbms_instance", server, required=required),
        database: dataset("rdbms_db", f"{server}/{{0}}", "server", "instance"),
        **dict.fromkeys(inner),
        **relations,
    }


class Relational(Platform):
    """A relational system by its name in RELATIONAL."""

    relational = True

    def __init__(self, name: str) -> None:
        self.name = name  # type: ignore[misc]
        self.containers = RELATIONAL[name]

    def levels(self, host: str) -> Levels:  # noqa: ARG002
        return levels(self.containers)
