from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import HooklineError, SecretUnresolved, SettingsError
from shared.settings import Place, Secret, Secrets, connector_settings, convert, due, load, next_time
from shared.settings.schedule import check

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "cases" / "settings"
EXAMPLE = ROOT / "hookline.example.yaml"


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "hookline.yaml"
    file.write_text(text, "utf-8")
    return file


# ---- what is wrong, one file a case: the expected errors stand at its end, behind `#>`


@pytest.mark.parametrize("case", sorted(CASES.glob("*.yaml")), ids=lambda path: path.stem)
def test_wrong_settings(case: Path) -> None:
    expected = [line.removeprefix("#> ") for line in case.read_text("utf-8").splitlines() if line.startswith("#>")]
    assert expected
    try:
        found = load(case, {"FROM_ENV": "no"}).problems
    except SettingsError as error:
        found = [error]
    assert [line for error in found for line in str(error).splitlines()] == expected


# ---- what is right


def test_the_example_is_valid_and_shows_every_default() -> None:
    settings = load(EXAMPLE, {})
    assert settings.problems == []
    assert settings.instances["crm"].connector == "postgresql"
    # The same with every commented option switched on is the same settings: the defaults shown are the defaults.
    text = EXAMPLE.read_text("utf-8")
    options = [
        line.replace("# ", "", 1) for line in text.splitlines() if line.lstrip().startswith("# ") and ": " in line
    ]
    keys = {line.split(":")[0].strip() for line in options}
    assert {"auth", "endpoint", "collection", "delete_limit", "full_refresh", "operations_per_second"} <= keys
    whole = yaml.safe_load(_uncommented(text))
    for section, struct in (
        ("limits", settings.limits),
        ("receipts", settings.receipts),
        ("secrets", settings.secrets),
        ("landing", settings.landing),
    ):
        assert set(whole[section]) == set(struct.__struct_fields__), section
    assert set(whole["purview"]) == set(settings.purview.__struct_fields__)
    assert set(whole["instances"]["crm"]) == set(settings.instances["crm"].__struct_fields__)


def test_the_example_with_every_option_switched_on_means_the_same(tmp_path: Path) -> None:
    on = load(write(tmp_path, _uncommented(EXAMPLE.read_text("utf-8"))), {})
    off = load(EXAMPLE, {})
    assert on.problems == []
    assert on.purview == off.purview
    assert on.limits == off.limits
    assert on.receipts == off.receipts
    assert on.secrets == off.secrets
    assert on.landing == off.landing
    for name in (
        "schedule",
        "include",
        "exclude",
        "types",
        "assets",
        "names",
        "full_refresh",
        "delete_limit",
        "enabled",
    ):
        assert getattr(on.instances["crm"], name) == getattr(off.instances["crm"], name)


def _uncommented(text: str) -> str:
    """The example with its commented options in force; prose comments stay comments."""
    lines = []
    for line in text.splitlines():
        body = line.lstrip()
        key = body.removeprefix("# ").split(":")[0].strip()
        option = body.startswith("# ") and ":" in body and key.replace("_", "").isalpha() and key.islower()
        lines.append(line.replace("# ", "", 1) if option and not line[0].isalpha() else line)
    return "\n".join(lines)


MINIMAL = "purview: {account: contoso}\n"


def test_defaults(tmp_path: Path) -> None:
    settings = load(write(tmp_path, MINIMAL + "instances:\n  crm: {connector: postgresql}\n"), {})
    crm = settings.instances["crm"]
    assert (crm.schedule, crm.types, crm.assets, crm.delete_limit) == ("0 0 2 * * *", "native", "create", 0.10)
    assert crm.full_refresh == timedelta(days=7)
    assert crm.enabled
    assert settings.limits.file_bytes == 1024**3
    assert settings.purview.base_url == "https://contoso.purview.azure.com"
    assert settings.purview.hook is None


def test_aliases_are_followed_to_their_end_and_case_does_not_count(tmp_path: Path) -> None:
    text = MINIMAL + "aliases: {CRM-db: crm.internal, Crm.Internal: crm.contoso.com, '10.1.2.3:5432': CRM-DB}\n"
    assert load(write(tmp_path, text), {}).aliases == {
        "crm-db": "crm.contoso.com",
        "crm.internal": "crm.contoso.com",
        "10.1.2.3:5432": "crm.contoso.com",
    }
    assert load(write(tmp_path, MINIMAL), {}).aliases == {}


