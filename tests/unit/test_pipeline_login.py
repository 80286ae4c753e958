"""A password that is rotated: a refused login is tried once more with the secret as it is then, and only once."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from cli.check import checks
from shared.errors import LoginRefused, Transient
from shared.pipeline import http, offline, scheduling
from shared.settings import Secrets
from tests.support import postgres
from tests.support.azurite import azurite  # noqa: F401
from tests.support.world import System, Table, World, world  # noqa: F401


@pytest.fixture
def crm(world: World) -> System:
    """A system whose password the app has read, and used, once."""
    system = world.system("crm", settings={"system": "crm", "password": "${secret:crm-password}"})
    system.tables["orders"] = Table("id")
    system.password = "first-password"
    world.scan("crm")
    world.settle()
    world.check()
    system.logins.clear()
    world.vault.asked = 0
    return system


def rotate(world: World, system: System) -> None:
    """The source takes a new password from now on; Key Vault has it already."""
    system.password = world.vault.values["crm-password"] = "second-password"


def test_a_scan_goes_on_with_the_rotated_password(world: World, crm: System) -> None:
    rotate(world, crm)
    crm.tables["items"] = Table("id")
    world.scan("crm")
    world.settle()
    world.check()
    world.confirmed()
    # listing the scopes was refused once; from then on everything goes with the new one
    assert crm.logins == ["first-password", "second-password", "second-password"]
    assert world.vault.asked == 1


def test_without_reading_it_again_the_scan_fails(world: World, crm: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Secrets, "refresh", lambda *_: None)
    rotate(world, crm)
    with pytest.raises(LoginRefused):
        world.scan("crm")
    assert crm.logins == ["first-password"]


def test_a_password_that_is_rotated_between_two_scopes_or_parts(world: World, crm: System) -> None:
    crm.schemas["sales"] = {"regions": Table("id")}
    crm.cursor_every = 1
    world.scan("crm")
    crm.logins.clear()
    rotate(world, crm)
    world.settle()
    world.check()
    world.confirmed()
    assert crm.logins == ["first-password", "second-password", "second-password"]


def test_a_login_that_is_refused_half_way_loses_and_doubles_nothing(world: World, crm: System) -> None:
    crm.tables.update({f"t{n:02d}": Table("id") for n in range(20)})
    crm.cursor_every = 1

    def session_ends(count: int) -> None:
        if count == 10 and crm.password == "first-password":
            rotate(world, crm)
            raise LoginRefused("the token has expired", where="crm", fix="check it")

    crm.on_read = session_ends
    world.scan("crm")
    world.settle()
    world.check()
    world.confirmed()
    assert world.scan_of("crm").assets == 21
    assert crm.logins[-2:] == ["first-password", "second-password"]


def test_the_same_password_is_not_tried_twice(world: World, crm: System) -> None:
    crm.password = "only-the-database-knows-it"
    with pytest.raises(LoginRefused, match=r"was read again at .* UTC, and is the same"):
        world.scan("crm")
    assert crm.logins == ["first-password"]


def test_a_new_password_that_is_wrong_too_ends_it(world: World, crm: System) -> None:
    world.vault.values["crm-password"] = "a-typing-error"
    crm.password = "only-the-database-knows-it"
    with pytest.raises(LoginRefused, match=r"was read again at .* UTC, and is refused as well") as error:
        world.scan("crm")
    assert crm.logins == ["first-password", "a-typing-error"]
    assert "a-typing-error" not in str(error.value)


def test_forty_scopes_do_not_lock_the_account(world: World, crm: System) -> None:
    crm.schemas.update({f"s{n:02d}": {} for n in range(40)})
    assert world.scan("crm") == 41
    crm.logins.clear()
    crm.password = "only-the-database-knows-it"
    world.settle()
    assert crm.logins == ["first-password"]
    scan = world.scan_of("crm", "s07")
    assert (scan.state, scan.problem) == ("failed", "LoginRefused")
    assert scan.fix == "check the password"
    # ten minutes later it is worth a try, and a new secret is at once
    world.later(minutes=11)
    status, body, _ = http.scan(world.app, "crm", full=False)
    assert (status, b"refused the login" in body) == (502, True)
    assert crm.logins == ["first-password"] * 2
    rotate(world, crm)
    assert world.scan("crm") > 0
    assert crm.logins[2:] == ["second-password"]


def test_while_key_vault_does_not_answer_nobody_logs_in_again(world: World, crm: System) -> None:
    rotate(world, crm)
    world.vault.status = 503
    for _ in range(3):
        with pytest.raises(Transient, match="Key Vault did not answer"):
            world.scan("crm")
    assert crm.logins == ["first-password"]
    world.vault.status = 200
    world.scan("crm")
    assert crm.logins == ["first-password", "second-password"]


def test_a_password_that_no_secret_holds_is_said_plainly(world: World, crm: System) -> None:
    world.configure("crm", settings={"system": "crm", "password": "written-down"})
    with pytest.raises(LoginRefused) as error:
        world.scan("crm")
    assert error.value.what == "the system refused the login"
    assert crm.logins == ["written-down"]


def test_the_schedule_notes_a_refused_login(world: World, crm: System) -> None:
    crm.password = "only-the-database-knows-it"
    world.later(days=1)
    assert scheduling.schedule(world.app) == []
    scan = world.scan_of("crm", "*")
    assert (scan.state, scan.problem) == ("failed", "LoginRefused")
    assert "read again at" in scan.error


def test_check_and_extract_read_it_again_too(world: World, crm: System) -> None:
    rotate(world, crm)
    lines = {line.name: line for line in checks(world.app, "crm")}
    assert lines["instance crm, connection"].ok
    assert crm.logins == ["first-password", "second-password"]
    crm.password = "only-the-database-knows-it"
    lines = {line.name: line for line in checks(world.app, "crm")}
    assert not lines["instance crm, connection"].ok
    assert "read again at" in lines["instance crm, connection"].detail
    assert crm.logins[2:] == ["second-password"]

    crm.password = world.vault.values["crm-password"] = "third-password"
    parts = list(offline.extract_to(world.app, "crm", world.folder / "out"))
    assert [records for _, records, _ in parts] == [4]
    assert crm.logins[3:] == ["second-password", "third-password", "third-password"]


@pytest.mark.server
def test_a_real_server_sees_one_refused_login_and_one_that_works(world: World) -> None:
    with postgres.database() as conninfo, postgres.role(conninfo, "first-password") as name:
        settings = postgres.settings(conninfo, user=name, password="${secret:crm-password}", sslmode="disable")
        world.instances["pg"] = {"connector": "postgresql", "settings": settings, "schedule": world.daily}

        def scan() -> list[str]:
            return scheduling.request(world.app, "pg", full=False, reason="request")

        assert len(scan()) == 1
        with psycopg.connect(conninfo, autocommit=True) as admin:
            change = sql.SQL("alter role {} password {}")
            admin.execute(change.format(sql.Identifier(name), sql.Literal("second-password")))
            log = postgres.log(admin)
        seen = len(log.read_text())

        def refused() -> int:
            return log.read_text()[seen:].count(f'password authentication failed for user "{name}"\n')

        with pytest.raises(LoginRefused, match="and is the same") as error:
            scan()
        assert "password authentication failed" in error.value.what
        assert refused() == 1
        world.vault.values["crm-password"] = "second-password"
        scan()
        assert refused() == 1  # the worker remembers, and asks Key Vault first
        world.app.secrets._cache["crm-password"] = ("first-password", float("inf"))
        assert all(line.ok for line in checks(world.app, "pg"))
        assert refused() == 2
