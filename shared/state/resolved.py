"""Resolved: what the catalogue had for ends of lineage, so that it is not asked again for a while.

Any of it can go: the price is asking once more. An answer that found something is believed for hours, one that found
nothing for minutes, because somebody is likely to scan it soon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from shared.naming import Name
from shared.state.blob_table import BlobTable
from shared.state.shards import Shards, leaf

FOUND_SECONDS, MISSING_SECONDS = 6 * 3600, 10 * 60
#: answers in one shard; files that an answer remembers
MOST, MOST_PATHS = 5_000, 20


class Resolved(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer. name: None for nothing there; until: seconds since 1970.

    spelled: the name was wanted in another spelling; several: names that differ in case only; paths: landed files that
    asked, the last ones.
    """

    name: Name | None = None
    until: float
    spelled: bool = False
    several: tuple[Name, ...] = ()
    paths: tuple[str, ...] = ()


class ResolvedTable:
    """The table `resolved`. clock: seconds since 1970."""

    def __init__(self, table: BlobTable, clock: Callable[[], float]) -> None:
        self._shards = Shards(table, "answers", Resolved)
        self._clock = clock

    def get(self, name: Name) -> Resolved | None:
        """What was answered for a wanted name, if it still counts. Raises StorageBusy."""
        found = self._shards.get(self._shards.of(name)).get(self._shards.key(name))
        return found if found is not None and found.until > self._clock() else None

    def put(self, answers: Mapping[Name, Resolved], path: str) -> None:
        """Remember answers, and that this file asked. Raises StorageBusy, Conflict."""
        by_shard: dict[str, dict[str, Resolved]] = {}
        for name, answer in answers.items():
            by_shard.setdefault(self._shards.of(name), {})[self._shards.key(name)] = answer
        for shard, new in by_shard.items():
            held = self._shards.get(shard)
            if all(
                key in held and held[key].until == one.until and (not path or path in held[key].paths)
                for key, one in new.items()
            ):
                continue

            def change(rows: dict[str, Resolved], new: dict[str, Resolved] = new) -> dict[str, Resolved]:
                changed = dict(rows)
                for key, one in new.items():
                    before = changed.pop(key, None)
                    paths = [p for p in (before.paths if before is not None else ()) if p != path]
                    kept = (*paths, *([path] if path else ()))[-MOST_PATHS:]
                    changed[key] = msgspec.structs.replace(one, paths=kept)
                for key in list(changed)[: max(0, len(changed) - MOST)]:
                    del changed[key]
                return changed

            self._shards.update(shard, change)

    def forget(self, names: Iterable[Name]) -> set[str]:
        """These have come or gone: answers that name them do not count any more. Returns the files that had them."""
        by_shard: dict[str, set[Name]] = {}
        for name in names:
            by_shard.setdefault(self._shards.of(name), set()).add(name)
        paths: set[str] = set()
        for shard, gone in by_shard.items():
            if not any(one.name in gone for one in self._shards.get(shard).values()):
                continue
            told: set[str] = set()

            def change(
                rows: dict[str, Resolved], gone: set[Name] = gone, told: set[str] = told
            ) -> dict[str, Resolved] | None:
                told.clear()
                hit = [key for key, one in rows.items() if one.name in gone]
                for key in hit:
                    told.update(rows[key].paths)
                return {key: one for key, one in rows.items() if key not in hit} if hit else None

            self._shards.update(shard, change)
            paths |= told
        return paths

    def doubt(self, names: Iterable[Name]) -> None:
        """Something of such a name, in whatever case and of whatever type, has come: nothing there is no answer now."""
        by_shard: dict[str, set[str]] = {}
        for name in names:
            by_shard.setdefault(self._shards.of(name), set()).add(leaf(name))
        for shard, leaves in by_shard.items():
            missing = [k for k, one in self._shards.get(shard).items() if one.name is None and _leaf(k) in leaves]
            if missing:
                self._shards.update(shard, lambda rows, m=missing: {k: v for k, v in rows.items() if k not in m})  # type: ignore[misc]


def _leaf(key: str) -> str:
    return leaf(Name("", key.partition(" ")[2]))
