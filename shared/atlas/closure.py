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

    body:     JSON of the top-level entity; for a delete that of {typeName, uniqueAttributes}
    referred: JSON members of referredEntities (`"-12":{..},"-13":{..}`), empty when there are no children
    entities: how many entities that is
    content:  8 bytes over what the asset *is* (volatile statistics left out); equal content is not sent again
    children: qualified names of the children (all of `child_type`), for finding those that have gone
    stub:     only a name to hold on to; somebody else's asset, which is never deleted on this scope's word
    """

    name: Name
    body: bytes
    referred: bytes = b""
    guids: tuple[str, ...] = ()
    entities: int = 1
    content: bytes = b""
    child_type: str = ""
    children: tuple[str, ...] = ()
    place: int | str = ""
    operation: Operation = "create"
    stub: bool = False

    @property
    def mark(self) -> int:
        """`content` as a number whose lowest bit says that this is only a stub: never equal to the real asset's."""
        return int.from_bytes(self.content, "big") & ~1 | self.stub

    @property
    def size(self) -> int:
        return len(self.body) + len(self.referred) + 2


def key(name: Name) -> int:
    """64 bits that stand for (typeName, qualifiedName) in snapshots and receipts."""
    text = f"{name.type_name}\0{name.qualified_name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def guid(name: Name, child: int = 0) -> str:
    """A negative guid that depends on nothing but the name, so that the same asset always gives the same bytes.

    40 bits of the name and five digits for the child: stays inside a signed 64-bit number, as Atlas's own ids do.
    Atlas takes any guid that starts with "-" as unassigned (AtlasTypeUtil.isUnAssignedGuid).
    """
    return f"-{(key(name) >> 24) * 100_000 + child}"


def reference(name: Name) -> Entity:
    """An object reference that resolves in any message, whenever it is sent."""
    return {"typeName": name.type_name, "uniqueAttributes": {"qualifiedName": name.qualified_name}}


def closure(
    top: Entity,
    referred: Sequence[Entity] = (),
    *,
    place: int | str = "",
    volatile: dict[str, str] | None = None,
    operation: Operation = "create",
    stub: bool = False,
) -> Closure:
    """Encode a checked entity and its children once; everything after this works on bytes.

    volatile: customAttributes that are sent but do not count as content.
    """
    attributes = top["attributes"]
    name = Name(top["typeName"], attributes["qualifiedName"])
    body = encode(top)
    children = b",".join(b'"%b":%b' % (child["guid"].encode(), encode(child)) for child in referred)
    digest = hashlib.blake2b(body, digest_size=8)
    digest.update(children)
    if volatile:
        body = encode({**top, "customAttributes": {**top.get("customAttributes", {}), **volatile}})
    child_type = referred[0]["typeName"] if referred else ""
    return Closure(
        name=name,
        body=body,
        referred=children,
        guids=(top["guid"], *(child["guid"] for child in referred)),
        entities=1 + len(referred),
        content=digest.digest(),
        child_type=child_type,
        children=tuple(child["attributes"]["qualifiedName"] for child in referred if child["typeName"] == child_type),
        place=place,
        operation=operation,
        stub=stub,
    )


def deletion(name: Name, place: int | str = "") -> Closure:
    """A DELETE of one asset; Atlas deletes by type and unique attributes only, never by guid (measured)."""
    return Closure(name=name, body=encode(reference(name)), place=place, operation="delete")
