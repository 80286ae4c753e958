"""Before the parser: what its grammar does not know is put into words that it does."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage.general import upserted
from shared.lineage.tables import HOLE
from shared.lineage.tokens import balanced, comma, instead, named, opens, parts
from shared.lineage.words import is_string, word

#: rows of an INSERT .. VALUES beyond these many tokens are not parsed
MANY_ROWS = 2_000
#: tokens of the arguments of OPENQUERY, OPENROWSET and IDENTIFIER
MAX_ARGUMENTS = 200


def _over_query(tokens: list[Token], at: int, after: tuple[str, ...]) -> list[Token]:
    """A write to the query in the parentheses at `at`, as a write to a CTE of that query. after: no alias begins so."""
    query = balanced(tokens[at + 1 :])
    rest = tokens[at + 2 + len(query) :]
    has_alias = bool(rest) and word(rest[0]) not in after
    name = rest[:1] if has_alias else [named("updated_view", tokens[0])]
    as_ = Token(TokenType.ALIAS, "AS", tokens[0].line, 0, tokens[0].start, tokens[0].end)
    cte = [instead(tokens[0], TokenType.WITH), *name, as_, *tokens[at : at + 2 + len(query)]]
    return [*cte, *tokens[:at], *name, *rest[has_alias:]]


def prepared(tokens: list[Token]) -> list[Token]:
    """What the grammar does not know, in words that it does: REPLACE INTO, UPDATE TOP, `a += b`, VALUES record."""
    words = [word(t) for t in tokens]
    if words[0] == "UPDATE" and words[1:2] == ["OR"]:  # SQLite: UPDATE OR IGNORE t
        tokens, words = [tokens[0], *tokens[3:]], [words[0], *words[3:]]
    if words[0] == "UPSERT" and len(tokens) > 2:
        tokens = upserted(tokens)
        words = [word(t) for t in tokens]
    if words[0] == "CREATE" and "TABLE" in words[3:]:  # PostgreSQL: CREATE TABLE a AS TABLE b
        at = next((i for i in range(3, len(words)) if words[i] == "TABLE" and words[i - 1] == "AS"), 0)
        if at:
            every = Token(TokenType.STAR, "*", tokens[at].line, 0, tokens[at].start, tokens[at].end)
            made = [instead(tokens[at], TokenType.SELECT), every, instead(tokens[at], TokenType.FROM)]
            return [*tokens[:at], *made, *tokens[at + 1 :]]
    if words[0] == "REPLACE" and words[1:2] == ["INTO"]:
        return [instead(tokens[0], TokenType.INSERT), *tokens[1:]]
    if words[0] == "UPDATE" and tokens[1:2] and tokens[1].text == "(":  # Oracle: UPDATE (SELECT ..) SET ..
        return _over_query(tokens, 1, ("SET",))
    at = 2 if words[:2] == ["DELETE", "FROM"] else 1
    if words[0] == "DELETE" and tokens[at : at + 1] and tokens[at].text == "(":  # Oracle: DELETE FROM (SELECT ..)
        return _over_query(tokens, at, ("WHERE", "RETURNING", "LOG"))
    if words[0] == "MERGE":
        tokens, words = _merge(tokens, words)
    if words[0] in ("INSERT", "UPDATE", "DELETE", "MERGE") and words[1:2] == ["TOP"] and tokens[2:]:
        end = 4 + len(balanced(tokens[3:]))
        end += words[end : end + 1] == ["PERCENT"]
        tokens, words = [tokens[0], *tokens[end:]], [words[0], *words[end:]]
    if words[0] == "INSERT" and len(tokens) > MANY_ROWS and "VALUES" in words and "SELECT" not in words:
        rows = words.index("VALUES") + 1  # the first row tells as much about tables as a million
        return [*tokens[: rows + 1], *balanced(tokens[rows + 1 :]), tokens[-1]][:MANY_ROWS]
    if words[0] == "INSERT" and words[1:2] == ["INTO"] and words[3:4] == ["SELECT"] and tokens[2].text == "(":
        return _through(tokens)
    if words[0] == "INSERT" and "VALUES" in words:
        at = words.index("VALUES")
        if at + 1 < len(tokens) and words[at + 1] and "SELECT" not in words:  # PL/SQL: VALUES rec, VALUES rows(i)
            star = [instead(tokens[at], TokenType.SELECT), tokens[at + 1]]
            dot = Token(TokenType.DOT, ".", tokens[at].line, 0, tokens[at].start, tokens[at].end)
            all_columns = Token(TokenType.STAR, "*", tokens[at].line, 0, tokens[at].start, tokens[at].end)
            return [*tokens[:at], *star, dot, all_columns]
    if words[0] == "WITH" and "INSERT" in words and "TABLOCK" in words:
        at = words.index("INSERT")
        return [*tokens[:at], *prepared(tokens[at:])]
    if words[0] == "INSERT" and "PARTITION" in words[:12]:  # Hive: PARTITION (..) IF NOT EXISTS SELECT
        at = next((i for i, w in enumerate(words) if w == "IF" and words[i + 1 : i + 3] == ["NOT", "EXISTS"]), 0)
        if at and tokens[at - 1].text == ")":
            return [*tokens[:at], *tokens[at + 3 :]]
    if words[0] == "INSERT":  # T-SQL: INSERT t WITH (TABLOCK) (a, b) SELECT
        hint = next(
            (i for i in range(1, min(len(tokens) - 1, 12)) if words[i] == "WITH" and tokens[i + 1].text == "("), 0
        )
        if hint and not {"SELECT", "VALUES"} & set(words[:hint]):
            return [*tokens[:hint], *tokens[hint + 3 + len(balanced(tokens[hint + 2 :])) :]]
    return tokens


def _through(tokens: list[Token]) -> list[Token]:
    """Oracle's INSERT INTO (SELECT a, b FROM t) ..: INSERT INTO t (a, b)."""
    query = balanced(tokens[3:])
    words = [word(t) for t in query]
    rest = tokens[4 + len(query) :]
    if "FROM" not in words or not rest:
        return tokens
    at = words.index("FROM")
    end = at + 2
    while end < len(query) and (query[end].text == "." or query[end - 1].text == "."):
        end += 1
    name = query[at + 1 : end]
    if rest[0].text == "(" and [word(t) for t in rest[1:2]] not in (["SELECT"], ["WITH"]):
        return [*tokens[:2], *name, *rest]
    listed: list[Token] = []
    for part in parts(query[1:at]):
        listed += [*([comma(part[0])] if listed else []), part[-1]]
    return [*tokens[:2], *name, tokens[2], *listed, tokens[3 + len(query)], *rest]