def test_a_wrong_instance_leaves_the_others(tmp_path: Path) -> None:
    text = MINIMAL + "instances:\n  bad: {connector: x, tipes: own, delete_limit: 7}\n  good: {connector: y}\n"
    settings = load(write(tmp_path, text), {})
    assert list(settings.instances) == ["good"]
    assert list(settings.disabled) == ["bad"]
    assert len(settings.problems) == 2
    with pytest.raises(SettingsError, match="tipes"):
        settings.instance("bad")
    with pytest.raises(SettingsError) as error:
        settings.instance("goood")
    assert error.value.fix == "did you mean `good`? hookline.yaml has: good"


def test_environment_variables_are_put_in_and_go_before_the_file(tmp_path: Path) -> None:
    text = "purview: {account: '${env:ACCOUNT}'}\ninstances:\n  crm: {connector: x, enabled: '${env:ON}'}\n"
    settings = load(write(tmp_path, text), {"ACCOUNT": "contoso", "ON": "false"})
    assert settings.purview.base_url == "https://contoso.purview.azure.com"
    assert settings.instances["crm"].enabled is False
    local = {"ACCOUNT": "contoso", "ON": "true", "HOOKLINE_PURVIEW_ENDPOINT": "http://127.0.0.1:8400/"}
    local["HOOKLINE_PURVIEW_AUTH"] = "none"
    assert load(write(tmp_path, text), local).purview.base_url == "http://127.0.0.1:8400"


def test_offline_commands_need_no_account(tmp_path: Path) -> None:
    file = write(tmp_path, "instances:\n  crm: {connector: x}\n")
    assert load(file, {}, offline=True).purview.base_url == ""
    with pytest.raises(SettingsError, match="no Purview account"):
        load(file, {})


def test_merge_keys(tmp_path: Path) -> None:
    text = (
        MINIMAL + "instances:\n  a: &base\n    connector: x\n    collection: sales\n    settings: {host: h, port: 1}\n"
        "  b:\n    <<: *base\n    collection: finance\n"
    )
    settings = load(write(tmp_path, text), {})
    assert (settings.instances["b"].connector, settings.instances["b"].collection) == ("x", "finance")
    assert dict(settings.instances["b"].settings) == {"host": "h", "port": 1}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "the file does not exist"),
        (b"a: \xff\xfe\n", "not UTF-8 text"),
        (b"a: \x00\n", "not YAML: ReaderError"),
        (b"#" * (1024 * 1024 + 1), "larger than"),
        (b"a: [" * 3000, "nested more than"),
        (b"{a: " * 40 + b"1" + b"}" * 40, "nested more than"),
        (b"a: &a [*a]\n", "nested more than"),
        (b"a: &a {b: *a}\n", "nested more than"),
        (
            b"a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
            + b"".join(b"a%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 10)) for i in range(1, 9)),
            "more than 50,000 values",
        ),
        (
            b"a0: &a0 {k: v}\n"
            + b"".join(b"a%d: &a%d {<<: [%s]}\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 10)) for i in range(1, 20)),
            "more than 50,000 values",
        ),
    ],
)
def test_unusable_files(tmp_path: Path, content: bytes | None, what: str) -> None:
    file = tmp_path / "hookline.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=what) as error:
        load(file, {})
    assert "hookline.yaml" in error.value.where
    assert error.value.fix


@pytest.mark.parametrize(
    "text", ["password: *hunter2", "password: !hunter2 x", "a: b: hunter2", "a: 'x' hunter2", "&hunter2 a: &hunter2"]
)
def test_no_error_quotes_what_may_be_a_password(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError) as error:
        load(write(tmp_path, text), {})
    assert "hunter2" not in str(error.value)
    assert "line 1" in str(error.value)


@given(st.binary(max_size=200) | st.text("abc:{}[]&*!|>-'\" \n#%?,<", max_size=60).map(str.encode))
def test_any_bytes_are_settings_or_a_settings_error(content: bytes) -> None:
    from shared.settings import from_mapping
    from shared.settings.document import parse

    try:
        from_mapping(*_swap(parse(content, "hookline.yaml")), offline=True)
    except HooklineError as error:
        assert error.fix


