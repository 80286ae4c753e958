"""One direction of data: a room imports from the rooms before it, never from those behind it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: room -> rooms it may import from, besides itself and what is below everything (BELOW)
MAY = {
    "shared.records": set(),
    "shared.naming": {"shared.records"},
    "shared.job_file": {"shared.records"},
    "shared.settings": set(),
    "shared.lineage": {"shared.records"},
    "connectors": {"shared.records", "shared.naming", "shared.job_file", "shared.lineage", "shared.settings"},
    "shared.atlas": {"shared.records", "shared.naming", "shared.lineage"},
    "shared.azure": {"shared.settings"},
    "shared.encryption": set(),
    "shared.state": {"shared.records", "shared.naming", "shared.lineage", "shared.atlas", "shared.azure"},
    "shared.delivery": {
        "shared.records",
        "shared.naming",
        "shared.atlas",
        "shared.state",
        "shared.azure",
        "shared.settings",
    },
    "shared.pipeline": {
        "shared.records",
        "shared.naming",
        "shared.job_file",
        "shared.lineage",
        "shared.settings",
        "connectors",
        "shared.atlas",
        "shared.azure",
        "shared.encryption",
        "shared.state",
        "shared.delivery",
    },
}
BELOW = ("shared.errors", "shared.telemetry", "shared.settings.redact", "shared.azure_errors")


def room(module: str) -> str:
    if module.startswith("connectors"):
        return "connectors"
    return ".".join(module.split(".")[:2])


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def wrong_imports(root: Path) -> list[str]:
    wrong = []
    for path in sorted([*root.glob("shared/**/*.py"), *root.glob("connectors/**/*.py"), *root.glob("function_app.py")]):
        module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        here = room(module)
        if module == "shared" or module in ("shared.errors", "shared.telemetry"):
            continue
        for line, name in imports(path):
            if name.split(".")[0] in ("local", "cli", "tests"):
                wrong.append(f"{path.relative_to(root)}:{line} imports {name}: the product never does")
            if not name.startswith(("shared.", "connectors")) or name.startswith(BELOW):
                continue
            there = room(name)
            allowed = {"shared.pipeline"} if module == "function_app" else MAY.get(here, set()) | {here}
            if there not in allowed:
                wrong.append(f"{path.relative_to(root)}:{line} imports {name} from {here}")
    return wrong


def test_imports_go_one_way() -> None:
    assert wrong_imports(ROOT) == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("shared/records.py", "from shared.atlas import transform\n"),
        ("connectors/sql/x.py", "from shared.pipeline.app import App\n"),
        ("shared/atlas/x.py", "def f():\n    import local.catalogue\n"),
    ],
)
def test_the_test_sees_a_wrong_import(tmp_path: Path, file: str, text: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert len(wrong_imports(tmp_path)) == 1
