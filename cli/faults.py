"""`faults`: everything around the app goes wrong, one thing at a time and all at once; nothing may get lost."""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path

import click
import msgspec
from rich.markup import escape

from cli.context import LOCAL, app_of
from cli.output import out, plural, step
from local.faults.matrix import NAMES

#: a failed queue message is tried again after so long: five tries outlast a minute, as with the 30 s of host.json
TRY_AGAIN = "00:00:15"
SHOWN = 20


@click.command(short_help="Azure, the network and the sources fail; is anything lost?")
@click.argument("names", nargs=-1, metavar="[ROW]...", type=click.Choice(NAMES))
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed, the same changes.")
@click.option("--files", type=click.IntRange(1), default=60, show_default=True, help="How many different files.")
@click.option("--short", is_flag=True, help="A few seconds of each fault.")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="The result as JSON, too.")
@click.option("--markdown", type=click.Path(path_type=Path, dir_okay=False), help="The table of docs/reliability.md.")
def faults(
    names: tuple[str, ...], seed: int, files: int, short: bool, report: Path | None, markdown: Path | None
) -> None:
    """Prove that faults lose nothing: Event Hubs, Purview, storage, Key Vault and sources fail while the app works.

    A local stack of its own scans databases whose tables come and go, and takes files in ever newer versions, while a
    row's faults strike. Then they end, everything comes to rest, and the catalogue is compared with a model of what it
    has to hold. Without a ROW all of them, one after the other. The exit code is 1 unless every row ends with
    `lost 0, wrong 0, duplicated 0`.
    """
    from cli.fault_play import FaultPlay, markdown_table
    from local.chaos import ledger
    from local.faults.estate import FaultEstate, remote_database
    from local.faults.matrix import named
    from local.faults.stack import FaultyStack
    from local.running import claim

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that PostgreSQL is taken down with us
    folder = LOCAL / "faults"
    with claim(folder), remote_database() as (remote, password):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        ledger.register()
        estate = FaultEstate(folder, seed, files, remote)
        config = folder / "faults.json"  # JSON is YAML
        config.write_bytes(msgspec.json.encode({"instances": estate.settings()}))
        options = {"try_again": TRY_AGAIN, "host": "chaos.host", "progress": step}
        with FaultyStack(folder, config, remote, password, **options) as stack:
            play = FaultPlay(stack, app_of(stack.direct), estate)
            step("everything comes up, without faults")
            play.warm_up()
            for row in named(names):
                if row.needs_remote and remote is None:
                    step(f"{row.name}: left out, {password}")
                    continue
                step(f"{row.name}: {row.what}")
                found = play.row(row, share=0.25 if short else 1.0)
                for what in found.problems[:SHOWN]:
                    out.print(f"  [red]{escape(what)}[/red]")
                if report is not None:  # row by row: who stops it half-way keeps what there is
                    said = {"seed": seed, "rows": play.results}
                    report.write_bytes(msgspec.json.format(msgspec.json.encode(said), indent=1) + b"\n")
                colour = "green" if found.good else "red"
                out.print(
                    f"[{colour}]{row.name:16}[/{colour}] {escape(found.struck()) or 'nothing struck'}; "
                    f"{plural(found.changes, 'change')}, {found.failed:,} tries failed, "
                    f"{found.seconds:.0f} s, {found.memory_mb:.0f} MB: [{colour}]{found.verdict()}[/{colour}]"
                )
    results = play.results
    good = bool(results) and all(found.good for found in results)
    lost, wrong, twice = (sum(len(getattr(r, name)) for r in results) for name in ("lost", "wrong", "duplicated"))
    colour = "green" if good else "red"
    out.print(
        f"{plural(len(results), 'row')}, {plural(sum(r.hits for r in results), 'fault')} struck, "
        f"{plural(estate.changes, 'change')}, {plural(len(estate.expected()), 'asset')} expected: "
        f"[{colour}]lost {lost}, wrong {wrong}, duplicated {twice}[/{colour}]"
    )
    if markdown is not None:
        markdown.write_text(markdown_table(results), "utf-8")
    sys.exit(0 if good else 1)
