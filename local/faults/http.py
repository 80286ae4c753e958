"""Faults on purpose of a service that speaks HTTP: between the server and the application that stands in for it.

    kind      what a client meets                                       the request is
    answer    `status`, with `code` and Retry-After                     not carried out
    spoil     the same                                                  carried out
    half      the same                                                  carried out in part, as the application says
    drop      the connection breaks                                     not carried out
    lose      the connection breaks                                     carried out
    slow      the right answer, `delay` seconds later                   carried out
    upset     what comes of it, after the application did something     carried out

`slow` with a delay beyond the client's patience is a time-out after the write. A fault strikes requests whose method is
in `methods` (all when empty) and whose `path?query` contains a match of the regular expression `path`, and of them
`percent`, chosen by `seed`. `header`: only requests that carry it. It ends after `times` hits or `seconds`, whichever
comes first; without either it stays. Of several faults the one named first wins.
"""

from __future__ import annotations

import asyncio
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Kind = Literal["answer", "spoil", "half", "drop", "lose", "slow", "upset"]
#: rewrites what is carried out, or does something before: (scope, body) -> body
Before = Callable[[Scope, bytes], Awaitable[bytes]]
#: the body of an answered fault: (status, code) -> content type, bytes
Words = Callable[[int, str], tuple[str, bytes]]

_CARRIED_OUT = ("spoil", "half", "lose", "slow", "upset")


class HttpFault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """See the module's table. Times in seconds."""

    kind: Kind
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 503
    code: str = ""
    retry_after: Annotated[int, msgspec.Meta(ge=0)] = 0
    delay: Annotated[float, msgspec.Meta(ge=0, le=600)] = 0.0
    methods: tuple[str, ...] = ()
    path: str = ""
    header: str = ""
    percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 100.0
    seed: int = 0
    times: Annotated[int, msgspec.Meta(ge=1)] | None = None
    seconds: Annotated[float, msgspec.Meta(gt=0)] | None = None

    def __post_init__(self) -> None:
        try:
            re.compile(self.path)
        except re.error as error:
            raise ValueError(f"path is no regular expression: {error}") from None

    @property
    def name(self) -> str:
        """How its hits are counted: `answer 503`, `drop`."""
        return f"{self.kind} {self.status}" if self.kind in ("answer", "spoil", "half") else self.kind


class _Active:
    def __init__(self, fault: HttpFault) -> None:
        self.fault = fault
        self.left = fault.times
        self.until = None if fault.seconds is None else time.monotonic() + fault.seconds
        self._path = re.compile(fault.path)
        self._chance = random.Random(fault.seed)  # noqa: S311 - reproducible on purpose

    def strikes(self, method: str, target: str, headers: Iterable[str]) -> bool:
        fault = self.fault
        if self.left == 0 or (self.until is not None and time.monotonic() >= self.until):
            return False
        if fault.methods and method not in fault.methods:
            return False
        if not self._path.search(target) or (fault.header and fault.header.lower() not in headers):
            return False
        return fault.percent >= 100 or self._chance.random() * 100 < fault.percent


class HttpFaults:
    """The faults in force, and how often each kind has struck; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: list[_Active] = []
        self.hits: Counter[str] = Counter()

    def set(self, faults: Iterable[HttpFault]) -> None:
        """These, and no others, from now on; hits are counted anew."""
        active = [_Active(fault) for fault in faults]
        with self._lock:
            self._active = active
            self.hits = Counter()

    def hit(self, method: str, target: str, headers: Iterable[str] = ()) -> HttpFault | None:
        """The fault that strikes this request, counted as a hit. headers: names in lower case."""
        if not self._active:
            return None
        with self._lock:
            for active in self._active:
                if active.strikes(method, target, headers):
                    if active.left is not None:
                        active.left -= 1
                    self.hits[active.fault.name] += 1
                    return active.fault
        return None


class FaultyHttp:
    """The application with faults before it.

    before: what `half` and `upset` mean to this application. words: the body of an error, default none. spare: paths
    that no fault strikes.
    """

    def __init__(
        self,
        app: ASGIApp,
        faults: HttpFaults,
        *,
        before: Mapping[str, Before] | None = None,
        words: Words = lambda _, __: ("text/plain", b""),
        spare: str = "/local/",
    ) -> None:
        self._app = app
        self._faults = faults
        self._before = dict(before or {})
        self._words = words
        self._spare = spare

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = target_of(scope) if scope["type"] == "http" else ""
        if not path or path.startswith(self._spare):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower() for name, _ in scope["headers"]}
        fault = self._faults.hit(scope["method"], path, headers)
        if fault is None:
            await self._app(scope, receive, send)
            return
        body = await body_of(receive)
        if fault.kind in self._before:
            body = await self._before[fault.kind](scope, body)
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        if fault.kind in _CARRIED_OUT:
            await self._app(scope, _given(body), keep)
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.kind in ("slow", "upset"):
            for message in answer:
                await send(message)
        elif fault.kind in ("drop", "lose"):
            _break(receive)
        else:
            await self._say(fault, send)

    async def _say(self, fault: HttpFault, send: Send) -> None:
        kind, body = self._words(fault.status, fault.code)
        headers = {"content-type": kind, "content-length": str(len(body))}
        if fault.code:
            headers["x-ms-error-code"] = fault.code
        if fault.retry_after:
            headers["retry-after"] = str(fault.retry_after)
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": fault.status, "headers": raw})
        await send({"type": "http.response.body", "body": body})


def target_of(scope: Scope) -> str:
    """`path?query` as it was asked for, escapes included."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return (raw + b"?" + query if query else raw).decode("latin-1")


async def body_of(receive: Receive) -> bytes:
    """The whole body of a request."""
    received = bytearray()
    while True:
        message = await receive()
        received += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(received)


def _given(body: bytes) -> Receive:
    """A request whose body has been read already."""
    parts: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return parts.pop() if parts else {"type": "http.disconnect"}

    return receive


def _break(receive: Receive) -> None:
    """End the connection without an answer. ASGI has no word for it: uvicorn's `receive` knows its connection."""
    cycle: Any = receive.__self__  # type: ignore[attr-defined]
    cycle.disconnected = True  # so that uvicorn does not answer 500 in our place
    cycle.transport.abort()
