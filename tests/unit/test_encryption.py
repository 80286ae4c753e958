"""What Hookline writes into landing and rejected is encrypted, and read again, with a key in Key Vault."""

from __future__ import annotations

import gzip
import json

import pytest

from cli.check import checks
from shared.encryption import Encryption, VaultKeys
from shared.errors import BadInput, SettingsError, Transient
from shared.pipeline import replaying, requeue
from shared.pipeline.http import lineage
from shared.pipeline.landing import open_blob, put_landing_bytes, version
from shared.pipeline.refusals import refused_of
from shared.pipeline.why import why
from shared.records import Refusal
from shared.settings import Landing
from tests.support.azurite import azurite  # noqa: F401
from tests.support.vault import ADDRESS, FIRST, SECOND
from tests.support.world import System, Table, World, world  # noqa: F401

KEY = f"{ADDRESS}/keys/hookline"
#: a record that cannot be used
HALF = json.dumps({"kind": "nothing", "name": "cleartext"})


@pytest.fixture
def sealed(world: World) -> World:
    world.encryption = {"encryption_key": KEY}
    return world


@pytest.fixture
def crm(world: World) -> System:
    system = world.system("crm")
    system.tables["cleartext"] = Table("id", "amount")
    return system


def raw(world: World) -> dict[str, bytes]:
    """Blob -> the bytes that lie there, and what they are in gzip, of landing and rejected."""
    found = {}
    for container in ("landing", "rejected"):
        client = world._container(container)
        for blob in client.list_blobs():
            body = client.download_blob(blob.name).readall()
            found[f"{container}/{blob.name}"] = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    return found


def everything(world: World, crm: System) -> dict[str, bytes]:
    """A scan with a refusal, a refused upload, an event over HTTP; then what lies there."""
    crm.tables["other"] = Table("id")
    crm.refuse.add("other")
    world.scan("crm")
    world.settle()
    upload = world.upload("uploads/records/half.jsonl", HALF)
    world.settle()
    status, _ = lineage(world.app, json.dumps({"cleartext": 1}).encode())
    assert status == 201
    found = raw(world)
    assert {name.split("/")[0] for name in found} == {"landing", "rejected"}
    return {name: body for name, body in found.items() if name != f"landing/{upload}"}


def readable(found: dict[str, bytes]) -> set[str]:
    return {name for name, body in found.items() if b"cleartext" in body or b'"rule"' in body or b"public" in body}


def refused(world: World, path: str) -> list[Refusal]:
    return [found.refusal for found in refused_of(world.app, path)]


def rotated(world: World) -> None:
    """Key Vault makes a new version, and the next worker sees it."""
    world.vault.versions.append(SECOND)
    world.restart()


def scanned_with_the_old_version(world: World) -> str:
    """A part that is landed and not transformed; the key is rotated then."""
    world.scan("crm")
    assert world.step()
    rotated(world)
    (path,) = world.landed()
    return path


# ---- what lies there


def test_nothing_readable_lies_there(sealed: World, crm: System) -> None:
    found = everything(sealed, crm)
    assert len(found) >= 4
    assert readable(found) == set()


def test_without_the_setting_it_is_readable(world: World, crm: System) -> None:
    """The test above sees what is not encrypted."""
    found = everything(world, crm)
    assert readable(found) == set(found)


def test_a_scan_goes_through(sealed: World, crm: System) -> None:
    sealed.scan("crm")
    sealed.settle()
    sealed.check()
    sealed.confirmed()
    assert sealed.vault.unwrapped >= 1


def test_refusals_are_told_as_ever(sealed: World) -> None:
    path = sealed.upload("uploads/records/half.jsonl", HALF)
    sealed.settle()
    (told,) = refused(sealed, path)
    assert told.fix
    assert sealed.receipt(path).state == "rejected"


def test_an_upload_in_clear_works(sealed: World) -> None:
    path = sealed.upload("uploads/sql/views.sql", "create view v as select a from t;")
    sealed.settle()
    assert sealed.receipt(path).format
    assert sealed.receipt(path).error == ""
    assert sealed.vault.unwrapped == 0


def test_why_reads_through_it(sealed: World) -> None:
    put_landing_bytes(sealed.app, "uploads/openlineage/a.json", b'{"name": "cleartext"}')
    told = why(sealed.app, "cleartext")
    assert [s.file for s in told.sightings if s.kind == "mentioned"] == ["uploads/openlineage/a.json"]


