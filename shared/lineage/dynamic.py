"""Dynamic SQL: EXECUTE of a text that is constant or built from constants."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from shared.lineage.tables import HOLE
from shared.lineage.texts import Texts
from shared.lineage.tokens import balanced, opens, parts, variables
from shared.lineage.words import QUERY, QUIET, is_string, word

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

    from shared.lineage.findings import Place
    from shared.lineage.relations import Relation, Value

#: words of statements that name tables
_MOVES = re.compile(r"\b(?:FROM|INTO|UPDATE|MERGE|DELETE|JOIN)\b", re.IGNORECASE)


class Dynamic(Texts):
    """The part of the procedural reader that executes texts."""

    if TYPE_CHECKING:

        def value(self, tokens: list[Token], place: Place) -> Value: ...
        def into(self, names: list[str], rows: Relation, place: Place) -> None: ...

    def execute(self, tokens: list[Token], words: list[str], place: Place) -> bool:
        rest, w = tokens[1:], words[1:]
        if w[:1] == ["IMMEDIATE"]:
            rest, w = rest[1:], w[1:]
        if not rest or w[:1] == ["FROM"]:  # Snowflake: EXECUTE IMMEDIATE FROM a file
            return True
        parameters: list[Token] = []
        if rest[0].text.lower() in self.script.prepared:
            self.script.again(self.script.prepared[rest[0].text.lower()], place)
            return True
        is_text = (
            rest[0].text == "("
            or is_string(rest[0])
            or words[:2] == ["EXECUTE", "IMMEDIATE"]
            or (place.procedural and words[0] == "EXECUTE" and self.script.is_plpgsql)
            or rest[0].text.lower() in self.memory.texts
        )
        if words[0] == "CALL" or not is_text:
            self.script.routines.call(rest, place)  # its own statements count where it is created
            return True
        if rest[0].text == "(" and words[0] in ("EXEC", "EXECUTE"):
            rest = balanced(rest[1:])
            w = [word(t) for t in rest]
        into: list[str] = []
        depth = 0
        end = len(rest)
        for i, t in enumerate(rest):
            depth += opens(t)
            if depth == 0 and i and word(t) in ("INTO", "USING", "BULK", "AS"):
                end = min(end, i)
                if word(t) == "INTO":
                    into = variables(rest[i + 1 :])
                if word(t) == "USING":
                    parameters = rest[i + 1 :]
        texts = self.texts(rest[:end])
        if parameters and parameters[0].text == "(" and word(parameters[1]) not in QUERY:
            parameters = balanced(parameters[1:])
        if self.script.name == "oracle":  # :1 is no name to the grammar
            texts = tuple(re.sub(r"(?<![:\w]):(\d+)\b", r":b\1", text) for text in texts)
        for i, part in enumerate(parts(parameters)):
            kept = [t for t in part if word(t) not in ("IN", "OUT")]
            name = str(i + 1)
            if len(kept) > 2 and word(kept[-2]) == "AS":
                name, kept = kept[-1].text, kept[:-2]
            value = self.value(kept, place)
            self.memory.assign(name, value)
            for text in texts:
                self.script.bind(text, i, value)
        rows = self.run(texts, tokens[0], place, silent=bool(into))
        if into and rows is not None:
            self.into(into, rows, place)
        return True

    def packaged(self, tokens: list[Token], place: Place) -> bool:
        """DBMS_SQL.PARSE, BIND_VARIABLE and EXECUTE; DBMS_UTILITY.EXEC_DDL_STATEMENT: whether it was one of these.

        https://docs.oracle.com/en/database/oracle/oracle-database/19/arpls/DBMS_SQL.html
        """
        start = next((i for i, t in enumerate(tokens[:8]) if t.text == "("), 0)
        name = word(tokens[start - 1]) if start else ""
        given = parts(balanced(tokens[start + 1 :])) if start else []
        if not given:
            return False
        key = f"dbms_sql {given[0][0].text.lower()}"
        if name in ("PARSE", "EXEC_DDL_STATEMENT", "SYSEXECSQL"):
            text = self.text(given[1 if name == "PARSE" and len(given) > 1 else 0])
            if text is None:
                self.script.findings.report(tokens[0], "dynamic SQL: its text is not constant", place)
            elif ":" in text and name == "PARSE":
                self.memory.texts[key] = (text,)
            else:
                self.script.dynamic(text, tokens[0], place)
        elif name in ("BIND_VARIABLE", "BIND_ARRAY") and len(given) > 2:
            self.memory.assign(given[1][-1].text.lstrip(":"), self.value(given[2], place))
        elif name in ("EXECUTE", "EXECUTE_AND_FETCH"):
            parsed = self.memory.texts.get(key)
            if parsed:
                self.script.dynamic(parsed[-1], tokens[0], place, silent=True)
        return True

    def run(
        self, texts: tuple[str, ...], token: Token, place: Place, *, silent: bool, remote: str = ""
    ) -> Relation | None:
        """Read what the texts say; what is not known of them is reported."""
        findings = self.script.findings
        known = [t for t in texts if not t.lstrip(" (").startswith(HOLE) or len(t.split()) > 3]
        if not known:
            findings.report(token, "dynamic SQL: its text is not constant", place)
            return None
        rows: Relation | None = None
        for text in known:
            before = findings.progress
            rows = self.script.dynamic(text, token, place, silent=silent, remote=remote)
            head = text.split(None, 1)[0].upper() if text.strip() else ""
            is_quiet = head in QUIET | {"CREATE", "SET", "BEGIN", "EXEC"} or not _MOVES.search(text)
            if findings.progress == before and not is_quiet:
                findings.report(token, "dynamic SQL: no table was found in its text", place)
        return rows
