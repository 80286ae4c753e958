"""A closure: one top-level entity and the children that travel with it in the same hook message.

References with a negative guid only resolve inside one message, so a table and its columns must stay together
(Atlas: EntityGraphDiscovery; measured). Everything else is referenced by typeName + uniqueAttributes.qualifiedName.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from shared.naming import Name

Entity = dict[str, Any]
Operation = Literal["create", "update", "delete"]

encode = msgspec.json.Encoder().encode


class Closure(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the funnel carries from records to messages.

    body:     JSON of the top-level entity; of {typeName, uniqueAttributes} for a delete; members of the message for an
              update
    size:     bytes of both and what joins them
    referred: JSON members of referredEntities (`"-12":{..},"-13":{..}`), empty when there are no children
    entities: how many entities that is
    stable:   the body without volatile statistics, where it has any
    children: qualified names of the children (all of `child_type`), for finding those that have gone
    stub:     only a name to hold on to; somebody else's asset, which is never deleted on this scope's word
    """

    name: Name
    body: bytes
    size: int
    referred: bytes = b""
    guids: tuple[str, ...] = ()
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
        return int.from_bytes(digest.digest(), "big") & ~1 | self.stub


def key(name: Name) -> int:
    """64 bits that stand for (typeName, qualifiedName) in snapshots and receipts."""
    text = f"{name.type_name}\0{name.qualified_name}".encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def guid(name: Name) -> str:
    """A negative guid that depends on nothing but the name, so that the same asset always gives the same bytes.

    40 bits of the name and five zeros: stays inside a signed 64-bit number, as Atlas's own ids do.
    Atlas takes any guid that starts with "-" as unassigned (AtlasTypeUtil.isUnAssignedGuid).
    """
    return f"-{key(name) >> 24}00000"


def child_guid(parent: str, number: int) -> str:
    """The guid of the parent's child of that number, from 1 to 99,999: its zeros are the children's room."""
    return f"{parent[:-5]}{number:05d}"


def reference(name: Name) -> Entity:
    """An object reference that resolves in any message, whenever it is sent."""
    return {"typeName": name.type_name, "uniqueAttributes": {"qualifiedName": name.qualified_name}}


def closure(
    top: Entity,
    referred: Sequence[Entity] = (),
    *,
    place: int | str = "",
    volatile: dict[str, str] | None = None,
    stub: bool = False,
) -> Closure:
    """Encode a checked entity and its children once; everything after this works on bytes.

    volatile: customAttributes that are sent but do not count as content.
    """
    name = Name(top["typeName"], top["attributes"]["qualifiedName"])
    body = encode(top)
    if not referred and not volatile:
        size = len(body) + 2
        return Closure(name=name, body=body, size=size, guids=(top["guid"],), place=place, stub=stub)
    children = b",".join([b'"%b":%b' % (child["guid"].encode(), encode(child)) for child in referred])
    stable = b""
    if volatile:
        stable = body
        body = encode({**top, "customAttributes": {**top.get("customAttributes", {}), **volatile}})
    child_type = referred[0]["typeName"] if referred else ""
    return Closure(
        name=name,
        body=body,
        size=len(body) + len(children) + 2,
        referred=children,
        guids=(top["guid"], *[child["guid"] for child in referred]),
        entities=1 + len(referred),
        stable=stable,
        child_type=child_type,
        children=tuple([c["attributes"]["qualifiedName"] for c in referred if c["typeName"] == child_type]),
        place=place,
        stub=stub,
    )


def deletion(name: Name, place: int | str = "") -> Closure:
    """A DELETE of one asset; Atlas deletes by type and unique attributes only, never by guid (measured)."""
    body = encode(reference(name))
    return Closure(name=name, body=body, size=len(body) + 2, place=place, operation="delete")


def update(name: Name, attributes: dict[str, Any], place: int | str = "") -> Closure:
    """A partial update: the entity must exist, other attributes stay as they are."""
    entity = {"entity": {"typeName": name.type_name, "attributes": attributes}, "referredEntities": {}}
    body = encode({"entityId": reference(name), "entity": entity})[1:-1]
    return Closure(name=name, body=body, size=len(body) + 2, place=place, operation="update")
