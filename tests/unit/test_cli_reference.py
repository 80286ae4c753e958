"""docs/guide/command-line.md says what `--help` says."""

from __future__ import annotations

import pytest

from cli.reference import PAGE, commands, refreshed, shown


def test_every_command_is_on_the_page() -> None:
    assert shown(PAGE.read_text("utf-8")) == set(commands())


def test_the_page_is_what_help_prints() -> None:
    page = PAGE.read_text("utf-8")
    # words, not line breaks, which differ between versions of click
    assert refreshed(page).split() == page.split(), "run `python -m cli.reference`"


def test_the_test_sees_what_has_changed() -> None:
    stale = "```text\n$ ./hookline scan --help\nUsage: something else\n```\nrest"
    assert "--full" in refreshed(stale)
    assert refreshed(stale).endswith("```\nrest")
    with pytest.raises(KeyError):
        refreshed(stale.replace("scan", "scann"))
