"""`connectors` and `formats`: what there is."""

from __future__ import annotations

import click
from rich.markup import escape

from cli.context import ROOT
from cli.output import out
from connectors import FORMATS, SOURCES, format_class, source_class


@click.command(short_help="What Hookline reads, and what each needs.")
@click.argument("name", required=False)
def connectors(name: str | None) -> None:
    """What Hookline reads; with NAME: its settings, permissions, lineage, and how it was verified."""
    if name is None:
        width = max(map(len, SOURCES))
        for known in SOURCES:
            kind = source_class(known)
            out.print(f"[bold]{known:{width}}[/bold]  {escape(kind.title)}")
            out.print(f"{'':{width}}  [dim]verified with {escape(kind.verified)}[/dim]")
        out.print("\n[dim]./hookline connectors NAME shows settings and permissions.[/dim]")
        return
    kind = source_class(name)
    driver = f"connectors/requirements/{name}.txt"
    for label, value in (
        ("what", kind.title),
        ("permissions", kind.permissions),
        ("lineage", kind.lineage),
        ("verified", kind.verified),
        ("driver", f"pip install -r {driver}" if (ROOT / driver).exists() else "none needed"),
    ):
        out.print(f"[bold]{label:12}[/bold] {escape(value)}")
    out.print("\n[bold]settings[/bold]\n" + escape(kind.example.strip("\n")))


@click.command(short_help="Which files can be dropped into landing/uploads/.")
def formats() -> None:
    """Which files can be dropped into landing/uploads/, and what each looks like."""
    width = max(map(len, FORMATS))
    for name in FORMATS:
        kind = format_class(name)
        folders = ", ".join(f"landing/uploads/{folder}/" for folder in (name, *kind.folders))
        out.print(f"[bold]{name:{width}}[/bold]  {escape(kind.title)}")
        out.print(f"{'':{width}}  looks like  {escape(kind.looks_like)}")
        out.print(f"{'':{width}}  folder      {escape(folders)}")
