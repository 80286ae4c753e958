"""The REST subset of the local catalogue, its page, and the ends on Event Hubs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from local.catalogue.server import Running, running_catalogue

ROOT = Path(__file__).parents[2]
TYPES = yaml.safe_load((ROOT / "tests" / "cases" / "catalogue" / "types.yaml").read_text())
PREFIXES = ("/datamap/api/atlas/v2", "/catalog/api/atlas/v2", "/api/atlas/v2")


class Client:
    def __init__(self, running: Running) -> None:
        self.running = running
        self.session = requests.Session()

    def __call__(self, method: str, path: str, body: Any = None, status: Any = 200, **params: Any) -> Any:
        url = self.running.url + (path if path.startswith("//") else PREFIXES[0] + path).replace("//", "/", 1)
        answer = self.session.request(method, url, json=body, params=params, timeout=10)
        assert answer.status_code == status, answer.text
        return answer.json()

    def page(self, path: str) -> str:
        answer = self.session.get(self.running.url + path, timeout=10)
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        return answer.text


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with running_catalogue(tmp_path) as running:
        running.catalogue.add_types(TYPES, changed=False)
        found = Client(running)
        yield found
        found.session.close()


def named(type_name: str, qn: str) -> dict[str, Any]:
    return {"typeName": type_name, "uniqueAttributes": {"qualifiedName": qn}}


def one(type_name: str, qn: str, guid: str = "-1", **attributes: Any) -> dict[str, Any]:
    values = {"name": qn.rpartition("/")[2], "qualifiedName": qn} | attributes
    return {"typeName": type_name, "guid": guid, "attributes": values}


def shop(client: Client) -> dict[str, str]:
    """Two tables with a column each and a process between them; guids by qualifiedName."""
    columns = [one("demo_column", f"x/{t}#id", f"-{n}", dataType="int") for n, t in ((11, "a"), (12, "b"))]
    for column, parent in zip(columns, ("-1", "-2"), strict=True):
        column["relationshipAttributes"] = {"table": {"guid": parent}}
    mapping = [
        {
            "DatasetMapping": {"Source": "x/a", "Sink": "x/b"},
            "ColumnMapping": [{"Source": "id", "Sink": "id"}, {"Source": "*", "Sink": "loaded"}],
        }
    ]
    process = one("demo_process", "x/p", "-3", columnMapping=json.dumps(mapping))
    process["attributes"] |= {"inputs": [{"guid": "-1"}], "outputs": [{"guid": "-2"}]}
    top = [one("demo_table", "x/a", "-1", description="Orders of the shop"), one("demo_table", "x/b", "-2"), process]
    answer = client("POST", "/entity/bulk", {"entities": [*top, *columns]})
    assert len(answer["mutatedEntities"]["CREATE"]) == 5
    names = {e["guid"]: e["attributes"]["qualifiedName"] for e in [*top, *columns]}
    return {names[local]: guid for local, guid in answer["guidAssignments"].items()}


def test_typedefs(client: Client) -> None:
    for prefix in PREFIXES:
        found = client("GET", "/" + prefix + "/types/typedefs", type="entity")
        assert {"azure_sql_table", "rdbms_table", "demo_table"} <= {d["name"] for d in found["entityDefs"]}
        assert found["relationshipDefs"] == []
    table = client("GET", "/types/entitydef/name/postgresql_table")
    ends = {r["name"]: r for r in table["relationshipAttributeDefs"]}
    assert ends["columns"]["typeName"] == "array<postgresql_table_column>"
    assert ends["dbSchema"]["isOptional"] is False
    headers = client("GET", "/types/typedefs/headers")
    assert {"name": "demo_table_columns", "category": "RELATIONSHIP"}.items() <= headers[-2].items()
    assert client("GET", "/types/entitydef/name/nothing", status=404)["errorCode"] == "ATLAS-404-00-001"


def test_typedefs_are_posted_once_and_put_after_that(client: Client) -> None:
    new: dict[str, Any] = {"entityDefs": [{"name": "demo_file", "superTypes": ["DataSet"], "attributeDefs": []}]}
    client("POST", "/types/typedefs", new)
    assert client("POST", "/types/typedefs", new, status=409)["errorCode"] == "ATLAS-409-00-001"
    definition: dict[str, Any] = new["entityDefs"][0]
    definition["attributeDefs"] = [{"name": "size", "typeName": "long", "isOptional": False}]
    assert "mandatory" in client("PUT", "/types/typedefs", new, status=400)["errorMessage"]
    definition["attributeDefs"][0]["isOptional"] = True
    client("PUT", "/types/typedefs", new)
    client("POST", "/entity/bulk", {"entities": [one("demo_file", "f", size="7")]})
    shown = client("GET", "/entity/uniqueAttribute/type/demo_file", **{"attr:qualifiedName": "f"})["entity"]
    assert shown["attributes"]["size"] == 7
    definition["attributeDefs"] = []
    assert "delete" in client("PUT", "/types/typedefs", new, status=400)["errorMessage"]


@pytest.mark.parametrize(
    ("definition", "status", "code"),
    [
        ({"entityDefs": [{"name": "x", "superTypes": ["nothing"]}]}, 404, "ATLAS-404-00-001"),
        ({"entityDefs": [{"name": "x", "attributeDefs": [{"name": "a", "typeName": "txt"}]}]}, 404, "ATLAS-404-00-001"),
        ({"entityDefs": [{"name": "x", "options": {"schemaAttributes": "data_type"}}]}, 400, "ATLAS-400-00-01A"),
        ({"relationshipDefs": [{"name": "x", "endDef1": {"type": "demo_table"}}]}, 400, "ATLAS-400-00-035"),
        ({"entityDefs": "x"}, 400, "ATLAS-400-00-01A"),
    ],
)
def test_wrong_typedefs_are_refused(client: Client, definition: dict[str, Any], status: int, code: str) -> None:
    assert client("POST", "/types/typedefs", definition, status=status)["errorCode"] == code


def test_read(client: Client) -> None:
    guids = shop(client)
    table = client("GET", f"/entity/guid/{guids['x/a']}")
    assert table["entity"]["relationshipAttributes"]["columns"][0]["displayText"] == "a#id"
    assert table["referredEntities"][guids["x/a#id"]]["attributes"]["dataType"] == "int"
    assert table["entity"]["attributes"]["rows"] == 0
    process = client("GET", "/entity/uniqueAttribute/type/Process", **{"attr:qualifiedName": "x/p"})["entity"]
    assert process["attributes"]["inputs"] == [{"guid": guids["x/a"], **named("demo_table", "x/a")}]
    both = client("GET", "/entity/bulk", guid=[guids["x/a"], guids["x/b"]])
    assert [e["guid"] for e in both["entities"]] == [guids["x/a"], guids["x/b"]]
    assert set(both["referredEntities"]) == {guids["x/a#id"], guids["x/b#id"]}
    asked = {"attr_0:qualifiedName": "x/b", "attr_1:qualifiedName": "x/nothing", "attr_2:qualifiedName": "x/a"}
    found = client("GET", "/entity/bulk/uniqueAttribute/type/demo_table", **asked)["entities"]
    assert [e["attributes"]["name"] for e in found] == ["b", "a"]


def test_answers_what_the_hook_would_drop(client: Client) -> None:
    error = client("POST", "/entity/bulk", {"entities": [one("demo_table", "a", rows="abc")]}, status=400)
    assert error["errorCode"] == "ATLAS-404-00-007"
    assert "demo_table.rows=abc: invalid value for type long" in error["errorMessage"]
    process = one("demo_process", "p", inputs=[named("demo_table", "a")])
    error = client("POST", "/entity/bulk", {"entities": [process]}, status=404)
    assert error["errorCode"] == "ATLAS-404-00-00A", "REST makes no shells"
    folder = [one("demo_folder", "f", "-1"), one("demo_process", "p", "-2", outputs=[{"guid": "-1"}])]
    assert client("POST", "/entity/bulk", {"entities": folder}, status=400)["errorCode"] == "ATLAS-400-00-036"
    missing = client("GET", "/entity/uniqueAttribute/type/demo_table", status=404, **{"attr:qualifiedName": "a"})
    assert missing["errorCode"] == "ATLAS-404-00-009"
    assert client("GET", "/entity/guid/nothing", status=404)["errorCode"] == "ATLAS-404-00-005"
    assert client("POST", "/entity/bulk", {"entities": {}}, status=400)["errorMessage"]


def test_partial_update_and_deletes(client: Client) -> None:
    guids = shop(client)
    update = {"entity": {"typeName": "demo_table", "attributes": {"kind": "x"}}}
    answer = client("PUT", "/entity/uniqueAttribute/type/demo_table", update, **{"attr:qualifiedName": "x/a"})
    assert answer["mutatedEntities"]["UPDATE"][0]["guid"] == guids["x/a"]
    assert client("GET", f"/entity/guid/{guids['x/a']}")["entity"]["attributes"]["kind"] == "x"
    answer = client("DELETE", "/entity/uniqueAttribute/type/demo_table", **{"attr:qualifiedName": "x/a"})
    assert {e["guid"] for e in answer["mutatedEntities"]["DELETE"]} == {guids["x/a"], guids["x/a#id"]}
    client("GET", "/entity/uniqueAttribute/type/demo_table", status=404, **{"attr:qualifiedName": "x/a"})
    assert client("GET", f"/entity/guid/{guids['x/a']}")["entity"]["status"] == "DELETED"
    assert client("DELETE", f"/entity/guid/{guids['x/a']}").get("mutatedEntities") is None
    answer = client("DELETE", "/entity/bulk", guid=[guids["x/b"], guids["x/p"]])
    assert len(answer["mutatedEntities"]["DELETE"]) == 3


def test_lineage(client: Client) -> None:
    guids = shop(client)
    found = client("GET", f"/lineage/{guids['x/b']}", direction="INPUT", depth=3)
    assert found["baseEntityGuid"] == guids["x/b"]
    assert set(found["guidEntityMap"]) == {guids["x/a"], guids["x/p"], guids["x/b"]}
    pairs = {(r["fromEntityId"], r["toEntityId"]) for r in found["relations"]}
    assert pairs == {(guids["x/a"], guids["x/p"]), (guids["x/p"], guids["x/b"])}
    assert client("GET", f"/lineage/{guids['x/b']}", direction="OUTPUT")["relations"] == []
    by_name = client("GET", "/lineage/uniqueAttribute/type/demo_table", **{"attr:qualifiedName": "x/a"})
    assert len(by_name["relations"]) == 2
    client("POST", "/entity/bulk", {"entities": [one("demo_folder", "f")]})
    folder = client("GET", "/entity/uniqueAttribute/type/demo_folder", **{"attr:qualifiedName": "f"})["entity"]["guid"]
    assert client("GET", f"/lineage/{folder}", status=404)["errorCode"] == "ATLAS-404-00-011"


def test_lineage_depth_and_cycles(client: Client) -> None:
    entities = [one("demo_table", f"t{n}", f"-{n + 1}") for n in range(8)]
    for n in range(8):
        process = one("demo_process", f"p{n}", f"-{n + 100}")
        process["attributes"] |= {"inputs": [{"guid": f"-{n + 1}"}], "outputs": [{"guid": f"-{(n + 1) % 8 + 1}"}]}
        entities.append(process)
    guids = client("POST", "/entity/bulk", {"entities": entities})["guidAssignments"]
    near = client("GET", f"/lineage/{guids['-1']}", direction="OUTPUT", depth=2)
    assert len(near["guidEntityMap"]) == 5
    whole = client("GET", f"/lineage/{guids['-1']}", depth=50)
    assert (len(whole["guidEntityMap"]), len(whole["relations"])) == (16, 16)


def test_search_never_finds_columns(client: Client) -> None:
    shop(client)

    def names(**query: Any) -> list[str]:
        found = client("POST", "//datamap/api/search/query", query)
        assert found["@search.count"] >= len(found["value"])
        return [hit["qualifiedName"] for hit in found["value"]]

    assert names(keywords="*") == ["x/a", "x/b", "x/p"]
    assert names(keywords="id") == []
    assert names(keywords="orders shop") == ["x/a"]
    assert names(keywords=None, filter={"entityType": "demo_process"}) == ["x/p"]
    assert names(
        filter={"and": [{"entityType": "DataSet", "includeSubTypes": True}, {"not": {"entityType": "x"}}]}
    ) == [
        "x/a",
        "x/b",
    ]
    assert names(filter={"attributeName": "qualifiedName", "operator": "eq", "attributeValue": "x/b"}) == ["x/b"]
    assert names(limit=1, offset=1) == ["x/b"]
    assert "not known" in client("POST", "//datamap/api/search/query", {"filter": {"z": 1}}, status=400)["errorMessage"]


def test_collections(client: Client) -> None:
    guids = shop(client)
    move = {"entityGuids": [guids["x/a"]]}
    client("POST", "//datamap/api/entity/moveTo", move, status=404, collectionId="sales")
    client("PUT", "//collections/sales", {"friendlyName": "Sales"})
    client("POST", "//datamap/api/entity/moveTo", move, collectionId="sales")
    assert client("GET", f"/entity/guid/{guids['x/a']}")["entity"]["collectionId"] == "sales"
    assert [c["friendlyName"] for c in client("GET", "//collections")["value"]] == ["Local catalogue", "Sales"]


def test_faults(client: Client) -> None:
    client("POST", "//local/faults", {"restStatus": 429, "restRequests": 2, "retryAfter": 3})
    url = client.running.url + PREFIXES[0] + "/types/typedefs/headers"
    answers = [client.session.get(url, timeout=10) for _ in range(3)]
    assert [a.status_code for a in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "3"
    client("POST", "//local/faults", {"dropPercent": 30, "seed": 1})
    drops = sum(client.running.faults.drops(b"%d" % n) for n in range(1000))
    assert 250 < drops < 350
    assert client("POST", "//local/faults", {"dropPercent": 300}, status=400)["errorMessage"]
    assert client("DELETE", "//local/faults")["dropPercent"] == 0


def test_other_hosts_are_not_answered(client: Client) -> None:
    answer = client.session.get(client.running.url, headers={"Host": "evil.example"}, timeout=10)
    assert answer.status_code == 400


def test_bodies_that_are_no_json(client: Client) -> None:
    for body in (b"{", b"\xff", b"[" * 100_000):
        answer = client.session.post(client.running.url + PREFIXES[0] + "/entity/bulk", data=body, timeout=10)
        assert (answer.status_code, answer.json()["errorCode"]) == (400, "ATLAS-400-00-020")


def test_pyapacheatlas(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyapacheatlas.auth import BasicAuthentication
    from pyapacheatlas.core import AtlasClient, AtlasEntity, AtlasProcess
    from pyapacheatlas.core.typedef import AtlasAttributeDef, EntityTypeDef
    from pyapacheatlas.scaffolding import column_lineage_scaffold

    for prefix in PREFIXES:
        atlas = AtlasClient(client.running.url + prefix, BasicAuthentication("user", "anything"))
        definition = EntityTypeDef(f"py_{prefix.count('/')}_{len(prefix)}", superTypes=["DataSet"])
        definition.attributeDefs = [AtlasAttributeDef("size", typeName="long").to_json()]
        atlas.upload_typedefs(entityDefs=[definition], force_update=True)
        atlas.upload_typedefs(entityDefs=[definition], force_update=True)
        table = AtlasEntity("t", definition.name, f"{prefix}/t", "-1", attributes={"size": 3})
        process = AtlasProcess("p", "demo_process", f"{prefix}/p", inputs=[table], outputs=[], guid="-2")
        guids = atlas.upload_entities([table, process])["guidAssignments"]
        assert atlas.get_entity(guid=guids["-1"])["entities"][0]["attributes"]["size"] == 3
        found = atlas.get_entity(qualifiedName=f"{prefix}/t", typeName=definition.name)
        assert found["entities"][0]["guid"] == guids["-1"]
        assert len(atlas.get_entity_lineage(guids["-1"])["relations"]) == 1
        assert atlas.delete_entity(guid=guids["-1"])["mutatedEntities"]["DELETE"]
    scaffold = column_lineage_scaffold("py_scaffold", use_column_mapping=True)
    atlas.upload_typedefs(scaffold, force_update=True)
    assert "py_scaffold_table" in {d["name"] for d in atlas.get_all_typedefs()["entityDefs"]}


# the page


HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=1>"


def test_page_escapes_names(client: Client) -> None:
    table = one("demo_table", HOSTILE, "-1", kind=HOSTILE, description=HOSTILE)
    table |= {"customAttributes": {"k": HOSTILE}, "relationshipAttributes": {"columns": [{"guid": "-2"}]}}
    column = one("demo_column", HOSTILE + "#c", "-2", dataType=HOSTILE)
    column["relationshipAttributes"] = {"table": {"guid": "-1"}}
    mapping = [
        {
            "DatasetMapping": {"Source": HOSTILE, "Sink": HOSTILE + "2"},
            "ColumnMapping": [{"Source": HOSTILE, "Sink": HOSTILE}],
        }
    ]
    process = one("demo_process", HOSTILE + "p", "-3", columnMapping=json.dumps(mapping))
    process["attributes"] |= {"inputs": [{"guid": "-1"}], "outputs": [{"guid": "-4"}]}
    top = [table, process, one("demo_table", HOSTILE + "2", "-4")]
    guids = client("POST", "/entity/bulk", {"entities": [*top, column]})["guidAssignments"]
    client.running.catalogue.apply(HOSTILE.encode())
    pages = ["/", f"/?q={HOSTILE}&type=demo_table", "/dropped"]
    pages += [f"/{kind}/{guid}" for guid in guids.values() for kind in ("asset", "lineage")]
    for path in pages:
        text = client.page(path)
        assert "&lt;script&gt;" in text, path
        assert "<script>alert" not in text, path
        assert "<img" not in text, path


def test_page_shows_what_there_is(client: Client) -> None:
    assert "Nothing here" in client.page("/")
    guids = shop(client)
    index = client.page("/")
    assert "demo_table" in index and "<b>2</b>" in index and "Orders of the shop" in index
    assert "a#id" not in client.page("/?q=id")
    assert "a#id" in client.page("/?type=demo_column")
    asset = client.page(f"/asset/{guids['x/a']}")
    assert "Columns <small>1</small>" in asset and "<code>int</code>" in asset
    column = client.page(f"/asset/{guids['x/a#id']}")
    assert f'<p class="crumbs">\n  <a href="/asset/{guids["x/a"]}">a</a>' in column
    assert client.session.get(client.running.url + "/asset/nothing", timeout=10).status_code == 404
    assert client.session.get(client.running.url + "/static/lineage.js", timeout=10).status_code == 200
    assert client.session.get(client.running.url + "/static/../store.py", timeout=10).status_code == 404


def test_page_draws_lineage(client: Client) -> None:
    guids = shop(client)
    text = client.page(f"/lineage/{guids['x/b']}")
    assert text.count("<rect") == 2 and text.count("<circle") == 1
    assert text.count('class="edge"') == 2
    assert text.count('class="column-edge"') == 1
    assert "derived or unknown" in text
    assert f'href="/lineage/{guids["x/a"]}"' in text


def test_page_keeps_the_column_that_its_address_names(client: Client) -> None:
    guids = shop(client)
    text = client.page(f"/lineage/{guids['x/b']}")
    [(source, sink)] = re.findall(r'class="column-edge" data-start="(\d+)" data-end="(\d+)"', text)
    [name] = re.findall(rf'data-key="{sink}"[^>]*>([^<]+)<', text)
    assert f'/lineage/{guids["x/b"]}?column={name}"><b>{name}</b>' in text
    assert "data-column=" not in text
    assert f'data-column="{sink}"' in client.page(f"/lineage/{guids['x/b']}?column={name}")
    assert "data-column=" not in client.page(f"/lineage/{guids['x/b']}?column=nothing")
    assert source != sink


def test_page_marks_shells_and_drops(client: Client) -> None:
    process = one("demo_process", "p", inputs=[named("demo_table", "ghost")])
    hook = {"type": "ENTITY_CREATE_V2", "entities": {"entities": [process]}}
    client.running.catalogue.apply(json.dumps(hook).encode())
    bad = {"type": "ENTITY_CREATE_V2", "entities": {"entities": [one("demo_table", "t", rows="abc")]}}
    client.running.catalogue.apply(json.dumps(bad).encode())
    assert "incomplete" in client.page("/")
    assert "invalid value for type long" in client.page("/dropped?kind=failed")
    (row,) = client("GET", "//local/dropped", kind="failed")["value"]
    assert row["subject"] == "ENTITY_CREATE_V2 (dropped)" and '"abc"' in row["sample"]


def test_page_draws_hundreds_of_nodes_quickly(client: Client) -> None:
    entities = [one("demo_table", f"t{n}", f"-{n + 1}") for n in range(300)]
    process = one("demo_process", "p", "-1000")
    process["attributes"] |= {"inputs": [{"guid": f"-{n + 1}"} for n in range(299)], "outputs": [{"guid": "-300"}]}
    guids = client("POST", "/entity/bulk", {"entities": [*entities, process]})["guidAssignments"]
    started = time.monotonic()
    text = client.page(f"/lineage/{guids['-300']}")
    assert text.count("<rect") == 300
    assert time.monotonic() - started < 5


# the process, and Event Hubs


def started(*arguments: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.kill()
        pytest.fail(f"{arguments}: {process.communicate()[1][-2000:]}")
    return process, json.loads(line)


def stopped(process: subprocess.Popen[str]) -> int:
    process.terminate()
    process.communicate(timeout=40)
    return process.returncode


def eventually(check: Callable[[], Any], seconds: float = 20) -> Any:
    limit = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < limit, "did not happen in time"
        time.sleep(0.05)
    return found


def test_the_command_starts_and_stops(tmp_path: Path) -> None:
    process, ready = started("local.catalogue", "--port", "0", "--data", str(tmp_path))
    assert requests.get(ready["url"] + "/local/health", timeout=10).json() == {"status": "ok", "entities": 0}
    assert ready["url"].endswith(f":{ready['port']}")
    assert stopped(process) == 0


def test_through_event_hubs(tmp_path: Path) -> None:
    pytest.importorskip("local.event_hubs.__main__", reason="the Event Hubs stand-in is not there")
    from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient

    hubs, ready = started(
        "local.event_hubs", "--memory", "--port", "0", "--hub", "purview-hook:2", "--hub", "purview-notifications:1"
    )
    connection = ready["connection_string"]

    def send(*bodies: Any) -> None:
        with EventHubProducerClient.from_connection_string(connection, eventhub_name="purview-hook") as producer:
            producer.send_batch([EventData(json.dumps(b)) for b in bodies], partition_key="k", timeout=20)

    def create(qn: str) -> dict[str, Any]:
        return {"message": {"type": "ENTITY_CREATE_V2", "entities": {"entities": [one("demo_table", qn)]}}}

    try:
        with running_catalogue(tmp_path, hub_connection=connection) as running:
            running.catalogue.add_types(TYPES, changed=False)
            send(create("a"), "no envelope", create("b"))
            eventually(lambda: running.catalogue.store.by_qualified_name("b"))
            eventually(lambda: not running.catalogue.store.notifications(1))
        send(create("c"))
        with running_catalogue(tmp_path, hub_connection=connection) as running:
            eventually(lambda: running.catalogue.store.by_qualified_name("c"))
            eventually(lambda: not running.catalogue.store.notifications(1))
            assert [d["count"] for d in running.catalogue.store.dropped("skipped")] == [1], "read once, not again"
        seen: list[str] = []
        consumer = EventHubConsumerClient.from_connection_string(
            connection, consumer_group="$Default", eventhub_name="purview-notifications"
        )

        def take(_: Any, event: Any) -> None:
            if event is None:
                consumer.close()
                return
            message = json.loads(event.body_as_str())["message"]
            seen.append(f"{message['operationType']} {message['entity']['attributes']['qualifiedName']}")

        with consumer:
            consumer.receive(take, partition_id="0", starting_position="-1", max_wait_time=1.5)
        assert seen == ["ENTITY_CREATE a", "ENTITY_CREATE b", "ENTITY_CREATE c"]
    finally:
        stopped(hubs)
