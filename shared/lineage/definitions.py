"""Statements that define: columns of tables, temporary tables, names, defaults. Read from tokens, not parsed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.lineage.model import TableName
from shared.lineage.tables import HOLE, Names, Ref
from shared.lineage.tokens import balanced, opens
from shared.lineage.words import NO_COLUMN, is_string, word

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

    from shared.lineage.findings import Place
    from shared.lineage.script import Script

_TEMPORARY = frozenset({"TEMP", "TEMPORARY", "VOLATILE"})
#: what may stand between CREATE and TABLE
_MODIFIERS = frozenset(
    {
        *_TEMPORARY, "OR", "REPLACE", "GLOBAL", "LOCAL", "PRIVATE", "TRANSIENT", "UNLOGGED", "EXTERNAL", "FOREIGN",
        "MULTISET", "SET", "HYBRID", "ICEBERG", "DYNAMIC", "STREAMING", "LIVE", "COLUMN", "ROW", "MANAGED", "SNAPSHOT",
        "IMMUTABLE", "BLOCKCHAIN", "SHARDED", "DUPLICATED", "VIRTUAL", "FACT", "DIMENSION", "REFERENCE", "ROWSTORE",
        "NO", "FALLBACK", "QUEUE", "TRACE", "",
    }
)  # fmt: skip


def columns(tokens: list[Token], names: Names) -> list[str] | None:
    """Names of the columns that stand between a CREATE TABLE's parentheses."""
    found: list[str] = []
    depth, expected = 0, True
    for i, token in enumerate(tokens):
        if expected and depth == 0:
            w = word(token)
            if w == "LIKE":
                return None
            if w.partition(" ")[0] not in NO_COLUMN or _is_column(w, tokens[i + 1 : i + 3], names):
                found.append(names.folded(token.text, quoted=token.token_type.name == "IDENTIFIER"))
        expected = False
        if not is_string(token):
            depth += (token.text in ("(", "<")) - (token.text in (")", ">"))
        if token.text == "," and depth == 0:
            expected = True
    return found or None


def _is_column(w: str, after: list[Token], names: Names) -> bool:
    """KEY, INDEX, PERIOD and the like are columns' names where nothing else can begin with them."""
    follows = word(after[0]) if after else ""
    if w in ("KEY", "INDEX", "FULLTEXT"):  # `KEY int` of Hive, but `KEY name (columns)` of MySQL
        return not names.has_indexes and bool(follows)
    if w == "PERIOD":
        return bool(follows) and follows != "FOR"
    return w == "PROJECTION" and bool(follows) and (len(after) < 2 or after[1].text != "(")


def name_at(tokens: list[Token], i: int) -> tuple[list[Token], int]:
    """Tokens of the name that begins at `i`, and where it ends."""
    start = i
    while i < len(tokens) and (
        tokens[i].text in (".", "#", "@") or i == start or tokens[i - 1].text in (".", "#", "@")
    ):
        i += 1
    return tokens[start:i], i


def read(tokens: list[Token], script: Script, place: Place) -> bool:
    """Whether the statement was a definition and is done with."""
    words = [word(t) for t in tokens[:40]]
    first = words[0]
    if first == "CREATE":
        return (
            _wrapped(tokens, words, script, place)
            or _rule(tokens, words, script, place)
            or _create(tokens, words, script, place)
        )
    if words[:3] == ["ALTER", "SESSION", "SET"] and words[3:4] == ["CURRENT_SCHEMA"]:
        last = tokens[-1]
        script.names.use(schema=script.names.folded(last.text, quoted=last.token_type.name == "IDENTIFIER"))
        return True
    if first == "DROP" and words[1:2] == ["TABLE"]:
        at = 4 if words[2:4] == ["IF", "EXISTS"] else 2
        ref = script.names.of_tokens(name_at(tokens, at)[0]) if at < len(tokens) else None
        if ref is not None:
            script.findings.dropped_table(ref)
        return True
    if first == "ALTER" and words[1:2] == ["TABLE"]:
        return _alter(tokens, words, script, place)
    if first == "RENAME" and words[1:2] == ["OBJECT"]:  # Synapse: RENAME OBJECT [::] schema.a TO b
        at = next((i for i in range(2, len(tokens)) if tokens[i].text not in (":", "::")), 2)
        name, end = name_at(tokens, at)
        old_, new_ = script.names.of_tokens(name), tokens[end + 1 :]
        if old_ is not None and new_:
            to = type(old_.name)((*old_.name.parts[:-1], new_[-1].text))
            script.findings.rename(old_, Ref(to), place, tokens[0].line)
        return True
    if first == "RENAME" and "TO" in words:
        return _rename(tokens, script, place)
    if first in ("EXEC", "EXECUTE") and any(t.text.lower() == "sp_rename" for t in tokens[:6]):
        texts = [t.text for t in tokens if is_string(t)]
        if len(texts) == 2 or (len(texts) == 3 and texts[2].upper() == "OBJECT"):
            old = script.names.of_tokens(script.parsing.words(texts[0]))
            if old is not None:
                new = Ref(TableName((*old.name.parts[:-1], texts[1].strip("[]"))))
                script.findings.rename(old, new, place, tokens[0].line)
        return True
    if first == "EXCHANGE" and script.name == "clickhouse":
        return _exchange_tables(tokens, words, script, place)
    if first in ("USE", "DATABASE") and len(tokens) > 1:
        return _use(tokens, words, script)
    if (
        (first == "SET" and words[1:2] == ["SEARCH_PATH"])
        or words[:3] == ["SET", "LOCAL", "SEARCH_PATH"]
        or (words[:3] == ["SET", "SESSION", "SEARCH_PATH"])
    ):
        at = next((i for i, t in enumerate(tokens) if word(t) == "TO" or t.text == "="), 0)
        if at and at + 1 < len(tokens):
            script.names.use(schema=tokens[at + 1].text)
        return True
    if words[:2] in (["SET", "SCHEMA"], ["SET", "CURRENT_SCHEMA"]) and len(tokens) > 2:
        script.names.use(schema=tokens[-1].text)
        return True
    return False


