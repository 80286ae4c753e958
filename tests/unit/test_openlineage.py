"""What becomes of OpenLineage events: lineage that is not wiped, names, columns, and how much is held at a time."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from connectors.format import FileContext
from connectors.formats import openlineage
from connectors.formats.openlineage import OpenLineage
from shared.records import Address, ColumnEdge, Dataset, Deleted, Found, Process, Refusal

SERVER = "postgres://db.example:5432"
ORDERS = {"namespace": SERVER, "name": "crm.public.orders"}
DAYS = {"namespace": SERVER, "name": "crm.mart.days"}
ORDERS_AT = Address("postgresql", "db.example:5432", ("crm", "public", "orders"))
DAYS_AT = Address("postgresql", "db.example:5432", ("crm", "mart", "days"))


def event(kind: str = "COMPLETE", name: str = "j", **fields: Any) -> dict[str, Any]:
    return {"eventType": kind, "job": {"namespace": "n", "name": name}} | fields


def read(*events: Any) -> list[Found | Refusal]:
    content = b"\n".join(json.dumps(e).encode() for e in events)
    return list(OpenLineage().read(io.BytesIO(content), FileContext(path="x.jsonl")))


def records(*events: Any) -> list[Any]:
    items = read(*events)
    assert all(isinstance(i, Found) for i in items), items
    return [i.record for i in items if isinstance(i, Found)]


def processes(*events: Any) -> list[Process]:
    return [r for r in records(*events) if isinstance(r, Process)]


def output(**facets: Any) -> dict[str, Any]:
    return {**DAYS, "facets": facets}


class TestRuns:
    def test_a_partial_start_does_not_wipe_a_complete_run(self) -> None:
        done = event(inputs=[ORDERS], outputs=[DAYS])
        for partial in (event("START"), event("START", outputs=[DAYS]), event("FAIL", inputs=[ORDERS]), event("ABORT")):
            for events in ((done, partial), (partial, done)):
                (process,) = processes(*events)
                assert (process.inputs, process.outputs, process.state) == ((ORDERS_AT,), (DAYS_AT,), "COMPLETE")

    @pytest.mark.parametrize("kind", ["START", "RUNNING", "FAIL", "ABORT"])
    def test_an_unfinished_run_alone_needs_both_sides(self, kind: str) -> None:
        assert processes(event(kind, outputs=[DAYS])) == []
        (process,) = processes(event(kind, inputs=[ORDERS], outputs=[DAYS]))
        assert process.state == kind

    def test_the_last_complete_run_wins(self) -> None:
        (process,) = processes(event(inputs=[DAYS]), event(inputs=[ORDERS]))
        assert process.inputs == (ORDERS_AT,)

    def test_a_run_that_ended_says_when(self) -> None:
        at = "2026-02-01T04:00:12Z"
        assert processes(event(eventTime=at, inputs=[ORDERS]))[0].ended == at
        assert processes(event("RUNNING", eventTime=at, inputs=[ORDERS], outputs=[DAYS]))[0].ended == ""

    def test_an_event_without_datasets_is_no_lineage_and_no_error(self) -> None:
        assert read(event(inputs=[], outputs=[]), event("START")) == []

    def test_a_static_job_event(self) -> None:
        (process,) = processes({"job": {"namespace": "n", "name": "j"}, "inputs": [ORDERS], "eventTime": "x"})
        assert (process.state, process.ended, process.inputs) == ("", "", (ORDERS_AT,))

    def test_parent(self) -> None:
        def with_parent(namespace: str, name: str, key: str = "parent") -> Address | None:
            run = {"runId": "{{ any(result) }}", "facets": {key: {"job": {"namespace": namespace, "name": name}}}}
            return processes(event(inputs=[ORDERS], run=run))[0].parent

        assert with_parent("n", "dag") == Address("openlineage", "n", ("dag",), "job")
        assert with_parent("n", "dag", "parentRun") == Address("openlineage", "n", ("dag",), "job")
        assert with_parent("n", "j") is None  # some producers name the job as its own parent

    def test_the_window_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(openlineage, "WINDOW", 5)
        events = [event(name=f"j{n}", inputs=[ORDERS]) for n in range(20)]
        assert [p.address.name for p in processes(*events)] == [f"j{n}" for n in range(20)]
        file = io.BytesIO(b"\n".join(json.dumps(e).encode() for e in events))
        window = OpenLineage().read(file, FileContext(path="x"))
        first = next(window)
        assert isinstance(first, Found)
        assert first.place == 1


class TestDatasets:
    def test_columns_nested_and_described(self) -> None:
        fields = [
            {"name": "a", "type": "struct", "fields": [{"name": "b", "type": None, "description": "inner"}]},
            {"name": "c"},
        ]
        (dataset,) = (r for r in records(event(outputs=[output(schema={"fields": fields})])) if isinstance(r, Dataset))
        assert [(c.path, c.name, c.type, c.description) for c in dataset.columns] == [
            ((), "a", "struct", ""),
            (("a",), "b", "", "inner"),
            ((), "c", "", ""),
        ]

    def test_a_later_mention_without_a_schema_takes_no_columns_away(self) -> None:
        described = output(schema={"fields": [{"name": "a"}]}, documentation={"description": "old"})
        again = output(documentation={"description": "new"}, ownership={"owners": [{"name": "team"}]})
        (dataset,) = (r for r in records(event(outputs=[described]), event(inputs=[again])) if isinstance(r, Dataset))
        assert [c.name for c in dataset.columns] == ["a"]
        assert (dataset.description, dataset.owners) == ("new", ("team",))

    def test_a_table_is_preferred_to_its_location(self) -> None:
        def address(namespace: str, name: str, kind: str = "TABLE") -> Address:
            links = {"identifiers": [{"namespace": namespace, "name": name, "type": kind}]}
            location = {"namespace": "s3://warehouse", "name": "db/t", "facets": {"symlinks": links}}
            return processes(event(inputs=[location]))[0].inputs[0]

        file = Address("s3", "", ("warehouse", "db", "t"), "file")
        assert address("hive://meta:9083", "db.t") == Address("hive", "meta:9083", ("db", "t"))
        assert address("hive://meta:9083", "db.t", "LOCATION") == file
        assert address("s3://warehouse", "db.t") == file  # the warehouse's folder is no server
        assert address("my-namespace", "db.t") == file

    def test_dropped(self) -> None:
        drop = output(lifecycleStateChange={"lifecycleStateChange": "DROP"})
        assert records(event(outputs=[drop], inputs=[ORDERS])) == [
            Deleted(address=DAYS_AT),
            Process(address=Address("openlineage", "n", ("j",), "job"), inputs=(ORDERS_AT,), state="COMPLETE"),
        ]
        assert not any(isinstance(r, Deleted) for r in records(event("START", outputs=[drop], inputs=[ORDERS])))

    def test_a_dataset_event_is_kept_even_if_it_says_little(self) -> None:
        assert records({"dataset": DAYS, "eventTime": "x"}) == [Dataset(address=DAYS_AT)]


class TestColumns:
    def edges(self, *inputs: dict[str, Any], **field: Any) -> tuple[ColumnEdge, ...]:
        lineage = {"fields": {"total": {"inputFields": list(inputs), **field}}}
        (process,) = processes(event(outputs=[output(columnLineage=lineage)]))
        assert set(process.inputs) == {e.source for e in process.columns}
        return process.columns

    def test_what_flows(self) -> None:
        copied = {**ORDERS, "field": "a", "transformations": [{"type": "DIRECT", "subtype": "IDENTITY"}]}
        summed = {
            **ORDERS,
            "field": "b",
            "transformations": [{"type": "DIRECT", "subtype": "AGGREGATION", "description": "sum(b)"}],
        }
        windowed = {**ORDERS, "field": "w", "transformations": [{"type": "INDIRECT", "subtype": "WINDOW"}]}
        joined = {**ORDERS, "field": "j", "transformations": [{"type": "INDIRECT", "subtype": "JOIN"}]}
        edges = self.edges(copied, summed, windowed, joined)
        assert [(e.source_column, e.kind, e.expression) for e in edges] == [
            ("a", "copy", ""),
            ("b", "derivation", "sum(b)"),
            ("w", "derivation", ""),
        ]
        assert {(e.source, e.target, e.target_column) for e in edges} == {(ORDERS_AT, DAYS_AT, "total")}

    def test_the_form_before_transformations(self) -> None:
        (edge,) = self.edges({**ORDERS, "field": "a"}, transformationType="IDENTITY", transformationDescription="as is")
        assert (edge.kind, edge.expression) == ("copy", "as is")

    def test_what_only_selects_rows_is_an_input_without_an_edge(self) -> None:
        lineage = {"fields": {}, "dataset": [{**ORDERS, "field": "flag"}]}
        (process,) = processes(event(outputs=[output(columnLineage=lineage)]))
        assert (process.inputs, process.columns) == ((ORDERS_AT,), ())

    def test_a_bad_input_field_leaves_the_others(self) -> None:
        fields = [{"name": "x", "field": "a"}, {**ORDERS, "field": "b"}]
        items = read(event(outputs=[output(columnLineage={"fields": {"t": {"inputFields": fields}}})]))
        refusal, found = items
        assert isinstance(refusal, Refusal)
        assert "fields.t.inputFields[0]" in refusal.reason
        assert isinstance(found, Found)
        assert isinstance(found.record, Process)
        assert [e.source_column for e in found.record.columns] == ["b"]


class TestSql:
    def test_inputs_come_from_sql_where_the_event_has_none(self) -> None:
        job = {
            "namespace": "n",
            "name": "j",
            "facets": {"sql": {"query": "select * from crm.public.orders", "dialect": "PostgreSQL"}},
        }
        (process,) = processes(event(job=job, outputs=[DAYS]))
        assert process.inputs == (ORDERS_AT,)
        assert process.dialect == "postgres"

    def test_incomplete_names_are_not_guessed(self) -> None:
        job = {"namespace": "n", "name": "j", "facets": {"sql": {"query": "select * from orders"}}}
        assert processes(event(job=job, outputs=[DAYS]))[0].inputs == ()

    def test_credentials_are_masked(self) -> None:
        query = "copy t from 's3://x' credentials 'aws_secret_access_key=abcdef1234567'"
        job = {"namespace": "n", "name": "j", "facets": {"sql": {"query": query}}}
        assert "abcdef1234567" not in processes(event(job=job, outputs=[DAYS]))[0].sql
