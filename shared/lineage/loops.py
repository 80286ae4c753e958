"""Loops of T-SQL: their statements are read again where what they leave behind reaches their own beginning."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.lineage.findings import Place
    from shared.lineage.histories import Path
    from shared.lineage.relations import Source
    from shared.lineage.script import Script
    from shared.lineage.splitting import Piece

#: words of one script that are read again
MAX_AGAIN = 100_000
#: how often a loop is read again at most
MAX_ROUNDS = 2


class Loop:
    """A loop that is being read. values, rows: what variables and temporary tables held before it."""

    def __init__(self, path: Path, script: Script) -> None:
        self.path = path
        self.pieces: list[tuple[Piece, Place]] = []
        self.values = held(script)
        self.rows = filled(script)


class Loops:
    """The loops around the statement that is read. elements: which elements of a path are loops."""

    def __init__(self, script: Script, elements: set[int]) -> None:
        self.script = script
        self.elements = elements
        self.open: list[Loop] = []
        self.again = 0

    def before(self, path: Path) -> None:
        """The next statement stands at this path: loops end and begin."""
        while self.open and path[: len(self.open[-1].path)] != self.open[-1].path:
            self._end(self.open.pop())
        for i, element in enumerate(path):
            if element in self.elements and i >= (len(self.open[-1].path) if self.open else 0):
                self.open.append(Loop(path[: i + 1], self.script))

    def after(self, piece: Piece, place: Place) -> None:
        for loop in self.open:
            loop.pieces.append((piece, place))

    def _end(self, loop: Loop) -> None:
        script = self.script
        if not loop.pieces:
            return
        path = loop.pieces[0][1].path[: -len(loop.pieces[0][0].path)] + loop.path
        for _ in range(MAX_ROUNDS):
            script.memory.at(path)
            values, rows = held(script), filled(script)
            grown = {n for n, sources in values.items() if sources - loop.values.get(n, set())}
            grown |= {k.lstrip("#@") for k, n in rows.items() if n > loop.rows.get(k, 0)}
            loop.values = {n: v | loop.values.get(n, set()) for n, v in values.items()}
            loop.rows = {k: n + len(loop.pieces) for k, n in rows.items()}  # what it fills again tells nothing new
            self.again += sum(len(piece.tokens) for piece, _ in loop.pieces) if grown else 0
            if self.again > MAX_AGAIN or not any(_is_named_twice(loop, name) for name in grown):
                break
            script.findings.quiet += 1
            try:
                for piece, place in loop.pieces:
                    script.safely(piece, place)
            finally:
                script.findings.quiet -= 1


def _is_named_twice(loop: Loop, name: str) -> bool:
    """Whether several statements of the loop name it: one may use what another one leaves."""
    found = 0
    for piece, _ in loop.pieces:
        found += any(t.text.lower() == name for t in piece.tokens)
    return found > 1


def held(script: Script) -> dict[str, set[Source]]:
    values = script.memory.variables
    return {name: set(values[name]) for name in values if values.is_filled(name) and values.seen(name)}


def filled(script: Script) -> dict[str, int]:
    return {key: len(temp.contents) for key, temp in script.memory.temps.items()}
