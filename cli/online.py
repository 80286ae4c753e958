"""`scan`, `status` and `rejected`: against the storage of a running app, local or in Azure."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from rich.markup import escape

from cli.context import app_for
from cli.output import ago, err, out, table
from shared.records import Refusal

if TYPE_CHECKING:
    from shared.pipeline.app import App
    from shared.pipeline.overview import Status
    from shared.state.receipts import Receipt


@click.command()
@click.argument("instance")
@click.option("--full", is_flag=True, help="Everything, and everything sent again.")
@click.pass_obj
def scan(config: Path | None, instance: str, full: bool) -> None:
    """Scan an instance now (puts one message per scope into the queue of the running app)."""
    from shared.pipeline.scheduling import request

    app = app_for(config)
    messages = request(app, instance, full=full, reason="request")
    for message in messages:
        app.azure.send("scans", message)
    err.print(f"{len(messages)} scan(s) of {instance} asked for; `./hookline status` shows them")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--files", type=int, default=20, show_default=True, help="How many files to show, newest last.")
@click.pass_obj
def status(config: Path | None, as_json: bool, files: int) -> None:
    """What was sent, what arrived, and why something did not."""
    from shared.pipeline.overview import status as status_of

    found = status_of(app_for(config))
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return
    show_status(found, files)


def show_status(found: Status, files: int) -> None:
    """The two tables that people read."""
    scans = table("instance", "scope", "state", "#records", "#parts", "#deleted", "#held", "#s", "when", "problem")
    for instance in found.instances:
        if not instance.scans:
            scans.add_row(
                instance.name,
                "",
                "disabled" if instance.problem else "not scanned yet",
                *[""] * 6,
                escape(instance.problem),
            )
        for one in instance.scans:
            scans.add_row(
                instance.name,
                one.scope,
                one.state,
                f"{one.records:,}",
                str(one.parts),
                str(one.deleted),
                str(one.held),
                f"{one.seconds:.1f}",
                ago(one.finished or one.touched or one.started),
                escape(one.error),
            )
    out.print(scans)
    out.print()
    out.print(files_table(found.files[-files:]))
    if len(found.files) > files:
        out.print(f"[dim]... and {len(found.files) - files:,} older files (--files N)[/dim]")
    totals = ", ".join(f"{count:,} {state}" for state, count in sorted(found.totals.items())) or "none"
    out.print(f"\nfiles: {totals}; waiting for confirmation: {found.waiting:,} assets; sent by {found.sink}")


COLOURS = {"confirmed": "green", "partly rejected": "yellow", "rejected": "red", "lost": "red"}


def files_table(receipts: list[Receipt]) -> object:
    """A line per landed file: numbers and, where there is one, the reason."""
    files = table(
        "file",
        "format",
        "state",
        "#records",
        "#entities",
        "#sent",
        "#unchanged",
        "#confirmed",
        "#refused",
        "#s",
        "reason",
    )
    for r in receipts:
        colour = COLOURS.get(r.state, "cyan")
        reason = r.error or ", ".join(f"{rule} x {count}" for rule, count in sorted(r.reasons.items()))
        files.add_row(
            escape(r.path),
            r.format,
            f"[{colour}]{r.state}[/{colour}]",
            f"{r.records:,}",
            f"{r.entities:,}",
            f"{r.sent + r.deleted:,}",
            f"{r.unchanged:,}",
            f"{r.confirmed:,}",
            f"{r.refused:,}",
            f"{r.seconds:.2f}",
            escape(reason),
        )
    return files


def rejections(app: App) -> list[tuple[str, Refusal]]:
    """Everything in rejected/: (file, refusal)."""
    found = []
    for blob in app.rejected.list_blobs():
        data = app.rejected.download_blob(blob.name).readall()
        for line in data.splitlines():
            found.append((blob.name.removesuffix(".jsonl"), msgspec.json.decode(line, type=Refusal)))
    return found


@click.command()
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
        out.print(f"[bold]{rule}[/bold]  {len(items):,}")
        for path, item in items[:3]:
            out.print(f"  {escape(path)}, {escape(item.place)}: {escape(item.reason)}")
            if item.fix:
                out.print(f"    [dim]fix: {escape(item.fix)}[/dim]")
        if len(items) > 3:
            out.print(f"  [dim]... and {len(items) - 3:,} more (--json shows all)[/dim]")
