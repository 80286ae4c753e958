"""Every registered format against every check, and every check against a format that it must reject."""

from __future__ import annotations

import difflib
import importlib
import os
from pathlib import Path

import msgspec
import pytest

import connectors
from connectors.format import HEAD_BYTES
from connectors.formats.detect import detect
from shared.errors import BadInput
from shared.pipeline.beside import DiskFolder
from shared.records import Found, Refusal
from tests.conformance.broken_formats import BROKEN, TOY
from tests.conformance.formats import checks
from tests.conformance.formats.checks import CHECKS, Check
from tests.conformance.formats.subject import Subject

GOLDEN = Path(__file__).parents[1] / "golden" / "formats"
SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
JOBS = Path(__file__).parents[2] / "local" / "samples" / "jobs"
INPUTS = [
    p for n in connectors.FORMATS for p in sorted((GOLDEN / n).rglob("*")) if p.is_file() and ".records" not in p.name
]

SUBJECTS: dict[str, Subject] = {
    name: importlib.import_module(f"tests.conformance.formats.{name}").SUBJECT for name in connectors.FORMATS
}


@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_format(name: str, check: Check) -> None:
    check(SUBJECTS[name])


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_format_claims_no_file_of_another(name: str) -> None:
    kind = connectors.format_class(name)()
    for other, subject in SUBJECTS.items():
        if other != name:
            for file, content in subject.good.items():
                assert not kind.recognises(file, content[:HEAD_BYTES]), f"{name} claims {file} of {other}"


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_file_is_detected_anywhere(name: str) -> None:
    known = [connectors.format_class(n) for n in connectors.FORMATS]
    for file, content in SUBJECTS[name].good.items():
        assert detect(f"uploads/{file}", content[:HEAD_BYTES], known) is connectors.format_class(name), file


@pytest.mark.parametrize("path", INPUTS, ids=lambda p: p.relative_to(GOLDEN).as_posix())
def test_golden(path: Path) -> None:
    """HOOKLINE_UPDATE_GOLDEN=1 writes what comes out now; read the difference before it is kept."""
    name, *below = path.relative_to(GOLDEN).parts
    items = SUBJECTS[name].read(path.read_bytes(), "/".join(below), DiskFolder(path))
    made = "".join(f"{msgspec.json.encode(item).decode()}\n" for item in items if not isinstance(item, Exception))
    expected = path.with_name(path.name + ".records.jsonl")
    if os.environ.get("HOOKLINE_UPDATE_GOLDEN"):
        expected.write_text(made)
    kept = expected.read_text() if expected.exists() else ""
    assert len(made) < 10_000, "nobody reads a larger one"
    assert made == kept, "\n".join(
        difflib.unified_diff(kept.splitlines(), made.splitlines(), "kept", "made", lineterm="")
    )


@pytest.mark.parametrize("path", sorted(p for p in JOBS.rglob("*") if p.is_file()), ids=lambda p: p.name)
def test_the_sample_job_files_are_read_whole(path: Path) -> None:
    upload = f"uploads/{path.relative_to(JOBS).as_posix()}"
    known = [connectors.format_class(n) for n in connectors.FORMATS]
    content = path.read_bytes()
    by_folder, by_content = detect(upload, b"", known), detect(path.name, content[:HEAD_BYTES], known)
    assert by_folder is by_content
    items = SUBJECTS[by_folder.name].read(content, "/".join(path.relative_to(JOBS).parts[1:]))
    assert items
    assert all(isinstance(item, Found) for item in items), items


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample files are not here")
@pytest.mark.parametrize("pattern", ["openlineage/*.json", "sql/*.sql", "dbt/*manifest.json"])
def test_files_that_nobody_here_wrote(pattern: str) -> None:
    known = [connectors.format_class(n) for n in connectors.FORMATS]
    for path in sorted(SAMPLES.glob(pattern)):
        content = path.read_bytes()
        found = detect(path.name, content[:HEAD_BYTES], known)
        items = SUBJECTS[found.name].read(content, path.name)
        assert not [i for i in items if isinstance(i, BadInput)], path.name
        refused = [i.place for i in items if isinstance(i, Refusal)]
        assert refused == (["event 1"] * 3 if path.name == "columnLineageJDBCComplete.json" else []), path.name
        assert any(isinstance(i, Found) for i in items) or path.name.startswith(("airflow", "columnLineageJDBC"))


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_format_says_what_it_is(name: str) -> None:
    kind = connectors.format_class(name)
    assert kind.name == name
    assert kind.title
    assert kind.looks_like
    folders = [f for n in connectors.FORMATS for f in (n, *connectors.format_class(n).folders)]
    assert len(folders) == len(set(folders)), "two formats share a folder"


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_the_right_format_passes(check: Check) -> None:
    check(TOY)


@pytest.mark.parametrize(("name", "subject", "words"), [(n, s, w) for n, broken in BROKEN.items() for s, w in broken])
def test_the_broken_format_is_rejected(
    name: str, subject: Subject, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "SLOW_SECONDS", 1.0)
    with pytest.raises(AssertionError, match=words):
        CHECKS[name](subject)


def test_every_check_has_a_broken_format() -> None:
    assert set(BROKEN) == set(CHECKS)
