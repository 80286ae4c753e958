"""How the command line speaks: results on stdout, everything else on stderr."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shared.errors import HooklineError

if TYPE_CHECKING:
    from shared.records import Refusal

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def complain(error: HooklineError | str) -> None:
    """What happened, where, and what to do."""
    if isinstance(error, str):
        err.print(f"[red]{escape(error)}[/red]")
        return
    place = f"{escape(error.where)}: " if error.where else ""
    err.print(f"[red]error[/red] {place}{escape(error.what)}")
    if error.fix:
        err.print(f"  [bold]fix[/bold] {escape(error.fix)}")


def refusal(path: str, refused: Refusal) -> None:
    err.print(f"[red]refused[/red] {escape(path)}, {escape(refused.place)} ({refused.rule}): {escape(refused.reason)}")
    if refused.fix:
        err.print(f"  [bold]fix[/bold] {escape(refused.fix)}")


def table(*columns: str, title: str = "") -> Table:
    """A table; a column whose name starts with `#` is right-aligned."""
    made = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column.lstrip("#"), justify="right" if column.startswith("#") else "left", overflow="fold")
    return made


def ago(moment: str) -> str:
    """`3 min ago`, for an RFC 3339 time."""
    if not moment:
        return "-"
    seconds = (dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(moment)).total_seconds()
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{max(0, int(seconds))} s ago"
