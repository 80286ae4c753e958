"""Scans: one row per instance and scope, with the scan at work and the last one that finished; and the watermark.

The row is the memory of a scan across queue messages: which parts are durably in landing and from which position the
source goes on. A lease on it keeps two scans of one scope apart; an earlier scan never overwrites a later one.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Iterator
from typing import Literal

import msgspec

from shared.state.blob_table import LEASE_SECONDS, BlobTable, Lease

ScanState = Literal["running", "extracted", "finished", "failed", "gone"]


class Scan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One scan of one scope. parts: files durably landed; position: where the source goes on behind them.

    records: without containers that come again with every stretch; assets: those that are no containers.
    complete: the source was read to its end without a refusal, so that what is missing from it is gone.
    refused: what the source could not read, and, once the scan has finished, what a rule refused of it.
    new, changed, unchanged: assets (containers among them) against the last finished scan, by what they are; what is
    unchanged may have been sent all the same, because a scan sends everything now and then.
    stale: assets and columns that are not there any more; deleted: of them; held: those that are left alone because
    there are more than the limit.
    selection: stands for the instance's include and exclude; another one, another selection.
    problem: kind of the error; stops: how often the scan stopped without a word since its last part.
    tries: scans before it, in a row, that the source did not answer; configured: stands for the instance's settings.
    """

    id: str
    instance: str
    scope: str
    started: str
    state: ScanState = "running"
    reason: str = ""
    full: bool = False
    since: str = ""
    selection: str = ""
    parts: int = 0
    position: str = ""
    records: int = 0
    assets: int = 0
    refused: int = 0
    complete: bool = False
    watermark: str = ""
    touched: str = ""
    finished: str = ""
    seconds: float = 0.0
    problem: str = ""
    error: str = ""
    fix: str = ""
    stops: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    tries: int = 0
    configured: str = ""
    stale: int = 0
    deleted: int = 0
    held: int = 0


class ScopeRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """current: the scan at work or last tried; last: the last that finished; watermark: where the next one starts.

    refreshed: when the last scan began that sent everything; asked: when a scan was asked for that has not begun yet.
    held: the scan whose list of held deletions counts; approved: a person has let them go.
    """

    current: Scan | None = None
    last: Scan | None = None
    watermark: str = ""
    refreshed: str = ""
    asked: str = ""
    held: str = ""
    approved: bool = False


def new_scan_id(now: dt.datetime) -> str:
    """Sorts by time, to the millisecond; the random part keeps two scans of the same moment apart."""
    return f"{now:%Y%m%dT%H%M%S}-{now.microsecond // 1000:03d}{secrets.token_hex(3)}"


class Scans:
    """The table `scans`: partition = instance, row = scope."""

    def __init__(self, table: BlobTable, lease_seconds: int = LEASE_SECONDS) -> None:
        self._table = table
        self._lease_seconds = lease_seconds

    def get(self, instance: str, scope: str) -> tuple[ScopeRow, str | None]:
        row, etag = self._table.get(instance, scope, type=ScopeRow)
        return row or ScopeRow(), etag

    def put(self, instance: str, scope: str, row: ScopeRow, etag: str | None = None, lease: Lease | None = None) -> str:
        return self._table.put(instance, scope, row, etag=etag, lease=lease)

    def lease(self, instance: str, scope: str) -> Lease:
        """A lease on the scope; the row is made when there is none. Raises Conflict while somebody else holds it."""
        return self._table.lease(instance, scope, self._lease_seconds)

    def of(self, instance: str) -> Iterator[tuple[str, ScopeRow]]:
        for scope, row, _ in self._table.rows(instance, type=ScopeRow):
            yield scope, row

    def delete(self, instance: str, scope: str) -> None:
        self._table.delete(instance, scope)

    def instances(self) -> Iterator[str]:
        return self._table.partitions()