#: https://docs.oracle.com/en/database/oracle/oracle-database/23/lnpls/named-cursor-attribute.html
_CURSOR_ATTRIBUTES = frozenset({"ROWCOUNT", "FOUND", "NOTFOUND", "ISOPEN", "BULK_ROWCOUNT"})


def separate(tokens: list[Token]) -> list[Token]:
    """Oracle: the tokenizer's one token BULK COLLECT INTO as three words; `cur%ROWCOUNT` as a number."""
    found: list[Token] = []
    for token in tokens:
        if len(found) > 1 and found[-1].text == "%" and word(token) in _CURSOR_ATTRIBUTES:
            found[-2:] = [Token(TokenType.NUMBER, "0", token.line, token.col, found[-2].start, token.end)]
            continue
        if token.text.upper().startswith("BULK COLLECT"):
            found += [named("BULK", token), named("COLLECT", token), instead(token, TokenType.INTO)]
        else:
            found.append(token)
    return found


def _merge(tokens: list[Token], words: list[str]) -> tuple[list[Token], list[str]]:
    """MERGE without WITH SCHEMA EVOLUTION and without Oracle's DELETE WHERE after an update."""
    if words[1:4] == ["WITH", "SCHEMA", "EVOLUTION"]:
        tokens = [tokens[0], *tokens[4:]]
    if words[-2:] == ["REMOVE", "DUPLICATES"]:  # Redshift: both have the same columns, the source's rows take over
        tokens = [*tokens[:-2], *_upsert(tokens[0])]
    logging = next((i for i, t in enumerate(tokens) if word(t) == "LOGGING"), 0)
    tokens = tokens[:logging] or tokens
    kept: list[Token] = []
    depth, skipping = 0, False
    for i, token in enumerate(tokens):
        depth += opens(token)
        w = word(token)
        if w in ABBREVIATIONS and i and word(tokens[i - 1]) == "THEN":
            token = instead(token, ABBREVIATIONS[w])  # noqa: PLW2901
            w = token.text
        if depth == 0 and w == "DELETE" and i and word(tokens[i - 1]) != "THEN" and word(tokens[i - 1]) != "ON":
            skipping = True
        elif depth == 0 and w == "WHEN":
            skipping = False
        if not skipping:
            kept.append(token)
    return kept, [word(t) for t in kept]


def _upsert(at: Token) -> list[Token]:
    """WHEN NOT MATCHED THEN INSERT ROW: all columns, by position."""
    when, then, matched = instead(at, TokenType.WHEN), instead(at, TokenType.THEN), named("MATCHED", at)
    return [when, instead(at, TokenType.NOT), matched, then, instead(at, TokenType.INSERT), named("ROW", at)]


