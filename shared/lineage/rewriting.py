"""Before the parser: what its grammar does not know is put into words that it does; what would hurt it is kept out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage.words import INTO_BEFORE, word

#: nesting beyond these makes sqlglot's compiled parser overflow the C stack, or, for brackets, take exponential time
#: (sqlglot 30.30: 2,000 parentheses are safe, 20,000 crash; 18 nested ARRAY[ take 1.4 s)
MAX_NESTING, MAX_BRACKETS, MAX_RUN = 250, 10, 250
#: subscripts a[1][1].. cost quadratic time: 500 take 0.3 s
MAX_SUBSCRIPTS = 300
#: tokens of one statement; about two seconds
MAX_TOKENS = 250_000
MANY_ROWS = 2_000


def instead(token: Token, kind: TokenType) -> Token:
    """Another keyword at the place of this one."""
    return Token(kind, kind.name, token.line, token.col, token.start, token.end)


def balanced(tokens: list[Token]) -> list[Token]:
    depth = 0
    for i, token in enumerate(tokens):
        depth += (token.text == "(") - (token.text == ")")
        if depth < 0:
            return tokens[:i]
    return tokens


def prepared(tokens: list[Token]) -> list[Token]:
    """What the grammar does not know, in words that it does: REPLACE INTO, UPDATE TOP, `a += b`, VALUES record."""
    words = [word(t) for t in tokens]
    if words[0] == "REPLACE" and words[1:2] == ["INTO"]:
        return [instead(tokens[0], TokenType.INSERT), *tokens[1:]]
    if words[0] == "UPDATE" and words[1:2] == ["OR"]:  # SQLite: UPDATE OR IGNORE t
        return prepared([tokens[0], *tokens[3:]])
    if words[0] == "UPDATE" and tokens[1:2] and tokens[1].text == "(":  # Oracle: UPDATE (SELECT ..) SET ..
        query = balanced(tokens[2:])
        rest = tokens[3 + len(query) :]
        name = rest[:1] if rest and word(rest[0]) != "SET" else [_named("updated_view", tokens[0])]
        rest = rest[1:] if rest and word(rest[0]) != "SET" else rest
        with_ = [
            instead(tokens[0], TokenType.WITH),
            *name,
            instead(tokens[0], TokenType.ALIAS),
            *tokens[1 : 3 + len(query)],
        ]
        with_[2] = Token(TokenType.ALIAS, "AS", tokens[0].line, 0, tokens[0].start, tokens[0].end)
        return [*with_, tokens[0], *name, *rest]
    if words[0] == "MERGE":
        tokens, words = _merge(tokens, words)
    if words[0] in ("INSERT", "UPDATE", "DELETE", "MERGE") and words[1:2] == ["TOP"] and tokens[2:]:
        end = 4 + len(balanced(tokens[3:]))
        return prepared([tokens[0], *tokens[end + (words[end : end + 1] == ["PERCENT"]) :]])
    if words[0] == "INSERT" and len(tokens) > MANY_ROWS and "VALUES" in words and "SELECT" not in words:
        rows = words.index("VALUES") + 1  # the first row tells as much about tables as a million
        return [*tokens[: rows + 1], *balanced(tokens[rows + 1 :]), tokens[-1]][:MANY_ROWS]
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
    if words[0] == "INSERT":  # T-SQL: INSERT t WITH (TABLOCK) (a, b) SELECT
        hint = next(
            (i for i in range(1, min(len(tokens) - 1, 12)) if words[i] == "WITH" and tokens[i + 1].text == "("), 0
        )
        if hint and not {"SELECT", "VALUES"} & set(words[:hint]):
            return [*tokens[:hint], *tokens[hint + 3 + len(balanced(tokens[hint + 2 :])) :]]
    return tokens


def separate(tokens: list[Token]) -> list[Token]:
    """The tokenizer's one token BULK COLLECT INTO as three words."""
    found: list[Token] = []
    for token in tokens:
        if token.text.upper().startswith("BULK COLLECT"):
            found += [_named("BULK", token), _named("COLLECT", token), instead(token, TokenType.INTO)]
        else:
            found.append(token)
    return found


def _named(text: str, token: Token) -> Token:
    return Token(TokenType.VAR, text, token.line, token.col, token.start, token.end)


