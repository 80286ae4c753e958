"""Any text as one segment of a blob name.

Percent-encoded (dots too, so that no segment is `..`), at most 200 characters, because a storage account with a
hierarchical namespace takes 255 a segment and a blob name 1,024 in all
(https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata).
A longer name is cut and ends in a digest; the whole text then goes into the blob's metadata.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

from shared.errors import BadInput

LONGEST_SEGMENT = 200
#: metadata of a blob may be 8 KiB in all
LONGEST_METADATA = 7_000

_CUT = re.compile(r".*%~[0-9a-f]{32}")


def encode(text: str) -> str:
    """The segment for a text; different texts give different segments."""
    name = quote(text, safe="", errors="surrogatepass").replace(".", "%2E") or "%"
    if len(name) <= LONGEST_SEGMENT:
        return name
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{name[: LONGEST_SEGMENT - 34]}%~{digest}"


def decode(segment: str, metadata: Mapping[str, str] | None = None, key: str = "") -> str | None:
    """The text of a segment; of a cut one as `metadata[key]` has it, or None."""
    if _CUT.fullmatch(segment):
        kept = (metadata or {}).get(key)
        return base64.b64decode(kept).decode("utf-8", "surrogatepass") if kept else None
    return "" if segment == "%" else unquote(segment, errors="surrogatepass")


def metadata(**texts: str) -> dict[str, str]:
    """What the blob has to carry so that `decode` can give back texts whose segment is cut. Raises BadInput."""
    kept = {
        key: base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()
        for key, text in texts.items()
        if _CUT.fullmatch(encode(text))
    }
    if sum(map(len, kept.values())) > LONGEST_METADATA:
        raise BadInput(f"a name of {max(map(len, texts.values())):,} characters is too long", fix="shorten it")
    return kept
