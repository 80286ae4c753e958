"""Values that go into routines through parameters and come out of them.

A parameter holds a placeholder while its routine is read. What the calls gave is put in its place when the script has
been read to its end, so that it does not matter whether a routine stands before or after its callers.
"""

from __future__ import annotations

from typing import NamedTuple

from shared.lineage.headers import Formal
from shared.lineage.model import TableName
from shared.lineage.relations import Ambiguous, Relation, Source, Value
from shared.lineage.tables import Ref

#: first part of a placeholder's name
_MARK = "\0"
#: calls of one script whose values are followed
MAX_CALLS = 2_000


def is_placeholder(ref: Ref) -> bool:
    """Whether it stands for a parameter."""
    return ref.name.parts[:1] == (_MARK,)


class Argument(NamedTuple):
    """What a call gives: the parameter's name, where it says so, a value, a row."""

    name: str
    value: Value
    row: Relation | None


class Passed:
    """The routines of one script, what each call gave them, and what they give back."""

    def __init__(self) -> None:
        self._formals: dict[tuple[str, ...], list[Formal]] = {}
        self._calls: list[tuple[tuple[str, ...], tuple[str, ...], list[Argument]]] = []
        self._given: dict[tuple[str, ...], list[Argument]] = {}
        self._out: dict[tuple[str, ...], dict[str, tuple[Value, Relation | None]]] = {}
        self.used = False

    def enter(self, key: tuple[str, ...], formals: list[Formal]) -> list[tuple[Formal, Value, Relation]]:
        """A routine begins: its parameters with the value and the row that stand for them."""
        self._formals[key] = formals
        found = []
        for formal in formals:
            ref = Ref(TableName((_MARK, *key, formal.name.lower())), temporary=True)
            found.append((formal, {Source(ref, ""): None}, Relation(ref=ref, is_open=True)))
        self.used = self.used or bool(found)
        return found

    def leave(self, key: tuple[str, ...], values: dict[str, tuple[Value, Relation | None]]) -> None:
        """A routine ends: what its OUT parameters hold."""
        self._out[key] = values

    def call(
        self, name: tuple[str, ...], within: tuple[str, ...], arguments: list[Argument]
    ) -> list[tuple[int, str, Value, Relation | None]]:
        """Keep what a call gives; (position, name, value, row) of the OUT parameters of a routine known so far."""
        if len(self._calls) >= MAX_CALLS:
            return []
        self._calls.append((name, within, arguments))
        key = self._meant(name, within)
        if key is None or key not in self._out:
            return []
        held = self._out[key]
        return [
            (i, formal.name.lower(), *held[formal.name.lower()])
            for i, formal in enumerate(self._formals[key])
            if formal.out and formal.name.lower() in held
        ]

    def _meant(self, name: tuple[str, ...], within: tuple[str, ...]) -> tuple[str, ...] | None:
        """The routine that a call means: the one nearest to the caller; None where several are as near."""
        found = [k for k in self._formals if k[-len(name) :] == name or name[-len(k) :] == k]
        if len(found) > 1:
            for n in range(len(within), 0, -1):
                near = [k for k in found if k[:n] == within[:n]]
                if near:
                    found = near
                    break
        return found[0] if len(found) == 1 else None

    def filled(self, rows: Relation, arguments: list[tuple[str, Value]]) -> Relation:
        """The rows that a function gives, with what this call hands to its parameters: (name, value)."""
        if not self.used:
            return rows
        return rows.map(lambda value: self._filled(value, arguments))

    def _filled(self, value: Value, arguments: list[tuple[str, Value]]) -> Value:
        result: Value = {}
        for source, node in value.items():
            parts = source.ref.name.parts
            formals = self._formals.get(parts[1:-1]) if parts and parts[0] == _MARK else None
            if formals is None:
                result.setdefault(source, node)
                continue
            names = [f.name.lower() for f in formals]
            for i, (name, given) in enumerate(arguments):
                if (name or (names[i] if i < len(names) else "")) == parts[-1]:
                    for behind, how in given.items():
                        if result.get(behind) is None:
                            result[behind] = node if node is not None else how
        return result

    # ---- at the end of the script

    def bind(self) -> None:
        for name, within, arguments in self._calls:
            key = self._meant(name, within)
            if key is None:
                continue
            names = [f.name.lower() for f in self._formals[key]]
            for i, argument in enumerate(arguments):
                formal = argument.name or (names[i] if i < len(names) else "")
                if formal in names:
                    self._given.setdefault((*key, formal), []).append(argument)
        self._calls.clear()

    def resolved(self, value: Value, seen: frozenset[tuple[str, ...]] = frozenset()) -> Value:
        """The value with parameters replaced by what the calls gave."""
        if not self.used or not any(s.ref.name.parts[0] == _MARK for s in value if s.ref.name.parts):
            return value
        result: Value = {}
        for source, node in value.items():
            parts = source.ref.name.parts
            if not parts or parts[0] != _MARK:
                if result.get(source) is None:
                    result[source] = node
                continue
            key = parts[1:]
            if key in seen:
                continue
            for argument in self._given.get(key, ()):
                inner = _field(argument, source.column) if source.column else argument.value
                for behind, how in self.resolved(inner, seen | {key}).items():
                    if result.get(behind) is None:
                        result[behind] = node if node is not None else how
        return result


def _field(argument: Argument, name: str) -> Value:
    if argument.row is None:
        return {}
    try:
        return argument.row.get(name) or {}
    except Ambiguous:
        return {}
