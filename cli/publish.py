"""`publish`: job files straight to the catalogue, and `plan`'s opposite: this one sends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from cli.context import app_for
from cli.output import err
from cli.output import refusal as show_refusal
from shared.records import Refusal

if TYPE_CHECKING:
    from shared.atlas.messages import Message
    from shared.pipeline.app import App


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--rest", is_flag=True, help="Over REST, which answers, instead of Event Hubs.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until they are confirmed.")
@click.pass_obj
def publish(config: Path | None, files: tuple[Path, ...], rest: bool, wait: bool) -> None:
    """Transform files and send them now, without landing them. `plan FILE` shows first what that would do."""
    from shared.delivery.sinks import RestSink
    from shared.errors import UsageError
    from shared.pipeline.offline import FileResult, messages

    app = app_for(config)
    sink = app.sink
    if rest:
        if app.catalog is None:
            raise UsageError("--rest needs purview.account", fix="set it in hookline.yaml")
        sink = RestSink(app.catalog)
    failed = 0
    for path in files:
        result = FileResult(path=str(path))

        def refused(item: Refusal, path: Path = path) -> None:
            show_refusal(str(path), item)

        ready = list(messages(path, refused, settings=app.settings, bases=app.bases, result=result))
        if app.typedefs is not None:
            app.typedefs.ensure({n.type_name for m in ready for n in m.names if n.type_name.startswith("hookline_")})
        sink.publish(ready, str(path))
        failed += result.refused
        err.print(
            f"{escape(str(path))}: {result.assets:,} assets in {len(ready):,} messages sent by {sink.name}"
            + (f", {result.refused:,} refused" if result.refused else "")
        )
        if wait and app.catalog is not None:
            failed += _wait(app, ready)
    sys.exit(1 if failed else 0)


def _wait(app: App, ready: list[Message]) -> int:
    """Ask the catalogue until everything is there (30 s); returns how much is not."""
    from shared.pipeline.arrival import missing_after

    missing = missing_after(app, ready, seconds=30)
    for name in missing[:10]:
        err.print(f"[red]not there[/red] {escape(name.type_name)} {escape(name.qualified_name)}")
    if not missing:
        err.print("  [green]confirmed[/green]")
    return len(missing)
