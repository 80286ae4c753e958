"""Whether what was just published is in the catalogue, asked over REST."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from shared.atlas.messages import Message
from shared.naming import Name

if TYPE_CHECKING:
    from shared.pipeline.app import App


def missing(app: App, names: Iterable[Name]) -> list[Name]:
    """Those of `names` that the catalogue does not show as active. Raises CatalogBusy, CatalogRefused."""
    assert app.catalog is not None
    by_type: dict[str, list[str]] = {}
    for name in names:
        by_type.setdefault(name.type_name, []).append(name.qualified_name)
    gone = []
    for type_name, qualified_names in by_type.items():
        found = app.catalog.find(type_name, qualified_names)
        gone += [Name(type_name, q) for q in qualified_names if q not in found or found[q][1] != "ACTIVE"]
    return gone


def missing_after(app: App, messages: list[Message], *, seconds: float) -> list[Name]:
    """What is still missing after at most `seconds`."""
    from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

    waiting = [name for m in messages if m.operation != "delete" for name in m.names]

    def ask() -> list[Name]:
        nonlocal waiting
        waiting = missing(app, waiting)
        return waiting

    return Retrying(
        retry=retry_if_result(bool),
        stop=stop_after_delay(seconds),
        wait=wait_fixed(0.5),
        retry_error_callback=lambda _: waiting,
    )(ask)
