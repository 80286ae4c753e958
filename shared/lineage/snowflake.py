"""Snowflake's own statements: streams, which show the changes of a table under the table's columns.

https://docs.snowflake.com/en/sql-reference/sql/create-stream
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.lineage.definitions import name_at
from shared.lineage.words import word

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

    from shared.lineage.findings import Place
    from shared.lineage.script import Script

_KINDS = frozenset({"TABLE", "VIEW", "STAGE", "EXTERNAL", "DYNAMIC", "EVENT", "ICEBERG"})


def read(tokens: list[Token], script: Script, place: Place) -> bool:
    """Whether the statement was one of these and is done with."""
    if word(tokens[0]) != "CREATE" or "STREAM" not in [word(t) for t in tokens[1:4]]:
        return False
    words = [word(t) for t in tokens]
    if "ON" not in words:
        return False
    at = words.index("STREAM") + 1
    while words[at : at + 1] and words[at] in ("IF", "NOT", "EXISTS"):
        at += 1
    stream = script.names.of_tokens(name_at(tokens, at)[0])
    source = words.index("ON") + 1
    is_stage = words[source : source + 1] == ["STAGE"]
    while words[source : source + 1] and words[source] in _KINDS:
        source += 1
    table = script.names.of_tokens(name_at(tokens, source)[0])
    if stream is None or table is None:
        return True
    if is_stage:
        table = table._replace(name=type(table.name)(("@" + str(table.name),)))
    script.memory.define(stream, script.memory.columns_of(table), temporary=False)
    script.moves("CREATE STREAM", [table], [stream], place, tokens[0].line)
    return True
