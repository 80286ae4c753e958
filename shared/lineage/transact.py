"""T-SQL that sqlglot's grammar does not know, put into words that it does: hints, options, OPENXML, ad hoc sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage.tokens import balanced, instead, named, opens, parts
from shared.lineage.words import is_string, word, words_in

#: https://learn.microsoft.com/sql/t-sql/queries/hints-transact-sql-table
HINTS = words_in("""
    NOEXPAND INDEX FORCESEEK FORCESCAN HOLDLOCK NOLOCK NOWAIT PAGLOCK READCOMMITTED READCOMMITTEDLOCK READPAST
    READUNCOMMITTED REPEATABLEREAD ROWLOCK SERIALIZABLE SNAPSHOT SPATIAL_WINDOW_MAX_CELLS TABLOCK TABLOCKX UPDLOCK XLOCK
    KEEPIDENTITY KEEPDEFAULTS IGNORE_CONSTRAINTS IGNORE_TRIGGERS""")

#: how many tokens are taken, and what stands for them
Taken = tuple[int, list[Token]]
Step = Callable[[list[Token], int], Taken | None]


def rewritten(tokens: list[Token]) -> list[Token]:
    """The statement in words of the grammar; the list itself where nothing is to be done."""
    tokens = _aliased(tokens)
    if word(tokens[0]) in ("SELECT", "WITH") and any(word(t) == "IDENTITY" for t in tokens):
        tokens = _replaced(tokens, {}, {"IDENTITY": _identity})
    if not any(t.text in _MARKS or t.text.upper() in _WORDS or word(t) in HINTS for t in tokens):
        return tokens
    return _replaced(tokens, _MARKS, _WORDS)


def _replaced(tokens: list[Token], marks: Mapping[str, Step], words: Mapping[str, Step]) -> list[Token]:
    found: list[Token] = []
    i = 0
    while i < len(tokens):
        step = marks.get(_at(tokens, i)) or words.get(word(tokens[i]))
        taken = step(tokens, i) if step is not None else None
        if taken is None:
            found.append(tokens[i])
            i += 1
        else:
            found += taken[1]
            i += taken[0]
    return found


def _aliased(tokens: list[Token]) -> list[Token]:
    """SELECT 'alias' = expression: the alias as a name."""
    found = list(tokens)
    for i in range(1, len(tokens) - 1):
        if (
            tokens[i + 1].text == "="
            and tokens[i].token_type.name.endswith("STRING")
            and (tokens[i - 1].text == "," or word(tokens[i - 1]) in ("SELECT", "DISTINCT"))
        ):
            t = tokens[i]
            found[i] = Token(TokenType.IDENTIFIER, t.text, t.line, t.col, t.start, t.end)
    return found


def _at(tokens: list[Token], i: int) -> str:
    """The word, or the text of what is no word, at a place; nothing for a string."""
    return (word(tokens[i]) or tokens[i].text) if 0 <= i < len(tokens) and not is_string(tokens[i]) else ""


def _bracketed(tokens: list[Token], i: int) -> list[Token] | None:
    """What stands between the parentheses that open at `i`."""
    return balanced(tokens[i + 1 :]) if _at(tokens, i) == "(" else None


def _hint(tokens: list[Token], i: int) -> Taken | None:
    """`FROM t (NOLOCK)`."""
    inner = balanced(tokens[i + 1 :]) if i and _at(tokens, i + 1) in HINTS - {"INDEX"} else []
    is_hint = bool(inner) and all(word(t) in HINTS or t.text == "," for t in inner)
    return (len(inner) + 2, []) if is_hint and _at(tokens, i - 1) not in ("VALUES", "SELECT", ",") else None


def _with(tokens: list[Token], i: int) -> Taken | None:
    """`WITH (NOLOCK)`, `WITH XMLNAMESPACES ('uri' AS p)`."""
    inner = _bracketed(tokens, i + 1)
    if inner is not None and i and _at(tokens, i + 2) in HINTS:
        return len(inner) + 3, []
    if _at(tokens, i + 1) == "XMLNAMESPACES":
        size = 4 + len(_bracketed(tokens, i + 2) or ())
        return (size + 1, [tokens[i]]) if _at(tokens, i + size) == "," else (size, [])
    return None


def _option(tokens: list[Token], i: int) -> Taken | None:
    """`OPTION (RECOMPILE)` at the end of a query."""
    inner = _bracketed(tokens, i + 1)
    return (len(inner) + 3, []) if inner is not None and _at(tokens, i - 1) not in (".", ",", "SELECT") else None


def _adhoc(tokens: list[Token], i: int) -> Taken | None:
    """`OPENDATASOURCE('provider', 'connection').database.schema.table`: the table."""
    inner = _bracketed(tokens, i + 1)
    end = i + 3 + len(inner or ())
    return (end + 1 - i, []) if inner is not None and _at(tokens, end) == "." else None


def _rowset(tokens: list[Token], i: int) -> Taken | None:
    """`OPENROWSET('provider', 'connection', database.schema.table)`: the table."""
    inner = _bracketed(tokens, i + 1)
    given = parts(inner or [])
    if inner is None or len(given) < 3 or _at(tokens, i + 2) == "BULK" or is_string(given[-1][-1]):
        return None
    return len(inner) + 3, given[-1]


def _xml(tokens: list[Token], i: int) -> Taken | None:
    """OPENXML(@h, '/path', 1) WITH (column type 'path'): as OPENJSON, whose list of columns is the same."""
    inner = _bracketed(tokens, i + 1)
    given = parts(inner or [])
    if inner is None or not given:
        return None
    end = i + 3 + len(inner)
    call = [named("OPENJSON", tokens[i]), tokens[i + 1], *given[0], tokens[end - 1]]
    if _at(tokens, end) == "WITH" and _at(tokens, end + 1) != "(":  # WITH the columns of a table
        end += 2
        while _at(tokens, end) == ".":
            end += 2
    return end - i, call


def _parsed(tokens: list[Token], i: int) -> Taken | None:
    """`TRY_PARSE(a AS int USING 'en-US')` as a cast."""
    inner = _bracketed(tokens, i + 1)
    if inner is None or "AS" not in map(word, inner):
        return None
    using = next((n for n, t in enumerate(inner) if word(t) == "USING"), len(inner))
    close = tokens[i + 2 + len(inner)]
    return len(inner) + 3, [named("CAST", tokens[i]), tokens[i + 1], *inner[:using], close]


def _graph(tokens: list[Token], i: int) -> Taken | None:
    """`MATCH (a-(b)->c)`: a condition."""
    inner = _bracketed(tokens, i + 1)
    if inner is None or not any(t.text in ("-", "->", "<-") for t in inner):
        return None
    return len(inner) + 3, [instead(tokens[i], TokenType.NULL)]


def _physical(tokens: list[Token], i: int) -> Taken | None:
    """`%%physloc%%`: an address, no column."""
    if [_at(tokens, n) for n in (i + 1, i + 3, i + 4)] != ["%", "%", "%"]:
        return None
    return 5, [instead(tokens[i], TokenType.NULL)]


def _negated(tokens: list[Token], i: int) -> Taken | None:
    """`a !> b`, `a !< b`."""
    kind = {">": TokenType.LTE, "<": TokenType.GTE}.get(_at(tokens, i + 1))
    if kind is None or tokens[i].end + 1 != tokens[i + 1].start:
        return None
    text = "<=" if kind is TokenType.LTE else ">="
    return 2, [Token(kind, text, tokens[i].line, tokens[i].col, tokens[i].start, tokens[i + 1].end)]


def _global(tokens: list[Token], i: int) -> Taken | None:
    """`FROM ::fn_trace_gettable(..)`."""
    return (1, []) if _at(tokens, i - 1) in ("FROM", "JOIN", "APPLY", ",") else None


def _escape(tokens: list[Token], i: int) -> Taken | None:
    """ODBC's `{fn NOW()}`, `{d '2024-01-01'}`."""
    if _at(tokens, i + 1) not in ("FN", "D", "T", "TS", "OJ"):
        return None
    end = next((n for n in range(i, len(tokens)) if tokens[n].text == "}"), 0)
    return (end + 1 - i, rewritten(tokens[i + 2 : end])) if end else None


