"""`python -m benchmarks.lineage [FILE.sql DIALECT]`: statements per CPU second, parse once, all columns in one pass.

Without a file: every case of tests/fixtures/lineage, five times; goal 300 statements per CPU second.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from shared.lineage import analyze
from tests.lineage import scorer

GOAL = 300
ROUNDS = 5


def fixtures() -> tuple[int, float, float]:
    """(statements, CPU seconds, slowest case in seconds)."""
    listed = list(scorer.cases())
    for case in listed[:20]:
        scorer.run(case)  # imports, caches
    count, slowest = 0, 0.0
    started = time.process_time()
    for _ in range(ROUNDS):
        for case in listed:
            before = time.process_time()
            count += max(1, len(scorer.run(case).statements))
            slowest = max(slowest, time.process_time() - before)
    return count, time.process_time() - started, slowest


def file(path: Path, dialect: str) -> tuple[int, float, float]:
    started = time.process_time()
    result = analyze(path.read_text(encoding="utf-8-sig", errors="replace"), dialect=dialect)
    seconds = time.process_time() - started
    return len(result.statements), seconds, seconds


def main() -> None:
    count, seconds, slowest = file(Path(sys.argv[1]), sys.argv[2]) if len(sys.argv) > 2 else fixtures()
    print(
        f"{count:,} statements in {seconds:.2f} CPU s: {count / seconds:,.0f}/s (goal {GOAL}); slowest {slowest:.3f} s"
    )


if __name__ == "__main__":
    main()
