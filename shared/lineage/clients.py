"""What client programs read before the server does: SQL*Plus and psql commands, mysql's DELIMITER and comments.

Their lines are blanked, so that positions and line numbers stay; what moves data is put into SQL.
"""

from __future__ import annotations

import re

from shared.lineage.tables import HOLE

#: strings, quoted names and comments: nothing in them is a command
_QUOTED = r"'[^']*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/"
_ESCAPED = r"'(?:[^'\\]|\\.)*+'|\"(?:[^\"\\]|\\.)*+\"|`[^`]*`|--[^\n]*|#[^\n]*|/\*.*?\*/"

#: https://docs.oracle.com/en/database/oracle/oracle-database/19/sqpug/SQL-Plus-command-reference.html
_SQLPLUS_SET = (
    r"APPI\w*|ARRAY\w*|AUTO\w*|COLSEP|CMDS\w*|CON\w*|DEF\w*|ECHO|EDITF\w*|EMB\w*|ERRORL\w*|ESC\w*|EXITC\w*|FEED\w*|"
    r"FLU\w*|HEA\w*|HEADS\w*|LIN\w*|LOBOF\w*|LONG\w*|MARK\w*|NEWP\w*|NULL|NUM\w*|PAGES\w*|PAU\w*|RECSEP\w*|"
    r"SERVEROUT\w*|SHIFT\w*|SHOW\w*|SQLBL\w*|SQLC\w*|SQLN\w*|SQLP\w*|SQLT\w*|SUF\w*|TAB|TERM\w*|TI|TIMI?\w*|TRIM\w*|"
    r"UND\w*|VER\w*|WRA\w*|XQUERY"
)
_SQLPLUS = re.compile(
    rf"^[ \t]*(?:/[ \t]*$|SET[ \t]+(?:{_SQLPLUS_SET})\b(?![ \t]*=)[^\n]*$|@@?[^\s=]+[^\n]*$|WHENEVER[ \t][^\n]*$|"
    r"(?:PRO|PROMPT)(?:[ \t][^\n]*)?$|REM(?:ARK)?(?:[ \t][^\n]*)?$|(?:DEF|DEFINE)[ \t]+\w+[ \t]*=[^\n]*$|"
    r"UNDEF(?:INE)?[ \t][^\n]*$|ACC(?:EPT)?[ \t]+\w+[^\n]*$|SPO(?:OL)?(?:[ \t][^\n;]*)?;?[ \t]*$|"
    r"(?:EXIT|QUIT)(?:[ \t]+(?:SUCCESS|FAILURE|WARNING|\d+|SQL\.SQLCODE|COMMIT|ROLLBACK)[ \t]*)*$|"
    r"COL(?:UMN)?[ \t]+\S+[ \t]+(?:A\d+|FOR\w*|HEA\w*|NEW_V\w*|NOPRI\w*|CLE\w*|ON|OFF|JUS\w*)\b[^\n]*$|"
    r"VAR(?:IABLE)?[ \t]+\w+[ \t]+(?:NUMBER|VARCHAR2|CHAR|REFCURSOR|CLOB|DATE)\b[^\n]*$|"
    r"(?:TTI(?:TLE)?|BTI(?:TLE)?|BRE(?:AK)?|COMP(?:UTE)?|CLE(?:AR)?|PAU(?:SE)?|HO(?:ST)?)[ \t]+[^\n;=(]*$|"
    r"SHO(?:W)?[ \t]+(?:ERR\w*|USER|PARAM\w*|SPOOL)\b[^\n]*$|CONN(?:ECT)?[ \t]+(?!BY\b)\S+[ \t]*$|"
    r"(?P<exec>EXEC(?:UTE)?[ \t]+(?!IMMEDIATE\b)[^\n;]*);?[ \t]*$)",
    re.IGNORECASE | re.MULTILINE,
)
_DEFINED = re.compile(r"^[ \t]*DEF(?:INE)?[ \t]+(\w+)[ \t]*=[ \t]*('[^'\n]*'|\"[^\"\n]*\"|\S+)", re.IGNORECASE | re.M)
_SUBSTITUTED = re.compile(rf"(?P<quoted>{_QUOTED})|&&?(?P<name>\w+)(?P<dots>\.{{0,2}})", re.DOTALL)

