"""What became of instances and files, as tables; and the report at the end of `run --once`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.markup import escape

from cli.output import ago, brief, out, plural, refusal, show_table
from shared.records import Refusal

if TYPE_CHECKING:
    from shared.pipeline.app import App
    from shared.pipeline.overview import Status
    from shared.state.receipts import Receipt

COLOURS = {
    "finished": "green",
    "confirmed": "green",
    "partly rejected": "yellow",
    "rejected": "red",
    "lost": "red",
    "failed": "red",
    "disabled": "red",
    "gone": "yellow",
}
UNKNOWN_FIX = "scan their source: scripts are read again then, views with their next scan"
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


def _state(state: str) -> str:
    colour = COLOURS.get(state, "cyan")
    return f"[{colour}]{state}[/{colour}]"


def show_status(found: Status, files: int, *, when: bool = True) -> None:
    """Instances and the last `files` files, with the reasons below each table."""
    columns = ["instance", "~scope", "state", "#records", "#files", "#deleted", "#held", "#s", "#when"]
    rows, reasons = [], []
    for one in found.instances:
        state = "disabled" if one.problem else "switched off" if not one.enabled else "not scanned yet"
        if not one.scans:
            rows.append([one.name, "", _state(state), *[""] * 6])
        if one.problem:
            reasons.append((one.name, one.problem.partition("\n")[0], one.fix))
        for scan in one.scans:
            rows.append(
                [
                    one.name,
                    escape(scan.scope),
                    _state(scan.state),
                    f"{scan.records:,}",
                    f"{scan.parts:,}",
                    f"{scan.deleted:,}",
                    f"{scan.held:,}",
                    f"{scan.seconds:.1f}",
                    ago(scan.finished or scan.touched or scan.started),
                ]
            )
            if scan.error:
                reasons.append((f"{one.name}/{scan.scope}", scan.error, scan.fix))
            if scan.held:
                what = f"{plural(scan.held, 'asset')} gone from the source, more than delete_limit: not deleted"
                reasons.append(
                    (f"{one.name}/{scan.scope}", what, f"`./hookline approve {one.name} {scan.scope}` if this is meant")
                )
    if not when:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    if rows:
        show_table(columns, rows)
    _show_reasons(reasons)
    if found.files and files:
        if rows:
            out.print()
        show_files(found.files[-files:])
        if len(found.files) > files:
            out.print(f"[dim]... and {plural(len(found.files) - files, 'older file')} (--files N)[/dim]")
    totals = ", ".join(f"{count:,} {state}" for state, count in sorted(found.totals.items())) or "none"
    out.print(f"\nfiles: {totals}; waiting for confirmation: {plural(found.waiting, 'asset')}; sent by {found.sink}")


def show_files(receipts: list[Receipt]) -> None:
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
    ]
    rows, reasons = [], []
    for r in receipts:
        counts = (r.records, r.entities, r.sent + r.deleted, r.unchanged, r.confirmed, r.refused)
        rows.append([escape(r.path), r.format, _state(r.state), *(f"{n:,}" for n in counts), f"{r.seconds:.2f}"])
        why = r.error or ", ".join(f"{rule} x {count:,}" for rule, count in sorted(r.reasons.items()))
        if why:
            reasons.append((r.path, why, r.fix))
        if r.unknown:
            reasons.append((r.path, f"columns not known: {', '.join(r.unknown)}", UNKNOWN_FIX))
    show_table(columns, rows)
    _show_reasons(reasons)


def _show_reasons(reasons: list[tuple[str, str, str]]) -> None:
    for place, what, fix in reasons:
        out.print(f"[red]{escape(place)}[/red]: {escape(what)}")
        if fix:
            out.print(f"  [bold]fix:[/bold] {escape(brief(fix))}")


def rejections(app: App, path: str = "") -> list[tuple[str, Refusal]]:
    """What lies in rejected/, or only what was refused of one file: (file, refusal). Raises StorageBusy."""
    from shared.azure import storage_errors

    found = []
    with storage_errors("rejected"):
        for blob in app.rejected.list_blobs(name_starts_with=path or None):
            about = blob.name.removesuffix(".jsonl")
            if path and about not in (path, f"{path}.lost"):
                continue
            for line in app.rejected.download_blob(blob.name).readall().splitlines():
                found.append((about, msgspec.json.decode(line, type=Refusal)))
    return found


def report(app: App, *, seconds: float, idle: dict[str, object], file: Path | None) -> int:
    """Print what became of every instance and file. Returns 0 when all is confirmed and nothing was refused, else 1.

    idle: what still waits in queues or was given up (`Stack.idle`).
    """
    from shared.pipeline.overview import status

    found = status(app)
    refused = rejections(app)
    show_status(found, len(found.files), when=False)
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
        if one.problem:
            problems.append(f"{one.name}: disabled")
        elif one.enabled and not one.scans:
            problems.append(f"{one.name}: not scanned, no scope matches include and exclude")
    poison = idle.get("poison")
    if isinstance(poison, dict):
        problems += [f"{plural(count, 'message')} given up in the queue {queue}" for queue, count in poison.items()]
    return problems