def _merge(tokens: list[Token], words: list[str]) -> tuple[list[Token], list[str]]:
    """MERGE without WITH SCHEMA EVOLUTION and without Oracle's DELETE WHERE after an update."""
    if words[1:4] == ["WITH", "SCHEMA", "EVOLUTION"]:
        tokens = [tokens[0], *tokens[4:]]
    logging = next((i for i, t in enumerate(tokens) if word(t) == "LOGGING"), 0)
    tokens = tokens[:logging] or tokens
    kept: list[Token] = []
    depth, skipping = 0, False
    for i, token in enumerate(tokens):
        depth += (token.text == "(") - (token.text == ")")
        w = word(token)
        if w in _ABBREVIATIONS and i and word(tokens[i - 1]) == "THEN":
            token = instead(token, _ABBREVIATIONS[w])  # noqa: PLW2901
            w = token.text
        if depth == 0 and w == "DELETE" and i and word(tokens[i - 1]) != "THEN" and word(tokens[i - 1]) != "ON":
            skipping = True
        elif depth == 0 and w == "WHEN":
            skipping = False
        if not skipping:
            kept.append(token)
    return kept, [word(t) for t in kept]


_ABBREVIATIONS = {"SEL": TokenType.SELECT, "INS": TokenType.INSERT, "UPD": TokenType.UPDATE, "DEL": TokenType.DELETE}


def teradata(tokens: list[Token]) -> list[Token]:
    """SEL, INS, UPD, DEL in full; without LOCKING .. FOR ACCESS."""
    if word(tokens[0]) == "LOCKING":
        end = next((i for i, t in enumerate(tokens) if word(t) in ("ACCESS", "READ", "WRITE", "EXCLUSIVE", "SHARE")), 0)
        tokens = tokens[end + 1 :] or tokens
    kind = _ABBREVIATIONS.get(word(tokens[0]))
    tokens = [instead(tokens[0], kind), *tokens[1:]] if kind is not None else tokens
    if word(tokens[0]) == "INSERT" and len(tokens) > 2 and word(tokens[1]) != "INTO":
        tokens = [tokens[0], instead(tokens[0], TokenType.INTO), *tokens[1:]]
    return [instead(t, TokenType.SELECT) if word(t) == "SEL" and t is not tokens[0] else t for t in tokens]


def identifiers(tokens: list[Token], texts: Mapping[str, str | None]) -> list[Token]:
    """Snowflake's IDENTIFIER('a.b') and IDENTIFIER(:x), where the text is known, as the name that it means."""
    found: list[Token] = []
    i = 0
    while i < len(tokens):
        token = tokens[i]
        if word(token) == "IDENTIFIER" and i + 3 <= len(tokens) and tokens[i + 1].text == "(":
            inner = balanced(tokens[i + 2 :])
            text: str | None = None
            if inner and inner[-1].token_type.name.endswith("STRING"):
                text = inner[-1].text
            elif inner:
                text = texts.get(inner[-1].text.lstrip(":$").lower())
            if text:
                for n, part in enumerate(text.split(".")):
                    if n:
                        found.append(Token(TokenType.DOT, ".", token.line, 0, token.start, token.end))
                    found.append(_named(part, token))
                i += len(inner) + 3
                continue
        found.append(token)
        i += 1
    return found


def opened(tokens: list[Token], tokenize: Callable[[str], list[Token]]) -> list[Token]:
    """T-SQL's OPENQUERY(server, 'query') as the query, with the server before its tables; OPENROWSET as its file."""
    found: list[Token] = []
    i = 0
    while i < len(tokens):
        token = tokens[i]
        w = word(token)
        if w == "OPENQUERY" and i + 3 < len(tokens) and tokens[i + 1].text == "(":
            inner = balanced(tokens[i + 2 :])
            if inner and inner[-1].token_type.name.endswith("STRING"):
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
            inner = balanced(tokens[i + 2 :])
            file = next((t for t in inner if t.token_type.name.endswith("STRING")), None)
            if file is not None:
                found.append(Token(TokenType.IDENTIFIER, file.text, file.line, file.col, file.start, file.end))
                i += len(inner) + 3
                if i + 1 < len(tokens) and word(tokens[i]) == "WITH" and tokens[i + 1].text == "(":
                    i += len(balanced(tokens[i + 2 :])) + 3
                continue
        found.append(token)
        i += 1
    return found


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
        depth += (tokens[i].text == "(") - (tokens[i].text == ")")
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
            listed += [*([_comma(token)] if listed else []), token]
        expected = False
        depth += (token.text == "(") - (token.text == ")")
        expected = token.text == "," and depth == 0
    query = tokens[start + 1 :]
    if query and query[0].text == "(":
        query = balanced(query[1:])
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


