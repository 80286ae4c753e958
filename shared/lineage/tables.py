"""One parsed statement -> the tables it reads and the tables it writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect, NormalizationStrategy

from shared.lineage.model import TableName

#: the schema of unqualified names, where a database is given and a schema is not
_DEFAULT_SCHEMA = {
    "tsql": "dbo",
    "fabric": "dbo",
    "postgres": "public",
    "redshift": "public",
    "snowflake": "PUBLIC",
    "sqlite": "main",
    "duckdb": "main",
}
#: dialects whose names have one level above the table
_TWO_LEVELS = frozenset({"mysql", "hive", "clickhouse", "teradata", "oracle", "spark"})
#: dialects in which a quoted name with a slash is a file
_PATHS = ("duckdb", "tsql", "teradata")
#: Spark: SELECT .. FROM parquet.`s3://bucket/path`
_FILES = frozenset({"parquet", "csv", "json", "orc", "avro", "delta", "text", "binaryfile", "iceberg"})
#: in a word: a part of dynamic SQL that is not constant
HOLE = "_hole"
#: rows of the statement itself, and tables that hold nothing
_NO_TABLES = {"tsql": {"inserted", "deleted"}, "oracle": {"dual"}, "mysql": {"dual"}}


class Ref(NamedTuple):
    """A table of a statement; `temporary` where the name itself says so (`#t`, `@t`, INTO TEMP)."""

    name: TableName
    temporary: bool = False


class Tables(NamedTuple):
    """creates: the outputs exist only since this statement (`temporary` is then theirs)."""

    kind: str
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]


#: sqlglot takes them for lower case; case says nothing there, quoted or not
#: (https://support.sas.com/documentation/cdl/en/acreldb/65247/HTML/default/n0ejgx4895bofnn14rlguktfx5r3.htm)
_ANY_CASE = {"teradata"}


class Names:
    """Names as the source's own case rules have them, qualified with the defaults."""

    def __init__(self, dialect: Dialect, name: str, database: str, schema: str) -> None:
        self._dialect = name
        self._database = database
        self._schema = schema or (_DEFAULT_SCHEMA.get(name, "") if database else "")
        fold = {NormalizationStrategy.LOWERCASE: str.lower, NormalizationStrategy.UPPERCASE: str.upper}
        # sqlglot folds case-insensitive names too; here they stay as written, because that is how they were created
        strategy = dialect.normalization_strategy if name not in _ANY_CASE else NormalizationStrategy.CASE_INSENSITIVE
        self._fold = fold.get(strategy, str) if name else str
        self._exact = bool(name) and strategy in (*fold, NormalizationStrategy.CASE_SENSITIVE)
        self.ignored = _NO_TABLES.get(name, set())
        self.synonyms: dict[str, TableName] = {}
        self.unknown = 0  # names with a hole, so far
        self.server = ""  # the linked server where dynamic SQL runs

    @property
    def has_indexes(self) -> bool:
        """Whether indexes stand between a CREATE TABLE's columns."""
        return self._dialect in ("mysql", "tsql", "fabric", "clickhouse", "doris", "starrocks", "singlestore")

    @property
    def has_two_levels(self) -> bool:
        return self._dialect in _TWO_LEVELS

    @property
    def has_select_into(self) -> bool:
        """SELECT .. INTO makes a table wherever it stands."""
        return self._dialect in ("tsql", "fabric")

    def use(self, *, database: str = "", schema: str = "", reset: bool = False) -> None:
        """USE, SET search_path: the defaults of what follows. reset: the schema is the new database's default."""
        self._database = database or self._database
        self._schema = schema or (_DEFAULT_SCHEMA.get(self._dialect, "") if reset else self._schema)

    @property
    def defaults(self) -> tuple[str, str, str]:
        return self._database, self._schema, self.server

    @defaults.setter
    def defaults(self, kept: tuple[str, str, str]) -> None:
        self._database, self._schema, self.server = kept

    def folded(self, text: str, *, quoted: bool) -> str:
        return text if quoted else self._fold(text)

    def key(self, ref: Ref) -> str:
        """What two spellings of one table share."""
        name = str(ref.name)
        return name if self._exact and not ref.temporary else name.casefold()

    def ref(self, table: exp.Table) -> Ref | None:
        """None for what is no table: a function's rows, a stage, a lateral column."""
        this = table.this
        if isinstance(this, exp.Var) and this.name.startswith("@"):  # a stage
            return Ref(TableName((this.name,)))
        if isinstance(this, exp.Literal):  # DuckDB: FROM 'file.csv'
            return Ref(TableName((this.name,)))
        if isinstance(this, exp.Parameter):
            return Ref(TableName((f"@{this.name}",)), temporary=True)
        if not isinstance(this, (exp.Identifier, exp.Dot)):
            return None
        if isinstance(this, exp.Identifier) and (this.args.get("temporary") or this.args.get("global_")):
            return Ref(TableName((f"#{this.name.lstrip('#')}",)), temporary=True)
        parts = [self.text(table.args.get("catalog")), self.text(table.args.get("db"))]
        if "/" in this.name and (parts[1].lower() in _FILES or (not parts[1] and self._dialect in _PATHS)):
            return Ref(TableName((this.name,)))
        if parts == ["", "global_temp"] and self._dialect in ("spark", "databricks"):
            parts[1] = ""  # CREATE GLOBAL TEMPORARY VIEW v is read as global_temp.v
        parts += [self.text(p) for p in (this.flatten() if isinstance(this, exp.Dot) else [this])]
        if not parts[-1] or self._has_hole(parts):
            return None
        if parts[-1].startswith("#"):
            return Ref(TableName((parts[-1],)), temporary=True)
        if parts[1].lower() == "_session" and self._dialect == "bigquery":  # where its temporary tables live
            return Ref(TableName((parts[-1],)), temporary=True)
        gap = bool(parts[0]) and not parts[1]  # db..t
        if gap:
            parts[1] = self._schema or _DEFAULT_SCHEMA.get(self._dialect, "")
        if isinstance(this, exp.Dot) and len(parts) == 3:  # server.db..t
            parts.insert(2, "")
        if len(parts) == 4 and not parts[2]:
            parts[2] = self._schema or _DEFAULT_SCHEMA.get(self._dialect, "")
        name = TableName(self._qualified([p for p in parts if p]))
        return Ref(self.synonyms.get(str(name).casefold(), name)) if self.synonyms else Ref(name)

    def of_tokens(self, tokens: list[Any]) -> Ref | None:
        """A table's name from its tokens: words, quoted names, dots, `#` and `@`."""
        special = next((t.text for t in tokens if t.text in ("#", "@")), "")
        parts = [t.text if t.token_type.name in ("IDENTIFIER", "STRING") else self._fold(t.text) for t in tokens]
        gaps = [i for i in range(1, len(parts)) if parts[i] == parts[i - 1] == "."]  # db..t
        for i in gaps:
            parts[i] = self._schema or _DEFAULT_SCHEMA.get(self._dialect, ".")
        parts = [p for p in parts if p not in (".", "#", "@")]
        if not parts or self._has_hole(parts):
            return None
        if special:
            return Ref(TableName((f"{special}{parts[-1].lstrip('#@')}",)), temporary=True)
        if len(parts) == 2 and "/" in parts[1] and parts[0].lower() in _FILES:  # Spark: delta.`/path`
            return Ref(TableName((parts[1],)))
        parts = [q for p in parts for q in (p.split(".") if self._dialect == "bigquery" else [p]) if q]
        name = TableName(self._qualified(parts))
        return Ref(self.synonyms.get(str(name).casefold(), name))

    def _has_hole(self, parts: list[str]) -> bool:
        found = any(HOLE in p.lower() for p in parts)
        self.unknown += found
        return found

    def routine(self, tokens: list[Any]) -> TableName:
        """The name of a routine from its tokens: words, quoted names, dots."""
        parts = [t.text if t.token_type.name == "IDENTIFIER" else self._fold(t.text) for t in tokens if t.text != "."]
        return TableName(self._qualified(parts) if parts else ("?",))

    def of_text(self, text: str) -> Ref:
        return Ref(TableName(self._qualified([self._fold(p) for p in text.split(".") if p] or ["?"])))

    def _qualified(self, parts: list[str]) -> tuple[str, ...]:
        if self._dialect in _TWO_LEVELS:
            above = self._schema or self._database
            return tuple(parts if len(parts) > 1 or not above else [above, *parts])
        if self.server:
            return (self.server, *parts)
        if len(parts) == 1 and self._schema:
            parts = [self._schema, *parts]
        if len(parts) == 2 and self._database:
            parts = [self._database, *parts]
        return tuple(parts)

    def text(self, part: Any) -> str:
        if isinstance(part, exp.Identifier):
            return part.name if part.args.get("quoted") else self._fold(part.name)
        return part.name if isinstance(part, exp.Expression) else ""


