"""`run`: the whole flow on this machine."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import requests
from rich.markup import escape

from cli.context import LOCAL, ROOT, settings_for
from cli.output import err, out

if TYPE_CHECKING:
    from local.stack import Stack
    from shared.pipeline.app import App

#: files dropped here are uploaded into the container `landing`
DROP = Path("landing")
ONCE_SECONDS = 300


@click.command()
@click.option("--once", is_flag=True, help="Scan everything, take it through to confirmed, report, and stop.")
@click.option(
    "--port", type=int, default=None, help="Port of the catalogue's page [default: 8400; any free with --once]."
)
@click.pass_obj
def run(config: Path | None, once: bool, port: int | None) -> None:
    """Everything up on this machine: storage, Event Hubs, the function app, and a catalogue to look at.

    Without a hookline.yaml it uses a sample: a small shop database and one job file of each format.
    With one, your sources are scanned for real; what they hold goes into the local catalogue, not into Purview.
    """
    from local.stack import Stack, stop_on_signals

    stopped = stop_on_signals()
    settings = settings_for(config)  # a wrong file is told before anything starts
    folder = LOCAL / ("once" if once else "run")
    if once:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    sample = settings is None
    path = _sample_config(folder) if sample else (config or Path("hookline.yaml")).resolve()
    if settings is not None:
        for error in settings.disabled.values():
            err.print(f"[yellow]disabled[/yellow] {escape(str(error))}")
    with Stack(folder, path, port=port if port is not None else (0 if once else 8400), progress=_step) as stack:
        err.print(f"catalogue {stack.url}   app {stack.app_url}   logs {folder / 'logs'}")
        app = _app(stack)
        uploads = _Uploads(app, [ROOT / "local" / "samples" / "jobs"] if sample else [], DROP / "uploads")
        if once:
            code = _once(stack, app, uploads, stopped.is_set)
            sys.exit(code)
        (DROP / "uploads").mkdir(parents=True, exist_ok=True)
        err.print(f"drop files into {DROP / 'uploads'}/ (formats: ./hookline formats); Ctrl-C stops")
        while not stopped.wait(0.5):
            uploads.sync()
            for done in stack.watch():
                _show(done)


def _step(text: str) -> None:
    err.print(f"[dim]- {escape(text)}[/dim]")


def _sample_config(folder: Path) -> Path:
    """A hookline.yaml for a first run: one SQLite database that is built here."""
    from local.samples import shop

    database = folder / "shop.db"
    if not database.exists():
        shop.build(database)
    path = folder / "sample.yaml"
    path.write_text(
        "instances:\n  shop:\n    connector: sqlite\n    schedule: '0 */5 * * * *'\n"
        f"    settings: {{path: '{database.as_posix()}'}}\n"
    )
    return path


def _app(stack: Stack) -> App:
    import os

    from shared.pipeline.app import App
    from shared.settings import load

    environ = {**os.environ, **stack.environ}
    return App(load(Path(environ["HOOKLINE_CONFIG"]), environ), environ)


class _Uploads:
    """Copies files of local folders into landing/uploads, once per version."""

    def __init__(self, app: App, samples: list[Path], drop: Path) -> None:
        self._app = app
        self._folders = [*samples, drop]
        self._seen: dict[Path, tuple[int, int]] = {}

    def sync(self) -> int:
        count = 0
        for folder in self._folders:
            for path in sorted(folder.rglob("*")) if folder.exists() else []:
                if not path.is_file() or path.name.startswith("."):
                    continue
                stat = path.stat()
                version = (stat.st_mtime_ns, stat.st_size)
                if self._seen.get(path) == version or time.time() - stat.st_mtime < 0.3:
                    continue
                target = f"uploads/{path.relative_to(folder).as_posix()}"
                with path.open("rb") as file:
                    self._app.landing.get_blob_client(target).upload_blob(file, overwrite=True)
                self._seen[path] = version
                count += 1
                err.print(f"  landed     {escape(target)}")
        return count


def _show(done: dict[str, Any]) -> None:
    """One line per piece of work; the timers only when they fail."""
    function, outcome = str(done.get("function", "")), str(done.get("outcome", ""))
    if outcome == "ok" and function in ("schedule", "sweep", "confirm", "health", "status"):
        return
    detail = escape(str(done.get("trigger", "")))
    colour = "green" if outcome == "ok" else "red"
    error = f"  {escape(str(done['error']))}" if done.get("error") else ""
    err.print(
        f"  {function:10} [{colour}]{outcome}[/{colour}] {detail} [dim]{done.get('seconds', 0):.2f} s[/dim]{error}"
    )


def _once(stack: Stack, app: App, uploads: _Uploads, stopped: Callable[[], bool]) -> int:
    """All due scans and landed files through to a final receipt; the report; 0 when everything was confirmed."""
    from cli.report import report

    started = time.perf_counter()
    uploads.sync()
    requests.post(f"{stack.app_url}/local/fire/schedule", timeout=60).raise_for_status()
    deadline = time.monotonic() + ONCE_SECONDS
    fired = time.monotonic()
    shown = ""
    while time.monotonic() < deadline and not stopped():
        for done in stack.watch():
            _show(done)
        idle = requests.get(f"{stack.app_url}/local/idle", timeout=60).json()["idle"]
        waiting = sum(1 for receipt in app.receipts.all() if not receipt.final)
        scanning = _scanning(app)
        if idle and not waiting and not scanning:
            break
        line = f"waiting for {waiting} file(s) to be confirmed, {scanning} scan(s) to finish"
        if line != shown:
            _step(line)
            shown = line
        if time.monotonic() - fired > 2:
            requests.post(f"{stack.app_url}/local/fire/sweep", timeout=60).raise_for_status()
            fired = time.monotonic()
        time.sleep(0.3)
    out.print()
    return report(app, seconds=time.perf_counter() - started)


def _scanning(app: App) -> int:
    """Scans that have begun and are not over."""
    rows = [row for name in app.settings.instances for _, row in app.scans.of(name)]
    return sum(1 for row in rows if row.current is not None and row.current.state in ("running", "extracted"))
