"""The mutated file of a seed and a number."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from tests.mutated.corpus import Sample
from tests.mutated.raw import RAW, Mutation, zipped
from tests.mutated.shaped import SHAPED

#: which changes a file gets: those that know what it is more often than the others
_JSON = {"tree": 14, "words": 1, "resealed": 0}
_TEXT = {"tree": 0, "words": 10, "resealed": 0}
_ALL: dict[str, Mutation] = {**RAW, **SHAPED, "zipped": zipped}


class Mutated(NamedTuple):
    """A file: where it lies, what it holds, and how it came about."""

    number: int
    format: str
    path: str
    content: bytes
    how: str


def mutated(samples: dict[str, list[Sample]], seed: int, number: int) -> Mutated:
    """Formats take turns, so that each gets its share."""
    rng = Random(f"{seed}:{number}")
    formats = list(samples)
    format_ = formats[number % len(formats)]
    mine = samples[format_]
    sample = rng.choices(mine, [1 if "/bad/" in one.path else 5 for one in mine])[0]
    donor = rng.choice(samples[rng.choice((format_, format_, rng.choice(formats)))])
    content, how = sample.content, [sample.path]
    weights = _weights(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        name = rng.choices(list(weights), list(weights.values()))[0]
        content = _ALL[name](rng, content, donor.content)
        how.append(name)
    if rng.randrange(12) == 0:
        how.append("elsewhere")  # no folder says what it is
        path = f"landing/{sample.path.rsplit('/', 1)[-1]}"
    else:
        path = sample.path
    return Mutated(number, format_, path, content, " + ".join(how))


def _weights(content: bytes) -> dict[str, int]:
    weights = dict.fromkeys(RAW, 2)
    head = content[:400].removeprefix(b"\xef\xbb\xbf").lstrip()
    if content[:2] == b"\x1f\x8b" or b'"kind":"header"' in head:
        return {**weights, "resealed": 30}
    if content[:2] == b"PK":
        return {**weights, "zipped": 30}
    if head[:1] in (b"{", b"["):
        return {**weights, **_JSON}
    if head[:1] == b"<":
        return {**weights, "xml": 16}
    return {**weights, **_TEXT}