def tables_of(statement: exp.Expression, names: Names) -> Tables | None:
    """What a statement reads and writes; None where it moves nothing (DDL without a query, GRANT ...)."""
    kind, nodes, temporary = _written(statement)
    if not kind:
        return None
    outputs: list[Ref] = []
    targets: set[int] = set()
    for cte in statement.find_all(exp.CTE):  # PostgreSQL: WITH moved AS (DELETE FROM t RETURNING *) ..
        if isinstance(cte.this, (exp.Insert, exp.Update, exp.Delete, exp.Merge)):
            for node in _written(cte.this)[1]:
                targets.add(id(node))
                if (ref := names.ref(node)) is not None:
                    outputs.append(ref)
    for node in nodes:
        for table in resolved(node, statement):
            targets.update((id(node), id(table)))
            ref = names.ref(table)
            if ref is not None and ref.name.name.lower() not in names.ignored:
                outputs.append(Ref(ref.name, ref.temporary or temporary))
    inputs = [
        ref for t in _read(statement, targets) if (ref := names.ref(t)) and ref.name.name.lower() not in names.ignored
    ]
    if kind in (
        "UPDATE",
        "DELETE",
        "MERGE",
    ):  # FROM and subqueries may name the target again: it feeds nothing but itself
        written = {o.name for o in outputs}
        inputs = [ref for ref in inputs if ref.name not in written]
    if kind == "CREATE VIEW" and outputs and isinstance(statement.args.get("expression"), exp.SetOperation):
        own = outputs[-1].name.parts  # CREATE RECURSIVE VIEW names itself without its schema
        inputs = [ref for ref in inputs if ref.name.parts != own[-len(ref.name.parts) :]]
    return Tables(kind, tuple(dict.fromkeys(inputs)), tuple(dict.fromkeys(outputs)))


