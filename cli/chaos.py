"""`chaos`: kill the app again and again while it works, and see whether anything is lost, wrong or there twice."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from rich.markup import escape

from cli.context import LOCAL, app_of
from cli.output import out, plural, step

if TYPE_CHECKING:
    from local.chaos import Change, Estate
    from local.stack import Stack
    from shared.pipeline.app import App

#: seconds from the start of the app to its death, at most
LONGEST_LIFE = 2.5
#: changes between two deaths, at most
MOST_CHANGES = 4
#: in the end nothing is killed any more, and everything has so long to come through
SETTLE_SECONDS = 600
LOOK_SECONDS = 0.5
#: five tries have to outlast the lease of a worker that was killed (60 s), as with the 30 s of host.json
TRY_AGAIN = "00:00:15"
#: differences that are shown
SHOWN = 20


@click.command(short_help="Kill the app while it works; is anything lost?")
@click.option("--kills", type=click.IntRange(0), default=25, show_default=True, help="How often the app is killed.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed, the same changes.")
@click.option("--files", type=click.IntRange(1), default=200, show_default=True, help="How many different files.")
@click.option(
    "--drop",
    metavar="PERCENT",
    type=click.FloatRange(0, 50),
    default=5.0,
    show_default=True,
    help="Hook messages that the catalogue drops without a word.",
)
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="The result as JSON, too.")
def chaos(kills: int, seed: int, files: int, drop: float, report: Path | None) -> None:
    """Prove that nothing gets lost: change sources and files, and kill the app (SIGKILL) at random moments.

    A local stack of its own scans three SQLite databases whose tables come and go, and takes files that are uploaded in
    ever newer versions, while its process is killed and started again and the catalogue drops messages. In the end
    everything is compared with a model of what the catalogue has to hold. The exit code is 1 unless it ends with
    `lost 0, wrong 0, duplicated 0`.
    """
    from local.chaos import Estate, difference
    from local.running import claim
    from local.stack import Stack

    folder = LOCAL / "chaos"
    with claim(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        estate = Estate(folder, seed, files)
        config = folder / "chaos.json"  # JSON is YAML
        config.write_bytes(msgspec.json.encode({"instances": estate.settings()}))
        with Stack(folder, config, try_again=TRY_AGAIN, progress=step) as stack:
            app = app_of(stack.environ)
            stack.faults(dropPercent=drop, seed=seed)
            began = time.monotonic()
            _play(stack, app, estate, kills)
            stack.faults()
            open_ = _settle(stack, app, estate)
            found = difference(estate, folder / "catalogue" / "catalogue.db")
            receipts = list(app.receipts.all())
            dropped = stack.dropped("fault")
            seconds = time.monotonic() - began
    states: dict[str, int] = {}
    for receipt in receipts:
        states[receipt.state] = states.get(receipt.state, 0) + 1
    for what in (*found.lost, *found.wrong, *found.duplicated, *open_)[:SHOWN]:
        out.print(f"[red]{escape(what)}[/red]")
    told = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
    out.print(
        f"{plural(kills, 'kill')}, {plural(dropped, 'message')} dropped, {plural(estate.changes, 'change')}, "
        f"{plural(len(receipts), 'file')} ({told}), {plural(len(estate.expected()), 'asset')} expected, {seconds:.0f} s"
    )
    good = not found and not open_
    colour = "green" if good else "red"
    out.print(
        f"[{colour}]lost {len(found.lost)}, wrong {len(found.wrong)}, duplicated {len(found.duplicated)}[/{colour}]"
        + (f", {len(open_)} never finished" if open_ else "")
    )
    if report is not None:
        result: dict[str, object] = {"ok": good, "kills": kills, "seed": seed, "dropped": dropped}
        result |= {"changes": estate.changes, "seconds": round(seconds, 1), "states": states}
        result |= {"never_finished": open_, **found._asdict()}
        report.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    sys.exit(0 if good else 1)


def _play(stack: Stack, app: App, estate: Estate, kills: int) -> None:
    """Changes and deaths in turn; whatever is at work when the app dies has to be found again."""
    rng = estate.rng
    for kill in range(kills):
        for _ in range(rng.randint(1, MOST_CHANGES)):
            _happen(app, estate.change())
        time.sleep(rng.uniform(0.05, LONGEST_LIFE))
        stack.kill_app()
        for _ in range(rng.randint(0, MOST_CHANGES)):  # the world goes on while nobody looks
            _happen(app, estate.change())
        stack.start_app()
        if (kill + 1) % 10 == 0 or kill + 1 == kills:
            step(f"killed {kill + 1} of {kills} times, {plural(estate.changes, 'change')} so far")


def _happen(app: App, change: Change) -> None:
    """A file lands, or a database that has changed is to be scanned."""
    from shared.pipeline.scheduling import request

    if change.path:
        app.landing.upload_blob(change.path, change.body, overwrite=True)
        return
    for message in request(app, change.instance, full=False, reason="request"):
        app.azure.send("scans", message)


def _settle(stack: Stack, app: App, estate: Estate) -> list[str]:
    """Nothing dies any more: a last scan of everything, and wait. Returns what has not come to an end."""
    from cli.run import waits_for
    from shared.pipeline.app import parsed
    from shared.pipeline.scheduling import request

    changed = time.time()
    deadline = time.monotonic() + SETTLE_SECONDS
    quiet_since = time.monotonic()
    while time.monotonic() < deadline:
        list(stack.watch())
        waits = waits_for(stack, app)
        behind = []
        for name in (database.name for database in estate.databases):
            row, _ = app.scans.get(name, "main")
            last = row.last
            if last is None or parsed(last.started).timestamp() < changed or not last.complete:
                behind.append(name)
        if not waits and not behind:
            given_up = stack.idle()["poison"].get("scans-poison", 0)  # files that were given up, the sweep finds again
            return [f"{plural(given_up, 'scan')} given up by the queue"] if given_up else []
        if not waits:
            for name in behind:
                for message in request(app, name, full=False, reason="request"):
                    app.azure.send("scans", message)
        if time.monotonic() - quiet_since > 10:
            quiet_since = time.monotonic()
            step(f"waiting: {waits or 'scans of ' + ', '.join(behind)}")
        time.sleep(LOOK_SECONDS)
    open_ = [f"{r.path} is {r.state}" for r in app.receipts.all() if not r.final]
    return [*open_, waits_for(stack, app)]
