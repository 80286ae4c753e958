r"""From one file of many to the resource set under which Purview lists them all.

A scan puts files whose paths differ in numbers, dates, ids or language codes only together as one asset, whose
qualified name has the pattern in their place:

    https://acct.dfs.core.windows.net/raw/orders/year=2024/month=05/part-00000-<guid>.snappy.parquet
    https://acct.dfs.core.windows.net/raw/orders/year={Year}/month={Month}/{SparkPartitions}

What is replaced: learn.microsoft.com/purview/concept-resource-sets. The exact expressions, in their order: a recorded
answer of GET account/resourceSetRuleConfigs/defaultResourceSetRuleConfig (tayganr/purviewcli, getResourceSetRule.md).
What SparkPath and Date(yyyy/mm/dd)InPath take in is not in that answer; `{SparkPartitions}` for the file, and
`Year={Year}` for a folder of a partition column, follow Microsoft's examples (concept-resource-sets; the same page
family's list of resource sets whose quality can be measured). Whether partition folders stay in the name differs
between examples, so there are several candidates. An account's own pattern rules are not read.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from shared.naming import platforms
from shared.records import Address

#: stores whose files are grouped
_STORES = frozenset(("abfss", "wasbs", "adl", "s3", "gs"))
_FILES = frozenset(("file", "table", "partitioned_file"))
_FOLDERS = frozenset(("folder", "directory"))
_SPARK = "{SparkPartitions}"

_PATTERN = re.compile(r"\{[A-Za-z]\w*\}")
_SPARK_FILE = re.compile(r"part-(?:[rm]-)?\d{5}(?:[-._].*)?\Z")
_EXTENSION = re.compile(r"\.[A-Za-z]\w{0,9}\Z")
_COLUMN = re.compile(r"([^=]+)=(.+)\Z")
_YEAR, _MONTH, _DAY = (
    re.compile(r"20[1-9]\d"),
    re.compile(r"0?[1-9]|1[012]"),
    re.compile(r"0?[1-9]|[12]\d|3[01]"),
)
_TIMES = {"year": "{Year}", "month": "{Month}", "day": "{Day}", "hour": "{Hour}"}
# rejectedPatterns, as the reference of Get Resource Set Rule shows them: documents are never grouped
_DOCUMENT = re.compile(r"\.(?:doc[mx]?|dot|od[pst]|pdf|pot|pp[st]x?|xlc|xls[bmx]?|xlt)\Z", re.IGNORECASE)

_LOCALES = (
    "ar-eg ar-sa cy-gb da-dk de-at de-ch de-de en-au en-ca en-gb en-ie en-in en-my en-nz en-ph en-sg en-us en-ww en-xa "
    "en-za es-ar es-cl es-es es-mx es-us es-xl fi-fi fr-be fr-ca fr-ch fr-fr gu-in hi-in id-id it-it ja-jp nb-no nl-nl "
    "nl-be pt-br pt-pt pl-pl ru-ru sv-se ta-in te-in zh-cn zh-hk zh-tw ko-kr tr-tr"
)
_S = r"([-._@]?)"
_DATE = rf"20[1-9][0-9]{_S}(?:0[1-9]|1[012]){_S}(?:0[1-9]|[12][0-9]|3[01])"
_HOUR = r"(?:2[0-3]|[01]?[0-9])"
_BEFORE, _AFTER = r"(?:(?<=[-.=_@])|^)", r"(?=[-.=_@]|$)"
_LOOSE_BEFORE, _LOOSE_AFTER = r"(?:(?<=[-._@])|^)", r"(?=[-._@]|$)"
_VERSION = re.compile(rf"{_BEFORE}v\d+\.\d+\.?(?:\d+)?{_AFTER}", re.IGNORECASE)
_VERSION_OR_B2B = re.compile(rf"{_LOOSE_BEFORE}v\d+\.\d+\.?(?:\d+)?{_LOOSE_AFTER}|(?<=b)2(?=b)", re.IGNORECASE)


class _Rule(NamedTuple):
    """written: what stands for a match, with its groups as {0}, {1}; kept: what of it stays as it is."""

    pattern: re.Pattern[str]
    written: str
    kept: re.Pattern[str] | None = None
    file_only: bool = False


_RULES = (
    _Rule(re.compile(r"[0-9A-F]{32}|[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}", re.IGNORECASE), "{GUID}"),
    _Rule(re.compile(r"^\d+$"), "{N}"),
    _Rule(
        re.compile(rf"{_DATE}T{_HOUR}{_S}[0-5][0-9]{_S}[0-5][0-9](Z?)"),
        "{Year}\0{Month}\1{Day}T{Hour}\2{Minute}\3{Second}\4",
    ),
    _Rule(re.compile(rf"{_DATE}T{_HOUR}(Z?)"), "{Year}\0{Month}\1{Day}T{Hour}\2"),
    _Rule(re.compile(rf"{_DATE}(Z)"), "{Year}\0{Month}\1{Day}\2"),
    _Rule(re.compile(rf"{_DATE}{_S}{_HOUR}(Z)"), "{Year}\0{Month}\1{Day}\2{Hour}\3"),
    _Rule(
        re.compile(r"([-.=_@]|^)20[1-9][0-9]([-._@])(?:0[1-9]|1[012])([-._@])(?:0[1-9]|[12][0-9]|3[01])([-.=_@]|$)"),
        "\0{Year}\1{Month}\2{Day}\3",
    ),
    _Rule(re.compile(rf"{_BEFORE}\d+{_AFTER}"), "{N}", _VERSION),
    _Rule(re.compile(rf"{_LOOSE_BEFORE}[0-9A-F]{{8,16}}{_LOOSE_AFTER}", re.IGNORECASE), "{HEX}", _VERSION),
    _Rule(re.compile(r"\d+"), "{N}", _VERSION_OR_B2B, file_only=True),
    _Rule(
        re.compile(
            rf"{_LOOSE_BEFORE}(?:{'|'.join(_LOCALES.split()).replace('-', '[-_]')}){_LOOSE_AFTER}", re.IGNORECASE
        ),
        "{LOC}",
    ),
)


def candidates(address: Address) -> tuple[Address, ...]:
    """What Purview may list the file or folder at `address` as, the likeliest first; at least `address` itself.

    The first is what it is called where nobody can be asked: the resource set, if its path shows that it belongs to
    one. Then other spellings of that, then the path, then the folder, with and without `/`.
    """
    platform = platforms.find(address.platform)
    if platform is None or platform.name not in _STORES or address.type not in _FILES | _FOLDERS:
        return (address,)
    path = tuple(piece for part in address.path for piece in part.split("/") if piece)
    outer = len(platform.containers)
    if len(path) <= outer:
        return (address,)
    if any(_PATTERN.search(piece) for piece in path):  # somebody has said already what varies
        return (_at(address, path, "resource_set"), address)
    return tuple(dict.fromkeys(_candidates(address, path[:outer], path[outer:])))


def _candidates(address: Address, outer: tuple[str, ...], below: tuple[str, ...]) -> list[Address]:
    last = below[-1]
    is_part = _SPARK_FILE.match(last) is not None
    if address.type in _FOLDERS or not (is_part or _EXTENSION.search(last)):
        sets = [_at(address, (*outer, *p, _SPARK), "resource_set") for p in _folders(below)]
        plain = [_at(address, (*outer, *below), kind) for kind in ("folder", "file")]
        if _COLUMN.match(last):  # a partition of a table, written by Spark or the like
            return [*sets, address, *plain]
        return [address, *sets, *plain]
    folder = below[:-1]
    if is_part:
        found = [(*p, _SPARK) for p in _folders(folder)]
        while folder and _COLUMN.match(folder[-1]):
            folder = folder[:-1]
    elif _DOCUMENT.search(last):
        found = []
    else:
        name = _replaced(last, file=True)
        found = [(*p, name) for p in _patterns(folder)]
    sets = [_at(address, (*outer, *p), "resource_set") for p in found if p != below]
    around = [_at(address, (*outer, *folder), kind) for kind in ("folder", "file")] if folder and is_part else []
    return [*sets, address, *around]


def _at(address: Address, path: Sequence[str], type: str) -> Address:
    return msgspec.structs.replace(address, path=tuple(path), type=type)


def _folders(folder: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Where Spark's files lie: the folder with its partitions as patterns, and without them."""
    outer = folder
    while outer and _COLUMN.match(outer[-1]):
        outer = outer[:-1]
    return list(dict.fromkeys((*_patterns(folder), *(_patterns(outer) if outer != folder else ()))))