def _written(statement: exp.Expression) -> tuple[str, list[exp.Table], bool]:
    """(kind, target nodes, whether the target is created as a temporary table); kind "" for what moves nothing."""
    match statement:
        case exp.Insert():
            return "INSERT", _tables(statement.this), False
        case exp.MultitableInserts():
            inserts = [
                i.this for c in statement.expressions for i in (c, *c.find_all(exp.Insert)) if isinstance(i, exp.Insert)
            ]
            return "INSERT", [t for i in inserts for t in _tables(i)], False
        case exp.Update():
            return "UPDATE", _updated(statement), False
        case exp.Delete():
            return "DELETE", statement.args.get("tables") or _tables(statement.this), False
        case exp.Merge():
            return "MERGE", _tables(statement.this), False
        case exp.TruncateTable():
            return "TRUNCATE", [t for t in statement.expressions if isinstance(t, exp.Table)], False
        case exp.Copy():
            return "COPY", _tables(statement.this) if statement.args.get("kind") else [], False
        case exp.LoadData():
            return "LOAD", _tables(statement.this), False
        case exp.Create():
            kind = (statement.args.get("kind") or "").upper()
            made_of = statement.expression or statement.args.get("clone")
            if kind not in ("TABLE", "VIEW", "MODEL") or made_of is None:
                return "", [], False
            return f"CREATE {kind}", _tables(made(statement)), is_temporary(statement)
        case exp.Query():
            into = statement.find(exp.Into)
            if into is None or not isinstance(into.this, exp.Table):
                return "SELECT", [], False
            return "SELECT INTO", [into.this], bool(into.args.get("temporary"))
        case _:
            return "", [], False


def made(create: exp.Create) -> Any:
    """What a CREATE puts its rows into; ClickHouse: CREATE MATERIALIZED VIEW v TO t is a trigger that fills t."""
    properties = create.args.get("properties")
    for p in properties.expressions if properties is not None else ():
        if isinstance(p, exp.ToTableProperty) and isinstance(p.this, exp.Expression):
            return p.this
    return create.this


def _tables(node: exp.Expression | None) -> list[exp.Table]:
    if isinstance(node, exp.Schema):
        node = node.this
    return [node] if isinstance(node, exp.Table) else []


def is_temporary(create: exp.Create) -> bool:
    properties = create.args.get("properties")
    return properties is not None and any(
        isinstance(p, (exp.TemporaryProperty, exp.VolatileProperty)) for p in properties.expressions
    )


