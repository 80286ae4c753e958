"""What names mean at one place of a query."""

from __future__ import annotations

from typing import Any

from shared.lineage.evidence import qualified
from shared.lineage.relations import Ambiguous, Relation, Value, merged


class Scope:
    """Relations of one SELECT, inside its parent's. `hidden` ones answer to their name only: excluded, inserted."""

    __slots__ = (
        "_known", "aliases", "beside", "ctes", "hidden", "node", "parent", "relations", "scalars", "sure", "using",
        "windows",
    )  # fmt: skip

    def __init__(self, parent: Scope | None = None) -> None:
        self.parent = parent
        self.relations: list[tuple[str, Relation]] = []
        self.beside: list[tuple[str, Relation]] = []  # what came in the same parentheses as the next one to be added
        self.hidden: dict[str, Relation] = {}
        self.ctes: dict[str, Relation] = {}
        self.scalars: dict[str, Any] = {}  # ClickHouse: WITH expression AS name
        self.aliases: dict[str, Value] = {}
        self.windows: dict[str, Any] = {}
        self.using: dict[str, str] = {}  # column -> side of the join
        self.node: Any = None  # the query or statement, for what it tells about its columns
        self.sure: dict[str, set[str]] = {}  # column -> aliases that have it
        self._known: dict[str, set[str]] | None = None

    def add(self, alias: str, relation: Relation) -> None:
        self.relations += [(alias.lower(), relation), *self.beside]
        self.beside = []

    def join(self, alias: str, relation: Relation, using: list[str], side: str) -> None:
        self.add(alias, relation)
        for name in using:
            self.using[name] = side.upper()

    def cte(self, name: str) -> Relation | None:
        here: Scope | None = self
        while here is not None:
            if name in here.ctes:
                return here.ctes[name]
            here = here.parent
        return None

    def scalar(self, name: str) -> Any:
        """The expression that WITH gives this name, or None."""
        here: Scope | None = self
        while here is not None:
            if name in here.scalars:
                return here.scalars[name]
            here = here.parent
        return None

    def window(self, name: Any) -> Any:
        here: Scope | None = self
        key = name.name.lower() if name is not None else ""
        while here is not None and key:
            if key in here.windows:
                return here.windows[key]
            here = here.parent
        return None

    def named(self, parts: list[str]) -> Relation | None:
        """The relation that an alias or a table's name means, innermost first."""
        key = parts[-1].lower()
        here: Scope | None = self
        while here is not None:
            for alias, relation in here.relations:
                if alias == key and (len(parts) == 1 or _is_called(relation, parts)):
                    return relation
            if len(parts) == 1 and key in here.hidden:
                return here.hidden[key]
            here = here.parent
        return None

    def listed(self, name: str) -> bool:
        return any(r.listed(name) for _, r in self.relations)

    def visible(self) -> list[tuple[Relation, frozenset[str]]]:
        """Relations for a star, each with the columns that USING shows elsewhere."""
        if not self.relations and self.parent is not None:  # Hive: FROM t INSERT .. SELECT *
            return self.parent.visible()
        found: list[tuple[Relation, frozenset[str]]] = []
        seen: set[str] = set()
        for _, relation in self.relations:
            gone = frozenset(n for n in self.using if n in seen)
            found.append((relation, gone))
            seen |= {n for n in self.using if relation.listed(n) or not relation.is_known}
        return found

    def owners(self, key: str) -> tuple[list[Relation], list[Relation]]:
        """Relations that have the column, and those that may have it."""
        owners, maybe = [], []
        for _, relation in self.relations:
            if relation.listed(key):
                owners.append(relation)
            elif not relation.is_known:
                try:
                    if relation.get(key) is not None:
                        maybe.append(relation)
                except Ambiguous:
                    maybe.append(relation)
        return owners, maybe

    def proved(self, key: str, maybe: list[Relation]) -> Relation | None:
        """The only one of several relations that the statement shows to have the column."""
        if self._known is None:
            self._known = qualified(self.node) if self.node is not None else {}
        names = self.sure.get(key, set()) | self._known.get(key, set())
        found = [r for alias, r in self.relations if alias in names and any(r is m for m in maybe)]
        return found[0] if len(found) == 1 else None

    def shared(self, key: str, owners: list[Relation]) -> Value | None:
        """The column that USING makes one of several. Raises Ambiguous where no USING does."""
        values = [v for r in owners if (v := r.get(key)) is not None]
        if key in self.using:
            side = self.using[key]
            return merged(values) if side == "FULL" else values[-1] if side == "RIGHT" else values[0]
        if all(v.keys() == values[0].keys() for v in values):
            return values[0]
        raise Ambiguous


def _is_called(relation: Relation, parts: list[str]) -> bool:
    if relation.ref is None:
        return False
    name = [p.lower() for p in relation.ref.name.parts]
    wanted = [p.lower() for p in parts]
    return name[-len(wanted) :] == wanted[-len(name) :]
