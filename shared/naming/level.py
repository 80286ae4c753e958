"""What a name is, and what an address type means in Purview: `Name`, `Level` and the error `NameRefused`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from shared.errors import HooklineError


class NameRefused(HooklineError):
    """An address that cannot be named: parts are missing, empty, or hold what no qualified name can hold."""


class Name(msgspec.Struct, frozen=True, gc=False):
    """What identifies an asset in Purview: its type and its qualified name. Upper and lower case count."""

    type_name: str
    qualified_name: str


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """One address type on one platform: which Purview type it is, how it is named, what it hangs on.

    template:          the qualified name. {host}, {platform}, {0} {1} .. the parts of the path, {path} the parts that
                       no number names, joined by /. A platform may know more fields (mssql: {instance}).
    parent:            address type of what it lies in, at the beginning of the path; "" at the top, and for our own
                       types where any container may be around it (`Naming.parent` says which).
    parent_attribute:  relationship attribute that names the parent on the child; "" when the type has none.
    relationship_type: only where two relationships declare that attribute and one has to be told.
    required:          attributes that must be there or say what it is: templates of {platform}, {host}, {name}.
    is_dataset:        a DataSet subtype, so it may be an end of lineage.
    column_type ..     columns: their type ("" when it has none), the name ({table} {column}, and what `template` may
                       hold), the relationship attribute that names the table, the attribute for the data type; and
                       `columns_attribute`, by which the table lists them.
    definition_attribute: where the SQL of a view goes; "" if that is not known.
    """

    type_name: str
    template: str
    parent: str = ""
    parent_attribute: str = ""
    relationship_type: str = ""
    required: Mapping[str, str] = {}
    is_dataset: bool = False
    column_type: str = ""
    column_template: str = ""
    column_parent_attribute: str = ""
    column_relationship_type: str = ""
    column_data_type: str = ""
    columns_attribute: str = ""
    definition_attribute: str = ""


#: address type -> Level; None for a part of the path that has no entity of its own
Levels = Mapping[str, Level | None]

#: column_template of the three styles (facts: see the platforms)
WORDS = "{table}/columns/{column}"
BARE = "{table}/{column}"
HASH = "{table}#{column}"


def container(
    type_name: str,
    template: str,
    parent: str = "",
    parent_attribute: str = "",
    required: Mapping[str, str] | None = None,
) -> Level:
    """A server, database, schema ...: holds others, cannot be an end of lineage."""
    return Level(
        type_name=type_name,
        template=template,
        parent=parent,
        parent_attribute=parent_attribute,
        required=required or {},
    )


def dataset(
    type_name: str,
    template: str,
    parent: str = "",
    parent_attribute: str = "",
    *,
    required: Mapping[str, str] | None = None,
    columns: str = "",
    column_template: str = "",
    column_parent: str = "table",
    column_relationship: str = "",
    data_type: str = "dataType",
    listed_by: str = "columns",
    definition: str = "",
) -> Level:
    """A table, view, topic, file ...: may be an end of lineage. `columns` is the type of its columns, if it has any."""
    return Level(
        type_name=type_name,
        template=template,
        parent=parent,
        parent_attribute=parent_attribute,
        required=required or {},
        is_dataset=True,
        column_type=columns,
        column_template=column_template if columns else "",
        column_parent_attribute=column_parent if columns else "",
        column_relationship_type=column_relationship,
        column_data_type=data_type if columns else "",
        columns_attribute=listed_by if columns else "",
        definition_attribute=definition,
    )
