"""Tokens -> statements, for scripts and procedural bodies that sqlglot's parser gives up on as a whole.

sqlglot parses single statements well, but a T-SQL body without semicolons, `IF .. BEGIN .. END` or `RETURN 0` fails
with everything around it. So the token list is cut into statements first, control flow is taken off, and each
statement is parsed alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from shared.lineage.headers import Header, Headers
from shared.lineage.histories import ARMS
from shared.lineage.tokens import CLOSING, OPENING, opens
from shared.lineage.words import (
    AFTER_END,
    BLOCKS,
    CONTROL,
    DML,
    DML_AFTER,
    SELECT_AFTER,
    SINGLE,
    TRANSACTION,
    TSQL_STARTS,
    is_string,
    word,
)

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token


#: blocks deeper than this are not told apart
MAX_PATH = 200


class Piece(NamedTuple):
    """One statement (`control` False) or one condition or loop head, and the routine whose body it stands in.

    path: numbers of the blocks and branches around it; a branch that is not on the path may not have run.
    locals: the routines within the package or routine that it stands in, outermost first.
    """

    tokens: list[Token]
    control: bool
    routine: Header | None
    path: tuple[int, ...] = ()
    locals: tuple[Header, ...] = ()


class Splitter:
    """Cuts one script. `tsql`: statements need no semicolon, GO ends a batch, a procedure ends with its batch."""

    def __init__(self, tokens: list[Token], *, tsql: bool) -> None:
        self.tokens = tokens
        self.tsql = tsql
        self.words = [word(t) for t in tokens]
        for i in range(1, len(tokens)):  # `x.end`, `@set`, `#update` are names
            if tokens[i - 1].text in (".", "@", "#") and tokens[i - 1].end + 1 == tokens[i].start:
                self.words[i] = ""
        self.headers = Headers(tokens, self.words)
        self.routine: Header | None = None
        self.blocks = 0  # open BEGINs of the routine
        self.locals: list[tuple[Header, int]] = []  # local routines that are open, and the level of their blocks
        self.inner = 0  # routines within the routine, whose END does not end it
        self.path: list[int] = []  # T-SQL: 0 for a block that always runs
        self.branches = 0
        self.heads: dict[int, list[Token]] = {}  # id(header) -> its tokens, up to the body
        self.arms: dict[int, int] = {}  # T-SQL: depth -> the last branch there, for the ELSE that may follow
        self.is_else = False
        self.head = ""  # T-SQL: IF or WHILE, right before its statement
        self.loops: set[int] = set()  # T-SQL: branches that are loops
        self.single = False  # the routine's body is one statement
        self.ends: dict[int, tuple[Header, int]] = {}  # id(header) -> header, position of its last character
        self._reset(0)

    def _at(self, i: int) -> str:
        return self.words[i] if 0 <= i < len(self.words) else ""

    def _text(self, i: int) -> str:
        return self.tokens[i].text if 0 <= i < len(self.tokens) else ""

    def _is_string(self, i: int) -> bool:
        return i < len(self.tokens) and is_string(self.tokens[i])

    def _is_semicolon(self, i: int) -> bool:
        return self.tokens[i].token_type.name == "SEMICOLON"

    def _reset(self, start: int) -> None:
        """A new statement begins: `kind` its first word, `pending` whether its main part is still to come."""
        self.start, self.depth, self.cases = start, 0, 0
        self.kind, self.pending, self.set_seen, self.control = "", False, False, False

    def pieces(self) -> Iterator[Piece]:
        i, n, before = 0, len(self.tokens), False
        while i < n:
            self._reset(i)
            label = self._label(i)
            if label:
                i = label
                continue
            if self._text(i + 1) == ":" and self._at(i + 2) in ("LOOP", "WHILE", "REPEAT", "BEGIN", "FOR"):  # label:
                i += 2
                self._reset(i)
            if self._is_label(i):
                i += 2
                continue
            header = self.headers.header(i)
            if header is not None:
                start, i = i, self._enter(header, i)
                self.heads[id(header)] = self.tokens[start:i]
                continue
            if not self.tsql and self._at(i) in ("PROCEDURE", "FUNCTION"):
                i = self._nested(i)
                continue
            routine = self.routine
            inside = tuple(h for h, _ in self.locals)
            path = tuple(p for p in self.path if p)
            if before and self.tsql and self._at(i) not in BLOCKS:  # T-SQL: IF .. one statement
                path = (*path, self._arm())
                if self.head == "WHILE":
                    self.loops.add(path[-1])
            end, i = self._statement(i)
            if routine is not None and i > self.start:
                self.ends[id(routine)] = (routine, self.tokens[(end if self._at(end) == "GO" else i) - 1].end)
            if end > self.start:
                self.head = self.kind if self.control else ""
                yield Piece(self.tokens[self.start : end], self.control, routine, path, inside)
                if self.single and not self.control:
                    self.routine, self.single = None, False
            before = (self.control and self._at(end) != "BEGIN") or (self._at(end) == "ELSE" and end < i)

    def _label(self, i: int) -> int:
        """Where `<<label>>` ends that begins at `i`, or 0."""
        if not self._text(i).startswith("<"):
            return 0
        texts = [self._text(j) for j in range(i, i + 5)]
        width = 3 if texts[0] == "<<" else 5
        return i + width if "".join((*texts[:width],)).startswith("<<") and texts[width - 1].endswith(">") else 0

    def _statement(self, i: int) -> tuple[int, int]:
        """Read from `i` to the end of one statement: (its end, where to go on)."""
        n = len(self.tokens)
        while i < n:
            w, first = self.words[i], i == self.start
            if w and not first and self._is_label(i) and self.depth == 0:
                return i, i
            if self._is_semicolon(i):
                return i, i + 1
            if self._is_go(i):
                self.routine = None
                return i, i + (2 if self._repeats(i) else 1)
            if self.kind == "USE" and i > self.start + 1 and self.tokens[i].line > self.tokens[i - 1].line:
                return i, i  # a command of many clients, which ends with its line
            kind = self.tokens[i].token_type
            if kind in OPENING:
                self.depth += 1
            elif kind in CLOSING:
                self.depth = max(0, self.depth - 1)
            elif self.depth == 0 and w:
                step = self._word(i, w, first)
                if step is not None:
                    return step
            i += 1
        return n, n

    def _word(self, i: int, w: str, first: bool) -> tuple[int, int] | None:
        """What a word outside parentheses does: nothing (None), or it ends the statement at (end, go on at)."""
        if w == "CASE":
            if first and not self.tsql:  # the statement CASE .. END CASE of PL/SQL, PL/pgSQL, MySQL
                self.control, self.kind = True, w
                self._open(self._arm())
            else:
                self.cases += 1
            return None
        if self.cases:
            self.cases -= w == "END"
            return None
        if w == "BEGIN":
            return i, self._begin(i)
        if w == "END":
            return i, self._end(i)
        if w == "ELSE" and not (self.kind == "INSERT" and self._at(i + 1) == "INTO"):
            self._branch()
            return i, i + 1
        if w == "REPEAT" and first and self._text(i + 1) != "(":
            self._open(self._arm())
            return i, i + 1
        if w in ("LOOP", "DO", "THEN") and (self.control or first):
            if w == "LOOP" or (w == "THEN" and self.kind == "IF") or (w == "DO" and not self.tsql):
                self._open(self._arm())
            elif w == "THEN":
                self._branch()
            return i, i + 1
        if first:
            self._first(w)
            return None
        if self.control and w in (TSQL_STARTS | {"WITH"} if self.tsql else DML if self.kind == "FORALL" else ()):
            goes_on = (w == "UPDATE" and self._text(i + 1) == "(") or (w == "VALUES" and self._at(i + 1) == "OF")
            return None if goes_on else (i, i)
        if self.tsql and w in TSQL_STARTS and self._starts(i, w):
            return i, i
        self._note(i, w)
        return None

    def _first(self, w: str) -> None:
        self.kind = w
        self.control = w in CONTROL and not (w == "EXCEPTION" and self.tsql)
        self.pending = w in ("INSERT", "WITH", "REPLACE")
        if w == "EXCEPTION" and not self.tsql and self.path:  # its handlers may see all that the block assigned
            self.branches += ARMS
            self.path[-1] = self.branches

    def _note(self, i: int, w: str) -> None:
        """Keep in mind what the statement still expects."""
        if w == "WITH" and self._at(i - 1) in ("AS", "FOR", "RETURN"):  # CREATE VIEW v AS WITH c AS (..) SELECT
            self.pending = True
        elif w == "SET":
            self.set_seen = True
        elif self.pending and w in DML:
            if self.kind == "WITH" and w in ("INSERT", "UPDATE", "DELETE", "MERGE"):
                self.kind = w
                self.pending = w == "INSERT"
            else:
                self.pending = False

    def _starts(self, i: int, w: str) -> bool:
        """Whether a T-SQL statement word begins a new statement rather than go on with this one."""
        before, after, kind = self._at(i - 1), self._at(i + 1), self.kind
        previous = self._text(i - 1)
        if w == "SELECT":
            return not (self.pending or previous == "," or before in SELECT_AFTER)
        if w in ("INSERT", "UPDATE", "DELETE", "MERGE"):
            goes_on = before in DML_AFTER or previous == "," or (kind == "WITH" and self.pending)
            goes_on = goes_on or (before == "ON" and kind in ("CREATE", "ALTER"))  # ON DELETE CASCADE
            goes_on = goes_on or before == "BULK"
            return not (goes_on or after == "JOIN" or (w == "UPDATE" and self._text(i + 1) == "("))
        if w == "SET":
            goes_on = kind in ("ALTER", "CREATE", "MERGE") or (kind == "UPDATE" and not self.set_seen)
            return not (goes_on or before in ("DELETE", "UPDATE"))
        if w in ("EXEC", "EXECUTE"):
            return not (self.pending or before == "WITH" or kind in ("GRANT", "DENY", "REVOKE"))
        if w == "IF":
            return kind not in ("DROP", "CREATE", "ALTER", "TRUNCATE") or not self._is_if_exists(i)
        if w in ("DROP", "ALTER"):
            return not (before == "OR" or (kind == "ALTER" and after in ("COLUMN", "CONSTRAINT", "PERIOD")))
        if w == "FETCH":
            return before not in ("ROW", "ROWS")
        return kind not in ("GRANT", "DENY", "REVOKE")

    def _is_label(self, i: int) -> bool:
        """T-SQL: `again:` on a line of its own, or at least the first on its line."""
        if not self.tsql or self._text(i + 1) != ":" or not self.words[i] or self._text(i + 2) in (":", "="):
            return False
        return i == 0 or self.tokens[i - 1].line < self.tokens[i].line or self._text(i - 1) == ";"

    def _is_if_exists(self, i: int) -> bool:
        j = i + 2 if self._at(i + 1) == "NOT" else i + 1
        return self._at(j) == "EXISTS" and self._text(j + 1) not in ("", "(")

    def _is_go(self, i: int) -> bool:
        if not self.tsql or self.words[i] != "GO":
            return False
        line = self.tokens[i].line
        follows = self.tokens[i + 1 : i + 2]
        alone = i == 0 or self.tokens[i - 1].line < line
        return alone and (not follows or follows[0].line > line or self._repeats(i))

    def _repeats(self, i: int) -> bool:
        """`GO 5`."""
        follows = self.tokens[i + 1 : i + 2]
        return bool(follows) and follows[0].line == self.tokens[i].line and follows[0].text.isdigit()

    def _begin(self, i: int) -> int:
        if self.tsql and self._at(i + 1) in ("DIALOG", "CONVERSATION"):
            return i + 1
        if self._at(i + 1) in TRANSACTION:
            i += 1
            while i + 1 < len(self.tokens) and self._at(i + 1) in ("TRAN", "TRANSACTION"):
                i += 1
            self.is_else = False
            return i + 1
        if self.tsql and not (self.control or self.is_else or self._at(i + 1) == "CATCH"):
            self._open(0)
        else:
            branch = self._arm()
            if self.tsql and self.control and self.kind == "WHILE":
                self.loops.add(branch)
            self._open(branch)
        self.single = False
        return i + (2 if self._at(i + 1) in ("TRY", "CATCH", "ATOMIC") else 1)

    def _end(self, i: int) -> int:
        """Step over END and what belongs to it; a routine of any dialect but T-SQL ends with its outermost block."""
        if self.tsql and self._at(i + 1) == "CONVERSATION":
            return i + 1
        is_last = self.blocks == 0
        self.blocks = max(0, self.blocks - 1)
        if self.locals and self.locals[-1][1] >= self.blocks:
            self.locals.pop()
        if len(self.path) > self.blocks:
            self.path.pop()
        i += 1
        if self.tsql:  # no END IF there: what follows is the next statement
            return i + (self._at(i) in ("TRY", "CATCH"))
        if self._at(i) in AFTER_END:
            i += 1
        while i < len(self.tokens) and not self._is_semicolon(i):  # END LOOP label;  END procedure_name;
            i += 1
        if self.blocks == 0 and self.inner:
            self.inner -= 1
        elif self.blocks == 0 and (is_last or self.routine is None or self.routine.kind != "PACKAGE"):
            self.routine = None
        return i

    def _open(self, branch: int) -> None:
        self.blocks += 1
        if self.blocks <= MAX_PATH:
            self.path.append(branch)

    def _arm(self) -> int:
        """A new branch, or after ELSE another one of the same IF."""
        depth = len(self.path)
        if self.is_else and depth in self.arms:
            self.arms[depth] += 1
        else:
            self.branches += ARMS
            self.arms[depth] = self.branches
        self.is_else = False
        return self.arms[depth]

    def _branch(self) -> None:
        """ELSE, ELSIF, WHEN: another branch of the block; T-SQL: the next block or statement is one."""
        if self.tsql:
            self.is_else = True
        elif self.path:
            self.path[-1] += 1

    def _nested(self, i: int) -> int:
        """Step over the header of a routine within a package or a routine; a declaration alone ends with `;`."""
        depth = 0
        header = self.headers.local(i)
        if self.routine is not None:
            self.routine.parameters.extend(self.headers.parameters(i + 2))
        i += 1
        while i < len(self.tokens):
            depth += opens(self.tokens[i])
            if depth == 0 and self._is_semicolon(i):
                return i + 1
            if depth == 0 and self.words[i] in ("IS", "AS") and self._at(i + 1) not in ("LANGUAGE", "EXTERNAL"):
                self.locals.append((header, self.blocks))
                self.inner += self.routine is not None and self.routine.kind != "PACKAGE"
                return i + 1
            i += 1
        return i

    def _enter(self, header: Header, i: int) -> int:
        """Step over a routine's header to its body; remember the routine."""
        depth, n = 0, len(self.tokens)
        self.routine, self.blocks, self.single, self.inner, self.path = header, 0, False, 0, []
        self.arms, self.is_else, self.locals = {}, False, []
        i += 1
        while i < n:
            w = self.words[i]
            if (step := opens(self.tokens[i])) != 0:
                depth += step
            elif self._is_semicolon(i) or self._is_go(i):
                self.routine = None
                return i + 1
            elif depth <= 0 and (w == "BEGIN" or (w == "DECLARE" and header.kind == "TRIGGER")):
                return i
            elif depth <= 0 and w in ("AS", "IS") and not self._is_parameter(i):
                self.single = not self.tsql and (self._at(i + 1) in SINGLE or self._is_string(i + 1))
                return i + 1
            elif (
                depth <= 0
                and not self.tsql
                and ((w in SINGLE and self.headers.is_body(i)) or (w in ("SET", "CALL") and header.kind == "TRIGGER"))
            ):
                self.single = True
                return i
            i += 1
        return i

    def _is_parameter(self, i: int) -> bool:
        """`WITH EXECUTE AS OWNER`, or `@p AS int`."""
        return self._at(i - 1) in ("EXECUTE", "EXEC") or (i >= 2 and self.tokens[i - 2].text == "@")
