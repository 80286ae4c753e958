"""The facets that are read, as the OpenLineage specification defines them; what else an event carries is not looked at.

Definitions: https://github.com/OpenLineage/OpenLineage/tree/main/spec/facets (SchemaDatasetFacet 1-2-0,
ColumnLineageDatasetFacet 1-2-0, SymlinksDatasetFacet 1-0-1, LifecycleStateChangeDatasetFacet 1-0-1,
DatasourceDatasetFacet 1-0-1, OwnershipDatasetFacet 1-0-1, TagsDatasetFacet 1-0-0, SQLJobFacet 1-1-0,
ParentRunFacet 1-1-0). Producers write null for what they do not know, so everything but names may be missing or null.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

F = TypeVar("F", bound="Facet")


class Facet(msgspec.Struct, rename="camel"):
    """Base: a part of an event; fields that are not listed are ignored."""


class SchemaField(Facet):
    name: str
    type: str | None = None
    description: str | None = None
    fields: list[SchemaField] | None = None


class Schema(Facet):
    fields: list[SchemaField] | None = None


class Documentation(Facet):
    description: str | None = None


class Owner(Facet):
    name: str


class Ownership(Facet):
    owners: list[Owner] | None = None


class Tag(Facet):
    """`field` is set where the tag belongs to one column."""

    key: str
    value: str | None = None
    field: str | None = None


class Tags(Facet):
    tags: list[Tag] | None = None


class DataSource(Facet):
    name: str | None = None
    uri: str | None = None


class Identifier(Facet):
    namespace: str
    name: str
    type: str | None = None


class Symlinks(Facet):
    identifiers: list[Identifier] | None = None


class Lifecycle(Facet):
    lifecycle_state_change: str | None = None


class Transformation(Facet):
    type: str | None = None
    subtype: str | None = None
    description: str | None = None


class InputField(Facet):
    namespace: str
    name: str
    field: str
    transformations: list[Transformation] | None = None


class OutputField(Facet):
    """Its input fields are read one by one, so that a bad one does not hide the others."""

    input_fields: list[Any] | None = None
    transformation_description: str | None = None
    transformation_type: str | None = None


class ColumnLineage(Facet):
    """fields: output field -> OutputField; dataset: input fields that decide which rows there are."""

    fields: dict[str, Any] | None = None
    dataset: list[Any] | None = None


class Sql(Facet):
    query: str
    dialect: str | None = None


class JobType(Facet):
    integration: str | None = None
    job_type: str | None = None
    processing_type: str | None = None


class Job(Facet):
    namespace: str
    name: str


class Parent(Facet):
    job: Job


def convert(data: Any, kind: type[F], where: str, refuse: Callable[[str, str], None]) -> F | None:
    """`data` as a facet; None, and a word to `refuse(where, reason)`, where it is not what the specification says."""
    try:
        return msgspec.convert(data, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        refuse(where, str(error) or "nested too deep")
        return None


class Facets:
    """The facets of one dataset, job or run: each is read when it is asked for."""

    def __init__(self, owner: dict[str, Any], where: str, refuse: Callable[[str, str], None]) -> None:
        found = owner.get("facets")
        self._where, self._refuse = where, refuse
        self._facets: dict[str, Any] = found if isinstance(found, dict) else {}
        if found is not None and not isinstance(found, dict):
            refuse(f"{where}.facets", "Expected `object`")

    def get(self, name: str, kind: type[F]) -> F | None:
        data = self._facets.get(name)
        return None if data is None else convert(data, kind, f"{self._where}.facets.{name}", self._refuse)

    def description(self) -> str:
        about = self.get("documentation", Documentation)
        return (about.description or "").strip() if about else ""

    def owners(self) -> tuple[str, ...]:
        about = self.get("ownership", Ownership)
        return tuple(dict.fromkeys(o.name for o in about.owners or () if o.name)) if about else ()

    def tags(self) -> tuple[str, ...]:
        """`key`, or `key:value` where the value says more than that the tag is there. Not those of single columns."""
        about = self.get("tags", Tags)
        own = [t for t in (about.tags or ()) if t.key and not t.field] if about else []
        said = (t.key if (t.value or "true").lower() == "true" else f"{t.key}:{t.value}" for t in own)
        return tuple(dict.fromkeys(said))