def _wrapped(tokens: list[Token], words: list[str], script: Script, place: Place) -> bool:
    """A pipe, task, event or alert is the statement that it runs."""
    if not {"PIPE", "TASK", "EVENT", "ALERT"} & set(words[1:4]):
        return False
    before = ("THEN",) if "ALERT" in words[1:4] else ("AS", "DO")
    depth = 0
    for i, token in enumerate(tokens):
        depth += opens(token)
        if depth == 0 and i > 2 and word(token) in before and i + 1 < len(tokens):
            script.again(tokens[i + 1 :], place)
            return True
    return False


def _rule(tokens: list[Token], words: list[str], script: Script, place: Place) -> bool:
    """PostgreSQL's CREATE RULE .. AS ON UPDATE TO t DO ALSO statement: a statement on the rows of t."""
    if "RULE" not in words[1:4] or not {"TO", "DO"} <= {word(t) for t in tokens}:
        return False
    all_words = [word(t) for t in tokens]
    at = all_words.index("TO")
    table = script.names.of_tokens(name_at(tokens, at + 1)[0])
    start = all_words.index("DO", at) + 1
    start += all_words[start : start + 1] in (["ALSO"], ["INSTEAD"])
    rest = tokens[start:]
    if table is None or not rest or all_words[start] == "NOTHING":
        return True
    script.rows_of(table, ("new", "old"))
    script.again(balanced(rest[1:]) if rest[0].text == "(" else rest, place)
    return True


def _create(tokens: list[Token], words: list[str], script: Script, place: Place) -> bool:
    if words[1:4] == ["MATERIALIZED", "VIEW", "LOG"]:
        return True
    if "SYNONYM" in words[1:5] and "FOR" in words:
        name, _ = name_at(tokens, words.index("SYNONYM") + 1)
        target, _ = name_at(tokens, words.index("FOR") + 1)
        synonym, meant = script.names.of_tokens(name), script.names.of_tokens(target)
        if synonym is not None and meant is not None:
            script.names.synonyms[str(synonym.name).casefold()] = meant.name
        return True
    if "TABLE" not in words[1:7] or not _MODIFIERS.issuperset(words[1 : words.index("TABLE")]):
        return False
    at = words.index("TABLE") + 1
    while at < len(words) and words[at] in ("IF", "NOT", "EXISTS"):
        at += 1
    name, end = name_at(tokens, at)
    ref = script.names.of_tokens(name)
    if ref is None:
        return False
    temporary = ref.temporary or bool(_TEMPORARY & set(words[1:6]))
    all_words = {word(t) for t in tokens[end:]}
    if (all_words & {"SELECT", "CLONE", "AS", "WITH"} and _has_query(tokens[end:])) or "CLONE" in all_words:
        return False
    like = next((i for i in range(end, min(len(tokens), end + 3)) if word(tokens[i]) == "LIKE"), 0)
    source = script.names.of_tokens(name_at(tokens, like + 1)[0]) if like else None
    if not temporary:
        script.findings.defined(ref, source, place, tokens[0].line)
    if like:
        script.memory.define(ref, script.memory.columns_of(source) if source else None, temporary=temporary)
    elif end < len(tokens) and tokens[end].text == "(":
        script.memory.define(ref, columns(balanced(tokens[end + 1 :]), script.names), temporary=temporary)
    else:
        return False
    return True


def _has_query(tokens: list[Token]) -> bool:
    for i, t in enumerate(tokens):
        if word(t) == "SELECT":
            return True
        if word(t) in ("VALUES", "TABLE", "FROM") and i and word(tokens[i - 1]) == "AS":
            return True
    return False


