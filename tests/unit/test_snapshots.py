"""What a scope published: parts, the merge with the last snapshot, the index, what was lost."""

from __future__ import annotations

import array
import secrets
from collections.abc import Iterator

import pytest
from azure.storage.blob import ContainerClient
from hypothesis import given, settings
from hypothesis import strategies as st

from local.azurite import Azurite
from shared.atlas.closure import key
from shared.naming import Name
from shared.state import BlobTable, Conflict
from shared.state import snapshots as module
from shared.state.snapshots import Again, Asset, Index, Pointer, Published, Snapshots
from tests.support.azurite import azurite  # noqa: F401

PLACE = ("crm", "public")


@pytest.fixture
def container(azurite: Azurite) -> Iterator[ContainerClient]:
    with ContainerClient.from_connection_string(azurite.connection_string, f"t{secrets.token_hex(6)}") as client:
        yield client


@pytest.fixture
def snapshots(container: ContainerClient) -> Snapshots:
    return Snapshots(BlobTable(container, "snapshots"))


def table(name: str, mark: int = 2, *children: str) -> Asset:
    return Asset("hive_table", name, mark, "hive_column" if children else "", children)


def publish(snapshots: Snapshots, scan: str, *assets: Asset) -> None:
    _, etag = snapshots.current(*PLACE)
    snapshots.replace(*PLACE, Pointer(scan=scan, started=scan, assets=0), sorted(assets), etag)


def test_a_snapshot_is_read_back(snapshots: Snapshots) -> None:
    assets = [table("a", 2, "a.x", "a.y"), table("b", 5), Asset("hive_process", "p", 8, refers=(key(Name("t", "x")),))]
    publish(snapshots, "s1", *assets)
    assert list(snapshots.assets(*PLACE)) == sorted(assets)
    index = snapshots.index(*PLACE)
    assert (index.scan, len(index)) == ("s1", 3)
    assert index.mark(Name("hive_table", "a")) == 2
    assert index.mark(Name("hive_table", "c")) is None
    assert index.publishes(Name("hive_table", "a"))
    assert not index.publishes(Name("hive_table", "b")), "a stub"
    pointer, _ = snapshots.current(*PLACE)
    assert pointer is not None
    assert pointer.assets == 2


def test_without_one(snapshots: Snapshots) -> None:
    assert len(snapshots.index(*PLACE)) == 0
    assert list(snapshots.assets(*PLACE)) == []
    assert list(snapshots.scopes()) == []
    assert not snapshots.published().contains(Name("hive_table", "a"))


def test_parts_are_merged_and_a_stub_never_wins(snapshots: Snapshots) -> None:
    snapshots.write_part(*PLACE, "s1", 0, [table("b", 3), table("a", 2)])
    snapshots.write_part(*PLACE, "s1", 2, [table("a", 4), table("b", 6), table("c", 1)])
    snapshots.write_part(*PLACE, "s1", 3, [table("b", 1)])
    assert snapshots.parts(*PLACE, "s1") == {0, 2, 3}
    seen = list(snapshots.seen(*PLACE, "s1", 4))
    assert seen == [table("a", 4), table("b", 6), table("c", 1)]


def test_a_part_written_twice_is_written_once(snapshots: Snapshots) -> None:
    for names in ("ab", "bc"):
        snapshots.write_part(*PLACE, "s1", 0, [table(name) for name in names])
    assert [a.qualified_name for a in snapshots.seen(*PLACE, "s1", 1)] == ["b", "c"]


marks = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([2, 4, 6]), max_size=8)


@settings(max_examples=25, deadline=None)
@given(old=marks, new=marks, seed=st.integers(0, 3))
def test_compare_is_a_full_outer_join(azurite: Azurite, old: dict[str, int], new: dict[str, int], seed: int) -> None:
    with ContainerClient.from_connection_string(azurite.connection_string, f"t{secrets.token_hex(6)}") as client:
        snapshots = Snapshots(BlobTable(client, "snapshots"))
        publish(snapshots, "s1", *(table(name, mark) for name, mark in old.items()))
        for part in range(3):
            of_part = [table(n, m) for n, m in new.items() if (ord(n) + seed) % 3 == part]
            snapshots.write_part(*PLACE, "s2", part, of_part)
        found = list(snapshots.compare(*PLACE, "s2", 3))
        assert [(b and b.mark, n and n.mark) for b, n in found] == [
            (old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys())
        ]


