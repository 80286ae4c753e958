"""The connector that CONTRIBUTING.md shows is run as it stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from shared.records import Cursor, Dataset

ROOT = Path(__file__).parents[2]


def test_the_connector_in_contributing_works(tmp_path: Path) -> None:
    code = re.search(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
    assert code is not None
    namespace: dict[str, Any] = {}
    exec(code.group(1), namespace)
    (tmp_path / "w.json").write_text(json.dumps({"b": {"id": "int"}, "a": {"x": "text", "y": "text"}}))
    source = namespace["Widgets"](namespace["WidgetSettings"](str(tmp_path / "w.json")))
    assert [c.name for r in source.extract("all") if isinstance(r, Dataset) for c in r.columns] == ["x", "y", "id"]
    resumed = [r.position for r in source.extract("all", resume="a") if isinstance(r, Cursor)]
    assert resumed == ["b"]
    assert len(code.group(1).split("class Widgets")[1].strip().splitlines()) <= 20
