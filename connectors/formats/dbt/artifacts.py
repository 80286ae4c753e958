"""The fields that are read of dbt's artifacts: the same ones in every version, some under two names.

    manifest     v4 to v12 (dbt 1.0 to 1.11; dbt Fusion writes v12 under the number v20):
                 schemas.getdbt.com/dbt/manifest/v12.json; `compiled_sql` became `compiled_code` in v7
    catalog      v1: schemas.getdbt.com/dbt/catalog/v1.json
    run results  v1 to v6: schemas.getdbt.com/dbt/run-results/v6.json (`compiled_code` from v6 on)

Everything else of them is passed over. What has another type than its schema says refuses the node that has it.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

#: versions of a manifest; a newer one is read as the newest of these
OLDEST = 4
_VERSION = re.compile(r"/dbt/(manifest|catalog|run-results|sources|semantic_manifest|publication)/v(\d+)")

Texts = str | list[str] | None


class _Part(msgspec.Struct):
    pass


class Column(_Part):
    """`meta`, `tags`: config.* too from dbt 1.10 on."""

    name: str = ""
    description: str | None = None
    data_type: str | None = None
    tags: Texts = None


class DependsOn(_Part):
    nodes: list[str] | None = None


class Contract(_Part):
    enforced: bool | None = None


class Config(_Part):
    materialized: str | None = None
    meta: dict[str, Any] | None = None
    tags: Texts = None
    contract: Contract | None = None
    group: str | None = None


class TestMetadata(_Part):
    name: str = ""
    kwargs: dict[str, Any] | None = None


class Owner(_Part):
    """Of a group or an exposure."""

    name: str | None = None
    email: Texts = None


class NodeRelation(_Part):
    """Of a semantic model: the model's relation."""

    relation_name: str | None = None


class Field(_Part):
    """An entity, dimension or measure of a semantic model."""

    name: str = ""
    type: str | None = None
    agg: str | None = None
    expr: str | None = None
    description: str | None = None


class Node(_Part, omit_defaults=True):
    """A model, seed, snapshot, test, source, exposure, metric or semantic model: what is read of any of them."""

    name: str = ""
    resource_type: str = ""
    package_name: str = ""
    database: str | None = None
    schema: str | None = None
    alias: str | None = None
    identifier: str | None = None
    source_name: str | None = None
    relation_name: str | None = None
    description: str | None = None
    columns: dict[str, Column] | None = None
    meta: dict[str, Any] | None = None
    tags: Texts = None
    config: Config | None = None
    depends_on: DependsOn | None = None
    compiled_code: str | None = None
    compiled_sql: str | None = None
    language: str | None = None
    original_file_path: str | None = None
    group: str | None = None
    access: str | None = None
    version: str | float | None = None
    test_metadata: TestMetadata | None = None
    column_name: str | None = None
    attached_node: str | None = None
    loader: str | None = None
    # exposures, metrics, semantic models
    owner: Owner | None = None
    type: str | None = None
    label: str | None = None
    maturity: str | None = None
    url: str | None = None
    model: str | None = None
    expression: str | None = None
    sql: str | None = None
    calculation_method: str | None = None
    type_params: dict[str, Any] | None = None
    entities: list[Field] | None = None
    dimensions: list[Field | str] | None = None  # of a metric before v10: names
    measures: list[Field] | None = None

    @property
    def compiled(self) -> str:
        return self.compiled_code or self.compiled_sql or ""

    @property
    def all_tags(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*texts(self.tags), *texts(self.config.tags if self.config else None)]))

    @property
    def all_meta(self) -> dict[str, Any]:
        return {**((self.config.meta if self.config else None) or {}), **(self.meta or {})}

    @property
    def needs(self) -> list[str]:
        return (self.depends_on.nodes if self.depends_on else None) or []


class Group(_Part):
    name: str = ""
    owner: Owner | None = None


class CatalogMetadata(_Part):
    type: str | None = None
    database: str | None = None
    schema: str | None = None
    name: str | None = None


class CatalogColumn(_Part):
    name: str = ""
    type: str | None = None
    index: int | float | None = None
    comment: str | None = None


class CatalogTable(_Part):
    metadata: CatalogMetadata | None = None
    columns: dict[str, CatalogColumn] | None = None


class Timing(_Part):
    completed_at: str | None = None


class Result(_Part):
    unique_id: str = ""
    status: str = ""
    failures: int | None = None
    execution_time: float | None = None
    timing: list[Timing] | None = None
    compiled_code: str | None = None


def kind_of(schema: str) -> tuple[str, int]:
    """Artifact and version by `metadata.dbt_schema_version`: ("manifest", 12); ("", 0) where it is none of dbt's."""
    found = _VERSION.search(schema)
    return (found[1], int(found[2])) if found else ("", 0)


def texts(value: Texts) -> list[str]:
    """One or several, as dbt takes both."""
    return [value] if isinstance(value, str) else [text for text in value or () if text]


def people(owner: Owner | None) -> tuple[str, ...]:
    """By mail address where there is one, because that is what a catalogue can resolve."""
    if owner is None:
        return ()
    return tuple(texts(owner.email)) or ((owner.name,) if owner.name else ())


def owners(meta: dict[str, Any]) -> tuple[str, ...]:
    """`meta.owner`, by convention a text, a list, or an object with name and email."""
    said = meta.get("owner") or meta.get("owners")
    if isinstance(said, dict):
        said = said.get("email") or said.get("name")
    listed = said if isinstance(said, list) else [said]
    return tuple(one for one in listed if isinstance(one, str) and one)
