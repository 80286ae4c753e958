"""One run over one landed file: read it, transform its records, choose what is news, send it, note what was sent."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import msgspec

from shared.atlas.closure import Closure
from shared.atlas.file_columns import FileColumns
from shared.atlas.messages import Message, Packer
from shared.atlas.transform import Options, Transform
from shared.delivery.comparison import Comparison
from shared.delivery.sinks import Refused, Sink
from shared.errors import BadInput, CatalogBusy, Transient
from shared.job_file import Header
from shared.lineage.known import Schemas
from shared.naming import Name
from shared.pipeline.app import App, now, rfc3339
from shared.pipeline.beat import Beat
from shared.pipeline.believing import of_scan
from shared.pipeline.beside import LandedFolder
from shared.pipeline.choosing import Choice, Names
from shared.pipeline.ground import Known, ground_of
from shared.pipeline.landing import Part, drop_rejected, open_blob, part_of, put_rejected
from shared.pipeline.placing import Owned
from shared.pipeline.reading import Reading, check_not_empty, read
from shared.pipeline.resolving import directory, flavours
from shared.records import Refusal
from shared.state.pending import CHUNK, Belief, Chunk, Confirmed, Expected
from shared.state.receipts import Receipt
from shared.state.snapshots import Asset, Index

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient

    from shared.settings import Instance

#: messages are published in groups, each noted as pending before it is sent
GROUP_BYTES = 8 * 1024 * 1024
#: a sink that answers is slow, and what it took is noted after it: smaller groups, so that less is sent twice
ANSWERED_GROUP = 500
#: assets that are compared with the catalogue together
COMPARED = 50
#: tables of unknown columns that a receipt names
SHOWN_UNKNOWN = 10


class File:
    """One run. `beat` keeps the leases; time_limit in seconds, after which a slow sink's run stops to go on later."""

    def __init__(
        self, app: App, blob: BlobClient, receipt: Receipt, size: int, beat: Beat, *, time_limit: float
    ) -> None:
        self.app = app
        self.blob = blob
        self.receipt = receipt
        self.size = size
        self.beat = beat
        self.deadline = time.monotonic() + time_limit
        self.belief: Belief = receipt.belief
        self.chunk = self.sent = self.deleted = 0
        self.entities = self.messages = self.bytes = 0
        self.reasons: dict[str, int] = {}
        self.refused: set[Name] = set()
        self.columns = FileColumns()
        self.schemas = Schemas([self.columns, app.schemas])
        self.folder = LandedFolder(app, receipt.path)

    # ---- everything that is news

    def send(self, confirmed: Confirmed, *, again: bool) -> Receipt:
        """The receipt, `sent` or `rejected`. Raises BadInput: nothing of it can be used; Transient; SettingsError.

        confirmed: what an earlier run has brought into the catalogue. again: a replay.
        """
        app, path = self.app, self.receipt.path
        reading = self._reading()
        header = self._own(reading)
        self.owned = Owned(app, self.receipt, reading.header.instance if reading.header is not None else "")
        with ExitStack() as held, tempfile.SpooledTemporaryFile(max_size=1 << 20) as refused:
            held.callback(self.columns.close)
            held.callback(self._note_beside, again=again)
            ground = ground_of(app, header, self.beat, held, again=again)
            if header is not None:
                self.belief = of_scan(app, header.instance, header.scope, header.scan)
            assets: list[Asset] | None = [] if header is not None and ground.mode != "truth" else None
            self.chunk, self.sent, self.deleted = len(confirmed.chunks), confirmed.sent, confirmed.deleted
            work = self._transform(reading, ground.index)
            choice = Choice(
                ground.index,
                mode=ground.mode,
                doubted=ground.doubted,
                confirmed=confirmed,
                process=lambda type_name: app.rules.types.is_a(type_name, "Process"),
                turned=work.endpoints.turned,
                assets=assets,
            )
            self._publish(self._closures(work, choice, reading, refused), self._partition_key(reading), refused)
            refused.seek(0)
            if self.reasons:
                put_rejected(app, path, refused)
            else:
                drop_rejected(app, path)
            if header is not None and assets is not None:
                taken = [asset for asset in assets if asset.name not in self.refused] if self.refused else assets
                if ground.mode == "news":
                    app.snapshots.write_part(header.instance, header.scope, header.scan, header.part, taken)
                    app.schemas.write_part(header.instance, header.scope, header.scan, header.part, self.columns.rows())
                elif taken:
                    app.snapshots.amend(header.instance, header.scope, taken)
            if reading.wants_columns:
                app.schemas.want(path, self.receipt.etag, tuple(self.schemas.unknown))
        if not self.reasons and not work.records and header is None:
            check_not_empty(reading)
        return self._counted(reading, header, work, choice.unchanged)

    def _note_beside(self, *, again: bool) -> None:
        """Also of a file that could not be used: what it lacks may come."""
        if self.folder.asked or again:
            self.app.beside.note(self.receipt.path, self.receipt.etag, self.folder.asked)

    def _counted(self, reading: Reading, header: Header | None, work: Transform, unchanged: int) -> Receipt:
        seen = self.app.pending.of(self.receipt.path, self.receipt.run)
        counted = msgspec.structs.replace(
            self.receipt,
            state="sent",
            format=reading.format,
            instance=reading.header.instance if reading.header is not None else "",
            scope=header.scope if header is not None else "",
            scan=header.scan if header is not None else "",
            records=work.records,
            sent=self.sent,
            deleted=self.deleted,
            entities=self.entities,
            messages=self.messages,
            bytes=self.bytes,
            unchanged=unchanged,
            repeated=work.repeated,
            adopted=work.adopted,
            refused=sum(self.reasons.values()),
            reasons=self.reasons,
            resolved=work.endpoints.counts,
            unknown=tuple(".".join(table.path) for table in itertools.islice(self.schemas.unknown, SHOWN_UNKNOWN)),
            sent_at=rfc3339(now()),
            confirmed=sum(chunk.count - chunk.missing for _, chunk in seen),
        )
        of_use = counted.sent or counted.deleted or unchanged or work.repeated or work.adopted
        if counted.refused and not of_use:
            return msgspec.structs.replace(counted, state="rejected", finished=rfc3339(now()))
        return counted

    # ---- what did not arrive, once more

    def send_missing(
        self, missing: frozenset[Name], *, truth: bool, index: Index, sink: Sink
    ) -> tuple[set[Name], list[Refused]]:
        """Send these of its assets again; returns those it holds, and what of them the sink refused.

        Nothing is noted: they are waited for already. truth: only what the scope's last scan still published just so.
        """
        reading = self._reading()
        choice, closures = self._missing(reading, missing, truth=truth, index=index)
        refused: list[Refused] = []
        with closing(self.columns):
            for message in self._packed(closures):
                self._ensure([message])
                refused += sink.publish([message], self._partition_key(reading))
                self.beat()
        return choice.found, refused

    def missing_and_there(
        self, missing: frozenset[Name], *, truth: bool, index: Index, comparison: Comparison
    ) -> set[Name]:
        """Of these assets of it, those that the catalogue shows just as they were sent. truth: as `send_missing`."""
        _, closures = self._missing(self._reading(), missing, truth=truth, index=index)
        wanted, found = Names(missing), set[Name]()
        with closing(self.columns):
            while group := list(itertools.islice(closures, COMPARED)):
                for closure in comparison.same(group):
                    found.update(wanted.of(closure))
        return found

    def _missing(
        self, reading: Reading, missing: frozenset[Name], *, truth: bool, index: Index
    ) -> tuple[Choice, Iterator[Closure]]:
        self._own(reading)
        choice = Choice(index, mode="truth" if truth else "news", wanted=missing)
        work = self._transform(reading, index, fresh=True)  # what it refers to may have gone

        def closures() -> Iterator[Closure]:
            for item in work.run(reading.found):
                if not isinstance(item, Refusal):
                    yield from choice.take(item)
                self.beat()

        return choice, closures()

    # ---- the steps

    def _reading(self) -> Reading:
        return read(
            lambda: open_blob(self.app, self.blob, self.receipt.etag),
            self.receipt.path,
            size=self.size,
            max_bytes=self.app.settings.limits.file_bytes,
            instances=lambda: self.app.bases,
            schemas=self.schemas,
            folder=self.folder,
        )

    def _own(self, reading: Reading) -> Header | None:
        """The header of a file that extract has landed; None for what people put there, other job files included.

        Raises BadInput: its instance is not configured any more; SettingsError: it is, but wrongly.
        """
        path, header, part = self.receipt.path, reading.header, part_of(self.receipt.path)
        if header is not None and header.instance in self.app.settings.disabled:
            raise self.app.settings.disabled[header.instance]
        if part is None:
            return None
        if header is None or part != Part(header.instance, header.scan, header.part):
            fix = "put files of your own below uploads/, and scan the instance again"
            raise BadInput("it is not the job file that belongs there", where=path, fix=fix)
        if header.instance not in self.app.settings.instances:
            fix = "configure the instance again, or delete the file"
            raise BadInput(f"there is no instance {header.instance!r} any more", where=path, fix=fix)
        return header

    def _transform(self, reading: Reading, index: Index, *, fresh: bool = False) -> Transform:
        app = self.app
        instance = reading.header.instance if reading.header is not None else ""
        settings: Instance | None = app.settings.instances.get(instance)
        naming = app.naming(instance)
        self.schemas.far = app.catalogue_columns.named_by(naming)
        return Transform(
            naming,
            app.rules,
            known=Known(app.snapshots.published(), index),
            options=Options(
                assets=settings.assets if settings is not None else "create",
                repeats="refuse" if reading.repeats == "refuse" else "newer",
                max_bytes=app.settings.limits.message_bytes,
            ),
            columns=self.columns,
            schemas=self.schemas,
            directory=directory(app, self.receipt.path, self.receipt.started, instance=instance, fresh=fresh),
            flavours=flavours(app, naming),
        )

    def _closures(
        self, work: Transform, choice: Choice, reading: Reading, refused: tempfile.SpooledTemporaryFile[bytes]
    ) -> Iterator[Closure]:
        for item in work.run(reading.found):
            if isinstance(item, Refusal):
                self._refuse(item, refused)
            else:
                for chosen in choice.take(item):
                    self.owned.see(chosen)
                    yield chosen
            self.beat()

    def _refuse(self, item: Refusal, refused: tempfile.SpooledTemporaryFile[bytes]) -> None:
        self.reasons[item.rule] = self.reasons.get(item.rule, 0) + 1
        refused.write(msgspec.json.encode(item) + b"\n")

    def _partition_key(self, reading: Reading) -> str:
        header = reading.header
        return f"{header.instance}/{header.scope}" if header is not None else self.receipt.path

    def _packed(self, closures: Iterable[Closure]) -> Iterator[Message]:
        packer = Packer(max_bytes=self.app.settings.limits.message_bytes, clock=lambda: int(time.time() * 1000))
        for closure in closures:
            yield from packer.add(closure)
        yield from packer.flush()

    def _publish(
        self, closures: Iterator[Closure], partition_key: str, refused: tempfile.SpooledTemporaryFile[bytes]
    ) -> None:
        answers: bool | None = None
        group: list[Message] = []
        size = names = 0
        for message in self._packed(closures):
            if answers is None:
                answers = self.app.sink.answers
            group.append(message)
            size += len(message.body)
            names += len(message.names)
            if size >= GROUP_BYTES or names >= (ANSWERED_GROUP if answers else CHUNK):
                self._send(group, partition_key, refused)
                group, size, names = [], 0, 0
        if group:
            self._send(group, partition_key, refused)

    def _send(self, group: list[Message], partition_key: str, refused: tempfile.SpooledTemporaryFile[bytes]) -> None:
        app = self.app
        self._ensure(group)
        if app.sink.answers:
            self._send_and_note(group, partition_key, refused)
        else:
            self._note(group, seen=False)
            self.beat()
            app.sink.publish(self._beating(group), partition_key)  # which may be slow, to keep its pace
        self.beat()
        self.messages += len(group)
        self.entities += sum(m.entities for m in group)
        self.bytes += sum(len(m.body) for m in group)

    def _beating(self, group: list[Message]) -> Iterator[Message]:
        for message in group:
            self.beat()
            yield message

    def _send_and_note(
        self, group: list[Message], partition_key: str, refused: tempfile.SpooledTemporaryFile[bytes]
    ) -> None:
        taken: list[Message] = []
        try:
            for message in group:
                self.beat()
                if time.monotonic() > self.deadline:
                    raise CatalogBusy(
                        f"{self.sent:,} assets are in the catalogue, and the function's time is over",
                        where=self.receipt.path,
                        fix="nothing to do: the rest follows",
                    )
                for name, reason, fix in self.app.sink.publish([message], partition_key):
                    self.refused.add(name)
                    place = f"{name.type_name} {name.qualified_name}"
                    self._refuse(Refusal(place=place, rule="CatalogRefused", reason=reason, fix=fix), refused)
                taken.append(message)
        except Transient:
            if taken:
                self._note(taken, seen=True)
            raise
        self._note(taken, seen=True)

    def _note(self, group: list[Message], *, seen: bool) -> None:
        """Note what is waited for (or, of a sink that answers, what is there)."""
        expected: list[Expected] = [(m.operation, name) for m in group for name in m.names if name not in self.refused]
        chunk = Chunk(self.receipt.path, self.receipt.run, self.chunk)
        self.owned.note(chunk.number, (name for operation, name in expected if operation == "create"))
        noted = self.app.pending.expect(chunk, expected, rfc3339(now()), seen=seen, belief=self.belief)
        self.chunk += 1
        self.sent, self.deleted = self.sent + noted.sent, self.deleted + noted.deleted

    def _ensure(self, group: Sequence[Message]) -> None:
        """Types of ours must be there before the first message that uses them; a hub would not tell."""
        own = {n.type_name for m in group for n in m.names if n.type_name.startswith("hookline_")}
        if own and self.app.typedefs is not None:
            self.app.typedefs.ensure(own)
