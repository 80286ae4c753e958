"""One system as naming sees it: a platform on a host, with the levels that apply there.

Everything here happens once per host or per parent; `Naming` keeps the result and adds the last part of the path.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from shared.errors import SettingsError
from shared.naming import own, platforms, spelling
from shared.naming.level import Level, Levels, NameRefused
from shared.naming.normalise import normalise, normalises
from shared.naming.platforms import rdbms
from shared.naming.platforms.base import Platform, meant
from shared.naming.spelling import MAX_BYTES, Escape, Template, checked, shown
from shared.records import Address

TYPES = ("native", "rdbms", "own")
#: types whose spelling is ours
_OURS = ("hookline_", "rdbms_")
_CREDENTIALS = re.compile(r"(?:\A|//)[^/@:]*:[^/]*@")
_SYSTEMS = 4096
_OVERRIDE_FIELDS = frozenset(("host", "platform"))

_parse = functools.lru_cache(maxsize=1024)(Template.parse)


class Spelled(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What addresses beside each other share: everything of their names but the last part of the path.

    Compared by identity: as long as `Naming.at` keeps one, it gives the same object for all of them.

    plain:      a last part that is an identifier can be put between prefix and tail as it is.
    normalises: Purview changes more in such names than the braces that are escaped anyway.
    """

    level: Level | None
    parent: Address | None
    type_name: str = ""
    prefix: str = ""
    tail: str = ""
    escape: Escape = spelling.native
    values: Mapping[str, str] = {}
    plain: bool = False
    normalises: bool = False


class System(msgspec.Struct, frozen=True, kw_only=True):
    """A platform on a host. `hangs`: all its types are ours, so they can name each other as parents."""

    platform: Platform | None
    name: str
    host: str
    levels: Levels
    hangs: bool

    def container_at(self, depth: int) -> str:
        """What a container at this depth of the path is called."""
        known = self.platform.containers if self.platform else ()
        return "server" if not depth else known[depth - 1] if depth <= len(known) else "container"

    def expected(self, parts: int, type: str) -> tuple[str, ...]:
        """What the parts of a path are, for a message."""
        return (*(self.container_at(depth) for depth in range(1, parts)), type) if parts else ()


