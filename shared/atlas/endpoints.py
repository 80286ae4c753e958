"""Which asset an end of lineage is: one of this file or of our scans, one that the catalogue has, or none.

An end is looked for, in this order:

1. among what this file brings (upper and lower case do not count) and what finished scans of ours have published;
2. in the catalogue, where it can be asked (`Directory`): by its exact name, then by names that differ in upper and
   lower case only, whose spelling is adopted. A file of many is looked for as its resource set first, and a table also
   as a view, and as the same thing under Atlas's relational or our own types;
3. where it is in neither: a stub under its own name if an instance of ours is going to publish just that, else a
   placeholder, which says that it is one. Where nobody can be asked it is always a stub.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

from shared.atlas.checks import REMEMBERED
from shared.atlas.stubs import Stubs
from shared.naming import Name, NameRefused, Naming
from shared.naming.own import placeholder
from shared.naming.resource_sets import candidates
from shared.records import Address

How = Literal["known", "exact", "spelling", "resource_set", "placeholder", "stub"]
#: types that nobody but us publishes
_OURS = "hookline_"
_TABLE_LIKE = ("table", "view", "materialized_view")


class Candidate(NamedTuple):
    """One thing that an end may be. columns_attribute: by which it lists its columns; "" where it has none."""

    name: Name
    columns_attribute: str = ""


class Wanted(NamedTuple):
    """An end that is neither in the file nor published.

    name:       what it is called where nobody can be asked
    host:       of its system, as it stands in names
    candidates: what it may be, likeliest first; further: the same under other types, asked for last
    columns:    whether lineage names columns of it
    """

    name: Name
    address: Address
    host: str
    candidates: tuple[Candidate, ...]
    further: tuple[Candidate, ...] = ()
    columns: bool = False


class Answer(NamedTuple):
    """What the catalogue has for an end. name: None for nothing; several: names that differ in case only.

    columns: as the catalogue spells them; empty where they are not known.
    """

    name: Name | None
    spelled: bool = False
    columns: tuple[str, ...] = ()
    several: tuple[Name, ...] = ()


class Directory(Protocol):
    """Who knows what is in the catalogue, and what will be."""

    def ask(self, wanted: Sequence[Wanted]) -> Mapping[Name, Answer]:
        """By `Wanted.name`; what cannot be known is left out. Raises CatalogBusy."""

    def ours(self, address: Address, name: Name) -> bool:
        """Whether a configured instance is going to publish just this."""

    def refer(self, wanted: Sequence[Wanted]) -> None:
        """Note that this file needs placeholders for these. Raises StorageBusy."""


class End(NamedTuple):
    """What an end of lineage is.

    name: what a process refers to; wanted: what it is called where nobody can be asked; meant: where it lies;
    columns: their spellings in the catalogue; several: as in Answer.
    """

    name: Name
    how: How
    meant: Address
    wanted: Name
    columns: Mapping[str, str] = {}
    several: tuple[Name, ...] = ()

    def column(self, name: str) -> str:
        """The catalogue's spelling of a column."""
        return self.columns.get(name) or self.columns.get(name.casefold()) or name


