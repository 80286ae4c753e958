"""Clauses cut out of a statement before it is parsed: what is returned or put into variables, a CREATE's options."""

from __future__ import annotations

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage.tokens import balanced, comma, instead, opens
from shared.lineage.words import INTO_BEFORE, word

#: where the rows of a made table go: Greenplum, Vertica
_STORED = frozenset({"DISTRIBUTED", "SEGMENTED", "UNSEGMENTED", "KSAFE"})


def simplified(tokens: list[Token]) -> list[Token] | None:
    """A CREATE .. AS, CLONE or TRUNCATE that the grammar refuses, without what says nothing about lineage."""
    words = [word(t) for t in tokens]
    if words[0] == "TRUNCATE":
        at = 2 if words[1:2] == ["TABLE"] else 1
        end = at + 1
        while end < len(tokens) and (tokens[end].text == "." or tokens[end - 1].text == "."):
            end += 1
        return [tokens[0], instead(tokens[0], TokenType.TABLE), *tokens[at:end]] if end < len(tokens) else None
    if words[0] not in ("CREATE", "REPLACE"):
        return None
    kind = next((i for i, w in enumerate(words[:9]) if w in ("TABLE", "VIEW")), 0)
    if not kind:
        return None
    at = kind + 1
    while words[at : at + 1] and words[at] in ("IF", "NOT", "EXISTS"):
        at += 1
    end = at + 1
    while end < len(tokens) and (tokens[end].text == "." or tokens[end - 1].text == "."):
        end += 1
    name = tokens[at:end]
    temporary = [t for t in tokens[1:kind] if word(t) in ("TEMP", "TEMPORARY", "VOLATILE")][:1]
    clone = next((i for i in range(end, len(tokens)) if words[i] == "CLONE"), 0)
    if clone:
        stop = clone + 2
        while stop < len(tokens) and (tokens[stop].text == "." or tokens[stop - 1].text == "."):
            stop += 1
        return [tokens[0], *temporary, instead(tokens[0], TokenType.TABLE), *name, *tokens[clone:stop]]
    columns: list[Token] = []
    depth, start = 0, 0
    for i in range(end, len(tokens)):
        depth += opens(tokens[i])
        after = words[i + 1 : i + 2]
        if (
            depth == 0
            and words[i] == "AS"
            and (after in (["SELECT"], ["WITH"]) or (tokens[i + 1 : i + 2] and tokens[i + 1].text == "("))
        ):
            start = i
            break
        is_list = i == end or words[i - 1] in ("FALLBACK", "JOURNAL", "LOG", "CHECKSUM")
        if depth == 1 and tokens[i].text == "(" and is_list and "SELECT" not in words[i + 1 : i + 3]:
            columns = [tokens[i], *balanced(tokens[i + 1 :])]
    if not start:
        return None
    listed: list[Token] = []
    expected, depth = True, 0
    for token in columns[1:]:
        if expected and word(token) not in ("PRIMARY", "CONSTRAINT", "UNIQUE", "FOREIGN", "INDEX"):
            listed += [*([comma(token)] if listed else []), token]
        expected = False
        depth += opens(token)
        expected = token.text == "," and depth == 0
    query = tokens[start + 1 :]
    if query and query[0].text == "(":
        query = balanced(query[1:])
    depth = 0
    for i, token in enumerate(query):
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and i and word(token) in _STORED:
            query = query[:i]
            break
    for i, token in enumerate(query):
        if (
            word(token) == "WITH"
            and i
            and [word(t) for t in query[i + 1 : i + 3]] in (["NO", "DATA"], ["DATA"], ["CHECK", "OPTION"])
        ):
            query = query[:i]
            break
        if (
            word(token) == "WITH"
            and i
            and word(query[i + 1] if i + 1 < len(query) else token) in ("DATA", "READ", "CHECK", "NO")
        ):
            query = query[:i]
            break
    brackets = (
        [columns[0], *listed, Token(TokenType.R_PAREN, ")", tokens[0].line, 0, tokens[0].start, tokens[0].end)]
        if listed
        else []
    )
    made = TokenType.VIEW if words[kind] == "VIEW" else TokenType.TABLE
    return [tokens[0], *temporary, instead(tokens[0], made), *name, *brackets, tokens[start], *query]


def without_returning(tokens: list[Token]) -> tuple[list[Token], list[Token], list[Token]]:
    """`.. RETURNING a [BULK COLLECT] INTO x`: the statement without it, what it returns, and into what."""
    words = [word(t) for t in tokens]
    if words[0] not in ("INSERT", "UPDATE", "DELETE", "MERGE", "WITH") or "RETURNING" not in words:
        return tokens, [], []
    depth = start = at = 0
    for i, token in enumerate(tokens):
        depth += opens(token)
        if depth == 0 and words[i] == "RETURNING":
            start = i
        elif depth == 0 and start and words[i] == "INTO":
            at = i
            break
    if not at:
        return tokens, [], []
    end = at - 2 if words[at - 2 : at] == ["BULK", "COLLECT"] else at
    return tokens[:start], tokens[start + 1 : end], tokens[at + 1 :]


