"""`python -m benchmarks [NAME...]`: CPU seconds, wall seconds and peak memory of each case, as one table.

Every case runs in a process of its own, so that its peak memory is its own. Timings are no tests: they are printed with
the goal beside them, and written down in benchmarks/RESULTS.md by whoever runs them.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import cases

ROOT = Path(__file__).parents[1]


def measure(name: str, folder: Path) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.cases", name, str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        return {"skipped": f"exit {done.returncode}"}
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    wanted = sys.argv[1:] or list(cases.CASES)
    unknown = [name for name in wanted if name not in cases.CASES]
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; there are: {', '.join(cases.CASES)}")
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores\n")
    header = ("case", "n", "CPU s", "wall s", "peak MB", "result", "goal")
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    with tempfile.TemporaryDirectory() as folder:
        for name in wanted:
            got = measure(name, Path(folder))
            if "skipped" in got:
                print(f"| {name} | | | | | skipped: {got['skipped']} | |")
                continue
            print(
                f"| {name} | {got['n']:,} | {got['cpu']:.2f} | {got['wall']:.2f} | {got['peak_mb']:.0f} "
                f"| {got['result']} | {cases.CASES[name].goal} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
