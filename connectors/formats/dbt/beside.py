"""What lies beside a manifest: the catalog (columns as the warehouse has them) and the results of the last run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

import msgspec

from connectors.formats.dbt.artifacts import CatalogMetadata, CatalogTable, Result, kind_of
from connectors.formats.dbt.project import refusal
from connectors.formats.json_stream import values
from shared.errors import BadInput
from shared.records import Column, Refusal

#: columns of a catalog, and results, that are kept
MAX_COLUMNS, MAX_RESULTS = 500_000, 250_000
#: characters of a column's comment
MAX_COMMENT = 500
#: characters of compiled SQL that are taken from run results (a manifest without it was written by dbt parse)
MAX_SQL = 30_000_000
_FIX = "build it again (dbt docs generate, dbt run) and upload it; the manifest is read again then"
_CATALOG = ("nodes", "sources", "metadata", "errors")


class Table(NamedTuple):
    """A table of the catalog: how the warehouse spells it, and its columns in order."""

    metadata: CatalogMetadata
    columns: tuple[Column, ...]


class Outcome(NamedTuple):
    """Of a node in the last run. ended: RFC 3339; failures: rows that a test found; sql: compiled."""

    status: str
    ended: str = ""
    failures: int = 0
    seconds: float = 0.0
    sql: str = ""


def catalog(file: BinaryIO, name: str, found: dict[str, Table]) -> Iterator[Refusal]:
    """Fills `found`, by unique id. Never raises BadInput: without a catalog the manifest is still of use."""
    count = 0
    try:
        into = dict.fromkeys(_CATALOG, "start_map")
        for item in values(file, name, "table", into, lines=False):  # type: ignore[arg-type]
            if isinstance(item, Refusal):
                yield refusal(f"{name}: {item.place}", item.reason, _FIX)
            elif item.key == "metadata" and item.name == "dbt_schema_version":
                _check(item.value, "catalog", name)
            elif item.key in ("nodes", "sources"):
                try:
                    table = msgspec.convert(item.value, CatalogTable)
                except msgspec.ValidationError as error:
                    yield refusal(f"{name}: {item.name}", str(error), _FIX)
                    continue
                listed = sorted((table.columns or {}).values(), key=lambda column: column.index or 0)
                count += len(listed)
                if count > MAX_COLUMNS:
                    raise BadInput(f"it holds more than {MAX_COLUMNS:,} columns", where=name, fix="split the project")
                columns = tuple(
                    Column(sys.intern(c.name), sys.intern(c.type or ""), description=(c.comment or "")[:MAX_COMMENT])
                    for c in listed
                    if c.name
                )
                found[item.name] = Table(table.metadata or CatalogMetadata(), columns)
    except BadInput as error:
        yield refusal(name, error.what, error.fix or _FIX)


def run_results(file: BinaryIO, name: str, found: dict[str, Outcome]) -> Iterator[Refusal]:
    """Fills `found`, by unique id. Never raises BadInput."""
    characters = 0
    try:
        for item in values(file, name, "result", {"results": "start_array", "metadata": "start_map"}, lines=False):
            if isinstance(item, Refusal):
                yield refusal(f"{name}: {item.place}", item.reason, _FIX)
            elif item.key == "metadata" and item.name == "dbt_schema_version":
                _check(item.value, "run-results", name)
            elif item.key == "results" and len(found) < MAX_RESULTS:
                try:
                    result = msgspec.convert(item.value, Result)
                except msgspec.ValidationError as error:
                    yield refusal(f"{name}: {item.place}", str(error), _FIX)
                    continue
                sql = result.compiled_code or ""
                characters += len(sql)
                ended = max((t.completed_at or "" for t in result.timing or ()), default="")
                found[result.unique_id] = Outcome(
                    result.status, ended, result.failures or 0, result.execution_time or 0.0,
                    sql if characters <= MAX_SQL else "",
                )  # fmt: skip
    except BadInput as error:
        yield refusal(name, error.what, error.fix or _FIX)


def _check(schema: object, wanted: str, name: str) -> None:
    artifact, _ = kind_of(str(schema))
    if artifact != wanted:
        raise BadInput(f"it is no {wanted} of dbt's: its schema is {str(schema)[:100]!r}", where=name, fix=_FIX)


def states(outcomes: Mapping[str, Outcome], uid: str) -> tuple[str, str]:
    """(state, ended) of a model's last run, in the words of a Process."""
    outcome = outcomes.get(uid)
    if outcome is None:
        return "", ""
    if outcome.status == "success":
        return "COMPLETE", outcome.ended
    return ("FAIL", outcome.ended) if outcome.status in ("error", "fail", "runtime error") else ("", "")
