"""The last step of every entity: rules, repeats, size. What passes is a closure, what does not is a refusal."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from shared.atlas.bounds import custom_attributes
from shared.atlas.closure import Closure, Draft, closure, deletion, encode, reference, update
from shared.atlas.refusals import refusal, where
from shared.atlas.rules import Rules
from shared.naming import Name
from shared.records import Refusal

Made = list[Closure | Refusal]
Repeats = Literal["newer", "refuse"]

#: this many assets of a file are remembered, and twice as many at most; forgotten ones cost a repeated upsert
REMEMBERED = 100_000
#: of a message, for its envelope
_ENVELOPE = 1024


class Checks:
    """Remembers what has passed, so that it is sent once. max_bytes: of a message."""

    def __init__(self, rules: Rules, max_bytes: int) -> None:
        self._rules = rules
        self._max_bytes = max_bytes
        self._room = max_bytes - _ENVELOPE
        self._seen: dict[int, tuple[int, int | str]] = {}  # hash of the name: what was said of it, and where
        self._seen_before: dict[int, tuple[int, int | str]] = {}

    def sent(self, name: Name) -> bool:
        identity = hash(name)
        return identity in self._seen or identity in self._seen_before

    def forget(self, name: Name) -> None:
        self._seen.pop(hash(name), None)
        self._seen_before.pop(hash(name), None)

    def is_process(self, type_name: str) -> bool:
        return self._rules.types.is_a(type_name, "Process")

    def optional(self, type_name: str, attribute: str) -> bool:
        """Whether an upsert of that type may leave this attribute out, as far as its definition tells."""
        kind = self._rules.types.entity(type_name)
        return kind is not None and not kind.partial and attribute not in kind.required

    def create(
        self,
        draft: Draft,
        place: int | str,
        *,
        volatile: dict[str, str] | None = None,
        stub: bool = False,
        repeats: Repeats = "newer",
    ) -> Made:
        """An empty list: the same has been said before."""
        problem = self._rules.check(draft.top, [*draft.members, *draft.referred] if draft.referred else draft.members)
        if problem is not None:
            return [refusal(place, problem.rule, problem.reason, problem.fix, draft.top)]
        made = closure(draft, place, custom_attributes(volatile) if volatile else None, stub)
        if made.size > self._room and (refused := self._oversize(made, draft)):
            return refused
        return [made] if stub else self.once(made, place, repeats)

    def fits(self, made: Closure) -> bool:
        return made.size <= self._room

    def once(self, made: Closure, place: int | str, repeats: Repeats) -> Made:
        """A closure that has passed the rules. An empty list: the same has been said before."""
        said = hash((made.stable or made.body, made.referred, made.members))
        identity, remembered = hash(made.name), self._seen
        seen = remembered.get(identity) or self._seen_before.get(identity)
        if seen is None:
            if len(remembered) >= REMEMBERED:
                self._seen, self._seen_before = remembered, _ = {}, remembered
        elif seen[0] == said:
            return []
        elif repeats == "refuse":
            reason = f"{made.name.type_name} {made.name.qualified_name} differs from {where(seen[1])}"
            top = msgspec.Raw(made.stable or made.body)
            return [refusal(place, "duplicate-qualified-name", reason, "keep one of the two", top)]
        remembered[identity] = said, place
        return [made]

    def update(
        self,
        name: Name,
        attributes: dict[str, Any],
        place: int | str,
        *,
        fields: dict[str, Any] | None = None,
        referred: list[dict[str, Any]] | None = None,
    ) -> Made:
        """A partial update; `fields` and `referred` as `closure.update` takes them."""
        top = {"typeName": name.type_name, "attributes": attributes, **(fields or {})}
        problem = self._rules.check(top, referred or (), partial=True)
        if problem is not None:
            return [refusal(place, problem.rule, problem.reason, problem.fix, top)]
        made = update(name, attributes, place, fields=fields, referred=referred or ())
        return [self._too_large(made.name, made.size, place, top)] if made.size > self._room else [made]

    def delete(self, name: Name, place: int | str) -> Made:
        self.forget(name)
        made = deletion(name, place)
        if name.type_name not in self._rules.types:  # one such would drop the deletions around it, too
            reason = f"there is no type {name.type_name[:80]!r}"
            return [refusal(place, "unknown-type", reason, "compare with `./hookline types diff`", reference(name))]
        return [self._too_large(name, made.size, place, name)] if made.size > self._room else [made]

    def _oversize(self, made: Closure, draft: Draft) -> Made:
        """The refusal of a closure of which a part fits into no message; none when it may be spread over several."""
        head = len(made.body) + len(made.referred) + 2
        if head > self._room:
            return [self._too_large(made.name, head, made.place, draft.top)]
        longer = len(encode(reference(made.name)))  # a column in another message names its table by its name
        for member, entity in zip(made.members, draft.members, strict=True):
            if len(member) + longer > self._room:
                child = Name(entity["typeName"], entity["attributes"]["qualifiedName"])
                return [self._too_large(child, len(member), made.place, entity)]
        return []

    def _too_large(self, name: Name, size: int, place: int | str, value: Any) -> Refusal:
        reason = f"{name.type_name} {name.qualified_name[:200]} takes {size:,} bytes, a message {self._max_bytes:,}"
        return refusal(place, "oversize", reason, "shorten its longest attributes or split it", value)


def passed(made: Made) -> bool:
    """Whether nothing of it was refused."""
    return not any(isinstance(item, Refusal) for item in made)
