"""The format: which file of a dbt project is what, and the folder or archive that a manifest lies in."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from connectors.format import FileContext, Folder, Format
from connectors.formats.archive import Archive, is_zip
from connectors.formats.dbt import beside
from connectors.formats.dbt.makes import Records
from connectors.formats.dbt.project import Project
from connectors.formats.dbt.warehouse import TOLD, Told, told_in, warehouse
from connectors.formats.json_stream import Rejoined, starts_like_json
from shared.errors import BadInput
from shared.records import Found, Refusal

#: files of a project's target folder that say nothing by themselves; people upload the whole folder
_WITH_A_MANIFEST = ("catalog", "run_results")
_OTHERS = ("sources", "graph_summary", "semantic_manifest", "perf_info", "publication")
_TOLD_BYTES = 65_536


class Dbt(Format):
    name = "dbt"
    title = "dbt projects: models, sources, exposures, metrics, column lineage"
    looks_like = (
        "manifest.json (dbt 1.0 or newer), best with catalog.json and run_results.json beside it, or all in a .zip"
    )
    may_be_empty = True
    wants_columns = True

    def recognises(self, name: str, head: bytes) -> bool:
        if is_zip(head):
            return name.lower().endswith(".zip") and b"manifest.json" in head
        return b"schemas.getdbt.com/dbt/" in starts_like_json(head)[:2048]

    def read(self, file: BinaryIO, context: FileContext) -> Iterator[Found | Refusal]:
        """Raises BadInput: no manifest, an old one, cut off, a hookline.json that cannot be followed."""
        name = PurePosixPath(context.path.replace("\\", "/")).name
        head = file.read(4)
        head += file.read(4 - len(head)) if 0 < len(head) < 4 else b""
        whole = cast(BinaryIO, io.BufferedReader(Rejoined(head, file)))
        if is_zip(head):
            with Archive(whole, context.path) as archive:
                yield from _archived(archive, context)
        elif not _is_beside(name):
            yield from _project(whole, name, context, (context.folder,))


def _is_beside(name: str) -> bool:
    """A file that is read with its manifest: that one is read again when it comes."""
    stem = name.lower().removesuffix(".gz").removesuffix(".json")
    return name.lower() == TOLD or (
        "manifest" not in stem.replace("semantic_manifest", "")
        and (stem in _OTHERS or any(word in stem for word in (*_WITH_A_MANIFEST, "semantic_manifest")))
    )


def _archived(archive: Archive, context: FileContext) -> Iterator[Found | Refusal]:
    """The manifest nearest to the top of the archive, with what lies in its folder there, else beside the archive."""
    found = [n for n in archive.find("*manifest.json") if not _is_beside(PurePosixPath(n).name)]
    if not found:
        fix = "pack manifest.json, catalog.json and run_results.json of the project's target folder"
        raise BadInput("the archive holds no manifest.json", where=context.path, fix=fix)
    name = min(found, key=lambda n: (n.count("/"), n))
    file = archive.open(name)
    assert file is not None
    folder, slash, base = name.rpartition("/")
    with file:
        yield from _project(file, base, context, (_Below(archive, folder + slash), context.folder))


class _Below:
    """A folder of an archive."""

    def __init__(self, archive: Archive, prefix: str) -> None:
        self._archive, self._prefix = archive, prefix

    def find(self, pattern: str) -> list[str]:
        return [name.removeprefix(self._prefix) for name in self._archive.find(self._prefix + pattern)]

    def open(self, name: str) -> BinaryIO | None:
        return self._archive.open(self._prefix + name)


def _project(file: BinaryIO, name: str, context: FileContext, folders: tuple[Folder, ...]) -> Iterator[Found | Refusal]:
    with Project(context.path) as project:
        yield from project.load(file)
        tables: dict[str, beside.Table] = {}
        outcomes: dict[str, beside.Outcome] = {}
        if (found := _opened(folders, (name.replace("manifest", "catalog"), "catalog.json"))) is not None:
            with found[1] as content:
                yield from beside.catalog(content, found[0], tables)
        if (found := _opened(folders, (name.replace("manifest", "run_results"), "run_results.json"))) is not None:
            with found[1] as content:
                yield from beside.run_results(content, found[0], outcomes)
        told = Told()
        if (said := _opened(folders, (TOLD,))) is not None:
            with said[1] as content:
                told = told_in(content.read(_TOLD_BYTES), context.path)
        adapter = project.metadata.get("adapter_type", "").lower()
        where = warehouse(adapter, told.name or _named(project), told, context)
        yield from Records(project, where, tables, outcomes, context.schemas).read()


def _opened(folders: tuple[Folder, ...], names: tuple[str, ...]) -> tuple[str, BinaryIO] | None:
    """The first of the files that is there."""
    for folder in folders:
        for name in dict.fromkeys(names):
            file = folder.open(name)
            if file is not None:
                return name, file
    return None


def _named(project: Project) -> str:
    """The project's name: in the manifest from v11 on; before, its MD5 tells which of the packages it is."""
    said = project.metadata.get("project_name", "")
    if said:
        return said
    packages = dict.fromkeys(uid.split(".")[1] for uid in project.nodes if uid.count(".") > 1)
    wanted = project.metadata.get("project_id", "")
    by_id = next((p for p in packages if hashlib.md5(p.encode(), usedforsecurity=False).hexdigest() == wanted), "")
    return by_id or next(iter(packages), "") or "project"
