"""SQL Server and what speaks its protocol: Azure SQL, Managed Instance, Synapse, Amazon RDS.

SQL Server: captured `mssql://10.33.0.4/MSSQLSERVER/AdventureWorks2019`, tayganr/purviewcli assetDistribution.md (A),
and the pattern of mssql_view (A+). There is no mssql_server: the chain starts at the instance. Azure SQL: patterns of
azure_sql_server and azure_sql_view (A+), captured column `...#StateProvince` (A). Managed Instance: pattern of
azure_sql_mi_view (A+). Synapse: patterns of azure_synapse_dedicated_sql_view and azure_synapse_serverless_sql_view
(A+), workspace captured (A); azure_synapse_serverless_sql_db is a name without a recorded definition (C).
Amazon RDS: types recorded, names alike (C). A Fabric warehouse has no known types: rdbms_*.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from shared.naming.level import HASH, Level, Levels, container, dataset
from shared.naming.platforms import rdbms
from shared.naming.platforms.base import Platform, port, without_port

PORT = 1433
INSTANCE = "MSSQLSERVER"


def _relations(prefix: str, columns: dict[str, str], template: str) -> dict[str, Level]:
    return {
        kind: dataset(
            f"{prefix}_{kind}",
            template,
            "schema",
            "dbSchema",
            columns=columns[kind],
            column_template=HASH,
            column_parent=kind,
            data_type="data_type",
        )
        for kind in ("table", "view")
    }


def _levels(prefix: str, server: Level, server_attribute: str, *, columns: str = "column") -> Levels:
    database = server.template + "/{0}"
    return {
        "server": server,
        "database": container(f"{prefix}_db", database, "server", server_attribute),
        "schema": container(f"{prefix}_schema", database + "/{1}", "database", "db"),
        **_relations(prefix, {"table": f"{prefix}_{columns}", "view": f"{prefix}_view_column"}, database + "/{1}/{2}"),
    }


def _synapse(prefix: str) -> Levels:
    pool = "mssql://{host}/{0}"
    return {
        "server": container("azure_synapse_workspace", "https://{workspace}.azuresynapse.net"),
        "database": container(f"{prefix}_db", pool, "server", "workspace"),
        "schema": container(f"{prefix}_schema", pool + "/{1}", "database", "db"),
        **_relations(prefix, {"table": f"{prefix}_column", "view": f"{prefix}_view_column"}, pool + "/{1}/{2}"),
    }


_HOST = "mssql://{host}"
_SQL_SERVER = _levels(
    "mssql",
    container("mssql_instance", "mssql://{server}/{instance}", required={"hostname": "{host}"}),
    "instance",
)
_AZURE_SQL = _levels("azure_sql", container("azure_sql_server", _HOST), "server")
_MANAGED_INSTANCE = _levels("azure_sql_mi", container("azure_sql_mi", _HOST), "instance")
_AMAZON = _levels("aws_rds_sql", container("aws_rds_sql_server", _HOST), "server", columns="table_column")
_DEDICATED = _synapse("azure_synapse_dedicated_sql")
_SERVERLESS = _synapse("azure_synapse_serverless_sql")

_AZURE_HOST = re.compile(r"([^.]+)((?:\.[^.]+)*)\.database\.(?:windows\.net|chinacloudapi\.cn|usgovcloudapi\.net)")
_ON_DEMAND = "-ondemand"


class SQLServer(Platform):
    r"""The host may name an instance: `h`, `h:1433`, `h,1433`, `h\SQLEXPRESS`; without one it is MSSQLSERVER."""

    name = "mssql"
    containers = ("database", "schema")
    relational = True

    def host(self, host: str) -> str:
        server, _, instance = host.replace("/", "\\").partition("\\")
        server = without_port(server.replace(",", ":"), PORT)
        if not server or self.levels(server) is not _SQL_SERVER:
            return server
        return f"{server}\\{instance or INSTANCE}"

    def fields(self, host: str) -> Mapping[str, str]:
        server, _, instance = host.partition("\\")
        workspace = server.partition(".")[0].removesuffix(_ON_DEMAND)
        values = {"host": server, "server": server, "instance": instance, "workspace": workspace}
        return {field: self.escape(value) for field, value in values.items()}

    def levels(self, host: str) -> Levels:
        server = port(host.partition("\\")[0])[0].lower()
        if azure := _AZURE_HOST.fullmatch(server):
            # a managed instance has its DNS zone between its name and the domain
            return _MANAGED_INSTANCE if azure[2] else _AZURE_SQL
        if ".sql.azuresynapse." in server:
            return _SERVERLESS if server.partition(".")[0].endswith(_ON_DEMAND) else _DEDICATED
        if ".fabric.microsoft.com" in server:
            return rdbms.levels(self.containers)
        return _AMAZON if ".rds.amazonaws.com" in server else _SQL_SERVER
