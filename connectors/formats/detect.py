"""Which format a file has: by its folder below `uploads/`, else by name and content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import PurePosixPath

from connectors.format import HEAD_BYTES, Format
from shared.errors import BadInput

UPLOADS = "uploads"


def detect(path: str, head: bytes, formats: Mapping[str, type[Format]] | Iterable[type[Format]]) -> type[Format]:
    """The format of the file at `path` with these first bytes (at most HEAD_BYTES).

    formats: the formats to choose from, in the order in which they are asked.

    `uploads/<format>/..` decides, whatever the content; elsewhere the first format that recognises the file does.
    Raises BadInput: no format does, with what there is and what each looks like; or a folder that is no format.
    """
    known: list[type[Format]] = [*(formats.values() if isinstance(formats, Mapping) else formats)]
    parts = PurePosixPath(path.replace("\\", "/")).parts
    if UPLOADS in parts[:-1]:
        below = parts[parts.index(UPLOADS) + 1 : -1]
        if below:
            return _by_folder(path, below[0], known)
    head = head[:HEAD_BYTES]
    for kind in known:
        if kind().recognises(parts[-1] if parts else "", head):
            return kind
    what = "the file is empty" if not head else "no format recognises the file"
    raise BadInput(what, where=path, fix=_choices(known))


def _by_folder(path: str, folder: str, known: list[type[Format]]) -> type[Format]:
    named: dict[str, type[Format]] = {name: kind for kind in known for name in (kind.name, *kind.folders)}
    kind = named.get(folder.lower())
    if kind is not None:
        return kind
    near = get_close_matches(folder.lower(), named, 1)
    hint = f"did you mean {UPLOADS}/{near[0]}/? " if near else ""
    raise BadInput(f"{UPLOADS}/{folder}/ is no format", where=path, fix=hint + _choices(known))


def _choices(known: list[type[Format]]) -> str:
    listed = "".join(f"\n    {UPLOADS}/{kind.name}/  {kind.title}; {kind.looks_like}" for kind in known)
    return f"put it into the folder of its format:{listed}"
