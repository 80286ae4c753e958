r"""Names of Hookline's own types: for what Purview has no type for, or none whose definition is known.

    hookline://<platform>/<host>/<part>/<part>[#<address type>]        a column: ...#<column>

Two things never share one (typeName, qualifiedName):
- Within a part `% / \ # { }` are percent-encoded, so parts cannot run into each other.
- A container is its path: what lies in it has that path in front, whatever the container is called. No suffix.
- Relations (table, view, materialised view ...) of one path are one thing, in every database: no suffix, so that an
  end of lineage whose kind nobody told still meets its asset.
- Everything else carries its type: a queue and an exchange of one name, a procedure beside a table.
"""

from __future__ import annotations

import functools
import hashlib
import re

import msgspec

from shared.naming.level import HASH, Level, Levels, Name, NameRefused

CONTAINER, DATASET, REPORT, PROCESS = "hookline_container", "hookline_dataset", "hookline_report", "hookline_process"
PLACEHOLDER, PLACEHOLDER_COLUMN = "hookline_placeholder", "hookline_placeholder_column"

#: address types of relations; the platforms' own words for table and view map to these two
TABLES = frozenset(("table", "foreign_table", "external_table", "partition", "temporary_table", "system_table"))
VIEWS = frozenset(("view", "materialized_view"))
RELATIONS = TABLES | VIEWS

#: what runs. hookline_process, but on SSIS: of Purview's other process types too little is known
# fmt: off
PROCESSES = frozenset(
    (
        "activity", "connector", "dag", "data_flow", "flow", "function", "job", "macro", "mapping", "notebook",
        "package", "pipe", "pipeline", "procedure", "process", "query", "routine", "rule", "script", "session",
        "statement", "step", "stored_procedure", "task", "transformation", "trigger", "workflow",
    )
)
# fmt: on
REPORTS = frozenset(
    ("chart", "dashboard", "look", "report", "scorecard", "sheet", "story", "tile", "visual", "visualization")
)
# fmt: off
CONTAINERS = frozenset(
    (
        "account", "app", "bucket", "catalog", "cluster", "container", "database", "directory", "filesystem",
        "folder", "group", "instance", "keyspace", "library", "metastore", "namespace", "organization",
        "project", "schema", "server", "share", "site", "system", "tenant", "vhost", "virtual_host", "volume",
        "workbook", "workspace",
    )
)
# fmt: on

#: bytes of a placeholder's name, so that a column's name fits behind it into Purview's 4 KB
_PLACEHOLDER_BYTES = 3072
_TYPE = re.compile(r"[A-Za-z][\w -]{0,63}")


def placeholder(name: Name) -> Name:
    """The name of what stands for an asset that nobody has scanned: made of its type and its qualified name."""
    whole = f"hookline://placeholder/{name.type_name}/{name.qualified_name}".replace("{", "%7B").replace("}", "%7D")
    if len(whole.encode("utf-8", "surrogatepass")) > _PLACEHOLDER_BYTES:
        digest = hashlib.blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        whole = f"hookline://placeholder/{name.type_name}/{digest}"
    return Name(PLACEHOLDER, whole)


def fallback(type: str, *, hangs: bool) -> Level:
    """The level of any address type. `hangs`: it names the container around it (which is one of ours, too).

    Raises NameRefused when `type` is no word.
    """
    if not _TYPE.fullmatch(type):
        raise NameRefused(
            f"{type[:80]!r} is no address type",
            fix="say in a word what lies there: table, view, topic, file, job, dashboard ...",
        )
    return _level(type, hangs)


@functools.lru_cache(maxsize=1024)
def _level(type: str, hangs: bool) -> Level:
    describe = {"type": type, "platform": "{platform}"}
    place = {**describe, "host": "{host}"}
    plain = "hookline://{platform}/{host}/{path}"
    if type in CONTAINERS:
        return Level(
            type_name=CONTAINER,
            template=plain,
            parent_attribute="parent" if hangs else "",
            required=place,
        )
    if type in PROCESSES:
        return Level(type_name=PROCESS, template=f"{plain}#{type}", required=describe)
    hung = "container" if hangs else ""
    if type in REPORTS:
        return Level(
            type_name=REPORT,
            template=f"{plain}#{type}",
            parent_attribute=hung,
            required=describe,
            is_dataset=True,
        )
    return Level(
        type_name=DATASET,
        template=plain if type in RELATIONS else f"{plain}#{type}",
        parent_attribute=hung,
        required=place,
        is_dataset=True,
        column_type="hookline_column",
        column_template=HASH,
        column_parent_attribute="table",
        column_data_type="data_type",
        columns_attribute="columns",
        definition_attribute="definition",
    )


@functools.lru_cache(maxsize=64)
def chain(containers: tuple[str, ...], relational: bool) -> Levels:
    """Our levels for a platform whose outer parts of a path are called so, each hung on the one around it."""
    root = "hookline://{platform}/{host}"
    levels: dict[str, Level | None] = {}
    above = ""
    for depth, kind in enumerate(("server", *containers)):
        template = "/".join((root, *(f"{{{i}}}" for i in range(depth))))
        level = _level(kind if kind in CONTAINERS else "container", bool(above))
        levels[kind] = msgspec.structs.replace(
            level, template=template, parent=above, required={**level.required, "type": kind}
        )
        above = kind
    if relational:
        template = "/".join((root, *(f"{{{i}}}" for i in range(len(containers) + 1))))
        for kind in ("table", "view"):
            levels[kind] = msgspec.structs.replace(_level(kind, True), template=template, parent=above)
    return levels
