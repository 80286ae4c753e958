"""A part that lands before its worker dies: it is taken over, because what stands in it may have been sent."""

from __future__ import annotations

from typing import IO

import pytest

from shared.pipeline import extraction
from shared.pipeline.app import App
from shared.pipeline.extraction import _Stretch
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import Dead, System, Table, World, world  # noqa: F401


@pytest.fixture
def crm(world: World) -> System:
    system = world.system("crm")
    system.tables.update({"orders": Table("id", "a"), "parts": Table("id"), "left": Table("id")})
    return system


def died_behind_a_part(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """The part lands, the row is not written any more; the part is sent, the source changes, the scan goes on."""
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


def test_it_is_taken_over(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    died_behind_a_part(world, crm, monkeypatch)
    scan = world.scan_of("crm")
    assert (scan.state, scan.parts, scan.assets, scan.records, scan.complete) == ("finished", 1, 3, 6, True)
    world.scan("crm")
    world.settle()
    world.check()


def test_with_refusals_and_a_watermark(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the source refused while the part was read is not forgotten: nothing is deleted for it."""
    world.scan("crm")
    world.settle()
    crm.refuse.add("parts")
    died_behind_a_part(world, crm, monkeypatch)
    scan = world.scan_of("crm")
    assert (scan.refused, scan.complete) == (1, False)
    assert [told.place for told in world.rejected(f"crm/{scan.id}/extract-00000")] == ["public.parts"]
    assert ("postgresql_table", "postgresql://servers/crm.test:5432/dbs/shop/schemas/public/tables/parts") in (
        world.catalogue()
    )


def test_a_damaged_one_is_read_again(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    real = extraction.put_part

    def cut(app: App, path: str, file: IO[bytes]) -> None:
        app.landing.get_blob_client(path).upload_blob(file.read()[:-20])
        raise Dead

    monkeypatch.setattr(extraction, "put_part", cut)
    world.scan("crm")
    with pytest.raises(Dead):
        world.step()
    monkeypatch.setattr(extraction, "put_part", real)
    world.revive()
    world.settle()
    world.check()


def test_written_once_more_it_would_leave_something_behind(
    world: World, crm: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(app: App, path: str, file: IO[bytes]) -> None:
        app.landing.get_blob_client(path).upload_blob(file, overwrite=True)

    monkeypatch.setattr(extraction, "put_part", put)
    monkeypatch.setattr(_Stretch, "_take_over", lambda _: False)
    died_behind_a_part(world, crm, monkeypatch)
    world.scan("crm")
    world.settle()
    with pytest.raises(AssertionError):
        world.check()
