"""`publish`: job files straight to the catalogue, and `plan`'s opposite: this one sends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from cli.context import app_for, files_there
from cli.output import err, plural
from cli.output import refusal as show_refusal
from shared.records import Refusal

if TYPE_CHECKING:
    from shared.atlas.messages import Message
    from shared.pipeline.app import App

WAIT_SECONDS = 30


@click.command(short_help="Files straight to the catalogue.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--rest", is_flag=True, help="Over REST, which answers, instead of Event Hubs.")
@click.option(
    "--wait/--no-wait", default=True, show_default=True, help=f"Wait (at most {WAIT_SECONDS} s) until confirmed."
)
@click.pass_obj
def publish(config: Path | None, files: tuple[Path, ...], rest: bool, wait: bool) -> None:
    """Transform files and send them now, without landing them. `plan FILE` shows first what that would do.

    Exit code 1 if anything was refused, or is not in the catalogue after the wait.
    """
    from shared.delivery.sinks import RestSink
    from shared.errors import UsageError
    from shared.pipeline.offline import FileResult, messages

    files_there(files)
    app = app_for(config)
    if app.catalog is None and (rest or wait):
        raise UsageError("no catalogue to ask: purview.account is not set", fix="set it in hookline.yaml, or --no-wait")
    sink = RestSink(app.catalog) if rest and app.catalog is not None else app.sink
    failed = 0
    for path in files:
        result = FileResult(path=str(path))

        def refused(item: Refusal, path: Path = path) -> None:
            show_refusal(str(path), item)

        ready = list(messages(path, refused, settings=app.settings, bases=app.bases, result=result))
        failed += result.refused
        if ready:
            if app.typedefs is not None:
                own = {n.type_name for m in ready for n in m.names if n.type_name.startswith("hookline_")}
                app.typedefs.ensure(own)
            sink.publish(ready, str(path))
        err.print(
            f"{escape(str(path))}: {plural(result.assets, 'asset')} in {plural(len(ready), 'message')} "
            f"sent by {sink.name}, {result.refused:,} refused"
        )
        if wait and ready:
            failed += _wait(app, ready)
    sys.exit(1 if failed else 0)


def _wait(app: App, ready: list[Message]) -> int:
    """Ask the catalogue until everything is there; returns how much is not."""
    from shared.pipeline.arrival import missing_after

    missing = missing_after(app, ready, seconds=WAIT_SECONDS)
    for name in missing[:10]:
        err.print(f"[red]not there[/red] {escape(name.type_name)} {escape(name.qualified_name)}")
    if len(missing) > 10:
        err.print(f"  ... and {len(missing) - 10:,} more")
    if not missing:
        err.print("  [green]confirmed[/green]")
    return len(missing)
