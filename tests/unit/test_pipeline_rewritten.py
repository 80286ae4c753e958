"""A part that is written once more, because the worker died behind it, and is another one by then."""

from __future__ import annotations

import pytest

from shared.pipeline.extraction import _Stretch
from shared.pipeline.file import File
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import Dead, System, Table, World, world  # noqa: F401


@pytest.fixture
def crm(world: World) -> System:
    system = world.system("crm")
    system.tables.update({"orders": Table("id", "a"), "parts": Table("id"), "left": Table("id")})
    return system


def rewritten(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """The part lands, the row is not written any more; the part is sent."""
    real = _Stretch._part_done

    def die(*_: object, **__: object) -> None:
        raise Dead

    monkeypatch.setattr(_Stretch, "_part_done", die)
    world.scan("crm")
    with pytest.raises(Dead):
        world.step()
    monkeypatch.setattr(_Stretch, "_part_done", real)
    extract = world.work.popleft()
    world.step()
    del crm.tables["left"]
    crm.tables["orders"].columns.remove("a")
    world.revive()
    world.work.appendleft(extract)
    world.settle()


def test_what_only_the_first_version_had_goes(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    rewritten(world, crm, monkeypatch)
    world.check()


def test_without_a_note_of_it_it_would_stay(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(File, "_doubt_earlier_version", lambda *_: None)
    rewritten(world, crm, monkeypatch)
    with pytest.raises(AssertionError):
        world.check()
