"""Names: from an address in its own system to what Purview calls it, typeName and qualifiedName.

    naming = Naming()
    server = Address("postgresql", "crm.internal", type="server")
    naming.name(server.at("crm", "public", "orders"))
    # postgresql_table  postgresql://servers/crm.internal:5432/dbs/crm/schemas/public/tables/orders

Qualified names must equal those of Purview's scanners character by character, or the same asset is there twice. So each
platform is a table of levels with its source (platforms/), and what is not known gets a name of our own (own.py).
`normalise` is what Purview itself does to names before it compares them; `openlineage.address` reads the names that
OpenLineage gives to datasets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from shared.naming.level import Level, Name, NameRefused
from shared.naming.normalise import normalise, normalises
from shared.naming.platforms.base import meant
from shared.naming.spelling import MAX_BYTES, checked, fits, shown
from shared.naming.system import Spelled, Systems
from shared.records import Address

__all__ = ["Level", "Name", "NameRefused", "Naming", "normalise"]

#: entries after which a cache starts again; a scope has far fewer schemas and folders
_CACHED = 65_536
#: a leaf of this many characters cannot make a name too long that was short enough before
_SHORT = MAX_BYTES // 16


class Naming:
    """Names for one instance. Safe to share between threads.

    types:     `native` Purview's own types where they are known; `rdbms` the Atlas model rdbms_* for every relational
               platform; `own` Hookline's types for everything.
    overrides: `<platform>.<address type>` -> template of the qualified name, with {host}, {platform} and the parts of
               the path {0}, {1} ..: `{"postgresql.table": "postgresql://servers/{host}/dbs/{0}/schemas/{1}/tables/{2}"}`
    aliases:   other names of hosts, in lower case -> the host as scanned (`aliases:` in hookline.yaml).

    Raises SettingsError for an override that cannot be right. The methods raise NameRefused for an address that cannot
    be named: parts missing or too many, empty, control characters, a name beyond 4 KB.
    """

    def __init__(
        self,
        types: Literal["native", "rdbms", "own"] = "native",
        overrides: Mapping[str, str] | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.types = types
        self._aliases = aliases or {}
        self._systems = Systems(types, overrides or {}, self._aliases)
        self._spelled: dict[tuple[str, str, str, tuple[str, ...]], Spelled] = {}
        self._columns: tuple[Address, str, str, str, Spelled] | None = None

    def name(self, address: Address) -> Name:
        """The typeName and qualifiedName of what lies at `address`."""
        return self.named(address, self.at(address))

    def named(self, address: Address, spelled: Spelled) -> Name:
        """The same, for who has asked for `at(address)` already."""
        path = address.path
        if path:
            leaf = path[-1]
            # Most names are identifiers: nothing to escape, nothing to refuse, nothing to normalise.
            if spelled.plain and len(leaf) <= _SHORT and leaf.isidentifier():
                return Name(spelled.type_name, spelled.prefix + leaf + spelled.tail)
        if spelled.level is None:
            raise NameRefused(
                f"{shown(address)}: it has no entity of its own, it is a part of the names of what lies in it",
                fix="name what lies in it, or the database around it",
            )
        leaf = spelled.escape(checked(path[-1], "its name", address)) if path else ""
        full = spelled.prefix + leaf + spelled.tail
        return Name(
            spelled.type_name, fits(normalise(spelled.type_name, full) if spelled.normalises else full, address)
        )

    def at(self, address: Address) -> Spelled:
        """What all addresses beside this one share."""
        path = address.path
        if not path:
            return self._systems.spell(address)
        beside = address.platform, address.host, address.type, path[:-1]
        spelled = self._spelled.get(beside)
        if spelled is None:
            spelled = self._systems.spell(address)
            if len(self._spelled) >= _CACHED:
                self._spelled.clear()
            self._spelled[beside] = spelled
        return spelled

    def host(self, address: Address) -> str:
        """The host as its source spells it, or the one that it is an alias of."""
        return meant(address.host, self._aliases) if self._aliases else address.host

    def system(self, address: Address) -> tuple[str, str]:
        """Platform and host in their one spelling: the same for all addresses of one server, aliases included."""
        system = self._systems.at(address)
        return system.name, system.host

    def level(self, address: Address) -> Level | None:
        """What the address type is in Purview; None for a part of the path that has no entity of its own.

        rdbms_* knows no schemas: there a schema is a part of its tables' names and nothing else.
        """
        return self.at(address).level

    def parent(self, address: Address) -> Address | None:
        """The address of what the entity names as its parent; None at the top, and for types that name none."""
        return self.at(address).parent

    def column(self, address: Address, column_name: str) -> Name:
        """Name of a column of the dataset at `address`; a nested one is named by its path, `order.customer.id`."""
        known = self._columns
        if known is None or known[0] is not address:
            known = self._columns = self._column_names(address)
        _, type_name, prefix, tail, spelled = known
        if column_name.isidentifier() and len(column_name) <= _SHORT and spelled.plain:
            return Name(type_name, prefix + column_name + tail)
        leaf = spelled.escape(checked(column_name, "a column's name", address))
        full = prefix + leaf + tail
        if spelled.normalises:
            full = normalise(type_name, full)
        return Name(type_name, fits(full, address))

    def _column_names(self, address: Address) -> tuple[Address, str, str, str, Spelled]:
        spelled = self.at(address)
        level = spelled.level
        if level is None or not level.column_type:
            raise NameRefused(
                f"{shown(address)}: {level.type_name if level else 'it'} has no columns",
                fix="leave the columns out; Purview keeps the schema of files and collections in entities of its own",
            )
        before, _, after = level.column_template.partition("{column}")
        parts = [spelled.escape(part) for part in address.path]
        values = {**spelled.values, "table": self.name(address).qualified_name}
        prefix, tail = before.format(*parts, **values), after.format(*parts, **values)
        changes = normalises(level.column_type)
        short = len(prefix) + len(tail) <= MAX_BYTES // 8
        of_columns = msgspec.structs.replace(spelled, normalises=changes, plain=short and not (changes and tail))
        return address, level.column_type, prefix, tail, of_columns
