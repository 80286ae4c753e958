"""The catalogue put together: store, REST, page, and the two ends on Event Hubs.

with running_catalogue(data_dir) as running:
    requests.get(running.url + "/datamap/api/atlas/v2/types/typedefs")
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from local.catalogue import pages, rest
from local.catalogue.catalogue import Catalogue
from local.catalogue.consumer import HookConsumer, Notifier
from local.catalogue.faults import Injector, half, words
from local.catalogue.store import Store
from local.faults.http import FaultyHttp
from local.serving import serving

HOST = "127.0.0.1"


class Running(msgspec.Struct, frozen=True):
    """A catalogue that listens; port as bound."""

    port: int
    url: str
    catalogue: Catalogue
    faults: Injector


def application(catalogue: Catalogue, faults: Injector) -> Starlette:
    """Only names of this machine are answered, so that a web page elsewhere cannot reach it by DNS rebinding."""
    return Starlette(
        routes=[*rest.routes(rest.Api(catalogue, faults)), *pages.routes(catalogue)],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]),
            Middleware(FaultyHttp, faults.http, before={"half": half}, words=words),
        ],
    )


@contextmanager
def running_catalogue(
    data: Path,
    *,
    port: int = 0,
    hub_connection: str = "",
    hook: str = "purview-hook",
    notifications: str = "purview-notifications",
    consumer_group: str = "$Default",
) -> Iterator[Running]:
    """Serve from `data` until the block ends. Without `hub_connection` it has REST and page only.

    notifications: hub name, empty for none. Raises OSError when the port is taken.
    """
    with ExitStack() as stack:
        store = Store(data / "catalogue.db")
        stack.callback(store.close)
        catalogue = Catalogue(store, notify=bool(hub_connection and notifications))
        faults = Injector()
        listener = stack.enter_context(socket.create_server((HOST, port)))
        bound = listener.getsockname()[1]
        stack.enter_context(serving(application(catalogue, faults), listener, "catalogue-http"))
        if hub_connection and notifications:
            notifier = Notifier(catalogue, hub_connection, notifications)
            notifier.start()
            stack.callback(notifier.close)
        if hub_connection:
            consumer = HookConsumer(catalogue, hub_connection, hook, consumer_group, faults)
            consumer.start()
            stack.callback(consumer.close)
        yield Running(bound, f"http://{HOST}:{bound}", catalogue, faults)
