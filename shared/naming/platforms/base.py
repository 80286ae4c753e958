"""What a platform is to naming: the words of its paths, how its hosts are spelled, and its table of levels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from shared.naming.level import Levels
from shared.naming.own import TABLES, VIEWS, chain
from shared.naming.spelling import native, own


class Platform:
    """Base of all platforms. A subclass is a table of levels and, where hosts need it, a few lines about them."""

    #: how the platform is called in names, whatever spelling an address uses
    name: ClassVar[str]
    #: address types of the outer parts of a path, from the outside in
    containers: tuple[str, ...] = ()
    #: whether `types: rdbms` applies, and a relation lies exactly below all the containers
    relational: ClassVar[bool] = False
    #: what stands for the host where there is none (a service that exists once); "": a host must be given
    only_host: ClassVar[str] = ""
    #: address type -> the address type by which `levels` lists it
    synonyms: ClassVar[Mapping[str, str]] = {}
    #: Purview's own types by address type, where they are the same on every host
    table: ClassVar[Levels] = {}

    def host(self, host: str) -> str:
        """The one spelling of a host, so that one server has one name."""
        return host or self.only_host

    def fields(self, host: str) -> Mapping[str, str]:
        """What native templates may name besides the path, for a host as `host()` returns it."""
        return {"host": self.escape(host)}

    def levels(self, host: str) -> Levels:  # noqa: ARG002
        """Purview's own types on that host, by address type."""
        return self.table

    def escape(self, part: str) -> str:
        """A part of a path as native names hold it."""
        return native(part)

    def own_escape(self, part: str) -> str:
        """The same for names of our types."""
        return own(part)

    def own_levels(self) -> Levels:
        """Our types for what has a fixed place in a path; the rest is named by own.fallback."""
        return chain(self.containers, self.relational)

    def listed_as(self, type: str, levels: Levels) -> str:
        """The address type by which `levels` lists `type`."""
        if type in levels:
            return type
        other = self.synonyms.get(type) or ("table" if type in TABLES else "view" if type in VIEWS else type)
        return self.synonyms.get(other, other)


def port(host: str) -> tuple[str, str]:
    """Split `h:5432` or `[::1]:5432` into host and port; the port is "" where there is none."""
    name, colon, digits = host.rpartition(":")
    if colon and digits.isdecimal() and (":" not in name or name.endswith("]")):
        return name, digits
    return host, ""


def with_port(host: str, default: int) -> str:
    return host if not host or port(host)[1] else f"{host}:{default}"


def without_port(host: str, default: int) -> str:
    """The host without a port that says nothing."""
    name, digits = port(host)
    return name if digits == str(default) else host


def meant(host: str, aliases: Mapping[str, str]) -> str:
    """The host that is scanned under this name. aliases: in lower case, each with a port or for every port.

    The port stays where the alias says nothing of it.
    """
    found = aliases.get(host.lower())
    if found is None:
        name, digits = port(host)
        found = aliases.get(name.lower()) if digits else None
        if found is not None and not port(found)[1]:
            found = f"{found}:{digits}"
    return host if found is None else found
