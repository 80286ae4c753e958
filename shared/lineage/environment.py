"""What a script has made so far: temp tables with their rows, columns of tables and views, variables, cursors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from shared.lineage.histories import Path, Texts, Values
from shared.lineage.lookup import Lookup, given
from shared.lineage.passing import Passed, is_placeholder
from shared.lineage.relations import Ambiguous, Column, Relation, Source, Star, Value, merged
from shared.lineage.tables import Names, Ref

#: rows of more statements than this are kept for a temp table
MAX_CONTENTS = 200


class Temp:
    """A temporary table: its columns, where they are known, and the rows of each statement that filled it."""

    def __init__(self, columns: list[str] | None) -> None:
        self.columns = columns
        self.contents: list[Relation] = []

    def get(self, name: str) -> Value:
        values: list[Value] = []
        for rows in self.contents:
            try:
                value = rows.get(name)
            except Ambiguous:
                continue
            if value:
                values.append(value)
        return merged(values) if values else {}


class Frame(NamedTuple):
    """Variables of one routine."""

    variables: dict[str, list[tuple[Path, Value]]]
    texts: dict[str, list[tuple[Path, tuple[str, ...]]]]
    records: dict[str, Relation]
    cursors: dict[str, Relation]


class Named(NamedTuple):
    """All that one name may mean."""

    values: list[tuple[Path, Value]] | None
    texts: list[tuple[Path, tuple[str, ...]]] | None
    record: Relation | None
    cursor: Relation | None
    shape: list[str] | None


class Memory:
    """The environment of a script, in the order of its statements."""

    def __init__(self, names: Names, schemas: Mapping[str, Mapping[str, str]] | Lookup | None) -> None:
        self.names = names
        self._lookup = schemas if schemas is not None and not isinstance(schemas, Mapping) else None
        self.temps: dict[str, Temp] = {}
        self.made: dict[str, list[str]] = {}
        self.variables = Values()
        self.texts = Texts()
        self.numbers: set[str] = set()  # variables that are declared as numbers
        self.holes = 0
        self.types: dict[str, list[str]] = {}  # fields of record and collection types
        self.shapes: dict[str, list[str]] = {}  # fields of records and collections
        self.held: dict[str, Value] = {}  # what the variables behind the holes hold
        self.records: dict[str, Relation] = {}
        self.cursors: dict[str, Relation] = {}
        self.functions: dict[str, Relation] = {}
        self.results: dict[str, Value] = {}  # of scalar functions
        self.missing: Callable[[str], bool] = lambda _: False  # whether the routine could be read now
        self.passed = Passed()
        self.scopes: list[dict[str, Named]] = []  # of local routines: what their names mean outside
        self.packages: dict[str, dict[str, tuple[Value, tuple[str, ...]]]] = {}
        self.synonyms: dict[str, Ref] = {}
        self.marks = 0
        self.last_rows: Relation | None = None  # of the last query
        self.last_query: Relation | None = None  # of the last one whose rows went to nobody but the caller
        self._schemas: dict[str, list[tuple[tuple[str, ...], list[str]]]] = {}
        for parts, columns in given(schemas) if isinstance(schemas, Mapping) else ():
            self._schemas.setdefault(parts[-1], []).append((parts, columns))

    # ---- what queries ask for

    def relation(self, ref: Ref, *, positions: bool = False) -> Relation | None:
        """positions: it is of use only with its columns in their order."""
        key = _key(ref)
        temp = self.temps.get(key)
        if temp is not None:
            ref = Ref(ref.name, temporary=True)
            if temp.columns is not None:
                return _table(ref, temp.columns)
            return Relation(ref=ref, is_open=True)
        columns = self.made.get(key)
        if columns is None:
            columns = self.schema(ref, positions=positions)
        return _table(ref, columns) if columns is not None else None

    def schema(self, ref: Ref, *, positions: bool = False) -> list[str] | None:
        if self._lookup is not None:
            found = self._lookup.columns(ref.name.parts, positions=positions)
            return list(found) if found is not None else None
        wanted = tuple(p.lower() for p in ref.name.parts)
        best: tuple[int, list[str]] | None = None
        for parts, columns in self._schemas.get(wanted[-1], ()):
            n = min(len(parts), len(wanted))
            if parts[-n:] == wanted[-n:] and (best is None or n > best[0]):
                best = (n, columns)
        return best[1] if best else None

    def variable(self, name: str) -> Value | None:
        key = name.lstrip("@:").lower()
        return self.held.get(key) if key in self.held else self.variables.get(key)

    def record(self, name: str) -> Relation | None:
        return self.records.get(name.lstrip(":").lower())

    def function(self, name: str) -> Relation | None:
        key = name.lower().split(".")[-1].strip('"`[]')
        if key == "result_scan":  # Snowflake: the rows of the query before
            return self.last_query
        found = self.functions.get(key)
        return self.functions.get(key) if found is None and self.missing(key) else found

    def called(self, rows: Relation, arguments: list[tuple[str, Value]]) -> Relation:
        return self.passed.filled(rows, arguments)

    def scalar(self, name: str) -> Value | None:
        """What a function of the script returns, besides what its arguments hold."""
        key = name.lower()
        if key not in self.results and key not in self.functions and not self.missing(key):
            return None
        rows = self.functions.get(key)
        first = next(rows.columns(), None) if rows is not None else None
        return merged([*([first.value] if first is not None else []), self.results.get(key, {})])

    def next_mark(self) -> Value:
        """The next `?` of a dynamic statement."""
        self.marks += 1
        return self.variables.get(str(self.marks), {})

    def enter(self) -> None:
        """A routine begins: its variables are its own."""
        for known in (self.variables, self.texts, self.records, self.cursors, self.numbers):
            known.clear()
        self.shapes.clear()
        self.scopes.clear()

    def parameter(self, name: str, value: Value, row: Relation | None) -> None:
        key = name.lower()
        self.local(key)
        self.variables[key] = value
        if row is not None:
            self.records[key] = row

    def local(self, name: str) -> None:
        """A name is declared: within a local routine it means something else from here on, until that ends."""
        if self.scopes and name not in self.scopes[-1]:
            self.scopes[-1][name] = Named(
                self.variables.take(name),
                self.texts.take(name),
                self.records.pop(name, None),
                self.cursors.pop(name, None),
                self.shapes.pop(name, None),
            )

    def leave(self) -> None:
        """A local routine ends."""
        for name, before in self.scopes.pop().items():
            self.variables.put(name, before.values)
            self.texts.put(name, before.texts)
            for known, kept in ((self.records, before.record), (self.cursors, before.cursor)):
                if kept is None:
                    known.pop(name, None)
                else:
                    known[name] = kept
            if before.shape is None:
                self.shapes.pop(name, None)
            else:
                self.shapes[name] = before.shape

    def publish(self, package: str) -> None:
        """A package ends: its variables and constants are known to its body."""
        held = {k: (self.variables.get(k, {}), self.texts.get(k) or ()) for k in self.variables}
        known = {k: (value, texts) for k, (value, texts) in held.items() if value or texts}
        self.packages.setdefault(package, {}).update(known)

    def opened(self, package: str) -> None:
        """A package's body begins: it knows what the specification declares."""
        for name, (value, text) in self.packages.get(package, {}).items():
            self.variables[name] = value
            self.texts[name] = text

    def frame(self) -> Frame:
        """The variables, set aside while a called routine or dynamic SQL is read, which have their own."""
        kept = Frame(self.variables.frame(), self.texts.frame(), dict(self.records), dict(self.cursors))
        self.marks = 0
        return kept

    def restore(self, kept: Frame) -> None:
        self.variables.restore(kept.variables)
        self.texts.restore(kept.texts)
        self.records, self.cursors = kept.records, kept.cursors

    # ---- what statements leave

    def define(self, ref: Ref, columns: list[str] | None, *, temporary: bool) -> None:
        """A table is created, or created again."""
        key = _key(ref)
        if temporary or ref.temporary:
            self.temps[key] = Temp(columns)
        else:
            self.temps.pop(key, None)
            self.made.pop(key, None)
            if columns is not None:
                self.made[key] = columns

    def widen(self, ref: Ref, columns: list[str]) -> None:
        """ALTER TABLE .. ADD."""
        temp = self.temps.get(_key(ref))
        if temp is None:
            self.define(ref, [*(self.columns_of(ref) or []), *columns], temporary=False)
        elif temp.columns is not None:
            temp.columns = [*temp.columns, *columns]

    def is_temporary(self, ref: Ref) -> bool:
        return ref.temporary or _key(ref) in self.temps

    def fill(self, ref: Ref, rows: Relation) -> None:
        """Rows go into a temporary table."""
        temp = self.temps.setdefault(_key(ref), Temp(None))
        if len(temp.contents) < MAX_CONTENTS:
            temp.contents.append(self.followed(rows))

    def at(self, path: Path) -> None:
        """The blocks and branches that the next statement stands in."""
        self.variables.here = self.texts.here = path

    def assign(self, name: str, value: Value, path: Path | None = None) -> None:
        """A variable gets a value, here or at another place."""
        place = self.variables.here if path is None else path
        self.variables.assign(name.lstrip("@:").lower(), self.follow(value), place)

    def follow(self, value: Value) -> Value:
        """The value with temporary tables replaced by what filled them."""
        if not any(s.ref.temporary or _key(s.ref) in self.temps for s in value):
            return value
        result: Value = {}
        for source, node in value.items():
            temp = self.temps.get(_key(source.ref))
            if temp is None and source.ref.temporary and not is_placeholder(source.ref):
                continue  # a table parameter, a caller's temporary table: nothing is known of its rows
            if temp is None:
                result[source] = node
                continue
            for inner, how in temp.get(source.column).items():
                if result.get(inner) is None:
                    result[inner] = node if node is not None else how
        return result

    def followed(self, rows: Relation) -> Relation:
        items: list[Column | Star] = []
        for item in rows.items:
            if isinstance(item, Column):
                items.append(Column(item.name, self.follow(item.value)))
            else:
                relations = [q for r in item.relations for q in self._behind(r)]
                items.append(Star(tuple(relations), item.hidden))
        return Relation(items, whole=rows.whole)

    def _behind(self, relation: Relation) -> list[Relation]:
        temp = self.temps.get(_key(relation.ref)) if relation.ref is not None else None
        return temp.contents[:20] if temp is not None else [relation]

    def columns_of(self, ref: Ref) -> list[str] | None:
        known = self.relation(ref, positions=True)
        return [c.name for c in known.columns()] if known is not None and known.is_known else None


def _table(ref: Ref, columns: list[str]) -> Relation:
    return Relation([Column(c, {Source(ref, c): None}) for c in columns], ref=ref)


def plain(rows: Relation) -> list[str] | None:
    """Names of all columns, where all are known."""
    return [c.name for c in rows.columns()] if rows.is_known else None


def _key(ref: Ref) -> str:
    return str(ref.name).casefold()