ABBREVIATIONS = {"SEL": TokenType.SELECT, "INS": TokenType.INSERT, "UPD": TokenType.UPDATE, "DEL": TokenType.DELETE}


def identifiers(tokens: list[Token], text_of: Callable[[list[Token]], str | None]) -> list[Token]:
    """IDENTIFIER('a.b'), IDENTIFIER(:x), Snowflake's TABLE(:x), as the name that it means, or one that is not known."""
    found: list[Token] = []
    i = 0
    while i < len(tokens):
        token = tokens[i]
        is_table = word(token) == "TABLE" and found and (word(found[-1]) in ("FROM", "JOIN") or found[-1].text == ",")
        if (word(token) == "IDENTIFIER" or is_table) and i + 3 <= len(tokens) and tokens[i + 1].text == "(":
            inner = balanced(tokens[i + 2 : i + MAX_ARGUMENTS])
            bare = inner[1:] if len(inner) == 2 and inner[0].text in (":", "$") else inner
            if len(bare) == 1 and bare[0].text.startswith("$"):
                bare = [named(bare[0].text[1:], bare[0])]
            text = text_of(bare) if bare and not (is_table and len(bare) > 1) else None
            if text or not is_table:
                for n, part in enumerate((text or UNKNOWN).split(".")):
                    if n:
                        found.append(Token(TokenType.DOT, ".", token.line, 0, token.start, token.end))
                    found.append(_spelled(part, token))
                i += len(inner) + 3
                continue
        found.append(token)
        i += 1
    return found


#: a name that is not known
UNKNOWN = f"{HOLE}0n_"


def _spelled(part: str, token: Token) -> Token:
    quoted = len(part) > 2 and part[0] == part[-1] and part[0] in '"`'
    if quoted:
        return Token(TokenType.IDENTIFIER, part[1:-1], token.line, token.col, token.start, token.end)
    return named(part, token)


def opened(tokens: list[Token], tokenize: Callable[[str], list[Token]]) -> list[Token]:
    """T-SQL's OPENQUERY(server, 'query') as the query, with the server before its tables; OPENROWSET as its file."""
    found: list[Token] = []
    i = 0
    while i < len(tokens):
        token = tokens[i]
        w = word(token)
        if w == "OPENQUERY" and i + 3 < len(tokens) and tokens[i + 1].text == "(":
            inner = balanced(tokens[i + 2 : i + MAX_ARGUMENTS])
            if inner and is_string(inner[-1]):
                found.append(tokens[i + 1])
                query = [t for t in tokenize(inner[-1].text) if t.token_type.name != "SEMICOLON"]
                for n, t in enumerate(query):
                    if n and word(query[n - 1]) in ("FROM", "JOIN") and t.text != "(":
                        found += [inner[0], Token(TokenType.DOT, ".", t.line, 0, token.start, token.end)]
                    found.append(t)
                i += len(inner) + 3
                found.append(tokens[i - 1])
                continue
        if w == "OPENROWSET" and i + 3 < len(tokens) and tokens[i + 1].text == "(" and word(tokens[i + 2]) == "BULK":
            inner = balanced(tokens[i + 2 : i + MAX_ARGUMENTS])
            file = next((t for t in inner if is_string(t)), None)
            if file is not None:
                found.append(Token(TokenType.IDENTIFIER, file.text, file.line, file.col, file.start, file.end))
                i += len(inner) + 3
                if i + 1 < len(tokens) and word(tokens[i]) == "WITH" and tokens[i + 1].text == "(":
                    i += len(balanced(tokens[i + 2 : i + MAX_ARGUMENTS])) + 3
                continue
        found.append(token)
        i += 1
    return found


def compound(tokens: list[Token]) -> list[Token]:
    """T-SQL's `a += b` as `a = a + b`."""
    found: list[Token] = []
    for i, token in enumerate(tokens):
        before = tokens[i - 1] if i else None
        operator = before is not None and before.text in ("+", "-", "*", "/", "%", "^", "|", "&") and bool(found)
        if operator and before is not None and token.text == "=" and before.end + 1 == token.start:
            found.pop()
            name: list[Token] = []
            while found and (not name or name[-1].text == "." or found[-1].text in (".", "@")):
                name.append(found.pop())
            found += [*name[::-1], token]
            if len(name) == 1 and word(tokens[0]) in ("UPDATE", "WITH"):  # the row as it was
                found += [
                    named("deleted", token),
                    Token(TokenType.DOT, ".", token.line, 0, token.start, token.end),
                ]
            found += [*name[::-1], before]
            continue
        found.append(token)
    return found