def test_a_large_one_is_read_region_by_region(sealed: World) -> None:
    body = bytes(range(256)) * (9 * 4096 + 3)  # 9.4 MB: three regions
    put_landing_bytes(sealed.app, "uploads/large", body)
    blob = sealed.app.landing.get_blob_client("uploads/large")
    there = version(blob)
    assert there is not None
    with open_blob(sealed.app, blob, there.etag) as stream:
        assert stream.read() == body
    assert sealed.vault.unwrapped == 1


# ---- keys


def test_an_old_version_of_the_key_works(sealed: World, crm: System) -> None:
    path = scanned_with_the_old_version(sealed)
    sealed.settle()
    assert sealed.receipt(path).state == "confirmed"
    crm.tables["later"] = Table("id")
    sealed.scan("crm")
    sealed.settle()
    sealed.check()
    said = {
        json.loads(sealed.landing.get_blob_client(name).get_blob_properties().metadata["encryptiondata"])[
            "WrappedContentKey"
        ]["KeyId"]
        for name in sealed.landed()
    }
    assert said == {f"{KEY}/{FIRST}", f"{KEY}/{SECOND}"}


@pytest.mark.parametrize("how", ["removed", "disabled"])
def test_without_its_key_it_is_rejected_and_replayed_after(sealed: World, crm: System, how: str) -> None:
    path = scanned_with_the_old_version(sealed)
    if how == "removed":
        sealed.vault.versions.remove(FIRST)
    else:
        sealed.vault.disabled.add(FIRST)
    sealed.settle()
    assert sealed.receipt(path).state == "rejected"
    (told,) = refused(sealed, path)
    assert told.rule == "BadInput"
    assert f"{KEY}/{FIRST}" in told.reason
    assert "replay" in told.fix
    assert sealed.catalogue() == {}
    sealed.vault.versions.insert(0, FIRST) if how == "removed" else sealed.vault.disabled.clear()
    for message in requeue.messages(requeue.rejected(sealed.app)):
        replaying.replay(sealed.app, json.dumps({"path": message.path, "again": message.again}))
    sealed.settle()
    sealed.check()
    assert refused(sealed, path) == []


def test_a_key_that_is_gone_as_a_whole_has_files_wait(sealed: World, crm: System) -> None:
    """A refusal could not be written: nothing is rejected, and all goes on when the key is back."""
    sealed.scan("crm")
    assert sealed.step()
    (path,) = sealed.landed()
    sealed.vault.versions.clear()
    sealed.restart()
    assert sealed.step()
    receipt = sealed.receipt(path)
    assert (receipt.state, receipt.error) == ("transforming", "Key Vault holds no such key")
    assert "hookline" in receipt.fix
    sealed.vault.versions.append(FIRST)
    sealed.settle()
    sealed.check()


def test_while_key_vault_is_away_files_wait(sealed: World, crm: System) -> None:
    sealed.scan("crm")
    assert sealed.step()
    (path,) = sealed.landed()
    sealed.vault.status = 503
    assert sealed.step()
    assert isinstance(sealed.errors[-1], Transient)
    assert sealed.receipt(path).state == "transforming"
    sealed.vault.status = 200
    sealed.settle()
    sealed.check()


def test_switched_off_what_is_encrypted_is_rejected_with_the_fix(sealed: World, crm: System) -> None:
    sealed.scan("crm")
    assert sealed.step()
    (path,) = sealed.landed()
    sealed.encryption = {}
    sealed.restart()
    sealed.settle()
    assert sealed.receipt(path).state == "rejected"
    (told,) = refused(sealed, path)
    assert "landing.encryption_key" in told.fix


def test_an_encrypted_refusal_without_its_key_is_told_as_such(sealed: World) -> None:
    path = sealed.upload("uploads/records/half.jsonl", HALF)
    sealed.settle()
    sealed.encryption = {}
    sealed.restart()
    (told,) = refused(sealed, path)
    assert (told.rule, told.place) == ("BadInput", f"rejected/{path}.jsonl")


def test_changed_content_is_rejected(sealed: World) -> None:
    put_landing_bytes(sealed.app, "uploads/records/a.jsonl", HALF.encode())
    blob = sealed.landing.get_blob_client("uploads/records/a.jsonl")
    body = bytearray(blob.download_blob().readall())
    body[-1] ^= 1
    blob.upload_blob(bytes(body), overwrite=True, metadata=blob.get_blob_properties().metadata)
    sealed.settle()
    (told,) = refused(sealed, "uploads/records/a.jsonl")
    assert told.reason == "it is encrypted, and was changed since"


