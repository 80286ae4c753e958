"""The whole app in one process, for fast tests: real Azurite, the real local catalogue, a source made of dictionaries.

    world.system("crm").tables["orders"] = Table("id", "total")
    world.scan("crm")           # as a person would ask for it
    world.settle()              # plays the triggers until nothing is left
    world.check()               # the catalogue holds what the source holds, and every receipt is final

Containers carry a prefix per world, so that nothing has to be emptied. `later` moves the app's clock, not the
machine's. `Dead` is what a killed process looks like: from then on nothing of it reaches storage or the hub.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import secrets
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
from azure.core.exceptions import ResourceNotFoundError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobLeaseClient, BlobServiceClient, ContainerClient
from requests.adapters import HTTPAdapter

import connectors
from connectors.source import Check, Source
from local.azurite import Azurite
from local.catalogue import store
from local.catalogue.server import Running, running_catalogue
from local.catalogue.store import Entity
from shared.atlas.messages import Message
from shared.azure import Azure
from shared.delivery.catalog import Catalog
from shared.delivery.pace import Pace
from shared.errors import HooklineError, LoginRefused
from shared.pipeline import confirmation, extraction, replaying, scheduling, sweeping, transformation
from shared.pipeline.app import App
from shared.records import Address, Column, Container, Cursor, Dataset, Record, Refusal
from shared.settings import Secret, load
from shared.state import BlobTable
from shared.state.receipts import Receipt
from shared.state.scans import Scan
from tests.support.vault import ADDRESS, Credential, Vault

TRIES = 5
QUEUE_MESSAGE = 48 * 1024


class Dead(BaseException):
    """The process was killed."""


# ---- the source


class Table:
    """A table of a system; with `sql` a view. rows are volatile statistics."""

    def __init__(self, *columns: str, description: str = "", rows: int = 0, sql: str = "", reads: Sequence[str] = ()):
        self.columns = list(columns)
        self.description = description
        self.rows = rows
        self.sql = sql
        self.reads = tuple(reads)


@dataclass
class System:
    """What a source reads: schema -> name -> table. Everything may be changed between (and during) scans."""

    name: str
    schemas: dict[str, dict[str, Table]] = field(default_factory=lambda: {"public": {}})
    cursor_every: int = 500
    refuse: set[str] = field(default_factory=set)
    error: Exception | None = None
    error_at: str = ""
    on_read: Callable[[int], None] = lambda _: None
    only: Callable[[str], bool] = lambda _: True
    incremental: bool = False
    password: str = ""
    logins: list[str] = field(default_factory=list)  # with which passwords

    @property
    def tables(self) -> dict[str, Table]:
        return self.schemas["public"]

    @property
    def base(self) -> Address:
        return Address("postgresql", f"{self.name}.test:5432", (), "server")


SYSTEMS: dict[str, System] = {}


class ToySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    system: str
    password: Secret | None = None


class Toy(Source[ToySettings]):
    """Reads a System."""

    Settings = ToySettings
    title = "a system for tests"

    @property
    def system(self) -> System:
        return SYSTEMS[self.settings.system]

    def base(self) -> Address:
        return self.system.base

    def incremental(self) -> bool:
        return self.system.incremental

    def _login(self) -> None:
        used = self.settings.password.reveal() if self.settings.password else ""
        self.system.logins.append(used)
        if used != self.system.password:
            raise LoginRefused("the system refused the login", where=self.settings.system, fix="check the password")

    def check(self) -> Iterator[Check]:
        try:
            self._login()
            yield Check("connection", True)
        except LoginRefused as error:
            yield Check("connection", False, error.what, error.fix, login=True)

    def scopes(self) -> list[str]:
        self._login()
        if self.system.error is not None and not self.system.error_at:
            raise self.system.error
        return sorted(s for s in self.system.schemas if self.selection.takes_scope(s))

    def extract(self, scope: str, *, since: str = "", resume: str = "") -> Iterator[Record | Cursor | Refusal]:
        self._login()
        system = self.system
        if scope not in system.schemas:
            yield Cursor(position="gone")
            return
        database = system.base.at("shop", type="database")
        for address in (system.base, database, database.at(scope, type="schema")):
            yield Container(address=address)
        names = sorted(n for n in system.schemas[scope] if n > resume and system.only(n))
        for count, name in enumerate(names, 1):
            system.on_read(count)
            if system.error is not None and name == system.error_at:
                raise system.error
            table = system.schemas[scope].get(name) if self.selection.takes(scope, name) else None
            if table is not None and name in system.refuse:
                yield Refusal(place=f"{scope}.{name}", rule="source", reason="permission denied", fix="grant it")
            elif table is not None:
                yield _dataset(database.at(scope, name, type="view" if table.sql else "table"), table)
            if count % system.cursor_every == 0:
                yield Cursor(position=name, watermark=f"w-{name}")
        yield Cursor(position=names[-1] if names else resume, watermark=f"w-{names[-1] if names else resume}")


def _dataset(address: Address, table: Table) -> Dataset:
    return Dataset(
        address=address,
        description=table.description,
        columns=tuple(Column(name=name, type="text") for name in table.columns),
        sql=table.sql,
        dialect="postgres" if table.sql else "",
        statistics={"rows": str(table.rows)} if table.rows else {},
    )


def expected(systems: Iterable[System]) -> dict[tuple[str, str], str]:
    """(type, qualified name) -> description of everything that the catalogue has to hold; written down by hand."""
    found: dict[tuple[str, str], str] = {}
    for system in systems:
        server = f"postgresql://servers/{system.name}.test:5432"
        found["postgresql_server", server] = ""
        found["postgresql_db", f"{server}/dbs/shop"] = ""
        for scope, tables in system.schemas.items():
            schema = f"{server}/dbs/shop/schemas/{scope}"
            found["postgresql_schema", schema] = ""
            for name, table in tables.items():
                kind = "view" if table.sql else "table"
                qn = f"{schema}/{kind}s/{name}"
                found[f"postgresql_{kind}", qn] = table.description
                for column in table.columns:
                    found[f"postgresql_{kind}_column", f"{qn}/columns/{column}"] = ""
                if table.sql:
                    found[
                        "hookline_process", f"hookline://postgresql/{system.name}.test:5432/shop/{scope}/{name}#query"
                    ] = ""
    return found


# ---- what can go wrong between the app and storage, and between the app and the hub


class Faults(HTTPAdapter):
    """The network. `countdown`: so many steps from now the process dies, before or after the step is carried out."""

    def __init__(self) -> None:
        super().__init__()
        self.countdown = -1
        self.after = False
        self.dead = False
        self.steps = 0
        self.answer: Callable[[requests.PreparedRequest], int] = lambda _: 0
        self.on_request: Callable[[requests.PreparedRequest], None] = lambda _: None

    def die(self, steps: int, *, after: bool) -> None:
        self.countdown, self.after = steps, after

    def step(self, act: Callable[[], Any]) -> Any:
        if self.dead:
            raise Dead
        self.steps += 1
        last = self.countdown == 0
        self.countdown -= 1
        if last and not self.after:
            self.dead = True
            raise Dead
        done = act()
        if last:
            self.dead = True
            if isinstance(done, requests.Response):
                done.close()
            raise Dead
        return done

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        def act() -> requests.Response:
            self.on_request(request)
            status = self.answer(request)
            if status < 0:
                raise requests.exceptions.ReadTimeout
            if status:
                response = requests.Response()
                response.status_code = status
                response.headers["x-ms-error-code"] = "InternalError"
                response.raw = _Empty()
                response.request = request
                response.url = request.url or ""
                return response
            return super(Faults, self).send(request, *args, **options)

        response: requests.Response = self.step(act)
        return response

    def transport(self) -> RequestsTransport:
        session = requests.Session()
        session.mount("http://", self)
        return RequestsTransport(session=session)


class _Empty:
    """The body of an answer that has none."""

    def read(self, *_: Any, **__: Any) -> bytes:
        return b""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        return None

    def release_conn(self) -> None:
        return None


class Prefixed(Azure):
    """Containers of this world only."""

    def __init__(self, prefix: str, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.prefix = prefix

    def container(self, name: str) -> ContainerClient:
        return super().container(f"{self.prefix}-{name}")


class Hub:
    """The hook's event hub: each message reaches the catalogue at once, unless the test has other plans."""

    name = "event hub"
    answers = False

    def __init__(self, world: World) -> None:
        self.world = world
        self.messages: list[tuple[Message, str]] = []
        self.busy: Callable[[Message], Exception | None] = lambda _: None
        self.drop: Callable[[Message], bool] = lambda _: False

    def publish(self, messages: Iterable[Message], partition_key: str) -> Sequence[Any]:
        for message in messages:
            self.world.faults.step(lambda message=message: self._take(message, partition_key))  # type: ignore[misc]
        return ()

    def _take(self, message: Message, partition_key: str) -> None:
        error = self.busy(message)
        if error is not None:
            raise error
        self.messages.append((message, partition_key))
        if not self.drop(message):
            self.world.apply(message.body)

    @property
    def names(self) -> list[str]:
        """What was sent since `clear`: `delete postgresql_table orders`, in order."""
        return [
            f"{m.operation} {n.type_name} {n.qualified_name.rsplit('/', 1)[-1]}"
            for m, _ in self.messages
            for n in m.names
        ]

    def clear(self) -> None:
        self.messages.clear()


