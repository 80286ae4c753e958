"""What becomes of one file on the way that `./hookline transform` takes, and whether that is as it should be."""

from __future__ import annotations

import resource
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec

from shared.pipeline.offline import FileResult, messages
from shared.records import Refusal
from tests.conformance.formats.subject import INSTANCES
from tests.mutated.mutation import Mutated

#: of CPU time, for a file of less than a megabyte or so
SECONDS = 10.0
#: that the process may grow by; a gzip file may unpack to 64 MiB, and SQL is read as a whole
BYTES = 400 * 1024 * 1024


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """problem: empty when all is as it should be. became: whole, partly, refused, nothing. seconds: of CPU time."""

    number: int
    format: str
    how: str
    size: int
    became: str = ""
    records: int = 0
    refused: int = 0
    seconds: float = 0.0
    grown: int = 0
    problem: str = ""


def judged(file: Mutated, folder: Path, transform: Callable[..., object] = messages) -> Outcome:
    """The outcome of one file; it is written below `folder`, and removed again."""
    path = folder / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.content)
    result = FileResult(path=str(path))
    refusals: list[Refusal] = []
    sent = 0
    problem = ""
    before = _resident(reset=True)
    started = time.process_time()
    try:
        for message in transform(path, refusals.append, bases=dict(INSTANCES), result=result):  # type: ignore[attr-defined]
            sent += len(message.names)
    except Exception as error:
        problem = f"raised {type(error).__name__}: {error}"[:300] + f" {_place(error)}"
    finally:
        path.unlink()
    seconds, grown = time.process_time() - started, max(0, _resident() - before)
    accounted = result.assets + result.refused + result.repeated + result.adopted
    if problem:
        pass
    elif seconds > SECONDS:
        problem = f"took {seconds:.1f} s"
    elif grown > BYTES:
        problem = f"took {grown / 1024**2:,.0f} MiB of memory"
    elif result.records > accounted:
        problem = f"{result.records} records, but only {accounted} outcomes"
    elif not result.records and not refusals and not result.may_be_empty:
        problem = "nothing came out, and nothing was said"
    elif any(not (refusal.place and refusal.reason and refusal.fix) for refusal in refusals):
        problem = "a refusal without place, reason or fix"
    became = ("partly" if refusals else "whole") if sent else "refused" if refusals else "nothing"
    return Outcome(
        number=file.number,
        format=file.format,
        how=file.how,
        size=len(file.content),
        became=became,
        records=result.records,
        refused=len(refusals),
        seconds=round(seconds, 3),
        grown=grown,
        problem=problem,
    )


def _place(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"({Path(frame.filename).name}:{frame.lineno})"


def _resident(*, reset: bool = False) -> int:
    """Bytes of memory: the most since the last reset on Linux, else the most ever."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
