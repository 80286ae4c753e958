"""What the catalogue has for ends of lineage: asked for many at a time, remembered, and never more often than it pays.

Exact names first, by unique attributes: one call a type and 50 names, consistent at once. What is not there under any
of its exact names is looked for among everything that the catalogue lists of the same server: one search a 1,000
assets, however many are wanted, compared without regard to case (docs/decisions/0017-resolve.md says why). What is
adopted from a list is asked for by its exact name once more, because a search index lags behind.

Purview's search: learn.microsoft.com/rest/api/purview/datamapdataplane/discovery/query (filter, limit at most 1000,
continuationToken). `startswith` on qualifiedName as feathr-ai/feathr's registry uses it. Whether it looks at upper and
lower case is not documented: so nothing behind the server's own name is part of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from math import ceil
from typing import TYPE_CHECKING, Any, Protocol

from shared.atlas.endpoints import Answer, Candidate, Wanted
from shared.delivery.catalog import FIND_NAMES
from shared.delivery.pace import Pace
from shared.errors import CatalogRefused
from shared.naming import Name
from shared.state.resolved import FOUND_SECONDS, MISSING_SECONDS, Resolved
from shared.state.shards import leaf
from shared.telemetry import get_logger

if TYPE_CHECKING:
    from shared.delivery.catalog import Catalog

log = get_logger(__name__)

#: assets of one server that are listed; beyond, only those beside what is wanted; containers asked for together
LISTED, BESIDE = 20_000, 20
#: lists that a worker remembers, for so long; answers that it remembers; how long a catalogue that may not be read is
#: left alone; an answer "not there" in memory
LISTS, LIST_SECONDS, REMEMBERED, PAUSE_SECONDS, ABSENT_SECONDS = 8, 300.0, 50_000, 300.0, 60.0
_UNKNOWN_TYPE = "ATLAS-404-00-001"

#: folded qualified name -> names
Listed = dict[str, list[Name]]
AskColumns = Callable[[Mapping[Name, str]], Mapping[Name, tuple[str, ...]]]


class Memory(Protocol):
    """Where answers are kept between workers; `shared.state.resolved.ResolvedTable` is one."""

    def get(self, name: Name) -> Resolved | None: ...

    def put(self, answers: Mapping[Name, Resolved], path: str) -> None: ...

    def forget(self, names: Iterable[Name]) -> set[str]: ...

    def doubt(self, names: Iterable[Name]) -> None: ...


class Resolver:
    """One a worker; safe to share between threads.

    catalog: gives the client, None where there is none. columns: columns of assets that are there, by the attribute
    that lists them; never raises. types: whether the account has a type. clock: seconds since 1970.
    """

    def __init__(
        self,
        catalog: Callable[[], Catalog | None],
        pace: Callable[[], Pace],
        table: Memory,
        columns: AskColumns,
        *,
        types: Callable[[str], bool],
        clock: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._pace = pace
        self._table = table
        self._columns = columns
        self._types = types
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[Name, tuple[float, Answer]] = {}
        self._lists: dict[object, tuple[float, Listed]] = {}
        self._not_before = 0.0
        #: calls so far
        self.lookups = 0

    def ask(
        self,
        wanted: Sequence[Wanted],
        *,
        path: str = "",
        concerns: Callable[[Wanted], bool] = lambda _: True,
        fresh: bool = False,
    ) -> dict[Name, Answer]:
        """By `Wanted.name`. Empty where the catalogue may not be read. fresh: whatever is remembered.

        path: the landed file that asks; concerns: whether it has to be told when such an asset goes.
        Raises CatalogBusy, StorageBusy.
        """
        moment = self._clock()
        answers: dict[Name, Answer] = {}
        if not fresh:
            for one in wanted:
                if (found := self._remembered(one.name, moment)) is not None:
                    answers[one.name] = found
        open_ = [one for one in wanted if one.name not in answers]
        if open_ and moment < self._not_before:
            return answers
        try:
            if open_:
                found_now = self._exact(open_)
                found_now |= self._spelled([one for one in open_ if one.name not in found_now], fresh=fresh)
                answers |= {one.name: found_now.get(one.name, Answer(None)) for one in open_}
        except CatalogRefused as error:
            log.warning("ends of lineage are not looked for in the catalogue for some minutes: %s", error)
            self._not_before = moment + PAUSE_SECONDS
            return answers
        told = {one.name for one in wanted if path and concerns(one)}
        self._remember(answers, {one.name for one in open_}, moment, path, told)
        return self._with_columns(wanted, answers)

    def near(self, one: Wanted, most: int = 3) -> list[Name]:
        """Assets of the same server with the nearest names. Raises CatalogBusy, CatalogRefused."""
        listed = self._list([one], fresh=False)
        by_name = {folded: names for folded, names in listed.items() if names}
        close = get_close_matches(one.name.qualified_name.casefold(), by_name, most, cutoff=0.8)
        return [name for folded in close for name in by_name[folded]][:most]

    def forget(self, names: Iterable[Name]) -> set[str]:
        """These have come or gone; returns the landed files whose lineage ends there. Raises StorageBusy."""
        told = set(names)
        with self._lock:
            self._known = {name: kept for name, kept in self._known.items() if kept[1].name not in told}
        return self._table.forget(told)

    def doubt(self, names: Iterable[Name]) -> None:
        """These have come: that nothing of such a name is there does not count any more. Raises StorageBusy."""
        told = {leaf(name) for name in names}
        with self._lock:
            gone = [name for name, kept in self._known.items() if kept[1].name is None and leaf(name) in told]
            for name in gone:
                del self._known[name]
        self._table.doubt(names)

    # ---- what is remembered

    def _remembered(self, name: Name, moment: float) -> Answer | None:
        with self._lock:
            held = self._known.get(name)
        if held is not None and held[0] > moment:
            return held[1]
        row = self._table.get(name)
        if row is None:
            return None
        answer = Answer(row.name, row.spelled, (), row.several)
        self._hold({name: answer}, min(row.until, moment + (ABSENT_SECONDS if row.name is None else FOUND_SECONDS)))
        return answer

    def _remember(
        self, answers: Mapping[Name, Answer], new: set[Name], moment: float, path: str, told: set[Name]
    ) -> None:
        rows: dict[Name, Resolved] = {}
        for name, answer in answers.items():
            lasts = FOUND_SECONDS if answer.name is not None else MISSING_SECONDS
            if name in new:
                self._hold({name: answer}, moment + (lasts if answer.name is not None else ABSENT_SECONDS))
            held = None if name in new else self._table.get(name)
            until = held.until if held is not None else moment + lasts
            rows[name] = Resolved(name=answer.name, until=until, spelled=answer.spelled, several=answer.several)
        self._table.put({name: row for name, row in rows.items() if name in told}, path)
        self._table.put({name: row for name, row in rows.items() if name not in told}, "")

    def _hold(self, answers: Mapping[Name, Answer], until: float) -> None:
        with self._lock:
            self._known.update({name: (until, answer) for name, answer in answers.items()})
            while len(self._known) > REMEMBERED:
                del self._known[next(iter(self._known))]

    # ---- exact names

    def _exact(self, wanted: Sequence[Wanted]) -> dict[Name, Answer]:
        """The likeliest candidates of all of them first, the next ones only of those that are not found."""
        found: dict[Name, Answer] = {}
        for turn in range(max(len(one.candidates) for one in wanted)):
            turns = [(one, one.candidates[turn]) for one in wanted if turn < len(one.candidates)]
            asked = [(one, candidate) for one, candidate in turns if one.name not in found]
            there = self._there(candidate.name for _, candidate in asked)
            found |= {one.name: Answer(candidate.name) for one, candidate in asked if candidate.name in there}
        return found

    def _there(self, names: Iterable[Name]) -> set[Name]:
        by_type: dict[str, dict[str, None]] = {}
        for name in names:
            if self._types(name.type_name):
                by_type.setdefault(name.type_name, {})[name.qualified_name] = None
        there: set[Name] = set()
        for type_name, qualified_names in by_type.items():
            self._pace().take(len(qualified_names))
            self.lookups += ceil(len(qualified_names) / FIND_NAMES)
            try:
                found = self._client().find(type_name, list(qualified_names))
            except CatalogRefused as error:
                if _UNKNOWN_TYPE not in error.what:
                    raise
                continue
            there |= {Name(type_name, name) for name, one in found.items() if one.status == "ACTIVE"}
        return there

    def _client(self) -> Catalog:
        catalog = self._catalog()
        if catalog is None:
            raise CatalogRefused("no catalogue is configured", fix="set purview.account in hookline.yaml")
        return catalog

    # ---- names that differ in case

    def _spelled(self, wanted: Sequence[Wanted], *, fresh: bool) -> dict[Name, Answer]:
        groups: dict[object, list[Wanted]] = {}
        for one in wanted:
            groups.setdefault((_servers(one), self._type_names(one)), []).append(one)
        found: dict[Name, Answer] = {}
        for group in groups.values():
            listed = self._list(group, fresh=fresh)
            found |= {one.name: answer for one in group if (answer := _match(one, listed)) is not None}
        adopted = {answer.name for answer in found.values() if answer.name is not None}
        there = self._there(adopted)
        return {name: a for name, a in found.items() if a.name is None or a.name in there}

    def _type_names(self, one: Wanted) -> tuple[str, ...]:
        names = {c.name.type_name for c in (*one.candidates, *one.further)}
        return tuple(sorted(name for name in names if self._types(name)))

    def _list(self, group: Sequence[Wanted], *, fresh: bool) -> Listed:
        """Everything of the group's server, or beside what is wanted where that is too much."""
        types, servers = self._type_names(group[0]), _servers(group[0])
        if not types:
            return {}
        held = self._lists.get((types, servers))
        if held is not None and not fresh and held[0] > self._clock():
            return held[1]
        names = self._search(types, servers)
        if names is not None:
            listed = _folded(names)
            with self._lock:
                self._lists[types, servers] = (self._clock() + LIST_SECONDS, listed)
                while len(self._lists) > LISTS:
                    del self._lists[next(iter(self._lists))]
            return listed
        beside = sorted({spelling for one in group for c in one.candidates[:1] for spelling in _beside(c)})
        found: list[Name] = []
        for start in range(0, len(beside), BESIDE):
            some = self._search(types, tuple(beside[start : start + BESIDE]))
            if some is None:
                log.warning("more than %d assets beside %s: other spellings are not looked for", LISTED, beside[start])
            found += some or ()
        return _folded(found)

    def _search(self, types: tuple[str, ...], beginnings: tuple[str, ...]) -> tuple[Name, ...] | None:
        """None where there are too many."""
        begins = [{"attributeName": "qualifiedName", "operator": "startswith", "attributeValue": b} for b in beginnings]
        wanted: dict[str, Any] = {"and": [{"or": [{"entityType": name} for name in types]}, {"or": begins}]}
        self._pace().take(1)
        hits = self._client().search(wanted, LISTED)
        self.lookups += hits.pages
        if hits.pages > 1:
            self._pace().take(hits.pages - 1)
        return hits.names if hits.total <= LISTED else None

    # ---- columns

    def _with_columns(self, wanted: Sequence[Wanted], answers: dict[Name, Answer]) -> dict[Name, Answer]:
        attributes: dict[Name, str] = {}
        for one in wanted:
            answer = answers.get(one.name)
            if one.columns and answer is not None and answer.name is not None:
                of_type = {c.name.type_name: c.columns_attribute for c in (*one.candidates, *one.further)}
                if attribute := of_type.get(answer.name.type_name, ""):
                    attributes[answer.name] = attribute
        columns = self._columns(attributes) if attributes else {}
        return {
            name: answer._replace(columns=columns.get(answer.name, ())) if answer.name is not None else answer
            for name, answer in answers.items()
        }


