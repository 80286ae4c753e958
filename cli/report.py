"""The report at the end of `run --once`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from cli.online import rejections, show_status
from cli.output import out

if TYPE_CHECKING:
    from shared.pipeline.app import App


def report(app: App, *, seconds: float) -> int:
    """Print what became of every instance and file. Returns 0 when all is confirmed and nothing was refused, else 1."""
    from shared.pipeline.overview import status

    found = status(app)
    show_status(found, len(found.files) or 1)
    refused = rejections(app)
    for path, item in refused[:20]:
        out.print(f"[red]refused[/red] {escape(path)}, {escape(item.place)} ({item.rule}): {escape(item.reason)}")
        if item.fix:
            out.print(f"  [bold]fix[/bold] {escape(item.fix)}")
    failed = [scan for instance in found.instances for scan in instance.scans if scan.state != "finished"]
    problems = [instance for instance in found.instances if instance.problem or not instance.scans]
    open_files = [r for r in found.files if r.state != "confirmed"]
    sent = sum(r.sent + r.deleted for r in found.files)
    good = bool(found.files) and not (refused or failed or problems or open_files)
    verdict = "[green]everything is confirmed[/green]" if good else "[red]not everything is confirmed[/red]"
    out.print(
        f"\n{verdict}: {sent:,} assets ({sum(r.entities for r in found.files):,} entities) in "
        f"{sum(r.messages for r in found.files):,} messages, {seconds:.1f} s"
    )
    return 0 if good else 1