def _clone(tokens: list[Token], i: int) -> Taken | None:
    """Fabric: `CREATE TABLE a AS CLONE OF b AT '2024-05-01'`."""
    if _at(tokens, i - 1) != "AS" or _at(tokens, i + 1) != "OF":
        return None
    end = next((n for n in range(i, len(tokens)) if _at(tokens, n) == "AT"), len(tokens))
    return len(tokens) - i, [tokens[i], *tokens[i + 2 : end]]


def _write(tokens: list[Token], i: int) -> Taken | None:
    """`DELETE TOP (10) PERCENT FROM t FROM t AS a JOIN ..`: without TOP, and without the first of two FROM."""
    if i and _at(tokens, i - 1) not in (")", ";"):  # not the action of a MERGE
        return None
    end = i + 1
    if _at(tokens, end) == "TOP":
        inner = _bracketed(tokens, end + 1)
        end += 2 if inner is None else len(inner) + 3
        end += _at(tokens, end) == "PERCENT"
    if word(tokens[i]) == "DELETE" and _at(tokens, end) == "FROM" and "FROM" in _clauses(tokens[end + 1 :]):
        end += 1
    return (end - i, [tokens[i]]) if end > i + 1 else None


def _clauses(tokens: list[Token]) -> list[str]:
    """Words outside of parentheses, up to WHERE."""
    found: list[str] = []
    depth = 0
    for token in tokens:
        depth += opens(token)
        w = word(token) if depth == 0 else ""
        if depth < 0 or w == "WHERE":
            break
        found.append(w)
    return found


def _identity(tokens: list[Token], i: int) -> Taken | None:
    """`SELECT IDENTITY(int, 1, 1) AS id INTO ..`: a number."""
    inner = _bracketed(tokens, i + 1)
    if inner is None or _at(tokens, i - 1) not in ("SELECT", ",", "=", "DISTINCT"):
        return None
    return len(inner) + 3, [instead(tokens[i], TokenType.NULL)]


_MARKS: dict[str, Step] = {"%": _physical, "!": _negated, "::": _global, "{": _escape, "(": _hint}
_WORDS: dict[str, Step] = {
    "WITH": _with,
    "OPTION": _option,
    "OPENDATASOURCE": _adhoc,
    "OPENROWSET": _rowset,
    "OPENXML": _xml,
    "PARSE": _parsed,
    "CLONE": _clone,
    "INSERT": _write,
    "UPDATE": _write,
    "DELETE": _write,
    "MERGE": _write,
    "TRY_PARSE": _parsed,
    "MATCH": _graph,
}
