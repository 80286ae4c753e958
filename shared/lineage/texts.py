"""Texts of dynamic SQL: what constants and variables make, with a hole where a part is not constant.

A hole is a word of its own. Inside a string literal, or where a value stands, the statement can still be read, and the
value of the variable behind the hole flows on; a table whose name has a hole is not known.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from shared.lineage.queries import Queries
from shared.lineage.scopes import Scope
from shared.lineage.tables import HOLE
from shared.lineage.words import QUERY, word

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

    from shared.lineage.environment import Memory
    from shared.lineage.script import Script

#: holes of one script
MAX_HOLES = 2_000
#: functions that put their text into quotes, or make a name of it, or change nothing that matters here
_QUOTES = frozenset({"QUOTE_LITERAL", "QUOTE_NULLABLE", "ENQUOTE_LITERAL", "QUOTE"})
_NAMES = frozenset({"QUOTE_IDENT", "ENQUOTE_NAME", "QUALIFIED_SQL_NAME", "SIMPLE_SQL_NAME", "SQL_OBJECT_NAME"})
_SAME = frozenset({"UPPER", "LOWER", "TO_CHAR", "NOOP", "SCHEMA_NAME", "LTRIM", "RTRIM"})


class Texts:
    """The part of the procedural reader that knows texts."""

    script: Script
    memory: Memory

    def text(self, tokens: list[Token]) -> str | None:
        """Constant text of an expression, or None."""
        if len(tokens) == 1:
            token = tokens[0]
            if token.token_type.name.endswith("STRING"):
                return str(token.text)
            return self.memory.texts.get(token.text.lower())
        if len(tokens) == 2 and tokens[0].text in ("@", ":"):
            return self.memory.texts.get(tokens[1].text.lower())
        if not any(t.token_type.name.endswith("STRING") or t.text.lower() in self.memory.texts for t in tokens):
            return None
        if any(word(t) in QUERY for t in tokens):
            return None
        node = self.script.parsing.node(tokens)
        return self.constant(node) if node is not None else None

    def constant(self, node: Any) -> str | None:
        if isinstance(node, (exp.Paren, exp.Alias, exp.Cast, exp.Trim)):
            return self.constant(node.this)
        if isinstance(node, (exp.Literal, exp.National, exp.RawString)):
            return str(node.this)
        if isinstance(node, (exp.Parameter, exp.Column, exp.Placeholder)):
            return self.memory.texts.get(node.name.lower())
        if isinstance(node, (exp.Add, exp.DPipe)):
            return self._joined([node.left, node.right])
        if isinstance(node, exp.Concat):
            return self._joined(node.expressions)
        if isinstance(node, exp.Coalesce):
            return self.constant(node.this)
        if isinstance(node, exp.Chr):
            return "\n"
        if isinstance(node, exp.Dot):  # DBMS_ASSERT.NOOP(x)
            return self.constant(node.expression)
        return self._called(node) if isinstance(node, exp.Func) else None

    def _joined(self, nodes: list[Any]) -> str | None:
        """Texts one after the other, with holes; None where there is no text between them."""
        texts = [self.constant(n) for n in nodes]
        if not any(t is not None and any(map(str.isalpha, t)) for t in texts):
            return "".join(t or "" for t in texts) if all(t is not None for t in texts) else None
        return "".join(t if t is not None else self._hole(n) for t, n in zip(texts, nodes, strict=True))

    def _called(self, node: Any) -> str | None:
        name = (node.name if isinstance(node, exp.Anonymous) else node.key).upper()
        arguments = [a for a in node.args.values() if isinstance(a, exp.Expression)] + node.expressions
        texts = [self.constant(a) for a in arguments]
        if not texts:
            return None
        first = texts[0]
        if name in _QUOTES:
            return f"'{_doubled(first)}'" if first is not None else self._hole(arguments[0], is_value=True)
        if name in _NAMES:
            return first if first is not None else self._hole(arguments[0], is_value=False)
        if first is None:
            return None
        if name == "QUOTENAME":
            return f"[{first}]"
        if name in _SAME:
            return first
        if name in ("CHAR", "CHR", "NCHAR"):
            return "\n"
        if name in ("FORMAT", "FORMAT_STRING", "PRINTF") and first:
            return self._formatted(first, arguments[1:], texts[1:])
        if name == "REPLACE" and len(texts) == 3 and texts[1] is not None:
            return first.replace(texts[1], texts[2] if texts[2] is not None else self._hole(arguments[2]))
        return None

    def _formatted(self, pattern: str, arguments: list[Any], texts: list[str | None]) -> str | None:
        """`format('.. %I.%s ..', a, b)` (https://www.postgresql.org/docs/current/functions-string.html)."""
        position = 0

        def filled(match: re.Match[str]) -> str:
            nonlocal position
            if match[0] == "%%":
                return "%"
            at = int(match[1][:-1]) - 1 if match[1] else position
            position = at + 1
            text, kind = texts[at], match[2]
            if text is None:
                return self._hole(arguments[at], is_value={"I": False, "L": True}.get(kind))
            return f"'{_doubled(text)}'" if kind == "L" else text

        try:
            return re.sub(r"%%|%(\d+\$)?(?:-?\d+)?([IsLTtd])", filled, pattern)
        except IndexError:
            return None

    def _hole(self, node: Any, *, is_value: bool | None = None) -> str:
        """A word for a part that is not constant. Where it may be a name or a value, only a number is surely one."""
        if is_value is None:
            is_value = isinstance(node, (exp.Column, exp.Parameter)) and node.name.lower() in self.memory.numbers
        self.memory.holes += 1
        if self.memory.holes > MAX_HOLES:
            return f"{HOLE}0n_"
        name = f"{HOLE}{self.memory.holes}{'v' if is_value else 'n'}_"
        value = Queries(self.script.names, self.memory, self.script.name).value(node, Scope())
        self.memory.variables[name] = self.memory.follow(value)
        return name


def _doubled(text: str | None) -> str:
    return (text or "").replace("'", "''")
