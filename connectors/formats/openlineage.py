"""OpenLineage events: runs, jobs and datasets, as producers write them to files or send them over HTTP.

One event, an array, or one event a line. What comes out: a Process for each job with its datasets, a Dataset for each
dataset that is described (schema, documentation, ownership, tags), Deleted for what a finished run dropped.

Events of one job in one file are merged: the last one that is complete wins. START, RUNNING, FAIL and ABORT events
often list only a part of the datasets, and must not wipe what a COMPLETE event said: a Process comes out of them only
where they name both inputs and outputs. An event without datasets says that a job ran, which is no lineage.

Specification: https://openlineage.io/spec/2-0-2/OpenLineage.json
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from connectors.format import FileContext, Format
from connectors.formats.json_stream import starts_like_json, values
from connectors.formats.openlineage_event import Event
from shared.records import Address, Dataset, Deleted, Found, Process, Refusal

#: records held back to be merged with later events of the same file, by number and by bytes
WINDOW = 256
WINDOW_BYTES = 32 * 1024 * 1024


class OpenLineage(Format):
    name = "openlineage"
    title = "OpenLineage events of Spark, Airflow, dbt, Flink and others: jobs, datasets, column lineage"
    looks_like = '.json or .jsonl with {"eventType": "COMPLETE", "job": {"namespace", "name"}, "inputs": [...], ...}'
    folders = ("lineage", "open_lineage")
    may_be_empty = True

    def recognises(self, name: str, head: bytes) -> bool:  # noqa: ARG002
        head = starts_like_json(head)
        has = [key in head for key in (b'"job"', b'"run"', b'"eventType"', b'"eventTime"')]
        return (
            b"openlineage.io/spec" in head
            or sum(has) > 1  # also without its job: the event says then what is missing
            or (b'"eventTime"' in head and b'"dataset"' in head)
        )

    def read(self, file: BinaryIO, context: FileContext) -> Iterator[Found | Refusal]:
        """Raises BadInput: empty, not JSON, damaged, another encoding."""
        window = _Window()
        for item in values(file, context.path, "event"):
            for result in (item,) if isinstance(item, Refusal) else Event(item).read():
                if isinstance(result, Refusal):
                    yield result
                else:
                    yield from window.put(result)
        yield from window.flush()


class _Window:
    """Merges the records of one address. Holds a few, so that memory does not grow with the file."""

    def __init__(self) -> None:
        self._held: dict[tuple[bool, Address], Found] = {}  # (is it a process, address) -> record
        self._bytes = 0

    def put(self, found: Found) -> Iterator[Found]:
        record = found.record
        assert isinstance(record, (Process, Dataset, Deleted))
        key = (isinstance(record, Process), record.address)
        before = self._held.pop(key, None)
        self._held[key] = found if before is None else _merged(before, found)
        self._bytes += len(msgspec.json.encode(record))
        if len(self._held) > WINDOW or self._bytes > WINDOW_BYTES:
            yield from self.flush()

    def flush(self) -> Iterator[Found]:
        """Datasets before processes, each in the order in which they were named last."""
        held, self._held, self._bytes = self._held, {}, 0
        yield from (found for (is_process, _), found in held.items() if not is_process)
        yield from (found for (is_process, _), found in held.items() if is_process)


def _merged(before: Found, after: Found) -> Found:
    old, new = before.record, after.record
    if isinstance(old, Process) and isinstance(new, Process):
        return before if old.state == "COMPLETE" and new.state != "COMPLETE" else after
    if isinstance(old, Dataset) and isinstance(new, Dataset):  # a later event may describe less
        fields = ("columns", "description", "owners", "tags", "properties")
        known = {field: getattr(new, field) or getattr(old, field) for field in fields}
        return Found(msgspec.structs.replace(new, **known), after.place)
    return after