def _comma(token: Token) -> Token:
    return Token(TokenType.COMMA, ",", token.line, token.col, token.start, token.start)


def without_returning(tokens: list[Token]) -> tuple[list[Token], list[Token], list[Token]]:
    """`.. RETURNING a [BULK COLLECT] INTO x`: the statement without it, what it returns, and into what."""
    words = [word(t) for t in tokens]
    if words[0] not in ("INSERT", "UPDATE", "DELETE", "MERGE", "WITH") or "RETURNING" not in words:
        return tokens, [], []
    depth = start = at = 0
    for i, token in enumerate(tokens):
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and words[i] == "RETURNING":
            start = i
        elif depth == 0 and start and words[i] == "INTO":
            at = i
            break
    if not at:
        return tokens, [], []
    end = at - 2 if words[at - 2 : at] == ["BULK", "COLLECT"] else at
    return tokens[:start], tokens[start + 1 : end], tokens[at + 1 :]


def compound(tokens: list[Token]) -> list[Token]:
    """T-SQL's `a += b` as `a = a + b`."""
    found: list[Token] = []
    for i, token in enumerate(tokens):
        before = tokens[i - 1] if i else None
        operator = before is not None and before.text in ("+", "-", "*", "/", "%") and bool(found)
        if operator and before is not None and token.text == "=" and before.end + 1 == token.start:
            found.pop()
            name: list[Token] = []
            while found and (not name or name[-1].text in (".", "@") or found[-1].text in (".", "@")):
                name.append(found.pop())
            found += [*name[::-1], token]
            if len(name) == 1 and word(tokens[0]) in ("UPDATE", "WITH"):  # the row as it was
                found += [
                    _named("deleted", token),
                    Token(TokenType.DOT, ".", token.line, 0, token.start, token.end),
                ]
            found += [*name[::-1], before]
            continue
        found.append(token)
    return found


def without_variables(tokens: list[Token]) -> tuple[list[Token], list[Token]]:
    """`SELECT .. [BULK COLLECT] INTO a, b FROM ..`: the query without its INTO, and what stands after INTO."""
    words = [word(t) for t in tokens]
    if words[0] not in ("SELECT", "WITH") or "INTO" not in words:
        return tokens, []
    depth = 0
    for at, token in enumerate(tokens):
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and words[at] == "INTO" and words[at - 1] not in ("INSERT", "MERGE", "REPLACE"):
            break
    else:
        return tokens, []
    end = next((i for i in range(at + 1, len(tokens)) if words[i] in INTO_BEFORE), len(tokens))
    start = at - 2 if words[at - 2 : at] == ["BULK", "COLLECT"] else at
    return [*tokens[:start], *tokens[end:]], tokens[at + 1 : end]


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


def too_deep(tokens: list[Token]) -> str:
    """Why this statement cannot be parsed safely, or ""."""
    if len(tokens) > MAX_TOKENS:
        return f"longer than {MAX_TOKENS:,} words; not read"
    depth = brackets = angles = cases = run = subscripts = 0
    before = ""
    for token in tokens:
        text, kind = token.text, token.token_type.name
        if kind.endswith("STRING") or kind == "IDENTIFIER":
            before = ""
            continue
        run = run + 1 if text == before else 0
        if text in ("(", "[", "{"):
            depth += 1
            brackets += text == "["
            subscripts += text == "[" and before == "]"
        elif text in (")", "]", "}"):
            depth -= 1
            brackets -= text == "]"
        elif text == "<" and before.upper() in ("STRUCT", "ARRAY", "MAP"):
            angles += 1
        elif kind in ("CASE", "END"):
            cases += 1 if kind == "CASE" else -1
        before = text
        if depth + cases > MAX_NESTING or angles > MAX_NESTING or run > MAX_RUN:
            return f"nested deeper than {MAX_NESTING} levels; not read"
        if brackets > MAX_BRACKETS or subscripts > MAX_SUBSCRIPTS:
            return "too many brackets within brackets; not read"
    return ""
