"""What happens while `run` works, a line for each thing that a person wants to know."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from cli.output import brief, err, plural
from shared.pipeline.refusals import refused_of
from shared.state.receipts import Receipt

if TYPE_CHECKING:
    from shared.pipeline.app import App

#: not worth a line when they succeed: timers, notifications, questions
SILENT = frozenset({"schedule", "sweep", "confirm", "health", "status", "replay"})
#: refusals of one file that are shown
MOST = 3
LANDING = "landing/"
#: nothing new for so long: time for a summary
QUIET_SECONDS = 2.0


class Progress:
    """Turns executions of the app, and the receipts of the files they were about, into lines on standard error."""

    def __init__(self, app: App) -> None:
        self._app = app
        #: files that something still happens to
        self._open: set[str] = set()
        #: file -> version and state that were told last
        self._told: dict[str, tuple[str, str]] = {}
        #: what was at work -> the error told last
        self._failures: dict[str, str] = {}
        self._ended: dict[str, int] = {}
        self._quiet_since = time.monotonic()

    def show(self, executions: Iterable[dict[str, Any]]) -> None:
        """Tell what was done, and what has become of the files at work. Raises StorageBusy."""
        for done in executions:
            self._execution(done)
        for path in sorted(self._open):
            self._file(path)

    def summary(self) -> str:
        """`6 files confirmed, 1 file rejected` once it has been quiet for a while; empty when nothing is new."""
        if self._open or not self._ended or time.monotonic() - self._quiet_since < QUIET_SECONDS:
            return ""
        told = ", ".join(f"{plural(count, 'file')} {state}" for state, count in sorted(self._ended.items()))
        self._ended = {}
        return told

    def _execution(self, done: dict[str, Any]) -> None:
        """Tell of one execution."""
        if done.get("outcome") == "superseded":
            return
        function, trigger = str(done.get("function", "")), str(done.get("trigger", ""))
        seconds = f"[dim]{done.get('seconds', 0):.1f} s[/dim]"
        if done.get("outcome") != "ok":
            self._failed(done, function, trigger)
        elif function == "extract":
            self._scan(trigger, seconds)
        elif function == "lineage":
            _line("lineage", f"an event arrived {seconds}")
        elif function not in SILENT and function != "transform":
            _line(function, f"{escape(trigger)} {seconds}")
        self._open.update(_paths(function, trigger))

    def _failed(self, done: dict[str, Any], function: str, trigger: str) -> None:
        """Tell of a failure, but not again when the next attempt fails in the same way."""
        what = str(done.get("error", "")).strip() or "no reason given"
        if done.get("outcome") == "poison":
            _line(function, f"given up after {done.get('attempt')} attempts: {escape(what.splitlines()[0])}", "red")
            return
        about = _about(function, trigger)
        if self._failures.get(about) == what:
            return
        self._failures[about] = what
        first, *more = what.splitlines()
        _line(function, f"{escape(about)} {escape(str(done.get('outcome')))}: {escape(first)}", "red")
        for line in more[:MOST]:
            err.print(f"             {escape(line.strip())}")

    def _scan(self, trigger: str, seconds: str) -> None:
        message = _json(trigger)
        instance, scope = str(message.get("instance", "")), str(message.get("scope", ""))
        row, _ = self._app.scans.get(instance, scope)
        scan = row.current
        name = escape(f"{instance}/{scope}")
        if scan is None or scan.id != message.get("scan"):
            _line("extract", f"{name} left out: another scan is at work, or newer {seconds}")
        elif scan.state in ("failed", "gone"):
            _line("extract", f"{name}: {escape(scan.error)}", "red")
            if scan.fix:
                err.print(f"             [bold]fix:[/bold] {escape(brief(scan.fix))}")
        else:
            refused = f", [red]{scan.refused:,} refused[/red]" if scan.refused else ""
            _line(
                "extract",
                f"{name}: {plural(scan.records, 'record')}{refused} in {plural(scan.parts, 'file')} {seconds}",
            )

    def _file(self, path: str) -> None:
        """Tell what has become of a file, if that is new."""
        receipt, _ = self._app.receipts.get(path)
        if receipt is None:
            return
        if receipt.final:
            self._open.discard(path)
        news = (receipt.etag, receipt.state)
        if self._told.get(path) == news or receipt.state == "transforming":
            return
        self._told[path] = news
        self._quiet_since = time.monotonic()
        if receipt.final:
            self._ended[receipt.state] = self._ended.get(receipt.state, 0) + 1
        name = escape(path)
        if receipt.state == "sent":
            _line("sent", f"{name}: {_sent(receipt)} [dim]{receipt.seconds:.1f} s[/dim]")
            return
        if receipt.state == "confirmed":
            unknown = f", [yellow]columns of {escape(', '.join(receipt.unknown))} not known[/yellow]"
            _line("confirmed", f"{name}: {_sent(receipt)}{unknown if receipt.unknown else ''}", "green")
            return
        colour = "yellow" if receipt.state == "partly rejected" else "red"
        what = f"{receipt.refused:,} refused, {_sent(receipt)}" if receipt.records else "refused as a whole"
        _line("rejected" if receipt.refused else receipt.state, f"{name}: {what}", colour)
        refusals = list(refused_of(self._app, path))
        for _, item in refusals[:MOST]:
            place = "" if item.place == path else f"{escape(item.place)}: "
            err.print(f"             {place}{escape(item.reason)}")
            if item.fix:
                err.print(f"             [bold]fix:[/bold] {escape(brief(item.fix))}")
        if len(refusals) > MOST:
            err.print(f"             [dim]... and {len(refusals) - MOST:,} more: ./hookline rejected[/dim]")


def _line(what: str, text: str, colour: str = "cyan") -> None:
    err.print(f"  [{colour}]{what:9}[/{colour}]  {text}")


def _sent(receipt: Receipt) -> str:
    parts = [plural(receipt.sent, "asset")]
    if receipt.deleted:
        parts.append(f"{receipt.deleted:,} deleted")
    if receipt.unchanged:
        parts.append(f"{receipt.unchanged:,} unchanged")
    return ", ".join(parts)


def _json(trigger: str) -> dict[str, Any]:
    """A queue message; the host cuts long ones, of which nothing can be told then."""
    try:
        found = json.loads(trigger)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _paths(function: str, trigger: str) -> list[str]:
    """Landed files that an execution was about."""
    if function == "transform" and trigger.startswith(LANDING):
        return [trigger.removeprefix(LANDING)]
    if function == "replay":
        return [str(_json(trigger).get("path"))]
    return []


def _about(function: str, trigger: str) -> str:
    """`shop/main` instead of a queue message."""
    message = _json(trigger)
    if "scope" in message:
        return f"{message.get('instance')}/{message['scope']}"
    if "path" in message:
        return str(message["path"])
    return "" if function in SILENT else trigger.removeprefix(LANDING)
