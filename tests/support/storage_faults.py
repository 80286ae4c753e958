"""A network that misbehaves on purpose, between the unmodified storage SDK and a real Azurite."""

from __future__ import annotations

import io
from collections import deque
from dataclasses import dataclass
from typing import Any

import requests
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse


@dataclass(frozen=True)
class Fault:
    """status: what the client is told, 0 for no answer at all. done: the request is carried out nevertheless."""

    status: int
    code: str = "InternalError"
    done: bool = False
    method: str = ""


class FaultyNetwork(HTTPAdapter):
    """Meets each request with the next planned fault that suits its method; then lets everything through."""

    def __init__(self) -> None:
        super().__init__()
        self.plan: deque[Fault] = deque()
        self.requests = 0

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        self.requests += 1
        if not self.plan or self.plan[0].method not in ("", request.method):
            return super().send(request, *args, **options)
        fault = self.plan.popleft()
        if fault.done:
            super().send(request, *args, **options).close()
        if fault.status == 0:
            raise requests.exceptions.ReadTimeout() if fault.done else requests.exceptions.ConnectionError()
        headers = {"x-ms-error-code": fault.code, "content-length": "0"}
        raw = HTTPResponse(io.BytesIO(), headers, fault.status, preload_content=False)
        return self.build_response(request, raw)

    def transport(self) -> RequestsTransport:
        """For `transport=` of a client."""
        session = requests.Session()
        session.mount("http://", self)
        return RequestsTransport(session=session)
