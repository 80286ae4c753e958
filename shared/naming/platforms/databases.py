"""Oracle, Db2, SAP HANA, Cassandra, MongoDB, Cosmos DB and Data Explorer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from shared.naming.level import BARE, HASH, WORDS, Levels, container, dataset
from shared.naming.platforms.base import Platform, with_port, without_port


class Oracle(Platform):
    """Patterns of oracle_server, oracle_schema, oracle_table, oracle_table_column (A+), views alike.

    Purview's names have no place for the service: the path is schema and table.
    """

    name = "oracle"
    containers = ("schema",)
    relational = True
    _schema = "oracle://{host}/{0}"
    table: ClassVar[Levels] = {
        "server": container("oracle_server", "oracle://{host}"),
        "schema": container("oracle_schema", _schema, "server", "server"),
        "table": dataset(
            "oracle_table",
            _schema + "/{1}",
            "schema",
            "dbschema",
            columns="oracle_table_column",
            column_template=BARE,
            listed_by="table_columns",
        ),
        "view": dataset(
            "oracle_view",
            _schema + "/{1}",
            "schema",
            "dbschema",
            columns="oracle_view_column",
            column_template=BARE,
            column_parent="view",
            listed_by="view_columns",
        ),
    }

    def host(self, host: str) -> str:
        return without_port(host, 1521)


class Db2(Platform):
    """Patterns of db2_schema, db2_table, db2_view_column, db2_foreign_key (A+); table columns as view columns."""

    name = "db2"
    containers = ("database", "schema")
    relational = True
    _server = "db2://servers/{host}"
    _schema = _server + "/databases/{0}/schemas/{1}"
    table: ClassVar[Levels] = {
        "server": container("db2_server", _server),
        "database": container("db2_database", _server + "/databases/{0}", "server", "server"),
        "schema": container("db2_schema", _schema, "database", "database"),
        "table": dataset(
            "db2_table",
            _schema + "/tables/{2}",
            "schema",
            "dbSchema",
            columns="db2_table_column",
            column_template=WORDS,
            listed_by="table_columns",
        ),
        "view": dataset(
            "db2_view",
            _schema + "/views/{2}",
            "schema",
            "dbSchema",
            columns="db2_view_column",
            column_template=WORDS,
            column_parent="view",
            listed_by="view_columns",
        ),
    }

    def host(self, host: str) -> str:
        return with_port(host, 50000)


class SapHana(Platform):
    """Patterns of sap_hana_server, _index, _function, _view_column (A+); tables and their columns by their prefix."""

    name = "sap_hana"
    containers = ("database", "schema")
    relational = True
    _server = "sap_hana://{host}"
    _schema = _server + "/databases/{0}/schemas/{1}"
    table: ClassVar[Levels] = {
        "server": container("sap_hana_server", _server),
        "database": container("sap_hana_database", _server + "/databases/{0}", "server", "server"),
        "schema": container("sap_hana_schema", _schema, "database", "database"),
        "table": dataset(
            "sap_hana_table",
            _schema + "/tables/{2}",
            "schema",
            "dbSchema",
            columns="sap_hana_table_column",
            column_template=WORDS,
            listed_by="table_columns",
        ),
        "view": dataset(
            "sap_hana_view",
            _schema + "/views/{2}",
            "schema",
            "dbSchema",
            columns="sap_hana_view_column",
            column_template=WORDS,
            column_parent="view",
            listed_by="view_columns",
        ),
    }


class Cassandra(Platform):
    """Patterns of cassandra_keyspace, _table, _table_column, _materialized_view (A+); the host as registered.

    cassandra_table_column.table is declared by two relationships, so references tell which.
    """

    name = "cassandra"
    containers = ("keyspace",)
    synonyms: ClassVar[Mapping[str, str]] = {"cluster": "server", "schema": "keyspace", "database": "keyspace"}
    _keyspace = "cassandra://{host}/{0}"
    table: ClassVar[Levels] = {
        "server": container("cassandra_cluster", "cassandra://{host}"),
        "keyspace": container("cassandra_keyspace", _keyspace, "server", "cluster"),
        "table": dataset(
            "cassandra_table",
            _keyspace + "/{1}",
            "keyspace",
            "keyspace",
            columns="cassandra_table_column",
            column_template=BARE,
            column_relationship="cassandra_table_columns",
        ),
        "view": dataset(
            "cassandra_materialized_view",
            _keyspace + "/{1}",
            "keyspace",
            "keyspace",
            columns="cassandra_view_column",
            column_template=BARE,
            column_parent="materialized_view",
            definition="viewStatement",
        ),
    }


class MongoDB(Platform):
    """Patterns of mongodb_server, _collection, _view (A+). No columns: the schema hangs on `attachedSchema`."""

    name = "mongodb"
    containers = ("database",)
    synonyms: ClassVar[Mapping[str, str]] = {"table": "collection"}
    _database = "mongodb://{host}/databases/{0}"
    table: ClassVar[Levels] = {
        "server": container("mongodb_server", "mongodb://{host}"),
        "database": container("mongodb_database", _database, "server", "server"),
        "collection": dataset("mongodb_collection", _database + "/collections/{1}", "database", "database"),
        "view": dataset("mongodb_view", _database + "/views/{1}", "database", "database"),
    }

    def host(self, host: str) -> str:
        return without_port(host, 27017)


class CosmosDB(Platform):
    """`https://acct.documents.azure.com/dbs/db/colls/coll`: captured estate, purviewcli assetDistribution.md (A)."""

    name = "cosmosdb"
    containers = ("database",)
    synonyms: ClassVar[Mapping[str, str]] = {"account": "server", "table": "collection", "container": "collection"}
    _database = "https://{host}/dbs/{0}"
    table: ClassVar[Levels] = {
        "server": container("azure_cosmosdb_account", "https://{host}"),
        "database": container(
            "azure_cosmosdb_database", _database, "server", "account", required={"resourceLink": "dbs/{name}"}
        ),
        "collection": dataset("azure_cosmosdb_sqlapi_collection", _database + "/colls/{1}", "database", "db"),
    }

    def host(self, host: str) -> str:
        return without_port(host, 443)


class DataExplorer(Platform):
    """`https://cluster.region.kusto.windows.net/db/table`, Microsoft's documentation (A); columns are a guess (C)."""

    name = "kusto"
    containers = ("database",)
    synonyms: ClassVar[Mapping[str, str]] = {"cluster": "server"}
    _database = "https://{host}/{0}"
    table: ClassVar[Levels] = {
        "server": container("azure_data_explorer_cluster", "https://{host}"),
        "database": container("azure_data_explorer_database", _database, "server", "cluster"),
        "table": dataset(
            "azure_data_explorer_table",
            _database + "/{1}",
            "database",
            "database",
            columns="azure_data_explorer_column",
            column_template=HASH,
            data_type="",
        ),
    }

    def host(self, host: str) -> str:
        return without_port(host, 443)
