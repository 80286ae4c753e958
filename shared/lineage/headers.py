"""Headers of routines: CREATE PROCEDURE and the like, up to the body."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from shared.lineage.tokens import balanced, opens, parts
from shared.lineage.words import ROUTINES, word

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token


class Formal(NamedTuple):
    """A parameter: its name, whether it gives a value back, the words of its type."""

    name: str
    out: bool
    type: list[Token]


class Header(NamedTuple):
    """CREATE PROCEDURE and the like, up to its AS.

    kind, name tokens, where its text starts, a trigger's table, names of the parameters, RETURNS TABLE's list, the
    parameters, names of a trigger's old and new rows (REFERENCING), the LANGUAGE that stands before the body.
    """

    kind: str
    name: list[Token]
    first: Token
    table: list[Token]
    parameters: list[str]
    returns: list[Token]
    formals: list[Formal]
    rows: list[str]
    language: str = ""


class Headers:
    """Finds the headers in the tokens of one script; `words` are the tokens' words."""

    def __init__(self, tokens: list[Token], words: list[str]) -> None:
        self.tokens = tokens
        self.words = words

    def _at(self, i: int) -> str:
        return self.words[i] if 0 <= i < len(self.words) else ""

    def _text(self, i: int) -> str:
        return self.tokens[i].text if 0 <= i < len(self.tokens) else ""

    def header(self, i: int) -> Header | None:
        """CREATE [OR REPLACE | OR ALTER] .. PROCEDURE name: the header that begins at `i`, if one does."""
        if self._at(i) not in ("CREATE", "ALTER"):
            return None
        for j in range(i + 1, min(i + 7, len(self.tokens))):
            if self.words[j] in ROUTINES:
                kind = "PROCEDURE" if self.words[j] == "PROC" else self.words[j]
                k = j + 1
                while self._at(k) in ("IF", "NOT", "EXISTS", "BODY"):
                    k += 1
                name: list[Token] = []
                while k < len(self.tokens) and (self.tokens[k].text == "." or not name or name[-1].text == "."):
                    name.append(self.tokens[k])
                    k += 1
                return Header(
                    kind,
                    name,
                    self.tokens[i],
                    self._triggering(k) if kind == "TRIGGER" else [],
                    self.parameters(k),
                    self._returns(k),
                    self.formals(k),
                    self._referencing(k) if kind == "TRIGGER" else [],
                    self._language(k),
                )
            if self.tokens[j].text in ("(", ";") or self.words[j] in ("TABLE", "VIEW", "AS"):
                return None
        return None

    def _language(self, k: int) -> str:
        for j in range(k, min(k + 400, len(self.tokens) - 1)):
            if self.words[j] in ("AS", "IS", "BEGIN") or self._text(j) == ";":
                break
            if self.words[j] == "LANGUAGE":
                return self._text(j + 1).upper()
        return ""

    def _triggering(self, k: int) -> list[Token]:
        """The name after ON in a trigger's header."""
        for j in range(k, min(k + 60, len(self.tokens))):
            if self.words[j] == "ON":
                end = j + 2
                while end + 1 < len(self.tokens) and self.tokens[end].text == ".":
                    end += 2
                return self.tokens[j + 1 : end]
        return []

    def _returns(self, k: int) -> list[Token]:
        """What stands between the parentheses of RETURNS TABLE (..)."""
        for j in range(k, min(k + 400, len(self.tokens) - 3)):
            if self.words[j] in ("AS", "BEGIN"):
                break
            if self.words[j] == "RETURNS":
                at = next((i for i in range(j + 1, j + 5) if self._at(i) == "TABLE"), 0)
                if at and self._text(at + 1) == "(":
                    depth, end = 0, at + 1
                    while end < len(self.tokens):
                        depth += opens(self.tokens[end])
                        if depth == 0:
                            return self.tokens[at - 2 : end] if self._text(at - 2) == "@" else self.tokens[at:end]
                        end += 1
        return []

    def local(self, i: int) -> Header:
        """PROCEDURE or FUNCTION within a package or a routine."""
        k = i + 2
        return Header(
            self.words[i], self.tokens[i + 1 : k], self.tokens[i], [], self.parameters(k), [], self.formals(k), []
        )

    def _referencing(self, k: int) -> list[str]:
        """`REFERENCING OLD TABLE AS o NEW AS n`: o, n."""
        at = next((j for j in range(k, min(k + 80, len(self.tokens))) if self.words[j] == "REFERENCING"), 0)
        found: list[str] = []
        while at and self._at(at + 1) in ("OLD", "NEW", "OLD_TABLE", "NEW_TABLE"):
            at += 1
            while self._at(at + 1) in ("TABLE", "ROW", "AS"):
                at += 1
            found.append(self._text(at + 1).lower())
            at += 1
        return found

    def formals(self, k: int) -> list[Formal]:
        """The parameters at `k`: in parentheses, or T-SQL's without them."""
        if self._text(k) == "(":
            inner = balanced(self.tokens[k + 1 : k + 2_000])
        elif self._text(k) == "@":
            end = k
            while end < len(self.tokens) and self.words[end] not in ("AS", "WITH", "FOR", "BEGIN"):
                end += 1
            inner = self.tokens[k:end]
        else:
            return []
        found = []
        for part in parts(inner):
            kept = [t for t in part if t.text != "@"]
            words = [word(t) for t in kept]
            at = next((i for i, w in enumerate(words) if w not in ("IN", "OUT", "INOUT", "VARIADIC")), len(kept))
            if at < len(kept):
                found.append(Formal(kept[at].text, bool({"OUT", "INOUT", "OUTPUT"} & set(words)), kept[at + 1 :]))
        return found

    def _is_type(self, i: int) -> bool:
        """Oracle: whether RETURN names the type of a function's result, with IS or AS to follow."""
        depth = 0
        for j in range(i + 1, min(i + 40, len(self.tokens))):
            depth += opens(self.tokens[j])
            if depth < 0 or self.tokens[j].token_type.name == "SEMICOLON":
                return False
            if depth == 0 and self.words[j] in ("IS", "AS"):
                return self._at(j + 1) not in ("NULL", "NOT", "DISTINCT", "TRUE", "FALSE", "UNKNOWN")
        return False

    def is_body(self, i: int) -> bool:
        """Whether a statement word in a header without AS begins the body: MySQL, SQL/PSM; not `AFTER INSERT ON t`."""
        if self.words[i] == "RETURN" and self._is_type(i):
            return False
        return self._at(i - 1) not in (
            "AFTER",
            "BEFORE",
            "OF",
            "OR",
            "FOR",
            "INSTEAD",
            "SQL",
            "READS",
            "MODIFIES",
        ) and self._at(i + 1) not in ("ON", "OR", "OF", "SQL", "TIME", "LOCAL")  # timestamp WITH TIME ZONE

    def parameters(self, k: int) -> list[str]:
        """Names of the parameters in the parentheses at `k`."""
        found: list[str] = []
        if self._text(k) != "(":
            return found
        depth, expected = 0, True
        for j in range(k, min(k + 2_000, len(self.tokens))):
            text = self.tokens[j].text
            depth += opens(self.tokens[j])
            if depth == 0:
                break
            if text == "," and depth == 1:
                expected = True
            elif expected and text not in ("(", "@") and self.words[j] not in ("IN", "OUT", "INOUT", "VARIADIC"):
                found.append(text)
                expected = False
        return found


class Parameter(NamedTuple):
    """A T-SQL parameter: its name in lower case, without the sigil, and its default."""

    name: str
    default: list[Token]


def parameters_of(tokens: list[Token]) -> list[Parameter]:
    """`@a int = 1, @b sysname OUTPUT`, with or without parentheses around."""
    start = next((i for i, t in enumerate(tokens) if t.text == "@"), None)
    if start is None:
        return []
    listed = balanced(tokens[start:])
    end = next((i for i, t in enumerate(listed) if word(t) in ("WITH", "FOR")), len(listed))
    found = []
    for part in parts(listed[:end]):
        if part[0].text != "@" or len(part) < 2:
            continue
        at = next((i for i, t in enumerate(part) if t.text == "="), len(part))
        default = [t for t in part[at + 1 :] if word(t) not in ("OUTPUT", "OUT", "READONLY")]
        found.append(Parameter(part[1].text.lower(), default))
    return found
