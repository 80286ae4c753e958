"""Assets that differ from their neighbours in name and description only: filled into a stencil instead of built.

Files, topics, collections and tables without known columns come in thousands with the same type, parent and fields.
The first of them is built, checked and encoded like everything else. A stencil is cut from it, proved on a second one,
and the rest are its bytes with their own guid, names and description. What the rules ask of such an entity beyond its
shape, a name and bounded texts, is asked of each; whatever is longer or has more to say takes the long way.
"""

from __future__ import annotations

import msgspec

from shared.atlas.bounds import text
from shared.atlas.closure import Closure, Draft, Target, encode, guid
from shared.atlas.entities import Entities
from shared.naming import Naming
from shared.naming.system import Spelled
from shared.records import Dataset

#: bytes of a filled stencil: far below every limit of the rules for a text
_BYTES = 4096
_REMEMBERED = 10_000
#: no name can hold a control character, so these stand nowhere else
_GAPS = {"guid": "\0guid", "name": "\0name", "qualifiedName": "\0qualifiedName", "description": "\0description"}


class Stencil(msgspec.Struct, frozen=True, gc=False):
    """body: with a gap (%b) each for guid, name, qualified name and, if `described`, description, as JSON."""

    body: bytes
    refers: tuple[Target, ...]


class Stencils:
    """The stencils of one file. A place that cannot have one is remembered too."""

    def __init__(self, naming: Naming, entities: Entities) -> None:
        self._naming = naming
        self._entities = entities
        self._stencils: dict[tuple[Spelled, bool], Stencil | None] = {}

    def fill(self, record: Dataset, place: int | str) -> Closure | None:
        """The closure of a plain dataset; None: it has to be built. Raises NameRefused."""
        if not is_plain(record):
            return None
        address, description = record.address, record.description
        spelled = self._naming.at(address)
        stencil = self._stencils.get((spelled, not description))
        if stencil is None:
            return None
        name = self._naming.named(address, spelled)
        number = guid(name)
        values = encode(number), encode(address.path[-1]), encode(name.qualified_name)
        body = stencil.body % ((*values, encode(text(description))) if description else values)
        if len(body) > _BYTES:
            return None
        return Closure(name, body, len(body) + 1, number, stencil.refers, place=place)

    def learn(self, record: Dataset, draft: Draft) -> None:
        """Cut a stencil for the neighbours of a record whose draft has passed the rules."""
        if not is_plain(record) or not record.address.path:
            return
        key = self._naming.at(record.address), not record.description
        if key in self._stencils:
            return
        if len(self._stencils) >= _REMEMBERED:
            self._stencils.clear()
        self._stencils[key] = stencil = _cut(draft)
        if stencil is None:
            return
        address = msgspec.structs.replace(record.address, path=(*record.address.path[:-1], "another"))
        other = msgspec.structs.replace(record, address=address)
        filled = self.fill(other, "")
        if filled is None or filled.body != encode(self._entities.dataset(other).top):
            self._stencils[key] = None


def is_plain(record: Dataset) -> bool:
    """Whether the entity holds nothing of the record but its address and description."""
    return not (
        record.columns
        or record.sql
        or record.properties
        or record.statistics
        or record.owners
        or record.tags
        or record.classifications
        or record.foreign_keys
    )


def _cut(draft: Draft) -> Stencil | None:
    top = draft.top
    attributes = {**top["attributes"], **{name: gap for name, gap in _GAPS.items() if name in top["attributes"]}}
    body = encode({**top, "guid": _GAPS["guid"], "attributes": attributes}).replace(b"%", b"%%")
    gaps = [encode(gap) for name, gap in _GAPS.items() if name == "guid" or name in attributes]
    at = [body.find(gap) for gap in gaps]
    if at != sorted(at):  # the values are filled in by their order
        return None
    for gap in gaps:
        body = body.replace(gap, b"%b", 1)
    return Stencil(body, draft.refers)
