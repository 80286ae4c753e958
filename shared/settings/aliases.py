"""`aliases:` of hookline.yaml: other names of hosts, and the host as Purview has scanned it.

    aliases:
      crm-db.internal: crm.contoso.com
      10.1.2.3:5432: crm.contoso.com

A source, a script and an event may call one server by three names; Purview knows it by the one it was registered under.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from shared.errors import SettingsError
from shared.settings.document import Place

_HOST = re.compile(r"[^\s/@?#]+")


def read_aliases(raw: Any, place: Place) -> dict[str, str]:
    """Alias in lower case -> host as scanned, aliases of aliases followed to their end. Raises SettingsError."""
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise SettingsError("must be a block of `alias: host` lines", where=str(place), fix="see hookline.example.yaml")
    said: dict[str, str] = {}
    for alias, host in raw.items():
        here = str(place.at(alias))
        for what, text in (("alias", alias), ("host", host)):
            if not isinstance(text, str) or not _HOST.fullmatch(text):
                raise SettingsError(
                    f"the {what} is not the name of a host",
                    where=here,
                    fix="write name or address, with :port if need be, without scheme, user or path; in quotes",
                )
        if alias.lower() in said:
            raise SettingsError(
                f"`{alias}` stands here twice: upper and lower case do not count", where=here, fix="remove one"
            )
        said[alias.lower()] = host
    return {alias: _end(alias, said, place) for alias in said}


def _end(alias: str, said: Mapping[str, str], place: Place) -> str:
    passed = {alias}
    host = said[alias]
    while host.lower() in said:
        if host.lower() in passed:
            raise SettingsError(
                f"`{alias}` is, by its aliases, an alias of itself",
                where=str(place.at(alias)),
                fix="let every alias name the host as Purview has scanned it",
            )
        passed.add(host.lower())
        host = said[host.lower()]
    return host
