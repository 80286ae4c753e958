"""Why is my asset not there? Everything that is known of an asset, by its name or a part of it.

Looked through, as streams: what each scope has published (snapshots), what was sent and not confirmed, what was refused
or is held, what was deleted, what include and exclude leave out, the newest files that people have put into landing,
and the catalogue itself.
"""

from __future__ import annotations

import datetime as dt
import heapq
import itertools
from collections.abc import Iterator
from typing import BinaryIO, Literal, NamedTuple

import msgspec

from connectors.source import Selection
from shared.azure import storage_errors
from shared.errors import BadInput, HooklineError
from shared.job_file import is_gzip
from shared.naming import Name
from shared.pipeline.app import App, log, now, rfc3339
from shared.pipeline.asked import ALIKE, Asked
from shared.pipeline.files import late_before, state_of
from shared.pipeline.landing import open_blob, part_of, plain
from shared.pipeline.reading import unpacked
from shared.pipeline.refusals import refusals
from shared.state.pending import Chunk
from shared.state.receipts import Receipt

#: of each kind of answer
SHOWN = 20
NEAREST = 5
#: files of people that are looked into, the newest
FILES = 1_000
_BLOCK = 1 << 20

Kind = Literal["published", "referred", "waiting", "lost", "rejected", "held", "deleted", "mentioned", "left out"]


