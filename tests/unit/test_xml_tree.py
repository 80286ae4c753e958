"""XML from outside as a tree: namespaces, encodings, bounds, and what is refused."""

from __future__ import annotations

import io

import pytest

from connectors.formats import xml_tree
from connectors.formats.xml_tree import Limits, Node, looks_like_xml, parse
from shared.errors import BadInput


def read(text: str | bytes, limits: Limits | None = None) -> Node:
    content = text.encode() if isinstance(text, str) else text
    return parse(io.BytesIO(content), "x.xml", limits or Limits())


def test_names_lose_their_namespace_and_texts_their_blanks() -> None:
    root = read('<n:a xmlns:n="u" n:x="1" y="2">\n <b> t </b><n:b><c/>\n u </n:b></n:a>')
    assert (root.tag, root.attributes, root.text) == ("a", {"x": "1", "y": "2"}, "")
    assert [node.text for node in root.all("b")] == [" t ", "u"]
    assert root.first("b", "c") is not None
    assert [node.tag for node in root.walk("c")] == ["c"]
    assert root.first("missing") is None
    assert [node.line for node in root.all("b")] == [2, 2]


def test_what_is_not_wanted_is_not_kept() -> None:
    root = read('<a x="1" y="2"><b><c/></b><d>t</d></a>', Limits(skip=frozenset("b"), drop=frozenset("y")))
    assert root.attributes == {"x": "1"}
    assert [node.tag for node in root.children] == ["d"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "windows-1252"])
def test_encodings(encoding: str) -> None:
    said = encoding.removesuffix("-sig")
    assert read(f'<?xml version="1.0" encoding="{said}"?><a>für</a>'.encode(encoding)).text == "für"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \n", "empty"),
        (b"SELECT 1", "not XML"),
        (b"\x00\x01\x02", "not XML"),
        (b"<html><body>", "HTML"),
        (b"<!DOCTYPE html><html></html>", "HTML"),
        (b'<?xml version="1.0"?><!DOCTYPE a SYSTEM "http://example/x.dtd"><a/>', "document type declaration"),
        (b"<a><b></a>", "line 1: the XML is broken"),
        (b"<a>\n<b>", "broken or cut off"),
        (b'<a x:y="1"/>', "broken"),
        (b'<?xml version="1.0" encoding="nonsense"?><a/>', "broken"),
        (b"<a>" * 201, "more than 200 deep"),
        (b"<a>" + b"".join(b"<b%d/>" % n for n in range(10_001)) + b"</a>", "different names"),
    ],
)
def test_what_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        read(content)
    assert caught.value.where == "x.xml"
    assert caught.value.fix


def test_growing_entities_are_never_defined() -> None:
    laughs = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    with pytest.raises(BadInput, match="document type declaration"):
        read(f'<!DOCTYPE a [<!ENTITY e0 "ha">{laughs}]><a>&e9;</a>')


def test_bounds() -> None:
    with pytest.raises(BadInput, match="larger than 10 bytes"):
        read("<a>12345678</a>", Limits(max_bytes=10))
    with pytest.raises(BadInput, match="more than 3 elements and attributes"):
        read('<a><b c="1"/><d/></a>', Limits(max_parts=3))
    assert xml_tree.MAX_PARTS * 150 + 4 * xml_tree.MAX_BYTES < 320 * 1024 * 1024


def test_a_glance() -> None:
    assert looks_like_xml("<a/>".encode("utf-16"))
    assert looks_like_xml(b"\xef\xbb\xbf\n<?xml")
    assert not looks_like_xml(b"{}")
