"""Circuit breaking: what fails as a whole is left alone for a while, and its work waits and goes on by itself."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from cli.check import checks
from cli.report import show_status
from connectors.source import Source
from shared.errors import HubBusy, SettingsError, SourceRefused, SourceUnreachable
from shared.pipeline import scheduling, transformation
from shared.pipeline.breaking import SOURCE_FAILURES, SinkCircuit, SourceCircuit
from shared.pipeline.overview import status
from shared.state.circuits import FIRST, Circuit, Circuits, delay
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import System, Table, World, world  # noqa: F401


@pytest.fixture
def crm(world: World) -> System:
    system = world.system("crm")
    system.tables["orders"] = Table("id", "a")
    return system


def unreachable() -> SourceUnreachable:
    return SourceUnreachable("the database does not answer", where="db", fix="check the network")


class Tries:
    """How often the source was opened; at what minute of the world's time."""

    def __init__(self, world: World) -> None:
        self.at: list[int] = []
        self.scopes: list[str] = []
        real, began = scheduling.App.source, world.offset

        def counted(app: Any, name: str) -> Source[Any]:
            self.at.append(round((world.offset - began).total_seconds() / 60))
            source = real(app, name)
            reads = source.extract

            def read(scope: str, **options: Any) -> Any:
                self.scopes.append(scope)
                return reads(scope, **options)

            source.extract = read  # type: ignore[method-assign]
            return source

        world.monkeypatch.setattr(scheduling.App, "source", counted)


