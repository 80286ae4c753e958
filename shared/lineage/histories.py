"""What variables may hold, by the block that is looked from.

`IF .. SET @v = a ELSE SET @v = b` leaves both; an assignment after the IF replaces them; within a branch only its own
assignment counts. A path names the blocks and branches around a statement; the arms of one IF share their group.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any, Generic, TypeVar

from shared.lineage.relations import Value, merged

Path = tuple[int, ...]
T = TypeVar("T")

#: element of a path // ARMS: the IF that a branch belongs to
ARMS = 1 << 10
#: assignments of one variable that are kept
MAX_ASSIGNED = 60
#: texts that one variable may hold at one place
MAX_TEXTS = 6


class History(MutableMapping[str, T], Generic[T]):
    """name -> its assignments, each with its path. Reading by name merges those that can be seen from `here`."""

    def __init__(self) -> None:
        self.here: Path = ()
        self._assigned: dict[str, list[tuple[Path, T]]] = {}

    def seen(self, name: str) -> list[T]:
        """What the variable may hold here, oldest first."""
        found: list[T] = []
        for path, item in reversed(self._assigned.get(name, ())):
            n = _common(path, self.here)
            if n == len(path):  # it was certainly assigned, whatever was before is gone
                found.append(item)
                break
            if n < len(self.here) and path[n] // ARMS == self.here[n] // ARMS:
                continue  # the other arm of an IF
            found.append(item)
        return found[::-1]

    def assign(self, name: str, item: T, path: Path) -> None:
        kept = [(p, i) for p, i in self._assigned.get(name, ()) if p[: len(path)] != path]
        self._assigned[name] = [*kept[-MAX_ASSIGNED:], (path, item)]

    def merge(self, items: list[T]) -> T:
        return items[-1]

    def __getitem__(self, name: str) -> T:
        seen = self.seen(name)
        if not seen:
            raise KeyError(name)
        return self.merge(seen)

    def __setitem__(self, name: str, item: T) -> None:
        self.assign(name, item, self.here)

    def __delitem__(self, name: str) -> None:
        del self._assigned[name]

    def __contains__(self, name: Any) -> bool:
        return name in self._assigned

    def __iter__(self) -> Iterator[str]:
        return iter(self._assigned)

    def __len__(self) -> int:
        return len(self._assigned)

    def clear(self) -> None:
        self._assigned.clear()

    def take(self, name: str) -> list[tuple[Path, T]] | None:
        """The assignments of a variable, set aside while its name means something else."""
        return self._assigned.pop(name, None)

    def put(self, name: str, kept: list[tuple[Path, T]] | None) -> None:
        if kept is None:
            self._assigned.pop(name, None)
        else:
            self._assigned[name] = kept

    def frame(self) -> dict[str, list[tuple[Path, T]]]:
        """All assignments, set aside while a called routine is read."""
        kept, self._assigned = self._assigned, {}
        return kept

    def restore(self, kept: dict[str, list[tuple[Path, T]]]) -> None:
        self._assigned = kept


class Values(History[Value]):
    """Variables and the base columns whose values they hold."""

    def merge(self, items: list[Value]) -> Value:
        return merged(items)

    def is_filled(self, name: str) -> bool:
        """Whether the variable holds any column's value."""
        return any(item for _, item in self._assigned.get(name, ()))


class Texts(History[tuple[str, ...]]):
    """Variables and the texts that they may hold; none where a text is not known."""

    def merge(self, items: list[tuple[str, ...]]) -> tuple[str, ...]:
        return shortened([text for item in items for text in item])


def shortened(texts: list[str]) -> tuple[str, ...]:
    """Each text once, without those that another one only goes on from (`.. WHERE 1 = 1`, then `AND a = @a`)."""
    found = list(dict.fromkeys(texts))
    found = [t for t in found if not any(_goes_on(other, t) for other in found if other is not t)]
    return tuple(found[-MAX_TEXTS:])


def _goes_on(longer: str, text: str) -> bool:
    if len(longer) <= len(text) or not longer.startswith(text):
        return False
    return not text or not (text[-1].isalnum() and (longer[len(text)].isalnum() or longer[len(text)] in "_$#."))


def _common(a: Path, b: Path) -> int:
    n = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        n += 1
    return n
