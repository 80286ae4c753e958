"""The local trigger host, running a small app on real Azurite and the Event Hubs stand-in."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.core.exceptions import ResourceExistsError
from azure.eventhub import EventData, EventHubProducerClient
from azure.storage.blob import BlobServiceClient, ContainerClient
from azure.storage.queue import QueueClient, QueueServiceClient

from local.azurite import Azurite
from local.event_hubs import EventHubs, running
from local.trigger_host.__main__ import read_settings
from local.trigger_host.host_json import read_host_json
from shared.errors import SettingsError
from tests.support.azurite import azurite

__all__ = ["azurite"]

ROOT = Path(__file__).parents[2]
SECONDS = 30

APP = """
from __future__ import annotations

import json
import time
from typing import List

import azure.functions as func
from azurefunctions.extensions.bindings.blob import BlobClient

app = func.FunctionApp()
STORAGE = "AzureWebJobsStorage"


@app.queue_trigger(arg_name="message", queue_name="%PREFIX%-work", connection=STORAGE)
@app.queue_output(arg_name="results", queue_name="%PREFIX%-results", connection=STORAGE)
def work(message: func.QueueMessage, results: func.Out[List[str]]) -> None:
    text = message.get_body().decode()
    if text.startswith("fail"):
        raise ValueError("no: " + text)
    if text.startswith("sleep"):
        time.sleep(float(text.split()[1]))
    if text.startswith("once") and message.dequeue_count == 1:
        time.sleep(3600)
    results.set([text.upper(), f"try {message.dequeue_count}"])


@app.blob_trigger(
    arg_name="blob", path="%PREFIX%-landing/in/{name}", connection=STORAGE, source=func.BlobSource.EVENT_GRID
)
@app.queue_output(arg_name="results", queue_name="%PREFIX%-results", connection=STORAGE)
def take(blob: BlobClient, results: func.Out[List[str]]) -> None:
    text = blob.download_blob().readall().decode()
    if text == "bad":
        raise ValueError("bad blob")
    results.set([f"{type(blob).__module__} {blob.blob_name} {text}"])


@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *")
@app.queue_output(arg_name="result", queue_name="%PREFIX%-results", connection=STORAGE)
def yearly(timer: func.TimerRequest, result: func.Out[str]) -> None:
    result.set(f"past due: {timer.past_due}")


@app.timer_trigger(arg_name="timer", schedule="*/2 * * * * *")
def beat(timer: func.TimerRequest) -> None:
    pass


@app.event_hub_message_trigger(
    arg_name="events", connection="Hub", event_hub_name="%HUB%", cardinality=func.Cardinality.MANY
)
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:00")
@app.queue_output(arg_name="results", queue_name="%PREFIX%-results", connection=STORAGE)
def hear(events: List[func.EventHubEvent], results: func.Out[List[str]]) -> None:
    texts = [event.get_body().decode() for event in events]
    if "fail" in texts:
        raise ValueError("bad batch")
    results.set([f"{event.partition_key} {text}" for event, text in zip(events, texts)])


@app.route(route="echo/{name}", methods=["POST"])
def echo(req: func.HttpRequest) -> func.HttpResponse:
    if req.params.get("fail"):
        raise ValueError("broken")
    said = {"name": req.route_params["name"], "query": dict(req.params), "body": req.get_body().decode()}
    return func.HttpResponse(json.dumps(said), status_code=201, mimetype="application/json", headers={"x-kind": "echo"})