def _updated(update: exp.Update) -> list[exp.Table]:
    """The target, or for MySQL's `UPDATE a JOIN b SET b.x = ..` those whose columns are set."""
    target = update.this
    if not isinstance(target, exp.Table):
        return []
    if not target.args.get("joins"):
        return [target]
    joined = {t.alias_or_name.lower(): t for t in _sources([target])}
    wanted = [
        e.this.table.lower() for e in update.expressions if isinstance(e, exp.EQ) and isinstance(e.this, exp.Column)
    ]
    return list({id(t): t for w in wanted if (t := joined.get(w))}.values()) or [target]


def _sources(nodes: Iterable[exp.Expression]) -> Iterator[exp.Table]:
    """Tables that FROM, USING and JOIN name directly, without those in subqueries."""
    for node in nodes:
        if isinstance(node, (exp.From, exp.Join)):
            yield from _sources([node.this])
        elif isinstance(node, exp.Table):
            yield node
        joins = node.args.get("joins") if isinstance(node, (exp.Table, exp.Subquery)) else None
        yield from _sources(joins or ())


def _derived(nodes: Iterable[Any]) -> Iterator[exp.Subquery]:
    """Subqueries that FROM, USING and JOIN name directly."""
    for node in nodes:
        if isinstance(node, (exp.From, exp.Join)):
            yield from _derived([node.this])
        elif isinstance(node, exp.Subquery):
            yield node


def resolved(target: exp.Table, statement: exp.Expression) -> list[exp.Table]:
    """The table behind an UPDATE's or DELETE's target: itself, what its alias stands for, or a CTE's base table."""
    if target.args.get("db") or not isinstance(statement, (exp.Update, exp.Delete, exp.Merge)):
        return [target]
    name = target.name.lower()
    nodes = [statement.args.get("from_"), *(statement.args.get("joins") or ())]
    if isinstance(statement, exp.Delete):
        nodes += [statement.this, *(statement.args.get("using") or ())]
    for source in _sources(n for n in nodes if n is not None):
        if source is not target and source.alias_or_name.lower() == name and not _cte(source, name):
            return [source]
    behind: exp.Expression | None = _cte(target, name)
    if behind is None:  # T-SQL: UPDATE x .. FROM (SELECT ..) AS x
        behind = next((s for s in _derived(nodes) if s.alias.lower() == name), None)
    base = behind.find(exp.From) if behind is not None else None
    if base is not None and isinstance(base.this, exp.Table):
        return resolved(base.this, statement) if base.this.name.lower() != name else [base.this]
    return [target]


def _read(statement: exp.Expression, targets: set[int]) -> Iterator[exp.Table]:
    ctes = {cte.alias.lower() for cte in statement.find_all(exp.CTE)}
    for table in statement.find_all(exp.Table):
        if id(table) in targets or _is_mention(table):
            continue
        name = table.name.lower()
        if name in ctes and not table.args.get("db") and _cte(table, name) is not None:
            continue
        yield table


def _is_mention(table: exp.Table) -> bool:
    """Whether the table is only named: a foreign key's, LIKE's, a target of CREATE or of a file load."""
    parent = table.parent
    if table.arg_key == "format":
        return True
    if isinstance(parent, exp.Schema):
        parent = parent.parent
    return isinstance(
        parent,
        (
            exp.Reference,
            exp.LikeProperty,
            exp.ToTableProperty,
            exp.Create,
            exp.Into,
            exp.Insert,
            exp.Alter,
            exp.Copy,
        ),
    ) and (not isinstance(parent, exp.Create) or table is not parent.args.get("clone"))


def _cte(table: exp.Expression, name: str) -> exp.CTE | None:
    """The CTE that an unqualified name means at this place, by the rules of scope."""
    below: Any = table
    node: Any = table.parent
    inside: exp.CTE | None = None
    while node is not None:
        if isinstance(below, exp.CTE):
            inside = below
        with_ = node.args.get("with_")
        if isinstance(with_, exp.With):
            for cte in with_.expressions:
                own = cte is inside
                if cte.alias.lower() == name and (not own or _is_recursive(cte, with_)):
                    return cte if isinstance(cte, exp.CTE) else None
                if own:
                    break
        below, node = node, node.parent
    return None


def _is_recursive(cte: exp.CTE, with_: exp.With) -> bool:
    """T-SQL and Oracle have no RECURSIVE: there a CTE that names itself within a union is."""
    return bool(with_.args.get("recursive")) or isinstance(cte.this, exp.SetOperation)