def _alter(tokens: list[Token], words: list[str], script: Script, place: Place) -> bool:
    at = 2
    while words[at : at + 1] and words[at] in ("IF", "EXISTS", "ONLY"):
        at += 1
    name, end = name_at(tokens, at)
    table = script.names.of_tokens(name)
    rest = [word(t) for t in tokens[end:]]
    if table is None or not rest:
        return True
    line = tokens[0].line

    def after(*wanted: str) -> Ref | None:
        for i in range(len(rest) - len(wanted) + 1):
            if tuple(rest[i : i + len(wanted)]) == wanted:
                return script.names.of_tokens(name_at(tokens, end + i + len(wanted))[0])
        return None

    if rest[0] == "RENAME" and "COLUMN" not in rest[:2]:
        new = after("TO") or after("RENAME")
        if new is not None and (rest[1:2] == ["TO"] or script.name == "mysql"):
            to, _ = name_at(tokens, end + (2 if rest[1] in ("TO", "AS") else 1))
            if len(to) == 1:  # a bare name stays in the table's schema
                new = Ref(type(table.name)((*table.name.parts[:-1], new.name.name)))
            script.findings.rename(table, new, place, line)
    elif rest[:2] == ["SWAP", "WITH"]:
        other = after("WITH")
        if other is not None:
            script.findings.rename(table, other, place, line, swap=True)
    elif rest[0] == "SWITCH":
        other = after("TO")
        if other is not None:
            script.moves("SWITCH", [table], [other], place, line)
    elif rest[0] == "EXCHANGE":
        other = after("WITH", "TABLE")
        if other is not None:
            script.moves("EXCHANGE", [other], [table], place, line)
    elif (
        rest[0] in ("REPLACE", "ATTACH") and "PARTITION" in rest[:3] and "FROM" in rest and script.name == "clickhouse"
    ):
        other = after("FROM")
        if other is not None:
            script.moves("EXCHANGE", [other], [table], place, line)
    elif rest[:2] == ["ATTACH", "PARTITION"] and script.name in ("postgres",):
        other = after("PARTITION")
        if other is not None:
            script.moves("ATTACH", [other], [table], place, line)
    elif rest[0] == "APPEND" and "FROM" in rest[:2]:  # Redshift
        other = after("FROM")
        if other is not None:
            script.moves("APPEND", [other], [table], place, line)
    elif rest[0] == "ADD" and "PARTITION" in rest and "LOCATION" in rest:  # Hive, Redshift Spectrum, Athena
        files = [t for w, t in zip(rest, tokens[end + 1 :], strict=False) if w == "LOCATION"]
        refs = [Ref(TableName((t.text,))) for t in files if is_string(t)]
        script.moves("ADD PARTITION", refs, [table], place, line)
    elif rest[0] == "ADD" and script.memory.columns_of(table) is not None:
        at = end + 1 + (rest[1:2] == ["COLUMN"])
        while [word(t) for t in tokens[at : at + 3]] == ["IF", "NOT", "EXISTS"]:
            at += 3
        listed = balanced(tokens[at + 1 :]) if tokens[at : at + 1] and tokens[at].text == "(" else tokens[at:]
        script.memory.widen(table, columns(listed, script.names) or [])
    return True


def _rename(tokens: list[Token], script: Script, place: Place) -> bool:
    """`RENAME TABLE a TO b, c TO d`; Oracle's `RENAME a TO b`."""
    i = 2 if word(tokens[1]) in ("TABLE", "TABLES") else 1
    while i < len(tokens):
        old, i = name_at(tokens, i)
        if i >= len(tokens) or word(tokens[i]) not in ("TO", "AS"):
            break
        new, i = name_at(tokens, i + 1)
        a, b = script.names.of_tokens(old), script.names.of_tokens(new)
        if a is not None and b is not None:
            script.findings.rename(a, b, place, tokens[0].line)
        i += 1
    return True


def _exchange_tables(tokens: list[Token], words: list[str], script: Script, place: Place) -> bool:
    if "AND" not in words:
        return True
    a = script.names.of_tokens(name_at(tokens, 2)[0])
    b = script.names.of_tokens(name_at(tokens, words.index("AND") + 1)[0])
    if a is not None and b is not None:
        script.findings.rename(a, b, place, tokens[0].line, swap=True)
    return True


def _use(tokens: list[Token], words: list[str], script: Script) -> bool:
    at = 1
    level = ""
    if words[1] in ("DATABASE", "SCHEMA", "CATALOG", "ROLE", "WAREHOUSE", "SECONDARY"):
        level, at = words[1], 2
    if level in ("ROLE", "WAREHOUSE", "SECONDARY") or at >= len(tokens):
        return True
    name = [script.names.folded(t.text, quoted=t.token_type.name == "IDENTIFIER") for t in tokens[at:] if t.text != "."]
    if any(HOLE in n.lower() for n in name):  # dynamic SQL that runs in a database that is not known
        script.names.defaults = ("", "", "")
        return True
    is_trino = script.name in ("trino", "presto", "athena")
    if len(name) > 1:
        script.names.use(database=name[-2], schema=name[-1])
    elif level == "SCHEMA" or script.names.has_two_levels or (is_trino and level != "CATALOG"):
        script.names.use(schema=name[0])
    else:
        script.names.use(database=name[0], reset=True)
    return True
