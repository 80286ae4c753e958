"""`run`: the whole flow on this machine."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from cli.context import DEFAULT, LOCAL, ROOT, RUN, app_of, settings_for
from cli.output import err, step
from shared.errors import StorageBusy

if TYPE_CHECKING:
    from types import FrameType

    from cli.progress import Progress
    from cli.uploads import Uploads
    from local.stack import Stack
    from shared.pipeline.app import App

#: files dropped here are uploaded into the container `landing`
DROP = Path("landing") / "uploads"
SAMPLES = ROOT / "local" / "samples" / "jobs"
CATALOGUE_PORT = 8400
LOOK_SECONDS = 0.3
#: `run --once` says what it waits for when nothing happened for so long
QUIET_SECONDS = 10


@click.command(short_help="The whole flow on this machine.")
@click.option("--once", is_flag=True, help="Scan everything, take it through to confirmed, report, and stop.")
@click.option(
    "--port",
    metavar="PORT",
    type=click.IntRange(0, 65535),
    help=f"Port of the catalogue's page, 0 for any free one. Default: {CATALOGUE_PORT}; with --once any free one.",
)
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="With --once: the report as JSON, too.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.IntRange(1),
    default=300,
    show_default=True,
    help="With --once: give up after SECONDS.",
)
@click.pass_obj
def run(config: Path | None, once: bool, port: int | None, report: Path | None, timeout: int) -> None:
    """Everything up on this machine: storage, Event Hubs, the function app, and a catalogue to look at.

    Without a hookline.yaml it uses a sample: a small shop database and one job file of each format. With one, your
    sources are scanned for real; what they hold goes into the local catalogue, not into Purview.

    It stays up and shows what happens as files are dropped into landing/uploads/; Ctrl-C ends it. What it holds is
    kept for the next time. With --once it begins with nothing, ends by itself, and the exit code is 1 if anything was
    rejected or lost.
    """
    from local.running import claim
    from local.stack import Stack

    if report is not None and not once:
        raise click.UsageError("--report goes with --once")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts us with & has it ignored
    signal.signal(signal.SIGTERM, _end)
    settings = settings_for(config, offline=True)  # a wrong file is told before anything starts
    if report is not None:
        report.open("ab").close()
    for error in settings.disabled.values() if settings is not None else ():
        err.print(f"[yellow]disabled[/yellow] {escape(str(error))}")
    folder = LOCAL / "once" if once else RUN
    with claim(folder):
        if once:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        path = _sample_config(folder) if settings is None else (config or DEFAULT).absolute()
        folders = [*([SAMPLES] if settings is None else []), DROP]
        catalogue_port = port if port is not None else 0 if once else CATALOGUE_PORT
        with Stack(folder, path, port=catalogue_port, progress=step) as stack:
            from cli.progress import Progress
            from cli.uploads import Uploads

            app = app_of(stack.environ)
            code = 0
            try:
                uploads, progress = Uploads(app, folders), Progress(app)
                if once:
                    code = _once(stack, app, uploads, progress, report, timeout)
                else:
                    _stay(stack, uploads, progress, folder)
            except StorageBusy:
                list(stack.watch())  # if a part has died, that says more
                raise
            step("stopping")
    sys.exit(code)


def _end(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def _sample_config(folder: Path) -> Path:
    """A hookline.yaml for a first run: one SQLite database that is built here."""
    from local.samples import shop

    database = folder / "shop.db"
    if not database.exists():
        shop.build(database)
    path = folder / "sample.yaml"
    path.write_text(
        "instances:\n  shop:\n    connector: sqlite\n    schedule: '0 */5 * * * *'\n"
        f"    settings: {{path: '{database.as_posix()}', host: shop}}\n",
        "utf-8",
    )
    return path


def _stay(stack: Stack, uploads: Uploads, progress: Progress, folder: Path) -> None:
    """Show what happens until Ctrl-C."""
    DROP.mkdir(parents=True, exist_ok=True)
    for label, text in (
        ("catalogue", f"{stack.url}   assets and lineage, to look at"),
        ("drop files", f"{DROP.absolute()}/   (./hookline formats tells which)"),
        ("OpenLineage", f"{stack.app_url}/api/v1/lineage"),
        ("ask", "./hookline status | rejected | scan INSTANCE | plan FILE, in another terminal"),
        ("logs", str(folder / "logs")),
    ):
        err.print(f"[bold]{label:12}[/bold] {escape(text)}")
    err.print("[dim]Ctrl-C stops it[/dim]")
    try:
        stack.fire("schedule")
        while True:
            progress.show(stack.watch())
            if told := progress.summary():
                step(f"{told}; look at {stack.url}")
            uploads.sync()
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        return


def _once(stack: Stack, app: App, uploads: Uploads, progress: Progress, file: Path | None, timeout: int) -> int:
    """All due scans and landed files through to a final receipt; the report; 0 when everything was confirmed."""
    from cli.report import report

    started = quiet_since = time.monotonic()
    uploads.sync(settled=True)
    stack.fire("schedule")
    while waits := waits_for(stack, app):
        done = list(stack.watch())
        progress.show(done)
        moment = time.monotonic()
        if moment - started > timeout:
            err.print(f"[red]given up after {timeout} s[/red]")
            break
        if done:
            quiet_since = moment
        elif moment - quiet_since > QUIET_SECONDS:
            quiet_since = moment
            step(f"waiting: {waits}")
        time.sleep(LOOK_SECONDS)
    progress.show(stack.watch())
    return report(app, seconds=time.monotonic() - started, idle=stack.idle(), file=file)


def waits_for(stack: Stack, app: App) -> str:
    """What is not done yet, in words; empty when every scan is over, every file settled and every queue empty."""
    idle = stack.idle()  # first: what is taken from a queue after this has a receipt or a scan by then
    landed = {blob.name: False for blob in app.landing.list_blobs()}
    files = list({**landed, **{receipt.path: receipt.final for receipt in app.receipts.all()}}.values()).count(False)
    rows = [row for name in app.settings.instances for _, row in app.scans.of(name)]
    scans = sum(1 for row in rows if row.current is not None and row.current.state in ("running", "extracted"))
    queued = sum(idle["pending"].values())
    counts = ((files, "file to confirm", "files to confirm"), (scans, "scan", "scans"), (queued, "message", "messages"))
    told = [f"{count:,} {one if count == 1 else many}" for count, one, many in counts if count]
    told += [f"{len(idle['running'])} at work"] if idle["running"] else []
    if not told and (early := sum(1 for _ in app.schemas.wanted())):
        told = [f"{early:,} {'script' if early == 1 else 'scripts'} to read again, whose tables are known now"]
    return ", ".join(told) or ("" if idle["idle"] else "services to answer")
