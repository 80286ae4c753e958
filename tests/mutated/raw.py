"""Mutations that know nothing of what the bytes mean, or only of lines, encodings, gzip and zip."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable
from random import Random

Mutation = Callable[[Random, bytes, bytes], bytes]
ODD = (
    *(b"\x00", b"\xff", b"\xef\xbb\xbf", b"\r", b"\n", b"\x1a", b"\x85", b"\xe2\x80\xa8", b"\xc0\x80", b"\xed\xa0\x80"),
    *(
        b"null",
        b"[]",
        b"{}",
        b"-1",
        b'"x"',
        b"1e999",
        b"<",
        b"'",
        b'"',
        b"\\",
        b"$",
        b"${secret:x}",
        b"%s%n",
        b"*/",
        b"/*",
    ),
)
BOMB = 48 * 1024 * 1024


def _span(rng: Random, data: bytes, most: int = 64) -> tuple[int, int]:
    start = rng.randint(0, len(data))
    return start, min(len(data), start + rng.randint(0, most))


def flipped(rng: Random, data: bytes, other: bytes) -> bytes:
    del other
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5, 20)) if data else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(rng: Random, data: bytes, other: bytes) -> bytes:
    del other
    at = rng.randint(0, len(data))
    return rng.choice((data[:at], data[at:], data[: len(data) - rng.randint(0, 12)]))


def removed(rng: Random, data: bytes, other: bytes) -> bytes:
    del other
    start, end = _span(rng, data)
    return data[:start] + data[end:]


def inserted(rng: Random, data: bytes, other: bytes) -> bytes:
    del other
    start, end = _span(rng, data, 8)
    return data[:start] + rng.choice((*ODD, rng.randbytes(rng.randint(1, 16)))) + data[end:]


def doubled(rng: Random, data: bytes, other: bytes) -> bytes:
    del other
    start, end = _span(rng, data, 2_000)
    return data[:end] + data[start:end] * rng.choice((1, 2, 50)) + data[end:]


def spliced(rng: Random, data: bytes, other: bytes) -> bytes:
    return data[: rng.randint(0, len(data))] + other[rng.randint(0, len(other)) :]


def lines(rng: Random, data: bytes, other: bytes) -> bytes:
    """A line deleted, doubled, moved, cut, or taken from another file."""
    mine = data.splitlines(keepends=True) or [b""]
    at = rng.randrange(len(mine))
    what = rng.randrange(5)
    if what == 0:
        del mine[at]
    elif what == 1:
        mine[at:at] = [mine[at]] * rng.choice((1, 3, 200))
    elif what == 2:
        mine.insert(rng.randrange(len(mine)), mine.pop(at))
    elif what == 3:
        mine[at] = mine[at][: rng.randint(0, len(mine[at]))] + b"\n"
    else:
        mine.insert(at, rng.choice(other.splitlines(keepends=True) or [b"\n"]))
    return b"".join(mine)


def endings(rng: Random, data: bytes, other: bytes) -> bytes:
    del other
    return data.replace(b"\n", rng.choice((b"\r\n", b"\r", b"\n\n", b"", b"\x0b", b"\xe2\x80\xa9")))


def encoded(rng: Random, data: bytes, other: bytes) -> bytes:
    """The text in another encoding, or with bytes of another one in between."""
    del other
    text = data.decode("utf-8", "replace")
    if rng.randrange(3) == 0:
        at = rng.randint(0, len(data))
        return (
            data[:at]
            + "für Ærø 表 ß".encode(rng.choice(("latin-1", "cp1252", "utf-16-le", "shift-jis")), "replace")
            + data[at:]
        )
    names = (
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "utf-32",
        "utf-8-sig",
        "latin-1",
        "cp1252",
        "cp037",
        "shift-jis",
        "utf-7",
    )
    return text.encode(rng.choice(names), "replace")


def packed(rng: Random, data: bytes, other: bytes) -> bytes:
    """gzip: whole, of two members, twice, cut, damaged, with something behind it, or a bomb."""
    archive = bytearray(gzip.compress(data, mtime=0))
    what = rng.randrange(9)
    if what == 0:
        return bytes(archive) + gzip.compress(other, mtime=0)
    if what == 1:
        return gzip.compress(bytes(archive), mtime=0)
    if what == 2:
        return bytes(archive[: rng.randint(0, len(archive))])
    if what == 3:
        archive[rng.randrange(len(archive))] ^= 1 << rng.randrange(8)
        return bytes(archive)
    if what == 4:
        return bytes(archive) + rng.randbytes(rng.randint(1, 40))
    if what == 5:
        return b"\x1f\x8b" + data
    if what == 6 and rng.randrange(8) == 0:
        return _bomb(rng, data)
    return bytes(archive)


def _bomb(rng: Random, data: bytes) -> bytes:
    """Some hundred kilobytes that unpack to three times what is taken."""
    filling = rng.choice((b"\x00", b" ", b"\n", b"[", b"x", (data[:4096] or b"y") + b"\n"))
    block = filling * (1024 * 1024 // len(filling))
    squeeze = zlib.compressobj(6, wbits=31)
    head = squeeze.compress(rng.choice((b"", data)))
    return head + b"".join(squeeze.compress(block) for _ in range(3 * BOMB // len(block))) + squeeze.flush()


def zipped(rng: Random, data: bytes, other: bytes) -> bytes:
    """A zip where there was one: a member changed, emptied, doubled, renamed, or a bomb. Other bytes as they are."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except (zipfile.BadZipFile, OSError, RuntimeError, ValueError, zlib.error, EOFError):
        return data  # not a whole one
    if not members:
        return data
    at = rng.randrange(len(members))
    name, content = members[at]
    what = rng.randrange(7)
    if what == 0:
        del members[at]
    elif what == 1:
        members[at] = (name, flipped(rng, content, other))
    elif what == 2:
        members[at] = (name, rng.choice((b"", other, b"\x00" * (BOMB if rng.randrange(8) == 0 else 10_000))))
    elif what == 3:
        members.append((name, other))
    elif what == 4:
        members[at] = (rng.choice(("../../etc/passwd", "/abs", "a" * 300, "x\x00y", "")), content)
    else:
        members[at] = (name, rng.choice((cut, removed, inserted, spliced, encoded))(rng, content, other))
    out = io.BytesIO()
    import warnings

    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # two members of one name are what is wanted
        for member, inside in members:
            archive.writestr(zipfile.ZipInfo(member), inside, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def deep(rng: Random, data: bytes, other: bytes) -> bytes:
    del other
    opening, closing = rng.choice(
        ((b"[", b"]"), (b'{"a":', b"}"), (b"(", b")"), (b"<a>", b"</a>"), (b"SELECT * FROM (", b")"))
    )
    count = rng.choice((50, 500, 20_000))
    bomb = opening * count + (closing * count if rng.randrange(2) else b"")
    at = rng.randint(0, len(data))
    return rng.choice((bomb, data + b"\n" + bomb, data[:at] + bomb + data[at:]))


def long(rng: Random, data: bytes, other: bytes) -> bytes:
    del other
    at = rng.randint(0, len(data))
    return (
        data[:at]
        + rng.choice((b"x", b"9", b"a.", b"/", b"\\", b"'", b" ", b"/*", b"a,", b"\xc3\xa9"))
        * rng.choice((300, 5_000, 200_000))
        + data[at:]
    )


RAW: dict[str, Mutation] = {
    one.__name__: one
    for one in (flipped, cut, removed, inserted, doubled, spliced, lines, endings, encoded, packed, deep, long)
}
