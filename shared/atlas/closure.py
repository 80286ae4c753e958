"""A closure: one asset and what travels with it, encoded once.

Atlas walks the top-level entities of a message and whatever they reach by guid; an entity of `referredEntities` that
nothing reaches is lost without a word (AtlasEntityGraphDiscoveryV2.discover). Columns name their table and the table
never its columns, so columns are top-level entities themselves: `members`. What a top-level entity does reach by guid
(in uploaded entities) stays in `referred`.

A reference by guid only resolves inside one message, one by typeName + uniqueAttributes only when its target is in the
catalogue already (REST, and hooks where shells are off). So everything here refers by name, members by guid to their
table, and `messages.Packer` writes the other form where it knows better.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal
from zlib import crc32

import msgspec

from shared.naming import Name

Entity = dict[str, Any]
Operation = Literal["create", "update", "delete"]

encode = msgspec.json.Encoder().encode


class Target(msgspec.Struct, frozen=True, gc=False):
    """Who is referred to, with the guid that we would give it."""

    name: Name
    guid: str


class Draft(msgspec.Struct, gc=False):
    """An asset before it is checked and encoded.

    top:      the entity
    members:  entities that name it by guid (columns)
    referred: entities that it reaches by guid
    refers:   to whom `top` refers by typeName and uniqueAttributes
    owns:     the members are parts of the asset, and gone when it does not list them any more
    name:     of `top`, for who knows it already
    """

    top: Entity
    members: Sequence[Entity] = ()
    referred: Sequence[Entity] = ()
    refers: tuple[Target, ...] = ()
    owns: bool = True
    name: Name | None = None


class Closure(msgspec.Struct, frozen=True, gc=False):
    """What the funnel carries from records to messages.

    body:     JSON of the top-level entity; of {typeName, uniqueAttributes} for a delete; members of the message for an
              update
    size:     bytes of all of it, with the commas between
    guid:     the entity's, also where the body does not hold it; those of what travels with it begin with its digits
    refers:   to whom `body` refers by unique attributes
    members:  JSON of each further top-level entity; they refer to the first one by guid
    referred: JSON members of referredEntities (`"-12":{..},"-13":{..}`)
    entities: how many entities all that is
    stable:   the body without volatile statistics, where it has any
    children: qualified names of the members (all of `child_type`), for finding those that have gone
    stub:     only a name to hold on to; somebody else's asset, which is never deleted on this scope's word
    """

    name: Name
    body: bytes
    size: int
    guid: str
    refers: tuple[Target, ...] = ()
    members: tuple[bytes, ...] = ()
    referred: bytes = b""
    entities: int = 1
    stable: bytes = b""
    child_type: str = ""
    children: tuple[str, ...] = ()
    place: int | str = ""
    operation: Operation = "create"
    stub: bool = False

    @property
    def mark(self) -> int:
        """64 bits of what the asset *is*, volatile statistics left out: an asset whose mark is the same is unchanged.

        The lowest bit says that this is only a stub, which is never equal to the real asset.
        """
        digest = hashlib.blake2b(self.stable or self.body, digest_size=8)
        digest.update(self.referred)
        for member in self.members:
            digest.update(member)
        return int.from_bytes(digest.digest(), "big") & ~1 | self.stub


def key(name: Name) -> int:
    """64 bits that stand for (typeName, qualifiedName) in snapshots and receipts."""
    text = f"{name.type_name}\0{name.qualified_name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def guid(name: Name) -> str:
    """A negative guid that depends on nothing but the name, so that the same asset always gives the same bytes.

    A checksum of the name and five zeros: stays inside a signed 64-bit number, as Atlas's own ids do. It only has to
    differ within one message; where it does not, `messages.Packer` opens another.
    Atlas takes any guid that starts with "-" as unassigned (AtlasTypeUtil.isUnAssignedGuid).
    """
    text = f"{name.type_name}\0{name.qualified_name}".encode("utf-8", "surrogatepass")
    return f"-{crc32(text)}00000"


def child_guid(parent: str, number: int) -> str:
    """The guid of the parent's child of that number, from 1 to 99,999: its zeros are the children's room."""
    return f"{parent[:-5]}{number:05d}"


def target(name: Name) -> Target:
    return Target(name, guid(name))


def reference(name: Name) -> Entity:
    """An object reference that resolves in any message, once the asset is in the catalogue."""
    return {"typeName": name.type_name, "uniqueAttributes": {"qualifiedName": name.qualified_name}}


def reference_by_guid(guid: str, type_name: str) -> Entity:
    """An object reference that resolves in the message which holds the entity."""
    return {"guid": guid, "typeName": type_name}


def closure(draft: Draft, place: int | str = "", volatile: dict[str, str] | None = None, stub: bool = False) -> Closure:
    """Encode a checked draft once; everything after this works on bytes.

    volatile: customAttributes that are sent but do not count as content.
    """
    top = draft.top
    name = draft.name or Name(top["typeName"], top["attributes"]["qualifiedName"])
    body = encode(top)
    stable = b""
    if volatile:
        stable = body
        body = encode({**top, "customAttributes": {**top.get("customAttributes", {}), **volatile}})
    if not draft.members and not draft.referred:
        return Closure(name, body, len(body) + 1, top["guid"], draft.refers, stable=stable, place=place, stub=stub)
    members = tuple([encode(member) for member in draft.members])
    referred = b",".join([b'"%b":%b' % (entity["guid"].encode(), encode(entity)) for entity in draft.referred])
    child_type = draft.members[0]["typeName"] if members and draft.owns else ""
    return Closure(
        name=name,
        body=body,
        size=len(body) + 1 + sum(map(len, members)) + len(members) + len(referred) + 1,
        guid=top["guid"],
        refers=draft.refers,
        members=members,
        referred=referred,
        entities=1 + len(members) + len(draft.referred),
        stable=stable,
        child_type=child_type,
        children=tuple([m["attributes"]["qualifiedName"] for m in draft.members]) if child_type else (),
        place=place,
        stub=stub,
    )


def deletion(name: Name, place: int | str = "") -> Closure:
    """A DELETE of one asset; Atlas deletes by type and unique attributes only, never by guid (measured)."""
    body = encode(reference(name))
    return Closure(name=name, body=body, size=len(body) + 1, guid=guid(name), place=place, operation="delete")


def update(
    name: Name,
    attributes: dict[str, Any],
    place: int | str = "",
    *,
    fields: Entity | None = None,
    referred: Sequence[Entity] = (),
) -> Closure:
    """A partial update: the entity must exist, what is not given stays as it is.

    fields: what else is given of the entity (relationshipAttributes, customAttributes, labels ..).
    """
    entity = {"typeName": name.type_name, "attributes": attributes, **(fields or {})}
    whole = {"entity": entity, "referredEntities": {child["guid"]: child for child in referred}}
    body = encode({"entityId": reference(name), "entity": whole})[1:-1]
    return Closure(
        name=name,
        body=body,
        size=len(body) + 1,
        guid=guid(name),
        entities=1 + len(referred),
        place=place,
        operation="update",
    )
