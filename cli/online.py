"""`scan`, `status`, `rejected` and `replay`: against the storage of a running app, local or in Azure."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec
from rich.markup import escape

from cli.context import about, app_for
from cli.output import err, out, plural
from cli.report import rejections, show_status
from shared.records import Refusal


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
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option(
    "--files",
    metavar="N",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="How many files to show, newest last.",
)
@click.pass_obj
def status(config: Path | None, as_json: bool, files: int) -> None:
    """What was sent, what arrived, and why something did not."""
    from shared.pipeline.overview import status as status_of

    found = status_of(app_for(config))
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return
    show_status(found, files)


@click.command(short_help="What was refused, why, and what to do.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def rejected(config: Path | None, as_json: bool) -> None:
    """What was refused, grouped by reason, with the place and the fix."""
    found = rejections(app_for(config))
    if as_json:
        for path, item in found:
            line = {"file": path, **msgspec.to_builtins(item)}
            sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
        return
    if not found:
        out.print("nothing was refused")
        return
    by_rule: dict[str, list[tuple[str, Refusal]]] = {}
    for path, item in found:
        by_rule.setdefault(item.rule, []).append((path, item))
    for rule, items in sorted(by_rule.items(), key=lambda pair: -len(pair[1])):
        out.print(f"[bold]{escape(rule)}[/bold]  {len(items):,}")
        for path, item in items[:3]:
            place = "" if item.place == path else f", {escape(item.place)}"
            out.print(f"  {escape(path)}{place}: {escape(item.reason)}")
            if item.fix:
                out.print(f"    [dim]fix: {escape(item.fix)}[/dim]")
        if len(items) > 3:
            out.print(f"  [dim]... and {len(items) - 3:,} more (--json shows all)[/dim]")


@click.command(short_help="Run landed files again.")
@click.argument("what", nargs=-1, metavar="[PATH|SCAN]...")
@click.option("--all-rejected", is_flag=True, help="Every file of which something was refused or lost.")
@click.pass_obj
def replay(config: Path | None, what: tuple[str, ...], all_rejected: bool) -> None:
    """Run landed files again, after whatever was wrong has been put right.

    PATH is a file's path in `landing`, SCAN the id of a scan, as `./hookline status` shows them. What is unchanged in
    the catalogue is sent again and changes nothing there.
    """
    from shared.errors import UsageError
    from shared.pipeline.requeue import named, refused

    if bool(what) == all_rejected:
        raise UsageError("say which files to run again", fix="name paths or scans, or write --all-rejected")
    app = app_for(config)
    found = refused(app) if all_rejected else named(app, what)
    for message in found:
        app.azure.send("replays", msgspec.json.encode(message).decode())
    err.print(f"{plural(len(found), 'file')} asked for; `./hookline status` shows what becomes of them")
