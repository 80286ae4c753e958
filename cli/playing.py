"""A play of `chaos`: the world changes, processes die at random moments, and in the end everything comes to rest."""

from __future__ import annotations

import datetime as dt
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from cli.output import plural, step
from cli.run import waits_for
from shared.errors import UsageError

if TYPE_CHECKING:
    from local.chaos.estate import Change, Estate
    from local.chaos.judge import Watermarks
    from local.stack import Stack
    from shared.pipeline.app import App

#: seconds from the start of an app to its death, at most
LONGEST_LIFE = 4.0
#: changes between two deaths, at most
MOST_CHANGES = 4
#: what dies, and how often
APP, CATALOGUE, HUBS, STORAGE = "function app", "catalogue", "event hubs", "storage"
SHARES = {APP: 74, CATALOGUE: 12, HUBS: 12, STORAGE: 2}
#: a person looks after held deletions after so many deaths
APPROVE_EVERY = 10
#: in the end nothing is killed any more, and everything has so long to come through
SETTLE_SECONDS = 600
LOOK_SECONDS = 0.5


class Play:
    """One play. Its random choices come from the estate's seed; when processes are hit in their work does not."""

    def __init__(self, stack: Stack, app: App, estate: Estate, watermarks: Watermarks, *, drop: float) -> None:
        self._stack, self._app, self._estate, self.watermarks = stack, app, estate, watermarks
        self._drop = drop
        #: deaths by process; executions by function and outcome; files sent again through the hub, and over REST
        self.kills: Counter[str] = Counter()
        self.executions: Counter[str] = Counter()
        self.resent = self.by_rest = 0
        self.replays = self.approvals = 0
        #: watermarks that were ahead of their data
        self.ahead: list[str] = []
        #: bytes that one function app held at most
        self.memory = 0
        #: when the last version of a file was uploaded, by path (seconds since 1970)
        self._uploaded: dict[str, float] = {}
        self._starting: set[int] = set()
        #: messages in scans-poison when it was last at rest
        self._poison = 0
        # whom it hits is not the estate's business: the same seed plays the same changes, whatever dies
        self._fate = random.Random(f"fate {estate.seed}")  # noqa: S311 - reproducible on purpose

    # ---- while processes die

    def run(self, kills: int) -> None:
        """Changes and deaths in turn; whatever is at work when something dies has to be found again."""
        rng = self._estate.rng
        self.drop_messages()
        for kill in range(1, kills + 1):
            self.happen(rng.randint(1, MOST_CHANGES))
            time.sleep(self._fate.uniform(0.05, LONGEST_LIFE))
            self._kill(self._fate.choices(list(SHARES), list(SHARES.values()))[0])
            self.look()
            if kill % APPROVE_EVERY == 0:
                self._approve()
            if kill % 10 == 0 or kill == kills:
                step(f"killed {kill} of {kills} times, {plural(self._estate.changes, 'change')} so far")

    def _kill(self, what: str) -> None:
        stack, rng = self._stack, self._estate.rng
        self.kills[what] += 1
        meanwhile = rng.randint(0, MOST_CHANGES)  # the world goes on while nobody looks
        if what == APP:
            number = self._fate.randrange(len(stack.apps))
            self._await(number)
            self._measure()
            stack.kill_app(number)
            self._check_watermarks()
            self.happen(meanwhile)
            stack.start_app(number, wait=False)
            self._starting.add(number)
            if len(stack.apps) == 1:
                self._await(number)
            return
        if what == CATALOGUE:
            stack.kill_catalogue()
            self.drop_messages()
        elif what == HUBS:
            stack.kill_hubs()
        else:
            for number in sorted(self._starting):  # an app does not start without storage
                self._await(number)
            stack.restart_storage()
        self.happen(meanwhile)

    def _await(self, number: int) -> None:
        if number in self._starting:
            self._stack.await_app(number)
            self._starting.discard(number)

    def drop_messages(self) -> None:
        """The catalogue drops its share from now on."""
        self._stack.faults(dropPercent=self._drop, seed=self._estate.seed + sum(self.kills.values()))

    def happen(self, changes: int) -> None:
        """So many changes of the world."""
        for _ in range(changes):
            self._carry_out(self._estate.change())

    def _carry_out(self, change: Change) -> None:
        """A file lands, or is to run again, or a source that has changed is to be scanned."""
        from shared.pipeline.requeue import named

        app = self._app
        if change.body:
            app.landing.upload_blob(change.path, change.body, overwrite=True)
            self._uploaded[change.path] = time.time()
        elif change.path:
            try:
                replays = named(app, [change.path])
            except UsageError:
                return  # it is at work: a person is told so, and leaves it
            self.replays += 1
            for replay in replays:
                app.azure.send("replays", msgspec.json.encode(replay).decode())
        else:
            self._scan(change.instance)

    def _scan(self, instance: str) -> None:
        from shared.pipeline.scheduling import request

        for message in request(self._app, instance, full=False, reason="request"):
            self._app.azure.send("scans", message)

    def _approve(self) -> bool:
        """A person lets held deletions go. Whether there were any."""
        from shared.pipeline.held import approve, waiting

        any_held = False
        for name in self._app.settings.instances:
            held = waiting(self._app, name)
            any_held |= bool(held)
            try:
                messages = approve(self._app, name, held) if held else []
            except UsageError:
                continue  # it is being scanned: another time
            self.approvals += bool(held)
            for message in messages:
                self._app.azure.send("scans", message)
        return any_held

    # ---- what is seen of it

    def _check_watermarks(self) -> None:
        for ledger in self._estate.ledgers:
            row, _ = self._app.scans.get(ledger.name, ledger.scope)
            self.ahead += [found for found in self.watermarks.ahead(ledger, row.watermark) if found not in self.ahead]

    def _measure(self) -> None:
        self.memory = max([self.memory, *(part.memory() for part in self._stack.apps if part is not None)])

    def look(self) -> None:
        """Count what was done since the last look."""
        for done in self._stack.watch():
            self.executions[f"{done.get('function')} {done.get('outcome')}"] += 1
            if done.get("function") == "replay" and done.get("outcome") == "ok":
                asked = _replay(str(done.get("trigger")))
                self.resent += bool(asked.get("missing")) and not asked.get("rest")
                self.by_rest += bool(asked.get("rest"))

    def longest_wait(self) -> float:
        """Seconds from the upload of a file's last version to its final receipt, of the file that waited longest."""
        waits = []
        for path, uploaded in self._uploaded.items():
            receipt, _ = self._app.receipts.get(path)
            if receipt is not None and receipt.final:
                waits.append(dt.datetime.fromisoformat(receipt.finished).timestamp() - uploaded)
        return max(waits, default=0.0)

    # ---- the end

    def settle(self) -> list[str]:
        """Nothing dies any more: a last scan of everything, and wait. Returns what has not come to an end.

        Messages are still dropped.
        """
        for number in sorted(self._starting):
            self._await(number)
        changed, began = time.time(), time.monotonic()
        quiet_since = began
        while time.monotonic() - began < SETTLE_SECONDS:
            self.look()
            waits = waits_for(self._stack, self._app)
            behind = self._behind(changed)
            if not waits and not behind and not self._approve():
                break
            if not waits:
                for name in behind:
                    self._scan(name)
            if time.monotonic() - quiet_since > 10:
                quiet_since = time.monotonic()
                step(f"waiting: {waits or 'scans of ' + ', '.join(behind)}")
            time.sleep(LOOK_SECONDS)
        else:
            open_ = [f"{r.path} is {r.state}" for r in self._app.receipts.all() if not r.final]
            return [*open_, waits_for(self._stack, self._app), *(f"{name} was not scanned" for name in behind)]
        self._measure()
        self._check_watermarks()
        # A kill uses up one of a message's five tries. The schedule would find such a scan after an hour; the play asks
        # for every scan again at once, and a file that was given up is found by the sweep.
        poison = self._stack.idle()["poison"].get("scans-poison", 0)
        if given_up := poison - self._poison:
            step(f"{plural(given_up, 'request')} for a scan used up their tries, and were made again")
        self._poison = poison
        return []

    def _behind(self, changed: float) -> list[str]:
        """Sources without a whole scan since then."""
        behind = []
        for source in self._estate.sources:
            last = self._app.scans.get(source.name, source.scope)[0].last
            if last is None or dt.datetime.fromisoformat(last.started).timestamp() < changed or last.refused:
                behind.append(source.name)
        return behind


def _replay(trigger: str) -> dict[str, Any]:
    try:
        asked = msgspec.json.decode(trigger)
    except msgspec.DecodeError:  # it was too long to be told whole
        return {}
    return asked if isinstance(asked, dict) else {}
