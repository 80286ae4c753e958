"""`plan`: what would be created, changed or deleted, before anything is."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click
from rich.markup import escape

from cli.context import app_for, settings_for
from cli.output import err, out
from cli.output import refusal as show_refusal
from shared.errors import UsageError
from shared.pipeline.app import App


@click.command()
@click.argument("target")
@click.option("--names", type=int, default=10, show_default=True, help="How many names of each kind to show.")
@click.pass_obj
def plan(config: Path | None, target: str, names: int) -> None:
    """What a scan of INSTANCE, or publishing FILE, would create, change and delete. Nothing is sent.

    With a catalogue or a running stack it is compared with what is there; without, everything counts as new.
    """
    from shared.pipeline.planning import plan_file, plan_instance

    settings = settings_for(config)
    path = Path(target)
    if path.is_file():
        app = _app(config, settings, needed=False)
        result = plan_file(path, app)
    else:
        app = _app(config, settings, needed=True)
        assert app is not None
        if target not in app.settings.instances and target not in app.settings.disabled:
            raise UsageError(f"{target!r} is neither a file nor an instance", fix="instances: ./hookline status")
        with tempfile.TemporaryDirectory() as folder:
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
    out.print(f"unchanged {result.unchanged:,}, refused {len(result.refused):,}; compared with {result.compared_with}")
    sys.exit(1 if result.refused else 0)


def _app(config: Path | None, settings: object, *, needed: bool) -> App | None:
    try:
        return app_for(config)
    except UsageError:
        if settings is not None:
            return App(settings)  # type: ignore[arg-type]
        if needed:
            raise
        err.print("[dim]no hookline.yaml and no running stack: everything counts as new[/dim]")
        return None
