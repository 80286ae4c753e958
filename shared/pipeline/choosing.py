"""Which of a file's closures are sent: what is new or changed, with the stubs that it needs, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from shared.atlas.closure import Closure, key
from shared.naming import Name
from shared.naming.own import PLACEHOLDER
from shared.state.pending import Confirmed
from shared.state.snapshots import Asset, Index

#: news:  what differs from what the scope's last scan published (for a part of the scan at work, and for uploads, which
#:        have no last scan, so that all of it is news)
#: truth: what the scope's last scan published just so (for a part of an earlier scan that is sent again: what has
#:        changed or gone since then must not come back)
#: rest:  the same, and what that scan has not published at all, because this part of it was refused
Mode = Literal["news", "truth", "rest"]


class Choice:
    """Takes a file's closures in their order, gives those that are to be sent.

    index:     what the scope's last scan published
    doubted:   what was lost: changed or not, it is sent again
    confirmed: what an interrupted run over the same file has brought into the catalogue
    wanted:    only these (what is missing of a file that is sent once more)
    process:   whether a type is a process
    turned:    whether the catalogue has made this of an end of lineage, so that the same record may be sent otherwise
    assets:    for the snapshot, in the order of the file; None where there is none
    """

    def __init__(
        self,
        index: Index,
        *,
        mode: Mode = "news",
        doubted: frozenset[Name] = frozenset(),
        confirmed: Confirmed | None = None,
        wanted: frozenset[Name] | None = None,
        process: Callable[[str], bool] = lambda _: False,
        turned: Callable[[Name], bool] = lambda _: False,
        assets: list[Asset] | None = None,
    ) -> None:
        self._index = index
        self._mode = mode
        self._doubted = Names(doubted)
        self._confirmed = confirmed or Confirmed()
        self._wanted = None if wanted is None else Names(wanted)
        self._process = process
        self._turned = turned
        self._assets = assets
        self._held: dict[Name, Closure] = {}
        self._fresh: set[Name] = set()
        self.unchanged = 0
        #: of the wanted names, those that were given
        self.found: set[Name] = set()

    def take(self, item: Closure) -> Iterator[Closure]:
        """The closure, behind the stubs that it refers to and nobody has sent; or nothing."""
        mark = mark_of(item)
        published = self._index.mark(item.name)
        if item.name.type_name == PLACEHOLDER and self._mode != "truth":
            yield from self._placeholder(item)
            return
        if self._wanted is not None and not self._wanted.hold(item):
            return
        if self._mode == "rest" and published not in (None, mark) and self._ends_elsewhere(item):
            self._note(item, mark, sent=True)
            yield from self._send(item)
            return
        if self._mode != "news" and published != (None if item.operation == "delete" else mark):
            if self._mode == "truth" or published is not None or item.stub or item.operation == "delete":
                self.unchanged += not item.stub
                return
            self._note(item, mark, sent=True)
        if self._wanted is not None:
            self.found.update(self._wanted.of(item))
        if self._wanted is not None or self._mode != "news":
            yield from self._send(item) if self._mode == "rest" else (item,)
            return
        if item.stub:
            if published is None or self._doubted.hold(item):
                self._held[item.name] = item  # until something that is sent refers to it
            elif published == mark:
                self._note(item, mark, sent=False)
            return
        same = published is not None and published == mark and item.operation != "delete"
        same = same and not self._doubted.hold(item) and not self._reborn(item)
        self._note(item, mark, sent=not same)
        if same:
            self.unchanged += 1
            return
        if published is None and item.operation == "create" and len(self._index):
            self._fresh.add(item.name)
        yield from self._send(item)

    def _placeholder(self, item: Closure) -> Iterator[Closure]:
        """Goes along with whatever refers to it and is sent: it may have been deleted, and no snapshot tells."""
        if self._wanted is None:
            self._held[item.name] = item
        else:
            self.found.update(self._wanted.of(item))
            yield item

    def _ends_elsewhere(self, item: Closure) -> bool:
        """Whether it is a process that differs from what was published because its ends were resolved otherwise."""
        return self._process(item.name.type_name) and any(self._turned(target.name) for target in item.refers)

    def _send(self, item: Closure) -> Iterator[Closure]:
        for target in item.refers:
            stub = self._held.pop(target.name, None)
            if stub is not None:
                self._note(stub, stub.mark, sent=True)
                yield from self._send(stub)
        if not self._confirmed.holds(item.operation, item.name):
            yield item

    def _reborn(self, item: Closure) -> bool:
        """Whether it refers to an asset that this file brings into the catalogue: an old reference to it is dead.

        Atlas gives a table that was deleted and comes back a new guid, and the processes of the old one do not know it.
        """
        return bool(self._fresh) and any(target.name in self._fresh for target in item.refers)

    def _note(self, item: Closure, mark: int, *, sent: bool) -> None:
        if self._assets is None:
            return
        name = item.name
        refers = tuple(key(t.name) for t in item.refers) if item.refers and self._process(name.type_name) else ()
        deleted = item.operation == "delete"
        self._assets.append(
            Asset(name.type_name, name.qualified_name, mark, item.child_type, item.children, refers, deleted, sent)
        )


class Names:
    """Names of closures, or of children that waited in a message of their own."""

    def __init__(self, names: frozenset[Name]) -> None:
        self._names = names
        self._types = {name.type_name for name in names}

    def hold(self, item: Closure) -> bool:
        if item.name in self._names:
            return True
        if item.child_type not in self._types:
            return False
        return any(Name(item.child_type, child) in self._names for child in item.children)

    def of(self, item: Closure) -> Iterator[Name]:
        """Those that the closure brings."""
        for name in (item.name, *(Name(item.child_type, child) for child in item.children)):
            if name in self._names:
                yield name


def mark_of(item: Closure) -> int:
    """What stands in the snapshot for it. What was only updated belongs to somebody else, like a stub."""
    if item.operation == "delete":
        return 0
    return item.mark | 1 if item.operation == "update" else item.mark
