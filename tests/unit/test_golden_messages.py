"""Records -> hook messages, for a person to review: tests/golden/messages, one entity a line.

HOOKLINE_UPDATE_GOLDEN=1 writes them anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from shared import job_file
from shared.atlas.closure import Closure
from shared.atlas.messages import Message, Packer
from shared.atlas.rules import Rules
from shared.atlas.transform import Options, Transform
from shared.atlas.types import TypeRegistry
from shared.naming import Name, Naming
from tests.support.hook_message import check_hook_message

TESTS = Path(__file__).parents[1]
GOLDEN = TESTS / "golden" / "messages"
FILES = {
    **{path.stem: path for path in sorted((TESTS / "cases" / "transform" / "files").glob("*.jsonl"))},
    "shop": TESTS / "golden" / "records" / "shop.jsonl",
}
#: of a message here, so that a person can take it in
MAX_ENTITIES = 20
MAX_REVIEWED = 12 * 1024


class Nothing:
    def contains(self, name: Name) -> bool:
        return False


def messages(path: Path) -> list[Message]:
    transform = Transform(Naming(), Rules(TypeRegistry.bundled()), known=Nothing(), options=Options(repeats="refuse"))
    packer = Packer(max_entities=MAX_ENTITIES)
    packed: list[Message] = []
    with path.open("rb") as file:
        for item in transform.run(job_file.read(file, path.name)):
            assert isinstance(item, Closure), item
            packed += packer.add(item)
    return [*packed, *packer.flush()]


def pretty(body: bytes) -> str:
    """The message as JSON of one line for each entity."""
    message: dict[str, Any] = json.loads(body)
    marked: dict[str, str] = {}

    def mark(entity: Any) -> str:
        marked[f"@{len(marked)}@"] = json.dumps(entity, ensure_ascii=False)
        return f"@{len(marked) - 1}@"

    content = message["message"]
    if "entities" in content:
        holder = content["entities"]
        if isinstance(holder, list):
            content["entities"] = [mark(entity) for entity in holder]
        else:
            holder["entities"] = [mark(entity) for entity in holder["entities"]]
            holder["referredEntities"] = {guid: mark(e) for guid, e in holder["referredEntities"].items()}
    text = json.dumps(message, indent=1, ensure_ascii=False)
    for placeholder, entity in marked.items():
        text = text.replace(f'"{placeholder}"', entity)
    return text + "\n"


@pytest.mark.parametrize("name", FILES)
def test_messages_are_as_reviewed(name: str) -> None:
    found = {f"{name}.{number}.json": m.body for number, m in enumerate(messages(FILES[name]), 1)}
    for body in found.values():
        check_hook_message(body)
    texts = {file: pretty(body) for file, body in found.items()}
    assert all(json.loads(texts[file]) == json.loads(body) for file, body in found.items())
    assert max(len(text.encode()) for text in texts.values()) <= MAX_REVIEWED
    if os.environ.get("HOOKLINE_UPDATE_GOLDEN"):
        for old in GOLDEN.glob(f"{name}.*.json"):
            old.unlink()
        for file, text in texts.items():
            (GOLDEN / file).write_text(text, encoding="utf-8")
    reviewed = {path.name: path.read_text(encoding="utf-8") for path in GOLDEN.glob(f"{name}.*.json")}
    assert texts == reviewed, "review the difference, then HOOKLINE_UPDATE_GOLDEN=1"


def test_the_same_bytes_every_time() -> None:
    assert messages(FILES["shop"]) == messages(FILES["shop"])
