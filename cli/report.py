"""What became of instances and files, as tables; and the report at the end of `run --once`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.markup import escape

from cli.output import ago, brief, out, plural, refusal, show_table

if TYPE_CHECKING:
    from shared.pipeline.app import App
    from shared.pipeline.overview import InstanceStatus, Status
    from shared.state.receipts import Receipt
    from shared.state.scans import Scan

COLOURS = {
    "finished": "green",
    "confirmed": "green",
    "partly rejected": "yellow",
    "rejected": "red",
    "lost": "red",
    "failed": "red",
    "disabled": "red",
    "gone": "yellow",
    "overdue": "yellow",
    "not configured": "yellow",
}
SCAN_COLUMNS = [
    "instance",
    "~scope",
    "state",
    "#records",
    "#files",
    "#new",
    "#changed",
    "#unchanged",
    "#deleted",
    "#held",
    "#refused",
    "#s",
    "#when",
]
UNKNOWN_FIX = "scan their source: scripts are read again then, views with their next scan"
PLACEHOLDER_FIX = (
    "`./hookline plan FILE` names them, with the nearest names; placeholders stand for them until they are scanned"
)
#: refusals that a report shows; `./hookline rejected` and --report have them all
MOST_REFUSALS = 20


class Report(msgspec.Struct, kw_only=True):
    """What `run --once --report FILE` writes. ok: everything was confirmed and nothing refused. seconds: of the run.

    rejected: the lines of rejected/, with the file they are about; problems: what else kept it from being ok.
    """

    ok: bool
    seconds: float
    problems: list[str]
    rejected: list[dict[str, object]]
    status: Status


def coloured(state: str) -> str:
    """A state in the colour that it has everywhere."""
    colour = COLOURS.get(state, "cyan")
    return f"[{colour}]{state}[/{colour}]"


def show_status(found: Status, *, when: bool = True) -> None:
    """Instances and files, the newest last, with the reasons below each table."""
    if found.instances:
        show_instances(found.instances, when=when)
    if found.files:
        if found.instances:
            out.print()
        show_files(found.files[::-1], when=when)
        if found.next:
            more = f"--files N shows more, --before '{escape(found.next)}' the page before"
            out.print(f"[dim]... and older ones ({more})[/dim]")
    totals = ", ".join(f"{count:,} {state}" for state, count in sorted(found.totals.items())) or "none"
    since = f", the first sent {ago(found.waiting_since)}" if found.waiting and when else ""
    waiting = f"waiting for confirmation: {plural(found.waiting, 'asset')}{since}"
    out.print(f"\nfiles: {totals}; {waiting}; sent by {found.sink}")
    _show_reasons(found.notes())
    if found.landed_since and when:
        landed = plural(found.totals["landed"], "file")
        out.print(f"[yellow]{landed} not taken up yet, the first landed {ago(found.landed_since)}[/yellow]")


def show_instances(instances: list[InstanceStatus], *, when: bool = True) -> None:
    """A line per scope, and the reasons below."""
    rows = []
    for one in instances:
        if not one.scans:
            rows.append([one.name, "", coloured(one.state), *[""] * (len(SCAN_COLUMNS) - 3)])
        rows += [_scan_row(scan) for scan in one.scans]
    columns = SCAN_COLUMNS
    if not when:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    show_table(columns, rows)
    for one in instances:
        _show_reasons(one.notes())


def _scan_row(scan: Scan) -> list[str]:
    counts = (scan.records, scan.parts, scan.new, scan.changed, scan.unchanged, scan.deleted, scan.held, scan.refused)
    return [
        scan.instance,
        escape(scan.scope),
        coloured(scan.state),
        *(f"{count:,}" for count in counts),
        f"{scan.seconds:.1f}",
        ago(scan.finished or scan.touched or scan.started),
    ]


def show_files(receipts: list[Receipt], *, when: bool = False) -> None:
    """A line per landed file. sent: assets, which are confirmed; entities: those and their columns."""
    columns = [
        "~file",
        "?format",
        "state",
        "#records",
        "#entities",
        "#sent",
        "#unchanged",
        "#confirmed",
        "#rejected",
        "#s",
        "#when",
    ]
    rows, reasons = [], []
    for r in receipts:
        counts = (r.records, r.entities, r.sent + r.deleted, r.unchanged, r.confirmed, r.refused)
        times = (f"{r.seconds:.2f}", ago(r.finished or r.sent_at or r.started or r.landed))
        rows.append([escape(r.path), r.format, coloured(r.state), *(f"{n:,}" for n in counts), *times])
        why = r.error or ", ".join(f"{rule} x {count:,}" for rule, count in sorted(r.reasons.items()))
        if why:
            reasons.append((r.path, why, r.fix))
        if missing := r.resolved.get("placeholder", 0):
            reasons.append((r.path, f"{plural(missing, 'end')} of lineage not in the catalogue", PLACEHOLDER_FIX))
        if r.unknown:
            reasons.append((r.path, f"columns not known: {', '.join(r.unknown)}", UNKNOWN_FIX))
    if not when:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    show_table(columns, rows)
    _show_reasons(reasons)


def _show_reasons(reasons: Iterable[tuple[str, str, str]]) -> None:
    for place, what, fix in reasons:
        out.print(f"[red]{escape(place)}[/red]: {escape(what)}")
        if fix:
            out.print(f"  [bold]fix:[/bold] {escape(brief(fix))}")


def report(app: App, *, seconds: float, idle: dict[str, object], file: Path | None) -> int:
    """Print what became of every instance and file. Returns 0 when all is confirmed and nothing was refused, else 1.

    idle: what still waits in queues or was given up (`Stack.idle`).
    """
    from shared.pipeline.overview import status
    from shared.pipeline.refusals import refusals

    found = status(app)
    refused = list(refusals(app))
    show_status(found, when=False)
    for path, item in refused[:MOST_REFUSALS]:
        refusal(path, item, out)
    if len(refused) > MOST_REFUSALS:
        out.print(f"[dim]... and {len(refused) - MOST_REFUSALS:,} more (--report FILE has them all)[/dim]")
    problems = _problems(found, idle)
    for problem in problems:
        out.print(f"[red]{escape(problem)}[/red]")
    good = not problems and not refused
    files = found.files
    if not files and good:
        verdict = "[yellow]there was nothing to do[/yellow]"
    else:
        verdict = "[green]everything is confirmed[/green]" if good else "[red]not everything is confirmed[/red]"
    confirmed, sent = sum(r.confirmed for r in files), plural(sum(r.sent + r.deleted for r in files), "asset")
    out.print(
        f"{verdict}: {confirmed:,} of {sent} ({sum(r.entities for r in files):,} entities), "
        f"{sum(r.refused for r in files):,} rejected\n"
        f"{plural(sum(r.messages for r in files), 'message')} sent, "
        f"{plural(sum(r.unchanged for r in files), 'asset')} unchanged, {seconds:.1f} s"
    )
    if file is not None:
        rejected = [{"file": path, **msgspec.to_builtins(item)} for path, item in refused]
        told = Report(ok=good, seconds=round(seconds, 3), problems=problems, rejected=rejected, status=found)
        file.write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=1) + b"\n")
    return 0 if good else 1


def _problems(found: Status, idle: dict[str, object]) -> list[str]:
    """What is not as it should be, beside what was refused."""
    problems = [f"{r.path}: {r.state}" for r in found.files if not r.final or r.state == "lost"]
    for one in found.instances:
        problems += [f"scan of {one.name}/{scan.scope}: {scan.state}" for scan in one.scans if scan.state != "finished"]
        if one.problem and one.known:
            problems.append(f"{one.name}: disabled")
        elif one.enabled and not one.scans:
            problems.append(f"{one.name}: not scanned, no scope matches include and exclude")
    poison = idle.get("poison")
    if isinstance(poison, dict):
        problems += [f"{plural(count, 'message')} given up in the queue {queue}" for queue, count in poison.items()]
    return problems
