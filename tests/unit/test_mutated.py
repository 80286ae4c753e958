"""Files that are wrong in every way: some hundreds of what `python -m tests.mutated` does, and that it sees."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import connectors
from shared.atlas.messages import Message
from shared.pipeline.offline import FileResult, messages
from shared.records import Refusal
from tests.mutated.corpus import corpus
from tests.mutated.mutation import mutated
from tests.mutated.run import outcomes
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import World, world  # noqa: F401

SEED = 20
FILES = 300
#: of them, through storage, receipts and confirmation too
LANDED = 60


def test_every_format_is_mutated() -> None:
    samples = corpus()
    assert list(samples) == list(connectors.FORMATS)
    assert all(len(files) >= 5 for files in samples.values())


def test_a_file_follows_from_seed_and_number() -> None:
    samples = corpus()
    for number in range(40):
        assert mutated(samples, 1, number) == mutated(samples, 1, number)
    assert len({mutated(samples, seed, 3).content for seed in range(20)}) > 10


def test_no_file_crashes_hangs_grows_or_goes_without_an_outcome() -> None:
    seen = list(outcomes(SEED, 0, FILES - 1))
    assert [f"{one.number} {one.how}: {one.problem}" for one in seen if one.problem] == []
    assert len(seen) == FILES
    assert {one.became for one in seen} >= {"whole", "partly", "refused"}
    assert {one.format for one in seen} == set(connectors.FORMATS)


# ---- what it is meant to find, it finds


def crashing(path: Path, refused: Callable[[Refusal], None], **options: Any) -> Iterator[Message]:
    raise KeyError("typeName")
    yield from messages(path, refused, **options)


def hanging(path: Path, refused: Callable[[Refusal], None], **options: Any) -> Iterator[Message]:
    time.sleep(3600)
    yield from messages(path, refused, **options)


def dying(path: Path, refused: Callable[[Refusal], None], **options: Any) -> Iterator[Message]:
    os.kill(os.getpid(), signal.SIGKILL)
    yield from messages(path, refused, **options)


def growing(path: Path, refused: Callable[[Refusal], None], **options: Any) -> Iterator[Message]:
    kept = bytearray(500 * 1024 * 1024)
    kept[::4096] = b"x" * len(kept[::4096])
    yield from messages(path, refused, **options)


def silent(path: Path, refused: Callable[[Refusal], None], *, result: FileResult, **options: Any) -> Iterator[Message]:
    del path, refused, result, options
    yield from ()


def forgetful(
    path: Path, refused: Callable[[Refusal], None], *, result: FileResult, **options: Any
) -> Iterator[Message]:
    yield from messages(path, refused, result=result, **options)
    result.records += 7


@pytest.mark.parametrize(
    ("transform", "problem"),
    [
        (crashing, "raised KeyError: 'typeName' (test_mutated.py:"),
        (hanging, "hangs: File "),
        (dying, "killed the process"),
        (growing, "MiB of memory"),
        (silent, "nothing came out, and nothing was said"),
        (forgetful, "records, but only"),
    ],
)
def test_it_would_be_noticed(transform: Callable[..., Iterator[Message]], problem: str) -> None:
    name = f"{__name__}:{transform.__name__}"
    seen = list(outcomes(SEED, 2, 3, transform=name, hangs=1.0 if transform is hanging else 60.0))
    assert [one.number for one in seen] == [2, 3]
    assert all(problem in one.problem for one in seen), seen


# ---- through storage


def test_every_landed_file_has_a_final_receipt(world: World) -> None:
    samples = corpus()
    paths = set[str]()
    for number in range(LANDED):
        file = mutated(samples, SEED, number)
        if file.content:
            paths.add(world.upload(f"{number}/{file.path}", file.content))
    world.settle()
    receipts = {receipt.path: receipt for receipt in world.app.receipts.all()}
    assert receipts.keys() == paths
    open_ = [(r.path, r.state, r.error) for r in receipts.values() if not r.final]
    assert open_ == []
    assert world.errors == []
    assert world.poison == []
    for receipt in receipts.values():
        lines = world.rejected(receipt.path)
        assert (len(lines) > 0) == (receipt.refused > 0), receipt
        assert receipt.state in ("confirmed", "partly rejected", "rejected"), receipt
        assert receipt.state != "rejected" or lines, receipt
