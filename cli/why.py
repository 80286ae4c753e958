"""`why`: what is known of an asset that somebody misses."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from cli.context import app_for
from cli.output import ago, brief, out, write_json
from cli.report import coloured
from shared.pipeline.why import Sighting, Why
from shared.pipeline.why import why as why_of


@click.command(short_help="Why is my asset not there?")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="As JSON: docs/guide/status.md says what it holds.")
@click.pass_obj
def why(config: Path | None, name: str, as_json: bool) -> None:
    """Everything that is known of an asset: published, confirmed, refused, held, deleted, left out, or never seen.

    NAME is a part of its name (`orders`, `public.orders`), its qualified name, or TYPE/QUALIFIED-NAME. It is looked for
    in what the last scans have published, what waits for an answer, rejected/, deletions, uploaded files, and the
    catalogue.
    """
    told = why_of(app_for(config), name)
    if as_json:
        write_json(told)
        return
    _show(told)


def _show(told: Why) -> None:
    last = None
    for one in told.sightings:
        title = f"{one.type_name} {one.qualified_name}" if one.qualified_name else ""
        if title and title != last:
            out.print(f"[bold]{escape(title)}[/bold]")
            last = title
        _sighting(one)
    for kind in told.more:
        out.print(f"[dim]... and more that are {kind}: name it more exactly[/dim]")
    for item in told.catalogue:
        colour = "green" if item.status == "ACTIVE" else "red"
        known = f"[{colour}]{item.status or 'not there'}[/{colour}]" + (f", guid {item.guid}" if item.guid else "")
        out.print(f"in the catalogue: {escape(item.qualified_name)}  {known}")
    if told.unasked:
        out.print(f"[yellow]the catalogue was not asked:[/yellow] {escape(told.unasked)}")
    if not told.sightings:
        out.print(f"nothing is known of [bold]{escape(told.name)}[/bold]: no scan has published it, no file names it")
    for name in told.nearest:
        out.print(f"  did you mean {escape(name)}?")


def _sighting(one: Sighting) -> None:
    place = f"{one.instance}/{one.scope}" if one.scope else one.instance
    by = [place, f"scan {one.scan}" if one.scan else "", one.file if not one.scan else ""]
    where = ", ".join(part for part in by if part)
    state = f" ({coloured(one.state)})" if one.state else ""
    when = f", {ago(one.when)}" if one.when else ""
    out.print(f"  [cyan]{one.kind:9}[/cyan] {escape(where)}{state}{when}: {escape(brief(one.said))}")
    if one.fix:
        out.print(f"            [dim]fix: {escape(brief(one.fix))}[/dim]")
