"""Faults on purpose, for tests of the product: lost hook messages, and a REST API that is busy.

POST /local/faults sets the simple ones; /local/http-faults everything that local/faults/http.py knows, where `half`
means that the first half of a bulk is carried out, as by a server that commits in pieces and fails between two.
"""

from __future__ import annotations

import hashlib
import threading

import msgspec
from starlette.types import Scope

from local.faults.http import HttpFault, HttpFaults

#: what stands in for Purview; the pages for people and /local are spared
_PURVIEW = r"^/(datamap|catalog|api|account|collections)"


class Faults(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Body of POST /local/faults. All zero: no faults.

    drop_percent:  hook messages that vanish without a word, chosen by `seed`
    rest_status:   what the next `rest_requests` Atlas and search calls are answered with (429, 503 ...)
    retry_after:   seconds, as a Retry-After header; 0 leaves it out
    """

    drop_percent: float = 0.0
    seed: int = 0
    rest_status: int = 0
    rest_requests: int = 0
    retry_after: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.drop_percent <= 100 or not (self.rest_status == 0 or 400 <= self.rest_status <= 599):
            raise ValueError("dropPercent is 0 to 100, restStatus 0 or 400 to 599")


class Injector:
    """The faults in force."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.http = HttpFaults()
        self.set(Faults())

    def set(self, faults: Faults) -> None:
        with self._lock:
            self.faults = faults
        asked = faults.rest_status and faults.rest_requests
        busy = HttpFault(
            "answer",
            status=faults.rest_status or 503,
            retry_after=faults.retry_after,
            times=max(faults.rest_requests, 1),
            path=_PURVIEW,
        )
        self.http.set([busy] if asked else [])

    def drops(self, body: bytes) -> bool:
        """Whether this hook message vanishes: also when it is read again, because the catalogue died behind it."""
        faults = self.faults
        digest = hashlib.blake2b(body, digest_size=8, key=str(faults.seed).encode()).digest()
        return int.from_bytes(digest) < faults.drop_percent / 100 * 2**64


async def half(_: Scope, body: bytes) -> bytes:
    """The first half of the entities of a bulk."""
    try:
        document = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return body
    entities = document.get("entities") if isinstance(document, dict) else None
    if not isinstance(entities, list):
        return body
    return msgspec.json.encode({**document, "entities": entities[: len(entities) // 2]})


def words(status: int, code: str) -> tuple[str, bytes]:
    """The body of an injected error, as the gateway before Purview words its own."""
    error = {"error": {"code": code or str(status), "message": "injected"}}
    return "application/json", msgspec.json.encode(error)
