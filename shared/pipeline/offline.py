"""Stages on files, without Azure and without a running stack: what `./hookline extract`, `transform` and `plan` use."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, BinaryIO
from urllib.parse import quote

import msgspec

from shared.atlas.closure import Closure
from shared.atlas.endpoints import Directory, End
from shared.atlas.file_columns import FileColumns
from shared.atlas.messages import Message, Packer
from shared.atlas.rules import Rules
from shared.atlas.transform import Options, Transform
from shared.atlas.types import TypeRegistry
from shared.errors import BadInput
from shared.job_file import FORMAT, Header, Progress
from shared.lineage.known import Schemas
from shared.naming import Name, Naming
from shared.pipeline.app import App, now, rfc3339
from shared.pipeline.beside import DiskFolder
from shared.pipeline.login import logged_in
from shared.pipeline.parts import PartWriter
from shared.pipeline.reading import check_not_empty, read
from shared.records import Address, Cursor, Refusal
from shared.settings import Instance, Limits, Settings
from shared.state.scans import new_scan_id


class Nothing:
    """Nothing is published yet."""

    def contains(self, name: Name) -> bool:  # noqa: ARG002
        return False


class FileResult(msgspec.Struct, kw_only=True):
    """What became of one file: records read, closures made, refused; tables whose columns its SQL would need.

    repeated, adopted: records that had nothing to say, as `Transform` counts them.
    ends: ends of lineage that are not in the file.
    """

    path: str
    format: str = ""
    may_be_empty: bool = False
    records: int = 0
    refused: int = 0
    assets: int = 0
    repeated: int = 0
    adopted: int = 0
    unknown: tuple[Address, ...] = ()
    ends: tuple[End, ...] = ()


def closures(
    path: Path,
    *,
    settings: Settings | None = None,
    bases: dict[str, Address] | None = None,
    result: FileResult | None = None,
    opened: Callable[[], BinaryIO] | None = None,
    columns: FileColumns | None = None,
    directory: Directory | None = None,
    flavours: Sequence[Naming] = (),
) -> Iterator[Closure | Refusal]:
    """The closures and refusals of one file on disk; a file that cannot be used at all is one refusal.

    columns: of the files before it; those of this one are added. directory, flavours: as `Transform` takes them.
    """
    with ExitStack() as held:
        if columns is None:
            columns = FileColumns()
            held.callback(columns.close)
        told = result or FileResult(path=str(path))
        yield from _closures(path, settings, bases, told, opened, columns, directory, flavours)


def _closures(
    path: Path,
    settings: Settings | None,
    bases: dict[str, Address] | None,
    result: FileResult,
    opened: Callable[[], BinaryIO] | None,
    columns: FileColumns,
    directory: Directory | None,
    flavours: Sequence[Naming],
) -> Iterator[Closure | Refusal]:
    schemas = Schemas([columns])
    limits = settings.limits if settings is not None else Limits()
    try:
        reading = read(
            opened or (lambda: path.open("rb")),
            path.as_posix(),
            size=path.stat().st_size,
            max_bytes=limits.file_bytes,
            instances=lambda: bases or {},
            schemas=schemas,
            folder=None if opened is not None else DiskFolder(path),
        )
        result.format, result.may_be_empty = reading.format, reading.may_be_empty
        instance = reading.header.instance if reading.header is not None else ""
        configured = settings.instances.get(instance) if settings is not None else None
        work = Transform(
            _naming(settings, configured),
            Rules(TypeRegistry.bundled()),
            known=Nothing(),
            options=Options(
                assets=configured.assets if configured is not None else "create",
                repeats="refuse" if reading.repeats == "refuse" else "newer",
                max_bytes=limits.message_bytes,
            ),
            columns=columns,
            schemas=schemas,
            directory=directory,
            flavours=flavours,
        )
        assets = 0
        try:
            for item in work.run(reading.found):
                if isinstance(item, Refusal):
                    result.refused += 1
                else:
                    assets += 1
                yield item
        finally:
            result.records, result.assets = work.records, assets
            result.repeated, result.adopted = work.repeated, work.adopted
            result.unknown, result.ends = tuple(schemas.unknown), tuple(work.endpoints.foreign)
        if not result.records and not result.refused:
            check_not_empty(reading)
    except BadInput as error:
        result.refused += 1
        yield Refusal(place=error.where or str(path), rule="file", reason=error.what, fix=error.fix)
    except OSError as error:
        result.refused += 1
        yield Refusal(place=str(path), rule="file", reason=error.strerror or str(error), fix="check the path")


def _naming(settings: Settings | None, instance: Instance | None) -> Naming:
    aliases = settings.aliases if settings is not None else {}
    return Naming(instance.types, instance.names, aliases) if instance is not None else Naming(aliases=aliases)


def messages(
    path: Path,
    refused: Callable[[Refusal], None],
    *,
    settings: Settings | None = None,
    bases: dict[str, Address] | None = None,
    result: FileResult | None = None,
    columns: FileColumns | None = None,
) -> Iterator[Message]:
    """The hook messages of one file; what is refused goes to `refused`. columns: as `closures` takes them."""
    limits = settings.limits if settings is not None else Limits()
    packer = Packer(max_bytes=limits.message_bytes)
    for item in closures(path, settings=settings, bases=bases, result=result, columns=columns):
        if isinstance(item, Refusal):
            refused(item)
        elif closed := packer.add(item):
            yield from closed
    yield from packer.flush()


def bases_of(settings: Settings | None) -> dict[str, Address]:
    """Server addresses of the configured instances, for files that name one."""
    return App(settings).bases if settings is not None else {}


def extract_to(app: App, instance: str, folder: Path) -> Iterator[tuple[Path, int, list[Refusal]]]:
    """Read every scope of an instance into job files below `folder`; yields (file, records, refusals) per part.

    Raises SettingsError, SourceError.
    """
    configured = app.instance(instance)
    source, scopes = logged_in(app, instance, lambda source: (source, source.scopes()))
    moment = now()
    scan = new_scan_id(moment)
    for scope in scopes:
        written: list[Path] = []

        def write(file: IO[bytes], part: int, scope: str = scope, written: list[Path] = written) -> None:
            target = folder / instance / scan / quote(scope, safe="") / f"{part:05d}.jsonl.gz"
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as out:
                shutil.copyfileobj(file, out)
            written.append(target)

        header = Header(
            format=FORMAT,
            connector=configured.connector,
            instance=instance,
            scope=scope,
            scan=scan,
            part=0,
            base=source.base(),
            started=rfc3339(moment),
        )
        parts = PartWriter(header, 0, write)
        with ExitStack() as unfinished:
            unfinished.callback(parts.drop)
            refusals: list[Refusal] = []
            records = 0
            watermark = ""
            complete = True
            for item in source.extract(scope, since="", resume=""):
                if isinstance(item, Refusal):
                    refusals.append(item)
                    complete = False
                elif isinstance(item, Cursor):
                    watermark = item.watermark or watermark
                    complete = complete and item.position != "gone"
                    if parts.full:
                        parts.next()
                        yield written[-1], records, refusals
                        records, refusals = 0, []
                else:
                    parts.add(item)
                    records += 1
            parts.end(complete=complete, progress=Progress(watermark))
        yield written[-1], records, refusals
