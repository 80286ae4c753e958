"""The SSIS expression language, evaluated as far as values are known.

    evaluate('"FROM " + @[User::Table]', {"User::Table": "dbo.Sale"}.__getitem__)           # 'FROM dbo.Sale'
    evaluate('@[User::Day] + ".csv"', lambda name: Unknown("{User::Day}"))                  # '{User::Day}.csv'

What is not known stays as a named placeholder, `{User::Day}` or `{GETDATE()}`, in the text around it. Operators and
their order: https://learn.microsoft.com/sql/integration-services/expressions/operators-ssis-expression ; literals:
.../literals-ssis ; functions: .../functions-ssis-expression. lark is the parser; nothing here raises on an expression.
"""

from __future__ import annotations

import functools
import math
import operator
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

#: https://learn.microsoft.com/sql/integration-services/expressions/integration-services-ssis-expressions
MAX_LENGTH = 4_000
_MAX_RESULT = 100_000
_MAX_NUMBER = 10**40

_GRAMMAR = r"""
    start: conditional
    ?conditional: or_ | or_ "?" conditional ":" conditional -> choice
    ?or_: and_ | or_ "||" and_ -> binary_or
    ?and_: bit_or | and_ "&&" bit_or -> binary_and
    ?bit_or: bit_xor | bit_or BIT_OR bit_xor -> binary
    ?bit_xor: bit_and | bit_xor BIT_XOR bit_and -> binary
    ?bit_and: equality | bit_and BIT_AND equality -> binary
    ?equality: relation | equality EQUALITY relation -> binary
    ?relation: sum | relation RELATION sum -> binary
    ?sum: product | sum (PLUS | MINUS) product -> binary
    ?product: unary | product PRODUCT unary -> binary
    ?unary: cast | MINUS unary -> negative | "!" unary -> not_ | "~" unary -> complement
    ?cast: atom | "(" TYPE ("," NUMBER)* ")" unary -> cast
    ?atom: "(" conditional ")" | STRING -> string | NUMBER -> number | VARIABLE -> variable | COLUMN -> column
         | NAME "(" [argument ("," argument)*] ")" -> call | NAME -> word
    ?argument: conditional | TYPE -> type
    BIT_OR: "|"
    BIT_XOR: "^"
    BIT_AND: "&"
    EQUALITY: "==" | "!="
    RELATION: "<=" | ">=" | "<" | ">"
    PLUS: "+"
    MINUS: "-"
    PRODUCT: "*" | "/" | "%"
    TYPE.2: /DT_\w+/i
    VARIABLE: /@\[[^\]]*\]/ | /@[A-Za-z_$]\w*(::\w+)?/
    COLUMN: /#\{[^}]*\}/ | /#\d+/ | /\[[^\]]*\](\.\[[^\]]*\])?/
    STRING: /"(\\.|[^"\\])*"/s
    NUMBER: /0[xX][0-9a-fA-F]+[uUlL]*|\d+(\.\d*)?([eE][+-]?\d+)?[uUlLfF]*|\.\d+([eE][+-]?\d+)?[fF]?/
    NAME: /[A-Za-z_]\w*/
    %ignore /\s+/
"""
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class Unknown(NamedTuple):
    """A value that is not known, or known in part: its text with placeholders in braces."""

    text: str


Value = str | int | float | bool | None | Unknown
#: full name of a variable or parameter -> its value; Unknown where it is not known
Lookup = Callable[[str], Value]


class _CannotError(Exception):
    """The expression has no value that can be told here."""


def evaluate(text: str, lookup: Lookup) -> str:
    """The value as text."""
    return shown(value_of(text, lookup))


def value_of(text: str, lookup: Lookup) -> Value:
    from lark.exceptions import LarkError

    if len(text) > MAX_LENGTH:
        return Unknown("{an expression that is too long}")
    try:
        value: Value = _Evaluation(text, lookup).of(cast("Tree[Any]", _parser().parse(text).children[0]))
    except (LarkError, RecursionError):
        return _placeholder(text)
    return value


def shown(value: Value) -> str:
    """A value as SSIS writes it into a text."""
    if isinstance(value, Unknown):
        return value.text
    if value is None:
        return ""
    return str(value)


def is_known(text: str) -> bool:
    """Whether a result holds no placeholder."""
    return "{" not in text


@functools.cache
def _parser() -> Lark:
    from lark import Lark

    return Lark(_GRAMMAR, parser="lalr", propagate_positions=True, maybe_placeholders=False)


def _placeholder(text: str) -> Unknown:
    plain = re.sub(r"[{}\s]+", " ", text).strip()
    return Unknown("{" + (plain if len(plain) <= 60 else plain[:57] + "...") + "}")