def pivot_query(tokens: list[Token]) -> list[Token]:
    """DuckDB's statement PIVOT t ON .. as SELECT * FROM (PIVOT t ON ..): the grammar has it within a FROM only."""
    for i, token in enumerate(tokens):
        w = word(token)
        if w not in ("PIVOT", "UNPIVOT", "PIVOT_WIDER", "PIVOT_LONGER") or i + 1 >= len(tokens):
            continue
        before = tokens[i - 1] if i else None
        starts = before is None or word(before) == "AS" or before.text in ("(", ")", ";")
        if not starts or (tokens[i + 1].text == "(" and word(tokens[i + 2]) not in ("SELECT", "FROM", "WITH")):
            continue
        inner = balanced(tokens[i + 1 :])
        if not any(word(t) == "ON" for t in inner) or (before is not None and word(tokens[max(0, i - 2)]) == "FROM"):
            continue
        kind = TokenType.PIVOT if w.startswith("PIVOT") else TokenType.UNPIVOT
        star = Token(TokenType.STAR, "*", token.line, 0, token.start, token.start)
        left = Token(TokenType.L_PAREN, "(", token.line, 0, token.start, token.start)
        right = Token(TokenType.R_PAREN, ")", token.line, 0, token.end, token.end)
        head = [instead(token, TokenType.SELECT), star, instead(token, TokenType.FROM), left, instead(token, kind)]
        return [*tokens[:i], *head, *inner, right, *pivot_query(tokens[i + 1 + len(inner) :])]
    return tokens


def table_arguments(tokens: list[Token]) -> list[Token]:
    """Tables as arguments, `f(TABLE a.b)`, `f(input => TABLE(a.b))`, as the query that gives their rows."""
    places = [
        i
        for i, t in enumerate(tokens[:-1])
        if t.token_type is TokenType.TABLE
        and i
        and (tokens[i - 1].text in ("=>", ",", "(") or word(tokens[i - 1]) == "ON")
    ]
    for i in reversed(places):
        before = tokens[i - 1]
        in_brackets = tokens[i + 1].text == "("
        name = balanced(tokens[i + 2 :]) if in_brackets else _name(tokens[i + 1 :])
        if not name or (in_brackets and before.text != "=>" and word(before) != "ON"):
            continue
        end = i + 1 + len(name) + (2 if in_brackets else 0)
        left = Token(TokenType.L_PAREN, "(", before.line, 0, before.start, before.start)
        right = Token(TokenType.R_PAREN, ")", before.line, 0, before.start, before.start)
        star = Token(TokenType.STAR, "*", before.line, 0, before.start, before.start)
        query = name
        if word(name[0]) not in ("SELECT", "WITH", "FROM"):
            if any(t.text not in (".",) and i and name[i - 1].text not in (".",) for i, t in enumerate(name)):
                continue  # TABLE(f(x)) is a function's rows
            query = [instead(tokens[i], TokenType.SELECT), star, instead(tokens[i], TokenType.FROM), *name]
        tokens = [*tokens[:i], left, *query, right, *tokens[end:]]
    return tokens


def table_queries(tokens: list[Token]) -> list[Token]:
    """`INSERT INTO a TABLE b`, `CREATE TABLE a AS TABLE b`, `.. UNION TABLE b`: SELECT * FROM b."""
    first = word(tokens[0]) if tokens else ""
    places = [
        i
        for i, t in enumerate(tokens[:-1])
        if t.token_type is TokenType.TABLE
        and (
            i == 0
            or word(tokens[i - 1]) in _BEFORE_QUERY
            or (first == "INSERT" and i > 2 and word(tokens[i - 1]) not in ("INTO", "OVERWRITE", "TEMPORARY", "TEMP"))
        )
    ]
    for i in reversed(places):
        name = _name(tokens[i + 1 :])
        end = i + 1 + len(name)
        ends = end == len(tokens) or tokens[end].text in (")", ";") or word(tokens[end]) in _AFTER_QUERY
        if not name or not ends or word(name[0]) in ("SELECT", "FROM", "WITH", "VALUES", "FUNCTION"):
            continue
        at = tokens[i]
        star = Token(TokenType.STAR, "*", at.line, 0, at.start, at.start)
        tokens = [*tokens[:i], instead(at, TokenType.SELECT), star, instead(at, TokenType.FROM), *tokens[i + 1 :]]
    return tokens


_BEFORE_QUERY = frozenset({"AS", "UNION", "ALL", "EXCEPT", "INTERSECT", "MINUS", "DISTINCT"})
_AFTER_QUERY = frozenset({"UNION", "EXCEPT", "INTERSECT", "MINUS", "ORDER BY", "LIMIT", "WITH", "ON", "RETURNING"})


def _name(tokens: list[Token]) -> list[Token]:
    end = 0
    while end < len(tokens) and (end % 2 == 0 or tokens[end].text == "."):
        end += 1
    return tokens[: end - (end % 2 == 0 and end > 0)]
