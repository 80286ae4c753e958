"""PostgreSQL, and the managed ones of Azure and Amazon.

On a server of one's own: purviewEntityExtDef patterns of postgresql_server .. postgresql_view_column (grade A+), which
demand a port. Azure: captured estate, tayganr/purviewcli doc/commands/insight/assetDistribution.md (A), columns by
analogy with aws_rds_mysql_table_column (C). Amazon RDS: pattern of aws_rds_postgresql_server (A+), the rest alike (C).
"""

from __future__ import annotations

from shared.naming.level import HASH, WORDS, Levels, container, dataset
from shared.naming.platforms.base import Platform, with_port, without_port

PORT = 5432

_SERVER = "postgresql://servers/{host}"
_SCHEMA = _SERVER + "/dbs/{0}/schemas/{1}"

_OWN_SERVER: Levels = {
    "server": container("postgresql_server", _SERVER),
    "database": container("postgresql_db", _SERVER + "/dbs/{0}", "server", "server"),
    "schema": container("postgresql_schema", _SCHEMA, "database", "db"),
    "table": dataset(
        "postgresql_table",
        _SCHEMA + "/tables/{2}",
        "schema",
        "dbSchema",
        columns="postgresql_table_column",
        column_template=WORDS,
    ),
    "view": dataset(
        "postgresql_view",
        _SCHEMA + "/views/{2}",
        "schema",
        "dbSchema",
        columns="postgresql_view_column",
        column_template=WORDS,
        column_parent="view",
        definition="viewDefinition",
    ),
}


def _managed(prefix: str) -> Levels:
    server = "postgresql://{host}"
    levels = {
        "server": container(f"{prefix}_server", server),
        "database": container(f"{prefix}_db", server + "/{0}", "server", "server"),
        "schema": container(f"{prefix}_schema", server + "/{0}/{1}", "database", "db"),
    }
    for kind in ("table", "view"):
        levels[kind] = dataset(
            f"{prefix}_{kind}",
            server + "/{0}/{1}/{2}",
            "schema",
            "dbSchema",
            columns=f"{prefix}_{kind}_column",
            column_template=HASH,
            column_parent=kind,
        )
    return levels


_AZURE = _managed("azure_postgresql")
_AMAZON = _managed("aws_rds_postgresql")


class PostgreSQL(Platform):
    """Materialised views are views, foreign tables and partitions tables: Purview has no types for them."""

    name = "postgresql"
    containers = ("database", "schema")
    relational = True

    def host(self, host: str) -> str:
        return with_port(host, PORT) if self.levels(host) is _OWN_SERVER else without_port(host, PORT)

    def levels(self, host: str) -> Levels:
        lower = host.lower()
        if ".postgres.database." in lower or ".postgresql.database." in lower:
            return _AZURE
        return _AMAZON if ".rds.amazonaws.com" in lower else _OWN_SERVER