class Endpoints:
    """The ends of one file's lineage.

    flavours: namings with other types, for assets that somebody has published under those.
    spelled:  an address as the file spells what is there
    ends:     foreign ends by the name they were wanted under: what a receipt counts
    """

    def __init__(
        self,
        naming: Naming,
        stubs: Stubs,
        directory: Directory | None,
        flavours: Sequence[Naming] = (),
        spelled: Callable[[Address], Address] = lambda address: address,
    ) -> None:
        self._naming = naming
        self._stubs = stubs
        self._directory = directory
        self._flavours = flavours
        self._namings = (naming, *flavours)
        self._spelled = spelled
        self._foreign: dict[Address, End] = {}
        self._told: set[int] = set()
        self._turned: set[Name] = set()
        #: how many different ends, by how they were resolved; `ambiguous` ones are counted as placeholders as well
        self.counts: dict[str, int] = {}

    def look_ahead(self, addresses: Mapping[Address, bool]) -> None:
        """Resolve all of these together. addresses: whether lineage names columns of it. Raises CatalogBusy."""
        wanted: dict[Name, Wanted] = {}
        by_name: dict[Name, list[Address]] = {}
        for address, columns in addresses.items():
            if address in self._foreign:
                continue
            try:
                one = self._wanted(address, columns=columns)
            except NameRefused:
                continue  # the process that names it is refused, with the reason
            if one is not None:
                wanted[one.name] = one if one.name not in wanted or columns else wanted[one.name]
                by_name.setdefault(one.name, []).append(address)
        if not wanted:
            return
        if len(self._foreign) > REMEMBERED:
            self._foreign.clear()
        directory = self._directory
        asked = [one for one in wanted.values() if not one.name.type_name.startswith(_OURS)]
        answers = directory.ask(asked) if directory is not None and asked else {}
        missing = []
        for name, one in wanted.items():
            answer = answers.get(name)
            end = self._end(one, answer)
            if end.how == "placeholder":
                missing.append(one)
            self._count(end, name)
            for address in by_name[name]:
                self._foreign[address] = end
        if missing and directory is not None:
            directory.refer(missing)

    def _end(self, one: Wanted, answer: Answer | None) -> End:
        if answer is None or self._directory is None:
            return End(one.name, "stub", one.address, one.name)
        if answer.name is not None:
            folded = _folded(answer.columns)
            if answer.name.type_name.endswith("_resource_set") and one.address.type == "resource_set":
                return End(answer.name, "resource_set", one.address, one.name, folded)
            how: How = "spelling" if answer.spelled else "exact"
            return End(answer.name, how, one.address, one.name, folded)
        if self._directory.ours(one.address, one.name):
            return End(one.name, "stub", one.address, one.name, several=answer.several)
        return End(placeholder(one.name), "placeholder", one.address, one.name, several=answer.several)

    def _count(self, end: End, wanted: Name) -> None:
        if hash(wanted) in self._told:
            return
        if len(self._told) <= REMEMBERED:
            self._told.add(hash(wanted))
            if end.how != "stub":
                self._turned.add(end.name)
        self.counts[end.how] = self.counts.get(end.how, 0) + 1
        if end.several:
            self.counts["ambiguous"] = self.counts.get("ambiguous", 0) + 1

    @property
    def foreign(self) -> list[End]:
        """Those that are neither in the file nor published, as far as they are remembered."""
        return list(self._foreign.values())

    def turned(self, name: Name) -> bool:
        """Whether it is what the catalogue has made of an end, which may be another one than last time."""
        return name in self._turned

    def end(self, address: Address) -> End:
        """What `address` is. Raises NameRefused for what cannot be named, or cannot be an end of lineage."""
        found = self._foreign.get(address)
        if found is not None:
            return found
        known = self._known(address, self._namings)
        if known is not None:
            return known
        self._wanted(address, columns=False)
        self.look_ahead({address: False})
        return self._foreign[address]

    # ---- what it may be

    def local(self, address: Address) -> tuple[Address, Name]:
        """What is meant by `address` without asking: a view of that name where one is known, or what it says.

        Raises NameRefused as `end` does.
        """
        found = self._known(address, (self._naming,))
        if found is not None:
            return found.meant, found.name
        self._check(address)
        return address, self._naming.name(address)

    def _known(self, address: Address, namings: Sequence[Naming]) -> End | None:
        """Of this file, or published by us: under its own types, or under those that an instance has been given."""
        found = self._there(address, namings)
        if found is None and address.path and (spelled := self._spelled(address)) != address:
            found = self._there(spelled, namings)
        return found

    def _there(self, address: Address, namings: Sequence[Naming]) -> End | None:
        for naming in namings:
            for kind in dict.fromkeys((address.type, *_TABLE_LIKE)) if address.type in _TABLE_LIKE else (address.type,):
                meant = address if kind == address.type else msgspec.structs.replace(address, type=kind)
                try:
                    name = naming.name(meant)
                except NameRefused:
                    continue
                if self._stubs.there(name):
                    return End(name, "known", meant, name)
        return None

    def _check(self, address: Address) -> None:
        level = self._naming.level(address)
        if level is None or not level.is_dataset:
            raise NameRefused(
                f"{address} cannot be an end of lineage: only datasets can (Atlas: DataSet and its subtypes)",
                fix="name the table, view, file or topic that is read or written",
            )

    def _wanted(self, address: Address, *, columns: bool) -> Wanted | None:
        """None where it is known. Raises NameRefused as `end` does."""
        if self._known(address, self._namings) is not None:
            return None
        first, *others = candidates(address)
        self._check(first)
        name = self._naming.name(first)
        if address.type in _TABLE_LIKE:
            others += [msgspec.structs.replace(address, type=kind) for kind in _TABLE_LIKE if kind != address.type]
        mine = [self._candidate(self._naming, one) for one in (first, *others)]
        further = [self._candidate(naming, first) for naming in self._flavours]
        listed = tuple(dict.fromkeys(one for one in mine if one is not None))
        return Wanted(
            name,
            first,
            self._naming.system(address)[1],
            listed,
            tuple(dict.fromkeys(one for one in further if one is not None and one not in listed)),
            columns,
        )

    @staticmethod
    def _candidate(naming: Naming, address: Address) -> Candidate | None:
        try:
            name, level = naming.name(address), naming.level(address)
        except NameRefused:
            return None
        return Candidate(name, level.columns_attribute) if level is not None and level.is_dataset else None


def _folded(columns: Iterable[str]) -> dict[str, str]:
    """Column -> its spelling, as it is and in lower case; what differs in case only has no lower case."""
    found: dict[str, str] = {}
    for column in columns:
        folded = column.casefold()
        found[folded] = "" if folded in found else column
    return {folded: column for folded, column in found.items() if column} | {column: column for column in columns}
