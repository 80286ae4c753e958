"""Messages that never arrive, answers that never come: asked for, sent once more, confirmed or reported as lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from local.catalogue.faults import Faults as RestFaults
from shared.atlas.messages import Message
from shared.delivery.catalog import Catalog
from shared.errors import CatalogBusy, CatalogRefused
from shared.pipeline import confirmation, replaying
from shared.pipeline.answers import Answers
from shared.state import pending
from shared.state.receipts import Receipt
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import System, Table, World, world  # noqa: F401


@pytest.fixture
def crm(world: World) -> System:
    system = world.system("crm")
    system.tables.update({"orders": Table("id", "a"), "customers": Table("id"), "parts": Table("id")})
    return system


def about(name: str) -> Callable[[Message], bool]:
    return lambda message: any(n.qualified_name.endswith(f"/{name}") for n in message.names)


def apart(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One message for each asset, so that one can be lost alone."""
    monkeypatch.setattr("shared.pipeline.file.Packer", _Single)


class _Single:
    def __init__(self, **options: Any) -> None:
        from shared.atlas.messages import Packer

        self.packer = Packer(**options)

    def add(self, closure: Any) -> list[Message]:
        return [*self.packer.add(closure), *self.packer.flush()]

    def flush(self) -> list[Message]:
        return []


def lose(world: World, name: str, times: int) -> list[int]:
    """The hub takes messages about `name`, and the first so many never reach the catalogue."""
    lost: list[int] = []

    def drop(message: Message) -> bool:
        if not about(name)(message) or len(lost) >= times:
            return False
        lost.append(1)
        return True

    world.hub.drop = drop
    return lost


def read_only(world: World) -> None:
    """The app may read the catalogue over REST, and not write to it."""

    def refuse(*_: Any) -> None:
        raise CatalogRefused("the catalogue answered 403 Forbidden", fix="give the app the role Data Curator")

    world.monkeypatch.setattr("shared.delivery.catalog.Catalog.upsert", refuse)
    world.monkeypatch.setattr("shared.delivery.catalog.Catalog.delete", refuse)


