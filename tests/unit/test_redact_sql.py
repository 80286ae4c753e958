"""Credentials in SQL: whatever the statement, the value is gone and the rest can still be read."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.lineage import analyze
from shared.settings import redact
from shared.settings.redact_sql import redact_code, redact_sql
from tests.lineage.scorer import cases

#: where a secret stands in SQL; `@` is the secret inside a literal
PLACES = [
    # T-SQL
    "CREATE LOGIN etl WITH PASSWORD = '@', CHECK_POLICY = OFF",
    "CREATE LOGIN etl WITH PASSWORD = N'@' MUST_CHANGE",
    "ALTER LOGIN etl WITH PASSWORD='@' OLD_PASSWORD='@'",
    "CREATE DATABASE SCOPED CREDENTIAL c WITH IDENTITY = 'SHARED ACCESS SIGNATURE', SECRET = '@'",
    "COPY INTO t FROM 'https://a.blob.core.windows.net/c' WITH (CREDENTIAL = (IDENTITY = 'Storage Key', SECRET = '@'))",
    "OPEN SYMMETRIC KEY k DECRYPTION BY PASSWORD = '@'",
    "CREATE MASTER KEY ENCRYPTION BY PASSWORD = '@'",
    "EXEC sp_addlinkedsrvlogin @rmtsrvname = 'L', @rmtuser = 'u', @rmtpassword = '@'",
    "SELECT * FROM OPENROWSET('SQLNCLI', 'Server=h;Uid=u;Pwd=@;', 'SELECT 1')",
    "DECLARE @password nvarchar(50) = N'@'",
    "SELECT ENCRYPTBYPASSPHRASE('@', c) FROM t",
    "BACKUP DATABASE d TO URL = 'https://a/b' WITH CREDENTIAL = 'c', MEDIAPASSWORD = '@'",
    # Redshift
    "COPY t FROM 's3://b/x' CREDENTIALS 'aws_access_key_id=AKIAABCDEFGHIJKLMNOP;aws_secret_access_key=@'",
    "UNLOAD ('select 1') TO 's3://b' ACCESS_KEY_ID 'x' SECRET_ACCESS_KEY '@' SESSION_TOKEN '@'",
    "CREATE USER u PASSWORD '@'",
    # Snowflake
    "CREATE STAGE s URL = 's3://b' CREDENTIALS = (AWS_KEY_ID = '@' AWS_SECRET_KEY = '@' AWS_TOKEN = '@')",
    "COPY INTO t FROM 'azure://a' CREDENTIALS=(AZURE_SAS_TOKEN='@') ENCRYPTION=(TYPE='AZURE_CSE' MASTER_KEY = '@')",
    "CREATE SECRET s TYPE = PASSWORD USERNAME = 'u' PASSWORD = '@'",
    "CREATE SECRET s TYPE = GENERIC_STRING SECRET_STRING = '@'",
    "ALTER SECURITY INTEGRATION i SET OAUTH_CLIENT_SECRET = '@'",
    # Oracle
    'CREATE USER u IDENTIFIED BY "@"',
    "CREATE DATABASE LINK l CONNECT TO u IDENTIFIED BY \"@\" USING 'db'",
    "ALTER USER u IDENTIFIED BY VALUES '@'",
    "BEGIN DBMS_CLOUD.CREATE_CREDENTIAL(credential_name => 'c', username => 'u', password => '@'); END;",
    "BEGIN DBMS_CLOUD.CREATE_CREDENTIAL('c', 'u', '@'); END;",
    "v_password CONSTANT VARCHAR2(30) := '@';",
    "v_api_key varchar2(30) not null default q'[@]';",
    # MySQL, PostgreSQL
    "CREATE USER u IDENTIFIED WITH mysql_native_password BY '@'",
    "CHANGE REPLICATION SOURCE TO SOURCE_HOST = 'h', SOURCE_PASSWORD = '@'",
    "SET PASSWORD FOR u = PASSWORD('@')",
    "INSERT INTO t SELECT AES_ENCRYPT(name, '@') FROM s",
    "CREATE USER MAPPING FOR u SERVER s OPTIONS (user 'u', password '@')",
    "SELECT pgp_sym_decrypt(decode(c, 'hex'), '@') FROM t",
    "SELECT * FROM dblink('host=h user=u password=@', 'select 1') AS t(a int)",
    "CREATE SUBSCRIPTION s CONNECTION 'host=h password=@ dbname=d' PUBLICATION p",
    "CREATE ROLE r LOGIN ENCRYPTED PASSWORD '@'",
    # ClickHouse, Spark
    "INSERT INTO t SELECT * FROM mysql('h:3306', 'db', 'table', 'u', '@')",
    "SELECT * FROM postgresql('h:5432', 'db', 'table', 'u', '@', 'schema')",
    "SELECT * FROM s3('https://b.s3.amazonaws.com/x', 'key', '@', 'CSV')",
    "CREATE USER u IDENTIFIED WITH sha256_password BY '@'",
    "CREATE TABLE t USING jdbc OPTIONS (url 'jdbc:x', user 'u', password '@')",
    'CREATE TABLE t USING jdbc OPTIONS ("password" "@")',
    # anything
    "UPDATE conf SET smtp_password = '@' WHERE id = 1",
    "INSERT INTO users (name, password_hash) VALUES ('a', '@'), ('b', '@')",
    "SELECT '@' AS api_token, a FROM t",
    "SELECT a FROM t WHERE secret_key = '@'",
    "SELECT http_get('https://x/y?sig=@')",
    "SET x = 'Authorization: Bearer @'",
    'SELECT \'{"client_secret": "@"}\'',
]
#: values that are known by their look wherever they stand
LOOKS = [
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_" + "a1B2" * 9,
    "dapi" + "0123456789abcdef" * 2,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcDEF-123",
    "Qq" * 43 + "==",
    "-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----",
]
#: as people choose them, and as machines make them
SECRETS = st.text("abcXYZ0123456789!#%&*+,-./:<>?[]^_{|}~ ", min_size=8, max_size=30).filter(
    lambda value: value == value.strip() and len(set(value)) > 4
)


def spaced(place: str, spaces: str, upper: bool) -> str:
    """The statement in another layout."""
    parts = re.split(r"('(?:[^'])*'|\"[^\"]*\")", place)
    parts[::2] = [re.sub(r" ", spaces, part.upper() if upper else part) for part in parts[::2]]
    return "".join(parts)


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_is_masked_and_the_statement_stays(place: str) -> None:
    for secret in ("hunter2-hunter2", "S3cr3t/with+signs=="):
        masked = redact_sql(re.sub(r"@(?!\w)", lambda _, secret=secret: secret, place))
        assert secret not in masked
        assert place.split(maxsplit=1)[0] in masked


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PLACES), SECRETS, st.sampled_from([" ", "  ", "\n", "\t "]), st.booleans())
def test_whatever_the_secret_and_the_layout(place: str, secret: str, spaces: str, upper: bool) -> None:
    inside = any(word in place for word in ("password=@", "Pwd=@", "sig=@", "Bearer @", "key=@"))
    if inside:  # within a connection string or a URL its own rules say where a value ends
        secret = re.sub(r"[^A-Za-z0-9]", "x", secret)
    if "q'[" in place:
        secret = secret.replace("]", "")
    if "{" in place:
        secret = secret.replace("\\", "")
    text = re.sub(r"@(?!\w)", lambda _: secret, spaced(place, spaces, upper))
    assert secret not in redact_sql(text)


@pytest.mark.parametrize("value", LOOKS)
def test_keys_that_are_known_by_their_look(value: str) -> None:
    assert value not in redact_sql(f"SELECT f('{value}') FROM t -- {value}")


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t (a, b) SELECT s.a, s.b FROM s WHERE s.c = 'x' AND s.key = 'customer'",
        "SELECT count(*) AS keys, 'a' AS name FROM t JOIN u ON t.customer_key = u.customer_key",
        "COPY INTO t FROM 's3://bucket/path' FILE_FORMAT = (TYPE = 'CSV')",
        "SELECT password, token_id FROM users WHERE name = 'x'",
        "SELECT 'it''s', \"Column\", [x] FROM t WHERE d > '2024-01-01'",
        "CREATE TABLE users (id int, password varchar(50) NOT NULL, token text)",
        "SELECT a -- don't\nFROM t WHERE b = 'c'",
    ],
)
def test_the_rest_stays_as_it_is(sql: str) -> None:
    assert redact_sql(sql) == sql


@settings(max_examples=100, deadline=None)
@given(st.text("'\"$qn()[]{}=, \n\\passwordtokenVALUESinsert", max_size=200))
def test_it_never_raises(text: str) -> None:
    assert isinstance(redact_sql(text), str)


@pytest.mark.parametrize(
    "text",
    [
        "password = '" * 5_000,
        "insert into t (password) values (" * 5_000,
        "credentials = (" * 5_000,
        "pgp_sym_encrypt(" * 5_000,
        "s3('a', 'b'" * 5_000,
        "mysql(" + "'a', " * 10_000,
        "identified by " * 5_000,
        "password varchar(" * 5_000,
        "SELECT 'a' as x, " * 5_000 + "secret",
    ],
)
def test_long_texts_take_no_time(text: str) -> None:
    started = time.process_time()
    redact_sql(text)
    assert time.process_time() - started < 3


# ---- texts that would keep a rule busy

NASTY = (
    *(
        "'",
        "''",
        '"',
        " ",
        "\n",
        "(",
        "password",
        "password ",
        "password '",
        "password(",
        "pwd=",
        "pwd={",
        "pwd={a ",
        "pwd='",
    ),
    *(
        "credential (",
        "credential ('",
        "encryption=(a ",
        "insert into t (password ",
        "insert into t (",
        "identified by ",
    ),
    *(
        "connect ",
        "conn a/",
        "hmac(",
        "hmac((",
        "mysql('a',",
        "s3('a',",
        "create_credential('a',",
        "q'[",
        "q'(",
        "$$",
        "$a$",
    ),
    *(
        "eyJ-",
        "eyJaaaaaaaaaaa.",
        "a://a:",
        "https://a:",
        "https://",
        "-----BEGIN PRIVATE KEY-----",
        "bearer ",
        "A" * 86,
    ),
    *("'' as ", "' as password", "secret constant a ", "/*", "--", "xoxb-", "v_token varchar(", "x='a' y"),
)


@pytest.mark.parametrize("text", NASTY)
def test_no_text_keeps_a_rule_busy(text: str) -> None:
    size = 40_000
    for whole in (
        text * (size // len(text)),
        "password = " + text * (size // len(text)),
        text + " " * size,
        text + "a" * size,
    ):
        for masking in (redact, redact_sql, redact_code):
            started = time.process_time()
            masking(whole)
            assert time.process_time() - started < 1.0, (masking.__name__, text)


# ---- SQL that is read afterwards


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("select a from t join s on t.token = s.token", None),
        ("update t set password = s.pwd, secret = s.b from s", None),
        ("select password as pwd, api_key from t where token = :token", None),
        ("select 'hunter2' as api_key from t", "select '***' as api_key from t"),
        ("select a from dblink('user=u password=hunter2', 'q')", "select a from dblink('user=u password=***', 'q')"),
        ("select a -- pwd=hunter2\nfrom t", "select a -- pwd=***\nfrom t"),
        (
            "create user u identified by hunter2; insert into a select b from c",
            "create user u identified by '***'; insert into a select b from c",
        ),
        ("$$ select f(a, password => 'hunter2') from b $$", "$$ select f(a, password => '***') from b $$"),
        ("select json_value(x, '$.password') p, 'b' from t", None),
        ("select a from url('https://u:hunter2@h/x')", "select a from url('https://u:***@h/x')"),
    ],
)
def test_code_keeps_its_shape(text: str, masked: str | None) -> None:
    assert redact_code(text) == (masked or text)
    assert redact_code(redact_code(text)) == redact_code(text)


def test_lineage_is_the_same_without_the_credentials() -> None:
    changed = 0
    for case in cases():
        masked = redact_code(case.sql)
        if masked == case.sql:
            continue
        changed += 1
        one, other = (
            analyze(
                sql,
                dialect=case.dialect,
                default_database=case.database or None,
                default_schema=case.schema or None,
                schemas=case.schemas or None,
            )
            for sql in (case.sql, masked)
        )
        assert (one.inputs, one.outputs) == (other.inputs, other.outputs), case.id
        edges = [
            {(c.output.table, c.output.column, i.table, i.column) for c in found.columns for i in c.inputs}
            for found in (one, other)
        ]
        assert edges[0] == edges[1], case.id
    assert changed > 3


@given(st.text(st.sampled_from("'\"$;()= \n-/*\\ab"), max_size=60), st.text(max_size=20))
def test_code_of_any_text(text: str, further: str) -> None:
    redact_code(f"password {text} {further}")