def _swap(parsed: tuple[dict[str, object], Place]) -> tuple[dict[str, object], dict[str, str], Place]:
    return parsed[0], {}, parsed[1]


# ---- a connector's settings


class Password(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="password"):
    password: Secret


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="key"):
    file: str


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    mode: Literal["off", "verify"] = "verify"


class CrmSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str
    password: Secret = Secret("")
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 5432
    timeout: timedelta = timedelta(seconds=30)
    tls: Tls = Tls()
    databases: tuple[str, ...] = ()
    login: Password | Key | None = None
    tokens: list[Secret] = []
    options: dict[str, str] = {}
    certificates: list[Tls] = []

    def __post_init__(self) -> None:
        if self.host == "forbidden":
            raise ValueError("this host is forbidden")


def test_connector_settings_are_typed_and_their_secrets_resolved(tmp_path: Path) -> None:
    text = MINIMAL + (
        "instances:\n  crm:\n    connector: x\n    settings:\n"
        "      host: '${env:HOST}.internal'\n      password: ${secret:crm}\n      port: ${env:PORT}\n"
        "      timeout: 5m\n"
        "      tls: {mode: 'off'}\n      databases: [a, b]\n      login: {kind: password, password: '${secret:crm}'}\n"
        "      tokens: ['${secret:crm}']\n      options: {a: b}\n      certificates: [{mode: verify}, {}]\n"
    )
    environ = {"HOST": "crm", "PORT": "6000", "HOOKLINE_SECRET_CRM": "s3cr3t-value"}
    settings = load(write(tmp_path, text), environ)
    crm = connector_settings(settings, "crm", CrmSettings, Secrets(None, environ))
    assert (crm.host, crm.port, crm.timeout, crm.tls.mode) == ("crm.internal", 6000, timedelta(minutes=5), "off")
    assert crm.password.reveal() == "s3cr3t-value"
    assert isinstance(crm.login, Password)
    assert crm.tokens == [Secret("s3cr3t-value")]
    assert crm.certificates == [Tls(), Tls()]
    assert "s3cr3t" not in repr(crm) + str(crm) + repr(settings)


def test_a_password_written_into_the_file_does_not_show_in_the_settings(tmp_path: Path) -> None:
    text = MINIMAL + "instances:\n  crm: {connector: x, settings: {host: h, password: hunter2-in-the-file}}\n"
    settings = load(write(tmp_path, text), {})
    assert "hunter2" not in repr(settings) + str(settings.instances["crm"].settings)
    with pytest.raises(TypeError):
        msgspec.json.encode(settings.instances["crm"])


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        ({}, "crm: `host` is missing\n  fix: add `host:` here"),
        ({"host": 5}, "crm.host: must be text\n  fix: put the value in quotes"),
        (
            {"host": "h", "prot": 1},
            "crm.prot: unknown key `prot`\n  fix: did you mean `port`? there are: host, password,",
        ),
        ({"host": "h", "port": "x"}, "crm.port: must be a whole number\n  fix: write a whole number"),
        (
            {"host": "h", "port": 70000},
            "crm.port: must be a whole number <= 65535\n  fix: write a whole number <= 65535",
        ),
        ({"host": "h", "password": 123}, "crm.password: must be text\n  fix: put the value in quotes"),
        ({"host": "h", "password": None}, "crm.password: must be text"),
        ({"host": "h", "tls": {"mode": "of"}}, "crm.tls.mode: must be one of off, verify\n  fix: did you mean `off`?"),
        ({"host": "h", "tls": True}, "crm.tls: must be a block of `key: value` lines\n  fix: there are: mode"),
        ({"host": "h", "tls": {"x": 1}}, "crm.tls.x: unknown key `x`"),
        ({"host": "h", "timeout": 30}, "crm.timeout: must be a time span above zero"),
        ({"host": "h", "timeout": "0s"}, "crm.timeout: must be a time span above zero"),
        ({"host": "h", "timeout": "99999d"}, "crm.timeout: must be a time span above zero"),
        ({"host": "h", "databases": "a"}, "crm.databases: must be a list\n  fix: write a list: [a, b]"),
        ({"host": "h", "databases": ["a", 1]}, "crm.databases[1]: must be text\n  fix: put the value in quotes"),
        ({"host": "h", "login": {"kind": "kee"}}, "crm.login: `kind` must be one of password, key"),
        ({"host": "h", "login": {"kind": "key"}}, "crm.login: `file` is missing"),
        ({"host": "h", "login": "x"}, "crm.login: must be"),
        ({"host": "h", "options": {"a": 1}}, "crm.options.a: must be text"),
        ({"host": "h", "certificates": [{"mode": "x"}]}, "crm.certificates[0].mode: must be one of off, verify"),
        ({"host": "forbidden"}, "crm: this host is forbidden"),
        ([], "crm: must be a block of `key: value` lines"),
        ("hunter2", "crm: must be a block of `key: value` lines"),
    ],
)
def test_wrong_connector_settings(raw: object, error: str) -> None:
    with pytest.raises(SettingsError) as found:
        convert(CrmSettings, raw, "crm")
    assert str(found.value).startswith(error)
    assert "hunter2" not in str(found.value)