def minutes(world: World, count: int, step: int = 1) -> None:
    """The timers, every so many minutes."""
    for _ in range(count // step):
        world.later(seconds=60 * step - 1)
        world.tick()
        world.settle(sweeps=False)


def circuit_of(world: World, instance: str = "crm") -> Circuit | None:
    (found,) = [i.circuit for i in status(world.app).instances if i.name == instance]
    return found


# ---- the arithmetic


def test_delays_double_up_to_the_longest() -> None:
    day = dt.timedelta(days=1)
    assert [delay(n, day) / FIRST for n in range(1, 6)] == [1, 2, 4, 8, 16]
    assert delay(1000, dt.timedelta(hours=6)) == dt.timedelta(hours=6)
    jittered = [delay(1, day, f"instance-{n}") for n in range(50)]
    assert len(set(jittered)) == 50
    assert all(FIRST <= wait <= 1.1 * FIRST for wait in jittered)
    assert delay(3, day, "crm") == delay(3, day, "crm"), "the same for every worker"


def test_a_circuit_opens_after_some_failures_and_counts_only_tries_that_were_let_through(world: World) -> None:
    circuits, moment = world.app.circuits, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    def fail() -> Circuit:
        return circuits.failed("source", "crm", unreachable(), moment, longest=dt.timedelta(hours=6), after=3)

    assert [fail().open for _ in range(3)] == [False, False, True]
    opened = fail()
    assert (opened.failures, opened.shut(moment)) == (3, True), "it was under way when the circuit opened"
    moment = dt.datetime.fromisoformat(opened.retry_at)
    assert not opened.shut(moment)
    again = fail()
    assert again.failures == 4
    assert dt.datetime.fromisoformat(again.retry_at) - moment >= 2 * FIRST
    assert again.since == opened.since
    circuits.close("source", "crm")
    assert circuits.get("source", "crm") is None


# ---- sources


def test_a_source_that_does_not_answer_is_tried_less_and_less(world: World, crm: System) -> None:
    crm.error = unreachable()
    tries = Tries(world)
    minutes(world, 9 * 60, step=10)
    gaps = [later - earlier for earlier, later in zip(tries.at, tries.at[1:], strict=False)]
    assert len(gaps) == 5
    for gap, wait in zip(gaps, [15, 30, 60, 120, 240], strict=True):
        assert wait <= gap <= 1.1 * wait + 10
    circuit = circuit_of(world)
    assert circuit is not None
    assert circuit.error == "the database does not answer"
    assert circuit.fix == "check the network"
    crm.error = None
    minutes(world, 7 * 60, step=30)
    world.settle()
    world.check()
    assert circuit_of(world) is None


def test_without_breaking_it_is_tried_all_the_time(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SourceCircuit, "failed", lambda *_, **__: None)
    crm.error = unreachable()
    tries = Tries(world)
    minutes(world, 4 * 60, step=10)
    assert len(tries.at) > 10, "with it, five"


def test_it_is_not_left_alone_for_longer_than_its_schedule(world: World, crm: System) -> None:
    world.configure("crm", schedule="0 0 * * * *")
    crm.error = unreachable()
    tries = Tries(world)
    minutes(world, 6 * 60, step=10)
    gaps = [later - earlier for earlier, later in zip(tries.at, tries.at[1:], strict=False)]
    assert 15 <= gaps[0] <= 30
    assert max(gaps) <= 80


def failing_scopes(world: World, crm: System, count: int) -> None:
    """Many schemas, and a source that breaks off in the first table of each."""
    crm.schemas = {f"s{n}": {"t": Table("id")} for n in range(count)}
    crm.error, crm.error_at = unreachable(), "t"


def test_one_scope_goes_first_and_the_others_follow(world: World, crm: System) -> None:
    failing_scopes(world, crm, 5)
    tries = Tries(world)
    world.tick()
    world.settle(sweeps=False)
    assert len(tries.scopes) == SOURCE_FAILURES, "the others find out without asking"
    assert world.poison == []
    told = {(s.state, s.error) for i in status(world.app).instances for s in i.scans}
    assert told == {("failed", "the database does not answer")}
    tries.scopes.clear()
    minutes(world, 30, step=6)
    assert len(tries.scopes) == 1, "half open: one of them"
    minutes(world, 40, step=10)
    assert len(tries.scopes) == 2
    assert len(set(tries.scopes)) == 2, "and not the same again: it may be its own fault"
    crm.error = None
    minutes(world, 90, step=10)
    world.settle()
    world.check()
    assert circuit_of(world) is None
    assert len(tries.scopes) == 2 + 5


def test_a_scope_that_always_fails_does_not_keep_its_neighbours_from_being_read(world: World, crm: System) -> None:
    crm.schemas = {"a": {"bad": Table("id")}, "b": {"good": Table("id")}}
    crm.error, crm.error_at = unreachable(), "bad"
    minutes(world, 48, step=4)
    world.settle(sweeps=False)
    assert world.scan_of("crm", "b").state == "finished"
    assert world.scan_of("crm", "a").state == "failed"


def test_a_person_is_not_kept_from_trying(world: World, crm: System) -> None:
    crm.error = unreachable()
    minutes(world, 20, step=10)
    assert circuit_of(world) is not None
    crm.error = None
    assert world.scan("crm") == 1
    assert circuit_of(world) is None
    world.settle()
    world.check()


def test_a_full_scan_stays_a_full_scan(world: World, crm: System) -> None:
    world.scan("crm")
    world.settle()
    crm.error, crm.error_at = unreachable(), "orders"
    world.hub.clear()
    world.scan("crm", full=True)
    world.settle(sweeps=False)
    crm.error = None
    minutes(world, 40, step=10)
    world.settle()
    assert world.scan_of("crm").full
    assert "create postgresql_table orders" in world.sent()


def test_other_instances_go_on(world: World, crm: System) -> None:
    crm.error = unreachable()
    other = world.system("erp")
    other.tables["bills"] = Table("id")
    minutes(world, 5)
    world.settle(sweeps=False)
    assert world.scan_of("erp").state == "finished"
    assert circuit_of(world, "erp") is None


def test_a_wrong_password_waits_for_other_settings(world: World, crm: System) -> None:
    crm.error, crm.error_at = SourceRefused("the password is wrong", fix="change it"), "orders"
    tries = Tries(world)
    minutes(world, 120, step=5)
    assert len(tries.scopes) == 1
    assert circuit_of(world) is None, "it answered"
    crm.error, crm.password = None, "another"
    world.configure("crm", settings={"system": "crm", "password": "another"})
    minutes(world, 2)
    world.settle()
    world.check()
    assert len(tries.scopes) == 2


def test_deleting_the_table_does_no_harm(world: World, crm: System) -> None:
    crm.error = unreachable()
    minutes(world, 5)
    world.wipe("circuits")
    crm.error = None
    minutes(world, 40, step=10)
    world.settle()
    world.check()


# ---- the sink


def refusing(world: World) -> SettingsError:
    refused = SettingsError("Event Hubs refused (unauthorized-access)", where="event hub", fix="give the role")
    world.hub.busy = lambda _: refused
    return refused


def uploads(world: World, count: int) -> list[str]:
    text = "create view v{0} as select id from orders{0};"
    return [world.upload(f"uploads/sql_script/ansi/f{n}.sql", text.format(n)) for n in range(count)]


def count_reads(world: World) -> list[str]:
    """Files that were really transformed."""
    read: list[str] = []
    real = transformation.File.send

    def counted(self: Any, *args: Any, **options: Any) -> Any:
        read.append(self.receipt.path)
        return real(self, *args, **options)

    world.monkeypatch.setattr(transformation.File, "send", counted)
    return read


def test_a_sink_that_refuses_is_found_out_by_one_file(world: World) -> None:
    refused = refusing(world)
    paths, read = uploads(world, 6), count_reads(world)
    world.settle(sweeps=False)
    assert len(read) == 1
    told = status(world.app)
    assert told.circuit is not None
    assert (told.circuit.error, told.circuit.fix) == (refused.what, refused.fix)
    for path in paths:
        receipt = world.receipt(path)
        assert (receipt.state, receipt.error, receipt.fix) == ("transforming", refused.what, refused.fix)
        assert receipt.attempts == 0
    assert world.errors == [] and world.poison == []
    for _ in range(36):  # six hours of sweeps
        world.later(minutes=10)
        world.sweep()
        world.settle(sweeps=False)
    assert 6 <= len(read) <= 9, "one file at a time, less and less often"
    world.hub.busy = lambda _: None
    world.settle()
    assert {world.receipt(path).state for path in paths} == {"confirmed"}
    assert status(world.app).circuit is None
    world.confirmed()


def test_without_breaking_every_file_finds_out_for_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SinkCircuit, "failed", lambda *_: None)
    refusing(world)
    read = count_reads(world)
    uploads(world, 6)
    world.settle(sweeps=False)
    assert len(read) == 6


