"""What arrives over HTTP, what gets lost on the way, and what a crash interrupts."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests

from tests.e2e.flow import JOBS, Flow, running

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    folder = tmp_path_factory.mktemp("delivery")
    with running(folder, ask_after_seconds=1, overdue_after_seconds=4, sweep_after_seconds=10) as flow:
        yield flow


def dataset(name: str) -> bytes:
    address = {"platform": "sqlite", "host": "shop", "path": ["shop", "main", name], "type": "table"}
    return json.dumps({"kind": "dataset", "address": address}).encode() + b"\n"


def test_an_openlineage_event_posted_to_the_app_is_confirmed(flow: Flow) -> None:
    event = (JOBS / "openlineage" / "order_export.json").read_bytes()
    answer = requests.post(
        f"{flow.stack.app_url}/api/v1/lineage", data=event, headers={"Content-Type": "application/json"}, timeout=30
    )
    assert answer.status_code == 201, answer.text
    landed = answer.json()["landed"]
    flow.settle()
    receipt = flow.receipt(landed)
    assert (receipt.state, receipt.format, receipt.sent > 0) == ("confirmed", "openlineage", True)
    assert receipt.confirmed == receipt.sent
    processes = flow.assets("hookline_process")
    assert [name for name in processes if "nightly_export.orders_to_lake" in name]


def test_a_body_that_is_no_event_is_refused_at_once(flow: Flow) -> None:
    answer = requests.post(f"{flow.stack.app_url}/api/v1/lineage", data=b"not json", timeout=30)
    assert (answer.status_code, "fix" in answer.json()) == (400, True)


def test_dropped_messages_are_noticed_sent_again_and_confirmed(flow: Flow) -> None:
    eaten = flow.stack.dropped("fault")
    flow.stack.faults(dropPercent=100)
    paths = [flow.land(f"records/dropped_{n}.jsonl", dataset(f"dropped_{n}")) for n in range(3)]
    flow.until(lambda: flow.stack.dropped("fault") >= eaten + len(paths), "the catalogue to drop what was sent")
    assert {flow.receipt(path).state for path in paths} == {"sent"}
    flow.stack.faults(dropPercent=0)
    flow.settle()
    for path in paths:
        receipt = flow.receipt(path)
        assert (receipt.state, receipt.resent, receipt.confirmed) == ("confirmed", True, receipt.sent)
    assert {f"sqlite://shop/shop/main/dropped_{n}" for n in range(3)} <= set(flow.assets("rdbms_table"))


def test_what_is_dropped_every_time_goes_over_rest(flow: Flow) -> None:
    flow.stack.faults(dropPercent=100)
    path = flow.land("records/never.jsonl", dataset("never"))
    flow.settle()
    flow.stack.faults(dropPercent=0)
    receipt = flow.receipt(path)
    assert (receipt.state, receipt.resent, receipt.by_rest) == ("confirmed", True, True)
    assert "sqlite://shop/shop/main/never" in flow.assets("rdbms_table")


def test_a_killed_app_goes_on_where_it_was(flow: Flow) -> None:
    paths = [flow.land(f"records/killed_{n:02}.jsonl", dataset(f"killed_{n:02}")) for n in range(24)]

    def some_are_through() -> bool:
        receipts = flow.receipts()
        return sum(1 for path in paths if path in receipts and receipts[path].state != "transforming") > 3

    flow.until(some_are_through, "the first files to be through")
    flow.stack.kill_app()
    states = [receipt.state for path, receipt in flow.receipts().items() if path in paths]
    assert len(states) < len(paths) or set(states) != {"confirmed"}, "it was killed in the middle"
    # a dead worker's leases run out after a minute; that is not what this test is about
    flow.until(lambda: not _broken_leases(flow), "the leases to be broken")
    flow.stack.start_app()
    flow.settle()
    for path in paths:
        receipt = flow.receipt(path)
        assert (path, receipt.state, receipt.confirmed) == (path, "confirmed", receipt.sent)
    assert {f"sqlite://shop/shop/main/killed_{n:02}" for n in range(24)} <= set(flow.assets("rdbms_table"))


def _broken_leases(flow: Flow) -> int:
    """Break the leases that are held; how many there were."""
    from azure.storage.blob import BlobLeaseClient

    state = flow.app.azure.container("state")
    held = [blob.name for blob in state.list_blobs() if blob.lease.state == "leased"]
    for name in held:
        BlobLeaseClient(state.get_blob_client(name)).break_lease(0)
    return len(held)
