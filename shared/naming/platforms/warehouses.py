"""Snowflake, BigQuery, Teradata, Hive and Databricks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from shared.naming.level import BARE, WORDS, Levels, container, dataset
from shared.naming.platforms.base import Platform, without_port
from shared.naming.spelling import dotted


class Snowflake(Platform):
    """Patterns of snowflake_server .. snowflake_stream (A+), view columns alike (A-).

    The host is the full one, as registered: `org-account.snowflakecomputing.com` (purview-snowflake-validator).
    snowflake_view_column is recorded without a data type.
    """

    name = "snowflake"
    containers = ("database", "schema")
    relational = True
    _server = "snowflake://{host}"
    _schema = _server + "/databases/{0}/schemas/{1}"
    table: ClassVar[Levels] = {
        "server": container("snowflake_server", _server),
        "database": container("snowflake_database", _server + "/databases/{0}", "server", "server"),
        "schema": container("snowflake_schema", _schema, "database", "database"),
        "table": dataset(
            "snowflake_table",
            _schema + "/tables/{2}",
            "schema",
            "dbSchema",
            columns="snowflake_table_column",
            column_template=WORDS,
            listed_by="table_columns",
        ),
        "view": dataset(
            "snowflake_view",
            _schema + "/views/{2}",
            "schema",
            "dbSchema",
            columns="snowflake_view_column",
            column_template=WORDS,
            column_parent="view",
            data_type="",
            listed_by="view_columns",
        ),
        "stream": dataset(
            "snowflake_stream",
            _schema + "/streams/{2}",
            "schema",
            "dbSchema",
            columns="snowflake_stream_column",
            column_template=WORDS,
            column_parent="stream",
            listed_by="stream_columns",
        ),
    }

    def host(self, host: str) -> str:
        return without_port(host, 443)


class BigQuery(Platform):
    """Patterns of bigquery_project .. bigquery_table_column (A+), views alike. There is one BigQuery: no host."""

    name = "bigquery"
    containers = ("project", "dataset")
    relational = True
    only_host = "bigquery.googleapis.com"
    synonyms: ClassVar[Mapping[str, str]] = {"database": "project", "catalog": "project", "schema": "dataset"}
    _dataset = "bigquery://{0}/{1}"
    table: ClassVar[Levels] = {
        "project": container("bigquery_project", "bigquery://{0}"),
        "dataset": container("bigquery_dataset", _dataset, "project", "project"),
        "table": dataset(
            "bigquery_table",
            _dataset + "/{2}",
            "dataset",
            "dataset",
            columns="bigquery_table_column",
            column_template=BARE,
            listed_by="table_columns",
        ),
        "view": dataset(
            "bigquery_view",
            _dataset + "/{2}",
            "dataset",
            "dataset",
            columns="bigquery_view_column",
            column_template=BARE,
            column_parent="view",
            listed_by="view_columns",
        ),
    }

    def host(self, host: str) -> str:  # noqa: ARG002
        return self.only_host


class Teradata(Platform):
    """Types and parents recorded; no pattern and no sample, so the names are a guess in the bare style (C)."""

    name = "teradata"
    containers = ("database",)
    relational = True
    synonyms: ClassVar[Mapping[str, str]] = {"schema": "database"}
    _database = "teradata://{host}/{0}"
    table: ClassVar[Levels] = {
        "server": container("teradata_server", "teradata://{host}"),
        "database": container("teradata_database", _database, "server", "server"),
        "table": dataset(
            "teradata_table",
            _database + "/{1}",
            "database",
            "database",
            columns="teradata_table_column",
            column_template=BARE,
            listed_by="table_columns",
        ),
        "view": dataset(
            "teradata_view",
            _database + "/{1}",
            "database",
            "database",
            columns="teradata_view_column",
            column_template=BARE,
            column_parent="view",
            listed_by="view_columns",
        ),
    }

    def host(self, host: str) -> str:
        return without_port(host, 1025)


class Hive(Platform):
    """Hive and the Hive metastore of Databricks: `db.table.column@cluster`, captured (A).

    The host is the cluster's name, or the workspace: `adb-123.4.azuredatabricks.net`. hive_column.table is declared by
    two relationships (columns, partition keys), so references tell which.
    """

    name = "hive"
    containers = ("database",)
    relational = True
    synonyms: ClassVar[Mapping[str, str]] = {"schema": "database"}
    table: ClassVar[Levels] = {
        "database": container("hive_db", "{0}@{host}", required={"clusterName": "{host}"}),
        "table": dataset(
            "hive_table",
            "{0}.{1}@{host}",
            "database",
            "db",
            columns="hive_column",
            column_template="{0}.{1}.{column}@{host}",
            column_relationship="hive_table_columns",
            data_type="type",
        ),
        "view": dataset(
            "hive_view",
            "{0}.{1}@{host}",
            "database",
            "db",
            columns="hive_view_column",
            column_template="{0}.{1}.{column}@{host}",
            column_parent="view",
            listed_by="view_columns",
        ),
    }

    def fields(self, host: str) -> Mapping[str, str]:
        # a cluster's name is a host name: its dots separate nothing
        return {"host": host.replace("@", "%40")}

    def escape(self, part: str) -> str:
        return dotted(part)


class Databricks(Platform):
    """Unity Catalog, spelled as in the documentation of Solidatus's connector, which writes to Purview's types (B).

    The host is the metastore's id. The definitions are not public, so no parent is named. For the Hive metastore of a
    workspace use the platform `hive`.
    """

    name = "databricks"
    containers = ("catalog", "schema")
    relational = True
    synonyms: ClassVar[Mapping[str, str]] = {"database": "catalog", "metastore": "server"}
    _catalog = "databricks://{host}/catalogs/{0}"
    _schema = _catalog + "/schemas/{1}"
    table: ClassVar[Levels] = {
        "server": container("databricks_metastore", "databricks://{host}"),
        "catalog": container("databricks_catalog", _catalog),
        "schema": container("databricks_schema", _schema),
        "table": dataset(
            "databricks_table",
            _schema + "/tables/{2}",
            columns="databricks_table_column",
            column_template=WORDS,
        ),
        "view": dataset(
            "databricks_view",
            _schema + "/views/{2}",
            columns="databricks_view_column",
            column_template=WORDS,
            column_parent="view",
        ),
    }