def _match(one: Wanted, listed: Listed) -> Answer | None:
    """The asset that is meant: equal, or the only one that differs in case only; None where there is none such."""
    for candidate in (*one.candidates, *one.further):
        meant = candidate.name
        alike = [name for name in listed.get(meant.qualified_name.casefold(), ()) if name.type_name == meant.type_name]
        if meant in alike:
            return Answer(meant)
        if len(alike) == 1:
            return Answer(alike[0], spelled=True)
        if alike:
            return Answer(None, several=tuple(sorted(alike, key=lambda name: name.qualified_name)))
    return None


def _folded(names: Iterable[Name]) -> Listed:
    listed: Listed = {}
    for name in dict.fromkeys(names):
        listed.setdefault(name.qualified_name.casefold(), []).append(name)
    return listed


def _servers(one: Wanted) -> tuple[str, ...]:
    """How names on that server begin, under each of the types in question; as it is written, and in lower case."""
    found: dict[str, None] = {}
    for candidate in (*one.candidates[:1], *one.further):
        name = candidate.name.qualified_name
        scheme = name.find("://") + 3 if "://" in name else 0
        at = name.find(one.host, scheme) if one.host else -1
        end = name.find("/", at + len(one.host) if at >= 0 else scheme)
        beginning = name[: end + 1] if end >= 0 else name[: scheme or name.find(".") + 1]
        found |= dict.fromkeys((beginning, beginning.lower()))
    return tuple(found)


def _beside(candidate: Candidate) -> tuple[str, ...]:
    """How the names of what lies beside it begin, as it is written and in the two other spellings that are common."""
    name = candidate.name.qualified_name.rstrip("/")
    cut = name.rfind("/") + 1
    scheme = name.find("://") + 3 if "://" in name[:cut] else 0
    server = name.find("/", scheme) + 1
    around, below = name[:server], name[server:cut]
    return around + below, around + below.lower(), around + below.upper()
