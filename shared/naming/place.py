"""Where a table lies, in one spelling: what tables that are kept by name are found under, whatever way SQL writes them.

Unlike a qualified name it does not depend on the types that an instance uses, nor on whether it is a table or a view.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from shared.naming import platforms
from shared.records import Address


class Place(NamedTuple):
    """container: all that is around it, in lower case: `postgresql/crm.internal:5432/crm/public`; name: as written."""

    container: str
    name: str


def place(address: Address) -> Place:
    """The place of the table, view or file at `address`."""
    platform = platforms.find(address.platform)
    name, host = (platform.name, platform.host(address.host)) if platform else (address.platform, address.host)
    around = (name, host, *address.path[:-1])
    return Place("/".join(quote(part, safe=":", errors="surrogatepass") for part in around).lower(), address.name)