"""


class Host:
    """A trigger host process; what it says is in `said`."""

    def __init__(self, folder: Path, settings: dict[str, str], lease: float) -> None:
        (folder / "settings.json").write_text(json.dumps(settings))
        self.prefix = settings["PREFIX"]
        with (folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "local.trigger_host", "--app", str(folder)),
                    *("--settings", str(folder / "settings.json"), "--poll", "0.1", "--lease", str(lease)),
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
            )
        self.said: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.ready = self.wait(lambda line: "port" in line)
        self.url = f"http://127.0.0.1:{self.ready['port']}"
        storage = settings["AzureWebJobsStorage"]
        self.queues = QueueServiceClient.from_connection_string(storage)
        self.blobs = BlobServiceClient.from_connection_string(storage)
        with contextlib.suppress(ResourceExistsError):
            self.queue("results").create_queue()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                with self._changed:
                    self.said.append(json.loads(line))
                    self._changed.notify_all()

    def wait(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first line, said or to come, that is wanted."""
        with self._changed:
            assert self._changed.wait_for(lambda: any(map(wanted, self.said)), SECONDS), self.said
            return next(filter(wanted, self.said))

    def outcomes(self, trigger: str) -> list[tuple[str, int]]:
        return [(line["outcome"], line["attempt"]) for line in self.said if line.get("trigger") == trigger]

    def queue(self, name: str) -> QueueClient:
        return self.queues.get_queue_client(name if name.startswith("webjobs") else f"{self.prefix}-{name}")

    @property
    def landing(self) -> ContainerClient:
        return self.blobs.get_container_client(f"{self.prefix}-landing")

    def send(self, text: str) -> None:
        self.queue("work").send_message(base64.b64encode(text.encode()).decode())

    def taken(self, name: str, until: str) -> list[str]:
        """Take texts from a queue until one contains `until`."""
        texts: list[str] = []
        end = time.monotonic() + SECONDS
        while not any(until in text for text in texts):
            assert time.monotonic() < end, texts
            for message in self.queue(name).receive_messages():
                texts.append(base64.b64decode(message.content).decode())
                self.queue(name).delete_message(message)
            time.sleep(0.05)
        return texts

    def idle(self) -> dict[str, Any]:
        answer: dict[str, Any] = requests.get(f"{self.url}/local/idle", timeout=SECONDS).json()
        return answer

    def wait_idle(self) -> dict[str, Any]:
        end = time.monotonic() + SECONDS
        while not (answer := self.idle())["idle"]:
            assert time.monotonic() < end, answer
            time.sleep(0.05)
        return answer

    def end(self, *, kill: bool = False) -> int:
        (self.process.kill if kill else self.process.terminate)()
        code = self.process.wait(SECONDS)
        self._reader.join(SECONDS)
        self.queues.close()
        self.blobs.close()
        return code


@pytest.fixture(scope="module")
def hubs() -> Iterator[EventHubs]:
    with running({"events": 2}) as server:
        yield server


@pytest.fixture(scope="module")
def start(azurite: Azurite, hubs: EventHubs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Host]]:
    """Start a host; one with the same prefix sees the same queues and containers."""
    hosts: list[Host] = []

    def start(prefix: str, *, lease: float = 30.0, **settings: str) -> Host:
        folder = tmp_path_factory.mktemp("app")
        (folder / "function_app.py").write_text(APP)
        (folder / "host.json").write_text((ROOT / "host.json").read_text())
        hosts.append(
            Host(
                folder,
                {
                    "AzureWebJobsStorage": azurite.connection_string,
                    "Hub": hubs.connection_string(),
                    "HUB": "events",
                    "PREFIX": prefix,
                    "AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:00",
                    **settings,
                },
                lease,
            )
        )
        return hosts[-1]

    yield start
    for host in hosts:
        if host.process.poll() is None:
            host.end(kill=True)


@pytest.fixture(scope="module")
def host(start: Callable[..., Host]) -> Host:
    return start(f"p{uuid.uuid4().hex[:8]}")


def test_ready_names_the_port_and_the_functions(host: Host) -> None:
    assert host.said[0] == host.ready
    assert host.ready["functions"] == ["beat", "echo", "hear", "take", "work", "yearly"]


def test_a_message_runs_the_function_and_its_outputs_are_queued(host: Host) -> None:
    host.send("hello")
    assert host.taken("results", "try 1") == ["HELLO", "try 1"]
    done = host.wait(lambda line: line.get("trigger") == "hello")
    assert (done["function"], done["outcome"], done["error"]) == ("work", "ok", "")


def test_a_message_that_fails_five_times_goes_to_the_poison_queue(host: Host) -> None:
    host.send("fail always")
    poison = host.wait(lambda line: line["outcome"] == "poison" if "outcome" in line else False)
    assert poison["error"] == "ValueError: no: fail always"
    assert host.outcomes("fail always") == [("failed", attempt) for attempt in range(1, 6)]
    assert host.taken("work-poison", "fail") == ["fail always"]
    assert host.wait_idle()["pending"][f"{host.prefix}-work"] == 0


