"""One bad record, file or instance takes no other down; what Purview would drop without a word is refused aloud."""

from __future__ import annotations

import contextlib
import json

import pytest

from shared.errors import SourceRefused
from tests.promises.promise import Promise, shop
from tests.support.world import World


def _entity(type_name: str, name: str, **attributes: object) -> dict[str, object]:
    return {"typeName": type_name, "attributes": {"qualifiedName": name, "name": name, **attributes}}


def _would_be_dropped(world: World) -> None:
    """An attribute that the type does not have: Atlas ignores it, and nobody ever knows."""
    good = _entity("hookline_dataset", "hookline://x/good")
    bad = _entity("hookline_dataset", "hookline://x/bad", colour="red")
    path = world.upload("uploads/atlas_json/one.json", json.dumps({"entities": [good, bad]}))
    world.settle()
    receipt = world.receipt(path)
    assert (receipt.state, receipt.sent, receipt.refused) == ("partly rejected", 1, 1)
    (told,) = world.rejected(path)
    assert "colour" in told.reason


def _broken_line(world: World) -> None:
    address = {"platform": "mailroom", "host": "h.example", "path": ["lists", "a"], "type": "list"}
    lines = ['{"kind": ', json.dumps({"kind": "dataset", "address": address})]
    path = world.upload("uploads/records/two.jsonl", "\n".join(lines) + "\n")
    world.settle()
    receipt = world.receipt(path)
    assert (receipt.state, receipt.refused) == ("partly rejected", 1)
    assert ("hookline_dataset", "hookline://mailroom/h.example/lists/a#list") in world.catalogue()


def _broken_instance(world: World) -> None:
    """The first one's password is wrong; the second one is scanned as always."""
    world.system("aaa", schedule="* * * * * *").error = SourceRefused("wrong password", fix="correct it")
    shop(world, options={"schedule": "* * * * * *"})
    with contextlib.suppress(SourceRefused):  # the host would call the timer again in a minute
        world.tick()
    world.settle()
    world.check(world.system("crm"))


def _no_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.atlas.rules.Rules.check", lambda *_, **__: None)


def _one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    from shared.pipeline import scheduling

    def stop(_: object, __: str, error: Exception) -> None:
        raise error

    monkeypatch.setattr(scheduling, "note_failure", stop)


def _all_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from shared.errors import BadInput
    from shared.pipeline.file import File

    def refuse(*_: object) -> None:
        raise BadInput("a line is broken", fix="correct it")

    monkeypatch.setattr(File, "_refuse", refuse)


PROMISES = [
    Promise(
        "What Purview would drop without a word is refused with a reason.",
        "rules check each entity against its type",
        _would_be_dropped,
        _no_rules,
    ),
    Promise("A bad record takes no other down.", "records are refused one by one", _broken_line, _all_or_nothing),
    Promise("A broken instance takes no other down.", "each is scheduled for itself", _broken_instance, _one_for_all),
]