class _Evaluation:
    def __init__(self, text: str, lookup: Lookup) -> None:
        self._text, self._lookup = text, lookup

    def of(self, tree: Tree[Any]) -> Value:
        try:
            found: Value = getattr(self, f"_{tree.data.rstrip('_')}")(*tree.children)
        except (_CannotError, ArithmeticError, ValueError, TypeError, IndexError):
            return _placeholder(self._text[tree.meta.start_pos : tree.meta.end_pos])
        if isinstance(found, (str, Unknown)) and len(shown(found)) > _MAX_RESULT:
            return Unknown("{a text that is too long}")
        return found

    # ---- what stands for itself

    def _string(self, token: Token) -> str:
        def escape(found: re.Match[str]) -> str:
            code = found[1]
            if code[0] == "x" and len(code) > 1:
                return chr(int(code[1:], 16))
            return _ESCAPES.get(code, code)

        return re.sub(r"\\(x[0-9a-fA-F]{1,4}|.)", escape, str(token)[1:-1], flags=re.DOTALL)

    def _number(self, token: Token) -> int | float:
        text = token.lower()
        if text.startswith("0x"):
            return int(text.rstrip("ul"), 16)
        text = text.rstrip("ulf")
        return float(text) if re.search(r"[.e]", text) else int(text)

    def _word(self, token: Token) -> Value:
        known: dict[str, Value] = {"TRUE": True, "FALSE": False}
        return known.get(token.upper(), Unknown("{" + str(token) + "}"))

    def _type(self, token: Token) -> str:
        return str(token)

    def _variable(self, token: Token) -> Value:
        name = token[2:-1] if token.startswith("@[") else token[1:]
        name = name if "::" in name else f"User::{name}"
        return self._lookup(name)

    def _column(self, token: Token) -> Value:
        return _placeholder(str(token))

    # ---- operators

    def _binary(self, left: Tree[Any], sign: Token, right: Tree[Any]) -> Value:
        one, two = self.of(left), self.of(right)
        if sign == "+" and any(isinstance(v, (str, Unknown)) for v in (one, two)):
            joined = shown(one) + shown(two)
            return Unknown(joined) if isinstance(one, Unknown) or isinstance(two, Unknown) else joined
        value: Value = _OPERATORS[str(sign)](*_alike(_known(one), _known(two)))
        return value

    def _binary_or(self, left: Tree[Any], right: Tree[Any]) -> Value:
        one, two = self.of(left), self.of(right)
        if one is True or two is True:
            return True
        return _truth(one) or _truth(two)

    def _binary_and(self, left: Tree[Any], right: Tree[Any]) -> Value:
        one, two = self.of(left), self.of(right)
        if one is False or two is False:
            return False
        return _truth(one) and _truth(two)

    def _negative(self, _sign: Token, inner: Tree[Any]) -> Value:
        return -_number_of(self.of(inner))

    def _not(self, inner: Tree[Any]) -> Value:
        return not _truth(self.of(inner))

    def _complement(self, inner: Tree[Any]) -> Value:
        return ~int(_number_of(self.of(inner)))

    def _choice(self, condition: Tree[Any], yes: Tree[Any], no: Tree[Any]) -> Value:
        """Where the condition is not known, both sides may still say the same."""
        decided = self.of(condition)
        if isinstance(decided, Unknown):
            one, two = self.of(yes), self.of(no)
            if shown(one) == shown(two):
                return one
            raise _CannotError
        return self.of(yes if _truth(decided) else no)

    def _cast(self, type_name: Token, *rest: Any) -> Value:
        """A length cuts a text; what is not known stays as it is, for a cast changes no name."""
        *sizes, inner = rest
        value = self.of(inner)
        if isinstance(value, Unknown):
            return value
        name = type_name.upper()
        if name in ("DT_WSTR", "DT_STR", "DT_TEXT", "DT_NTEXT"):
            text = shown(value)
            return text[: int(sizes[0])] if sizes and name in ("DT_WSTR", "DT_STR") else text
        if name == "DT_BOOL":
            return _truth(value)
        if re.fullmatch(r"DT_U?I[1248]", name):
            return int(float(shown(value)))
        if name in ("DT_R4", "DT_R8", "DT_NUMERIC", "DT_DECIMAL", "DT_CY"):
            return float(shown(value))
        return value

    def _call(self, name: Token, *arguments: Tree[Any]) -> Value:
        values = [self.of(argument) for argument in arguments]
        function = _FUNCTIONS.get(name.upper())
        if function is None or any(isinstance(value, Unknown) for value in values):
            told = ", ".join(
                shown(value).strip("{}") if isinstance(value, Unknown) else repr(value) for value in values
            )
            return _placeholder(f"{name.upper()}({told})")
        value: Value = function(*values)
        return value


def _known(value: Value) -> Any:
    if isinstance(value, Unknown):
        raise _CannotError
    return value


def _truth(value: Value) -> bool:
    value = _known(value)
    if isinstance(value, str):
        if value.lower() not in ("true", "false", "1", "0", "-1"):
            raise _CannotError
        return value.lower() not in ("false", "0")
    return bool(value)


