"""How package XML holds properties, in any version: an attribute (formats 6 and 8) or an element `Property` (2, 3)."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.formats.xml_tree import Node

TRUE = ("1", "-1", "true")


def prop(node: Node, name: str) -> str:
    if name in node.attributes:
        return node.attributes[name]
    return next((c.text for c in node.children if c.tag == "Property" and c.get("Name") == name), "")


def is_true(node: Node, name: str) -> bool:
    return prop(node, name).lower() in TRUE


def children(node: Node, tag: str) -> Iterator[Node]:
    """Elements of that name right below, or in the list of them that formats 6 and 8 put around (`Executables`)."""
    for child in node.children:
        if child.tag == tag:
            yield child
        elif child.tag == tag + "s":
            yield from (inner for inner in child.children if inner.tag == tag)


def expressions(node: Node) -> dict[str, str]:
    """Property expressions: name of the property -> expression."""
    return {child.get("Name"): child.text for child in node.children if child.tag == "PropertyExpression"}