def without_variables(tokens: list[Token]) -> tuple[list[Token], list[Token]]:
    """`SELECT .. [BULK COLLECT] INTO a, b FROM ..`: the query without its INTO, and what stands after INTO."""
    words = [word(t) for t in tokens]
    if words[0] not in ("SELECT", "WITH") or "INTO" not in words:
        return tokens, []
    depth = 0
    for at, token in enumerate(tokens):
        depth += opens(token)
        if depth == 0 and words[at] == "INTO" and words[at - 1] not in ("INSERT", "MERGE", "REPLACE"):
            break
    else:
        return tokens, []
    end = next((i for i in range(at + 1, len(tokens)) if words[i] in INTO_BEFORE), len(tokens))
    if words[at - 1] in ("SELECT", "DISTINCT"):  # PL/pgSQL: SELECT INTO a, b x, y FROM ..
        end = _names_end(tokens, at + 1)
    start = at - 2 if words[at - 2 : at] == ["BULK", "COLLECT"] else at
    return [*tokens[:start], *tokens[end:]], tokens[at + 1 : end]


def _names_end(tokens: list[Token], i: int) -> int:
    """Where the list of variables ends that begins at `i`: behind the name that no comma follows."""
    i += word(tokens[i]) == "STRICT"
    while i < len(tokens):
        i += 1
        while i + 1 < len(tokens) and tokens[i].text == ".":
            i += 2
        if i >= len(tokens) or tokens[i].text != ",":
            break
        i += 1
    return i


def without_output(tokens: list[Token]) -> tuple[list[Token], list[tuple[exp.Table, list[str], list[Token]]]]:
    """T-SQL's `OUTPUT inserted.a INTO log (a)` cut out: the target, its columns, the words of the expressions."""
    words = [word(t) for t in tokens]
    if "OUTPUT" not in words or "INTO" not in words[words.index("OUTPUT") :]:
        return tokens, []
    start = words.index("OUTPUT")
    at = words.index("INTO", start)
    i = at + 1
    name: list[Token] = []
    while i < len(tokens) and (tokens[i].text in (".", "@", "#") or not name or name[-1].text in (".", "@", "#")):
        name.append(tokens[i])
        i += 1
    columns: list[str] = []
    if i < len(tokens) and tokens[i].text == "(":
        columns = [t.text for t in balanced(tokens[i + 1 :]) if t.text != ","]
        i += len(balanced(tokens[i + 1 :])) + 2
    parts = [t.text for t in name if t.text not in (".", "@", "#")]
    if not parts:
        return tokens, []
    special = name[0].text if name[0].text in ("@", "#") else ""
    this: exp.Expression = (
        exp.Parameter(this=exp.Var(this=parts[-1])) if special == "@" else exp.to_identifier(parts[-1], quoted=True)
    )
    if special == "#":
        this.set("temporary", True)
    above = [exp.to_identifier(p, quoted=True) for p in reversed(parts[:-1])]
    table = exp.Table(this=this, **dict(zip(("db", "catalog"), above, strict=False)))
    return [*tokens[:start], *tokens[i:]], [(table, columns, tokens[start + 1 : at])]


def by_conflict(tokens: list[Token]) -> list[list[Token]]:
    """SQLite's and DuckDB's INSERT with several ON CONFLICT clauses, one for each: the grammar knows one."""
    depth, starts = 0, list[int]()
    for i, t in enumerate(tokens[:-1]):
        depth += opens(t)
        if depth == 0 and word(t) == "ON" and word(tokens[i + 1]) == "CONFLICT":
            starts.append(i)
    if len(starts) < 2:
        return [tokens]
    ends = [*starts[1:], len(tokens)]
    return [[*tokens[: starts[0]], *tokens[a:b]] for a, b in zip(starts, ends, strict=True)]


def without_position(tokens: list[Token]) -> list[Token]:
    """Without a cursor's `FOR UPDATE OF a`, `FOR READ ONLY`, and without `WHERE CURRENT OF cursor`."""
    words = [word(t) for t in tokens]
    depth = 0
    for i, token in enumerate(tokens):
        depth += opens(token)
        after = words[i + 1 : i + 3]
        if depth or not i:
            continue
        if words[i] == "FOR" and (after[:1] == ["UPDATE"] or after == ["READ", "ONLY"]):
            return tokens[:i]
        if words[i] == "WHERE" and after == ["CURRENT", "OF"]:
            return tokens[:i]
    return tokens


def nested_writes(tokens: list[Token]) -> list[tuple[int, int]]:
    """T-SQL: where `FROM (UPDATE .. OUTPUT ..)` stands in an INSERT: positions of its brackets."""
    found = []
    words = [word(t) for t in tokens]
    if "OUTPUT" not in words or words[0] not in ("INSERT", "WITH"):
        return []
    for i in range(2, len(tokens) - 1):
        if tokens[i].text == "(" and words[i - 1] in ("FROM", "JOIN") and words[i + 1] in _WRITES:
            end = i + 1 + len(balanced(tokens[i + 1 :]))
            if "OUTPUT" in words[i:end]:
                found.append((i, end))
    return found


def output_list(tokens: list[Token]) -> tuple[list[Token], list[Token]]:
    """A write without its OUTPUT clause (not INTO a table), and what that lists."""
    words = [word(t) for t in tokens]
    depth = 0
    start = end = 0
    for i, token in enumerate(tokens):
        depth += opens(token)
        if depth == 0 and words[i] == "OUTPUT" and not start:
            start = i
        elif depth == 0 and start and words[i] in _AFTER_OUTPUT:
            end = i
            break
    if not start:
        return tokens, []
    end = end or len(tokens)
    return [*tokens[:start], *tokens[end:]], tokens[start + 1 : end]


_WRITES = ("UPDATE", "DELETE", "INSERT", "MERGE")
_AFTER_OUTPUT = ("FROM", "WHERE", "OPTION", "VALUES", "SELECT", "EXEC", "EXECUTE", "DEFAULT", "WITH", "INTO")
