"""The secrets of the stand-in, each with its versions, and the REST calls over them.

Shapes: https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret (GET), set-secret (PUT); errors are
{"error": {"code", "message"}}. A request without a token is answered with a challenge, as the service does
(https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses).
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TENANT = "11111111-2222-3333-4444-555555555555"


class Version(msgspec.Struct, frozen=True):
    """One version of a secret."""

    id: str
    value: str
    created: int
    enabled: bool = True


class Vault:
    """name -> versions, the last one current; safe to use from any thread. `reads` counts the secrets given out."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._lock = threading.Lock()
        self._secrets: dict[str, list[Version]] = {}
        self.reads = 0
        for name, value in (values or {}).items():
            self.set(name, value)

    def set(self, name: str, value: str, *, enabled: bool = True) -> Version:
        """A new version."""
        version = Version(secrets.token_hex(16), value, int(time.time()), enabled)
        with self._lock:
            self._secrets.setdefault(name.lower(), []).append(version)
        return version

    def remove(self, name: str) -> None:
        with self._lock:
            self._secrets.pop(name.lower(), None)

    def get(self, name: str, version: str = "") -> Version | None:
        """The current version, or the one named."""
        with self._lock:
            found = [v for v in self._secrets.get(name.lower(), []) if version in ("", v.id)]
            self.reads += bool(found)
        return found[-1] if found else None


def answered(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")


def refused(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return answered({"error": {"code": code, "message": message}}, status, headers)


def routes(vault: Vault, base: str) -> list[Route]:
    """The calls. base: https://127.0.0.1:PORT."""
    challenge = {
        # The client asks that the vault's host lies below the resource's domain, as contoso.vault.azure.net lies below
        # vault.azure.net; 127.0.0.1 lies below 0.0.1.
        "WWW-Authenticate": f'Bearer authorization="{base}/{TENANT}", resource="{base.replace("127.0.0.1", "0.0.1")}"'
    }

    def unsigned(request: Request) -> Response | None:
        if request.headers.get("authorization", "").startswith("Bearer "):
            return None
        return refused(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.", challenge)

    def get(request: Request) -> Response:
        if no := unsigned(request):
            return no
        name, wanted = request.path_params["name"], request.path_params.get("version", "")
        version = vault.get(name, wanted)
        if version is None:
            return refused(404, "SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault.")
        if not version.enabled:
            return refused(403, "Forbidden", "Operation get is not allowed on a disabled secret.")
        return answered(_bundle(base, name, version))

    async def put(request: Request) -> Response:
        if no := unsigned(request):
            return no
        body = msgspec.json.decode(await request.body())
        name = request.path_params["name"]
        enabled = (body.get("attributes") or {}).get("enabled", True)
        return answered(_bundle(base, name, vault.set(name, str(body["value"]), enabled=enabled)))

    return [
        Route("/secrets/{name}", get, methods=["GET"]),
        Route("/secrets/{name}/", get, methods=["GET"]),
        Route("/secrets/{name}/{version}", get, methods=["GET"]),
        Route("/secrets/{name}", put, methods=["PUT"]),
    ]


def _bundle(base: str, name: str, version: Version) -> dict[str, Any]:
    attributes = {"enabled": version.enabled, "created": version.created, "updated": version.created}
    return {
        "value": version.value,
        "id": f"{base}/secrets/{name}/{version.id}",
        "attributes": {**attributes, "recoveryLevel": "Recoverable"},
    }
