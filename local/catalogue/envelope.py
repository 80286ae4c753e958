"""The envelope around a hook message: version, compression, splitting (AtlasNotificationMessageDeserializer; measured).

    {"version":{"version":"1.0.0"},"msgCompressionKind":"NONE","message":{...}}

No envelope at all is fine, so are unknown fields and a version written as a plain string. A newer major version, a BOM,
an array of envelopes and text that is no JSON are passed over with a log line.
"""

from __future__ import annotations

import base64
import binascii
import time
import zlib
from collections.abc import Callable
from typing import Any

import msgspec

#: Atlas has no bound of its own; this one keeps a compressed message from filling the machine
MAX_BYTES = 64 * 1024 * 1024
#: incomplete sets are given up after this (atlas.notification.split.message.buffer...; read)
SPLIT_SECONDS = 15 * 60
MAX_SETS = 100


class Skipped(Exception):
    """The message is passed over: Atlas writes a log line, nothing else."""


class Envelopes:
    """Opens envelopes, and holds the parts of split messages until they are complete."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._parts: dict[str, tuple[float, list[str | None]]] = {}

    def open(self, body: bytes) -> dict[str, Any] | None:
        """The hook message inside, or None while parts of a split one are outstanding. Raises Skipped."""
        outer = _decoded(body)
        if "version" not in outer and "message" not in outer:
            return outer
        _check_version(outer.get("version"))
        message = outer.get("message")
        count = outer.get("msgSplitCount")
        if isinstance(count, int) and count > 1:
            message = self._joined(outer, count, message)
            if message is None:
                return None
        if isinstance(message, str):
            inner = _decoded(_unpacked(message, outer.get("msgCompressionKind")))
            _check_version(inner.get("version"))
            message = inner.get("message", inner)
        if not isinstance(message, dict):
            raise Skipped("the envelope holds no message")
        return message

    def lost_sets(self) -> list[str]:
        """Ids of split messages given up since the last call: incomplete for 15 minutes, or too many at once."""
        now = self._clock()
        late = [key for key, (since, _) in self._parts.items() if now - since > SPLIT_SECONDS]
        late += [key for key in self._parts if key not in late][: max(0, len(self._parts) - len(late) - MAX_SETS)]
        for key in late:
            del self._parts[key]
        return late

    def _joined(self, outer: dict[str, Any], count: int, text: Any) -> str | None:
        """Parts are numbered from 0, and part 0 must come first; the set is looked at when its last part arrives."""
        key, index = outer.get("msgId"), outer.get("msgSplitIdx")
        if not isinstance(key, str) or not isinstance(index, int) or not isinstance(text, str) or count > 10_000:
            raise Skipped("a part of a split message without msgId, msgSplitIdx or text")
        if index == 0:
            self._parts[key] = (self._clock(), [None] * count)
        held = self._parts.get(key)
        if held is None:
            raise Skipped(f"part {index} of split message {key} came before its part 0")
        parts = held[1]
        if not 0 <= index < len(parts):
            raise Skipped(f"part {index} of split message {key} is out of range")
        parts[index] = text
        if index < len(parts) - 1:
            return None
        del self._parts[key]
        if any(part is None for part in parts):
            raise Skipped(f"split message {key} was incomplete when its last part came")
        return "".join(part for part in parts if part is not None)


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Skipped(f"no JSON: {error}") from None
    if not isinstance(value, dict):
        raise Skipped("a JSON array of envelopes" if isinstance(value, list) else "no JSON object")
    return value


def _check_version(version: Any) -> None:
    if isinstance(version, dict):
        version = version.get("version") or ".".join(str(part) for part in version.get("versionParts") or [])
    if version is None or version == "":
        return
    major = str(version).partition(".")[0]
    if not major.isdigit() or (int(major), str(version)) > (1, "1.0.0"):
        raise Skipped(f"version {version} is newer than 1.0.0")


def _unpacked(text: str, kind: Any) -> bytes:
    try:
        packed = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return text.encode()
    if kind != "GZIP" and not packed.startswith(b"\x1f\x8b"):
        return packed
    try:
        opened = zlib.decompressobj(wbits=31)
        data = opened.decompress(packed, MAX_BYTES)
    except zlib.error as error:
        raise Skipped(f"no gzip: {error}") from None
    if opened.unconsumed_tail:
        raise Skipped(f"more than {MAX_BYTES} bytes when decompressed")
    return data
