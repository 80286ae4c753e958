"""The local stack with a Key Vault, a proxy before storage, and a hand on everything that can go wrong in it."""

from __future__ import annotations

import json
import socket
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import msgspec
import requests

from local.event_hubs.faults import Fault as HubFault
from local.faults.control import PATH
from local.faults.estate import SECRET, Remote
from local.faults.http import HttpFault
from local.faults.storage import through
from local.part import Part
from local.stack import Stack

#: what the app sends over: Event Hubs, or Purview's REST API
Sink = Literal["hub", "rest"]
CONTROL_SECONDS = 30
#: the app's patience with a call, and how long a secret is used; short, so that a row of the matrix takes a minute
ANSWER_SECONDS, TTL = 3, "1s"
#: a sweep that comes more often than everybody gets its answer would leave no moment in which nothing is at work
SWEEP = "*/10 * * * * *"
#: REST is not slowed down: the matrix is about faults, not about pace
OPERATIONS = 500


class Faulty(msgspec.Struct, frozen=True):
    """What goes wrong. cuts: connections of the source that break, after so many bytes each."""

    hub: tuple[HubFault, ...] = ()
    rest: tuple[HttpFault, ...] = ()
    storage: tuple[HttpFault, ...] = ()
    vault: tuple[HttpFault, ...] = ()
    cuts: tuple[int, ...] = ()


class FaultyStack(Stack):
    """`inject` and `relent` set and end faults; `environ` is the app's, `direct` the same without the proxy."""

    def __init__(self, folder: Path, config: Path, remote: Remote | None, password: str, **options: Any) -> None:
        super().__init__(folder, config, **options)
        self._remote = remote
        self._password = password
        self._sink: Sink = "hub"
        self._storage_url = self._vault_url = self._vault_control = ""
        self._beside: list[Part] = []
        self.direct: dict[str, str] = {}

    @property
    def _parts(self) -> list[Part]:
        return [*self._beside, *super()._parts]

    def app_settings(self, storage: str, connection: str) -> dict[str, str]:
        proxy = self._part("faults.storage", "--connection", storage)
        vault = self._part("key_vault", "--folder", str(self.folder / "vault"))
        self._beside = [proxy, vault]
        self._storage_url = str(proxy.ready()["url"])
        said = vault.ready()
        self._vault_url, self._vault_control = str(said["url"]), str(said["control"])
        secrets = {SECRET: self._password}
        requests.post(f"{self._vault_control}/local/secrets", json=secrets, timeout=CONTROL_SECONDS).raise_for_status()
        self.direct = super().app_settings(storage, connection)
        faulty = through(storage, self._storage_url)
        return {**self.direct, **said["environ"], "HooklineStorage": faulty, "HOOKLINE_SWEEP": SWEEP}

    def document(self) -> dict[str, Any]:
        found = super().document()
        found["secrets"] = {"key_vault": self._vault_url, "ttl": TTL}
        found["limits"] |= {"answer_seconds": ANSWER_SECONDS, "operations_per_second": OPERATIONS}
        if self._sink == "rest":
            del found["purview"]["hook"]
        return found

    def use(self, sink: Sink) -> None:
        """Send over this from now on; the app is started anew when that is a change."""
        if sink != self._sink:
            self._sink = sink
            self.restart_app()

    def inject(self, faults: Faulty) -> None:
        """These and no others, from now on."""
        self._command({"clear": True}, *({"add": msgspec.to_builtins(fault)} for fault in faults.hub))
        self._hub_hits = self._count_hub()
        for url, wanted in self._http(faults):
            self._post(url, wanted)
        if self._remote is not None:
            self._remote.wire.cut(faults.cuts)

    def relent(self) -> Counter[str]:
        """End all faults; how often each has struck, by service and kind."""
        self._command({"clear": True})
        found = self._count_hub() - self._hub_hits
        for url, _ in self._http(Faulty()):
            service = {self._storage_url: "storage", self._vault_control: "key vault"}.get(url, "purview")
            found.update({f"{service}: {kind}": count for kind, count in self._post(url, ()).items()})
        if self._remote is not None:
            if self._remote.wire.hits:
                found["source: cut"] = self._remote.wire.hits
            self._remote.wire.cut(())
        return found

    def _http(self, faults: Faulty) -> tuple[tuple[str, tuple[HttpFault, ...]], ...]:
        return (
            (self.url, faults.rest),
            (self._storage_url, faults.storage),
            (self._vault_control, faults.vault),
        )

    def _post(self, url: str, faults: tuple[HttpFault, ...]) -> dict[str, int]:
        answer = requests.post(url + PATH, data=msgspec.json.encode(faults), timeout=CONTROL_SECONDS)
        answer.raise_for_status()
        hits: dict[str, int] = answer.json()
        return hits

    def _count_hub(self) -> Counter[str]:
        (stats,) = self._command({"stats": True})
        prefix = "fault_hits."
        return Counter(
            {f"event hubs: {k.removeprefix(prefix)}": int(v) for k, v in stats.items() if k.startswith(prefix)}
        )

    def _command(self, *commands: dict[str, Any]) -> list[dict[str, Any]]:
        with socket.create_connection(("127.0.0.1", self.hub_control), CONTROL_SECONDS) as control:
            control.sendall(b"".join(json.dumps(command).encode() + b"\n" for command in commands))
            with control.makefile("rb") as lines:
                return [json.loads(lines.readline()) for _ in commands]
