"""Which format a file has."""

from __future__ import annotations

import pytest

import connectors
from connectors.formats.detect import detect
from shared.errors import BadInput

FORMATS = {name: connectors.format_class(name) for name in connectors.FORMATS}
EVENT = b'{"eventType": "COMPLETE", "job": {"namespace": "a", "name": "b"}}'


@pytest.mark.parametrize(
    ("path", "head", "name"),
    [
        ("uploads/openlineage/x.bin", b"", "openlineage"),
        ("uploads/lineage/deep/below/x", b"\x00", "openlineage"),
        ("uploads/atlas/x.json", EVENT, "atlas_json"),
        ("uploads/SQL/tsql/load.sql", b"", "sql_script"),
        ("uploads/sql_script/load.sql", b"", "sql_script"),
        ("uploads/records/x.jsonl", b"", "records"),
        ("C:\\drop\\uploads\\atlas_json\\x", b"", "atlas_json"),
        ("uploads/events.json", EVENT, "openlineage"),
        ("events.json", EVENT, "openlineage"),
        ("uploads/x.json", b'{"entities": [{"typeName": "t"}]}', "atlas_json"),
        ("x.jsonl", b'{"kind": "atlas", "entity": {"typeName": "t"}}\n', "records"),
        ("x.jsonl", b'{"kind":"dataset","description":"' + b"x" * 5_000, "records"),
        ("load.SQL", b"select 1", "sql_script"),
        ("noname", b"-- hookline: dialect=tsql\nselect 1", "sql_script"),
    ],
)
def test_format(path: str, head: bytes, name: str) -> None:
    assert detect(path, head, FORMATS).name == name
    assert detect(path, head, list(FORMATS.values())).name == name


@pytest.mark.parametrize("head", [b"PK\x03\x04", b"<html>", b"id,name\n1,a\n", b'{"a": 1}', b"\x1f\x8b\x08\x00broken"])
def test_an_unknown_file_is_told_what_there_is(head: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        detect("uploads/file.dat", head, FORMATS)
    assert caught.value.where == "uploads/file.dat"
    for name, kind in FORMATS.items():
        assert f"uploads/{name}/" in caught.value.fix
        assert kind.looks_like in caught.value.fix


def test_an_unknown_folder_is_no_guess() -> None:
    with pytest.raises(BadInput, match="uploads/openlinage/ is no format") as caught:
        detect("uploads/openlinage/x.json", EVENT, FORMATS)
    assert "did you mean uploads/openlineage/" in caught.value.fix


def test_an_empty_file_is_called_empty() -> None:
    with pytest.raises(BadInput, match="empty"):
        detect("uploads/x", b"", FORMATS)
