"""Many files, judged in a process of their own, so that one that hangs or crashes the interpreter is an outcome too."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.mutated.child import TRANSFORM
from tests.mutated.corpus import Sample, corpus
from tests.mutated.judge import Outcome
from tests.mutated.mutation import mutated

#: of wall time: whoever takes longer hangs
HANGS_SECONDS = 60.0
ROOT = Path(__file__).parents[2]


def outcomes(
    seed: int, first: int, last: int, *, transform: str = TRANSFORM, hangs: float = HANGS_SECONDS
) -> Iterator[Outcome]:
    """The outcomes of the files `first` to `last`, in this order. transform: as the child takes it."""
    samples = corpus()
    at = first
    while at <= last:
        command = [sys.executable, "-m", "tests.mutated.child", f"--seed={seed}", f"--first={at}", f"--last={last}"]
        for outcome in _stretch(samples, [*command, f"--transform={transform}", f"--hangs={hangs}"], seed, at, last):
            yield outcome
            at = outcome.number + 1


def _stretch(
    samples: dict[str, list[Sample]], command: list[str], seed: int, first: int, last: int
) -> Iterator[Outcome]:
    """As far as one process comes; what it dies of is the last outcome."""
    number = first
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors) as child:
            assert child.stdout is not None
            try:
                for line in child.stdout:
                    yield msgspec.json.decode(line, type=Outcome)
                    number += 1
            except GeneratorExit:
                child.kill()
                raise
        if number <= last:
            errors.seek(0)
            said = errors.read().decode(errors="replace")
            file = mutated(samples, seed, number)
            frames = [line.strip() for line in said.splitlines() if line.lstrip().startswith("File ")]
            what = f"hangs: {frames[0]}" if "Timeout" in said and frames else f"killed the process: {said[-300:]}"
            yield Outcome(
                number=number, format=file.format, how=file.how, size=len(file.content), problem=what, became="nothing"
            )
