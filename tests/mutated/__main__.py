"""`python -m tests.mutated --files 10000 --seed 1`: a table, and every file that was not dealt with as it should be."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from tests.mutated.corpus import corpus
from tests.mutated.judge import Outcome
from tests.mutated.mutation import mutated
from tests.mutated.run import outcomes

BECAME = ("whole", "partly", "refused", "nothing")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutated", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="write the files that have a problem there")
    said = parser.parse_args()
    started = time.monotonic()
    seen: list[Outcome] = []
    for outcome in outcomes(said.seed, said.first, said.first + said.files - 1):
        seen.append(outcome)
        if outcome.problem:
            sys.stdout.write(f"{outcome.number}: {outcome.problem}\n    {outcome.how}\n")
            sys.stdout.flush()
            if said.keep:
                _keep(said.keep, said.seed, outcome.number)
    sys.stdout.write(_table(seen))
    problems = sum(1 for outcome in seen if outcome.problem)
    records = sum(outcome.records for outcome in seen)
    slowest = max(seen, key=lambda outcome: outcome.seconds)
    largest = max(seen, key=lambda outcome: outcome.grown)
    sys.stdout.write(
        f"{len(seen):,} files, {records:,} records, {problems} problems, {time.monotonic() - started:,.0f} s\n"
        f"slowest: {slowest.seconds:.1f} s of CPU (file {slowest.number}); "
        f"most memory: {largest.grown / 1024**2:,.0f} MiB (file {largest.number})\n"
    )
    sys.exit(1 if problems else 0)


def _table(seen: list[Outcome]) -> str:
    formats = sorted({outcome.format for outcome in seen})
    counts = Counter((outcome.format, outcome.became) for outcome in seen)
    lines = [f"{'format':<14}" + "".join(f"{became:>9}" for became in ("files", *BECAME))]
    for name in formats:
        row = [sum(counts[name, became] for became in BECAME), *(counts[name, became] for became in BECAME)]
        lines.append(f"{name:<14}" + "".join(f"{number:>9,}" for number in row))
    return "\n".join(lines) + "\n"


def _keep(folder: Path, seed: int, number: int) -> None:
    file = mutated(corpus(), seed, number)
    target = folder / f"{number}" / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(file.content)


if __name__ == "__main__":
    main()
