"""MySQL and MariaDB, and the managed ones of Azure and Amazon.

On a server of one's own: purviewEntityExtDef patterns of mysql_server, mysql_db, mysql_table, mysql_table_column (A+),
views alike (B+). Purview does not scan MariaDB; it speaks the same protocol and gets the same types. Azure: captured
estate, tayganr/purviewcli doc/commands/insight/assetDistribution.md (A; MariaDB C), columns by analogy with Amazon's.
Amazon RDS: patterns of aws_rds_mysql_db, _table, _table_column, _view_column (A+).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from shared.naming.level import HASH, WORDS, Levels, container, dataset
from shared.naming.platforms.base import Platform, with_port, without_port

PORT = 3306

_SERVER = "mysql://servers/{host}"
_DATABASE = _SERVER + "/dbs/{0}"

_OWN_SERVER: Levels = {
    "server": container("mysql_server", _SERVER),
    "database": container("mysql_db", _DATABASE, "server", "server"),
    "table": dataset(
        "mysql_table",
        _DATABASE + "/tables/{1}",
        "database",
        "db",
        columns="mysql_table_column",
        column_template=WORDS,
    ),
    "view": dataset(
        "mysql_view",
        _DATABASE + "/views/{1}",
        "database",
        "db",
        columns="mysql_view_column",
        column_template=WORDS,
        column_parent="view",
        definition="viewDefinition",
    ),
}


def _managed(prefix: str) -> Levels:
    server = "mysql://{host}"
    levels = {
        "server": container(f"{prefix}_server", server),
        "database": container(f"{prefix}_db", server + "/{0}", "server", "server"),
    }
    for kind in ("table", "view"):
        levels[kind] = dataset(
            f"{prefix}_{kind}",
            server + "/{0}/{1}",
            "database",
            "db",
            columns=f"{prefix}_{kind}_column",
            column_template=HASH,
            column_parent=kind,
        )
    return levels


_AZURE_MYSQL = _managed("azure_mysql")
_AZURE_MARIADB = _managed("azure_mariadb")
_AMAZON = _managed("aws_rds_mysql")


class MySQL(Platform):
    """A MySQL schema is a database: paths have two parts."""

    name = "mysql"
    containers = ("database",)
    relational = True
    synonyms: ClassVar[Mapping[str, str]] = {"schema": "database"}

    def host(self, host: str) -> str:
        return with_port(host, PORT) if self.levels(host) is _OWN_SERVER else without_port(host, PORT)

    def levels(self, host: str) -> Levels:
        lower = host.lower()
        if ".mysql.database." in lower:
            return _AZURE_MYSQL
        if ".mariadb.database." in lower:
            return _AZURE_MARIADB
        return _AMAZON if ".rds.amazonaws.com" in lower else _OWN_SERVER
