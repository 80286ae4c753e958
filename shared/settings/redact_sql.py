"""Masking of credentials in SQL, for texts that are shown in the catalogue.

`redact` knows connection strings, URLs, JSON and headers; SQL has its own places for secrets: options of statements,
declarations, arguments of functions, columns of an INSERT. Like it, this rather masks too much than too little. Only
values are masked, so that the statement stays readable.

The places are those of the vendors' references: CREATE LOGIN, CREATE CREDENTIAL, COPY INTO and OPENROWSET (T-SQL),
authorization parameters of COPY and UNLOAD (Redshift), CREDENTIALS and ENCRYPTION of stages (Snowflake), CREATE USER,
database links and DBMS_CLOUD (Oracle), CREATE USER MAPPING and pgcrypto (PostgreSQL), CREATE USER and CHANGE
REPLICATION SOURCE (MySQL), table functions (ClickHouse), options of data sources (Spark).
"""

from __future__ import annotations

import re

from shared.settings.redact import MASK, redact

#: a literal of any dialect; one that is not closed goes to the end of its line. Whatever may be tried at many places of
#: a text has a bound, here and below: a file of a megabyte must not keep a rule busy for hours
_CLOSED = (
    r"(?:(?:[nebx]|u&)?'(?:[^'\\]|\\.|'')*+'|\"(?:[^\"\\]|\\.|\"\")*+\"|q'\[.{0,500}?\]'|q'\{.{0,500}?\}'"
    r"|q'\(.{0,500}?\)'|q'<.{0,500}?>'|q'!.{0,500}?!'|q'\|.{0,500}?\|'|\$\$.{0,500}?\$\$)"
)
_LITERAL = rf"(?:{_CLOSED}|'[^\n]*)"
_NAME = (
    r"(?:pass_?word|passwd|pass_?phrase|pwd|secret|token|(?:account|access|storage|api|private|master|encryption|client"
    r"|shared|auth|sas|secret|aws|hmac|signing)[_.]?(?:access[_.]?)?key(?:[_.]?id)?|aws_key_id|credentials?|sas_url"
    r"|shared_?access_?signature|connection_?string|conn_?str)(?:_\w{1,30}|\d)?"
)
#: between a name and its value stands something, or the closing quote of the name would be taken for an opening one
_BETWEEN = r"(?:[\"'\]`]?\s*+(?::=|=>|==|=|:|\(|,)\s*+|[\"'\]`]?\s++)"
_TYPE = r"\s+(?:constant\s+)?[a-z_][\w.%]*(?:\s*\([^()\n]{0,30}\))?(?:\s+not\s+null)?\s*(?::=|=|default)\s*"
_KEYED = r"(?:pgp_sym_\w{7,20}|aes_\w{7,8}|des_\w{7,8}|encryptbypassphrase|decryptbypassphrase|hmac|crypt|encode_key)"


def _re(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


#: what a rule masks stands between its groups
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # PASSWORD = '..', SECRET_ACCESS_KEY '..', password => '..', OPTIONS (password '..'), PASSWORD('..')
    (_re(rf"({_NAME}{_BETWEEN}){_LITERAL}"), rf"\1'{MASK}'"),
    # @password nvarchar(50) = '..', v_password CONSTANT VARCHAR2(30) := '..'
    (_re(rf"({_NAME}{_TYPE}){_LITERAL}"), rf"\1'{MASK}'"),
    # SELECT '..' AS password
    (_re(rf"(?<!['\"$]){_CLOSED}(\s+as\s+[\"\[`]?\w{{0,30}}{_NAME})"), rf"'{MASK}'\1"),
    # IDENTIFIED BY x, IDENTIFIED WITH sha256_password BY '..', IDENTIFIED BY VALUES '..'
    (
        _re(
            rf"(\bidentified\s+(?:(?:with|via)\s+[\w'\"`]+\s+)?(?:by|as|using)\s+(?:values\s+|password\s+)?)(?:{_LITERAL}|[^\s;,)]+)"
        ),
        rf"\1'{MASK}'",
    ),
    # SQL*Plus: CONNECT scott/tiger@db
    (re.compile(r"(?im)^([ \t]*conn(?:ect)?[ \t]+[\w$#\"]+/)[^\s@;]+"), rf"\1{MASK}"),
    # keys of functions: pgp_sym_encrypt(text, '..'), ENCRYPTBYPASSPHRASE('..', text)
    (_re(rf"(\b{_KEYED}\s*\(\s*(?:[^()';]|\([^()]{{0,200}}\)){{0,200}}?){_LITERAL}"), rf"\1'{MASK}'"),
    # ClickHouse: mysql('host', 'db', 'table', 'user', '..'), s3('url', 'key', '..')
    (
        _re(
            rf"(\b(?:mysql|postgresql|mongodb|remote|remotesecure)\s*\(\s*(?:(?:{_CLOSED}|[\w.]+)\s*,\s*){{3,4}}){_LITERAL}(?=\s*[,)])"
        ),
        rf"\1'{MASK}'",
    ),
    (
        _re(
            rf"(\b(?:s3cluster\s*\(\s*{_CLOSED}\s*,|(?:s3|gcs|oss|cosn|iceberg|deltalake|hudi)\s*\()\s*{_CLOSED}\s*,\s*){_CLOSED}(\s*,\s*){_LITERAL}"
        ),
        rf"\1'{MASK}'\2'{MASK}'",
    ),
    # Oracle's DBMS_CLOUD.CREATE_CREDENTIAL, by position
    (_re(rf"(create_credential\s*\(\s*{_CLOSED}\s*,\s*{_CLOSED}\s*,\s*){_LITERAL}"), rf"\1'{MASK}'"),
    # keys that are known by their look: AWS, GitHub, Slack, Google, Databricks, Stripe, Azure storage
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), MASK),
    (re.compile(r"\bgh[pousr]_[A-Za-z0-9]{30,}|\bxox[abeoprs]-[\w-]{10,}|\bAIza[\w-]{35}"), MASK),
    (re.compile(r"\bdapi[0-9a-f]{32}(?:-\d)?|\bsk_live_[0-9A-Za-z]{16,}"), MASK),
    (re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{86}=="), MASK),
)
#: CREDENTIAL = (IDENTITY = '..', SECRET = '..'), CREDENTIALS = (AWS_KEY_ID = '..' ..), ENCRYPTION = (..)
_BLOCK = _re(r"(\b(?:credentials?|encryption)\s*=?\s*)(\((?:[^()']|'(?:[^']|'')*+'|\([^()]{0,500}\)){0,2000}+\))")
#: INSERT INTO users (name, password) VALUES ('..', '..')
_INSERT = _re(
    rf"(\b(?:insert|replace|merge)\b[^();]{{0,300}}\([^()]{{0,5000}}?{_NAME}[^()]{{0,5000}}+\)\s*values?\b)((?:[^;']|'(?:[^'\\]|\\.|'')*+')*)"
)
_ANY = _re(_LITERAL)

