"""The registry: every platform by name, its table of levels loaded when an address first asks for it.

To add one: a class with its levels (see base.py), its source cited, and its line here. A relational system whose types
Purview does not publish needs only a line in rdbms.RELATIONAL.
"""

from __future__ import annotations

import importlib

from shared.naming.platforms.base import Platform

_HERE = "shared.naming.platforms"

#: platform name or another spelling of it -> "module:Class"
PLATFORMS: dict[str, str] = {
    "postgresql": "postgresql:PostgreSQL",
    "postgres": "postgresql:PostgreSQL",
    "mysql": "mysql:MySQL",
    "mariadb": "mysql:MySQL",
    "mssql": "mssql:SQLServer",
    "sqlserver": "mssql:SQLServer",
    "synapse": "mssql:SQLServer",
    "oracle": "databases:Oracle",
    "db2": "databases:Db2",
    "sap_hana": "databases:SapHana",
    "hana": "databases:SapHana",
    "cassandra": "databases:Cassandra",
    "mongodb": "databases:MongoDB",
    "mongo": "databases:MongoDB",
    "cosmosdb": "databases:CosmosDB",
    "azurecosmos": "databases:CosmosDB",
    "kusto": "databases:DataExplorer",
    "adx": "databases:DataExplorer",
    "azurekusto": "databases:DataExplorer",
    "snowflake": "warehouses:Snowflake",
    "bigquery": "warehouses:BigQuery",
    "teradata": "warehouses:Teradata",
    "hive": "warehouses:Hive",
    "databricks": "warehouses:Databricks",
    "unitycatalog": "warehouses:Databricks",
    "abfss": "storage:DataLakeGen2",
    "abfs": "storage:DataLakeGen2",
    "adls": "storage:DataLakeGen2",
    "wasbs": "storage:BlobStorage",
    "wasb": "storage:BlobStorage",
    "blob": "storage:BlobStorage",
    "adl": "storage:DataLakeGen1",
    "s3": "storage:S3",
    "s3a": "storage:S3",
    "s3n": "storage:S3",
    "gs": "storage:CloudStorage",
    "gcs": "storage:CloudStorage",
    "file": "storage:FileSystem",
    "hdfs": "storage:Hdfs",
    "dbfs": "storage:Dbfs",
    "kafka": "services:Kafka",
    "powerbi": "services:PowerBI",
    "salesforce": "services:Salesforce",
    "ssis": "integration:Ssis",
}

_loaded: dict[str, Platform] = {}


def find(name: str) -> Platform | None:
    """The platform of this name, or None when it is not known."""
    platform = _loaded.get(name)
    if platform is None:
        if name in PLATFORMS:
            module, _, attribute = PLATFORMS[name].partition(":")
            platform = getattr(importlib.import_module(f"{_HERE}.{module}"), attribute)()
        else:
            from shared.naming.platforms import rdbms

            if name not in rdbms.RELATIONAL:
                return None
            platform = rdbms.Relational(name)
        _loaded[name] = platform
    return platform
