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
    that failed is tried again.
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
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self.folder = folder
        self.config = config
        self.environ: dict[str, str] = {}
        self.url = ""
        self.app_url = ""
        #: the port where the Event Hubs stand-in takes commands (local/event_hubs/faults.py)
        self.hub_control = 0
        self._ports = port, app_port
        self._waits = WAITS if waits is None else waits
        self._try_again = try_again
        self._progress = progress or (lambda _: None)
        self._parts: list[Part] = []
        self._azurite: azurite.Azurite | None = None

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
        storage = self.folder / "storage"
        storage.mkdir(parents=True, exist_ok=True)
        home = ROOT / ".hookline"
        azurite.ensure_installed(home, self._progress)
        self._progress("starting Event Hubs stand-in, storage (Azurite)")
        of_hubs = ["--hub", f"{HOOK}:4", "--hub", f"{NOTIFICATIONS}:2", "--consumer-group", "hookline"]
        hubs = self._part("event_hubs", "--port", "0", *of_hubs, "--control", "--data", str(self.folder / "hubs"))
        self._azurite = azurite.start((0, 0, 0), home, location=storage)
        said = hubs.ready()
        connection, self.hub_control = str(said["connection_string"]), int(said["control"])
        self._progress("starting catalogue, function app (Microsoft's azure-functions-runtime)")
        of_catalogue = ["--hub-connection", connection, "--hook", HOOK, "--notifications", NOTIFICATIONS]
        port, app_port = self._ports
        catalogue = self._part(
            "catalogue", "--port", str(port), *of_catalogue, "--data", str(self.folder / "catalogue")
        )
        self.url = str(catalogue.ready()["url"])
        self.environ = self.app_settings(self._azurite.connection_string, connection)
        self._settings = self.folder / "app.settings.json"
        self._settings.write_text(json.dumps(self.environ, indent=1), "utf-8")
        self.start_app(app_port)
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

    def _part(self, name: str, *arguments: str) -> Part:
        part = Part(f"local.{name}", list(arguments), self.folder / "logs")
        self._parts.append(part)
        return part

    def _derived_config(self) -> Path:
        """The user's hookline.yaml, with Purview replaced by the local catalogue and short waits."""
        document = yaml.safe_load(self.config.read_text("utf-8")) or {}
        document["purview"] = self.purview()
        document["limits"] = {**(document.get("limits") or {}), **self._waits}
        target = self.folder / "hookline.yaml"
        target.touch(mode=0o600)  # a password may stand in it, as in the user's
        target.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
        return target

    def purview(self) -> dict[str, Any]:
        """The section `purview` of the settings."""
        return {"endpoint": self.url, "auth": "none", "hook": {"hub": HOOK}}

    def start_app(self, port: int = 0) -> None:
        """Start the function app; again, after `kill_app`."""
        self.app = self._part(
            "trigger_host", "--app", str(ROOT), "--settings", str(self._settings), "--port", str(port), "--lease", LEASE
        )
        self.app_url = f"http://127.0.0.1:{self.app.ready()['port']}"

    def kill_app(self) -> None:
        """End the function app as a crash would, without a word."""
        self.app.process.kill()
        self.app.stop()
        self._parts.remove(self.app)

    def close(self) -> None:
        """Take everything down: the app first, which still writes to the others."""
        while self._parts:
            part = self._parts.pop()
            if part.name != "trigger_host":
                for other in self._parts:
                    other.ask_to_stop()
            part.stop()
        if self._azurite is not None:
            self._azurite.stop()
            self._azurite = None

    # ---- at work

    def watch(self) -> Iterator[dict[str, Any]]:
        """What the app has done since the last call: a dict per execution. Raises StackError when a part has died."""
        for part in self._parts:
            for line in part.said():
                if part is self.app:
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
        answer: dict[str, Any] = self._call("GET", "/local/idle")
        return answer

    def faults(self, **faults: float) -> None:
        """What the catalogue does wrong from now on (local/catalogue/faults.py); nothing named: nothing."""
        requests.post(f"{self.url}/local/faults", json=faults, timeout=ANSWER_SECONDS).raise_for_status()

    def dropped(self, kind: str) -> int:
        """How much the catalogue has dropped: `fault` counts the hook messages that a fault ate."""
        answer = requests.get(f"{self.url}/local/dropped", params={"kind": kind}, timeout=ANSWER_SECONDS)
        return sum(int(found["count"]) for found in answer.json()["value"])

    def _call(self, method: str, path: str) -> Any:
        try:
            answer = requests.request(method, self.app_url + path, timeout=ANSWER_SECONDS)
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
