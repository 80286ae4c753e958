"""`python -m local.faults.storage`: a proxy before Azurite's blob service that answers wrongly, late or not at all.

Requests pass through unchanged, so that their signatures stay valid: a shared key signs the path, the query and the
headers, but not the address (https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key).
`upset` breaks the lease that a request relies on before the request is carried out, as if its time had run out and
storage had given it away; storage itself then says what it says to a lease that is lost.

Prints one JSON line {"url"} when it is ready, and stops on SIGTERM or SIGINT. Faults: local/faults/control.py.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

import urllib3
from azure.core.exceptions import AzureError
from azure.storage.blob import BlobLeaseClient, BlobServiceClient
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from local.faults.control import fault_routes
from local.faults.http import FaultyHttp, HttpFaults, body_of, target_of
from local.serving import serving

HOST = "127.0.0.1"
#: of one hop (RFC 9110, 7.6.1); the rest goes on as it is
_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "proxy-connection"})
_LEASE = "x-ms-lease-id"


class Forward:
    """Everything goes to `upstream` (http://host:port) and its answer back."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._pool = urllib3.PoolManager(maxsize=64, retries=False, timeout=urllib3.Timeout(connect=10, read=120))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await body_of(receive)
        answer = await run_in_threadpool(self._pass_on, scope, body)
        headers = [
            (k.encode("latin-1"), v.encode("latin-1")) for k, v in answer.headers.items() if k.lower() not in _HOP
        ]
        if not any(name.lower() == b"content-length" for name, _ in headers):
            headers.append((b"content-length", str(len(answer.data)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.data})

    def _pass_on(self, scope: Scope, body: bytes) -> urllib3.BaseHTTPResponse:
        given = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        headers = {name: value for name, value in given.items() if name.lower() not in _HOP}
        for implied in ("accept-encoding", "user-agent"):
            headers.setdefault(implied, urllib3.util.SKIP_HEADER)
        return self._pool.request(
            scope["method"],
            self._upstream + target_of(scope),
            body=body or None,
            headers=headers,
            redirect=False,
            decode_content=False,
        )

    def close(self) -> None:
        self._pool.clear()


class LeaseBreaker:
    """Breaks the lease that a request carries. blobs: a client of the storage behind the proxy."""

    def __init__(self, blobs: BlobServiceClient) -> None:
        self._blobs = blobs

    async def __call__(self, scope: Scope, body: bytes) -> bytes:
        if any(name.lower() == _LEASE.encode() for name, _ in scope["headers"]):
            await run_in_threadpool(self._break, target_of(scope).partition("?")[0])
        return body

    def _break(self, path: str) -> None:
        _, _, container, blob = path.split("/", 3)
        client = self._blobs.get_blob_client(container, unquote(blob))
        with contextlib.suppress(AzureError):  # it is gone already
            BlobLeaseClient(client).break_lease(0)


@contextmanager
def running_proxy(connection: str, port: int = 0) -> Iterator[tuple[str, HttpFaults]]:
    """Serve until the block ends: (http://127.0.0.1:PORT, its faults). connection: string of the storage behind it."""
    with contextlib.ExitStack() as stack:
        blobs = stack.enter_context(BlobServiceClient.from_connection_string(connection))
        upstream = urllib3.util.parse_url(blobs.url)
        forward = Forward(f"{upstream.scheme}://{upstream.netloc}")
        stack.callback(forward.close)
        faults = HttpFaults()
        listener = stack.enter_context(socket.create_server((HOST, port)))
        app = Starlette(routes=fault_routes(faults))
        app.mount("/", forward)
        faulty = FaultyHttp(app, faults, before={"upset": LeaseBreaker(blobs)})
        stack.enter_context(serving(faulty, listener, "storage-proxy"))
        yield f"http://{HOST}:{listener.getsockname()[1]}", faults


def through(connection: str, url: str) -> str:
    """A connection string whose blob service is reached through the proxy at `url`."""
    fields = dict(field.partition("=")[::2] for field in connection.split(";") if field)
    path = urllib3.util.parse_url(fields["BlobEndpoint"]).path or ""
    return ";".join(f"{k}={v}" for k, v in {**fields, "BlobEndpoint": url + path}.items()) + ";"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.faults.storage", description="Storage with faults.")
    parser.add_argument("--connection", required=True, help="connection string of the Azurite behind it")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with running_proxy(options.connection) as (url, _):
        sys.stdout.write(json.dumps({"url": url}) + "\n")
        sys.stdout.flush()
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
