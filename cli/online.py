"""`scan`, `status` and `replay`: against the storage of a running app, local or in Azure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click
import msgspec
from rich.markup import escape

from cli.context import about, app_for
from cli.output import err, out, plural, write_json
from cli.report import coloured, show_status
from cli.story import show_story
from shared.state.receipts import State

if TYPE_CHECKING:
    from shared.pipeline.requeue import Chosen


@click.command(short_help="Scan an instance now.")
@click.argument("instance")
@click.option("--full", is_flag=True, help="Everything, and everything sent again.")
@click.pass_obj
def scan(config: Path | None, instance: str, full: bool) -> None:
    """Scan an instance now: puts one message per scope into the queue of the running app."""
    from shared.pipeline.scheduling import request

    app = app_for(config)
    app.instance(instance)
    with about(instance):
        messages = request(app, instance, full=full, reason="request")
    for message in messages:
        app.azure.send("scans", message)
    if not messages:
        err.print(f"[yellow]nothing to scan[/yellow] in {escape(instance)}: no scope matches include and exclude")
        return
    err.print(f"{plural(len(messages), 'scan')} of {escape(instance)} asked for; `./hookline status` shows them")


@click.command(short_help="What was sent, what arrived, and why not.")
@click.argument("what", required=False, metavar="[PATH|SCAN|INSTANCE]")
@click.option("--json", "as_json", is_flag=True, help="As JSON: docs/guide/status.md says what it holds.")
@click.option(
    "--files",
    metavar="N",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="How many files to show, newest last (with --json first).",
)
@click.option("--before", metavar="PLACE", default="", help="Only files before this one: `next` of the page before.")
@click.option("--state", type=click.Choice(get_args(State)), help="Only files in this state.")
@click.pass_obj
def status(config: Path | None, what: str | None, as_json: bool, files: int, before: str, state: str | None) -> None:
    """What was sent, what arrived, and why something did not.

    With the path of a landed file, the id of a scan or the name of an instance: its whole story.
    `./hookline why NAME` tells that of an asset.
    """
    from shared.pipeline.files import Wanted
    from shared.pipeline.overview import status as status_of
    from shared.pipeline.story import story

    app = app_for(config)
    if what is not None:
        told = story(app, what)
        if as_json:
            write_json(told)
        else:
            show_story(told)
        return
    found = status_of(app, Wanted(most=files, before=before, state=state or ""))
    if as_json:
        write_json(found)
        return
    show_status(found)


@click.command(short_help="Run landed files again.")
@click.argument("what", nargs=-1, metavar="[PATH|SCAN]...")
@click.option("--all-rejected", is_flag=True, help="Every file of which something was refused or lost.")
@click.option("--dry-run", is_flag=True, help="Only show what would run.")
@click.pass_obj
def replay(config: Path | None, what: tuple[str, ...], all_rejected: bool, dry_run: bool) -> None:
    """Run landed files again, after whatever was wrong has been put right.

    PATH is a file's path in `landing`, SCAN the id of a scan, as `./hookline status` shows them. What is unchanged in
    the catalogue is sent again and changes nothing there. Files that are being worked on, or are not in landing any
    more, are left out, and it says so; of a scan that a later one has superseded, only what still holds is sent.
    """
    from shared.errors import UsageError
    from shared.pipeline.requeue import chosen, messages, rejected

    if bool(what) == all_rejected:
        raise UsageError("say which files to run again", fix="name paths or scans, or write --all-rejected")
    app = app_for(config)
    found = rejected(app) if all_rejected else chosen(app, what)
    _show_chosen(found, every=dry_run)
    asked = messages(found)
    if dry_run:
        err.print(f"{plural(len(asked), 'file')} would run; without --dry-run they do")
        return
    for message in asked:
        app.azure.send("replays", msgspec.json.encode(message).decode())
    err.print(f"{plural(len(asked), 'file')} asked for; `./hookline status` shows what becomes of them")


def _show_chosen(found: list[Chosen], *, every: bool) -> None:
    """What would run, and what there is to know of it; without `every` only the latter."""
    for one in found:
        if every or one.note:
            left_out = "" if one.message is not None else " [yellow]left out[/yellow]"
            note = f": {escape(one.note)}" if one.note else ""
            out.print(f"{escape(one.path)} ({coloured(one.state)}){left_out}{note}")
