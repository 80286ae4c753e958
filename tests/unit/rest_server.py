"""A real HTTP server on loopback that answers what a test has told it to, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit


class Request(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


class Reply(NamedTuple):
    """body: JSON, or bytes as they are; None is an empty object.

    status 0 drops the connection without an answer; `cut` promises more bytes than it sends; `hang` never sends.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = MappingProxyType({})
    cut: bool = False
    hang: bool = False


def atlas_error(status: int, code: str, message: str) -> Reply:
    return Reply(status, {"requestId": "r", "errorCode": code, "errorMessage": message})


class RestServer:
    """`replies` are given out in order; then `answer` is asked, which by default gives an empty object."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.replies: list[Reply] = []
        self.answer: Callable[[Request], Reply] = lambda request: Reply()
        self._released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                raw = self.rfile.read(length)
                parts = urlsplit(self.path)
                request = Request(
                    self.command,
                    parts.path,
                    dict(parse_qsl(parts.query, keep_blank_values=True)),
                    dict(self.headers),
                    json.loads(raw) if raw else None,
                )
                outer.requests.append(request)
                reply = outer.replies.pop(0) if outer.replies else outer.answer(request)
                if reply.hang:
                    outer._released.wait(10)
                if reply.status == 0 or reply.hang:
                    self.close_connection = True
                    return
                body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body or {}).encode()
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body) + (100 if reply.cut else 0)))
                self.end_headers()
                self.wfile.write(body)
                if reply.cut:
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_DELETE = _serve

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def paths(self) -> list[str]:
        return [f"{r.method} {r.path.removeprefix('/datamap/api/atlas/v2/')}" for r in self.requests]
