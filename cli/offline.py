"""`extract` and `transform`: stages on files, without Azure."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from cli.context import app_for, settings_for
from cli.output import err
from cli.output import refusal as show_refusal
from shared.records import Refusal


@click.command()
@click.argument("instance")
@click.option("--full", is_flag=True, help="Everything, whatever the watermark says.")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), default=Path("extracted"))
@click.pass_obj
def extract(config: Path | None, instance: str, full: bool, output: Path) -> None:
    """Read an instance's records into job files (in ./extracted, or -o DIR). Nothing is sent."""
    from shared.pipeline.app import App
    from shared.pipeline.offline import extract_to

    settings = settings_for(config)
    app = app_for(config) if settings is None else App(settings)
    total = 0
    for path, records, refused in extract_to(app, instance, output, full=full):
        err.print(f"  {path}  {records:,} records" + (f", {len(refused)} refused" if refused else ""))
        for item in refused:
            show_refusal(instance, item)
            total += 1
    sys.exit(1 if total else 0)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File instead of stdout.")
@click.option("--rejected", type=click.Path(path_type=Path, dir_okay=False), help="Refused records as JSON Lines.")
@click.pass_obj
def transform(config: Path | None, files: tuple[Path, ...], output: Path | None, rejected: Path | None) -> None:
    """Turn job files into hook messages, one JSON object a line. Exit code 1 if anything was refused."""
    from shared.pipeline.offline import FileResult, bases_of, messages

    settings = settings_for(config)
    count = 0
    with ExitStack() as stack:
        sink: BinaryIO = stack.enter_context(output.open("wb")) if output else sys.stdout.buffer
        kept = stack.enter_context(rejected.open("wb")) if rejected else None
        for path in files:
            result = FileResult(path=str(path))

            def refused(item: Refusal, path: Path = path) -> None:
                show_refusal(str(path), item)
                if kept is not None:
                    kept.write(msgspec.json.encode({"file": str(path), **msgspec.to_builtins(item)}) + b"\n")

            for message in messages(path, refused, settings=settings, bases=bases_of(settings), result=result):
                sink.write(message.body + b"\n")
            sink.flush()
            count += result.refused
            err.print(
                f"[dim]{path}: {result.format or 'unknown'}, {result.records:,} records, {result.assets:,} assets, "
                f"{result.refused:,} refused[/dim]"
            )
    sys.exit(1 if count else 0)
