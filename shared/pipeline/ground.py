"""What a landed file is compared with before anything of it is sent."""

from __future__ import annotations

from contextlib import ExitStack

import msgspec

from shared.errors import Transient
from shared.job_file import Header
from shared.naming import Name
from shared.pipeline.app import App, parsed
from shared.pipeline.beat import Beat
from shared.pipeline.choosing import Mode
from shared.pipeline.landing import Part
from shared.state.snapshots import Index, Published

#: states of a scan that is not over
AT_WORK = ("running", "extracted")


class Known:
    """What is published: by all scopes, a few minutes old, and by this one, as of now."""

    def __init__(self, published: Published, index: Index) -> None:
        self._published = published
        self._index = index

    def contains(self, name: Name) -> bool:
        return self._index.publishes(name) or self._published.contains(name)


class Ground(msgspec.Struct, frozen=True):
    """As `choosing.Choice` takes it."""

    mode: Mode = "news"
    index: Index = Index()
    doubted: frozenset[Name] = frozenset()


def ground_of(app: App, header: Header | None, beat: Beat, held: ExitStack, *, again: bool) -> Ground:
    """header: of a part of a scan; None for what people put into landing. held: keeps a lease that is needed.

    Raises Transient while another scan of the scope is at work.
    """
    if header is None:
        return Ground()
    instance, scope = header.instance, header.scope
    if is_over(app, header):
        # Nothing may begin meanwhile that what is sent now would overwrite.
        beat.add(held.enter_context(app.scans.lease(instance, scope)))
        wait_for_others(app, header)
        pointer, _ = app.snapshots.current(instance, scope)
        mine = pointer is not None and pointer.scan == header.scan
        return Ground("rest" if mine else "truth", app.snapshots.index(instance, scope))
    row, _ = app.scans.get(instance, scope)
    if again or (row.current is not None and row.current.id == header.scan and row.current.full):
        return Ground()
    doubted = frozenset(lost.name for lost in app.snapshots.again(instance, scope))
    return Ground("news", app.snapshots.index(instance, scope), doubted)


def is_over(app: App, header: Header) -> bool:
    """Whether the scan of this file has finished, or a later one has begun."""
    pointer, _ = app.snapshots.current(header.instance, header.scope)
    if pointer is not None and (pointer.scan == header.scan or parsed(pointer.started) > parsed(header.started)):
        return True
    row, _ = app.scans.get(header.instance, header.scope)
    current = row.current
    return current is not None and current.id != header.scan and parsed(current.started) > parsed(header.started)


def wait_for_others(app: App, header: Header) -> None:
    """Raises Transient while another scan of the scope is at work."""
    row, _ = app.scans.get(header.instance, header.scope)
    current = row.current
    if current is not None and current.id != header.scan and current.state in AT_WORK:
        raise Transient(
            f"a later scan of {header.scope} is at work", where=header.instance, fix="nothing to do: it is tried again"
        )


def place_of(app: App, part: Part) -> str:
    """The scope that a part's scan is about; empty when nobody remembers the scan."""
    for scope, row in app.scans.of(part.instance):
        if row.current is not None and row.current.id == part.scan:
            return scope
    return ""