def test_the_pointer_moves_by_compare_and_set(snapshots: Snapshots) -> None:
    publish(snapshots, "s1", table("a"))
    _, old = snapshots.current(*PLACE)
    publish(snapshots, "s2", table("b"))
    with pytest.raises(Conflict):
        snapshots.replace(*PLACE, Pointer(scan="s3", started="s3", assets=0), [], old)
    assert [a.qualified_name for a in snapshots.assets(*PLACE)] == ["b"]


def test_trim_keeps_what_counts(snapshots: Snapshots, container: ContainerClient) -> None:
    for scan in ("20260101T000000-aaa", "20260102T000000-aaa"):
        snapshots.write_part(*PLACE, scan, 0, [table("a")])
        publish(snapshots, scan, table("a"))
    snapshots.doubt(*PLACE, [("create", Name("hive_table", "x"))], "2026")
    snapshots.write_part(*PLACE, "20260103T000000-aaa", 0, [table("later")])
    snapshots.trim(*PLACE)
    rows = sorted(b.name.rsplit("/", 1)[-1] for b in container.list_blobs())
    assert [r.replace("%2E", ".") for r in rows] == [
        "20260102T000000-aaa.assets.bin",
        "20260102T000000-aaa.index.bin",
        "20260103T000000-aaa.part.00000.bin",
        "again.json",
        "current.json",
    ]
    assert [a.qualified_name for a in snapshots.assets(*PLACE)] == ["a"]


def test_published_holds_all_scopes_for_a_while(
    snapshots: Snapshots, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(snapshots, "s1", table("a"), table("stub", 1))
    assert snapshots.published().contains(Name("hive_table", "a"))
    assert not snapshots.published().contains(Name("hive_table", "stub"))
    other = Snapshots(BlobTable(container, "snapshots"))
    other.replace("crm", "sales", Pointer(scan="s1", started="s1", assets=0), [table("b")], None)
    assert not snapshots.published().contains(Name("hive_table", "b")), "of some minutes ago"
    monkeypatch.setattr(module, "PUBLISHED_SECONDS", -1)
    assert snapshots.published().contains(Name("hive_table", "b"))
    assert sorted(snapshots.scopes()) == [("crm", "public"), ("crm", "sales")]
    (elsewhere,) = snapshots.elsewhere(*PLACE)
    assert elsewhere.publishes(Name("hive_table", "b"))


def test_an_index_that_vanishes_is_empty_and_not_remembered(snapshots: Snapshots, container: ContainerClient) -> None:
    publish(snapshots, "s1", table("a"))
    (index,) = [b.name for b in container.list_blobs() if "index" in b.name]
    body = container.download_blob(index).readall()
    container.delete_blob(index)
    assert len(snapshots.index(*PLACE)) == 0
    container.upload_blob(index, body)
    assert len(snapshots.index(*PLACE)) == 1


def test_what_was_lost_stays_in_doubt_until_it_was_sent(snapshots: Snapshots) -> None:
    a, b = Name("hive_table", "a"), Name("hive_table", "b")
    assert snapshots.again(*PLACE) == []
    snapshots.doubt(*PLACE, [("create", a), ("delete", b)], "2026-01-01")
    snapshots.doubt(*PLACE, [("create", a)], "2026-01-02")
    known = snapshots.again(*PLACE)
    assert [(lost.operation, lost.name, lost.since) for lost in known] == [
        ("delete", b, "2026-01-01"),
        ("create", a, "2026-01-02"),
    ]
    snapshots.doubt(*PLACE, [("create", a)], "2026-01-03")
    snapshots.trust(*PLACE, known)
    assert snapshots.again(*PLACE) == [Again("create", "hive_table", "a", "2026-01-03")], "lost anew meanwhile"
    snapshots.trust(*PLACE, snapshots.again(*PLACE))
    assert snapshots.again(*PLACE) == []


def test_assets_of_an_earlier_version_are_read() -> None:
    import msgspec

    old = b'["hive_table","a",2,"hive_column",["a.x"]]'
    assert msgspec.json.decode(old, type=Asset) == table("a", 2, "a.x")


@given(st.dictionaries(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)))
def test_index(pairs: dict[int, int]) -> None:
    data = Index.build(array.array("Q", pairs), array.array("Q", pairs.values()))
    assert len(data) == 16 * len(pairs)
    index = Index(data)
    assert dict(zip(index._keys, index._marks, strict=True)) == pairs
    assert list(index._keys) == sorted(pairs)
    assert set(index.real()) == {k for k, m in pairs.items() if not m & 1}
    assert len(Published([index])._keys) == len(set(index.real()))
