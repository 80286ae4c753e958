"""Teradata's clients: commands of BTEQ, MultiLoad, FastLoad and FastExport, and the files that they name.

Basic Teradata Query Reference, Teradata MultiLoad / FastLoad / FastExport Reference (https://docs.teradata.com)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlglot.tokenizer_core import Token, TokenType

from shared.lineage.model import TableName
from shared.lineage.relations import Source
from shared.lineage.tables import Ref
from shared.lineage.tokens import named, parts
from shared.lineage.words import word

if TYPE_CHECKING:
    from shared.lineage.script import Script

#: commands of the load utilities, which end with a semicolon, not with their line
_UTILITIES = frozenset({"LOGTABLE", "BEGIN", "LAYOUT", "DML", "FIELD", "FILLER", "TABLE"})
#: a statement of our own: the rows of the queries after it go to this file
EXPORT = "EXPORT_TO"
_INFILE = re.compile(r"\b(?:INFILE\s+|FILE\s*=\s*)['\"]?([^\s;'\",]+)", re.IGNORECASE)
_OUTFILE = re.compile(r"\b(?:OUTFILE\s+|FILE\s*=\s*)['\"]?([^\s;'\",]+)", re.IGNORECASE)


def without_commands(tokens: list[Token], text: str, script: Script) -> list[Token]:
    heads = [i for i in range(len(tokens) - 1) if _is_command(tokens, i)]
    loads = any(word(t) == "LOADING" for t in tokens)
    if not heads and not loads:
        return tokens
    to_semicolon = any(word(tokens[i + 1]) in _UTILITIES for i in heads)
    found: list[Token] = []
    fields, files = list[str](), list[str]()
    i = 0
    while i < len(tokens):
        first = word(tokens[i])
        is_start = not found or found[-1].token_type is TokenType.SEMICOLON
        utility = loads and is_start and first in ("BEGIN", "END", "DEFINE", "LOGON", "LOGOFF", "SESSIONS", "ERRLIMIT")
        utility = utility and (first not in ("BEGIN", "END") or word(tokens[min(i + 1, len(tokens) - 1)]) == "LOADING")
        if not utility and not _is_command(tokens, i):
            found.append(tokens[i])
            i += 1
            continue
        end = i + 1
        while end < len(tokens) and tokens[end].token_type is not TokenType.SEMICOLON:
            if tokens[end].line > tokens[i].line and not (to_semicolon or utility):
                break
            end += 1
        command = tokens[i + (not utility) : end]
        said = text[tokens[i].start : tokens[end - 1].end + 1]
        _note(command, said, fields, files)
        found += _marker(command, said, tokens[i])
        i = end + (end < len(tokens) and tokens[end].token_type is TokenType.SEMICOLON)
    script.imported = Ref(TableName((files[-1],))) if files else None
    for name in fields:
        if script.imported is not None:
            script.memory.variables[name.lower()] = {Source(script.imported, name): None}
    return found


def _is_command(tokens: list[Token], i: int) -> bool:
    """A dot at the beginning of a line, and a word."""
    starts = i == 0 or tokens[i - 1].line < tokens[i].line
    named_ = i + 1 < len(tokens) and bool(word(tokens[i + 1])) and tokens[i + 1].line == tokens[i].line
    return tokens[i].text == "." and starts and named_


def _note(command: list[Token], said: str, fields: list[str], files: list[str]) -> None:
    """Fields and the file of an import."""
    first = word(command[0])
    if first == "FIELD" and len(command) > 1:
        fields.append(command[1].text)
    elif first == "DEFINE":
        listed = [p for p in parts(command[1:]) if len(p) > 1 and p[1].text == "("]
        fields.extend(p[0].text for p in listed)
    if first in ("IMPORT", "DEFINE") and (file := _INFILE.search(said)):
        files.append(file[1])


def _marker(command: list[Token], said: str, at: Token) -> list[Token]:
    """A statement that tells where the rows of the next queries go."""
    first, second = word(command[0]), word(command[1]) if len(command) > 1 else ""
    end = Token(TokenType.SEMICOLON, ";", at.line, 0, at.start, at.start)
    if first == "EXPORT":
        file = _OUTFILE.search(said) if second != "RESET" else None
        return [end, named(EXPORT, at), Token(TokenType.STRING, file[1] if file else "", at.line, 0, 0, 0), end]
    if first in ("END", "LOGOFF"):
        return [end, named(EXPORT, at), Token(TokenType.STRING, "", at.line, 0, 0, 0), end]
    return [end]