#: every text that a rule changes holds one of these
_SIGNS = (
    *("pass", "pwd", "secret", "token", "credential", "identified", "crypt", "hmac", "conn", "_key", ".key", "key_id"),
    *(
        "signature",
        "encryption",
        "accesskey",
        "accountkey",
        "apikey",
        "privatekey",
        "masterkey",
        "clientkey",
        "sharedkey",
    ),
    *("storagekey", "authkey", "saskey", "awskey", "encryptionkey", "signingkey", "sas_url", "mysql", "postgresql"),
    *("mongodb", "remote", "s3", "gcs", "oss", "cosn", "iceberg", "deltalake", "hudi", "akia", "asia", "gh", "xox"),
    *("aiza", "dapi", "sk_live", "=="),
)


#: bodies in bodies that are looked into
MOST_WITHIN = 3
#: text that no grammar reads: literals, comments, bodies in dollar quotes
_QUIET = _re(
    r"(?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))|(?P<body>\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z))"
    r"|(?P<literal>'(?:[^'\\]|\\.|'')*+'?)|(?P<name>\"(?:[^\"\\]|\\.|\"\")*+\"?|`[^`]*`?|\[[^\[\]'\"]*\])"
)
#: of the rules, those that mask what does not stand in quotes
_BARE = tuple(rule for rule in _RULES if "identified" in rule[0].pattern or "conn" in rule[0].pattern[:20])


def redact_code(text: str, *, within: int = 0) -> str:
    """As `redact_sql`, for SQL whose lineage is still to be read: only literals and comments are changed.

    Where the rules would change more, all literals are masked instead. within: how many dollar quotes it stands in.
    Never raises.
    """
    lower = text.lower()
    if not any(sign in lower for sign in _SIGNS) and redact(text) == text:
        return text
    for pattern, replacement in _BARE:
        text = pattern.sub(replacement, text)
    masked = _INSERT.sub(_without_literals, _BLOCK.sub(_without_literals, text))
    for pattern, replacement in _RULES:
        masked = pattern.sub(replacement, masked)
    masked = _QUIET.sub(lambda found: _quietly(found, within), masked)
    if _shape(masked) == _shape(text):
        return masked
    return _QUIET.sub(lambda found: _all_masked(found, within), text)


def _quietly(found: re.Match[str], within: int) -> str:
    """What stands in a literal or a comment, without the connection strings in it."""
    whole = found[0]
    if found["name"]:
        return whole
    if found["body"]:
        mark = f"${found['tag']}$"
        inside = whole[len(mark) : -len(mark)] if whole.endswith(mark) and len(whole) >= 2 * len(mark) else ""
        if not inside:
            return whole
        return mark + (redact_code(inside, within=within + 1) if within < MOST_WITHIN else MASK) + mark
    if found["comment"]:
        masked = redact(whole)
        return whole if masked == whole else _again_a_comment(masked) + "\n" * (whole.count("\n") - masked.count("\n"))
    inside = whole[1:-1]
    return whole if redact(inside) == inside else f"'{redact(inside).replace(chr(39), '').replace(chr(92), '')}'"


def _again_a_comment(masked: str) -> str:
    return f"/* {masked.strip('-/* ').replace('*/', '').strip()} */" if not masked.startswith("--") else masked


def _all_masked(found: re.Match[str], within: int) -> str:
    if found["literal"]:
        return f"'{MASK}'"
    return "" if found["comment"] else _quietly(found, within)


def _shape(text: str) -> str:
    """The text with every literal and comment alike."""
    return " ".join(_QUIET.sub(lambda found: found[0] if found["name"] else " '' ", text).split())


def redact_sql(text: str) -> str:
    """The SQL with what looks like a credential replaced by `***`. Never raises."""
    lower = text.lower()
    if any(sign in lower for sign in _SIGNS):
        text = _BLOCK.sub(_without_literals, text)
        text = _INSERT.sub(_without_literals, text)
        for pattern, replacement in _RULES:
            text = pattern.sub(replacement, text)
    return redact(text)


def _without_literals(found: re.Match[str]) -> str:
    return found[1] + _ANY.sub(f"'{MASK}'", found[2])
