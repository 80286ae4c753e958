"""The rules for references: where they point, what they may point to, and the column mapping between them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from shared.atlas.problems import nearest, refuse, shown
from shared.atlas.types import EntityType, RelationshipAttribute, TypeRegistry

NEGATIVE = re.compile(r"-[\w.-]{1,63}")  # closure.py writes it between quotes as it is
_ASSIGNED = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class _Ends(msgspec.Struct, rename="pascal"):
    source: str
    sink: str


class _Mapping(msgspec.Struct):
    datasets: _Ends = msgspec.field(name="DatasetMapping")
    columns: list[_Ends] = msgspec.field(name="ColumnMapping")


class References:
    """The references of one closure. `guids`: its entities by guid, complete before anything is asked."""

    def __init__(self, types: TypeRegistry, guids: Mapping[str, Mapping[str, Any]]) -> None:
        self.types = types
        self.guids = guids

    def relationship(self, kind: EntityType, name: str, value: Any) -> None:
        ends = kind.relationships.get(name, ())
        if value is None:
            refuse("null", f"{kind.name}.{name} is null", "leave it out to keep what is there")
        if not ends and not kind.partial:
            fix = nearest(name, kind.relationships)
            if name in kind.attributes:
                fix = f"{name!r} is a plain attribute: put it under attributes"
            refuse("unknown-attribute", f"{kind.name} has no relationship {name!r}; Atlas would ignore it", fix)
        many = {end.cardinality != "SINGLE" for end in ends}
        if many and isinstance(value, list) not in many:
            refuse(
                "reference",
                f"{kind.name}.{name} takes {'a list of references' if True in many else 'one reference'},"
                f" but has the value {shown(value)}",
                "wrap it in a list" if True in many else "take it out of the list",
            )
        for target in value if isinstance(value, list) else (value,):
            self._reference(kind, name, ends, target)

    def value(self, kind: EntityType, name: str, type_name: str, value: Any) -> None:
        """An attribute whose declared type is none of the built-in ones: an entity type, or a struct or enum."""
        if type_name in self.types:
            self._reference(kind, name, (RelationshipAttribute(name, type_name),), value)

    def _reference(self, kind: EntityType, name: str, ends: tuple[RelationshipAttribute, ...], target: Any) -> None:
        place = f"{kind.name}.{name}"
        forms = (
            'refer by {"guid"} of an entity in this message, or by {"typeName", "uniqueAttributes": {"qualifiedName"}}'
        )
        if not isinstance(target, dict):
            refuse("reference", f"{place} holds {shown(target)}, which is no reference", forms)
        guid, type_name = target.get("guid"), target.get("typeName")
        for field in ("guid", "typeName", "uniqueAttributes", "relationshipType"):
            if field in target and target[field] is None:
                refuse("null", f"{place}: {field} of a reference is null", "leave the field out")
        if guid is not None:
            if not isinstance(guid, str) or not (NEGATIVE.fullmatch(guid) or _ASSIGNED.fullmatch(guid)):
                refuse("reference", f"{place}: {shown(guid)} is no guid", forms)
            travelling = self.guids.get(guid)
            if travelling is not None:
                behind = self.types.entity(str(travelling.get("typeName")))
                if type_name is not None and behind is not None and type_name not in tuple(behind.ancestors):
                    refuse(
                        "reference-type",
                        f"{place} says that guid {guid} is a {shown(type_name)}, but it is a {behind.name}",
                        "name its type, or leave typeName out",
                    )
                type_name = travelling.get("typeName")
            elif guid.startswith("-"):
                refuse(
                    "dangling-guid",
                    f"{place} refers to guid {guid}, which is not in this closure; Atlas would drop the whole message",
                    "send both in one closure, or refer by typeName and uniqueAttributes",
                )
        else:
            unique = target.get("uniqueAttributes")
            key = unique.get("qualifiedName") if isinstance(unique, dict) else None
            if not isinstance(type_name, str) or not isinstance(key, str) or not key or key.isspace():
                refuse("reference", f"{place}: {shown(target)} says neither guid nor type and qualifiedName", forms)
        wanted = target.get("relationshipType")
        if wanted is not None:
            declared = {end.relationship_type_name for end in ends}
            if not isinstance(wanted, str) or (wanted not in declared and not kind.partial):
                refuse("reference", f"{place}: relationshipType {shown(wanted)}", nearest(str(wanted), declared))
        if type_name is not None:
            self._reference_type(kind, name, ends, type_name)

    def _reference_type(
        self, kind: EntityType, name: str, ends: tuple[RelationshipAttribute, ...], type_name: Any
    ) -> None:
        found = self.types.entity(type_name) if isinstance(type_name, str) else None
        if found is None:
            refuse(
                "unknown-type",
                f"{kind.name}.{name} refers to the type {shown(type_name)}, which there is not",
                nearest(str(type_name), self.types),
            )
        if not ends:
            return  # a relationship that is not known, of a type that is only partly known
        for end in ends:
            other = self.types.entity(end.other_end_type)
            if other is None or not found.rooted or end.other_end_type in found.ancestors:
                return
            # Atlas resolves a supertype (DataSet) to the entity of a subtype that has the name
            if type_name in other.ancestors and type_name not in ("Referenceable", "Asset"):
                return
        wanted = " or ".join(sorted({end.other_end_type for end in ends}))
        if name in ("inputs", "outputs") and "Process" in kind.ancestors:
            refuse(
                "lineage-endpoint",
                f"{name} of {kind.name} holds a {type_name}, which is no DataSet, so no end of lineage",
                "name the table, view, file or report, not its container or another process",
            )
        refuse("reference-type", f"{kind.name}.{name} takes a {wanted}, not a {type_name}", f"refer to a {wanted}")

    def column_mapping(self, value: Any, holder: Mapping[str, Any], partial: bool) -> None:
        shape = 'a JSON text: [{"DatasetMapping":{"Source","Sink"},"ColumnMapping":[{"Source","Sink"}]}]'
        try:
            mapping = msgspec.json.decode(value, type=list[_Mapping])
        except (msgspec.DecodeError, TypeError, RecursionError) as error:
            refuse("column-mapping", f"columnMapping {shown(value)} is not of its form: {error}", f"send {shape}")
        for role, end in (("Source", "inputs"), ("Sink", "outputs")):
            ends = self._end_names(holder.get(end))
            for element in mapping:
                name = getattr(element.datasets, role.lower())
                if name == "*" or ends is None or (partial and end not in holder):
                    continue
                if name not in ends:
                    refuse(
                        "column-mapping",
                        f"columnMapping names the {role} {shown(name)}, which is none of this process's {end}",
                        f"write it as the qualifiedName of one of the {end}: {nearest(name, ends)}"
                        if ends
                        else f"list it under {end}",
                    )
                if any(not getattr(edge, role.lower()).strip() for edge in element.columns):
                    refuse("column-mapping", f"columnMapping has a blank {role} column", 'write "*" for unknown')

    def _end_names(self, references: Any) -> set[str] | None:
        """Qualified names of inputs or outputs; None when one of them is only known by a guid of the catalogue."""
        names: set[str] = set()
        for target in references or ():
            if "guid" in target:
                travelling = self.guids.get(target["guid"])
                if travelling is None:
                    return None
                name = travelling["attributes"].get("qualifiedName")
                if isinstance(name, str):  # else it is refused when its turn comes
                    names.add(name)
            else:
                names.add(target["uniqueAttributes"]["qualifiedName"])
        return names
