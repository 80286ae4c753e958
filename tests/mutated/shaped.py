"""Mutations that know JSON, SQL, XML or job files: what comes out is mostly well-formed, and wrong in what it says."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

from tests.mutated.raw import Mutation, flipped, removed, spliced

#: JSON texts that stand where something else is expected
VALUES = (
    *("null", "true", "false", "0", "-1", "1.5", "1e308", "1e999", "-1e-999", "NaN", "Infinity", "1" + "0" * 400),
    *(
        "9223372036854775808",
        "0.1" + "1" * 3_000,
        '""',
        '" "',
        '"\\u0000"',
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"\\n\\t"',
    ),
    *('"../../x"', '"${secret:x}"', '"2026-13-45T99:99:99Z"', '"https://u:p@h/x"', '"a\'; DROP TABLE x; --"'),
    *('"' + "x" * 100_000 + '"', '"' + "a." * 5_000 + '"', '"\u0130\u017f\u202e\ufeff"', '"' + "\\u00e9" * 2_000 + '"'),
    *("[]", "{}", "[[]]", "[null]", '{"":null}', "[1,2,3]", '{"a":{"b":[{}]}}', "[" + "1," * 3_000 + "1]"),
    *("[" * 60 + "]" * 60, "[" * 5_000 + "]" * 5_000, '{"a":' * 200 + "1" + "}" * 200),
)


class Raw(str):
    """Text that is written into JSON as it is."""


def _written(value: Any) -> str:
    if isinstance(value, Raw):
        return value
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{_written(key)}:{_written(item)}" for key, item in value.items) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    return json.dumps(value)


class Pairs:
    """An object as a list of pairs, so that it can hold a key twice."""

    def __init__(self, items: list[tuple[Any, Any]]) -> None:
        self.items: list[tuple[Any, Any]] = list(items)


def _nodes(value: Any) -> list[Any]:
    """Everything in it that can be changed in place."""
    found, waiting = [], [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Pairs):
            found.append(node)
            waiting.extend(item for _, item in node.items)
        elif isinstance(node, list):
            found.append(node)
            waiting.extend(node)
    return [node for node in found if (node.items if isinstance(node, Pairs) else node)]


def _changed(rng: Random, root: Any, nodes: list[Any]) -> None:
    node = rng.choice(nodes)
    items: list[Any] = node.items if isinstance(node, Pairs) else node
    at = rng.randrange(len(items))
    what = rng.randrange(10)
    donor = rng.choice(nodes)
    if what < 5:
        instead = Raw(rng.choice(VALUES))
    elif what == 5:
        instead = donor if donor is not root and not _within(donor, node) else Raw("{}")
    elif what == 6:
        del items[at]
        return
    elif what == 7:
        items.extend([items[at]] * rng.choice((1, 2, 300)))
        return
    elif what == 8 and isinstance(node, Pairs):
        items[at] = (
            rng.choice(("", "x", "kind", "\x00", items[at][0] + " ", items[at][0].upper(), "k" * 3_000)),
            items[at][1],
        )
        return
    elif what == 9 and isinstance(node, Pairs):
        items.insert(rng.randint(0, len(items)), (items[at][0], Raw(rng.choice(VALUES))))  # a key twice
        return
    else:
        rng.shuffle(items)
        return
    items[at] = (items[at][0], instead) if isinstance(node, Pairs) else instead


def _within(outer: Any, inner: Any) -> bool:
    return any(node is inner for node in _nodes(outer)) or outer is inner


def _json(rng: Random, text: str) -> str | None:
    """One JSON document, changed; None where it is none."""
    try:
        value = json.loads(text, object_pairs_hook=Pairs)
    except (ValueError, RecursionError):
        return None
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        nodes = _nodes(value)
        if not nodes:
            return rng.choice(VALUES)
        _changed(rng, value, nodes)
    return _written(value)


def tree(rng: Random, data: bytes, other: bytes) -> bytes:
    """A value of another type, another key, a key twice, something missing: in a document, or in one of its lines."""
    del other
    text = data.decode("utf-8-sig", "replace")
    whole = _json(rng, text)
    if whole is not None:
        return whole.encode("utf-8", "surrogatepass")
    mine = text.split("\n")
    at = rng.randrange(len(mine))
    changed = _json(rng, mine[at])
    if changed is None:
        return data
    mine[at] = changed
    return "\n".join(mine).encode("utf-8", "surrogatepass")


WORD = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/|\w+|\s+|.", re.DOTALL)
WORDS = (
    *"'\"()[]{}`@#$;,.*%?\\",
    *(
        "$$",
        "..",
        "::",
        ":=",
        "--",
        "/*",
        "*/",
        "||",
        "\nGO\n",
        "\n/\n",
        "BEGIN",
        "END",
        "SELECT",
        "FROM",
        "WITH",
        "INTO",
    ),
    *(
        "AS",
        "MERGE",
        "EXEC",
        "CASE",
        "LOOP",
        "IF",
        "THEN",
        "ELSE",
        "VALUES",
        "ON",
        "SET",
        "DECLARE",
        "UNION ALL",
        "CREATE",
    ),
)


def words(rng: Random, data: bytes, other: bytes) -> bytes:
    """Words of a script deleted, doubled, swapped, inserted, or taken from another file."""
    mine = WORD.findall(data.decode("utf-8", "replace")) or [""]
    theirs = WORD.findall(other.decode("utf-8", "replace")[:4_000]) or [""]
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(mine) or 1)
        what = rng.randrange(5)
        if what == 0:
            del mine[at : at + 1]
        elif what == 1:
            mine[at:at] = mine[at : at + rng.randint(1, 12)] * rng.choice((1, 1, 30))
        elif what == 2:
            to = rng.randrange(len(mine) or 1)
            mine[at : at + 1], mine[to : to + 1] = mine[to : to + 1], mine[at : at + 1]
        elif what == 3:
            mine.insert(at, f" {rng.choice(WORDS)} ")
        else:
            start = rng.randrange(len(theirs))
            mine[at:at] = theirs[start : start + rng.randint(1, 40)]
    return "".join(mine).encode("utf-8", "replace")


TAG = re.compile(rb"<[^<>]{1,400}>")
DOCTYPE = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">'
    b'<!ENTITY e "&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;"><!ENTITY f SYSTEM "file:///etc/passwd">]>'
)


def xml(rng: Random, data: bytes, other: bytes) -> bytes:
    """Tags deleted, doubled, swapped; entities that grow or read files. Other bytes as they are."""
    del other
    found = list(TAG.finditer(data))
    if data[:200].lstrip()[:1] != b"<" or len(found) < 2:
        return data
    one, two = sorted(rng.sample(range(len(found)), 2))
    a, b = found[one], found[two]
    what = rng.randrange(5)
    if what == 0:
        return data[: a.start()] + data[a.end() :]
    if what == 1:
        return data[: a.end()] + a[0] * rng.choice((1, 3, 2_000)) + data[a.end() :]
    if what == 2:
        return data[: a.start()] + b[0] + data[a.end() : b.start()] + a[0] + data[b.end() :]
    if what == 3:
        return data[: a.end()] + data[b.start() :]
    root = next((tag for tag in found if tag[0][1:2] not in (b"?", b"!")), a)
    inside = rng.choice((b"&e;", b"&f;", b"&e;" * 20, b"&nope;"))
    return data[: root.start()] + DOCTYPE + data[root.start() : root.end()] + inside + data[root.end() :]


def resealed(rng: Random, data: bytes, other: bytes) -> bytes:
    """A job file whose records are changed and whose footer is right again. Other bytes as they are."""
    try:
        plain = zlib.decompressobj(wbits=31).decompress(data, 1 << 22) if data[:2] == b"\x1f\x8b" else data
    except zlib.error:
        return data
    header, *records = plain.split(b"\n")
    if not header.startswith(b'{"kind":"header"') or len(records) < 3 or b'"footer"' not in records[-2]:
        return data
    footer = json.loads(records[-2])
    records = records[:-2]
    at = rng.randrange(len(records))
    change: Callable[[Random, bytes, bytes], bytes] = rng.choice((tree, tree, tree, flipped, removed, spliced))
    records[at] = change(rng, records[at], other).replace(b"\n", b" ")
    if rng.randrange(4) == 0:
        rng.shuffle(records)
    body = b"".join(record + b"\n" for record in records)
    footer["count"], footer["digest"] = len(records), hashlib.blake2b(body, digest_size=16).hexdigest()
    if rng.randrange(4) == 0:
        footer[rng.choice(list(footer))] = rng.choice((None, -1, "x", [], True, 10**30))
    return gzip.compress(header + b"\n" + body + json.dumps(footer).encode() + b"\n", mtime=0)


SHAPED: dict[str, Mutation] = {one.__name__: one for one in (tree, words, xml, resealed)}
