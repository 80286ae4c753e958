"""OpenLineage: one event, arrays, lines, static events, and what producers get wrong."""

from __future__ import annotations

import gzip
import json
from typing import Any

from connectors.formats.openlineage import OpenLineage
from tests.conformance.formats.subject import SECRET, Bad, Subject


def event(number: int = 1, **changes: Any) -> dict[str, Any]:
    server = "postgres://db.example:5432"
    columns = {
        "fields": {
            "total": {
                "inputFields": [
                    {
                        "namespace": server,
                        "name": f"crm.public.orders_{number}",
                        "field": "amount",
                        "transformations": [{"type": "DIRECT", "subtype": "AGGREGATION", "description": "sum(amount)"}],
                    }
                ]
            }
        }
    }
    schema = {"fields": [{"name": "total", "type": "numeric", "description": "euro"}]}
    whole = {
        "eventType": "COMPLETE",
        "eventTime": "2026-03-02T02:14:37.512Z",
        "run": {"runId": "{{ any(result) }}", "facets": {"parent": {"job": {"namespace": "flows", "name": "nightly"}}}},
        "job": {"namespace": "flows", "name": f"nightly.load_{number}", "facets": {"sql": {"query": "select 1"}}},
        "inputs": [{"namespace": server, "name": f"crm.public.orders_{number}"}],
        "outputs": [
            {
                "namespace": server,
                "name": f"crm.mart.days_{number}",
                "facets": {"schema": schema, "columnLineage": columns, "ownership": {"owners": [{"name": "team:bi"}]}},
            }
        ],
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
    }
    return whole | changes


def line(number: int) -> bytes:
    return json.dumps(event(number)).encode()


DATASET = {
    "eventTime": "2026-03-02T02:14:37Z",
    "dataset": {
        "namespace": "s3://lake",
        "name": "raw/orders",
        "facets": {"documentation": {"description": "as delivered"}},
    },
    "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/DatasetEvent",
}
ARRAY = json.dumps([event(1), DATASET, event(2)], indent=1).encode()
SECRET_SQL = {"sql": {"query": f"ALTER USER a IDENTIFIED BY '{SECRET}'; -- postgres://u:{SECRET}@h/db"}}

SUBJECT = Subject(
    format=OpenLineage,
    good={
        "event.json": json.dumps(event(), indent=2).encode(),
        "one_line.json": line(1),
        "array.json": ARRAY,
        "events.jsonl": b"\n".join(map(line, range(1, 4))),
        "dataset.json": json.dumps(DATASET, indent=2).encode(),
        "packed.json.gz": gzip.compress(ARRAY),
    },
    bad={
        "an event without a job": Bad(line(1) + b'\n{"eventType": "START", "run": {}}', "has no job", "line 2"),
        "a job without a name": Bad(json.dumps(event(job={"namespace": "n"})).encode(), "namespace and name", "line 1"),
        "a dataset without a namespace": Bad(
            json.dumps([event(1), event(2, inputs=[{"name": "x"}])]).encode(), "inputs[0]", "event 2 of the array"
        ),
        "a schema that is a text": Bad(
            json.dumps(event(outputs=[{"namespace": "n", "name": "x", "facets": {"schema": "y"}}])).encode(),
            "outputs[0].facets.schema",
            "line 1",
        ),
        "an event that is a number": Bad(
            b'[{"job": {"namespace": "a", "name": "b"}}, 7]', "object", "event 2 of the array"
        ),
        "an array that is cut off": Bad(ARRAY[:-200], "broken or cut off", "event 3 of the array"),
        "an event that is cut off": Bad(json.dumps(event(), indent=2).encode()[:-20], "broken or cut off"),
        "an empty file": Bad(b" \n", "empty"),
        "a web page": Bad(b"<html>", "HTML"),
        "UTF-16": Bad(line(1).decode().encode("utf-16"), "UTF-8"),
        "a damaged archive": Bad(gzip.compress(ARRAY)[:-12], "damaged or cut off"),
    },
    line=line,
    secret={
        "sql.json": json.dumps(event(job={"namespace": "n", "name": "j", "facets": SECRET_SQL})).encode(),
        "broken.jsonl": line(1) + b'\n{"password": "%b" oops' % SECRET.encode(),
    },
)
