"""Everything up on this machine: Azurite, Event Hubs stand-in, catalogue, and the function app under the trigger host.

Each is a process of its own, as in Azure, so that any of them can be killed. What they write lies below one folder;
their logs too. The app's settings are those of the user with the `purview` section pointed at the stand-ins.

    with Stack(Path(".hookline/run"), Path("hookline.yaml")) as stack:
        stack.fire("schedule")
        for done in stack.watch(): ...
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
import yaml

from local import azurite
from local.part import Part, StackError
from local.running import SETTINGS

ROOT = Path(__file__).parents[1]
HOOK, NOTIFICATIONS = "purview-hook", "purview-notifications"
#: what takes minutes or hours in Azure takes seconds here
WAITS = {"ask_after_seconds": 2, "overdue_after_seconds": 15, "sweep_after_seconds": 10}
SWEEP = "*/3 * * * * *"
#: a message of a process that was killed reappears after so many seconds
LEASE = "6"
#: a queue message that failed is tried again after so long
TRY_AGAIN = "00:00:02"
VISIBILITY = "AzureFunctionsJobHost__extensions__queues__visibilityTimeout"
ANSWER_SECONDS = 60


class Stack(AbstractContextManager["Stack"]):
    """The local stack over one folder. `environ` is what the app (and the command line) needs to work with it.

    port: of the catalogue; app_port: of the function app's HTTP endpoints; 0 for any free one.
    waits: instead of the product's `limits` of the same names; default WAITS. try_again: after so long a queue message
    that failed is tried again. workers: function apps that work on the same queues and hubs, as where Azure scales out;
    host: the module below `local` that runs one.
    """

    def __init__(
        self,
        folder: Path,
        config: Path,
        *,
        port: int = 0,
        app_port: int = 0,
        waits: dict[str, int] | None = None,
        try_again: str = TRY_AGAIN,
        workers: int = 1,
        host: str = "trigger_host",
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self.folder = folder
        self.config = config
        self.environ: dict[str, str] = {}
        self.url = ""
        #: the port where the Event Hubs stand-in takes commands (local/event_hubs/faults.py)
        self.hub_control = 0
        self._app_urls: dict[int, str] = {}
        self._ports = port, app_port
        self._waits = WAITS if waits is None else waits
        self._try_again = try_again
        self._progress = progress or (lambda _: None)
        self._host = host
        self._hubs: Part | None = None
        self._catalogue: Part | None = None
        self.apps: list[Part | None] = [None] * workers
        self._azurite: azurite.Azurite | None = None
        #: what parts had said before they were killed
        self._said: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- up and down

    def _start(self) -> None:
        (self.folder / "storage").mkdir(parents=True, exist_ok=True)
        azurite.ensure_installed(ROOT / ".hookline", self._progress)
        self._progress("starting Event Hubs stand-in, storage (Azurite)")
        port, app_port = self._ports
        self._hub_port, self._catalogue_port, self._storage_ports = 0, port, (0, 0, 0)
        self._start_hubs()
        self._start_storage()
        assert self._azurite is not None
        self._progress("starting catalogue, function app (Microsoft's azure-functions-runtime)")
        self._start_catalogue()
        self.environ = self.app_settings(self._azurite.connection_string, self._connection)
        self._settings = self.folder / "app.settings.json"
        self._settings.write_text(json.dumps(self.environ, indent=1), "utf-8")
        for number in range(len(self.apps)):
            self._start_app(number, app_port if number == 0 else 0)
        for number in range(len(self.apps)):
            self.await_app(number)
        (self.folder / SETTINGS).write_text(json.dumps(self.environ, indent=1), "utf-8")

    def app_settings(self, storage: str, connection: str) -> dict[str, str]:
        """What the app is told of where everything is. storage, connection: of Azurite and of the hubs."""
        return {
            "HOOKLINE_CONFIG": str(self._derived_config()),
            "HooklineStorage": storage,
            "AzureWebJobsStorage": storage,
            "PurviewHook": connection,
            "HooklineNotifications": connection,
            "HOOKLINE_NOTIFICATIONS_HUB": NOTIFICATIONS,
            "HOOKLINE_NOTIFICATIONS_GROUP": "hookline",
            "HOOKLINE_SWEEP": SWEEP,
            VISIBILITY: self._try_again,
        }

    def _part(self, name: str, *arguments: str, log: str = "") -> Part:
        return Part(f"local.{name}", list(arguments), self.folder / "logs", log=log)

    def _start_hubs(self) -> None:
        of_hubs = ["--hub", f"{HOOK}:4", "--hub", f"{NOTIFICATIONS}:2", "--consumer-group", "hookline"]
        kept = ["--control", "--data", str(self.folder / "hubs")]
        self._hubs = self._part("event_hubs", "--port", str(self._hub_port), *of_hubs, *kept)
        ready = self._hubs.ready()
        self._hub_port, self._connection = int(ready["port"]), str(ready["connection_string"])
        self.hub_control = int(ready["control"])

    def _start_catalogue(self) -> None:
        of_catalogue = ["--hub-connection", self._connection, "--hook", HOOK, "--notifications", NOTIFICATIONS]
        self._catalogue = self._part(
            "catalogue", "--port", str(self._catalogue_port), *of_catalogue, "--data", str(self.folder / "catalogue")
        )
        ready = self._catalogue.ready()
        self._catalogue_port, self.url = int(ready["port"]), str(ready["url"])

    def _start_storage(self) -> None:
        home = ROOT / ".hookline"
        self._azurite = started = azurite.start(self._storage_ports, home, location=self.folder / "storage")
        blob, queue, table = (int(url.rpartition(":")[2]) for url in (started.blob, started.queue, started.table))
        self._storage_ports = blob, queue, table

    def document(self) -> dict[str, Any]:
        """The user's hookline.yaml, with Purview replaced by the local catalogue and short waits."""
        found: dict[str, Any] = yaml.safe_load(self.config.read_text("utf-8")) or {}
        purview = {"endpoint": self.url, "auth": "none", "hook": {"hub": HOOK}}
        return {**found, "purview": purview, "limits": {**(found.get("limits") or {}), **self._waits}}

    def _derived_config(self) -> Path:
        target = self.folder / "hookline.yaml"
        target.touch(mode=0o600)  # a password may stand in it, as in the user's
        target.write_text(yaml.safe_dump(self.document(), sort_keys=False), "utf-8")
        return target

    @property
    def app(self) -> Part:
        """The first function app."""
        assert self.apps[0] is not None
        return self.apps[0]

    @property
    def app_url(self) -> str:
        """Where the first function app that runs answers."""
        return next(iter(self._app_urls.values()), "")

    def _start_app(self, number: int, port: int = 0) -> None:
        arguments = ["--app", str(ROOT), "--settings", str(self._settings), "--port", str(port), "--lease", LEASE]
        self.apps[number] = self._part(self._host, *arguments, log=f"trigger_host{number + 1 if number else ''}")

    def await_app(self, number: int) -> None:
        """Until it is ready."""
        app = self.apps[number]
        assert app is not None
        self._app_urls[number] = f"http://127.0.0.1:{app.ready()['port']}"

    def start_app(self, number: int = 0, *, wait: bool = True) -> None:
        """Start a function app again, after `kill_app`; without `wait`, call `await_app` before it is killed anew."""
        self._start_app(number)
        if wait:
            self.await_app(number)

    def restart_app(self, number: int = 0) -> None:
        """End a function app in peace and start it again, with the settings as they are by now."""
        self._derived_config()
        app = self.apps[number]
        assert app is not None
        app.stop()
        self._said += app.left()
        self.start_app(number)

    def kill_app(self, number: int = 0) -> None:
        """End a function app as a crash would, without a word."""
        self._app_urls.pop(number, None)
        self._kill(self.apps[number])
        self.apps[number] = None

    def kill_catalogue(self) -> None:
        """End the catalogue as a crash would, and start it again; its faults are forgotten."""
        self._kill(self._catalogue)
        self._start_catalogue()

    def kill_hubs(self) -> None:
        """End the Event Hubs stand-in as a crash would, and start it again at the same port."""
        self._kill(self._hubs)
        self._start_hubs()

    def restart_storage(self) -> None:
        """End storage in order, and start it again at the same ports.

        In order, because Azurite writes its index down every five seconds: killed, it forgets what it has acknowledged.
        """
        assert self._azurite is not None
        self._azurite.stop()
        self._start_storage()

    def _kill(self, part: Part | None) -> None:
        assert part is not None
        part.process.kill()
        part.stop()
        self._said += part.left()

    @property
    def _parts(self) -> list[Part]:
        """In the order in which they are needed by the next."""
        return [part for part in (self._hubs, self._catalogue, *self.apps) if part is not None]

    def close(self) -> None:
        """Take everything down: the apps first, which still write to the others."""
        apps = [app for app in self.apps if app is not None]
        for group in (apps, [part for part in self._parts if part not in apps]):
            for part in group:
                part.ask_to_stop()
            for part in reversed(group):
                part.stop()
        self.apps, self._hubs, self._catalogue = [None] * len(self.apps), None, None
        if self._azurite is not None:
            self._azurite.stop()
            self._azurite = None

    # ---- at work

    def watch(self) -> Iterator[dict[str, Any]]:
        """What the app has done since the last call: a dict per execution. Raises StackError when a part has died."""
        said, self._said = self._said, []
        yield from said
        starting = [app for number, app in enumerate(self.apps) if number not in self._app_urls]
        for part in self._parts:
            if part not in starting:
                for line in part.said():
                    if part in self.apps:
                        yield line
        if self._azurite is not None and self._azurite.process.poll() is not None:
            raise StackError(
                "storage (Azurite) has stopped", fix=f"start it again, or begin anew without {self.folder}"
            )

    def fire(self, timer: str) -> None:
        """Let a timer (`schedule`, `sweep`) fire now, and wait until its function has run."""
        self._call("POST", f"/local/fire/{timer}")

    def idle(self) -> dict[str, Any]:
        """{idle, running, pending, poison, unknown}; idle: nothing is at work and nothing waits in a queue."""
        answers: list[dict[str, Any]] = [self._call("GET", "/local/idle", url) for url in self._app_urls.values()]
        both = answers[0]
        for answer in answers[1:]:
            both["idle"] = both["idle"] and answer["idle"]
            both["running"] += answer["running"]
            both["unknown"] += answer["unknown"]
            for hub, unread in answer["pending"].items():
                both["pending"][hub] = max(unread, both["pending"].get(hub, 0))
        return both

    def faults(self, **faults: float) -> None:
        """What the catalogue does wrong from now on (local/catalogue/faults.py); nothing named: nothing."""
        requests.post(f"{self.url}/local/faults", json=faults, timeout=ANSWER_SECONDS).raise_for_status()

    def dropped(self, kind: str) -> int:
        """How much the catalogue has dropped: `fault` counts the hook messages that a fault ate."""
        answer = requests.get(f"{self.url}/local/dropped", params={"kind": kind}, timeout=ANSWER_SECONDS)
        return sum(int(found["count"]) for found in answer.json()["value"])

    def _call(self, method: str, path: str, url: str = "") -> Any:
        try:
            answer = requests.request(method, (url or self.app_url) + path, timeout=ANSWER_SECONDS)
            answer.raise_for_status()
        except requests.RequestException as error:
            for part in self._parts:
                list(part.said())
            raise StackError(
                f"the function app does not answer: {type(error).__name__}",
                where=str(self.app.log),
                fix=f"the log tells more; start it again, or begin anew without {self.folder}",
            ) from None
        return answer.json()
