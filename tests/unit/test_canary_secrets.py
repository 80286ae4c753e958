"""Canary secrets, planted wherever a credential can stand, are found nowhere but where the user has put them."""

from __future__ import annotations

import base64
import gzip
import importlib
import io
import json
import logging
import re
import traceback
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
import pytest

import connectors
from cli.main import COMMANDS, main
from local.azurite import Azurite
from local.event_hubs import running as running_hubs
from shared import telemetry
from shared.azure import Azure
from shared.errors import HooklineError, SourceRefused, SourceUnreachable
from shared.pipeline import http
from shared.pipeline.guard import guarded
from shared.records import Address, Dataset, Process, Query, Report
from shared.settings import Place, Secret, from_mapping
from tests.support.azurite import azurite  # noqa: F401
from tests.support.canaries import Canaries
from tests.support.world import Table, World, world  # noqa: F401


class Watch:
    """Everything that leaves the app, gathered while it runs."""

    def __init__(self, world: World, capsys: pytest.CaptureFixture[str]) -> None:
        self.world = world
        self.capsys = capsys
        #: blobs that people have put there themselves
        self.own: set[str] = set()
        self.said: dict[str, str] = {}
        self.log = io.StringIO()

    def note(self, where: str, what: object) -> None:
        text = what.decode() if isinstance(what, bytes) else what if isinstance(what, str) else repr(what)
        self.said[where] = self.said.get(where, "") + text + "\n"

    def everything(self) -> dict[str, bytes | str]:
        """Where -> what: the log, blobs, messages, catalogue, answers and what was printed."""
        world = self.world
        found: dict[str, bytes | str] = {"the log": self.log.getvalue(), **self.said}
        for container in world.blobs.list_containers(name_starts_with=world.prefix):
            client = world.blobs.get_container_client(container.name)
            for blob in client.list_blobs(include=["metadata"]):
                path = f"{container.name.removeprefix(world.prefix + '-')}/{blob.name}"
                if path not in self.own:
                    found[path] = client.download_blob(blob.name).readall()
                    found[f"metadata of {path}"] = repr(blob.metadata)
        for number, (message, key) in enumerate(world.hub.messages):
            found[f"message {number} to the hub"] = message.body + key.encode()
        for number, work in enumerate([*world.work, *world.poison]):
            found[f"message {number} of the queue {work.kind}"] = work.body
        for entity in world.entities():
            found[f"entity {entity.qn}"] = json.dumps(entity.parts) + entity.qn
        found["what the catalogue dropped"] = json.dumps(world.dropped())
        for number, error in enumerate(world.errors):
            found[f"error {number}"] = f"{error!s} {error!r} {error.args}"
        return found


