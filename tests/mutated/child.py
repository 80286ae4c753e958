"""A process that judges a range of files and writes a line for each. Its parent starts it again behind a bad one."""

from __future__ import annotations

import argparse
import faulthandler
import gc
import importlib
import sys
import tempfile
from pathlib import Path

import msgspec

from tests.mutated.corpus import corpus
from tests.mutated.judge import judged
from tests.mutated.mutation import mutated

#: module:function that takes what `messages` takes
TRANSFORM = "shared.pipeline.offline:messages"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--last", type=int, required=True)
    parser.add_argument("--transform", default=TRANSFORM)
    parser.add_argument("--hangs", type=float, required=True, help="seconds after which it ends, and says where it was")
    said = parser.parse_args()
    module, _, function = said.transform.partition(":")
    transform = getattr(importlib.import_module(module), function)
    samples = corpus()
    write = msgspec.json.Encoder().encode
    with tempfile.TemporaryDirectory() as folder:
        for number in range(said.first, said.last + 1):
            file = mutated(samples, said.seed, number)
            faulthandler.dump_traceback_later(said.hangs, exit=True)
            outcome = judged(file, Path(folder), transform)
            faulthandler.cancel_dump_traceback_later()
            sys.stdout.buffer.write(write(outcome) + b"\n")
            sys.stdout.buffer.flush()
            if outcome.grown > 1 << 26:
                gc.collect()


if __name__ == "__main__":
    main()
