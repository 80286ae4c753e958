"""`plan`: what would be created, changed or deleted, before anything is."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from cli.context import about, app_for, settings_for
from cli.output import err, out
from cli.output import refusal as show_refusal
from shared.errors import UsageError
from shared.pipeline.app import App

if TYPE_CHECKING:
    from shared.pipeline.planned_ends import PlannedEnd


@click.command(short_help="What a scan or a file would create, change, delete.")
@click.argument("target", metavar="INSTANCE|FILE")
@click.option(
    "--names",
    metavar="N",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="How many names of each kind to show.",
)
@click.pass_obj
def plan(config: Path | None, target: str, names: int) -> None:
    """What a scan of INSTANCE, or publishing FILE, would create, change and delete. Nothing is sent.

    With a catalogue or a running stack it is compared with what is there; without, everything counts as new.
    """
    from shared.pipeline.planning import plan_file, plan_instance

    path = Path(target)
    app = _app(config)
    if path.is_dir():
        raise UsageError("this is a folder", where=target, fix="name one of its files, or an instance")
    if path.exists():
        path.open("rb").close()
        result = plan_file(path, app)
    else:
        known = sorted([*app.settings.instances, *app.settings.disabled]) if app is not None else []
        if app is None or target not in known:
            raise UsageError(
                f"{target!r} is neither a file nor an instance", fix=f"instances: {', '.join(known) or 'none'}"
            )
        with tempfile.TemporaryDirectory() as folder, about(target):
            result = plan_instance(target, app, Path(folder))
    for refused in result.refused:
        show_refusal(target, refused)
    for label, changes, colour in (
        ("create", result.create, "green"),
        ("change", result.change, "yellow"),
        ("delete", result.delete, "red"),
    ):
        if changes:
            out.print(f"[{colour}]{label}[/{colour}] {len(changes):,}")
        for name in changes[:names]:
            out.print(f"  {escape(name.type_name)}  {escape(name.qualified_name)}")
        if len(changes) > names:
            out.print(f"  [dim]... and {len(changes) - names:,} more (--names N)[/dim]")
    _show_ends(result.ends, names)
    out.print(f"unchanged {result.unchanged:,}, refused {len(result.refused):,}; compared with {result.compared_with}")
    sys.exit(1 if result.refused else 0)


def _show_ends(ends: list[PlannedEnd], most: int) -> None:
    """What lineage would end at, of what is not in the file; the ones that a person should look at first."""
    if not ends:
        return
    worst = ("placeholder", "stub", "spelling", "resource_set", "exact")
    out.print(f"[cyan]lineage[/cyan] ends at {len(ends):,} outside of the file")
    for one in sorted(ends, key=lambda end: worst.index(end.how) if end.how in worst else len(worst))[:most]:
        alias = f"  [dim](alias of {escape(one.alias_of)})[/dim]" if one.alias_of else ""
        out.print(f"  {one.how:12} {escape(one.wanted.type_name)}  {escape(one.wanted.qualified_name)}{alias}")
        if one.how not in ("placeholder", "stub") and one.name != one.wanted:
            out.print(f"  {'':12} is {escape(one.name.type_name)}  {escape(one.name.qualified_name)}")
        for other in one.several:
            out.print(f"  {'':12} [yellow]ambiguous:[/yellow] {escape(other.qualified_name)}")
        for near in one.near:
            out.print(f"  {'':12} did you mean {escape(near.qualified_name)}?")
    if len(ends) > most:
        out.print(f"  [dim]... and {len(ends) - most:,} more (--names N)[/dim]")


def _app(config: Path | None) -> App | None:
    """With the storage there is; without, hookline.yaml alone will do, and for a file not even that."""
    try:
        return app_for(config)
    except UsageError:
        settings = settings_for(config, offline=True)
        if settings is not None:
            return App(settings)
        err.print("[dim]no hookline.yaml and no running stack: everything counts as new[/dim]")
        return None