#: https://www.postgresql.org/docs/current/app-psql.html
_PSQL = re.compile(
    r"^[ \t]*\\(?P<copy>copy\b[^\n]*)$|^[ \t]*\\(?!copy\b)[a-z!?][^\n]*$|"
    r"(?P<send>\\(?:gset|gexec|gdesc|gx|g)\b[^\n]*)$",
    re.MULTILINE | re.IGNORECASE,
)
_PSQL_SET = re.compile(r"^[ \t]*\\set[ \t]+(\w+)[ \t]+'?([\w.\-]+)'?[ \t]*$", re.MULTILINE)
_PSQL_VARIABLE = re.compile(
    rf"(?P<quoted>{_QUOTED})|(?<![:\w]):(?P<mark>['\"]?)(?P<name>[A-Za-z_]\w*)(?P=mark)", re.DOTALL
)

#: https://dev.mysql.com/doc/refman/8.4/en/comments.html
_CONDITIONAL = re.compile(rf"/\*M?!\d*|(?P<quoted>{_ESCAPED})|\*/", re.DOTALL)
_DELIMITER = re.compile(r"^[ \t]*DELIMITER[ \t]+(\S+)[^\n]*$", re.IGNORECASE | re.MULTILINE)


def plain(text: str, dialect: str) -> str:
    """The text as the server gets it."""
    if dialect == "oracle":
        return _sqlplus(text)
    if dialect in ("postgres", "redshift", "") and "\\" in text:
        return _psql(text)
    if dialect in ("mysql", "doris", "starrocks"):
        return _mysql(text)
    return text


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _sqlplus(text: str) -> str:
    if "&" in text and not re.search(r"^\s*SET\s+DEF\w*\s+OFF", text, re.IGNORECASE | re.MULTILINE):
        known = {name.lower(): value.strip("'\"") for name, value in _DEFINED.findall(text)}
        text = _SUBSTITUTED.sub(lambda m: _replaced(m, known), text)

    def line(match: re.Match[str]) -> str:
        if match["exec"]:
            return match["exec"] + ";"
        return ";" + _blank(match[0])[1:] if match[0].strip() == "/" else _blank(match[0])

    return _SQLPLUS.sub(line, text)


def _replaced(match: re.Match[str], known: dict[str, str]) -> str:
    """`&x` and `&x.`; a name that is not defined is a hole, but as `&owner..t` the table is known."""
    if match["quoted"] is not None:
        return re.sub(r"&&?(\w+)\.?", lambda m: known.get(m[1].lower(), m[0]), match[0])
    value = known.get(match["name"].lower())
    after = match["dots"][1:]
    if value is not None:
        return value + after
    return "" if after else f"{HOLE}0n_"


def _psql(text: str) -> str:
    known = dict(_PSQL_SET.findall(text))

    def line(match: re.Match[str]) -> str:
        if match["send"]:
            return ";"
        return f"{match['copy'].rstrip(' ;')};" if match["copy"] else _blank(match[0])

    def variable(match: re.Match[str]) -> str:
        if match["quoted"] is not None or match["name"] not in known:
            return match[0] if match["quoted"] is not None or not match["mark"] else match[0][1:]
        return f"{match['mark']}{known[match['name']]}{match['mark']}"

    found, count = _PSQL.subn(line, text)
    return _PSQL_VARIABLE.sub(variable, found) if count else text


def _mysql(text: str) -> str:
    if "/*!" in text or "/*M!" in text:
        text = _CONDITIONAL.sub(lambda m: m[0] if m["quoted"] is not None else _blank(m[0]), text)
    found: list[str] = []
    mark, at = ";", 0
    for match in _DELIMITER.finditer(text):
        found += [_ended(text[at : match.start()], mark), _blank(match[0])]
        mark, at = match[1], match.end()
    return "".join([*found, _ended(text[at:], mark)]) if found else text


def _ended(text: str, mark: str) -> str:
    """Statements that end with another mark, with semicolons."""
    if mark == ";" or mark not in text:
        return text
    pattern = re.compile(rf"(?P<quoted>{_ESCAPED})|{re.escape(mark)}", re.DOTALL)
    return pattern.sub(lambda m: m[0] if m["quoted"] is not None else ";".ljust(len(m[0])), text)