def test_a_message_that_is_not_base64_is_poison_at_once_and_its_neighbour_is_done(host: Host) -> None:
    host.queue("work").send_message("not base64!")
    host.send("neighbour")
    assert "NEIGHBOUR" in host.taken("results", "try 1")
    host.wait(lambda line: line.get("outcome") == "poison" and "not a message" in line["error"])
    assert host.queue("work-poison").peek_messages()[0].content == base64.b64encode(b"not base64!").decode()


def test_each_content_of_a_blob_arrives_once_as_a_blob_client(host: Host) -> None:
    host.landing.upload_blob("elsewhere.txt", b"outside the path of the trigger")
    host.landing.upload_blob("in/a/b c.txt", b"first")
    assert host.taken("results", "first") == ["azure.storage.blob._blob_client in/a/b c.txt first"]
    host.landing.upload_blob("in/a/b c.txt", b"second", overwrite=True)
    assert host.taken("results", "second") == ["azure.storage.blob._blob_client in/a/b c.txt second"]
    host.wait_idle()
    assert host.outcomes(f"{host.prefix}-landing/in/a/b c.txt") == [("ok", 1), ("ok", 1)]


def test_a_blob_that_fails_five_times_is_named_in_the_poison_queue(host: Host) -> None:
    host.landing.upload_blob("in/bad.txt", b"bad")
    host.wait(lambda line: line.get("trigger") == "webjobs-blobtrigger-poison")
    assert host.outcomes(f"{host.prefix}-landing/in/bad.txt") == [("failed", attempt) for attempt in range(1, 6)]
    named = json.loads(host.taken("webjobs-blobtrigger-poison", "bad.txt")[-1])
    assert (named["FunctionId"], named["BlobName"]) == ("Host.Functions.take", "in/bad.txt")
    host.wait_idle()


def test_timers_fire_by_schedule_and_on_demand(host: Host) -> None:
    fired = requests.post(f"{host.url}/local/fire/yearly", timeout=SECONDS)
    assert fired.json() == {"function": "yearly", "outcome": "ok", "error": ""}
    assert host.taken("results", "past due") == ["past due: False"]
    host.wait(lambda line: line.get("function") == "beat")
    unknown = requests.post(f"{host.url}/local/fire/work", timeout=SECONDS)
    assert (unknown.status_code, unknown.json()["timers"]) == (404, ["beat", "yearly"])


def test_http(host: Host) -> None:
    answer = requests.post(f"{host.url}/api/echo/jo?q=1", data=b"body", timeout=SECONDS)
    assert (answer.status_code, answer.headers["x-kind"]) == (201, "echo")
    assert answer.json() == {"name": "jo", "query": {"q": "1"}, "body": "body"}
    assert requests.get(f"{host.url}/api/echo/jo", timeout=SECONDS).status_code == 405
    broken = requests.post(f"{host.url}/api/echo/jo?fail=1", timeout=SECONDS)
    assert (broken.status_code, broken.json()) == (500, {"error": "ValueError: broken"})


def test_event_batches_are_tried_again_by_policy_and_then_passed_over(host: Host, hubs: EventHubs) -> None:
    with EventHubProducerClient.from_connection_string(hubs.connection_string("events")) as producer:
        producer.send_batch([EventData("one"), EventData("two")], partition_key="k")
        assert host.taken("results", "two") == ["k one", "k two"]
        producer.send_batch([EventData("fail")], partition_key="k")
        passed = host.wait(lambda line: line.get("outcome") == "passed over")
        assert host.outcomes(passed["trigger"]) == [("failed", 1), ("failed", 2), ("failed", 3), ("passed over", 3)]
        producer.send_batch([EventData("three")], partition_key="k")
        assert host.taken("results", "three") == ["k three"]
    host.wait_idle()


def test_idle_sees_what_is_at_work(host: Host) -> None:
    assert host.wait_idle()["running"] == []
    host.send("sleep 1")
    answer = host.idle()
    assert not answer["idle"]
    assert host.wait_idle()["pending"][f"{host.prefix}-work"] == 0
    assert "SLEEP 1" in host.taken("results", "try")