class Sighting(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where something of that name was seen.

    kind: published (by the scope's last scan), referred (only named by something else), waiting (sent, not confirmed),
    lost (sent again, and still missing), rejected, held (gone from the source, not deleted), deleted, mentioned (a file
    of a person holds the name), left out (by include or exclude). state: of the file; said, fix: in words.
    """

    kind: Kind
    type_name: str = ""
    qualified_name: str = ""
    instance: str = ""
    scope: str = ""
    scan: str = ""
    file: str = ""
    state: str = ""
    when: str = ""
    said: str = ""
    fix: str = ""


class InCatalogue(msgspec.Struct, frozen=True, kw_only=True):
    """What the catalogue says of one name. status: ACTIVE, DELETED, or empty when it does not know it."""

    type_name: str
    qualified_name: str
    status: str = ""
    guid: str = ""


class Why(msgspec.Struct, kw_only=True):
    """sightings: the best known first, at most 20 of a kind; more: kinds of which there are more.

    catalogue: what it says of the names that were found; asked: why it could not be asked, else empty.
    nearest: names that are like it, when nothing was seen.
    """

    version: int = 1
    at: str
    name: str
    sightings: list[Sighting] = []
    more: list[str] = []
    catalogue: list[InCatalogue] = []
    unasked: str = ""
    nearest: list[str] = []


def why(app: App, text: str) -> Why:
    """Raises UsageError for an empty name, StorageBusy."""
    return _Search(app, Asked(text)).run()


class _Waits(NamedTuple):
    receipt: Receipt
    operation: str


class _Search:
    """One search. Memory is that of what is found and of what waits for an answer."""

    def __init__(self, app: App, wanted: Asked) -> None:
        self._app = app
        self._wanted = wanted
        self._found: dict[str, list[Sighting]] = {}
        self._more: set[str] = set()
        self._waits: dict[Name, _Waits] = {}

    def run(self) -> Why:
        for look in (self._waiting, self._published, self._deleted, self._refused, self._left_out, self._mentioned):
            for sighting in look():
                of_kind = self._found.setdefault(sighting.kind, [])
                if len(of_kind) < SHOWN:
                    of_kind.append(sighting)
                else:
                    self._more.add(sighting.kind)
        order: list[Kind] = ["lost", "rejected", "waiting", "held", "published", "deleted", "mentioned", "left out"]
        order.append("referred")
        told = Why(at=rfc3339(now()), name=self._wanted.text, more=sorted(self._more))
        told.sightings = [sighting for kind in order for sighting in self._found.get(kind, [])]
        self._ask(told)
        if not any(s.qualified_name for s in told.sightings):
            told.nearest = self._nearest()
        return told

    # ---- where it may be

    def _waiting(self) -> Iterator[Sighting]:
        """What was sent and is not confirmed. Its names are read where something is missing only."""
        receipts: dict[str, Receipt | None] = {}
        overdue = late_before(self._app)
        for chunk in self._app.pending.all():
            if chunk.path not in receipts:
                receipts[chunk.path] = self._app.receipts.get(chunk.path)[0]
            receipt = receipts[chunk.path]
            if receipt is None or receipt.run != chunk.run or receipt.state != "sent":
                continue
            for operation, name in self._missing(chunk):
                self._waits[name] = _Waits(receipt, operation)
                yield Sighting(
                    kind="waiting",
                    type_name=name.type_name,
                    qualified_name=name.qualified_name,
                    instance=receipt.instance,
                    scope=receipt.scope,
                    scan=receipt.scan,
                    file=receipt.path,
                    state=state_of(receipt, overdue),
                    when=receipt.sent_at,
                    said=f"sent ({operation}), not confirmed yet" + (", sent once more" if receipt.resent else ""),
                    fix=f"nothing to do yet: `./hookline status {receipt.path}` tells what happens",
                )

    def _missing(self, chunk: Chunk) -> Iterator[tuple[str, Name]]:
        seen = self._app.pending.seen(chunk)
        if seen is not None and seen.missing:
            for operation, name in self._app.pending.missing(chunk):
                if self._wanted.takes(name.type_name, name.qualified_name):
                    yield operation, name

    def _published(self) -> Iterator[Sighting]:
        snapshots = self._app.snapshots
        for instance, scope in list(snapshots.scopes()):
            pointer, _ = snapshots.current(instance, scope)
            doubted = {lost.name: lost for lost in snapshots.again(instance, scope)}
            for name in (name for name in doubted if self._wanted.takes(name.type_name, name.qualified_name)):
                yield Sighting(
                    kind="lost",
                    type_name=name.type_name,
                    qualified_name=name.qualified_name,
                    instance=instance,
                    scope=scope,
                    when=doubted[name].since,
                    said="sent again and again, and it did not arrive; the next scan sends it once more",
                    fix=f"`./hookline rejected --instance {instance}` says why; `./hookline scan {instance}`",
                )
            for asset in snapshots.assets(instance, scope) if pointer is not None else ():
                inner = ""
                if not self._wanted.takes(asset.type_name, asset.qualified_name):
                    inner = next((child for child in asset.children if self._wanted.takes(asset.child_type, child)), "")
                    if not inner:
                        continue
                sent = "sent by that scan" if asset.sent else "unchanged since it was sent by an earlier scan"
                said = "only referred to by something that was published" if asset.stub else sent
                if inner and not self._wanted.exact:
                    said = f"of its column {inner.rpartition('/')[2].rpartition('#')[2]}; {said}"
                known = asset.name in self._waits or asset.name in doubted
                yield Sighting(
                    kind="referred" if asset.stub else "published",
                    type_name=asset.child_type if inner and self._wanted.exact else asset.type_name,
                    qualified_name=inner if inner and self._wanted.exact else asset.qualified_name,
                    instance=instance,
                    scope=scope,
                    scan=pointer.scan if pointer is not None else "",
                    when=pointer.started if pointer is not None else "",
                    said=said if asset.stub or known else f"{said}, and confirmed",
                    fix="scan the source it lies in, if nobody does" if asset.stub else "",
                )

    def _deleted(self) -> Iterator[Sighting]:
        for instance, scope, scan, name in self._app.deleted.all():
            if self._wanted.takes(name.type_name, name.qualified_name):
                yield Sighting(
                    kind="deleted",
                    type_name=name.type_name,
                    qualified_name=name.qualified_name,
                    instance=instance,
                    scope=scope,
                    scan=scan,
                    when=_of_scan(scan),
                    said="deleted from the catalogue, because this scan did not find it any more",
                )

    def _refused(self) -> Iterator[Sighting]:
        """By the record as far as it is kept, the place, and the reason."""
        text = self._wanted.exact or self._wanted.text.casefold()
        for file, item in refusals(self._app):
            sample = "" if item.rule in ("held", "not-confirmed") else item.sample.casefold()
            if text not in f"{item.place} {item.reason}".casefold() and self._wanted.leaf not in sample:
                continue
            type_name, _, qualified_name = item.place.partition(" ")
            named = "://" in qualified_name
            yield Sighting(
                kind="held" if item.rule == "held" else "lost" if item.rule == "not-confirmed" else "rejected",
                type_name=type_name if named else "",
                qualified_name=qualified_name if named else "",
                file=file.removesuffix(".lost"),
                said=f"{item.reason} ({item.rule})" if named else f"{item.place}: {item.reason} ({item.rule})",
                fix=item.fix,
            )

    def _left_out(self) -> Iterator[Sighting]:
        """What the selection of an instance keeps out of the scopes that are known; only where nothing was seen."""
        if any(self._found.get(kind) for kind in ("published", "waiting", "held")):
            return
        leaf, before = self._wanted.leaf, self._wanted.steps[:-1]
        for name, instance in self._app.settings.instances.items():
            selection = Selection(tuple(instance.include), tuple(instance.exclude))
            known = [scope for scope, _ in self._app.scans.of(name)]
            said = before[-1:] if not self._wanted.exact else []
            scopes = [scope for scope in known if scope.casefold() in before] or (
                [] if self._wanted.exact else said or known
            )
            for scope in scopes:
                if selection.takes(scope, leaf) and selection.takes_scope(scope):
                    continue
                by = "include" if Selection(exclude=selection.exclude).takes(scope, leaf) else "exclude"
                yield Sighting(
                    kind="left out",
                    instance=name,
                    scope=scope,
                    said=f"`{by}` of this instance keeps {scope}.{leaf} out",
                    fix=f"change `{by}` of instances.{name} in hookline.yaml, if it is meant to be read",
                )

    def _mentioned(self) -> Iterator[Sighting]:
        """The newest files of people that hold the name."""
        for _, path, etag, size in self._uploads():
            if not self._holds(path, etag, size):
                continue
            receipt, _ = self._app.receipts.get(path)
            state = state_of(receipt, late_before(self._app)) if receipt is not None else "landed"
            yield Sighting(
                kind="mentioned",
                file=path,
                state=state,
                when=receipt.finished or receipt.started if receipt is not None else "",
                said="the file holds the name",
                fix=f"`./hookline status {path}` tells what became of it",
            )

    def _uploads(self) -> list[tuple[dt.datetime, str, str, int]]:
        with storage_errors("landing"):
            blobs = (
                (blob.last_modified, str(blob.name), plain(blob.etag), int(blob.size))
                for blob in self._app.landing.list_blobs()
                if part_of(blob.name) is None
            )
            newest = heapq.nlargest(FILES + 1, blobs)
        if len(newest) > FILES:
            self._more.add("mentioned")
        return newest[:FILES]

    def _holds(self, path: str, etag: str, size: int) -> bool:
        """Whether the leaf of the name stands somewhere in the file, in either case of letters."""
        leaf = self._wanted.leaf.encode()
        blob = self._app.landing.get_blob_client(path)

        def opened() -> BinaryIO:
            return open_blob(self._app, blob, etag)

        try:
            with opened() as head:
                packed = is_gzip(head.read(2))
            stream = unpacked(opened, path, size)() if packed else opened()
            with stream:
                rest = b""
                while block := stream.read(_BLOCK):
                    if leaf in (rest + block).lower():
                        return True
                    rest = block[-len(leaf) :]
        except BadInput as error:
            log.info("path=%s is not looked into: %s", path, error)
        except HooklineError as error:
            log.info("path=%s was replaced or removed while it was looked into: %s", path, error)
        return False

    # ---- the catalogue, and names that are like it

    def _ask(self, told: Why) -> None:
        names = list(dict.fromkeys((s.type_name, s.qualified_name) for s in told.sightings if s.qualified_name))[:SHOWN]
        if not names and self._wanted.type_name:
            names = [(self._wanted.type_name, self._wanted.text.partition("/")[2])]
        if not names:
            return
        try:
            catalog = self._app.asking_catalog()
            if catalog is None:
                told.unasked = "no account is configured (purview.account)"
                return
            for type_name, group in itertools.groupby(sorted(names), key=lambda name: name[0]):
                qualified = [name for _, name in group]
                found = catalog.find(type_name, qualified)
                for name in qualified:
                    there = found.get(name)
                    guid, status = (there.guid, there.status) if there is not None else ("", "")
                    told.catalogue.append(
                        InCatalogue(type_name=type_name, qualified_name=name, status=status, guid=guid)
                    )
        except HooklineError as error:
            told.unasked = error.what

    def _nearest(self) -> list[str]:
        near: list[tuple[float, str]] = []
        for instance, scope in list(self._app.snapshots.scopes()):
            for asset in self._app.snapshots.assets(instance, scope):
                likely = self._wanted.likeness(asset.qualified_name)
                if likely >= ALIKE:
                    near = heapq.nlargest(NEAREST, {*near, (likely, f"{asset.type_name}/{asset.qualified_name}")})
        return [name for _, name in sorted(near, reverse=True)]


def _of_scan(scan: str) -> str:
    """The moment in the id of a scan."""
    try:
        return rfc3339(dt.datetime.strptime(scan[:15], "%Y%m%dT%H%M%S").replace(tzinfo=dt.UTC))
    except ValueError:
        return ""
