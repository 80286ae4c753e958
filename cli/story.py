"""The story of a file, a scan or an instance, in words."""

from __future__ import annotations

from rich.markup import escape

from cli.output import ago, brief, out, plural
from cli.report import coloured, show_files, show_instances
from shared.pipeline.story import SHOWN, Asset, FileStory, InstanceStory, ScanStory, Story
from shared.state.receipts import Receipt


def show_story(told: Story) -> None:
    """Print it."""
    if told.file is not None:
        _file(told.file)
    elif told.scan is not None:
        _scan(told.scan)
    elif told.instance is not None:
        _instance(told.instance)


def line(label: str, text: str) -> None:
    out.print(f"[dim]{label:11}[/dim] {text}")


def _file(found: FileStory) -> None:
    receipt = found.receipt
    out.print(f"[bold]{escape(found.path)}[/bold]  {coloured(receipt.state if receipt is not None else 'landed')}")
    if receipt is not None:
        _receipt(receipt)
    if not found.lies:
        line("file", "[yellow]not in landing any more[/yellow]")
    elif found.newer:
        line("file", "[yellow]a newer version of it has landed, and was not taken up yet[/yellow]")
    if found.superseded:
        line("superseded", f"a later scan, {escape(found.superseded)}, has published its scope since")
    if receipt is not None and receipt.error:
        line("error", f"[red]{escape(receipt.error)}[/red]")
    _assets("missing", found.missing, receipt.waits if receipt is not None else 0)
    for item in found.rejected:
        place = "" if item.place == found.path else f"{escape(item.place)}: "
        line("rejected", f"{place}{escape(item.reason)} ({escape(item.rule)})")
        if item.fix:
            line("", f"[dim]fix: {escape(brief(item.fix))}[/dim]")
    if receipt is not None and receipt.refused > len(found.rejected) >= SHOWN:
        line("", f"[dim]... `./hookline rejected {escape(found.path)} --json` shows all {receipt.refused:,}[/dim]")
    line("next", escape(found.next))


def _receipt(receipt: Receipt) -> None:
    for label, moment in (
        ("landed", receipt.landed),
        ("taken up", receipt.started),
        ("sent", receipt.sent_at if receipt.messages else ""),
        ("finished", receipt.finished),
    ):
        if moment:
            line(label, f"{ago(moment)}   [dim]{moment}[/dim]")
    if receipt.scan:
        scope = f", {escape(receipt.scope)}" if receipt.scope else ""
        line("scan", f"{receipt.scan} of {escape(receipt.instance)}{scope}")
    line("attempts", f"{receipt.attempts:,}, the last took {receipt.seconds:.1f} s")
    counts = {
        "records": receipt.records,
        "sent": receipt.sent,
        "deleted": receipt.deleted,
        "unchanged": receipt.unchanged,
        "said again": receipt.repeated,
        "adopted": receipt.adopted,
        "refused": receipt.refused,
    }
    line("counts", ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "nothing in it")
    if receipt.messages:
        times = " twice and over REST" if receipt.by_rest else " (some of it twice)" if receipt.resent else ""
        line(
            "messages",
            f"{receipt.messages:,} with {plural(receipt.entities, 'entity').replace('entitys', 'entities')}{times}",
        )
    if receipt.sent or receipt.deleted:
        overtaken = f", {receipt.overtaken:,} overtaken by a later scan" if receipt.overtaken else ""
        line("confirmed", f"{receipt.confirmed:,} of {receipt.sent + receipt.deleted:,}{overtaken}")
    if receipt.unknown:
        line("unknown", f"columns of {escape(', '.join(receipt.unknown))}")


def _assets(label: str, assets: list[Asset], count: int = 0) -> None:
    for asset in assets:
        line(label, f"{asset.operation} {escape(asset.type_name)} {escape(asset.qualified_name)}")
    if count > len(assets) >= SHOWN:
        line("", f"[dim]... and {count - len(assets):,} more[/dim]")


def _scan(found: ScanStory) -> None:
    scan = found.scan
    if scan is None:
        out.print(
            f"[bold]{escape(found.instance)}[/bold]  scan {found.id}: only its files are known, a later one is noted"
        )
    else:
        out.print(f"[bold]{escape(scan.instance)}/{escape(scan.scope)}[/bold]  scan {scan.id}  {coloured(scan.state)}")
        line(
            "started",
            f"{ago(scan.started)}   [dim]{scan.started}[/dim]{', everything is sent again' if scan.full else ''}",
        )
        if scan.finished:
            line("finished", f"{ago(scan.finished)}   [dim]{scan.finished}[/dim]")
        line("read", f"{plural(scan.records, 'record')} in {plural(scan.parts, 'part')}, {scan.refused:,} refused")
        line("assets", f"{scan.new:,} new, {scan.changed:,} changed, {scan.unchanged:,} unchanged")
        line("gone", f"{scan.stale:,}: {scan.deleted:,} deleted, {scan.held:,} held")
        if scan.error:
            line("error", f"[red]{escape(scan.error)}[/red]")
            line("", f"[dim]fix: {escape(scan.fix)}[/dim]")
        if scan.held:
            line("next", f"`./hookline approve {escape(scan.instance)} {escape(scan.scope)}` if they are to be deleted")
    _assets("held", found.held, scan.held if scan is not None else 0)
    if found.files:
        show_files(found.files, when=True)


def _instance(found: InstanceStory) -> None:
    show_instances([found.status])
    for scope, assets in found.held.items():
        approve = f"./hookline approve {found.status.name} {scope}"
        out.print(f"\n[bold]{escape(scope)}[/bold]: held back until `{escape(approve)}`")
        _assets("held", assets)
    if found.files.files:
        out.print()
        show_files(found.files.files[::-1], when=True)