def test_an_unresolved_secret_names_line_key_and_fix(tmp_path: Path) -> None:
    text = (
        MINIMAL + "instances:\n  crm:\n    connector: x\n    settings:\n      host: h\n      password: ${secret:crm}\n"
    )
    settings = load(write(tmp_path, text), {})
    assert list(settings.instances) == ["crm"]
    with pytest.raises(SecretUnresolved) as error:
        connector_settings(settings, "crm", CrmSettings, Secrets(None, {}))
    assert error.value.where == "hookline.yaml line 7, instances.crm.settings.password"
    assert "HOOKLINE_SECRET_CRM" in error.value.fix


# ---- schedules


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "after", "then"),
    [
        ("0 0 2 * * *", "2026-03-01T01:59:59", "2026-03-01T02:00:00"),
        ("0 0 2 * * *", "2026-03-01T02:00:00", "2026-03-02T02:00:00"),
        ("*/30 * * * * *", "2026-03-01T00:00:01", "2026-03-01T00:00:30"),
        ("0 30 9 * Jan Mon", "2026-03-01T00:00:00", "2027-01-04T09:30:00"),
        ("0 0 9 * * 1-5", "2026-03-06T09:00:00", "2026-03-09T09:00:00"),
        # NCRONTAB: the first of a month that is a Monday, where cron would take either
        ("0 0 0 1 * 1", "2026-03-02T00:00:00", "2026-06-01T00:00:00"),
        ("0 0 0 29 2 *", "2026-03-01T00:00:00", "2028-02-29T00:00:00"),
    ],
)
def test_next_time(schedule: str, after: str, then: str) -> None:
    check(schedule)
    assert next_time(schedule, moment(after)) == moment(then)


def test_due() -> None:
    daily, now = "0 0 2 * * *", moment("2026-03-10T02:00:00")
    assert due(daily, None, now)
    assert due(daily, moment("2026-03-09T02:00:00"), now)
    assert not due(daily, moment("2026-03-09T02:00:00"), now - timedelta(seconds=1))
    assert not due(daily, now, now)
    assert due(daily, moment("2026-01-01T00:00:00"), now)
    assert not due(daily, now + timedelta(days=3), now)
    elsewhere = timezone(timedelta(hours=5))
    assert due(daily, moment("2026-03-09T02:00:00").astimezone(elsewhere), now.astimezone(elsewhere))
    with pytest.raises(ValueError, match="without a time zone"):
        due(daily, None, datetime(2026, 3, 10))


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "x",
        "* * * *",
        "0 0 2 * * * *",
        "60 * * * * *",
        "0 0 2 L * *",
        "0 0 2 ? * *",
        "0 0 0 31 2 *",
        "@daily",
        "0 0 2 * * 1#2",
        "0 0 2 * * mun",
        "R 0 0 * * *",
        "0 0 2 * * R",
        "0 0 2 * * L5",
        "0 0 2 * 0 *",
        "0 */0 * * * *",
    ],
)
def test_what_is_no_schedule(schedule: str) -> None:
    with pytest.raises(SettingsError) as error:
        check(schedule, "line 3")
    assert error.value.where == "line 3"
    assert "0 0 2 * * *" in error.value.fix or "seconds in front" in error.value.fix


def test_importing_settings_loads_no_sdk() -> None:
    ours = "shared.settings, shared.telemetry, shared.azure, shared.state, shared.delivery.hub"
    code = f"import sys, {ours}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    heavy = [name for name in loaded.split() if name.split(".")[0] in ("azure", "croniter", "tenacity", "requests")]
    assert heavy == []