@dataclass
class Work:
    """A message of a queue, or the event of a blob."""

    kind: str
    body: str
    tries: int = 0


class World:
    """One app, its storage, its catalogue, and the triggers."""

    def __init__(self, azurite: Azurite, running: Running, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.azurite = azurite
        self.running = running
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.prefix = f"t{secrets.token_hex(6)}"
        self.systems: dict[str, System] = {}
        self.instances: dict[str, dict[str, Any]] = {}
        self.purview: dict[str, Any] = {
            "endpoint": running.url,
            "auth": "none",
            "hook": {"namespace": "hubtest.example.net"},
        }
        #: once a day, hours away from now: what is due must not depend on when the tests run
        self.daily = f"0 0 {(dt.datetime.now(dt.UTC).hour + 12) % 24} * * *"
        self.limits: dict[str, Any] = {}
        self.receipts: dict[str, Any] = {}
        self.aliases: dict[str, str] = {}
        self.secrets: dict[str, Any] = {"key_vault": ADDRESS}
        self.encryption: dict[str, Any] = {}
        self.vault = Vault()
        self.environ = {"HooklineStorage": azurite.connection_string}
        self.faults = Faults()
        self.hub = Hub(self)
        self.offset = dt.timedelta()
        self.work: deque[Work] = deque()
        self.announced: dict[str, str] = {}
        self.notices: list[bytes] = []
        self.deliver: Callable[[list[bytes]], list[bytes]] = lambda bodies: bodies
        self.poison: list[Work] = []
        self.errors: list[BaseException] = []
        self.blobs = BlobServiceClient.from_connection_string(azurite.connection_string)
        self._app: App | None = None
        self._apps: list[App] = []
        self._patch_clock()
        for waits in (Catalog, BlobTable, Pace):  # retries are made at once
            monkeypatch.setitem(waits.__init__.__kwdefaults__, "sleep", lambda _: None)  # type: ignore[misc]
        monkeypatch.setitem(connectors.SOURCES, "toy", "tests.support.world:Toy")

    # ---- setting it up

    def system(self, name: str, **options: Any) -> System:
        """The system of that name, with an instance of the same name that reads it."""
        if name not in self.systems:
            self.systems[name] = SYSTEMS[name] = System(name)
            settings = {"connector": "toy", "settings": {"system": name}, "schedule": self.daily}
            self.instances[name] = {**settings, **options}
            self._app = None
        return self.systems[name]

    def configure(self, name: str, **options: Any) -> None:
        self.instances[name] = {**self.instances[name], **options}
        self._app = None

    @property
    def app(self) -> App:
        if self._app is None:
            self._app = self.new_app()
        return self._app

    def restart(self) -> None:
        """The next worker has other settings, and remembers nothing."""
        self._app = None

    def new_app(self) -> App:
        """Another worker process."""
        path = self.folder / "hookline.yaml"
        said = {
            "purview": self.purview,
            "instances": self.instances,
            "aliases": self.aliases,
            "limits": self.limits,
            "receipts": self.receipts,
            "secrets": self.secrets,
            "landing": self.encryption,
        }
        path.write_text(json.dumps(said))
        app = App(load(path, self.environ), self.environ)
        app.azure = Prefixed(
            self.prefix,
            self.environ,
            app.settings,
            storage={"transport": self.faults.transport()},
            vault={"transport": self.vault.transport(), "retry_total": 0},
            credential=Credential(),
        )
        if "hook" in self.purview:
            app._hub_sink = self.hub  # the one place where the hub is made
        self._apps.append(app)
        return app

    def close(self) -> None:
        self.faults.dead, self.faults.countdown = False, -1
        for app in self._apps:
            app.azure.close()
            if app.catalog is not None:
                app.catalog._rest._session.close()
        self.faults.close()
        for container in self.blobs.list_containers(name_starts_with=self.prefix):
            self.blobs.delete_container(container.name)
        self.blobs.close()

    def _patch_clock(self) -> None:
        from shared.pipeline import app as module

        real = module.now

        def shifted() -> dt.datetime:
            return real() + self.offset

        # the catalogue's clock goes with it: what it says of an entity's last update is compared with ours
        self.monkeypatch.setattr(
            store, "now", lambda: time.time_ns() // 1_000_000 + round(self.offset.total_seconds() * 1000)
        )
        for name, loaded in sys.modules.copy().items():  # other threads import
            if name.startswith("shared.pipeline") and getattr(loaded, "now", None) is real:
                self.monkeypatch.setattr(loaded, "now", shifted)

    def later(self, **by: float) -> None:
        """The app's clock goes on: `later(hours=3)`."""
        self.offset += dt.timedelta(**by)

    # ---- the catalogue

    def apply(self, body: bytes) -> None:
        """A hook message reaches the catalogue."""
        outcome = self.running.catalogue.apply(body)
        for event in outcome.events:
            event["message"]["eventTime"] += round(self.offset.total_seconds() * 1000)
            self.notices.append(json.dumps(event).encode())

    def entities(self) -> list[Entity]:
        return self.running.catalogue.store.entities("deleted = 0")

    def catalogue(self) -> dict[tuple[str, str], str]:
        """(type, qualified name) -> description of everything alive."""
        return {(e.type, e.qn): str(e.parts.get("attributes", {}).get("description") or "") for e in self.entities()}

    def dropped(self) -> list[dict[str, Any]]:
        """What Atlas would only have written into its log."""
        return self.running.catalogue.store.dropped()

    def reads(self, view: str, system: str = "") -> set[str]:
        """Names of what the process of a view reads, by the living relationships of the catalogue."""
        store = self.running.catalogue.store
        (process,) = [
            e
            for e in self.entities()
            if e.type == "hookline_process"
            and e.qn.endswith(f"{system and system + '.test:5432'}/shop/public/{view}#query")
        ]
        alive = {e.id: e for e in self.entities()}
        ends = [
            alive.get(r.end1 if r.end2 == process.id else r.end2) for r in store.relations(process.id) if not r.deleted
        ]
        return {e.qn.rsplit("/", 1)[-1] for e in ends if e is not None} - {view}

    # ---- files

    def upload(self, path: str, body: bytes | str) -> str:
        """A person puts a file into landing; returns its path."""
        data = body.encode() if isinstance(body, str) else body
        self.landing.upload_blob(path, data, overwrite=True)
        return path

    @property
    def landing(self) -> ContainerClient:
        return self._container("landing")

    def _container(self, name: str) -> ContainerClient:
        client = self.blobs.get_container_client(f"{self.prefix}-{name}")
        if not client.exists():
            client.create_container()
        return client

    def landed(self) -> list[str]:
        return sorted(b.name for b in self.landing.list_blobs())

    def rejected(self, path: str) -> list[Refusal]:
        """The lines of rejected/<path>.jsonl; empty when there is no such file."""
        try:
            body = self._container("rejected").download_blob(f"{path}.jsonl").readall()
        except ResourceNotFoundError:
            return []
        return [msgspec.json.decode(line, type=Refusal) for line in body.splitlines()]

    def receipt(self, path: str) -> Receipt:
        receipt, _ = self.app.receipts.get(path)
        assert receipt is not None, path
        return receipt

    def scan_of(self, instance: str, scope: str = "public") -> Scan:
        row, _ = self.app.scans.get(instance, scope)
        assert row.current is not None
        return row.current

    def parts_of(self, instance: str, scope: str = "public") -> list[Receipt]:
        scan = self.scan_of(instance, scope)
        return sorted((r for r in self.app.receipts.all() if r.scan == scan.id and r.part >= 0), key=lambda r: r.part)

    def wipe(self, table: str) -> None:
        """Somebody deletes a table of the state; all of them without a name."""
        container = self._container("state")
        for blob in container.list_blobs(name_starts_with=f"{table}/" if table else None):
            container.delete_blob(blob.name)

    # ---- triggers

    def scan(self, instance: str, *, full: bool = False) -> int:
        """A person asks for a scan."""
        self.later(seconds=1)  # so that files sort by the scan that they are of
        messages = scheduling.request(self.app, instance, full=full, reason="request")
        self._queue("extract", messages)
        return len(messages)

    def _queue(self, kind: str, messages: Iterable[str]) -> None:
        for body in messages:
            assert len(body.encode()) <= QUEUE_MESSAGE
            self.work.append(Work(kind, body))

    def tick(self) -> None:
        """The timers."""
        self.later(seconds=1)
        self._queue("extract", scheduling.schedule(self.app))
        self.sweep()

    def sweep(self) -> list[str]:
        messages = sweeping.sweep(self.app)
        self._queue("replay", messages)
        return messages

    def _events(self) -> None:
        for blob in sorted(self.landing.list_blobs(), key=lambda b: (b.last_modified, b.name)):
            if self.announced.get(blob.name) != blob.etag:
                self.announced[blob.name] = blob.etag
                self.work.append(Work("transform", blob.name))

    def run(self, work: Work, *, app: App | None = None) -> None:
        """One try of one function; what it raises is what the host would see."""
        app = app or self.app
        if work.kind == "extract":
            more = extraction.extract(app, work.body)
            self.faults.step(lambda: self._queue("extract", more))
        elif work.kind == "transform":
            transformation.transform(app, app.landing.get_blob_client(work.body))
        elif work.kind == "replay":
            replaying.replay(app, work.body)
        else:
            confirmation.confirm(app, [work.body.encode()])

    def step(self) -> bool:
        """Whatever is next: queued work, new blobs, notifications. False: nothing is left."""
        if not self.work:
            self._events()
        if self.work:
            work = self.work.popleft()
            work.tries += 1
            try:
                self.run(work)
            except Dead:
                self.work.appendleft(work)  # it becomes visible again
                raise
            except Exception as error:
                self.errors.append(error)
                (self.poison if work.tries >= TRIES else self.work).append(work)
            return True
        if self.notices:
            bodies, self.notices = self.notices, []
            heard = self.deliver(bodies)
            try:
                if heard:
                    confirmation.confirm(self.app, heard)
            except BaseException:
                self.notices = bodies + self.notices
                raise
            return True
        return False

    def settle(self, *, sweeps: bool = True, waits: int = 30, most: int = 3000) -> None:
        """Play the triggers until nothing is left, then the sweep; while receipts are open, the clock goes on.

        waits: so many times a quarter of an hour at most.
        """
        for _ in range(most):
            if self.step():
                continue
            if not sweeps:
                return
            if self.sweep() or self.work or self.notices:
                continue
            if waits and any(not receipt.final for receipt in self.app.receipts.all()):
                waits -= 1
                self.later(minutes=16)
                continue
            return
        raise AssertionError(f"not settled: {list(itertools.islice(self.work, 5))}, {self.errors[-1:]}")

    def revive(self) -> None:
        """After a death: leases have run out, and another worker takes over."""
        self.faults.dead, self.faults.countdown = False, -1
        container = self._container("state")
        for blob in container.list_blobs():
            if blob.lease.state == "leased":
                BlobLeaseClient(container.get_blob_client(blob.name)).break_lease(0)
        self._app = None

    # ---- what has to be true in the end

    def check(self, *systems: System) -> None:
        """The catalogue equals the systems, nothing was dropped, every receipt is final, nothing is waited for."""
        wanted = systems or tuple(self.systems.values())
        hosts = [f"/{system.name}.test:" for system in wanted]
        there = {name: said for name, said in self.catalogue().items() if any(host in name[1] for host in hosts)}
        assert there == expected(wanted)
        assert [d for d in self.dropped() if d["kind"] in ("failed", "skipped", "lost")] == []
        open_ = [(r.path, r.state, r.sent, r.confirmed, r.error) for r in self.app.receipts.all() if not r.final]
        assert open_ == []
        assert list(self.app.pending.all()) == []

    def confirmed(self) -> None:
        """Everything was confirmed, and nothing went wrong on the way."""
        assert {r.path: (r.state, r.reasons) for r in self.app.receipts.all() if r.state != "confirmed"} == {}
        assert self.poison == []
        assert self.errors == []

    def sent(self) -> list[str]:
        """What was sent since the last time, as `hub.names` words it."""
        names = self.hub.names
        self.hub.clear()
        return names


@pytest.fixture
def world(azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with ExitStack() as stack:
        running = stack.enter_context(running_catalogue(tmp_path / "catalogue"))
        made = World(azurite, running, tmp_path, monkeypatch)
        stack.callback(SYSTEMS.clear)
        stack.callback(made.close)
        yield made


def stands_for(qualified_name: str) -> str:
    """The qualified name of what a placeholder stands for; any other name as it is."""
    below = qualified_name.removeprefix("hookline://placeholder/")
    return below if below == qualified_name else below.partition("/")[2]


def text_of(error: BaseException) -> str:
    return str(error) if isinstance(error, HooklineError) else repr(error)
