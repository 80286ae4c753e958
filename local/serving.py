"""An ASGI application on a listening socket, in a thread of this process."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

#: for requests that are at work when it stops
GRACE_SECONDS = 5


@contextmanager
def serving(
    app: ASGIApp, listener: socket.socket, name: str, *, tls: tuple[Path, Path] | None = None
) -> Iterator[None]:
    """Serve until the block ends; connections wait in the listener's queue until it is up.

    name: of the thread. tls: certificate and key, in PEM files.
    """
    opened: set[asyncio.BaseTransport] = set()

    class Protocol(H11Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            opened.add(transport)
            super().connection_made(transport)  # type: ignore[arg-type]

        def connection_lost(self, exc: Exception | None) -> None:
            opened.discard(self.transport)
            super().connection_lost(exc)

    config = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        http=Protocol,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_certfile=tls[0] if tls else None,
        ssl_keyfile=tls[1] if tls else None,
    )
    server = uvicorn.Server(config)

    async def serve() -> None:
        await server.serve(sockets=[listener])
        for transport in tuple(opened):  # one with TLS waits for its peer's goodbye otherwise
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()
        while opened:
            await asyncio.sleep(0)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=30)
