"""What lies in rejected/: read line by line, whatever it is, and grouped by reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from shared.azure import storage_errors
from shared.errors import BadInput, HooklineError
from shared.pipeline.app import App, log
from shared.pipeline.landing import open_blob, plain, version
from shared.records import Refusal

#: reasons that differ in more than values; beyond so many, a rule's others are counted as one
MOST_GROUPS = 1_000
SAMPLES = 3
_ENDING = ".jsonl"
#: names and numbers in a reason, which differ from record to record
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\d[\d,.]*")


class Refused(NamedTuple):
    """One line.

    file: path of the landed file, with `.lost` behind it for what was sent and never seen; below the folder of a scan
    `held`, and `extract-<part>` for what the source could not read.
    """

    file: str
    refusal: Refusal


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines. instance: of this one; under: whose file's path begins so; rule: refused by it."""

    instance: str = ""
    under: str = ""
    rule: str = ""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One of a group. file, place: where it stood; reason and fix as they were told."""

    file: str
    place: str
    reason: str
    fix: str = ""


class Group(msgspec.Struct, kw_only=True):
    """Refusals of one rule whose reasons say the same of different values. count: of records, in so many files."""

    rule: str
    count: int = 0
    files: int = 0
    samples: list[Sample] = []


def refusals(app: App, wanted: Wanted | None = None) -> Iterator[Refused]:
    """All that are wanted, by name of the file. Memory is one line. Raises StorageBusy."""
    wanted = wanted or Wanted()
    begin = wanted.under or (f"{wanted.instance}/" if wanted.instance else "")
    with storage_errors("rejected"):
        for blob in app.rejected.list_blobs(name_starts_with=begin or None):
            if blob.name.endswith(_ENDING) and (not wanted.instance or blob.name.startswith(f"{wanted.instance}/")):
                yield from _lines(app, blob.name, plain(blob.etag), rule=wanted.rule)


def refused_of(app: App, path: str) -> Iterator[Refused]:
    """What was refused of one landed file, and what of it was lost."""
    for name in (f"{path}{_ENDING}", f"{path}.lost{_ENDING}"):
        there = version(app.rejected.get_blob_client(name))
        if there is not None:
            yield from _lines(app, name, there.etag)


def _lines(app: App, name: str, etag: str, *, rule: str = "") -> Iterator[Refused]:
    file = name.removesuffix(_ENDING)
    try:
        with open_blob(app, app.rejected.get_blob_client(name), etag) as lines:
            for line in lines:
                found = msgspec.json.decode(line, type=Refusal)
                if not rule or found.rule == rule:
                    yield Refused(file, found)
    except BadInput as error:  # it is encrypted, and its key is gone: the others are read all the same
        if not rule or rule == "BadInput":
            yield Refused(file, Refusal(place=f"rejected/{name}", rule="BadInput", reason=error.what, fix=error.fix))
    except HooklineError as error:
        there = version(app.rejected.get_blob_client(name))
        if there is not None and there.etag == etag:
            raise
        log.info("rejected/%s was replaced or removed while it was read: %s", name, error)
    except msgspec.DecodeError as error:
        log.warning("rejected/%s is not as Hookline writes it: %s", name, error)


def grouped(found: Iterable[Refused], *, samples: int = SAMPLES) -> list[Group]:
    """By rule and reason, the most frequent first. Memory is that of the groups."""
    groups: dict[tuple[str, str], Group] = {}
    last: dict[tuple[str, str], str] = {}
    for file, item in found:
        key = item.rule, _VALUES.sub("?", item.reason)
        if key not in groups and len(groups) >= MOST_GROUPS:
            key = item.rule, ""
        group = groups.setdefault(key, Group(rule=item.rule, samples=[]))
        group.count += 1
        group.files += last.get(key) != file
        last[key] = file
        if len(group.samples) < samples:
            group.samples.append(Sample(file=file, place=item.place, reason=item.reason, fix=item.fix))
    return sorted(groups.values(), key=lambda group: (-group.count, group.rule))
