r"""How the parts of an address become characters of a qualified name: escaping, templates, what is refused.

Segments are separated by `/`, so a `/` inside one is written %2F. In native names everything else stays as the source
spells it, because Purview's scanners write it so (purviewEntityExtDef patterns: a segment is `[^/]+`); only braces are
encoded, as Purview does itself (normalise.py, rule 1), and a `%` where it would read as one of these escapes. In names
of our own types and of rdbms_* nobody else's spelling has to be met: `% / \ # { }` are all encoded.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping

import msgspec

from shared.naming.level import NameRefused
from shared.records import Address

#: bytes of UTF-8; learn.microsoft.com/purview/how-to-manage-quotas: 4 KB for a name
MAX_BYTES = 4096

Escape = Callable[[str], str]

# C0, DEL, C1, line and paragraph separator, and halves of surrogate pairs, which UTF-8 cannot carry
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NATIVE = re.compile(r"[/{}]|%(?=2F|7B|7D|25)")
_DOTTED = re.compile(r"[./@{}]|%(?=2E|2F|40|7B|7D|25)")
_OWN = re.compile(r"[%/\\#{}]")


def _encode(found: re.Match[str]) -> str:
    return f"%{ord(found[0]):02X}"


def native(text: str) -> str:
    """Escape a segment for the name of one of Purview's own types."""
    return _NATIVE.sub(_encode, text)


def dotted(text: str) -> str:
    """The same for names of the form db.table@cluster."""
    return _DOTTED.sub(_encode, text)


def own(text: str) -> str:
    """Escape a segment for the name of a type of ours, or of rdbms_*."""
    return _OWN.sub(_encode, text)


def own_path(text: str) -> str:
    """The same for a part that may be cut at `/` or not."""
    return "/".join(own(piece) for piece in text.split("/") if piece)


def shown(address: Address) -> str:
    """The address for a message: one line, no control characters, not endless."""
    return _CONTROL.sub("\ufffd", str(address)[:200])


def checked(text: str, what: str, at: Address | None = None) -> str:
    """`text` itself. Raises NameRefused when it is empty or holds a control character; `what` names it there."""
    if not text or text.isspace():
        raise NameRefused(f"{_of(at)}{what} is empty", fix="give every part of the address a name")
    if found := _CONTROL.search(text):
        raise NameRefused(
            f"{_of(at)}{what} {text[:80]!r} holds the control character U+{ord(found[0]):04X}",
            fix="rename it at the source, or leave it out with `exclude`",
        )
    return text


def fits(qualified_name: str, at: Address) -> str:
    """`qualified_name` itself. Raises NameRefused when it is longer than Purview takes."""
    if len(qualified_name) * 4 > MAX_BYTES and (size := len(qualified_name.encode())) > MAX_BYTES:
        raise NameRefused(
            f"{_of(at)}its qualified name takes {size:,} bytes, Purview at most {MAX_BYTES:,}",
            fix="shorten a part of the path, or leave the asset out with `exclude`",
        )
    return qualified_name


def _of(at: Address | None) -> str:
    return f"{shown(at)}: " if at is not None else ""


class Template(msgspec.Struct, frozen=True, gc=False):
    """A parsed template. `pieces` are (literal, field after it); `parts` is how many numbered parts it names.

    rest: it has {path}, which takes every part after the numbered ones, at least one.
    """

    pieces: tuple[tuple[str, str], ...]
    parts: int
    rest: bool

    @classmethod
    def parse(cls, text: str, fields: frozenset[str]) -> Template:
        """Raises ValueError, in words for the one who wrote the template."""
        pieces = []
        numbers = []
        rest = 0
        for literal, field, form, conversion in string.Formatter().parse(text):
            if form or conversion:
                raise ValueError("a field is a plain name in braces: no `:` and no `!`")
            pieces.append((literal, field or ""))
            if field is None:
                continue
            if field.isdecimal() and field.isascii():
                numbers.append(int(field))
            elif field == "path":
                rest += 1
            elif field not in fields:
                known = ", ".join(f"{{{f}}}" for f in sorted(fields))
                raise ValueError(f"unknown field {{{field}}}; there are {{0}}, {{1}} .., {{path}}, {known}")
        if rest > 1 or sorted(set(numbers)) != list(range(len(set(numbers)))):
            raise ValueError("the parts of the path must be named without a gap, {0}, {1} .., and {path} only once")
        innermost = "path" if rest else str(len(set(numbers)) - 1)
        if [field for _, field in pieces].count(innermost) > 1:
            raise ValueError(f"{{{innermost}}}, the innermost part, must come only once")
        return cls(tuple(pieces), len(set(numbers)), bool(rest))

    def around(self, values: Mapping[str, str], above: tuple[str, ...]) -> tuple[str, str]:
        """What stands before and after the innermost part of the path, `above` being the parts before it."""
        innermost = "path" if self.rest else str(self.parts - 1)
        before, after, passed = "", "", False
        for literal, field in self.pieces:
            if field == innermost and not passed:
                before += literal
                passed = True
                if self.rest:
                    before += "".join(f"{part}/" for part in above[self.parts :])
                continue
            value = above[int(field)] if field.isdecimal() else values[field] if field else ""
            if passed:
                after += literal + value
            else:
                before += literal + value
        return before, after
