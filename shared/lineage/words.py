"""The keywords that tell where statements begin and end, and what they can move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot.tokenizer_core import TokenType

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

_STRINGS = frozenset(t for t in TokenType if t.name.endswith("STRING"))
_NO_WORDS = _STRINGS | {TokenType.IDENTIFIER, TokenType.NUMBER}


def word(token: Token) -> str:
    """Upper case text of an unquoted word, else "". Quoted names, strings and numbers are no words."""
    text: str = token.text
    return text.upper() if text[:1].isalpha() and token.token_type not in _NO_WORDS else ""


def is_string(token: Token) -> bool:
    """Whether it is a literal in quotes, of any kind."""
    return token.token_type in _STRINGS


def words_in(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


#: words that begin a T-SQL statement even where no semicolon ends the one before
#: (https://learn.microsoft.com/sql/t-sql/language-elements/transact-sql-syntax-conventions-transact-sql)
TSQL_STARTS = words_in("""
    ALTER BREAK BULK CHECKPOINT CLOSE COMMIT CONTINUE CREATE DBCC DEALLOCATE DECLARE DELETE DENY DROP EXEC EXECUTE FETCH
    GOTO GRANT IF INSERT KILL MERGE OPEN PRINT RAISERROR RETURN REVOKE ROLLBACK SAVE SELECT SET THROW TRUNCATE UPDATE
    USE WAITFOR WHILE""")
#: heads of conditions and loops
CONTROL = words_in("IF ELSIF ELSEIF WHILE FOR FOREACH FORALL WHEN EXCEPTION UNTIL")
#: what is no single statement after IF .. or ELSE
BLOCKS = CONTROL | {"BEGIN", "ELSE", "END"}
DML = words_in("SELECT INSERT UPDATE DELETE MERGE VALUES EXEC EXECUTE DEFAULT")
ROUTINES = words_in("PROCEDURE PROC FUNCTION TRIGGER PACKAGE")
#: END TRY, END IF ...
AFTER_END = words_in("TRY CATCH IF LOOP WHILE CASE REPEAT FOR")
#: BEGIN TRANSACTION opens no block
TRANSACTION = words_in("TRAN TRANSACTION WORK DISTRIBUTED DEFERRED IMMEDIATE EXCLUSIVE")
#: a routine's body that is one statement begins with one of these
SINGLE = words_in("SELECT INSERT UPDATE DELETE MERGE WITH RETURN VALUES")
#: before SELECT, before INSERT and the like: the statement goes on
SELECT_AFTER = words_in("UNION ALL EXCEPT INTERSECT MINUS AS FOR RETURN GRANT DENY REVOKE")
DML_AFTER = words_in("THEN FOR AFTER BEFORE OF OR GRANT DENY REVOKE INSTEAD AS")

#: statements that are parsed
READ = words_in(
    "SELECT WITH INSERT UPDATE DELETE MERGE TRUNCATE REPLACE COPY LOAD FROM VALUES CREATE PIVOT UNPIVOT UPSERT"
)
#: statements that move no data between tables, whatever they say
QUIET = words_in("""
    ABORT ADD ADMIN ALTER ANALYZE ASSERT ASSOCIATE ATTACH AUDIT BACKUP BEGIN BINLOG BREAK BT CACHE CANCEL CHANGE
    CHECK CHECKPOINT CLEAR CLOSE CLUSTER COLLECT COMMENT COMMIT COMPUTE CONTINUE CONVERSATION CONVERT DBCC
    DEALLOCATE DELIMITER DENY DESC DESCRIBE DETACH DFS DIAGNOSTIC DIALOG DISABLE DISCARD DO DROP ENABLE END ET EXIT
    EXPLAIN FETCH FLASHBACK FLUSH FORCE FSCK GENERATE GET GIVE GOTO GRANT HANDLER HELP INSTALL INVALIDATE ITERATE
    KILL LEAVE LIST LISTEN LOCK LOGOFF LOGON LS MODIFY MOVE MSCK NOAUDIT NOTIFY NULL OPTIMIZE PRAGMA PREPARE PRINT
    PURGE QUIT RAISE RAISERROR READTEXT REASSIGN RECEIVE RECONFIGURE RECOVER REFRESH REINDEX RELEASE RELOAD REMOVE
    REPAIR RESET RESIGNAL RESTORE REVERT REVOKE RM ROLLBACK SAVE SAVEPOINT SECURITY SEND SETUSER SHOW SHUTDOWN
    SIGNAL START STOP SUMMARIZE SUSPEND SYNC SYSTEM THROW UNCACHE UNDROP UNINSTALL UNLISTEN UNLOCK UNSET UPDATETEXT
    USE VACUUM VALIDATE WAITFOR WRITETEXT XA""")
#: after these a query gives the rows of a cursor, a loop or a result
QUERY_AFTER = words_in("FOR IN IS QUERY RETURN PERFORM AS")
#: what a query begins with
QUERY = ("SELECT", "WITH")
#: end of the variables in SELECT .. INTO a, b
INTO_BEFORE = words_in("FROM WHERE GROUP ORDER HAVING LIMIT UNION")

#: names that are no columns, whatever they look like (lower case)
NOT_COLUMNS = words_in("""
    rownum rowid sysdate systimestamp sysdatetime sysutcdatetime nextval currval sqlcode sqlerrm sqlstate row_count
    current_date current_time current_timestamp current_user session_user localtime localtimestamp default null true
    false $action connect_by_isleaf connect_by_iscycle _partitiontime _partitiondate _table_suffix _file_name tg_op
    tg_table_name tg_table_schema errorcode activitycount activity_count sqlrowcount sqlfound sqlnotfound
    metadata$action metadata$isupdate metadata$row_id metadata$filename metadata$file_row_number
    metadata$file_content_key metadata$file_last_modified metadata$start_scan_time _metadata""")
#: types of numbers: their text is a value without quotes
NUMBERS = words_in("""
    NUMBER INT INTEGER BIGINT SMALLINT TINYINT NUMERIC DECIMAL FLOAT REAL DOUBLE PLS_INTEGER BINARY_INTEGER
    SIMPLE_INTEGER NATURAL POSITIVE MONEY INT2 INT4 INT8 MEDIUMINT INT64 FLOAT64 BIGNUMERIC""")
#: what can begin an entry of CREATE TABLE's list that is no column
NO_COLUMN = words_in("""
    CONSTRAINT PRIMARY FOREIGN UNIQUE INDEX KEY CHECK LIKE PERIOD EXCLUDE FULLTEXT PROJECTION DEFAULT""")
