"""Table functions whose body is one query: DuckDB's macros, BigQuery's CREATE TABLE FUNCTION; their calls are followed.

https://duckdb.org/docs/stable/sql/statements/create_macro,
https://cloud.google.com/bigquery/docs/table-functions
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.lineage.definitions import name_at
from shared.lineage.headers import Formal
from shared.lineage.tokens import balanced, parts
from shared.lineage.words import word

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

    from shared.lineage.findings import Place
    from shared.lineage.script import Script


def read(tokens: list[Token], script: Script, place: Place) -> bool:
    """Whether the statement creates a function: nothing flows before it is called."""
    words = [word(t) for t in tokens[:12]]
    at = next((i for i, w in enumerate(words[:6]) if w in ("MACRO", "FUNCTION")), 0)
    if words[0] != "CREATE" or not at or (words[at] == "FUNCTION" and words[at - 1] not in ("TABLE", "TEMP")):
        return False
    is_table = words[at - 1] == "TABLE"
    at += 1
    while words[at : at + 1] and words[at] in ("IF", "NOT", "EXISTS"):
        at += 1
    name, end = name_at(tokens, at)
    given: list[Token] = []
    if end < len(tokens) and tokens[end].text == "(":
        given = balanced(tokens[end + 1 :])
        end += len(given) + 2
    start = next((i for i in range(end, len(tokens)) if word(tokens[i]) == "AS"), len(tokens)) + 1
    is_macro_of_rows = start < len(tokens) and word(tokens[start]) == "TABLE"
    if not (is_table or is_macro_of_rows) or start >= len(tokens):
        return True
    query = tokens[start + is_macro_of_rows :]
    if query and query[0].text == "(":
        query = balanced(query[1:])
    memory = script.memory
    formals = [Formal(p[0].text, False, p[1:]) for p in parts(given)]
    key = tuple(t.text.lower() for t in name if t.text != ".")
    before = dict(memory.variables)
    for formal, value, _ in memory.passed.enter(key, formals):
        memory.variables[formal.name.lower()] = value
    rows = script.rows(query, place)
    for formal in formals:
        memory.variables.pop(formal.name.lower(), None)
        if formal.name.lower() in before:
            memory.variables[formal.name.lower()] = before[formal.name.lower()]
    if rows is not None and name:
        memory.functions[name[-1].text.lower().split(".")[-1]] = memory.followed(rows)
    return True
