"""Canary secrets: values that stand for passwords and keys, each planted in one place, and the search for them.

    canaries = Canaries()
    url = f"postgresql://reader:{canaries('the DSN in an error')}@db/crm"
    ...
    assert canaries.found({"log": text, "landing/a.gz": body}) == []

A canary is found as it is, in base64, inside gzip and zlib, and in UTF-16.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import itertools
import re
import zlib
from collections.abc import Iterator, Mapping

PREFIX = "qzCanary"


class Canaries:
    """Makes canaries; knows where each was planted."""

    def __init__(self) -> None:
        self.planted: dict[str, str] = {}

    def __call__(self, place: str) -> str:
        """A new one. It looks like a key: letters and digits, as nobody types them by accident."""
        # never the same twice in a process: what a Secret has held once is masked from then on
        made = f"{PREFIX}{next(_numbers):04d}vF7"
        self.planted[made] = place
        return made

    def found(self, haystacks: Mapping[str, bytes | str]) -> list[str]:
        """`<where planted> in <where found>: ..the text around it..`, sorted."""
        seen = set[str]()
        for where, haystack in haystacks.items():
            data = haystack.encode("utf-8", "surrogatepass") if isinstance(haystack, str) else haystack
            for form in _forms(data):
                for match in _CANARY.finditer(form):
                    place = self.planted.get(match[0].decode(), "nowhere")
                    around = form[max(0, match.start() - 60) : match.end() + 10]
                    seen.add(f"{place} in {where}: {around!r}")
        return sorted(seen)


_numbers = itertools.count()
_CANARY = re.compile(rf"{PREFIX}\d{{4}}vF7".encode())
#: the three ways in which base64 may show the prefix, without its ends
_BASE64 = [
    re.compile(
        rb"[A-Za-z0-9+/_-]*" + re.escape(base64.b64encode(b"x" * shift + PREFIX.encode())[4:-4]) + rb"[A-Za-z0-9+/=_-]*"
    )
    for shift in range(3)
]


def _forms(data: bytes, depth: int = 0) -> Iterator[bytes]:
    """The data, and what it holds packed or encoded."""
    yield data
    if b"\x00" in data:
        yield data.replace(b"\x00", b"")
    if depth > 2:
        return
    for pattern in _BASE64:
        for match in pattern.finditer(data):
            text = match[0].replace(b"-", b"+").replace(b"_", b"/").rstrip(b"=")
            for start in range(4):
                part = text[start:]
                with contextlib.suppress(binascii.Error):  # it does not begin there
                    yield base64.b64decode(part + b"=" * (-len(part) % 4))
    for magic, bits in ((b"\x1f\x8b", 31), (b"\x78\x9c", 15), (b"\x78\xda", 15), (b"\x78\x01", 15)):
        at = data.find(magic)
        while at >= 0:
            with contextlib.suppress(zlib.error):  # these two bytes may begin nothing
                yield from _forms(zlib.decompressobj(wbits=bits).decompress(data[at:], 1 << 26), depth + 1)
            at = data.find(magic, at + 1)
