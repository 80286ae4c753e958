"""Tables that fit a terminal, and lose nothing in a pipe."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from cli.output import brief, plural, shortened, show_table

COLUMNS = ["~file", "?format", "state", "#records", "#entities", "#unchanged", "#confirmed", "#rejected", "#s"]
LONG = "shop/20261120T221635-0d274f/00000.jsonl.gz"
ROWS = [
    [
        "uploads/openlineage/order_export.json",
        "openlineage",
        "[green]confirmed[/green]",
        *["3", "14", "0", "8", "0", "0.88"],
    ],
    [LONG, "records", "[yellow]partly rejected[/yellow]", *["1,234", "14", "3", "8", "2", "10.88"]],
]


def shown(width: int, rows: list[list[str]], *, terminal: bool = True) -> list[str]:
    file = io.StringIO()
    show_table(COLUMNS, rows, Console(file=file, width=width, force_terminal=terminal, no_color=True, soft_wrap=True))
    text = file.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert "\x1b" not in text
    return text.splitlines()


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_every_line_fits_and_no_number_is_cut(width: int) -> None:
    lines = shown(width, ROWS)
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    assert {"3", "14", "8", "0.88", "1,234", "2", "10.88", "confirmed"} <= set(words)


def test_numbers_are_right_aligned() -> None:
    header, *lines = shown(200, ROWS)
    for title in ("records", "entities", "rejected"):
        end = header.index(title) + len(title)
        assert all(line[end - 1].isdigit() and line[end : end + 2] in ("  ", "") for line in lines), title


def test_a_pipe_gets_everything_on_one_line_a_row() -> None:
    lines = shown(80, ROWS, terminal=False)
    assert len(lines) == 3
    assert lines[2].split() == [LONG, "records", "partly", "rejected", *ROWS[1][3:]]


def test_what_goes_first_where_room_is_scarce() -> None:
    first = ROWS[:1]
    assert shown(140, first)[0].split()[1] == "format"
    assert "format" not in shown(100, first)[0]
    assert "unchanged" in shown(100, first)[0]
    narrow = shown(75, first)
    assert "unchanged" not in narrow[0], "columns of zeros go"
    assert narrow[1].startswith("uploads/")
    assert ".." in narrow[1].split()[0], "then the path is shortened"
    assert shown(70, ROWS)[4] == LONG, "or stands on a line of its own"


def test_a_path_keeps_its_beginning_and_more_of_its_end() -> None:
    assert shortened("short", 5) == "short"
    cut = shortened("uploads/openlineage/order_export.json", 24)
    assert (len(cut), cut.startswith("uploads"), cut.endswith("export.json")) == (24, True, True)


def test_words() -> None:
    assert (plural(1, "file"), plural(0, "file"), plural(1234, "file")) == ("1 file", "0 files", "1,234 files")
    assert brief("put it there:\n  a\n  b") == "put it there ..."
    assert brief("short") == "short"
    assert len(brief("x" * 500)) < 200