def test_a_killed_host_loses_nothing_and_repeats_nothing_that_was_done(
    start: Callable[..., Host], azurite: Azurite
) -> None:
    prefix = f"p{uuid.uuid4().hex[:8]}"
    first = start(prefix, lease=1.0)
    first.landing.upload_blob("in/done.txt", b"done")
    first.wait(lambda line: line.get("function") == "take" and line["outcome"] == "ok")
    first.wait_idle()
    first.send("once")
    while not first.idle()["running"]:
        time.sleep(0.02)
    first.end(kill=True)
    with ContainerClient.from_connection_string(azurite.connection_string, f"{prefix}-landing") as landing:
        landing.upload_blob("in/new.txt", b"new")

    second = start(prefix, lease=1.0)
    assert "try 2" in second.taken("results", "try 2")
    second.wait(lambda line: line.get("trigger") == f"{prefix}-landing/in/new.txt")
    second.wait_idle()
    assert second.outcomes(f"{prefix}-landing/in/done.txt") == []
    assert [line for line in second.said if line.get("function") == "hear"] == []  # checkpoints: nothing is heard twice

    second.send("sleep 0.5")
    while not second.idle()["running"]:
        time.sleep(0.02)
    assert second.end() == 0
    assert ("ok", 1) in second.outcomes("sleep 0.5")  # SIGTERM lets what is at work end


def test_a_function_that_outlives_its_time_limit_is_tried_again(start: Callable[..., Host]) -> None:
    host = start(f"p{uuid.uuid4().hex[:8]}", AzureFunctionsJobHost__functionTimeout="00:00:01")
    host.send("once")
    timeout = host.wait(lambda line: line.get("outcome") == "timeout")
    assert "functionTimeout" in timeout["error"]
    assert "try 2" in host.taken("results", "try 2")
    assert host.end() == 0


@pytest.mark.parametrize(
    ("app", "settings", "said"),
    [
        ("import missing_module\n", {}, "missing_module"),
        (APP, {"PREFIX": "p"}, "the connection AzureWebJobsStorage is not set"),
    ],
    ids=["failing import", "no storage"],
)
def test_what_cannot_start_says_why(tmp_path: Path, app: str, settings: dict[str, str], said: str) -> None:
    (tmp_path / "function_app.py").write_text(app)
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "settings.json").write_text(json.dumps({"Values": settings}))
    done = subprocess.run(
        [sys.executable, "-m", "local.trigger_host", "--app", tmp_path, "--settings", tmp_path / "settings.json"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=SECONDS,
    )
    assert (done.returncode, done.stdout) in ((1, ""), (2, ""))
    assert said in done.stderr
    assert "fix:" in done.stderr


# ---- host.json and settings


def test_host_json_defaults_values_and_overrides(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text(
        '{"version": "2.0", "extensions": {"queues": {"visibilityTimeout": "1.00:00:30"}}}'
    )
    settings = read_host_json(tmp_path, {})
    assert (settings.queue_visibility_timeout, settings.queue_batch, settings.route_prefix) == (86430.0, 16, "api")
    assert settings.function_timeout == 1800.0
    changed = read_host_json(
        tmp_path,
        {
            "AzureFunctionsJobHost__functionTimeout": "-1",
            "AzureFunctionsJobHost__Extensions__Queues__BatchSize": "2",
            "AzureFunctionsJobHost__extensions__queues__visibilityTimeout": "00:00:02.5",
        },
    )
    assert (changed.function_timeout, changed.queue_batch, changed.queue_visibility_timeout) == (None, 2, 2.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ('{"functionTimeout": "soon"}', "functionTimeout is no time span"),
        ('{"extensions": {"queues": {"batchSize": "many"}}}', "extensions.queues.batchSize is no whole number"),
    ],
)
def test_a_wrong_host_json_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "host.json").write_text(text)
    with pytest.raises(SettingsError, match=said):
        read_host_json(tmp_path, {})


@pytest.mark.parametrize("text", ["[]", '{"A": 1}', "{", '{"Values": 3}'])
def test_wrong_settings_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(SettingsError):
        read_settings(tmp_path / "settings.json")
