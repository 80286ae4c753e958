"""Text -> tokens -> trees: sqlglot's parser as this package uses it, with other dialects to fall back to."""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import warnings
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ErrorLevel, ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage.bounds import allowed_nodes, too_deep
from shared.lineage.dialects import COMMON, canonical, nearest, similar
from shared.lineage.normalizing import normalized
from shared.lineage.patterns import without_patterns
from shared.lineage.pipes import unpiped
from shared.lineage.placeholders import joined
from shared.lineage.rewriting import table_arguments, table_queries
from shared.lineage.tokens import select
from shared.lineage.words import word

#: sqlglot imports a module of this name, so that only names go there, never a path or ten thousand characters
_DIALECT = re.compile(r"[a-z][a-z0-9_]{0,40}")
_MISSING = re.compile(r"^Required keyword: '\w+' missing for <class '[\w.]*\.(\w+)'>")
_TOO_MUCH = "The number of provided arguments"
#: tried in this order where the dialect's own grammar fails
_NEAREST = ("postgres", "tsql", "snowflake", "databricks", "bigquery", "mysql", "oracle", "duckdb")
MAX_ATTEMPTS = 60
#: JOINs in a row without ON, each of which doubles what the parser tries
MAX_LOOSE = 8
#: tokens of the statements that are tried in other dialects, or parsed once more, together
MAX_AGAIN = 300_000
_TOO_MANY = "Maximum number of AST nodes"
#: dialects with `$tag$ .. $tag$` strings and `$1` parameters
_DOLLARS = frozenset({"postgres", "redshift", "duckdb", "materialize", "risingwave"})
_TAG_LIKE = re.compile(r"\$\d[^\s$]*\$")
_LITERAL_OR_PARAMETER = re.compile(
    r"--[^\n]*|/\*[\s\S]*?(?:\*/|\Z)|\$([A-Za-z_]\w*|)\$[\s\S]*?(?:\$\1\$|\Z)|\bE'(?:[^'\\]|\\[\s\S])*(?:'|\Z)"
    r"|'[^']*(?:'|\Z)|\"[^\"]*(?:\"|\Z)|(?P<parameter>\$(?=\d))",
    re.IGNORECASE,
)

warnings.filterwarnings("ignore", "Possible (nested set|set )", FutureWarning)  # sqlglot compiles patterns of the SQL
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # what it warns of comes back as problems, with a line


def dialect_of(name: str) -> tuple[str, Dialect, str]:
    """(sqlglot's name, the dialect, what to say where it is not the one that was asked for)."""
    wanted = canonical(name)
    if wanted == "" or (_DIALECT.fullmatch(wanted) and Dialect.get(wanted) is not None):
        return wanted, Dialect.get_or_raise(wanted), ""
    near = nearest(wanted)
    if near is not None:
        return near, Dialect.get_or_raise(near), f"no grammar for the dialect {wanted!r}; read as {near}"
    alike = similar(wanted, Dialect.classes)
    if alike is not None:
        return alike, Dialect.get_or_raise(alike), f"unknown dialect {name[:40]!r}; read as {alike}, the nearest name"
    known = ", ".join(COMMON)
    notice = f"unknown dialect {name[:40]!r}; read with the general grammar; there are {known} and others"
    return "", Dialect.get_or_raise(""), notice


@functools.cache
def tokenizer_of(dialect: str) -> Any:
    """The dialect's tokenizer without its shortcut for commands, which swallows all text up to the next semicolon."""
    # Athena's own decides by the first statement whether all of a script is Hive's
    base = Dialect.get_or_raise("trino" if dialect == "athena" else dialect).tokenizer_class

    class Plain(base):  # type: ignore[misc, valid-type]
        COMMANDS: ClassVar[set[Any]] = set()
        IDENTIFIERS: ClassVar[list[Any]] = ['"', "`"] if dialect == "athena" else base.IDENTIFIERS

    return Plain


def _parameters(text: str) -> set[int]:
    """Where the `$` of positional parameters stand outside of strings: the tokenizer takes `$1::text,$` for a tag."""
    return {m.start() for m in _LITERAL_OR_PARAMETER.finditer(text) if m.lastgroup == "parameter"}


def _parameter(token: Token) -> Token:
    return Token(TokenType.PARAMETER, "$", token.line, token.col, token.start, token.end)