def test_a_busy_hub_opens_nothing(world: World) -> None:
    world.hub.busy = lambda _: HubBusy("server-busy", where="event hub", fix="wait")
    uploads(world, 1)
    world.settle(waits=1)
    assert status(world.app).circuit is None


def test_a_person_can_run_a_file_although_it_is_open(world: World) -> None:
    refusing(world)
    first, second = uploads(world, 2)
    world.settle(sweeps=False)
    world.hub.busy = lambda _: None
    app = world.app
    assert transformation.transform(app, app.landing.get_blob_client(first), again=True) is not None
    assert status(app).circuit is None, "it works, so the others go on"
    world.settle()
    assert world.receipt(second).state == "confirmed"


def test_a_worker_killed_between_sending_and_closing(world: World) -> None:
    refusing(world)
    paths = uploads(world, 3)
    world.settle(sweeps=False)
    world.hub.busy = lambda _: None
    real = Circuits.close
    world.monkeypatch.setattr(Circuits, "close", lambda *_: world.faults.step(lambda: None))
    world.settle(waits=6)
    assert status(world.app).circuit is not None
    world.monkeypatch.setattr(Circuits, "close", real)
    world.app.sink_circuit.look()
    world.settle()
    assert {world.receipt(path).state for path in paths} == {"confirmed"}


def test_deletions_and_what_is_overdue_wait_as_well(world: World, crm: System) -> None:
    crm.tables.update({"kept": Table("id"), "gone": Table("id")})
    world.scan("crm")
    world.settle()
    del crm.tables["gone"]
    crm.tables["new"] = Table("id")
    world.hub.drop = lambda m: m.operation == "create"
    world.hub.busy = lambda m: refused_always if m.operation == "delete" else None
    refused_always = SettingsError("Event Hubs refused (unauthorized-access)", where="event hub", fix="give the role")
    world.scan("crm")
    world.settle(sweeps=False)
    world.hub.busy = lambda _: refused_always
    for _ in range(16):
        world.later(minutes=16)
        world.sweep()
        world.settle(sweeps=False)
    assert world.poison == []
    assert status(world.app).circuit is not None
    world.hub.busy, world.hub.drop = lambda _: None, lambda _: False
    world.settle()
    world.check()
    assert world.scan_of("crm").deleted == 1


# ---- what people are told


def test_status_and_check_say_until_when(world: World, crm: System, capsys: pytest.CaptureFixture[str]) -> None:
    crm.error = unreachable()
    world.tick()
    refusing(world)
    uploads(world, 1)
    world.settle(sweeps=False)
    show_status(status(world.app))
    shown = " ".join(capsys.readouterr().out.split())
    for place in ("crm: the database does not answer", "sending by event hub: Event Hubs refused"):
        assert place in shown
        said = shown.partition(place)[2]
        assert "circuit open since" in said
        assert "next try at" in said
    lines = {line.name: line for line in checks(world.app, None)}
    assert "the database does not answer" in lines["instance crm, circuit"].detail
    assert lines["sending, circuit"].fix == "give the role"