@pytest.fixture
def watch(world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """The log as the Functions host would show it: the root's handler, every level, the SDKs' talk included."""
    made = Watch(world, capsys)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    handler = logging.StreamHandler(made.log)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s %(args)s"))
    root.handlers = [handler]
    telemetry.configure(logging.DEBUG)
    for module in ("shared.azure", "shared.telemetry"):
        monkeypatch.setattr(f"{module}.quiet_libraries", lambda: None)
    for name in telemetry.NOISY:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield made
    root.handlers, root.level = handlers, level
    for name in telemetry.NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


# ---- every setting of every connector


def _is_secret(kind: Any) -> bool:
    return kind is Secret or any(_is_secret(part) for part in get_args(kind))


def _value(kind: Any, secret: str, shown: str) -> Any:
    """Something for a setting of this type; `secret` where it takes a Secret, `shown` where it takes other text."""
    if get_origin(kind) is Annotated:
        return _value(get_args(kind)[0], secret, shown)
    if get_origin(kind) is Literal:
        return get_args(kind)[0]
    if kind is Secret:
        return secret
    if kind is str:
        return shown
    if kind in (int, float):
        return 7
    if kind is bool:
        return True
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {field.encode_name: _value(field.type, secret, shown) for field in msgspec.structs.fields(kind)}
    if get_origin(kind) in (tuple, list, set, frozenset):
        return [_value(get_args(kind)[0], secret, shown)]
    if get_origin(kind) is dict:
        return {"key": _value(get_args(kind)[1], secret, shown)}
    options = [option for option in get_args(kind) if option is not type(None)]
    return _value(next((o for o in options if _is_secret(o)), options[0]), secret, shown) if options else "x"


def settings_with_canaries(name: str, canaries: Canaries, vault: dict[str, str]) -> dict[str, Any]:
    """Something in every key of a `settings:` block: secrets from Key Vault, in other texts a URL with a password."""
    block: dict[str, Any] = {}
    for field in msgspec.structs.fields(connectors.source_class(name).Settings):
        key = f"{name}-{field.encode_name}".replace("_", "-")
        vault[key] = canaries(f"the secret {name}.{field.encode_name}")
        shown = f"https://reader:{canaries(f'the text {name}.{field.encode_name}')}@db.example/x"
        block[field.encode_name] = _value(field.type, f"${{secret:{key}}}", shown)
    return block


# ---- SQL, errors, files


def statements(canaries: Canaries) -> dict[str, str]:
    """Name -> a statement with a credential where its dialect has it, and lineage besides."""

    def at(what: str) -> str:
        return canaries(f"SQL: {what}")

    return {
        "comment": f"select id from orders -- password={at('comment')}",
        "dblink": f"select id from dblink('host=h user=u password={at('dblink')}', 'select 1') as t(id int)",
        "url": f"select id from url('https://u:{at('url')}@h/x')",
        "sas": f"select id from openrowset(bulk 'https://a.blob.core.windows.net/c/f?sv=1&sig={at('sas')}') as r",
        "literal": f"select id, '{at('literal')}' as api_key from orders",
        "copy": f"copy orders from 's3://b/k' credentials 'aws_access_key_id=AK;aws_secret_access_key={at('copy')}'",
        "copy_into": "copy into orders from 'https://x/y' with"
        f" (credential=(identity='Storage Account Key', secret='{at('copy into')}'))",
        "stage": f"create stage s url='s3://b' credentials=(aws_key_id='A' aws_secret_key='{at('stage')}')",
        "user": f"create user reader identified by {at('user')}",
        "login": f"create login reader with password = '{at('login')}'",
        "mapping": f"create user mapping for x server s options (user 'u', password '{at('mapping')}')",
        "crypt": f"insert into orders select pgp_sym_encrypt(a, '{at('crypt')}') from b",
        "insert": f"insert into accounts (name, password) values ('a', '{at('insert')}')",
        "set": f"set session my.secret_key = '{at('set')}'",
        "alter": f"alter role reader password '{at('alter')}'",
        "exec": f"exec sp_addlinkedsrvlogin @rmtsrvname='s', @rmtpassword='{at('exec')}'",
        "replication": f"change master to master_host='h', master_password='{at('replication')}'",
        "jdbc": f"create table t using jdbc options (url 'jdbc:postgresql://h/d?user=u&password={at('jdbc')}')",
    }


def errors(canaries: Canaries) -> list[Exception]:
    """What drivers raise: with the DSN they were given."""

    def at(what: str) -> str:
        return canaries(f"error: {what}")

    return [
        SourceUnreachable(
            f"no connection: postgresql://reader:{at('url')}@db.example/crm", where="crm", fix="check it"
        ),
        SourceRefused(f"login failed: Server=tcp:h,1433;Uid=u;Pwd={{{at('odbc')}}};Encrypt=yes", where="crm", fix="x"),
        ConnectionError(f"DSN=x;UID=reader;PWD={at('dsn')}"),
        ValueError(f'{{"account": "a", "private_key": "{at("json")}", "client_secret": "{at("client secret")}"}}'),
        KeyError(f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={at('storage')}==;EndpointSuffix=x"),
        RuntimeError(
            f"GET https://h/api?access_token={at('query')} -> 401; Authorization: Bearer {at('bearer')}abcdefgh"
        ),
        OSError(f"jdbc:sqlserver://h:1433;databaseName=d;user=u;password={at('jdbc')};encrypt=true"),
    ]


def event(canaries: Canaries, kind: str) -> bytes:
    """An OpenLineage event with credentials in the facets that producers put them into."""

    def at(what: str) -> str:
        return canaries(f"{kind}: {what}")

    url = f"jdbc:postgresql://db.example:5432/crm?user=u&password={at('data source')}"
    source = {"dataSource": {"name": url, "uri": url}}
    sql = f"insert into a select * from dblink('password={at('dblink')}') -- pwd={at('sql')}"
    return json.dumps(
        {
            "eventType": "FAIL",
            "eventTime": "2026-03-02T02:14:37.512Z",
            "run": {
                "runId": "r1",
                "facets": {
                    "errorMessage": {"message": f"password={at('message')}", "stackTrace": f"pwd={at('trace')};"},
                    "spark_properties": {"properties": {"spark.hadoop.fs.s3a.secret.key": at("spark property")}},
                    "environment-properties": {"environment-properties": {"DB_PASSWORD": at("environment")}},
                    "processing_engine": {"name": f"spark --conf a.password={at('arguments')}"},
                },
            },
            "job": {
                "namespace": "flows",
                "name": "nightly",
                "facets": {
                    "sql": {"query": sql},
                    "documentation": {"description": f"connects with postgresql://u:{at('documentation')}@h/d"},
                    "sourceCodeLocation": {"url": f"https://x:{at('repository')}@github.com/a/b"},
                    "ownership": {"owners": [{"name": f"https://u:{at('owner')}@h"}]},
                },
            },
            "inputs": [{"namespace": "postgres://db.example:5432", "name": "crm.public.a", "facets": source}],
            "outputs": [
                {
                    "namespace": f"postgres://u:{at('namespace')}@db.example:5432",
                    "name": "crm.public.b",
                    "facets": {**source, "schema": {"fields": [{"name": "a", "description": f"pwd={at('column')}"}]}},
                }
            ],
        }
    ).encode()


def uploads(canaries: Canaries) -> dict[str, bytes]:
    """Path below uploads/ -> a file that somebody wrote credentials into."""

    def at(what: str) -> str:
        return canaries(f"upload: {what}")

    base = Address("postgresql", "h:5432", ("d", "s", "t"), "table")
    sql = statements(canaries)
    records = [
        Dataset(
            address=base, sql=sql["literal"], dialect="postgres", description=f"postgresql://u:{at('description')}@h"
        ),
        Dataset(address=base.at("v"), properties={"connection": f"Server=h;Password={at('property')};"}),
        Process(
            address=Address("airflow", "h", ("dag", "task"), "task"), outputs=(base,), sql=sql["user"], dialect="oracle"
        ),
        Query(address=base, sql=sql["crypt"], dialect="postgres", default_database="d", default_schema="s"),
        Report(address=Address("looker", "h", ("x",), "dashboard"), url=f"https://h/x?token={at('report url')}"),
    ]
    lines = [msgspec.json.encode(record) for record in records]
    lines.append(b'{"kind":"dataset","adress":1,"password":"%s"}' % at("broken record").encode())
    lines.append(b'{"kind":"dataset","dsn":"pwd=%s' % at("broken line").encode())
    atlas = {
        "entities": [
            {
                "typeName": "hookline_dataset",
                "guid": "-1",
                "attributes": {
                    "name": "a",
                    "qualifiedName": "x://a",
                    "description": f"jdbc:mysql://h/d?password={at('atlas description')}",
                    "nonsense": f"AccountKey={at('atlas unknown attribute')}",
                },
            },
            {"typeName": "hookline_process", "attributes": {"qualifiedName": f"https://u:{at('atlas name')}@h/x"}},
        ]
    }
    script = ";\n".join(["-- hookline: dialect=postgres server=h database=d schema=s", *sql.values()])
    return {
        "records/a.jsonl": b"\n".join(lines),
        "records/a.jsonl.gz": gzip.compress(b"\n".join(lines)),
        "openlineage/a.json": event(canaries, "uploaded event"),
        "openlineage/broken.json": event(canaries, "broken event")[:-40],
        "atlas_json/a.json": json.dumps(atlas).encode(),
        "sql_script/a.sql": script.encode(),
        **{
            f"sql_script/{name}.sql": f"-- hookline: dialect=snowflake server=h database=d\n{text}".encode()
            for name, text in sql.items()
        },
    }


# ---- the runs


def command(watch: Watch, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    """A command of `./hookline` on the world's app; what it prints is watched."""
    module = importlib.import_module(COMMANDS[words[0]])
    for name, found in {"app_for": watch.world.app, "settings_for": watch.world.app.settings}.items():
        if hasattr(module, name):
            monkeypatch.setattr(module, name, lambda *_, found=found, **__: found)
    watch.capsys.readouterr()
    with pytest.raises(SystemExit):
        main(list(words))
    printed = watch.capsys.readouterr()
    watch.note(f"output of {' '.join(words)}", printed.out + printed.err)


def look_everywhere(watch: Watch, monkeypatch: pytest.MonkeyPatch, *instances: str) -> None:
    """Everything that a person or a monitor can ask for."""
    app = watch.world.app
    for query in ({}, {"rejected": ""}, *({"of": name} for name in instances)):
        for accept in ("application/json", "text/html"):
            watch.note(f"GET status {query} {accept}", http.status(app, query, accept)[1])
    watch.note("GET health", http.health(app)[1])
    watch.note(
        "repr of the settings", (app.settings, app.settings.instances, app.settings.disabled, app.environ.keys())
    )
    for words in (("status",), ("status", "--json"), ("rejected",), ("check",), ("connectors",)):
        command(watch, monkeypatch, *words)
    for name in instances:
        command(watch, monkeypatch, "check", name)
        command(watch, monkeypatch, "extract", name, "-o", str(watch.world.folder / "extracted"))
        command(watch, monkeypatch, "plan", name)
        command(watch, monkeypatch, "scan", name)
        try:
            watch.note(f"POST scan/{name}", guarded(http.scan)(app, name, full=True)[1:])
        except HooklineError as error:
            watch.note(f"POST scan/{name}", traced(error))
        try:
            source = app.source(name)
            watch.note(f"repr of {name}", (source.settings, source, vars(source)))
        except HooklineError as error:
            watch.note(f"error of {name}", (str(error), repr(error), error.args))


def nowhere(found: list[str]) -> None:
    if found:
        pytest.fail(f"{len(found)} canaries are out:\n" + "\n".join(found), pytrace=False)


def traced(error: BaseException) -> str:
    """What the host writes about a function's error: its traceback and those of its causes."""

    @guarded
    def body() -> None:
        raise error

    try:
        body()
    except HooklineError as shown:
        return "".join(traceback.format_exception(shown)) + repr(shown)
    raise AssertionError("it is raised on")


def test_settings(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    world, canaries = watch.world, Canaries()
    for name in connectors.SOURCES.keys() - {"toy"}:
        settings = settings_with_canaries(name, canaries, world.vault.values)
        world.instances[name.replace("_", "-")] = {"connector": name, "settings": settings, "schedule": world.daily}
    world.system("crm").tables["orders"] = Table("id")
    world.environ |= {
        "HOOKLINE_SECRET_LOCAL": canaries("a secret in the environment"),
        "SOME_PASSWORD": canaries("the environment"),
        "PurviewHook": f"Endpoint=sb://h.example/;SharedAccessKeyName=k;SharedAccessKey={canaries('the hub')}=",
    }
    wrong = canaries("a setting of the wrong type")
    world.instances |= {
        "wrong": {
            "connector": "postgresql",
            "settings": {"host": "h", "port": wrong, "pasword": canaries("a typing error")},
        },
        "names": {"connector": "toy", "settings": {"system": "crm", "password": "${secret:local}"}},
        "typo": {"connector": "toy", "settings": {"system": "crm"}, "shedule": canaries("an unknown key")},
        "inline": {"connector": "toy", "settings": {"system": "crm", "password": canaries("written into the file")}},
    }
    names = [name for name in world.instances if name in world.app.settings.instances]
    assert {"postgresql", "sqlite", "crm", "names", "inline"} <= {*names}
    world.tick()
    world.settle(waits=2)
    look_everywhere(watch, monkeypatch, *names)
    found = canaries.found(watch.everything())
    # what is no Secret shows itself where somebody asks for the settings as such, which nothing does
    nowhere([one for one in found if "the text " not in one or "in repr of " not in one])


def test_a_scan(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    world, canaries = watch.world, Canaries()
    crm = world.system("crm", settings={"system": "crm", "password": "${secret:crm-password}"})
    crm.password = world.vault.values["crm-password"] = canaries("the password in use")
    crm.tables["orders"] = Table("id")
    for name, sql in statements(canaries).items():
        crm.tables[f"view_{name}"] = Table("id", sql=sql)
    world.scan("crm")
    world.settle()
    assert any(entity.type == "postgresql_view" for entity in world.entities())
    look_everywhere(watch, monkeypatch, "crm")
    nowhere(canaries.found(watch.everything()))


def test_errors_of_sources(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    world, canaries = watch.world, Canaries()
    for number, error in enumerate([*errors(canaries), *errors(canaries)]):
        system = world.system(f"crm{number}")
        system.tables["orders"] = Table("id")
        system.error, system.error_at = error, "orders" if number % 2 else ""
        try:
            world.scan(system.name)
        except Exception as raised:
            watch.note("what the host shows", traced(raised))
    world.settle(waits=2)
    world.tick()
    world.later(days=1)
    world.tick()
    world.settle(waits=2)
    assert world.errors
    for number, raised in enumerate(world.errors):
        watch.note(f"what the host shows of error {number}", traced(raised))
    world.errors.clear()
    look_everywhere(watch, monkeypatch, *list(world.systems)[:4])
    assert "the connector failed" in watch.log.getvalue()
    nowhere(canaries.found(watch.everything()))


def test_files_and_events(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    world, canaries = watch.world, Canaries()
    files: list[str] = []
    for path, body in uploads(canaries).items():
        watch.own.add(f"landing/{world.upload(f'uploads/{path}', body)}")
        local = world.folder / "mine" / path
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_bytes(body)
        files.append(str(local))
    command(watch, monkeypatch, "transform", *files)
    command(watch, monkeypatch, "plan", next(file for file in files if file.endswith(".jsonl")))
    command(watch, monkeypatch, "lineage", *(f for f in files if f.endswith(".sql")), "--dialect", "postgres")
    posted = [event(canaries, "posted event"), b"[" + event(canaries, "posted array") + b"]"]
    posted += [gzip.compress(event(canaries, "packed event")), event(canaries, "broken post")[:-30]]
    posted += [json.dumps({"password": canaries("posted object"), "a": [canaries("x").join(("pwd=", ";"))]}).encode()]
    for body in posted:
        watch.note("POST lineage", http.lineage(world.app, body))
    world.settle()
    assert any(blob.startswith("uploads/openlineage/http/") for blob in world.landed())
    assert len(world.entities()) > 10
    look_everywhere(watch, monkeypatch)
    nowhere(canaries.found(watch.everything()))


def test_connections(watch: Watch) -> None:
    """The real clients, with keys that the other side does not know."""
    world, canaries = watch.world, Canaries()
    with running_hubs({"purview-hook": 1}) as hubs:
        environ = {
            "PurviewHook": hubs.connection_string("purview-hook").replace(
                "SharedAccessKey=", f"SharedAccessKey={canaries('hub key')}"
            ),
            "HooklineStorage": _signed(world.azurite, canaries("storage signature")),
        }
        raw = {"purview": {"endpoint": "http://127.0.0.1:1", "auth": "none", "hook": {"hub": "purview-hook"}}}
        azure = Azure(environ, from_mapping(raw, environ, Place()))
        try:
            for act in (azure.hub_description, lambda: azure.container("landing")):
                try:
                    watch.note("a service", repr(act()))
                except HooklineError as error:
                    watch.note("a service", (str(error), repr(error)))
            watch.note("connections", (azure.storage_connection(), azure.hub_connection()))
        finally:
            azure.close()
    assert "sv=" in watch.log.getvalue()
    nowhere(canaries.found(watch.everything()))


def _signed(azurite: Azurite, signature: str) -> str:
    (address,) = re.findall(r"BlobEndpoint=([^;]+)", azurite.connection_string)
    return f"BlobEndpoint={address};SharedAccessSignature=sv=2025-11-05&ss=b&sp=rwlc&se=2099-01-01&sig={signature}%3D"


# ---- the search itself


@pytest.mark.parametrize("surface", ["log", "blob", "packed", "message", "catalogue", "output", "traceback"])
def test_a_canary_that_is_out_is_found(watch: Watch, surface: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world, canaries = watch.world, Canaries()
    secret = canaries("planted on purpose")
    match surface:
        case "log":
            telemetry.get_logger("test").debug("connecting with %s", secret)
        case "blob":
            world._container("rejected").upload_blob("a.jsonl", base64.b64encode(f"xy{secret}".encode()))
        case "packed":
            world.upload("crm/20260101T000000-ab/00000.jsonl.gz", gzip.compress(secret.encode()))
        case "message" | "catalogue":
            crm = world.system("crm")
            crm.tables["orders"] = Table("id", description=f"ask for {secret}")
            world.scan("crm")
            world.settle()
            if surface == "catalogue":
                world.hub.clear()
        case "output":
            world.instances["crm"] = {"connector": "toy", "settings": {"system": "crm"}, "nonsense" + secret: 1}
            command(watch, monkeypatch, "check", "crm")
        case "traceback":
            try:
                raise ValueError(secret)
            except ValueError:
                logging.getLogger("worker").exception("broken")
    found = canaries.found(watch.everything())
    assert found
    assert all(one.startswith("planted on purpose in ") for one in found)
