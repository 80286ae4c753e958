"""Every registered source against every check, and every check against a source that it must reject."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator

import pytest

import connectors
from tests.conformance import broken_sources, source_checks
from tests.conformance.broken_sources import ALSO_BROKEN, BROKEN, Toy
from tests.conformance.source_checks import CHECKS
from tests.conformance.subject import Subject


@pytest.fixture(scope="module", params=sorted(connectors.SOURCES))
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    module = importlib.import_module(f"tests.conformance.sources.{request.param}")
    with module.live(tmp_path_factory.mktemp(request.param)) as live:
        assert live.source is connectors.source_class(request.param)
        yield live


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_source(subject: Subject, check: Callable[[Subject], None]) -> None:
    check(subject)


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_the_right_source_passes(check: Callable[[Subject], None]) -> None:
    check(broken_sources.subject(Toy))


@pytest.mark.parametrize("name", CHECKS)
def test_the_broken_source_is_rejected(name: str) -> None:
    subject, words = BROKEN[name]
    with pytest.raises(AssertionError, match=words):
        CHECKS[name](subject)


@pytest.mark.parametrize(("name", "source", "words"), ALSO_BROKEN, ids=[f"{n}-{s.__name__}" for n, s, _ in ALSO_BROKEN])
def test_the_other_broken_source_is_rejected(
    name: str, source: type[Toy], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_checks, "UNREACHABLE_SECONDS", 0.2)
    with pytest.raises(AssertionError, match=words):
        CHECKS[name](broken_sources.subject(source))
