"""Texts of dynamic SQL: what constants and variables make, with a hole where a part is not constant.

A hole is a word of its own. Inside a string literal, or where a value stands, the statement can still be read, and the
value of the variable behind the hole flows on; a table whose name has a hole is not known. A variable that branches
assign may hold several texts.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage.histories import MAX_TEXTS, shortened
from shared.lineage.queries import Queries
from shared.lineage.scopes import Scope
from shared.lineage.tables import HOLE
from shared.lineage.words import QUERY, is_string, word

if TYPE_CHECKING:
    from shared.lineage.environment import Memory
    from shared.lineage.script import Script

#: dynamic text longer than this is not followed
MAX_DYNAMIC = 200_000
#: holes of one script
MAX_HOLES = 2_000
#: functions that put their text into quotes, or make a name of it, or change nothing that matters here
_QUOTES = frozenset({"QUOTE_LITERAL", "QUOTE_NULLABLE", "ENQUOTE_LITERAL", "QUOTE"})
_NAMES = frozenset({"QUOTE_IDENT", "ENQUOTE_NAME", "QUALIFIED_SQL_NAME", "SIMPLE_SQL_NAME", "SQL_OBJECT_NAME"})
_SAME = frozenset({"UPPER", "LOWER", "TO_CHAR", "NOOP", "SCHEMA_NAME", "LTRIM", "RTRIM", "CONVERT", "STR"})
_HOLE = re.compile(HOLE + r"\d+[nv]_", re.IGNORECASE)
#: after one of these a value or a name is complete; a hole there is a clause of its own
_ENDS = frozenset({"VAR", "IDENTIFIER", "STRING", "NATIONAL_STRING", "NUMBER", "R_PAREN", "R_BRACKET", "STAR"})
_BEGINS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "CREATE", "ALTER", "EXEC", "EXECUTE"})


class Texts:
    """The part of the procedural reader that knows texts."""

    script: Script
    memory: Memory

    def text(self, tokens: list[Token]) -> str | None:
        """The text of an expression, the last one where branches make several, or None."""
        found = self.texts(tokens)
        return found[-1] if found else None

    def texts(self, tokens: list[Token]) -> tuple[str, ...]:
        """The texts that an expression may have; none where nothing is known."""
        if len(tokens) == 1 and is_string(tokens[0]):
            return (str(tokens[0].text),)
        bare = tokens[1:] if len(tokens) == 2 and tokens[0].text in ("@", ":") else tokens
        if len(bare) == 1:
            return self.memory.texts.get(bare[0].text.lower()) or ()
        if not any(is_string(t) or t.text.lower() in self.memory.texts or word(t) in ("CHAR", "NCHAR") for t in tokens):
            return ()
        if any(word(t) in QUERY for t in tokens) and not any(is_string(t) for t in tokens):
            return ()
        node = self.script.parsing.node(tokens)
        return self.constant(node) if node is not None else ()

    def constant(self, node: Any) -> tuple[str, ...]:
        """The texts of a parsed expression."""
        if isinstance(node, (exp.Paren, exp.Alias, exp.Cast, exp.TryCast, exp.Trim)):
            return self.constant(node.this)
        if isinstance(node, exp.Convert):
            return self.constant(node.expression)
        if isinstance(node, (exp.Literal, exp.National, exp.RawString)):
            return (str(node.this),)
        if isinstance(node, exp.Column) and self.script.name in ("tsql", "fabric", "mysql"):
            return ()  # a variable has a sigil there
        if isinstance(node, (exp.Parameter, exp.Column, exp.Placeholder)):
            return self.memory.texts.get(node.name.lower()) or ()
        if isinstance(node, (exp.Add, exp.DPipe)):
            nodes: list[Any] = []
            while isinstance(node, (exp.Add, exp.DPipe)):  # a long chain leans to the left
                nodes.append(node.right)
                node = node.left
            return self._joined([node, *nodes[::-1]])
        if isinstance(node, exp.Concat):
            return self._joined(node.expressions)
        if isinstance(node, exp.Coalesce):
            return self.constant(node.this)
        if isinstance(node, exp.Case):
            arms = [i.args.get("true") for i in node.args.get("ifs") or ()] + [node.args.get("default")]
            return self._either(arms)
        if isinstance(node, exp.If):
            return self._either([node.args.get("true"), node.args.get("false")])
        if isinstance(node, exp.Dot):  # DBMS_ASSERT.NOOP(x)
            return self.constant(node.expression)
        is_call = isinstance(node, exp.Func) and not isinstance(node, exp.Connector)  # a chain of ORs is one too
        return self._called_with(node) if is_call else ()

    def _either(self, arms: list[Any]) -> tuple[str, ...]:
        known = [self.constant(a) for a in arms if a is not None and not isinstance(a, exp.Null)]
        return _few([t for texts in known for t in texts]) if all(known) else ()

    def _joined(self, nodes: list[Any]) -> tuple[str, ...]:
        """Texts one after the other, with holes; none where there is no text between them."""
        texts = [self.constant(n) for n in nodes]
        if not any(any(map(str.isalpha, t)) for known in texts for t in known):
            combined = itertools.islice(itertools.product(*texts), MAX_TEXTS)
            return _few(["".join(t) for t in combined]) if all(texts) else ()
        found = [""]
        for node, known in zip(nodes, texts, strict=True):
            found = list(_few([a + b for a in found for b in known or (self.hole(node),)]))
        return tuple(found)

    def _called_with(self, node: Any) -> tuple[str, ...]:
        name = (node.name if isinstance(node, exp.Anonymous) else node.key).upper()
        arguments = [a for a in node.args.values() if isinstance(a, exp.Expression)] + node.expressions
        if not arguments or len(arguments) > 20:
            return ()
        known: list[tuple[str | None, ...]] = [self.constant(a) or (None,) for a in arguments]
        combined = itertools.islice(itertools.product(*known), MAX_TEXTS)
        return _few([t for texts in combined if (t := self._result(name, arguments, list(texts))) is not None])

    def _result(self, name: str, arguments: list[Any], texts: list[str | None]) -> str | None:
        first = texts[0]
        if name in _QUOTES:
            return f"'{_doubled(first)}'" if first is not None else self.hole(arguments[0], is_value=True)
        if name in _NAMES:
            return first if first is not None else self.hole(arguments[0], is_value=False)
        if first is None:
            return None
        if name == "QUOTENAME":
            return f"'{_doubled(first)}'" if texts[1:2] == ["'"] else f"[{first}]"
        if name in _SAME:
            return first
        if name in ("CHAR", "CHR", "NCHAR"):
            return chr(int(first)) if first.isdigit() and 9 <= int(first) < 0x3000 else "\n"
        if name == "SPACE":
            return " "
        if name in ("FORMAT", "FORMAT_STRING", "PRINTF", "FORMATMESSAGE") and first:
            return self._formatted(first, arguments[1:], texts[1:])
        if name == "REPLACE" and len(texts) == 3 and texts[1] is not None:
            new = texts[2] if texts[2] is not None else self.hole(arguments[2])
            return first.replace(texts[1], new) if first.count(texts[1]) * len(new) <= MAX_DYNAMIC else None
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
                return self.hole(arguments[at], is_value={"I": False, "L": True}.get(kind))
            return f"'{_doubled(text)}'" if kind == "L" else text

        try:
            return re.sub(r"%%|%(\d+\$)?(?:-?\d+)?([IsLTtdiu])", filled, pattern)
        except IndexError:
            return None

    def hole(self, node: Any, *, is_value: bool | None = None) -> str:
        """A word for a part that is not constant. Where it may be a name or a value, only a number is surely one."""
        if is_value is None:
            inner = node
            while True:
                if isinstance(inner, (exp.Cast, exp.TryCast, exp.Paren, exp.Coalesce)):
                    inner = inner.this
                elif isinstance(inner, exp.Convert):
                    inner = inner.expression
                elif isinstance(inner, exp.Anonymous) and inner.name.upper() in _SAME and inner.expressions:
                    inner = inner.expressions[0]
                else:
                    break
            is_value = isinstance(inner, (exp.Column, exp.Parameter)) and inner.name.lower() in self.memory.numbers
        self.memory.holes += 1
        if self.memory.holes > MAX_HOLES:
            return f"{HOLE}0n_"
        name = f"{HOLE}{self.memory.holes}{'v' if is_value else 'n'}_"
        value = Queries(self.script.names, self.memory, self.script.name).value(node, Scope())
        self.memory.held[name] = self.memory.follow(value)
        return name


def _few(texts: list[str]) -> tuple[str, ...]:
    return shortened([t for t in texts if len(t) <= MAX_DYNAMIC])


def _doubled(text: str | None) -> str:
    return (text or "").replace("'", "''")


#: a name follows these
_NAMED = frozenset({"INTO", "FROM", "JOIN", "UPDATE", "TABLE", "USING"})


def bridged(tokens: list[Token]) -> tuple[list[Token], int]:
    """Tokens of a text with holes: one that stands for a name or a value stays, one that is a whole clause goes.

    Also how many went: something of the statement is then not known.
    """
    found: list[Token] = []
    lost = 0
    for i, token in enumerate(tokens):
        if not _HOLE.fullmatch(token.text) or is_string(token):
            found.append(token)
            continue
        before = found[-1] if found else None
        after = tokens[i + 1] if i + 1 < len(tokens) else None
        is_name = before is not None and (before.text == "." or word(before) in _NAMED)
        if token.token_type.name == "IDENTIFIER" or is_name or (after is not None and after.text == "."):
            found.append(token)
        elif before is not None and word(before) == "TOP":
            found.append(Token(TokenType.NUMBER, "1", token.line, token.col, token.start, token.end))
        elif (
            before is None
            or before.token_type.name in _ENDS
            or before.token_type.name == "SEMICOLON"
            or (after is not None and word(after) in _BEGINS and word(before) in ("BEGIN", "THEN", "ELSE"))
        ):
            lost += 1
        else:
            found.append(token)
    return found, lost