@pytest.mark.parametrize(
    ("kid", "reason"),
    [
        ("https://elsewhere.example.net/keys/hookline/1", "another vault"),
        (f"{ADDRESS}.example.net/keys/hookline/1", "another vault"),
        (f"{ADDRESS}/secrets/hookline/1", "another vault"),
        (KEY, "version"),
        (f"{KEY}/{SECOND}", "gone"),
    ],
)
def test_a_key_that_is_not_ours_is_not_asked_for(sealed: World, kid: str, reason: str) -> None:
    wrapped = {"KeyId": kid, "Algorithm": "RSA-OAEP-256", "EncryptedKey": "AAAA"}
    encryption = sealed.app.encryption
    assert encryption is not None
    with pytest.raises(BadInput, match=reason):
        encryption.unseal({"EncryptionData": json.dumps({"WrappedContentKey": wrapped})}, "a")


@pytest.mark.parametrize("said", ["", "[]", '{"WrappedContentKey": {}}', '{"WrappedContentKey": 1}'])
def test_damaged_metadata(sealed: World, said: str) -> None:
    encryption = sealed.app.encryption
    assert encryption is not None
    with pytest.raises(BadInput, match="damaged"):
        encryption.unseal({"encryptiondata": said}, "a")
    assert encryption.unseal({"other": said}, "a") is None


def test_an_algorithm_that_key_vault_does_not_know(sealed: World) -> None:
    wrapped = {"KeyId": f"{KEY}/{FIRST}", "Algorithm": "rot13", "EncryptedKey": "AAAA"}
    encryption = sealed.app.encryption
    assert encryption is not None
    with pytest.raises(BadInput, match="does not know"):
        encryption.unseal({"encryptiondata": json.dumps({"WrappedContentKey": wrapped})}, "a")


def test_the_newest_version_is_asked_for_after_its_time(sealed: World) -> None:
    client = sealed.app.azure.keys()
    assert client is not None
    clock = [0.0]
    keys = VaultKeys(client, "hookline", ttl=600, clock=lambda: clock[0])
    assert keys.newest().get_kid().endswith(FIRST)
    sealed.vault.versions.append(SECOND)
    assert keys.newest().get_kid().endswith(FIRST)
    clock[0] = 600.0
    sealed.vault.status = 503
    assert keys.newest().get_kid().endswith(FIRST)  # the last one goes on being used
    sealed.vault.status = 200
    assert keys.newest().get_kid().endswith(SECOND)
    assert VaultKeys(client, "hookline", FIRST).newest().get_kid().endswith(FIRST)


# ---- check


def test_check_wraps_and_unwraps(sealed: World) -> None:
    def line() -> tuple[bool, str, str]:
        sealed.restart()
        (found,) = (check for check in checks(sealed.app, None) if check.name == "encryption key")
        return found.ok, found.detail, found.fix

    ok, detail, _ = line()
    assert ok
    assert detail == f"wraps and unwraps ({KEY}/{FIRST})"
    sealed.vault.disabled.add(FIRST)
    assert line()[:2] == (False, "the key is disabled")
    sealed.vault.status = 403
    ok, detail, fix = line()
    assert not ok
    assert "Key Vault Crypto User" in fix
    sealed.vault.status = 200
    sealed.vault.versions.clear()
    assert "create or recover" in line()[2]


def test_another_key_than_it_wraps_with_is_noticed(sealed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client = sealed.app.azure.keys()
    assert client is not None
    keys = VaultKeys(client, "hookline")
    sealed.vault.versions.append(SECOND)
    monkeypatch.setattr(keys, "named", lambda _: VaultKeys.named(keys, f"{KEY}/{FIRST}"))
    with pytest.raises(BadInput, match="not encrypted with the key it names"):
        Encryption(keys).check()


# ---- the setting


def test_the_setting() -> None:
    assert Landing(encryption_key=KEY).key == ("hookline", "")
    assert Landing(encryption_key=f"{KEY}/{FIRST}").key == ("hookline", FIRST)
    assert Landing(encryption_key=f"{KEY}/").vault == ADDRESS
    assert Landing(encryption_key="http://127.0.0.1:8443/keys/a").vault == "http://127.0.0.1:8443"


@pytest.mark.parametrize(
    "said",
    ["hookline", "http://v.vault.azure.net/keys/a", ADDRESS, f"{ADDRESS}/secrets/a", f"{KEY}/1/2", f"{KEY}?a=b"],
)
def test_a_wrong_setting(said: str) -> None:
    with pytest.raises(SettingsError):
        Landing(encryption_key=said)