def test_what_the_hub_loses_twice_goes_over_rest(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    apart(world, monkeypatch)
    lose(world, "orders", 9)
    world.scan("crm")
    world.settle()
    assert world.sent().count("create postgresql_table orders") == 2
    (part,) = world.parts_of("crm")
    assert (part.state, part.resent, part.by_rest) == ("confirmed", True, True)
    world.check()
    world.scan("crm")
    world.settle()
    assert world.sent() == []


def test_rest_names_the_reason(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Atlas would drop without a word: the hub loses it, REST says why, and the neighbours are there."""
    apart(world, monkeypatch)
    lose(world, "orders", 9)
    real = Catalog.upsert

    def upsert(self: Catalog, entities: list[dict[str, Any]], referred: dict[str, Any]) -> Any:
        if any(e["attributes"].get("name") == "orders" for e in entities):
            raise CatalogRefused("the catalogue answered 400 ATLAS-400-00-0E: not like this", fix="correct it")
        return real(self, entities, referred)

    monkeypatch.setattr(Catalog, "upsert", upsert)
    world.scan("crm")
    world.settle()
    (part,) = world.parts_of("crm")
    assert (part.state, part.reasons) == ("partly rejected", {"CatalogRefused": 1})
    (told,) = world.rejected(f"{part.path}.lost")
    assert told.place.endswith("/tables/orders")
    assert (told.reason, told.fix) == ("the catalogue answered 400 ATLAS-400-00-0E: not like this", "correct it")
    assert list(world.app.pending.all()) == []
    monkeypatch.setattr(Catalog, "upsert", real)
    world.hub.drop = lambda _: False
    world.sent()
    world.scan("crm")
    world.settle()
    assert "create postgresql_table orders" in world.sent(), "unchanged, and yet sent again: it is in doubt"
    world.check()


def test_a_lost_message_is_sent_once_more(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    apart(world, monkeypatch)
    lose(world, "orders", 1)
    world.scan("crm")
    world.settle(waits=0)
    (part,) = world.parts_of("crm")
    assert (part.state, part.sent - part.confirmed) == ("sent", 1)
    assert world.sent().count("create postgresql_table orders") == 1
    world.settle()
    assert world.sent() == ["create postgresql_table orders"]
    world.check()
    (part,) = world.parts_of("crm")
    assert (part.state, part.resent) == ("confirmed", True)


def test_one_that_never_arrives_is_lost_and_says_so(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    apart(world, monkeypatch)
    lose(world, "orders", 2)
    read_only(world)
    world.scan("crm")
    world.settle()
    assert world.sent().count("create postgresql_table orders") == 2
    (part,) = world.parts_of("crm")
    assert part.state == "lost"
    assert part.reasons == {"not-confirmed": 1}
    (told,) = world.rejected(f"{part.path}.lost")
    assert told.place.endswith("/tables/orders")
    assert told.rule == "not-confirmed"
    assert "403 Forbidden" in told.reason
    assert told.fix
    assert list(world.app.pending.all()) == []
    # unchanged, and yet sent again: it is in doubt
    world.scan("crm")
    world.settle()
    assert world.sent() == ["create postgresql_table orders"]
    world.check()
    world.scan("crm")
    world.settle()
    assert world.sent() == []


def test_a_lost_deletion(world: World, crm: System) -> None:
    world.scan("crm")
    world.settle()
    world.sent()
    del crm.tables["orders"]
    lose(world, "orders", 1)
    world.scan("crm")
    world.settle()
    assert world.sent() == ["delete postgresql_table orders"] * 2
    world.check()


def test_a_deletion_that_was_lost_for_good_is_made_up_for(world: World, crm: System) -> None:
    world.scan("crm")
    world.settle()
    del crm.tables["orders"]
    lose(world, "orders", 2)
    read_only(world)
    world.scan("crm")
    world.settle()
    deletions = world.receipt(f"crm/{world.scan_of('crm').id}/deletions")
    assert deletions.state == "lost"
    assert world.rejected(f"{deletions.path}.lost")[0].place.endswith("/orders")
    world.sent()
    world.scan("crm")
    world.settle()
    assert world.sent() == ["delete postgresql_table orders"]
    world.check()


def test_an_overdue_deletion_does_not_delete_what_has_come_back(world: World, crm: System) -> None:
    """Its answer was lost, not the message; the table is back before anybody asks."""
    world.scan("crm")
    world.settle()
    orders = crm.tables.pop("orders")
    world.deliver = lambda _: []
    world.scan("crm")
    world.settle(waits=0)
    crm.tables["orders"] = orders
    world.scan("crm")
    world.settle(waits=0)
    world.sent()
    world.settle()
    assert world.sent() == []
    world.check()
    first = world.app.receipts
    assert [r.overtaken for r in first.all() if r.format == "deletions"] == [1]


def test_an_overdue_table_does_not_come_back_when_it_was_dropped(
    world: World, crm: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart(world, monkeypatch)
    lose(world, "orders", 1)
    world.scan("crm")
    world.settle(waits=0)
    (part,) = world.parts_of("crm")
    crm.tables.pop("orders")
    world.scan("crm")
    world.settle()
    assert "create postgresql_table orders" not in world.sent()[5:]
    world.check()
    old = world.receipt(part.path)
    assert (old.state, old.overtaken) == ("confirmed", 1)


def test_an_overdue_table_does_not_bring_an_old_description_back(
    world: World, crm: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart(world, monkeypatch)
    lose(world, "orders", 1)
    world.scan("crm")
    world.settle(waits=0)
    crm.tables["orders"].description = "newer"
    world.deliver = lambda _: []
    world.scan("crm")
    world.settle(waits=0)
    world.deliver = lambda bodies: bodies
    world.settle()
    world.check()


def test_an_upload_is_sent_once_more_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    apart(world, monkeypatch)
    entities = [
        {"typeName": "hookline_dataset", "attributes": {"qualifiedName": f"hookline://{n}", "name": n}} for n in "abc"
    ]
    path = world.upload("uploads/atlas_json/x.json", json.dumps({"entities": entities}))
    lost: list[int] = []
    world.hub.drop = lambda m: m.names[0].qualified_name == "hookline://b" and not lost and not lost.append(1)  # type: ignore[func-returns-value]
    world.settle()
    assert (world.receipt(path).state, world.receipt(path).resent) == ("confirmed", True)
    assert [n.split()[-1] for n in world.sent()] == ["a", "b", "c", "b"]


def test_a_resend_is_done_once(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    apart(world, monkeypatch)
    lose(world, "orders", 5)
    world.scan("crm")
    world.settle(waits=0)
    world.sent()
    (part,) = world.parts_of("crm")
    for _ in range(3):
        replaying.replay(world.app, json.dumps({"path": part.path, "missing": True}))
    assert world.sent() == ["create postgresql_table orders"]


def test_one_whose_file_is_gone_cannot_be_sent_again(
    world: World, crm: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart(world, monkeypatch)
    lose(world, "orders", 1)
    world.scan("crm")
    world.settle(waits=0)
    (part,) = world.parts_of("crm")
    world.landing.delete_blob(part.path)
    world.settle()
    assert world.receipt(part.path).state == "lost"
    assert world.poison == []


# ---- answers


def test_duplicates_disorder_and_delay(world: World, crm: System) -> None:
    late: list[bytes] = []

    def deliver(bodies: list[bytes]) -> list[bytes]:
        late.extend(bodies[1::2])
        return list(reversed(bodies[::2])) * 2

    world.deliver = deliver
    world.scan("crm")
    world.settle(waits=0)
    (part,) = world.parts_of("crm")
    assert 0 < part.confirmed < part.sent
    confirmation.confirm(world.app, late)
    confirmation.confirm(world.app, late)
    world.check()


def test_answers_that_come_before_the_receipt_is_written(world: World, crm: System) -> None:
    """The catalogue is faster than our own bookkeeping."""
    seen = []

    def heard(request: Any) -> None:
        if request.method == "PUT" and "/snapshots/" in request.url and "part" in request.url and world.notices:
            bodies, world.notices = world.notices, []
            seen.append(len(bodies))
            confirmation.confirm(world.new_app(), bodies)

    world.faults.on_request = heard
    world.scan("crm")
    world.step()
    world.step()
    (part,) = world.parts_of("crm")
    assert seen
    assert (part.state, part.confirmed) == ("confirmed", part.sent)


def test_answers_about_others_and_garbage(world: World, crm: System) -> None:
    world.scan("crm")
    world.deliver = lambda _: []
    world.settle(waits=0)
    (part,) = world.parts_of("crm")
    bodies = [
        b"",
        b"\xff\xfe",
        b"[" * 5000,
        b"null",
        b"[]",
        json.dumps({"message": "gzip"}).encode(),
        json.dumps({"message": {"operationType": "ENTITY_CREATE", "entity": None}}).encode(),
        notice("ENTITY_CREATE", "postgresql_table", "postgresql://servers/elsewhere:5432/dbs/x/schemas/y/tables/z"),
        notice("CLASSIFICATION_ADD", "postgresql_table", table("orders")),
        notice("ENTITY_DELETE", "postgresql_table", table("orders")),
        notice("ENTITY_CREATE", "postgresql_view", table("orders")),
        notice("ENTITY_CREATE", "postgresql_table", table("orders"), time=0),
        notice("ENTITY_CREATE", "postgresql_table", table("orders"), time=1),
        notice("ENTITY_CREATE", "postgresql_table", table("orders"), isIncomplete=True),
    ]
    assert confirmation.confirm(world.app, bodies) == 0
    assert world.receipt(part.path).confirmed == 0
    assert confirmation.confirm(world.app, [notice("ENTITY_UPDATE", "postgresql_table", table("orders"))]) == 1
    assert world.receipt(part.path).confirmed == 1


def table(name: str) -> str:
    return f"postgresql://servers/crm.test:5432/dbs/shop/schemas/public/tables/{name}"


def notice(operation: str, type_name: str, name: str, *, time: int = 4_000_000_000_000, **entity: Any) -> bytes:
    said = {"typeName": type_name, "attributes": {"qualifiedName": name}, **entity}
    return json.dumps({"message": {"operationType": operation, "eventTime": time, "entity": said}}).encode()


def test_no_notification_at_all(world: World, crm: System) -> None:
    world.deliver = lambda _: []
    world.scan("crm")
    world.settle(waits=0)
    (part,) = world.parts_of("crm")
    assert (part.state, part.confirmed) == ("sent", 0)
    world.settle(waits=1)
    world.check()
    assert len(world.sent()) == part.sent, "asked, not sent again"


def test_a_catalogue_that_is_busy_while_it_is_asked(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    world.deliver = lambda _: []
    world.scan("crm")
    world.settle(waits=0)
    world.later(hours=3)

    def busy(*_: Any) -> None:
        raise CatalogBusy("the catalogue answered 503", fix="wait")

    with monkeypatch.context() as patched:
        patched.setattr("shared.delivery.catalog.Catalog.find", busy)
        assert world.sweep() == []
    assert world.parts_of("crm")[0].state == "sent"
    world.settle(waits=0)
    world.check()


def test_a_catalogue_that_refuses_to_be_asked(world: World, crm: System) -> None:
    world.deliver = lambda _: []
    world.scan("crm")
    world.settle(waits=0)
    world.running.faults.set(RestFaults(rest_status=403, rest_requests=10_000))
    world.settle()
    (part,) = world.parts_of("crm")
    assert part.state == "lost"
    assert "cannot be asked" in world.rejected(f"{part.path}.lost")[0].reason
    world.running.faults.set(RestFaults())


def test_more_names_than_a_chunk(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "CHUNK", 7)
    monkeypatch.setattr("shared.pipeline.file.CHUNK", 7)
    monkeypatch.setattr("shared.pipeline.deletions.CHUNK", 3)
    apart(world, monkeypatch)
    crm.tables.update({f"t{n:02}": Table("id") for n in range(40)})
    lose(world, "t07", 2)
    read_only(world)
    world.scan("crm")
    world.settle()
    (part,) = world.parts_of("crm")
    assert part.state == "lost"
    assert part.sent == 46
    assert [told.place.rsplit("/", 1)[-1] for told in world.rejected(f"{part.path}.lost")] == ["t07"]
    world.configure("crm", delete_limit=0.9)
    for n in range(10):
        del crm.tables[f"t{n:02}"]
    world.hub.drop = lambda _: False
    world.scan("crm")
    world.settle()
    deletions = world.receipt(f"crm/{world.scan_of('crm').id}/deletions")
    assert (deletions.state, deletions.deleted, deletions.confirmed) == ("confirmed", 10, 10)
    world.check()


# ---- tables of the state, deleted by somebody


@pytest.mark.parametrize("table", ["pending", "receipts", "snapshots", "scans", "types", "sweeps", ""])
@pytest.mark.parametrize("when", ["sent", "confirmed"])
def test_any_table_may_be_deleted(world: World, crm: System, table: str, when: str) -> None:
    if when == "sent":
        world.deliver = lambda _: []
    world.scan("crm")
    world.settle(waits=0)
    world.wipe(table)
    world._app = None
    world.deliver = lambda bodies: bodies
    world.settle()
    crm.tables["new"] = Table("id")
    world.scan("crm", full=True)
    world.settle()
    world.check()
    world.later(days=1)
    world.tick()
    world.settle()
    world.check()


def test_the_rest_of_a_wide_table_is_missed_too(world: World, crm: System) -> None:
    """It travels with its neighbours; when that message is lost, all of it comes again."""
    crm.tables.clear()
    crm.tables.update({"a": Table(*(f"c{n}" for n in range(60))), "b": Table("id")})
    lost: list[int] = []
    world.hub.drop = lambda m: about("b")(m) and not lost and not lost.append(1)  # type: ignore[func-returns-value]
    world.scan("crm")
    world.settle()
    assert lost == [1]
    world.check()
    world.confirmed()


def test_one_that_was_asked_for_a_hundred_times(world: World, crm: System) -> None:
    """The pause doubles with each question, and time spans end somewhere."""
    world.deliver = lambda _: []
    world.scan("crm")
    world.settle(waits=0)
    for chunk in world.app.pending.all():
        for _ in range(100):
            world.app.pending.asked(chunk)
    world.later(hours=1)
    world.sweep()
    world.settle()
    world.check()
    world.confirmed()


def test_one_file_that_cannot_be_looked_at_does_not_stop_the_sweep(
    world: World, crm: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deliver = lambda _: []
    world.scan("crm")
    world.upload(
        "uploads/records/a.jsonl", '{"kind": "dataset", "address": {"platform": "m", "host": "h", "path": ["a"]}}\n'
    )
    world.settle(waits=0)
    real = Answers._late

    def late(self: Answers, receipt: Receipt, seen: Any) -> Any:
        if receipt.path.startswith("uploads/"):
            raise OverflowError
        return real(self, receipt, seen)

    monkeypatch.setattr(Answers, "_late", late)
    world.later(hours=1)
    world.sweep()
    assert [part.state for part in world.parts_of("crm")] == ["confirmed"]
    assert world.receipt("uploads/records/a.jsonl").state == "sent"


def test_a_shell_is_not_the_asset(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """The schema's own message is lost; its tables arrive, and Atlas makes a shell for what they refer to."""
    apart(world, monkeypatch)
    lose(world, "public", 1)
    world.deliver = lambda _: []  # only the catalogue itself can tell
    world.scan("crm")
    world.settle(waits=0)
    assert [e.qn.rsplit("/", 1)[-1] for e in world.entities() if e.incomplete] == ["public"]
    world.settle()
    assert [e.qn for e in world.entities() if e.incomplete] == []
    world.check()
