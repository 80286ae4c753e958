"""`connectors` and `formats`: what there is."""

from __future__ import annotations

import click
from rich.markup import escape

from cli.output import out, table
from connectors import FORMATS, SOURCES, format_class, source_class


@click.command()
@click.argument("name", required=False)
def connectors(name: str | None) -> None:
    """What Hookline reads; with NAME: its settings, permissions, lineage, and how it was verified."""
    if name is None:
        shown = table("connector", "what", "verified")
        for known in SOURCES:
            kind = source_class(known)
            shown.add_row(known, kind.title, kind.verified)
        out.print(shown)
        out.print("\n[dim]./hookline connectors NAME shows settings and permissions.[/dim]")
        return
    kind = source_class(name)
    for label, value in (
        ("what", kind.title),
        ("permissions", kind.permissions),
        ("lineage", kind.lineage),
        ("verified", kind.verified),
        ("driver", f"pip install -r connectors/requirements/{name}.txt"),
    ):
        out.print(f"[bold]{label:12}[/bold] {escape(value)}")
    out.print("\n[bold]settings[/bold]\n" + escape(kind.example.strip("\n")))


@click.command()
def formats() -> None:
    """Which files can be dropped into landing/uploads/, and what each looks like."""
    shown = table("format", "what", "looks like", "folder")
    for name in FORMATS:
        kind = format_class(name)
        folders = ", ".join(f"uploads/{folder}/" for folder in (name, *kind.folders))
        shown.add_row(name, kind.title, kind.looks_like, folders)
    out.print(shown)