class Parsing:
    """One dialect's tokenizer and parser."""

    def __init__(self, name: str, dialect: Dialect) -> None:
        self.name = name
        self.dialect = dialect
        self.attempts = 0
        self.again = 0
        self.known: dict[str, str] = {}

    def tokens(self, text: str) -> list[Token]:
        """Raises TokenError, ValueError or RecursionError."""
        marks = _parameters(text) if self.name in _DOLLARS and _TAG_LIKE.search(text) else {}
        characters = list(text) if marks else []
        for at in marks:
            characters[at] = "?"
        masked = "".join(characters) if marks else text
        found = list(tokenizer_of(self.name)(dialect=self.dialect).tokenize(masked))
        if marks:
            found = [
                Token(TokenType.PARAMETER, "$", t.line, t.col, t.start, t.end) if t.start in marks else t for t in found
            ]
        return joined(found, text, self.name, self.known)

    def words(self, text: str) -> list[Token]:
        """Tokens, or none where a quote is open."""
        try:
            return self.tokens(text)
        except (TokenError, ValueError, RecursionError):
            return []

    def parsed(self, tokens: list[Token], text: str) -> list[Any]:
        """Raises ParseError."""
        if any(t.token_type is TokenType.PIPE_GT for t in tokens):
            tokens = unpiped(tokens)
        if any(t.token_type is TokenType.MATCH_RECOGNIZE for t in tokens):
            tokens = without_patterns(tokens)
        if any(t.token_type is TokenType.TABLE for t in tokens):
            tokens = table_arguments(table_queries(tokens))
        try:
            return [normalized(tree, self._query) for tree in self._trees(tokens, text)]
        except TokenError as error:  # a quoted name that is a text of its own to sqlglot
            raise ParseError("not understood") from error

    def _query(self, text: str) -> list[Any]:
        """A text within the text, as a query."""
        tokens = [t for t in self.tokens(text) if t.token_type.name != "SEMICOLON"]
        return self._trees(tokens, text) if tokens and not too_deep(tokens) else []

    def _trees(self, tokens: list[Token], text: str) -> list[Any]:
        """Raises ParseError. A function with too few arguments is none: `dbo.split(x)` is not sqlglot's SPLIT."""
        try:
            return self._parse(tokens, text)
        except (TypeError, AttributeError, AssertionError) as error:  # the compiled parser checks types
            raise ParseError("not understood") from error
        except ParseError as error:
            if not _is_about_arguments(error) or not self.has_time(tokens) or _loose_joins(tokens) > MAX_LOOSE:
                raise
        try:
            self._parse(tokens, text, error_level=ErrorLevel.RAISE, max_errors=100)
        except ParseError as error:
            if not _is_about_arguments(error):
                raise
        except (TypeError, AttributeError, AssertionError) as error:
            raise ParseError("not understood") from error
        try:
            return self._parse(tokens, text, error_level=ErrorLevel.IGNORE)
        except (TypeError, AttributeError, AssertionError) as error:
            raise ParseError("not understood") from error

    def _parse(self, tokens: list[Token], text: str, **options: Any) -> list[Any]:
        return list(self.dialect.parser(max_nodes=allowed_nodes(tokens), **options).parse(tokens, text))

    def has_time(self, tokens: list[Token]) -> bool:
        """Whether these tokens may be parsed once more."""
        self.again += len(tokens)
        return self.again <= MAX_AGAIN

    def node(self, tokens: list[Token]) -> Any:
        """A parsed expression, or None."""
        if too_deep(tokens):
            return None
        try:
            parsed = self._parse([select(tokens[0]), *tokens], "")
        except (ParseError, TokenError, TypeError, AttributeError):  # the compiled parser checks types
            return None
        query = parsed[0] if parsed else None
        return query.expressions[0] if isinstance(query, exp.Select) and len(query.expressions) == 1 else None

    def expressions(self, tokens: list[Token]) -> list[Any]:
        """Parsed expressions between commas."""
        try:
            (query,) = self._parse([select(tokens[0]), *tokens], "")
        except (ParseError, TokenError, ValueError, IndexError, TypeError, AttributeError):
            return []
        return list(query.expressions) if isinstance(query, exp.Select) else []

    def otherwise(self, text: str) -> tuple[str, list[Any]]:
        """The statement as another dialect reads it: a script of the wrong dialect, or of several."""
        for name in _NEAREST:
            if name == self.name or self.attempts >= MAX_ATTEMPTS:
                continue
            self.attempts += 1
            dialect = Dialect.get_or_raise(name)
            with contextlib.suppress(ParseError, TokenError, ValueError, TypeError, AttributeError, AssertionError):
                tokens = joined(tokenizer_of(name)(dialect=dialect).tokenize(text), text, self.name, self.known)
                if not self.has_time(tokens) or too_deep(tokens):
                    continue
                parsed = dialect.parser(max_nodes=allowed_nodes(tokens)).parse(tokens, text)
                if parsed and all(isinstance(s, (exp.Query, exp.DML, exp.Create, exp.Merge)) for s in parsed):
                    return name, [normalized(tree, self._query) for tree in parsed]
        return "", []


def _loose_joins(tokens: list[Token]) -> int:
    """The longest chain of JOINs without ON or USING."""
    longest = run = 0
    for token in tokens:
        w = word(token)
        if w == "JOIN":
            run += 1
            longest = max(longest, run)
        elif w in ("ON", "USING"):
            run = 0
    return longest


def _is_about_arguments(error: ParseError) -> bool:
    """Whether all that is wrong is that functions lack arguments, or have more than sqlglot knows of."""
    texts = [str(e.get("description")) for e in error.errors]
    found = [_MISSING.search(t) for t in texts if not t.startswith(_TOO_MUCH)]
    if texts and not found:
        return True
    return bool(found) and all(f is not None and issubclass(getattr(exp, f[1], object), exp.Func) for f in found)


def first_error(error: ParseError, line: int) -> tuple[int, str]:
    """Line and reason of a parse error, without the SQL around it: it may hold a credential."""
    first: dict[str, Any] = error.errors[0] if error.errors else {}
    reason = str(first.get("description") or "not understood")
    if reason.startswith(_TOO_MANY):
        return line, "it would take the parser too long"
    reason = reason.split(" but got <", maxsplit=1)[0].split("<", maxsplit=1)[0]
    return int(first.get("line") or line), reason.strip()
