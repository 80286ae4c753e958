"""Files that are read together with those beside them: in any order, and again when one of them changes."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

import connectors
from connectors.format import FileContext, Format
from connectors.formats.archive import Archive, is_zip
from shared.errors import BadInput
from shared.pipeline.beside import DiskFolder
from shared.records import Address, Dataset, Found, Refusal
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import World, world  # noqa: F401


class Lists(Format):
    """A list whose description lies in `<name>.note` beside it; every note of the folder is counted."""

    name = "lists"
    may_be_empty = True

    def recognises(self, name: str, head: bytes) -> bool:
        return False

    def read(self, file: BinaryIO, context: FileContext) -> Iterator[Found | Refusal]:
        if context.path.endswith(".note"):
            return
        said = json.loads(file.read())
        note = context.folder.open(f"{said['name']}.note")
        text = note.read().decode() if note is not None else "no note"
        if text == "bad":
            raise BadInput("a bad note", where=context.path, fix="correct it")
        count = len(context.folder.find("*.NOTE"))
        address = Address("mailroom", "h.example", ("lists", said["name"]), "list")
        yield Found(Dataset(address=address, description=f"{text} of {count}"), 1)


@pytest.fixture
def lists(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(connectors.FORMATS, "lists", "tests.unit.test_pipeline_beside:Lists")
    return world


def said(world: World, name: str) -> str:
    return world.catalogue()[("hookline_dataset", f"hookline://mailroom/h.example/lists/{name}#list")]


def test_a_neighbour_that_comes_late_changes_and_goes(lists: World) -> None:
    world = lists
    world.upload("uploads/lists/x/a.json", json.dumps({"name": "a"}))
    world.settle()
    assert said(world, "a") == "no note of 0"
    world.upload("uploads/lists/x/a.note", "first")
    world.settle()
    assert said(world, "a") == "first of 1"
    world.upload("uploads/lists/x/a.note", "second")
    world.settle()
    assert said(world, "a") == "second of 1"
    world.upload("uploads/lists/x/b.note", "another")
    world.upload("uploads/lists/y/c.note", "of another folder")
    world.settle()
    assert said(world, "a") == "second of 2"
    world.landing.delete_blob("uploads/lists/x/a.note")
    world.settle()
    assert said(world, "a") == "no note of 1"
    world.sent()
    world.settle()
    assert world.sent() == []


def test_a_file_that_failed_for_its_neighbour_is_read_again_once_it_is_right(lists: World) -> None:
    world = lists
    world.upload("uploads/lists/a.note", "bad")
    path = world.upload("uploads/lists/a.json", json.dumps({"name": "a"}))
    world.settle()
    assert world.receipt(path).state == "rejected"
    assert world.sweep() == [], "it is not tried again and again"
    world.upload("uploads/lists/a.note", "good")
    world.settle()
    assert said(world, "a") == "good of 1"


def test_one_that_was_taken_away_is_forgotten(lists: World) -> None:
    world = lists
    path = world.upload("uploads/lists/a.json", json.dumps({"name": "a"}))
    world.settle()
    assert [row.path for row in world.app.beside.all()] == [path]
    world.landing.delete_blob(path)
    world.settle()
    assert list(world.app.beside.all()) == []


def test_on_disk(tmp_path: Path) -> None:
    for name in ("a.json", "b.conmgr", "C.CONMGR", "[d].txt"):
        (tmp_path / name).write_text(name)
    folder = DiskFolder(tmp_path / "a.json")
    assert folder.find("*.conmgr") == ["C.CONMGR", "b.conmgr"]
    assert folder.find("a.json") == []
    assert folder.open("missing") is None
    assert folder.open("../a.json") is None
    opened = folder.open("[d].txt")
    assert opened is not None
    with opened:
        assert opened.read() == b"[d].txt"


# ---- archives


def packed(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # of no time: tests have one name
    return out.getvalue()


def test_an_archive_is_a_folder() -> None:
    data = packed(**{"a.json": b"one", "models/b.json": b"two"})
    assert is_zip(data)
    with Archive(io.BytesIO(data), "x.zip") as archive:
        assert archive.find("*.JSON") == ["a.json", "models/b.json"]
        opened = archive.open("models/b.json")
        assert opened is not None
        assert opened.read() == b"two"
        assert archive.open("none") is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"PK\x03\x04 not a zip", "damaged"),
        (packed(a=b"x" * 100)[:-30], "damaged"),
        (packed(**{"../../etc/x": b"1"}), "outside"),
        (packed(**{"/etc/x": b"1"}), "outside"),
        (packed(**{"C:/x": b"1"}), "outside"),
        (packed(bomb=bytes(8 << 20)), "more than it may"),
        (packed(**{str(n): b"" for n in range(1001)}), "more than 1,000 files"),
    ],
    ids=["no zip", "cut off", "above", "root", "drive", "bomb", "too many"],  # their bytes hold the time of day
)
def test_archives_that_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        Archive(io.BytesIO(data), "x.zip")


def test_an_archive_whose_members_begin_before_the_file() -> None:
    """Cut off at its beginning: zipfile finds the directory at the end and corrects all offsets by what is missing."""
    data = packed(a=b"y" * 5000, b=b"z" * 5000)
    with Archive(io.BytesIO(data[40:]), "x.zip") as archive, pytest.raises(BadInput, match="cannot be read"):
        archive.open("a")


def test_a_member_that_is_larger_than_it_says() -> None:
    data = bytearray(packed(a=b"y" * 5000))
    for at in (data.find(b"PK\x03\x04") + 22, data.find(b"PK\x01\x02") + 24):
        data[at : at + 4] = (100).to_bytes(4, "little")
    with Archive(io.BytesIO(bytes(data)), "x.zip") as archive:
        opened = archive.open("a")
        assert opened is not None
        with pytest.raises(BadInput, match=r"x\.zip!a"):
            opened.read()
