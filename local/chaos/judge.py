"""Who judges: the catalogue against the model, and watermarks against what has landed."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from local.chaos.estate import Estate, Ledger

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient


class Difference(NamedTuple):
    """Catalogue against model. lost: not there; wrong: there, but not so, or not to be there; duplicated: twice."""

    lost: list[str]
    wrong: list[str]
    duplicated: list[str]

    def __bool__(self) -> bool:
        return bool(self.lost or self.wrong or self.duplicated)


def difference(estate: Estate, catalogue: Path) -> Difference:
    """catalogue: the database of the local catalogue, read while it runs."""
    with closing(sqlite3.connect(f"{catalogue.as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT type, qn, doc, incomplete FROM entity WHERE NOT deleted").fetchall()
        ends: dict[str, set[str]] = {}
        for one, other in connection.execute(
            "SELECT a.qn, b.qn FROM relation r JOIN entity a ON a.id = r.end1 JOIN entity b ON b.id = r.end2 "
            "WHERE NOT r.deleted AND NOT a.deleted AND NOT b.deleted"
        ):
            ends.setdefault(one, set()).add(other)
            ends.setdefault(other, set()).add(one)
    wanted = estate.expected()
    there = {
        (kind, name): "incomplete" if incomplete else json.loads(doc)["attributes"].get("description") or ""
        for kind, name, doc, incomplete in rows
    }
    lost = [f"{kind} {name}" for kind, name in wanted.keys() - there.keys()]
    wrong = [f"{kind} {name} ought not to be there" for kind, name in there.keys() - wanted.keys()]
    wrong += [
        f"{key[0]} {key[1]}: {there[key]!r} instead of {said!r}"
        for key, said in wanted.items()
        if key in there and there[key] != said
    ]
    for upload in estate.uploads:
        if upload.version:
            job, lists = upload.lineage()
            found = {name for name in ends.get(job, set()) if name.endswith("#list")}
            wrong += [f"{job} is linked to {sorted(found)}"] if found != lists else []
    twice = Counter((kind, name) for kind, name, _, _ in rows)
    return Difference(sorted(lost), sorted(wrong), sorted(f"{k} {n}" for (k, n), count in twice.items() if count > 1))


class Watermarks:
    """No watermark is ahead of its data: what it says was read lies in landing, in files that are whole.

    landing: the container. Ask for the watermark before `ahead` looks at landing, never after.
    """

    def __init__(self, landing: ContainerClient) -> None:
        self._landing = landing
        #: of each ledger: its landed files by name and ETag; account -> last entry that has landed
        self._seen: dict[str, set[tuple[str, str]]] = {}
        self._landed: dict[str, dict[str, int]] = {}
        self.looks = 0

    def ahead(self, ledger: Ledger, watermark: str) -> list[str]:
        """Entries that the watermark has passed and that nobody has landed."""
        if not watermark:
            return []
        self.looks += 1
        self._look(ledger.name)
        landed = self._landed[ledger.name]
        last = {account: (seq, closed) for seq, account, closed in ledger.written if seq <= int(watermark)}
        return [
            f"the watermark of {ledger.name} is {watermark}, but entry {seq} of {account} has not landed"
            for account, (seq, closed) in last.items()
            if not closed and landed.get(account, 0) < seq
        ]

    def _look(self, instance: str) -> None:
        seen, landed = self._seen.setdefault(instance, set()), self._landed.setdefault(instance, {})
        for blob in self._landing.list_blobs(name_starts_with=f"{instance}/"):
            if (blob.name, blob.etag) in seen:
                continue
            lines = [json.loads(line) for line in gzip.decompress(self._read(blob.name)).splitlines()]
            if lines[-1]["kind"] == "footer":
                seen.add((blob.name, blob.etag))
                for account, seq in _entries(lines):
                    landed[account] = max(seq, landed.get(account, 0))

    def _read(self, name: str) -> bytes:
        body: bytes = self._landing.download_blob(name).readall()
        return body


def _entries(lines: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Account and entry of each that a file holds."""
    said = [(line["address"]["path"][-1], line["description"]) for line in lines if line["kind"] == "dataset"]
    return [(account, int(text.removeprefix("entry "))) for account, text in said]
