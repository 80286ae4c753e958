"""`./hookline run --once`: the whole flow in one command, as a user starts it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from local.catalogue.server import running_catalogue
from local.samples import shop
from tests.e2e.flow import JOBS, columns, hookline, search

pytestmark = pytest.mark.e2e


def test_the_sample_is_confirmed_down_to_the_last_asset(tmp_path: Path) -> None:
    done = hookline(tmp_path, "run", "--once", "--report", "report.json")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "everything is confirmed" in done.stdout
    told = json.loads((tmp_path / "report.json").read_text())
    assert (told["ok"], told["problems"], told["rejected"]) == (True, [], [])
    files = {file["path"]: file for file in told["status"]["files"]}
    samples = {f"uploads/{path.relative_to(JOBS).as_posix()}" for path in JOBS.rglob("*") if path.is_file()}
    assert samples < set(files), "every sample file has landed, and the shop"
    for path, file in files.items():
        assert (path, file["state"]) == (path, "confirmed")
        assert file["sent"] == file["confirmed"] > 0, path
        assert file["records"] > 0, path
    (instance,) = told["status"]["instances"]
    assert [(scan["scope"], scan["state"]) for scan in instance["scans"]] == [("main", "finished")]
    # and now ask the catalogue itself
    database = shop.build(tmp_path / "shop.db")
    with closing(sqlite3.connect(database)) as connection:
        kept = "type in ('table', 'view') and name not like 'sqlite_%'"
        names = [name for (name,) in connection.execute(f"select name from sqlite_master where {kept}")]
        expected = {
            name: {column for (column,) in connection.execute(f"select name from pragma_table_xinfo('{name}')")}
            for name in names
        }
    assert len(expected) == 15
    with running_catalogue(tmp_path / ".hookline" / "once" / "catalogue") as catalogue:
        types = search(catalogue.url, "rdbms_table", "rdbms_view")
        base = "sqlite://shop/shop/main"
        assert {f"{base}/{name}" for name in expected} <= set(types)
        for name, wanted in expected.items():
            assert columns(catalogue.url, types[f"{base}/{name}"], f"{base}/{name}") == wanted, name


def test_bad_files_and_instances_do_not_take_their_neighbours_down(tmp_path: Path) -> None:
    shop.build(tmp_path / "shop.db")
    (tmp_path / "hookline.yaml").write_text(
        "instances:\n"
        f"  shop: {{connector: sqlite, settings: {{path: '{tmp_path / 'shop.db'}'}}}}\n"
        f"  gone: {{connector: sqlite, settings: {{path: '{tmp_path / 'gone.db'}'}}}}\n"
        "  typo: {connector: sqlit, settings: {path: x}}\n"
    )
    good = {"type": "table", "platform": "sqlite", "host": "h", "path": ["h", "main", "t"]}
    uploads = tmp_path / "landing" / "uploads"
    for name, text in {
        "records/good.jsonl": json.dumps({"kind": "dataset", "address": good}) + "\n",
        "records/half.jsonl": json.dumps({"kind": "dataset", "address": {**good, "path": ["h", "main", "u"]}})
        + "\n{not json}\n",
        "openlineage/no_job.json": '{"eventType": "COMPLETE", "run": {}}',
        "nonsense/file.txt": "hello",
    }.items():
        path = uploads / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    done = hookline(tmp_path, "run", "--once", "--report", "report.json")
    assert done.returncode == 1, done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout
    told = json.loads((tmp_path / "report.json").read_text())
    files = {file["path"]: file for file in told["status"]["files"]}
    assert {path: file["state"] for path, file in files.items() if path.startswith("uploads/")} == {
        "uploads/records/good.jsonl": "confirmed",
        "uploads/records/half.jsonl": "partly rejected",
        "uploads/openlineage/no_job.json": "rejected",
        "uploads/nonsense/file.txt": "rejected",
    }
    assert [file["state"] for path, file in files.items() if path.startswith("shop/")] == ["confirmed"]
    assert told["ok"] is False
    places = {(refused["file"], refused["place"]) for refused in told["rejected"]}
    assert ("uploads/records/half.jsonl", "line 2") in places
    assert all(refused["reason"] and refused["fix"] for refused in told["rejected"])
    assert any("typo" in problem for problem in told["problems"])
    assert any("gone" in problem for problem in told["problems"])
    for word in ("line 2", "gone.db", "did you mean 'sqlite'?", "not everything is confirmed"):
        assert word in done.stdout, word


def test_a_script_has_its_columns_whether_it_or_the_scan_comes_first(tmp_path: Path) -> None:
    shop.build(tmp_path / "shop.db")
    (tmp_path / "hookline.yaml").write_text(
        f"instances:\n  shop: {{connector: sqlite, settings: {{path: '{tmp_path / 'shop.db'}'}}}}\n"
    )
    script = tmp_path / "landing" / "uploads" / "sql" / "load.sql"
    script.parent.mkdir(parents=True)
    script.write_text("-- hookline: instance=shop database=shop\nCREATE TABLE kept AS SELECT * FROM order_lines;\n")
    done = hookline(tmp_path, "run", "--once", "--report", "report.json")
    assert done.returncode == 0, done.stderr + done.stdout
    (file,) = [f for f in json.loads((tmp_path / "report.json").read_text())["status"]["files"] if "load" in f["path"]]
    assert (file["state"], file.get("unknown", [])) == ("confirmed", [])
    with running_catalogue(tmp_path / ".hookline" / "once" / "catalogue") as catalogue:
        (process,) = [e for e in catalogue.catalogue.store.entities("deleted = 0") if e.qn.endswith("load.sql#script")]
        assert '{"Source":"quantity","Sink":"quantity"}' in process.parts["attributes"]["columnMapping"]