class Systems:
    """All systems of one naming: `types`, `overrides` and `aliases` as `Naming` takes them."""

    def __init__(self, types: str, overrides: Mapping[str, str], aliases: Mapping[str, str]) -> None:
        if types not in TYPES:
            near = get_close_matches(types, TYPES, 1)
            raise SettingsError(
                f"types: {types!r} is none of {', '.join(TYPES)}", fix=f"did you mean {near[0]!r}?" if near else ""
            )
        self._types = types
        self._aliases = aliases
        self._known: dict[tuple[str, str], System] = {}
        self._overrides: dict[tuple[str, str], str] = {}
        for key, template in overrides.items():
            self._overrides[self._override(key, template)] = template

    # ---- settings

    def _override(self, key: str, text: str) -> tuple[str, str]:
        where = f"names: {key}"
        name, _, kind = key.partition(".")
        if not name or not kind or "." in kind:
            raise SettingsError(
                f"{key!r} does not say which names it is about",
                where=where,
                fix="write `<platform>.<address type>: <template>`, such as `postgresql.table: ...`",
            )
        try:
            template = _parse(text, _OVERRIDE_FIELDS)
        except ValueError as error:
            raise SettingsError(
                f"the template {text!r} is not valid: {error}",
                where=where,
                fix="use {host}, {platform} and the parts of the path, from the outside in: {0}, {1} ..",
            ) from error
        platform = platforms.find(name)
        levels = self._levels(platform, platform.host("")) if platform else {}
        try:
            level = self._level(platform, levels, kind, hangs=False)
        except NameRefused as error:
            raise SettingsError(error.what, where=where, fix=error.fix) from error
        if level is None:
            raise SettingsError(
                f"a {kind} of {name} has no entity of its own",
                where=where,
                fix="override the names of its tables instead",
            )
        now = self._parsed(level, _fields(platform))
        if (template.parts, template.rest) != (now.parts, now.rest) and not (template.parts and now.rest):
            raise SettingsError(
                f"the template {text!r} names {template.parts} parts of the path, a {kind} of {name} has {now.parts}",
                where=where,
                fix=f"name every part, or two assets would share a name; now it is {level.template}",
            )
        return (platform.name, platform.listed_as(kind, levels)) if platform else (name, kind)

    # ---- one system

    def at(self, address: Address) -> System:
        key = address.platform, address.host
        system = self._known.get(key)
        if system is None:
            if len(self._known) >= _SYSTEMS:
                self._known.clear()
            system = self._known[key] = self._system(*key)
        return system

    def _system(self, name: str, host: str) -> System:
        checked(name, "the platform")
        if host:
            checked(host, f"the host on {name[:80]}")
        if _CREDENTIALS.search(host):
            raise NameRefused(
                f"the host of an address on {name[:80]} holds a user and a password, which must not reach a name",
                fix="give the host and port only",
            )
        if self._aliases:
            host = meant(host, self._aliases)
        platform = platforms.find(name)
        if platform is None:
            levels = self._overridden(name, None, {})
            return System(platform=None, name=name, host=host, levels=levels, hangs=True)
        host = platform.host(host)
        return System(
            platform=platform,
            name=platform.name,
            host=host,
            levels=self._overridden(platform.name, platform, self._levels(platform, host)),
            hangs=self._types == "own",
        )

    def _levels(self, platform: Platform, host: str) -> Levels:
        if self._types == "own":
            return platform.own_levels()
        if self._types == "rdbms" and platform.relational:
            return rdbms.levels(platform.containers)
        return platform.levels(host)

    def _overridden(self, name: str, platform: Platform | None, levels: Levels) -> Levels:
        changed = dict(levels)
        for (of, kind), template in self._overrides.items():
            if of == name:
                level = self._level(platform, levels, kind, hangs=platform is None)
                if level is not None:
                    changed[kind] = msgspec.structs.replace(level, template=template)
        return changed

    @staticmethod
    def _level(platform: Platform | None, levels: Levels, type: str, *, hangs: bool) -> Level | None:
        if type in own.PROCESSES and type not in levels:
            return own.fallback(type, hangs=False)
        listed = platform.listed_as(type, levels) if platform else type
        return levels[listed] if listed in levels else own.fallback(type, hangs=hangs)

    @staticmethod
    def _parsed(level: Level, fields: frozenset[str]) -> Template:
        return _parse(level.template, fields)

    # ---- one place in a system

    def spell(self, address: Address) -> Spelled:
        """Raises NameRefused, see Naming."""
        system, path = self.at(address), address.path
        level = self._level(system.platform, system.levels, address.type, hangs=system.hangs)
        if level is None:
            return Spelled(level=None, parent=self._around(system, address))
        ours = level.type_name.startswith(_OURS)
        if not system.host and (not path or not level.type_name.startswith("hookline_")):
            raise NameRefused(
                f"{shown(address)}: the address has no host, and names on {system.name} need one",
                fix="give the host as the source is registered in Purview",
            )
        values, escape = self._values(system, ours)
        template = self._parsed(level, frozenset(values))
        if not path and level.type_name == own.CONTAINER:
            template = _parse(level.template.replace("/{path}", ""), frozenset(values))
        self._check_depth(system, level, template, address)
        for part in path[:-1]:
            checked(part, "a part of its path", address)
        prefix, tail = template.around(values, tuple(map(escape, path[:-1])))
        if path:  # a letter stands for the last part, so that the end of the prefix is not taken for the end
            prefix = normalise(level.type_name, prefix + "x")[:-1]
        changes = normalises(level.type_name)
        settled = not changes or not (tail or prefix.endswith("://"))
        return Spelled(
            level=level,
            parent=self._parent(system, level, address),
            type_name=level.type_name,
            prefix=prefix,
            tail=tail,
            escape=escape,
            values=values,
            plain=settled and len(prefix) + len(tail) <= MAX_BYTES // 8,
            normalises=changes,
        )

    @staticmethod
    def _values(system: System, ours: bool) -> tuple[Mapping[str, str], Escape]:
        platform = system.platform
        if ours or platform is None:
            escape = spelling.own if platform is None else platform.own_escape
            return {"platform": spelling.own(system.name), "host": spelling.own(system.host)}, escape
        return {**platform.fields(system.host), "platform": system.name}, platform.escape

    @staticmethod
    def _check_depth(system: System, level: Level, template: Template, address: Address) -> None:
        given, needed = len(address.path), template.parts + template.rest
        if given == needed or (template.rest and given > needed):
            return
        expected = system.expected(needed, address.type)
        whole = f"the whole path is {', '.join(expected)}" if expected else f"a {address.type} has no path"
        missing = ", ".join(expected[: needed - given]) if given < needed else ""
        raise NameRefused(
            f"{shown(address)}: its path has {given} part{'s' * (given != 1)}, "
            f"names of {level.type_name} need {'at least ' * template.rest}{needed}",
            fix=f"missing: {missing}; {whole}" if missing else whole,
        )

    def _parent(self, system: System, level: Level, address: Address) -> Address | None:
        if not level.parent_attribute:
            return None
        above = system.levels.get(level.parent)
        if above is None:
            return self._around(system, address)
        depth = self._parsed(above, _fields(system.platform)).parts
        return Address(address.platform, address.host, address.path[:depth], level.parent)

    @staticmethod
    def _around(system: System, address: Address) -> Address | None:
        """The nearest container; where a platform's containers are known there are no others."""
        depth = len(address.path) - 1
        if system.platform is not None:
            depth = min(depth, len(system.platform.containers))
        if depth < 0 or (not depth and not system.host):
            return None
        return Address(address.platform, address.host, address.path[:depth], system.container_at(depth))


def _fields(platform: Platform | None) -> frozenset[str]:
    """Every field that templates of this platform may hold."""
    fields: Any = platform.fields(platform.host("")) if platform else ()
    return frozenset(fields) | _OVERRIDE_FIELDS
