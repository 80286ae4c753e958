"""Records: what every source and every format yields, and all that the transform knows about the world.

A record is small, frozen, JSON (one line of a job file) and tagged by `kind`; unknown fields are refused, so that a
typo in a hand-written job file is an error and not a loss. `Address` says where a thing lives in its own system;
`shared.naming` turns it into Purview's typeName and qualifiedName.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Address(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Where something lives in its own system.

    platform: `postgresql`, `sqlite`, `mssql`, `snowflake`, `abfss` ... (shared/naming/platforms lists them)
    host:     as the source is registered, with the port where the platform's names have one: `crm.internal:5432`
    path:     from the outside in, as written in the source: `("crm", "public", "orders")`; empty for the server
    type:     what lies there, in the field's words: server, database, schema, table, view, materialized_view,
              function, procedure, collection, topic, bucket, file, dashboard, job, query ...
    """

    platform: str
    host: str = ""
    path: tuple[str, ...] = ()
    type: str = "table"

    @property
    def name(self) -> str:
        return self.path[-1] if self.path else self.host

    def at(self, *path: str, type: str = "table") -> Address:
        """An address inside this one: `server.at("crm", "public", type="schema")`."""
        return Address(self.platform, self.host, (*self.path, *path), type)

    def __str__(self) -> str:
        return f"{self.type} {'.'.join(self.path) or self.host} on {self.platform} {self.host}".rstrip()


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One column. `type` as the source spells it (`numeric(10,2)`); `path`: the fields around a nested one."""

    name: str
    type: str = ""
    nullable: bool | None = None
    description: str = ""
    key: Literal["", "primary", "unique"] = ""
    default: str = ""
    path: tuple[str, ...] = ()


class ForeignKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """`columns[i]` references `referenced_columns[i]` of `referenced`; `name` is the constraint's."""

    columns: tuple[str, ...]
    referenced: Address
    referenced_columns: tuple[str, ...] = ()
    name: str = ""


class ColumnEdge(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Values of `source.source_column` reach `target.target_column`; source_column `*` means derived or unknown."""

    source: Address
    source_column: str
    target: Address
    target_column: str
    expression: str = ""
    kind: Literal["", "copy", "derivation"] = ""


class Mention(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """What a table's name in SQL stands for, where the source knows that better than its spelling tells.

    path:    as it is spelled, with the defaults filled in
    address: a view, a partition's table, a table that a search path finds, one on another server
    columns: their names in the table's order, for stars and unqualified columns
    """

    path: tuple[str, ...]
    address: Address
    columns: tuple[str, ...] = ()


class _Described(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """Fields that every asset may have. `properties` become customAttributes: strings, shown as they are.

    statistics: volatile numbers (row estimate, bytes); shown like properties, but a change of them alone does not
    count as a change of the asset, or every scan would send every table again.
    """

    description: str = ""
    owners: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    classifications: tuple[str, ...] = ()
    properties: dict[str, str] = {}
    statistics: dict[str, str] = {}


class Container(
    _Described,
    frozen=True,
    tag_field="kind",
    tag="container",
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    gc=False,
):
    """Server, database, schema, workspace, project, bucket ... (`address.type` says which)."""

    address: Address


class Dataset(
    _Described,
    frozen=True,
    tag_field="kind",
    tag="dataset",
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    gc=False,
):
    """Table, view, collection, topic, queue, file or resource set (`address.type` says which).

    sql, dialect: a view's definition and sqlglot's name of its dialect; lineage is derived from it by the transform.
    inputs:       what the source's own dependency catalogue says a view reads; kept where the SQL is not understood.
    mentions:     what names in the SQL stand for, as far as the source knows.
    definitions:  SQL that creates the routines which the SQL calls; read along with it.
    """

    address: Address
    columns: tuple[Column, ...] = ()
    sql: str = ""
    dialect: str = ""
    inputs: tuple[Address, ...] = ()
    mentions: tuple[Mention, ...] = ()
    definitions: str = ""
    foreign_keys: tuple[ForeignKey, ...] = ()


class Report(
    _Described,
    frozen=True,
    tag_field="kind",
    tag="report",
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    gc=False,
):
    """Dashboard, sheet, look ...: an end of lineage with the datasets it shows."""

    address: Address
    columns: tuple[Column, ...] = ()
    inputs: tuple[Address, ...] = ()
    url: str = ""


class Process(
    _Described,
    frozen=True,
    tag_field="kind",
    tag="process",
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    gc=False,
):
    """Job, task, package, flow, routine: what reads inputs and writes outputs.

    sql, dialect: where lineage is to be derived from text (with the defaults for unqualified names, and `mentions` and
                  `definitions` as a Dataset has them).
    parent:       the job, package or pipeline it belongs to.
    ended, state: of the last known run: RFC 3339 time, and COMPLETE, FAIL, ABORT, RUNNING, START or "".
    """

    address: Address
    inputs: tuple[Address, ...] = ()
    outputs: tuple[Address, ...] = ()
    columns: tuple[ColumnEdge, ...] = ()
    sql: str = ""
    dialect: str = ""
    default_database: str = ""
    default_schema: str = ""
    mentions: tuple[Mention, ...] = ()
    definitions: str = ""
    parent: Address | None = None
    ended: str = ""
    state: str = ""


class Query(
    msgspec.Struct,
    frozen=True,
    tag_field="kind",
    tag="query",
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    gc=False,
):
    """One executed statement from a query history, at `address` (the server or database it ran in)."""

    address: Address
    sql: str
    dialect: str
    default_database: str = ""
    default_schema: str = ""
    user: str = ""
    time: str = ""


class Deleted(
    msgspec.Struct,
    frozen=True,
    tag_field="kind",
    tag="deleted",
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    gc=False,
):
    """An asset that the source reports as gone."""

    address: Address


class Atlas(
    msgspec.Struct,
    frozen=True,
    tag_field="kind",
    tag="atlas",
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """An entity that is already Atlas JSON (uploaded), with the entities that travel in its message.

    operation: create (an upsert, as in Atlas), update (partial: the entity must exist) or delete.
    """

    entity: dict[str, Any]
    referred: tuple[dict[str, Any], ...] = ()
    operation: Literal["create", "update", "delete"] = "create"


class Description(
    msgspec.Struct,
    frozen=True,
    tag_field="kind",
    tag="description",
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    gc=False,
):
    """What somebody who is not its source has written about a table: dbt about those that it fills.

    It brings a description, tags, and descriptions of columns, and leaves everything else of the table alone. Of the
    columns only names and descriptions count; those that the catalogue does not have stay out, and a name is taken as
    it is spelled there.
    """

    address: Address
    description: str = ""
    tags: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()


Record = Container | Dataset | Report | Process | Query | Deleted | Atlas | Description


class Found(msgspec.Struct, frozen=True, gc=False):
    """A record and the place in its file: a line number, or words such as `event 3 of the array`."""

    record: Record
    place: int | str

    @property
    def where(self) -> str:
        return f"line {self.place}" if isinstance(self.place, int) else self.place


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Something that cannot go on: where it stood, which rule refused it, why, and what to do. One line of rejected/.

    sample: the record as far as it can be shown (cut to 2,000 characters, credentials masked).
    """

    place: str
    rule: str
    reason: str
    fix: str = ""
    sample: str = ""


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """A source's word that everything yielded before this is complete: a scan can go on from `position`.

    watermark: where the next incremental scan starts, for sources that have such a thing.
    """

    position: str
    watermark: str = ""
