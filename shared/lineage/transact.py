"""T-SQL that sqlglot's grammar does not know, put into words that it does: table hints, OPENXML, ad hoc sources."""

from __future__ import annotations

from sqlglot.tokenizer_core import Token

from shared.lineage.tokens import balanced, named, parts
from shared.lineage.words import word, words_in

#: https://learn.microsoft.com/sql/t-sql/queries/hints-transact-sql-table
HINTS = words_in("""
    NOEXPAND INDEX FORCESEEK FORCESCAN HOLDLOCK NOLOCK NOWAIT PAGLOCK READCOMMITTED READCOMMITTEDLOCK READPAST
    READUNCOMMITTED REPEATABLEREAD ROWLOCK SERIALIZABLE SNAPSHOT SPATIAL_WINDOW_MAX_CELLS TABLOCK TABLOCKX UPDLOCK XLOCK
    KEEPIDENTITY KEEPDEFAULTS IGNORE_CONSTRAINTS IGNORE_TRIGGERS""")
_SOURCES = frozenset({"OPENXML", "OPENDATASOURCE", "OPENROWSET"})


def rewritten(tokens: list[Token]) -> list[Token]:
    """The statement in words of the grammar; the list itself where nothing is to be done."""
    words = [word(t) for t in tokens]
    if not (HINTS | _SOURCES).intersection(words):
        return tokens
    found: list[Token] = []
    i = 0
    while i < len(tokens):
        after = tokens[i + 1] if i + 1 < len(tokens) else None
        bracket = after is not None and after.text == "("
        if i and bracket and words[i] == "WITH" and HINTS.intersection(words[i + 2 : i + 3]):
            i += len(balanced(tokens[i + 2 :])) + 3
            continue
        if (
            tokens[i].text == "(" and i and words[i + 1 : i + 2] and words[i + 1] in HINTS - {"INDEX"}
        ):  # FROM t (NOLOCK)
            inner = balanced(tokens[i + 1 :])
            if all(word(t) in HINTS or t.text == "," for t in inner) and words[i - 1] not in ("VALUES", "SELECT"):
                i += len(inner) + 2
                continue
        if words[i] in _SOURCES and bracket:
            taken, instead_of = _source(tokens, words, i)
            if taken:
                found += instead_of
                i += taken
                continue
        found.append(tokens[i])
        i += 1
    return found


def _source(tokens: list[Token], words: list[str], i: int) -> tuple[int, list[Token]]:
    """How many tokens an ad hoc source takes, and what stands for them."""
    inner = balanced(tokens[i + 2 :])
    end = i + 3 + len(inner)
    given = parts(inner)
    if words[i] == "OPENDATASOURCE":  # OPENDATASOURCE('provider', 'connection').database.schema.table
        return (end + 1 - i, []) if tokens[end : end + 1] and tokens[end].text == "." else (0, [])
    if words[i] == "OPENROWSET":  # OPENROWSET('provider', 'connection', database.schema.table)
        is_name = len(given) > 2 and words[i + 2] != "BULK" and not given[-1][-1].token_type.name.endswith("STRING")
        return (end - i, given[-1]) if is_name else (0, [])
    name = named("OPENJSON", tokens[i])  # its WITH (column type 'path') is OPENXML's
    call = [name, tokens[i + 1], *given[0], tokens[end - 1]] if given else []
    if words[end : end + 1] == ["WITH"] and tokens[end + 1 : end + 2] and tokens[end + 1].text != "(":
        at = end + 2
        while at + 1 < len(tokens) and tokens[at].text == ".":
            at += 2
        return (at - i, call)
    return (end - i, call)
