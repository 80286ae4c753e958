"""Who may come in: the check of a token that a client puts (Azure docs, "Authorizing access using SAS")."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from urllib.parse import parse_qs, unquote_plus

#: (audience, token type, token) -> why the token is refused; empty when it is taken
TokenCheck = Callable[[str, str, str], str]
#: what Microsoft's own Event Hubs emulator uses; a loopback server has no secret to keep
KEY_NAME = "RootManageSharedAccessKey"
KEY = "SAS_KEY_VALUE"
_SAS = "SharedAccessSignature "


def shared_access_key(name: str = KEY_NAME, key: str = KEY) -> TokenCheck:
    """Verify shared access signatures made with this key: signature, resource, expiry.

    Of a bearer token (type `jwt`) only the presence is checked: the authority that issued it is not here to be asked.
    """

    def check(audience: str, token_type: str, token: str) -> str:
        if token_type == "jwt":  # noqa: S105 - a type, no password
            return "" if token else "InvalidToken: the token is empty"
        if not token.startswith(_SAS):
            return "InvalidToken: no shared access signature"
        raw = dict(part.partition("=")[::2] for part in token[len(_SAS) :].split("&"))
        fields = {field: values[0] for field, values in parse_qs(token[len(_SAS) :]).items()}
        expected = hmac.new(key.encode(), f"{raw.get('sr', '')}\n{raw.get('se', '')}".encode(), hashlib.sha256)
        signature = base64.b64encode(expected.digest()).decode()
        if fields.get("skn") != name or not hmac.compare_digest(fields.get("sig", "").encode(), signature.encode()):
            return "InvalidSignature: The token has an invalid signature."
        if not audience.lower().startswith(unquote_plus(raw["sr"]).lower()):
            return "InvalidAudience: The authorization header contains a token for another resource."
        if not raw["se"].isdigit() or int(raw["se"]) < time.time():
            return "ExpiredToken: The token is expired."
        return ""

    return check
