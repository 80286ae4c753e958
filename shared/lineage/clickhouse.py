"""ClickHouse's own statements: mutations, INSERT into functions and from formats, dictionaries, engines on other data.

https://clickhouse.com/docs/sql-reference/statements/insert-into, /alter/update, /create/dictionary,
https://clickhouse.com/docs/engines/table-engines/integrations
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage.datasets import is_dataset, named
from shared.lineage.definitions import columns, name_at
from shared.lineage.loading import Moved
from shared.lineage.model import TableName
from shared.lineage.tables import Ref
from shared.lineage.tokens import balanced, instead, parts
from shared.lineage.tokens import named as named_token
from shared.lineage.words import word

if TYPE_CHECKING:
    from shared.lineage.findings import Place
    from shared.lineage.script import Script


def read(tokens: list[Token], script: Script, place: Place) -> bool:
    """Whether the statement was one of these and is done with."""
    for i in range(1, len(tokens)):  # ARRAY JOIN t.values: the grammar takes the name for VALUES
        if tokens[i].token_type is TokenType.VALUES and tokens[i - 1].text == ".":
            tokens[i] = named_token(tokens[i].text, tokens[i])
    if word(tokens[0]) not in ("INSERT", "ALTER", "CREATE"):
        return False
    words = [word(t) for t in tokens]
    moved: Moved | None = None
    if words[0] == "INSERT":
        moved = _insert(tokens, words, script)
    elif words[:2] == ["ALTER", "TABLE"]:
        return _mutation(tokens, words, script, place)
    elif words[0] == "CREATE" and "DICTIONARY" in words[1:4]:
        moved = _dictionary(tokens, words, script)
    elif words[0] == "CREATE" and "ENGINE" in words and "SELECT" not in words:
        moved = _engine(tokens, words, script)
    if moved is None:
        return False
    script.statements.loaded(moved, tokens, place)
    return True


def _is_string(token: Token) -> bool:
    return token.token_type.name.endswith("STRING")


def _arguments(tokens: list[Token]) -> list[list[list[str]]]:
    """Arguments as names: a literal's text, a.b of words; what says how to read (`format = ..`) is left out."""
    found: list[list[list[str]]] = []
    for part in parts(tokens):
        if any(t.text == "=" for t in part):
            continue
        found.append([[part[0].text] if _is_string(part[0]) else [t.text for t in part if t.text != "."]])
    return found


def _insert(tokens: list[Token], words: list[str], script: Script) -> Moved | None:
    at = 2 if words[1:2] == ["INTO"] else 1
    at += words[at : at + 1] == ["TABLE"]
    if words[at : at + 1] == ["FUNCTION"] and at + 2 < len(tokens) and tokens[at + 2].text == "(":
        inner = balanced(tokens[at + 3 :])
        found = named(words[at + 1], _arguments(inner))
        end = at + 4 + len(inner)
        names, end = _listed(tokens, end, script)
        start = next((i for i in range(end, len(tokens)) if words[i] in ("SELECT", "WITH")), 0)
        outputs = tuple(Ref(TableName(tuple(p))) for p in found)
        return Moved("INSERT", (), outputs, tokens[start:] if start else None, names, is_file=True)
    name, end = name_at(tokens, at)
    ref = script.names.of_tokens(name)
    names, end = _listed(tokens, end, script)
    if ref is None or end >= len(tokens):
        return None
    if words[end : end + 2] == ["FROM", "INFILE"] and end + 2 < len(tokens) and _is_string(tokens[end + 2]):
        return Moved("INSERT", (Ref(TableName((tokens[end + 2].text,))),), (ref,), columns=names)
    if words[end] == "SETTINGS":
        end = next((i for i in range(end, len(tokens)) if words[i] in ("FORMAT", "VALUES", "SELECT", "WITH")), end)
    return Moved("INSERT", (), (ref,)) if words[end] == "FORMAT" else None


def _listed(tokens: list[Token], at: int, script: Script) -> tuple[list[str], int]:
    if at < len(tokens) and tokens[at].text == "(" and word(tokens[at + 1]) not in ("SELECT", "WITH"):
        inner = balanced(tokens[at + 1 :])
        return columns(inner, script.names) or [], at + 2 + len(inner)
    return [], at


