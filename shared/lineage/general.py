"""Words of systems without a grammar of their own here, as standard SQL: Db2, Impala, SAP HANA, CockroachDB.

https://www.ibm.com/docs/en/db2/11.5?topic=queries-select-statement (isolation-clause),
https://impala.apache.org/docs/build/html/topics/impala_upsert.html
"""

from __future__ import annotations

from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage.tokens import instead
from shared.lineage.words import word

_ISOLATION = frozenset({"UR", "CS", "RS", "RR"})
_REGISTERS = {
    "DATE": TokenType.CURRENT_DATE,
    "TIME": TokenType.CURRENT_TIME,
    "TIMESTAMP": TokenType.CURRENT_TIMESTAMP,
}


def upserted(tokens: list[Token]) -> list[Token]:
    """UPSERT [INTO] t as INSERT INTO t."""
    into = [] if word(tokens[1]) == "INTO" else [instead(tokens[0], TokenType.INTO)]
    return [instead(tokens[0], TokenType.INSERT), *into, *tokens[1:]]


def rewritten(tokens: list[Token]) -> list[Token]:
    """Db2's isolation at the end, `a CONCAT b` and CURRENT DATE; the list itself where nothing is to be done."""
    words = [word(t) for t in tokens]
    if len(tokens) > 2 and words[-1] in _ISOLATION and words[-2] == "WITH":
        tokens, words = tokens[:-2], words[:-2]
    if "CONCAT" not in words and "CURRENT" not in words:
        return tokens
    found: list[Token] = []
    for i, token in enumerate(tokens):
        after = tokens[i + 1] if i + 1 < len(tokens) else token
        if words[i] == "CONCAT" and i and after.text != "(" and tokens[i - 1].text not in (",", "(", "."):
            found.append(Token(TokenType.DPIPE, "||", token.line, token.col, token.start, token.end))
        elif words[i] == "CURRENT" and words[i + 1 : i + 2] and words[i + 1] in _REGISTERS:
            found.append(instead(token, _REGISTERS[words[i + 1]]))
        elif not (words[i] in _REGISTERS and i and words[i - 1] == "CURRENT"):
            found.append(token)
    return found
