"""`test`: lint, types, tests; what CI runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import click

from cli.context import ROOT
from cli.output import err

STEPS = (
    ("ruff check", ["ruff", "check", "."]),
    ("ruff format", ["ruff", "format", "--check", "."]),
    ("mypy", ["mypy"]),
    # a worker a core; a file stays on one worker, so that its servers start once
    ("pytest", ["pytest", "-n", "auto", "--dist", "loadfile"]),
)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def test(pytest_arguments: tuple[str, ...]) -> None:
    """Lint, types and tests. Arguments go to pytest: `./hookline test -k naming`."""
    failed = []
    for name, command in STEPS:
        err.print(f"[bold]== {name}[/bold]")
        started = time.perf_counter()
        arguments = list(pytest_arguments) if name == "pytest" else []
        done = subprocess.run(  # noqa: S603 - our own tools
            [sys.executable, "-m", *command, *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        )
        err.print(f"   {name}: {'ok' if done.returncode == 0 else 'FAILED'} in {time.perf_counter() - started:.1f} s")
        if done.returncode:
            failed.append(name)
    if failed:
        err.print(f"[red]failed: {', '.join(failed)}[/red]")
    sys.exit(1 if failed else 0)
