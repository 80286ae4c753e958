"""XML from outside as a tree: no DTD, no entity of its own, bounded in bytes, elements and depth.

expat (the parser that defusedxml wraps, too) fetches nothing and bounds the growth of entities; a document type
declaration, the only place where entities are made, is refused here altogether. Names are kept without their
namespace: `{www.microsoft.com/SqlServer/Dts}Executable` is `Executable`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple
from xml.parsers import expat

from shared.errors import BadInput

MAX_BYTES = 48 * 1024 * 1024
#: elements and attributes together; a tree of them takes about 150 bytes each
MAX_PARTS = 700_000
MAX_DEPTH = 200
#: different names; a format has hundreds, and each is kept
MAX_NAMES = 10_000
_CHUNK = 1 << 18
_NO_ATTRIBUTES: dict[str, str] = {}


class Limits(NamedTuple):
    """What is not kept: elements with all below them, and attributes, by their names."""

    skip: frozenset[str] = frozenset()
    drop: frozenset[str] = frozenset()
    max_bytes: int = MAX_BYTES
    max_parts: int = MAX_PARTS


_LIMITS = Limits()


class Node:
    """An element. `text` is what stands directly in it, without blanks around it where it has children."""

    __slots__ = ("attributes", "children", "line", "tag", "text")

    def __init__(self, tag: str, attributes: dict[str, str], line: int) -> None:
        self.tag, self.attributes, self.line = tag, attributes, line
        self.children: list[Node] = []
        self.text = ""

    def get(self, name: str, default: str = "") -> str:
        return self.attributes.get(name, default)

    def all(self, *path: str) -> Iterator[Node]:
        """The elements at a path of names below this one: `all("outputs", "output")`."""
        if not path:
            yield self
            return
        for child in self.children:
            if child.tag == path[0]:
                yield from child.all(*path[1:])

    def first(self, *path: str) -> Node | None:
        return next(self.all(*path), None)

    def walk(self, tag: str) -> Iterator[Node]:
        """Every element of that name, at any depth."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            if node.tag == tag:
                yield node
            waiting.extend(reversed(node.children))


def parse(file: BinaryIO, where: str, limits: Limits = _LIMITS) -> Node:
    """The root of the document in `file`, which is read forward, once.

    Raises BadInput: empty, no XML (a web page is told as such), cut off, a DTD, or beyond the bounds.
    """
    builder = _Builder(where, limits)
    read = 0
    head = b""
    try:
        while chunk := file.read(_CHUNK):
            read += len(chunk)
            if len(head) < _CHUNK:
                head += chunk
            if read > limits.max_bytes:
                raise builder.bad(f"the file is larger than {limits.max_bytes:,} bytes", "split it")
            builder.expat.Parse(chunk, False)
        if not head.strip(b"\x00 \t\r\n\xef\xbb\xbf\xff\xfe"):
            raise builder.bad("the file is empty", "upload it again")
        builder.expat.Parse(b"", True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # the latter two: an encoding that nobody knows
        raise _broken(builder, error, head) from error
    if builder.root is None:
        raise builder.bad("the file is empty", "upload it again")
    return builder.root


def looks_like_xml(head: bytes) -> bool:
    """Whether a file of these first bytes may be XML, in whatever encoding."""
    return head.replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")[:1] == b"<"


def _broken(builder: _Builder, error: Exception, head: bytes) -> BadInput:
    text = head[:2048].replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return builder.bad("the file is HTML, a web page", "download the file itself, not the page that shows it")
    if not text.startswith(b"<"):
        return builder.bad("the file is not XML", "upload the file as the tool saved it")
    place = f"line {builder.expat.CurrentLineNumber}"
    if builder.depth or "no element found" in str(error):
        return builder.bad(f"{place}: the XML is broken or cut off ({error})", "save it again and upload it whole")
    return builder.bad(f"{place}: the XML is broken ({error})", "save it again with the tool that made it")


class _Builder:
    def __init__(self, where: str, limits: Limits) -> None:
        self.expat = expat.ParserCreate(namespace_separator=" ")
        self.expat.buffer_text = True
        self.expat.StartDoctypeDeclHandler = self._doctype
        self.expat.StartElementHandler = self._start
        self.expat.EndElementHandler = self._end
        self.expat.CharacterDataHandler = self._characters
        self.root: Node | None = None
        self.depth = 0
        self._where, self._limits = where, limits
        self._open: list[tuple[Node, list[str]]] = []
        self._skipping = 0
        self._parts = 0
        self._names: dict[str, str] = {}

    def bad(self, what: str, fix: str) -> BadInput:
        return BadInput(what, where=self._where, fix=fix)

    def _doctype(self, name: str, *rest: object) -> None:
        del rest
        if name.lower() == "html":
            raise self.bad("the file is HTML, a web page", "download the file itself, not the page that shows it")
        raise self.bad("the XML holds a document type declaration (DTD), which is not read", "remove the <!DOCTYPE ..>")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self._skipping:
            self._skipping += 1
            return
        tag = self._local(name)
        if tag in self._limits.skip:
            self._skipping = 1
            return
        self._parts += 1 + len(attributes)
        if self._parts > self._limits.max_parts or self.depth > MAX_DEPTH:
            many = f"more than {self._limits.max_parts:,} elements and attributes"
            what = many if self._parts > self._limits.max_parts else f"elements nested more than {MAX_DEPTH} deep"
            raise self.bad(f"the XML holds {what}", "split the file")
        kept = {local: v for k, v in attributes.items() if (local := self._local(k)) not in self._limits.drop}
        node = Node(tag, kept or _NO_ATTRIBUTES, self.expat.CurrentLineNumber)
        if self._open:
            self._open[-1][0].children.append(node)
        else:
            self.root = node
        self._open.append((node, []))

    def _end(self, name: str) -> None:
        del name
        self.depth -= 1
        if self._skipping:
            self._skipping -= 1
            return
        node, texts = self._open.pop()
        text = "".join(texts)
        node.text = text.strip() if node.children else text

    def _characters(self, text: str) -> None:
        if not self._skipping and self._open:
            self._open[-1][1].append(text)

    def _local(self, name: str) -> str:
        local = self._names.get(name)
        if local is None:
            if len(self._names) >= MAX_NAMES:
                raise self.bad(f"the XML holds more than {MAX_NAMES:,} different names", "upload the tool's own file")
            local = self._names[name] = sys.intern(name.rpartition(" ")[2])
        return local
