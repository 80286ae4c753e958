"""How the command line speaks: results on stdout, everything else on stderr."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from shared.errors import HooklineError

if TYPE_CHECKING:
    from shared.records import Refusal

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

#: a path is not cut below this many characters
SHORTEST = 24
#: characters of a brief text
BRIEF = 160
#: blanks between two columns
GAP = 2


def complain(error: HooklineError) -> None:
    """What happened, where, and what to do."""
    place = f"{escape(error.where)}: " if error.where else ""
    err.print(f"[red]error:[/red] {place}{escape(error.what)}")
    if error.fix:
        err.print(f"  [bold]fix:[/bold] {escape(error.fix)}")


def refusal(path: str, refused: Refusal, console: Console = err) -> None:
    """One refused record: file, place in it, rule, reason, fix."""
    place = "" if refused.place == path else f", {escape(refused.place)}"
    console.print(f"[red]refused[/red] {escape(path)}{place} ({escape(refused.rule)}): {escape(refused.reason)}")
    if refused.fix:
        console.print(f"  [bold]fix:[/bold] {escape(refused.fix)}")


def write_json(value: object) -> None:
    """One JSON value and a line feed on stdout."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def step(text: str) -> None:
    """What is being done, for people who wait."""
    err.print(f"[dim]- {escape(text)}[/dim]")


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], console: Console = out) -> None:
    """Print a table of markup, one line a row.

    columns: titles; `#title` is right-aligned, `~title` a path, `?title` the first to go.
    On a terminal that is too narrow, first the `?` columns are left out, then those that hold only zeros; the path is
    shortened in the middle, or stands on a line of its own. Into a pipe or a file goes everything as it is.
    """
    cells = [[Text.from_markup(cell) for cell in row] for row in rows]
    widths = [
        max([cell_len(title.lstrip("#~?")), *(row[i].cell_len for row in cells)]) for i, title in enumerate(columns)
    ]
    keep = list(range(len(columns)))
    path = next((i for i in keep if columns[i].startswith("~")), None)
    limit = console.width if console.is_terminal else sys.maxsize

    def total() -> int:
        return sum(widths[i] + GAP for i in keep) - GAP

    if total() > limit:
        keep = [i for i in keep if columns[i][0] != "?"]
    if total() - (max(0, widths[path] - SHORTEST) if path is not None else 0) > limit:
        keep = [i for i in keep if any(row[i].plain not in ("", "0") for row in cells)]
    apart = False
    if path is not None and total() > limit:
        widths[path] = limit - (total() - widths[path])
        apart = widths[path] < SHORTEST
        if apart:
            keep.remove(path)
        for row in cells:
            row[path] = Text(shortened(row[path].plain, limit if apart else widths[path]))

    def line(row: Sequence[Text]) -> Text:
        aligned = []
        for i in keep:
            text = row[i].copy()
            text.align("right" if columns[i][0] == "#" else "left", widths[i])
            aligned.append(text)
        return Text(" " * GAP).join(aligned)

    titles = [Text(title.lstrip("#~?"), "bold") for title in columns]
    for row in [titles, *cells]:
        if apart and path is not None:
            console.print(row[path])
        console.print(Text(" " * GAP * apart) + line(row))


def shortened(text: str, most: int) -> str:
    """At most so many characters: the beginning, `..`, and rather more of the end, where the name of a file stands."""
    if len(text) <= most:
        return text
    head = (most - 2) // 3
    return f"{text[:head]}..{text[-(most - 2 - head) :]}"


def brief(text: str) -> str:
    """The first line, cut where it is long: for places where the whole would bury what stands around it."""
    first, *more = text.splitlines() or [""]
    return f"{first[:BRIEF].rstrip(' :,')} ..." if more or len(first) > BRIEF else first


def ago(moment: str) -> str:
    """`3 min ago`, for an RFC 3339 time."""
    if not moment:
        return "-"
    seconds = (dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(moment)).total_seconds()
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{max(0, int(seconds))} s ago"


def plural(count: int, noun: str) -> str:
    """`1 file`, `2 files`, `1,234 scans`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
