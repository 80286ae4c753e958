"""A source that does everything right, and one for each check that does one thing wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar

import msgspec

from connectors.source import Check, Source
from shared.errors import HooklineError, SourceRefused, SourceUnreachable
from shared.records import Address, Column, Container, Cursor, Dataset, Record, Refusal
from shared.settings import Secret
from tests.conformance import source_checks
from tests.conformance.subject import Subject

TABLES = 1_200
CANARY = "canary-of-the-toy"


class ToySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    host: str
    password: Secret


class Toy(Source[ToySettings]):
    """A system in memory: `down` does not answer, and a password that ends in `wrong` is refused."""

    Settings: ClassVar[type[msgspec.Struct]] = ToySettings
    title = "Toys"
    permissions = "none"
    lineage = "none"
    verified = "itself"
    example = "host: toys\npassword: ${secret:toys}\n"

    def connect(self) -> None:
        if self.settings.host == "down":
            raise SourceUnreachable("no answer", fix="switch it on")
        if self.settings.password.reveal().endswith("wrong"):
            raise SourceRefused("wrong password", fix="correct it")

    def base(self) -> Address:
        return Address("toy", self.settings.host, (), "server")

    def scopes(self) -> list[str]:
        self.connect()
        return [name for name in ("box", "shelf") if self.selection.takes_scope(name)]

    def containers(self, scope: str) -> list[Container]:
        return [Container(address=self.base()), Container(address=self.base().at(scope, type="schema"))]

    def dataset(self, scope: str, name: str) -> Dataset:
        columns = tuple(Column(name=f"column {n} of {name}", type="text") for n in range(8))
        return Dataset(address=self.base().at(scope, name), columns=columns)

    def extract(self, scope: str, *, since: str = "", resume: str = "") -> Iterator[Record | Cursor | Refusal]:
        self.connect()
        if scope not in ("box", "shelf"):
            yield Cursor(position="gone")
            return
        yield from self.containers(scope)
        for n in range(TABLES):
            name = f"toy{n:05}"
            if name > resume and self.selection.takes(scope, name):
                yield self.dataset(scope, name)
            if n % 300 == 299 and name > resume:
                yield Cursor(position=name)

    def check(self) -> Iterator[Check]:
        try:
            self.connect()
        except HooklineError as error:
            yield Check("connection", False, error.what, error.fix)
            return
        yield Check("connection", True)


def subject(source: type[Source[Any]], **changes: Any) -> Subject:
    good = Subject(
        source=source,
        settings={"host": "toys", "password": CANARY},
        scope="box",
        dataset=("box", "toy00700"),
        unreachable={"host": "down", "password": CANARY},
        refused={"host": "toys", "password": f"{CANARY}-wrong"},
        secret=CANARY,
    )
    return replace(good, **changes)


#: check -> a subject that it must reject, and words of the reason it must give
BROKEN: dict[str, tuple[Subject, str]] = {}


def breaks(check: Callable[[Subject], None], words: str) -> Callable[[type[Toy]], type[Toy]]:
    def register(source: type[Toy]) -> type[Toy]:
        BROKEN[check.__name__.removeprefix("check_")] = (subject(source), words)
        return source

    return register


class LaxSettings(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    password: Secret


@breaks(source_checks.check_settings_forbid_unknown_keys, "unknown keys")
class Lax(Toy):
    Settings = LaxSettings


@breaks(source_checks.check_description_is_complete, "`permissions` is empty")
class Undescribed(Toy):
    permissions = ""


@breaks(source_checks.check_example_is_valid_and_complete, "lacks password|is missing")
class HalfAnExample(Toy):
    example = "host: toys\n"


@breaks(source_checks.check_base_needs_no_connection, "needs the system")
class AsksForItsName(Toy):
    def base(self) -> Address:
        self.connect()
        return super().base()


@breaks(source_checks.check_scopes_are_sorted_and_stable, "not sorted")
class UnsortedScopes(Toy):
    def scopes(self) -> list[str]:
        return super().scopes()[::-1]


@breaks(source_checks.check_subject_is_large_enough, "holds 4 datasets")
class Small(Toy):
    def extract(self, scope: str, *, since: str = "", resume: str = "") -> Iterator[Record | Cursor | Refusal]:
        for n, item in enumerate(super().extract(scope, resume=resume)):
            if n < 6:
                yield item


class Rearranged(Toy):
    """What the right source yields, after `change`."""

    def change(self, items: list[Any]) -> list[Any]:
        raise NotImplementedError

    def extract(self, scope: str, *, since: str = "", resume: str = "") -> Iterator[Record | Cursor | Refusal]:
        items = list(super().extract(scope, since=since, resume=resume))
        yield from self.change(items) if len(items) > 1 else items


@breaks(source_checks.check_containers_come_first, "after what it may hold")
class LateContainers(Rearranged):
    def change(self, items: list[Any]) -> list[Any]:
        return [items[0], *items[2:], items[1]]


@breaks(source_checks.check_records_survive_a_job_file, "not the same after JSON")
class NotJson(Rearranged):
    def change(self, items: list[Any]) -> list[Any]:
        odd = msgspec.structs.replace(items[5], tags=["a list where a tuple should be"])
        return [*items[:5], odd, *items[6:]]


@breaks(source_checks.check_order_is_the_same_twice, "another one in a second call")
class Shuffled(Rearranged):
    calls = 0

    def change(self, items: list[Any]) -> list[Any]:
        Shuffled.calls += 1
        n = 10 + Shuffled.calls % 2
        return [*items[:n], items[n + 1], items[n], *items[n + 2 :]]


@breaks(source_checks.check_cursors_are_frequent, "without a cursor")
class FewCursors(Rearranged):
    def change(self, items: list[Any]) -> list[Any]:
        return [item for item in items if not isinstance(item, Cursor) or item.position > "toy01"]


@breaks(source_checks.check_resume_yields_exactly_the_rest, "records after")
class ResumesOneTooLate(Toy):
    def extract(self, scope: str, *, since: str = "", resume: str = "") -> Iterator[Record | Cursor | Refusal]:
        return super().extract(scope, resume=f"toy{int(resume[3:]) + 1:05}" if resume else "")


@breaks(source_checks.check_since_is_ignored_or_restricts, "`since` changes")
class HalfIncremental(Rearranged):
    def extract(self, scope: str, *, since: str = "", resume: str = "") -> Iterator[Record | Cursor | Refusal]:
        for n, item in enumerate(Toy.extract(self, scope, resume=resume)):
            if not since or n < 100:
                yield item


@breaks(source_checks.check_selection_is_honoured, "yields")
class TakesEverything(Toy):
    def extract(self, scope: str, *, since: str = "", resume: str = "") -> Iterator[Record | Cursor | Refusal]:
        return Toy(self.settings).extract(scope, resume=resume)


@breaks(source_checks.check_addresses_are_unique, "more than one record at")
class Repeats(Rearranged):
    def change(self, items: list[Any]) -> list[Any]:
        return [*items[:9], items[7], *items[9:]]


@breaks(source_checks.check_parents_are_yielded, "never yielded")
class Orphans(Toy):
    def containers(self, scope: str) -> list[Container]:
        return super().containers(scope)[:1]


@breaks(source_checks.check_a_scope_that_is_gone_says_so, "yields")
class SilentWhenGone(Toy):
    def extract(self, scope: str, *, since: str = "", resume: str = "") -> Iterator[Record | Cursor | Refusal]:
        for item in super().extract(scope, resume=resume):
            if item != Cursor(position="gone"):
                yield item


@breaks(source_checks.check_memory_does_not_grow_with_the_source, "bytes while it yields")
class Hoards(Rearranged):
    def change(self, items: list[Any]) -> list[Any]:
        return items


@breaks(source_checks.check_secrets_stay_secret, "the credential is in")
class TellsThePassword(Toy):
    """In a line of `check`: an error would mask it by itself."""

    def check(self) -> Iterator[Check]:
        yield Check("login", True, f"with {self.settings.password.reveal()}")


@breaks(source_checks.check_unreachable_is_said_in_time, "raises ConnectionRefusedError")
class RaisesWhatItsDriverRaises(Toy):
    def connect(self) -> None:
        if self.settings.host == "down":
            raise ConnectionRefusedError(111, os.strerror(111))
        super().connect()


@breaks(source_checks.check_refused_is_said, "does not say what to do")
class NoFix(Toy):
    def connect(self) -> None:
        if self.settings.password.reveal().endswith("wrong"):
            raise SourceRefused("no")
        super().connect()


@breaks(source_checks.check_check_never_raises, "check\\(\\) raises")
class CheckRaises(Toy):
    def check(self) -> Iterator[Check]:
        self.connect()
        yield Check("connection", True)


BROKEN["import_loads_no_driver"] = (
    subject(Toy, module="tests.conformance.broken_import"),
    "loads yaml|loads .*sqlglot",
)

#: a second way to break a rule, where one would leave half of the check unproven
ALSO_BROKEN: list[tuple[str, type[Toy], str]] = []


def also_breaks(check: Callable[[Subject], None], words: str) -> Callable[[type[Toy]], type[Toy]]:
    def register(source: type[Toy]) -> type[Toy]:
        ALSO_BROKEN.append((check.__name__.removeprefix("check_"), source, words))
        return source

    return register


@also_breaks(source_checks.check_resume_yields_exactly_the_rest, "containers do not come again")
class ResumesWithoutContainers(Toy):
    def extract(self, scope: str, *, since: str = "", resume: str = "") -> Iterator[Record | Cursor | Refusal]:
        for item in super().extract(scope, resume=resume):
            if not (resume and isinstance(item, Container)):
                yield item


@also_breaks(source_checks.check_unreachable_is_said_in_time, "does not raise")
class TakesSilenceForNothing(Toy):
    """The worst there is: an outage that looks like an empty system, whose assets are deleted then."""

    def extract(self, scope: str, *, since: str = "", resume: str = "") -> Iterator[Record | Cursor | Refusal]:
        try:
            yield from super().extract(scope, resume=resume)
        except SourceUnreachable:
            return

    def scopes(self) -> list[str]:
        try:
            return super().scopes()
        except SourceUnreachable:
            return []


@also_breaks(source_checks.check_unreachable_is_said_in_time, "says so after")
class Dawdles(Toy):
    def connect(self) -> None:
        if self.settings.host == "down":
            time.sleep(source_checks.UNREACHABLE_SECONDS)
        super().connect()


@also_breaks(source_checks.check_example_is_valid_and_complete, "in clear")
class PasswordInTheExample(Toy):
    example = "host: toys\npassword: swordfish-in-clear\n"


@also_breaks(source_checks.check_selection_is_honoured, "leaves it in scopes")
class ScopesIgnoreTheSelection(Toy):
    def scopes(self) -> list[str]:
        self.connect()
        return ["box", "shelf"]


@also_breaks(source_checks.check_secrets_stay_secret, "the credential is in")
class StoresThePassword(Toy):
    def dataset(self, scope: str, name: str) -> Dataset:
        plain = super().dataset(scope, name)
        return msgspec.structs.replace(plain, properties={"url": f"toy://me:{self.settings.password.reveal()}@toys"})
