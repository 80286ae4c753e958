"""Every registered format against every check, and every check against a format that it must reject."""

from __future__ import annotations

import importlib

import pytest

import connectors
from connectors.format import HEAD_BYTES
from connectors.formats.detect import detect
from tests.conformance.broken_formats import BROKEN, TOY
from tests.conformance.formats import checks
from tests.conformance.formats.checks import CHECKS, Check
from tests.conformance.formats.subject import Subject

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
