"""Keeps docs/guide/command-line.md true: every block that begins with `$ ./hookline ... --help` holds what that prints.

python -m cli.reference rewrites the blocks; a test fails when it would change anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from cli.context import ROOT
from cli.main import hookline

PAGE = ROOT / "docs" / "guide" / "command-line.md"
WIDTH = 100
_BLOCK = re.compile(r"(?<=^```text\n)\$ \./hookline(?P<path>(?: \w+)*) --help\n.*?(?=^```$)", re.DOTALL | re.MULTILINE)


def commands(group: click.Group = hookline, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command there is, subcommands included, by its words."""
    yield path
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


def helped(path: tuple[str, ...]) -> str:
    """What `./hookline PATH --help` prints on a terminal of WIDTH columns."""
    command: click.Command = hookline
    context = click.Context(hookline, info_name="./hookline", terminal_width=WIDTH, max_content_width=WIDTH)
    context.help_option_names = ["-h", "--help"]
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(context, name)
        if found is None:
            raise KeyError(name)
        command = found
        context = click.Context(command, info_name=name, parent=context, terminal_width=WIDTH, max_content_width=WIDTH)
    return command.get_help(context)


def refreshed(page: str) -> str:
    """The page with every block as it should be. Raises KeyError for a command that is not there any more."""

    def block(match: re.Match[str]) -> str:
        path = tuple(match["path"].split())
        return f"$ {' '.join(['./hookline', *path])} --help\n{helped(path)}\n"

    return _BLOCK.sub(block, page)


def shown(page: str) -> set[tuple[str, ...]]:
    """The commands that the page has a block for."""
    return {tuple(match["path"].split()) for match in _BLOCK.finditer(page)}


def rewrite(path: Path = PAGE) -> None:
    path.write_text(refreshed(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    rewrite()
