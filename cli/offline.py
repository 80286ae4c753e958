"""`extract` and `transform`: stages on files, without Azure."""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import BinaryIO

import click
import msgspec
from rich.markup import escape

from cli.context import about, app_for, files_there, settings_for
from cli.output import err, plural
from cli.output import refusal as show_refusal
from shared.records import Refusal

STDIN = Path("-")


@click.command(short_help="An instance's records into job files.")
@click.argument("instance")
@click.option("--full", is_flag=True, help="As `scan --full`; job files on disk are always full, no watermark is kept.")
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("extracted"),
    show_default=True,
    help="Where the job files are written.",
)
@click.pass_obj
def extract(config: Path | None, instance: str, full: bool, output: Path) -> None:  # noqa: ARG001
    """Read an instance's records into job files. Nothing is sent. Exit code 1 if anything could not be read."""
    from shared.pipeline.app import App
    from shared.pipeline.offline import extract_to

    settings = settings_for(config, offline=True)
    app = app_for(config) if settings is None else App(settings)
    refused = written = 0
    app.instance(instance)
    with about(instance):
        for path, records, refusals in extract_to(app, instance, output):
            sys.stdout.write(f"{path}\n")
            for item in refusals:
                show_refusal(instance, item)
            err.print(f"[dim]{escape(str(path))}: {plural(records, 'record')}, {len(refusals):,} refused[/dim]")
            refused += len(refusals)
            written += 1
    if not written:
        err.print(f"[yellow]nothing to read[/yellow] in {escape(instance)}: no scope matches include and exclude")
    sys.exit(1 if refused else 0)


@click.command(short_help="Job files into hook messages.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File instead of stdout.")
@click.option("--rejected", type=click.Path(path_type=Path, dir_okay=False), help="Refused records as JSON Lines.")
@click.pass_obj
def transform(config: Path | None, files: tuple[Path, ...], output: Path | None, rejected: Path | None) -> None:
    """Turn job files into hook messages, one JSON object a line; `-` is standard input.

    Needs neither Azure nor a running stack. What is refused is told on standard error, and the exit code is 1.
    SQL in a file may name tables of the files before it: give the job files of a scan first, then the scripts.
    """
    from shared.atlas.file_columns import FileColumns
    from shared.lineage.known import unknown_text
    from shared.pipeline.offline import FileResult, bases_of, messages

    files_there([path for path in files if path != STDIN])
    settings = settings_for(config, offline=True)
    bases = bases_of(settings)
    count = 0
    with ExitStack() as stack:
        sink: BinaryIO = stack.enter_context(output.open("wb")) if output else sys.stdout.buffer
        kept = stack.enter_context(rejected.open("wb")) if rejected else None
        columns = stack.enter_context(closing(FileColumns()))
        for name in files:
            path = _spooled(stack) if name == STDIN else name
            shown = "standard input" if name == STDIN else str(name)
            result = FileResult(path=str(path))

            def refused(item: Refusal, path: Path = path, shown: str = shown) -> None:
                if item.place in (str(path), path.as_posix()):
                    item = msgspec.structs.replace(item, place=shown)
                show_refusal(shown, item)
                if kept is not None:
                    kept.write(msgspec.json.encode({"file": shown, **msgspec.to_builtins(item)}) + b"\n")

            found = messages(path, refused, settings=settings, bases=bases, result=result, columns=columns)
            for message in found:
                sink.write(message.body + b"\n")
            sink.flush()
            count += result.refused
            err.print(
                f"[dim]{escape(shown)}: {result.format or 'unknown format'}, {plural(result.records, 'record')}, "
                f"{plural(result.assets, 'asset')}, {result.refused:,} refused[/dim]"
            )
            if result.unknown:
                err.print(f"[yellow]columns not known[/yellow] {escape(unknown_text(result.unknown))}")
    sys.exit(1 if count else 0)


def _spooled(stack: ExitStack) -> Path:
    """Standard input as a file: job files are read twice."""
    path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "stdin"
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return path
