"""Placeholders: what stands in the catalogue for ends of lineage that are not there, and which files need it.

A row is kept until the placeholder is deleted. Without the table nothing is lost: a placeholder then stays until the
files that need it are transformed again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from shared.atlas.endpoints import Wanted
from shared.naming import Name
from shared.naming.own import placeholder
from shared.state.blob_table import BlobTable
from shared.state.shards import Shards, leaf

#: a placeholder is looked at again after so long, and then after twice that, up to a day
AGAIN_SECONDS, LONGEST_SECONDS = 15 * 60.0, 86_400.0
#: somebody may not have heard yet that the asset is there
_NOT_HEARD_SECONDS = 120.0
_AGAIN = "again"


class Placeholder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """wanted: what it stands for. refs: landed file -> the run of it that needs the placeholder (RFC 3339).

    since: RFC 3339; look_at: when to look next (seconds since 1970); looks: how often there was nothing new.
    appeared: when the asset was found (RFC 3339), and the files were asked to be transformed again.
    """

    wanted: Wanted
    since: str
    refs: dict[str, str]
    look_at: float
    looks: int = 0
    appeared: str = ""

    @property
    def name(self) -> Name:
        return placeholder(self.wanted.name)

    def later(self, moment: float) -> Placeholder:
        """To be looked at later than last time."""
        wait = min(AGAIN_SECONDS * 2**self.looks, LONGEST_SECONDS)
        return msgspec.structs.replace(self, look_at=moment + wait, looks=min(self.looks + 1, 10))


class Placeholders:
    """The table `placeholders`."""

    def __init__(self, table: BlobTable) -> None:
        self._table = table
        self._shards = Shards(table, "waiting", Placeholder)

    def refer(self, wanted: Sequence[Wanted], path: str, run: str, moment: float) -> None:
        """This run over a landed file needs placeholders for these. Raises StorageBusy, Conflict."""
        by_shard: dict[str, list[Wanted]] = {}
        for one in wanted:
            by_shard.setdefault(self._shards.of(one.name), []).append(one)
        for shard, some in by_shard.items():

            def change(rows: dict[str, Placeholder], some: list[Wanted] = some) -> dict[str, Placeholder]:
                return rows | {self._shards.key(one.name): self._referred(rows, one, path, run, moment) for one in some}

            self._shards.update(shard, change)

    def _referred(
        self, rows: Mapping[str, Placeholder], one: Wanted, path: str, run: str, moment: float
    ) -> Placeholder:
        known = rows.get(self._shards.key(one.name))
        if known is None:
            return Placeholder(wanted=one, since=run, refs={path: run}, look_at=moment + AGAIN_SECONDS)
        found = msgspec.structs.replace(known, refs={**known.refs, path: run})
        if known.appeared and run > known.appeared:  # gone again, or this worker did not know
            return msgspec.structs.replace(found, appeared="", looks=0, look_at=moment + _NOT_HEARD_SECONDS)
        return found

    def all(self) -> Iterator[Placeholder]:
        for _, rows in self._shards.all():
            yield from rows.values()

    def of(self, path: str) -> list[Placeholder]:
        """Those that this landed file needs."""
        return [one for one in self.all() if path in one.refs]

    def put(self, changed: Mapping[Name, Callable[[Placeholder], Placeholder | None]]) -> None:
        """Change the rows of these wanted names; None removes one. Raises StorageBusy, Conflict."""
        by_shard: dict[str, dict[str, Callable[[Placeholder], Placeholder | None]]] = {}
        for name, step in changed.items():
            by_shard.setdefault(self._shards.of(name), {})[self._shards.key(name)] = step
        for shard, steps in by_shard.items():

            def change(
                rows: dict[str, Placeholder],
                steps: dict[str, Callable[[Placeholder], Placeholder | None]] = steps,
            ) -> dict[str, Placeholder]:
                made = dict(rows)
                for key, step in steps.items():
                    if key in made:
                        after = step(made.pop(key))
                        if after is not None:
                            made[key] = after
                return made

            self._shards.update(shard, change)

    def hear(self, names: Iterable[Name]) -> int:
        """These have come: what waits for something of such a name is looked at next. Returns how many that is."""
        by_shard: dict[str, set[str]] = {}
        for name in names:
            by_shard.setdefault(self._shards.of(name), set()).add(leaf(name))
        count = 0
        for shard, leaves in by_shard.items():
            due = [
                key
                for key, one in self._shards.get(shard).items()
                if one.look_at > 0 and not one.appeared and leaf(one.wanted.name) in leaves
            ]
            if due:
                count += len(due)
                self._shards.update(
                    shard,
                    lambda rows, due=due: {  # type: ignore[misc]
                        key: msgspec.structs.replace(one, look_at=0.0) if key in due else one
                        for key, one in rows.items()
                    },
                )
        return count

    # ---- files to be transformed again

    def again(self, paths: Iterable[str], since: str) -> None:
        """These have to be transformed again, after `since` (RFC 3339). Raises StorageBusy."""
        for path in paths:
            self._table.put(_AGAIN, path, since)

    def to_do(self, most: int) -> list[tuple[str, str]]:
        """Some of those files, with `since`. Raises StorageBusy."""
        return [(path, since) for path, since, _ in itertools.islice(self._table.rows(_AGAIN, type=str), most)]

    def done(self, path: str) -> None:
        self._table.delete(_AGAIN, path)
