"""`soak`: hundreds of scans and files through one process that is never restarted, and whether it grows."""

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
    from local.chaos.usage import Usage
    from shared.pipeline.app import App

#: changes before the first look at what is held
WARM = 10
#: changes at once; then a moment's pause, as in a busy hour
AT_ONCE, PAUSE_SECONDS = 4, 0.5


@click.command(short_help="Hundreds of scans and files through one process; does it grow?")
@click.option("--changes", type=click.IntRange(1), default=600, show_default=True, help="Scans and uploads in all.")
@click.option("--rests", type=click.IntRange(3), default=12, show_default=True, help="Looks at what is held, at rest.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed, the same changes.")
@click.option("--files", type=click.IntRange(1), default=100, show_default=True, help="How many different files.")
@click.option(
    "--drop",
    metavar="PERCENT",
    type=click.FloatRange(0, 50),
    default=2.0,
    show_default=True,
    help="Hook messages that the catalogue drops without a word.",
)
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="The looks as JSON, too.")
def soak(changes: int, rests: int, seed: int, files: int, drop: float, report: Path | None) -> None:
    """Prove that nothing piles up: an hour's worth of scans and uploads in a few minutes, through one function app.

    It is what `chaos` plays, without a kill. Now and then everything comes to rest, and memory, open handles and
    threads of the app are looked at, and how many rows its state has. The exit code is 1 when one of them grows beyond
    its bound after the warm-up, or when the catalogue is not what the model says.
    """
    from cli.playing import Play
    from local.chaos import ledger
    from local.chaos.estate import Estate
    from local.chaos.judge import Watermarks, difference
    from local.chaos.usage import grown, usage
    from local.running import claim
    from local.stack import Stack

    folder = LOCAL / "soak"
    with claim(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        ledger.register()
        estate = Estate(folder, seed, files)
        config = folder / "soak.json"  # JSON is YAML
        config.write_bytes(msgspec.json.encode({"instances": estate.settings()}))
        with Stack(folder, config, host="chaos.host", progress=step) as stack:
            app = app_of(stack.environ)
            play = Play(stack, app, estate, Watermarks(app.landing), drop=drop)
            looks: list[Usage] = []
            began = time.monotonic()
            play.drop_messages()
            play.happen(WARM)
            never: list[str] = []
            for rest in range(1, rests + 1):
                while estate.changes < WARM + changes * rest // rests:
                    play.happen(AT_ONCE)
                    time.sleep(PAUSE_SECONDS)
                    play.look()
                never += play.settle()
                looks.append(usage(stack.app.process.pid, _rows(app)))
                step(f"{plural(estate.changes, 'change')}: {_told(looks[-1])}")
            found = difference(estate, folder / "catalogue" / "catalogue.db")
            seconds = time.monotonic() - began
    more = grown(looks)
    for what in (*more, *never, *found.lost, *found.wrong, *found.duplicated):
        out.print(f"[red]{escape(what)}[/red]")
    good = not more and not found and not never
    executions = sum(play.executions.values())
    out.print(
        f"{plural(estate.changes, 'change')}, {plural(executions, 'execution')}, {seconds:.0f} s: "
        f"from {_told(looks[0])} to {_told(looks[-1])}"
    )
    out.print(f"[{'green' if good else 'red'}]{'nothing grew' if not more else ' and '.join(more)}[/]")
    if report is not None:
        result = {"ok": good, "seconds": round(seconds, 1), "changes": estate.changes, "executions": executions}
        told = {"looks": [look._asdict() for look in looks], "grown": more, "never_finished": never}
        report.write_bytes(msgspec.json.format(msgspec.json.encode(result | told | found._asdict()), indent=1) + b"\n")
    sys.exit(0 if good else 1)


def _rows(app: App) -> int:
    """Blobs of the state, receipts left out."""
    state = app.azure.container("state")
    return sum(1 for blob in state.list_blobs() if not blob.name.startswith("receipts/"))


def _told(look: Usage) -> str:
    return f"{look.memory:g} MB, {look.handles} handles, {look.threads} threads, {look.rows} rows"
