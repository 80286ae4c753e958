"""`rejected`: what was refused, why, where it stood, and what to do. Reads line by line, however many there are."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import click
import msgspec
from rich.markup import escape

from cli.context import app_for
from cli.output import brief, out, plural, write_json
from shared.pipeline.refusals import SAMPLES, Wanted, grouped, refusals


@click.command(short_help="What was refused, why, and what to do.")
@click.argument("under", required=False, metavar="[PATH]")
@click.option("--instance", metavar="NAME", default="", help="Only of this instance.")
@click.option("--rule", metavar="RULE", default="", help="Only what this rule refused.")
@click.option("--json", "as_json", is_flag=True, help="Every refusal, one JSON object a line.")
@click.option("--groups", is_flag=True, help="With --json: the groups instead, as one array.")
@click.option(
    "--samples", metavar="N", type=click.IntRange(0), default=SAMPLES, show_default=True, help="Shown of each."
)
@click.option("--skip", metavar="N", type=click.IntRange(0), default=0, help="With --json: leave out the first N.")
@click.option("--limit", metavar="N", type=click.IntRange(1), help="With --json: at most N.")
@click.pass_obj
def rejected(
    config: Path | None,
    under: str | None,
    instance: str,
    rule: str,
    as_json: bool,
    groups: bool,
    samples: int,
    skip: int,
    limit: int | None,
) -> None:
    """What was refused, grouped by reason, with the place and the fix.

    PATH is a landed file or the beginning of one: `uploads/`, `crm/<scan>/`. Held deletions are listed too (rule
    `held`), and what the source itself could not read (rule `source`).
    """
    app = app_for(config)
    found = refusals(app, Wanted(instance=instance, rule=rule, under=(under or "").removeprefix("landing/")))
    if as_json and not groups:
        for file, item in itertools.islice(found, skip, None if limit is None else skip + limit):
            line = {"file": file, **msgspec.to_builtins(item)}
            sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
        return
    told = grouped(found, samples=samples)
    if as_json:
        write_json(told)
        return
    if not told:
        out.print("nothing was refused")
    for group in told:
        out.print(f"[bold]{escape(group.rule)}[/bold]  {group.count:,} in {plural(group.files, 'file')}")
        fixes = {sample.fix for sample in group.samples}
        for sample in group.samples:
            place = "" if sample.place == sample.file else f", {escape(sample.place)}"
            out.print(f"  {escape(sample.file)}{place}: {escape(brief(sample.reason))}")
            if sample.fix and len(fixes) > 1:
                out.print(f"    [dim]fix: {escape(brief(sample.fix))}[/dim]")
        if len(fixes) == 1 and (fix := fixes.pop()):
            out.print(f"    [dim]fix: {escape(brief(fix))}[/dim]")
        if group.count > len(group.samples):
            out.print(f"  [dim]... and {group.count - len(group.samples):,} more (--json shows all)[/dim]")
