"""Kafka, Power BI and Salesforce."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from shared.naming.level import BARE, Levels, container, dataset
from shared.naming.platforms.base import Platform


class Kafka(Platform):
    """kafka_topic as Atlas's Kafka hook spells it, `topic@cluster` (A in Atlas, not seen in Purview).

    A cluster has no type of Purview's, so a topic hangs on nothing.
    """

    name = "kafka"
    synonyms: ClassVar[Mapping[str, str]] = {"table": "topic"}
    table: ClassVar[Levels] = {
        "topic": dataset("kafka_topic", "{0}@{host}", required={"topic": "{name}", "uri": "{host}"}),
    }


class PowerBI(Platform):
    """Patterns of powerbi_dataset, powerbi_table, powerbi_column (A+); workspace, report ... captured prefixes (A).

    Paths are ids, tables names: (workspace, dataset, table), (workspace, report).
    """

    name = "powerbi"
    containers = ("workspace",)
    only_host = "app.powerbi.com"
    synonyms: ClassVar[Mapping[str, str]] = {"semantic_model": "dataset", "group": "workspace"}
    _workspace = "https://{host}/groups/{0}"
    table: ClassVar[Levels] = {
        "workspace": container("powerbi_workspace", _workspace),
        "dataset": dataset("powerbi_dataset", _workspace + "/datasets/{1}", "workspace", "workspace"),
        "table": dataset(
            "powerbi_table",
            _workspace + "/datasets/{1}#{2}",
            "dataset",
            "dataset",
            columns="powerbi_column",
            column_template=BARE,
        ),
        "report": dataset("powerbi_report", _workspace + "/reports/{1}", "workspace", "workspace"),
        "dashboard": dataset("powerbi_dashboard", _workspace + "/dashboards/{1}", "workspace", "workspace"),
        "dataflow": dataset("powerbi_dataflow", _workspace + "/dataflows/{1}", "workspace", "workspace"),
    }


class Salesforce(Platform):
    """Patterns of salesforce_object and salesforce_field (A+). The host is the organisation's id."""

    name = "salesforce"
    synonyms: ClassVar[Mapping[str, str]] = {"organization": "server", "table": "object"}
    _organization = "salesforce://organizations/{host}"
    table: ClassVar[Levels] = {
        "server": container("salesforce_organization", _organization),
        "object": dataset(
            "salesforce_object",
            _organization + "/objects/{0}",
            "server",
            "organization",
            columns="salesforce_field",
            column_template="{table}/fields/{column}",
            column_parent="object",
            listed_by="fields",
        ),
    }
