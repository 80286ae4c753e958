"""COPY, UNLOAD, LOAD, EXPORT, BULK INSERT, stages and external tables; files are datasets, named as written."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import TokenError

from shared.lineage.definitions import columns, name_at
from shared.lineage.model import TableName
from shared.lineage.tables import Names, Ref
from shared.lineage.tokens import balanced, opens, parts
from shared.lineage.words import is_string, word

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

#: ends of a stage's path
_AFTER_STAGE = frozenset({")", "(", ",", ";"})


#: what a query in parentheses begins with
_QUERIES = (["SELECT"], ["WITH"], ["FROM"])


class Moved(NamedTuple):
    """kind, what is read and written; `query`: the SELECT whose rows go out (`is_file`) or in."""

    kind: str
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]
    query: list[Token] | None = None
    columns: list[str] | None = None
    is_file: bool = False


def read(tokens: list[Token], text: str, names: Names, dialect: str) -> Moved | None:
    """None where the statement is none of these."""
    words = [word(t) for t in tokens]
    loader = _Loader(tokens, words, text, names, dialect)
    match words[0]:
        case "COPY":
            return loader.copy()
        case "UNLOAD":
            return loader.unload()
        case "LOAD" | "IMPORT":
            return loader.load()
        case "EXPORT":
            return loader.export()
        case "BULK" if words[1:2] == ["INSERT"]:
            return loader.bulk()
        case "PUT" | "GET":
            return loader.put()
        case "CREATE":
            return loader.create()
        case "INSERT":
            return loader.directory()
        case "SELECT" | "WITH" if "OUTFILE" in words or "DUMPFILE" in words:
            return loader.outfile()
    return None


class _Loader:
    def __init__(self, tokens: list[Token], words: list[str], text: str, names: Names, dialect: str) -> None:
        self.tokens, self.words, self.text, self.names, self.dialect = tokens, words, text, names, dialect

    def _is_string(self, i: int) -> bool:
        return i < len(self.tokens) and is_string(self.tokens[i])

    def _index(self, *wanted: str, start: int = 0) -> int:
        """Position of the first of these words outside of parentheses, or -1."""
        depth = 0
        for i, t in enumerate(self.tokens):
            depth += opens(t)
            if i >= start and depth == 0 and self.words[i] in wanted:
                return i
        return -1

    def _strings(self, start: int) -> list[Ref]:
        """String literals: one, or a list in parentheses or brackets."""
        found = []
        for t in self.tokens[start:]:
            if is_string(t):
                found.append(_file(t.text))
            elif t.text not in ("(", "[", ","):
                break
        return found

    def _place(self, i: int) -> Ref | None:
        """A file, URL, stage or bucket that begins at `i`."""
        if self._is_string(i):
            return _file(self.tokens[i].text)
        if i < len(self.tokens) and self.tokens[i].text.startswith("@"):
            end = i
            while (
                end + 1 < len(self.tokens)
                and self.tokens[end + 1].start == self.tokens[end].end + 1
                and self.tokens[end + 1].text not in _AFTER_STAGE
            ):
                end += 1
            return _file(self.text[self.tokens[i].start : self.tokens[end].end + 1])
        if (
            i < len(self.tokens)
            and self.words[i] in ("S3", "GS", "AZURE", "FILE", "GCS")
            and self.tokens[i + 1].text == ":"
        ):
            end = i
            while end + 1 < len(self.tokens) and self.tokens[end + 1].start == self.tokens[end].end + 1:
                end += 1
            return _file(self.text[self.tokens[i].start : self.tokens[end].end + 1])
        return None

    def _table(self, i: int) -> tuple[Ref | None, int, list[str]]:
        """A table with its column list."""
        name, end = name_at(self.tokens, i)
        ref = self.names.of_tokens(name)
        columns: list[str] = []
        if end < len(self.tokens) and self.tokens[end].text == "(":
            inner = balanced(self.tokens[end + 1 :])
            columns = [
                self.names.folded(t.text, quoted=t.token_type.name == "IDENTIFIER") for t in inner if t.text != ","
            ]
            end += len(inner) + 2
        return ref, end, columns

    def _query(self, i: int) -> list[Token] | None:
        """The query in the parentheses, or in the string, at `i`."""
        if i < len(self.tokens) and self.tokens[i].text == "(" and self.words[i + 1 : i + 2] in _QUERIES:
            return balanced(self.tokens[i + 1 :])
        return None

    def copy(self) -> Moved | None:
        at = 2 if self.words[1:2] == ["INTO"] else 1
        if self.words[1:3] == ["FILES", "INTO"]:  # Snowflake: from stage to stage
            at = 3
        if at >= len(self.tokens):
            return None
        if self.words[1:3] == ["FROM", "DATABASE"]:  # DuckDB: all tables, which the script does not name
            return Moved("COPY", (), ())
        query = self._query(at)
        if query is not None:  # COPY (SELECT ..) TO 'file'
            to = self._index("TO")
            file = self._place(to + 1) if to > 0 else None
            return Moved("COPY", (), (file,) if file else (), query, is_file=True)
        outside = self._place(at)
        if outside is not None and not (self.tokens[at].text.startswith("@") is False and not self._is_string(at)):
            source = self._index("FROM")
            if source < 0:
                return Moved("COPY", (), (outside,))
            query = self._query(source + 1)
            if query is not None:
                return Moved("COPY", (), (outside,), query, is_file=True)
            inner = self._place(source + 1)
            ref = inner or self._table(source + 1)[0]
            return Moved("COPY", (ref,) if ref else (), (outside,))
        ref, end, columns = self._table(at)
        if ref is None:
            return None
        verb = self._index("FROM", "TO", start=end)
        if verb < 0:
            return None
        if self.words[verb] == "TO":
            file = self._place(verb + 1)
            return Moved("COPY", (ref,), (file,) if file else (), columns=columns, is_file=True)
        start = verb + 1
        query = self._query(start)
        if query is not None:
            return Moved("COPY", tuple(self._stages(start)), (ref,), query, columns)
        files = self._strings(start)
        place = self._place(start)
        if not files and place is not None:
            files = [place]
        if not files and self.tokens[start].text == "(":
            files = self._stages(start)
        return Moved("COPY", tuple(files), (ref,))

    def _stages(self, start: int) -> list[Ref]:
        """Stages and files that a query in COPY names after FROM or JOIN."""
        found = []
        for i in range(start, len(self.tokens)):
            if self.words[i - 1] in ("FROM", "JOIN") and (place := self._place(i)) is not None:
                found.append(place)
        return list(dict.fromkeys(found))

    def unload(self) -> Moved | None:
        to = self._index("TO")
        file = self._place(to + 1) if to > 0 else None
        outputs = (file,) if file else ()
        if len(self.tokens) > 2 and self.tokens[1].text == "(" and self._is_string(2):
            inner: list[Token] = []
            with contextlib.suppress(TokenError, ValueError):
                inner = list(Dialect.get_or_raise(self.dialect or None).tokenize(self.tokens[2].text))
            inner = [t for t in inner if t.token_type.name != "SEMICOLON"]
            return Moved("UNLOAD", (), outputs, inner, is_file=True)
        query = self._query(1)
        if query is not None:
            return Moved("UNLOAD", (), outputs, query, is_file=True)
        return Moved("UNLOAD", tuple(r for r in [self._table(1)[0]] if r), outputs)

    def load(self) -> Moved | None:
        if self.dialect == "duckdb" and len(self.tokens) == 2:  # an extension
            return Moved("LOAD", (), ())
        if self.words[0] == "IMPORT":
            at = self._index("TABLE")
            source = self._index("FROM")
            if source < 0:
                return None
            ref = self._table(at + 1)[0] if at > 0 else None
            return Moved("IMPORT", tuple(self._strings(source + 1)), (ref,) if ref else ())
        into = self._index("INTO", "OVERWRITE")
        if self.words[1:2] not in (["DATA"], ["XML"]) or into < 0:
            return None
        at = into + 1
        while self.words[at : at + 1] in (["TABLE"], ["INTO"], ["OVERWRITE"]):
            at += 1
        temporary = self.words[at : at + 2] in (["TEMP", "TABLE"], ["TEMPORARY", "TABLE"])
        ref, _, _ = self._table(at + 2 if temporary else at)
        ref = Ref(ref.name, temporary) if ref else None
        inpath = next((i for i, w in enumerate(self.words) if w in ("INPATH", "INFILE")), -1)
        # BigQuery: FROM FILES (uris = ['gs://..'])
        files = self._strings(inpath + 1) if inpath > 0 else self._after_key("URIS", "URI")
        return Moved("LOAD", tuple(files), (ref,) if ref else ())

    def _after_key(self, *keys: str) -> list[Ref]:
        for i, w in enumerate(self.words):
            if w in keys and i + 1 < len(self.tokens) and self.tokens[i + 1].text == "=":
                return self._strings(i + 2)
        return []

    def export(self) -> Moved | None:
        if self.words[1:2] == ["DATA"]:  # BigQuery
            as_ = self._index("AS")
            query = self.tokens[as_ + 1 :] if as_ > 0 else None
            if query and query[0].text == "(":
                query = balanced(query[1:])
            return Moved("EXPORT", (), tuple(self._after_key("URI", "URIS")), query, is_file=True)
        if self.words[1:2] == ["TABLE"]:
            to = self._index("TO")
            ref = self._table(2)[0]
            return Moved("EXPORT", (ref,) if ref else (), tuple(self._strings(to + 1)) if to > 0 else ())
        return None

    def bulk(self) -> Moved | None:
        ref, end, _ = self._table(2)
        source = self._index("FROM", start=end)
        files = self._strings(source + 1) if source > 0 else []
        return Moved("BULK INSERT", tuple(files), (ref,) if ref else ())

    def put(self) -> Moved | None:
        if self.dialect != "snowflake":
            return None
        raw = self.text[self.tokens[0].start : self.tokens[-1].end + 1].split()
        places = [_file(p.strip("'")) for p in raw[1:3]]
        return Moved(self.words[0], (places[0],), (places[1],)) if len(places) == 2 else None

    def create(self) -> Moved | None:
        words = self.words
        at = next((i for i, w in enumerate(words[:8]) if w == "STAGE"), 0)
        if at and set(words[1:at]) <= {"OR", "REPLACE", "TEMP", "TEMPORARY"} and self.tokens[at + 1].text != ".":
            at += 1
            while words[at : at + 1] and words[at] in ("IF", "NOT", "EXISTS"):
                at += 1
            name, _ = name_at(self.tokens, at)
            stage = _file("@" + "".join(t.text for t in name))
            files = self._after_key("URL")
            return Moved("CREATE STAGE", tuple(files), (stage,)) if files else Moved("CREATE STAGE", (), ())
        if "FOREIGN" in words[1:3] and "TABLE" in words[2:4] and "OPTIONS" in words:
            return self._foreign()
        is_external = "EXTERNAL" in words[1:5] and "TABLE" in words[2:6]
        says_where = bool({"LOCATION", "EXTERNAL_LOCATION"} & set(words)) or ("USING" in words and "OPTIONS" in words)
        if not is_external and not ("TABLE" in words[1:6] and says_where and "SELECT" not in words):
            return None
        if "SELECT" in words or "CLONE" in words:
            return self._external_as()
        at = words.index("TABLE") + 1
        while words[at : at + 1] and words[at] in ("IF", "NOT", "EXISTS"):
            at += 1
        name, end = name_at(self.tokens, at)
        ref = self.names.of_tokens(name)
        files = self._after_key("URIS", "URI", "LOCATION", "EXTERNAL_LOCATION")
        if not files and "USING" in words:
            files = self._option("PATH")
        for i, w in enumerate(words):
            if w == "LOCATION" and not files:
                j = i + 2 if self.tokens[i + 1 : i + 2] and self.tokens[i + 1].text == "=" else i + 1
                place = self._place(j)
                files = [place] if place is not None else self._strings(j)
        if ref is None or not files:
            return None
        return Moved("CREATE EXTERNAL TABLE", tuple(files), (ref,), columns=self._declared(end))

    def _declared(self, end: int) -> list[str] | None:
        """Columns of an external table, those of its partitions included; None where not all are known."""
        if end >= len(self.tokens) or self.tokens[end].text != "(":
            return None
        names = columns(balanced(self.tokens[end + 1 :]), self.names) or []
        for i, w in enumerate(self.words[:-1]):
            if w == "PARTITIONED BY" or (w == "COLUMNS" and self.words[i - 1] == "PARTITION"):
                if self.tokens[i + 1].text != "(":
                    return None
                typed = [p for p in parts(balanced(self.tokens[i + 2 :])) if len(p) > 1 and p[1].text != "("]
                names += [self.names.folded(p[0].text, quoted=p[0].token_type.name == "IDENTIFIER") for p in typed]
        return [*names, "VALUE"] if self.dialect == "snowflake" else names

    def _option(self, key: str) -> list[Ref]:
        """Spark: OPTIONS (path 's3://..'), OPTIONS ('path' = 's3://..')."""
        for i, t in enumerate(self.tokens[:-1]):
            if t.text.upper() == key:
                return self._strings(i + (2 if self.tokens[i + 1].text == "=" else 1))[:1]
        return []

    def _foreign(self) -> Moved | None:
        """PostgreSQL's file_fdw: the file is what the table reads."""
        at = self.words.index("TABLE") + 1
        while self.words[at : at + 1] and self.words[at] in ("IF", "NOT", "EXISTS"):
            at += 1
        ref = self.names.of_tokens(name_at(self.tokens, at)[0])
        key = next((i for i, w in enumerate(self.words) if w in ("FILENAME", "PROGRAM")), 0)
        files = self._strings(key + 1) if key else []
        return Moved("CREATE FOREIGN TABLE", tuple(files[:1]), (ref,)) if ref is not None and files else None

    def _external_as(self) -> Moved | None:
        """CREATE EXTERNAL TABLE .. AS SELECT is an ordinary CREATE TABLE AS for lineage."""
        return None

    def directory(self) -> Moved | None:
        """INSERT OVERWRITE [LOCAL] DIRECTORY 'path' SELECT."""
        at = next((i for i, w in enumerate(self.words[:5]) if w == "DIRECTORY"), -1)
        if at > 0 and self._is_string(at + 1):
            start = self._index("SELECT", "WITH", "FROM", start=at)
            return Moved(
                "INSERT",
                (),
                (_file(self.tokens[at + 1].text),),
                self.tokens[start:] if start > 0 else None,
                is_file=True,
            )
        if at > 0 and self.words[at + 1 : at + 2] == ["USING"]:  # Spark: DIRECTORY USING parquet OPTIONS ('path' '..')
            start = self._index("SELECT", "WITH", "FROM", start=at)
            return Moved(
                "INSERT", (), tuple(self._option("PATH")), self.tokens[start:] if start > 0 else None, None, True
            )
        return None

    def outfile(self) -> Moved | None:
        at = next(i for i, w in enumerate(self.words) if w in ("OUTFILE", "DUMPFILE"))
        if not self._is_string(at + 1) or self.words[at - 1] != "INTO":
            return None
        end = next((i for i in range(at + 2, len(self.tokens)) if self.words[i] == "FROM"), len(self.tokens))
        query = [*self.tokens[: at - 1], *self.tokens[end:]]
        return Moved("SELECT", (), (_file(self.tokens[at + 1].text),), query, is_file=True)


def _file(text: str) -> Ref:
    return Ref(TableName((text,)))
