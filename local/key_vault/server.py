"""The stand-in put together: the vault over TLS, and beside it, without TLS, the identity endpoint of an Azure app.

    with running_key_vault(tmp_path, {"crm-password": "opensesame"}) as running:
        running.url          # for secrets.key_vault in hookline.yaml
        running.environ      # app settings and environment with which the unmodified product signs in to it
        running.vault.set("crm-password", "changed")
        running.faults.set([HttpFault("answer", status=403, code="Forbidden", times=3)])

The identity endpoint speaks the protocol of App Service (api-version 2019-08-01), which DefaultAzureCredential and
ManagedIdentityCredential follow when IDENTITY_ENDPOINT and IDENTITY_HEADER are set
(https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference). Anybody who asks on
the loopback gets a token that means nothing. `/local/secrets` and `/local/http-faults` there serve other processes.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.faults.control import fault_routes
from local.faults.http import FaultyHttp, HttpFaults
from local.key_vault import certificate
from local.key_vault.vault import Vault, answered, refused, routes
from local.serving import serving

HOST = certificate.HOST
#: as long as a managed identity's tokens last at least
TOKEN_SECONDS = 24 * 3600


class Running(msgspec.Struct, frozen=True):
    """A vault that listens. control: address of `/local/...`; environ: see the module."""

    url: str
    control: str
    environ: dict[str, str]
    certificate: Path
    vault: Vault
    faults: HttpFaults


@contextmanager
def running_key_vault(folder: Path, values: Mapping[str, str] | None = None) -> Iterator[Running]:
    """Serve until the block ends. folder: where its certificate is put. Raises OSError."""
    files = certificate.make(folder)
    vault, faults = Vault(values), HttpFaults()
    with ExitStack() as stack:
        tls, plain = (stack.enter_context(socket.create_server((HOST, 0))) for _ in range(2))
        url = f"https://{HOST}:{tls.getsockname()[1]}"
        control = f"http://{HOST}:{plain.getsockname()[1]}"
        word = secrets.token_hex(8)
        served = FaultyHttp(Starlette(routes=routes(vault, url)), faults, words=_words)
        stack.enter_context(serving(served, tls, "key-vault", tls=files))
        beside = [*_identity_routes(word), *_local_routes(vault), *fault_routes(faults)]
        stack.enter_context(serving(Starlette(routes=beside), plain, "identity"))
        environ = {
            "IDENTITY_ENDPOINT": f"{control}/msi/token",
            "IDENTITY_HEADER": word,
            "REQUESTS_CA_BUNDLE": str(files.certificate),
        }
        yield Running(url, control, environ, files.certificate, vault, faults)


def _words(status: int, code: str) -> tuple[str, bytes]:
    answer = refused(status, code or "InternalError", "a fault injected on purpose")
    return "application/json", bytes(answer.body)


def _identity_routes(word: str) -> list[Route]:
    def token(request: Request) -> Response:
        if not secrets.compare_digest(request.headers.get("x-identity-header", ""), word):
            return answered({"statusCode": 401, "message": "the header X-IDENTITY-HEADER is missing or wrong"}, 401)
        given: dict[str, Any] = {
            "access_token": secrets.token_hex(16),
            "expires_on": str(int(time.time()) + TOKEN_SECONDS),
            "resource": request.query_params.get("resource", ""),
            "token_type": "Bearer",
        }
        return answered(given)

    return [Route("/msi/token", token, methods=["GET"])]


def _local_routes(vault: Vault) -> list[Route]:
    async def put(request: Request) -> Response:
        values = msgspec.json.decode(await request.body(), type=dict[str, str])
        for name, value in values.items():
            vault.set(name, value)
        return answered({"ok": True})

    return [Route("/local/secrets", put, methods=["POST"])]