def _number_of(value: Value) -> int | float:
    value = _known(value)
    if isinstance(value, (bool, int, float)):
        if abs(value) > _MAX_NUMBER:
            raise _CannotError
        return value
    text = str(value)
    return int(text) if re.fullmatch(r"[+-]?\d{1,40}", text) else float(text)


def _alike(one: Any, two: Any) -> tuple[Any, Any]:
    """A variable's value is kept as text: beside a number it is one."""
    if isinstance(one, str) and not isinstance(two, str):
        return _number_of(one) if not isinstance(two, bool) else _truth(one), two
    if isinstance(two, str) and not isinstance(one, str):
        return one, _number_of(two) if not isinstance(one, bool) else _truth(two)
    return one, two


def _divide(one: Any, two: Any) -> int | float:
    """Whole numbers divide to a whole number, towards zero."""
    if isinstance(one, int) and isinstance(two, int):
        return abs(one) // abs(two) * (1 if (one < 0) == (two < 0) else -1)
    return float(one / two)


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": lambda one, two: _number_of(one) * _number_of(two),
    "/": lambda one, two: _divide(_number_of(one), _number_of(two)),
    "%": lambda one, two: math.fmod(_number_of(one), _number_of(two)),
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "&": lambda one, two: int(one) & int(two),
    "|": lambda one, two: int(one) | int(two),
    "^": lambda one, two: int(one) ^ int(two),
}


def _find(text: str, wanted: str, occurrence: Any) -> int:
    """FINDSTRING: the position, from 1, of the n-th occurrence; 0 where there is none."""
    at = -1
    for _ in range(min(int(_number_of(occurrence)), MAX_LENGTH)):
        at = text.find(wanted, at + 1)
        if at < 0:
            return 0
    return at + 1


def _tokens(text: str, delimiters: str) -> list[str]:
    return [token for token in re.split(f"[{re.escape(delimiters)}]", text) if token] if delimiters else [text]


def _token(text: str, delimiters: str, number: Any) -> str:
    tokens, at = _tokens(text, delimiters), int(_number_of(number))
    return tokens[at - 1] if 0 < at <= len(tokens) else ""


def _repeat(text: Any, times: Any) -> str:
    count = int(_number_of(times))
    if len(shown(text)) * count > _MAX_RESULT:
        raise _CannotError
    return shown(text) * max(0, count)


def _substring(text: Any, start: Any, length: Any) -> str:
    at = int(_number_of(start)) - 1
    if at < 0 or int(_number_of(length)) < 0:
        raise _CannotError
    return shown(text)[at : at + int(_number_of(length))]


def _round(value: Any, digits: Any) -> int | float:
    """Halves go away from zero, unlike Python's."""
    scale = 10.0 ** min(30, int(_number_of(digits)))
    number = float(_number_of(value))
    return math.copysign(math.floor(abs(number) * scale + 0.5) / scale, number)


_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "ABS": lambda v: abs(_number_of(v)),
    "CEILING": lambda v: math.ceil(_number_of(v)),
    "CODEPOINT": lambda v: ord(shown(v)[0]),
    "EXP": lambda v: math.exp(_number_of(v)),
    "FINDSTRING": lambda v, w, n: _find(shown(v), shown(w), n),
    "FLOOR": lambda v: math.floor(_number_of(v)),
    "HEX": lambda v: f"{int(_number_of(v)):X}",
    "ISNULL": lambda v: v is None,
    "LEFT": lambda v, n: shown(v)[: max(0, int(_number_of(n)))],
    "LEN": lambda v: len(shown(v)),
    "LN": lambda v: math.log(_number_of(v)),
    "LOG": lambda v: math.log10(_number_of(v)),
    "LOWER": lambda v: shown(v).lower(),
    "LTRIM": lambda v: shown(v).lstrip(" "),
    "NULL": lambda *_: None,
    "POWER": lambda v, n: float(_number_of(v)) ** float(_number_of(n)),
    "REPLACE": lambda v, old, new: shown(v).replace(shown(old), shown(new)) if old else shown(v),
    "REPLACENULL": lambda v, other: other if v is None else v,
    "REPLICATE": _repeat,
    "REVERSE": lambda v: shown(v)[::-1],
    "RIGHT": lambda v, n: shown(v)[-int(_number_of(n)) :] if int(_number_of(n)) > 0 else "",
    "ROUND": _round,
    "RTRIM": lambda v: shown(v).rstrip(" "),
    "SIGN": lambda v: (_number_of(v) > 0) - (_number_of(v) < 0),
    "SQRT": lambda v: math.sqrt(_number_of(v)),
    "SQUARE": lambda v: _number_of(v) ** 2,
    "SUBSTRING": _substring,
    "TOKEN": lambda v, d, n: _token(shown(v), shown(d), n),
    "TOKENCOUNT": lambda v, d: len(_tokens(shown(v), shown(d))),
    "TRIM": lambda v: shown(v).strip(" "),
    "UPPER": lambda v: shown(v).upper(),
}
