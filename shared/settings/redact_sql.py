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

#: a literal of any dialect; one that is not closed goes to the end of its line
_CLOSED = (
    r"(?:(?:[nebx]|u&)?'(?:[^'\\]|\\.|'')*+'|\"(?:[^\"\\]|\\.|\"\")*+\"|q'\[.*?\]'|q'\{.*?\}'|q'\(.*?\)'|q'<.*?>'"
    r"|q'!.*?!'|q'\|.*?\|'|\$\$.*?\$\$)"
)
_LITERAL = rf"(?:{_CLOSED}|'[^\n]*)"
_NAME = (
    r"(?:pass_?word|passwd|pass_?phrase|pwd|secret|token|(?:account|access|storage|api|private|master|encryption|client"
    r"|shared|auth|sas|secret|aws|hmac|signing)[_.]?(?:access[_.]?)?key(?:[_.]?id)?|aws_key_id|credentials?|sas_url"
    r"|shared_?access_?signature|connection_?string|conn_?str)(?:_\w{1,30}|\d)?"
)
_BETWEEN = r"[\"'\]`]?\s*(?::=|=>|==|=|:|\(|,)?\s*"
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
    (_re(rf"{_CLOSED}(\s+as\s+[\"\[`]?\w{{0,30}}{_NAME})"), rf"'{MASK}'\1"),
    # IDENTIFIED BY x, IDENTIFIED WITH sha256_password BY '..', IDENTIFIED BY VALUES '..'
    (
        _re(
            rf"(\bidentified\s+(?:(?:with|via)\s+[\w'\"`]+\s+)?(?:by|as|using)\s+(?:values\s+|password\s+)?)(?:{_LITERAL}|[^\s;,)]+)"
        ),
        rf"\1'{MASK}'",
    ),
    # SQL*Plus: CONNECT scott/tiger@db
    (re.compile(r"(?im)^(\s*conn(?:ect)?\s+[\w$#\"]+/)[^\s@;]+"), rf"\1{MASK}"),
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
            rf"(\b(?:s3|s3cluster|gcs|oss|cosn|iceberg|deltalake|hudi)\s*\(\s*{_CLOSED}\s*,\s*){_CLOSED}(\s*,\s*){_LITERAL}"
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
_BLOCK = _re(r"(\b(?:credentials?|encryption)\s*=?\s*)(\((?:[^()']|'(?:[^']|'')*+'|\([^()]*\))*+\))")
#: INSERT INTO users (name, password) VALUES ('..', '..')
_INSERT = _re(
    rf"(\b(?:insert|replace|merge)\b[^();]{{0,300}}\([^()]*{_NAME}[^()]*\)\s*values?\b)((?:[^;']|'(?:[^'\\]|\\.|'')*+')*)"
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
