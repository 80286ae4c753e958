"""Column lineage of a PostgreSQL estate: what is published equals what the views were made with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.postgres_estate import build
from benchmarks.published import differences, edges
from shared.pipeline.app import App
from shared.pipeline.offline import extract_to, messages
from shared.records import Refusal
from shared.settings import from_mapping
from shared.settings.document import Place
from tests.support import postgres

pytestmark = pytest.mark.server


def app_for(conninfo: str, **changes: Any) -> App:
    settings = postgres.settings(conninfo)
    instance = {"connector": "postgresql", "settings": settings, **changes}
    return App(from_mapping({"instances": {"estate": instance}}, {}, Place(), offline=True), {})


def published(app: App, folder: Path) -> list[bytes]:
    """The bodies of all hook messages of a scan."""
    refused: list[Refusal] = []
    bodies = []
    for path, _, refusals in extract_to(app, "estate", folder):
        assert not refusals
        bodies += [message.body for message in messages(path, refused.append)]
    assert not refused
    return bodies


@pytest.mark.parametrize("seed", [1, 2])
def test_nested_views_have_exactly_the_lineage_they_were_made_with(seed: int, tmp_path: Path) -> None:
    with postgres.database("estate") as conninfo:
        made = build(conninfo, 40, nested=150, seed=seed)
        found = edges(published(app_for(conninfo), tmp_path))
    assert {view.depth for view in made} >= set(range(1, 6))
    assert differences(made, found) == []
