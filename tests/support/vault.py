"""Key Vault's secrets and keys for tests: the real clients over a network of ours."""

from __future__ import annotations

import base64
import functools
import io
import json
from typing import Any

import requests
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import RequestsTransport
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

ADDRESS = "https://v.vault.azure.net"
FIRST, SECOND = "1" * 32, "2" * 32


@functools.cache
def rsa_key(version: str) -> rsa.RSAPrivateKey:
    """One for each version: they are slow to make."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _number(value: int) -> str:
    return _encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Vault(HTTPAdapter):
    """Answers as Key Vault does, the challenge before the first token included."""

    def __init__(self) -> None:
        super().__init__()
        self.values = {"crm-password": "first-password"}
        #: versions of the key `hookline`, the newest last; those in `disabled` wrap, and do not unwrap
        self.versions: list[str] = [FIRST]
        self.disabled: set[str] = set()
        self.unwrapped = 0
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
        if str(request.path_url).startswith("/keys/"):
            return self._key(request)
        if name not in self.values:
            return self._answer(request, 404, {"error": {"code": "SecretNotFound", "message": "no"}})
        body = {"value": self.values[name], "id": f"https://v.vault.azure.net/secrets/{name}/1", "attributes": {}}
        return self._answer(request, 200, body)

    def _key(self, request: requests.PreparedRequest) -> requests.Response:
        """https://learn.microsoft.com/rest/api/keyvault/keys: the public half, and unwrapping with the private one."""
        _, _, name, *rest = str(request.path_url).split("?")[0].rstrip("/").split("/")
        version = rest[0] if rest else self.versions[-1] if self.versions else ""
        if name != "hookline" or version not in self.versions:
            return self._answer(request, 404, {"error": {"code": "KeyNotFound", "message": "no"}})
        kid = f"{ADDRESS}/keys/{name}/{version}"
        if rest[1:] == ["unwrapkey"]:
            if version in self.disabled:
                said = {"code": "Forbidden", "message": "no", "innererror": {"code": "KeyDisabled"}}
                return self._answer(request, 403, {"error": said})
            asked = json.loads(request.body or b"")
            assert asked["alg"] == "RSA-OAEP-256"
            oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
            try:
                value = rsa_key(version).decrypt(base64.urlsafe_b64decode(asked["value"] + "=="), oaep)
            except ValueError:
                return self._answer(request, 400, {"error": {"code": "BadParameter", "message": "no"}})
            self.unwrapped += 1
            return self._answer(request, 200, {"kid": kid, "value": _encoded(value)})
        assert not rest[1:], rest
        public = rsa_key(version).public_key().public_numbers()
        key = {"kid": kid, "kty": "RSA", "n": _number(public.n), "e": _number(public.e), "key_ops": ["wrapKey"]}
        return self._answer(request, 200, {"key": key, "attributes": {"enabled": version not in self.disabled}})

    def _answer(
        self, request: requests.PreparedRequest, status: int, body: Any, headers: dict[str, str] | None = None
    ) -> requests.Response:
        said = {"content-type": "application/json", **(headers or {})}
        raw = HTTPResponse(io.BytesIO(json.dumps(body).encode()), said, status, preload_content=False)
        return self.build_response(request, raw)


class Credential:
    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken("token", 4102444800)
