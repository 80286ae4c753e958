"""Stages on files: extract, transform, plan, with neither Azure nor a running stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.samples import shop

CHECKOUT = Path(__file__).resolve().parents[2]
JOBS = CHECKOUT / "local" / "samples" / "jobs"
SAMPLES = CHECKOUT.parent / "shared" / "samples"


def hookline(folder: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "cli", *arguments],
        cwd=folder,
        env=environ(folder),
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )


def environ(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("HOOKLINE")}
    return {**kept, "PYTHONPATH": str(CHECKOUT), "HOOKLINE_LOCAL": str(folder / ".hookline")}


def names(lines: bytes) -> set[str]:
    """Qualified names of the entities in hook messages."""
    messages = [json.loads(line)["message"] for line in lines.splitlines()]
    assert {message["type"] for message in messages} <= {"ENTITY_CREATE_V2", "ENTITY_PARTIAL_UPDATE_V2"}
    return {e["attributes"]["qualifiedName"] for m in messages for e in m["entities"]["entities"]}


def test_job_files_become_hook_messages_one_a_line(tmp_path: Path) -> None:
    files = sorted(str(path) for path in JOBS.rglob("*.json*"))
    done = hookline(tmp_path, "transform", *files)
    assert done.returncode == 0, done.stderr
    assert len(names(done.stdout)) > 5
    assert all(line.startswith(str(JOBS).encode()) for line in done.stderr.splitlines()), "the rest is on stderr"


def test_recorded_samples_become_hook_messages(tmp_path: Path) -> None:
    files = [str(path) for pattern in ("openlineage/*.json", "sql/*.sql") for path in sorted(SAMPLES.glob(pattern))]
    if not files:
        pytest.skip(f"no samples in {SAMPLES.name} beside the checkout")
    done = hookline(tmp_path, "transform", *files, "--rejected", "r.jsonl")
    assert b"Traceback" not in done.stderr
    assert len(names(done.stdout)) > 20
    refused = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert done.returncode == (1 if refused else 0)
    assert all(line["file"] in files and line["reason"] and line["place"] for line in refused)


def test_a_bad_file_among_good_ones(tmp_path: Path) -> None:
    good, bad = str(JOBS / "openlineage" / "order_export.json"), tmp_path / "bad.json"
    bad.write_text('{"eventType": "COMPLETE", "run": {}')
    done = hookline(tmp_path, "transform", str(bad), good, "-o", "out.jsonl", "--rejected", "r.jsonl")
    assert (done.returncode, done.stdout) == (1, b"")
    assert names((tmp_path / "out.jsonl").read_bytes()) == names(hookline(tmp_path, "transform", good).stdout)
    (refused,) = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert (refused["file"], bool(refused["reason"]), bool(refused["fix"])) == (str(bad), True, True)


def test_standard_input(tmp_path: Path) -> None:
    file = JOBS / "openlineage" / "order_export.json"
    done = hookline(tmp_path, "transform", "-", stdin=file.read_bytes())
    assert done.returncode == 0, done.stderr
    assert names(done.stdout) == names(hookline(tmp_path, "transform", str(file)).stdout)
    nothing = hookline(tmp_path, "transform", "-", stdin=b"")
    assert (nothing.returncode, b"standard input" in nothing.stderr, b"/tmp" in nothing.stderr) == (1, True, False)


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    lines = [
        json.dumps({"kind": "dataset", "address": {"platform": "sqlite", "host": "h", "path": ["h", "main", f"t{n}"]}})
        for n in range(3000)
    ]
    (tmp_path / "many.jsonl").write_text("\n".join(lines))
    command = [sys.executable, "-P", "-m", "cli", "transform", "many.jsonl"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environ(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.read(10)
        running.stdout.close()
        told = running.stderr.read()
        assert (running.wait(60), told) == (0, b"")


def test_extract_then_transform(tmp_path: Path) -> None:
    shop.build(tmp_path / "shop.db")
    (tmp_path / "hookline.yaml").write_text("instances:\n  shop: {connector: sqlite, settings: {path: shop.db}}\n")
    done = hookline(tmp_path, "extract", "shop", "-o", "out")
    assert done.returncode == 0, done.stderr
    written = done.stdout.decode().splitlines()
    assert written
    assert all((tmp_path / path).is_file() for path in written)
    made = hookline(tmp_path, "transform", *written)
    assert made.returncode == 0, made.stderr
    assert "sqlite://shop/shop/main/order_lines" in names(made.stdout)
    planned = hookline(tmp_path, "plan", "shop")
    assert planned.returncode == 0, planned.stderr
    told = planned.stdout.decode()
    assert told.startswith("create ")
    assert "compared with nothing" in told
    assert planned.stderr == b"", "that there is no storage is no news here"
    assert b"create" in hookline(tmp_path, "plan", written[0]).stdout


def test_a_script_knows_the_tables_of_the_job_files_before_it(tmp_path: Path) -> None:
    shop.build(tmp_path / "shop.db")
    (tmp_path / "hookline.yaml").write_text("instances:\n  shop: {connector: sqlite, settings: {path: shop.db}}\n")
    (tmp_path / "load.sql").write_text(
        "-- hookline: instance=shop database=shop\nCREATE TABLE kept AS SELECT * FROM order_lines;\n"
    )
    written = hookline(tmp_path, "extract", "shop", "-o", "out").stdout.decode().splitlines()
    alone = hookline(tmp_path, "transform", "load.sql")
    assert alone.returncode == 0, alone.stderr
    assert b"columnMapping" not in alone.stdout
    assert b"columns not known shop.main.order_lines: scan the source" in alone.stderr
    after = hookline(tmp_path, "transform", *written, "load.sql")
    assert after.returncode == 0, after.stderr
    assert b"columns not known" not in after.stderr
    (process,) = [
        entity
        for line in after.stdout.splitlines()
        for entity in json.loads(line)["message"]["entities"]["entities"]
        if entity["attributes"]["qualifiedName"].endswith("/load.sql#script")
    ]
    (element,) = json.loads(process["attributes"]["columnMapping"])
    assert {"Source": "quantity", "Sink": "quantity"} in element["ColumnMapping"]
