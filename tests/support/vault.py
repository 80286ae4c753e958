"""Key Vault's secrets for tests: the real client over a network of ours."""

from __future__ import annotations

import io
import json
from typing import Any

import requests
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

ADDRESS = "https://v.vault.azure.net"


class Vault(HTTPAdapter):
    """Answers as Key Vault does, the challenge before the first token included."""

    def __init__(self) -> None:
        super().__init__()
        self.values = {"crm-password": "first-password"}
        self.status = 200
        self.asked = 0

    def transport(self) -> RequestsTransport:
        session = requests.Session()
        session.mount("https://", self)
        return RequestsTransport(session=session)

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if "Authorization" not in request.headers:
            challenge = 'Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net"'
            return self._answer(request, 401, {}, {"WWW-Authenticate": challenge})
        self.asked += 1
        name = str(request.path_url).split("/")[2].split("?")[0]
        if self.status == 0:
            raise requests.exceptions.ConnectionError
        if self.status != 200:
            return self._answer(request, self.status, {"error": {"code": "Forbidden", "message": "no"}})
        if name not in self.values:
            return self._answer(request, 404, {"error": {"code": "SecretNotFound", "message": "no"}})
        body = {"value": self.values[name], "id": f"https://v.vault.azure.net/secrets/{name}/1", "attributes": {}}
        return self._answer(request, 200, body)

    def _answer(
        self, request: requests.PreparedRequest, status: int, body: Any, headers: dict[str, str] | None = None
    ) -> requests.Response:
        said = {"content-type": "application/json", **(headers or {})}
        raw = HTTPResponse(io.BytesIO(json.dumps(body).encode()), said, status, preload_content=False)
        return self.build_response(request, raw)


class Credential:
    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken("token", 4102444800)