def _patterns(folder: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The folders with what varies replaced; columns of the calendar by their name, then by number."""
    return list(dict.fromkeys((_dated(folder, _by_name), _dated(folder, _replaced))))


def _dated(folder: tuple[str, ...], replace: Callable[[str], str]) -> tuple[str, ...]:
    made: list[str] = []
    at = 0
    while at < len(folder):
        three = folder[at : at + 3]
        if len(three) == 3 and all(p.fullmatch(s) for p, s in zip((_YEAR, _MONTH, _DAY), three, strict=True)):
            made += ["{Year}", "{Month}", "{Day}"]
            at += 3
        else:
            made.append(replace(folder[at]))
            at += 1
    return tuple(made)


def _by_name(segment: str) -> str:
    column = _COLUMN.match(segment)
    if column is not None and column[1].lower() in _TIMES and column[2].isdecimal():
        return f"{column[1]}={_TIMES[column[1].lower()]}"
    return _replaced(segment)


@functools.lru_cache(maxsize=8192)
def _replaced(segment: str, *, file: bool = False) -> str:
    for rule in _RULES:
        if rule.file_only and not file:
            continue
        kept = [found.span() for found in rule.kept.finditer(segment)] if rule.kept is not None else []

        def written(found: re.Match[str], rule: _Rule = rule, kept: list[tuple[int, int]] = kept) -> str:
            if any(start <= found.start() and found.end() <= end for start, end in kept):
                return found[0]
            text = rule.written
            for number, group in enumerate(found.groups("")):
                text = text.replace(chr(number), group)
            return text

        segment = rule.pattern.sub(written, segment)
    return segment
