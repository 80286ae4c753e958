"""How a row of the fault matrix is played: change things while faults strike, let it come to rest, compare."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import requests

from cli.output import step
from cli.playing import LOOK_SECONDS, Play
from local.chaos.judge import Watermarks, difference
from local.faults.matrix import Row, chance
from shared.pipeline.app import App

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local.faults.estate import FaultEstate
    from local.faults.stack import FaultyStack

#: changes before the first row
WARM_UP = 6
#: a request for a scan over HTTP, while everything is slow
ASK_SECONDS = 30
#: megabytes that the app may hold at the most in any row
MEMORY_MB = 600.0


class Result(msgspec.Struct, kw_only=True):
    """What became of one row. struck_by: service and kind of a fault -> how often it struck."""

    row: str
    service: str
    what: str
    struck_by: dict[str, int]
    changes: int
    failed: int
    seconds: float
    memory_mb: float
    lost: list[str]
    wrong: list[str]
    duplicated: list[str]
    ahead: list[str]
    never_finished: list[str]
    given_up: list[str]

    @property
    def hits(self) -> int:
        return sum(self.struck_by.values())

    @property
    def problems(self) -> list[str]:
        return [*self.lost, *self.wrong, *self.duplicated, *self.ahead, *self.never_finished, *self.given_up]

    @property
    def good(self) -> bool:
        return not self.problems and self.hits > 0 and self.memory_mb <= MEMORY_MB

    def struck(self) -> str:
        return ", ".join(f"{kind} {count:,}" for kind, count in sorted(self.struck_by.items()))

    def verdict(self) -> str:
        told = f"lost {len(self.lost)}, wrong {len(self.wrong)}, duplicated {len(self.duplicated)}"
        told += f", {len(self.ahead)} watermarks ahead" if self.ahead else ""
        told += f", {len(self.never_finished)} never finished" if self.never_finished else ""
        told += f", {len(self.given_up)} given up" if self.given_up else ""
        return told + ("" if self.memory_mb <= MEMORY_MB else f", more than {MEMORY_MB:.0f} MB")


class FaultPlay(Play):
    """One stack, one estate, row after row. app: works on the same storage, without its faults."""

    def __init__(self, stack: FaultyStack, app: App, estate: FaultEstate) -> None:
        super().__init__(stack, app, estate, Watermarks(app.landing), drop=0.0)
        self._faulty, self._faulty_estate = stack, estate
        self._known: set[str] = set()
        self._given_up: set[str] = set()
        self.results: list[Result] = []

    def warm_up(self) -> None:
        """Every source is scanned once and a few files land, so that rows begin with something to lose."""
        self.happen(WARM_UP)
        self.settle()

    def row(self, row: Row, *, share: float = 1.0) -> Result:
        """share: of its time and its changes."""
        stack, estate = self._faulty, self._estate
        stack.use(row.sink)
        began, before, failed, ahead = time.monotonic(), estate.changes, self._failed(), len(self.ahead)
        stack.app.forget_memory()
        self._work(row, share)
        struck = stack.relent()
        open_ = self.settle()
        found = difference(estate, stack.folder / "catalogue" / "catalogue.db")
        fresh = [[what for what in kind if what not in self._known] for kind in found]
        self._known.update(what for kind in found for what in kind)
        result = Result(
            row=row.name,
            service=row.service,
            what=row.what,
            struck_by=dict(struck),
            changes=estate.changes - before,
            failed=self._failed() - failed,
            seconds=round(time.monotonic() - began, 1),
            memory_mb=round(stack.app.memory() / 1e6, 1),
            lost=fresh[0],
            wrong=fresh[1],
            duplicated=fresh[2],
            ahead=self.ahead[ahead:],
            never_finished=open_,
            given_up=self._newly_given_up(),
        )
        self.results.append(result)
        return result

    def _work(self, row: Row, share: float) -> None:
        """Changes, spread over the time that the faults last."""
        rng = chance(self._estate.seed, row)
        seconds = row.seconds * share
        moments = sorted(rng.uniform(0, seconds * 0.8) for _ in range(max(4, round(row.changes * share))))
        self._faulty.inject(row.seeded(self._estate.seed, share))
        began = time.monotonic()
        for number, moment in enumerate([*moments, seconds]):
            while (left := began + moment - time.monotonic()) > 0:
                self.look()
                self._check_watermarks()
                time.sleep(min(left, LOOK_SECONDS))
            if moment == seconds:
                return
            if row.needs_remote and number % 2 == 0:
                self._carry_out(self._faulty_estate.change_remote())
            else:
                self.happen(1)

    def _failed(self) -> int:
        """Executions that failed so far."""
        return sum(count for what, count in self.executions.items() if what.endswith((" failed", " timeout")))

    def _scan(self, instance: str) -> None:
        """Ask the app for a scan; when it cannot take the request, somebody asks again in the end."""
        try:
            requests.post(f"{self._stack.app_url}/api/scan/{instance}", timeout=ASK_SECONDS)
        except requests.RequestException as error:
            step(f"no answer to a request for a scan: {type(error).__name__}")

    def _newly_given_up(self) -> list[str]:
        """Files that were refused as a whole, or got lost: none of the estate's deserves it."""
        found = []
        for receipt in self._app.receipts.all():
            if receipt.state in ("lost", "rejected") and receipt.path not in self._given_up:
                self._given_up.add(receipt.path)
                found.append(f"{receipt.path} is {receipt.state}: {receipt.error or dict(receipt.reasons)}")
        return found


def markdown_table(results: Sequence[Result]) -> str:
    """The table of docs/reliability.md."""
    lines = [
        "| row | fails | what happens | struck | changes | failed tries | memory | result |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for found in results:
        kinds = Counter[str]()
        for name, count in found.struck_by.items():
            kinds[name.partition(": ")[2]] += count
        struck = f"{found.hits:,}" if len(kinds) < 2 else f"{found.hits:,} ({_kinds(kinds)})"
        cells = (
            f"`{found.row}`", found.service, found.what, struck, f"{found.changes:,}", f"{found.failed:,}",
            f"{found.memory_mb:.0f} MB", found.verdict(),
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _kinds(kinds: Counter[str]) -> str:
    return ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common())