def _mutation(tokens: list[Token], words: list[str], script: Script, place: Place) -> bool:
    """ALTER TABLE t UPDATE a = b WHERE c; ALTER TABLE t DELETE WHERE c."""
    name, end = name_at(tokens, 2)
    if words[end : end + 2] == ["ON", "CLUSTER"]:
        end += 3
    verb = words[end : end + 1]
    if verb == ["DELETE"]:
        script.again([instead(tokens[end], TokenType.DELETE), _from(tokens[end]), *name, *tokens[end + 1 :]], place)
        return True
    if verb != ["UPDATE"]:
        return False
    rest = tokens[end + 1 :]
    where = next((i for i, t in enumerate(rest) if word(t) == "WHERE"), len(rest))
    partition = next((i for i in range(where - 1) if [word(t) for t in rest[i : i + 2]] == ["IN", "PARTITION"]), where)
    assigned = [*rest[:partition], *rest[where:]]
    script.again([instead(tokens[end], TokenType.UPDATE), *name, instead(tokens[end], TokenType.SET), *assigned], place)
    return True


def _from(token: Token) -> Token:
    return instead(token, TokenType.FROM)


def _dictionary(tokens: list[Token], words: list[str], script: Script) -> Moved | None:
    """SOURCE(CLICKHOUSE(TABLE 't' DB 'd')), SOURCE(FILE(PATH 'p' ..)); attributes have the source's names."""
    at = words.index("DICTIONARY") + 1
    while words[at : at + 1] and words[at] in ("IF", "NOT", "EXISTS"):
        at += 1
    name, end = name_at(tokens, at)
    ref = script.names.of_tokens(name)
    listed, _ = _listed(tokens, end, script)
    start = words.index("SOURCE") if "SOURCE" in words else 0
    if ref is None or not start or start + 3 >= len(tokens):
        return None
    inner = balanced(tokens[start + 2 :])
    said: dict[str, Token] = {}
    for i, t in enumerate(inner[:-1]):
        if word(t) and inner[i + 1].text not in ("(", ")"):
            said.setdefault(word(t), inner[i + 1])
    kind = word(inner[0]) if inner else ""
    if "QUERY" in said and kind == "CLICKHOUSE":
        query = [t for t in script.parsing.words(said["QUERY"].text) if t.token_type.name != "SEMICOLON"]
        return Moved("CREATE DICTIONARY", (), (ref,), query, listed, is_file=True)
    source: Ref | None = None
    if "PATH" in said or "URL" in said:
        source = Ref(TableName((said.get("PATH", said.get("URL", inner[0])).text,)))
    elif "TABLE" in said:
        above = [said[k].text for k in ("HOST", "DB") if k in said and (k == "DB" or kind != "CLICKHOUSE")]
        source = Ref(TableName((*above, said["TABLE"].text)))
    inputs = (source,) if source is not None else ()
    return Moved("CREATE DICTIONARY", inputs, (ref,), columns=listed, is_file=True)


def _engine(tokens: list[Token], words: list[str], script: Script) -> Moved | None:
    """A table that only shows files or another server's table: ENGINE = S3('url'), MySQL('host', 'db', 't', ..)."""
    at = words.index("ENGINE")
    at += 2 if at + 1 < len(tokens) and tokens[at + 1].text == "=" else 1
    if at + 1 >= len(tokens) or tokens[at + 1].text != "(" or "TABLE" not in words[1:4]:
        return None
    kind = "cluster" if words[at] == "DISTRIBUTED" else words[at].lower()
    if not is_dataset(kind) or kind == "dictionary":
        return None
    found = named(kind, _arguments(balanced(tokens[at + 2 :])))
    i = words.index("TABLE") + 1
    while words[i : i + 1] and words[i] in ("IF", "NOT", "EXISTS"):
        i += 1
    name, end = name_at(tokens, i)
    ref = script.names.of_tokens(name)
    if ref is None or not found:
        return None
    listed, _ = _listed(tokens, end, script)
    script.memory.define(ref, listed or None, temporary=False)
    return Moved("CREATE EXTERNAL TABLE", tuple(Ref(TableName(tuple(p))) for p in found), (ref,))
