"""What a script says to its client tool, not to the database, taken out before it is split into words.

Every character that is taken out becomes a blank (a line that ends a statement: a semicolon), so that positions and
lines stay what they are. The tools: SQL*Plus
(https://docs.oracle.com/en/database/oracle/oracle-database/23/sqpug/SQL-Plus-command-reference.html), psql
(https://www.postgresql.org/docs/current/app-psql.html), sqlcmd
(https://learn.microsoft.com/sql/tools/sqlcmd/sqlcmd-commands), BTEQ, mysql with its DELIMITER
(https://dev.mysql.com/doc/refman/8.4/en/mysql-commands.html), SnowSQL, Hive CLI, the shells of SQLite and DuckDB.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

_PLAIN = r"'[^']*(?:'|\Z)"
_ESCAPED = r"'(?:[^'\\]|\\[\s\S])*(?:'|\Z)"
_COMMENTS = r"--[^\n]*|/\*[\s\S]*?(?:\*/|\Z)"
_QUOTED = r'"[^"\n]*"'
_BODY = r"\$(?P<tag>[A-Za-z_]\w*|)\$[\s\S]*?(?:\$(?P=tag)\$|\Z)"
#: SQL*Plus's commands that stand alone on a line; all but the first group at the beginning of a line only, because
#: PL/SQL has variables of such names
_SQLPLUS = r"""
^[ \t]*(?:@[^\n]*
|(?:SET|PRO(?:MPT)?|REM(?:ARK)?|SPO(?:OL)?|WHENEVER|TTI(?:TLE)?|BTI(?:TLE)?|SHO(?:W)?)(?![\w$#])
(?![ \t]*(?:TRANSACTION|ROLE|CONSTRAINTS?)\b)[^\n]*(?:(?<=-)\n[^\n]*)*)
|^(?:![^\n]*
|(?:DEF(?:INE)?|UNDEF(?:INE)?|COL(?:UMN)?|BRE(?:AK)?|COMP(?:UTE)?|CL(?:EAR)?|CONN(?:ECT)?|DISC(?:ONNECT)?|EXIT|QUIT
|HO(?:ST)?|STA(?:RT)?|ACC(?:EPT)?|PAU(?:SE)?|VAR(?:IABLE)?|PRI(?:NT)?|TIMI(?:NG)?
|STORE|DESC(?:RIBE)?|PASSW(?:ORD)?|SHUTDOWN|STARTUP|SAVE|INPUT|ED(?:IT)?)(?![\w$#])
(?![ \t]*(?:BY|WITH|:=|\.|\()[ \t]*)[^\n]*(?:(?<=-)\n[^\n]*)*)
"""
_SQLPLUS = _SQLPLUS.replace("\n", "")
#: dialect -> what a command line looks like; it stands where a statement could begin, unless ANYWHERE says otherwise
_COMMANDS = {
    "oracle": r"(?P<end>^[ \t]*[/.][ \t]*$)|(?P<call>^EXEC(?:UTE)?[ \t]+(?!IMMEDIATE\b)[^\n]*)"
    rf"|(?P<line>{_SQLPLUS})",
    "postgres": r"(?P<end>\\(?:g(?:set|exec|x|desc)?|crosstabview|watch)\b[^\n]*)"
    r"|(?P<line>^[ \t]*\\(?!copy)[a-z!?;][^\n]*)",
    "tsql": r"(?P<line>^[ \t]*(?::(?:setvar|r|on[ \t]+error|connect|out|error|perftrace|listvar|xml|exit|quit|reset|ed"
    r"|serverlist|help)\b|!!)[^\n]*)",
    # what names files and fields is for teradata.py to read
    "teradata": r"(?P<line>^[ \t]*\.[ \t]*(?!(?:IMPORT|EXPORT|FIELD|FILLER|LAYOUT|BEGIN|END|DML|LOGTABLE|TABLE)\b)"
    r"[A-Z][^\n]*)",
    "snowflake": r"(?P<line>^![a-z][^\n]*)",
    "hive": r"(?P<line>^[ \t]*(?:![^\n=]|%(?:sql|md|python|scala|r|sh|fs|run|pip)\b"
    r"|(?:dfs|add[ \t]+(?:jars?|files?|archives?)|source|list[ \t]+jars?)\b"
    r"|set[ \t]+\w+[.:][\w.:${}]*[ \t]*=)[^\n]*)",
    "sqlite": r"(?P<line>^\.[a-z][^\n]*)",
    "mysql": r"(?P<line>^[ \t]*(?:DELIMITER|SOURCE|CONNECT|SYSTEM|TEE|NOTEE|PAGER|PROMPT|WARNINGS|NOWARNING|STATUS"
    r"|\\[.!u])[ \t]+[^\n]*)|(?P<end>\\[gG](?=\s|;|\Z))|(?P<open>/\*M?!\d*)|(?P<close>\*/)",
}
_SAME = {"redshift": "postgres", "fabric": "tsql", "duckdb": "sqlite", "spark": "hive", "databricks": "hive"}
#: commands that may stand within a statement, which they end
_ANYWHERE = frozenset({"postgres", "tsql", "snowflake"})
_LITERALS = {
    "postgres": rf"{_BODY}|\bE{_ESCAPED}|{_PLAIN}|{_QUOTED}|(?P<data>\bFROM\s+STDIN\b[^;\n]*;[^\n]*\n)",
    "mysql": rf"{_ESCAPED}|#[^\n]*|`[^`\n]*`|\"(?:[^\"\\]|\\[\s\S])*(?:\"|\Z)",
    "hive": rf"{_ESCAPED}|\"(?:[^\"\\]|\\[\s\S])*(?:\"|\Z)|`[^`\n]*`",
    "snowflake": rf"{_BODY}|{_ESCAPED}|{_QUOTED}|//[^\n]*",
    "oracle": rf"q'\[[\s\S]*?\]'|q'\{{[\s\S]*?\}}'|q'\([\s\S]*?\)'|q'<[\s\S]*?>'|q'([^\s\[{{(<])[\s\S]*?\1'"
    rf"|{_PLAIN}|{_QUOTED}",
}
#: what gives a variable its value
_DEFINES = {
    "oracle": r"DEF(?:INE)?[ \t]+(\w+)[ \t]*=[ \t]*(.+)",
    "postgres": r"\\set[ \t]+(\w+)[ \t]+(.+)",
    "tsql": r":setvar[ \t]+(\w+)[ \t]+(.+)",
    "hive": r"set[ \t]+(?:hivevar:|hiveconf:)?(\w+)[ \t]*=[ \t]*([^;]+)",
    "snowflake": r"!(?:define[ \t]+|set[ \t]+(?!\w+[ \t]*=[ \t]*(?:true|false)\b))(\w+)[ \t]*=[ \t]*(.+)",
}
#: psql's COPY .. FROM stdin: the rows follow, up to a line with a backslash and a point
_END_OF_DATA = re.compile(r"^\\\.[ \t\r]*$", re.MULTILINE)
_DELIMITER = re.compile(r"[ \t]*DELIMITER[ \t]+(\S{1,16})", re.IGNORECASE)
_COPY = re.compile(r"^([ \t]*)\\copy\b([^\n]*)", re.IGNORECASE | re.MULTILINE)
MAX_DELIMITERS, MAX_CUTS = 20, 50_000


class _Cut(NamedTuple):
    start: int
    end: int
    by: str = ""


@functools.cache
def _commands(family: str) -> re.Pattern[str]:
    return re.compile(rf"{_COMMANDS[family]}|^[ \t]*\\copy|\bFROM\s+STDIN\b", re.IGNORECASE | re.MULTILINE)


@functools.lru_cache(maxsize=64)
def _scanner(family: str, delimiter: str = "") -> re.Pattern[str]:
    own = rf"(?P<delimiter>{re.escape(delimiter)})|" if delimiter else ""
    # a command line before the literals: its words may hold an apostrophe
    literals = _LITERALS.get(family, f"{_PLAIN}|{_QUOTED}")
    return re.compile(
        rf"{own}{_COMMANDS[family]}|(?P<comment>{_COMMENTS})|{literals}|(?P<stop>;)",
        re.IGNORECASE | re.MULTILINE,
    )


def removed(text: str, dialect: str) -> tuple[str, dict[str, str]]:
    """The text with blanks in place of what is not for the database; the variables that it sets, in lower case."""
    family = _SAME.get(dialect, dialect)
    if family not in _COMMANDS or not _commands(family).search(text):
        return text, {}
    if family == "postgres" and "\\" in text:  # \copy t FROM 'file' is one line, and needs no semicolon
        text = _COPY.sub(lambda m: f"{m[1]}copy{m[2]};", text)
    cuts = _cuts(text, family)
    found: list[str] = []
    known: dict[str, str] = {}
    at = 0
    for cut in cuts:
        line = text[cut.start : cut.end].strip() if family in _DEFINES else ""
        if line and (define := re.match(_DEFINES[family], line, re.IGNORECASE)):
            known.setdefault(define[1].lower(), define[2].strip().strip("'\""))
        blanks = re.sub(r"[^\n]", " ", text[cut.start : cut.end])
        found += [text[at : cut.start], cut.by, blanks[len(cut.by) :]]
        at = cut.end
    return "".join([*found, text[at:]]) if found else text, known


def _called(line: str) -> str:
    return line.split(None, 1)[1].rstrip().rstrip(";").removesuffix("-") + ";" if line.split(None, 1)[1:] else ""


def _cuts(text: str, family: str) -> list[_Cut]:
    cuts: list[_Cut] = []
    pattern, delimiters, position, opened = _scanner(family), 0, 0, 0
    begins, has_data = True, True  # begins: nothing of a statement stands before
    while (match := pattern.search(text, position)) is not None and len(cuts) < MAX_CUTS:
        start, end = match.span()
        kind = match.lastgroup if match.lastgroup != "tag" else "string"
        begins = begins and not text[position:start].strip()
        position = max(end, start + 1)
        if kind == "comment":
            continue
        if kind == "line" and (begins or family in _ANYWHERE):
            cuts.append(_Cut(start, end, "" if begins else ";"))
            begins = True
            if family == "mysql":
                own = _DELIMITER.match(match[0])
                if own is not None and delimiters < MAX_DELIMITERS:
                    delimiters += 1
                    pattern = _scanner(family, "" if own[1] == ";" else own[1])
        elif kind == "call":  # EXEC p(1) is BEGIN p(1); END;
            cuts.append(_Cut(start, end, _called(match[0])) if begins else _Cut(start, start))
        elif kind in ("end", "delimiter"):
            cuts.append(_Cut(start, end, ";"))
            begins = True
        elif kind == "open":
            cuts.append(_Cut(start, end))
            opened += 1
        elif kind == "close":
            if opened:
                cuts.append(_Cut(start, end))
                opened -= 1
        elif kind == "data":
            stop = _END_OF_DATA.search(text, end) if has_data else None
            has_data = stop is not None
            if stop is not None:
                cuts.append(_Cut(end, stop.end()))
                position = stop.end()
            begins = True
        elif kind == "stop":
            begins = True
        else:
            begins = False
            if kind == "line":  # an ordinary line of a statement: its strings and comments still count
                position = start + len(match[0]) - len(match[0].lstrip()) + 1
    return cuts
