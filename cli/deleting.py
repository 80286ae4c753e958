"""`approve` and `retire`: what a person has to say yes to, because it takes assets out of the catalogue."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.markup import escape

from cli.context import about, app_for
from cli.output import err, out, plural
from shared.errors import UsageError
from shared.naming import Name

#: names shown of each scope
SAMPLES = 10


@click.command(short_help="Let held deletions go.")
@click.argument("instance")
@click.argument("scopes", nargs=-1, metavar="[SCOPE]...")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show what would be deleted.")
@click.pass_obj
def approve(config: Path | None, instance: str, scopes: tuple[str, ...], yes: bool, dry_run: bool) -> None:
    """Let deletions go that were held back because they were more than `delete_limit`.

    Shows them, asks, and scans the scope again: what is then still missing is deleted, what has come back stays.
    `./hookline rejected` lists them all by name.
    """
    from shared.pipeline.held import approve as let_go
    from shared.pipeline.held import waiting

    app = app_for(config)
    found = waiting(app, instance, scopes)
    if not found:
        err.print(f"nothing waits for an approval in {escape(instance)}")
        return
    _show(found, "gone from the source")
    if dry_run:
        return
    _ask(yes, "Delete them from the catalogue?")
    with about(instance):
        messages = let_go(app, instance, list(found))
    for message in messages:
        app.azure.send("scans", message)
    err.print(
        f"{plural(len(messages), 'scan')} of {escape(instance)} asked for, which will delete them; "
        "`./hookline status` shows how many"
    )


@click.command(short_help="Take an instance's assets out of the catalogue.")
@click.argument("instance")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show what would be deleted.")
@click.pass_obj
def retire(config: Path | None, instance: str, yes: bool, dry_run: bool) -> None:
    """Delete everything that an instance has put into the catalogue, and forget its scans.

    The instance must be switched off or out of hookline.yaml. What another instance has published as well, and what
    came in uploaded files, stays.
    """
    from shared.pipeline.retiring import assets
    from shared.pipeline.retiring import retire as take_out

    app = app_for(config)
    found = assets(app, instance)
    _show(found, f"published by {instance} alone")
    if dry_run:
        return
    _ask(yes, "Delete them from the catalogue?")
    count = take_out(app, instance, found)
    err.print(f"{plural(count, 'deletion')} sent by {app.sink.name}; `./hookline status` shows when they are confirmed")


def _show(found: dict[str, list[Name]], what: str) -> None:
    for scope, names in found.items():
        out.print(f"[bold]{escape(scope)}[/bold]  {plural(len(names), 'asset')} {escape(what)}")
        for name in names[:SAMPLES]:
            out.print(f"  {escape(name.type_name)}  {escape(name.qualified_name)}")
        if len(names) > SAMPLES:
            out.print(f"  [dim]... and {len(names) - SAMPLES:,} more[/dim]")


def _ask(yes: bool, question: str) -> None:
    """Raises UsageError where nobody can be asked, Abort for a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to say yes", fix="add --yes if it is meant")
    click.confirm(question, abort=True, err=True)
