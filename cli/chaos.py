"""`chaos`: kill processes again and again while they work, and see whether anything is lost, wrong or there twice."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from rich.markup import escape

from cli.context import LOCAL, app_of
from cli.output import out, plural, step

if TYPE_CHECKING:
    from local.chaos.judge import Difference

#: five tries have to outlast the lease of a worker that was killed, as with the 30 s of host.json and a lease of 60 s
TRY_AGAIN = "00:00:05"
LEASE_SECONDS = 15
#: entities a second that the catalogue is asked for, as of a large account; with 20 the end of a play takes minutes
OPERATIONS = 500
#: differences that are shown
SHOWN = 20


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What `--report` holds. seconds of the play; wait_seconds: of the file that waited longest for its final receipt.

    kills: deaths by process; dropped: hook messages that the catalogue dropped; resent, by_rest: files of which
    something was sent once more, through the hub and over REST; states: receipts; executions: of functions, by outcome.
    ahead: watermarks that were ahead of their data; memory_mb: the most that one function app held.
    """

    ok: bool
    seed: int
    workers: int
    kills: dict[str, int]
    changes: int
    assets: int
    seconds: float
    settled_seconds: float
    dropped: int
    resent: int
    by_rest: int
    replays: int
    approvals: int
    wait_seconds: float
    memory_mb: int
    states: dict[str, int]
    executions: dict[str, int]
    watermarks: int
    ahead: list[str]
    never_finished: list[str]
    lost: list[str]
    wrong: list[str]
    duplicated: list[str]


@click.command(short_help="Kill processes while they work; is anything lost?")
@click.option(
    "--kills", type=click.IntRange(0), default=25, show_default=True, help="How often one of the processes is killed."
)
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
@click.option(
    "--workers",
    type=click.IntRange(1, 4),
    default=1,
    show_default=True,
    help="Function apps that work on the same queues at the same time.",
)
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="The result as JSON, too.")
def chaos(kills: int, seed: int, files: int, drop: float, workers: int, report: Path | None) -> None:
    """Prove that nothing gets lost: change sources and files, and kill processes (SIGKILL) at random moments.

    A local stack of its own scans three SQLite databases whose tables come and go and two journals that are read from a
    watermark on, and takes files that are uploaded in ever newer versions, while the function app, the catalogue and
    the Event Hubs stand-in are killed and started again, and the catalogue drops messages. In the end everything is
    compared with a model of what the catalogue has to hold. The exit code is 1 unless it ends with
    `lost 0, wrong 0, duplicated 0`, every receipt is final, and no watermark was ever ahead of its data.
    """
    from cli.playing import Play
    from local.chaos import ledger
    from local.chaos.estate import Estate
    from local.chaos.judge import Watermarks, difference
    from local.running import claim
    from local.stack import WAITS, Stack

    folder = LOCAL / "chaos"
    with claim(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        ledger.register()
        estate = Estate(folder, seed, files)
        config = folder / "chaos.json"  # JSON is YAML
        config.write_bytes(msgspec.json.encode({"instances": estate.settings()}))
        waits = {**WAITS, "lease_seconds": LEASE_SECONDS, "operations_per_second": OPERATIONS}
        with Stack(
            folder, config, waits=waits, try_again=TRY_AGAIN, workers=workers, host="chaos.host", progress=step
        ) as stack:
            app = app_of(stack.environ)
            play = Play(stack, app, estate, Watermarks(app.landing), drop=drop)
            began = time.monotonic()
            play.run(kills)
            killed = time.monotonic()
            never = play.settle()
            found = difference(estate, folder / "catalogue" / "catalogue.db")
            result = Result(
                ok=not found and not never and not play.ahead,
                seed=seed,
                workers=workers,
                kills=dict(play.kills),
                changes=estate.changes,
                assets=len(estate.expected()),
                seconds=round(time.monotonic() - began, 1),
                settled_seconds=round(time.monotonic() - killed, 1),
                dropped=stack.dropped("fault"),
                resent=play.resent,
                by_rest=play.by_rest,
                replays=play.replays,
                approvals=play.approvals,
                wait_seconds=round(play.longest_wait(), 1),
                memory_mb=play.memory >> 20,
                states=dict(Counter(receipt.state for receipt in app.receipts.all())),
                executions=dict(sorted(play.executions.items())),
                watermarks=play.watermarks.looks,
                ahead=play.ahead,
                never_finished=never,
                **found._asdict(),
            )
    _tell(result, found)
    if report is not None:
        report.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    sys.exit(0 if result.ok else 1)


def _tell(result: Result, found: Difference) -> None:
    for what in (*found.lost, *found.wrong, *found.duplicated, *result.ahead, *result.never_finished)[:SHOWN]:
        out.print(f"[red]{escape(what)}[/red]")
    kills = ", ".join(f"{name} {count}" for name, count in sorted(result.kills.items()))
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(result.states.items()))
    out.print(
        f"{plural(sum(result.kills.values()), 'kill')}{f' ({kills})' if kills else ''}, "
        f"{plural(result.changes, 'change')}, {plural(result.assets, 'asset')} expected, {result.seconds:.0f} s"
    )
    out.print(
        f"{plural(result.dropped, 'message')} dropped, {plural(result.resent, 'file')} sent once more, "
        f"{result.by_rest:,} over REST; {plural(sum(result.states.values()), 'file')} ({states}), "
        f"the longest waited {result.wait_seconds:.0f} s; {result.memory_mb:,} MB of memory at most"
    )
    colour = "green" if result.ok else "red"
    ahead = f"{len(result.ahead)} of {result.watermarks:,} looks found a watermark ahead of its data"
    out.print(
        ahead if result.ahead else f"[dim]{result.watermarks:,} watermarks looked at, none ahead of its data[/dim]"
    )
    out.print(
        f"[{colour}]lost {len(found.lost)}, wrong {len(found.wrong)}, duplicated {len(found.duplicated)}[/{colour}]"
        + (f", {len(result.never_finished)} never finished" if result.never_finished else "")
    )
